//! The result of a run as text. Pure. Never here: single tables (`tables`), writing.

use super::{beside, broadcast, clean, figures, flows, observed, tables};
use crate::merge::Warning;
use crate::merge::summary::{HostStatus, Summary};
use std::collections::BTreeMap;

/// Warnings of one kind that are told one by one; of the rest only how many.
const OF_A_KIND: usize = 5;

/// Everything that is printed at the end of a run.
pub fn render(summary: &Summary) -> String {
    let blocks = [
        heading(summary),
        tables::totals(summary),
        tables::latency(summary),
        flows::table(summary),
        tables::statuses(summary),
        tables::errors(summary),
        hosts(summary),
        balancer(summary),
        beside::text(summary),
        broadcast::text(summary),
        tables::parts(summary),
        tables::requirements(summary),
        doubts("note", &summary.notes),
        doubts("warning", &summary.warnings),
    ];
    let told: Vec<String> = blocks.into_iter().filter(|block| !block.is_empty()).collect();
    told.join("\n")
}

fn heading(summary: &Summary) -> String {
    let run = &summary.run;
    let targets: Vec<String> = summary
        .targets
        .iter()
        .take(3)
        .map(|t| clean::line(&clean::url(&t.url)))
        .collect();
    let engine = match run.engine.carrier() {
        Some(carrier) => format!("{} {carrier}", run.engine.word()),
        None => run.engine.word().to_owned(),
    };
    format!(
        "run {}: {}, {}, {engine}, {}\n",
        clean::line(&run.id),
        run.status.word(),
        figures::span(run.duration_s),
        targets.join(" "),
    )
}

fn hosts(summary: &Summary) -> String {
    let table = tables::hosts(summary);
    let started = summary
        .hosts
        .iter()
        .filter(|h| !matches!(h.status, HostStatus::Refused { .. }))
        .count();
    let Some(sync) = summary.sync.filter(|_| started > 1) else {
        return table;
    };
    let skew = figures::ms(sync.start_skew_us as f64);
    match sync.start_skew_bound_us {
        Some(bound) => format!("{table}start skew {skew} ms, ± {} ms\n", figures::ms(bound as f64)),
        None => format!("{table}start skew {skew} ms, by clocks whose error is not known\n"),
    }
}

fn balancer(summary: &Summary) -> String {
    let affinity = &summary.affinity;
    let by = affinity
        .by
        .as_ref()
        .map(|by| format!("backends by {}", clean::line(by)));
    let reached = affinity.reached.map(|n| match affinity.known {
        Some(known) => format!("{} of {} reached", figures::count(n), figures::count(known)),
        None => format!("{} reached", figures::count(n)),
    });
    let busiest = affinity
        .busiest_over_mean
        .filter(|_| affinity.verdict.is_none())
        .map(|over| format!("busiest {over:.2} times the mean"));
    let facts: Vec<String> = [by, reached, busiest].into_iter().flatten().collect();
    let backends = observed::backends(summary);
    let mut text = tables::matrix(summary);
    if !text.is_empty() && !backends.is_empty() {
        text.push('\n');
    }
    text += &backends;
    if !facts.is_empty() {
        text += &format!("{}\n", facts.join(", "));
    }
    for words in [&affinity.verdict, &affinity.because, &affinity.unknown]
        .into_iter()
        .flatten()
    {
        text += &format!("{}\n", clean::line(words));
    }
    text + &observed::words(affinity) + &observed::seen(summary)
}

fn doubts(word: &str, warnings: &[Warning]) -> String {
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    let mut text = String::new();
    for warning in warnings {
        let n = told.entry(&warning.kind).or_default();
        *n += 1;
        if *n <= OF_A_KIND {
            text += &format!("{word}: {}\n", clean::line(&warning.text));
            if let Some(advice) = &warning.advice {
                text += &format!("  -> {}\n", clean::line(advice));
            }
        }
    }
    for (kind, n) in told.iter().filter(|(_, n)| **n > OF_A_KIND) {
        text += &format!("{word}: and {} more of {kind}\n", n - OF_A_KIND);
    }
    text
}
