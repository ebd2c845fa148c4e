//! The machine: carriers, the order of requests, the upgrade, the farewell. What is said is in `outbound`, what is
//! heard in `inbound`.

use super::heartbeat::{Beat, Heartbeat};
use super::inbound::Partial;
use super::namespaces::{Namespaces, State};
use super::outbox::{self, Waiting};
use super::{Action, Input, Layer, Said};
use crate::codec::engineio::{self, Frame, Handshake, Packet};
use crate::codec::engineio3::{self, Piece};
use crate::codec::socketio;
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::report::Heartbeats;
use crate::wire::share::{Carrier, Version};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
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
    pub(super) version: Version,
    layer: Layer,
    pub(super) way: Way,
    getting: bool,
    posting: bool,
    pub(super) leaving: bool,
    /// The close packet is said, which polling alone wants.
    closed: bool,
    /// Why the client leaves, unless it was told to.
    pub(super) ending: Option<Box<Fault>>,
    pub(super) ready: bool,
    pub(super) keep: bool,
    pub(super) namespaces: Namespaces,
    pub(super) queue: VecDeque<Waiting>,
    emits_posting: u32,
    sid: Box<str>,
    heartbeat: Heartbeat,
    payload_limit: Option<usize>,
    pub(super) next_id: u64,
    pub(super) partial: Option<Box<Partial>>,
}

impl Machine {
    /// A client. One of Socket.IO wants at least one [`Machine::join`] before it begins; the first is its first namespace.
    pub fn new(carrier: Carrier, version: Version, layer: Layer) -> Self {
        Self {
            carrier,
            version,
            layer,
            way: Way::Start,
            getting: false,
            posting: false,
            leaving: false,
            closed: false,
            ending: None,
            ready: false,
            keep: false,
            namespaces: Namespaces::default(),
            queue: VecDeque::new(),
            emits_posting: 0,
            sid: "".into(),
            heartbeat: Heartbeat::new(version),
            payload_limit: None,
            next_id: 0,
            partial: None,
        }
    }

