//! Hosts of a `swarm check`: reached as for a run, then sent out to look at things, many at a time, each by an order of its
//! own. There is no common instant. Never here: what is to be looked at, and what it means.

use super::event::Event;
use super::{ConductError, Entrant};
use crate::link::LinkHandle;
use crate::plan::{MinHosts, SourceRange};
use crate::source;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use swarm_agent::wire::fault::{Fault, FaultKind};
use swarm_agent::wire::look::{Look, Order, Sight};
use swarm_agent::wire::message::{FromAgent, Hello, ToAgent};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A host that was reached is pinged at every fiftieth tick (a tick is about 20 ms), so that its agent stays.
const TICKS_BETWEEN_PINGS: u64 = 50;
/// What an agent does not answer so long after its order is over.
const OVERDUE: Duration = Duration::from_secs(10);

/// One host that was reached.
#[derive(Debug, Clone)]
pub struct Scouted {
    /// As the user named it.
    pub name: String,
    /// Addresses that it connects from; empty: as its routes choose.
    pub sources: Vec<IpAddr>,
}

/// The hosts, ready to look.
pub struct Scouts {
    /// Those that were reached, in the order of the list.
    pub hosts: Vec<Scouted>,
    /// Those that were not, and why.
    pub absent: Vec<(String, String)>,
    shared: Arc<Shared>,
    stop: CancellationToken,
    listening: JoinHandle<()>,
}

/// What the listener and the orders share.
#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    interrupted: CancellationToken,
}

#[derive(Default)]
struct Waiting {
    links: Vec<Option<LinkHandle>>,
    answers: HashMap<u32, (usize, oneshot::Sender<Result<Sight, Fault>>)>,
    /// Why a host is gone.
    gone: HashMap<usize, String>,
    next: u32,
}

/// One host while it is waited for.
enum Post {
    Awaited,
    There(LinkHandle, Box<Hello>),
    Gone(String),
}

