//! Doubts about a result, each with advice, and remarks that are none. Pure; the sums have their own (`identities`).

use super::summary::{HostRow, HostStatus, Part, Summary, Sync};
use super::warning::Warning;
use crate::conduct::outcome::{Ended, HostOutcome, Outcome};
use crate::conduct::server;
use crate::source;
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::report::{Counts, Latency};
use swarm_agent::wire::share::{Cadence, Load};

/// A start skew over this is told, us.
const SKEW_US: u64 = 50_000;
/// So is a bound of it over this, us.
const SKEW_BOUND_US: u64 = 250_000;
/// A host whose CPU is busier than this may be slower than the target.
const BUSY: f64 = 0.9;
/// A host that sends more than this share of its hits late is slower than the plan.
const LATE: f64 = 0.01;
/// More CPU than this taken by the hypervisor is told.
const STEAL: f64 = 0.05;
/// More redirects than this share of all answers are told.
const REDIRECTED: f64 = 0.1;

/// Whether hits have due times, so that late ones can be told.
pub fn has_due_times(load: &Load) -> bool {
    match load {
        Load::Open(_) => true,
        Load::Held(held) => matches!(held.cadence, Some(Cadence::Total(_) | Cadence::Every(_))),
        Load::Closed(_) => false,
    }
}

/// Whether lost clients come back.
pub fn comes_back(load: &Load) -> bool {
    matches!(load, Load::Held(held) if held.reconnect.is_some())
}

/// Hits of a part that had a due time; `None` where none could have one. Of a playbook's hits only the first of each round
/// by the clock has one, and each of these has its lateness recorded.
pub fn due(load: &Load, part: &Part) -> Option<u64> {
    if has_due_times(load) {
        return Some(part.tally.requests);
    }
    let recorded = part.latency.get(&Latency::Lateness).map(|lateness| lateness.count);
    recorded.filter(|due| *due > 0)
}

/// Whether a host was the bottleneck; `None` when neither its CPU nor its lateness was measured.
pub fn generator_bound(cpu_busy: Option<f64>, late: Option<(u64, u64)>) -> Option<bool> {
    let busy = cpu_busy.map(|busy| busy > BUSY);
    let behind = late
        .filter(|(_, requests)| *requests > 0)
        .map(|(late, requests)| late as f64 > LATE * requests as f64);
    match (busy, behind) {
        (None, None) => None,
        (busy, behind) => Some(busy == Some(true) || behind == Some(true)),
    }
}

/// Everything that is doubtful in a merged run, but for the sums and the backends' names.
pub fn warnings(outcome: &Outcome, summary: &Summary, counts: &[(&str, &Counts)]) -> Vec<Warning> {
    let mut found: Vec<Warning> = outcome
        .warnings
        .iter()
        .map(|(kind, text)| Warning::new(kind.as_str(), text.as_str()))
        .collect();
    for host in &outcome.hosts {
        let armed = host.armed.iter().flat_map(|armed| &armed.warnings);
        found.extend(armed.map(|text| Warning::new("preflight", format!("{}: {text}", host.name))));
        found.extend(without_path(host));
    }
    found.extend(summary.hosts.iter().filter_map(missing));
    found.extend(summary.sync.and_then(skew));
    found.extend(summary.hosts.iter().filter_map(bound));
    found.extend(summary.hosts.iter().filter_map(steal));
    found.extend(summary.hosts.iter().filter_map(idle));
    found.extend(fewer(outcome, summary));
    found.extend(redirects(summary, counts));
    found.extend(session_unknown(summary));
    found.extend(stayed(summary, counts));
    found.extend(server::disagreement(&summary.servers).map(|text| {
        Warning::new("servers_differ", text)
            .advise("see which backends run which version; --eio 3 or --eio 4 fixes one")
    }));
    found.extend(unheard(summary));
    found.extend(exhausted(summary));
    found.extend(saturated(summary));
    found
}

/// Remarks.
pub fn notes(load: &Load) -> Vec<Warning> {
    match load {
        Load::Closed(_) => vec![
            Warning::new(
                "closed_loop",
                "closed loop: hits have no due times, so queueing is hidden",
            )
            .advise("use -q for latency from the due time"),
        ],
        Load::Open(_) | Load::Held(_) => Vec::new(),
    }
}

