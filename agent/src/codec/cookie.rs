//! A small cookie jar, one per client. Kept simple on purpose: cookies go back to the host that set them, whatever their
//! Path, Domain, Secure and SameSite; they live until they are removed by `Max-Age=0` (or less) or by an `Expires` before
//! 2020, which is how servers remove a cookie: the agent has no wall clock to compare a date with.

/// Cookies kept at most.
const KEPT: usize = 64;

/// Cookies of one client.
#[derive(Debug, Default, Clone)]
pub struct Jar {
    cookies: Vec<Cookie>,
}

#[derive(Debug, Clone)]
struct Cookie {
    host: u16,
    name: String,
    /// `None`: removed, also where the client started with it.
    value: Option<String>,
}

impl Jar {
    /// Takes a `Set-Cookie` value of `host`. Answers whether what is sent changes.
    pub fn set(&mut self, host: u16, line: &[u8]) -> bool {
        let Ok(line) = std::str::from_utf8(line) else {
            return false;
        };
        let mut parts = line.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return false;
        };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() {
            return false;
        }
        let value = (!removes(parts)).then(|| value.to_owned());
        if let Some(known) = self
            .cookies
            .iter_mut()
            .find(|cookie| cookie.host == host && cookie.name == name)
        {
            let changed = known.value != value;
            known.value = value;
            return changed;
        }
        if self.cookies.len() >= KEPT {
            return false;
        }
        self.cookies.push(Cookie {
            host,
            name: name.to_owned(),
            value,
        });
        true
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.cookies.iter().all(|cookie| cookie.value.is_none())
    }

    /// The names of what was kept: values are secrets.
    pub fn names(&self) -> String {
        let kept = self.cookies.iter().filter(|cookie| cookie.value.is_some());
        let names: Vec<&str> = kept.map(|cookie| cookie.name.as_str()).take(4).collect();
        let text: String = names.join(" ").chars().take(60).collect();
        if names.len() > 1 {
            format!("cookies {text}")
        } else {
            format!("cookie {text}")
        }
    }

    /// The `Cookie` value for `host`: those the client starts with, unless set anew, then those it was given.
    pub fn header(&self, host: u16, initial: Option<&str>) -> String {
        let own = || self.cookies.iter().filter(|cookie| cookie.host == host);
        let kept = initial.unwrap_or_default().split(';').map(str::trim).filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default().trim();
            !pair.is_empty() && !own().any(|cookie| cookie.name == name)
        });
        let set = own().filter_map(|cookie| cookie.value.as_ref().map(|value| format!("{}={value}", cookie.name)));
        kept.map(str::to_owned).chain(set).collect::<Vec<_>>().join("; ")
    }
}

fn removes<'a>(attributes: impl Iterator<Item = &'a str>) -> bool {
    let mut expired = false;
    for attribute in attributes {
        let Some((name, value)) = attribute.split_once('=') else {
            continue;
        };
        let (name, value) = (name.trim(), value.trim());
        if name.eq_ignore_ascii_case("max-age") {
            // Max-Age outranks Expires (RFC 6265, section 5.3)
            return value.starts_with('-') || value.bytes().all(|b| b == b'0');
        }
        if name.eq_ignore_ascii_case("expires") {
            let mut years = value
                .split([' ', '-'])
                .filter(|word| word.len() == 4)
                .filter_map(|word| word.parse::<u32>().ok());
            expired = years.next().is_some_and(|year| year < 2020);
        }
    }
    expired
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_set_replaced_and_removed_per_host() {
        let mut jar = Jar::default();
        assert!(jar.set(0, b"a=1; Path=/; HttpOnly"));
        assert!(!jar.set(0, b"a=1"));
        assert!(jar.set(1, b"b=2"));
        assert_eq!(jar.header(0, Some("s=0; a=9")), "s=0; a=1");
        assert_eq!(jar.header(1, None), "b=2");
        assert!(jar.set(0, b"a=; Max-Age=0"));
        assert_eq!(jar.header(0, Some("s=0; a=9")), "s=0");
        assert!(jar.set(0, b"s=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(jar.header(0, Some("s=0")), "");
        assert!(jar.set(0, b"s=y; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60"));
        assert_eq!(jar.header(0, None), "s=y");
    }
}
