//! What came and nobody has waited for yet: a few messages, kept for an `expect`. Bounded, as servers send what they
//! like. Pure.

use crate::codec::session::Said;
use std::collections::VecDeque;

/// Messages kept at most; the oldest go first.
const KEPT: usize = 64;
/// Bytes of their names and bodies kept at most.
const BYTES: usize = 256 << 10;

/// The messages, oldest first.
#[derive(Debug, Default)]
pub struct Inbox {
    kept: VecDeque<Said>,
    bytes: usize,
}

impl Inbox {
    /// Keeps an event or a message; whatever else was said is nothing to wait for.
    pub fn keep(&mut self, mut said: Said) {
        match &mut said {
            // nobody looks at them
            Said::Event { attachments, .. } => attachments.clear(),
            Said::Message { .. } => {}
            _ => return,
        }
        self.bytes += bytes(&said);
        self.kept.push_back(said);
        while self.kept.len() > KEPT || self.bytes > BYTES {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.bytes -= bytes(&oldest);
        }
    }

    /// Takes all, the oldest first.
    pub fn take_all(&mut self) -> VecDeque<Said> {
        self.bytes = 0;
        std::mem::take(&mut self.kept)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.bytes = 0;
    }
}

fn bytes(said: &Said) -> usize {
    match said {
        Said::Event { name, body, .. } => name.len() + body.len(),
        Said::Message { text, binary } => text.as_ref().map_or(0, String::len) + binary.as_ref().map_or(0, Vec::len),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Said {
        Said::Message {
            text: Some("x".repeat(length)),
            binary: None,
        }
    }

    #[test]
    fn messages_come_out_in_order_and_are_bounded() {
        let mut inbox = Inbox::default();
        inbox.keep(Said::Written(1));
        assert!(inbox.take_all().is_empty());
        for length in 0..100 {
            inbox.keep(message(length));
        }
        let kept = inbox.take_all();
        assert_eq!((kept.len(), kept.front()), (KEPT, Some(&message(36))));
        kept.into_iter().for_each(|said| inbox.keep(said));
        inbox.keep(message(BYTES - 10));
        assert_eq!(inbox.take_all(), [message(BYTES - 10)]);
        inbox.keep(message(3));
        inbox.clear();
        assert!(inbox.take_all().is_empty());
        assert_eq!(inbox.bytes, 0);
    }
}
