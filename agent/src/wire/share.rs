//! One host's exact part of a plan, as it is sent to the agent.
//!
//! Numbers are those of the **whole** plan; which of them are this host's follows from [`Deal`]: number n (a hit, a
//! client) belongs to the host that owns slot `n mod slots`. So all shares add up to the plan, remainders included.
//! Durations are whole nanoseconds, rates whole microhertz (1/s = 1,000,000).

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A rate of one per second, in the wire's unit.
pub const PER_SECOND: u64 = 1_000_000;

/// One host's part of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Names the run; goes into `X-Swarm-Run`.
    pub run: String,
    /// Counts the shares that this agent was given; its answer names the one that it is about.
    pub round: u32,
    /// Place of this host among the armed hosts, from 0.
    pub host_index: u32,
    /// Armed hosts.
    pub hosts: u32,
    /// Which hit and client numbers are this host's.
    pub deal: Deal,
    /// What is hit; clients and hits take them in turn by weight.
    pub targets: Vec<Target>,
    /// The protocol and what is said in it.
    pub engine: Engine,
    /// How much, how fast, how long.
    pub load: Load,
    /// What clients do step by step, when a playbook says it; the load is then [`Load::Held`] without a cadence.
    pub program: Option<Box<super::flow::Program>>,
    /// Events that all clients listen for.
    pub broadcast: Option<Broadcast>,
    /// What all engines share about connecting and requesting.
    pub request: Request,
    /// TLS settings for targets that use it.
    pub tls: Tls,
    /// Local addresses to connect from, in turn. Empty: whatever the host's routes choose.
    pub sources: Vec<IpAddr>,
    /// Whether the user agreed to load beyond this machine and private networks.
    pub consent: Consent,
    /// Where the backend's name is found in an answer.
    pub backend_from: BackendFrom,
    /// Where an answer tells the address that it was asked from.
    pub seen_from: Option<SeenFrom>,
    /// Time limits.
    pub limits: Limits,
    /// Print every packet of one client ([`super::message::FromAgent::Trace`]).
    pub trace: bool,
}

/// Whether the user agreed to the plan's public targets. What a name stands for on the hosts is judged by the controller
/// once they are armed; until then an agent knows only this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consent {
    /// Any address of the targets may be connected to while arming.
    Given,
    /// While arming only loopback, private and link-local addresses may be connected to.
    Missing,
}

/// Deals numbers out to hosts: `n` is this host's when `n mod slots` is in `mine`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deal {
    /// Slots of this host, rising. A host of weight 2 owns two.
    pub mine: Vec<u32>,
    /// Slots of all hosts together.
    pub slots: u32,
}

impl Deal {
    /// How many of the numbers `0..whole` are this host's.
    pub fn count(&self, whole: u64) -> u64 {
        let slots = u64::from(self.slots);
        let full = whole / slots;
        let rest = whole % slots;
        self.mine
            .iter()
            .map(|slot| full + u64::from(u64::from(*slot) < rest))
            .sum()
    }

    /// The k-th number of this host, k from 0.
    pub fn number(&self, k: u64) -> u64 {
        let own = self.mine.len() as u64;
        let slot = self.mine[usize::try_from(k % own).expect("an index below a vector's length")];
        (k / own) * u64::from(self.slots) + u64::from(slot)
    }
}

impl Deal {
    /// Which of this host's numbers n is: the k of [`Deal::number`]; `None` when it is another host's.
    pub fn place(&self, n: u64) -> Option<u64> {
        let slots = u64::from(self.slots).max(1);
        let slot = self.mine.iter().position(|slot| u64::from(*slot) == n % slots)?;
        Some(n / slots * self.mine.len() as u64 + slot as u64)
    }
}

/// Where a hit goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// As the user named it, without user-info: the report's name of it.
    pub url: String,
    /// TLS or plain.
    pub tls: bool,
    /// Host name or address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query of the request line.
    pub path: String,
    /// What goes into `Host`.
    pub authority: String,
    /// Its part among the targets.
    pub weight: u32,
    /// `--connect-to`: connect to this host or address and port instead.
    pub connect_to: Option<(String, u16)>,
    /// What the controller resolved, for hosts without a resolver of their own.
    pub fallback: Vec<IpAddr>,
}

impl Target {
    /// The port that connections go to.
    pub fn dialed_port(&self) -> u16 {
        self.connect_to.as_ref().map_or(self.port, |(_, port)| *port)
    }
}

/// The engine and what its steps say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Engine {
    /// HTTP/1.1 (RFC 9112).
    Http(Http),
    /// WebSocket (RFC 6455).
    Websocket(Websocket),
    /// Socket.IO protocol 5 over Engine.IO protocol 4, or 4 over 3.
    Socketio(Socketio),
    /// Engine.IO protocol 3 or 4 without Socket.IO in it.
    Engineio(Engineio),
}

