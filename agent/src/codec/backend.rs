//! The backend's name, from the headers of an answer. Costs one look at a bit mask for most headers. Never here: counts.

use crate::wire::share::{BackendFrom, USUAL_COOKIES, USUAL_HEADERS};

/// Where to look for the name.
pub struct BackendNames {
    headers: Vec<Place>,
    cookies: Vec<Place>,
    /// Bit n: a header name of n bytes may matter.
    lengths: u64,
}

struct Place {
    name: String,
    by: String,
}

/// The best name found so far in one answer; its buffer is used again for the next.
#[derive(Debug, Default)]
pub struct Found {
    rank: Option<usize>,
    value: Vec<u8>,
}

impl Found {
    /// Forgets the last answer.
    pub fn clear(&mut self) {
        self.rank = None;
    }

    fn offer(&mut self, rank: usize, value: &[u8]) {
        if !value.is_empty() && self.rank.is_none_or(|best| rank < best) {
            self.rank = Some(rank);
            self.value.clear();
            self.value.extend_from_slice(value);
        }
    }
}

impl BackendNames {
    /// Looks where the share says.
    pub fn new(from: &BackendFrom) -> Self {
        let (headers, cookies): (Vec<&str>, Vec<&str>) = match from {
            BackendFrom::Usual => (USUAL_HEADERS.to_vec(), USUAL_COOKIES.to_vec()),
            BackendFrom::Header(name) => (vec![name], Vec::new()),
            BackendFrom::Cookie(name) => (Vec::new(), vec![name]),
        };
        let place = |kind: &str, name: &str| Place {
            name: name.to_owned(),
            by: format!("{kind}:{name}"),
        };
        let mut lengths = 0u64;
        for name in &headers {
            lengths |= 1 << name.len().min(63);
        }
        if !cookies.is_empty() {
            lengths |= 1 << "set-cookie".len();
        }
        Self {
            headers: headers.iter().map(|name| place("header", name)).collect(),
            cookies: cookies.iter().map(|name| place("cookie", name)).collect(),
            lengths,
        }
    }

    /// Shows it one header of the answer.
    #[inline]
    pub fn look(&self, name: &str, value: &[u8], found: &mut Found) {
        if self.lengths & (1 << name.len().min(63)) != 0 {
            self.compare(name, value, found);
        }
    }

    fn compare(&self, name: &str, value: &[u8], found: &mut Found) {
        if let Some(rank) = self
            .headers
            .iter()
            .position(|place| place.name.eq_ignore_ascii_case(name))
        {
            return found.offer(rank, value.trim_ascii());
        }
        if !name.eq_ignore_ascii_case("set-cookie") {
            return;
        }
        let pair = value.split(|b| *b == b';').next().unwrap_or_default();
        let Some(equals) = memchr::memchr(b'=', pair) else {
            return;
        };
        let cookie = pair[..equals].trim_ascii();
        if let Some(rank) = self.cookies.iter().position(|place| place.name.as_bytes() == cookie) {
            found.offer(self.headers.len() + rank, pair[equals + 1..].trim_ascii());
        }
    }

    /// The name found and where (`header:x-backend`).
    pub fn name<'f>(&'f self, found: &'f Found) -> Option<(&'f str, &'f [u8])> {
        let rank = found.rank?;
        let place = self
            .headers
            .get(rank)
            .or_else(|| self.cookies.get(rank - self.headers.len()))?;
        Some((&place.by, &found.value))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(from: &BackendFrom, headers: &[(&str, &str)]) -> Option<(String, String)> {
        let (names, mut found) = (BackendNames::new(from), Found::default());
        for (name, value) in headers {
            names.look(name, value.as_bytes(), &mut found);
        }
        names
            .name(&found)
            .map(|(by, value)| (by.to_owned(), String::from_utf8(value.to_vec()).unwrap()))
    }

    #[test]
    fn the_preferred_place_wins_whatever_the_order() {
        let some = |by: &str, value: &str| Some((by.to_owned(), value.to_owned()));
        let usual = BackendFrom::Usual;
        assert_eq!(
            name(
                &usual,
                &[
                    ("Set-Cookie", "SRV=c; Path=/"),
                    ("X-Served-By", "b"),
                    ("X-BACKEND", " a ")
                ]
            ),
            some("header:x-backend", "a")
        );
        assert_eq!(
            name(&usual, &[("set-cookie", "x=1"), ("set-cookie", "SERVERID=s1; Path=/")]),
            some("cookie:SERVERID", "s1")
        );
        assert_eq!(name(&usual, &[("Server", "nginx"), ("X-Backend", "")]), None);
        assert_eq!(
            name(
                &BackendFrom::Header("x-node".into()),
                &[("X-Backend", "a"), ("X-Node", "n")]
            ),
            some("header:x-node", "n")
        );
        assert_eq!(
            name(&BackendFrom::Cookie("node".into()), &[("Set-Cookie", "node=7")]),
            some("cookie:node", "7")
        );
    }
}
