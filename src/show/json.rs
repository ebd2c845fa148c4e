//! The report as JSON, schema `swarm.report/1`: the field names are a contract. Absent means not measured, never zero.
//!
//! Times are whole microseconds unless the name says otherwise. Never here: measuring, merging, files.

use super::beside_json::{BalancerJson, MetricJson};
use super::broadcast::BroadcastJson;
use super::flows::FlowJson;
use super::load::LoadJson;
use super::observed::{BreaksJson, MoveJson};
use super::rows::{BackendJson, ErrorJson, GroupJson, HostJson, LatencyJson, SecondJson, SourceJson, TargetJson};
use crate::merge::summary::{Judged, Latencies, Part, Rates, Summary};
use crate::merge::{Warning, doubts};
use serde::Serialize;
use std::collections::BTreeMap;
use swarm_agent::wire::report::{Heartbeats, Tally};
use swarm_agent::wire::share::Load;

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: &'static str,
    run: RunJson,
    load: LoadJson,
    totals: TotalsJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    warmup: Option<TotalsJson>,
    rates: RatesJson,
    latency: BTreeMap<&'static str, LatencyJson>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    statuses: BTreeMap<String, u64>,
    errors: Vec<ErrorJson>,
    hosts: Vec<HostJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sync: Option<SyncJson>,
    sources: Vec<SourceJson>,
    backends: Vec<BackendJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<GroupJson>,
    targets: Vec<TargetJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flows: Vec<FlowJson>,
    affinity: AffinityJson,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balancer: Option<BalancerJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<MetricJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broadcast: Option<BroadcastJson>,
    timeline: Vec<SecondJson>,
    requirements: Vec<JudgedJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<WarningJson>,
    warnings: Vec<WarningJson>,
}

#[derive(Debug, Serialize)]
struct RunJson {
    id: String,
    started_at: String,
    duration_s: f64,
    command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    playbook: Option<String>,
    target: String,
    engine: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<&'static str>,
    cookies: &'static str,
    version: &'static str,
    status: &'static str,
}

/// Counters of the whole or of a part.
#[derive(Debug, Serialize)]
pub struct TotalsJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    planned: Option<u64>,
    requests: u64,
    ok: u64,
    failed: u64,
    unfinished: u64,
    not_started: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<u64>,
    bytes_sent: u64,
    bytes_received: u64,
    connections: ConnectionsJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<MessagesJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeats: Option<HeartbeatsJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stayed_polling: Option<u64>,
}

/// Heartbeats of Engine.IO sessions.
#[derive(Debug, Serialize)]
struct HeartbeatsJson {
    seen: u64,
    missed: u64,
}

#[derive(Debug, Serialize)]
struct ConnectionsJson {
    attempted: u64,
    opened: u64,
    failed: u64,
    unfinished: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak: Option<u64>,
    dropped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stormed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reconnected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gave_up: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    away: Option<u64>,
}

#[derive(Debug, Serialize)]
struct MessagesJson {
    sent: u64,
    received: u64,
    expected: u64,
    acked: u64,
    lost: u64,
    unfinished: u64,
}

/// Rates per second.
#[derive(Debug, Serialize)]
pub struct RatesJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_s: Option<[f64; 2]>,
}

#[derive(Debug, Serialize)]
struct SyncJson {
    start_skew_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_skew_bound_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_error_us: Option<u64>,
}

#[derive(Debug, Serialize)]
struct AffinityJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reached: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sticky: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    busiest_over_mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    idle: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breaks: Option<BreaksJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    moves: Vec<MoveJson>,
}

#[derive(Debug, Serialize)]
struct JudgedJson {
    expr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    shown: String,
    passed: bool,
}

/// What happened to the run as a whole, on the timeline.
#[derive(Debug, Serialize)]
struct EventJson {
    t_s: f64,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
}

