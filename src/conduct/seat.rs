//! What the conductor of an attack knows of one host beside its [`Post`]: share, progress, outcome.

use super::muster::Post;
use super::outcome::{HostEnd, HostOutcome, Progress};
use crate::source;
use swarm_agent::wire::message::{Armed, ToAgent};
use swarm_agent::wire::share::Share;

/// One host of an attack.
#[derive(Default)]
pub(super) struct Seat {
    pub(super) armed: Option<Armed>,
    pub(super) share: Option<Share>,
    pub(super) progress: Progress,
    pub(super) end: Option<HostEnd>,
}

impl Seat {
    /// Hands the agent a share; what it said to an earlier one is void.
    pub(super) fn deal(&mut self, post: &Post, mut share: Share) {
        share.round = self.share.as_ref().map_or(0, |last| last.round + 1);
        self.armed = None;
        post.tell(ToAgent::Share(Box::new(share.clone())));
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

    pub(super) fn outcome(self, post: Post, now: u64) -> HostOutcome {
        HostOutcome {
            clock: post.clock_at(now),
            name: post.entrant.name,
            address: post.address,
            group: post.entrant.group,
            // with --arm-only a host has neither started nor failed
            end: self.end.unwrap_or(HostEnd::Refused {
                why: "was not started".to_owned(),
            }),
            hello: post.hello,
            armed: self.armed,
            share: self.share,
            progress: self.progress,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Entrant;
    use super::*;
    use std::net::IpAddr;
    use swarm_agent::wire::message::{DroppedSource, NoPath};

    fn post() -> Post {
        Post::new(Entrant {
            name: "h1".into(),
            weight: 1,
            group: None,
            sources: Vec::new(),
        })
    }

    fn seated() -> Seat {
        let mut seat = Seat::default();
        let mut share = crate::merge::fixture::open_loop(1).hosts[0].share.clone().unwrap();
        share.sources = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap()).into();
        seat.deal(&post(), share);
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
        seat.deal(&post(), again);
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
