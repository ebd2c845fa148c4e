//! A plan and the hosts that are there, cut into one exact share each. Pure.
//!
//! Numbers are dealt by slots: a host of weight w owns w of them, laid out so that heavy hosts take turns with the
//! others. Hit or client n belongs to the owner of slot n mod slots, so remainders go to the first hosts and all shares
//! add up to the plan.

use crate::plan::Plan;
use std::net::IpAddr;
use swarm_agent::wire::share::{Deal, Share};

/// One host that takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Its weight, at least 1.
    pub weight: u32,
    /// Addresses it connects from; empty: its routes choose.
    pub sources: Vec<IpAddr>,
}

/// One share for each seat, in order.
pub fn split(plan: &Plan, seats: &[Seat]) -> Vec<Share> {
    let weights: Vec<u32> = seats.iter().map(|seat| seat.weight).collect();
    let hosts = u32::try_from(seats.len()).expect("far fewer hosts than 2^32");
    (0..)
        .zip(seats.iter().zip(deals(&weights)))
        .map(|(host_index, (seat, deal))| Share {
            run: plan.run.clone(),
            host_index,
            hosts,
            deal,
            targets: plan.targets.clone(),
            engine: plan.engine.clone(),
            load: plan.load.clone(),
            request: plan.request.clone(),
            tls: plan.tls.clone(),
            sources: seat.sources.clone(),
            backend_from: plan.backend_from.clone(),
            limits: plan.limits.clone(),
            trace: plan.trace,
        })
        .collect()
}

/// Slots by weight, by smooth weighted round robin: each round every host gains its weight, the richest takes the slot
/// and pays the sum of all.
pub fn deals(weights: &[u32]) -> Vec<Deal> {
    let slots: u32 = weights.iter().sum();
    let mut mine: Vec<Vec<u32>> = vec![Vec::new(); weights.len()];
    let mut credit = vec![0i64; weights.len()];
    for slot in 0..slots {
        for (have, weight) in credit.iter_mut().zip(weights) {
            *have += i64::from(*weight);
        }
        let richest = (0..weights.len())
            .max_by_key(|host| (credit[*host], std::cmp::Reverse(*host)))
            .expect("a slot has an owner");
        credit[richest] -= i64::from(slots);
        mine[richest].push(slot);
    }
    mine.into_iter().map(|mine| Deal { mine, slots }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_hosts_take_turns_in_order() {
        let deals = deals(&[1, 1, 1]);
        assert_eq!(
            deals.iter().map(|d| d.mine.clone()).collect::<Vec<_>>(),
            [vec![0], vec![1], vec![2]]
        );
        assert_eq!(
            deals.iter().map(|d| d.count(11)).collect::<Vec<_>>(),
            [4, 4, 3]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_number_has_one_owner(weights in prop::collection::vec(1u32..6, 1..8), whole in 0u64..300) {
            let deals = deals(&weights);
            let mut seen = vec![0u32; usize::try_from(whole).unwrap()];
            for (deal, weight) in deals.iter().zip(&weights) {
                prop_assert_eq!(deal.mine.len(), *weight as usize);
                for k in 0..deal.count(whole) {
                    seen[usize::try_from(deal.number(k)).unwrap()] += 1;
                }
            }
            prop_assert!(seen.iter().all(|n| *n == 1));
        }
    }
}
