//! A TLS hello of an old version (RFC 2246, RFC 4346), which rustls has no part in any more, and what the first bytes of its
//! answer say. It is looked at and dropped: no handshake is done with it. Pure.

/// Suites that servers of those versions have: ECDHE and RSA with AES in CBC, 3DES.
const SUITES: [u16; 8] = [0xc009, 0xc00a, 0xc013, 0xc014, 0x002f, 0x0035, 0x000a, 0xc012];
/// secp256r1, secp384r1, secp521r1.
const GROUPS: [u16; 3] = [23, 24, 25];
/// Handshake record, hello of the server.
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
/// Bytes that [`accepted`] looks at.
pub(super) const ENOUGH: usize = 11;

/// A hello that offers `3.minor` at most: 1 is TLS 1.0, 2 is TLS 1.1. An address is no server name, and is not sent.
pub(super) fn hello(minor: u8, host: &str, random: [u8; 32]) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend_from_slice(&random);
    body.push(0);
    sized(&mut body, &SUITES.map(u16::to_be_bytes).concat());
    body.extend_from_slice(&[1, 0]);
    let mut extensions = Vec::new();
    if host.parse::<std::net::IpAddr>().is_err() {
        let mut name = vec![0];
        sized(&mut name, host.as_bytes());
        extension(&mut extensions, 0, &in_list(&name));
    }
    extension(&mut extensions, 10, &in_list(&GROUPS.map(u16::to_be_bytes).concat()));
    extension(&mut extensions, 11, &[1, 0]);
    sized(&mut body, &extensions);
    let mut message = vec![1, 0];
    sized(&mut message, &body);
    let mut record = vec![HANDSHAKE, 3, 1];
    sized(&mut record, &message);
    record
}

fn in_list(bytes: &[u8]) -> Vec<u8> {
    let mut list = Vec::new();
    sized(&mut list, bytes);
    list
}

fn extension(out: &mut Vec<u8>, kind: u16, content: &[u8]) {
    out.extend_from_slice(&kind.to_be_bytes());
    sized(out, content);
}

/// Two bytes of length, and the bytes.
fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    // a host name has 253 bytes at most, so that no part of a hello comes near to 64 KiB
    out.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Whether the answer goes on with that very version; `None` while too little of it is there.
pub(super) fn accepted(answer: &[u8], minor: u8) -> Option<bool> {
    match answer {
        [first, ..] if *first != HANDSHAKE => Some(false),
        [_, _, _, _, _, kind, _, _, _, major, chosen, ..] => {
            Some(*kind == SERVER_HELLO && *major == 3 && *chosen == minor)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lengths_fit_what_they_stand_before() {
        for host in ["chat.example.com", "127.0.0.1"] {
            let record = hello(1, host, [7; 32]);
            let at = |place: usize| usize::from(u16::from_be_bytes([record[place], record[place + 1]]));
            assert_eq!(at(3), record.len() - 5, "record");
            assert_eq!(at(7), record.len() - 9, "message");
            assert_eq!(record[9..11], [3, 1]);
            let text = String::from_utf8_lossy(&record).into_owned();
            assert_eq!(text.contains(host), host.starts_with("chat"), "a server name");
        }
    }

    #[test]
    fn only_a_server_hello_of_that_version_accepts() {
        let server_hello = [22, 3, 1, 0, 50, 2, 0, 0, 46, 3, 1, 9];
        assert_eq!(accepted(&server_hello, 1), Some(true));
        assert_eq!(accepted(&server_hello, 2), Some(false));
        assert_eq!(accepted(&server_hello[..8], 1), None);
        assert_eq!(accepted(&[21, 3, 1, 0, 2, 2, 70], 1), Some(false), "an alert");
        assert_eq!(accepted(b"HTTP/1.1 400", 1), Some(false));
        assert_eq!(accepted(&[], 1), None);
    }
}
