//! The messages of a link, in the order in which they usually come.

use super::report::{Interval, Report};
use super::share::{Share, Version};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// From the controller to an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToAgent {
    /// Answered at once by [`FromAgent::Pong`]; also the sign of life.
    Ping {
        /// Comes back in the pong.
        seq: u32,
    },
    /// What to do. A second one before the start replaces the first.
    Share(Box<Share>),
    /// Begin at this instant of the agent's monotonic clock (ns).
    Start {
        /// ns.
        at: u64,
        /// What the clocks of two hosts may differ by at that instant once each is set by its start, ns. It grows with the
        /// time ([`super::broadcast::error_at`]); 0 for one host alone.
        clock_error: u64,
    },
    /// No new hits; finish what is in flight within the grace period and report.
    Drain,
    /// Leave.
    Bye,
    /// About a command to run, instead of a share.
    Exec(super::exec::ToExec),
    /// Something to look at, instead of a share.
    Look(Box<super::look::Look>),
}

/// From an agent to the controller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromAgent {
    /// The first message.
    Hello(Box<Hello>),
    /// The answer to a ping.
    Pong {
        /// Of the ping.
        seq: u32,
        /// Agent's monotonic clock when the ping was read (ns).
        received: u64,
        /// The same when this pong was handed to the stream (ns).
        sent: u64,
    },
    /// Ready to start.
    Armed(Box<Armed>),
    /// Cannot do its share; nothing was started.
    Refused {
        /// Why, and the way out.
        reason: String,
    },
    /// One second of the run.
    Interval(Box<Interval>),
    /// The whole run.
    Report(Box<Report>),
    /// A line of `--trace-one`.
    Trace {
        /// us since the start instant.
        at_us: u64,
        /// What was sent or received.
        line: String,
    },
    /// About a command that was run.
    Exec(super::exec::FromExec),
    /// What was looked at.
    Saw(Box<super::look::Saw>),
}

/// Who the agent is and what its host offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`super::BUILD_ID`] of the agent.
    pub build: String,
    /// Process id on the host.
    pub pid: u32,
    /// CPU cores it may use.
    pub cores: u32,
    /// Memory free for use, bytes; 0 when unknown.
    pub memory: u64,
    /// File descriptors it may open, after raising the soft limit.
    pub files: u64,
    /// First and last ephemeral port.
    pub ports: (u16, u16),
    /// Interfaces that are up and their addresses; a loopback address stands for all of 127.0.0.0/8.
    pub interfaces: Vec<(String, IpAddr)>,
}

/// What the agent found out while getting ready.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Armed {
    /// [`Share::round`] of the share.
    pub round: u32,
    /// Addresses of each target, in the order of the share's targets.
    pub resolved: Vec<Vec<IpAddr>>,
    /// Doubts, as sentences.
    pub warnings: Vec<String>,
    /// Addresses of the share's sources that the agent does not connect from.
    pub dropped: Vec<DroppedSource>,
    /// What Engine.IO targets said of themselves, by target; empty where none was asked.
    pub seen: Vec<Option<EngineioSeen>>,
}

/// What an Engine.IO server says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineioSeen {
    /// Version of the protocol.
    pub version: Version,
    /// It lets clients poll. Where clients won't, nobody asked.
    pub polling: bool,
    /// It lets clients change to a WebSocket, or begin with one.
    pub websocket: bool,
    /// ms.
    pub ping_interval_ms: u64,
    /// ms.
    pub ping_timeout_ms: u64,
    /// Bytes that a payload may have.
    pub max_payload: Option<u64>,
}

/// A source address without a path to a target, while another source of the same host has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedSource {
    /// The source.
    pub source: IpAddr,
    /// The target that was tried, as its place in the share.
    pub target: u16,
    /// Where it was tried.
    pub address: SocketAddr,
    /// What came of it.
    pub why: NoPath,
}

/// Why there is no path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoPath {
    /// No answer.
    Silent {
        /// ms that were waited.
        after_ms: u32,
    },
    /// The network said that there is none: the errno's text.
    Unreachable(String),
    /// The host itself cannot connect from this address: the errno's text.
    Unusable(String),
}

impl std::fmt::Display for NoPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent { after_ms } => write!(f, "no answer within {:.1} s", f64::from(*after_ms) / 1e3),
            Self::Unreachable(said) => write!(f, "unreachable: {said}"),
            Self::Unusable(said) => write!(f, "the host cannot connect from it: {said}"),
        }
    }
}