impl Scouts {
    /// Waits until every host is reached or is known not to be, and goes on with those that are.
    pub async fn gather(
        entrants: Vec<Entrant>,
        of_run: &[SourceRange],
        min_hosts: MinHosts,
        mut events: mpsc::UnboundedReceiver<Event>,
    ) -> Result<Self, ConductError> {
        let mut posts: Vec<Post> = entrants.iter().map(|_| Post::Awaited).collect();
        let mut ticks = 0;
        while posts.iter().any(|post| matches!(post, Post::Awaited)) {
            match events.recv().await.ok_or(ConductError::Left)? {
                Event::Reached { host, link, hello, .. } => posts[host] = Post::There(link, hello),
                Event::Unreached { host, why } | Event::Closed { host, why } => posts[host] = Post::Gone(why),
                Event::Interrupted(_) => return Err(ConductError::Stopped),
                Event::Tick => {
                    ticks += 1;
                    let links = posts.iter().filter_map(|post| match post {
                        Post::There(link, _) => Some(link),
                        _ => None,
                    });
                    ping(ticks, links);
                }
                Event::Said { .. } | Event::Ponged { .. } | Event::Took { .. } | Event::Read(_) => {}
            }
        }
        let needed = min_hosts.of(entrants.len());
        let (mut hosts, mut links, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        let mut places = HashMap::new();
        for (number, (post, entrant)) in posts.into_iter().zip(&entrants).enumerate() {
            let gone = match post {
                Post::There(link, hello) => match source::of_host(&entrant.sources, of_run, Some(&hello)) {
                    Some(sources) => {
                        places.insert(number, hosts.len());
                        hosts.push(Scouted {
                            name: entrant.name.clone(),
                            sources,
                        });
                        links.push(Some(link));
                        continue;
                    }
                    None => "owns none of the addresses of --source-ips".to_owned(),
                },
                Post::Gone(why) => why,
                Post::Awaited => "was not reached".to_owned(),
            };
            refused.push((entrant.name.clone(), gone));
        }
        if hosts.len() < needed.max(1) {
            let refused = refused.iter().map(|(name, why)| (name.as_str(), why.as_str()));
            return Err(ConductError::too_few(
                hosts.len(),
                entrants.len(),
                needed.max(1),
                refused,
            ));
        }
        let in_use: Vec<IpAddr> = hosts.iter().flat_map(|host| &host.sources).copied().collect();
        if let Some(address) = source::unowned(of_run, &in_use) {
            return Err(ConductError::SourceUnowned(address.to_string()));
        }
        let shared = Arc::new(Shared::default());
        shared.waiting().links = links;
        let stop = CancellationToken::new();
        let listening = tokio::spawn(listen(Arc::clone(&shared), places, events, stop.clone()));
        Ok(Self {
            hosts,
            absent: refused,
            shared,
            stop,
            listening,
        })
    }

    /// Has a host look at something, for at most so long.
    pub async fn look(&self, host: usize, within: Duration, order: Order) -> Result<Sight, Fault> {
        let answer = {
            let mut waiting = self.shared.waiting();
            if let Some(why) = waiting.gone.get(&host) {
                return Err(lost(why));
            }
            let id = waiting.next;
            waiting.next = waiting.next.wrapping_add(1);
            let (tell, answer) = oneshot::channel();
            let look = Look {
                id,
                within: u64::try_from(within.as_nanos()).unwrap_or(u64::MAX),
                order,
            };
            let link = waiting.links.get(host).and_then(Option::as_ref);
            let sent = link.is_some_and(|link| link.send(ToAgent::Look(Box::new(look))).is_ok());
            if !sent {
                return Err(lost("its link is closed"));
            }
            waiting.answers.insert(id, (host, tell));
            answer
        };
        match tokio::time::timeout(within + OVERDUE, answer).await {
            Ok(Ok(sight)) => sight,
            Ok(Err(_)) => Err(lost("its link is closed")),
            Err(_) => Err(lost("its agent does not answer")),
        }
    }

    /// Ends when the user wants to stop.
    pub async fn interrupted(&self) {
        self.shared.interrupted.cancelled().await;
    }

    /// Ends every link.
    pub async fn close(self) {
        self.stop.cancel();
        self.listening.await.ok();
        let links: Vec<LinkHandle> = std::mem::take(&mut self.shared.waiting().links)
            .into_iter()
            .flatten()
            .collect();
        let closing = links.into_iter().map(|link| {
            link.send(ToAgent::Bye).ok();
            link.close()
        });
        futures_util::future::join_all(closing).await;
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what happens until it is stopped: answers go to whoever waits for them. `places`: number of a host in the list to
/// its place among those reached.
async fn listen(
    shared: Arc<Shared>,
    places: HashMap<usize, usize>,
    mut events: mpsc::UnboundedReceiver<Event>,
    stop: CancellationToken,
) {
    let mut ticks = 0;
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.recv() => event,
        };
        match event {
            Some(Event::Said {
                message: FromAgent::Saw(saw),
                ..
            }) => {
                let waited = shared.waiting().answers.remove(&saw.id);
                if let Some((_, tell)) = waited {
                    // whoever asked may have given up
                    tell.send(saw.sight).ok();
                }
            }
            Some(Event::Closed { host, why } | Event::Unreached { host, why }) => {
                if let Some(place) = places.get(&host) {
                    shared.waiting().leave(*place, &why);
                }
            }
            Some(Event::Tick) => {
                ticks += 1;
                ping(ticks, shared.waiting().links.iter().flatten());
            }
            Some(Event::Interrupted(_)) => shared.interrupted.cancel(),
            Some(
                Event::Said { .. } | Event::Ponged { .. } | Event::Took { .. } | Event::Read(_) | Event::Reached { .. },
            ) => {}
            None => return,
        }
    }
}

impl Waiting {
    fn leave(&mut self, host: usize, why: &str) {
        self.gone.insert(host, why.to_owned());
        let ids: Vec<u32> = self
            .answers
            .iter()
            .filter(|(_, (of, _))| *of == host)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            if let Some((_, tell)) = self.answers.remove(&id) {
                tell.send(Err(lost(why))).ok();
            }
        }
    }
}

fn ping<'a>(ticks: u64, links: impl Iterator<Item = &'a LinkHandle>) {
    if ticks.is_multiple_of(TICKS_BETWEEN_PINGS) {
        let seq = u32::try_from(ticks & 0xffff_ffff).unwrap_or_default();
        for link in links {
            // a link that is gone is told as an event of its own
            link.ping(seq).ok();
        }
    }
}

fn lost(why: &str) -> Fault {
    Fault::new(FaultKind::Local, format!("the host that looks was lost: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entrant(name: &str) -> Entrant {
        Entrant {
            name: name.into(),
            weight: 1,
            group: None,
            sources: Vec::new(),
        }
    }

    #[tokio::test]
    async fn hosts_that_are_not_reached_are_named() {
        let (tell, events) = mpsc::unbounded_channel();
        for host in [0, 1] {
            let why = format!("no route {host}");
            assert!(tell.send(Event::Unreached { host, why }).is_ok());
        }
        let gathered = Scouts::gather(vec![entrant("a"), entrant("b")], &[], MinHosts::Percent(100.0), events).await;
        let error = gathered.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(
            error.contains("0 of 2 hosts") && error.contains("a: no route 0") && error.contains("b: no route 1"),
            "{error}"
        );
    }

    #[test]
    fn whoever_waits_for_a_lost_host_is_told() {
        let mut waiting = Waiting::default();
        let (tell, mut answer) = oneshot::channel();
        let (other, mut kept) = oneshot::channel();
        waiting.answers.insert(1, (0, tell));
        waiting.answers.insert(2, (1, other));
        waiting.leave(0, "cable cut");
        let fault = answer.try_recv().unwrap().unwrap_err();
        assert!(fault.detail.contains("cable cut"), "{fault}");
        assert!(kept.try_recv().is_err(), "another host's answer");
    }
}
