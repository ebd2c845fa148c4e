//! The tables at the end of a run. Pure: a summary in, text out; never more than [`ROWS`] lines each.

use super::{broadcast, clean, figures};
use crate::merge::summary::{HostRow, HostStatus, Summary};
use swarm_agent::wire::histogram::Histogram;
use swarm_agent::wire::report::Latency;
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Style};

/// The most rows of a table; the rest is summed up in a line.
pub const ROWS: usize = 30;
/// The most backends side by side.
const COLUMNS: usize = 12;

/// A table of figures, set to the right, but for the first column and those that `texts` names.
pub(super) fn table(head: &[&str], rows: Vec<Vec<String>>, texts: &[usize]) -> String {
    let mut builder = Builder::default();
    builder.push_record(head.iter().copied());
    rows.into_iter().for_each(|row| builder.push_record(row));
    let mut table = builder.build();
    table.with(Style::psql());
    for column in (1..head.len()).filter(|column| !texts.contains(column)) {
        table.modify(Columns::one(column), Alignment::right());
    }
    let lines: Vec<String> = table
        .to_string()
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n") + "\n"
}

/// Totals as lines of name and figure.
pub fn totals(summary: &Summary) -> String {
    let tally = &summary.whole.tally;
    let c = &tally.connections;
    let m = &tally.messages;
    let count = |name: &str, n: u64| vec![name.to_owned(), figures::count(n)];
    let mut rows = Vec::new();
    if let Some(planned) = summary.planned {
        rows.push(count("planned", planned));
    }
    let says_something = tally.requests + tally.not_started + summary.planned.unwrap_or(0) > 0;
    if says_something {
        rows.push(count("requests", tally.requests));
        rows.push(count("  ok", tally.ok));
        rows.push(count("  failed", tally.failed));
        rows.push(count("  unfinished", tally.unfinished));
        rows.push(count("not started", tally.not_started));
        if crate::merge::doubts::due(&summary.load, &summary.whole).is_some() {
            rows.push(count("sent late", tally.late));
        }
    }
    rows.push(count("connections", c.attempted));
    rows.push(count("  opened", c.opened));
    rows.push(count("  failed", c.failed));
    rows.push(count("  unfinished", c.unfinished));
    rows.push(count("  dropped", c.dropped));
    if crate::merge::doubts::comes_back(&summary.load) {
        rows.push(count("  dropped in storms", c.stormed));
        rows.push(count("  clients back again", c.reconnected));
        rows.push(count("  lost for good", c.gave_up));
        rows.push(count("  still away", c.away));
    }
    if let Some(peak) = summary.whole.peak {
        rows.push(count("  most at once", peak));
    }
    if m.expected + m.received > 0 {
        rows.push(count("messages received", m.received));
        rows.push(count("answers", m.acked));
        rows.push(count("  lost", m.lost));
        rows.push(count("  unfinished", m.unfinished));
    }
    let beats = [
        ("heartbeats missed", tally.heartbeats.missed),
        ("clients that stayed on polling", tally.stayed_polling),
    ];
    rows.extend(beats.iter().filter(|(_, n)| *n > 0).map(|(name, n)| count(name, *n)));
    let rates = &summary.whole.rates;
    let named = [
        ("requests/s", rates.requests.filter(|_| says_something)),
        ("connections/s", rates.connections),
        ("messages/s", rates.messages.filter(|_| says_something)),
    ];
    rows.extend(
        named
            .iter()
            .filter_map(|(name, rate)| Some(vec![(*name).to_owned(), figures::rate((*rate)?)])),
    );
    rows.push(vec!["sent".into(), figures::bytes(tally.bytes_sent)]);
    rows.push(vec!["received".into(), figures::bytes(tally.bytes_received)]);
    table(&["totals", ""], rows, &[])
}

