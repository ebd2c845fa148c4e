//! What a host measured: second by second while it runs, and as a whole at its end.
//!
//! Counters of an [`Interval`] are cumulative since the start, its histograms hold that interval alone. The final
//! [`Report`] comes from recorders of its own, so that the controller can prove that the intervals add up to it.

use super::broadcast::Casts;
use super::fault::FaultKind;
use super::histogram::Histogram;
use super::observed::{Departure, Span, Strays};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Which latency a histogram holds; its word is the report's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Latency {
    /// Ok hits from when they were due (open loop only).
    Request,
    /// Ok hits from when they were sent.
    Service,
    /// Failed hits, from due in an open loop, else from sent.
    RequestFailed,
    /// Look-up of a target's name, while arming or with `--resolve-every`. An address literal has none.
    Dns,
    /// TCP connect.
    Connect,
    /// TLS handshake.
    Tls,
    /// Engine.IO: from the connected stream to the open packet.
    Open,
    /// Engine.IO: from the open packet of polling until the WebSocket has taken over.
    Upgrade,
    /// Socket.IO: from the open packet until the namespace is entered; of a further namespace, from asking for it.
    Namespace,
    /// WebSocket upgrade or Engine.IO open and namespace connect, from the connected stream on.
    Handshake,
    /// Message to echo or expected event.
    Message,
    /// Emit to acknowledgement.
    Ack,
    /// From an emit of one client until another one hears it.
    Broadcast,
    /// From a lost connection until its client stands again.
    Reconnect,
    /// How long after its due time a hit was sent.
    Lateness,
}

impl Latency {
    /// Every latency, in the order of the report and of the variants.
    pub const ALL: [Latency; 15] = [
        Latency::Request,
        Latency::Service,
        Latency::RequestFailed,
        Latency::Dns,
        Latency::Connect,
        Latency::Tls,
        Latency::Open,
        Latency::Upgrade,
        Latency::Namespace,
        Latency::Handshake,
        Latency::Message,
        Latency::Ack,
        Latency::Broadcast,
        Latency::Reconnect,
        Latency::Lateness,
    ];

    /// The report's name of it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Service => "service",
            Self::RequestFailed => "request_failed",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Open => "open",
            Self::Upgrade => "upgrade",
            Self::Namespace => "namespace",
            Self::Handshake => "handshake",
            Self::Message => "message",
            Self::Ack => "ack",
            Self::Broadcast => "broadcast",
            Self::Reconnect => "reconnect",
            Self::Lateness => "lateness",
        }
    }
}

/// Counters, cumulative. For websocket and socketio a request is one message or emit; connects count only under
/// `connections`; a held poll is no request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Hits sent.
    pub requests: u64,
    /// Hits answered well.
    pub ok: u64,
    /// Hits that failed.
    pub failed: u64,
    /// Hits in flight: at the end those that the grace period did not see answered.
    pub unfinished: u64,
    /// Hits that were planned and never sent (known at the end).
    pub not_started: u64,
    /// Hits sent more than 1 ms after they were due.
    pub late: u64,
    /// Bytes written to sockets, before TLS.
    pub bytes_sent: u64,
    /// Bytes read from sockets, after TLS.
    pub bytes_received: u64,
    /// Connections: for websocket and socketio clients, for http TCP connections.
    pub connections: Connections,
    /// Messages of persistent connections.
    pub messages: Messages,
    /// Heartbeats of Engine.IO sessions.
    pub heartbeats: Heartbeats,
    /// Clients that stayed on polling, as the WebSocket that they asked for was refused.
    pub stayed_polling: u64,
}

/// Heartbeat counters of Engine.IO sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeats {
    /// The server's pings (Engine.IO 4), or its answers to ours (3).
    pub seen: u64,
    /// No ping within pingInterval + pingTimeout (4), no answer to ours within pingTimeout (3).
    pub missed: u64,
}

/// Connection counters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Tried.
    pub attempted: u64,
    /// Fully opened, handshake included.
    pub opened: u64,
    /// Failed to open.
    pub failed: u64,
    /// Neither yet.
    pub unfinished: u64,
    /// Lost after opening, not closed by us.
    pub dropped: u64,
    /// Dropped by us in a storm, without farewell.
    pub stormed: u64,
    /// Lost or dropped in a storm, and standing again.
    pub reconnected: u64,
    /// Lost for good, where clients come back at all.
    pub gave_up: u64,
    /// Lost and still on the way back when their time was over.
    pub away: u64,
    /// Open now.
    pub open: u64,
}

/// Message counters of persistent connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Messages or emits sent.
    pub sent: u64,
    /// Messages or events received, acknowledgements not among them.
    pub received: u64,
    /// Sent with an answer expected (ack, echo, event).
    pub expected: u64,
    /// Answers that came.
    pub acked: u64,
    /// Answers that did not come in time, or whose connection went.
    pub lost: u64,
    /// Answers not yet decided.
    pub unfinished: u64,
}

/// Failures of one kind and detail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultRow {
    /// Kind.
    pub kind: FaultKind,
    /// Detail.
    pub detail: String,
    /// How many.
    pub count: u64,
    /// The first, us since the start instant.
    pub first_at_us: u64,
    /// Up to three, whole.
    pub examples: Vec<Example>,
}

