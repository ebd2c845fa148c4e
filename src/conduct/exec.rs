//! Conducts `swarm exec`: the same way to one instant as an attack, then what the commands print and the files they leave,
//! taken on credit, until the last host has ended. Never here: printing, files, SSH, AWS.

use super::event::Event;
use super::muster::Muster;
use super::outcome::{Clock, Ended as RunEnded};
use super::phase::{Next, Step};
use super::{ConductError, Entrant};
use crate::clock::now_ns;
use crate::order::{Hired, OrderPlan, source_of};
use crate::signal::Interrupt;
use crate::source;
use std::net::IpAddr;
use std::time::Duration;
use swarm_agent::wire::exec::{Ended, FromExec, Order, ToExec, WINDOW};
use swarm_agent::wire::message::{FromAgent, ToAgent};
use tokio::sync::mpsc;

/// A host that was told to end its command, or whose time is over, is given up when nothing more comes for so long: SIGTERM,
/// SIGKILL and a disk that takes files back need their time.
const PATIENCE: Duration = Duration::from_secs(45);

/// What the commands came to.
#[derive(Debug, Clone)]
pub struct ExecOutcome {
    /// Wall-clock start, for the report alone.
    pub started_at: jiff::Timestamp,
    /// From the instant to the last end.
    pub duration_s: f64,
    /// How it ended.
    pub ended: RunEnded,
    /// Every host that was asked for, in the order of the list.
    pub hosts: Vec<ExecHost>,
    /// Doubts that arose on the way: `(kind, text)`.
    pub warnings: Vec<(String, String)>,
}

/// One host.
#[derive(Debug, Clone)]
pub struct ExecHost {
    /// As the user named it.
    pub name: String,
    /// Address it was reached at.
    pub address: String,
    /// What it was to run, when it got so far.
    pub order: Option<Order>,
    /// Its clock against the controller's.
    pub clock: Option<Clock>,
    /// How it ended.
    pub end: ExecEnd,
}

/// How one host ended.
#[derive(Debug, Clone)]
pub enum ExecEnd {
    /// Its agent said how.
    Ended(Ended),
    /// It went missing: seconds after the instant, and why.
    Lost {
        /// Seconds.
        at_s: f64,
        /// Cause.
        why: String,
    },
    /// It never started.
    Refused {
        /// Cause and way out.
        why: String,
    },
}

/// What whoever listens is told.
#[derive(Debug)]
pub enum Heard {
    /// A host went missing after the start.
    Gone {
        /// Number of the host.
        host: usize,
        /// Why.
        why: String,
    },
    /// A command printed something, or a file came back. Its bytes are owed an [`Event::Took`].
    Said {
        /// Number of the host.
        host: usize,
        /// What.
        said: FromExec,
    },
    /// The first interrupt came.
    Draining,
}

/// Bytes of a message that are on credit.
pub fn weight(said: &FromExec) -> usize {
    match said {
        FromExec::Output { bytes, .. } | FromExec::Piece(bytes) => bytes.len(),
        FromExec::Took(_) | FromExec::File { .. } | FromExec::NoFile { .. } | FromExec::Ended(_) => 0,
    }
}

/// Conducts the run and returns what it came to.
pub async fn exec(
    plan: &OrderPlan,
    entrants: Vec<Entrant>,
    mut events: mpsc::UnboundedReceiver<Event>,
    heard: mpsc::UnboundedSender<Heard>,
) -> Result<ExecOutcome, ConductError> {
    let needed = plan.min_hosts.of(entrants.len());
    let mut conductor = Conductor {
        plan,
        seats: entrants.iter().map(|_| Seat::default()).collect(),
        muster: Muster::new(entrants, needed),
        needed,
        heard,
        ended: RunEnded::Complete,
        deadline_ns: None,
        warnings: Vec::new(),
    };
    let ended = conductor.run(&mut events).await;
    if !matches!(ended, Err(ConductError::Left)) {
        conductor.muster.close(events).await;
    }
    ended.map(|()| conductor.outcome())
}

/// What is known of one host beside its post.
#[derive(Default)]
struct Seat {
    order: Option<Order>,
    end: Option<ExecEnd>,
    /// Bytes of the uploads that were sent, and those of them that the agent has not taken yet.
    sent: u64,
    flying: usize,
    /// Bytes that came and were not taken yet.
    owed: usize,
    said_ns: u64,
}

