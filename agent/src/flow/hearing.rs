//! Which client of a thread has heard which emit: a bit each, by the second of the emit, so that a receipt is counted once
//! and can be taken back when its listener turns out not to have been due. Old seconds are forgotten: what a server
//! sends must not grow memory without end. Pure. Never here: clocks, counting.

use std::collections::{HashMap, VecDeque};

/// Emits older than this are forgotten, s.
const KEPT_SECONDS: usize = 300;
/// So are the oldest when all of a thread take more bytes than this.
const KEPT_BYTES: usize = 64 << 20;
/// But never those of the last seconds: who leaves takes them back.
const KEPT_LEAST: usize = 4;
/// What an emit takes beside its bits, about.
const EMIT_BYTES: usize = 64;

/// What a receipt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// The first of this emit by this client.
    First,
    /// A further one.
    Again,
    /// Of an emit too long ago to tell.
    Forgotten,
}

struct Emit {
    mark: u32,
    heard: Vec<u64>,
}

/// The emits that were heard of late.
#[derive(Default)]
pub struct Hearing {
    first: u32,
    seconds: VecDeque<HashMap<(u64, u32), Emit>>,
    bytes: usize,
    places: u32,
    free: Vec<u32>,
}

impl Hearing {
    /// A place for a client.
    pub fn take_place(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.places += 1;
            self.places - 1
        })
    }

    /// Gives a place back. Whoever gets it next is due only for emits that come later.
    pub fn give_back(&mut self, place: u32) {
        self.free.push(place);
    }

    /// The client at `place` hears the emit `key` (emitter and its sequence number) of this second. `second` must not lie
    /// further ahead than clocks differ.
    pub fn hear(&mut self, second: u32, key: (u64, u32), mark: u32, place: u32) -> Receipt {
        let Some(at) = self.at(second) else {
            return Receipt::Forgotten;
        };
        let emits = &mut self.seconds[at];
        if !emits.contains_key(&key) {
            if self.bytes > 2 * KEPT_BYTES {
                return Receipt::Forgotten;
            }
            self.bytes += EMIT_BYTES;
        }
        let emit = emits.entry(key).or_insert_with(|| Emit {
            mark,
            heard: Vec::new(),
        });
        let (word, bit) = (place as usize / 64, 1u64 << (place % 64));
        if emit.heard.len() <= word {
            let words = (self.places as usize).div_ceil(64).max(word + 1);
            self.bytes += 8 * (words - emit.heard.len());
            emit.heard.resize(words, 0);
        }
        let again = emit.heard[word] & bit != 0;
        emit.heard[word] |= bit;
        if again { Receipt::Again } else { Receipt::First }
    }

    /// The marks of all emits from this second on that the client at `place` has heard; they are unheard again.
    pub fn take_back(&mut self, from: u32, place: u32) -> Vec<u32> {
        let (word, bit) = (place as usize / 64, 1u64 << (place % 64));
        let skip = from.saturating_sub(self.first) as usize;
        let mut marks = Vec::new();
        for emit in self.seconds.iter_mut().skip(skip).flat_map(HashMap::values_mut) {
            if let Some(bits) = emit.heard.get_mut(word).filter(|bits| **bits & bit != 0) {
                *bits &= !bit;
                marks.push(emit.mark);
            }
        }
        marks
    }

    /// The place of a second, made when it is new; `None`: it is forgotten.
    fn at(&mut self, second: u32) -> Option<usize> {
        let mut at = second.checked_sub(self.first)? as usize;
        while self.seconds.len() <= at {
            self.seconds.push_back(HashMap::new());
            // each second that goes moves the others forward
            at -= self.forget();
        }
        Some(at)
    }

    /// Drops the oldest seconds; says how many.
    fn forget(&mut self) -> usize {
        let before = self.seconds.len();
        while self.seconds.len() > KEPT_SECONDS || (self.bytes > KEPT_BYTES && self.seconds.len() > KEPT_LEAST) {
            let old = self.seconds.pop_front().unwrap_or_default();
            let words: usize = old.values().map(|emit| emit.heard.len()).sum();
            self.bytes = self.bytes.saturating_sub(old.len() * EMIT_BYTES + 8 * words);
            self.first += 1;
        }
        before - self.seconds.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_counts_once_a_client() {
        let mut hearing = Hearing::default();
        let (a, b) = (hearing.take_place(), hearing.take_place());
        let places: Vec<u32> = (0..200).map(|_| hearing.take_place()).collect();
        assert_eq!(hearing.hear(7, (1, 0), 5, a), Receipt::First);
        assert_eq!(hearing.hear(7, (1, 0), 5, a), Receipt::Again);
        assert_eq!(hearing.hear(7, (1, 0), 5, b), Receipt::First);
        assert_eq!(hearing.hear(7, (1, 1), 5, b), Receipt::First);
        for place in places {
            assert_eq!(hearing.hear(8, (1, 2), 6, place), Receipt::First);
            assert_eq!(hearing.hear(8, (1, 2), 6, place), Receipt::Again);
        }
        assert!(hearing.take_back(8, b).is_empty());
        assert_eq!(hearing.take_back(7, b), [5, 5]);
        assert!(hearing.take_back(7, b).is_empty());
        assert_eq!(hearing.take_back(0, a), [5]);
        hearing.give_back(a);
        assert_eq!(hearing.take_place(), a);
    }

    #[test]
    fn old_seconds_are_forgotten() {
        let mut hearing = Hearing::default();
        let place = hearing.take_place();
        assert_eq!(hearing.hear(3, (1, 0), 5, place), Receipt::First);
        assert_eq!(hearing.hear(3 + KEPT_SECONDS as u32, (1, 1), 5, place), Receipt::First);
        assert_eq!(hearing.hear(3, (1, 0), 5, place), Receipt::Forgotten);
        assert_eq!(hearing.take_back(0, place), [5]);
        assert_eq!(hearing.seconds.len(), KEPT_SECONDS);
    }

    #[test]
    fn forged_stamps_do_not_grow_memory_without_end() {
        let mut hearing = Hearing::default();
        for _ in 0..64_000 {
            hearing.take_place();
        }
        let mut forgotten = 0;
        for emitter in 0..30_000 {
            forgotten += u32::from(hearing.hear(9, (emitter, 0), 1, 63_000) == Receipt::Forgotten);
        }
        assert!(forgotten > 0 && hearing.bytes < 3 * KEPT_BYTES, "{}", hearing.bytes);
        assert_eq!(hearing.hear(40, (0, 0), 1, 0), Receipt::First);
        assert!(hearing.bytes < KEPT_BYTES && hearing.seconds.len() <= 41);
    }
}
