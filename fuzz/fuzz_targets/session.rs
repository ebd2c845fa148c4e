//! Owns: the machine of a Socket.IO or Engine.IO client, led by anything that a server, a network and an application may
//! do. It never panics; it has one GET and one POST in flight at most; it sends over a WebSocket only while that stands;
//! once it is over it orders nothing more. Memory is bounded by the limit that the fuzzer is run with.
//! Must not: wait, or know a socket.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::time::{Duration, Instant};
use swarm_agent::codec::engineio::Frame;
use swarm_agent::codec::session::{Action, Input, Layer, Machine, Said};
use swarm_agent::wire::fault::{Fault, FaultKind};
use swarm_agent::wire::share::{Carrier, Version};

#[derive(Debug, Arbitrary)]
struct Client<'a> {
    carrier: u8,
    three: bool,
    raw: bool,
    keep: bool,
    namespaces: u8,
    /// The server is one that opens the session properly.
    opens: bool,
    steps: Vec<Step<'a>>,
}

#[derive(Debug, Arbitrary)]
enum Step<'a> {
    Polled(&'a [u8]),
    /// One packet, in the form of a payload of its version.
    Packet(&'a str),
    Posted,
    SocketOpen,
    SocketLost,
    Frame(&'a str),
    Probed,
    Binary(&'a [u8]),
    /// ms that pass.
    Tick(u16),
    Join(&'a str),
    Part(u8),
    Emit(u8, u8, bool),
    Answer(u8, u64),
    Message(&'a str),
    Leave,
}

/// What is in flight, as a driver keeps it.
#[derive(Debug, Default)]
struct Flight {
    get: bool,
    post: bool,
    opening: bool,
    socket: bool,
    over: bool,
    written: u64,
    emitted: u64,
}

impl Flight {
    fn act(&mut self, actions: &mut Vec<Action>) {
        for action in actions.drain(..) {
            assert!(!self.over, "{action:?} after the end");
            match action {
                Action::Get => assert!(!std::mem::replace(&mut self.get, true), "two GETs in flight"),
                Action::Post(payload) => {
                    assert!(!payload.is_empty(), "an empty POST");
                    assert!(!std::mem::replace(&mut self.post, true), "two POSTs in flight");
                }
                Action::OpenSocket => assert!(!std::mem::replace(&mut self.opening, true), "opened twice"),
                Action::Send(_) => assert!(self.socket, "sent without a WebSocket"),
                Action::Upgraded => assert!(self.socket && !self.get && !self.post, "upgraded too early"),
                Action::Said(Said::Written(count)) => self.written += u64::from(count),
                Action::Fail(_) | Action::Finished => self.over = true,
                Action::CloseSocket | Action::Opened | Action::Stays(_) | Action::Ready | Action::Said(_) => {}
            }
        }
        assert!(self.written <= self.emitted, "more was written than emitted");
    }
}

fn payload(packet: &str, three: bool) -> Vec<u8> {
    if three {
        let units = packet.encode_utf16().count();
        format!("{units}:{packet}").into_bytes()
    } else {
        packet.as_bytes().to_vec()
    }
}

fuzz_target!(|client: Client<'_>| {
    let carrier = [Carrier::Websocket, Carrier::Polling, Carrier::Upgrade][usize::from(client.carrier % 3)];
    let version = if client.three { Version::Three } else { Version::Four };
    let layer = if client.raw { Layer::Raw } else { Layer::Socketio };
    let mut machine = Machine::new(carrier, version, layer);
    machine.keep_bodies(client.keep);
    let (mut flight, mut out) = (Flight::default(), Vec::new());
    let mut now = Instant::now();
    for name in &["/", "/a", "/b"][..1 + usize::from(client.namespaces % 3)] {
        machine.join(name, None, &mut out);
    }
    machine.begin(&mut out);
    flight.act(&mut out);
    if client.opens {
        let open = r#"0{"sid":"S","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":64}"#;
        if carrier == Carrier::Websocket {
            flight.socket = true;
            machine.input(Input::SocketOpen, now, &mut out);
            machine.input(Input::Frame(open), now, &mut out);
        } else {
            flight.get = false;
            machine.input(Input::Polled(&payload(open, client.three)), now, &mut out);
        }
        flight.act(&mut out);
    }
    for step in &client.steps {
        let lost = Fault::new(FaultKind::ClosedByServer, "lost");
        match step {
            Step::Polled(bytes) if flight.get => {
                flight.get = false;
                machine.input(Input::Polled(bytes), now, &mut out);
            }
            Step::Packet(packet) if flight.get => {
                flight.get = false;
                machine.input(Input::Polled(&payload(packet, client.three)), now, &mut out);
            }
            Step::Posted if flight.post => {
                flight.post = false;
                machine.input(Input::Posted, now, &mut out);
            }
            Step::SocketOpen if flight.opening && !flight.socket => {
                flight.socket = true;
                machine.input(Input::SocketOpen, now, &mut out);
            }
            Step::SocketLost if flight.opening => {
                (flight.opening, flight.socket) = (false, false);
                machine.input(Input::SocketLost(lost), now, &mut out);
            }
            Step::Frame(text) if flight.socket => machine.input(Input::Frame(text), now, &mut out),
            Step::Probed if flight.socket => machine.input(Input::Frame("3probe"), now, &mut out),
            Step::Binary(bytes) if flight.socket => machine.input(Input::Binary(bytes), now, &mut out),
            Step::Tick(ms) => {
                now += Duration::from_millis(u64::from(*ms));
                machine.input(Input::Tick, now, &mut out);
            }
            Step::Join(name) => drop(machine.join(name, Some("{}"), &mut out)),
            Step::Part(number) => machine.part(u16::from(*number % 4), &mut out),
            Step::Emit(number, attached, ack) => {
                flight.emitted += 1;
                let attachments = vec![vec![7; 3]; usize::from(attached % 3)];
                machine.emit(u16::from(*number % 4), "[\"e\"]", &attachments, *ack, &mut out);
            }
            Step::Answer(number, id) => machine.answer(u16::from(*number % 4), *id, "[]", &[], &mut out),
            Step::Message(text) => {
                flight.emitted += 1;
                machine.message(Frame::Text((*text).to_owned()), &mut out);
            }
            Step::Leave => machine.leave(&mut out),
            _ => {}
        }
        flight.act(&mut out);
        let heartbeats = machine.take_heartbeats();
        assert!(heartbeats.seen < 1 << 20 && heartbeats.missed < 1 << 20);
        // a driver waits for this: it must not lie in the past for ever
        if machine.deadline().is_some_and(|deadline| deadline <= now) {
            machine.input(Input::Tick, now, &mut out);
            flight.act(&mut out);
            assert!(machine.deadline().is_none_or(|deadline| deadline > now), "a deadline that never moves");
        }
    }
});
