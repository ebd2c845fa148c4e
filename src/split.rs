//! Cuts a plan into one exact share a host. Pure: no I/O, no clock.
//!
//! Hits and clients are numbered over the whole; number n goes to the host that owns slot `n mod slots`. A host of
//! weight w owns w slots, smoothly interleaved, so that hosts which start at one instant don't fire in bursts. There
//! are never more slots than connections (nor, where each hit is someone's, than hits): a host that would get hits but
//! no connection to send them on gets neither, and is reported as idle.

use crate::plan::Plan;
use std::net::IpAddr;
use swarm_agent::pacer;
use swarm_agent::wire::flow::Program;
use swarm_agent::wire::share::{Consent, Deal, Load, Share};

/// What `split` must know of a host that is armed or about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmedHost {
    /// Its part among the hosts, at least 1.
    pub weight: u32,
    /// Its own addresses to connect from; empty: whatever its routes choose.
    pub sources: Vec<IpAddr>,
}

impl ArmedHost {
    /// A host of this weight that connects from wherever its routes choose.
    pub fn weighing(weight: u32) -> Self {
        Self {
            weight,
            sources: Vec::new(),
        }
    }
}

/// What one host gets of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    /// Connections or clients at most.
    pub connections: u64,
    /// Hits or messages, where the plan counts them (`-n`, or an open loop's schedule).
    pub requests: Option<u64>,
    /// Its slots and those of all hosts: its part of a rate is `slots.0 / slots.1`.
    pub slots: (u64, u64),
}

impl Portion {
    /// Whether the host has nothing to do.
    pub fn is_idle(self) -> bool {
        self.slots.0 == 0
    }
}

/// One share a host, in the order given; together they are the plan. An idle host's deal owns no slot. `consent`: what
/// the user said to public targets.
pub fn split(plan: &Plan, consent: Consent, hosts: &[ArmedHost]) -> Vec<Share> {
    let weights: Vec<u32> = hosts.iter().map(|host| host.weight).collect();
    let deals = deals(&plan.load, &weights);
    let first = deals.iter().position(|deal| !deal.mine.is_empty());
    let count = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
    hosts
        .iter()
        .zip(deals)
        .enumerate()
        .map(|(index, (host, deal))| Share {
            run: plan.run.clone(),
            round: 0,
            host_index: u32::try_from(index).unwrap_or(u32::MAX),
            hosts: count,
            targets: plan.targets.clone(),
            engine: plan.engine.clone(),
            load: plan.load.clone(),
            program: plan.program.as_ref().map(|program| dealt(program, &deal, &plan.load)),
            deal,
            broadcast: plan.broadcast.clone(),
            request: plan.request.clone(),
            tls: plan.tls.clone(),
            sources: host.sources.clone(),
            consent,
            backend_from: plan.backend_from.clone(),
            seen_from: plan.seen_from.clone(),
            limits: plan.limits.clone(),
            trace: plan.trace && first == Some(index),
        })
        .collect()
}

/// A program with the rows of one host's clients alone, in the order of their numbers: each crosses the network once.
fn dealt(program: &Program, deal: &Deal, load: &Load) -> Box<Program> {
    let clients = connections(load).min(program.rows.len() as u64);
    let mine = (0..deal.count(clients)).filter_map(|k| program.rows.get(usize::try_from(deal.number(k)).ok()?));
    Box::new(Program {
        flows: program.flows.clone(),
        slots: program.slots.clone(),
        columns: program.columns.clone(),
        rows: mine.cloned().collect(),
        script: program.script.clone(),
        sent_unix_ms: program.sent_unix_ms,
    })
}

/// Which numbers each host owns.
pub fn deals(load: &Load, weights: &[u32]) -> Vec<Deal> {
    deals_within(weights, most_slots(load))
}

