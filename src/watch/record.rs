//! Folds readings, as they come, into what is kept of them. Pure: instants are handed in. Never here: I/O, clocks.

use super::Watch;
use super::prometheus::Found;
use super::reader::ReadError;
use super::row::{Figures, Kind as RowKind, Row};
use super::source::{Content, Kind};
use super::watched::{Balancer, Change, Instant, Pages, Series, Tracked, Watched};

/// Values kept of a timeline; beyond them every second moment is given up, again and again.
const MOST_VALUES: usize = 200_000;
/// Rows kept of one moment.
const MOST_ROWS: usize = 128;
/// Changes that are told one by one.
const MOST_CHANGES: usize = 200;

/// Why a reading was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Its time had come.
    Tick,
    /// The run is about to start.
    Before,
    /// The run is over.
    After,
}

/// One reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Number of the page: the balancer's first, then those of metrics.
    pub page: usize,
    /// When the answer was there, ns of the controller's clock.
    pub at_ns: u64,
    /// Why it was made.
    pub ask: Ask,
    /// What it came to.
    pub content: Result<Content, ReadError>,
}

/// What is kept.
#[derive(Debug)]
pub struct Record {
    start_ns: Option<u64>,
    pages: Vec<Pages>,
    balancer: Option<Stats>,
    series: Vec<Line>,
    thin: Thin,
}

/// A series and its page.
#[derive(Debug)]
struct Line {
    page: usize,
    series: Series,
}

/// Which moments are kept.
#[derive(Debug)]
struct Thin {
    stride: u64,
    values: usize,
    most: usize,
}

impl Thin {
    fn new() -> Self {
        Self {
            stride: 0,
            values: 0,
            most: MOST_VALUES,
        }
    }

    fn is_full(&self) -> bool {
        self.values > self.most
    }

    /// Whether the moment of this number is kept.
    fn keeps(&self, number: u64) -> bool {
        number.is_multiple_of(1 << self.stride)
    }
}

impl Record {
    /// Nothing read yet.
    pub fn new(watch: &Watch) -> Self {
        let addresses = watch.balancer.iter().map(|marked| &marked.address);
        let addresses = addresses.chain(watch.metrics.iter().map(|(address, _)| address));
        let pages = addresses.map(|address| Pages {
            address: address.to_string(),
            reads: 0,
            failed: 0,
            first_failure: None,
            beyond: 0,
        });
        Self {
            start_ns: None,
            pages: pages.collect(),
            balancer: watch.balancer.as_ref().map(|marked| Stats::new(&marked.marks)),
            series: Vec::new(),
            thin: Thin::new(),
        }
    }

    /// Number of pages.
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// The start instant was told.
    pub fn started(&mut self, start_ns: u64) {
        self.start_ns = Some(start_ns);
    }

    /// Takes a reading and says what is worth a line at once.
    pub fn take(&mut self, reading: Reading) -> Vec<String> {
        let after_us = self
            .start_ns
            .and_then(|start| reading.at_ns.checked_sub(start))
            .map(|ns| ns / 1000);
        let Some(page) = self.pages.get_mut(reading.page) else {
            return Vec::new();
        };
        let number = page.reads;
        page.reads += u64::from(after_us.is_some());
        let content = match reading.content {
            Ok(content) => content,
            Err(error) => {
                page.failed += u64::from(after_us.is_some());
                if let Some(stats) = &mut self.balancer
                    && reading.page == 0
                {
                    stats.own += 1;
                }
                if page.first_failure.is_some() {
                    return Vec::new();
                }
                let line = format!("{} {error}; the run goes on", page.address);
                page.first_failure = Some((after_us.unwrap_or(0), error.to_string()));
                return vec![line];
            }
        };
        match content {
            Content::Balancer(kind, rows) => match &mut self.balancer {
                Some(stats) => stats.take(kind, rows, reading.at_ns, after_us, reading.ask == Ask::After),
                None => Vec::new(),
            },
            Content::Metrics(found) => {
                page.beyond = page.beyond.max(found.beyond as u64);
                if let Some(at_us) = after_us
                    && self.thin.keeps(number)
                {
                    self.metrics(reading.page, at_us, found);
                }
                Vec::new()
            }
        }
    }

