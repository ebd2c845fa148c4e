//! A summary's numbers as requirements ask for them. What was not measured is told with its reason, never as zero.

use super::parts::{By as Table, Row};
use super::summary::{HostStatus, Part, Summary};
use crate::requirement::{By, Figure, Figures, Stat, Word};
use swarm_agent::wire::histogram::Histogram;
use swarm_agent::wire::report::Latency;

impl Figures for Summary {
    fn latency(&self, name: Latency, stat: Stat, by: Option<By>) -> Result<Vec<Figure>, String> {
        let missing = || format!("{} was not measured in this run", name.word());
        let Some(by) = by else {
            let histogram = Summary::latency(self, name).ok_or_else(missing)?;
            return Ok(vec![Figure {
                row: None,
                number: statistic(histogram, stat).ok_or_else(missing)?,
                of: None,
            }]);
        };
        let mut figures = Vec::new();
        for row in self.rows(table(by)) {
            if let Some(number) = row.latency(name).and_then(|histogram| statistic(histogram, stat)) {
                figures.push(Figure {
                    row: Some(row_name(&row)),
                    number,
                    of: None,
                });
            }
        }
        some(figures, || format!("{} is not known by {}", name.word(), by.word()))
    }

    fn word(&self, word: Word, by: Option<By>) -> Result<Vec<Figure>, String> {
        let Some(by) = by else {
            let (number, of) = self.whole_figure(word)?;
            return Ok(vec![Figure { row: None, number, of }]);
        };
        let mut figures = Vec::new();
        for row in self.rows(table(by)) {
            let figure = match (word, row.part) {
                (Word::Errors, None) => Some((row.errors as f64, Some((row.requests + row.connections) as f64))),
                (_, Some(part)) => part_figure(part, word),
                _ => None,
            };
            if let Some((number, of)) = figure {
                figures.push(Figure {
                    row: Some(row_name(&row)),
                    number,
                    of,
                });
            }
        }
        some(figures, || format!("{} is not known by {}", word.text(), by.word()))
    }
}

impl Summary {
    fn whole_figure(&self, word: Word) -> Result<(f64, Option<f64>), String> {
        let count = |n: u64| n as f64;
        if let (Word::Reach, Some(broadcast)) = (word, &self.broadcast) {
            let reach = broadcast.reach().ok_or_else(|| broadcast.unknown().to_owned())?;
            return Ok((reach, Some(1.0)));
        }
        let hosts = Some(self.hosts.len() as f64);
        match word {
            Word::ErrorsOf(kind) => {
                let errors: u64 = self
                    .errors
                    .iter()
                    .filter(|row| row.kind == kind)
                    .map(|row| row.count)
                    .sum();
                Ok((count(errors), Some(attempts(&self.whole))))
            }
            Word::NotStarted => Ok((count(self.whole.tally.not_started), self.planned.map(count))),
            Word::Hosts => Ok((
                self.hosts
                    .iter()
                    .filter(|host| host.status == HostStatus::Reported)
                    .count() as f64,
                hosts,
            )),
            Word::Backends | Word::Reach if self.backends.is_empty() => {
                Err("no answer named a backend: --backend-from".to_owned())
            }
            Word::Backends => Ok((self.backends.len() as f64, None)),
            Word::Reach => Ok((
                self.affinity.reached.map_or(0.0, |n| n as f64),
                self.affinity.known.map(|n| n as f64),
            )),
            Word::Skew => match &self.sync {
                Some(sync) => Ok((count(sync.start_skew_us), None)),
                None => Err("no host sent anything".to_owned()),
            },
            Word::GeneratorBound => {
                let known: Vec<bool> = self.hosts.iter().filter_map(|host| host.generator_bound).collect();
                if known.is_empty() {
                    return Err("no host could tell".to_owned());
                }
                Ok((known.iter().filter(|bound| **bound).count() as f64, hosts))
            }
            _ => part_figure(&self.whole, word).ok_or_else(|| format!("{} was not measured in this run", word.text())),
        }
    }
}

/// Attempts that can fail: hits, and connections.
fn attempts(part: &Part) -> f64 {
    (part.tally.requests + part.tally.connections.attempted) as f64
}

fn part_figure(part: &Part, word: Word) -> Option<(f64, Option<f64>)> {
    let tally = &part.tally;
    let share = |n: u64, of: u64| Some((n as f64, Some(of as f64)));
    match word {
        Word::Errors => {
            let failed = tally.failed + tally.connections.failed + tally.connections.dropped;
            Some((failed as f64, Some(attempts(part))))
        }
        Word::Ok => share(tally.ok, tally.requests),
        Word::Late => share(tally.late, tally.requests),
        Word::Rps => part.rates.requests.map(|rate| (rate, None)),
        Word::Connected => share(tally.connections.opened, tally.connections.attempted),
        Word::Dropped => share(tally.connections.dropped, tally.connections.opened),
        Word::Lost => share(tally.messages.lost, tally.messages.expected),
        _ => None,
    }
}

fn statistic(histogram: &Histogram, stat: Stat) -> Option<f64> {
    match stat {
        Stat::Permille(n) => histogram.quantile(f64::from(n) / 1000.0).map(|us| us as f64),
        Stat::Max => Some(histogram.max as f64),
        Stat::Mean => histogram.mean(),
    }
}

fn table(by: By) -> Table {
    match by {
        By::Host => Table::Host,
        By::Backend => Table::Backend,
        By::Source => Table::Source,
        By::Group => Table::Group,
        By::Target => Table::Target,
    }
}

fn row_name(row: &Row<'_>) -> String {
    row.source
        .map_or_else(|| row.name.to_owned(), |address| address.to_string())
}

fn some(figures: Vec<Figure>, why: impl Fn() -> String) -> Result<Vec<Figure>, String> {
    if figures.is_empty() { Err(why()) } else { Ok(figures) }
}