#[derive(Debug, Serialize)]
struct WarningJson {
    kind: String,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// The report of a summary.
pub fn report(summary: &Summary) -> Report {
    let (run, load) = (&summary.run, &summary.load);
    let affinity = &summary.affinity;
    Report {
        schema: "swarm.report/1",
        run: RunJson {
            id: run.id.clone(),
            started_at: run.started_at.to_string(),
            duration_s: rounded(run.duration_s),
            command: run.command.clone(),
            playbook: run.playbook.clone(),
            target: summary
                .targets
                .iter()
                .map(|t| super::clean::url(&t.url))
                .collect::<Vec<_>>()
                .join(" "),
            engine: run.engine.word(),
            transport: run.engine.carrier(),
            cookies: if run.keep_cookies { "keep" } else { "drop" },
            version: env!("CARGO_PKG_VERSION"),
            status: run.status.word(),
        },
        load: LoadJson::of(load, &summary.servers, &summary.targets),
        totals: TotalsJson {
            planned: summary.planned,
            ..TotalsJson::of(&summary.whole, load)
        },
        warmup: summary
            .warmup
            .as_ref()
            .map(|tally| TotalsJson::of_tally(tally, None, load)),
        rates: RatesJson {
            window_s: summary.window.map(|(begin, end)| [seconds(begin), seconds(end)]),
            ..RatesJson::of(&summary.whole.rates)
        },
        latency: latencies(&summary.whole.latency),
        statuses: summary
            .statuses
            .iter()
            .map(|(status, n)| (status.to_string(), *n))
            .collect(),
        errors: summary.errors.iter().map(ErrorJson::of).collect(),
        hosts: summary.hosts.iter().map(|host| HostJson::of(host, load)).collect(),
        sync: summary.sync.map(|sync| SyncJson {
            start_skew_us: sync.start_skew_us,
            start_skew_bound_us: sync.start_skew_bound_us,
            clock_error_us: sync.clock_error_us,
        }),
        sources: summary
            .sources
            .iter()
            .map(|s| SourceJson::of(s, summary.row_latency))
            .collect(),
        backends: summary
            .backends
            .iter()
            .map(|b| BackendJson::of(b, summary.row_latency))
            .collect(),
        groups: summary.groups.iter().map(|g| GroupJson::of(g, load)).collect(),
        targets: summary
            .targets
            .iter()
            .map(|t| TargetJson::of(t, summary.row_latency))
            .collect(),
        flows: summary.flows.iter().map(FlowJson::of).collect(),
        affinity: AffinityJson {
            by: affinity.by.clone(),
            reached: affinity.reached,
            known: affinity.known,
            sticky: affinity.sticky,
            busiest_over_mean: affinity.busiest_over_mean.map(rounded),
            verdict: affinity.verdict.clone(),
            rule: affinity.rule.map(|rule| rule.word()),
            idle: affinity.idle.clone(),
            because: affinity.because.clone(),
            unknown: affinity.unknown.clone(),
            breaks: affinity.breaks.as_ref().map(BreaksJson::of),
            moves: affinity.moves.iter().map(MoveJson::of).collect(),
        },
        events: events(summary),
        balancer: BalancerJson::of(summary),
        metrics: summary
            .watched
            .iter()
            .flat_map(|watched| &watched.metrics)
            .map(MetricJson::of)
            .collect(),
        broadcast: summary.broadcast.as_ref().map(BroadcastJson::of),
        timeline: summary.timeline.iter().map(SecondJson::of).collect(),
        requirements: summary.requirements.iter().map(judged).collect(),
        notes: summary.notes.iter().map(warning).collect(),
        warnings: summary.warnings.iter().map(warning).collect(),
    }
}

/// The report as text, indented, with a line feed at its end.
pub fn text(summary: &Summary) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&report(summary)).map(|text| text + "\n")
}

impl TotalsJson {
    /// Of a part of the fleet.
    pub fn of(part: &Part, load: &Load) -> Self {
        Self {
            late: doubts::due(load, part).map(|_| part.tally.late),
            ..Self::of_tally(&part.tally, part.peak, load)
        }
    }