    fn metrics(&mut self, page: usize, at_us: u64, found: Found) {
        for sample in found.samples {
            let known = self.series.iter_mut().find(|line| {
                line.page == page && line.series.name == sample.name && line.series.labels == sample.labels
            });
            let point = (at_us, sample.value);
            match known {
                Some(line) => line.series.points.push(point),
                None => self.series.push(Line {
                    page,
                    series: Series {
                        source: self.pages[page].address.clone(),
                        name: sample.name,
                        labels: sample.labels,
                        points: vec![point],
                    },
                }),
            }
            self.thin.values += 1;
        }
        if self.thin.is_full() {
            self.thin.stride += 1;
            for line in &mut self.series {
                halve(&mut line.series.points);
            }
            self.thin.values = self.series.iter().map(|line| line.series.points.len()).sum();
        }
    }

    /// All that was read.
    pub fn finish(self) -> Watched {
        let mut series = self.series;
        series.sort_by_key(|line| line.page);
        let first = self.pages.first().map_or(String::new(), |page| page.address.clone());
        let start_ns = self.start_ns;
        Watched {
            balancer: self.balancer.and_then(|stats| stats.finish(first, start_ns)),
            metrics: series.into_iter().map(|line| line.series).collect(),
            pages: self.pages,
        }
    }
}

fn halve<T>(list: &mut Vec<T>) {
    let mut place = 0usize;
    list.retain(|_| {
        place += 1;
        place % 2 == 1
    });
}

/// A balancer's rows so far.
#[derive(Debug)]
struct Stats {
    proxies: Vec<String>,
    kind: Option<Kind>,
    rows: Vec<Tracked>,
    timeline: Vec<Instant>,
    thin: Thin,
    moments: u64,
    before_ns: u64,
    after_us: Option<u64>,
    whole: bool,
    own: u64,
    changes: Vec<Change>,
}

impl Stats {
    fn new(proxies: &[String]) -> Self {
        Self {
            proxies: proxies.to_vec(),
            kind: None,
            rows: Vec::new(),
            timeline: Vec::new(),
            thin: Thin::new(),
            moments: 0,
            before_ns: 0,
            after_us: None,
            whole: false,
            own: 0,
            changes: Vec::new(),
        }
    }

    fn take(&mut self, kind: Kind, rows: Vec<Row>, at_ns: u64, after_us: Option<u64>, last: bool) -> Vec<String> {
        self.kind = Some(kind);
        let Some(at_us) = after_us else {
            // whatever was read before the start makes way for what is read later
            self.before_ns = at_ns;
            self.own = 0;
            self.rows = rows.into_iter().map(Tracked::before).collect();
            return Vec::new();
        };
        self.own += 1;
        self.after_us = Some(at_us);
        self.whole |= last;
        let mut moment = Vec::new();
        let mut lines = Vec::new();
        for (hint, row) in rows.into_iter().enumerate() {
            let place = self.place(hint, &row);
            let came = match place {
                Some(place) => {
                    self.tell_change(&self.rows[place].after.clone(), &row, at_us, &mut lines);
                    self.rows[place].fold(row)
                }
                None => {
                    self.rows.push(Tracked::came(row));
                    self.rows.last().map(|row| row.risen.clone()).unwrap_or_default()
                }
            };
            let place = place.unwrap_or(self.rows.len() - 1);
            if let Some(figures) = self.rows[place].figures(&came)
                && moment.len() < MOST_ROWS
            {
                moment.push((place, figures));
            }
        }
        if self.thin.keeps(self.moments) {
            self.thin.values += moment.len();
            self.timeline.push(Instant { at_us, rows: moment });
        }
        self.moments += 1;
        if self.thin.is_full() {
            self.thin.stride += 1;
            halve(&mut self.timeline);
            self.thin.values = self.timeline.iter().map(|moment| moment.rows.len()).sum();
        }
        lines
    }

    /// The place of the row that is about the same. Rows mostly come in the same order.
    fn place(&self, hint: usize, row: &Row) -> Option<usize> {
        match self.rows.get(hint) {
            Some(known) if known.after.is_same(row) => Some(hint),
            _ => self.rows.iter().position(|known| known.after.is_same(row)),
        }
    }

