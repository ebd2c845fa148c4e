//! SIGINT and SIGTERM as a stream: the first means drain and report, the second leave. Never prints.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// Finish what is in flight and report.
    Drain,
    /// Leave at once.
    Leave,
}

/// The user's signals.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    seen: u32,
}

impl Signals {
    /// Whether one came that nobody has taken yet; it is taken.
    pub fn came(&mut self) -> bool {
        use futures_util::FutureExt;
        self.next().now_or_never().is_some()
    }

    /// Begins to listen; from now on the process does not end by itself.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            seen: 0,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Interrupt {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        self.seen += 1;
        if self.seen == 1 {
            Interrupt::Drain
        } else {
            Interrupt::Leave
        }
    }
}
