//! The fleet that a run comes from: what the ledger knows and EC2 still has, how it is reached, when it ends. Never here:
//! lists of hosts, load.

use super::fleet_access;
use super::units::{SECOND, comma, show_duration};
use crate::error::{Error, Exit};
use crate::fleet::host::Host;
use crate::fleet::ledger::{FleetFolder, Ledger};
use crate::plan::MinHosts;
use crate::show;
use crate::state::{Hold, Lock, State, lock};
use crate::transport::Transport;
use jiff::Timestamp;
use std::path::PathBuf;

/// A minute more than is needed is asked for.
const ROOM: u64 = 60 * SECOND;

/// What a run wants of its fleet.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Hosts that must be there.
    pub min_hosts: MinHosts,
    /// The command line names sources, which count instead of the hosts' own.
    pub own_sources: bool,
    /// How long the run takes at most, ns, where that is known.
    pub lasts: Option<u64>,
    /// Whether EC2 may be asked what it still has.
    pub network: bool,
}

/// A fleet that is used; nobody takes it down meanwhile.
pub struct Joined {
    ledger: Ledger,
    folder: FleetFolder,
    /// Its hosts that are ready.
    pub hosts: Vec<Host>,
    /// What is in doubt about it: `(kind, text)`.
    pub notes: Vec<(String, String)>,
    _used: Option<Lock>,
}

/// The fleet that is meant: the one that is named, else the only one that this machine knows or `default` among several.
/// `None`: there is none.
pub fn meant(named: Option<&str>, known: &[String]) -> Result<Option<String>, String> {
    match (named, known) {
        (Some(name), _) => Ok(Some(name.to_owned())),
        (None, []) => Ok(None),
        (None, [one]) => Ok(Some(one.clone())),
        (None, several) if several.iter().any(|name| name == "default") => Ok(Some("default".to_owned())),
        (None, several) => Err(format!(
            "several fleets are up ({}): name one with --fleet, or this machine with --local 1",
            several.join(", ")
        )),
    }
}

/// The fleets that the ledger of this machine knows.
pub fn known() -> Vec<String> {
    let Ok(state) = State::real() else {
        return Vec::new();
    };
    let names = state.fleets().unwrap_or_default();
    let says_something = |name: &String| {
        let folder = state.fleet(name).map(FleetFolder);
        // one that cannot be read is told by name when it is used
        folder.is_ok_and(|folder| Ledger::read(&folder).map_or(true, |ledger| ledger.is_some_and(|l| !l.is_empty())))
    };
    names.into_iter().filter(says_something).collect()
}

/// Takes the fleet of this name, as EC2 has it now, beside so many hosts of lists. Without a network
/// (`--dry-run`): as the ledger has it.
pub async fn join(wanted: Wanted, name: &str, beside: usize) -> Result<Joined, Error> {
    let state = State::real()?;
    let folder = FleetFolder(state.fleet(name)?);
    let ledger = Ledger::read(&folder)?;
    let mut ledger = ledger.ok_or_else(|| Error::Fleet {
        text: format!("--fleet {name}: not known on this machine: `swarm status` lists what there is, `swarm up -s N --fleet {name}` makes it"),
        exit: Exit::Usage,
    })?;
    let asked = ledger.hosts().count();
    let mut used = None;
    if wanted.network {
        used = Some(lock(
            &folder.use_lock(),
            Hold::Shared,
            &format!("fleet {name} is being taken down"),
        )?);
        reconciled(&mut ledger, name).await?;
    }
    let mut hosts = ledger.ready_hosts();
    if wanted.own_sources {
        hosts.iter_mut().for_each(|host| host.sources = None);
    }
    let mut notes = Vec::new();
    if hosts.len() < asked || asked == 0 {
        notes.push(short(wanted, name, hosts.len(), asked, beside)?);
    }
    let joined = Joined {
        ledger,
        folder,
        hosts,
        notes,
        _used: used,
    };
    joined.outlasts(wanted, name)?;
    Ok(joined)
}

/// Changes the ledger to what EC2 says, here and not on disk.
#[cfg(feature = "aws")]
async fn reconciled(ledger: &mut Ledger, name: &str) -> Result<(), Error> {
    use crate::fleet::ec2::Aws;
    use crate::fleet::owner::account;
    use crate::fleet::raise::reconcile;
    let had = ledger.hosts().next().is_some();
    let aws = Aws::connect(ledger.profile.as_deref()).await?;
    let regions: Vec<String> = ledger.regions.keys().cloned().collect();
    if let Some(first) = regions.first() {
        let arn = aws.caller(first).await?;
        if account(&arn) != account(&ledger.owner) {
            return Err(Error::Usage(
                format!(
                    "fleet {name} is in the AWS account {}, and these credentials are of {}: set AWS_PROFILE to the profile that it was made with",
                    account(&ledger.owner),
                    account(&arn)
                )
                .into(),
            ));
        }
    }
    let looks = regions
        .iter()
        .map(|region| async { aws.region(region).instances().await });
    let listed = futures_util::future::try_join_all(looks).await?;
    for (region, instances) in regions.iter().zip(&listed) {
        reconcile(ledger, region, instances);
    }
    match had && ledger.hosts().next().is_none() {
        true => Err(crate::cli::extend::gone(name)),
        false => Ok(()),
    }
}

