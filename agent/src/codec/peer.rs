//! An address as balancers and servers write their client's: alone, with a port, in brackets, first of a list, as in
//! `X-Forwarded-For` or `Forwarded`. Never here: where it was written.

use std::net::{IpAddr, SocketAddr};

/// The first address of a list; `None` for what is no address. IPv4 in IPv6 is IPv4.
pub fn address(value: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(value).ok()?;
    let first = text.split([',', ';']).next()?.trim();
    let first = match first.get(..4) {
        Some(key) if key.eq_ignore_ascii_case("for=") => &first[4..],
        _ => first,
    };
    let bare = first.trim_matches('"').trim();
    let inside = bare
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(bare);
    let address = inside
        .parse::<IpAddr>()
        .or_else(|_| bare.parse::<SocketAddr>().map(|socket| socket.ip()))
        .ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for (text, wanted) in [
            ("10.0.0.7", Some("10.0.0.7")),
            (" 10.0.0.7 ", Some("10.0.0.7")),
            ("10.0.0.7:51234", Some("10.0.0.7")),
            ("203.0.113.9, 10.0.0.1, 10.0.0.2", Some("203.0.113.9")),
            ("2001:db8::7", Some("2001:db8::7")),
            ("[2001:db8::7]", Some("2001:db8::7")),
            ("[2001:db8::7]:443", Some("2001:db8::7")),
            ("::ffff:10.0.0.7", Some("10.0.0.7")),
            ("for=10.0.0.7;proto=https", Some("10.0.0.7")),
            ("For=\"[2001:db8::7]:1\", for=10.0.0.1", Some("2001:db8::7")),
            ("unknown", None),
            ("for=_hidden", None),
            ("s1", None),
            ("", None),
            (", 10.0.0.1", None),
            ("10.0.0", None),
            ("10.0.0.300", None),
            ("010.0.0.1", None),
            ("[10.0.0.1", None),
        ] {
            let read = address(text.as_bytes()).map(|address| address.to_string());
            assert_eq!(read.as_deref(), wanted, "{text}");
        }
        assert_eq!(address(&[0xff, 0xfe]), None);
    }

    proptest! {
        #[test]
        fn nothing_that_a_server_writes_panics(text in "\\PC{0,40}", address in any::<IpAddr>()) {
            let _ = super::address(text.as_bytes());
            let canonical = address.to_canonical();
            prop_assert_eq!(super::address(address.to_string().as_bytes()), Some(canonical));
            prop_assert_eq!(super::address(SocketAddr::new(address, 7).to_string().as_bytes()), Some(canonical));
        }
    }
}
