//! `--require`: the grammar of requirements, parsed before any host is touched, and their evaluation over figures.
//!
//! Pure. `[NAME.]STAT[ by host|backend|source|group|target] OP VALUE`, or a word in place of NAME.STAT. Latencies are
//! microseconds, rates hits a second. Never here: how a figure was measured.

mod grammar;

use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::report::Latency;

/// One requirement.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    /// As typed.
    pub expr: String,
    /// What is looked at.
    pub subject: Subject,
    /// For each row of this table instead of for the whole.
    pub by: Option<By>,
    /// How it is compared.
    pub op: Op,
    /// With what.
    pub bound: Bound,
}

/// What a requirement looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A statistic of a latency.
    Latency(Latency, Stat),
    /// A count, rate or state.
    Word(Word),
}

/// A statistic of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stat {
    /// The time under which so many thousandths of the samples lie: `p99.9` is 999.
    Permille(u16),
    /// The largest.
    Max,
    /// The mean.
    Mean,
}

/// What can be required beside latencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Word {
    /// Failures of hits and connections, of all attempts.
    Errors,
    /// Failures of one kind, of all attempts.
    ErrorsOf(FaultKind),
    /// Hits answered well, of all attempts.
    Ok,
    /// Hits sent more than 1 ms after they were due, of all sent.
    Late,
    /// Hits planned and never sent, of all planned.
    NotStarted,
    /// Hits a second.
    Rps,
    /// Connections opened, of all attempted.
    Connected,
    /// Connections lost after opening, of all opened.
    Dropped,
    /// Answers that never came, of all expected.
    Lost,
    /// Hosts that reported, of all asked for.
    Hosts,
    /// Backends reached.
    Backends,
    /// Of broadcasts: receipts, of those that were due. Without broadcasts: backends reached, of all known.
    Reach,
    /// Start skew between the hosts, us.
    Skew,
    /// Hosts whose load generator was the bottleneck, of all; `yes` and `no` are taken too.
    GeneratorBound,
}

/// The rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// Hosts.
    Host,
    /// Backends.
    Backend,
    /// Source addresses.
    Source,
    /// Groups of hosts.
    Group,
    /// Targets.
    Target,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `=` or `==`
    Equal,
    /// `!=`
    Unequal,
}

/// What is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// A time, us.
    Time(f64),
    /// A count.
    Count(f64),
    /// A share, percent.
    Percent(f64),
    /// Hits a second.
    Rate(f64),
}

/// One measured figure, of the whole or of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The row's name; `None` for the whole.
    pub row: Option<String>,
    /// The number itself: us for times, hits a second for rates, else a count.
    pub number: f64,
    /// What it is a share of, for a bound in percent: attempts for errors, connections for `connected`.
    pub of: Option<f64>,
}

/// Measured figures, as `merge` has them. `Err` is the reason why something was not measured.
pub trait Figures {
    /// A statistic of a latency in us: one figure for the whole, or one a row.
    fn latency(&self, name: Latency, stat: Stat, by: Option<By>) -> Result<Vec<Figure>, String>;
    /// A word's figure: one for the whole, or one a row.
    fn word(&self, word: Word, by: Option<By>) -> Result<Vec<Figure>, String>;
}

/// What a requirement came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// As typed.
    pub expr: String,
    /// Its full name: `request.p99 by host`.
    pub subject: String,
    /// The value compared, of the worst row: us, a count, percent, or hits a second, as the bound. `None`: not measured.
    pub value: Option<f64>,
    /// The value as text, with its unit and row: `240ms (10.0.0.4)`, or `not measured`.
    pub shown: String,
    /// Whether it holds. Not measured never holds.
    pub passed: bool,
    /// Why it does not hold.
    pub reason: Option<String>,
}

impl Requirement {
    /// Reads a requirement. `bare` is the latency that a statistic without a name means (see [`bare_latency`]).
    pub fn parse(typed: &str, bare: Latency) -> Result<Self, String> {
        grammar::parse(typed, bare)
    }

    /// Its full name: `request.p99 by host`.
    pub fn subject(&self) -> String {
        let subject = match self.subject {
            Subject::Latency(name, stat) => format!("{}.{}", name.word(), stat.word()),
            Subject::Word(word) => word.text(),
        };
        match self.by {
            Some(by) => format!("{subject} by {}", by.word()),
            None => subject,
        }
    }

    /// Holds it against what was measured. Every row must hold; the worst one is shown.
    pub fn evaluate(&self, figures: &dyn Figures) -> Verdict {
        match self.measured(figures) {
            Ok(rows) => self.judge(&rows),
            Err(reason) => Verdict {
                expr: self.expr.clone(),
                subject: self.subject(),
                value: None,
                shown: "not measured".into(),
                passed: false,
                reason: Some(format!("{} was not measured: {reason}", self.subject())),
            },
        }
    }

