//! What the conductor does about pages that are read beside the run: asks for a reading right before the start and right
//! after the end, and waits for neither longer than a reading may take. Never here: reading.

use crate::clock::now_ns;
use crate::watch::record::{Ask, Reading, Record};
use crate::watch::watched::Watched;
use std::collections::BTreeSet;
use tokio::sync::watch;

/// A reading takes 1 s at most, and one may be under way when another is asked for.
const PATIENCE_NS: u64 = 3_000_000_000;

/// The pages of a run.
pub struct Watching {
    record: Record,
    asks: watch::Sender<Ask>,
    /// What was asked for last, and who still owes an answer.
    owed: Option<(Ask, BTreeSet<usize>)>,
    until_ns: u64,
}

impl Watching {
    /// Pages whose readings come as events; `asks` is how more of them are asked for.
    pub fn new(record: Record, asks: watch::Sender<Ask>) -> Self {
        Self {
            record,
            asks,
            owed: None,
            until_ns: 0,
        }
    }

    /// Whether every page was read since this was asked first, or was given time to be.
    pub(super) fn has(&mut self, ask: Ask) -> bool {
        match &self.owed {
            Some((asked, owed)) if *asked == ask => owed.is_empty() || now_ns() > self.until_ns,
            _ => {
                self.owed = Some((ask, (0..self.record.pages()).collect()));
                self.until_ns = now_ns() + PATIENCE_NS;
                self.asks.send_replace(ask);
                self.record.pages() == 0
            }
        }
    }

    /// The start instant was told.
    pub(super) fn started(&mut self, start_ns: u64) {
        self.record.started(start_ns);
    }

    /// Takes a reading; returns what is worth a line.
    pub(super) fn take(&mut self, reading: Reading) -> Vec<String> {
        if let Some((ask, owed)) = &mut self.owed
            && *ask == reading.ask
        {
            owed.remove(&reading.page);
        }
        self.record.take(reading)
    }

    /// All that was read.
    pub(super) fn finish(self) -> Watched {
        self.record.finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::watch::Watch;
    use crate::watch::address::Address;
    use crate::watch::reader::ReadError;

    #[test]
    fn every_page_is_waited_for_before_and_after() {
        let page = || Address::page("http://h/metrics").unwrap();
        let watch = Watch {
            balancer: None,
            metrics: vec![(page(), Vec::new()), (page(), Vec::new())],
        };
        let (asks, asked) = watch::channel(Ask::Tick);
        let mut watching = Watching::new(Record::new(&watch), asks);
        let answer = |page, ask| Reading {
            page,
            at_ns: 1,
            ask,
            content: Err(ReadError::Silent(1)),
        };
        for ask in [Ask::Before, Ask::After] {
            assert!(!watching.has(ask));
            assert_eq!(*asked.borrow(), ask);
            watching.take(answer(0, ask));
            assert!(!watching.has(ask));
            // its time had come, and it is no answer
            watching.take(answer(1, Ask::Tick));
            assert!(!watching.has(ask));
            watching.take(answer(1, ask));
            assert!(watching.has(ask));
        }
    }
}