    fn tell_change(&mut self, before: &Row, row: &Row, at_us: u64, lines: &mut Vec<String>) {
        let tells = matches!(row.kind, RowKind::Server | RowKind::Backend);
        if !tells || before.state() == row.state() || self.changes.len() >= MOST_CHANGES {
            return;
        }
        let why = match row.check_status.as_str() {
            "" => String::new(),
            check => format!(" ({check})"),
        };
        let text = match row.kind {
            RowKind::Backend => format!("{} as a whole is {}, was {}", row.proxy, row.state(), before.state()),
            _ => format!("{} is {}{why}, was {}", row.label(), row.state(), before.state()),
        };
        lines.push(format!("balancer: {text}"));
        self.changes.push(Change {
            at_us,
            text: format!("balancer: {text}"),
            state: row.state().to_owned(),
        });
    }

    fn finish(self, address: String, start_ns: Option<u64>) -> Option<Balancer> {
        let start_ns = start_ns?;
        Some(Balancer {
            address,
            kind: self.kind?,
            proxies: self.proxies,
            rows: self.rows,
            timeline: self.timeline,
            before_us: start_ns.saturating_sub(self.before_ns) / 1000,
            after_us: self.after_us,
            whole: self.whole,
            own: self.own,
            changes: self.changes,
        })
    }
}

impl Tracked {
    fn before(row: Row) -> Self {
        Self {
            before: Some(row.clone()),
            after: row,
            risen: Figures::default(),
            most_sessions: 0,
            most_queued: 0,
            anew: false,
        }
    }

    /// A row that came while the run went on begins at zero, as a balancer's new server does.
    fn came(row: Row) -> Self {
        let mut tracked = Self::before(row);
        tracked.before = None;
        tracked.risen = tracked.after.counters.clone();
        tracked.note_most(None);
        tracked
    }

    /// Takes the next reading of the row; returns how far its counters rose since the last.
    fn fold(&mut self, row: Row) -> Figures {
        let risen = row.counters.since(&self.after.counters).unwrap_or_else(|| {
            self.anew = true;
            row.counters.clone()
        });
        self.risen.add(&risen);
        let last = std::mem::replace(&mut self.after, row);
        self.note_most(Some(&last));
        risen
    }

    /// The balancer's own maximum counts where it rose in between; else what was seen.
    fn note_most(&mut self, last: Option<&Row>) {
        let gauges = &self.after.gauges;
        let most = |now: &str, most: &str, seen: u64| {
            let own = gauges.or_zero(most);
            let rose = last.is_some_and(|last| own > last.gauges.or_zero(most));
            seen.max(gauges.or_zero(now)).max(if rose { own } else { 0 })
        };
        let (sessions, queued) = (
            most("scur", "smax", self.most_sessions).max(gauges.or_zero("active")),
            most("qcur", "qmax", self.most_queued),
        );
        (self.most_sessions, self.most_queued) = (sessions, queued);
    }

    /// What of it stands in the timeline; `None` for a row without traffic, and for those that only add others up.
    fn figures(&self, came: &Figures) -> Option<Figures> {
        let gauges = &self.after.gauges;
        let mut figures = Figures::default();
        match self.after.kind {
            RowKind::Whole => {
                for name in ["active", "reading", "writing", "waiting"] {
                    figures.set(name, gauges.or_zero(name));
                }
                figures.set("requests", came.or_zero("requests"));
            }
            RowKind::Server | RowKind::Backend => {
                let standing = gauges.or_zero("scur") + gauges.or_zero("qcur");
                if self.risen.or_zero("stot") == 0 && standing == 0 {
                    return None;
                }
                figures.set("sessions", gauges.or_zero("scur"));
                figures.set("queue", gauges.or_zero("qcur"));
                figures.set("rate", gauges.or_zero("rate"));
                figures.set("errors", came.or_zero("econ").saturating_add(came.or_zero("eresp")));
            }
            RowKind::Frontend | RowKind::Listener => return None,
        }
        Some(figures)
    }
}

#[cfg(test)]
mod tests;
