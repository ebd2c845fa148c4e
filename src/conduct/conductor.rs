//! The one loop of a run: takes every event, changes the state, acts. Never here: printing, SSH, AWS.

use super::event::Event;
use super::notice::{Notice, Second};
use super::outcome::{Ended, HostEnd, Outcome};
use super::phase::{Next, Phase, Step};
use super::seat::Seat;
use super::server;
use super::sync::{between, in_agents_clock};
use super::{ConductError, Entrant, Until, planned_end};
use crate::clock::now_ns;
use crate::consent;
use crate::link::LinkHandle;
use crate::plan::{Plan, SourceRange};
use crate::signal::Interrupt;
use crate::split::{ArmedHost, split};
use std::net::IpAddr;
use std::time::Duration;
use swarm_agent::wire::broadcast::error_at;
use swarm_agent::wire::message::{FromAgent, ToAgent};
use swarm_agent::wire::share::Consent;
use tokio::sync::mpsc;

/// Before the start a host is pinged at every tick, later at every fiftieth (a tick is about 20 ms).
const TICKS_BETWEEN_PINGS: u64 = 50;
/// The start lies at least this far ahead, and three of the longest round trips.
const LEAD_NS: u64 = 150_000_000;
/// How long hosts may take to arm: names, TLS files, sources.
const ARMING: Duration = Duration::from_secs(30);
/// How long after its planned end and grace a host's report is waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// A host from which nothing came for so long is lost.
const LIFE: Duration = Duration::from_secs(15);

/// The state of a run and what is done with it.
pub(super) struct Conductor {
    plan: Plan,
    hosts: Vec<Seat>,
    phase: Phase,
    needed: usize,
    consent: Consent,
    notices: mpsc::UnboundedSender<Notice>,
    ticks: u64,
    pings: u32,
    dealt_at: Option<u64>,
    start_ns: Option<u64>,
    started_at: jiff::Timestamp,
    ended: Ended,
    deadline_ns: Option<u64>,
    seconds_told: u64,
    warnings: Vec<(String, String)>,
}

impl Conductor {
    /// The loop.
    pub(super) async fn run(
        &mut self,
        until: Until,
        events: &mut mpsc::UnboundedReceiver<Event>,
    ) -> Result<(), ConductError> {
        loop {
            match self.phase.next() {
                Next::TooFew { left } => return Err(self.too_few(left)),
                Next::Deal => {
                    self.deal()?;
                    continue;
                }
                Next::Start if self.clocks_are_known() => {
                    self.check_consent()?;
                    if until == Until::Armed {
                        return Ok(());
                    }
                    self.start();
                    continue;
                }
                Next::Finish => return Ok(()),
                Next::Start | Next::Wait => {}
            }
            let Some(event) = events.recv().await else {
                return Err(ConductError::Left);
            };
            self.take(event)?;
        }
    }

