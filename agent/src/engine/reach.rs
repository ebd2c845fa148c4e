//! What one client of a held protocol needs to reach its target: dialer, source, headers, cookies, and what became of
//! it. Never here: protocols.

use super::answer::Answer;
use crate::net::{Dialed, Dialer};
use crate::trace::Trace;
use crate::wire::fault::Fault;
use crate::wire::share::{BackendFrom, Share, USUAL_COOKIES, USUAL_HEADERS};
use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes that crossed the sockets of a thread since they were last taken.
#[derive(Debug, Default)]
pub struct Traffic {
    sent: Cell<u64>,
    received: Cell<u64>,
}

impl Traffic {
    /// Adds.
    #[inline]
    pub fn add(&self, sent: usize, received: usize) {
        self.sent.set(self.sent.get() + sent as u64);
        self.received.set(self.received.get() + received as u64);
    }

    /// Takes what was added: sent, received.
    pub fn take(&self) -> (u64, u64) {
        (self.sent.take(), self.received.take())
    }
}

/// One client's way to its target.
pub struct Reach {
    /// Connects.
    pub dialer: Rc<Dialer>,
    /// The plan's headers, cookies and limits.
    pub share: Arc<Share>,
    /// Number of the target.
    pub target: u16,
    /// All sockets of this client are bound to it.
    pub source: Option<IpAddr>,
    /// Where bytes are counted.
    pub traffic: Rc<Traffic>,
    /// Packets of this client are told.
    pub trace: Option<Trace>,
    /// Cookies that answers set.
    pub cookies: RefCell<Vec<(String, String)>>,
    /// Sockets beside the first one: their stages, not yet taken.
    pub dials: RefCell<Vec<(Duration, Option<Duration>)>>,
}

/// How a client came to stand.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Our end.
    pub local: IpAddr,
    /// Their end.
    pub remote: IpAddr,
    /// Time of the first socket's TCP connect.
    pub tcp: Duration,
    /// Time of its TLS handshake.
    pub tls: Option<Duration>,
    /// From the connected stream on.
    pub handshake: Duration,
    /// The backend's name, and where it was found.
    pub backend: Option<(Vec<u8>, String)>,
    /// Status of the first answer.
    pub status: u16,
}

/// Why it does not stand.
#[derive(Debug)]
pub struct Failure {
    /// The fault.
    pub fault: Fault,
    /// Our end, when a socket was connected.
    pub local: Option<IpAddr>,
    /// The backend that refused, when it gave its name.
    pub backend: Option<(Vec<u8>, String)>,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            local: None,
            backend: None,
        }
    }
}

impl Reach {
    /// Dials the target.
    pub async fn dial(&self, deadline: Instant) -> Result<Dialed, Fault> {
        self.dialer.dial(self.target, self.source, deadline).await
    }

    /// Appends the request's lines from `Host` to the last of the plan's headers, without the empty line.
    pub fn headers(&self, out: &mut String) {
        let _ = write!(out, "Host: {}\r\n", self.dialer.target(self.target).authority);
        for (name, value) in &self.share.request.headers {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        let cookies = self.cookies.borrow();
        let kept = cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let all: Vec<String> = self
            .share
            .request
            .cookie
            .iter()
            .filter_map(|start| without(start, &cookies))
            .chain(kept)
            .collect();
        if !all.is_empty() {
            let _ = write!(out, "Cookie: {}\r\n", all.join("; "));
        }
    }

    /// Keeps the cookies of an answer, when the plan wants it.
    pub fn keep_cookies(&self, answer: &Answer) {
        if !self.share.request.keep_cookies {
            return;
        }
        let mut jar = self.cookies.borrow_mut();
        for line in answer.all("set-cookie") {
            let Some((name, value, over)) = set_cookie(line) else {
                continue;
            };
            jar.retain(|(kept, _)| kept != name);
            if !over {
                jar.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// The backend's name in an answer, and where it was found.
    pub fn backend(&self, answer: &Answer) -> Option<(Vec<u8>, String)> {
        let header = |name: &str| {
            answer
                .all(name)
                .next()
                .map(|value| (value.as_bytes().to_vec(), format!("header:{name}")))
        };
        let cookie = |wanted: &str| {
            let mut found = answer
                .all("set-cookie")
                .filter_map(set_cookie)
                .filter(|(name, _, _)| *name == wanted);
            found
                .next()
                .map(|(_, value, _)| (value.as_bytes().to_vec(), format!("cookie:{wanted}")))
        };
        match &self.share.backend_from {
            BackendFrom::Usual => USUAL_HEADERS
                .iter()
                .find_map(|name| header(name))
                .or_else(|| USUAL_COOKIES.iter().find_map(|name| cookie(name))),
            BackendFrom::Header(name) => header(name),
            BackendFrom::Cookie(name) => cookie(name),
        }
    }

    /// Tells a packet.
    #[inline]
    pub fn tell(&self, direction: &str, packet: &str) {
        if let Some(trace) = &self.trace {
            trace.line(format!("{direction} {packet}"));
        }
    }

    /// A first arrival from what was dialled and answered.
    pub fn arrival(
        &self,
        ends: (SocketAddr, SocketAddr),
        stages: (Duration, Option<Duration>),
        since: Instant,
        answer: &Answer,
    ) -> Arrival {
        Arrival {
            local: ends.0.ip(),
            remote: ends.1.ip(),
            tcp: stages.0,
            tls: stages.1,
            handshake: since.elapsed(),
            backend: self.backend(answer),
            status: answer.status,
        }
    }
}

/// The start cookies less those that an answer has set anew.
fn without(start: &str, jar: &[(String, String)]) -> Option<String> {
    let kept = start.split(';').map(str::trim).filter(|pair| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        !pair.is_empty() && jar.iter().all(|(set, _)| set != name)
    });
    let kept: Vec<&str> = kept.collect();
    (!kept.is_empty()).then(|| kept.join("; "))
}

/// Name, value, and whether the cookie is over.
fn set_cookie(line: &str) -> Option<(&str, &str, bool)> {
    let mut parts = line.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let over = parts.any(|part| {
        part.trim()
            .split_once('=')
            .is_some_and(|(key, age)| key.eq_ignore_ascii_case("max-age") && age.trim().starts_with(['0', '-']))
    });
    (!name.trim().is_empty()).then_some((name.trim(), value.trim(), over))
}
