//! How much, how fast, how long: the load's flags to the wire's `Load`. Pure.

use super::args::AttackArgs;
use super::held::held;
use super::stages::{capped, stages};
use super::{Kind, Noted, read};
use crate::cli::Usage;
use crate::cli::units::{self, SECOND, comma, show_duration, show_rate};
use swarm_agent::pacer::length as total;
use swarm_agent::wire::share::{Closed, Level, Load, Open, Schedule, Stage};

const HTTP_CONNECTIONS: u64 = 50;
const HTTP_DURATION: u64 = 10 * SECOND;
/// An open loop's default cap stays under it, whatever rate and timeout say.
const OPEN_CONNECTIONS_AT_MOST: u64 = 10_000;

/// The flags, read but not yet put together.
pub(super) struct Asked {
    pub(super) connections: Option<u64>,
    pub(super) rate: Option<u64>,
    pub(super) requests: Option<u64>,
    pub(super) duration: Option<u64>,
    pub(super) connect_rate: Option<ConnectRate>,
    pub(super) hold: Option<u64>,
    pub(super) every: Option<u64>,
    pub(super) warmup: Option<u64>,
    pub(super) max_rate: Option<u64>,
    pub(super) rate_stages: Vec<Stage>,
    pub(super) connection_stages: Vec<Stage>,
}

#[derive(Clone, Copy)]
pub(super) enum ConnectRate {
    Max,
    Rate(u64),
}

impl ConnectRate {
    pub(super) fn uhz(self) -> Option<u64> {
        match self {
            Self::Max => None,
            Self::Rate(rate) => Some(rate),
        }
    }
}

/// The load of an engine. `speaks`: there is something to send (held clients); `timeout`: of a hit.
pub(super) fn load(
    args: &AttackArgs,
    kind: Kind,
    speaks: bool,
    timeout: u64,
    noted: &mut Noted,
) -> Result<Load, Usage> {
    if kind == Kind::Http && args.hold.is_some() {
        return Err(Usage("--hold: http holds nothing; use -z".into()));
    }
    if kind != Kind::Http && args.warmup.is_some() {
        return Err(Usage(format!(
            "--warmup is for http: {} ramps up with --connect-rate",
            kind.word()
        )));
    }
    let asked = asked(args)?;
    refuse_stage_with(&asked)?;
    match kind {
        Kind::Http if asked.rate.is_some() || !asked.rate_stages.is_empty() => {
            open(&asked, timeout, noted).map(Load::Open)
        }
        Kind::Http => closed(&asked, noted).map(Load::Closed),
        _ => held(args, &asked, kind, speaks, noted).map(Load::Held),
    }
}

/// The load of a playbook's flows: clients are held, whatever the engine.
pub(super) fn of_flows(args: &AttackArgs, kind: Kind, noted: &mut Noted) -> Result<Load, Usage> {
    let asked = asked(args)?;
    refuse_stage_with(&asked)?;
    held(args, &asked, kind, false, noted).map(Load::Held)
}

fn asked(args: &AttackArgs) -> Result<Asked, Usage> {
    let (rate_stages, connection_stages) = stages(&args.stage)?;
    Ok(Asked {
        connections: read("-c", &args.connections, units::count)?,
        rate: read("-q", &args.rate, units::rate)?,
        requests: read("-n", &args.requests, units::count)?,
        duration: read("-z", &args.duration, units::duration_above_zero)?,
        connect_rate: read("--connect-rate", &args.connect_rate, |text| match text {
            "max" => Ok(ConnectRate::Max),
            text => units::rate(text).map(ConnectRate::Rate),
        })?,
        hold: read("--hold", &args.hold, units::duration)?,
        every: read("--every", &args.every, units::duration_above_zero)?,
        warmup: read("--warmup", &args.warmup, units::duration)?,
        max_rate: read("--max-rate", &args.max_rate, units::rate)?,
        rate_stages,
        connection_stages,
    })
}

