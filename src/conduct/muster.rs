//! Hosts on their way to one instant: reached, heard, their clocks measured, told to start. Every kind of run stands on it.
//! Never here: what the hosts are to do.

use super::Entrant;
use super::event::Event;
use super::outcome::Clock;
use super::phase::{Phase, Step};
use super::sync::{Sample, Sync, between, in_agents_clock};
use crate::clock::now_ns;
use crate::link::LinkHandle;
use crate::signal::Interrupt;
use std::time::Duration;
use swarm_agent::wire::broadcast::error_at;
use swarm_agent::wire::message::{Hello, ToAgent};
use tokio::sync::mpsc;

/// Before the start a host is pinged at every tick, later at every fiftieth (a tick is about 20 ms).
const TICKS_BETWEEN_PINGS: u64 = 50;
/// The start lies at least this far ahead, and three of the longest round trips.
const LEAD_NS: u64 = 150_000_000;
/// How long hosts may take to arm: names, TLS files, sources; with files to send, to take some of them.
const ARMING: Duration = Duration::from_secs(30);
/// A host from which nothing came for so long is lost.
const LIFE: Duration = Duration::from_secs(15);

/// One host, as far as it concerns the way to the instant.
pub(super) struct Post {
    pub(super) entrant: Entrant,
    pub(super) address: String,
    pub(super) link: Option<LinkHandle>,
    pub(super) hello: Option<Hello>,
    pub(super) sync: Sync,
    pub(super) clock: Option<Clock>,
    heard_ns: u64,
}

impl Post {
    pub(super) fn new(entrant: Entrant) -> Self {
        Self {
            entrant,
            address: String::new(),
            link: None,
            hello: None,
            sync: Sync::default(),
            clock: None,
            heard_ns: 0,
        }
    }

    /// Says something to the agent. A link that is gone is told as an event of its own.
    pub(super) fn tell(&self, message: ToAgent) {
        if let Some(link) = &self.link {
            link.send(message).ok();
        }
    }

    /// Its clock, as it was known at the start or is now.
    pub(super) fn clock_at(&self, now: u64) -> Option<Clock> {
        self.clock.or_else(|| self.sync.clock(now))
    }
}

/// All hosts of a run.
pub(super) struct Muster {
    pub(super) posts: Vec<Post>,
    pub(super) phase: Phase,
    /// When the hosts were last given something to get ready for, or showed that they do.
    pub(super) busy_ns: Option<u64>,
    /// The instant, in our clock.
    pub(super) start_ns: Option<u64>,
    /// The same, for the report alone.
    pub(super) started_at: jiff::Timestamp,
    ticks: u64,
    pings: u32,
}

/// When a host went.
pub(super) struct Left {
    /// Seconds after the instant.
    pub(super) at_s: f64,
    /// The others had not been told to start.
    pub(super) before_start: bool,
}

impl Muster {
    pub(super) fn new(entrants: Vec<Entrant>, needed: usize) -> Self {
        Self {
            phase: Phase::new(entrants.len(), needed),
            posts: entrants.into_iter().map(Post::new).collect(),
            busy_ns: None,
            start_ns: None,
            started_at: jiff::Timestamp::now(),
            ticks: 0,
            pings: 0,
        }
    }

    pub(super) fn reached(&mut self, host: usize, link: LinkHandle, hello: Hello, address: String) {
        let post = &mut self.posts[host];
        post.link = Some(link);
        post.address = address;
        post.hello = Some(hello);
        self.heard(host);
        self.phase.came(host, Step::Greeted);
    }

    pub(super) fn heard(&mut self, host: usize) {
        self.posts[host].heard_ns = now_ns();
    }

    pub(super) fn ponged(&mut self, host: usize, sample: Option<Sample>) {
        self.heard(host);
        if let Some(sample) = sample {
            self.posts[host].sync.add(sample);
        }
    }

