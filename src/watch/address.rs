//! Where a page is read: an address on HTTP or HTTPS, or a runtime socket by TCP or by path. Pure: typed text in, what is
//! shown of it out. Never here: connections.

use super::login::Login;
use crate::secret::redact_url;
use std::fmt;
use std::path::PathBuf;
use url::{Host, Url};

/// One place to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A page.
    Page(Page),
    /// A runtime socket on TCP: host, port.
    Tcp(String, u16),
    /// A runtime socket in the file system.
    Unix(PathBuf),
}

/// A page on HTTP or HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// HTTPS.
    pub tls: bool,
    /// Name or address, brackets taken off.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What the `Host` header says.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Name and password, which came in the URL or beside it.
    pub login: Option<Login>,
    shown: String,
}

/// An address and what stood behind its `#`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// The address.
    pub address: Address,
    /// Names behind `#`, parted by commas.
    pub marks: Vec<String>,
}

impl Address {
    /// Reads a URL of a page: `http://`, `https://`.
    pub fn page(typed: &str) -> Result<Self, String> {
        let (text, marks) = unmarked(typed);
        match marks {
            Some(_) => Err("nothing stands behind a `#` here".to_owned()),
            None => page(text),
        }
    }

    /// Reads an address of a balancer's statistics: a page, `tcp://HOST:PORT` or `unix:/PATH`; `#NAME,NAME` names proxies.
    pub fn balancer(typed: &str) -> Result<Marked, String> {
        let (text, marks) = unmarked(typed);
        let marks: Vec<String> = match marks {
            None => Vec::new(),
            Some(list) => list.split(',').map(|name| name.trim().to_owned()).collect(),
        };
        if marks.iter().any(String::is_empty) {
            return Err("behind the `#` stand names of proxies: #www,api".to_owned());
        }
        let address = match text.split_once(':') {
            Some(("unix", path)) => unix(path)?,
            Some(("tcp", rest)) => tcp(rest)?,
            _ => page(text)?,
        };
        Ok(Marked { address, marks })
    }

