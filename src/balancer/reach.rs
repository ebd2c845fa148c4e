//! What broadcasts show about the backends: whether what is emitted on one reaches the clients on the others. In words, and
//! only on evidence.

use std::collections::BTreeSet;

/// A pair with fewer due receipts than this says nothing.
const ENOUGH: u64 = 10;
/// From this share on the way between two backends is open.
const OPEN: f64 = 0.5;
/// From this share on it is whole.
const WHOLE: f64 = 0.99;
/// Backends that are listed by name.
const NAMED: usize = 4;

/// From clients of one backend to those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing<'a> {
    /// Emitted on.
    pub from: &'a str,
    /// Heard on.
    pub to: &'a str,
    /// Receipts due.
    pub expected: u64,
    /// Those that came.
    pub received: u64,
}

impl Crossing<'_> {
    fn inside(&self) -> bool {
        self.from == self.to
    }

    fn share(&self) -> f64 {
        self.received as f64 / self.expected.max(1) as f64
    }
}

/// Judges the ways between backends; `None` where fewer than two were reached, or too little was due to tell.
pub fn judge(crossings: &[Crossing<'_>]) -> Option<String> {
    let strong: Vec<&Crossing<'_>> = crossings.iter().filter(|c| c.expected >= ENOUGH).collect();
    let across: Vec<&Crossing<'_>> = strong.iter().copied().filter(|c| !c.inside()).collect();
    if across.is_empty() {
        return None;
    }
    let backends: BTreeSet<&str> = strong.iter().flat_map(|c| [c.from, c.to]).collect();
    // an island: what is emitted on it is heard on it, and on no other backend
    let heard_at_home = |from: &str| strong.iter().any(|c| c.inside() && c.from == from && c.share() >= OPEN);
    let goes_nowhere = |from: &str| {
        let mut away = across.iter().filter(|c| c.from == from).peekable();
        away.peek().is_some() && away.all(|c| c.received == 0)
    };
    let emitters: BTreeSet<&str> = across.iter().map(|c| c.from).collect();
    let islands: Vec<&str> = emitters
        .iter()
        .copied()
        .filter(|from| heard_at_home(from) && goes_nowhere(from))
        .collect();
    if !islands.is_empty() {
        let (who, adapter) = if islands.len() == emitters.len() {
            ("the nodes share no adapter", "Redis adapter missing?")
        } else {
            (
                "these nodes share no adapter with the others",
                "Redis adapter missing there?",
            )
        };
        return Some(format!(
            "{}: {}; {who} ({adapter})",
            only_at_home(&islands),
            reach(&strong, backends.len())
        ));
    }
    let worst = across.iter().min_by(|a, b| a.share().total_cmp(&b.share()))?;
    if worst.share() >= WHOLE {
        return Some(format!(
            "events reached the clients on all {} backends, whichever they were emitted on: the nodes share an adapter",
            backends.len()
        ));
    }
    let at_home: Vec<&&Crossing<'_>> = strong.iter().filter(|c| c.inside()).collect();
    let came = strong.iter().any(|c| c.received > 0);
    (came && !at_home.is_empty()).then(|| {
        format!(
            "of the events emitted on {} the clients on {} heard {:.1} %, the least of {} pairs: {}",
            worst.from,
            worst.to,
            worst.share() * 100.0,
            across.len(),
            reach(&strong, backends.len())
        )
    })
}

fn only_at_home(islands: &[&str]) -> String {
    match islands {
        [one] => format!("events emitted on {one} reached only clients on {one}"),
        few if few.len() <= NAMED => {
            let each = few[1..]
                .iter()
                .map(|name| format!(", those emitted on {name} only clients on {name}"));
            format!("{}{}", only_at_home(&few[..1]), each.collect::<String>())
        }
        many => format!(
            "events emitted on any of {} backends reached only clients on the same one",
            many.len()
        ),
    }
}

/// `reach 1/3` where it is that, else in percent.
fn reach(strong: &[&Crossing<'_>], backends: usize) -> String {
    let sum = |of: fn(&Crossing<'_>) -> u64| strong.iter().map(|c| of(c) as f64).sum::<f64>();
    let share = sum(|c| c.received) / sum(|c| c.expected).max(1.0);
    let part = 1.0 / backends as f64;
    if (share - part).abs() < 0.2 * part {
        format!("reach 1/{backends}")
    } else {
        format!("reach {:.0} %", share * 100.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What of a hundred emitted on one of the backends is heard on another: rows are emitters.
    fn judged(names: &[&str], due: u64, heard: &[&[u64]]) -> Option<String> {
        let crossings: Vec<Crossing<'_>> = names
            .iter()
            .zip(heard)
            .flat_map(|(from, row)| {
                names.iter().zip(*row).map(move |(to, received)| Crossing {
                    from,
                    to,
                    expected: due,
                    received: *received,
                })
            })
            .collect();
        judge(&crossings)
    }

    #[test]
    fn verdicts_come_from_evidence_alone() {
        let three = ["s1", "s2", "s3"];
        // backends, receipts due of each pair, receipts, verdict
        type Case<'a> = (&'a [&'a str], u64, &'a [&'a [u64]], Option<&'a str>);
        let cases: [Case<'_>; 9] = [
            (&[], 100, &[], None),
            (&["s1"], 100, &[&[100]], None),
            (&["s1", "s2"], 9, &[&[9, 0], &[0, 9]], None),
            (
                &three,
                100,
                &[&[100, 0, 0], &[0, 100, 0], &[0, 0, 100]],
                Some(
                    "events emitted on s1 reached only clients on s1, those emitted on s2 only clients on s2, those \
                     emitted on s3 only clients on s3: reach 1/3; the nodes share no adapter (Redis adapter missing?)",
                ),
            ),
            (
                &three,
                100,
                &[&[100, 100, 0], &[100, 100, 0], &[0, 0, 100]],
                Some(
                    "events emitted on s3 reached only clients on s3: reach 56 %; these nodes share no adapter with \
                     the others (Redis adapter missing there?)",
                ),
            ),
            (
                &three,
                100,
                &[&[100, 100, 100], &[100, 100, 99], &[100, 100, 100]],
                Some(
                    "events reached the clients on all 3 backends, whichever they were emitted on: the nodes share an \
                     adapter",
                ),
            ),
            (
                &["s1", "s2"],
                100,
                &[&[100, 43], &[90, 100]],
                Some("of the events emitted on s1 the clients on s2 heard 43.0 %, the least of 2 pairs: reach 83 %"),
            ),
            // nobody hears anything: that says nothing about adapters
            (&["s1", "s2"], 100, &[&[0, 0], &[0, 0]], None),
            (
                &["a", "b", "c", "d", "e"],
                100,
                &[
                    &[100, 0, 0, 0, 0],
                    &[0, 100, 0, 0, 0],
                    &[0, 0, 100, 0, 0],
                    &[0, 0, 0, 100, 0],
                    &[0, 0, 0, 0, 100],
                ],
                Some(
                    "events emitted on any of 5 backends reached only clients on the same one: reach 1/5; the nodes \
                     share no adapter (Redis adapter missing?)",
                ),
            ),
        ];
        for (names, due, heard, verdict) in cases {
            assert_eq!(judged(names, due, heard).as_deref(), verdict, "{names:?} {heard:?}");
        }
    }

    #[test]
    fn one_emitting_backend_is_enough() {
        let crossing = |to, received| Crossing {
            from: "s1",
            to,
            expected: 50,
            received,
        };
        let verdict = judge(&[crossing("s1", 50), crossing("s2", 0)]).unwrap();
        assert!(
            verdict
                .starts_with("events emitted on s1 reached only clients on s1: reach 1/2; the nodes share no adapter"),
            "{verdict}"
        );
    }
}