struct Conductor<'a> {
    plan: &'a OrderPlan,
    muster: Muster,
    seats: Vec<Seat>,
    needed: usize,
    heard: mpsc::UnboundedSender<Heard>,
    ended: RunEnded,
    deadline_ns: Option<u64>,
    warnings: Vec<(String, String)>,
}

impl Conductor<'_> {
    async fn run(&mut self, events: &mut mpsc::UnboundedReceiver<Event>) -> Result<(), ConductError> {
        loop {
            match self.muster.phase.next() {
                Next::TooFew { left } => return Err(self.too_few(left)),
                Next::Deal => {
                    self.deal()?;
                    continue;
                }
                Next::Start if self.muster.clocks_are_known() => {
                    let start = self.muster.start();
                    self.deadline_ns = self.plan.timeout.map(|timeout| start + timeout);
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

    fn take(&mut self, event: Event) -> Result<(), ConductError> {
        match event {
            Event::Reached {
                host,
                link,
                hello,
                address,
            } => self.muster.reached(host, link, *hello, address),
            Event::Unreached { host, why } | Event::Closed { host, why } => self.gone(host, why),
            Event::Said { host, message } => self.said(host, message),
            Event::Ponged { host, sample } => self.muster.ponged(host, sample),
            Event::Took { host, bytes } => self.took(host, bytes),
            // nothing is read beside commands
            Event::Read(_) => {}
            Event::Interrupted(Interrupt::Leave) => return Err(ConductError::Left),
            Event::Interrupted(Interrupt::Drain) if !self.muster.phase.started() => return Err(ConductError::Stopped),
            Event::Interrupted(Interrupt::Drain) => self.drain(),
            Event::Tick => self.tick(),
        }
        Ok(())
    }

    fn said(&mut self, host: usize, message: FromAgent) {
        self.muster.heard(host);
        self.seats[host].said_ns = now_ns();
        match message {
            FromAgent::Armed(armed) => {
                let round = self.seats[host].order.as_ref().map(|order| order.round);
                if round == Some(armed.round) {
                    self.muster.phase.came(host, Step::Armed);
                }
            }
            FromAgent::Refused { reason } => self.gone(host, reason),
            FromAgent::Exec(FromExec::Took(bytes)) => {
                let seat = &mut self.seats[host];
                seat.flying = seat.flying.saturating_sub(bytes as usize);
                self.muster.busy_ns = Some(now_ns());
                self.upload(host);
            }
            FromAgent::Exec(FromExec::Ended(ended)) => {
                self.seats[host].end = Some(ExecEnd::Ended(ended));
                self.muster.phase.came(host, Step::Reported);
            }
            FromAgent::Exec(said) => self.pass_on(host, said),
            // a second hello changes nothing, pongs are the link's, and no share was sent
            FromAgent::Hello(_)
            | FromAgent::Pong { .. }
            | FromAgent::Interval(_)
            | FromAgent::Report(_)
            | FromAgent::Trace { .. }
            | FromAgent::Saw(_) => {}
        }
    }

    /// Hands on what a command printed, unless its host sends more than it may.
    fn pass_on(&mut self, host: usize, said: FromExec) {
        if self.muster.phase.step(host) != Step::Running {
            return;
        }
        let bytes = weight(&said);
        let seat = &mut self.seats[host];
        seat.owed += bytes;
        if seat.owed > WINDOW {
            return self.gone(host, "its agent sent more than was asked for".to_owned());
        }
        // once everything is to end, a reader that has stopped must not hold up the end
        if self.ended == RunEnded::Interrupted {
            self.took(host, u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        self.tell(Heard::Said { host, said });
    }

    fn took(&mut self, host: usize, bytes: u32) {
        let seat = &mut self.seats[host];
        let taken = seat.owed.min(bytes as usize);
        seat.owed -= taken;
        if taken > 0 {
            let took = ToExec::Took(u32::try_from(taken).unwrap_or(u32::MAX));
            self.muster.posts[host].tell(ToAgent::Exec(took));
        }
    }

    /// Sends as much of the uploads as may be under way.
    fn upload(&mut self, host: usize) {
        let seat = &mut self.seats[host];
        while seat.flying < WINDOW
            && let Some(piece) = self.plan.piece(seat.sent)
        {
            seat.sent += piece.len() as u64;
            seat.flying += piece.len();
            self.muster.posts[host].tell(ToAgent::Exec(ToExec::Piece(piece.to_vec().into())));
        }
    }

    /// Gives every host that is there its order.
    fn deal(&mut self) -> Result<(), ConductError> {
        let there = self.muster.phase.at(Step::Greeted);
        let mut sources = Vec::new();
        for host in &there {
            let post = &self.muster.posts[*host];
            let Some(own) = source::of_host(&post.entrant.sources, &self.plan.sources, post.hello.as_ref()) else {
                self.gone(*host, "owns none of the addresses of --source-ips".to_owned());
                return match self.muster.phase.at(Step::Greeted).is_empty() {
                    true => Err(ConductError::SourceUnowned("every address named".to_owned())),
                    false => Ok(()),
                };
            };
            sources.push(own);
        }
        let in_use: Vec<IpAddr> = sources.iter().flatten().copied().collect();
        if let Some(address) = source::unowned(&self.plan.sources, &in_use) {
            return Err(ConductError::SourceUnowned(address.to_string()));
        }
        let again = self.seats.iter().any(|seat| seat.order.is_some());
        if again {
            let text = format!(
                "orders were given again, over {} of {} hosts",
                there.len(),
                self.seats.len()
            );
            self.warnings.push(("hosts".to_owned(), text));
        }
        let hired = there.iter().zip(&sources).map(|(host, own)| {
            let post = &self.muster.posts[*host];
            Hired {
                name: &post.entrant.name,
                weight: post.entrant.weight.max(1),
                source: source_of(own, post.hello.as_ref()),
            }
        });
        let orders = self.plan.orders(&hired.collect::<Vec<_>>());
        for (host, mut order) in there.into_iter().zip(orders) {
            let seat = &mut self.seats[host];
            order.round = seat.order.as_ref().map_or(0, |last| last.round + 1);
            self.muster.posts[host].tell(ToAgent::Exec(ToExec::Order(order.clone())));
            (seat.order, seat.sent, seat.flying) = (Some(order), 0, 0);
            self.upload(host);
        }
        self.muster.dealt();
        Ok(())
    }

    fn gone(&mut self, host: usize, why: String) {
        let Some(left) = self.muster.leave(host) else {
            return;
        };
        // before the start the refusals are told together, with what follows from them
        if !left.before_start {
            self.tell(Heard::Gone { host, why: why.clone() });
        }
        self.seats[host].end = Some(match self.muster.phase.step(host) {
            Step::Lost => ExecEnd::Lost { at_s: left.at_s, why },
            _ => ExecEnd::Refused { why },
        });
    }

    fn drain(&mut self) {
        self.ended = RunEnded::Interrupted;
        self.deadline_ns = Some(now_ns());
        for host in self.muster.phase.at(Step::Running) {
            self.muster.posts[host].tell(ToAgent::Drain);
            let owed = u32::try_from(self.seats[host].owed).unwrap_or(u32::MAX);
            self.took(host, owed);
        }
        self.tell(Heard::Draining);
    }

    fn tick(&mut self) {
        for (host, why) in self.muster.tick() {
            self.gone(host, why);
        }
        let now = now_ns();
        if let Some(deadline) = self.deadline_ns {
            for host in self.muster.phase.at(Step::Running) {
                // what is owed by us is no fault of the host
                let seat = &self.seats[host];
                let overdue = now > deadline.max(seat.said_ns) + PATIENCE.as_nanos() as u64;
                if overdue && seat.owed == 0 {
                    self.gone(host, "did not say that its command has ended".to_owned());
                }
            }
        }
    }

    fn tell(&self, heard: Heard) {
        // a listener that is gone wants to hear no more
        let _ = self.heard.send(heard);
    }

    fn too_few(&self, left: usize) -> ConductError {
        let refused = self.muster.posts.iter().zip(&self.seats);
        let refused = refused.filter_map(|(post, seat)| match &seat.end {
            Some(ExecEnd::Refused { why }) => Some((post.entrant.name.as_str(), why.as_str())),
            _ => None,
        });
        ConductError::too_few(left, self.seats.len(), self.needed, refused)
    }

    fn outcome(self) -> ExecOutcome {
        let now = now_ns();
        let start = self.muster.start_ns.unwrap_or(now);
        let hosts = self.muster.posts.into_iter().zip(self.seats);
        ExecOutcome {
            started_at: self.muster.started_at,
            duration_s: now.saturating_sub(start) as f64 / 1e9,
            ended: self.ended,
            warnings: self.warnings,
            hosts: hosts
                .map(|(post, seat)| ExecHost {
                    clock: post.clock_at(now),
                    name: post.entrant.name,
                    address: post.address,
                    order: seat.order,
                    end: seat.end.unwrap_or(ExecEnd::Refused {
                        why: "was not started".to_owned(),
                    }),
                })
                .collect(),
        }
    }
}
