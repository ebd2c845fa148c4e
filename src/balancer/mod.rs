//! What a run shows about the balancer: which source reached which backend, whether stickiness held, and why; and what the rules
//! of known balancers would make of sources before anything is sent.
//!
//! Pure. Never here: sockets, and predictions that were not verified against a real balancer.

mod breaks;
pub mod chance;
pub mod cover;
mod explain;
pub mod forecast;
mod matrix;
pub mod moves;
pub mod reach;
pub mod rule;
pub mod seen;
pub mod slow;
mod span;
mod verdict;

pub use breaks::{Break, Breaks, Met, MetOne, breaks};
pub use explain::{Clues, Explained, explain};
pub use forecast::Balancer;
pub use matrix::{Matrix, MatrixRow, Seen, matrix};
pub use verdict::{Affinity, Evidence, Unit, judge, unknown};

/// More backends than this are no backends.
pub const MOST_BACKENDS: usize = 64;
/// So many different values are needed before values that occur once speak against a name.
const ENOUGH_VALUES: usize = 5;

/// Why a backend name that swarm found by itself is no backend name; `None` when it may well be one.
///
/// `values`: each name and how often it was seen, `overflow`: answers whose name was not kept any more.
pub fn doubtful(values: &[(String, u64)], overflow: u64) -> Option<String> {
    let once = values.iter().filter(|(_, n)| *n == 1).count();
    if values.len() > MOST_BACKENDS || overflow > 0 {
        Some(format!("it takes more than {MOST_BACKENDS} values"))
    } else if values.len() >= ENOUGH_VALUES && once * 2 > values.len() {
        Some(format!("{once} of its {} values occur only once", values.len()))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_takes_too_many_values_is_none() {
        let values = |counts: &[u64]| -> Vec<(String, u64)> {
            counts.iter().enumerate().map(|(i, n)| (format!("s{i}"), *n)).collect()
        };
        for (counts, overflow, doubted) in [
            (vec![5; 64], 0, false),
            (vec![5; 64], 1, true),
            (vec![5; 65], 0, true),
            (vec![1; 3], 0, false),
            (vec![1; 20], 0, true),
            (vec![1, 1, 1, 9, 9, 9], 0, false),
            (vec![1, 1, 1, 1, 9, 9], 0, true),
        ] {
            assert_eq!(
                doubtful(&values(&counts), overflow).is_some(),
                doubted,
                "{counts:?} {overflow}"
            );
        }
    }
}
