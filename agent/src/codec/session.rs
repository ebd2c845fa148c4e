//! One Socket.IO client as a pure machine: what comes in, and when, to what is to be done. It owns the order of things:
//! at most one GET in flight, the upgrade from polling to WebSocket, heartbeats, the namespace. Never here: sockets,
//! clocks (instants are handed in), HTTP.

use super::engineio::{self, Handshake, Refusal};
use super::socketio::{self, Kind};
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::share::Carrier;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What came in.
#[derive(Debug)]
pub enum Input<'a> {
    /// The GET was answered with 200.
    Polled(&'a str),
    /// The POST was answered with 200.
    Posted,
    /// The WebSocket stands.
    SocketOpen,
    /// The WebSocket could not be opened, or it broke.
    SocketLost(Fault),
    /// A text message of the WebSocket.
    Frame(&'a str),
    /// A binary message of the WebSocket.
    Binary,
    /// [`Machine::deadline`] may have passed.
    Tick,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Poll.
    Get,
    /// Send this payload.
    Post(String),
    /// Open a WebSocket, for this session if there is one.
    OpenSocket,
    /// Send this over the WebSocket.
    Send(String),
    /// Close the WebSocket.
    CloseSocket,
    /// Polling has ended for good.
    Upgraded,
    /// The namespace is entered: the client stands.
    Ready,
    /// The server said something, or emits were written.
    Said(Said),
    /// The client is lost.
    Fail(Fault),
    /// The client has left as it was told to.
    Finished,
}

/// What a client hears, or knows to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// An event by its name.
    Event(String),
    /// An acknowledgement by its id.
    Ack(u64),
    /// So many emits were written.
    Written(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Before the open packet.
    Start,
    Polling,
    /// Polling, while a WebSocket is opened and probed.
    Probing,
    /// The probe was answered: polling ends with what is in flight, nothing new is sent.
    Pausing,
    Socket,
    Over,
}

/// One client.
#[derive(Debug)]
pub struct Machine {
    carrier: Carrier,
    namespace: Box<str>,
    /// The packet that enters the namespace, until it is sent.
    entry: String,
    way: Way,
    getting: bool,
    posting: bool,
    leaving: bool,
    ready: bool,
    queue: VecDeque<String>,
    emits_posting: u32,
    sid: Box<str>,
    heartbeat: Duration,
    deadline: Option<Instant>,
    payload_limit: Option<usize>,
    next_id: u64,
    attachments: Option<(Said, u32)>,
}

impl Machine {
    /// A client of this namespace.
    pub fn new(carrier: Carrier, namespace: &str, auth: Option<&str>) -> Self {
        Self {
            carrier,
            namespace: if namespace.is_empty() {
                "/".into()
            } else {
                namespace.into()
            },
            entry: socketio::connect(namespace, auth),
            way: Way::Start,
            getting: false,
            posting: false,
            leaving: false,
            ready: false,
            queue: VecDeque::new(),
            emits_posting: 0,
            sid: "".into(),
            heartbeat: Duration::ZERO,
            deadline: None,
            payload_limit: None,
            next_id: 0,
            attachments: None,
        }
    }

    /// The Engine.IO session, empty before it is open.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// pingInterval + pingTimeout: so long may a poll last.
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// When the server counts as lost unless it pings.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The first step.
    pub fn begin(&mut self, out: &mut Vec<Action>) {
        match self.carrier {
            Carrier::Websocket => out.push(Action::OpenSocket),
            Carrier::Polling | Carrier::Upgrade => self.get(out),
        }
    }

    /// Emits `["event",args..]`; the id is that of the acknowledgement that was asked for.
    pub fn emit(&mut self, array: &str, ack: bool, out: &mut Vec<Action>) -> Option<u64> {
        let id = ack.then_some(self.next_id);
        self.next_id += u64::from(ack);
        self.queue.push_back(socketio::event(&self.namespace, id, array));
        self.flush(out);
        id
    }

    /// Leaves the namespace and closes the session.
    pub fn leave(&mut self, out: &mut Vec<Action>) {
        if self.leaving || self.way == Way::Over {
            return;
        }
        self.leaving = true;
        self.deadline = None;
        if self.way == Way::Start {
            return self.end(Action::Finished, out);
        }
        if self.ready {
            self.queue.push_back(socketio::disconnect(&self.namespace));
        }
        match self.way {
            Way::Socket => {
                self.flush(out);
                out.push(Action::CloseSocket);
            }
            probing => {
                if probing != Way::Polling {
                    out.push(Action::CloseSocket);
                }
                self.way = Way::Polling;
                self.queue.push_back("1".to_owned());
                self.flush(out);
            }
        }
    }

    /// Takes what came in at `now`.
    pub fn input(&mut self, input: Input<'_>, now: Instant, out: &mut Vec<Action>) {
        if self.way == Way::Over {
            return;
        }
        match input {
            Input::Polled(payload) => self.polled(payload, now, out),
            Input::Posted => self.posted(out),
            Input::SocketOpen if self.way == Way::Probing => out.push(Action::Send("2probe".to_owned())),
            Input::SocketOpen => {}
            Input::SocketLost(fault) => self.socket_lost(fault, out),
            Input::Frame(text) => self.packet(text, true, now, out),
            Input::Binary => self.attachment(out),
            Input::Tick => {
                if self.deadline.is_some_and(|deadline| deadline <= now) {
                    let limit = self.heartbeat.as_millis();
                    self.fail(FaultKind::PingTimeout, format!("no ping within {limit} ms"), out);
                }
            }
        }
    }

    fn polled(&mut self, payload: &str, now: Instant, out: &mut Vec<Action>) {
        self.getting = false;
        if self.way == Way::Start && engineio::is_version_3(payload) {
            return self.fail(
                FaultKind::UnsupportedProtocolVersion,
                "the server speaks Engine.IO 3 (Socket.IO 2)",
                out,
            );
        }
        for text in engineio::packets(payload) {
            self.packet(text, false, now, out);
        }
        match self.way {
            Way::Polling | Way::Probing => self.get(out),
            Way::Pausing => self.change_over(out),
            Way::Start | Way::Socket | Way::Over => {}
        }
    }

    fn posted(&mut self, out: &mut Vec<Action>) {
        self.posting = false;
        let written = std::mem::take(&mut self.emits_posting);
        if written > 0 {
            out.push(Action::Said(Said::Written(written)));
        }
        if self.leaving && self.queue.is_empty() {
            self.end(Action::Finished, out);
        } else if self.way == Way::Pausing {
            self.change_over(out);
        } else {
            self.flush(out);
        }
    }

    fn socket_lost(&mut self, fault: Fault, out: &mut Vec<Action>) {
        match self.way {
            // the real client stays on polling, too
            Way::Probing => self.way = Way::Polling,
            Way::Pausing => {
                self.way = Way::Polling;
                if !self.getting {
                    self.get(out);
                }
                self.flush(out);
            }
            Way::Polling => {}
            _ if self.leaving => self.end(Action::Finished, out),
            _ => self.end(Action::Fail(fault), out),
        }
    }

    fn packet(&mut self, text: &str, over_socket: bool, now: Instant, out: &mut Vec<Action>) {
        use engineio::Packet;
        if self.way == Way::Over {
            return;
        }
        let Some(packet) = engineio::parse(text) else {
            return self.fail(FaultKind::Protocol, "not an Engine.IO packet", out);
        };
        match packet {
            Packet::Open(json) => self.opened(json, over_socket, now, out),
            _ if self.way == Way::Start => {
                self.fail(FaultKind::Protocol, "the first packet is not an open packet", out)
            }
            Packet::Pong("probe") if over_socket && self.way == Way::Probing => {
                self.way = Way::Pausing;
                self.change_over(out);
            }
            // the close packet is on its way: a pong behind it would reach a session that is gone
            Packet::Ping(_) if self.leaving => {}
            Packet::Ping(_) => {
                self.deadline = Some(now + self.heartbeat);
                self.queue.push_back("3".to_owned());
                self.flush(out);
            }
            Packet::Close if self.leaving => self.end(Action::Finished, out),
            Packet::Close => self.fail(FaultKind::ClosedByServer, "Engine.IO session closed", out),
            Packet::Message(text) => self.message(text, out),
            Packet::Binary(_) => self.attachment(out),
            Packet::Pong(_) | Packet::Upgrade | Packet::Noop => {}
        }
    }

    fn opened(&mut self, json: &str, over_socket: bool, now: Instant, out: &mut Vec<Action>) {
        if self.way != Way::Start {
            return self.fail(FaultKind::Protocol, "a second open packet", out);
        }
        let Some(handshake) = Handshake::parse(json) else {
            return self.fail(FaultKind::Protocol, "the open packet cannot be read", out);
        };
        self.heartbeat = Duration::from_millis(
            handshake
                .ping_interval
                .saturating_add(handshake.ping_timeout)
                .min(u64::from(u32::MAX)),
        );
        self.deadline = Some(now + self.heartbeat);
        self.payload_limit = handshake.max_payload.filter(|limit| *limit > 0);
        self.sid = handshake.sid.into();
        let upgrades = self.carrier == Carrier::Upgrade && handshake.upgrades.iter().any(|name| name == "websocket");
        self.way = match (over_socket, upgrades) {
            (true, _) => Way::Socket,
            (false, true) => Way::Probing,
            (false, false) => Way::Polling,
        };
        if self.way == Way::Probing {
            out.push(Action::OpenSocket);
        }
        let entry = std::mem::take(&mut self.entry);
        self.queue.push_back(entry);
        self.flush(out);
    }

    fn message(&mut self, text: &str, out: &mut Vec<Action>) {
        let Some(packet) = socketio::parse(text) else {
            return self.fail(FaultKind::Protocol, "not a Socket.IO packet", out);
        };
        if packet.kind == Kind::Connect && !packet.body.starts_with('{') {
            return self.fail(
                FaultKind::UnsupportedProtocolVersion,
                "the server speaks Socket.IO 2 (Engine.IO 3)",
                out,
            );
        }
        if packet.namespace != &*self.namespace {
            // only its attachments matter, as they follow whatever the namespace
            if packet.attachments > 0 {
                self.attachments = Some((Said::Written(0), packet.attachments));
            }
            return;
        }
        let said = match packet.kind {
            Kind::Connect => {
                if !std::mem::replace(&mut self.ready, true) {
                    out.push(Action::Ready);
                }
                return;
            }
            Kind::ConnectError => {
                return self.fail(FaultKind::ConnectError, short(&socketio::refusal(packet.body)), out);
            }
            Kind::Disconnect if self.leaving => return,
            Kind::Disconnect => return self.fail(FaultKind::ClosedByServer, "namespace left by the server", out),
            Kind::Event | Kind::BinaryEvent => match socketio::event_name(packet.body) {
                Some(name) => Said::Event(name),
                None => return self.fail(FaultKind::Protocol, "an event without a name", out),
            },
            // an acknowledgement without an id is not parsed
            Kind::Ack | Kind::BinaryAck => Said::Ack(packet.id.unwrap_or(u64::MAX)),
        };
        if packet.attachments > 0 {
            self.attachments = Some((said, packet.attachments));
        } else {
            out.push(Action::Said(said));
        }
    }

    fn attachment(&mut self, out: &mut Vec<Action>) {
        match self.attachments.take() {
            Some((Said::Written(_), 0 | 1)) => {}
            Some((said, 0 | 1)) => out.push(Action::Said(said)),
            Some((said, left)) => self.attachments = Some((said, left - 1)),
            None => self.fail(FaultKind::Protocol, "an attachment without its packet", out),
        }
    }

    /// The change from polling to the WebSocket, once nothing of polling is in flight.
    fn change_over(&mut self, out: &mut Vec<Action>) {
        if self.getting || self.posting {
            return;
        }
        self.way = Way::Socket;
        out.push(Action::Send("5".to_owned()));
        out.push(Action::Upgraded);
        self.flush(out);
    }

    fn get(&mut self, out: &mut Vec<Action>) {
        if !self.leaving {
            self.getting = true;
            out.push(Action::Get);
        }
    }

    fn flush(&mut self, out: &mut Vec<Action>) {
        match self.way {
            Way::Socket => {
                for packet in self.queue.drain(..) {
                    let emit = is_emit(&packet);
                    out.push(Action::Send(packet));
                    if emit {
                        out.push(Action::Said(Said::Written(1)));
                    }
                }
                if self.queue.capacity() > 8 {
                    self.queue = VecDeque::new();
                }
            }
            Way::Polling | Way::Probing if !self.posting && !self.queue.is_empty() => {
                self.posting = true;
                let payload = engineio::payload(&mut self.queue, self.payload_limit);
                self.emits_posting = engineio::packets(&payload)
                    .map(|packet| u32::from(is_emit(packet)))
                    .sum();
                out.push(Action::Post(payload));
            }
            _ => {}
        }
    }

    fn fail(&mut self, kind: FaultKind, detail: impl Into<String>, out: &mut Vec<Action>) {
        self.end(Action::Fail(Fault::new(kind, detail)), out);
    }

    fn end(&mut self, action: Action, out: &mut Vec<Action>) {
        self.way = Way::Over;
        self.deadline = None;
        out.push(action);
    }
}

fn is_emit(packet: &str) -> bool {
    packet.starts_with("42")
}

fn short(text: &str) -> String {
    text.chars().take(120).collect()
}

/// The fault that a polling answer other than 200 stands for.
pub fn refused(status: u16, body: &[u8]) -> Fault {
    let fault = match Refusal::parse(body) {
        Some(Refusal { code: 1, .. }) => Fault::new(FaultKind::SessionIdUnknown, "Session ID unknown"),
        Some(Refusal { code: 5, .. }) => {
            Fault::new(FaultKind::UnsupportedProtocolVersion, "Unsupported protocol version")
        }
        Some(Refusal { message, .. }) if !message.is_empty() => {
            Fault::new(FaultKind::HttpStatus, format!("status {status}: {}", short(&message)))
        }
        _ => Fault::new(FaultKind::HttpStatus, format!("status {status}")),
    };
    fault.with_answer(status, body)
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
