//! Socket.IO and raw Engine.IO clients: the pure machine (`codec::session`) driven over polling connections and a
//! WebSocket. Never here: pacing, recording, the order of the protocol's steps.

mod drive;
mod entry;
pub mod polling;
pub mod probe;

pub use entry::Entry;

use super::reach::{Arrival, Failure, Reach};
use super::websocket;
use crate::codec::engineio::Frame;
use crate::codec::session::{Action, Machine, Namespace, Said};
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::report::Heartbeats;
use polling::{Exchange, Line};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

type Opening = Pin<Box<dyn Future<Output = Result<(websocket::Session, Arrival), Failure>>>>;

/// One open client. Dropping it closes its sockets at once, without a farewell, as a client does that loses its network;
/// [`Session::leave`] says goodbye.
pub struct Session {
    reach: Rc<Reach>,
    entry: Rc<Entry>,
    machine: Machine,
    actions: Vec<Action>,
    said: VecDeque<Said>,
    /// Messages handed over whose writing was not told yet.
    written: u32,
    get: Option<Exchange>,
    post: Option<Exchange>,
    get_line: Option<Line>,
    post_line: Option<Line>,
    opening: Option<Opening>,
    socket: Option<websocket::Session>,
    timer: Option<Pin<Box<Sleep>>>,
    connect_deadline: Instant,
    arrival: Option<Box<Arrival>>,
    since: Option<Instant>,
    opened: Option<Instant>,
    /// Further namespaces that were asked for, and when.
    joining: Vec<(Namespace, Instant)>,
    ready: bool,
    end: Option<Result<(), Fault>>,
    refused: Option<Box<(Vec<u8>, String)>>,
}

/// Connects a client until its first namespace is entered (a raw one: until its session is open), within `deadline`.
pub async fn open(reach: Rc<Reach>, entry: Rc<Entry>, deadline: Instant) -> Result<(Box<Session>, Arrival), Failure> {
    let mut machine = entry.machine();
    // what names the backend may come with the handshake
    machine.keep_bodies(reach.names.listens());
    reach.vacates();
    let mut actions = Vec::new();
    machine.begin(&mut actions);
    let mut session = Box::new(Session {
        reach: Rc::clone(&reach),
        entry,
        machine,
        actions,
        said: VecDeque::new(),
        written: 0,
        get: None,
        post: None,
        get_line: None,
        post_line: None,
        opening: None,
        socket: None,
        timer: None,
        connect_deadline: deadline,
        arrival: None,
        since: None,
        opened: None,
        joining: Vec::new(),
        ready: false,
        end: None,
        refused: None,
    });
    let ready = poll_fn(|cx| session.poll_ready(cx));
    let fault = match tokio::time::timeout_at(deadline.into(), ready).await {
        Ok(Ok(())) => None,
        Ok(Err(fault)) => Some(fault),
        Err(_) => Some(Fault::new(
            FaultKind::ConnectTimeout,
            "no namespace within --connect-timeout",
        )),
    };
    let arrival = session.arrival.take();
    match (fault, arrival) {
        (None, Some(mut arrival)) => {
            arrival.handshake = session.since.map_or(arrival.handshake, |since| since.elapsed());
            Ok((session, *arrival))
        }
        (fault, arrival) => {
            let fault = fault.unwrap_or_else(|| Fault::new(FaultKind::Protocol, "a namespace without an answer"));
            let local = arrival.as_ref().map(|arrival| arrival.local);
            Err(Failure {
                fault,
                local,
                // who does not know a session is not who opened it
                backend: reach
                    .elsewhere()
                    .or_else(|| arrival.and_then(|arrival| arrival.backend))
                    .map(Box::new)
                    .or(session.refused.take()),
            })
        }
    }
}

impl Session {
    /// Emits `["event",args..]` in the first namespace; gives the id of the acknowledgement that is asked for.
    pub fn emit(&mut self, array: &str, ack: bool) -> Option<u64> {
        self.emit_in(0, array, &[], ack)
    }

    /// Emits in any namespace. The array holds `{"_placeholder":true,"num":n}` where attachment n belongs. What is
    /// emitted before the client is in waits until then.
    pub fn emit_in(&mut self, namespace: Namespace, array: &str, attachments: &[Vec<u8>], ack: bool) -> Option<u64> {
        self.machine.emit(namespace, array, attachments, ack, &mut self.actions)
    }

    /// Answers an event whose [`Said::Event`] had an id, with `[args..]`. Nobody else answers: a real client does so
    /// only where its handler calls back.
    pub fn answer(&mut self, namespace: Namespace, id: u64, array: &str, attachments: &[Vec<u8>]) {
        self.machine
            .answer(namespace, id, array, attachments, &mut self.actions);
    }

    /// Sends a raw text message, in a session without Socket.IO.
    pub fn send_text(&mut self, text: &str) {
        self.machine.message(Frame::Text(text.to_owned()), &mut self.actions);
    }

    /// Sends a raw binary message, in a session without Socket.IO.
    pub fn send_binary(&mut self, bytes: &[u8]) {
        self.machine.message(Frame::Binary(bytes.to_vec()), &mut self.actions);
    }

    /// Enters a further namespace, or one again that was left; [`Said::Joined`] or [`Said::Refused`] follows.
    pub fn join(&mut self, namespace: &str, auth: Option<&str>) -> Namespace {
        let number = self.machine.join(namespace, auth, &mut self.actions);
        self.joining.retain(|(known, _)| *known != number);
        self.joining.push((number, Instant::now()));
        number
    }

    /// Leaves a namespace. The session stays, even in none.
    pub fn part(&mut self, namespace: Namespace) {
        self.joining.retain(|(known, _)| *known != namespace);
        self.machine.part(namespace, &mut self.actions);
    }

    /// Whether bodies and attachments are handed over with what is said. At first they are not: they cost a copy each.
    pub fn keep_bodies(&mut self, keep: bool) {
        self.machine.keep_bodies(keep);
    }

    /// Heartbeats counted since they were last taken, the missed ones among them.
    pub fn heartbeats(&mut self) -> Heartbeats {
        self.machine.take_heartbeats()
    }

    /// Leaves all namespaces and closes; [`Session::poll_said`] then ends.
    pub fn leave(&mut self) {
        self.machine.leave(&mut self.actions);
    }

    /// What the server says next, or what was written. Its error is the session's end.
    pub fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<Result<Said, Fault>> {
        loop {
            match self.said.pop_front() {
                Some(Said::Written(count)) => {
                    self.written += count;
                    continue;
                }
                Some(said) => return Poll::Ready(Ok(said)),
                None => {}
            }
            if let Some(end) = self.end.take() {
                let left = || Fault::new(FaultKind::ClosedByServer, "left");
                return Poll::Ready(Err(end.err().unwrap_or_else(left)));
            }
            if !self.advance(cx) {
                // what the machine has handed over is written when the socket has taken it
                let socket = self.socket.as_mut();
                if self.written > 0 && socket.is_none_or(|socket| socket.poll_written(cx).is_ready()) {
                    return Poll::Ready(Ok(Said::Written(std::mem::take(&mut self.written))));
                }
                return Poll::Pending;
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            if self.ready {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = self.end.take() {
                return Poll::Ready(end);
            }
            if !self.advance(cx) {
                return Poll::Pending;
            }
        }
    }

    /// How long a step took that ends now.
    fn since_opened(&self) -> Option<Duration> {
        self.opened.map(|opened| opened.elapsed())
    }
}
