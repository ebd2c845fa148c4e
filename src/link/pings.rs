//! Which pings wait for an answer, and which of them say nothing about the way. Pure: the clock is the caller's.

use std::collections::BTreeMap;

/// The most pings without an answer that are remembered.
const PINGS_KEPT: usize = 4096;

/// Pings that were sent and not answered.
#[derive(Default)]
pub(super) struct Pings {
    /// When each was sent, and whether behind other frames.
    sent: BTreeMap<u32, (u64, bool)>,
    /// When another frame was written last, until a later ping's answer shows that it has been read.
    wrote_ns: Option<u64>,
}

impl Pings {
    /// A ping is written now.
    pub(super) fn stamp(&mut self, seq: u32, now_ns: u64) {
        self.sent.insert(seq, (now_ns, self.wrote_ns.is_some()));
        if self.sent.len() > PINGS_KEPT {
            self.sent.pop_first();
        }
    }

    /// Another frame is written now.
    pub(super) fn wrote_another(&mut self, now_ns: u64) {
        self.wrote_ns = Some(now_ns);
    }

    /// When the ping was sent that waits longest.
    pub(super) fn oldest_ns(&self) -> Option<u64> {
        self.sent.values().map(|(sent_ns, _)| *sent_ns).min()
    }

    /// Takes a ping out: when it was sent, and whether behind other frames.
    pub(super) fn answered(&mut self, seq: u32) -> Option<(u64, bool)> {
        let (sent_ns, queued) = self.sent.remove(&seq)?;
        self.wrote_ns = self.wrote_ns.filter(|wrote_ns| *wrote_ns >= sent_ns);
        Some((sent_ns, queued))
    }
}
