//! One slow server among its peers, by the distributions that each backend has.
//!
//! The rule: a backend is slow when its median is at least twice its peers', and 5 ms more, over at least 100 samples; or, where
//! the medians are alike, when its 99th percentile is at least three times theirs, and 20 ms more, over at least 1,000
//! samples. Its peers' figure is the median of the figures of all other backends that have as many samples. So of two
//! backends either can be slow; where most of a backend's peers are slow as well, it is not: then these servers are so.

use super::span::length;
use swarm_agent::wire::histogram::Histogram;

/// A figure that is compared.
struct Measure {
    name: &'static str,
    quantile: f64,
    samples: u64,
    times: f64,
    more_us: u64,
}

const MEASURES: [Measure; 2] = [
    Measure {
        name: "median",
        quantile: 0.5,
        samples: 100,
        times: 2.0,
        more_us: 5_000,
    },
    Measure {
        name: "99th percentile",
        quantile: 0.99,
        samples: 1_000,
        times: 3.0,
        more_us: 20_000,
    },
];

/// A backend that is slow among its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slow {
    /// Its name.
    pub name: String,
    /// What was compared, in words.
    pub measure: &'static str,
    /// Its figure, us.
    pub us: u64,
    /// That of its peers.
    pub peers_us: u64,
    /// How many peers.
    pub peers: usize,
}

/// The backends that are slow among their peers, by the first of the measures that says so.
pub fn slow(backends: &[(&str, &Histogram)]) -> Vec<Slow> {
    for measure in &MEASURES {
        let found = by(measure, backends);
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn by(measure: &Measure, backends: &[(&str, &Histogram)]) -> Vec<Slow> {
    let figures: Vec<(&str, u64)> = backends
        .iter()
        .filter(|(_, histogram)| histogram.count >= measure.samples)
        .filter_map(|(name, histogram)| Some((*name, histogram.quantile(measure.quantile)?)))
        .collect();
    let mut found = Vec::new();
    for (at, (name, us)) in figures.iter().enumerate() {
        let mut others: Vec<u64> = figures.iter().map(|(_, us)| *us).collect();
        others.remove(at);
        others.sort_unstable();
        let Some(peers_us) = others.get(others.len() / 2).copied() else {
            continue;
        };
        if *us as f64 >= measure.times * peers_us as f64 && *us >= peers_us + measure.more_us {
            found.push(Slow {
                name: (*name).to_owned(),
                measure: measure.name,
                us: *us,
                peers_us,
                peers: others.len(),
            });
        }
    }
    found
}

impl Slow {
    /// In words; `what` is timed.
    pub fn words(&self, what: &str) -> String {
        let peers = match self.peers {
            1 => "its one peer's".to_owned(),
            n => format!("that of its {n} peers"),
        };
        format!(
            "{} is slow: the {} of its {what} is {}, {peers} {}",
            self.name,
            self.measure,
            length(self.us),
            length(self.peers_us)
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// So many samples of one time, and every hundredth (`tail`) of another.
    fn times(count: u64, us: u64, tail: u64) -> Histogram {
        let mut histogram = Histogram::default();
        (0..count).for_each(|n| histogram.record(if n % 50 == 49 { tail } else { us }));
        histogram
    }

    fn judged(rows: &[(&str, Histogram)]) -> Vec<(String, &'static str)> {
        let rows: Vec<(&str, &Histogram)> = rows.iter().map(|(name, h)| (*name, h)).collect();
        slow(&rows).into_iter().map(|one| (one.name, one.measure)).collect()
    }

    #[test]
    fn one_slow_server_stands_out() {
        let fast = || times(1000, 2_000, 2_000);
        let median = |name: &str| vec![(name.to_owned(), "median")];
        let tail = |name: &str| vec![(name.to_owned(), "99th percentile")];
        for (what, rows, wanted) in [
            ("no backend", vec![], vec![]),
            ("alone", vec![("a", times(1000, 90_000, 90_000))], vec![]),
            ("alike", vec![("a", fast()), ("b", fast()), ("c", fast())], vec![]),
            (
                "slow",
                vec![("a", fast()), ("b", times(1000, 20_000, 20_000)), ("c", fast())],
                median("b"),
            ),
            (
                "of two",
                vec![("a", fast()), ("b", times(100, 7_000, 7_000))],
                median("b"),
            ),
            (
                "too few samples",
                vec![("a", fast()), ("b", times(99, 90_000, 90_000))],
                vec![],
            ),
            (
                "peers with too few",
                vec![("a", times(99, 1, 1)), ("b", times(1000, 90_000, 90_000))],
                vec![],
            ),
            (
                "less than twice",
                vec![("a", times(1000, 60_000, 60_000)), ("b", times(1000, 110_000, 110_000))],
                vec![],
            ),
            (
                "twice of nothing",
                vec![("a", times(1000, 200, 200)), ("b", times(1000, 5_000, 5_000))],
                vec![],
            ),
            (
                "its tail",
                vec![("a", fast()), ("b", times(1000, 2_000, 60_000)), ("c", fast())],
                tail("b"),
            ),
            (
                "a tail of few",
                vec![("a", fast()), ("b", times(999, 2_000, 60_000))],
                vec![],
            ),
            (
                "most of them",
                vec![
                    ("a", fast()),
                    ("b", times(1000, 90_000, 90_000)),
                    ("c", times(1000, 90_000, 90_000)),
                    ("d", times(1000, 90_000, 90_000)),
                ],
                vec![],
            ),
            (
                "two of five",
                vec![
                    ("a", fast()),
                    ("b", fast()),
                    ("c", fast()),
                    ("d", times(1000, 90_000, 90_000)),
                    ("e", times(1000, 80_000, 80_000)),
                ],
                vec![("d".to_owned(), "median"), ("e".to_owned(), "median")],
            ),
        ] {
            assert_eq!(judged(&rows), wanted, "{what}");
        }
    }

    #[test]
    fn it_is_told_with_both_figures() {
        let (fast, lame) = (times(1000, 2_000, 2_000), times(1000, 25_000, 25_000));
        let found = slow(&[("s1", &fast), ("s2", &lame)]);
        let words = found[0].words("request");
        assert!(
            words.starts_with("s2 is slow: the median of its request is 25 ms, its one peer's 2.0 ms"),
            "{words}"
        );
    }
}
