//! The hosts of a run: from the words that name them to agents that said hello. Never here: what they do.

use super::crew_args::source_ranges;
use super::hosts::SshOptions;
use super::joined::Joined;
use crate::agent_binary::AgentBinaries;
use crate::cli::preview::Crew;
use crate::clock::now_ns;
use crate::conduct::Entrant;
use crate::conduct::event::Event;
use crate::conduct::sync::Sample;
use crate::deploy::{Deadlines, DeployError, deploy};
use crate::error::Error;
use crate::fleet::host::{Host, Origin};
use crate::link::{Link, LinkEvent};
use crate::plan::SourceRange;
use crate::signal::Signals;
use crate::transport::{Local, Transport};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Between two looks around of the conductor.
const TICK: Duration = Duration::from_millis(20);
/// How long agents and their connections may take to end.
const FAREWELL: Duration = Duration::from_secs(8);

/// What the preview says of them.
pub fn crew(hosts: &[Host], fleet: Option<&Joined>) -> Crew {
    let local = hosts
        .iter()
        .filter(|host| matches!(host.origin, Origin::Local(_)))
        .count();
    let named = hosts.iter().filter(|host| !is_fleet(host)).count() - local;
    let agents = |n: usize| {
        if n == 1 {
            "1 agent".to_owned()
        } else {
            format!("{n} agents")
        }
    };
    let listed = match (named, local) {
        (0, 0) => String::new(),
        (0, n) => format!("this machine: {}", agents(n)),
        (1, 0) => "1 host".to_owned(),
        (n, 0) => format!("{n} hosts"),
        (n, m) => format!("{n} hosts and this machine: {}", agents(m)),
    };
    let from = match (fleet.map(Joined::from), listed.as_str()) {
        (Some(fleet), "") => fleet,
        (Some(fleet), _) => format!("{fleet}; {listed}"),
        (None, _) => listed,
    };
    Crew {
        from,
        ends: fleet.and_then(Joined::ends),
        weights: hosts.iter().map(|host| host.weight).collect(),
        ..Crew::default()
    }
}

fn is_fleet(host: &Host) -> bool {
    matches!(host.origin, Origin::Fleet(_))
}

/// The hosts as the conductor is told of them.
pub fn entrants(hosts: &[Host]) -> Result<Vec<Entrant>, Error> {
    hosts
        .iter()
        .map(|host| {
            let sources = match &host.sources {
                Some(typed) => source_ranges(typed)
                    .map_err(|error| Error::Hosts(format!("{}: sources={typed}: {error}", host.origin).into()))?,
                None => Vec::<SourceRange>::new(),
            };
            Ok(Entrant {
                name: host.name.clone(),
                weight: host.weight,
                group: host.group.clone(),
                sources,
            })
        })
        .collect()
}

/// How a run's hosts are reached.
#[derive(Debug, Clone, Copy)]
pub struct Reach<'a> {
    /// Names the run.
    pub run: &'a str,
    /// How ssh is told to.
    pub ssh: &'a SshOptions,
    /// Agents of other architectures: `(x86_64, file)`.
    pub agent_binaries: &'a [(String, PathBuf)],
}

/// Everything that runs beside the conductor and sends it events.
pub struct Ways {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Ways {
    /// Begins to reach every host, to tick and to listen for interrupts; all of it arrives at `events`.
    pub async fn open(
        reach: Reach<'_>,
        hosts: &[Host],
        fleet: Option<&Joined>,
        events: &UnboundedSender<Event>,
    ) -> Result<Self, Error> {
        let signals = Signals::listen().map_err(|error| Error::Unexpected(Box::new(error)))?;
        let ways = Self {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        ways.spawn(tick(events.clone()));
        ways.spawn(interrupts(signals, events.clone()));
        let typed: Vec<String> = reach
            .agent_binaries
            .iter()
            .map(|(arch, file)| format!("{arch}={}", file.display()))
            .collect();
        let binaries = AgentBinaries::with_overrides(&typed).map_err(|error| Error::Usage(error.to_string().into()))?;
        let binaries = Arc::new(binaries);
        let transports = Transports::of(reach, hosts, fleet, &binaries).await?;
        for (index, host) in hosts.iter().enumerate() {
            let errand = Errand {
                index,
                host: host.clone(),
                transport: transports.of_host(host)?,
                binaries: Arc::clone(&binaries),
                nonce: nonce(reach.run, index),
                events: events.clone(),
            };
            ways.spawn(errand.run());
        }
        Ok(ways)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Ends what runs beside and waits until agents and connections are gone.
    pub async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        // an agent that hears nothing stops by itself
        let _ = tokio::time::timeout(FAREWELL, self.tasks.wait()).await;
    }

    /// Ends what runs beside without waiting.
    pub fn leave(self) {
        self.stop.cancel();
    }
}

/// The transports of a run, each opened once.
struct Transports {
    ssh: Option<Arc<Transport>>,
    fleet: Option<Arc<Transport>>,
    local: Option<Arc<Transport>>,
}

impl Transports {
    async fn of(
        reach: Reach<'_>,
        hosts: &[Host],
        fleet: Option<&Joined>,
        binaries: &AgentBinaries,
    ) -> Result<Self, Error> {
        let is_local = |host: &&Host| matches!(host.origin, Origin::Local(_));
        let local = match hosts.iter().find(is_local) {
            Some(_) => {
                let arch = std::env::consts::ARCH;
                let agent = binaries.for_arch(arch).ok_or_else(|| {
                    Error::NoLoad(format!(
                        "there is no agent for this machine: give one with --agent-binary {arch}=FILE"
                    ))
                })?;
                let local = Local::new(agent)
                    .await
                    .map_err(|error| Error::Transport(Box::new(error)))?;
                Some(Arc::new(Transport::Local(local)))
            }
            None => None,
        };
        let ssh = if hosts.iter().any(|host| !is_local(&host) && !is_fleet(host)) {
            Some(Arc::new(Transport::Ssh(reach.ssh.open().await?)))
        } else {
            None
        };
        let fleet = match fleet {
            Some(joined) => Some(Arc::new(joined.transport(reach.ssh.config.clone()).await?)),
            None => None,
        };
        Ok(Self { ssh, fleet, local })
    }

