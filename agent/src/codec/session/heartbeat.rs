//! The heartbeat of an Engine.IO session: in version 4 the server pings, in version 3 the client does. Pure.

use crate::wire::report::Heartbeats;
use crate::wire::share::Version;
use std::time::{Duration, Instant};

/// A session's heartbeat.
#[derive(Debug)]
pub struct Heartbeat {
    version: Version,
    /// ms.
    interval: u32,
    timeout: u32,
    /// When the server counts as lost.
    lost_at: Option<Instant>,
    /// When the next ping of ours is due.
    next: Option<Instant>,
    /// Our ping that waits for its answer.
    pinged: Option<Instant>,
    counts: Heartbeats,
}

/// What an instant brings.
#[derive(Debug, PartialEq, Eq)]
pub enum Beat {
    /// Nothing.
    Nothing,
    /// A ping is to be sent.
    Ping,
    /// The server is lost; why.
    Lost(String),
}

impl Heartbeat {
    /// Before the session is open.
    pub fn new(version: Version) -> Self {
        Self {
            version,
            interval: 0,
            timeout: 0,
            lost_at: None,
            next: None,
            pinged: None,
            counts: Heartbeats::default(),
        }
    }

    /// The session opened with these times (ms).
    pub fn open(&mut self, interval: u64, timeout: u64, now: Instant) {
        // a day is for ever, and an instant can hold it
        const DAY: u64 = 86_400_000;
        self.interval = u32::try_from(interval.min(DAY)).unwrap_or(u32::MAX);
        self.timeout = u32::try_from(timeout.min(DAY)).unwrap_or(u32::MAX);
        self.lost_at = Some(now + self.whole());
        if self.version == Version::Three {
            self.next = Some(now + self.interval());
        }
    }

    /// pingInterval + pingTimeout.
    pub fn whole(&self) -> Duration {
        Duration::from_millis(u64::from(self.interval) + u64::from(self.timeout))
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(u64::from(self.interval))
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.timeout))
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        [self.lost_at, self.next].into_iter().flatten().min()
    }

    /// No heartbeat any more.
    pub fn stop(&mut self) {
        (self.lost_at, self.next) = (None, None);
    }

    /// Any packet came: in version 3 that is a sign of life.
    pub fn heard(&mut self, now: Instant) {
        if self.version == Version::Three && self.lost_at.is_some() {
            self.lost_at = Some(now + self.whole());
        }
    }

    /// The server's ping came.
    pub fn ping(&mut self, now: Instant) {
        if self.version == Version::Four {
            self.counts.seen += 1;
            self.lost_at = Some(now + self.whole());
        }
    }

    /// The answer to our ping came.
    pub fn pong(&mut self, now: Instant) {
        let Some(pinged) = self.pinged.take() else { return };
        self.counts.seen += 1;
        if now.saturating_duration_since(pinged) > self.timeout() {
            // other packets kept the session alive meanwhile
            self.counts.missed += 1;
        }
        self.next = Some(now + self.interval());
    }

    /// What `now` brings.
    pub fn tick(&mut self, now: Instant) -> Beat {
        if self.lost_at.is_some_and(|at| at <= now) {
            self.counts.missed += 1;
            self.stop();
            let whole = self.whole().as_millis();
            return Beat::Lost(match (self.version, self.pinged) {
                (Version::Four, _) => format!("no ping within {whole} ms"),
                (Version::Three, Some(_)) => format!("no answer to a ping within {} ms", self.timeout),
                (Version::Three, None) => format!("nothing heard within {whole} ms"),
            });
        }
        if self.next.is_some_and(|at| at <= now) {
            self.next = None;
            self.pinged = Some(now);
            self.lost_at = Some(now + self.timeout());
            return Beat::Ping;
        }
        Beat::Nothing
    }

    /// Takes what was counted since the last time.
    pub fn take(&mut self) -> Heartbeats {
        std::mem::take(&mut self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64, start: Instant) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn in_version_3_the_client_pings_and_any_packet_is_a_sign_of_life() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(Version::Three);
        heartbeat.open(100, 50, start);
        assert_eq!(heartbeat.deadline(), Some(at(100, start)));
        assert_eq!(heartbeat.tick(at(99, start)), Beat::Nothing);
        assert_eq!(heartbeat.tick(at(100, start)), Beat::Ping);
        assert_eq!(heartbeat.deadline(), Some(at(150, start)));
        heartbeat.heard(at(110, start));
        heartbeat.pong(at(110, start));
        assert_eq!(heartbeat.deadline(), Some(at(210, start)));
        assert_eq!(heartbeat.tick(at(210, start)), Beat::Ping);
        // a packet that is no pong keeps the session, and the pong comes late
        heartbeat.heard(at(250, start));
        assert_eq!(heartbeat.tick(at(300, start)), Beat::Nothing);
        heartbeat.heard(at(310, start));
        heartbeat.pong(at(310, start));
        assert_eq!(heartbeat.take(), Heartbeats { seen: 2, missed: 1 });
        assert_eq!(heartbeat.tick(at(410, start)), Beat::Ping);
        let lost = Beat::Lost("no answer to a ping within 50 ms".into());
        assert_eq!(heartbeat.tick(at(460, start)), lost);
        assert_eq!(heartbeat.take(), Heartbeats { seen: 0, missed: 1 });
        assert_eq!(heartbeat.deadline(), None);
    }

    #[test]
    fn in_version_4_only_the_servers_ping_is_a_sign_of_life() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(Version::Four);
        heartbeat.open(100, 50, start);
        heartbeat.heard(at(140, start));
        assert_eq!(heartbeat.deadline(), Some(at(150, start)));
        heartbeat.ping(at(140, start));
        assert_eq!(heartbeat.tick(at(289, start)), Beat::Nothing);
        assert_eq!(
            heartbeat.tick(at(290, start)),
            Beat::Lost("no ping within 150 ms".into())
        );
        assert_eq!(heartbeat.take(), Heartbeats { seen: 1, missed: 1 });
    }

    #[test]
    fn times_that_no_clock_holds_are_cut() {
        let mut heartbeat = Heartbeat::new(Version::Three);
        heartbeat.open(u64::MAX, u64::MAX, Instant::now());
        assert_eq!(heartbeat.whole(), Duration::from_hours(48));
    }
}
