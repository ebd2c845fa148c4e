//! The run's name: twelve characters, lower-case base32, in the order of time.
//!
//! Nine characters hold milliseconds since 1970 (45 bits, until the year 3084), three are random.

use std::hash::{BuildHasher, Hasher};

/// Digits in the order of ASCII, without i, l, o and u (Crockford).
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A name for a run that begins now.
pub fn fresh() -> String {
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
    let mut chance = std::hash::RandomState::new().build_hasher();
    chance.write_u32(std::process::id());
    name(now, chance.finish())
}

/// The name for a time (ms since 1970) and a random number.
pub fn name(ms: u64, random: u64) -> String {
    let bits = (ms & ((1 << 45) - 1)) << 15 | (random & 0x7fff);
    (0..12)
        .rev()
        .map(|place| char::from(DIGITS[(bits >> (place * 5) & 31) as usize]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_time() {
        let names: Vec<String> = [0, 1, 1_700_000_000_000, 1_700_000_000_001, 1_900_000_000_000]
            .map(|ms| name(ms, 0x7fff_u64.wrapping_sub(ms)))
            .into();
        assert!(
            names.is_sorted() && names.iter().all(|name| name.len() == 12),
            "{names:?}"
        );
        assert!(fresh() > names[2]);
        assert_ne!(name(5, 1), name(5, 2));
    }
}
