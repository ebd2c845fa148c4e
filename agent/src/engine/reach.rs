//! What one client of a held protocol needs to reach its target: dialer, source, headers, cookies, and what became of
//! it. Never here: protocols.

use super::answer::Answer;
use crate::codec::backend::{BackendNames, Found};
use crate::codec::cookie::Jar;
use crate::net::{Dialed, Dialer};
use crate::recorder::{BackendId, ConnectTimes};
use crate::trace::Trace;
use crate::wire::fault::Fault;
use crate::wire::report::Latency;
use crate::wire::share::Share;
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
    pub cookies: RefCell<Jar>,
    /// Headers of this client alone, beside the plan's.
    pub headers: RefCell<Vec<(String, String)>>,
    /// Sockets beside the first one: their stages, not yet taken.
    pub dials: RefCell<Vec<(Duration, Option<Duration>)>>,
    /// Steps after the arrival, and how long they took, not yet taken.
    pub steps: RefCell<Vec<(Latency, Duration)>>,
    /// Why the client stays on polling, not yet taken.
    pub stays: RefCell<Option<Box<Fault>>>,
    /// Polls and posts, not yet taken.
    pub polls: Cell<u64>,
    /// The backend that the client stands on.
    pub home: Cell<Option<BackendId>>,
}

/// What all clients of a thread have the same of.
#[derive(Clone)]
pub struct Thread {
    /// Connects.
    pub dialer: Rc<Dialer>,
    /// The plan's headers, cookies and limits.
    pub share: Arc<Share>,
    /// Where bytes are counted.
    pub traffic: Rc<Traffic>,
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
    /// From the connected stream to Engine.IO's open packet.
    pub open: Option<Duration>,
    /// From there until the first namespace was entered.
    pub namespace: Option<Duration>,
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
    pub backend: Option<Box<(Vec<u8>, String)>>,
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

impl Arrival {
    /// How long each step took.
    pub fn times(&self) -> ConnectTimes {
        ConnectTimes {
            tcp: self.tcp,
            tls: self.tls,
            open: self.open,
            namespace: self.namespace,
            handshake: Some(self.handshake),
        }
    }
}

impl Reach {
    /// A client's way to this target, from `source` where the host's routes shall not choose.
    pub fn new(thread: Thread, target: u16, source: Option<IpAddr>, trace: Option<Trace>) -> Self {
        Self {
            dialer: thread.dialer,
            share: thread.share,
            target,
            source,
            traffic: thread.traffic,
            trace,
            cookies: RefCell::default(),
            headers: RefCell::default(),
            dials: RefCell::default(),
            steps: RefCell::default(),
            stays: RefCell::default(),
            polls: Cell::default(),
            home: Cell::default(),
        }
    }

    /// Notes how long a step took.
    pub fn took(&self, step: Latency, took: Option<Duration>) {
        self.steps.borrow_mut().extend(took.map(|took| (step, took)));
    }

    /// Dials the target.
    pub async fn dial(&self, deadline: Instant) -> Result<Dialed, Fault> {
        self.dialer.dial(self.target, self.source, deadline).await
    }

    /// Appends the request's lines from `Host` to the last of the plan's and the client's headers, without the empty line.
    pub fn headers(&self, out: &mut String) {
        let _ = write!(out, "Host: {}\r\n", self.dialer.target(self.target).authority);
        for (name, value) in &self.share.request.headers {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        for (name, value) in self.headers.borrow().iter() {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        let cookies = self.cookies.borrow().header(0, self.share.request.cookie.as_deref());
        if !cookies.is_empty() {
            let _ = write!(out, "Cookie: {cookies}\r\n");
        }
    }

    /// Keeps the cookies of an answer, when the plan wants it.
    pub fn keep_cookies(&self, answer: &Answer) {
        if !self.share.request.keep_cookies {
            return;
        }
        let mut jar = self.cookies.borrow_mut();
        for line in answer.all("set-cookie") {
            jar.set(0, line.as_bytes());
        }
    }

    /// The backend's name in an answer, and where it was found.
    pub fn backend(&self, answer: &Answer) -> Option<(Vec<u8>, String)> {
        let names = BackendNames::new(&self.share.backend_from);
        let mut found = Found::default();
        for (name, value) in &answer.headers {
            names.look(name, value.as_bytes(), &mut found);
        }
        names.name(&found).map(|(by, name)| (name.to_vec(), by.to_owned()))
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
            open: None,
            namespace: None,
            backend: self.backend(answer),
            status: answer.status,
        }
    }
}
