//! The verdict on a balancer, in words and only on evidence.

use super::breaks::Breaks;
use super::matrix::Matrix;
use super::moves::Move;
use super::rule::Rule;

/// What the matrix counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Persistent clients.
    Clients,
    /// Answered hits.
    Requests,
}

impl Unit {
    fn word(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Requests => "requests",
        }
    }
}

/// What is known about the backends' names and the clients.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// Where the names were found.
    pub by: &'a [String],
    /// What the matrix counts.
    pub unit: Unit,
    /// Whether clients keep cookies.
    pub keep_cookies: bool,
}

/// How sources and backends belong together. What was not measured is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Affinity {
    /// Where the backend's name was found: `header:x-backend`.
    pub by: Option<String>,
    /// Backends that were reached.
    pub reached: Option<u64>,
    /// Backends that are known to exist, from the balancer's own statistics or from what the user said of it.
    pub known: Option<u64>,
    /// Whether each source was seen on one backend alone. `Some(true)` needs two clients or hits of each source.
    pub sticky: Option<bool>,
    /// The busiest backend's load over the mean of those that were reached.
    pub busiest_over_mean: Option<f64>,
    /// In words, on evidence.
    pub verdict: Option<String>,
    /// The rule that explains what was seen.
    pub rule: Option<Rule>,
    /// Backends that are known and got nothing.
    pub idle: Vec<String>,
    /// Why sources reached what they did, in words, on evidence.
    pub because: Option<String>,
    /// Sources and sessions that were seen on more than one backend.
    pub breaks: Option<Breaks>,
    /// Who went from one backend to another while the run went on.
    pub moves: Vec<Move>,
    /// What is not known, where there is no verdict.
    pub unknown: Option<String>,
}

/// An affinity of which nothing is known, for this reason.
pub fn unknown(why: impl Into<String>) -> Affinity {
    Affinity {
        unknown: Some(why.into()),
        ..Affinity::default()
    }
}

/// Judges a matrix.
pub fn judge(matrix: &Matrix, evidence: &Evidence<'_>) -> Affinity {
    let loads: Vec<u64> = matrix.columns().into_iter().filter(|n| *n > 0).collect();
    if loads.is_empty() {
        return unknown(
            "which backend answered is not known: no answer named it; \
             name what does: --backend-from header:NAME, cookie:NAME, body:/pointer, or what the server says first \
             (event:NAME, message)",
        );
    }
    let reached = loads.len();
    let mean = loads.iter().sum::<u64>() as f64 / reached as f64;
    let busiest = loads.iter().max().map(|most| *most as f64 / mean);
    let sources: Vec<_> = matrix.rows.iter().filter(|row| row.total() > 0).collect();
    let strayed = sources.iter().filter(|row| row.reached() > 1).count();
    let enough = sources.iter().all(|row| row.total() >= 2);
    let sticky = match (strayed, enough) {
        (0, true) => Some(true),
        (0, false) => None,
        _ => Some(false),
    };
    let words = Words {
        unit: evidence.unit.word(),
        cookies: if evidence.keep_cookies {
            "cookies kept"
        } else {
            "cookies dropped"
        },
        sources: sources.len(),
        reached,
        strayed,
        busiest: busiest.unwrap_or(1.0),
    };
    Affinity {
        by: (!evidence.by.is_empty()).then(|| evidence.by.join(", ")),
        reached: Some(reached as u64),
        sticky,
        busiest_over_mean: busiest,
        verdict: sticky.map(|sticky| words.verdict(sticky)),
        breaks: None,
        moves: Vec::new(),
        unknown: sticky.is_none().then(|| words.too_few()),
        ..Affinity::default()
    }
}

struct Words {
    unit: &'static str,
    cookies: &'static str,
    sources: usize,
    reached: usize,
    strayed: usize,
    busiest: f64,
}

