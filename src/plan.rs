//! A `Plan`: what the whole run is to do, validated, before any host is touched.
//!
//! It is made by `cli::attack` from flags and cut into [`Share`](swarm_agent::wire::share::Share)s by `split`. Targets,
//! engine, load and limits are the wire's own types, in numbers of the whole. Never here: I/O.

use crate::balancer::Balancer;
use crate::requirement::Requirement;
use crate::watch::Watch;
use ipnet::IpNet;
use std::net::IpAddr;
use swarm_agent::wire::flow::Program;
use swarm_agent::wire::share::{BackendFrom, Broadcast, Engine, Limits, Load, Request, SeenFrom, Target, Tls};

/// What the whole run is to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Names the run: 12 characters, time-ordered.
    pub run: String,
    /// The command line as typed, secrets taken out.
    pub command: String,
    /// What is hit.
    pub targets: Vec<Target>,
    /// The protocol and what is said in it.
    pub engine: Engine,
    /// How much, how fast, how long.
    pub load: Load,
    /// What clients do step by step, when a playbook says it. Its rows are those of all clients, by client number.
    pub program: Option<Box<Program>>,
    /// The playbook's name, when one was named.
    pub playbook: Option<String>,
    /// Events that all clients listen for.
    pub broadcast: Option<Broadcast>,
    /// Headers and cookies of every request.
    pub request: Request,
    /// TLS settings.
    pub tls: Tls,
    /// Where the backend's name is found.
    pub backend_from: BackendFrom,
    /// What the user said of the balancer in front: its rule and its servers.
    pub balancer: Option<Balancer>,
    /// Where an answer tells the address that it was asked from.
    pub seen_from: Option<SeenFrom>,
    /// Time limits.
    pub limits: Limits,
    /// Local addresses to connect from.
    pub sources: Vec<SourceRange>,
    /// How many hosts must be armed.
    pub min_hosts: MinHosts,
    /// What the result must satisfy.
    pub requirements: Vec<Requirement>,
    /// What is read beside the run.
    pub watch: Watch,
    /// Any warning fails the run.
    pub strict: bool,
    /// Print every packet of one client.
    pub trace: bool,
    /// The defaults that filled what was not said, as `-c 50`.
    pub defaults: Vec<String>,
}

/// Addresses to connect from, as `--source-ips` named them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceRange {
    /// One address.
    One(IpAddr),
    /// A network.
    Net(IpNet),
    /// From the first to the last, both included.
    Range(IpAddr, IpAddr),
    /// Every address of this interface.
    Interface(String),
}

/// `--min-hosts`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinHosts {
    /// So many.
    Count(usize),
    /// This share of them, in percent.
    Percent(f64),
}

impl MinHosts {
    /// How many of `asked` hosts are needed, at least one.
    pub fn of(self, asked: usize) -> usize {
        match self {
            Self::Count(n) => n.max(1),
            Self::Percent(share) => ((asked as f64 * share / 100.0).ceil() as usize).max(1),
        }
    }
}
