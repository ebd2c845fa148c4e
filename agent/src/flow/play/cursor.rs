//! Where a client stands in its flow: which step is next, which round it is, when a round is due. Pure: instants are
//! handed in.

use super::stage::Line;
use crate::wire::flow::{Act, Rounds};
use std::time::{Duration, Instant};

/// Rounds that a call looks through before it gives way: repetitions may hold nothing that takes time.
const PATIENCE: u32 = 64;

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This line; what is timed in it is due then.
    Act(usize, Option<Instant>),
    /// Nothing before this instant.
    Wait(Instant),
    /// Nothing yet, though nothing is waited for: others may have their turn.
    Yield,
    /// The flow is over.
    Over,
}

/// A place in a flow.
#[derive(Debug, Default)]
pub struct Cursor {
    at: usize,
    loops: Vec<Loop>,
}

#[derive(Debug)]
struct Loop {
    line: usize,
    round: u64,
    began: Instant,
    /// The round waits for its due time.
    waits: bool,
    due: Option<Instant>,
}

impl Cursor {
    /// The round of the innermost repetition.
    pub fn round(&self) -> u64 {
        self.loops.last().map_or(0, |inner| inner.round)
    }

    /// The next thing to do at `now`. `phase` is how far into a period the client begins.
    pub fn next(&mut self, lines: &[Line], now: Instant, phase: impl Fn(u64) -> Duration) -> Next {
        for _ in 0..PATIENCE {
            if self.loops.last().is_some_and(|inner| inner.waits) {
                match self.begin_round(lines, now, &phase) {
                    Some(wait) => return wait,
                    None => continue,
                }
            }
            let end = self.loops.last().map_or(lines.len(), |inner| lines[inner.line].after);
            if self.at < end {
                let at = self.at;
                let line = &lines[at];
                match &line.act {
                    // nothing inside: nothing to repeat
                    Act::Every(_) | Act::Repeat(_) if line.after == at + 1 => self.at = line.after,
                    Act::Every(_) | Act::Repeat(_) => self.loops.push(Loop {
                        line: at,
                        round: 0,
                        began: now,
                        waits: true,
                        due: None,
                    }),
                    _ => {
                        self.at += 1;
                        let due = if line.timed { self.take_due() } else { None };
                        return Next::Act(at, due);
                    }
                }
            } else {
                let Some(inner) = self.loops.last_mut() else {
                    return Next::Over;
                };
                inner.round += 1;
                inner.waits = true;
            }
        }
        Next::Yield
    }

    /// Begins the round that the innermost repetition waits for, or ends the repetition.
    fn begin_round(&mut self, lines: &[Line], now: Instant, phase: &impl Fn(u64) -> Duration) -> Option<Next> {
        let inner = self.loops.last_mut()?;
        let line = &lines[inner.line];
        let (rounds, due) = match &line.act {
            Act::Every(every) => {
                let since = u128::from(every.period) * u128::from(inner.round);
                let since = Duration::from_nanos(u64::try_from(since).unwrap_or(u64::MAX));
                (every.rounds, Some(inner.began + phase(every.period) + since))
            }
            Act::Repeat(repeat) => (repeat.rounds, None),
            _ => (Rounds::Count(0), None),
        };
        let on = match rounds {
            Rounds::Forever => true,
            Rounds::Count(count) => inner.round < count,
            Rounds::For(ns) => due.unwrap_or(now) < inner.began + Duration::from_nanos(ns),
        };
        if !on {
            self.at = line.after;
            self.loops.pop();
            return None;
        }
        if let Some(due) = due.filter(|due| *due > now) {
            return Some(Next::Wait(due));
        }
        inner.waits = false;
        inner.due = due;
        self.at = inner.line + 1;
        None
    }

