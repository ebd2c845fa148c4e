//! From launched to ready: address, first connection, timer verified, a host key of its own, a hello. Never here:
//! launching, and what becomes of a host that does not get ready.

use crate::agent_binary::AgentBinaries;
use crate::cli::greet::greet;
use crate::cli::units::show_duration;
use crate::fleet::host::Host;
use crate::fleet::ledger::{FleetFolder, FleetHost, known_keys, pin};
use crate::fleet::raise::{RaiseError, Raising};
use crate::fleet::survey::Site;
use crate::settle::{self, SettleError, Wants};
use crate::show;
use crate::signal::Signals;
use crate::transport::{Opened, Transport};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks at EC2 while hosts have no address.
const LOOK: Duration = Duration::from_millis(1500);
/// Between two tries to reach a host that boots.
const AGAIN: Duration = Duration::from_secs(2);

/// The clocks of EC2 and of this machine may differ by so much.
const CLOCKS_S: u64 = 30;

/// Why waiting ended early.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// EC2 or the ledger.
    #[error(transparent)]
    Raise(#[from] RaiseError),
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What hosts are reached with.
pub struct Reach {
    /// SSH, with this fleet's keys alone.
    pub transport: Arc<Transport>,
    /// Agents.
    pub binaries: Arc<AgentBinaries>,
}

/// Waits until every host of the ledger is ready; gives those that are not, with the reason.
pub async fn until_ready(
    raising: &mut Raising,
    sites: &[Site],
    reach: &Reach,
    patience: Duration,
    signals: &mut Signals,
) -> Result<BTreeMap<String, String>, NotReady> {
    let all = raising.ledger.hosts().count();
    let mut under_way = JoinSet::new();
    let mut tasks = BTreeMap::new();
    let mut begun = BTreeSet::new();
    let mut failed = BTreeMap::new();
    let files = Arc::new(Mutex::new(raising.folder.clone()));
    let deadline = Instant::now() + patience;
    loop {
        for host in fresh(raising, &begun) {
            begun.insert(host.id.clone());
            if let Some(address) = host.ssh_address() {
                show::say(&format!("{}: at {address}, waiting for its ssh", host.id));
            }
            let id = host.id.clone();
            let task = under_way.spawn(Errand::new(host, raising, reach, &files, deadline).run());
            tasks.insert(task.id(), id);
        }
        let ready = raising.ledger.hosts().filter(|(_, host)| host.ready).count();
        if raising
            .ledger
            .hosts()
            .all(|(_, host)| host.ready || failed.contains_key(&host.id))
        {
            return Ok(failed);
        }
        let looking = raising
            .ledger
            .hosts()
            .any(|(_, host)| !host.ready && !begun.contains(&host.id));
        if !looking && under_way.is_empty() {
            // hosts that came and went and came again
            let open = raising
                .ledger
                .hosts()
                .filter(|(_, host)| !host.ready && !failed.contains_key(&host.id));
            let open: Vec<String> = open.map(|(_, host)| host.id.clone()).collect();
            failed.extend(
                open.into_iter()
                    .map(|id| (id, "EC2 lost sight of it meanwhile".to_owned())),
            );
            continue;
        }
        tokio::select! {
            _ = signals.next() => return Err(NotReady::Interrupted),
            Some(ended) = under_way.join_next_with_id() => {
                let (task, outcome) = match ended {
                    Ok((task, outcome)) => (task, outcome),
                    Err(error) => (error.id(), Err(format!("this is a fault of swarm's own: {error}"))),
                };
                let id = tasks.remove(&task).unwrap_or_default();
                match outcome {
                    Ok(ends) => {
                        if let Some(host) = raising.ledger.host_mut(&id) {
                            host.ready = true;
                            host.boot_key = None;
                            // what its own timer says is what counts, when it says less
                            host.until = host.until.min(ends);
                        }
                        raising.ledger.write(&raising.folder).map_err(RaiseError::from)?;
                        show::say(&format!("{id}: ready ({} of {all})", ready + 1));
                    }
                    Err(why) => {
                        show::say(&format!("{id}: not ready: {why}"));
                        failed.insert(id, why);
                    }
                }
            }
            () = sleep(LOOK), if looking => {
                for site in sites {
                    raising.look(site).await?;
                }
                if Instant::now() > deadline {
                    let waited = show_duration(u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX));
                    let late = raising.ledger.hosts().filter(|(_, host)| !host.ready && !begun.contains(&host.id));
                    for (_, host) in late {
                        let why = format!("EC2 gave it no address within {waited} (--ready-timeout)");
                        show::say(&format!("{}: not ready: {why}", host.id));
                        failed.insert(host.id.clone(), why);
                    }
                    begun.extend(failed.keys().cloned());
                }
            }
        }
    }
}