/// What the HTTP engine sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Http {
    /// Request method, upper case.
    pub method: String,
    /// Body, or none.
    #[serde(with = "serde_bytes")]
    pub body: Option<Vec<u8>>,
    /// Keep connections open between hits.
    pub keepalive: bool,
    /// Close a connection after so many hits.
    pub requests_per_connection: Option<u64>,
    /// Close a connection after so long (ns), between hits.
    pub connection_life: Option<u64>,
    /// Redirects that one hit follows at most.
    pub redirects: u32,
    /// Statuses that count as ok, as inclusive ranges.
    pub ok: Vec<(u16, u16)>,
}

/// What the WebSocket engine sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Websocket {
    /// `Sec-WebSocket-Protocol`, or none.
    pub subprotocol: Option<String>,
    /// The message of each client, or none: connections are only held.
    #[serde(with = "serde_bytes")]
    pub message: Option<Vec<u8>>,
    /// Send it as a binary frame.
    pub binary: bool,
    /// Wait for the next message from the server and time it.
    pub echo: bool,
}

/// A version of the Engine.IO protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// Of Socket.IO servers 1 and 2.
    Three,
    /// Of Socket.IO servers 3 and later.
    Four,
}

impl Version {
    /// As the query says it: `EIO=4`.
    pub fn number(self) -> u8 {
        match self {
            Self::Three => 3,
            Self::Four => 4,
        }
    }
}

/// `--eio`: which version is spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Eio {
    /// What the target speaks; the agent finds out while arming. Until then, and where it cannot: 4.
    #[default]
    Auto,
    /// This one.
    Fixed(Version),
    /// What the agent found, by target. It is never sent.
    Found(Vec<Version>),
}

impl Eio {
    /// The version that clients of a target speak.
    pub fn version(&self, target: u16) -> Version {
        match self {
            Self::Auto => Version::Four,
            Self::Fixed(version) => *version,
            Self::Found(versions) => versions.get(usize::from(target)).copied().unwrap_or(Version::Four),
        }
    }
}

/// How Socket.IO is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carrier {
    /// Polling, then a probe and the change to WebSocket, as the real client does.
    Upgrade,
    /// WebSocket from the start.
    Websocket,
    /// Long polling only.
    Polling,
}

/// What the Socket.IO engine sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Socketio {
    /// The carrier.
    pub carrier: Carrier,
    /// Path of the Engine.IO endpoint, `/socket.io/`.
    pub path: String,
    /// Namespace, `/` or `/chat`.
    pub namespace: String,
    /// Query parameters beside EIO, transport and sid, already percent-encoded as `k=v`.
    pub query: Vec<String>,
    /// Auth payload of CONNECT as JSON text.
    pub auth: Option<String>,
    /// Events to emit, in turn, each a JSON array text `["event",arg...]`.
    pub emits: Vec<String>,
    /// Ask for an acknowledgement and time it.
    pub ack: bool,
    /// Wait for this event after an emit and time it.
    pub expect: Option<String>,
    /// Version of the Engine.IO protocol.
    pub version: Eio,
}

/// What the Engine.IO engine sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Engineio {
    /// The carrier.
    pub carrier: Carrier,
    /// Path of the endpoint, `/engine.io/`.
    pub path: String,
    /// Query parameters beside EIO, transport and sid, already percent-encoded as `k=v`.
    pub query: Vec<String>,
    /// The message of each client, or none: connections are only held.
    #[serde(with = "serde_bytes")]
    pub message: Option<Vec<u8>>,
    /// Send it as a binary message.
    pub binary: bool,
    /// Wait for the next message from the server and time it.
    pub echo: bool,
    /// Version of the protocol.
    pub version: Eio,
}

impl Engine {
    /// Carrier and version, where the engine is Socket.IO or Engine.IO.
    pub fn engineio(&self) -> Option<(Carrier, &Eio)> {
        match self {
            Self::Socketio(socketio) => Some((socketio.carrier, &socketio.version)),
            Self::Engineio(engineio) => Some((engineio.carrier, &engineio.version)),
            Self::Http(_) | Self::Websocket(_) => None,
        }
    }
}

/// What all engines put into their requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Headers in order, `User-Agent` and `X-Swarm-Run` among them, `Host`, `Connection` and `Content-Length` not.
    pub headers: Vec<(String, String)>,
    /// `name=value` cookies that every client starts with, as one header value.
    pub cookie: Option<String>,
    /// Keep the cookies that answers set, per client.
    pub keep_cookies: bool,
}

/// TLS settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tls {
    /// Accept any certificate.
    pub insecure: bool,
    /// More trust roots, PEM.
    #[serde(with = "serde_bytes")]
    pub roots: Option<Vec<u8>>,
    /// Client certificate chain, PEM.
    #[serde(with = "serde_bytes")]
    pub certificate: Option<Vec<u8>>,
    /// Its key, PEM.
    #[serde(with = "serde_bytes")]
    pub key: Option<Vec<u8>>,
    /// Server name to ask for and to verify instead of the URL's host.
    pub sni: Option<String>,
}

