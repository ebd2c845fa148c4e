//! How many hosts to start so that a fleet's addresses, which EC2 picks, reach every backend. Pure.

use super::chance;
use super::forecast::{Balancer, forecast};
use std::net::IpAddr;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Every backend is reached.
    Enough,
    /// Start so many more, then look again.
    Start(usize),
    /// As many hosts as may be are there, and these backends are reached by none.
    Short(Vec<String>),
}

/// Looks at the fleet's addresses. Each round starts as many hosts as reach all that is left with one chance in two: fewer would
/// take many rounds, and each takes a minute; more would pay for hosts that are not needed.
pub fn next(balancer: &Balancer, addresses: &[IpAddr], hosts: usize, most: usize) -> Step {
    let seen = forecast(balancer, addresses);
    if seen.idle.is_empty() {
        return Step::Enough;
    }
    let room = most.saturating_sub(hosts);
    if room == 0 {
        return Step::Short(seen.idle.iter().map(|at| balancer.name(*at).to_owned()).collect());
    }
    let shares = balancer.shares();
    let wanted: Vec<f64> = seen.idle.iter().map(|at| shares[*at]).collect();
    let others = 1.0 - wanted.iter().sum::<f64>();
    let likely = chance::hosts_for(others, &wanted, 0.5).unwrap_or(room);
    Step::Start(likely.max(seen.idle.len()).min(room))
}

#[cfg(test)]
mod tests {
    use super::super::rule::{Pool, Rule};
    use super::*;
    use proptest::prelude::*;

    fn four() -> Balancer {
        Balancer::new(Rule::HaproxySource, Pool::of(4).unwrap()).unwrap()
    }

    fn addresses(words: &str) -> Vec<IpAddr> {
        words.split_whitespace().map(|word| word.parse().unwrap()).collect()
    }

    #[test]
    fn each_round_looks_at_what_is_lacking() {
        let cases = [
            ("", 12, Step::Start(7)),
            ("", 5, Step::Start(5)),
            ("54.0.0.0 54.0.0.1 54.0.0.2 54.0.0.3", 4, Step::Enough),
            // one of four is lacking: (3/4)^3 is less than a half
            ("54.0.0.0 54.0.0.1 54.0.0.2 54.0.0.4", 12, Step::Start(3)),
            ("54.0.0.0 54.0.0.1 54.0.0.2 54.0.0.4", 5, Step::Start(1)),
            (
                "54.0.0.0 54.0.0.1 54.0.0.4 54.0.0.5",
                4,
                Step::Short(vec!["s3".into(), "s4".into()]),
            ),
        ];
        for (there, most, step) in cases {
            let there = addresses(there);
            assert_eq!(next(&four(), &there, there.len(), most), step, "{there:?} {most}");
        }
    }

    proptest! {
        /// Whatever EC2 picks: it ends, never with more hosts than may be, and with all reached or as many as may be.
        #[test]
        fn it_ends_within_its_bound(picked in prop::collection::vec(any::<u32>(), 40), most in 1usize..40) {
            let picked: Vec<IpAddr> = picked.into_iter().map(|n| IpAddr::V4(n.into())).collect();
            let mut hosts = 0;
            for _ in 0..=most {
                match next(&four(), &picked[..hosts], hosts, most) {
                    Step::Start(more) => {
                        prop_assert!(more > 0 && hosts + more <= most);
                        hosts += more;
                    }
                    Step::Enough => {
                        prop_assert!(forecast(&four(), &picked[..hosts]).idle.is_empty());
                        return Ok(());
                    }
                    Step::Short(idle) => {
                        prop_assert!(hosts == most && !idle.is_empty());
                        return Ok(());
                    }
                }
            }
            prop_assert!(false, "it goes on and on");
        }
    }
}
