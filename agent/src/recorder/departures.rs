//! Who was lost on which backend, and where they stand again: losses that follow each other are one departure. Never here:
//! clocks, how clients come back.

use super::{BackendId, Recorder, micros};
use crate::wire::histogram::Histogram;
use crate::wire::observed::{Back, Departure, TOGETHER_US};
use crate::wire::report::Latency;
use std::time::Instant;

/// Departures kept apart at most; later ones of a backend that has one join its last.
const KEPT: usize = 128;

/// A client that is on its way back: where it was, and since when it is not.
#[derive(Debug, Clone, Copy)]
pub struct Away {
    /// Its backend.
    pub from: Option<BackendId>,
    /// When it was lost.
    pub since: Instant,
}

struct Row {
    from: Option<BackendId>,
    first_us: u64,
    last_us: u64,
    lost: u64,
    stormed: u64,
    back: Vec<(Option<BackendId>, u64, Histogram)>,
}

/// All departures of one recorder, each backend's in the order of time.
#[derive(Default)]
pub struct Departures(Vec<Row>);

impl Departures {
    /// A connection goes; times never fall.
    pub fn left(&mut self, from: Option<BackendId>, at_us: u64, stormed: bool) {
        let full = self.0.len() >= KEPT;
        let last = self.0.iter().rposition(|row| row.from == from);
        let at = match last {
            Some(last) if full || at_us <= self.0[last].last_us.saturating_add(TOGETHER_US) => last,
            _ => {
                self.0.push(Row {
                    from,
                    first_us: at_us,
                    last_us: at_us,
                    lost: 0,
                    stormed: 0,
                    back: Vec::new(),
                });
                self.0.len() - 1
            }
        };
        let row = &mut self.0[at];
        row.last_us = at_us;
        row.lost += u64::from(!stormed);
        row.stormed += u64::from(stormed);
    }

    fn row(&mut self, from: Option<BackendId>, lost_us: u64) -> Option<&mut Row> {
        let of = |row: &&mut Row| row.from == from && row.first_us <= lost_us;
        self.0.iter_mut().rev().find(of)
    }

    /// A client that was lost then stands again, so long after.
    pub fn back(&mut self, from: Option<BackendId>, lost_us: u64, to: Option<BackendId>, away_us: u64) {
        let Some(row) = self.row(from, lost_us) else { return };
        let at = row.back.iter().position(|(known, ..)| *known == to);
        let at = at.unwrap_or_else(|| {
            row.back.push((to, 0, Histogram::default()));
            row.back.len() - 1
        });
        row.back[at].1 += 1;
        row.back[at].2.record(away_us);
    }

    /// Where a client stands again that came back so: it was not known then.
    pub fn named(&mut self, from: Option<BackendId>, lost_us: u64, to: BackendId, away_us: u64) {
        if let Some(row) = self.row(from, lost_us)
            && let Some(at) = row.back.iter().position(|(known, ..)| known.is_none())
            && row.back[at].2.forget(away_us)
        {
            row.back[at].1 -= 1;
            if row.back[at].1 == 0 {
                row.back.swap_remove(at);
            }
            self.back(from, lost_us, Some(to), away_us);
        }
    }

    /// As they are reported; `whole` with distributions.
    pub fn report(&self, whole: bool, name: impl Fn(BackendId) -> Option<String>) -> Vec<Departure> {
        let back = |(to, clients, away): &(Option<BackendId>, u64, Histogram)| Back {
            to: to.and_then(&name),
            clients: *clients,
            away: if whole { away.clone() } else { Histogram::default() },
        };
        self.0
            .iter()
            .map(|row| Departure {
                from: row.from.and_then(&name),
                first_us: row.first_us,
                last_us: row.last_us,
                lost: row.lost,
                stormed: row.stormed,
                back: row.back.iter().map(back).collect(),
            })
            .collect()
    }
}

