//! Reads one requirement. Pure; never evaluates it.

use super::{Bound, By, Op, Requirement, Stat, Subject, Word};
use crate::cli::units;
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::report::Latency;

/// The plain words.
pub const WORDS: [(&str, Word); 13] = [
    ("errors", Word::Errors),
    ("ok", Word::Ok),
    ("late", Word::Late),
    ("not_started", Word::NotStarted),
    ("rps", Word::Rps),
    ("connected", Word::Connected),
    ("dropped", Word::Dropped),
    ("lost", Word::Lost),
    ("hosts", Word::Hosts),
    ("backends", Word::Backends),
    ("reach", Word::Reach),
    ("skew", Word::Skew),
    ("generator_bound", Word::GeneratorBound),
];

/// The tables whose rows can be required.
pub const TABLES: [(&str, By); 5] = [
    ("host", By::Host),
    ("backend", By::Backend),
    ("source", By::Source),
    ("group", By::Group),
    ("target", By::Target),
];

const STATS: [(&str, Stat); 8] = [
    ("p50", Stat::Permille(500)),
    ("p75", Stat::Permille(750)),
    ("p90", Stat::Permille(900)),
    ("p95", Stat::Permille(950)),
    ("p99", Stat::Permille(990)),
    ("p99.9", Stat::Permille(999)),
    ("max", Stat::Max),
    ("mean", Stat::Mean),
];

/// Longer ones first, so that `<=` isn't read as `<`.
const OPS: [(&str, Op); 7] = [
    ("<=", Op::AtMost),
    (">=", Op::AtLeast),
    ("==", Op::Equal),
    ("!=", Op::Unequal),
    ("<", Op::Less),
    (">", Op::More),
    ("=", Op::Equal),
];

pub(super) fn parse(typed: &str, bare: Latency) -> Result<Requirement, String> {
    let text = typed.trim();
    if text.is_empty() {
        return Err("empty: --require 'p99<250ms'".into());
    }
    let Some(at) = text.find(['<', '>', '=', '!']) else {
        return Err(unfinished(text, bare));
    };
    let Some((sign, op)) = OPS.iter().find(|(sign, _)| text[at..].starts_with(sign)) else {
        return Err(format!("`{text}`: no comparison but < <= > >= = !="));
    };
    let (left, right) = (text[..at].trim(), text[at + sign.len()..].trim());
    let (subject, by) = left_side(left, bare)?;
    if right.is_empty() {
        return Err(format!(
            "`{text}` has no value: --require '{left}{sign}{}'",
            example(subject)
        ));
    }
    Ok(Requirement {
        expr: text.to_string(),
        subject,
        by,
        op: *op,
        bound: bound(subject, left, sign, right)?,
    })
}

/// No comparison: the shell took it, when the rest is right.
fn unfinished(text: &str, bare: Latency) -> String {
    match left_side(text, bare) {
        Ok((subject @ Subject::Latency(..), _)) => {
            format!("quote it: --require '{text}<{}'", example(subject))
        }
        Ok((
            subject
            @ Subject::Word(Word::Ok | Word::Connected | Word::Rps | Word::Hosts | Word::Backends | Word::Reach),
            _,
        )) => {
            format!("quote it: --require '{text}>={}'", example(subject))
        }
        Ok((subject, _)) => format!("quote it: --require '{text}<{}'", example(subject)),
        Err(error) => error,
    }
}

fn left_side(left: &str, bare: Latency) -> Result<(Subject, Option<By>), String> {
    let words: Vec<&str> = left.split_whitespace().collect();
    let (name, by) = match words.as_slice() {
        [name] => (*name, None),
        [name, "by", table] => (*name, Some(table_of(table)?)),
        [] => return Err("nothing before the comparison: --require 'p99<250ms'".into()),
        _ => {
            return Err(format!(
                "`{left}`: expected NAME, or NAME by host|backend|source|group|target"
            ));
        }
    };
    let subject = subject(name, bare)?;
    let whole_only = [Word::Hosts, Word::Backends, Word::Reach, Word::Skew];
    if let (Subject::Word(word), Some(by)) = (subject, by)
        && whole_only.contains(&word)
    {
        return Err(format!(
            "`{name}` belongs to the whole run: leave out `by {}`",
            by.word()
        ));
    }
    Ok((subject, by))
}

fn table_of(name: &str) -> Result<By, String> {
    let found = TABLES.iter().find(|(word, _)| *word == name);
    found
        .map(|(_, by)| *by)
        .ok_or_else(|| format!("`by {name}`: by host, backend, source, group or target"))
}

