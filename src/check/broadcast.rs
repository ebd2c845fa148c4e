//! Do clients on different backends hear each other? A few clients join, each of them emits once, and who hears it is noted.
//! Judged from that.

use super::aim::Aim;
use super::cookies::Jar;
use super::finding::{Code, Finding, Step};
use super::scout::Scout;
use super::walk::{Walk, told};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use swarm_agent::wire::look::{Heard, Talk, Upgrade};
use swarm_agent::wire::share::Version;

/// Clients: enough that two of them are on one backend and two on different ones, whichever way they are dealt.
const CLIENTS: usize = 6;
/// How long an event may take to all. All listen as long as that, so that nobody's heartbeat stops.
const HEARING: Duration = Duration::from_millis(1200);
/// What is still on its way from the event before is let go.
const BETWEEN: Duration = Duration::from_millis(100);
/// How long joining may take.
const JOINING: Duration = Duration::from_secs(5);

/// One client.
struct Client {
    origin: usize,
    name: u32,
    backend: Option<String>,
}

/// What was heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hearing {
    /// Backends of the clients, where they are known.
    pub backends: Vec<Option<String>>,
    /// `heard[i][j]`: what client i emitted reached client j.
    pub heard: Vec<Vec<bool>>,
}

/// The packet by which a client enters the namespace; `None`: the server lets it in by itself.
pub fn joining(aim: &Aim, version: Version) -> Option<String> {
    let socketio = aim.speech == super::aim::Speech::Socketio;
    let root = aim.namespace == "/" || aim.namespace.is_empty();
    match version {
        _ if !socketio => None,
        Version::Three if root => None,
        Version::Three => Some(format!("40{}", prefix(aim))),
        Version::Four => Some(format!("40{}{}", prefix(aim), aim.auth.as_deref().unwrap_or_default())),
    }
}

fn prefix(aim: &Aim) -> String {
    match aim.namespace.as_str() {
        "/" | "" => String::new(),
        name => format!("{name},"),
    }
}

/// Has clients from all origins join and emit. `homes`: the backend that a source always reaches, where that is known.
pub async fn look<S: Scout>(walk: &Walk<'_, S>, homes: &BTreeMap<usize, String>) -> Finding {
    let Some((array, event)) = &walk.aim.broadcast else {
        let how = "name what is emitted and what all hear: --emit 'say,\"hi\"' --broadcast said";
        return Finding::skipped(Step::Broadcast, how);
    };
    let places: Vec<usize> = (0..CLIENTS.max(walk.origins.len().min(8)))
        .map(|n| n % walk.origins.len())
        .collect();
    let mut clients = Vec::new();
    for origin in places {
        match join(walk, origin, homes).await {
            Ok(client) => clients.push(client),
            Err(why) => return Finding::unknown(Step::Broadcast, None, format!("a client could not join: {why}")),
        }
    }
    let emitted = format!("42{}{array}", prefix(walk.aim));
    let begin = format!("42{}[{}", prefix(walk.aim), serde_json::Value::from(event.as_str()));
    let mut hearing = Hearing {
        backends: clients.iter().map(|client| client.backend.clone()).collect(),
        heard: Vec::new(),
    };
    for emitter in 0..clients.len() {
        beat(walk, &clients).await;
        let talks = clients.iter().enumerate().map(|(number, client)| {
            let talk = Talk {
                name: client.name,
                send: (number == emitter).then(|| emitted.clone()).into_iter().collect(),
                replies: vec![("2".into(), "3".into())],
                ..Talk::default()
            };
            walk.talk(client.origin, HEARING, talk)
        });
        let heard = join_all(talks).await;
        let reached = |heard: Heard| heard.texts.iter().any(|(_, text)| text.starts_with(&begin));
        let row = heard.into_iter().map(|heard| heard.is_ok_and(reached));
        hearing.heard.push(row.collect());
    }
    join_all(clients.iter().map(|client| walk.close(client.origin, client.name))).await;
    judge(&hearing, event)
}

/// Lets what is under way arrive, and keeps the clients of version 3 alive, which are the ones to ping there.
async fn beat<S: Scout>(walk: &Walk<'_, S>, clients: &[Client]) {
    let ping = (walk.version.get() == Version::Three).then(|| "2".to_owned());
    let talks = clients.iter().map(|client| {
        let talk = Talk {
            name: client.name,
            send: ping.clone().into_iter().collect(),
            replies: vec![("2".into(), "3".into())],
            ..Talk::default()
        };
        walk.talk(client.origin, BETWEEN, talk)
    });
    join_all(talks).await;
}

async fn join<S: Scout>(walk: &Walk<'_, S>, origin: usize, homes: &BTreeMap<usize, String>) -> Result<Client, String> {
    let version = walk.version.get();
    let path = walk.aim.engineio_path(version, "websocket", "");
    let (name, answered) = match walk.open(origin, &path, &Jar::default()).await {
        Ok((name, answered, Upgrade::Done)) => (name, answered),
        Ok((_, answered, _)) => return Err(told(&answered)),
        Err(fault) => return Err(fault.detail),
    };
    let talk = Talk {
        name,
        send: joining(walk.aim, version).into_iter().collect(),
        replies: vec![("2".into(), "3".into())],
        every: None,
        until: Some(format!("40{}", prefix(walk.aim))),
    };
    let joined = walk.talk(origin, JOINING, talk).await.map_err(|fault| fault.detail)?;
    if !joined.found {
        let said = joined.texts.last().map(|(_, text)| text.clone());
        return Err(joined
            .ended
            .or(said)
            .unwrap_or_else(|| "no answer to joining".to_owned()));
    }
    Ok(Client {
        origin,
        name,
        backend: answered
            .backend
            .map(|(_, name)| name)
            .or_else(|| homes.get(&origin).cloned()),
    })
}

