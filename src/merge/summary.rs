//! The `Summary`: all reports merged, as plain values. Never here: how it is computed, how it is shown.

use super::broadcast::Broadcasts;
use super::warning::Warning;
use crate::balancer::{Affinity, Matrix};
use crate::conduct::server::Server;
use crate::watch::compare::Comparison;
use crate::watch::watched::Watched;
use std::collections::BTreeMap;
use std::net::IpAddr;
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::histogram::Histogram;
use swarm_agent::wire::observed::Span;
use swarm_agent::wire::report::{FlowRow, Latency, Tally};
use swarm_agent::wire::share::{Carrier, Load};

/// Distributions by name; a name without samples is absent.
pub type Latencies = BTreeMap<Latency, Histogram>;

/// What the whole run came to.
#[derive(Debug, Clone)]
pub struct Summary {
    /// What was run and how it ended.
    pub run: Run,
    /// The load as resolved.
    pub load: Load,
    /// What Engine.IO servers said of themselves, each answer once.
    pub servers: Vec<Server>,
    /// Hits of the plan, where the plan has a number of hits.
    pub planned: Option<u64>,
    /// All hosts together.
    pub whole: Part,
    /// What the warm-up did, in no other number.
    pub warmup: Option<Tally>,
    /// The time that the rates are taken over, us since the start instant.
    pub window: Option<(u64, u64)>,
    /// Which latency the rows by source, backend and target hold.
    pub row_latency: Latency,
    /// Answers by HTTP status, rising.
    pub statuses: Vec<(u16, u64)>,
    /// Failures, the most frequent first.
    pub errors: Vec<ErrorRow>,
    /// Hosts, in the order of the list.
    pub hosts: Vec<HostRow>,
    /// How well the hosts started together; `None` when no host sent anything.
    pub sync: Option<Sync>,
    /// Source addresses, host by host.
    pub sources: Vec<SourceRow>,
    /// Backends, by name; empty when their names are not known.
    pub backends: Vec<BackendRow>,
    /// Groups of the host file, by name.
    pub groups: Vec<GroupRow>,
    /// Targets, in the plan's order.
    pub targets: Vec<TargetRow>,
    /// Flows of the playbook and their steps, in its order; a lost host's steps have no distributions.
    pub flows: Vec<FlowRow>,
    /// Which source reached which backend.
    pub matrix: Matrix,
    /// What that says about the balancer.
    pub affinity: Affinity,
    /// What came of broadcasts, where the plan has any.
    pub broadcast: Option<Broadcasts>,
    /// What was read beside it: the balancer's statistics, metrics.
    pub watched: Option<Watched>,
    /// What the balancer counted against what swarm counted.
    pub comparison: Option<Comparison>,
    /// Second by second.
    pub timeline: Vec<Second>,
    /// What was required and what came of it. `merge` leaves it empty.
    pub requirements: Vec<Judged>,
    /// Remarks that make no doubt of the result.
    pub notes: Vec<Warning>,
    /// Doubts about the result.
    pub warnings: Vec<Warning>,
}

/// What was run and how it ended.
#[derive(Debug, Clone)]
pub struct Run {
    /// Name of the run.
    pub id: String,
    /// Wall-clock start.
    pub started_at: jiff::Timestamp,
    /// Seconds from the start instant to the last report.
    pub duration_s: f64,
    /// The command line, secrets taken out.
    pub command: String,
    /// The playbook's name, when one was named.
    pub playbook: Option<String>,
    /// The protocol.
    pub engine: Protocol,
    /// Whether clients keep the cookies that answers set.
    pub keep_cookies: bool,
    /// How it ended.
    pub status: Status,
}

/// The protocol of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// WebSocket.
    Websocket,
    /// Socket.IO, carried so.
    Socketio(Carrier),
    /// Engine.IO, carried so.
    Engineio(Carrier),
}

impl Protocol {
    /// The report's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Websocket => "websocket",
            Self::Socketio(_) => "socketio",
            Self::Engineio(_) => "engineio",
        }
    }

    /// The word of Socket.IO's or Engine.IO's carrier.
    pub fn carrier(self) -> Option<&'static str> {
        match self {
            Self::Http | Self::Websocket => None,
            Self::Socketio(Carrier::Upgrade) | Self::Engineio(Carrier::Upgrade) => Some("upgrade"),
            Self::Socketio(Carrier::Websocket) | Self::Engineio(Carrier::Websocket) => Some("websocket"),
            Self::Socketio(Carrier::Polling) | Self::Engineio(Carrier::Polling) => Some("polling"),
        }
    }
}

/// How a run ended. Where several hold, the first of this order is told, which is the order of the exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// By the user's interrupt.
    Interrupted,
    /// The sums do not add up.
    Incomplete,
    /// A host was lost after the start.
    Partial,
    /// No hit was ok; where nothing is sent, no client got through.
    Failed,
    /// As planned.
    Complete,
}

impl Status {
    /// The report's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::Incomplete => "incomplete",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Complete => "complete",
        }
    }
}

/// Counts, rates and distributions of the whole or of a part of the fleet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    /// Counters.
    pub tally: Tally,
    /// Largest number of connections open at a cut; `None` when no cut saw any although some were opened.
    pub peak: Option<u64>,
    /// Rates over the common window.
    pub rates: Rates,
    /// Distributions.
    pub latency: Latencies,
}

/// Rates per second; absent where the window holds nothing to measure by.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Hits answered.
    pub requests: Option<f64>,
    /// Connections opened: over the window for http, over the ramp for held clients.
    pub connections: Option<f64>,
    /// Messages sent.
    pub messages: Option<f64>,
}