#[cfg(not(feature = "aws"))]
async fn reconciled(_ledger: &mut Ledger, name: &str) -> Result<(), Error> {
    Err(Error::Usage(
        format!(
            "fleet {name} is on EC2, and this swarm was built without AWS (--no-default-features): build it with, or name hosts with --hosts, or this machine with --local 1"
        )
        .into(),
    ))
}

/// Some hosts are gone or not ready: the note that says so, where the others suffice.
fn short(wanted: Wanted, name: &str, there: usize, asked: usize, beside: usize) -> Result<(String, String), Error> {
    if asked == 0 {
        return Err(Error::NoLoad(format!(
            "fleet {name} has no host: `swarm up -s N --fleet {name}` launches some, `swarm down --fleet {name}` clears what is left of it"
        )));
    }
    let lacking = format!(
        "{} of {asked} hosts of fleet {name} are gone or not ready",
        asked - there
    );
    if there == 0 || there + beside < wanted.min_hosts.of(asked + beside) {
        return Err(Error::NoLoad(format!(
            "{lacking}: `swarm up -s {asked} --fleet {name}` brings them back; --min-hosts {} goes on without them",
            (there + beside).max(1)
        )));
    }
    Ok(("hosts".to_owned(), lacking))
}

impl Joined {
    /// SSH to its hosts.
    pub async fn transport(&self, ssh_config: Option<PathBuf>) -> Result<Transport, Error> {
        fleet_access::transport(&self.ledger, &self.folder, ssh_config).await
    }

    /// `fleet default: 8 hosts, 8 addresses, eu-west-1`
    pub fn from(&self) -> String {
        let addresses = self.ledger.hosts().filter(|(_, host)| host.ready);
        let addresses: usize = addresses.map(|(_, host)| host.private.len().max(1)).sum();
        let held = self
            .ledger
            .regions
            .iter()
            .filter(|(_, region)| !region.hosts.is_empty());
        let regions: Vec<&str> = held.map(|(name, _)| name.as_str()).collect();
        let plural =
            |n: usize, one: &str, more: &str| format!("{} {}", comma(n as u64), if n == 1 { one } else { more });
        format!(
            "fleet {}: {}, {}, {}",
            self.ledger.fleet,
            plural(self.hosts.len(), "host", "hosts"),
            plural(addresses, "address", "addresses"),
            regions.join(" ")
        )
    }

    /// `fleet has 2h41m left`
    pub fn ends(&self) -> Option<String> {
        self.left_s()
            .map(|left| format!("fleet has {} left", show::fleet::span(left)))
    }

    fn left_s(&self) -> Option<i64> {
        self.ledger
            .ends()
            .map(|ends| ends.duration_since(Timestamp::now()).as_secs())
    }

    /// A run that its hosts would not live to see the end of is refused.
    fn outlasts(&self, wanted: Wanted, name: &str) -> Result<(), Error> {
        let (Some(left), Some(needed)) = (self.left_s(), wanted.lasts) else {
            return Ok(());
        };
        if left > 0 && needed <= left.unsigned_abs() * SECOND {
            return Ok(());
        }
        // whole minutes, rounded up
        let ttl = (needed + ROOM).div_ceil(60 * SECOND) * 60 * SECOND;
        Err(Error::Usage(
            format!(
                "the run takes up to {}, and fleet {name} ends in {}: give it more time first: swarm extend --fleet {name} --ttl {}",
                show_duration(needed),
                show::fleet::span(left),
                show_duration(ttl)
            )
            .into(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_is_named_or_alone_or_the_default() {
        let known = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(meant(None, &[]), Ok(None));
        assert_eq!(meant(None, &known(&["a"])), Ok(Some("a".to_owned())));
        assert_eq!(meant(None, &known(&["a", "default"])), Ok(Some("default".to_owned())));
        assert_eq!(meant(Some("b"), &known(&["a", "c"])), Ok(Some("b".to_owned())));
        assert!(meant(None, &known(&["a", "b"])).unwrap_err().contains("a, b"));
    }
}
