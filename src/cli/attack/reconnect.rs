//! How lost clients come back, and storms: their flags to the wire's `BackOff` and instants. Pure.

use super::args::AttackArgs;
use super::load::Asked;
use super::{Kind, Noted, read};
use crate::cli::Usage;
use crate::cli::units::{self, SECOND, comma, show_duration, show_number, show_rate};
use swarm_agent::wire::share::BackOff;

// those of socket.io-client: reconnectionDelay, reconnectionDelayMax, randomizationFactor
const LEAST: u64 = SECOND;
const MOST: u64 = 5 * SECOND;
const JITTER: u32 = 500;

/// The way back, and the storms.
pub(super) struct WayBack {
    pub(super) reconnect: Option<BackOff>,
    pub(super) storms: Vec<u64>,
}

/// Refuses them to an engine that holds no clients.
pub(super) fn refuse(args: &AttackArgs, kind: Kind) -> Result<(), Usage> {
    match typed(args) {
        Some(flag) if kind == Kind::Http => Err(Usage(format!(
            "{flag} is for clients that are held (websocket, socketio, engineio): http opens a connection when it needs one"
        ))),
        _ => Ok(()),
    }
}

/// What was typed, for a load that ends at `end` (ns).
pub(super) fn reconnect(args: &AttackArgs, asked: &Asked, end: u64, noted: &mut Noted) -> Result<WayBack, Usage> {
    let storms = storms(args, end)?;
    if !args.reconnect && storms.is_empty() {
        return match typed(args) {
            Some(flag) => Err(Usage(format!("{flag}: clients don't come back; add --reconnect"))),
            None => Ok(WayBack {
                reconnect: None,
                storms,
            }),
        };
    }
    if let Some(max) = asked.max_rate {
        let max = show_rate(max);
        if !storms.is_empty() {
            return Err(Usage(format!(
                "--storm and --max-rate {max}: after a storm all clients connect again at once, at no rate; leave out one of them"
            )));
        }
        noted.note(
            "max_rate",
            format!("--max-rate {max} does not hold lost clients: each connects again when its delay is over"),
        );
    }
    let least = read("--reconnect-delay", &args.reconnect_delay, units::duration_above_zero)?;
    let most = read(
        "--reconnect-delay-max",
        &args.reconnect_delay_max,
        units::duration_above_zero,
    )?;
    let jitter = read("--reconnect-jitter", &args.reconnect_jitter, jitter)?;
    let attempts = read("--reconnect-attempts", &args.reconnect_attempts, attempts)?;
    let plan = BackOff {
        least: least.unwrap_or(LEAST),
        most: most.unwrap_or(MOST),
        jitter: jitter.unwrap_or(JITTER),
        attempts,
    };
    if plan.most < plan.least {
        return Err(Usage(format!(
            "--reconnect-delay {} is longer than --reconnect-delay-max {}: raise the latter",
            show_duration(plan.least),
            show_duration(plan.most)
        )));
    }
    if !args.reconnect {
        noted.took("--reconnect");
    }
    let defaults = [
        (least.is_none(), format!("--reconnect-delay {}", show_duration(LEAST))),
        (most.is_none(), format!("--reconnect-delay-max {}", show_duration(MOST))),
        (
            jitter.is_none(),
            format!("--reconnect-jitter {}", show_number(f64::from(JITTER) / 1000.0)),
        ),
    ];
    for (_, default) in defaults.into_iter().filter(|(taken, _)| *taken) {
        noted.took(default);
    }
    Ok(WayBack {
        reconnect: Some(plan),
        storms,
    })
}

fn storms(args: &AttackArgs, end: u64) -> Result<Vec<u64>, Usage> {
    let mut storms = Vec::with_capacity(args.storm.len());
    for typed in &args.storm {
        let at = units::duration_above_zero(typed).map_err(|error| Usage(format!("--storm {typed}: {error}")))?;
        if at >= end {
            return Err(Usage(format!(
                "--storm {typed}: the load ends after {}; storm earlier or hold longer",
                show_duration(end)
            )));
        }
        storms.push(at);
    }
    storms.sort_unstable();
    storms.dedup();
    Ok(storms)
}

/// The first of these flags that was typed.
fn typed(args: &AttackArgs) -> Option<&'static str> {
    let flags = [
        ("--reconnect", args.reconnect),
        ("--storm", !args.storm.is_empty()),
        ("--reconnect-delay", args.reconnect_delay.is_some()),
        ("--reconnect-delay-max", args.reconnect_delay_max.is_some()),
        ("--reconnect-jitter", args.reconnect_jitter.is_some()),
        ("--reconnect-attempts", args.reconnect_attempts.is_some()),
    ];
    flags.iter().find(|(_, given)| *given).map(|(flag, _)| *flag)
}

/// 0 to 1, in thousandths.
fn jitter(text: &str) -> Result<u32, String> {
    match units::decimal(text) {
        Some(share) if share <= 1.0 => Ok((share * 1000.0).round() as u32),
        _ => Err("a share of the delay, from 0 to 1".into()),
    }
}

fn attempts(text: &str) -> Result<u32, String> {
    let n = units::count(text)?;
    u32::try_from(n).map_err(|_| format!("{} are more than anyone counts; leave it out for no end", comma(n)))
}
