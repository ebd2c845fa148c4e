//! Socket.IO clients: the pure machine (`codec::session`) driven over polling connections and a WebSocket.
//! Never here: pacing, recording, the order of the protocol's steps.

mod polling;

use super::reach::{Arrival, Failure, Reach};
use super::websocket;
use crate::codec::session::{Action, Input, Machine, Said};
use crate::codec::websocket::Message;
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::share::{Engine, Socketio};
use polling::{Exchange, Line, Outcome, request};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep_until};

type Opening = Pin<Box<dyn Future<Output = Result<(websocket::Session, Arrival), Failure>>>>;

/// One open client.
pub struct Session {
    reach: Rc<Reach>,
    machine: Machine,
    actions: Vec<Action>,
    said: VecDeque<Said>,
    get: Option<Exchange>,
    post: Option<Exchange>,
    get_line: Option<Line>,
    post_line: Option<Line>,
    opening: Option<Opening>,
    socket: Option<websocket::Session>,
    timer: Option<Pin<Box<Sleep>>>,
    connect_deadline: Instant,
    arrival: Option<Arrival>,
    since: Option<Instant>,
    ready: bool,
    end: Option<Result<(), Fault>>,
    refused: Option<(Vec<u8>, String)>,
}

/// Connects a client until its namespace is entered, within `deadline`.
pub async fn open(reach: Rc<Reach>, deadline: Instant) -> Result<(Box<Session>, Arrival), Failure> {
    let plan = plan(&reach);
    let mut machine = Machine::new(plan.carrier, &plan.namespace, plan.auth.as_deref());
    let mut actions = Vec::new();
    machine.begin(&mut actions);
    let mut session = Box::new(Session {
        reach: Rc::clone(&reach),
        machine,
        actions,
        said: VecDeque::new(),
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
            Ok((session, arrival))
        }
        (fault, arrival) => {
            let fault = fault.unwrap_or_else(|| Fault::new(FaultKind::Protocol, "a namespace without an answer"));
            let local = arrival.as_ref().map(|arrival| arrival.local);
            Err(Failure {
                fault,
                local,
                backend: arrival.and_then(|arrival| arrival.backend).or(session.refused.take()),
            })
        }
    }
}

fn plan(reach: &Reach) -> &Socketio {
    match &reach.share.engine {
        Engine::Socketio(plan) => plan,
        Engine::Http(_) | Engine::Websocket(_) => unreachable!("flow picks the engine by the share"),
    }
}

impl Session {
    /// Emits `["event",args..]`; gives the id of the acknowledgement that is asked for.
    pub fn emit(&mut self, array: &str, ack: bool) -> Option<u64> {
        self.machine.emit(array, ack, &mut self.actions)
    }

    /// Leaves the namespace and closes; [`Session::poll_said`] then ends.
    pub fn leave(&mut self) {
        self.machine.leave(&mut self.actions);
    }