    /// The due time of the round, for its first timed step alone.
    fn take_due(&mut self) -> Option<Instant> {
        let due = self.loops.iter().rev().find_map(|inner| inner.due);
        if due.is_some() {
            self.loops.iter_mut().for_each(|inner| inner.due = None);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::play::stage::lines;
    use crate::wire::flow::{Every, Flow, OnFailure, Repeat, Step, Wait};

    const MS: u64 = 1_000_000;

    fn step(act: Act) -> Step {
        Step {
            label: String::new(),
            act,
            on_failure: OnFailure::End,
        }
    }

    fn timed() -> Step {
        step(Act::Script(crate::wire::flow::ScriptStep {
            period: None,
            rounds: Rounds::Forever,
            reply: Default::default(),
        }))
    }

    fn pause() -> Step {
        step(Act::Wait(Wait::End))
    }

    fn every(period: u64, rounds: Rounds, steps: Vec<Step>) -> Step {
        step(Act::Every(Every {
            period: period * MS,
            rounds,
            steps,
        }))
    }

    fn repeat(rounds: Rounds, steps: Vec<Step>) -> Step {
        step(Act::Repeat(Repeat { rounds, steps }))
    }

    /// What a client does that takes no time for anything: line, when, due (ms); a yield is line 99.
    fn walk(steps: Vec<Step>, most: usize) -> Vec<(usize, u64, Option<u64>)> {
        let flow = Flow {
            steps,
            ..Flow::default()
        };
        let lines = lines(&flow);
        let start = Instant::now();
        let ms = |at: Instant| (at - start).as_millis() as u64;
        let (mut cursor, mut now, mut seen) = (Cursor::default(), start, Vec::new());
        for _ in 0..most {
            match cursor.next(&lines, now, |period| Duration::from_nanos(period / 4)) {
                Next::Act(line, due) => seen.push((line, ms(now), due.map(ms))),
                Next::Wait(until) => {
                    assert!(until > now);
                    now = until;
                }
                Next::Yield => seen.push((99, ms(now), None)),
                Next::Over => break,
            }
        }
        seen
    }

    #[test]
    fn rounds_are_due_by_the_clock_from_the_clients_phase() {
        let steps = vec![timed(), every(100, Rounds::Count(3), vec![pause(), timed(), timed()])];
        assert_eq!(
            walk(steps, 100),
            [
                (0, 0, None),
                (2, 25, None),
                (3, 25, Some(25)),
                (4, 25, None),
                (2, 125, None),
                (3, 125, Some(125)),
                (4, 125, None),
                (2, 225, None),
                (3, 225, Some(225)),
                (4, 225, None),
            ]
        );
    }

    #[test]
    fn a_time_ends_a_repetition_and_what_follows_comes() {
        let steps = vec![every(100, Rounds::For(130 * MS), vec![timed()]), timed()];
        assert_eq!(
            walk(steps, 100),
            [(1, 25, Some(25)), (1, 125, Some(125)), (2, 125, None)]
        );
    }

    #[test]
    fn repetitions_nest_and_the_first_timed_step_takes_the_due_time() {
        let inner = repeat(Rounds::Count(2), vec![timed()]);
        let steps = vec![every(100, Rounds::Count(2), vec![inner, timed()])];
        assert_eq!(
            walk(steps, 100),
            [
                (2, 25, Some(25)),
                (2, 25, None),
                (3, 25, None),
                (2, 125, Some(125)),
                (2, 125, None),
                (3, 125, None),
            ]
        );
    }

    #[test]
    fn repetitions_of_nothing_end_or_give_way() {
        assert_eq!(walk(vec![repeat(Rounds::Forever, vec![]), timed()], 9), [(1, 0, None)]);
        let nothing = repeat(Rounds::Forever, vec![repeat(Rounds::Count(0), vec![timed()])]);
        assert_eq!(walk(vec![nothing], 2), [(99, 0, None), (99, 0, None)]);
        assert_eq!(walk(vec![repeat(Rounds::Count(0), vec![timed()])], 9), []);
        assert_eq!(walk(vec![], 9), []);
    }

    #[test]
    fn a_late_round_is_late_and_not_skipped() {
        let flow = Flow {
            steps: vec![every(100, Rounds::Forever, vec![timed()])],
            ..Flow::default()
        };
        let lines = lines(&flow);
        let start = Instant::now();
        let mut cursor = Cursor::default();
        let phase = |_| Duration::ZERO;
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(cursor.next(&lines, start, phase), Next::Act(1, Some(start)));
        for round in 1..=3 {
            assert_eq!(cursor.next(&lines, at(310), phase), Next::Act(1, Some(at(round * 100))));
        }
        assert_eq!(cursor.next(&lines, at(310), phase), Next::Wait(at(400)));
        assert_eq!(cursor.round(), 4);
    }
}