    /// The figures in the unit of the bound.
    fn measured(&self, figures: &dyn Figures) -> Result<Vec<(Option<String>, f64)>, String> {
        let rows = match self.subject {
            Subject::Latency(name, stat) => figures.latency(name, stat, self.by)?,
            Subject::Word(word) => figures.word(word, self.by)?,
        };
        if rows.is_empty() {
            return Err("there are no rows".into());
        }
        rows.into_iter()
            .map(|row| Ok((row.row.clone(), self.in_unit(&row)?)))
            .collect()
    }

    fn in_unit(&self, figure: &Figure) -> Result<f64, String> {
        let value = match self.bound {
            Bound::Percent(_) => match figure.of {
                Some(whole) if whole > 0.0 => figure.number * 100.0 / whole,
                Some(_) => return Err("there was nothing to take a share of".into()),
                None => return Err("it is no share of anything".into()),
            },
            _ => figure.number,
        };
        if value.is_finite() {
            Ok(value)
        } else {
            Err("there are no samples".into())
        }
    }

    fn judge(&self, rows: &[(Option<String>, f64)]) -> Verdict {
        let bound = self.bound.number();
        let failing = rows.iter().filter(|(_, value)| !self.op.holds(*value, bound)).count();
        let worst = rows.iter().reduce(|worst, row| {
            if self.op.worse(row.1, worst.1, bound) {
                row
            } else {
                worst
            }
        });
        let (row, value) = worst.cloned().unwrap_or((None, f64::NAN));
        let shown = match &row {
            Some(name) => format!("{} ({name})", self.bound.show(value)),
            None => self.bound.show(value),
        };
        let reason = match (failing, rows.len()) {
            (0, _) => None,
            (_, 1) => Some(format!("{} is {shown}", self.subject())),
            (failing, all) => Some(format!("{failing} of {all} rows fail, the worst is {shown}")),
        };
        Verdict {
            expr: self.expr.clone(),
            subject: self.subject(),
            value: Some(value),
            shown,
            passed: failing == 0,
            reason,
        }
    }
}

/// The latency that a bare `p99` means: `request` for http, `message` for websocket, for engineio `message` if echoes are
/// waited for, for socketio `ack` if asked for, else `handshake`.
pub fn bare_latency(engine: &swarm_agent::wire::share::Engine) -> Latency {
    use swarm_agent::wire::share::Engine;
    match engine {
        Engine::Http(_) => Latency::Request,
        Engine::Websocket(_) => Latency::Message,
        Engine::Engineio(engineio) if engineio.echo => Latency::Message,
        Engine::Engineio(_) => Latency::Handshake,
        Engine::Socketio(socketio) if socketio.ack => Latency::Ack,
        Engine::Socketio(_) => Latency::Handshake,
    }
}

impl Stat {
    /// As it is typed.
    pub fn word(self) -> String {
        match self {
            Self::Permille(n) if n % 10 == 0 => format!("p{}", n / 10),
            Self::Permille(n) => format!("p{}.{}", n / 10, n % 10),
            Self::Max => "max".into(),
            Self::Mean => "mean".into(),
        }
    }
}

impl Word {
    /// As it is typed.
    pub fn text(self) -> String {
        match self {
            Self::ErrorsOf(kind) => format!("errors.{}", kind.word()),
            plain => grammar::WORDS
                .iter()
                .find(|(_, word)| *word == plain)
                .map_or("", |(text, _)| *text)
                .to_string(),
        }
    }
}

impl By {
    /// As it is typed.
    pub fn word(self) -> &'static str {
        grammar::TABLES
            .iter()
            .find(|(_, by)| *by == self)
            .map_or("", |(text, _)| text)
    }
}

impl Op {
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Less => value < bound,
            Self::AtMost => value <= bound,
            Self::More => value > bound,
            Self::AtLeast => value >= bound,
            Self::Equal => (value - bound).abs() < 1e-9,
            Self::Unequal => (value - bound).abs() >= 1e-9,
        }
    }

    /// Whether `value` is further from holding than `other`.
    fn worse(self, value: f64, other: f64, bound: f64) -> bool {
        match self {
            Self::Less | Self::AtMost => value > other,
            Self::More | Self::AtLeast => value < other,
            Self::Equal => (value - bound).abs() > (other - bound).abs(),
            Self::Unequal => (value - bound).abs() < (other - bound).abs(),
        }
    }
}

impl Bound {
    /// The number alone.
    pub fn number(self) -> f64 {
        match self {
            Self::Time(n) | Self::Count(n) | Self::Percent(n) | Self::Rate(n) => n,
        }
    }

    /// A value in this bound's unit.
    fn show(self, value: f64) -> String {
        use crate::cli::units::{show_duration, show_number};
        match self {
            Self::Time(_) => show_duration((value * 1e3).round().max(0.0) as u64),
            Self::Count(_) => show_number(value),
            Self::Percent(_) => format!("{}%", show_number(value)),
            Self::Rate(_) => format!("{}/s", show_number(value)),
        }
    }
}

#[cfg(test)]
mod tests;