impl Recorder {
    pub(super) fn since_start(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.start))
    }

    /// The client of a connection that was lost or stormed is on its way back. It ends in [`Recorder::returned`] or
    /// [`Recorder::gave_up`], or is still away at its end.
    pub fn away(&mut self) {
        self.tally.connections.away += 1;
    }

    /// It stands again.
    pub fn returned(&mut self, was: &Away, to: Option<BackendId>, now: Instant) {
        self.tally.connections.away -= 1;
        self.tally.connections.reconnected += 1;
        let took = now.saturating_duration_since(was.since);
        self.latency(Latency::Reconnect, took);
        let lost_us = self.since_start(was.since);
        self.departures.back(was.from, lost_us, to, micros(took));
    }

    /// It stays lost.
    pub fn gave_up(&mut self) {
        self.tally.connections.away -= 1;
        self.tally.connections.gave_up += 1;
    }

    /// The backend of one that returned at `stood` is known only now.
    pub fn returned_to(&mut self, was: &Away, stood: Instant, to: BackendId) {
        let away = micros(stood.saturating_duration_since(was.since));
        let lost_us = self.since_start(was.since);
        self.departures.named(was.from, lost_us, to, away);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const A: Option<BackendId> = Some(BackendId(0));
    const B: Option<BackendId> = Some(BackendId(1));
    const S: u64 = 1_000_000;

    fn told(departures: &Departures) -> Vec<Departure> {
        departures.report(true, |id| Some(["a", "b"][usize::from(id.0)].to_owned()))
    }

    #[test]
    fn each_client_comes_back_to_its_own_departure() {
        let mut departures = Departures::default();
        departures.left(A, S, false);
        departures.left(A, S + 5, false);
        departures.left(B, 2 * S, true);
        departures.left(A, 9 * S, false);
        // the later loss is back before the earlier one
        departures.back(A, 9 * S, A, 100);
        departures.back(A, S, B, 8 * S);
        departures.back(A, S + 5, B, 7 * S);
        departures.back(B, 2 * S, None, 3);
        let rows = told(&departures);
        let lost: Vec<_> = rows
            .iter()
            .map(|row| (row.first_us, row.last_us, row.lost, row.stormed))
            .collect();
        assert_eq!(lost, [(S, S + 5, 2, 0), (2 * S, 2 * S, 0, 1), (9 * S, 9 * S, 1, 0)]);
        let back = |at: usize| {
            (
                rows[at].back[0].to.as_deref(),
                rows[at].back[0].clients,
                rows[at].back[0].away.max,
            )
        };
        assert_eq!(
            [back(0), back(1), back(2)],
            [(Some("b"), 2, 8 * S), (None, 1, 3), (Some("a"), 1, 100)]
        );
        assert!(departures.report(false, |_| None)[0].back[0].away.count == 0);
    }

    #[test]
    fn who_is_named_late_moves_over() {
        let mut departures = Departures::default();
        departures.left(A, S, false);
        departures.left(A, S, false);
        departures.back(A, S, None, 40);
        departures.back(A, S, None, 50);
        departures.named(A, S, BackendId(1), 40);
        let rows = told(&departures);
        let back: Vec<_> = rows[0]
            .back
            .iter()
            .map(|back| (back.to.clone(), back.clients, back.away.sum))
            .collect();
        assert_eq!(back, [(None, 1, 50), (Some("b".to_owned()), 1, 40)]);
        departures.named(A, S, BackendId(1), 50);
        assert_eq!(told(&departures)[0].back.len(), 1);
        assert_eq!(told(&departures)[0].back[0].clients, 2);
    }

    #[test]
    fn their_number_is_bounded_and_nobody_is_lost() {
        let mut departures = Departures::default();
        for n in 0..1_000 {
            departures.left(A, n * 3 * S, false);
            departures.back(A, n * 3 * S, A, 1);
        }
        let rows = told(&departures);
        assert_eq!(rows.len(), KEPT);
        assert_eq!(rows.iter().map(|row| row.lost).sum::<u64>(), 1_000);
        assert_eq!(
            rows.iter()
                .flat_map(|row| &row.back)
                .map(|back| back.clients)
                .sum::<u64>(),
            1_000
        );
    }
}
