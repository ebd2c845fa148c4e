//! What the servers said of themselves when the agents asked them: one line for those that agree. Pure.

use super::outcome::HostOutcome;
use crate::plan::Plan;
use swarm_agent::wire::message::{Armed, EngineioSeen};
use swarm_agent::wire::share::Version;

/// One answer, and who gave it to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Targets that gave it, as their places in the plan.
    pub targets: Vec<usize>,
    /// Hosts that got it.
    pub hosts: Vec<String>,
    /// The answer.
    pub seen: EngineioSeen,
}

/// The different answers that hosts got, the most frequent first.
pub fn servers<'a>(armed: impl Iterator<Item = (&'a str, &'a Armed)>) -> Vec<Server> {
    let mut all: Vec<Server> = Vec::new();
    for (host, armed) in armed {
        for (target, seen) in armed.seen.iter().enumerate() {
            let Some(seen) = seen else { continue };
            let at = all.iter().position(|server| server.seen == *seen).unwrap_or_else(|| {
                all.push(Server {
                    targets: Vec::new(),
                    hosts: Vec::new(),
                    seen: seen.clone(),
                });
                all.len() - 1
            });
            let server = &mut all[at];
            if !server.targets.contains(&target) {
                server.targets.push(target);
            }
            if server.hosts.last().is_none_or(|last| last != host) {
                server.hosts.push(host.to_owned());
            }
        }
    }
    all.sort_by_key(|server| std::cmp::Reverse(server.hosts.len()));
    all
}

/// Those of an outcome's hosts.
pub fn of_outcome(hosts: &[HostOutcome]) -> Vec<Server> {
    servers(
        hosts
            .iter()
            .filter_map(|host| Some((host.name.as_str(), host.armed.as_ref()?))),
    )
}

/// Their lines, each with its targets where the answers differ.
pub fn lines(servers: &[Server], plan: &Plan) -> Vec<String> {
    let one = |server: &Server| {
        let mut line = format!("server   {}", describe(&server.seen));
        if servers.len() > 1 {
            let urls = server.targets.iter().filter_map(|at| plan.targets.get(*at));
            let urls: Vec<&str> = urls.take(3).map(|target| target.url.as_str()).collect();
            line.push_str(&format!(" ({}, seen by {} hosts)", urls.join(" "), server.hosts.len()));
        }
        line
    };
    servers.iter().map(one).collect()
}

/// `Engine.IO 4 (Socket.IO 3 or later), websocket and polling, pingInterval 25s, pingTimeout 20s`.
pub fn describe(seen: &EngineioSeen) -> String {
    let version = match seen.version {
        Version::Three => "Engine.IO 3 (Socket.IO 2)",
        Version::Four => "Engine.IO 4 (Socket.IO 3 or later)",
    };
    let carriers = match (seen.websocket, seen.polling) {
        (true, true) => "websocket and polling",
        (true, false) => "websocket",
        (false, true) => "polling",
        (false, false) => "no transport",
    };
    format!(
        "{version}, {carriers}, pingInterval {}, pingTimeout {}",
        time(seen.ping_interval_ms),
        time(seen.ping_timeout_ms)
    )
}

fn time(ms: u64) -> String {
    match ms % 1000 {
        0 => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

/// What is wrong when hosts or targets got different answers.
pub fn disagreement(servers: &[Server]) -> Option<String> {
    let (first, others) = servers.split_first()?;
    let other = others.first()?;
    Some(format!(
        "not all servers say the same: {} ({} hosts) and {} ({} hosts)",
        describe(&first.seen),
        first.hosts.len(),
        describe(&other.seen),
        other.hosts.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(version: Version) -> Armed {
        let seen = EngineioSeen {
            version,
            polling: true,
            websocket: true,
            ping_interval_ms: 25_000,
            ping_timeout_ms: 1_500,
            max_payload: Some(1_000_000),
        };
        Armed {
            seen: vec![None, Some(seen)],
            ..Armed::default()
        }
    }

    #[test]
    fn one_answer_is_one_line_and_two_are_a_doubt() {
        let (old, new) = (armed(Version::Three), armed(Version::Four));
        let all = servers([("a", &new), ("b", &new)].into_iter());
        assert_eq!((all.len(), all[0].hosts.len(), &all[0].targets[..]), (1, 2, &[1][..]));
        assert_eq!(
            describe(&all[0].seen),
            "Engine.IO 4 (Socket.IO 3 or later), websocket and polling, pingInterval 25s, pingTimeout 1500ms"
        );
        assert_eq!(disagreement(&all), None);
        let all = servers([("a", &old), ("b", &new), ("c", &new)].into_iter());
        let doubt = disagreement(&all).unwrap_or_default();
        assert!(
            doubt.contains("Engine.IO 4 (Socket.IO 3 or later)") && doubt.contains("(2 hosts) and Engine.IO 3"),
            "{doubt}"
        );
    }
}
