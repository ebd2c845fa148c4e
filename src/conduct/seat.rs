//! One host as the conductor sees it, from its name to its outcome.

use super::Entrant;
use super::outcome::{Clock, HostEnd, HostOutcome, Progress};
use super::sync::Sync;
use crate::clock::unix_ms;
use crate::link::LinkHandle;
use crate::plan::SourceRange;
use crate::source;
use std::net::IpAddr;
use swarm_agent::wire::message::{Armed, Hello, ToAgent};
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

    /// Its addresses of the plan's ranges, or of its own instead; `None` when it owns none of those named.
    pub(super) fn sources(&self, of_plan: &[SourceRange]) -> Option<Vec<IpAddr>> {
        let own = &self.entrant.sources;
        let ranges = if own.is_empty() { of_plan } else { own };
        let owned = self.hello.as_ref().map(|hello| source::owned(ranges, hello));
        owned.filter(|owned| ranges.is_empty() || !owned.is_empty())
    }

    /// Hands the agent a share; what it said to an earlier one is void.
    pub(super) fn deal(&mut self, mut share: Share) {
        share.round = self.share.as_ref().map_or(0, |last| last.round + 1);
        self.armed = None;
        if let Some(program) = &mut share.program {
            program.sent_unix_ms = unix_ms();
        }
        if let Some(link) = &self.link {
            // a link that is gone is told as an event of its own
            link.send(ToAgent::Share(Box::new(share.clone()))).ok();
        }
        self.share = Some(share);
    }

    /// Takes what the agent found out, unless that is about an earlier share. Sources without a path are out of the
    /// share from here on; a stranger's words about other addresses, or that leave none, are not believed.
    pub(super) fn arm(&mut self, mut armed: Armed) -> bool {
        let Some(share) = self.share.as_mut().filter(|share| share.round == armed.round) else {
            return false;
        };
        armed.dropped.retain(|dropped| {
            usize::from(dropped.target) < share.targets.len() && share.sources.contains(&dropped.source)
        });
        let mut left = share.sources.clone();
        left.retain(|source| armed.dropped.iter().all(|dropped| dropped.source != *source));
        if left.is_empty() {
            armed.dropped.clear();
        } else {
            share.sources = left;
        }
        self.armed = Some(armed);
        true
    }

    /// What is to be told of sources without a path.
    pub(super) fn sources_dropped(&self) -> Vec<String> {
        match (&self.share, &self.armed) {
            (Some(share), Some(armed)) => source::without_path(&share.targets, &armed.dropped),
            _ => Vec::new(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_agent::wire::message::{DroppedSource, NoPath};

    fn seated() -> Seat {
        let mut seat = Seat::new(Entrant {
            name: "h1".into(),
            weight: 1,
            group: None,
            sources: Vec::new(),
        });
        let mut share = crate::merge::fixture::open_loop(1).hosts[0].share.clone().unwrap();
        share.sources = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap()).into();
        seat.deal(share);
        seat
    }

    fn armed(round: u32, dropped: &[(&str, u16)]) -> Armed {
        let one = |(source, target): &(&str, u16)| DroppedSource {
            source: source.parse().unwrap(),
            target: *target,
            address: "10.9.9.9:80".parse().unwrap(),
            why: NoPath::Silent { after_ms: 5000 },
        };
        Armed {
            round,
            dropped: dropped.iter().map(one).collect(),
            ..Armed::default()
        }
    }

    #[test]
    fn a_dropped_source_is_out_of_the_share() {
        let mut seat = seated();
        assert!(seat.arm(armed(0, &[("10.0.0.2", 0)])));
        assert_eq!(
            seat.share.as_ref().unwrap().sources,
            ["10.0.0.1".parse::<IpAddr>().unwrap()]
        );
        assert_eq!(seat.sources_dropped().len(), 1);
    }

    #[test]
    fn words_about_an_earlier_share_are_void() {
        let mut seat = seated();
        let again = seat.share.clone().unwrap();
        seat.deal(again);
        assert!(!seat.arm(armed(0, &[])) && seat.armed.is_none());
        assert!(seat.arm(armed(1, &[])));
    }

    #[test]
    fn what_a_stranger_says_of_other_addresses_is_not_believed() {
        for lie in [
            &[("10.0.0.9", 0)][..],
            &[("10.0.0.2", 7)],
            &[("10.0.0.1", 0), ("10.0.0.2", 0)],
        ] {
            let mut seat = seated();
            assert!(seat.arm(armed(0, lie)));
            assert_eq!(seat.share.as_ref().unwrap().sources.len(), 2, "{lie:?}");
            assert!(seat.sources_dropped().is_empty(), "{lie:?}");
        }
    }
}