/// One host.
#[derive(Debug, Clone)]
pub struct HostRow {
    /// As the user named it.
    pub name: String,
    /// Where it was reached.
    pub address: String,
    /// Its group.
    pub group: Option<String>,
    /// How it ended.
    pub status: HostStatus,
    /// Cores it may use.
    pub cores: Option<u32>,
    /// Bound of its clock's error, us, rounded up.
    pub clock_error_us: Option<u64>,
    /// First send against the start instant, us.
    pub start_offset_us: Option<i64>,
    /// Share of CPU in use.
    pub cpu_busy: Option<f64>,
    /// Share of CPU taken by the hypervisor.
    pub cpu_steal: Option<f64>,
    /// 99th percentile of lateness, us.
    pub late_p99_us: Option<u64>,
    /// Whether the host, not the target, was the bottleneck; `None` when nothing tells.
    pub generator_bound: Option<bool>,
    /// Hits planned for it.
    pub planned: Option<u64>,
    /// Its numbers.
    pub part: Part,
}

/// How one host ended.
#[derive(Debug, Clone, PartialEq)]
pub enum HostStatus {
    /// Its final report came.
    Reported,
    /// It went missing; what it did is known until so many us after the start.
    Lost {
        /// Cause.
        why: String,
        /// End of the last interval that came.
        known_until_us: u64,
    },
    /// It never started.
    Refused {
        /// Cause.
        why: String,
    },
}

impl HostStatus {
    /// The report's word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Lost { .. } => "lost",
            Self::Refused { .. } => "refused",
        }
    }
}

/// How well the hosts started together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sync {
    /// Latest less earliest start, each host's start being the start instant plus its start offset.
    pub start_skew_us: u64,
    /// The true skew differs from it by at most this: the two largest clock bounds together. `None` when a clock was
    /// not measured.
    pub start_skew_bound_us: Option<u64>,
    /// Largest clock bound of all hosts.
    pub clock_error_us: Option<u64>,
}

/// Failures of one kind and detail.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorRow {
    /// Kind.
    pub kind: FaultKind,
    /// Detail.
    pub detail: String,
    /// How many.
    pub count: u64,
    /// The first, us since the start instant.
    pub first_at_us: u64,
    /// The three earliest that are known whole.
    pub examples: Vec<ExampleRow>,
}

/// One failure, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleRow {
    /// us since the start instant.
    pub at_us: u64,
    /// Host it happened on.
    pub host: String,
    /// Local address.
    pub source: Option<IpAddr>,
    /// Backend.
    pub backend: Option<String>,
    /// HTTP status.
    pub status: Option<u16>,
    /// What the server said, as text.
    pub body: String,
}

/// One source address of one host.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceRow {
    /// Host.
    pub host: String,
    /// Local address.
    pub address: IpAddr,
    /// Clients, or TCP connections for http.
    pub connections: u64,
    /// Hits answered.
    pub requests: u64,
    /// Failures.
    pub errors: u64,
    /// Clients (held) or answered hits (http) by backend, by name.
    pub backends: Vec<(String, u64)>,
    /// When it met each of them, by name.
    pub spans: Vec<Span>,
    /// The addresses that it was seen as, rising.
    pub seen_as: Vec<IpAddr>,
    /// Of the summary's `row_latency`; empty for a lost host.
    pub latency: Histogram,
}

/// One backend.
#[derive(Debug, Clone, PartialEq)]
pub struct BackendRow {
    /// Name.
    pub name: String,
    /// Clients that stood on it; for http TCP connections whose first answer it gave.
    pub connections: u64,
    /// Connections lost on it.
    pub dropped: u64,
    /// Hits it answered.
    pub requests: u64,
    /// Failed hits, connections it refused, connections lost on it.
    pub errors: u64,
    /// HTTP requests of its clients that poll.
    pub polls: u64,
    /// Its share of all clients (held) or hits (http) whose backend is known, 0 to 1.
    pub share: Option<f64>,
    /// Of the summary's `row_latency`; empty for a lost host.
    pub latency: Histogram,
}

/// One group of hosts.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupRow {
    /// Name.
    pub name: String,
    /// Hosts in it.
    pub hosts: u64,
    /// Their numbers.
    pub part: Part,
}

/// One target.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetRow {
    /// As the plan names it.
    pub url: String,
    /// Hits answered.
    pub requests: u64,
    /// Failed hits and connections.
    pub errors: u64,
    /// Connections opened, by address.
    pub addresses: Vec<(IpAddr, u64)>,
    /// Of the summary's `row_latency`; empty for a lost host.
    pub latency: Histogram,
}

/// One second of all hosts together.
#[derive(Debug, Clone, PartialEq)]
pub struct Second {
    /// Its end: the latest cut of its number, us since the start instant.
    pub at_us: u64,
    /// Hits answered.
    pub requests: u64,
    /// Failures of hits and connections.
    pub errors: u64,
    /// Connections open at its end.
    pub connections: u64,
    /// Messages sent.
    pub messages: u64,
    /// Hosts that had a cut of this number.
    pub hosts: u64,
    /// Median of the main latency, us.
    pub p50: Option<u64>,
    /// 99th percentile, us.
    pub p99: Option<u64>,
}

/// One requirement and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// As typed.
    pub expr: String,
    /// What it means in full, `request.p99`.
    pub name: Option<String>,
    /// The number, in the report's units (us for times, 0 to 1 for shares); `None`: not measured.
    pub value: Option<f64>,
    /// The same for a reader: `231 ms`, or why there is none.
    pub shown: String,
    /// Whether it holds.
    pub passed: bool,
}

impl Summary {
    /// The merged distribution of that name; `None` when nothing was recorded.
    pub fn latency(&self, name: Latency) -> Option<&Histogram> {
        self.whole.latency.get(&name).filter(|h| h.count > 0)
    }
}