/// Where the backend's name is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackendFrom {
    /// The first of the usual headers and cookies that an answer has ([`USUAL_HEADERS`], [`USUAL_COOKIES`]).
    Usual,
    /// This response header, lower case.
    Header(String),
    /// This cookie, set by the answer.
    Cookie(String),
    /// At this JSON pointer in the body: of an http answer, or of the answer that opens an Engine.IO session by polling.
    Body(String),
    /// In what the server says first.
    Said(SaidFirst),
}

/// What a server says of itself once a client is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidFirst {
    /// The event of Socket.IO whose first argument says it; `None`: a message of raw WebSocket or Engine.IO.
    pub event: Option<String>,
    /// The place in it, a JSON pointer; `None`: all of it.
    pub pointer: Option<String>,
}

/// Where an answer tells the address that it was asked from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeenFrom {
    /// This response header, lower case.
    Header(String),
    /// At this JSON pointer in the body: of an http answer, or of the answer that opens an Engine.IO session by polling.
    Body(String),
}

/// Response headers that usually name the backend, in order of preference.
pub const USUAL_HEADERS: &[&str] = &[
    "x-backend",
    "x-backend-server",
    "x-served-by",
    "x-server",
    "x-upstream",
    "x-server-id",
    "x-instance-id",
];
/// Cookies that usually name the backend. `AWSALB` is not among them: its value changes with every answer.
pub const USUAL_COOKIES: &[&str] = &["SERVERID", "SRV", "SRVNAME", "BACKEND", "ROUTEID"];

/// Time limits, ns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Name, TCP, TLS and handshake together.
    pub connect: u64,
    /// One hit.
    pub hit: u64,
    /// One acknowledgement.
    pub ack: u64,
    /// After the last hit, for what is in flight.
    pub grace: u64,
    /// An agent that hears nothing for so long stops.
    pub silence: u64,
    /// Resolve names again after so long; `None`: once.
    pub resolve_every: Option<u64>,
}

/// How much load, when. All instants count from the start instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Load {
    /// Each connection sends its next hit when the last one was answered (http).
    Closed(Closed),
    /// Hits are due by the clock (http).
    Open(Open),
    /// Clients connect, stay and close (websocket, socketio).
    Held(Held),
}

/// A closed loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Closed {
    /// Connections, and when each of them works.
    pub connections: Level,
    /// Stop after so many hits.
    pub requests: Option<u64>,
    /// Stop after so long (ns), counted from the end of the warm-up.
    pub duration: Option<u64>,
    /// Unmeasured load before (ns).
    pub warmup: u64,
}

/// An open loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// When hit n is due.
    pub schedule: Schedule,
    /// Stop after so many hits.
    pub requests: Option<u64>,
    /// Connections at most, all hosts together.
    pub connections: u64,
    /// Unmeasured load before (ns), at the schedule's first rate; the schedule counts from its end.
    pub warmup: u64,
}

/// Held clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Clients, and when each of them opens and closes.
    pub clients: Level,
    /// All close at this instant (ns), the same on all hosts.
    pub end: u64,
    /// What each client says, or nothing.
    pub cadence: Option<Cadence>,
    /// Stop after so many messages.
    pub requests: Option<u64>,
    /// A client that is lost comes back.
    pub reconnect: Option<BackOff>,
    /// At each of these instants (ns) all clients drop their connections at once, and come back.
    pub storms: Vec<u64>,
}

/// How a lost client comes back, as socket.io-client does: attempt n (from 0) is made after `least * 2^n`, made longer or
/// shorter at random by up to `jitter` of it, and then at most after `most`. Attempts are counted anew when it stands again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackOff {
    /// ns.
    pub least: u64,
    /// ns.
    pub most: u64,
    /// Thousandths.
    pub jitter: u32,
    /// Then it stays lost; `None`: never.
    pub attempts: Option<u32>,
}

/// What is measured of broadcasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broadcast {
    /// The event by which it reaches the listeners.
    pub event: String,
    /// Without a playbook only client numbers that are 0 modulo this emit.
    pub one_in: u64,
    /// Emits carry a stamp: receipts can be told apart and timed. Else only the number of receipts is known.
    pub stamped: bool,
}

/// When messages are due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Cadence {
    /// Once, after connecting.
    Once,
    /// Repeated per client (ns), from its own opening, phases spread evenly over the clients.
    Every(u64),
    /// A rate in total, laid out for the whole swarm; message n goes to the next open client.
    Total(Schedule),
}

/// Due times from rates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Ramps and plateaus, one after the other.
    pub stages: Vec<Stage>,
}

/// One ramp (or plateau, when both rates are equal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its length, ns.
    pub duration: u64,
    /// Rate at its start, uHz; with [`Level::Stages`] a number of connections instead.
    pub from: u64,
    /// Rate at its end.
    pub to: u64,
}

/// How many connections there are, and when number n opens and closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// `count` connections; number n opens at n / rate, or all at once.
    Ramp {
        /// Connections of the whole.
        count: u64,
        /// uHz; `None`: at once.
        rate: Option<u64>,
    },
    /// The number of connections follows these stages ([`Stage::from`] and `to` are connections).
    Stages(Vec<Stage>),
}
