//! The machine: carriers, the order of requests, the upgrade, the farewell. What messages mean is in `inbound`.

use super::heartbeat::{Beat, Heartbeat};
use super::inbound::Partial;
use super::namespaces::{Namespaces, State};
use super::outbox::{self, Waiting};
use super::{Action, Input, Layer, Namespace, Said};
use crate::codec::engineio::{self, Frame, Handshake, Packet};
use crate::codec::engineio3::{self, Piece};
use crate::codec::socketio;
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::report::Heartbeats;
use crate::wire::share::{Carrier, Version};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

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
    pub(super) version: Version,
    layer: Layer,
    way: Way,
    getting: bool,
    posting: bool,
    pub(super) leaving: bool,
    pub(super) ready: bool,
    pub(super) keep: bool,
    pub(super) namespaces: Namespaces,
    queue: VecDeque<Waiting>,
    emits_posting: u32,
    sid: Box<str>,
    heartbeat: Heartbeat,
    payload_limit: Option<usize>,
    next_id: u64,
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

    /// Enters a namespace, as soon as the session is open. The first one that was ever named makes the client stand;
    /// each other one ends in [`Said::Joined`] or [`Said::Refused`]. Servers of version 3 know no auth payload.
    pub fn join(&mut self, name: &str, auth: Option<&str>, out: &mut Vec<Action>) -> Namespace {
        let Some(number) = self.namespaces.want(name, auth) else {
            let reason = "too many namespaces".to_owned();
            out.push(Action::Said(Said::Refused {
                namespace: Namespace::MAX,
                reason,
            }));
            return Namespace::MAX;
        };
        match self.way {
            Way::Start | Way::Over => {}
            _ => {
                self.ask_in(number, out);
                self.flush(out);
            }
        }
        number
    }

    /// Leaves a namespace; the session stays, even without any.
    pub fn part(&mut self, namespace: Namespace, out: &mut Vec<Action>) {
        let Some(place) = self.namespaces.get(namespace) else {
            return;
        };
        let was = std::mem::replace(&mut place.state, State::Out);
        place.release();
        if was == State::In {
            self.queue.push_back(Waiting::own(socketio::disconnect(&place.name)));
            self.flush(out);
        }
    }

    /// Emits `["event",args..]`, with a placeholder for each attachment; the id is that of the acknowledgement that was
    /// asked for. What is emitted before the client is in waits; after it was put out it is dropped.
    pub fn emit(
        &mut self,
        namespace: Namespace,
        array: &str,
        attachments: &[Vec<u8>],
        ack: bool,
        out: &mut Vec<Action>,
    ) -> Option<u64> {
        let place = self.namespaces.get(namespace)?;
        let id = ack.then_some(self.next_id);
        self.next_id += u64::from(ack);
        let text = socketio::event(&place.name, id, array, attachments.len());
        let packets = outbox::sequence(text, attachments, true);
        match place.state {
            State::In => {
                self.queue.extend(packets);
                self.flush(out);
            }
            State::Wanted => place.hold(packets),
            State::Out => {}
        }
        id
    }

    /// Answers an event for which the server asks an acknowledgement, with `[args..]`.
    pub fn answer(
        &mut self,
        namespace: Namespace,
        id: u64,
        array: &str,
        attachments: &[Vec<u8>],
        out: &mut Vec<Action>,
    ) {
        if let Some(place) = self.namespaces.get(namespace)
            && place.state == State::In
        {
            let text = socketio::ack(&place.name, id, array, attachments.len());
            self.queue.extend(outbox::sequence(text, attachments, false));
            self.flush(out);
        }
    }

    /// Sends a raw message.
    pub fn message(&mut self, frame: Frame, out: &mut Vec<Action>) {
        let frame = match frame {
            Frame::Text(text) => Frame::Text(format!("4{text}")),
            binary => binary,
        };
        self.queue.push_back(Waiting { frame, ends_emit: true });
        self.flush(out);
    }

    /// Leaves all namespaces and closes the session.
    pub fn leave(&mut self, out: &mut Vec<Action>) {
        if self.leaving || self.way == Way::Over {
            return;
        }
        self.leaving = true;
        self.heartbeat.stop();
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
                self.queue.push_back(Waiting::own("1"));
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
            Input::SocketOpen if self.way == Way::Probing => {
                out.push(Action::Send(Frame::Text("2probe".to_owned())));
            }
            Input::SocketOpen => {}
            Input::SocketLost(fault) => self.socket_lost(fault, out),
            Input::Frame(text) => self.text(text, true, now, out),
            Input::Binary(bytes) => self.binary(bytes, now, out),
            Input::Tick => match self.heartbeat.tick(now) {
                Beat::Nothing => {}
                Beat::Ping => {
                    self.queue.push_back(Waiting::own("2"));
                    self.flush(out);
                }
                Beat::Lost(why) => self.fail(FaultKind::PingTimeout, why, out),
            },
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

    /// Asks the server to let the client into a namespace that it wants.
    fn ask_in(&mut self, number: Namespace, out: &mut Vec<Action>) {
        let root_entered = self.namespaces.root_entered;
        let Some(place) = self.namespaces.get(number) else {
            return;
        };
        let auth = place.auth.take();
        match (self.version, place.state) {
            (_, State::Out) => {}
            (_, State::In) => out.push(Action::Said(Said::Joined { namespace: number })),
            // the server does that by itself, once
            (Version::Three, State::Wanted) if &*place.name == "/" => {
                if root_entered {
                    self.entered(number, out);
                }
            }
            (Version::Three, State::Wanted) => {
                // the real client of this version ends a bare namespace with nothing more
                let text = socketio::connect(&place.name, None);
                self.queue.push_back(Waiting::own(text));
            }
            (Version::Four, State::Wanted) => {
                let text = socketio::connect(&place.name, auth.as_deref());
                self.queue.push_back(Waiting::own(text));
            }
        }
    }

    /// The client is in a namespace: what waited for it goes out.
    pub(super) fn entered(&mut self, number: Namespace, out: &mut Vec<Action>) {
        let Some(place) = self.namespaces.get(number) else {
            return;
        };
        if std::mem::replace(&mut place.state, State::In) == State::In {
            return;
        }
        let waited = place.release();
        if number == 0 && !self.ready {
            self.ready = true;
            out.push(Action::Ready);
        } else {
            out.push(Action::Said(Said::Joined { namespace: number }));
        }
        self.queue.extend(waited);
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
        out.push(action);
    }
}
