//! What a host saw of the balancer in front of its targets: when each source met each backend, sessions that were seen on
//! two of them, and who went from where to where when connections were lost.
//!
//! All of it adds up over threads and hosts in any order: counts are sums, times are the earliest and the latest, and losses
//! of one backend that follow each other within [`TOGETHER_US`] are one [`Departure`], whoever saw them.
//! Never here: counting, judging.

use super::histogram::Histogram;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Losses of one backend that are no further apart than this belong together.
pub const TOGETHER_US: u64 = 2_000_000;

/// When a source met a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The backend.
    pub backend: String,
    /// The first time, us since the start instant.
    pub first_us: u64,
    /// The last time: of clients their coming, of http answers.
    pub last_us: u64,
}

/// Sessions that were seen on more than one backend: Engine.IO sessions, and clients that were given cookies to keep.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strays {
    /// How many, each counted once.
    pub sessions: u64,
    /// The first of them.
    pub first: Option<Stray>,
}

/// One session that was seen on a second backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    /// us since the start instant.
    pub at_us: u64,
    /// Local address.
    pub source: IpAddr,
    /// How it is told from others: the beginning of its sid, or the names of its cookies. Never a whole sid or a value.
    pub session: String,
    /// Where it was.
    pub from: String,
    /// Where it was seen then.
    pub to: String,
}

impl Strays {
    /// Adds those of another thread or host.
    pub fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        let first = [self.first.take(), other.first.clone()];
        self.first = first.into_iter().flatten().min_by_key(|stray| stray.at_us);
    }
}

/// Clients that one backend lost together, or that dropped their connections to it in a storm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    /// The backend; `None` where its name is not known.
    pub from: Option<String>,
    /// The first loss, us since the start instant.
    pub first_us: u64,
    /// The last one.
    pub last_us: u64,
    /// Connections that were lost.
    pub lost: u64,
    /// Connections that were dropped in a storm.
    pub stormed: u64,
    /// Those of these clients that stand again, by where they do.
    pub back: Vec<Back>,
}

/// Clients that are back on one backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Back {
    /// The backend; `None` where its name is not known.
    pub to: Option<String>,
    /// How many.
    pub clients: u64,
    /// For how long they were without. Empty in intervals.
    pub away: Histogram,
}

impl Departure {
    fn add(&mut self, other: &Self) {
        self.first_us = self.first_us.min(other.first_us);
        self.last_us = self.last_us.max(other.last_us);
        self.lost += other.lost;
        self.stormed += other.stormed;
        for back in &other.back {
            match self.back.iter_mut().find(|known| known.to == back.to) {
                Some(known) => {
                    known.clients += back.clients;
                    known.away.add(&back.away);
                }
                None => self.back.push(back.clone()),
            }
        }
    }
}

/// Puts together what belongs together, in the order of names and times.
pub fn together(mut rows: Vec<Departure>) -> Vec<Departure> {
    rows.sort_by(|a, b| (&a.from, a.first_us).cmp(&(&b.from, b.first_us)));
    let mut joined: Vec<Departure> = Vec::new();
    for row in rows {
        match joined.last_mut() {
            Some(last) if last.from == row.from && row.first_us <= last.last_us.saturating_add(TOGETHER_US) => {
                last.add(&row);
            }
            _ => joined.push(row),
        }
    }
    for row in &mut joined {
        row.back.sort_by(|a, b| a.to.cmp(&b.to));
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lost(from: &str, at_us: u64, to: &str) -> Departure {
        let mut away = Histogram::default();
        away.record(at_us % 7 + 1);
        Departure {
            from: Some(from.to_owned()),
            first_us: at_us,
            last_us: at_us,
            lost: 1,
            stormed: 0,
            back: vec![Back {
                to: Some(to.to_owned()),
                clients: 1,
                away,
            }],
        }
    }

    #[test]
    fn losses_that_follow_each_other_are_one_departure() {
        let rows = together(vec![
            lost("s2", 4_000_000, "s1"),
            lost("s1", 1_000_000, "s3"),
            lost("s2", 6_000_000, "s3"),
            lost("s2", 8_000_001, "s1"),
        ]);
        let told: Vec<(&str, u64, u64, u64)> = rows
            .iter()
            .map(|row| (row.from.as_deref().unwrap_or(""), row.first_us, row.last_us, row.lost))
            .collect();
        assert_eq!(
            told,
            [
                ("s1", 1_000_000, 1_000_000, 1),
                ("s2", 4_000_000, 6_000_000, 2),
                ("s2", 8_000_001, 8_000_001, 1)
            ]
        );
        assert_eq!(rows[1].back.len(), 2);
    }

    #[test]
    fn the_earliest_stray_is_the_example() {
        let stray = |at_us| Strays {
            sessions: 2,
            first: Some(Stray {
                at_us,
                source: [10, 0, 0, 1].into(),
                session: "x".into(),
                from: "s1".into(),
                to: "s2".into(),
            }),
        };
        let mut all = stray(9);
        all.add(&stray(4));
        all.add(&Strays::default());
        all.add(&stray(6));
        assert_eq!((all.sessions, all.first.map(|first| first.at_us)), (6, Some(4)));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_who_puts_them_together(
            losses in proptest::collection::vec((0u8..3, 0u64..20_000_000, 0u8..3), 0..40),
            cut in 0usize..40,
        ) {
            let rows: Vec<Departure> = losses
                .iter()
                .map(|(from, at, to)| lost(&format!("s{from}"), *at, &format!("s{to}")))
                .collect();
            let cut = cut.min(rows.len());
            let mut parts = together(rows[..cut].to_vec());
            parts.extend(together(rows[cut..].to_vec()));
            prop_assert_eq!(together(parts), together(rows));
        }
    }
}