    /// The Engine.IO session, empty before it is open.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// pingInterval + pingTimeout: so long may a poll last.
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat.whole()
    }

    /// When a ping is due, or the server counts as lost.
    pub fn deadline(&self) -> Option<Instant> {
        self.heartbeat.deadline()
    }

    /// Takes the heartbeats counted since the last time.
    pub fn take_heartbeats(&mut self) -> Heartbeats {
        self.heartbeat.take()
    }

    /// Keeps bodies and attachments of what the server says from now on. Off at first: they cost a copy each.
    pub fn keep_bodies(&mut self, keep: bool) {
        self.keep = keep;
    }

    /// The first step.
    pub fn begin(&mut self, out: &mut Vec<Action>) {
        match self.carrier {
            Carrier::Websocket => out.push(Action::OpenSocket),
            Carrier::Polling | Carrier::Upgrade => self.get(out),
        }
    }

    /// Leaves all namespaces and closes the session.
    pub fn leave(&mut self, out: &mut Vec<Action>) {
        if self.leaving || self.way == Way::Over {
            return;
        }
        self.leaving = true;
        if self.ending.is_none() {
            self.heartbeat.stop();
        }
        if self.way == Way::Start {
            return self.end(Action::Finished, out);
        }
        for place in self.namespaces.all().filter(|place| place.state == State::In) {
            self.queue.push_back(Waiting::own(socketio::disconnect(&place.name)));
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
                self.flush(out);
                self.say_close(out);
            }
        }
    }

    /// The close packet has a POST of its own, when all else is answered: a server of Socket.IO looks at a packet only after
    /// it has taken the whole payload, and would be closed by then.
    fn say_close(&mut self, out: &mut Vec<Action>) {
        if !self.posting && !self.closed {
            self.closed = true;
            self.queue.push_back(Waiting::own("1"));
            self.flush(out);
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
            Input::PollLost(_) if self.leaving => self.end(Action::Finished, out),
            Input::PollLost(fault) => self.end(Action::Fail(fault), out),
            Input::SocketOpen if self.way == Way::Probing => {
                out.push(Action::Send(Frame::Text("2probe".to_owned())));
            }
            Input::SocketOpen => {}
            Input::SocketLost(fault) => self.socket_lost(fault, out),
            Input::Frame(text) => self.text(text, true, now, out),
            Input::Binary(bytes) => self.binary(bytes, now, out),
            Input::Tick => match self.heartbeat.tick(now) {
                Beat::Nothing => {}
                // it only waits for its end, which the heartbeat's timer bounds
                Beat::Ping if self.leaving => {}
                Beat::Ping => {
                    self.queue.push_back(Waiting::own("2"));
                    self.flush(out);
                }
                Beat::Lost(why) => self.fail(FaultKind::PingTimeout, why, out),
            },
        }
        // a real client that was put out of its last namespace closes its session, too
        if self.ending.is_some() {
            self.leave(out);
        }
    }

    fn polled(&mut self, payload: &[u8], now: Instant, out: &mut Vec<Action>) {
        self.getting = false;
        match self.version {
            Version::Four => match std::str::from_utf8(payload) {
                Ok(_) if self.way == Way::Start && engineio3::is_payload(payload) => {
                    return self.other_version(out);
                }
                Ok(payload) => {
                    for text in engineio::packets(payload) {
                        self.text(text, false, now, out);
                    }
                }
                Err(_) => return self.fail(FaultKind::Protocol, "a payload is not UTF-8", out),
            },
            Version::Three if self.way == Way::Start && payload.starts_with(b"0{") => {
                return self.other_version(out);
            }
            Version::Three => {
                let Some(pieces) = engineio3::packets(payload) else {
                    return self.fail(FaultKind::Protocol, "not a payload of Engine.IO 3", out);
                };
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => self.text(text, false, now, out),
                        Piece::Binary(bytes) => self.binary(bytes, now, out),
                    }
                }
            }
        }
        match self.way {
            Way::Polling | Way::Probing => self.get(out),
            Way::Pausing => self.change_over(out),
            Way::Start | Way::Socket | Way::Over => {}
        }
    }

    pub(super) fn other_version(&mut self, out: &mut Vec<Action>) {
        let text = match self.version {
            Version::Four => "the server speaks Engine.IO 3 (Socket.IO 2): --eio 3",
            Version::Three => "the server speaks Engine.IO 4 (Socket.IO 3 or later): --eio 4",
        };
        self.fail(FaultKind::UnsupportedProtocolVersion, text, out);
    }

    fn posted(&mut self, out: &mut Vec<Action>) {
        self.posting = false;
        let written = std::mem::take(&mut self.emits_posting);
        if written > 0 {
            out.push(Action::Said(Said::Written(written)));
        }
        if self.leaving && self.queue.is_empty() {
            if self.closed {
                self.end(Action::Finished, out);
            } else {
                self.say_close(out);
            }
        } else if self.way == Way::Pausing {
            self.change_over(out);
        } else {
            self.flush(out);
        }
    }

    fn socket_lost(&mut self, fault: Fault, out: &mut Vec<Action>) {
        match self.way {
            // the real client stays on polling, too
            Way::Probing => {
                self.way = Way::Polling;
                out.push(Action::Stays(fault));
            }
            Way::Pausing => {
                self.way = Way::Polling;
                out.push(Action::Stays(fault));
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

    fn text(&mut self, text: &str, over_socket: bool, now: Instant, out: &mut Vec<Action>) {
        if self.way == Way::Over {
            return;
        }
        let packet = match self.version {
            Version::Four => engineio::parse(text),
            Version::Three => engineio3::parse(text),
        };
        let Some(packet) = packet else {
            return self.fail(FaultKind::Protocol, "not an Engine.IO packet", out);
        };
        self.heartbeat.heard(now);
        match packet {
            Packet::Open(json) => self.opened(json, over_socket, now, out),
            _ if self.way == Way::Start => {
                self.fail(FaultKind::Protocol, "the first packet is not an open packet", out);
            }
            Packet::Pong("probe") if over_socket && self.way == Way::Probing => {
                self.way = Way::Pausing;
                self.change_over(out);
            }
            // the close packet is on its way: a pong behind it would reach a session that is gone
            Packet::Ping(_) if self.leaving => {}
            Packet::Ping(_) => {
                self.heartbeat.ping(now);
                self.queue.push_back(Waiting::own("3"));
                self.flush(out);
            }
            Packet::Pong(_) => self.heartbeat.pong(now),
            Packet::Close if self.leaving => self.end(Action::Finished, out),
            Packet::Close => self.fail(FaultKind::ClosedByServer, "Engine.IO session closed", out),
            Packet::Message(text) => match self.layer {
                Layer::Socketio => self.packet(text, out),
                Layer::Raw => self.raw_text(text, out),
            },
            Packet::Binary(bytes) => self.content(&bytes, out),
            Packet::Upgrade | Packet::Noop => {}
        }
    }

    fn binary(&mut self, bytes: &[u8], now: Instant, out: &mut Vec<Action>) {
        if self.way == Way::Over {
            return;
        }
        let content = match self.version {
            Version::Four => Some(bytes),
            Version::Three => engineio3::content(bytes),
        };
        match content {
            Some(content) if self.way != Way::Start => {
                self.heartbeat.heard(now);
                self.content(content, out);
            }
            _ => self.fail(FaultKind::Protocol, "binary that is no message", out),
        }
    }

    fn content(&mut self, bytes: &[u8], out: &mut Vec<Action>) {
        match self.layer {
            Layer::Socketio => self.attachment(bytes, out),
            Layer::Raw => self.raw_binary(bytes, out),
        }
    }

    fn opened(&mut self, json: &str, over_socket: bool, now: Instant, out: &mut Vec<Action>) {
        if self.way != Way::Start {
            return self.fail(FaultKind::Protocol, "a second open packet", out);
        }
        let Some(handshake) = Handshake::parse(json) else {
            return self.fail(FaultKind::Protocol, "the open packet cannot be read", out);
        };
        self.heartbeat
            .open(handshake.ping_interval, handshake.ping_timeout, now);
        self.payload_limit = handshake.max_payload.filter(|limit| *limit > 0);
        self.sid = handshake.sid.into();
        let upgrades = self.carrier == Carrier::Upgrade && handshake.upgrades.iter().any(|name| name == "websocket");
        self.way = match (over_socket, upgrades) {
            (true, _) => Way::Socket,
            (false, true) => Way::Probing,
            (false, false) => Way::Polling,
        };
        out.push(Action::Opened);
        if self.way == Way::Probing {
            out.push(Action::OpenSocket);
        }
        match self.layer {
            Layer::Raw => {
                self.ready = true;
                out.push(Action::Ready);
            }
            Layer::Socketio => {
                let mut number = 0;
                while self.namespaces.get(number).is_some() {
                    self.ask_in(number, out);
                    number += 1;
                }
            }
        }
        self.flush(out);
    }

    /// The change from polling to the WebSocket, once nothing of polling is in flight.
    fn change_over(&mut self, out: &mut Vec<Action>) {
        if self.getting || self.posting {
            return;
        }
        self.way = Way::Socket;
        out.push(Action::Send(Frame::Text("5".to_owned())));
        out.push(Action::Upgraded);
        self.flush(out);
    }

    fn get(&mut self, out: &mut Vec<Action>) {
        if !self.leaving {
            self.getting = true;
            out.push(Action::Get);
        }
    }

    pub(super) fn flush(&mut self, out: &mut Vec<Action>) {
        match self.way {
            Way::Socket => {
                for waiting in self.queue.drain(..) {
                    out.push(Action::Send(outbox::message(waiting.frame, self.version)));
                    if waiting.ends_emit {
                        out.push(Action::Said(Said::Written(1)));
                    }
                }
                if self.queue.capacity() > 8 {
                    self.queue = VecDeque::new();
                }
            }
            Way::Polling | Way::Probing if !self.posting && !self.queue.is_empty() => {
                self.posting = true;
                let (payload, emits) = outbox::payload(&mut self.queue, self.version, self.payload_limit);
                self.emits_posting = emits;
                out.push(Action::Post(payload));
            }
            _ => {}
        }
    }

    pub(super) fn fail(&mut self, kind: FaultKind, detail: impl Into<String>, out: &mut Vec<Action>) {
        self.end(Action::Fail(Fault::new(kind, detail)), out);
    }

    fn end(&mut self, action: Action, out: &mut Vec<Action>) {
        self.way = Way::Over;
        self.heartbeat.stop();
        out.push(match self.ending.take() {
            Some(fault) => Action::Fail(*fault),
            None => action,
        });
    }
}