/// One failure, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// us since the start instant.
    pub at_us: u64,
    /// Local address.
    pub source: Option<IpAddr>,
    /// Backend, when the answer named one.
    pub backend: Option<String>,
    /// HTTP status, when one came.
    pub status: Option<u16>,
    /// First 512 bytes of what the server said.
    #[serde(with = "serde_bytes")]
    pub excerpt: Vec<u8>,
}

/// What one source address did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRow {
    /// Local address.
    pub address: IpAddr,
    /// Clients (websocket, socketio) or TCP connections (http) opened from it.
    pub connections: u64,
    /// Hits answered, ok or failed.
    pub requests: u64,
    /// Failures of connections and hits.
    pub errors: u64,
    /// Clients (websocket, socketio) or answered hits (http) by backend name.
    pub backends: Vec<(String, u64)>,
    /// When it met each of these backends.
    pub spans: Vec<Span>,
    /// The addresses that its connections were seen as by the other side, as far as they are kept.
    pub seen_as: Vec<IpAddr>,
    /// `request` in an open loop, else `service`, else `handshake`. Empty in intervals.
    pub latency: Histogram,
}

/// What one backend did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackendRow {
    /// Name, as the answer gave it.
    pub name: String,
    /// Clients that stood on it; for http TCP connections whose first answer it gave.
    pub connections: u64,
    /// Connections that were lost on it.
    pub dropped: u64,
    /// Hits it answered.
    pub requests: u64,
    /// Failed hits, connections it refused, connections lost on it.
    pub errors: u64,
    /// HTTP requests of its clients that poll: polls and posts, the handshake's among them.
    pub polls: u64,
    /// As [`SourceRow::latency`]. Empty in intervals.
    pub latency: Histogram,
}

/// What one target did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetRow {
    /// Hits answered.
    pub requests: u64,
    /// Failed ones of them, and failed connections.
    pub errors: u64,
    /// Connections opened, by address.
    pub addresses: Vec<(IpAddr, u64)>,
    /// As [`SourceRow::latency`]. Empty in intervals.
    pub latency: Histogram,
}

/// What the clients of one flow of a playbook did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowRow {
    /// As the playbook names it.
    pub name: String,
    /// Clients that began it; those that came back to it are counted once.
    pub clients: u64,
    /// Its steps that can fail, in order; those inside others after them, what hooks of a script said at the end.
    pub steps: Vec<StepRow>,
}

/// What one step of a flow did. Over all flows those that connect add up to the connections, all others to the hits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepRow {
    /// As the playbook names it.
    pub label: String,
    /// It opens connections.
    pub connects: bool,
    /// Hits, or connections tried.
    pub requests: u64,
    /// That went well.
    pub ok: u64,
    /// That failed.
    pub failed: u64,
    /// That are not decided.
    pub unfinished: u64,
    /// Of those that went well: from the due time where there is one, else from when it was sent; of a connection from the
    /// try until it stood. Empty in intervals.
    pub latency: Histogram,
}

/// Everything counted so far: rows are cumulative.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Counters.
    pub tally: Tally,
    /// Answers by HTTP status.
    pub statuses: Vec<(u16, u64)>,
    /// Failures.
    pub faults: Vec<FaultRow>,
    /// By source address.
    pub sources: Vec<SourceRow>,
    /// By backend.
    pub backends: Vec<BackendRow>,
    /// By target, in the share's order.
    pub targets: Vec<TargetRow>,
    /// Where the backend names were found: `header:x-backend`.
    pub backend_by: Vec<String>,
    /// Answers whose backend name was not kept, as there were more than 64.
    pub backend_overflow: u64,
    /// Redirect answers that were not followed, and the first Location seen.
    pub redirected: u64,
    /// The first Location seen.
    pub location: Option<String>,
    /// Why the first of the clients that stayed on polling did.
    pub stayed: Option<String>,
    /// By flow of the playbook, in its order.
    pub flows: Vec<FlowRow>,
    /// Sessions that were seen on more than one backend.
    pub strays: Strays,
    /// Who was lost where, and is where now (held clients).
    pub departures: Vec<Departure>,
}

/// One second of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// From 0, without gaps.
    pub seq: u32,
    /// Its end, us since the start instant.
    pub at_us: u64,
    /// Cumulative counts; rows without histograms.
    pub counts: Counts,
    /// Samples of this interval alone.
    pub latency: Vec<(Latency, Histogram)>,
    /// Share of the host's CPU in use, 0 to 1, over this interval; `None` where it cannot be known.
    pub cpu_busy: Option<f32>,
}

/// The whole run of one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Sequence number of the last interval sent, `None` when there was none.
    pub last_seq: Option<u32>,
    /// First send minus that hit's own due instant (the start instant in a closed loop), ns. `None`: nothing was sent.
    pub start_offset: Option<i64>,
    /// End of load, us since the start instant.
    pub ended_us: u64,
    /// Whole-run counts, rows with histograms.
    pub counts: Counts,
    /// Whole-run samples.
    pub latency: Vec<(Latency, Histogram)>,
    /// What the warm-up did, in no other number.
    pub warmup: Option<Tally>,
    /// What is known of broadcasts, where there are any.
    pub casts: Option<Box<Casts>>,
    /// Share of the host's CPU in use over the run, 0 to 1.
    pub cpu_busy: Option<f32>,
    /// Share of CPU time that the hypervisor took away.
    pub cpu_steal: Option<f32>,
}
