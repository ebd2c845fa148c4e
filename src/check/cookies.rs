//! Cookies as a browser keeps them (RFC 6265): which of those that answers set go back to which path. Pure. What removes a
//! cookie by a date is known by its year alone, as in the agent's jar.

/// One cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
    path: String,
    domain: Option<String>,
    secure: bool,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Host name, without port.
    pub host: &'a str,
    /// Path, without query.
    pub path: &'a str,
    /// Over TLS.
    pub tls: bool,
}

/// Cookies of one client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jar {
    cookies: Vec<Cookie>,
}

impl Jar {
    /// Takes what an answer to a request at `place` sets.
    pub fn take<'a>(&mut self, headers: impl Iterator<Item = (&'a str, &'a str)>, place: Place<'_>) {
        for (_, line) in headers.filter(|(name, _)| *name == "set-cookie") {
            if let Some((cookie, removed)) = read(line, place) {
                let same = |known: &Cookie| (&known.name, &known.path) == (&cookie.name, &cookie.path);
                self.cookies.retain(|known| !same(known));
                if !removed {
                    self.cookies.push(cookie);
                }
            }
        }
    }

    /// The value of `Cookie` for a request, those that the user gave before the others.
    pub fn header(&self, given: Option<&str>, place: Place<'_>) -> Option<String> {
        let own = self.cookies.iter().filter(|cookie| lost(cookie, place).is_none());
        let own = own.map(|cookie| format!("{}={}", cookie.name, cookie.value));
        let all: Vec<String> = given.map(str::to_owned).into_iter().chain(own).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Names of the cookies that go to `place`.
    pub fn sent(&self, place: Place<'_>) -> Vec<String> {
        let sent = self.cookies.iter().filter(|cookie| lost(cookie, place).is_none());
        sent.map(|cookie| cookie.name.clone()).collect()
    }

    /// Those that do not, and why not.
    pub fn lost(&self, place: Place<'_>) -> Vec<(String, String)> {
        let lost = |cookie: &Cookie| lost(cookie, place).map(|why| (cookie.name.clone(), why));
        self.cookies.iter().filter_map(lost).collect()
    }
}

fn read(line: &str, place: Place<'_>) -> Option<(Cookie, bool)> {
    let mut parts = line.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let mut cookie = Cookie {
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        path: default_path(place.path),
        domain: None,
        secure: false,
    };
    if cookie.name.is_empty() {
        return None;
    }
    let (mut age, mut past) = (None, false);
    for attribute in parts {
        let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "path" if value.starts_with('/') => cookie.path = value.to_owned(),
            "domain" if !value.is_empty() => {
                cookie.domain = Some(value.trim_start_matches('.').to_ascii_lowercase());
            }
            "secure" => cookie.secure = true,
            "max-age" => age = Some(value.starts_with('-') || value.bytes().all(|digit| digit == b'0')),
            "expires" => {
                let years = value.split([' ', '-']).filter(|word| word.len() == 4);
                past = years
                    .filter_map(|word| word.parse::<u32>().ok())
                    .any(|year| year < 2020);
            }
            _ => {}
        }
    }
    Some((cookie, age.unwrap_or(past)))
}

/// RFC 6265, 5.1.4.
fn default_path(path: &str) -> String {
    match path.rfind('/') {
        None | Some(0) => "/".to_owned(),
        Some(end) => path[..end].to_owned(),
    }
}

/// Why a browser does not send it there.
fn lost(cookie: &Cookie, place: Place<'_>) -> Option<String> {
    let host = place.host.to_ascii_lowercase();
    if let Some(domain) = &cookie.domain {
        let below = host
            .strip_suffix(domain.as_str())
            .is_some_and(|rest| rest.ends_with('.'));
        let is_name = host.parse::<std::net::IpAddr>().is_err();
        if host != *domain && !(below && is_name) {
            return Some(format!("its Domain={domain} is not that of {host}"));
        }
    }
    let on_path = place.path == cookie.path
        || place
            .path
            .strip_prefix(cookie.path.as_str())
            .is_some_and(|rest| cookie.path.ends_with('/') || rest.starts_with('/'));
    if !on_path {
        return Some(format!("its Path={} does not cover {}", cookie.path, place.path));
    }
    if cookie.secure && !place.tls && host != "localhost" {
        return Some("it is Secure, and the URL is not https".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(line: &str) -> Jar {
        let mut jar = Jar::default();
        jar.take([("set-cookie", line)].into_iter(), place("/socket.io/", false));
        jar
    }

    fn place(path: &str, tls: bool) -> Place<'_> {
        Place {
            host: "chat.lab.test",
            path,
            tls,
        }
    }

    #[test]
    fn cookies_go_where_a_browser_sends_them() {
        for (line, sent) in [
            ("SERVERID=s1; path=/", true),
            ("SERVERID=s1", true),
            ("SERVERID=s1; Path=/socket.io", true),
            ("SERVERID=s1; Path=/socket.io/", true),
            ("SERVERID=s1; Path=/socket", false),
            ("SERVERID=s1; path=/other", false),
            ("SERVERID=s1; path=/; domain=lab.test", true),
            ("SERVERID=s1; path=/; domain=.chat.lab.test", true),
            ("SERVERID=s1; path=/; domain=other.test", false),
            ("SERVERID=s1; path=/; domain=at.lab.test", false),
            ("SERVERID=s1; path=/; Secure", false),
        ] {
            let at = place("/socket.io/", false);
            assert_eq!(jar(line).header(None, at).is_some(), sent, "{line}");
            assert_eq!(jar(line).lost(at).is_empty(), sent, "{line}");
        }
        assert_eq!(jar("S=1; path=/; Secure").sent(place("/socket.io/", true)), ["S"]);
    }

    #[test]
    fn cookies_are_replaced_and_removed() {
        let mut jar = jar("a=1; path=/");
        let at = place("/x", false);
        jar.take(
            [("set-cookie", "a=2; path=/"), ("set-cookie", "b=3; path=/")].into_iter(),
            at,
        );
        assert_eq!(jar.header(Some("u=0"), at), Some("u=0; a=2; b=3".into()));
        jar.take([("set-cookie", "a=; path=/; Max-Age=0")].into_iter(), at);
        jar.take(
            [("set-cookie", "b=x; path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT")].into_iter(),
            at,
        );
        assert_eq!(jar.header(None, at), None);
    }
}
