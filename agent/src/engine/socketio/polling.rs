//! One keep-alive connection of long polling, and one request over it. Never here: what packets mean.

use crate::codec::session;
use crate::engine::answer::{Answer, exchange};
use crate::engine::reach::Reach;
use crate::net::Stream;
use crate::wire::fault::{Fault, FaultKind};
use std::fmt::Write;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A connection and how it came to be.
pub struct Line {
    /// The stream.
    pub stream: Stream,
    /// Our end and theirs.
    pub ends: (SocketAddr, SocketAddr),
    /// TCP and TLS.
    pub stages: (Duration, Option<Duration>),
    /// When it was connected.
    pub since: Instant,
    /// It has carried an exchange.
    used: bool,
}

/// The end of one request: its connection, and the answer, which says whether that may be used again.
pub type Outcome = (Option<Line>, Result<Answer, Fault>);

/// A request under way.
pub type Exchange = Pin<Box<dyn Future<Output = Outcome>>>;

/// Polls (`body` none) or posts, over `line` or a new connection; ends at `deadline` at the latest.
pub fn request(
    reach: &Rc<Reach>,
    line: Option<Line>,
    path: String,
    body: Option<String>,
    deadline: Instant,
    first: bool,
) -> Exchange {
    let reach = Rc::clone(reach);
    Box::pin(async move {
        match tokio::time::timeout_at(
            deadline.into(),
            run(&reach, line, &path, body.as_deref(), deadline, first),
        )
        .await
        {
            Ok(outcome) => outcome,
            Err(_) if first => (
                None,
                Err(Fault::new(
                    FaultKind::ConnectTimeout,
                    "no handshake within --connect-timeout",
                )),
            ),
            Err(_) => (None, Err(Fault::new(FaultKind::Timeout, "a poll was not answered"))),
        }
    })
}

async fn run(
    reach: &Reach,
    line: Option<Line>,
    path: &str,
    body: Option<&str>,
    deadline: Instant,
    first: bool,
) -> Outcome {
    let mut line = line;
    loop {
        let mut current = match line.take() {
            Some(line) => line,
            None => match Box::pin(connect(reach, deadline, first)).await {
                Ok(line) => line,
                Err(fault) => return (None, Err(fault)),
            },
        };
        let request = head(reach, path, body);
        reach.polls.set(reach.polls.get() + 1);
        match exchange(&mut current.stream, request.as_bytes()).await {
            Ok((answer, received)) => {
                reach.traffic.add(request.len(), received);
                reach.keep_cookies(&answer);
                if first {
                    reach.sits(&answer);
                } else {
                    reach.answered(&answer, path, current.ends.0.ip());
                }
                current.used = true;
                let verdict = if answer.status == 200 {
                    Ok(answer)
                } else {
                    Err(session::refused(answer.status, &answer.body))
                };
                return (Some(current), verdict);
            }
            // an idle connection that the server has closed meanwhile is no failure
            Err(fault) if current.used && fault.kind == FaultKind::ClosedByServer => {}
            Err(fault) => return (Some(current), Err(fault)),
        }
    }
}

async fn connect(reach: &Reach, deadline: Instant, first: bool) -> Result<Line, Fault> {
    let limit = Instant::now() + reach.dialer.limit();
    let dialed = reach.dial(deadline.min(limit)).await?;
    if !first {
        reach.dials.borrow_mut().push((dialed.tcp, dialed.tls));
    }
    let since = Instant::now();
    Ok(Line {
        stream: dialed.stream,
        ends: (dialed.local, dialed.remote),
        stages: (dialed.tcp, dialed.tls),
        since,
        used: false,
    })
}

fn head(reach: &Reach, path: &str, body: Option<&str>) -> String {
    let mut request = format!("{} {path} HTTP/1.1\r\n", if body.is_some() { "POST" } else { "GET" });
    reach.headers(&mut request);
    match body {
        Some(body) => {
            let _ = write!(
                request,
                "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
        None => request.push_str("\r\n"),
    }
    request
}
