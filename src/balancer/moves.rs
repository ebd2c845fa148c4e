//! Who went from one backend to another while a run went on: clients that lost it and came back elsewhere, and http sources
//! that were answered by one backend until then and by another one from then on.

use super::breaks::{Met, MetOne};
use super::span::{between, length};
use std::collections::BTreeMap;
use swarm_agent::wire::histogram::Histogram;
use swarm_agent::wire::observed::Departure;

/// A backend that lost fewer clients at once is not said to be lost.
const ENOUGH_CLIENTS: u64 = 3;
/// A source that was answered less often by a backend says nothing of it.
const ENOUGH_ANSWERS: u64 = 5;
/// What was on its way when a source changed may still be answered for so long.
const OVERLAP_US: u64 = 1_000_000;
/// So long a source must be answered by the other backend alone.
const ALONE_US: u64 = 1_000_000;

/// What moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mover {
    /// Persistent clients that were lost.
    Clients,
    /// Source addresses, for http.
    Sources,
}

/// Those who went away from one backend together.
#[derive(Debug, Clone, PartialEq)]
pub struct Move {
    /// What went.
    pub who: Mover,
    /// From where; `None` where the name is not known.
    pub from: Option<String>,
    /// The first one, us since the start instant.
    pub first_us: u64,
    /// The last one.
    pub last_us: u64,
    /// How many were lost, or changed.
    pub lost: u64,
    /// How many dropped their connection in a storm.
    pub stormed: u64,
    /// Where they are then, by name; those that are nowhere are missing.
    pub to: Vec<Landed>,
    /// Everyone that it had is among them.
    pub whole: bool,
}

/// Those of them that are on one backend then.
#[derive(Debug, Clone, PartialEq)]
pub struct Landed {
    /// Its name, where it is known.
    pub name: Option<String>,
    /// How many.
    pub count: u64,
    /// For how long they were without: from the loss until they stood; of sources between two answers.
    pub away: Histogram,
}

impl Move {
    /// For how long they were without, all together.
    pub fn away(&self) -> Histogram {
        let mut all = Histogram::default();
        self.to.iter().for_each(|to| all.add(&to.away));
        all
    }

    /// Those that are on another backend then.
    pub fn moved(&self) -> u64 {
        let other = |to: &&Landed| to.name.is_some() && to.name != self.from;
        self.to.iter().filter(other).map(|to| to.count).sum()
    }

    /// Those that are nowhere.
    pub fn missing(&self) -> u64 {
        let back: u64 = self.to.iter().map(|to| to.count).sum();
        (self.lost + self.stormed).saturating_sub(back)
    }
}

/// Moves of clients. `stood`: clients that each backend had over the run, by name.
pub fn of_clients(departures: &[Departure], stood: &BTreeMap<String, u64>) -> Vec<Move> {
    let mut rows: Vec<&Departure> = departures.iter().collect();
    rows.sort_by_key(|row| (row.first_us, row.from.clone()));
    rows.iter()
        .map(|row| Move {
            who: Mover::Clients,
            from: row.from.clone(),
            first_us: row.first_us,
            last_us: row.last_us,
            lost: row.lost,
            stormed: row.stormed,
            to: row
                .back
                .iter()
                .map(|back| Landed {
                    name: back.to.clone(),
                    count: back.clients,
                    away: back.away.clone(),
                })
                .collect(),
            whole: row.lost >= ENOUGH_CLIENTS && row.lost >= had(row, departures, stood),
        })
        .collect()
}

/// Clients that a backend had at most when a departure began: all that it ever had, but for those that came back to it
/// later, or had gone before.
fn had(departure: &Departure, all: &[Departure], stood: &BTreeMap<String, u64>) -> u64 {
    let Some(ever) = departure.from.as_ref().and_then(|name| stood.get(name)) else {
        return u64::MAX;
    };
    let later = all.iter().filter(|one| one.first_us >= departure.first_us);
    let to_it = later.flat_map(|one| &one.back).filter(|back| back.to == departure.from);
    let gone = all
        .iter()
        .filter(|one| one.from == departure.from && one.first_us < departure.first_us);
    let came_later: u64 = to_it.map(|back| back.clients).sum();
    let gone: u64 = gone.map(|one| one.lost + one.stormed).sum();
    ever.saturating_sub(came_later).saturating_sub(gone)
}

