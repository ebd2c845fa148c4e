//! The backend's name, and the address that we are seen as, from the headers or the body of an answer, or from what a server
//! says first. Costs one look at a bit mask for most headers; bodies are only read where the share says so. Never here:
//! counts.

use super::peer;
use crate::wire::share::{BackendFrom, SaidFirst, SeenFrom, Share, USUAL_COOKIES, USUAL_HEADERS};
use serde_json::Value;
use std::net::IpAddr;

/// Bytes of a body that are read for a name at most.
pub const BODY_READ: usize = 64 << 10;

/// Where to look for the name.
pub struct BackendNames {
    headers: Vec<Place>,
    cookies: Vec<Place>,
    body: Option<Place>,
    said: Option<(SaidFirst, String)>,
    seen: Option<SeenFrom>,
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
    seen: Option<IpAddr>,
}

impl Found {
    /// Forgets the last answer.
    pub fn clear(&mut self) {
        self.rank = None;
        self.seen = None;
    }

    /// The address that the answer was asked from, as it says.
    pub fn seen(&self) -> Option<IpAddr> {
        self.seen
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
    pub fn of(share: &Share) -> Self {
        Self::new(&share.backend_from, share.seen_from.as_ref())
    }

    /// Looks there alone.
    pub fn at(from: &BackendFrom) -> Self {
        Self::new(from, None)
    }

    fn new(from: &BackendFrom, seen: Option<&SeenFrom>) -> Self {
        let (headers, cookies): (Vec<&str>, Vec<&str>) = match from {
            BackendFrom::Usual => (USUAL_HEADERS.to_vec(), USUAL_COOKIES.to_vec()),
            BackendFrom::Header(name) => (vec![name], Vec::new()),
            BackendFrom::Cookie(name) => (Vec::new(), vec![name]),
            BackendFrom::Body(_) | BackendFrom::Said(_) => (Vec::new(), Vec::new()),
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
        if let Some(SeenFrom::Header(name)) = seen {
            lengths |= 1 << name.len().min(63);
        }
        Self {
            headers: headers.iter().map(|name| place("header", name)).collect(),
            cookies: cookies.iter().map(|name| place("cookie", name)).collect(),
            body: match from {
                BackendFrom::Body(pointer) => Some(place("body", pointer)),
                _ => None,
            },
            said: match from {
                BackendFrom::Said(first) => Some((first.clone(), told(first))),
                _ => None,
            },
            seen: seen.cloned(),
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
        if let Some(SeenFrom::Header(wanted)) = &self.seen
            && wanted.eq_ignore_ascii_case(name)
            && found.seen.is_none()
        {
            found.seen = peer::address(value);
        }
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

    /// Whether bodies are to be read at all.
    pub fn reads_bodies(&self) -> bool {
        self.body.is_some() || matches!(self.seen, Some(SeenFrom::Body(_)))
    }

    /// Shows it a body: JSON, or the payload of Engine.IO's opening, whose first packet holds JSON.
    pub fn read(&self, body: &[u8], found: &mut Found) {
        let begin = memchr::memchr2(b'{', b'[', body).unwrap_or(0);
        let mut values = serde_json::Deserializer::from_slice(&body[begin..]).into_iter::<Value>();
        let Some(Ok(json)) = values.next() else { return };
        if let Some(place) = &self.body
            && let Some(name) = json.pointer(&place.name).and_then(text)
        {
            found.offer(0, name.trim().as_bytes());
        }
        if let Some(SeenFrom::Body(pointer)) = &self.seen
            && let Some(address) = json.pointer(pointer).and_then(text)
        {
            found.seen = peer::address(address.as_bytes());
        }
    }

    /// The name found and where (`header:x-backend`).
    pub fn name<'f>(&'f self, found: &'f Found) -> Option<(&'f str, &'f [u8])> {
        let rank = found.rank?;
        let place = self
            .headers
            .get(rank)
            .or_else(|| self.cookies.get(rank - self.headers.len()))
            .or(self.body.as_ref())?;
        Some((&place.by, &found.value))
    }

    /// Whether the name comes with what the server says once a client is in.
    pub fn listens(&self) -> bool {
        self.said.is_some()
    }

    /// The name in an event: its name, and the JSON array that it came as.
    pub fn in_event(&self, event: &str, array: &str) -> Option<(&str, Vec<u8>)> {
        let (first, by) = self.said.as_ref()?;
        if first.event.as_deref() != Some(event) {
            return None;
        }
        let values: Vec<Value> = serde_json::from_str(array).ok()?;
        let argument = values.get(1)?;
        let name = match &first.pointer {
            Some(pointer) => argument.pointer(pointer).and_then(text)?,
            None => text(argument)?,
        };
        kept(by, name.trim())
    }

    /// The name in a message.
    pub fn in_message(&self, message: &str) -> Option<(&str, Vec<u8>)> {
        let (first, by) = self.said.as_ref()?;
        if first.event.is_some() {
            return None;
        }
        match &first.pointer {
            Some(pointer) => {
                let json: Value = serde_json::from_str(message).ok()?;
                kept(by, json.pointer(pointer).and_then(text)?.trim())
            }
            None => kept(by, message.trim()),
        }
    }
}

fn kept<'b>(by: &'b str, name: &str) -> Option<(&'b str, Vec<u8>)> {
    (!name.is_empty()).then(|| (by, name.as_bytes().to_vec()))
}

/// As the flag says it.
fn told(first: &SaidFirst) -> String {
    match (&first.event, &first.pointer) {
        (Some(event), pointer) => format!("event:{event}{}", pointer.as_deref().unwrap_or_default()),
        (None, Some(pointer)) => format!("message:{pointer}"),
        (None, None) => "message".to_owned(),
    }
}

/// A value that can be a name.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(from: &BackendFrom, headers: &[(&str, &str)]) -> Option<(String, String)> {
        let (names, mut found) = (BackendNames::new(from, None), Found::default());
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

    fn in_body(from: &BackendFrom, seen: Option<&SeenFrom>, body: &str) -> (Option<String>, Option<String>) {
        let (names, mut found) = (BackendNames::new(from, seen), Found::default());
        assert!(names.reads_bodies());
        names.read(body.as_bytes(), &mut found);
        let name = names
            .name(&found)
            .map(|(_, name)| String::from_utf8(name.to_vec()).unwrap());
        (name, found.seen().map(|address| address.to_string()))
    }

    #[test]
    fn a_body_names_by_a_pointer() {
        let from = BackendFrom::Body("/server/id".into());
        let names = |body: &str| in_body(&from, None, body).0;
        for (body, name) in [
            (r#"{"server":{"id":"s1"}}"#, Some("s1")),
            (r#"{"server":{"id":7}}"#, Some("7")),
            (r#"{"server":{"id":" "}}"#, None),
            (r#"{"server":{"id":{"x":1}}}"#, None),
            (r#"{"server":null}"#, None),
            (r#"{"server":{"id":"s1"}"#, None),
            ("<html>", None),
            ("", None),
            // the opening of Engine.IO 4 and 3
            ("0{\"sid\":\"x\",\"server\":{\"id\":\"s2\"}}\x1e40", Some("s2")),
            (r#"38:0{"sid":"x","server":{"id":"s3"}}2:40"#, Some("s3")),
        ] {
            assert_eq!(names(body).as_deref(), name, "{body}");
        }
        let seen = SeenFrom::Body("/you".into());
        let told = in_body(&from, Some(&seen), r#"{"you":"10.0.0.7","server":{"id":"a"}}"#);
        assert_eq!(told, (Some("a".into()), Some("10.0.0.7".into())));
        assert_eq!(in_body(&BackendFrom::Usual, Some(&seen), r#"{"you":"me"}"#).1, None);
    }

    #[test]
    fn a_header_tells_as_whom_we_are_seen() {
        let seen = SeenFrom::Header("x-client".into());
        let names = BackendNames::new(&BackendFrom::Usual, Some(&seen));
        let mut found = Found::default();
        for (name, value) in [
            ("X-Backend", "s1"),
            ("X-Client", "203.0.113.9, 10.0.0.1"),
            ("x-client", "1.1.1.1"),
        ] {
            names.look(name, value.as_bytes(), &mut found);
        }
        assert_eq!(found.seen(), Some([203, 0, 113, 9].into()));
        assert_eq!(names.name(&found).unwrap().1, b"s1");
        found.clear();
        assert_eq!(found.seen(), None);
    }

    #[test]
    fn what_is_said_first_names() {
        let said = |event: Option<&str>, pointer: Option<&str>| {
            let (event, pointer) = (event.map(str::to_owned), pointer.map(str::to_owned));
            BackendNames::new(&BackendFrom::Said(SaidFirst { event, pointer }), None)
        };
        let own =
            |named: Option<(&str, Vec<u8>)>| named.map(|(by, name)| (by.to_owned(), String::from_utf8(name).unwrap()));
        let some = |by: &str, name: &str| Some((by.to_owned(), name.to_owned()));
        let plain = said(Some("hello"), None);
        assert!(plain.listens());
        assert_eq!(
            own(plain.in_event("hello", r#"["hello","s1",2]"#)),
            some("event:hello", "s1")
        );
        assert_eq!(own(plain.in_event("hello", r#"["hello",{"a":1}]"#)), None);
        assert_eq!(own(plain.in_event("hello", r#"["hello"]"#)), None);
        assert_eq!(own(plain.in_event("other", r#"["other","s1"]"#)), None);
        assert_eq!(own(plain.in_message("s1")), None);
        let deep = said(Some("hello"), Some("/node/0"));
        assert_eq!(
            own(deep.in_event("hello", r#"["hello",{"node":["s2"]}]"#)),
            some("event:hello/node/0", "s2")
        );
        let whole = said(None, None);
        assert_eq!(own(whole.in_message(" s3\n")), some("message", "s3"));
        assert_eq!(own(whole.in_message(" ")), None);
        assert_eq!(own(whole.in_event("message", r#"["message","s3"]"#)), None);
        let inside = said(None, Some("/s"));
        assert_eq!(own(inside.in_message(r#"{"s":4}"#)), some("message:/s", "4"));
        assert_eq!(own(inside.in_message("{")), None);
    }
}