fn stayed(summary: &Summary, counts: &[(&str, &Counts)]) -> Option<Warning> {
    let clients = summary.whole.tally.stayed_polling;
    let why = counts.iter().find_map(|(_, counts)| counts.stayed.as_deref());
    (clients > 0).then(|| {
        Warning::new(
            "upgrade_refused",
            format!(
                "{clients} clients stayed on polling: {}",
                why.unwrap_or("the upgrade failed")
            ),
        )
        .advise("see whether the balancer lets WebSocket upgrades through and keeps a client on one backend")
    })
}

fn without_path(host: &HostOutcome) -> Vec<Warning> {
    let (Some(share), Some(armed)) = (&host.share, &host.armed) else {
        return Vec::new();
    };
    source::without_path(&share.targets, &armed.dropped)
        .into_iter()
        .map(|text| Warning::new("source_without_path", format!("{}: {text}", host.name)))
        .collect()
}

fn missing(host: &HostRow) -> Option<Warning> {
    let name = &host.name;
    match &host.status {
        HostStatus::Reported => None,
        HostStatus::Lost { why, known_until_us } => Some(Warning::new(
            "host_lost",
            format!(
                "{name} was lost: {why}; what it did is known until t = {:.1} s and counted so far",
                *known_until_us as f64 / 1e6
            ),
        )),
        HostStatus::Refused { why } => Some(Warning::new("host_refused", format!("{name} took no part: {why}"))),
    }
}

fn skew(sync: Sync) -> Option<Warning> {
    let bound = sync.start_skew_bound_us.unwrap_or(0);
    (sync.start_skew_us > SKEW_US || bound > SKEW_BOUND_US).then(|| {
        Warning::new(
            "start_skew",
            format!(
                "the hosts started {:.1} ms apart, known to {:.1} ms",
                sync.start_skew_us as f64 / 1e3,
                bound as f64 / 1e3
            ),
        )
        .advise("the first moments are no common burst; look at the hosts' load and at the way to them")
    })
}

fn bound(host: &HostRow) -> Option<Warning> {
    host.generator_bound.filter(|bound| *bound)?;
    let mut why = Vec::new();
    if let Some(busy) = host.cpu_busy.filter(|busy| *busy > BUSY) {
        why.push(format!("its CPU was {:.0} % busy", busy * 100.0));
    }
    let tally = &host.part.tally;
    if tally.late as f64 > LATE * tally.requests as f64 {
        why.push(format!("{} of {} hits were sent late", tally.late, tally.requests));
    }
    Some(
        Warning::new(
            "generator_bound",
            format!("{} was at its own limit: {}", host.name, why.join(" and ")),
        )
        .advise("its latencies are partly its own; use more hosts or less load a host"),
    )
}

fn steal(host: &HostRow) -> Option<Warning> {
    let steal = host.cpu_steal.filter(|steal| *steal > STEAL)?;
    Some(
        Warning::new(
            "cpu_steal",
            format!(
                "{}: the hypervisor took {:.0} % of its CPU time away",
                host.name,
                steal * 100.0
            ),
        )
        .advise("burstable instances do this when their credits are used up; take another instance type"),
    )
}

fn idle(host: &HostRow) -> Option<Warning> {
    let tally = &host.part.tally;
    let idle = matches!(host.status, HostStatus::Reported)
        && tally.requests == 0
        && tally.connections.attempted == 0
        && tally.not_started == 0;
    idle.then(|| {
        Warning::new(
            "nothing_to_do",
            format!("{} had nothing to do: the load is smaller than the fleet", host.name),
        )
        .advise("use fewer hosts or more load")
    })
}

fn fewer(outcome: &Outcome, summary: &Summary) -> Option<Warning> {
    if outcome.ended == Ended::Interrupted {
        return None;
    }
    let tally = &summary.whole.tally;
    if summary.planned.is_none() && comes_back(&summary.load) {
        // what comes due while a client is away was never to be sent
        return None;
    }
    let planned = summary.planned.unwrap_or(tally.requests + tally.not_started);
    let missing = planned.saturating_sub(tally.requests);
    let lost = summary
        .hosts
        .iter()
        .any(|h| matches!(h.status, HostStatus::Lost { .. }));
    let advice = if lost {
        "the part of a host that is lost later is not dealt again"
    } else {
        "connections or hosts were too few for the rate, or the time was over: raise -c, add hosts or lower -q"
    };
    (missing > 0).then(|| {
        Warning::new(
            "fewer_hits",
            format!("{missing} of {planned} planned hits were never sent"),
        )
        .advise(advice)
    })
}

