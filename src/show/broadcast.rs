//! Broadcasts as they are shown: text, and their object in the JSON report. Pure.

use super::json::rounded;
use super::{clean, figures, tables};
use crate::merge::broadcast::{Broadcasts, Pair};
use crate::merge::summary::Summary;
use serde::Serialize;
use std::collections::BTreeSet;
use swarm_agent::wire::report::Latency;

/// The most backends side by side.
const COLUMNS: usize = 12;

/// Broadcasts in the JSON report.
#[derive(Debug, Serialize)]
pub struct BroadcastJson {
    event: String,
    emitters: String,
    stamped: bool,
    emitted: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<u64>,
    received: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicates: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reach: Option<f64>,
    /// Receipts by the emitter itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    own: Option<u64>,
    /// Receipts by clients that had just come or were about to go.
    not_due: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    unstamped: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forgotten: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    below_clock_error: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_error_us: Option<u64>,
    pairs: Vec<PairJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<String>,
}

#[derive(Debug, Serialize)]
struct PairJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    expected: u64,
    received: u64,
}

impl BroadcastJson {
    /// Of a run that measured broadcasts. Without stamps receipts cannot be told apart or timed.
    pub fn of(all: &Broadcasts) -> Self {
        let told = |n: u64| all.stamped.then_some(n);
        Self {
            event: all.event.clone(),
            emitters: format!("1/{}", all.one_in),
            stamped: all.stamped,
            emitted: all.emitted,
            expected: all.expected,
            received: all.received,
            duplicates: told(all.duplicates),
            reach: all.reach().map(rounded),
            own: told(all.own),
            not_due: all.beyond,
            unstamped: told(all.unstamped),
            forgotten: told(all.forgotten),
            below_clock_error: told(all.below_clock_error),
            clock_error_us: all.clock_error_us.filter(|_| all.stamped),
            pairs: all.pairs.iter().map(pair).collect(),
            verdict: all.verdict.clone(),
        }
    }
}

fn pair(pair: &Pair) -> PairJson {
    PairJson {
        from: pair.from.clone(),
        to: pair.to.clone(),
        expected: pair.expected,
        received: pair.received,
    }
}

/// Receipts that are in no percentile.
pub fn not_timed(all: &Broadcasts) -> Option<u64> {
    let missing = all.expected?.saturating_sub(all.received);
    Some(missing + all.below_clock_error)
}

/// How exact the times of broadcasts are, under the percentiles; empty where none were taken.
pub fn error_line(summary: &Summary) -> String {
    let Some(all) = summary.broadcast.as_ref().filter(|all| all.stamped) else {
        return String::new();
    };
    if summary.latency(Latency::Broadcast).is_none() && all.below_clock_error == 0 {
        return String::new();
    }
    let bound = match all.clock_error_us {
        Some(0) => return "broadcast: from the emit to each receipt, by one clock\n".to_owned(),
        Some(us) => format!(
            "± {} ms between hosts by their clocks, exact on one host",
            figures::ms(us as f64)
        ),
        None => "between hosts by clocks whose error is not known".to_owned(),
    };
    let below = match all.below_clock_error {
        0 => String::new(),
        n => format!(
            "; {} receipts took less than can be told, and are in no percentile",
            figures::count(n)
        ),
    };
    format!("broadcast: from the emit to each receipt, {bound}{below}\n")
}

/// What came of them: sums, the pairs of backends, the verdict.
pub fn text(summary: &Summary) -> String {
    let Some(all) = &summary.broadcast else {
        return String::new();
    };
    let reach = match (all.expected, all.reach()) {
        (Some(expected), Some(reach)) => format!(
            "{} of {} receipts that were due: reach {}",
            figures::count(all.received),
            figures::count(expected),
            figures::percent(reach)
        ),
        _ => format!(
            "{} receipts; reach is not known: {}",
            figures::count(all.received),
            all.unknown()
        ),
    };
    let mut text = format!(
        "broadcast {}: {} emitted, {reach}\n",
        clean::line(&all.event),
        figures::count(all.emitted)
    );
    let more: Vec<String> = [
        (all.duplicates, "duplicates"),
        (all.own, "heard by their emitters"),
        (all.beyond, "heard by clients that had just come or were about to go"),
        (all.unstamped, "without a stamp of this run"),
        (all.forgotten, "too late to be told apart"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{} {what}", figures::count(n)))
    .collect();
    if !more.is_empty() {
        text += &format!("beside them {}\n", more.join(", "));
    }
    if all.pairs.len() > 1 {
        text = table(&all.pairs) + &text;
    }
    if let Some(verdict) = &all.verdict {
        text += &format!("{}\n", clean::line(verdict));
    }
    text
}

fn name(backend: &Option<String>) -> String {
    backend.as_deref().map_or_else(|| "(unknown)".to_owned(), clean::cell)
}

/// Emitters' backends by listeners' backends: received of expected.
fn table(pairs: &[Pair]) -> String {
    let from: BTreeSet<&Option<String>> = pairs.iter().map(|pair| &pair.from).collect();
    let to: BTreeSet<&Option<String>> = pairs.iter().map(|pair| &pair.to).collect();
    let shown: Vec<_> = to.iter().take(COLUMNS).collect();
    let cell = |from: &Option<String>, to: &Option<String>| {
        let pair = pairs.iter().find(|pair| pair.from == *from && pair.to == *to);
        pair.map_or_else(String::new, |pair| {
            format!("{} of {}", figures::count(pair.received), figures::count(pair.expected))
        })
    };
    let mut head = vec!["emitted on".to_owned()];
    head.extend(shown.iter().map(|to| format!("heard on {}", name(to))));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let rows = from.iter().take(tables::ROWS).map(|from| {
        let cells = shown.iter().map(|to| cell(from, to));
        std::iter::once(name(from)).chain(cells).collect()
    });
    let mut text = tables::table(&head, rows.collect(), &[]);
    let left = (to.len() - shown.len()).max(from.len().saturating_sub(tables::ROWS));
    if left > 0 {
        text += &format!("and {left} more backends\n");
    }
    text
}
