//! What one client of a held protocol needs to reach its target: dialer, source, headers, cookies, and what became of
//! it. Never here: protocols.

use super::answer::Answer;
use super::seat::{Seat, Strayed};
use crate::codec::backend::{BODY_READ, BackendNames, Found};
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
    /// Where answers name their backend.
    pub names: Rc<BackendNames>,
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
    /// Where its Engine.IO session sits, when polling opened it.
    seat: RefCell<Option<Box<Seat>>>,
    /// Its session was answered from elsewhere, not yet taken.
    pub strayed: RefCell<Option<Box<Strayed>>>,
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
    /// Where answers name their backend.
    pub names: Rc<BackendNames>,
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
    /// The address that the first answer was asked from, as it says.
    pub seen: Option<IpAddr>,
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
            names: thread.names,
            trace,
            cookies: RefCell::default(),
            headers: RefCell::default(),
            dials: RefCell::default(),
            steps: RefCell::default(),
            stays: RefCell::default(),
            polls: Cell::default(),
            home: Cell::default(),
            seat: RefCell::default(),
            strayed: RefCell::default(),
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
        let found = self.found(answer);
        self.names.name(&found).map(|(by, name)| (name.to_vec(), by.to_owned()))
    }

    fn found(&self, answer: &Answer) -> Found {
        let mut found = Found::default();
        for (name, value) in &answer.headers {
            self.names.look(name, value.as_bytes(), &mut found);
        }
        if self.names.reads_bodies() && !answer.body.is_empty() {
            self.names
                .read(&answer.body[..answer.body.len().min(BODY_READ)], &mut found);
        }
        found
    }

    /// An Engine.IO session was opened by this answer.
    pub fn sits(&self, answer: &Answer) {
        let found = self.found(answer);
        let seat = self.names.name(&found).map(|(by, name)| Box::new(Seat::new(by, name)));
        *self.seat.borrow_mut() = seat;
    }

    /// A later request of the session, to `path`, was answered.
    pub fn answered(&self, answer: &Answer, path: &str, local: IpAddr) {
        let mut seat = self.seat.borrow_mut();
        let Some(seat) = seat.as_mut() else { return };
        let mut found = Found::default();
        for (name, value) in &answer.headers {
            self.names.look(name, value.as_bytes(), &mut found);
        }
        if let Some((by, name)) = self.names.name(&found)
            && let Some(strayed) = seat.answered(by, name, path, local)
        {
            *self.strayed.borrow_mut() = Some(Box::new(strayed));
        }
    }

    /// Who answered in the place of the session's backend, where somebody just did.
    pub fn elsewhere(&self) -> Option<(Vec<u8>, String)> {
        let strayed = self.strayed.borrow();
        strayed.as_ref().map(|strayed| (strayed.to.clone(), strayed.by.clone()))
    }

    /// A new session begins: where the last one sat says nothing of it.
    pub fn vacates(&self) {
        *self.seat.borrow_mut() = None;
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
        let found = self.found(answer);
        let named = self.names.name(&found);
        Arrival {
            local: ends.0.ip(),
            remote: ends.1.ip(),
            tcp: stages.0,
            tls: stages.1,
            handshake: since.elapsed(),
            open: None,
            namespace: None,
            backend: named.map(|(by, name)| (name.to_vec(), by.to_owned())),
            seen: found.seen(),
            status: answer.status,
        }
    }
}
