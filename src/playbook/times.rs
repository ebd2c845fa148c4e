//! Times of steps: waits, random ones, what ends a repetition. Pure.

use super::keys;
use super::reading::{Reading, Section};
use super::tree::{Node, Value};
use crate::cli::units;
use swarm_agent::wire::flow::{Rounds, Spread, Wait};

/// A time, or a distribution of times: `2s`, `1s..3s`, `{ from, to }`, `{ mean, deviation }`, `{ exponential }`.
pub fn spread(reading: &Reading, what: &str, node: &Node) -> Option<Spread> {
    if let Value::Table(_) = node.value {
        return table(reading, what, node);
    }
    let said = reading.scalar(what, node)?;
    let read = match said.text.split_once("..") {
        Some((from, to)) => units::duration(from).and_then(|from| between(from, units::duration(to)?)),
        None => units::duration(&said.text).map(Spread::Fixed),
    };
    read.map_err(|error| {
        let error = reading.vars.discreet(node.written(), error);
        reading.wrong(node.line, format!("{what}: {error}"));
    })
    .ok()
}

fn between(from: u64, to: u64) -> Result<Spread, String> {
    if from > to {
        return Err("the wrong way round: the shorter time comes first".into());
    }
    Ok(Spread::Uniform(from, to))
}

fn table(reading: &Reading, what: &str, node: &Node) -> Option<Spread> {
    let section = Section::open(reading, &keys::SPREAD, node)?;
    let time = |key: &str| section.read(key, units::duration);
    let has = |key: &str| section.get(key).is_some();
    let spread = match (
        has("from") || has("to"),
        has("mean") || has("deviation"),
        has("exponential"),
    ) {
        (true, false, false) if has("from") && has("to") => between(time("from")?, time("to")?),
        (false, true, false) if has("mean") && has("deviation") => Ok(Spread::Normal {
            mean: time("mean")?,
            deviation: time("deviation")?,
        }),
        (false, false, true) => Ok(Spread::Exponential(time("exponential")?)),
        _ => Err("{ from, to }, { mean, deviation } or { exponential }".into()),
    };
    spread
        .map_err(|error| reading.wrong(node.line, format!("{what}: {error}")))
        .ok()
}

/// `wait`: a time, `end`, or `{ until = '30s' }`.
pub fn wait(reading: &Reading, node: &Node) -> Option<Wait> {
    match &node.value {
        Value::Text(text) if text == "end" => Some(Wait::End),
        Value::Table(_) => {
            let section = Section::open(reading, &keys::WAIT, node)?;
            if section.get("until").is_none() {
                section.wrong("until", "is missing: wait = { until = '30s' }");
            }
            section.read("until", units::duration).map(Wait::Until)
        }
        _ => spread(reading, "wait", node).map(Wait::For),
    }
}

/// `times` and `for`; without them for ever.
pub fn rounds(section: &Section<'_>) -> Option<Rounds> {
    section.only_one(&["times", "for"]);
    if section.get("times").is_some() {
        return section.read("times", units::count).map(Rounds::Count);
    }
    if section.get("for").is_some() {
        return section.read("for", units::duration_above_zero).map(Rounds::For);
    }
    Some(Rounds::Forever)
}
