//! Messages of persistent connections and what answers them. Never here: clocks, hits.

use super::Recorder;
use crate::wire::report::Latency;
use std::time::Duration;

impl Recorder {
    /// A message or emit of a persistent connection was sent; `expected`: an answer is due.
    pub fn message_sent(&mut self, expected: bool) {
        self.tally.messages.sent += 1;
        if expected {
            self.tally.messages.expected += 1;
            self.tally.messages.unfinished += 1;
        }
    }

    /// A message or event came.
    pub fn message_received(&mut self) {
        self.tally.messages.received += 1;
    }

    /// The expected answer came after `took`.
    pub fn message_acked(&mut self, name: Latency, took: Duration) {
        self.tally.messages.acked += 1;
        self.tally.messages.unfinished -= 1;
        self.latency(name, took);
    }

    /// The expected answer did not come in time, or its connection went.
    pub fn message_lost(&mut self) {
        self.tally.messages.lost += 1;
        self.tally.messages.unfinished -= 1;
    }
}
