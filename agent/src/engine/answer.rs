//! One HTTP/1.1 answer as the upgrade and long polling need it: head by `httparse`, body by length, chunks or close.
//! Reads in small steps and holds no buffer while it waits. Never here: what an answer means.

use crate::net::{Stream, stream};
use crate::wire::fault::{Fault, FaultKind};
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

const HEAD_LIMIT: usize = 64 << 10;
const BODY_LIMIT: usize = 16 << 20;
const HEADERS: usize = 96;

/// One answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Names in lower case, values as text.
    pub headers: Vec<(String, String)>,
    /// Body; empty for 101.
    pub body: Vec<u8>,
    /// What followed the answer.
    pub rest: Vec<u8>,
    /// The connection may carry another request.
    pub reusable: bool,
}

impl Answer {
    /// All values of a header, its name in lower case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }

    fn has(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    }
}

/// Reads what is there into the end of `into`, over the stack.
pub fn poll_some(stream: &mut Stream, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
    let mut scratch = [MaybeUninit::uninit(); 8192];
    let mut buffer = ReadBuf::uninit(&mut scratch);
    match Pin::new(stream).poll_read(cx, &mut buffer) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Ready(Ok(())) => {
            into.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        }
    }
}

/// Sends a request and reads its answer; gives the bytes received beside it.
pub async fn exchange(stream: &mut Stream, request: &[u8]) -> Result<(Answer, usize), Fault> {
    stream.write_all(request).await.map_err(|error| stream::fault(&error))?;
    stream.flush().await.map_err(|error| stream::fault(&error))?;
    let mut bytes = Vec::new();
    let mut head: Option<(Answer, usize)> = None;
    loop {
        if head.is_none() {
            head = parse_head(&bytes)?;
        }
        if let Some((answer, length)) = &mut head
            && let Some((body, end)) = body(answer, &bytes[*length..], false)?
        {
            answer.rest = bytes[*length + end..].to_vec();
            answer.body = body;
            return Ok((std::mem::take(answer), bytes.len()));
        }
        let count = poll_fn(|cx| poll_some(stream, cx, &mut bytes))
            .await
            .map_err(|error| stream::fault(&error))?;
        if count == 0 {
            if let Some((answer, length)) = &mut head
                && let Some((body, _)) = body(answer, &bytes[*length..], true)?
            {
                answer.body = body;
                answer.reusable = false;
                return Ok((std::mem::take(answer), bytes.len()));
            }
            return Err(Fault::new(
                FaultKind::ClosedByServer,
                "closed before the answer was whole",
            ));
        }
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<(Answer, usize)>, Fault> {
    let mut skipped = 0;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&bytes[skipped..]) {
            Ok(httparse::Status::Complete(length)) => {
                let status = response.code.unwrap_or_default();
                skipped += length;
                if (100..200).contains(&status) && status != 101 {
                    continue;
                }
                let text = |value: &[u8]| String::from_utf8_lossy(value).trim().to_owned();
                let headers = response
                    .headers
                    .iter()
                    .map(|h| (h.name.to_ascii_lowercase(), text(h.value)))
                    .collect();
                let mut answer = Answer {
                    status,
                    headers,
                    ..Answer::default()
                };
                answer.reusable = response.version == Some(1) && !answer.has("connection", "close");
                return Ok(Some((answer, skipped)));
            }
            Ok(httparse::Status::Partial) if bytes.len() - skipped > HEAD_LIMIT => {
                return Err(Fault::new(FaultKind::Protocol, "the answer's head is too long"));
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(Fault::new(FaultKind::Protocol, format!("not an HTTP answer: {error}"))),
        }
    }
}

/// The body and the bytes that it takes, once it is whole.
fn body(answer: &Answer, bytes: &[u8], ended: bool) -> Result<Option<(Vec<u8>, usize)>, Fault> {
    if matches!(answer.status, 101 | 204 | 304) {
        return Ok(Some((Vec::new(), 0)));
    }
    if bytes.len() > BODY_LIMIT {
        return Err(Fault::new(FaultKind::Protocol, "the answer's body is too long"));
    }
    if answer.has("transfer-encoding", "chunked") {
        return chunks(bytes);
    }
    if let Some(length) = answer.all("content-length").next() {
        let length: usize = length
            .parse()
            .map_err(|_| Fault::new(FaultKind::Protocol, "the answer's length is no number"))?;
        if length > BODY_LIMIT {
            return Err(Fault::new(FaultKind::Protocol, "the answer's body is too long"));
        }
        return Ok((bytes.len() >= length).then(|| (bytes[..length].to_vec(), length)));
    }
    Ok(ended.then(|| (bytes.to_vec(), bytes.len())))
}

fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Fault> {
    let bad = || Fault::new(FaultKind::Protocol, "bad chunks");
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let (start, size) = match httparse::parse_chunk_size(&bytes[at..]) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(bad()),
        };
        at += start;
        let size = usize::try_from(size)
            .ok()
            .filter(|size| *size <= BODY_LIMIT)
            .ok_or_else(bad)?;
        if size == 0 {
            return trailers(&bytes[at..]).map(|end| end.map(|end| (body, at + end)));
        }
        let Some(chunk) = bytes.get(at..at + size) else {
            return Ok(None);
        };
        match bytes.get(at + size..at + size + 2) {
            None => return Ok(None),
            Some(b"\r\n") => {}
            Some(_) => return Err(bad()),
        }
        body.extend_from_slice(chunk);
        at += size + 2;
    }
}

/// Where the trailers after the last chunk end.
fn trailers(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    if bytes.starts_with(b"\r\n") {
        return Ok(Some(2));
    }
    Ok(memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str, ended: bool) -> Option<(u16, String)> {
        let (answer, length) = parse_head(text.as_bytes()).unwrap()?;
        let (body, _) = body(&answer, &text.as_bytes()[length..], ended).unwrap()?;
        Some((answer.status, String::from_utf8(body).unwrap()))
    }

    #[test]
    fn bodies_end_by_length_chunks_or_close() {
        for (text, ended, wanted) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP", false, Some("ok")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false, None),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n",
                false,
                Some("ok!"),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
                false,
                Some("ok"),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok",
                false,
                None,
            ),
            ("HTTP/1.1 200 OK\r\n\r\nall", false, None),
            ("HTTP/1.1 200 OK\r\n\r\nall", true, Some("all")),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
                false,
                Some("x"),
            ),
        ] {
            assert_eq!(read(text, ended), wanted.map(|w| (200, w.to_owned())), "{text}");
        }
        for bad in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            assert!(
                parse_head(bad.as_bytes())
                    .and_then(|head| match head {
                        Some((answer, length)) => body(&answer, &bad.as_bytes()[length..], false),
                        None => Ok(None),
                    })
                    .is_err(),
                "{bad}"
            );
        }
    }
}