    /// Ends every link; the user's second interrupt ends the waiting too.
    pub(super) async fn close(&mut self, mut events: mpsc::UnboundedReceiver<Event>) {
        let links: Vec<LinkHandle> = self.hosts.iter_mut().filter_map(|state| state.link.take()).collect();
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

    pub(super) fn new(
        plan: Plan,
        entrants: Vec<Entrant>,
        needed: usize,
        consent: Consent,
        notices: mpsc::UnboundedSender<Notice>,
    ) -> Self {
        let phase = Phase::new(entrants.len(), needed);
        let hosts = entrants.into_iter().map(Seat::new).collect();
        Self {
            plan,
            hosts,
            phase,
            needed,
            consent,
            notices,
            ticks: 0,
            pings: 0,
            dealt_at: None,
            start_ns: None,
            started_at: jiff::Timestamp::now(),
            ended: Ended::Complete,
            deadline_ns: None,
            seconds_told: 0,
            warnings: Vec::new(),
        }
    }

    fn take(&mut self, event: Event) -> Result<(), ConductError> {
        match event {
            Event::Reached {
                host,
                link,
                hello,
                address,
            } => {
                let state = &mut self.hosts[host];
                state.link = Some(link);
                state.heard_ns = now_ns();
                state.address = address;
                state.hello = Some(*hello);
                self.phase.came(host, Step::Greeted);
            }
            Event::Unreached { host, why } => self.gone(host, why),
            Event::Said { host, message } => self.said(host, message),
            Event::Ponged { host, sample } => {
                self.hosts[host].heard_ns = now_ns();
                if let Some(sample) = sample {
                    self.hosts[host].sync.add(sample);
                }
            }
            Event::Closed { host, why } => self.gone(host, why),
            Event::Interrupted(Interrupt::Leave) => return Err(ConductError::Left),
            Event::Interrupted(Interrupt::Drain) if !self.phase.started() => {
                return Err(ConductError::Stopped);
            }
            Event::Interrupted(Interrupt::Drain) => self.drain(),
            Event::Tick => self.tick(),
        }
        Ok(())
    }

    fn said(&mut self, host: usize, message: FromAgent) {
        self.hosts[host].heard_ns = now_ns();
        match message {
            FromAgent::Armed(armed) => {
                if self.hosts[host].arm(*armed) {
                    self.tell_dropped(host);
                    self.phase.came(host, Step::Armed);
                }
            }
            FromAgent::Refused { reason } => self.gone(host, reason),
            FromAgent::Interval(interval) => {
                if self.phase.step(host) == Step::Running {
                    self.hosts[host].progress.fold(*interval);
                    self.tell_second();
                }
            }
            FromAgent::Report(report) => {
                self.hosts[host].end = Some(HostEnd::Reported(report));
                self.phase.came(host, Step::Reported);
            }
            FromAgent::Trace { at_us, line } => self.notify(Notice::Trace { at_us, line }),
            // a second hello changes nothing, pongs are the link's
            FromAgent::Hello(_) | FromAgent::Pong { .. } => {}
        }
    }

    fn tell_dropped(&self, host: usize) {
        let host = &self.hosts[host];
        for text in host.sources_dropped() {
            let host = host.entrant.name.clone();
            self.notify(Notice::Doubt { host, text });
        }
    }

    /// A host refused, or its link ended.
    fn gone(&mut self, host: usize, why: String) {
        if self.phase.step(host).over() {
            return;
        }
        let at_s = self
            .start_ns
            .map_or(0.0, |start| now_ns().saturating_sub(start) as f64 / 1e9);
        // before the start the refusals are told together, with what follows from them
        if self.phase.started() {
            self.notify(Notice::Gone {
                host: self.hosts[host].entrant.name.clone(),
                why: why.clone(),
            });
        }
        self.phase.came(host, Step::Lost);
        self.hosts[host].end = Some(match self.phase.step(host) {
            Step::Lost => HostEnd::Lost { at_s, why },
            _ => HostEnd::Refused { why },
        });
        // dropping the handle ends the agent's input, and so the agent
        self.hosts[host].link = None;
    }

    /// Cuts the plan over the hosts that are there and sends every one its share.
    fn deal(&mut self) -> Result<(), ConductError> {
        let there: Vec<usize> = self.phase.at(Step::Greeted);
        let mut seats = Vec::new();
        for host in &there {
            let state = &self.hosts[*host];
            let Some(sources) = state.sources(&self.plan.sources) else {
                self.gone(*host, "owns none of the addresses of --source-ips".to_owned());
                if self.phase.at(Step::Greeted).is_empty() {
                    return Err(ConductError::SourceUnowned("every address named".to_owned()));
                }
                return Ok(());
            };
            seats.push(ArmedHost {
                weight: state.entrant.weight.max(1),
                sources,
            });
        }
        self.check_sources(&seats)?;
        if self.dealt_at.is_some() {
            let text = format!(
                "shares were cut again over {} of {} hosts",
                there.len(),
                self.hosts.len()
            );
            self.warnings.push(("hosts".to_owned(), text));
        }
        for (host, share) in there.into_iter().zip(split(&self.plan, self.consent, &seats)) {
            self.hosts[host].deal(share);
        }
        self.dealt_at = Some(now_ns());
        self.phase.dealt();
        Ok(())
    }

    /// An address that was named singly must be somebody's.
    fn check_sources(&self, seats: &[ArmedHost]) -> Result<(), ConductError> {
        for range in &self.plan.sources {
            if let SourceRange::One(address) = range
                && !seats.iter().any(|seat| seat.sources.contains(address))
            {
                return Err(ConductError::SourceUnowned(address.to_string()));
            }
        }
        Ok(())
    }

    fn check_consent(&self) -> Result<(), ConductError> {
        if self.consent == Consent::Given {
            return Ok(());
        }
        let resolved = self
            .hosts
            .iter()
            .filter_map(|host| host.armed.as_ref())
            .flat_map(|armed| armed.resolved.iter().zip(&self.plan.targets));
        for (addresses, target) in resolved {
            let public: Vec<&IpAddr> = addresses
                .iter()
                .filter(|address| !consent::is_free(**address))
                .collect();
            if let Some(address) = public.first() {
                return Err(ConductError::Consent(format!(
                    "{} is {address} as the hosts resolve it, a public address",
                    target.host
                )));
            }
        }
        Ok(())
    }

    fn clocks_are_known(&self) -> bool {
        self.phase
            .at(Step::Armed)
            .iter()
            .all(|host| self.hosts[*host].sync.ready())
    }

    /// Tells every host the same instant, each in its own clock.
    fn start(&mut self) {
        let now = now_ns();
        let armed = self.phase.at(Step::Armed);
        let clocks = armed
            .iter()
            .filter_map(|host| self.hosts[*host].sync.clock(now).map(|clock| (*host, clock)));
        let clocks: Vec<_> = clocks.collect();
        let longest = clocks.iter().map(|(_, clock)| clock.rtt_ns).max().unwrap_or(0);
        let start = now + LEAD_NS.max(longest * 3);
        let clock_error = error_at(between(clocks.iter().map(|(_, clock)| clock.bound_ns)), start - now);
        for (host, clock) in clocks {
            let state = &mut self.hosts[host];
            state.clock = state.sync.clock(start);
            if let Some(link) = &state.link {
                link.send(ToAgent::Start {
                    at: in_agents_clock(&clock, start),
                    clock_error,
                })
                .ok();
            }
        }
        self.start_ns = Some(start);
        self.started_at = jiff::Timestamp::now() + Duration::from_nanos(start - now);
        let grace = Duration::from_nanos(self.plan.limits.grace) + PATIENCE;
        self.deadline_ns = planned_end(&self.plan.load).map(|end| start + end + grace.as_nanos() as u64);
        self.phase.start();
        let told = self.hosts.iter();
        let told = told.filter_map(|host| Some((host.entrant.name.as_str(), host.armed.as_ref()?)));
        for line in server::lines(&server::servers(told), &self.plan) {
            self.notify(Notice::Server { line });
        }
        self.notify(Notice::Started { hosts: armed.len() });
    }

    fn drain(&mut self) {
        self.ended = Ended::Interrupted;
        for host in self.phase.at(Step::Running) {
            if let Some(link) = &self.hosts[host].link {
                link.send(ToAgent::Drain).ok();
            }
        }
        let grace = Duration::from_nanos(self.plan.limits.grace) + PATIENCE;
        self.deadline_ns = Some(now_ns() + grace.as_nanos() as u64);
        self.notify(Notice::Draining);
    }

    fn tick(&mut self) {
        let now = now_ns();
        if !self.phase.started() || self.ticks.is_multiple_of(TICKS_BETWEEN_PINGS) {
            for state in self.hosts.iter().filter(|state| state.end.is_none()) {
                if let Some(link) = &state.link {
                    link.ping(self.pings).ok();
                }
            }
            self.pings = self.pings.wrapping_add(1);
        }
        self.ticks += 1;
        let silent = |state: &Seat| state.link.is_some() && now.saturating_sub(state.heard_ns) > LIFE.as_nanos() as u64;
        for host in 0..self.hosts.len() {
            let step = self.phase.step(host);
            if !step.over() && silent(&self.hosts[host]) {
                self.gone(host, format!("nothing heard from it for {} s", LIFE.as_secs()));
            }
        }
        let arming = self
            .dealt_at
            .is_some_and(|at| now.saturating_sub(at) > ARMING.as_nanos() as u64);
        if arming && !self.phase.started() {
            for host in self.phase.at(Step::Arming) {
                self.gone(host, format!("did not get ready within {} s", ARMING.as_secs()));
            }
        }
        if self.deadline_ns.is_some_and(|deadline| now > deadline) {
            for host in self.phase.at(Step::Running) {
                self.gone(host, "sent no report after its planned end".to_owned());
            }
        }
    }

    /// One line for the live view whenever all running hosts have sent another second.
    fn tell_second(&mut self) {
        let running = self.phase.at(Step::Running);
        let complete = running
            .iter()
            .map(|host| self.hosts[*host].progress.points.len() as u64)
            .min()
            .unwrap_or(0);
        while self.seconds_told < complete {
            let at = self.seconds_told as usize;
            let points: Vec<_> = self
                .hosts
                .iter()
                .filter_map(|host| host.progress.points.get(at))
                .collect();
            let second = Second::add_up(&points, running.len(), self.hosts.len());
            self.notify(Notice::Second(second));
            self.seconds_told += 1;
        }
    }

    fn notify(&self, notice: Notice) {
        // a view that is gone wants no notices
        let _ = self.notices.send(notice);
    }

    fn too_few(&self, left: usize) -> ConductError {
        let mut reasons = String::new();
        for state in &self.hosts {
            if let Some(HostEnd::Refused { why }) = &state.end {
                reasons.push_str(&format!("\n  {}: {why}", state.entrant.name));
            }
        }
        ConductError::TooFew {
            left,
            asked: self.hosts.len(),
            needed: self.needed,
            reasons,
        }
    }

    pub(super) fn outcome(mut self) -> Outcome {
        let now = now_ns();
        let start = self.start_ns.unwrap_or(now);
        let hosts = self.hosts.drain(..).map(|state| state.outcome(now)).collect();
        Outcome {
            plan: self.plan,
            started_at: self.started_at,
            duration_s: now.saturating_sub(start) as f64 / 1e9,
            ended: self.ended,
            hosts,
            warnings: self.warnings,
        }
    }
}
