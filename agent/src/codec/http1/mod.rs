//! HTTP/1.1 as a client sees it (RFC 9112): the request built once as bytes, the head of an answer over `httparse`, and
//! how its body ends. Lengths that two readers could understand differently are errors, never guesses. Never here:
//! sockets, clocks, what a status means for the run.

pub mod body;

pub use body::{BodyReader, Step};

use std::mem::MaybeUninit;

/// Bytes of an answer's head at most.
pub const HEAD_LIMIT: usize = 64 * 1024;
/// Headers of an answer at most.
pub const HEADERS_LIMIT: usize = 256;

/// What is wrong with an answer; short and the same for every answer that is wrong in this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// How the end of a body is known (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body, whatever the headers say: HEAD, 1xx, 204, 304.
    Empty,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// All until the server closes.
    UntilClose,
}

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Status. 100 to 199 except 101 are followed by another head.
    pub status: u16,
    /// Bytes of the head, the empty line included.
    pub length: usize,
    /// How the body ends.
    pub framing: Framing,
    /// The connection may carry another request after this answer.
    pub keep_alive: bool,
}

/// Reads a head at the start of `bytes`: `None` when it is not whole yet. `to_head`: the request was HEAD. `visit` is
/// shown every header of a whole head, in order: name as sent, value trimmed.
pub fn parse_head<'b>(
    bytes: &'b [u8],
    to_head: bool,
    mut visit: impl FnMut(&'b str, &'b [u8]),
) -> Result<Option<Head>, Malformed> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_LIMIT];
    let mut answer = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut answer, bytes, &mut headers);
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() >= HEAD_LIMIT => {
            return Err(Malformed("the answer's head is larger than 64 KiB"));
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Malformed("the answer has more than 256 headers")),
        Err(_) => return Err(Malformed("the answer is not HTTP/1.1")),
    };
    if length > HEAD_LIMIT {
        return Err(Malformed("the answer's head is larger than 64 KiB"));
    }
    let (Some(status), Some(version)) = (answer.code, answer.version) else {
        return Err(Malformed("the answer is not HTTP/1.1"));
    };
    let mut lengths = None;
    let mut chunked = None;
    let (mut close, mut keep) = (false, false);
    for header in answer.headers.iter() {
        match header.name.len() {
            10 if header.name.eq_ignore_ascii_case("connection") => {
                for word in header.value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    close |= word.eq_ignore_ascii_case(b"close");
                    keep |= word.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                lengths = Some(one_length(header.value, lengths)?)
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                if chunked.is_some() || !header.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed("a transfer-encoding other than chunked"));
                }
                chunked = Some(());
            }
            _ => {}
        }
        visit(header.name, header.value);
    }
    let framing = match (chunked, lengths) {
        (Some(()), Some(_)) => return Err(Malformed("both content-length and transfer-encoding")),
        (Some(()), None) if version == 0 => return Err(Malformed("transfer-encoding in HTTP/1.0")),
        _ if to_head || status < 200 || status == 204 || status == 304 => Framing::Empty,
        (Some(()), None) => Framing::Chunked,
        (None, Some(length)) => Framing::Length(length),
        (None, None) => Framing::UntilClose,
    };
    let persistent = if version == 0 { keep && !close } else { !close };
    Ok(Some(Head {
        status,
        length,
        framing,
        keep_alive: persistent && framing != Framing::UntilClose,
    }))
}

/// A content-length that repeats the same number (RFC 9110, section 8.6) is taken, anything else not.
fn one_length(value: &[u8], before: Option<u64>) -> Result<u64, Malformed> {
    let mut agreed = before;
    for part in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
        if part.is_empty() || part.len() > 18 || !part.iter().all(u8::is_ascii_digit) {
            return Err(Malformed("a content-length that is no number"));
        }
        let number = part.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        if agreed.is_some_and(|known| known != number) {
            return Err(Malformed("two different content-lengths"));
        }
        agreed = Some(number);
    }
    agreed.ok_or(Malformed("a content-length that is no number"))
}

