//! Owns: what a fault is: a healthy balancer, one edit that breaks it, what `swarm check` must say, and what of its advice
//! heals it. Must not: hold the faults themselves (`faults`), or run anything.

use super::balancer::{Balancer, Edit, edited};
use super::names::{ADDRESS, NAME};
use crate::Result;
use crate::server::SOCKETIO;

pub struct Fault {
    pub name: &'static str,
    /// For people: what is wrong.
    pub what: &'static str,
    pub balancer: Balancer,
    pub servers: &'static [(&'static str, u16)],
    /// What makes the healthy balancer a faulty one.
    pub edits: &'static [Edit],
    /// Where the name leads.
    pub addresses: &'static [&'static str],
    /// The name that is asked for.
    pub asked: &'static str,
    /// More words of `swarm check`.
    pub words: &'static str,
    /// Step, finding and verdict that must come out.
    pub step: &'static str,
    pub finding: &'static str,
    pub verdict: &'static str,
    /// Other steps that may fail or warn, because the same fault shows there too.
    pub also: &'static [&'static str],
    /// The transports by which the real client does not get through, or does not last.
    pub breaks: &'static [&'static str],
    /// How long the real client stays before it looks whether it still is connected.
    pub stays_ms: u32,
    /// Edits of the faulty configuration that heal it; every line they bring (or take out) must be in the advice.
    pub mend: &'static [Edit],
    pub exit: i32,
}

impl Fault {
    pub fn faulty(&self) -> Result<String> {
        edited(&self.balancer.configuration(self.servers)?, self.edits)
    }
}

/// What most faults have: the source hash before the three servers, and a failure.
pub const HAPROXY: Fault = Fault {
    name: "",
    what: "",
    balancer: Balancer::Haproxy,
    servers: &SOCKETIO,
    edits: &[],
    addresses: &[ADDRESS],
    asked: NAME,
    words: "",
    step: "",
    finding: "",
    verdict: "fail",
    also: &[],
    breaks: &[],
    stays_ms: 0,
    mend: &[],
    exit: 4,
};
pub const COOKIE: Fault = Fault {
    balancer: Balancer::HaproxyCookie,
    ..HAPROXY
};
pub const TLS: Fault = Fault {
    balancer: Balancer::HaproxyTls,
    ..HAPROXY
};
pub const ALB: Fault = Fault {
    balancer: Balancer::HaproxyAsAlb,
    ..HAPROXY
};
pub const NGINX: Fault = Fault {
    balancer: Balancer::Nginx,
    ..HAPROXY
};
