//! A timer that is not rounded to milliseconds, as tokio's are: a timerfd that the runtime waits on.

use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// Shorter waits are not worth a system call: what is due within it goes out with the current batch.
const SHORTEST: Duration = Duration::from_micros(50);

/// One timer.
pub struct Timer {
    descriptor: AsyncFd<OwnedFd>,
}

impl Timer {
    /// A timer of this thread's runtime.
    #[allow(deprecated)] // the descriptor is owned by what `new` returns
    pub fn new() -> io::Result<Self> {
        let descriptor = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        Ok(Self {
            descriptor: AsyncFd::new(descriptor)?,
        })
    }

    /// Waits until `instant`.
    pub async fn until(&self, instant: Instant) -> io::Result<()> {
        let wait = instant.saturating_duration_since(Instant::now()).max(SHORTEST);
        let value = Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: value,
        };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.descriptor.readable().await?;
            let mut count = [0u8; 8];
            match ready.try_io(|fd| rustix::io::read(fd, &mut count).map_err(io::Error::from)) {
                Ok(done) => return done.map(|_| ()),
                Err(_would_block) => {}
            }
        }
    }
}