/// Percentiles in ms, with what is not in them.
pub fn latency(summary: &Summary) -> String {
    let rows: Vec<Vec<String>> = Latency::ALL
        .into_iter()
        .filter_map(|name| Some(percentiles(summary, name, summary.latency(name)?)))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = [
        "latency, ms",
        "count",
        "not in it",
        "min",
        "mean",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
    ];
    let mut text = table(&head, rows, &[]);
    text += "not in it: failed, unfinished and never sent hits; failed and unfinished connections; answers that did not come";
    if crate::merge::doubts::comes_back(&summary.load) {
        text += "; clients that did not come back";
    }
    text + "\n" + &broadcast::error_line(summary)
}

fn percentiles(summary: &Summary, name: Latency, histogram: &Histogram) -> Vec<String> {
    let tally = &summary.whole.tally;
    let missing = match name {
        Latency::Request | Latency::Service => Some(tally.failed + tally.unfinished + tally.not_started),
        Latency::Handshake | Latency::Open | Latency::Namespace => {
            Some(tally.connections.failed + tally.connections.unfinished)
        }
        Latency::Message | Latency::Ack => Some(tally.messages.lost + tally.messages.unfinished),
        Latency::Upgrade => Some(tally.stayed_polling),
        Latency::Reconnect => Some(tally.connections.gave_up + tally.connections.away),
        Latency::Broadcast => summary.broadcast.as_ref().and_then(broadcast::not_timed),
        Latency::RequestFailed | Latency::Dns | Latency::Connect | Latency::Tls | Latency::Lateness => None,
    };
    let at = |quantile: f64| {
        histogram
            .quantile(quantile)
            .map_or_else(String::new, |us| figures::ms(us as f64))
    };
    vec![
        name.word().to_owned(),
        figures::count(histogram.count),
        missing.map_or_else(String::new, figures::count),
        figures::ms(histogram.min as f64),
        histogram.mean().map_or_else(String::new, figures::ms),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        figures::ms(histogram.max as f64),
    ]
}

/// Answers by status.
pub fn statuses(summary: &Summary) -> String {
    let rows: Vec<Vec<String>> = summary
        .statuses
        .iter()
        .map(|(status, n)| vec![status.to_string(), figures::count(*n)])
        .collect();
    limited(&["status", "answers"], rows, &[], "statuses")
}

/// The most characters of an error: what was wrong stands at its end.
const CAUSE: usize = 140;

