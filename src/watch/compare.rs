//! Sets what a balancer counted for each server against what swarm counted for the backend of that name. Pure: rules with
//! tests. Which counter compares was measured against the real balancers (docs/balancer-stats.md).

use super::row::{Kind as RowKind, answers};
use super::source::Kind;
use super::watched::{Balancer, Tracked};

/// Counts that differ by more than this share of the larger one disagree.
const TOLERANCE: f64 = 0.01;
/// Servers and backends that are listed by name.
const NAMED: usize = 6;

/// What swarm counted that a balancer counts too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meter {
    /// HTTP requests that were answered.
    Requests,
    /// Clients, each of which makes one WebSocket, whatever else it asks for before (`alone`: nothing).
    Sockets {
        /// The socket is all that a client makes.
        alone: bool,
    },
    /// HTTP requests of clients that poll.
    Polls,
}

/// What swarm counted for one backend, or for all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// TCP connections (http) or clients.
    pub connections: u64,
    /// Answered requests.
    pub requests: u64,
    /// HTTP requests of clients that poll.
    pub polls: u64,
}

/// What makes counts differ without anybody being wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Around {
    /// Hits and connections that swarm did not see answered, or that failed.
    pub unanswered: u64,
    /// Requests of the warm-up, which swarm keeps apart.
    pub warmup: u64,
    /// Clients that asked for a WebSocket and stayed on polling.
    pub stayed_polling: u64,
}

/// The counts side by side.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// Server by server, in the balancer's order.
    pub rows: Vec<Compared>,
    /// Backends that no server is called as.
    pub unmatched: Vec<String>,
    /// Why nothing is compared.
    pub unknown: Option<String>,
    /// What disagrees, in words.
    pub disagreement: Option<String>,
    /// Why that can be.
    pub reasons: Vec<String>,
    /// The servers that the balancer has where the load went.
    pub known: Option<Known>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// `s1`.
    pub name: String,
    /// Its rows, as places in the balancer's list: one a proxy that load reached it by.
    pub places: Vec<usize>,
    /// The balancer's counter, by its name.
    pub counter: &'static str,
    /// What it counted.
    pub balancer: u64,
    /// What swarm counted.
    pub swarm: u64,
}

impl Compared {
    /// Whether both agree.
    pub fn agrees(&self) -> bool {
        let (more, less) = (self.balancer.max(self.swarm), self.balancer.min(self.swarm));
        (more - less) as f64 <= more as f64 * TOLERANCE
    }

    /// The balancer's count over swarm's, as a share: 0.02 is two in a hundred more. `None` where swarm counted nothing.
    pub fn difference(&self) -> Option<f64> {
        (self.swarm > 0).then(|| (self.balancer as f64 - self.swarm as f64) / self.swarm as f64)
    }
}

/// The servers of the proxies that the load reached, in the balancer's order. Verdicts may build on it: it is only there
/// where at least one server has the name of a backend that answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Their names.
    pub names: Vec<String>,
    /// Whether each was up before the run and at its end.
    pub up: Vec<bool>,
    /// Their weights, 1 where the balancer does not say.
    pub weights: Vec<u64>,
}

impl Known {
    /// Their names, where all were up and weigh the same: rules that say which server a source reaches want no less.
    pub fn alike(&self) -> Option<&[String]> {
        let same = self.weights.windows(2).all(|pair| pair[0] == pair[1]);
        (same && self.up.iter().all(|up| *up)).then_some(&self.names)
    }
}

/// Compares. `backends`: what swarm counted by name; `whole`: all together, the nameless too.
pub fn compare(
    balancer: &Balancer,
    meter: Meter,
    backends: &[(&str, Counted)],
    whole: Counted,
    around: Around,
) -> Comparison {
    let mut comparison = Comparison::default();
    if let Kind::Haproxy = balancer.kind {
        pair(balancer, backends, &mut comparison);
    }
    let unknown = match balancer.kind {
        _ if !balancer.whole => Some("the balancer's page could not be read after the run".to_owned()),
        Kind::Haproxy => by_server(balancer, meter, backends, &mut comparison),
        Kind::Nginx => as_a_whole(balancer, meter, whole, &mut comparison),
    };
    if let Some(why) = unknown {
        comparison.rows.clear();
        comparison.unknown = Some(why);
        return comparison;
    }
    judge(balancer, meter, around, &mut comparison);
    comparison
}