    /// A host refused, or its link ended. `None`: it was over before.
    pub(super) fn leave(&mut self, host: usize) -> Option<Left> {
        if self.phase.step(host).over() {
            return None;
        }
        let before_start = !self.phase.started();
        self.phase.came(host, Step::Lost);
        // dropping the handle ends the agent's input, and so the agent
        self.posts[host].link = None;
        let at_s = self
            .start_ns
            .map_or(0.0, |start| now_ns().saturating_sub(start) as f64 / 1e9);
        Some(Left { at_s, before_start })
    }

    /// Pings those that are due. Returns who is to be given up, and why.
    pub(super) fn tick(&mut self) -> Vec<(usize, String)> {
        let now = now_ns();
        if !self.phase.started() || self.ticks.is_multiple_of(TICKS_BETWEEN_PINGS) {
            for (host, post) in self.posts.iter().enumerate() {
                if let Some(link) = post.link.as_ref().filter(|_| !self.phase.step(host).over()) {
                    link.ping(self.pings).ok();
                }
            }
            self.pings = self.pings.wrapping_add(1);
        }
        self.ticks += 1;
        let mut lost = Vec::new();
        for (host, post) in self.posts.iter().enumerate() {
            let silent = post.link.is_some() && now.saturating_sub(post.heard_ns) > LIFE.as_nanos() as u64;
            if silent && !self.phase.step(host).over() {
                lost.push((host, format!("nothing heard from it for {} s", LIFE.as_secs())));
            }
        }
        let late = self
            .busy_ns
            .is_some_and(|at| now.saturating_sub(at) > ARMING.as_nanos() as u64);
        if late && !self.phase.started() {
            let arming = self.phase.at(Step::Arming);
            lost.extend(
                arming
                    .into_iter()
                    .map(|host| (host, format!("did not get ready within {} s", ARMING.as_secs()))),
            );
        }
        lost
    }

    /// The hosts were given what they are to get ready for.
    pub(super) fn dealt(&mut self) {
        self.phase.dealt();
        self.busy_ns = Some(now_ns());
    }

    pub(super) fn clocks_are_known(&self) -> bool {
        let armed = self.phase.at(Step::Armed);
        armed.iter().all(|host| self.posts[*host].sync.ready())
    }

    /// Tells every armed host the same instant, each in its own clock. Returns the instant in ours.
    pub(super) fn start(&mut self) -> u64 {
        let now = now_ns();
        let armed = self.phase.at(Step::Armed).into_iter();
        let clocks: Vec<(usize, Clock)> = armed
            .filter_map(|host| Some((host, self.posts[host].sync.clock(now)?)))
            .collect();
        let longest = clocks.iter().map(|(_, clock)| clock.rtt_ns).max().unwrap_or(0);
        let start = now + LEAD_NS.max(longest * 3);
        let clock_error = error_at(between(clocks.iter().map(|(_, clock)| clock.bound_ns)), start - now);
        for (host, clock) in clocks {
            let post = &mut self.posts[host];
            post.clock = post.sync.clock(start);
            post.tell(ToAgent::Start {
                at: in_agents_clock(&clock, start),
                clock_error,
            });
        }
        self.start_ns = Some(start);
        self.started_at = jiff::Timestamp::now() + Duration::from_nanos(start - now);
        self.phase.start();
        start
    }

    /// Ends every link; the user's second interrupt ends the waiting too.
    pub(super) async fn close(&mut self, mut events: mpsc::UnboundedReceiver<Event>) {
        let links: Vec<LinkHandle> = self.posts.iter_mut().filter_map(|post| post.link.take()).collect();
        let closing = futures_util::future::join_all(links.into_iter().map(|link| {
            link.send(ToAgent::Bye).ok();
            link.close()
        }));
        tokio::pin!(closing);
        loop {
            tokio::select! {
                _ = &mut closing => return,
                event = events.recv() => match event {
                    Some(Event::Interrupted(Interrupt::Leave)) | None => return,
                    Some(_) => {}
                }
            }
        }
    }
}