/// Moves of http sources: for good, that is one backend up to a time and another one from then on.
pub fn of_sources(sources: &[Met<'_>]) -> Vec<Move> {
    let mut moves: Vec<Move> = Vec::new();
    let mut changes: Vec<(&MetOne<'_>, &MetOne<'_>)> = sources
        .iter()
        .flat_map(|source| {
            let mut met: Vec<&MetOne<'_>> = source.backends.iter().collect();
            met.sort_by_key(|one| (one.first_us, one.name));
            let pairs: Vec<_> = met.windows(2).map(|pair| (pair[0], pair[1])).collect();
            pairs.into_iter().filter(|(before, after)| for_good(before, after))
        })
        .collect();
    changes.sort_by_key(|(before, after)| (before.name, after.first_us));
    for (before, after) in changes {
        let at_us = after.first_us;
        let known = moves.iter_mut().find(|known| {
            let near = at_us.saturating_sub(known.last_us) <= swarm_agent::wire::observed::TOGETHER_US;
            known.from.as_deref() == Some(before.name) && near
        });
        let row = match known {
            Some(row) => row,
            None => {
                moves.push(Move {
                    who: Mover::Sources,
                    from: Some(before.name.to_owned()),
                    first_us: at_us,
                    last_us: at_us,
                    lost: 0,
                    stormed: 0,
                    to: Vec::new(),
                    whole: false,
                });
                moves.last_mut().expect("one was just pushed")
            }
        };
        row.last_us = row.last_us.max(at_us);
        row.lost += 1;
        let gap = at_us.saturating_sub(before.last_us);
        let place = row.to.iter().position(|to| to.name.as_deref() == Some(after.name));
        let place = place.unwrap_or_else(|| {
            row.to.push(Landed {
                name: Some(after.name.to_owned()),
                count: 0,
                away: Histogram::default(),
            });
            row.to.len() - 1
        });
        row.to[place].count += 1;
        row.to[place].away.record(gap);
    }
    moves
        .iter_mut()
        .for_each(|row| row.to.sort_by(|a, b| a.name.cmp(&b.name)));
    moves.sort_by_key(|row| row.first_us);
    moves
}

fn for_good(before: &MetOne<'_>, after: &MetOne<'_>) -> bool {
    before.count >= ENOUGH_ANSWERS
        && after.count >= ENOUGH_ANSWERS
        && before.last_us <= after.first_us.saturating_add(OVERLAP_US)
        && after.last_us >= before.last_us.saturating_add(ALONE_US)
}

/// What is to be said of stickiness where every source that was seen on several backends went over in one of these moves:
/// clients whose backend was lost, http sources for good. `None` where anything else broke, or nothing did.
pub fn sticky_until(sources: &[Met<'_>], moves: &[Move], cookies: &str) -> Option<String> {
    let strayed: Vec<&Met<'_>> = sources.iter().filter(|source| source.backends.len() > 1).collect();
    let first = moves.first()?;
    if strayed.is_empty() || !strayed.iter().all(|source| went_with(source, moves)) {
        return None;
    }
    let begin = match first.who {
        Mover::Clients => "sticky until a backend was lost",
        Mover::Sources => "sticky but for a change in mid-run",
    };
    let met = sources.iter().filter(|source| !source.backends.is_empty()).count();
    Some(format!(
        "{begin}: {} of {met} sources were on another backend then, all others stayed where they were ({cookies})",
        strayed.len()
    ))
}

fn went_with(source: &Met<'_>, moves: &[Move]) -> bool {
    let mut met: Vec<&MetOne<'_>> = source.backends.iter().collect();
    met.sort_by_key(|one| (one.first_us, one.name));
    met.windows(2).all(|pair| {
        moves.iter().any(|row| {
            let lost = row.who == Mover::Sources || row.whole;
            let there = row.to.iter().any(|to| to.name.as_deref() == Some(pair[1].name));
            lost && there && row.from.as_deref() == Some(pair[0].name) && pair[1].first_us >= row.first_us
        })
    })
}

/// A move in words; `None` where nothing of note happened, or too little is known.
pub fn words(row: &Move) -> Option<String> {
    let from = row.from.as_deref()?;
    let when = between(row.first_us, row.last_us);
    let moved = row.moved();
    if row.who == Mover::Sources {
        let sources = if row.lost == 1 { "source" } else { "sources" };
        return Some(format!(
            "{} {sources} that {from} had answered went for good {when}, {}{}",
            row.lost,
            each(row),
            without(row)
        ));
    }
    if moved == 0 && !row.whole {
        return None;
    }
    let begin = match (row.whole, row.lost) {
        (true, _) => format!("{from} was lost {when}"),
        (false, 0) => format!("{} clients of {from} dropped their connections {when}", row.stormed),
        (false, lost) => format!("{from} lost {lost} clients {when}"),
    };
    let mut parts = Vec::new();
    if moved > 0 {
        let clients = if moved == 1 { "client" } else { "clients" };
        parts.push(format!("{moved} {clients} moved, {}", each(row)));
    }
    let back = row.to.iter().filter(|to| to.name == row.from).map(|to| to.count).sum();
    let unknown = row.to.iter().filter(|to| to.name.is_none()).map(|to| to.count).sum();
    for (n, what) in [
        (back, "came back to it"),
        (unknown, "are back nobody knows where"),
        (row.missing(), "are not back"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    Some(format!("{begin}: {}{}", parts.join(", "), without(row)))
}

/// `22 to s1 and 18 to s3`.
fn each(row: &Move) -> String {
    let others = row.to.iter().filter(|to| to.name != row.from);
    let told: Vec<String> = others
        .filter_map(|to| Some(format!("{} to {}", to.count, to.name.as_deref()?)))
        .collect();
    match told.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn without(row: &Move) -> String {
    let what = match row.who {
        Mover::Clients => "away",
        Mover::Sources => "without an answer",
    };
    let median = row.away().quantile(0.5);
    median.map_or_else(String::new, |us| format!(", {what} for {} (median)", length(us)))
}

#[cfg(test)]
mod tests;
