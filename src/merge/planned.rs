//! How many hits a plan has: arithmetic on the load, kept apart from what agents count. Never here: what was done.

use swarm_agent::wire::share::{Cadence, Load, Schedule, Share};

/// Hits that a share has to send; `None` where nothing but the run itself tells (a closed loop that ends by the clock,
/// clients that speak on their own).
pub fn planned_hits(share: &Share) -> Option<u64> {
    let whole = whole_hits(&share.load)?;
    (share.deal.slots > 0).then(|| swarm_agent::pacer::messages(share).count(whole))
}

/// Hits of the whole plan.
pub fn whole_hits(load: &Load) -> Option<u64> {
    match load {
        Load::Closed(closed) => closed.requests,
        Load::Open(open) => Some(capped(hits(&open.schedule), open.requests)),
        Load::Held(held) => match &held.cadence {
            Some(Cadence::Total(schedule)) => Some(capped(hits(schedule), held.requests)),
            Some(Cadence::Once | Cadence::Every(_)) | None => None,
        },
    }
}

/// How many hits are due before the end of a schedule: hit n is due where the area under the rate is n, so these are
/// the n below the whole area.
pub fn hits(schedule: &Schedule) -> u64 {
    swarm_agent::pacer::hits(schedule)
}

fn capped(due: u64, limit: Option<u64>) -> u64 {
    limit.map_or(due, |limit| due.min(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_agent::wire::share::{PER_SECOND, Stage};

    #[test]
    fn hits_are_the_numbers_below_the_area() {
        const MS: u64 = 1_000_000;
        for (stages, expected) in [
            (vec![(10_000, 4, 4)], 40),
            (vec![(10_000, 0, 10)], 50),
            (vec![(1_050, 10, 10)], 11),
            (vec![(1_000, 10, 10), (1_000, 10, 0)], 15),
            (vec![(1_000, 0, 0)], 0),
            (vec![], 0),
        ] {
            let schedule = Schedule {
                stages: stages
                    .iter()
                    .map(|(ms, from, to)| Stage {
                        duration: ms * MS,
                        from: from * PER_SECOND,
                        to: to * PER_SECOND,
                    })
                    .collect(),
            };
            assert_eq!(hits(&schedule), expected, "{stages:?}");
        }
    }
}
