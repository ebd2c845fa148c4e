//! When is hit number n due, when does connection number n open and close: arithmetic on the plan, nothing else.
//!
//! All instants are whole nanoseconds since the start instant (for hits: since the end of the warm-up). Every host
//! computes the same due times for the whole plan and takes the numbers that are its own, so that hosts which start at
//! one instant do not fire in bursts. Never here: clocks, sleeping.

use crate::wire::share::{Deal, Held, Level, Load, Schedule, Share, Stage};

/// Twice the number of nanoseconds times microhertz in one hit: the unit in which hits are counted exactly.
const HIT: u128 = 2_000_000_000_000_000;

/// How long Linux keeps back the port of a connection that this side has closed (TIME_WAIT), ns.
const PORT_REST: u64 = 60_000_000_000;

/// When hit `n` is due; `None` when the schedule ends before it.
pub fn due(schedule: &Schedule, n: u64) -> Option<u64> {
    let mut wanted = u128::from(n) * HIT;
    let mut begin = 0u64;
    for stage in &schedule.stages {
        let holds = (u128::from(stage.from) + u128::from(stage.to)) * u128::from(stage.duration);
        if wanted < holds {
            return Some(begin + inside(stage, wanted));
        }
        wanted -= holds;
        begin += stage.duration;
    }
    None
}

/// How many hits are due before the schedule's end.
pub fn hits(schedule: &Schedule) -> u64 {
    let whole: u128 = schedule
        .stages
        .iter()
        .map(|s| (u128::from(s.from) + u128::from(s.to)) * u128::from(s.duration))
        .sum();
    u64::try_from(whole.div_ceil(HIT)).unwrap_or(u64::MAX)
}

/// Length of a schedule, ns.
pub fn length(stages: &[Stage]) -> u64 {
    stages.iter().map(|stage| stage.duration).sum()
}

/// How many local ports one socket of a held client takes at most: one for each of its lives within [`PORT_REST`]. Those
/// that a storm ends are closed by us, and the system keeps such ports back.
pub fn lives(held: &Held) -> u64 {
    let storms = &held.storms;
    let within = |from: u64| {
        storms
            .iter()
            .filter(|at| (from..from + PORT_REST).contains(*at))
            .count()
    };
    1 + storms.iter().map(|from| within(*from)).max().unwrap_or(0) as u64
}

/// The offset inside a stage at which `wanted` (in 1/[`HIT`] hits) has been dealt out:
/// 2 from t + (to - from) t^2 / duration = wanted.
fn inside(stage: &Stage, wanted: u128) -> u64 {
    if stage.from == stage.to {
        return u64::try_from(wanted / (2 * u128::from(stage.from))).unwrap_or(u64::MAX);
    }
    let slope = (stage.to as f64 - stage.from as f64) / stage.duration as f64;
    let base = 2.0 * stage.from as f64;
    let x = wanted as f64;
    let root = (base * base + 4.0 * slope * x).max(0.0).sqrt();
    let t = 2.0 * x / (base + root).max(f64::MIN_POSITIVE);
    (t.round() as u64).min(stage.duration)
}

/// The clients that send, where not all of them do: one in so many, those whose number is 0 modulo it.
pub fn one_in(share: &Share) -> Option<u64> {
    let broadcast = share.broadcast.as_ref().filter(|_| share.program.is_none())?;
    Some(broadcast.one_in).filter(|n| *n > 1)
}

/// Which messages of the whole are this share's: those with its numbers. Where only some clients send, message n belongs to
/// the n-th of these, in turn, and so to the host that has that client.
pub fn messages(share: &Share) -> Deal {
    match (one_in(share), &share.load) {
        (Some(one_in), Load::Held(held)) => {
            let clients = connections(&held.clients);
            let mine = (0..share.deal.count(clients)).map(|k| share.deal.number(k));
            senders(one_in, clients, mine)
        }
        _ => share.deal.clone(),
    }
}

/// The same for some of the clients of a share, by their numbers.
pub fn senders(one_in: u64, clients: u64, mine: impl Iterator<Item = u64>) -> Deal {
    let place = |number: u64| u32::try_from(number / one_in).unwrap_or(u32::MAX);
    Deal {
        mine: mine.filter(|number| number % one_in == 0).map(place).collect(),
        slots: u32::try_from(clients.div_ceil(one_in)).unwrap_or(u32::MAX).max(1),
    }
}

/// A time in which a connection is open: from its opening to its closing, ns since the start instant; without an end it
/// stays to the end of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Opens.
    pub from: u64,
    /// Closes.
    pub to: Option<u64>,
}

/// How many connections the level reaches at most.
pub fn connections(level: &Level) -> u64 {
    match level {
        Level::Ramp { count, .. } => *count,
        Level::Stages(stages) => stages.iter().map(|s| s.from.max(s.to)).max().unwrap_or(0),
    }
}

/// When connection `n` is open. It is open while the level is above `n`.
pub fn spans(level: &Level, n: u64) -> Vec<Span> {
    match level {
        Level::Ramp { count, .. } if n >= *count => Vec::new(),
        Level::Ramp { rate: None, .. } => vec![Span { from: 0, to: None }],
        Level::Ramp { rate: Some(rate), .. } => {
            let from = u128::from(n) * (HIT / 2) / u128::from((*rate).max(1));
            vec![Span {
                from: u64::try_from(from).unwrap_or(u64::MAX),
                to: None,
            }]
        }
        Level::Stages(stages) => level_spans(stages, n),
    }
}

