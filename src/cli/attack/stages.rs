//! `--stage` read, and rates cut off at `--max-rate`. Pure.

use super::Noted;
use super::load::time_for;
use crate::cli::Usage;
use crate::cli::units::{self, show_duration, show_rate};
use swarm_agent::wire::share::Stage;

/// `--every`, stretched so that all clients together stay under the cap.
pub(super) fn capped_every(every: u64, clients: u64, max: Option<u64>, noted: &mut Noted) -> u64 {
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
pub(super) fn capped(stages: &[Stage], max: Option<u64>, flag: &str, noted: &mut Noted) -> Vec<Stage> {
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
    cut_off(stages, max)
}

/// Stages with nothing above `max`.
pub(super) fn cut_off(stages: &[Stage], max: u64) -> Vec<Stage> {
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
pub(super) fn stages(typed: &[String]) -> Result<(Vec<Stage>, Vec<Stage>), Usage> {
    let (mut rates, mut connections) = (Vec::new(), Vec::new());
    for text in typed {
        let wrong = |error: String| Usage(format!("--stage {text}: {error}"));
        let of_connections = text.strip_prefix("connections:");
        let plain = of_connections.unwrap_or(text);
        let list: &mut Vec<Stage> = if of_connections.is_some() {
            &mut connections
        } else {
            &mut rates
        };
        let read = |level: &str| {
            if of_connections.is_some() {
                units::count_or_zero(level)
            } else {
                units::rate_or_zero(level)
            }
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
        let whole = list
            .iter()
            .fold(0, |sum: u64, stage| sum.saturating_add(stage.duration));
        if whole > units::LONGEST {
            return Err(Usage("--stage: all stages together are longer than 365 days".into()));
        }
        if !list.is_empty() && list.iter().all(|stage| stage.from == 0 && stage.to == 0) {
            return Err(Usage("--stage: all stages are at zero".into()));
        }
    }
    Ok((rates, connections))
}
