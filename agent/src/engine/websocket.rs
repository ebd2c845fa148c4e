//! WebSocket sessions (RFC 6455): dial, upgrade, messages both ways, pings answered, close codes as faults.
//! A held session keeps no read buffer. Never here: pacing, recording.

use super::answer::{Answer, exchange};
use super::reach::{Arrival, Failure, Reach, Traffic};
use crate::codec::websocket::{self as frame, Decoder, Message, Violation};
use crate::net::{Stream, stream};
use crate::wire::fault::{Fault, FaultKind};
use std::collections::VecDeque;
use std::fmt::Write;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A buffer of writes that is larger than this is given back once it is empty.
const KEPT: usize = 1024;

/// One open WebSocket.
pub struct Session {
    stream: Stream,
    decoder: Decoder,
    ready: VecDeque<Message>,
    broken: Option<Violation>,
    out: Vec<u8>,
    written: usize,
    needs_flush: bool,
    leaving: bool,
    traffic: Rc<Traffic>,
}

/// Dials and upgrades. `path` with its query; all of it ends within `deadline`.
pub async fn open(
    reach: &Reach,
    path: &str,
    subprotocol: Option<&str>,
    deadline: Instant,
) -> Result<(Session, Arrival), Failure> {
    let dialed = reach.dial(deadline).await?;
    let since = Instant::now();
    let mut stream = dialed.stream;
    let request = tokio::time::timeout_at(
        deadline.into(),
        Box::pin(upgrade(reach, &mut stream, dialed.local.ip(), path, subprotocol)),
    );
    let answer = request
        .await
        .unwrap_or_else(|_| Err(Fault::new(FaultKind::ConnectTimeout, "no handshake within --connect-timeout").into()));
    let answer = answer.map_err(|failure| Failure {
        local: Some(dialed.local.ip()),
        ..failure
    })?;
    let arrival = reach.arrival((dialed.local, dialed.remote), (dialed.tcp, dialed.tls), since, &answer);
    let mut session = Session {
        stream,
        decoder: Decoder::default(),
        ready: VecDeque::new(),
        broken: None,
        out: Vec::new(),
        written: 0,
        needs_flush: false,
        leaving: false,
        traffic: Rc::clone(&reach.traffic),
    };
    session.decode(&answer.rest);
    Ok((session, arrival))
}

async fn upgrade(
    reach: &Reach,
    stream: &mut Stream,
    local: IpAddr,
    path: &str,
    subprotocol: Option<&str>,
) -> Result<Answer, Failure> {
    let key = frame::key(fastrand::u128(..).to_ne_bytes());
    let mut request = format!("GET {path} HTTP/1.1\r\n");
    reach.headers(&mut request);
    let _ = write!(
        request,
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    );
    if let Some(subprotocol) = subprotocol {
        let _ = write!(request, "Sec-WebSocket-Protocol: {subprotocol}\r\n");
    }
    request.push_str("\r\n");
    reach.tell(">", &format!("GET {path} Upgrade: websocket"));
    let (answer, received) = exchange(stream, request.as_bytes()).await?;
    reach.tell("<", &format!("status {}", answer.status));
    reach.traffic.add(request.len(), received);
    reach.keep_cookies(&answer);
    reach.answered(&answer, path, local);
    check(&answer, &key, subprotocol).map_err(|fault| Failure {
        fault,
        local: None,
        backend: reach.backend(&answer).map(Box::new),
    })?;
    Ok(answer)
}

fn check(answer: &Answer, key: &str, subprotocol: Option<&str>) -> Result<(), Fault> {
    if answer.status != 101 {
        let fault = Fault::new(FaultKind::UpgradeRefused, format!("status {}", answer.status));
        return Err(fault.with_answer(answer.status, &answer.body));
    }
    let is = |name: &str, wanted: &str| {
        answer
            .all(name)
            .flat_map(|v| v.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(wanted))
    };
    let wrong = if !is("upgrade", "websocket") || !is("connection", "upgrade") {
        "101 without Upgrade: websocket"
    } else if answer.all("sec-websocket-accept").next() != Some(frame::accept(key).as_str()) {
        "wrong Sec-WebSocket-Accept"
    } else if answer.all("sec-websocket-extensions").next().is_some() {
        "an extension that was not asked for"
    } else if answer
        .all("sec-websocket-protocol")
        .any(|chosen| !subprotocol.is_some_and(|asked| asked.split(',').any(|one| one.trim() == chosen)))
    {
        "a subprotocol that was not asked for"
    } else {
        return Ok(());
    };
    Err(Fault::new(FaultKind::Protocol, wrong).with_answer(101, &[]))
}

