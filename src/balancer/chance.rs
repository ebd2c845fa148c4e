//! How many hosts reach every backend when nobody chooses their addresses: the coupon collector's question, its answer
//! computed and not simulated. Pure.

/// Hosts that are counted up to.
pub const FAR: usize = 2048;
/// A binomial's far tails, which hold less than the error of a double, are left out.
const SPREAD: f64 = 12.0;

/// The probability that `hosts` more sources reach all of `wanted` (the part of all sources that each of these backends gets);
/// `others` is the part that goes to backends which need not be reached (any more).
pub fn all_reached(others: f64, wanted: &[f64], hosts: usize) -> f64 {
    table(others, wanted, hosts).last().copied().unwrap_or(0.0)
}

/// How many more sources it takes for the probability to be at least `sure`; `None`: more than [`FAR`], or never.
pub fn hosts_for(others: f64, wanted: &[f64], sure: f64) -> Option<usize> {
    let mut most = (4 * wanted.len()).max(16);
    loop {
        let found = table(others, wanted, most).iter().position(|p| *p >= sure);
        if found.is_some() || most >= FAR {
            return found;
        }
        most = (2 * most).min(FAR);
    }
}

/// That probability for each number of sources from 0 to `most`.
///
/// Backend by backend: of m sources that fall on the first i backends, r fall on the i-th with a binomial's probability, and the
/// others must reach all of the first i - 1. Every term is positive, so nothing cancels.
fn table(others: f64, wanted: &[f64], most: usize) -> Vec<f64> {
    let logs = log_factorials(most);
    // with nothing wanted, any number will do
    let mut reached = vec![1.0; most + 1];
    let mut mass = others.max(0.0);
    for share in wanted {
        mass += share;
        let part = if mass > 0.0 { (share / mass).min(1.0) } else { 0.0 };
        reached = (0..=most)
            .map(|m| {
                let (low, high) = near(m, part);
                (low.max(1)..=high)
                    .map(|r| binomial(&logs, m, r, part) * reached[m - r])
                    .sum()
            })
            .collect();
    }
    reached
}

/// Where a binomial of m draws is not as good as zero.
fn near(m: usize, part: f64) -> (usize, usize) {
    let mean = m as f64 * part;
    let wide = SPREAD * (mean * (1.0 - part)).sqrt() + SPREAD;
    ((mean - wide).max(0.0) as usize, ((mean + wide).ceil() as usize).min(m))
}

fn binomial(logs: &[f64], m: usize, r: usize, part: f64) -> f64 {
    if part >= 1.0 {
        return f64::from(u8::from(r == m));
    }
    if part <= 0.0 {
        return f64::from(u8::from(r == 0));
    }
    let ways = logs[m] - logs[r] - logs[m - r];
    (ways + r as f64 * part.ln() + (m - r) as f64 * (-part).ln_1p()).exp()
}

fn log_factorials(most: usize) -> Vec<f64> {
    let mut sum = 0.0;
    std::iter::once(0.0)
        .chain((1..=most).map(|n| {
            sum += (n as f64).ln();
            sum
        }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By inclusion and exclusion over all sets of wanted backends: exact for few of them, and another way altogether.
    fn by_exclusion(others: f64, wanted: &[f64], hosts: usize) -> f64 {
        let mass = others + wanted.iter().sum::<f64>();
        (0..1u32 << wanted.len())
            .map(|set| {
                let missed: f64 = (0..wanted.len()).filter(|i| set >> i & 1 == 1).map(|i| wanted[i]).sum();
                let sign = if set.count_ones() % 2 == 0 { 1.0 } else { -1.0 };
                sign * (1.0 - missed / mass).powi(hosts as i32)
            })
            .sum()
    }

    #[test]
    fn it_is_what_inclusion_and_exclusion_say() {
        let cases: [(f64, &[f64]); 6] = [
            (0.0, &[0.5, 0.5]),
            (0.0, &[0.25; 4]),
            (0.0, &[0.4, 0.2, 0.2, 0.2]),
            (0.75, &[0.25]),
            (0.5, &[0.3, 0.2]),
            (0.1, &[0.01, 0.3, 0.19, 0.4]),
        ];
        for (others, wanted) in cases {
            for hosts in [0, 1, 2, 3, 4, 7, 20, 100] {
                let (here, there) = (all_reached(others, wanted, hosts), by_exclusion(others, wanted, hosts));
                assert!(
                    (here - there).abs() < 1e-9,
                    "{others} {wanted:?} {hosts}: {here} {there}"
                );
            }
        }
    }

    #[test]
    fn few_hosts_may_miss_a_backend() {
        // equal backends, hosts for 50, 90, 99 %: by inclusion and exclusion
        for (backends, hosts) in [(2, [2, 5, 8]), (3, [5, 9, 15]), (4, [7, 13, 21])] {
            let wanted = vec![1.0 / backends as f64; backends];
            let found = [0.5, 0.9, 0.99].map(|sure| hosts_for(0.0, &wanted, sure));
            assert_eq!(found, hosts.map(Some), "{backends}");
            for (sure, n) in [0.5, 0.9, 0.99].into_iter().zip(hosts) {
                assert!(by_exclusion(0.0, &wanted, n) >= sure && by_exclusion(0.0, &wanted, n - 1) < sure);
            }
        }
    }

    #[test]
    fn many_backends_neither_underflow_nor_cancel() {
        let wanted = vec![1.0 / 64.0; 64];
        let all: Vec<f64> = table(0.0, &wanted, 700);
        assert!(all.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12), "it never falls");
        assert!(all[63] == 0.0 && all[700] > 0.998 && all[700] <= 1.0 + 1e-9);
        assert_eq!(hosts_for(0.5, &[0.0], 0.5), None, "what gets nothing is never reached");
        assert_eq!(hosts_for(1.0, &[], 0.99), Some(0));
    }
}
