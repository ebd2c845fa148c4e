//! One round of a client: does what the machine orders, looks at what came in, and times the steps of coming in.
//! Never here: the order of the protocol's steps.

use super::Session;
use super::polling::{Outcome, request};
use crate::codec::engineio::Frame;
use crate::codec::session::{Action, Input, Layer, Said, refused};
use crate::codec::websocket::Message;
use crate::engine::reach::{Arrival, Failure};
use crate::engine::websocket;
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::report::Latency;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

impl Session {
    /// One round: does what is to be done and looks at everything that may have come in. False: nothing moved.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>) -> bool {
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
                    if self.reach.trace.is_some() {
                        self.reach.tell(">", &payload.replace('\u{1e}', " | "));
                    }
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
                Action::Send(frame) => {
                    let (bytes, binary) = match &frame {
                        Frame::Text(text) => {
                            self.reach.tell(">", text);
                            (text.as_bytes(), false)
                        }
                        Frame::Binary(bytes) => {
                            self.reach.tell(">", "(binary)");
                            (&bytes[..], true)
                        }
                    };
                    if let Some(socket) = &mut self.socket {
                        socket.send(bytes, binary);
                    }
                }
                Action::CloseSocket => {
                    self.opening = None;
                    if let Some(socket) = &mut self.socket {
                        socket.leave();
                    }
                }
                Action::Opened => {
                    self.opened = Some(Instant::now());
                    if let (Some(arrival), Some(since)) = (&mut self.arrival, self.since) {
                        arrival.open = Some(since.elapsed());
                    }
                }
                Action::Upgraded => {
                    (self.get_line, self.post_line) = (None, None);
                    // one socket, which nothing can send elsewhere
                    self.reach.vacates();
                    let took = self.since_opened();
                    self.reach.took(Latency::Upgrade, took);
                }
                Action::Stays(fault) => {
                    self.reach.tell("=", &format!("stays on polling: {fault}"));
                    *self.reach.stays.borrow_mut() = Some(Box::new(fault));
                }
                Action::Ready => {
                    self.ready = true;
                    let took = self.since_opened();
                    if let Some(arrival) = &mut self.arrival
                        && self.entry.layer == Layer::Socketio
                    {
                        arrival.namespace = took;
                    }
                }
                Action::Said(said) => {
                    self.time_joining(&said);
                    self.said.push_back(said);
                }
                Action::Fail(fault) => self.finish(Err(fault)),
                Action::Finished => self.finish(Ok(())),
            }
        }
        moved
    }

    /// A further namespace answered: how long it took is told.
    fn time_joining(&mut self, said: &Said) {
        if let Said::Joined { namespace } | Said::Refused { namespace, .. } = said
            && let Some(at) = self.joining.iter().position(|(number, _)| number == namespace)
        {
            let (_, asked) = self.joining.swap_remove(at);
            if matches!(said, Said::Joined { .. }) {
                self.reach.took(Latency::Namespace, Some(asked.elapsed()));
            }
        } else if let Said::Joined { .. } = said {
            // one of those that were named at the opening
            let took = self.since_opened();
            self.reach.took(Latency::Namespace, took);
        }
    }

    fn finish(&mut self, end: Result<(), Fault>) {
        self.end.get_or_insert(end);
        (self.get, self.post, self.opening, self.timer) = (None, None, None, None);
    }

    fn answered(&mut self, (line, answer): Outcome, get: bool) {
        if self.arrival.is_none()
            && let (Some(line), Ok(answer)) = (&line, &answer)
        {
            let arrival = self.reach.arrival(line.ends, line.stages, line.since, answer);
            self.arrival = Some(Box::new(arrival));
            self.since = Some(line.since);
        }
        match answer {
            Ok(answer) if get => {
                self.get_line = line.filter(|_| answer.reusable && answer.rest.is_empty());
                if self.reach.trace.is_some() {
                    let payload = String::from_utf8_lossy(&answer.body);
                    self.reach.tell("<", &payload.replace('\u{1e}', " | "));
                }
                self.machine
                    .input(Input::Polled(&answer.body), Instant::now(), &mut self.actions);
            }
            Ok(answer) => {
                self.post_line = line.filter(|_| answer.reusable && answer.rest.is_empty());
                self.machine.input(Input::Posted, Instant::now(), &mut self.actions);
            }
            Err(fault) => self
                .machine
                .input(Input::PollLost(fault), Instant::now(), &mut self.actions),
        }
    }

    fn socket_opened(&mut self, outcome: Result<(websocket::Session, Arrival), Failure>) {
        match outcome {
            Ok((socket, arrival)) => {
                self.socket = Some(socket);
                if self.arrival.is_none() {
                    self.since = Instant::now().checked_sub(arrival.handshake);
                    self.arrival = Some(Box::new(arrival));
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
                        let named = refused(status, &excerpt);
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
            Poll::Ready(Ok(Message::Binary(bytes))) => {
                self.reach.tell("<", "(binary)");
                self.machine
                    .input(Input::Binary(&bytes), Instant::now(), &mut self.actions);
            }
            // pings, pongs and closes are the WebSocket session's own
            Poll::Ready(Ok(_)) => {}
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
        self.entry.request_path(transport, self.machine.sid())
    }
}