/// Finds the servers of each backend and the proxies that the load went through.
fn pair(balancer: &Balancer, backends: &[(&str, Counted)], comparison: &mut Comparison) {
    let ours = |row: &&(usize, &Tracked)| {
        let proxies = &balancer.proxies;
        row.1.after.kind == RowKind::Server && (proxies.is_empty() || proxies.contains(&row.1.after.proxy))
    };
    let all: Vec<(usize, &Tracked)> = balancer.rows.iter().enumerate().collect();
    let servers: Vec<(usize, &Tracked)> = all.iter().filter(ours).copied().collect();
    let called = |name: &str, exactly: bool| -> Vec<(usize, &Tracked)> {
        let mut found = servers.clone();
        found.retain(|(_, row)| match exactly {
            true => row.after.name == name,
            false => row.after.name.eq_ignore_ascii_case(name),
        });
        // the same name may stand in several proxies: those with traffic are meant
        let busy: Vec<_> = found
            .iter()
            .copied()
            .filter(|(_, row)| row.risen.or_zero("stot") > 0)
            .collect();
        if busy.is_empty() { found } else { busy }
    };
    let mut proxies: Vec<&str> = Vec::new();
    let mut pairs: Vec<(usize, &str)> = Vec::new();
    for (name, _) in backends {
        let mut found = called(name, true);
        if found.is_empty() {
            found = called(name, false);
        }
        if found.is_empty() {
            comparison.unmatched.push((*name).to_owned());
        }
        for (place, row) in found {
            pairs.push((place, *name));
            if !proxies.contains(&row.after.proxy.as_str()) {
                proxies.push(&row.after.proxy);
            }
        }
    }
    let mut known = Known::default();
    for (place, row) in servers
        .iter()
        .filter(|(_, row)| proxies.contains(&row.after.proxy.as_str()))
    {
        let name = &row.after.name;
        let backend = pairs
            .iter()
            .find(|(paired, _)| paired == place)
            .map(|(_, backend)| *backend);
        let at = known.names.iter().position(|known| known == name);
        match at {
            None => {
                known.names.push(name.clone());
                known.up.push(row.is_up());
                known.weights.push(row.after.gauges.get("weight").unwrap_or(1));
                comparison.rows.push(Compared {
                    name: name.clone(),
                    places: Vec::new(),
                    counter: "",
                    balancer: 0,
                    swarm: 0,
                });
            }
            Some(at) => known.up[at] &= row.is_up(),
        }
        // a server of a proxy that the load did not take by this name got nothing of it, and has nothing to add
        let idle = row.risen.or_zero("stot") == 0;
        if backend.is_some() || !idle || at.is_none() {
            let at = at.unwrap_or(comparison.rows.len() - 1);
            comparison.rows[at].places.push(*place);
        }
    }
    if !known.names.is_empty() {
        comparison.known = Some(known);
    }
}

/// Fills in the counts of HAProxy's servers; returns why that cannot be.
fn by_server(
    balancer: &Balancer,
    meter: Meter,
    backends: &[(&str, Counted)],
    comparison: &mut Comparison,
) -> Option<String> {
    if comparison.rows.is_empty() {
        return Some(match backends {
            [] => {
                "no answer named its backend; say where they do: --backend-from header:NAME or cookie:NAME".to_owned()
            }
            _ => format!(
                "no server of the balancer is called as a backend that answered ({})",
                listed(&comparison.unmatched)
            ),
        });
    }
    for row in &mut comparison.rows {
        let counted = backends
            .iter()
            .find(|(name, _)| *name == row.name)
            .or_else(|| backends.iter().find(|(name, _)| name.eq_ignore_ascii_case(&row.name)))
            .map_or(Counted::default(), |(_, counted)| *counted);
        let tracked: Vec<&Tracked> = row.places.iter().map(|place| &balancer.rows[*place]).collect();
        let http = tracked.iter().all(|tracked| tracked.after.speaks_http());
        let sum = |of: fn(&Tracked) -> u64| {
            tracked
                .iter()
                .fold(0u64, |sum, tracked| sum.saturating_add(of(tracked)))
        };
        (row.counter, row.balancer, row.swarm) = match (meter, http) {
            (Meter::Requests, true) => ("hrsp_*", sum(|row| answers(&row.risen)), counted.requests),
            (Meter::Polls, true) => ("hrsp_*", sum(|row| answers(&row.risen)), counted.polls),
            (Meter::Sockets { .. }, true) => (
                "hrsp_1xx",
                sum(|row| row.risen.or_zero("hrsp_1xx")),
                counted.connections,
            ),
            (Meter::Requests | Meter::Sockets { alone: true }, false) => {
                ("stot", sum(|row| row.risen.or_zero("stot")), counted.connections)
            }
            _ => return Some(POLLS_OVER_TCP.to_owned()),
        };
    }
    None
}

