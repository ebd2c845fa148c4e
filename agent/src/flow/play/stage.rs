//! What the clients of one thread play: the flows with their steps counted through, which client takes which, the
//! compiled script. Never here: one client's state.

use super::dice::scrambled;
use crate::codec::backend::BackendNames;
use crate::net::Dialer;
use crate::script;
use crate::wire::flow::{Act, Answer, Counted, Flow, OnFailure, Reply};
use crate::wire::share::{Engine, Share};
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

/// One step in its place.
pub struct Line {
    /// The report's name of it.
    pub label: String,
    /// What is done; what is inside of it follows on its own lines.
    pub act: Act,
    /// What a failure means.
    pub on_failure: OnFailure,
    /// The first line behind it and what is inside it.
    pub after: usize,
    /// It takes the due time of its round.
    pub timed: bool,
    /// Binary arguments of an emit.
    pub attachments: Vec<Vec<u8>>,
}

/// One flow.
pub struct Track {
    /// The report's name of it.
    pub name: String,
    /// Its place among the flows.
    pub number: u16,
    /// Its steps.
    pub lines: Vec<Line>,
    /// Somebody looks into what servers say.
    pub bodies: bool,
    /// Something is waited for that may have come before.
    pub expects: bool,
}

/// All of it.
pub struct Stage {
    tracks: Vec<Rc<Track>>,
    weights: Vec<u32>,
    /// Where backends' names are found in HTTP answers.
    pub names: BackendNames,
    /// The script, when there is one.
    pub script: Option<script::Engine>,
    /// Broadcasts carry stamps; without them every emit counts as one.
    pub stamped: bool,
    /// Texts are written here one after the other.
    pub buffer: RefCell<String>,
    routes: RefCell<Vec<Option<IpAddr>>>,
}

/// The steps of a flow, counted through.
pub fn lines(flow: &Flow) -> Vec<Line> {
    flow.lines()
        .into_iter()
        .map(|line| {
            let mut act = line.step.act.clone();
            let mut attachments = Vec::new();
            match &mut act {
                Act::Every(every) => every.steps.clear(),
                Act::Repeat(repeat) => repeat.steps.clear(),
                Act::Emit(emit) => {
                    attachments = std::mem::take(&mut emit.attachments)
                        .into_iter()
                        .map(|bytes| bytes.0)
                        .collect();
                }
                _ => {}
            }
            Line {
                label: line.step.label.clone(),
                timed: act.counted() != Counted::Not && !matches!(act, Act::Set { .. }),
                act,
                on_failure: line.step.on_failure,
                after: line.after,
                attachments,
            }
        })
        .collect()
}

/// Which flow client `n` of the whole swarm takes, the same on every host. In each block of as many client numbers as the
/// weights add up to, every flow has exactly its weight; where in the list of flows a block begins is scrambled, so that
/// flows don't fall in step with hosts, sources or targets, which are dealt in turn, too.
pub fn flow_of(weights: &[u32], n: u64) -> usize {
    let divisor = weights.iter().fold(0, |a, b| gcd(a, *b)).max(1);
    let weights = || weights.iter().map(|weight| u64::from(weight / divisor));
    let whole = weights().sum::<u64>().max(1);
    let (block, place) = (n / whole, n % whole);
    let mut place = (place + scrambled(block) % whole) % whole;
    for (number, weight) in weights().enumerate() {
        if place < weight {
            return number;
        }
        place -= weight;
    }
    0
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Stage {
    /// What the share's playbook says; `None` when it has none.
    pub fn new(share: &Share) -> Option<Rc<Self>> {
        let program = share.program.as_deref()?;
        // it was compiled while arming: what fails now fails the clients
        let script = program
            .script
            .as_ref()
            .and_then(|script| script::Engine::compile(&script.name, &script.source).ok());
        let listens = script.as_ref().is_some_and(|script| script.hooks().on_message);
        let tracks = program.flows.iter().enumerate().map(|(number, flow)| {
            let lines = lines(flow);
            Rc::new(Track {
                name: flow.name.clone(),
                number: u16::try_from(number).unwrap_or(u16::MAX),
                bodies: listens || share.broadcast.is_some() || lines.iter().any(|line| looks_inside(&line.act)),
                expects: lines.iter().any(|line| matches!(line.act, Act::Expect(_))),
                lines,
            })
        });
        Some(Rc::new(Self {
            tracks: tracks.collect(),
            weights: program.flows.iter().map(|flow| flow.weight).collect(),
            names: BackendNames::of(share),
            script,
            stamped: share.broadcast.as_ref().is_none_or(|broadcast| broadcast.stamped),
            buffer: RefCell::default(),
            routes: RefCell::new(vec![None; share.targets.len()]),
        }))
    }

    /// The flow of client `n`; `None` when the playbook has none.
    pub fn track(&self, n: u64) -> Option<Rc<Track>> {
        self.tracks.get(flow_of(&self.weights, n)).map(Rc::clone)
    }

    /// The local address that the host's routes choose towards a target.
    pub fn route(&self, dialer: &Dialer, target: u16) -> IpAddr {
        match self.routes.borrow_mut().get_mut(usize::from(target)) {
            Some(known) => *known.get_or_insert_with(|| dialer.route(target)),
            None => dialer.route(target),
        }
    }
}

/// Whether HTTP is all that is spoken: then its connections are what is counted as such.
pub fn only_http(share: &Share) -> bool {
    matches!(share.engine, Engine::Http(_))
}

/// Which of the host's rows of the CSV file is client `n`'s.
pub fn row(share: &Share, n: u64) -> Option<usize> {
    share.deal.place(n).and_then(|place| usize::try_from(place).ok())
}

fn looks_inside(act: &Act) -> bool {
    let looks = |reply: &Reply| !reply.checks.is_empty() || !reply.captures.is_empty();
    match act {
        Act::Emit(emit) => answer_looks(&emit.answer, looks),
        Act::Send(send) => answer_looks(&send.answer, looks),
        Act::Expect(expect) => looks(&expect.reply),
        Act::Script(script) => looks(&script.reply),
        _ => false,
    }
}

fn answer_looks(answer: &Answer, looks: impl Fn(&Reply) -> bool) -> bool {
    match answer {
        Answer::Written => false,
        Answer::Ack(reply) | Answer::Event { reply, .. } => looks(reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(weights: &[u32], clients: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut counts = vec![0; weights.len()];
        clients.for_each(|n| counts[flow_of(weights, n)] += 1);
        counts
    }

    #[test]
    fn every_block_of_clients_has_the_weights() {
        assert_eq!(counts(&[3, 1], 0..4), [3, 1]);
        assert_eq!(counts(&[30, 10], 4..8), [3, 1]);
        assert_eq!(counts(&[1, 0, 2], 0..300), [100, 0, 200]);
        assert_eq!(counts(&[7], 0..5), [5]);
        assert_eq!(counts(&[0, 0], 0..5), [5, 0]);
    }

    #[test]
    fn every_host_has_every_flow() {
        for slots in [2usize, 3, 4, 8] {
            for host in 0..slots as u64 {
                let counts = counts(&[1, 1], (host..4_000).step_by(slots));
                let all: u64 = counts.iter().sum();
                assert!(counts.iter().all(|n| n * 5 > all * 2), "{slots} {host} {counts:?}");
            }
        }
    }
}