fn subject(name: &str, bare: Latency) -> Result<Subject, String> {
    let stat = |text: &str| STATS.iter().find(|(word, _)| *word == text).map(|(_, stat)| *stat);
    if let Some(stat) = stat(name) {
        return Ok(Subject::Latency(bare, stat));
    }
    if let Some((_, word)) = WORDS.iter().find(|(text, _)| *text == name) {
        return Ok(Subject::Word(*word));
    }
    if let Some(kind) = name.strip_prefix("errors.") {
        let found = FaultKind::ALL.iter().find(|known| known.word() == kind);
        let all = || {
            FaultKind::ALL
                .iter()
                .map(|kind| kind.word())
                .collect::<Vec<_>>()
                .join(", ")
        };
        return found
            .map(|kind| Subject::Word(Word::ErrorsOf(*kind)))
            .ok_or_else(|| format!("no kind of error is called `{kind}`: {}", all()));
    }
    let names = || {
        Latency::ALL
            .iter()
            .map(|latency| latency.word())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let stats = || STATS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    match name.split_once('.') {
        Some((latency, wanted)) => match (Latency::ALL.iter().find(|known| known.word() == latency), stat(wanted)) {
            (Some(latency), Some(stat)) => Ok(Subject::Latency(*latency, stat)),
            (Some(_), None) => Err(format!("no statistic is called `{wanted}`: {}", stats())),
            (None, _) => Err(format!("no latency is called `{latency}`: {}", names())),
        },
        None if Latency::ALL.iter().any(|known| known.word() == name) => {
            Err(format!("which statistic of `{name}`? {name}.p99: {}", stats()))
        }
        None => Err(format!(
            "`{name}` can't be required: [NAME.]STAT with {}, or {}, errors.KIND",
            stats(),
            WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
        )),
    }
}

fn bound(subject: Subject, left: &str, sign: &str, right: &str) -> Result<Bound, String> {
    match subject {
        Subject::Latency(..) | Subject::Word(Word::Skew) => time(left, sign, right),
        Subject::Word(Word::Rps) => units::rate_or_zero(right)
            .map(|uhz| Bound::Rate(uhz as f64 / 1e6))
            .map_err(|error| format!("{left}{sign}{right}: {error}")),
        Subject::Word(Word::Backends) => count(left, sign, right, "5"),
        Subject::Word(Word::Reach) if part(right).is_some() => Ok(Bound::Count(part(right).unwrap_or(1.0))),
        Subject::Word(Word::GeneratorBound) => match right {
            "no" | "false" => Ok(Bound::Count(0.0)),
            // "yes" asks for at least one host; only `!=no` or `>0` can say so
            "yes" | "true" => Err(format!(
                "`{left}{sign}{right}`: say generator_bound=no, generator_bound>0 or generator_bound<10%"
            )),
            _ => share_or_count(left, sign, right),
        },
        Subject::Word(_) => share_or_count(left, sign, right),
    }
}

fn time(left: &str, sign: &str, right: &str) -> Result<Bound, String> {
    match units::duration(right) {
        Ok(ns) => Ok(Bound::Time(ns as f64 / 1e3)),
        Err(_) if units::decimal(right).is_some() => Err(format!(
            "{left}{sign}{right}ms? a latency needs its unit: '{left}{sign}{right}ms'"
        )),
        Err(error) => Err(format!("{left}{sign}{right}: {error}")),
    }
}

/// A share written as a decimal below one, `0.99`.
fn part(right: &str) -> Option<f64> {
    units::decimal(right).filter(|share| right.contains('.') && *share <= 1.0)
}

fn share_or_count(left: &str, sign: &str, right: &str) -> Result<Bound, String> {
    if right.ends_with('%') {
        let wrong = || format!("{left}{sign}{right}: no share between 0% and 100%");
        return units::percent(right)
            .filter(|share| *share <= 100.0)
            .map(Bound::Percent)
            .ok_or_else(wrong);
    }
    count(left, sign, right, "1%")
}

fn count(left: &str, sign: &str, right: &str, example: &str) -> Result<Bound, String> {
    units::count_or_zero(right)
        .map(|n| Bound::Count(n as f64))
        .map_err(|error| format!("{left}{sign}{right}: {error}, as in {left}{sign}{example}"))
}

fn example(subject: Subject) -> &'static str {
    match subject {
        Subject::Latency(..) => "250ms",
        Subject::Word(Word::Skew) => "5ms",
        Subject::Word(Word::Rps) => "1000",
        Subject::Word(Word::Hosts | Word::Backends) => "3",
        Subject::Word(Word::Ok | Word::Connected | Word::Reach) => "99%",
        Subject::Word(_) => "1%",
    }
}