fn refuse_stage_with(asked: &Asked) -> Result<(), Usage> {
    if asked.rate_stages.is_empty() && asked.connection_stages.is_empty() {
        return Ok(());
    }
    if asked.rate.is_some() {
        return Err(Usage("--stage and -q: the stages are the rate; leave out -q".into()));
    }
    if asked.duration.is_some() {
        return Err(Usage(
            "--stage and -z: the stages' times add up to the duration; leave out -z".into(),
        ));
    }
    if !asked.connection_stages.is_empty() && (asked.connections.is_some() || asked.connect_rate.is_some()) {
        return Err(Usage(
            "--stage connections: says how many there are and when; leave out -c and --connect-rate".into(),
        ));
    }
    Ok(())
}

fn closed(asked: &Asked, noted: &mut Noted) -> Result<Closed, Usage> {
    if let Some(max) = asked.max_rate {
        let connections = asked.connections.unwrap_or(HTTP_CONNECTIONS);
        let max = show_rate(max).replace(',', "");
        return Err(Usage(format!(
            "--max-rate: a closed loop has no rate to cap; the right line is -q {max} -c {connections}"
        )));
    }
    if !asked.connection_stages.is_empty() {
        return Ok(Closed {
            duration: Some(total(&asked.connection_stages)),
            connections: Level::Stages(asked.connection_stages.clone()),
            requests: asked.requests,
            warmup: asked.warmup.unwrap_or(0),
        });
    }
    let count = asked.connections.unwrap_or_else(|| {
        noted.took(format!("-c {HTTP_CONNECTIONS}"));
        HTTP_CONNECTIONS
    });
    let duration = match (asked.duration, asked.requests) {
        (None, None) => Some(default_duration(noted)),
        (duration, _) => duration,
    };
    Ok(Closed {
        connections: Level::Ramp {
            count,
            rate: asked.connect_rate.and_then(ConnectRate::uhz),
        },
        requests: asked.requests,
        duration,
        warmup: asked.warmup.unwrap_or(0),
    })
}

fn open(asked: &Asked, timeout: u64, noted: &mut Noted) -> Result<Open, Usage> {
    if asked.connect_rate.is_some() {
        return Err(Usage(
            "--connect-rate: an open loop opens connections as hits fall due; cap them with -c".into(),
        ));
    }
    if !asked.connection_stages.is_empty() {
        return Err(Usage(
            "--stage: give stages of the rate or of connections, not both; cap the connections with -c".into(),
        ));
    }
    let schedule = match asked.rate {
        None => capped(&asked.rate_stages, asked.max_rate, "--stage", noted),
        Some(rate) => {
            let plateau = |duration| {
                [Stage {
                    duration,
                    from: rate,
                    to: rate,
                }]
            };
            let rate = capped(&plateau(SECOND), asked.max_rate, "-q", noted)[0].to;
            let duration = match (asked.duration, asked.requests) {
                (Some(duration), _) => duration,
                (None, Some(requests)) => time_for(requests, rate),
                (None, None) => default_duration(noted),
            };
            vec![Stage {
                duration,
                from: rate,
                to: rate,
            }]
        }
    };
    let connections = asked.connections.unwrap_or_else(|| {
        let top = schedule.iter().map(|stage| stage.from.max(stage.to)).max().unwrap_or(0);
        let by_rule = (u128::from(top) * u128::from(timeout)).div_ceil(1_000_000 * u128::from(SECOND));
        let connections = u64::try_from(by_rule)
            .unwrap_or(u64::MAX)
            .clamp(1, OPEN_CONNECTIONS_AT_MOST);
        noted.took(format!(
            "-c {} (rate x timeout, at most {})",
            comma(connections),
            comma(OPEN_CONNECTIONS_AT_MOST)
        ));
        connections
    });
    Ok(Open {
        schedule: Schedule { stages: schedule },
        requests: asked.requests,
        connections,
        warmup: asked.warmup.unwrap_or(0),
    })
}

fn default_duration(noted: &mut Noted) -> u64 {
    noted.took(format!("-z {}", show_duration(HTTP_DURATION)));
    HTTP_DURATION
}

/// ns until `count` are due at `rate` uHz, rounded up.
pub(super) fn time_for(count: u64, rate: u64) -> u64 {
    let ns = (u128::from(count) * 1_000_000 * u128::from(SECOND)).div_ceil(u128::from(rate.max(1)));
    u64::try_from(ns).unwrap_or(u64::MAX)
}