impl Session {
    /// Queues a message; [`Session::poll_message`] or [`Session::poll_written`] writes it.
    pub fn send(&mut self, payload: &[u8], binary: bool) {
        frame::encode(
            &mut self.out,
            if binary { frame::BINARY } else { frame::TEXT },
            payload,
            mask(),
        );
    }

    /// Queues a close frame with code 1000; the session ends when the server answers or closes.
    pub fn leave(&mut self) {
        if !std::mem::replace(&mut self.leaving, true) {
            frame::encode_close(&mut self.out, Some(1000), mask());
        }
    }

    /// Writes what is queued.
    pub fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while self.written < self.out.len() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out[self.written..]))
                .map_err(|error| stream::fault(&error))?;
            if count == 0 {
                return Poll::Ready(Err(Fault::new(FaultKind::ClosedByServer, "nothing can be written")));
            }
            self.written += count;
            self.traffic.add(count, 0);
            self.needs_flush = true;
        }
        if self.written > 0 {
            self.written = 0;
            if self.out.capacity() > KEPT {
                self.out = Vec::new()
            } else {
                self.out.clear()
            }
        }
        if self.needs_flush {
            ready!(Pin::new(&mut self.stream).poll_flush(cx)).map_err(|error| stream::fault(&error))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// The next text or binary message, while writes go on and pings are answered. Its error is the session's end.
    pub fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Fault>> {
        loop {
            // a full socket must not keep us from reading; a broken one shows by reading what the server said last
            let write = self.poll_written(cx);
            match self.ready.pop_front() {
                Some(Message::Ping(payload)) => {
                    frame::encode(&mut self.out, frame::PONG, &payload, mask());
                    continue;
                }
                Some(Message::Pong) => continue,
                Some(Message::Close(said)) => return Poll::Ready(Err(self.closed(said, cx))),
                Some(message) => return Poll::Ready(Ok(message)),
                None => {}
            }
            if let Some(violation) = self.broken {
                frame::encode_close(&mut self.out, Some(1002), mask());
                let _ = self.poll_written(cx);
                return Poll::Ready(Err(Fault::new(FaultKind::Protocol, violation.0)));
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                Poll::Pending => {
                    return match write {
                        Poll::Ready(Err(fault)) => Poll::Ready(Err(fault)),
                        _ => Poll::Pending,
                    };
                }
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let mut scratch = [MaybeUninit::uninit(); 16 << 10];
        let mut buffer = ReadBuf::uninit(&mut scratch);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(stream::fault(&error))),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(Err(Fault::new(
                FaultKind::ClosedByServer,
                "closed without a close frame",
            ))),
            Poll::Ready(Ok(())) => {
                self.traffic.add(0, buffer.filled().len());
                self.decode(buffer.filled());
                Poll::Ready(Ok(()))
            }
        }
    }

    fn decode(&mut self, mut bytes: &[u8]) {
        loop {
            match self.decoder.next(&mut bytes) {
                Ok(Some(message)) => self.ready.push_back(message),
                Ok(None) => return,
                Err(violation) => {
                    self.broken = Some(violation);
                    return;
                }
            }
        }
    }

    fn closed(&mut self, said: Option<(u16, String)>, cx: &mut Context<'_>) -> Fault {
        if !self.leaving {
            frame::encode_close(&mut self.out, said.as_ref().map(|(code, _)| *code), mask());
            // what cannot be written at once is not owed to a server that goes
            let _ = self.poll_written(cx);
        }
        let detail = match said {
            Some((code, reason)) if reason.is_empty() => format!("close {code}"),
            Some((code, reason)) => format!("close {code} {}", reason.chars().take(120).collect::<String>()),
            None => "close without a code".to_owned(),
        };
        Fault::new(FaultKind::ClosedByServer, detail)
    }
}

fn mask() -> [u8; 4] {
    fastrand::u32(..).to_ne_bytes()
}