    /// Whether a name and a password mean something there.
    pub fn takes_login(&self) -> bool {
        matches!(self, Self::Page(_))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(page) => f.write_str(&page.shown),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "tcp://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A typed address as it may be shown, however wrong it is: no user-info, no values of a query but HAProxy's own words.
pub fn shown(typed: &str) -> String {
    let (text, marks) = unmarked(typed);
    let own = ["?stats", "?stats;csv", "?;csv"]
        .into_iter()
        .find(|end| text.ends_with(end));
    let mut out = match own {
        Some(end) if text.matches('?').count() == 1 => redact_url(text.trim_end_matches(end)) + end,
        _ => redact_url(text),
    };
    if let Some(marks) = marks {
        out.push('#');
        out.push_str(marks);
    }
    out
}

fn unmarked(typed: &str) -> (&str, Option<&str>) {
    // a fragment is no secret here: it never leaves this machine, and names proxies
    typed
        .split_once('#')
        .map_or((typed, None), |(text, marks)| (text, Some(marks)))
}

fn unix(path: &str) -> Result<Address, String> {
    let path = path.strip_prefix("//").unwrap_or(path);
    match path.starts_with('/') {
        true => Ok(Address::Unix(PathBuf::from(path))),
        false => Err("unix:/PATH, a whole path".to_owned()),
    }
}

fn tcp(rest: &str) -> Result<Address, String> {
    let wrong = || "tcp://HOST:PORT, an IPv6 address in brackets".to_owned();
    let authority = rest.strip_prefix("//").ok_or_else(wrong)?.trim_end_matches('/');
    let (host, port) = authority.rsplit_once(':').ok_or_else(wrong)?;
    let host = match host.strip_prefix('[') {
        Some(inside) => inside.strip_suffix(']').ok_or_else(wrong)?,
        None if host.contains(':') => return Err(wrong()),
        None => host,
    };
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    let plain = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:%".contains(c));
    match plain {
        true => Ok(Address::Tcp(host.to_owned(), port)),
        false => Err(wrong()),
    }
}

fn page(text: &str) -> Result<Address, String> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !matches!(scheme.as_deref(), Some("http" | "https")) {
        return Err("http://, https://, tcp://HOST:PORT or unix:/PATH".to_owned());
    }
    let mut url = Url::parse(text).map_err(|error| error.to_string())?;
    let login = match (url.username(), url.password()) {
        ("", None) => None,
        (name, password) => Some(Login::unescaped(name, password.unwrap_or_default())),
    };
    // both are refused only by URLs that have no host
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    let no_host = || "no host".to_owned();
    let host = match url.host().ok_or_else(no_host)? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(v4) => v4.to_string(),
        Host::Ipv6(v6) => v6.to_string(),
    };
    let bracketed = url.host_str().ok_or_else(no_host)?;
    let port = url.port_or_known_default().filter(|port| *port > 0).ok_or("no port")?;
    Ok(Address::Page(Page {
        tls: url.scheme() == "https",
        authority: match url.port() {
            Some(port) => format!("{bracketed}:{port}"),
            None => bracketed.to_owned(),
        },
        path: match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        },
        host,
        port,
        login,
        shown: shown(text),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_secrets() {
        for (typed, seen) in [
            ("http://lb:8404/haproxy?stats", "http://lb:8404/haproxy?stats"),
            ("http://u:p%40@lb/haproxy?stats;csv", "http://lb/haproxy?stats;csv"),
            ("https://lb/s?token=abc", "https://lb/s?token=***"),
            ("https://lb/s?token=abc?stats", "https://lb/s?token=***"),
            ("http://[::1]:80/x", "http://[::1]:80/x"),
            ("tcp://lb:9999", "tcp://lb:9999"),
            ("tcp://[::1]:9999/", "tcp://[::1]:9999"),
            ("unix:/run/haproxy.sock", "unix:/run/haproxy.sock"),
            ("unix:///run/haproxy.sock", "unix:/run/haproxy.sock"),
        ] {
            let read = Address::balancer(typed).unwrap();
            assert_eq!(read.address.to_string(), seen, "{typed}");
            assert!(!format!("{read:?}").contains("p@"), "{typed}");
        }
    }

    #[test]
    fn a_page_has_its_parts() {
        let marked = Address::balancer("https://u%3a:p@[::1]:8/a?b#www, api").unwrap();
        assert_eq!(marked.marks, ["www", "api"]);
        let Address::Page(page) = marked.address else {
            panic!("a page")
        };
        assert_eq!(
            (
                page.tls,
                page.host.as_str(),
                page.port,
                page.authority.as_str(),
                page.path.as_str()
            ),
            (true, "::1", 8, "[::1]:8", "/a?b")
        );
        assert_eq!(page.login.unwrap().basic(), "Basic dTo6cA==");
    }

    #[test]
    fn wrong_addresses_are_told() {
        for (typed, says) in [
            (
                "lb:8404/haproxy?stats",
                "http://, https://, tcp://HOST:PORT or unix:/PATH",
            ),
            ("ftp://lb/", "http://, https://"),
            ("http://", "empty host"),
            ("http://lb:0/", "no port"),
            ("tcp:lb:80", "tcp://HOST:PORT"),
            ("tcp://lb", "tcp://HOST:PORT"),
            ("tcp://::1:80", "in brackets"),
            ("tcp://u@h:80", "tcp://HOST:PORT"),
            ("unix:haproxy.sock", "a whole path"),
            ("http://lb/#", "names of proxies"),
        ] {
            let error = Address::balancer(typed).unwrap_err();
            assert!(error.contains(says), "{typed}: {error}");
        }
        assert!(
            Address::page("http://h/metrics#x")
                .unwrap_err()
                .contains("behind a `#`")
        );
        assert!(Address::page("unix:/x").is_err());
    }
}
