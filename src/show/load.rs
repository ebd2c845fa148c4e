//! The load of a run as it was resolved, for the JSON report.

use super::json::rounded;
use crate::conduct::server::Server;
use crate::merge::summary::TargetRow;
use serde::Serialize;
use swarm_agent::wire::share::{Cadence, Level, Load, PER_SECOND, Stage};

/// The load: what is not part of its kind is absent.
#[derive(Debug, Default, Serialize)]
pub struct LoadJson {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_stages: Option<Vec<StageJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stages: Option<Vec<StageJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warmup_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cadence: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    servers: Vec<ServerJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reconnect: Option<BackOffJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    storms_s: Vec<f64>,
}

/// How lost clients come back.
#[derive(Debug, Serialize)]
struct BackOffJson {
    delay_s: f64,
    delay_max_s: f64,
    jitter: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
}

/// What an Engine.IO server said of itself.
#[derive(Debug, Serialize)]
struct ServerJson {
    engineio: u8,
    transports: Vec<&'static str>,
    ping_interval_ms: u64,
    ping_timeout_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_payload: Option<u64>,
    targets: Vec<String>,
    hosts: u64,
}

impl ServerJson {
    fn of(server: &Server, targets: &[TargetRow]) -> Self {
        let seen = &server.seen;
        let carriers = [("websocket", seen.websocket), ("polling", seen.polling)];
        let urls = server.targets.iter().filter_map(|at| targets.get(*at));
        Self {
            engineio: seen.version.number(),
            transports: carriers.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect(),
            ping_interval_ms: seen.ping_interval_ms,
            ping_timeout_ms: seen.ping_timeout_ms,
            max_payload: seen.max_payload,
            targets: urls.map(|target| super::clean::url(&target.url)).collect(),
            hosts: server.hosts.len() as u64,
        }
    }
}

/// A ramp or plateau: rates per second, or connections.
#[derive(Debug, Serialize)]
struct StageJson {
    duration_s: f64,
    from: f64,
    to: f64,
}

impl LoadJson {
    /// Of a run's load, with what its servers said.
    pub fn of(load: &Load, servers: &[Server], targets: &[TargetRow]) -> Self {
        Self {
            servers: servers.iter().map(|server| ServerJson::of(server, targets)).collect(),
            ..Self::of_plan(load)
        }
    }

    fn of_plan(load: &Load) -> Self {
        match load {
            Load::Closed(closed) => Self {
                kind: "closed",
                requests: closed.requests,
                duration_s: closed.duration.map(seconds),
                warmup_s: Some(closed.warmup).filter(|ns| *ns > 0).map(seconds),
                ..Self::of_level(&closed.connections)
            },
            Load::Open(open) => Self {
                kind: "open",
                connections: Some(open.connections),
                requests: open.requests,
                duration_s: Some(length(&open.schedule.stages)),
                stages: Some(stages(&open.schedule.stages, PER_SECOND as f64)),
                warmup_s: Some(open.warmup).filter(|ns| *ns > 0).map(seconds),
                ..Self::default()
            },
            Load::Held(held) => {
                let mut load = Self {
                    kind: "held",
                    requests: held.requests,
                    duration_s: Some(seconds(held.end)),
                    reconnect: held.reconnect.as_ref().map(|plan| BackOffJson {
                        delay_s: seconds(plan.least),
                        delay_max_s: seconds(plan.most),
                        jitter: f64::from(plan.jitter) / 1000.0,
                        attempts: plan.attempts,
                    }),
                    storms_s: held.storms.iter().map(|ns| seconds(*ns)).collect(),
                    ..Self::of_level(&held.clients)
                };
                match &held.cadence {
                    None => {}
                    Some(Cadence::Once) => load.cadence = Some("once"),
                    Some(Cadence::Every(ns)) => {
                        load.cadence = Some("every");
                        load.every_s = Some(seconds(*ns));
                    }
                    Some(Cadence::Total(schedule)) => {
                        load.cadence = Some("total");
                        load.stages = Some(stages(&schedule.stages, PER_SECOND as f64));
                    }
                }
                load
            }
        }
    }

    fn of_level(level: &Level) -> Self {
        match level {
            Level::Ramp { count, rate } => Self {
                connections: Some(*count),
                connect_rate: rate.map(|rate| rounded(rate as f64 / PER_SECOND as f64)),
                ..Self::default()
            },
            Level::Stages(list) => Self {
                connections: list.iter().map(|s| s.from.max(s.to)).max(),
                connection_stages: Some(stages(list, 1.0)),
                ..Self::default()
            },
        }
    }
}

fn stages(list: &[Stage], unit: f64) -> Vec<StageJson> {
    list.iter()
        .map(|stage| StageJson {
            duration_s: seconds(stage.duration),
            from: rounded(stage.from as f64 / unit),
            to: rounded(stage.to as f64 / unit),
        })
        .collect()
}

fn length(list: &[Stage]) -> f64 {
    seconds(list.iter().map(|stage| stage.duration).sum())
}

fn seconds(ns: u64) -> f64 {
    rounded(ns as f64 / 1e9)
}
