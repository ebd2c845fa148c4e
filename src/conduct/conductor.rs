//! The one loop of a run: takes every event, changes the state, acts. Never here: printing, SSH, AWS.

use super::event::Event;
use super::muster::Muster;
use super::notice::{Notice, Second};
use super::outcome::{Ended, HostEnd, Outcome};
use super::phase::{Next, Step};
use super::seat::Seat;
use super::server;
use super::watching::Watching;
use super::{ConductError, Entrant, Until, planned_end};
use crate::clock::{now_ns, unix_ms};
use crate::consent;
use crate::plan::Plan;
use crate::signal::Interrupt;
use crate::source;
use crate::split::{ArmedHost, split};
use crate::watch::record::{Ask, Reading};
use std::net::IpAddr;
use std::time::Duration;
use swarm_agent::wire::message::{FromAgent, ToAgent};
use swarm_agent::wire::share::Consent;
use tokio::sync::mpsc;

/// How long after its planned end and grace a host's report is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// The state of a run and what is done with it.
pub(super) struct Conductor {
    plan: Plan,
    muster: Muster,
    hosts: Vec<Seat>,
    needed: usize,
    consent: Consent,
    notices: mpsc::UnboundedSender<Notice>,
    watching: Option<Watching>,
    dealt: bool,
    ended: Ended,
    over_ns: Option<u64>,
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
            match self.muster.phase.next() {
                Next::TooFew { left } => return Err(self.too_few(left)),
                Next::Deal => {
                    self.deal()?;
                    continue;
                }
                Next::Start if self.muster.clocks_are_known() => {
                    self.check_consent()?;
                    if until == Until::Armed {
                        return Ok(());
                    }
                    if self.has_read(Ask::Before) {
                        self.start();
                        continue;
                    }
                }
                Next::Finish => {
                    self.over_ns.get_or_insert_with(now_ns);
                    if self.has_read(Ask::After) {
                        return Ok(());
                    }
                }
                Next::Start | Next::Wait => {}
            }
            let Some(event) = events.recv().await else {
                return Err(ConductError::Left);
            };
            self.take(event)?;
        }
    }

    /// Ends every link.
    pub(super) async fn close(&mut self, events: mpsc::UnboundedReceiver<Event>) {
        self.muster.close(events).await;
    }

    pub(super) fn new(
        plan: Plan,
        entrants: Vec<Entrant>,
        needed: usize,
        consent: Consent,
        notices: mpsc::UnboundedSender<Notice>,
        watching: Option<Watching>,
    ) -> Self {
        let hosts = entrants.iter().map(|_| Seat::default()).collect();
        Self {
            plan,
            muster: Muster::new(entrants, needed),
            hosts,
            needed,
            consent,
            notices,
            watching,
            dealt: false,
            ended: Ended::Complete,
            over_ns: None,
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
            } => self.muster.reached(host, link, *hello, address),
            Event::Unreached { host, why } => self.gone(host, why),
            Event::Said { host, message } => self.said(host, message),
            Event::Ponged { host, sample } => self.muster.ponged(host, sample),
            Event::Closed { host, why } => self.gone(host, why),
            Event::Interrupted(Interrupt::Leave) => return Err(ConductError::Left),
            Event::Interrupted(Interrupt::Drain) if !self.muster.phase.started() => {
                return Err(ConductError::Stopped);
            }
            Event::Interrupted(Interrupt::Drain) => self.drain(),
            // output is taken from commands, and here none is run
            Event::Took { .. } => {}
            Event::Read(reading) => self.read(*reading),
            Event::Tick => self.tick(),
        }
        Ok(())
    }

    fn said(&mut self, host: usize, message: FromAgent) {
        self.muster.heard(host);
        match message {
            FromAgent::Armed(armed) => {
                if self.hosts[host].arm(*armed) {
                    self.tell_dropped(host);
                    self.muster.phase.came(host, Step::Armed);
                }
            }
            FromAgent::Refused { reason } => self.gone(host, reason),
            FromAgent::Interval(interval) => {
                if self.muster.phase.step(host) == Step::Running {
                    self.hosts[host].progress.fold(*interval);
                    self.tell_second();
                }
            }
            FromAgent::Report(report) => {
                self.hosts[host].end = Some(HostEnd::Reported(report));
                self.muster.phase.came(host, Step::Reported);
            }
            FromAgent::Trace { at_us, line } => self.notify(Notice::Trace { at_us, line }),
            // a second hello changes nothing, pongs are the link's, and no command was sent
            FromAgent::Hello(_) | FromAgent::Pong { .. } | FromAgent::Exec(_) | FromAgent::Saw(_) => {}
        }
    }

    /// Whether the pages beside the run were read at this moment, which is asked for when it was not yet.
    fn has_read(&mut self, ask: Ask) -> bool {
        self.watching.as_mut().is_none_or(|watching| watching.has(ask))
    }

    fn read(&mut self, reading: Reading) {
        let lines = self.watching.as_mut().map(|watching| watching.take(reading));
        for line in lines.into_iter().flatten() {
            self.notify(Notice::Beside { line });
        }
    }

    fn tell_dropped(&self, host: usize) {
        for text in self.hosts[host].sources_dropped() {
            let host = self.name(host);
            self.notify(Notice::Doubt { host, text });
        }
    }

    fn name(&self, host: usize) -> String {
        self.muster.posts[host].entrant.name.clone()
    }

    /// A host refused, or its link ended.
    fn gone(&mut self, host: usize, why: String) {
        let Some(left) = self.muster.leave(host) else {
            return;
        };
        // before the start the refusals are told together, with what follows from them
        if !left.before_start {
            let host = self.name(host);
            self.notify(Notice::Gone { host, why: why.clone() });
        }
        self.hosts[host].end = Some(match self.muster.phase.step(host) {
            Step::Lost => HostEnd::Lost { at_s: left.at_s, why },
            _ => HostEnd::Refused { why },
        });
    }

    /// Cuts the plan over the hosts that are there and sends every one its share.
    fn deal(&mut self) -> Result<(), ConductError> {
        let there: Vec<usize> = self.muster.phase.at(Step::Greeted);
        let mut seats = Vec::new();
        for host in &there {
            let post = &self.muster.posts[*host];
            let Some(sources) = source::of_host(&post.entrant.sources, &self.plan.sources, post.hello.as_ref()) else {
                self.gone(*host, "owns none of the addresses of --source-ips".to_owned());
                if self.muster.phase.at(Step::Greeted).is_empty() {
                    return Err(ConductError::SourceUnowned("every address named".to_owned()));
                }
                return Ok(());
            };
            seats.push(ArmedHost {
                weight: post.entrant.weight.max(1),
                sources,
            });
        }
        let in_use: Vec<IpAddr> = seats.iter().flat_map(|seat| seat.sources.iter().copied()).collect();
        if let Some(address) = source::unowned(&self.plan.sources, &in_use) {
            return Err(ConductError::SourceUnowned(address.to_string()));
        }
        if self.dealt {
            let text = format!(
                "shares were cut again over {} of {} hosts",
                there.len(),
                self.hosts.len()
            );
            self.warnings.push(("hosts".to_owned(), text));
        }
        for (host, mut share) in there.into_iter().zip(split(&self.plan, self.consent, &seats)) {
            if let Some(program) = &mut share.program {
                program.sent_unix_ms = unix_ms();
            }
            self.hosts[host].deal(&self.muster.posts[host], share);
        }
        self.dealt = true;
        self.muster.dealt();
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

    /// Tells every host the same instant, each in its own clock.
    fn start(&mut self) {
        let start = self.muster.start();
        if let Some(watching) = &mut self.watching {
            watching.started(start);
        }
        let grace = Duration::from_nanos(self.plan.limits.grace) + PATIENCE;
        self.deadline_ns = planned_end(&self.plan.load).map(|end| start + end + grace.as_nanos() as u64);
        let told = self.muster.posts.iter().zip(&self.hosts);
        let told = told.filter_map(|(post, host)| Some((post.entrant.name.as_str(), host.armed.as_ref()?)));
        for line in server::lines(&server::servers(told), &self.plan) {
            self.notify(Notice::Server { line });
        }
        let hosts = self.muster.phase.at(Step::Running).len();
        self.notify(Notice::Started { hosts });
    }

    fn drain(&mut self) {
        self.ended = Ended::Interrupted;
        for host in self.muster.phase.at(Step::Running) {
            self.muster.posts[host].tell(ToAgent::Drain);
        }
        let grace = Duration::from_nanos(self.plan.limits.grace) + PATIENCE;
        self.deadline_ns = Some(now_ns() + grace.as_nanos() as u64);
        self.notify(Notice::Draining);
    }

    fn tick(&mut self) {
        for (host, why) in self.muster.tick() {
            self.gone(host, why);
        }
        let now = now_ns();
        if self.deadline_ns.is_some_and(|deadline| now > deadline) {
            for host in self.muster.phase.at(Step::Running) {
                self.gone(host, "sent no report after its planned end".to_owned());
            }
        }
    }

    /// One line for the live view whenever all running hosts have sent another second.
    fn tell_second(&mut self) {
        let running = self.muster.phase.at(Step::Running);
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
        let refused = self.muster.posts.iter().zip(&self.hosts);
        let refused = refused.filter_map(|(post, host)| match &host.end {
            Some(HostEnd::Refused { why }) => Some((post.entrant.name.as_str(), why.as_str())),
            _ => None,
        });
        ConductError::too_few(left, self.hosts.len(), self.needed, refused)
    }

    pub(super) fn outcome(self) -> Outcome {
        let now = self.over_ns.unwrap_or_else(now_ns);
        let start = self.muster.start_ns.unwrap_or(now);
        let posts = self.muster.posts.into_iter();
        let hosts = posts
            .zip(self.hosts)
            .map(|(post, host)| host.outcome(post, now))
            .collect();
        Outcome {
            plan: self.plan,
            started_at: self.muster.started_at,
            duration_s: now.saturating_sub(start) as f64 / 1e9,
            ended: self.ended,
            hosts,
            warnings: self.warnings,
            watched: self.watching.map(Watching::finish),
        }
    }
}