impl Words {
    fn verdict(&self, sticky: bool) -> String {
        let Self {
            unit,
            cookies,
            sources,
            reached,
            strayed,
            busiest,
        } = self;
        match (sticky, *sources, *reached) {
            (true, 1, _) => format!(
                "the one source address reached one backend ({cookies}): behind a source hash the others see none of \
                 this load; attack from more addresses"
            ),
            (true, _, 1) => format!(
                "all {sources} sources reached the same backend ({cookies}): there is only one, or the others are \
                 down, or the balancer does not see these addresses"
            ),
            (true, _, _) => format!(
                "sticky: each of {sources} sources stayed on one backend ({cookies}); {reached} backends reached, \
                 the busiest has {busiest:.2} times the mean of {unit}"
            ),
            (false, _, _) => format!(
                "not sticky by source: {strayed} of {sources} sources were seen on more than one backend ({cookies}); \
                 {reached} backends reached, the busiest has {busiest:.2} times the mean of {unit}"
            ),
        }
    }

    fn too_few(&self) -> String {
        format!(
            "whether sources stick to a backend is not known: too few {} a source to tell (2 are needed)",
            self.unit
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Seen, matrix};
    use super::*;

    type Row<'a> = &'a [(&'a str, u64)];
    /// Name, what each source saw, sticky, reached, how the verdict begins.
    type Case<'a> = (&'a str, &'a [Row<'a>], Option<bool>, Option<u64>, Option<&'a str>);

    fn judged(rows: &[Row<'_>], unit: Unit, keep_cookies: bool) -> Affinity {
        let owned: Vec<Vec<(String, u64)>> = rows
            .iter()
            .map(|row| row.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect())
            .collect();
        let seen: Vec<Seen<'_>> = owned
            .iter()
            .enumerate()
            .map(|(at, backends)| Seen {
                host: "h",
                address: std::net::Ipv4Addr::new(10, 0, 0, at as u8).into(),
                backends,
            })
            .collect();
        let by = ["header:x-backend".to_owned()];
        judge(
            &matrix(&seen),
            &Evidence {
                by: &by,
                unit,
                keep_cookies,
            },
        )
    }

    #[test]
    fn verdicts_come_from_evidence_alone() {
        let cases: [Case<'_>; 8] = [
            ("nothing", &[], None, None, None),
            ("no names", &[&[]], None, None, None),
            ("one client", &[&[("s1", 1)]], None, Some(1), None),
            (
                "one source",
                &[&[("s1", 100)]],
                Some(true),
                Some(1),
                Some("the one source address reached one backend"),
            ),
            (
                "one backend",
                &[&[("s1", 9)], &[("s1", 9)]],
                Some(true),
                Some(1),
                Some("all 2 sources reached the same"),
            ),
            (
                "sticky",
                &[&[("s1", 9)], &[("s2", 9)], &[("s1", 9)]],
                Some(true),
                Some(2),
                Some("sticky: each of 3"),
            ),
            ("weak", &[&[("s1", 9)], &[("s2", 1)]], None, Some(2), None),
            (
                "strays",
                &[&[("s1", 1), ("s2", 1)], &[("s2", 1)]],
                Some(false),
                Some(2),
                Some("not sticky by source: 1 of 2"),
            ),
        ];
        for (name, rows, sticky, reached, verdict) in cases {
            let affinity = judged(rows, Unit::Clients, false);
            assert_eq!(affinity.sticky, sticky, "{name}");
            assert_eq!(affinity.reached, reached, "{name}");
            assert_eq!(affinity.verdict.is_some(), verdict.is_some(), "{name}");
            assert_eq!(affinity.unknown.is_some(), verdict.is_none(), "{name}");
            if let (Some(text), Some(start)) = (&affinity.verdict, verdict) {
                assert!(text.starts_with(start), "{name}: {text}");
                assert!(text.contains("cookies dropped"), "{name}: {text}");
            }
        }
    }

    #[test]
    fn the_busiest_backend_is_set_against_the_mean() {
        let affinity = judged(&[&[("s1", 30)], &[("s2", 10)]], Unit::Requests, true);
        assert_eq!(affinity.busiest_over_mean, Some(1.5));
        let verdict = affinity.verdict.unwrap();
        assert!(verdict.contains("1.50 times the mean of requests"), "{verdict}");
        assert!(verdict.contains("cookies kept"), "{verdict}");
    }
}