    fn of_tally(tally: &Tally, peak: Option<u64>, load: &Load) -> Self {
        let (c, m) = (&tally.connections, &tally.messages);
        let back = |n: u64| doubts::comes_back(load).then_some(n);
        Self {
            planned: None,
            requests: tally.requests,
            ok: tally.ok,
            failed: tally.failed,
            unfinished: tally.unfinished,
            not_started: tally.not_started,
            late: doubts::has_due_times(load).then_some(tally.late),
            bytes_sent: tally.bytes_sent,
            bytes_received: tally.bytes_received,
            connections: ConnectionsJson {
                attempted: c.attempted,
                opened: c.opened,
                failed: c.failed,
                unfinished: c.unfinished,
                peak,
                dropped: c.dropped,
                stormed: back(c.stormed),
                reconnected: back(c.reconnected),
                gave_up: back(c.gave_up),
                away: back(c.away),
            },
            messages: matches!(load, Load::Held(_)).then_some(MessagesJson {
                sent: m.sent,
                received: m.received,
                expected: m.expected,
                acked: m.acked,
                lost: m.lost,
                unfinished: m.unfinished,
            }),
            heartbeats: (tally.heartbeats != Heartbeats::default()).then_some(HeartbeatsJson {
                seen: tally.heartbeats.seen,
                missed: tally.heartbeats.missed,
            }),
            stayed_polling: Some(tally.stayed_polling).filter(|clients| *clients > 0),
        }
    }
}

impl RatesJson {
    /// Of a part of the fleet.
    pub fn of(rates: &Rates) -> Self {
        Self {
            requests_per_s: rates.requests.map(rounded),
            connections_per_s: rates.connections.map(rounded),
            messages_per_s: rates.messages.map(rounded),
            window_s: None,
        }
    }
}

/// What happened to the run as a whole, in the order of time.
fn events(summary: &Summary) -> Vec<EventJson> {
    let balancer = summary.watched.as_ref().and_then(|watched| watched.balancer.as_ref());
    let changes = balancer.iter().flat_map(|balancer| &balancer.changes);
    let mut events = storms(summary);
    events.extend(changes.map(|change| EventJson {
        t_s: rounded(seconds(change.at_us)),
        text: super::clean::line(&change.text),
        status: Some(super::clean::line(&change.state)),
    }));
    events.sort_by(|a, b| a.t_s.total_cmp(&b.t_s));
    events
}

/// The storms that came before the last cut.
fn storms(summary: &Summary) -> Vec<EventJson> {
    let until = summary.timeline.last().map_or(0, |second| second.at_us);
    let Load::Held(held) = &summary.load else {
        return Vec::new();
    };
    let came = held.storms.iter().map(|ns| ns / 1000).filter(|us| *us < until);
    came.map(|us| EventJson {
        t_s: seconds(us),
        text: "storm: every client drops its connection".to_owned(),
        status: None,
    })
    .collect()
}

/// Distributions with their histograms, those that have samples.
pub fn latencies(latency: &Latencies) -> BTreeMap<&'static str, LatencyJson> {
    latency
        .iter()
        .filter_map(|(name, histogram)| Some((name.word(), LatencyJson::whole(histogram)?)))
        .collect()
}

fn judged(judged: &Judged) -> JudgedJson {
    JudgedJson {
        expr: judged.expr.clone(),
        name: judged.name.clone(),
        value: judged.value.map(rounded),
        shown: judged.shown.clone(),
        passed: judged.passed,
    }
}

fn warning(warning: &Warning) -> WarningJson {
    WarningJson {
        kind: warning.kind.clone(),
        text: warning.text.clone(),
        advice: warning.advice.clone(),
    }
}

/// Three decimals: no report is exacter than that in what is no count.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Microseconds as seconds.
pub fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