fn level_spans(stages: &[Stage], n: u64) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut begin = 0u64;
    for stage in stages {
        let crossing = |level: u64| -> u64 {
            let height = u128::from(stage.from.abs_diff(stage.to));
            let way = u128::from(stage.from.abs_diff(level));
            u64::try_from(u128::from(stage.duration) * way / height.max(1)).unwrap_or(u64::MAX)
        };
        let open = spans.last().is_some_and(|span| span.to.is_none());
        let (above_first, above_last) = (stage.from > n, stage.to > n);
        if !open && above_first {
            spans.push(Span { from: begin, to: None });
        } else if open
            && !above_first
            && let Some(span) = spans.last_mut()
        {
            span.to = Some(begin);
        }
        match (above_first, above_last) {
            (false, true) => spans.push(Span {
                from: begin + crossing(n),
                to: None,
            }),
            (true, false) => {
                if let Some(span) = spans.last_mut() {
                    span.to = Some(begin + crossing(n));
                }
            }
            _ => {}
        }
        begin += stage.duration;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::share::{Deal, PER_SECOND};
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn schedule(stages: &[(u64, u64, u64)]) -> Schedule {
        Schedule {
            stages: stages
                .iter()
                .map(|(s, from, to)| Stage {
                    duration: s * SECOND,
                    from: from * PER_SECOND,
                    to: to * PER_SECOND,
                })
                .collect(),
        }
    }

    #[test]
    fn a_plateau_spaces_hits_evenly() {
        let plateau = schedule(&[(10, 4, 4)]);
        assert_eq!(hits(&plateau), 40);
        for (n, at) in [(0, 0), (1, SECOND / 4), (4, SECOND), (39, 9 * SECOND + 3 * SECOND / 4)] {
            assert_eq!(due(&plateau, n), Some(at), "hit {n}");
        }
        assert_eq!(due(&plateau, 40), None);
    }

    #[test]
    fn a_ramp_from_nothing_puts_hit_n_where_the_area_is_n() {
        // 0 to 10/s in 10 s: area t^2 / 2
        let ramp = schedule(&[(10, 0, 10)]);
        assert_eq!(hits(&ramp), 50);
        assert_eq!(due(&ramp, 0), Some(0));
        assert_eq!(due(&ramp, 2), Some(2 * SECOND));
        assert_eq!(due(&ramp, 32), Some(8 * SECOND));
    }

    #[test]
    fn stages_follow_each_other() {
        let both = schedule(&[(2, 10, 10), (0, 0, 0), (2, 0, 0), (1, 5, 5)]);
        assert_eq!(hits(&both), 25);
        assert_eq!(due(&both, 20), Some(4 * SECOND));
        assert_eq!(due(&both, 24), Some(4 * SECOND + 800_000_000));
    }

    #[test]
    fn a_level_opens_and_closes_connections() {
        let level = Level::Stages(vec![
            Stage {
                duration: 10 * SECOND,
                from: 0,
                to: 10,
            },
            Stage {
                duration: 5 * SECOND,
                from: 10,
                to: 10,
            },
            Stage {
                duration: 10 * SECOND,
                from: 10,
                to: 0,
            },
            Stage {
                duration: SECOND,
                from: 2,
                to: 2,
            },
        ]);
        assert_eq!(connections(&level), 10);
        assert_eq!(
            spans(&level, 0),
            [
                Span {
                    from: 0,
                    to: Some(25 * SECOND)
                },
                Span {
                    from: 25 * SECOND,
                    to: None
                }
            ]
        );
        assert_eq!(
            spans(&level, 4),
            [Span {
                from: 4 * SECOND,
                to: Some(21 * SECOND)
            }]
        );
        assert_eq!(spans(&level, 10), []);
    }

    #[test]
    fn storms_take_ports_while_they_rest() {
        for (storms, lives_expected) in [
            (vec![], 1),
            (vec![10], 2),
            (vec![10, 30, 69], 4),
            (vec![10, 70, 129], 3),
            (vec![10, 80, 200], 2),
        ] {
            let held = Held {
                clients: Level::Ramp { count: 1, rate: None },
                end: 300 * SECOND,
                cadence: None,
                requests: None,
                reconnect: None,
                storms: storms.iter().map(|s| s * SECOND).collect(),
            };
            assert_eq!(lives(&held), lives_expected, "{storms:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn due_times_rise_and_end_in_time(stages in prop::collection::vec((1u64..20, 0u64..50, 0u64..50), 1..5)) {
            let schedule = schedule(&stages);
            let whole = hits(&schedule);
            let mut last = 0;
            for n in 0..whole {
                let at = due(&schedule, n).unwrap();
                prop_assert!(at >= last, "hit {} at {} after {}", n, at, last);
                last = at;
            }
            prop_assert!(last <= length(&schedule.stages));
            prop_assert_eq!(due(&schedule, whole), None);
        }

        #[test]
        fn the_union_of_deals_is_the_plan(weights in prop::collection::vec(1u32..4, 1..6), whole in 0u64..500) {
            let slots: u32 = weights.iter().sum();
            let mut next = 0;
            let mut seen = vec![0u32; usize::try_from(whole).unwrap()];
            for weight in weights {
                let deal = Deal { mine: (next..next + weight).collect(), slots };
                next += weight;
                for k in 0..deal.count(whole) {
                    seen[usize::try_from(deal.number(k)).unwrap()] += 1;
                }
            }
            prop_assert!(seen.iter().all(|n| *n == 1));
        }
    }
}
