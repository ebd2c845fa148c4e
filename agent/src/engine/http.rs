//! One HTTP/1.1 connection: a request out, an answer in, over our own codec. Buffers are kept, nothing is allocated for
//! a hit on the way that most hits take. Never here: pacing, recording, what a status means.

use crate::codec::http1::{BodyReader, Malformed, parse_head};
use crate::net::stream::fault;
use crate::net::{Dialed, Stream};
use crate::wire::fault::{Fault, FaultKind};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Bytes that a connection reads at once, at first.
const FIRST_BUFFER: usize = 4 * 1024;
/// The same for answers that are longer.
const LARGE_BUFFER: usize = 64 * 1024;
/// Bytes of an answer's body that are kept for an example.
pub const EXCERPT: usize = 512;

/// A connection.
pub struct Connection {
    stream: Stream,
    /// Our end.
    pub local: SocketAddr,
    /// Hits that it carried.
    pub hits: u64,
    /// When it stood.
    pub opened: Instant,
    buffer: Vec<u8>,
    filled: usize,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// What is to be asked.
pub struct Question<'a> {
    /// Head and body, as bytes.
    pub bytes: &'a [u8],
    /// The method is HEAD: no body follows.
    pub head: bool,
    /// When it is given up.
    pub limit: Instant,
    /// Bytes of the answer's body that are kept.
    pub keep: usize,
}

/// What came back.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Bytes of head and body.
    pub received: u64,
    /// The connection may carry another hit.
    pub keep_alive: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub struct Broken {
    /// What went wrong.
    pub fault: Fault,
    /// Not one byte of an answer came: on a connection that was used before, the server may just have closed it.
    pub nothing_came: bool,
}

impl Connection {
    /// Over a connected stream.
    pub fn new(dialed: Dialed) -> Self {
        Self {
            stream: dialed.stream,
            local: dialed.local,
            hits: 0,
            opened: Instant::now(),
            buffer: vec![0; FIRST_BUFFER],
            filled: 0,
            sleep: None,
        }
    }

    /// Sends a question and reads its whole answer. `visit` is shown every header; the first bytes of the body, as
    /// many as the question says, go to `excerpt`.
    pub async fn exchange(
        &mut self,
        question: &Question<'_>,
        mut visit: impl FnMut(&str, &[u8]),
        excerpt: &mut Vec<u8>,
    ) -> Result<Answer, Broken> {
        self.hits += 1;
        self.filled = 0;
        excerpt.clear();
        self.send(question).await.map_err(|fault| Broken {
            fault,
            nothing_came: true,
        })?;
        let mut received = 0u64;
        let (status, length, mut keep_alive, mut body) = loop {
            let head = parse_head(&self.buffer[..self.filled], question.head, &mut visit)
                .map_err(|m| malformed(m, received))?;
            match head {
                // an interim answer (RFC 9110, 15.2): the real one follows
                Some(head) if head.status < 200 && head.status != 101 => {
                    self.buffer.copy_within(head.length..self.filled, 0);
                    self.filled -= head.length;
                }
                Some(head) => break (head.status, head.length, head.keep_alive, BodyReader::new(head.framing)),
                None => received += self.more(question.limit, received == 0).await? as u64,
            }
        };
        let mut at = length;
        loop {
            let step = body
                .feed(&self.buffer[at..self.filled], excerpt, question.keep)
                .map_err(|m| malformed(m, received))?;
            at += step.used;
            if step.done {
                // what follows an answer that nobody asked for makes the connection useless
                keep_alive &= at == self.filled;
                self.filled = 0;
                return Ok(Answer {
                    status,
                    received,
                    keep_alive,
                });
            }
            self.filled = 0;
            at = 0;
            if self.buffer.len() < LARGE_BUFFER {
                self.buffer.resize(LARGE_BUFFER, 0);
            }
            match self.more(question.limit, false).await {
                Ok(n) => received += n as u64,
                Err(broken) if broken.fault.kind == FaultKind::ClosedByServer && body.closed() => {
                    return Ok(Answer {
                        status,
                        received,
                        keep_alive: false,
                    });
                }
                Err(broken) => return Err(broken),
            }
        }
    }

    /// Whether the server has closed it, or said something that nobody asked for, while it was idle.
    pub fn is_stale(&mut self) -> bool {
        let mut scratch = [0; 1];
        let mut space = ReadBuf::new(&mut scratch);
        // whoever reads next is woken then
        let mut cx = Context::from_waker(std::task::Waker::noop());
        Pin::new(&mut self.stream).poll_read(&mut cx, &mut space).is_ready()
    }

    async fn send(&mut self, question: &Question<'_>) -> Result<(), Fault> {
        let mut written = 0;
        let Self { stream, sleep, .. } = self;
        poll_fn(|cx| {
            while written < question.bytes.len() {
                match Pin::new(&mut *stream).poll_write(cx, &question.bytes[written..]) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(closed())),
                    Poll::Ready(Ok(n)) => written += n,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(fault(&error))),
                    Poll::Pending => return expired(sleep, question.limit, cx).map(Err),
                }
            }
            Pin::new(&mut *stream).poll_flush(cx).map_err(|error| fault(&error))
        })
        .await
    }

    /// Reads more into the buffer; an answer's end of stream is a fault here.
    async fn more(&mut self, limit: Instant, first: bool) -> Result<usize, Broken> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(LARGE_BUFFER.max(self.buffer.len() * 2), 0);
        }
        let Self {
            stream,
            sleep,
            buffer,
            filled,
            ..
        } = self;
        let read = poll_fn(|cx| {
            let mut space = ReadBuf::new(&mut buffer[*filled..]);
            match Pin::new(&mut *stream).poll_read(cx, &mut space) {
                Poll::Ready(Ok(())) if space.filled().is_empty() => Poll::Ready(Err(closed())),
                Poll::Ready(Ok(())) => Poll::Ready(Ok(space.filled().len())),
                Poll::Ready(Err(error)) => Poll::Ready(Err(fault(&error))),
                Poll::Pending => expired(sleep, limit, cx).map(Err),
            }
        });
        let n = read.await.map_err(|fault| Broken {
            nothing_came: first && fault.kind != FaultKind::Timeout,
            fault,
        })?;
        self.filled += n;
        Ok(n)
    }
}

/// Ready with the fault once `limit` has passed. The timer is armed once and only moved when it fires too early, which
/// is far less often than there are hits.
fn expired(sleep: &mut Option<Pin<Box<Sleep>>>, limit: Instant, cx: &mut Context<'_>) -> Poll<Fault> {
    let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(limit.into())));
    loop {
        if sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if Instant::now() >= limit {
            return Poll::Ready(Fault::new(FaultKind::Timeout, "no whole answer within --timeout"));
        }
        sleep.as_mut().reset(limit.into());
    }
}

fn closed() -> Fault {
    Fault::new(FaultKind::ClosedByServer, "closed before the answer was whole")
}

fn malformed(what: Malformed, received: u64) -> Broken {
    Broken {
        fault: Fault::new(FaultKind::Protocol, what.0),
        nothing_came: received == 0,
    }
}
