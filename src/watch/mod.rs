//! Reads, beside a run, what others count of it: a balancer's statistics (HAProxy, nginx) and metrics of any server, before
//! it, every second, and after it. Parsing, folding and comparing are pure; `reader` and `watcher` do the I/O.
//!
//! Never here: the attack's own sockets, its result, printing. A page that cannot be read while a run goes on is counted and
//! told, and changes nothing.

pub mod address;
pub mod compare;
pub mod haproxy;
pub mod login;
pub mod nginx;
pub mod prometheus;
pub mod reader;
pub mod record;
pub mod row;
pub mod source;
pub mod tls;
pub mod watched;
pub mod watcher;

use address::{Address, Marked};
use prometheus::Wanted;

/// What is read beside a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// `--lb-stats`: the balancer's statistics; names behind `#` are the proxies that matter.
    pub balancer: Option<Marked>,
    /// `--watch-metrics`: pages and the names wanted of each.
    pub metrics: Vec<(Address, Vec<Wanted>)>,
}

impl Watch {
    /// Whether nothing is read.
    pub fn is_empty(&self) -> bool {
        self.balancer.is_none() && self.metrics.is_empty()
    }

    /// The plan's lines about it.
    pub fn lines(&self) -> Vec<String> {
        let balancer = self.balancer.iter().map(|marked| {
            let of = match marked.marks.as_slice() {
                [] => String::new(),
                names => format!(", of {}", names.join(", ")),
            };
            format!("the balancer's statistics at {}{of}", marked.address)
        });
        let metrics = self.metrics.iter().map(|(address, wanted)| {
            let names: Vec<String> = wanted.iter().map(Wanted::to_string).collect();
            format!("{} at {address}", names.join(", "))
        });
        let mut lines: Vec<String> = balancer.chain(metrics).collect();
        if let Some(first) = lines.first_mut() {
            first.push_str("; read once a second from here, no load");
        }
        lines
    }
}
