//! Waits for an instant by a timerfd, as tokio's own timers are 1 ms coarse. Never here: what is due.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;
use tokio::io::unix::AsyncFd;

/// One timer.
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
}

impl Alarm {
    /// A timer of this thread's runtime. `AsyncFd::new` is deprecated for descriptors that somebody else may close; this
    /// one is owned by what it returns.
    #[allow(deprecated)]
    pub fn new() -> io::Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        Ok(Self {
            timer: AsyncFd::new(timer)?,
        })
    }

    /// Ends at `at`, never before.
    pub async fn until(&self, at: Instant) -> io::Result<()> {
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let value = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let once = Itimerspec {
                it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
                it_value: value,
            };
            timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            let mut guard = self.timer.readable().await?;
            let mut count = [0; 8];
            // an early or stale expiry is looked at again above
            let _ = rustix::io::read(self.timer.get_ref(), &mut count);
            guard.clear_ready();
        }
    }
}
