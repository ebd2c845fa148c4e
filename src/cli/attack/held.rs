//! The load of held clients (websocket, socketio, engineio): how many, when they open, what they send, when they close. Pure.

use super::args::AttackArgs;
use super::load::{Asked, time_for};
use super::reconnect::{WayBack, reconnect};
use super::stages::{capped, capped_every};
use super::{Kind, Noted};
use crate::cli::Usage;
use crate::cli::units::{SECOND, comma, show_duration, show_rate};
use swarm_agent::pacer::{connections as peak, length as total};
use swarm_agent::wire::share::{Cadence, Held, Level, Schedule, Stage};

const CLIENTS: u64 = 100;
const CONNECT_RATE: u64 = 20_000_000;
const RAMP: u64 = 10;
const HOLD: u64 = 10 * SECOND;

pub(super) fn held(
    args: &AttackArgs,
    asked: &Asked,
    kind: Kind,
    speaks: bool,
    noted: &mut Noted,
) -> Result<Held, Usage> {
    refuse_held(asked, kind, speaks)?;
    let clients = clients(asked, noted)?;
    let ramp = match &clients {
        Level::Ramp { count, rate } => rate.map_or(0, |rate| time_for(*count, rate)),
        Level::Stages(stages) => total(stages),
    };
    let every = asked
        .every
        .map(|every| capped_every(every, peak(&clients), asked.max_rate, noted));
    let rate_stages = capped(&asked.rate_stages, asked.max_rate, "--stage", noted);
    let rate = asked.rate.map(|rate| {
        capped(
            &[Stage {
                duration: SECOND,
                from: rate,
                to: rate,
            }],
            asked.max_rate,
            "-q",
            noted,
        )[0]
        .to
    });
    let end = match (asked.duration, asked.hold) {
        (Some(whole), _) => whole,
        (None, Some(hold)) => ramp.saturating_add(hold),
        (None, None) => default_end(asked, &clients, ramp, every, rate, total(&rate_stages), noted),
    };
    if end == 0 {
        return Err(Usage(
            "--hold 0s with --connect-rate max is no time at all: hold longer".into(),
        ));
    }
    if asked.duration.is_some() && end < ramp {
        noted.note(
            "ramp_cut",
            format!(
                "-z {} ends before the ramp does ({}): not every client will be opened",
                show_duration(end),
                show_duration(ramp)
            ),
        );
    }
    let cadence = match (rate, every) {
        _ if !rate_stages.is_empty() => Some(Cadence::Total(Schedule { stages: rate_stages })),
        (Some(rate), _) => Some(Cadence::Total(Schedule {
            stages: vec![Stage {
                duration: end,
                from: rate,
                to: rate,
            }],
        })),
        (None, Some(every)) => Some(Cadence::Every(every)),
        (None, None) => speaks.then_some(Cadence::Once),
    };
    if cadence == Some(Cadence::Once) && asked.requests.is_some_and(|n| n > peak(&clients)) {
        noted.note(
            "requests_unreachable",
            format!(
                "each client sends once, {} in all, fewer than -n says: repeat with --every T or -q R",
                comma(peak(&clients))
            ),
        );
    }
    let WayBack { reconnect, storms } = reconnect(args, asked, end, noted)?;
    Ok(Held {
        clients,
        end,
        cadence,
        requests: asked.requests,
        reconnect,
        storms,
    })
}

fn refuse_held(asked: &Asked, kind: Kind, speaks: bool) -> Result<(), Usage> {
    if asked.hold.is_some() && asked.duration.is_some() {
        return Err(Usage(
            "--hold and -z: -z is the whole time, ramp included; give one of them".into(),
        ));
    }
    if asked.every.is_some() && (asked.rate.is_some() || !asked.rate_stages.is_empty()) {
        return Err(Usage(
            "--every and a rate: --every repeats per client, -q and --stage are totals; give one of them".into(),
        ));
    }
    let add = if kind == Kind::Socketio {
        "--emit 'event,json'"
    } else {
        "--message TEXT"
    };
    let silent = [
        ("-q", asked.rate.is_some()),
        ("-n", asked.requests.is_some()),
        ("--every", asked.every.is_some()),
        ("--stage", !asked.rate_stages.is_empty()),
    ];
    match silent.iter().find(|(_, given)| *given && !speaks) {
        Some((flag, _)) => Err(Usage(format!("{flag}: these clients have nothing to send; add {add}"))),
        None => Ok(()),
    }
}

fn clients(asked: &Asked, noted: &mut Noted) -> Result<Level, Usage> {
    if !asked.connection_stages.is_empty() {
        let steepest = asked
            .connection_stages
            .iter()
            .map(|stage| {
                u128::from(stage.from.abs_diff(stage.to)) * 1_000_000 * u128::from(SECOND) / u128::from(stage.duration)
            })
            .max()
            .unwrap_or(0);
        return match asked.max_rate {
            Some(max) if steepest > u128::from(max) => Err(Usage(format!(
                "--max-rate {}: a stage opens {}; make it longer",
                show_rate(max),
                show_rate(u64::try_from(steepest).unwrap_or(u64::MAX))
            ))),
            _ => Ok(Level::Stages(asked.connection_stages.clone())),
        };
    }
    let count = asked.connections.unwrap_or_else(|| {
        noted.took(format!("-c {CLIENTS}"));
        CLIENTS
    });
    let rate = match (asked.connect_rate, asked.connections) {
        (Some(rate), _) => rate.uhz(),
        (None, given) => {
            let rate = given.map_or(CONNECT_RATE, |count| count * 1_000_000 / RAMP);
            noted.took(format!("--connect-rate {}", show_rate(rate)));
            Some(rate)
        }
    };
    let rate = match (asked.max_rate, rate) {
        (Some(max), rate) if rate.is_none_or(|rate| rate > max) => {
            let typed = rate.map_or("max".into(), show_rate);
            noted.note(
                "max_rate",
                format!(
                    "--max-rate {}: --connect-rate {typed} runs at {}",
                    show_rate(max),
                    show_rate(max)
                ),
            );
            Some(max)
        }
        (_, rate) => rate,
    };
    Ok(Level::Ramp { count, rate })
}

/// Ten seconds after the ramp; with `-n` after the last of its messages is due, with stages when they are over.
fn default_end(
    asked: &Asked,
    clients: &Level,
    ramp: u64,
    every: Option<u64>,
    rate: Option<u64>,
    stages: u64,
    noted: &mut Noted,
) -> u64 {
    if stages > 0 || matches!(clients, Level::Stages(_)) {
        return ramp.max(stages);
    }
    let sent = match (asked.requests, every, rate) {
        (Some(n), Some(every), _) => ramp.saturating_add(n.div_ceil(peak(clients).max(1)).saturating_mul(every)),
        (Some(n), None, Some(rate)) => time_for(n, rate),
        _ => 0,
    };
    let end = ramp.max(sent).saturating_add(HOLD);
    noted.took(format!("--hold {}", show_duration(end - ramp)));
    end
}
