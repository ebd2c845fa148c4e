//! The stamp that a broadcast carries: who sent it, when, and from where, as one word of plain ASCII.
//!
//! `swarm1.RUN.EMITTER.SEQ.TIME.ORIGIN.CHECK.`, numbers in base 36. None of its characters is changed by JSON, by URLs or by
//! servers that wrap a text into another one, so a listener finds it by searching, without reading JSON. The check tells
//! a stamp that was cut or mixed up from a whole one. Pure. Never here: clocks, who is due.

use crate::wire::broadcast::fnv;
use memchr::memmem::Finder;

/// What stands for the stamp in an emit.
pub const PLACE: &str = "{{stamp}}";

/// What a stamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the client over the whole swarm.
    pub emitter: u64,
    /// Counts the emits of this client, from 0.
    pub seq: u32,
    /// us since the start instant.
    pub at_us: u64,
    /// Mark of the emitter's backend ([`crate::wire::broadcast::mark`]).
    pub origin: u32,
}

/// Writes and finds the stamps of one run.
pub struct Stamps {
    prefix: String,
    finder: Finder<'static>,
}

impl Stamps {
    /// Of this run. Only letters and digits of its name are used.
    pub fn of(run: &str) -> Self {
        let name: String = run.chars().filter(char::is_ascii_alphanumeric).collect();
        let prefix = format!("swarm1.{name}.");
        Self {
            finder: Finder::new(&prefix).into_owned(),
            prefix,
        }
    }

    /// Appends a stamp.
    pub fn write(&self, stamp: &Stamp, out: &mut String) {
        out.push_str(&self.prefix);
        let from = out.len();
        for number in [stamp.emitter, stamp.seq.into(), stamp.at_us, stamp.origin.into()] {
            push(number, out);
        }
        let check = fnv(&out.as_bytes()[from..]);
        push(check.into(), out);
    }

    /// The first whole stamp of this run in a text.
    pub fn find(&self, text: &str) -> Option<Stamp> {
        self.finder
            .find_iter(text.as_bytes())
            .find_map(|at| read(&text.as_bytes()[at + self.prefix.len()..]))
    }
}

fn push(number: u64, out: &mut String) {
    let mut digits = [0; 13];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize];
        rest /= 36;
        if rest == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|digit| char::from(*digit)));
    out.push('.');
}

fn read(text: &[u8]) -> Option<Stamp> {
    let mut at = 0;
    let (emitter, seq) = (number(text, &mut at)?, number(text, &mut at)?);
    let (at_us, origin) = (number(text, &mut at)?, number(text, &mut at)?);
    let told = fnv(&text[..at]);
    if number(text, &mut at)? != u64::from(told) {
        return None;
    }
    Some(Stamp {
        emitter,
        seq: seq.try_into().ok()?,
        at_us,
        origin: origin.try_into().ok()?,
    })
}

/// The number at `at`, which then stands behind its full stop.
fn number(text: &[u8], at: &mut usize) -> Option<u64> {
    let mut value: Option<u64> = None;
    loop {
        let digit = match *text.get(*at)? {
            byte @ b'0'..=b'9' => byte - b'0',
            byte @ b'a'..=b'z' => byte - b'a' + 10,
            b'.' => {
                *at += 1;
                return value;
            }
            _ => return None,
        };
        *at += 1;
        value = Some(value.unwrap_or(0).checked_mul(36)?.checked_add(digit.into())?);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const RUN: &str = "0k5w3v9m2x7q";

    fn written(stamp: &Stamp) -> String {
        let mut text = String::new();
        Stamps::of(RUN).write(stamp, &mut text);
        text
    }

    fn any_stamp() -> impl Strategy<Value = Stamp> {
        (any::<u64>(), any::<u32>(), any::<u64>(), any::<u32>()).prop_map(|(emitter, seq, at_us, origin)| Stamp {
            emitter,
            seq,
            at_us,
            origin,
        })
    }

    #[test]
    fn a_stamp_reads_as_it_is_described() {
        let stamp = Stamp {
            emitter: 40,
            seq: 7,
            at_us: 12_000_000,
            origin: 0,
        };
        let text = written(&stamp);
        assert!(text.starts_with("swarm1.0k5w3v9m2x7q.14.7.7579c.0."), "{text}");
        assert_eq!(Stamps::of("another").find(&text), None);
        let twice = written(&Stamp { seq: 8, ..stamp });
        assert_eq!(
            Stamps::of(RUN).find(&format!("{}{text}{twice}", &text[..20])),
            Some(stamp)
        );
    }

    proptest! {
        #[test]
        fn it_survives_json_in_json_and_other_text(stamp in any_stamp(), before in ".{0,30}", after in ".{0,30}") {
            let text = written(&stamp);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.'));
            let inner = serde_json::to_string(&(before.clone() + &text + &after)).unwrap();
            let outer = serde_json::to_string(&serde_json::json!(["chat", {"from": 5, "said": inner}])).unwrap();
            prop_assert_eq!(Stamps::of(RUN).find(&outer), Some(stamp));
        }

        #[test]
        fn what_is_cut_or_changed_is_none(stamp in any_stamp(), cut in 1usize..80, at in 0usize..80, other in "[0-9a-z.]") {
            let text = written(&stamp);
            prop_assert_eq!(Stamps::of(RUN).find(&text[..text.len().saturating_sub(cut)]), None);
            let at = 20 + at % (text.len() - 20);
            let mut changed = text.clone();
            changed.replace_range(at..=at, &other);
            let found = Stamps::of(RUN).find(&changed);
            prop_assert!(found.is_none() || changed == text, "{} {}", text, changed);
        }

        #[test]
        fn any_text_is_searched(text in "(swarm1\\.|0k5w3v9m2x7q|[0-9a-z.]|é){0,60}") {
            let _ = Stamps::of(RUN).find(&text);
        }
    }
}
