//! How a client's hits are recorded: each once in the totals and once under its step. Never here: what a hit says.

use super::answer;
use super::player::{Did, Ended, FIRST_PAUSE, Player, Stop};
use super::stage::Line;
use super::value::Unmade;
use crate::recorder::{BackendId, Mark, StepId};
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::report::Latency;
use std::net::Ipv4Addr;
use std::time::Instant;

/// Characters that the text of a failure has at most.
const DETAIL: usize = 200;

/// A hit that is not decided.
pub struct Hit {
    /// When it was due and sent.
    pub mark: Mark,
    /// Who answered.
    pub backend: Option<BackendId>,
    at: StepId,
}

impl Player {
    /// A hit of this line goes out now. Its end is [`Player::well`] or [`Player::badly`], or it stays unfinished.
    pub fn hit(&mut self, line: usize, due: Option<Instant>) -> Result<Hit, Stop> {
        if !self.room.takes() {
            // no more are wanted: the client has nothing left to do
            self.done = true;
            return Err(Stop::Over);
        }
        let address = self.stand.is_none().then(|| self.address());
        let at = self.step(line);
        let mut recorder = self.recorder();
        let (source, target, backend) = match &self.stand {
            Some(stand) => (stand.source, stand.reach.target, stand.backend),
            None => {
                let address = address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
                (recorder.source(address), self.target, None)
            }
        };
        let mark = recorder.hit_sent(due, Instant::now(), source, target);
        recorder.flows().sent(at);
        drop(recorder);
        Ok(Hit { mark, backend, at })
    }

    /// Where a line is counted.
    pub fn step(&self, line: usize) -> StepId {
        StepId {
            flow: self.track.number,
            line: u16::try_from(line).unwrap_or(u16::MAX),
        }
    }

    /// The hit went well.
    pub fn well(&mut self, hit: &Hit, now: Instant) -> Ended {
        let since = hit.mark.due.unwrap_or(hit.mark.sent);
        let us = u64::try_from(now.saturating_duration_since(since).as_micros()).unwrap_or(u64::MAX);
        let mut recorder = self.recorder();
        recorder.hit_ok(&hit.mark, now, hit.backend, None);
        recorder.flows().ok(hit.at, us);
        drop(recorder);
        self.pause = FIRST_PAUSE;
        self.room.decided();
        Ok(Did::Well)
    }

    /// The hit failed; without a fault when that is counted already.
    pub fn badly(&mut self, hit: &Hit, fault: Option<&Fault>) -> Ended {
        let mut recorder = self.recorder();
        recorder.hit_failed(&hit.mark, Instant::now(), hit.backend, None, fault);
        recorder.flows().failed(hit.at);
        drop(recorder);
        self.room.decided();
        Ok(Did::Badly)
    }

    /// A fault that names flow and step.
    pub fn fault(&self, line: usize, kind: FaultKind, what: &str) -> Fault {
        let label = self.track.lines.get(line).map_or("hooks", |line: &Line| &line.label);
        let mut detail: String = format!("{} / {label}: {what}", self.track.name);
        if let Some((end, _)) = detail.char_indices().nth(DETAIL) {
            detail.truncate(end);
        }
        Fault::new(kind, detail)
    }

    /// A step whose values cannot be made is a failed hit.
    pub fn unmade(&mut self, hit: &Hit, line: usize, unmade: &Unmade) -> Ended {
        let fault = self.fault(line, FaultKind::Check, &answer::why(unmade, &self.program().slots));
        self.at_once = true;
        self.badly(hit, Some(&fault))
    }

    /// A step that wants a session, where there is none, is a failed hit.
    pub fn not_connected(&mut self, hit: &Hit, line: usize, what: &str) -> Ended {
        let fault = self.fault(line, FaultKind::NotConnected, what);
        self.at_once = true;
        self.badly(hit, Some(&fault))
    }

    /// An answer that was waited for came, so long after `sent`.
    pub fn acked(&self, name: Latency, sent: Instant, now: Instant) {
        self.recorder().message_acked(name, now.saturating_duration_since(sent));
    }
}
