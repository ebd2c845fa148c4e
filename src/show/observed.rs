//! What was seen of the balancer, in the JSON report and as text: backends side by side, breaks, moves. Pure. Never here: rules.

use super::json::seconds;
use super::rows::LatencyJson;
use super::{clean, figures, tables};
use crate::balancer::moves::{self, Landed, Move, Mover};
use crate::balancer::{Affinity, Breaks};
use crate::merge::summary::Summary;
use serde::Serialize;
use std::net::IpAddr;

/// Moves that are told in words; the rest is in the report.
const TOLD: usize = 8;

/// Sources and sessions that were seen on more than one backend.
#[derive(Debug, Serialize)]
pub struct BreaksJson {
    sources: u64,
    sessions: u64,
    first_at_s: f64,
    example: BreakJson,
}

#[derive(Debug, Serialize)]
struct BreakJson {
    t_s: f64,
    host: String,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    from: String,
    to: String,
}

impl BreaksJson {
    /// Of what was found.
    pub fn of(breaks: &Breaks) -> Self {
        let example = &breaks.example;
        Self {
            sources: breaks.sources,
            sessions: breaks.sessions,
            first_at_s: seconds(breaks.first_us),
            example: BreakJson {
                t_s: seconds(example.at_us),
                host: example.host.clone(),
                source: example.source.to_string(),
                session: example.session.clone(),
                from: example.from.clone(),
                to: example.to.clone(),
            },
        }
    }
}

/// Those who went away from one backend together.
#[derive(Debug, Serialize)]
pub struct MoveJson {
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    first_at_s: f64,
    last_at_s: f64,
    lost: u64,
    stormed: u64,
    moved: u64,
    not_back: u64,
    to: Vec<LandedJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    away: Option<LatencyJson>,
}

#[derive(Debug, Serialize)]
struct LandedJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    away: Option<LatencyJson>,
}

impl MoveJson {
    /// Of one move.
    pub fn of(row: &Move) -> Self {
        let landed = |to: &Landed| LandedJson {
            name: to.name.clone(),
            count: to.count,
            away: LatencyJson::bare(&to.away),
        };
        Self {
            unit: match row.who {
                Mover::Clients => "clients",
                Mover::Sources => "sources",
            },
            from: row.from.clone(),
            first_at_s: seconds(row.first_us),
            last_at_s: seconds(row.last_us),
            lost: row.lost,
            stormed: row.stormed,
            moved: row.moved(),
            not_back: row.missing(),
            to: row.to.iter().map(landed).collect(),
            away: LatencyJson::bare(&row.away()),
        }
    }
}

/// The address that a source is seen as, and others that it is seen as, too.
pub fn seen_as(seen: &[IpAddr]) -> (Option<String>, Vec<String>) {
    let mut all = seen.iter().map(IpAddr::to_string);
    (all.next(), all.collect())
}

/// Backends side by side: load, failures, latency.
pub fn backends(summary: &Summary) -> String {
    let rows = summary
        .backends
        .iter()
        .map(|row| {
            let at = |quantile| {
                let us = row.latency.quantile(quantile);
                us.map_or_else(String::new, |us| figures::ms(us as f64))
            };
            vec![
                clean::cell(&row.name),
                figures::count(row.connections),
                figures::count(row.requests),
                row.share.map_or_else(String::new, figures::percent),
                figures::count(row.errors),
                figures::count(row.dropped),
                at(0.5),
                at(0.9),
                at(0.99),
            ]
        })
        .collect();
    let what = summary.row_latency.word();
    let (p50, p90, p99) = (format!("{what} p50, ms"), "p90", "p99");
    let head = [
        "backend",
        "connections",
        "requests",
        "share",
        "errors",
        "lost",
        p50.as_str(),
        p90,
        p99,
    ];
    tables::limited(&head, rows, &[], "backends")
}

/// As whom the sources are seen, where that was asked for and is not what they are.
pub fn seen(summary: &Summary) -> String {
    let told: Vec<String> = summary
        .sources
        .iter()
        .filter(|source| source.seen_as.iter().any(|seen| *seen != source.address))
        .take(TOLD)
        .map(|source| {
            let seen: Vec<String> = source.seen_as.iter().map(IpAddr::to_string).collect();
            format!(
                "{} of {} is seen as {}\n",
                source.address,
                clean::line(&source.host),
                seen.join(", ")
            )
        })
        .collect();
    let known = summary
        .sources
        .iter()
        .filter(|source| !source.seen_as.is_empty())
        .count();
    match (known, told.is_empty()) {
        (0, _) => String::new(),
        (n, true) => format!("{} of {} sources are seen as what they are\n", n, summary.sources.len()),
        (_, false) => told.concat(),
    }
}

/// Breaks and moves in words.
pub fn words(affinity: &Affinity) -> String {
    let breaks = affinity.breaks.as_ref().map(Breaks::words);
    let mut lines: Vec<String> = breaks.into_iter().collect();
    let told: Vec<String> = affinity.moves.iter().filter_map(moves::words).collect();
    let left = told.len().saturating_sub(TOLD);
    lines.extend(told.into_iter().take(TOLD));
    if left > 0 {
        lines.push(format!("and {left} more moves: see the JSON report (-o FILE.json)"));
    }
    lines.iter().map(|line| clean::line(line) + "\n").collect()
}