/// What is said of it.
pub fn judge(hearing: &Hearing, event: &str) -> Finding {
    let step = Step::Broadcast;
    let clients = hearing.heard.len();
    let pairs: Vec<(usize, usize)> = (0..clients)
        .flat_map(|from| (0..clients).map(move |to| (from, to)))
        .filter(|(from, to)| from != to)
        .collect();
    let heard = |pair: &&(usize, usize)| hearing.heard[pair.0][pair.1];
    let reached = pairs.iter().filter(heard).count();
    let told = format!(
        "{event} reached {reached} of {} pairs of {clients} clients",
        pairs.len()
    );
    if reached == 0 {
        return Finding::fail(step, Code::BroadcastFailed, told).because(
            "no client heard any other: is the event right, and do all clients get it without joining anything?",
        );
    }
    let names: BTreeSet<&String> = hearing.backends.iter().flatten().collect();
    if reached == pairs.len() {
        return match names.len() {
            0 | 1 => Finding::unknown(step, Some(Code::NotKnownOneBackend), told)
                .because("whether they were on different backends is not known"),
            n => Finding::pass(step, format!("{told}, on {n} backends")),
        };
    }
    let groups = groups(&hearing.heard);
    let by_name = |wanted: bool| {
        let side = pairs
            .iter()
            .filter(|(from, to)| match (&hearing.backends[*from], &hearing.backends[*to]) {
                (Some(one), Some(other)) => (one == other) == wanted,
                _ => false,
            });
        let all: Vec<&(usize, usize)> = side.collect();
        (all.iter().filter(|pair| heard(pair)).count(), all.len())
    };
    let why = "servers tell each other nothing: without an adapter (Redis, cluster) an emit reaches the clients of one server alone";
    if hearing.backends.iter().all(Option::is_some) {
        let ((same, same_all), (across, across_all)) = (by_name(true), by_name(false));
        if same == same_all && across < across_all {
            let seen = format!("{told}: {same} of {same_all} on one backend, {across} of {across_all} across backends");
            return Finding::fail(step, Code::AdapterMissing, seen).because(why);
        }
        return Finding::unknown(step, None, told).because("not even all clients of one backend heard each other");
    }
    match groups {
        Some(groups) => {
            let seen = format!("{told}: they fall into {groups} groups that hear only themselves");
            Finding::fail(step, Code::AdapterMissing, seen).because(why)
        }
        None => Finding::unknown(step, None, told).because("who hears whom follows no rule"),
    }
}

/// Into how many groups the clients fall, where everybody hears all of his own and nobody else, and some group has two.
fn groups(heard: &[Vec<bool>]) -> Option<usize> {
    let clients = heard.len();
    let hears = |from: usize, to: usize| from == to || heard[from][to];
    let row = |from: usize| -> Vec<bool> { (0..clients).map(|to| hears(from, to)).collect() };
    for from in 0..clients {
        for to in 0..clients {
            if hears(from, to) && row(from) != row(to) {
                return None;
            }
        }
    }
    let rows: BTreeSet<Vec<bool>> = (0..clients).map(row).collect();
    (rows.len() < clients).then_some(rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Verdict;

    fn hearing(backends: &[Option<&str>], hears: impl Fn(usize, usize) -> bool) -> Hearing {
        let n = backends.len();
        Hearing {
            backends: backends.iter().map(|name| name.map(str::to_owned)).collect(),
            heard: (0..n).map(|from| (0..n).map(|to| hears(from, to)).collect()).collect(),
        }
    }

    #[test]
    fn hearings_are_judged() {
        let (a, b) = (Some("s1"), Some("s2"));
        let mixed = [a, b, a, b, a, b];
        let unnamed = [None; 6];
        let same = |from: usize, to: usize| from % 2 == to % 2;
        let others = |from: usize, to: usize| from != to;
        for (hearing, verdict, code) in [
            (hearing(&mixed, |_, _| true), Verdict::Pass, None),
            // who emits need not hear it
            (hearing(&mixed, others), Verdict::Pass, None),
            (hearing(&mixed, same), Verdict::Fail, Some(Code::AdapterMissing)),
            (hearing(&unnamed, same), Verdict::Fail, Some(Code::AdapterMissing)),
            (
                hearing(&[a; 6], |_, _| true),
                Verdict::Unknown,
                Some(Code::NotKnownOneBackend),
            ),
            (
                hearing(&unnamed, |_, _| true),
                Verdict::Unknown,
                Some(Code::NotKnownOneBackend),
            ),
            (
                hearing(&mixed, |_, _| false),
                Verdict::Fail,
                Some(Code::BroadcastFailed),
            ),
            (hearing(&unnamed, |from, to| from < to), Verdict::Unknown, None),
            (hearing(&mixed, |from, to| from < to), Verdict::Unknown, None),
        ] {
            let finding = judge(&hearing, "said");
            assert_eq!((finding.verdict, finding.code), (verdict, code), "{hearing:?}");
        }
    }
}