    fn of_host(&self, host: &Host) -> Result<Arc<Transport>, Error> {
        let transport = match host.origin {
            Origin::Local(_) => &self.local,
            Origin::Fleet(_) => &self.fleet,
            Origin::Flag | Origin::File { .. } => &self.ssh,
        };
        transport
            .clone()
            .ok_or_else(|| Error::Unexpected(format!("no transport for {}", host.name).into()))
    }
}

/// One host's way: reach, deploy, greet, then pass on what it says.
struct Errand {
    index: usize,
    host: Host,
    transport: Arc<Transport>,
    binaries: Arc<AgentBinaries>,
    nonce: String,
    events: UnboundedSender<Event>,
}

impl Errand {
    async fn run(self) {
        let host = self.index;
        let (link, mut hearing) = match deploy(
            &self.transport,
            &self.host,
            &self.binaries,
            &self.nonce,
            Deadlines::default(),
        )
        .await
        {
            Ok(stream) => Link::start(stream, &self.nonce),
            Err(error) => {
                let hint = match (&self.host.origin, &error) {
                    (Origin::Fleet(name), DeployError::Transport(_)) => format!(
                        "; a fleet's hosts let in the address that `swarm up` came from: if this machine's has changed, run \
                         `swarm up` for fleet {name} again"
                    ),
                    _ => String::new(),
                };
                return self.tell(Event::Unreached {
                    host,
                    why: chain(&error) + &hint,
                });
            }
        };
        match hearing.recv().await {
            Some(LinkEvent::Hello(hello)) => {
                self.tell(Event::Reached {
                    host,
                    link,
                    hello,
                    address: self.host.address.clone(),
                });
            }
            Some(LinkEvent::Closed { why }) => return self.tell(Event::Unreached { host, why }),
            _ => {
                return self.tell(Event::Unreached {
                    host,
                    why: "its agent said no hello".to_owned(),
                });
            }
        }
        while let Some(event) = hearing.recv().await {
            if let Some(event) = passed_on(host, event) {
                self.tell(event);
            }
        }
    }

    fn tell(&self, event: Event) {
        // a conductor that is gone wants no events
        let _ = self.events.send(event);
    }
}

fn passed_on(host: usize, event: LinkEvent) -> Option<Event> {
    match event {
        LinkEvent::Message { message, .. } => Some(Event::Said { host, message }),
        LinkEvent::Pong {
            sent_ns,
            agent_received_ns,
            agent_sent_ns,
            received_ns,
            queued,
            ..
        } => {
            let sample = Sample {
                sent: sent_ns,
                agent_received: agent_received_ns,
                agent_sent: agent_sent_ns,
                received: received_ns,
            };
            Some(Event::Ponged {
                host,
                sample: (!queued).then_some(sample),
            })
        }
        LinkEvent::Closed { why } => Some(Event::Closed { host, why }),
        LinkEvent::Hello(_) => None,
    }
}

async fn tick(events: UnboundedSender<Event>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if events.send(Event::Tick).is_err() {
            return;
        }
    }
}

async fn interrupts(mut signals: Signals, events: UnboundedSender<Event>) {
    loop {
        let interrupt = signals.next().await;
        if events.send(Event::Interrupted(interrupt)).is_err() {
            return;
        }
    }
}

/// Marks this run's lines among whatever a login shell prints; not a secret.
fn nonce(run: &str, index: usize) -> String {
    let word: String = run.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{}{index}x{:x}", word.to_ascii_lowercase(), now_ns())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