/// Failures with the first example of each.
pub fn errors(summary: &Summary) -> String {
    let rows: Vec<Vec<String>> = summary
        .errors
        .iter()
        .map(|row| {
            let example = row.examples.first();
            let place = example.map(|e| {
                let source = e.source.map(|ip| ip.to_string());
                let parts = [
                    Some(e.host.clone()),
                    source,
                    e.backend.clone(),
                    e.status.map(|s| s.to_string()),
                ];
                clean::cell(&parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
            });
            let body = example.map(|e| clean::cell(&e.body));
            vec![
                clean::cut(&clean::line(&format!("{}: {}", row.kind.word(), row.detail)), CAUSE),
                figures::count(row.count),
                figures::span(row.first_at_us as f64 / 1e6),
                place.unwrap_or_default(),
                body.unwrap_or_default(),
            ]
        })
        .collect();
    limited(
        &["error", "count", "first", "example", "answer"],
        rows,
        &[3, 4],
        "kinds of errors",
    )
}

/// Hosts: how each ended, how it started, how it fared.
pub fn hosts(summary: &Summary) -> String {
    let row = |host: &HostRow| {
        let started = !matches!(host.status, HostStatus::Refused { .. });
        let tally = &host.part.tally;
        let figure = |n: u64| {
            if started { figures::count(n) } else { String::new() }
        };
        let percent = |share: Option<f64>| share.map_or_else(String::new, figures::percent);
        vec![
            clean::cell(&host.name),
            host.status.word().to_owned(),
            figure(tally.requests),
            figure(tally.failed),
            figure(tally.connections.opened),
            host.start_offset_us
                .map_or_else(String::new, |us| format!("{:+.3}", us as f64 / 1000.0)),
            host.clock_error_us
                .map_or_else(String::new, |us| figures::ms(us as f64)),
            percent(host.cpu_busy),
            percent(host.cpu_steal),
        ]
    };
    let head = [
        "host",
        "status",
        "requests",
        "failed",
        "opened",
        "start, ms",
        "clock ±ms",
        "cpu",
        "steal",
    ];
    limited(&head, summary.hosts.iter().map(row).collect(), &[1], "hosts")
}

/// Sources by backends.
pub fn matrix(summary: &Summary) -> String {
    let matrix = &summary.matrix;
    if matrix.backends.is_empty() {
        return String::new();
    }
    let shown = matrix.backends.len().min(COLUMNS);
    let rest = matrix.backends.len() - shown;
    let mut head = vec!["source".to_owned()];
    head.extend(matrix.backends[..shown].iter().map(|name| clean::cell(name)));
    if rest > 0 {
        head.push(format!("{rest} others"));
    }
    let line = |name: String, cells: &[u64]| {
        let mut row = vec![name];
        row.extend(cells[..shown].iter().map(|n| figures::count(*n)));
        if rest > 0 {
            row.push(figures::count(cells[shown..].iter().sum()));
        }
        row
    };
    let mut rows: Vec<Vec<String>> = matrix
        .rows
        .iter()
        .map(|row| line(clean::cell(&format!("{} {}", row.address, row.host)), &row.cells))
        .collect();
    let left = rows.len().saturating_sub(ROWS);
    rows.truncate(ROWS);
    if left > 0 {
        let cells: Vec<u64> = (0..matrix.backends.len())
            .map(|at| matrix.rows[ROWS..].iter().map(|row| row.cells[at]).sum())
            .collect();
        rows.push(line(format!("{left} more sources"), &cells));
    }
    if matrix.rows.len() > 1 {
        rows.push(line("all".to_owned(), &matrix.columns()));
    }
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    table(&head, rows, &[])
}

/// Groups of hosts, or targets when there are several.
pub fn parts(summary: &Summary) -> String {
    let groups = summary
        .groups
        .iter()
        .map(|group| {
            let tally = &group.part.tally;
            let main = group.part.latency.get(&summary.row_latency);
            part(
                &group.name,
                tally.ok + tally.failed,
                tally.failed + tally.connections.failed,
                main,
            )
        })
        .collect();
    let targets = match summary.targets.as_slice() {
        [] | [_] => Vec::new(),
        several => several
            .iter()
            .map(|t| part(&clean::url(&t.url), t.requests, t.errors, Some(&t.latency)))
            .collect(),
    };
    let head = |first| [first, "requests", "errors", "p50, ms", "p99, ms"];
    limited(&head("group"), groups, &[], "groups") + &limited(&head("target"), targets, &[], "targets")
}

fn part(name: &str, requests: u64, errors: u64, latency: Option<&Histogram>) -> Vec<String> {
    let at = |quantile| {
        let us = latency.and_then(|h| h.quantile(quantile));
        us.map_or_else(String::new, |us| figures::ms(us as f64))
    };
    vec![
        clean::cell(name),
        figures::count(requests),
        figures::count(errors),
        at(0.5),
        at(0.99),
    ]
}

/// Requirements and what came of them.
pub fn requirements(summary: &Summary) -> String {
    let rows = summary
        .requirements
        .iter()
        .map(|judged| {
            let verdict = if judged.passed { "met" } else { "NOT MET" };
            let name = judged.name.as_deref().unwrap_or_default();
            [judged.expr.as_str(), name, judged.shown.as_str(), verdict]
                .map(clean::cell)
                .to_vec()
        })
        .collect();
    limited(
        &["requirement", "of", "value", "result"],
        rows,
        &[1, 2, 3],
        "requirements",
    )
}

/// A table of at most [`ROWS`] rows; empty without any.
pub(super) fn limited(head: &[&str], mut rows: Vec<Vec<String>>, texts: &[usize], what: &str) -> String {
    let left = rows.len().saturating_sub(ROWS);
    rows.truncate(ROWS);
    match (rows.is_empty(), left) {
        (true, _) => String::new(),
        (false, 0) => table(head, rows, texts),
        (false, left) => {
            table(head, rows, texts) + &format!("and {left} more {what}: see the JSON report (-o FILE.json)\n")
        }
    }
}
