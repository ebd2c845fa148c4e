//! Instants and lengths of time in the words about a balancer.

/// An instant, in seconds since the start.
pub fn at(us: u64) -> String {
    format!("{:.1} s", us as f64 / 1e6)
}

/// From the first to the last, where they differ by more than can be seen.
pub fn between(first_us: u64, last_us: u64) -> String {
    if last_us.saturating_sub(first_us) < 1_000_000 {
        format!("at {}", at(first_us))
    } else {
        format!("from {} to {}", at(first_us), at(last_us))
    }
}

/// A length of time.
pub fn length(us: u64) -> String {
    match us {
        0..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_they_matter() {
        assert_eq!(at(12_340_000), "12.3 s");
        assert_eq!(between(12_300_000, 12_900_000), "at 12.3 s");
        assert_eq!(between(12_300_000, 14_000_000), "from 12.3 s to 14.0 s");
        assert_eq!(
            [length(1_230), length(45_600), length(1_234_000)],
            ["1.2 ms", "46 ms", "1.2 s"]
        );
    }
}
