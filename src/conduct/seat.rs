//! One host as the conductor sees it, from its name to its outcome.

use super::Entrant;
use super::outcome::{Clock, HostEnd, HostOutcome, Progress};
use super::sync::Sync;
use crate::link::LinkHandle;
use swarm_agent::wire::message::{Armed, Hello};
use swarm_agent::wire::share::Share;

/// One host of a run.
pub(super) struct Seat {
    pub(super) entrant: Entrant,
    pub(super) address: String,
    pub(super) link: Option<LinkHandle>,
    pub(super) hello: Option<Hello>,
    pub(super) armed: Option<Armed>,
    pub(super) share: Option<Share>,
    pub(super) sync: Sync,
    pub(super) clock: Option<Clock>,
    pub(super) progress: Progress,
    pub(super) end: Option<HostEnd>,
    pub(super) heard_ns: u64,
}

impl Seat {
    pub(super) fn new(entrant: Entrant) -> Self {
        Self {
            entrant,
            address: String::new(),
            link: None,
            hello: None,
            armed: None,
            share: None,
            sync: Sync::default(),
            clock: None,
            progress: Progress::default(),
            end: None,
            heard_ns: 0,
        }
    }

    pub(super) fn outcome(self, now: u64) -> HostOutcome {
        HostOutcome {
            name: self.entrant.name,
            address: self.address,
            group: self.entrant.group,
            // with --arm-only a host has neither started nor failed
            end: self.end.unwrap_or(HostEnd::Refused {
                why: "was not started".to_owned(),
            }),
            hello: self.hello,
            armed: self.armed,
            share: self.share,
            clock: self.clock.or_else(|| self.sync.clock(now)),
            progress: self.progress,
        }
    }
}
