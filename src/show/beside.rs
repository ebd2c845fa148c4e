//! What was read beside a run, as text: servers with what the balancer and what swarm counted, metrics with their range. Pure.

use super::tables::{ROWS, table};
use super::{clean, figures};
use crate::merge::Summary;
use crate::watch::compare::{Compared, Comparison};
use crate::watch::row::Kind as RowKind;
use crate::watch::watched::{Balancer, Series, Tracked};

/// Everything of it; empty where nothing was read.
pub fn text(summary: &Summary) -> String {
    let Some(watched) = &summary.watched else {
        return String::new();
    };
    let mut blocks = Vec::new();
    if let (Some(balancer), Some(comparison)) = (&watched.balancer, &summary.comparison) {
        blocks.push(servers(balancer, comparison));
        blocks.push(words(balancer, comparison));
    }
    blocks.push(metrics(&watched.metrics));
    blocks.retain(|block| !block.is_empty());
    blocks.concat()
}

/// One line of the table.
struct Line<'a> {
    name: String,
    rows: Vec<&'a Tracked>,
    compared: Option<&'a Compared>,
}

impl Line<'_> {
    fn sum(&self, names: &[&str]) -> u64 {
        let each = self
            .rows
            .iter()
            .flat_map(|row| names.iter().map(|name| row.risen.or_zero(name)));
        each.fold(0, u64::saturating_add)
    }

    fn cells(&self) -> Vec<String> {
        let gone = self.rows.iter().find(|row| !row.after.is_up());
        let status = gone.or(self.rows.first()).map_or("", |row| row.after.state());
        let most = |of: fn(&Tracked) -> u64| figures::count(self.rows.iter().map(|row| of(row)).max().unwrap_or(0));
        let mut cells = vec![
            clean::cell(&self.name),
            clean::cell(status),
            most(|row| row.most_sessions),
            most(|row| row.most_queued),
            figures::count(self.sum(&["econ", "eresp"])),
            figures::count(self.sum(&["wretr", "wredis"])),
        ];
        match self.compared {
            Some(row) => cells.extend([
                figures::count(row.balancer),
                figures::count(row.swarm),
                match (row.agrees(), row.difference()) {
                    (true, _) => "agrees".to_owned(),
                    (false, Some(share)) => format!("{:+.1} %", share * 100.0),
                    (false, None) => "only there".to_owned(),
                },
            ]),
            None => cells.extend([String::new(), String::new(), String::new()]),
        }
        cells
    }
}

fn servers(balancer: &Balancer, comparison: &Comparison) -> String {
    let mut lines: Vec<Line<'_>> = comparison
        .rows
        .iter()
        .map(|row| {
            let rows: Vec<&Tracked> = row.places.iter().map(|place| &balancer.rows[*place]).collect();
            let proxies: Vec<&str> = rows.iter().map(|row| row.after.proxy.as_str()).collect();
            Line {
                name: match proxies.join("+") {
                    proxies if proxies.is_empty() => row.name.clone(),
                    proxies => format!("{proxies}/{}", row.name),
                },
                rows,
                compared: Some(row),
            }
        })
        .collect();
    if lines.is_empty() {
        // nothing compares: the servers with traffic stand alone
        lines.extend(balancer.rows.iter().filter(|row| has_traffic(row)).map(|row| Line {
            name: row.after.label(),
            rows: vec![row],
            compared: None,
        }));
    }
    if lines.is_empty() {
        return String::new();
    }
    let counter = comparison.rows.first().map_or("its count", |row| row.counter);
    let head = [
        "balancer",
        "status",
        "most sessions",
        "most queued",
        "errors",
        "retries",
        counter,
        "here",
        "",
    ];
    let more = lines.len().saturating_sub(ROWS);
    let rows = lines.iter().take(ROWS).map(Line::cells).collect();
    let mut text = table(&head, rows, &[1, 8]);
    if more > 0 {
        text += &format!("and {} more servers\n", figures::count(more as u64));
    }
    text
}

fn has_traffic(row: &Tracked) -> bool {
    match row.after.kind {
        RowKind::Whole => true,
        RowKind::Server => row.risen.or_zero("stot") > 0 || row.most_sessions > 0,
        RowKind::Backend | RowKind::Frontend | RowKind::Listener => false,
    }
}

fn words(balancer: &Balancer, comparison: &Comparison) -> String {
    let mut text = String::new();
    for change in balancer.changes.iter().take(ROWS) {
        text += &format!(
            "{:>8}  {}\n",
            figures::span(change.at_us as f64 / 1e6),
            clean::line(&change.text)
        );
    }
    let rows = &comparison.rows;
    let said = match (&comparison.unknown, &comparison.disagreement) {
        (Some(why), _) => format!("the balancer's counts and these are not compared: {why}"),
        (None, None) if rows.iter().any(|row| row.swarm > 0) => format!(
            "the balancer at {} counted the same, within 1 %, before to after the run",
            balancer.address
        ),
        // a disagreement is a warning of its own
        _ => String::new(),
    };
    if !said.is_empty() {
        text += &format!("{}\n", clean::line(&said));
    }
    if !comparison.unmatched.is_empty() && comparison.unknown.is_none() {
        let names: Vec<String> = comparison
            .unmatched
            .iter()
            .take(ROWS)
            .map(|name| clean::cell(name))
            .collect();
        text += &format!(
            "backends that no server of the balancer is called as: {}\n",
            names.join(", ")
        );
    }
    text
}

fn metrics(series: &[Series]) -> String {
    if series.is_empty() {
        return String::new();
    }
    let row = |series: &Series| {
        let values = || series.points.iter().map(|(_, value)| *value);
        let end = |point: Option<&(u64, f64)>| point.map_or_else(String::new, |(_, value)| number(*value));
        vec![
            clean::cell(&name(series)),
            end(series.points.first()),
            number(values().fold(f64::INFINITY, f64::min)),
            number(values().fold(f64::NEG_INFINITY, f64::max)),
            end(series.points.last()),
            clean::cell(&series.source),
        ]
    };
    let rows = series.iter().take(ROWS).map(row).collect();
    let mut text = table(&["metric", "first", "least", "most", "last", "page"], rows, &[5]);
    if series.len() > ROWS {
        text += &format!("and {} more series in the report\n", series.len() - ROWS);
    }
    text
}

fn name(series: &Series) -> String {
    let labels: Vec<String> = series
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    match labels.is_empty() {
        true => series.name.clone(),
        false => format!("{}{{{}}}", series.name, labels.join(",")),
    }
}

/// Six digits that count.
fn number(value: f64) -> String {
    if value == 0.0 || (value.fract() == 0.0 && value.abs() < 1e15) {
        return format!("{value:.0}");
    }
    let digits = (5.0 - value.abs().log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits() {
        for (value, shown) in [
            (0.0, "0"),
            (3.0, "3"),
            (12_345_678.0, "12345678"),
            (0.001_234_567, "0.00123457"),
            (1234.5678, "1234.57"),
            (-0.5, "-0.5"),
        ] {
            assert_eq!(number(value), shown);
        }
    }
}