    /// What the server says next, or what was written. Its error is the session's end.
    pub fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<Result<Said, Fault>> {
        loop {
            if let Some(said) = self.said.pop_front() {
                return Poll::Ready(Ok(said));
            }
            if let Some(end) = self.end.take() {
                let left = || Fault::new(FaultKind::ClosedByServer, "left");
                return Poll::Ready(Err(end.err().unwrap_or_else(left)));
            }
            if !self.advance(cx) {
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

    /// One round: does what is to be done and looks at everything that may have come in. False: nothing moved.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = self.act();
        if let Some(Poll::Ready(outcome)) = self.get.as_mut().map(|get| get.as_mut().poll(cx)) {
            self.get = None;
            self.answered(outcome, true);
            moved = true;
        }
        if let Some(Poll::Ready(outcome)) = self.post.as_mut().map(|post| post.as_mut().poll(cx)) {
            self.post = None;
            self.answered(outcome, false);
            moved = true;
        }
        if let Some(Poll::Ready(outcome)) = self.opening.as_mut().map(|opening| opening.as_mut().poll(cx)) {
            self.opening = None;
            self.socket_opened(outcome);
            moved = true;
        }
        moved |= self.hear(cx);
        moved | self.watch(cx)
    }

    fn act(&mut self) -> bool {
        let actions = std::mem::take(&mut self.actions);
        let moved = !actions.is_empty();
        for action in actions {
            match action {
                Action::Get => {
                    let opening = self.machine.sid().is_empty();
                    let limit = if opening {
                        self.connect_deadline
                    } else {
                        Instant::now() + self.machine.heartbeat()
                    };
                    self.reach.tell(">", "GET");
                    self.get = Some(request(
                        &self.reach,
                        self.get_line.take(),
                        self.path("polling"),
                        None,
                        limit,
                        opening,
                    ));
                }
                Action::Post(payload) => {
                    self.reach.tell(">", &payload.replace('\u{1e}', " | "));
                    let limit = Instant::now() + Duration::from_nanos(self.reach.share.limits.hit);
                    self.post = Some(request(
                        &self.reach,
                        self.post_line.take(),
                        self.path("polling"),
                        Some(payload),
                        limit,
                        false,
                    ));
                }
                Action::OpenSocket => {
                    let (reach, path) = (Rc::clone(&self.reach), self.path("websocket"));
                    let deadline = if self.ready {
                        Instant::now() + reach.dialer.limit()
                    } else {
                        self.connect_deadline
                    };
                    self.opening = Some(Box::pin(
                        async move { websocket::open(&reach, &path, None, deadline).await },
                    ));
                }
                Action::Send(packet) => {
                    self.reach.tell(">", &packet);
                    if let Some(socket) = &mut self.socket {
                        socket.send(packet.as_bytes(), false);
                    }
                }
                Action::CloseSocket => {
                    self.opening = None;
                    if let Some(socket) = &mut self.socket {
                        socket.leave();
                    }
                }
                Action::Upgraded => (self.get_line, self.post_line) = (None, None),
                Action::Ready => self.ready = true,
                Action::Said(said) => self.said.push_back(said),
                Action::Fail(fault) => self.finish(Err(fault)),
                Action::Finished => self.finish(Ok(())),
            }
        }
        moved
    }

    fn finish(&mut self, end: Result<(), Fault>) {
        self.end.get_or_insert(end);
        (self.get, self.post, self.opening, self.timer) = (None, None, None, None);
    }

    fn answered(&mut self, (line, answer): Outcome, get: bool) {
        if self.arrival.is_none()
            && let (Some(line), Ok(answer)) = (&line, &answer)
        {
            self.arrival = Some(self.reach.arrival(line.ends, line.stages, line.since, answer));
            self.since = Some(line.since);
        }
        match answer {
            Ok(answer) if get => {
                self.get_line = line.filter(|_| answer.reusable && answer.rest.is_empty());
                match std::str::from_utf8(&answer.body) {
                    Ok(payload) => {
                        self.reach.tell("<", &payload.replace('\u{1e}', " | "));
                        self.machine
                            .input(Input::Polled(payload), Instant::now(), &mut self.actions);
                    }
                    Err(_) => self.finish(Err(Fault::new(FaultKind::Protocol, "a payload is not UTF-8"))),
                }
            }
            Ok(answer) => {
                self.post_line = line.filter(|_| answer.reusable && answer.rest.is_empty());
                self.machine.input(Input::Posted, Instant::now(), &mut self.actions);
            }
            Err(fault) => self.finish(Err(fault)),
        }
    }

    fn socket_opened(&mut self, outcome: Result<(websocket::Session, Arrival), Failure>) {
        match outcome {
            Ok((socket, arrival)) => {
                self.socket = Some(socket);
                if self.arrival.is_none() {
                    self.since = Instant::now().checked_sub(arrival.handshake);
                    self.arrival = Some(arrival);
                } else {
                    self.reach.dials.borrow_mut().push((arrival.tcp, arrival.tls));
                }
                self.machine.input(Input::SocketOpen, Instant::now(), &mut self.actions);
            }
            Err(failure) => {
                self.reach.tell("<", &failure.fault.to_string());
                let fault = match failure.fault {
                    // what Engine.IO itself says with its 400
                    Fault {
                        kind: FaultKind::UpgradeRefused,
                        status: Some(status),
                        excerpt,
                        detail,
                    } => {
                        let named = crate::codec::session::refused(status, &excerpt);
                        if named.kind == FaultKind::HttpStatus {
                            Fault {
                                kind: FaultKind::UpgradeRefused,
                                detail,
                                status: Some(status),
                                excerpt,
                            }
                        } else {
                            named
                        }
                    }
                    fault => fault,
                };
                self.refused = failure.backend;
                self.machine
                    .input(Input::SocketLost(fault), Instant::now(), &mut self.actions);
            }
        }
    }

    fn hear(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(socket) = &mut self.socket else { return false };
        match socket.poll_message(cx) {
            Poll::Pending => return false,
            Poll::Ready(Ok(Message::Text(text))) => {
                self.reach.tell("<", &text);
                self.machine
                    .input(Input::Frame(&text), Instant::now(), &mut self.actions);
            }
            Poll::Ready(Ok(_)) => {
                self.reach.tell("<", "(binary)");
                self.machine.input(Input::Binary, Instant::now(), &mut self.actions);
            }
            Poll::Ready(Err(fault)) => {
                self.socket = None;
                self.machine
                    .input(Input::SocketLost(fault), Instant::now(), &mut self.actions);
            }
        }
        true
    }

    /// The heartbeat's timer.
    fn watch(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.machine.deadline() else {
            self.timer = None;
            return false;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        if timer.deadline() != deadline.into() {
            timer.as_mut().reset(deadline.into());
        }
        if timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.machine.input(Input::Tick, Instant::now(), &mut self.actions);
        true
    }

    fn path(&self, transport: &str) -> String {
        let plan = plan(&self.reach);
        let mut path = format!("{}?EIO=4&transport={transport}", plan.path);
        let sid = self.machine.sid();
        if !sid.is_empty() {
            path.push_str("&sid=");
            path.push_str(sid);
        }
        for pair in &plan.query {
            path.push('&');
            path.push_str(pair);
        }
        path
    }
}