const POLLS_OVER_TCP: &str = "a proxy in mode tcp counts connections, of which a client that polls makes several";

fn as_a_whole(balancer: &Balancer, meter: Meter, whole: Counted, comparison: &mut Comparison) -> Option<String> {
    let place = balancer.rows.iter().position(|row| row.after.kind == RowKind::Whole)?;
    let swarm = match meter {
        Meter::Requests => whole.requests,
        Meter::Polls => whole.polls,
        // each client's WebSocket is a request more
        Meter::Sockets { .. } => whole.connections + whole.polls,
    };
    let row = &balancer.rows[place];
    comparison.rows = vec![Compared {
        name: row.after.name.clone(),
        places: vec![place],
        counter: "requests",
        balancer: row.risen.or_zero("requests").saturating_sub(balancer.own),
        swarm,
    }];
    None
}

/// Says what disagrees, and why that can be.
fn judge(balancer: &Balancer, meter: Meter, around: Around, comparison: &mut Comparison) {
    let odd: Vec<&Compared> = comparison.rows.iter().filter(|row| !row.agrees()).collect();
    if odd.is_empty() {
        return;
    }
    let each: Vec<String> = odd.iter().take(NAMED).map(|row| words(row)).collect();
    let more = if odd.len() > NAMED {
        format!(" and {} more", odd.len() - NAMED)
    } else {
        String::new()
    };
    comparison.disagreement = Some(format!("{}{more}", each.join("; ")));
    let tracked: Vec<&Tracked> = odd
        .iter()
        .flat_map(|row| &row.places)
        .map(|place| &balancer.rows[*place])
        .collect();
    let sum = |name: &str| {
        tracked
            .iter()
            .map(|row| row.risen.or_zero(name))
            .fold(0, u64::saturating_add)
    };
    let (over, under) = (
        odd.iter().any(|row| row.balancer > row.swarm),
        odd.iter().any(|row| row.balancer < row.swarm),
    );
    let mut reasons = Vec::new();
    if over {
        reasons.push(match balancer.kind {
            Kind::Haproxy => "other clients' traffic over the same servers".to_owned(),
            Kind::Nginx => "other clients' traffic: nginx counts all that it serves as one".to_owned(),
        });
        let (retries, redispatches) = (sum("wretr"), sum("wredis"));
        if retries + redispatches > 0 && odd.iter().any(|row| row.counter == "stot") {
            reasons.push(format!(
                "{retries} retries and {redispatches} redispatches, each a session more"
            ));
        }
        if around.unanswered > 0 {
            let what = if matches!(meter, Meter::Requests) {
                "hits"
            } else {
                "clients and hits"
            };
            reasons.push(format!(
                "{} {what} that failed or were not answered in time here, and may have been there",
                around.unanswered
            ));
        }
        if around.warmup > 0 {
            reasons.push(format!(
                "{} requests of the warm-up, which swarm keeps apart",
                around.warmup
            ));
        }
    }
    if under {
        if tracked.iter().any(|row| row.anew) {
            reasons.push("its counters began anew in mid-run: it was started again, or they were cleared".to_owned());
        }
        if around.stayed_polling > 0 && matches!(meter, Meter::Sockets { .. }) {
            reasons.push(format!("{} clients that stayed on polling", around.stayed_polling));
        }
        reasons.push("another balancer, or another process of this one, took a part".to_owned());
    }
    if !comparison.unmatched.is_empty() {
        reasons.push(format!(
            "backends that no server is called as: {}",
            listed(&comparison.unmatched)
        ));
    }
    comparison.reasons = reasons;
}

fn words(row: &Compared) -> String {
    let by = match row.difference() {
        Some(share) => format!("{:+.1} %", share * 100.0),
        None => "swarm saw nothing of it".to_owned(),
    };
    format!(
        "{}: {} by the balancer's {}, {} here ({by})",
        row.name, row.balancer, row.counter, row.swarm
    )
}

fn listed(names: &[String]) -> String {
    let mut text = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        text.push_str(&format!(" and {} more", names.len() - NAMED));
    }
    text
}

impl Tracked {
    /// Up at both ends of the run.
    fn is_up(&self) -> bool {
        self.after.is_up() && self.before.as_ref().is_none_or(|before| before.is_up())
    }
}

#[cfg(test)]
mod tests;
