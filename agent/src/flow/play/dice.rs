//! A client's own random numbers: the same for the same run and client number, on whatever host it is. SplitMix64
//! (Steele, Lea and Flood, 2014): one word of state a client, good enough for thinking times and rooms, and for no secret.

use crate::wire::flow::Spread;
use std::cell::Cell;
use std::time::Duration;

/// A client's generator.
#[derive(Debug)]
pub struct Dice(Cell<u64>);

/// The seed of a run: FNV-1a over its name.
pub fn seed(run: &str) -> u64 {
    run.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Scrambles a number, one to one.
pub fn scrambled(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Dice {
    /// Of client `number`.
    pub fn new(run: &str, number: u64) -> Self {
        Self(Cell::new(scrambled(seed(run) ^ scrambled(number))))
    }

    fn word(&self) -> u64 {
        let state = self.0.get();
        self.0.set(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
        scrambled(state)
    }

    /// From 0 to below 1.
    pub fn unit(&self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Evenly between both, which are included.
    pub fn between(&self, one: i64, other: i64) -> i64 {
        let (low, high) = (one.min(other), one.max(other));
        let width = u128::from(high.abs_diff(low)) + 1;
        let step = (u128::from(self.word()) * width) >> 64;
        (i128::from(low) + step as i128) as i64
    }

    /// A duration.
    pub fn spread(&self, spread: &Spread) -> Duration {
        let ns = match *spread {
            Spread::Fixed(ns) => ns,
            Spread::Uniform(one, other) => {
                let (low, high) = (one.min(other), one.max(other));
                let step = (u128::from(self.word()) * (u128::from(high - low) + 1)) >> 64;
                low.saturating_add(u64::try_from(step).unwrap_or(u64::MAX))
            }
            Spread::Normal { mean, deviation } => {
                // Box and Muller, 1958
                let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
                let turn = (std::f64::consts::TAU * self.unit()).cos();
                (mean as f64 + deviation as f64 * radius * turn).max(0.0) as u64
            }
            Spread::Exponential(mean) => {
                let drawn = -(1.0 - self.unit()).ln() * mean as f64;
                drawn.min(10.0 * mean as f64) as u64
            }
        };
        Duration::from_nanos(ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_draws_the_same_again_and_another_one_something_else() {
        let draw = |run: &str, number| {
            let dice = Dice::new(run, number);
            (0..8).map(|_| dice.between(0, 1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw("a", 1), draw("a", 1));
        assert_ne!(draw("a", 1), draw("a", 2));
        assert_ne!(draw("a", 1), draw("b", 1));
    }

    #[test]
    fn draws_are_even_and_reach_both_ends() {
        let dice = Dice::new("x", 0);
        let mut seen = [0u32; 6];
        for _ in 0..6_000 {
            seen[usize::try_from(dice.between(6, 1) - 1).unwrap()] += 1;
        }
        assert!(seen.iter().all(|n| (850..1150).contains(n)), "{seen:?}");
        assert_eq!(dice.between(i64::MIN, i64::MIN), i64::MIN);
        dice.between(i64::MIN, i64::MAX);
    }

    #[test]
    fn spreads_have_their_means_and_bounds() {
        let dice = Dice::new("x", 7);
        let mean = |spread: Spread| {
            let all: Vec<u64> = (0..20_000).map(|_| dice.spread(&spread).as_nanos() as u64).collect();
            (all.iter().sum::<u64>() / 20_000, all.iter().copied().max().unwrap())
        };
        assert_eq!(mean(Spread::Fixed(7)), (7, 7));
        let (uniform, most) = mean(Spread::Uniform(1_000, 3_000));
        assert!((1_950..2_050).contains(&uniform) && most <= 3_000, "{uniform} {most}");
        let normal = Spread::Normal {
            mean: 10_000,
            deviation: 1_000,
        };
        assert!((9_900..10_100).contains(&mean(normal).0));
        let (exponential, most) = mean(Spread::Exponential(1_000));
        assert!((950..1_050).contains(&exponential) && most <= 10_000);
    }
}