fn redirects(summary: &Summary, counts: &[(&str, &Counts)]) -> Option<Warning> {
    let redirected: u64 = counts.iter().map(|(_, c)| c.redirected).sum();
    let answered = summary.whole.tally.ok + summary.whole.tally.failed;
    if redirected == 0 || redirected as f64 <= REDIRECTED * answered as f64 {
        return None;
    }
    let location = counts.iter().find_map(|(_, c)| c.location.as_deref());
    let to = location.map_or_else(String::new, |l| format!(" to {}", without_query(l)));
    Some(
        Warning::new(
            "redirects",
            format!("{redirected} of {answered} answers were redirects{to}"),
        )
        .advise("name that address as the target, or follow with --redirects N; --ok 200-399 takes them as they are"),
    )
}

/// A server's Location may carry tokens: only what comes before the query is told.
fn without_query(location: &str) -> &str {
    location.split(['?', '#']).next().unwrap_or_default()
}

fn count_of(summary: &Summary, kind: FaultKind) -> u64 {
    summary.errors.iter().filter(|e| e.kind == kind).map(|e| e.count).sum()
}

fn session_unknown(summary: &Summary) -> Option<Warning> {
    let n = count_of(summary, FaultKind::SessionIdUnknown);
    let (mode, advice) = if summary.run.keep_cookies {
        (
            "clients kept cookies (--cookies keep), so the balancer sets none or does not heed it",
            "make the balancer sticky (balance source, ip_hash or a cookie), or use --transport websocket",
        )
    } else {
        (
            "clients dropped cookies (--cookies drop)",
            "if the balancer sticks by a cookie: --cookies keep; else make it sticky, or use --transport websocket",
        )
    };
    (n > 0).then(|| {
        Warning::new(
            "session_id_unknown",
            format!("stickiness is broken: {n} requests reached a server that does not hold their session; {mode}"),
        )
        .advise(advice)
    })
}

fn unheard(summary: &Summary) -> Option<Warning> {
    let broadcast = summary.broadcast.as_ref()?;
    let heard = broadcast.received + broadcast.beyond + broadcast.own;
    if broadcast.emitted == 0 || broadcast.expected == Some(0) || heard > 0 {
        return None;
    }
    let (event, unstamped) = (&broadcast.event, broadcast.unstamped);
    let (text, advice) = if unstamped > 0 {
        (
            format!("{unstamped} events `{event}` came, none with the stamp of what was emitted"),
            "put {{stamp}} into a text that the server sends on, or leave it out to count receipts alone",
        )
    } else {
        (
            format!("nobody heard an event `{event}`"),
            "see under which name the server sends it on (--trace-one), and whether these clients are to hear it",
        )
    };
    Some(Warning::new("broadcast_unheard", text).advise(advice))
}

fn exhausted(summary: &Summary) -> Vec<Warning> {
    let told = [
        (
            FaultKind::PortExhausted,
            "no local port was left",
            "use more source addresses (--source-ips), keep connections alive, or widen net.ipv4.ip_local_port_range",
        ),
        (
            FaultKind::FilesExhausted,
            "no file descriptor was left",
            "raise the hosts' limit of open files, or use more hosts",
        ),
    ];
    told.into_iter()
        .filter_map(|(kind, what, advice)| {
            let n = count_of(summary, kind);
            (n > 0).then(|| {
                Warning::new(kind.word(), format!("{n} connections failed on our side: {what}")).advise(advice)
            })
        })
        .collect()
}

fn saturated(summary: &Summary) -> Vec<Warning> {
    Latency::ALL
        .into_iter()
        .filter_map(|name| {
            let n = summary.latency(name)?.saturated;
            (n > 0).then(|| {
                Warning::new(
                    "saturated",
                    format!(
                        "{n} samples of {} were over one hour and stand in its last bucket",
                        name.word()
                    ),
                )
            })
        })
        .collect()
}
