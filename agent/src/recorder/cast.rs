//! What one worker counts of broadcasts, by the backends of those who emit and of those who listen. Never here: which
//! receipts are due, stamps (`flow`).

use super::{BackendId, Recorder};
use crate::wire::broadcast::{CastRow, Casts as Report, mark};
use std::collections::BTreeMap;

/// Marks of emitters' backends that are kept for each backend; more are no backends of ours, and count as unknown.
const MARKS_KEPT: usize = super::rows::BACKENDS_KEPT + 1;

/// Counters, all of the whole run.
#[derive(Default)]
pub struct Casts {
    /// By backend: 0 those that are not known, then by id.
    backends: Vec<Row>,
    /// First receipts by a client that did not emit it.
    pub heard: u64,
    /// Those of them that were not due.
    pub beyond: u64,
    /// Further receipts.
    pub duplicates: u64,
    /// Receipts by the emitter itself.
    pub own: u64,
    /// First receipts that took less than the clock error.
    pub below: u64,
    /// Receipts without a stamp of this run.
    pub unstamped: u64,
    /// Receipts of emits that were forgotten.
    pub forgotten: u64,
}

#[derive(Default)]
struct Row {
    emits: BTreeMap<u32, u64>,
    listeners: BTreeMap<u32, i64>,
    own: u64,
    received: Vec<(u32, u64)>,
}

impl Casts {
    fn row(&mut self, backend: Option<BackendId>) -> &mut Row {
        let at = backend.map_or(0, |id| usize::from(id.0) + 1);
        if self.backends.len() <= at {
            self.backends.resize_with(at + 1, Row::default);
        }
        &mut self.backends[at]
    }

    /// A client emitted. `due`: it is itself due to hear what is emitted in this second.
    pub fn emitted(&mut self, backend: Option<BackendId>, second: u32, due: bool) {
        let row = self.row(backend);
        *row.emits.entry(second).or_default() += 1;
        row.own += u64::from(due);
    }

    /// A listener is due from this second on.
    pub fn joined(&mut self, backend: Option<BackendId>, from: u32) {
        change(&mut self.row(backend).listeners, from, 1);
    }

    /// A listener that was due since `from` is due no more from `until` on; `own` of its emits came after that.
    pub fn left(&mut self, backend: Option<BackendId>, from: u32, until: u32, own: u64) {
        let row = self.row(backend);
        change(&mut row.listeners, until.max(from), -1);
        row.own = row.own.saturating_sub(own);
    }

    /// A listener heard what it was due to hear; `mark` names the emitter's backend.
    pub fn received(&mut self, backend: Option<BackendId>, mark: u32) {
        let received = &mut self.row(backend).received;
        match received.iter().position(|(known, _)| *known == mark) {
            Some(at) => received[at].1 += 1,
            None if received.len() < MARKS_KEPT || mark == 0 => received.push((mark, 1)),
            None => self.received(backend, 0),
        }
    }

    /// What was counted as due turned out not to be, as the listener has left.
    pub fn taken_back(&mut self, backend: Option<BackendId>, mark: u32) {
        let received = &mut self.row(backend).received;
        let known = received.iter().position(|(known, n)| *known == mark && *n > 0);
        let lumped = || received.iter().position(|(known, n)| *known == 0 && *n > 0);
        if let Some(at) = known.or_else(lumped) {
            received[at].1 -= 1;
            self.beyond += 1;
        }
    }

    /// As it is reported; `name` gives the names of backends by their ids.
    pub fn report(&self, name: impl Fn(usize) -> Option<String>) -> Report {
        let rows = self.backends.iter().enumerate().map(|(at, row)| {
            let mut received: Vec<_> = row.received.iter().copied().filter(|(_, n)| *n > 0).collect();
            received.sort_unstable();
            CastRow {
                backend: at.checked_sub(1).and_then(&name),
                emits: row.emits.iter().map(|(second, n)| (*second, *n)).collect(),
                listeners: row.listeners.iter().map(|(second, n)| (*second, *n)).collect(),
                own: row.own,
                received,
            }
        });
        Report {
            rows: rows
                .filter(|row| {
                    *row != CastRow {
                        backend: row.backend.clone(),
                        ..CastRow::default()
                    }
                })
                .collect(),
            heard: self.heard,
            beyond: self.beyond,
            duplicates: self.duplicates,
            own: self.own,
            below: self.below,
            unstamped: self.unstamped,
            forgotten: self.forgotten,
        }
    }
}

/// Adds to a series of changes; what comes to nothing is left out.
fn change(series: &mut BTreeMap<u32, i64>, second: u32, by: i64) {
    let n = series.entry(second).or_default();
    *n += by;
    if *n == 0 {
        series.remove(&second);
    }
}

impl Recorder {
    /// What is counted of broadcasts.
    pub fn broadcasts(&mut self) -> &mut Casts {
        self.casts.get_or_insert_default()
    }

    /// The mark of a backend's name.
    pub fn mark_of(&self, backend: Option<BackendId>) -> u32 {
        let row = backend.and_then(|id| self.rows.backends.get(usize::from(id.0)));
        mark(row.map(|row| row.name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Option<BackendId> = Some(BackendId(0));

    #[test]
    fn who_was_never_due_leaves_no_trace() {
        let mut casts = Casts::default();
        casts.joined(A, 3);
        casts.left(A, 3, 2, 0);
        assert_eq!(casts.report(|_| Some("a".into())).rows, []);
        casts.joined(A, 3);
        casts.joined(A, 4);
        casts.left(A, 3, 9, 0);
        let rows = casts.report(|_| Some("a".into())).rows;
        assert_eq!(rows[0].listeners, [(3, 1), (4, 1), (9, -1)]);
        assert_eq!(rows[0].backend.as_deref(), Some("a"));
    }

    #[test]
    fn what_is_taken_back_was_beyond() {
        let mut casts = Casts::default();
        casts.emitted(None, 5, true);
        casts.emitted(None, 5, false);
        for mark in 1..=100 {
            casts.received(A, mark);
        }
        let whole = |casts: &Casts| -> u64 {
            let rows = casts.report(|_| None).rows;
            rows.iter().flat_map(|row| &row.received).map(|(_, n)| n).sum()
        };
        assert_eq!(whole(&casts), 100);
        let row = &casts.report(|_| Some("a".into())).rows[1];
        assert_eq!((row.received.len(), row.received[0]), (MARKS_KEPT + 1, (0, 35)));
        casts.taken_back(A, 1);
        casts.taken_back(A, 99);
        assert_eq!((whole(&casts), casts.beyond), (98, 2));
        casts.left(None, 1, 5, 1);
        assert_eq!(casts.report(|_| None).rows[0].own, 0);
    }
}