/// The moment so many seconds from now, whole.
fn ends(seconds_left: u64) -> Timestamp {
    let left = SignedDuration::from_secs(i64::try_from(seconds_left).unwrap_or(i64::MAX));
    let at = Timestamp::now().saturating_add(left).unwrap_or(Timestamp::MAX);
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Hosts that have an address now and were not begun with.
fn fresh(raising: &Raising, begun: &BTreeSet<String>) -> Vec<FleetHost> {
    let waiting = raising
        .ledger
        .hosts()
        .filter(|(_, host)| !host.ready && !begun.contains(&host.id));
    waiting
        .filter(|(_, host)| host.address.is_some())
        .map(|(_, host)| host.clone())
        .collect()
}

/// One host's way from its address to its hello.
struct Errand {
    host: FleetHost,
    ssh: Host,
    transport: Arc<Transport>,
    binaries: Arc<AgentBinaries>,
    /// known_hosts is rewritten by one host at a time.
    files: Arc<Mutex<FleetFolder>>,
    ttl_s: u64,
    run: String,
    deadline: Instant,
}

/// Whether another try may help.
enum Trouble {
    Passing(String),
    Final(String),
}

impl Errand {
    fn new(
        host: FleetHost,
        raising: &Raising,
        reach: &Reach,
        files: &Arc<Mutex<FleetFolder>>,
        deadline: Instant,
    ) -> Self {
        Self {
            ssh: raising.ledger.as_host(&host),
            transport: Arc::clone(&reach.transport),
            binaries: Arc::clone(&reach.binaries),
            files: Arc::clone(files),
            // what the host was given when it was launched, whatever this command says
            ttl_s: host.until.duration_since(host.launched_at).as_secs().unsigned_abs() + CLOCKS_S,
            run: raising.run.clone(),
            host,
            deadline,
        }
    }

    /// When the host ends by its own timer, or why it is not ready.
    async fn run(self) -> Result<Timestamp, String> {
        let mut last = "it was not reached".to_owned();
        let mut number = 0;
        let trying = async {
            loop {
                number += 1;
                match self.once(number).await {
                    Ok(ends) => return Ok(ends),
                    Err(Trouble::Final(why)) => return Err(why),
                    Err(Trouble::Passing(why)) => last = why,
                }
                sleep(AGAIN).await;
            }
        };
        let outcome = timeout_at(self.deadline, trying).await;
        let late = || Err(format!("not within its time (--ready-timeout); at last: {last}"));
        outcome.unwrap_or_else(|_| late())
    }

    async fn once(&self, number: u32) -> Result<Timestamp, Trouble> {
        let address = self
            .host
            .ssh_address()
            .ok_or_else(|| Trouble::Final("it has no address".to_owned()))?;
        let boot = self.host.boot_key.clone();
        if number == 1
            && let Some(boot) = &boot
        {
            self.pin_first(address, boot)?;
        }
        let nonce = format!("{}{number}x{:x}", self.run, crate::clock::now_ns());
        let stream = match self.transport.open(&self.ssh, &nonce).await {
            Ok(Opened::Shell(stream) | Opened::Agent(stream)) => stream,
            Err(error) => return Err(Trouble::Passing(error.to_string())),
        };
        let wants = Wants {
            boot_public: boot.as_deref().unwrap_or_default(),
            ttl_s: self.ttl_s,
            addresses: self.host.private.iter().skip(1).copied().collect(),
            folders: settle::Folders::default(),
        };
        let both = |own: &str| {
            let keys: Vec<&str> = boot.as_deref().into_iter().chain([own]).collect();
            self.pin(address, &keys).map_err(std::io::Error::other)
        };
        let settled = settle::settle(
            stream,
            &self.ssh.name,
            &nonce,
            &wants,
            both,
            settle::Deadlines::default(),
        )
        .await;
        let settled = settled.map_err(|error| match error {
            SettleError::Timer { .. }
            | SettleError::NotRoot { .. }
            | SettleError::NoShell { .. }
            | SettleError::Unfit { .. } => Trouble::Final(error.to_string()),
            other => Trouble::Passing(other.to_string()),
        })?;
        let ends = ends(settled.seconds_left);
        for (address, added) in &settled.addresses {
            if let settle::Added::Not(why) = added {
                show::say(&format!("{}: {address} is no source: {why}", self.host.id));
            }
        }
        self.pin(address, &[settled.host_key.as_str()])
            .map_err(|error| Trouble::Final(error.to_string()))?;
        // a new connection: the host must now know its own key alone
        greet(&self.transport, &self.ssh, &self.binaries, &nonce)
            .await
            .map_err(|error| Trouble::Passing(error.to_string()))?;
        Ok(ends)
    }

    /// The boot key is put on file beside what is there: a key of the host's own, when an earlier `up` got that far.
    fn pin_first(&self, address: IpAddr, boot: &str) -> Result<(), Trouble> {
        let folder = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known_keys(&folder.known_hosts(), address).map_err(|error| Trouble::Final(error.to_string()))?;
        let others = known.iter().map(String::as_str).filter(|key| !key.contains(bare(boot)));
        let keys: Vec<&str> = std::iter::once(boot).chain(others).collect();
        pin(&folder.known_hosts(), address, &keys).map_err(|error| Trouble::Final(error.to_string()))
    }

    fn pin(&self, address: IpAddr, keys: &[&str]) -> Result<(), crate::state::StateError> {
        let folder = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        pin(&folder.known_hosts(), address, keys)
    }
}

/// The key itself, without its comment.
fn bare(key: &str) -> &str {
    key.split_whitespace().nth(1).unwrap_or(key)
}