/// The same, with no more slots than this.
pub fn deals_within(weights: &[u32], most: u64) -> Vec<Deal> {
    let total: u64 = weights.iter().map(|weight| u64::from((*weight).max(1))).sum();
    let slots = total.min(most).max(1);
    let order = interleave(weights, usize::try_from(slots).unwrap_or(usize::MAX));
    let mut deals: Vec<Deal> = weights
        .iter()
        .map(|_| Deal {
            mine: Vec::new(),
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
        })
        .collect();
    for (slot, host) in order.into_iter().enumerate() {
        deals[host].mine.push(u32::try_from(slot).unwrap_or(u32::MAX));
    }
    deals
}

/// What each host gets, for the plan's preview and for the warning about idle hosts.
pub fn portions(load: &Load, weights: &[u32]) -> Vec<Portion> {
    deals(load, weights)
        .iter()
        .map(|deal| Portion {
            connections: deal.count(connections(load)),
            requests: requests(load).map(|n| deal.count(n)),
            slots: (deal.mine.len() as u64, u64::from(deal.slots)),
        })
        .collect()
}

/// Connections or clients of the whole at most.
pub fn connections(load: &Load) -> u64 {
    match load {
        Load::Closed(closed) => pacer::connections(&closed.connections),
        Load::Open(open) => open.connections,
        Load::Held(held) => pacer::connections(&held.clients),
    }
}

/// Hits or messages of the whole, where they are counted beforehand.
pub fn requests(load: &Load) -> Option<u64> {
    match load {
        Load::Closed(closed) => closed.requests,
        Load::Open(open) => Some(open.requests.unwrap_or(u64::MAX).min(pacer::hits(&open.schedule))),
        Load::Held(held) => held.requests,
    }
}

/// In a held load messages go to whoever is open, so their number sets no limit.
fn most_slots(load: &Load) -> u64 {
    match load {
        Load::Held(_) => connections(load),
        _ => connections(load).min(requests(load).unwrap_or(u64::MAX)),
    }
}

