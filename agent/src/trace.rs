//! `--trace-one`: every packet of one client as lines for the controller. Off, it costs a test of an option.

use crate::wire::message::FromAgent;
use std::time::Instant;
use tokio::sync::mpsc::UnboundedSender;

/// Sends trace lines.
#[derive(Clone)]
pub struct Trace {
    start: Instant,
    lines: UnboundedSender<FromAgent>,
}

impl Trace {
    /// Lines are timed from `start`.
    pub fn new(start: Instant, lines: UnboundedSender<FromAgent>) -> Self {
        Self { start, lines }
    }

    /// One packet or step: `> 40` sent, `< 40{"sid":..}` received.
    pub fn line(&self, line: impl Into<String>) {
        let at_us = self.start.elapsed().as_micros() as u64;
        // a controller that is gone wants no lines
        let _ = self.lines.send(FromAgent::Trace {
            at_us,
            line: line.into(),
        });
    }
}