/// A request to be written as bytes.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'a> {
    /// Method, upper case.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Goes into `Host`.
    pub authority: &'a str,
    /// Ask the server to close after the answer.
    pub close: bool,
}

/// Head and body as one run of bytes, for one write. `Content-Length` stands where there is a body, and as 0 where a
/// POST, PUT or PATCH has none; `Accept: */*` where the headers have none.
pub fn request(
    line: &RequestLine<'_>,
    headers: &[(String, String)],
    cookie: Option<&str>,
    body: Option<&[u8]>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + body.map_or(0, <[u8]>::len));
    for part in [line.method, " ", line.path, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    put(&mut out, "Host", line.authority);
    for (name, value) in headers {
        put(&mut out, name, value);
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
        put(&mut out, "Accept", "*/*");
    }
    if let Some(cookie) = cookie.filter(|cookie| !cookie.is_empty()) {
        put(&mut out, "Cookie", cookie);
    }
    if line.close {
        put(&mut out, "Connection", "close");
    }
    if body.is_some() || matches!(line.method, "POST" | "PUT" | "PATCH") {
        put(&mut out, "Content-Length", &body.map_or(0, <[u8]>::len).to_string());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body.unwrap_or_default());
    out
}

/// One header. Line ends inside a value would begin another header, so they are left out.
fn put(out: &mut Vec<u8>, name: &str, value: &str) {
    let clean = |text: &str, out: &mut Vec<u8>| out.extend(text.bytes().filter(|b| !matches!(b, b'\r' | b'\n' | 0)));
    clean(name, out);
    out.extend_from_slice(b": ");
    clean(value, out);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn head(text: &str) -> Result<Option<Head>, Malformed> {
        parse_head(text.as_bytes(), false, |_, _| {})
    }

    #[test]
    fn framing_follows_the_rules() {
        let cases = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::Length(5), true),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\nConnection: x, Close\r\n\r\n",
                Framing::Length(5),
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
                Framing::Chunked,
                true,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", Framing::UntilClose, false),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
                Framing::Length(1),
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n",
                Framing::Length(1),
                true,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", Framing::Empty, true),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
                Framing::Empty,
                true,
            ),
            ("HTTP/1.1 100 Continue\r\n\r\n", Framing::Empty, true),
        ];
        for (text, framing, keep_alive) in cases {
            let head = head(text).unwrap().unwrap();
            assert_eq!(
                (head.framing, head.keep_alive, head.length),
                (framing, keep_alive, text.len()),
                "{text}"
            );
        }
        assert_eq!(
            parse_head(cases[0].0.as_bytes(), true, |_, _| {})
                .unwrap()
                .unwrap()
                .framing,
            Framing::Empty
        );
    }

    #[test]
    fn lengths_that_could_be_read_in_two_ways_are_refused() {
        let bad = [
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5, 6",
            "Content-Length: -1",
            "Content-Length: +5",
            "Content-Length: 0x5",
            "Content-Length:",
            "Content-Length: 9999999999999999999999",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ];
        for lines in bad {
            assert!(head(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n")).is_err(), "{lines}");
        }
        assert!(head(&format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(HEAD_LIMIT))).is_err());
        assert!(
            head(&format!(
                "HTTP/1.1 200 OK\r\n{}\r\n",
                "A: b\r\n".repeat(HEADERS_LIMIT + 1)
            ))
            .is_err()
        );
    }

    #[test]
    fn a_request_is_one_run_of_bytes() {
        let line = RequestLine {
            method: "POST",
            path: "/a?b",
            authority: "h:1",
            close: true,
        };
        let headers = [("X-A".to_owned(), "1\r\nEvil: 2".to_owned())];
        let bytes = request(&line, &headers, Some("a=b"), Some(b"hi"));
        let text = "POST /a?b HTTP/1.1\r\nHost: h:1\r\nX-A: 1Evil: 2\r\nAccept: */*\r\nCookie: a=b\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), prefix in any::<bool>()) {
            let mut all = if prefix { b"HTTP/1.1 200 OK\r\n".to_vec() } else { Vec::new() };
            all.extend(bytes);
            let _ = parse_head(&all, false, |_, _| {});
        }
    }
}