/// The first `slots` turns of a smooth weighted round robin: each turn every host gains its weight, the one with the
/// most (the first of equals) takes the turn and pays the sum of the weights.
fn interleave(weights: &[u32], slots: usize) -> Vec<usize> {
    let total: i64 = weights.iter().map(|weight| i64::from((*weight).max(1))).sum();
    let mut credit = vec![0_i64; weights.len()];
    let mut order = Vec::with_capacity(slots.min(1 << 20));
    while order.len() < slots && !weights.is_empty() {
        let mut best = 0;
        for (host, weight) in weights.iter().enumerate() {
            credit[host] += i64::from((*weight).max(1));
            if credit[host] > credit[best] {
                best = host;
            }
        }
        credit[best] -= total;
        order.push(best);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use swarm_agent::wire::share::{Closed, Held, Open, Stage};
    use swarm_agent::wire::share::{Level, Schedule};

    fn closed(count: u64, requests: Option<u64>) -> Load {
        Load::Closed(Closed {
            connections: Level::Ramp { count, rate: None },
            requests,
            duration: None,
            warmup: 0,
        })
    }

    fn held(count: u64, requests: Option<u64>) -> Load {
        Load::Held(Held {
            clients: Level::Ramp { count, rate: None },
            end: 1,
            cadence: None,
            requests,
            reconnect: None,
            storms: Vec::new(),
        })
    }

    fn numbers(deal: &Deal, whole: u64) -> Vec<u64> {
        (0..deal.count(whole)).map(|k| deal.number(k)).collect()
    }

    #[test]
    fn remainders_go_to_the_first_hosts() {
        let counts: Vec<u64> = portions(&closed(10, None), &[1, 1, 1, 1])
            .iter()
            .map(|p| p.connections)
            .collect();
        assert_eq!(counts, [3, 3, 2, 2]);
        let counts: Vec<u64> = portions(&held(1250 * 8, None), &[1; 8])
            .iter()
            .map(|p| p.connections)
            .collect();
        assert_eq!(counts, [1250; 8]);
    }

    #[test]
    fn weights_own_slots_smoothly() {
        assert_eq!(interleave(&[5, 1, 1], 7), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(interleave(&[2, 1], 3), [0, 1, 0]);
        assert_eq!(interleave(&[1, 1, 1], 3), [0, 1, 2]);
        let deals = deals(&closed(100, None), &[2, 1]);
        assert_eq!(
            (deals[0].mine.as_slice(), deals[1].mine.as_slice()),
            ([0, 2].as_slice(), [1].as_slice())
        );
    }

    #[test]
    fn hits_go_only_to_hosts_with_a_connection() {
        let portions = portions(&closed(3, Some(100)), &[1; 8]);
        let hits: Vec<u64> = portions.iter().filter_map(|p| p.requests).collect();
        assert_eq!(hits, [34, 33, 33, 0, 0, 0, 0, 0]);
        assert_eq!(portions.iter().filter(|p| p.is_idle()).count(), 5);
    }

    #[test]
    fn a_host_without_a_hit_is_idle() {
        let cut = portions(&closed(50, Some(2)), &[1; 8]);
        assert_eq!(cut.iter().filter(|p| p.is_idle()).count(), 6);
        assert_eq!(cut.iter().map(|p| p.connections).sum::<u64>(), 50);
        // clients are held whether or not a message falls to them
        assert!(portions(&held(50, Some(2)), &[1; 8]).iter().all(|p| !p.is_idle()));
    }

    #[test]
    fn due_hits_are_the_area_under_the_rates() {
        let stage = |seconds: u64, from: u64, to: u64| Stage {
            duration: seconds * 1_000_000_000,
            from: from * 1_000_000,
            to: to * 1_000_000,
        };
        assert_eq!(
            pacer::hits(&Schedule {
                stages: vec![stage(10, 0, 100), stage(10, 100, 100)]
            }),
            1500
        );
        let open = Open {
            schedule: Schedule {
                stages: vec![stage(10, 100, 100)],
            },
            requests: Some(70),
            connections: 10,
            warmup: 0,
        };
        assert_eq!(requests(&Load::Open(open)), Some(70));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_union_of_shares_is_the_plan(
            weights in proptest::collection::vec(1_u32..6, 1..9),
            clients in 1_u64..200,
            hits in 1_u64..400,
        ) {
            for load in [closed(clients, Some(hits)), held(clients, Some(hits)), closed(clients, None)] {
                let deals = deals(&load, &weights);
                for whole in [clients, hits] {
                    let mut all: Vec<u64> = deals.iter().flat_map(|deal| numbers(deal, whole)).collect();
                    all.sort_unstable();
                    prop_assert_eq!(all, (0..whole).collect::<Vec<_>>());
                }
                for deal in &deals {
                    // whoever has a hit to send has a connection to send it on
                    prop_assert!(deal.mine.is_empty() || deal.count(clients) > 0);
                    prop_assert!(deal.mine.is_sorted());
                }
            }
        }

        #[test]
        fn equal_weights_differ_by_one_and_fall(hosts in 1_usize..20, clients in 1_u64..500) {
            let counts: Vec<u64> = portions(&held(clients, None), &vec![1; hosts]).iter().map(|p| p.connections).collect();
            prop_assert!(counts.is_sorted_by(|a, b| a >= b));
            prop_assert!(counts[0] - counts[hosts - 1] <= 1);
            prop_assert_eq!(counts.iter().sum::<u64>(), clients);
        }

        #[test]
        fn a_host_of_weight_w_owns_w_slots(weights in proptest::collection::vec(1_u32..9, 1..9)) {
            for (deal, weight) in deals(&held(100_000, None), &weights).iter().zip(&weights) {
                prop_assert_eq!(deal.mine.len(), *weight as usize);
                prop_assert_eq!(deal.slots, weights.iter().sum::<u32>());
            }
        }
    }
}
