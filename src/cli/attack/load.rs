//! How much, how fast, how long: the load's flags to the wire's `Load`. Pure.

use super::args::AttackArgs;
use super::{Kind, Noted, read};
use crate::cli::Usage;
use crate::cli::units::{self, SECOND, comma, show_duration, show_rate};
use swarm_agent::pacer::connections as peak;
use swarm_agent::wire::share::{Cadence, Closed, Held, Level, Load, Open, Schedule, Stage};

const HTTP_CONNECTIONS: u64 = 50;
const HTTP_DURATION: u64 = 10 * SECOND;
const CLIENTS: u64 = 100;
const CONNECT_RATE: u64 = 20_000_000;
const RAMP: u64 = 10;
const HOLD: u64 = 10 * SECOND;
/// An open loop's default cap stays under it, whatever rate and timeout say.
const OPEN_CONNECTIONS_AT_MOST: u64 = 10_000;

/// The flags, read but not yet put together.
struct Asked {
    connections: Option<u64>,
    rate: Option<u64>,
    requests: Option<u64>,
    duration: Option<u64>,
    connect_rate: Option<ConnectRate>,
    hold: Option<u64>,
    every: Option<u64>,
    warmup: Option<u64>,
    max_rate: Option<u64>,
    rate_stages: Vec<Stage>,
    connection_stages: Vec<Stage>,
}

#[derive(Clone, Copy)]
enum ConnectRate {
    Max,
    Rate(u64),
}

impl ConnectRate {
    fn uhz(self) -> Option<u64> {
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
        _ => held(&asked, kind, speaks, noted).map(Load::Held),
    }
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

fn held(asked: &Asked, kind: Kind, speaks: bool, noted: &mut Noted) -> Result<Held, Usage> {
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
    Ok(Held {
        clients,
        end,
        cadence,
        requests: asked.requests,
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

fn default_duration(noted: &mut Noted) -> u64 {
    noted.took(format!("-z {}", show_duration(HTTP_DURATION)));
    HTTP_DURATION
}

/// ns until `count` are due at `rate` uHz, rounded up.
fn time_for(count: u64, rate: u64) -> u64 {
    let ns = (u128::from(count) * 1_000_000 * u128::from(SECOND)).div_ceil(u128::from(rate.max(1)));
    u64::try_from(ns).unwrap_or(u64::MAX)
}

fn total(stages: &[Stage]) -> u64 {
    stages.iter().fold(0, |sum, stage| sum.saturating_add(stage.duration))
}

/// `--every`, stretched so that all clients together stay under the cap.
fn capped_every(every: u64, clients: u64, max: Option<u64>, noted: &mut Noted) -> u64 {
    let least = max.map_or(0, |max| time_for(clients, max));
    if every >= least {
        return every;
    }
    noted.note(
        "max_rate",
        format!(
            "--max-rate {}: --every {} runs as {}",
            show_rate(max.unwrap_or(0)),
            show_duration(every),
            show_duration(least)
        ),
    );
    least
}

/// Stages cut off at the cap: a ramp through it becomes a ramp to it and a plateau.
fn capped(stages: &[Stage], max: Option<u64>, flag: &str, noted: &mut Noted) -> Vec<Stage> {
    let top = stages.iter().map(|stage| stage.from.max(stage.to)).max().unwrap_or(0);
    let Some(max) = max.filter(|max| top > *max) else {
        return stages.to_vec();
    };
    noted.note(
        "max_rate",
        format!(
            "--max-rate {}: {flag} {} runs at {} at most",
            show_rate(max),
            show_rate(top),
            show_rate(max)
        ),
    );
    stages
        .iter()
        .flat_map(|stage| cut(*stage, max))
        .filter(|stage| stage.duration > 0)
        .collect()
}

fn cut(stage: Stage, max: u64) -> [Stage; 2] {
    let Stage { duration, from, to } = stage;
    let plateau = |duration| Stage {
        duration,
        from: max,
        to: max,
    };
    if from <= max && to <= max {
        return [stage, plateau(0)];
    }
    if from >= max && to >= max {
        return [plateau(duration), plateau(0)];
    }
    // the part of the ramp that lies under the cap
    let under = u128::from(duration) * u128::from(max - from.min(to)) / u128::from(from.abs_diff(to));
    let under = u64::try_from(under).unwrap_or(duration);
    if from < to {
        [
            Stage {
                duration: under,
                from,
                to: max,
            },
            plateau(duration - under),
        ]
    } else {
        [
            plateau(duration - under),
            Stage {
                duration: under,
                from: max,
                to,
            },
        ]
    }
}

/// `--stage` values: those of the rate and those of connections, each beginning where the one before ended.
fn stages(typed: &[String]) -> Result<(Vec<Stage>, Vec<Stage>), Usage> {
    let (mut rates, mut connections) = (Vec::new(), Vec::new());
    for text in typed {
        let wrong = |error: String| Usage(format!("--stage {text}: {error}"));
        let (list, plain, read): (&mut Vec<Stage>, &str, fn(&str) -> Result<u64, String>) =
            match text.strip_prefix("connections:") {
                Some(plain) => (&mut connections, plain, units::count_or_zero),
                None => (
                    &mut rates,
                    text.strip_prefix("rate:").unwrap_or(text),
                    units::rate_or_zero,
                ),
            };
        let (time, level) = plain
            .split_once(':')
            .ok_or_else(|| wrong("T:TO or T:FROM..TO, as 30s:500 or 1m:100..500".into()))?;
        let duration = units::duration_above_zero(time).map_err(wrong)?;
        let before = list.last().map_or(0, |stage: &Stage| stage.to);
        let (from, to) = match level.split_once("..") {
            Some((from, to)) => (read(from).map_err(wrong)?, read(to).map_err(wrong)?),
            None => (before, read(level).map_err(wrong)?),
        };
        list.push(Stage { duration, from, to });
    }
    for list in [&rates, &connections] {
        if !list.is_empty() && list.iter().all(|stage| stage.from == 0 && stage.to == 0) {
            return Err(Usage("--stage: all stages are at zero".into()));
        }
    }
    Ok((rates, connections))
}
