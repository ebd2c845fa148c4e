//! The ledger: what we own in EC2, written before the call that makes it and again with its answer. No secrets stand
//! in it. Never here: calls to EC2, SSH.

use super::host::{Host, Origin};
use crate::state::{self, StateError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The form of the file.
pub const SCHEMA: &str = "swarm.ledger/1";

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file.
    #[error(transparent)]
    State(#[from] StateError),
    /// What stands in it.
    #[error("the ledger {} cannot be read ({source}): move it away; `swarm down` works from the tags in EC2 without it", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: serde_json::Error,
    },
}

/// One fleet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ledger {
    /// [`SCHEMA`].
    pub schema: String,
    /// Its name.
    pub fleet: String,
    /// `swarm:owner` of everything in it.
    pub owner: String,
    /// Login name on its hosts.
    pub login: String,
    /// The user's own private key, with `--key`; else the throwaway one beside the ledger.
    pub identity: Option<PathBuf>,
    /// `--key`, the user's key pair in EC2, for hosts that are added later.
    pub key: Option<String>,
    /// `--ssh-from`, likewise.
    pub ssh_from: Option<String>,
    /// `--profile`, for later commands.
    pub profile: Option<String>,
    /// Ours by region.
    pub regions: BTreeMap<String, Region>,
}

/// What a fleet has in one region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Region {
    /// Its security group.
    pub group: Option<Group>,
    /// Launches that were asked for.
    #[serde(default)]
    pub launches: Vec<Launch>,
    /// Hosts that EC2 has told us of.
    #[serde(default)]
    pub hosts: Vec<FleetHost>,
    /// Elastic IPs.
    #[serde(default)]
    pub elastic: Vec<Elastic>,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name in EC2; known before it is made.
    pub name: String,
    /// Known after.
    pub id: Option<String>,
    /// Whether swarm makes it and takes it away.
    pub ours: bool,
}

/// One call of RunInstances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// Its client token.
    pub token: String,
    /// How many hosts were asked for.
    pub count: u32,
    /// Where.
    pub subnet: String,
    /// When.
    pub at: Timestamp,
    /// When its hosts shut themselves down.
    pub until: Timestamp,
    /// The host key that they boot with (public).
    pub boot_key: String,
    /// USD per hour of one of its hosts, where known: the instance alone.
    pub hourly: Option<f64>,
    /// How it went.
    pub state: LaunchState,
}

/// What is known of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchState {
    /// About to be asked for, or asked without an answer.
    Asked,
    /// Answered: its hosts are in the list.
    Answered,
    /// Refused: it made nothing.
    Refused,
}

/// An Elastic IP: when its id is not known yet, its tags are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elastic {
    /// Allocation id.
    pub id: String,
    /// The address.
    pub address: IpAddr,
    /// Instance and its private address that it belongs to.
    pub of: Option<(String, IpAddr)>,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FleetHost {
    /// Instance id.
    pub id: String,
    /// The `up` that launched it.
    pub run: String,
    /// Instance type.
    pub kind: String,
    /// Availability zone.
    pub zone: String,
    /// Public address, as soon as it has one.
    pub address: Option<IpAddr>,
    /// Private addresses, the primary one first.
    pub private: Vec<IpAddr>,
    /// When EC2 launched it.
    pub launched_at: Timestamp,
    /// When it shuts itself down.
    pub until: Timestamp,
    /// Spot or on demand.
    pub spot: bool,
    /// USD per hour when it was launched, where known: the instance alone.
    pub hourly: Option<f64>,
    /// The shared host key it boots with (public), until it has one of its own.
    pub boot_key: Option<String>,
    /// It answered a hello, its timer was verified and its own host key is on file.
    pub ready: bool,
}

impl Region {
    /// Whether there are hosts, or a launch whose outcome is not known.
    pub fn may_have_hosts(&self) -> bool {
        let open = |launch: &Launch| launch.state == LaunchState::Asked;
        !self.hosts.is_empty() || self.launches.iter().any(open)
    }
}

impl FleetHost {
    /// Where SSH goes.
    pub fn ssh_address(&self) -> Option<IpAddr> {
        self.address.or_else(|| self.private.first().copied())
    }
}

/// The files of a fleet.
#[derive(Debug, Clone)]
pub struct FleetFolder(pub PathBuf);

impl FleetFolder {
    /// The ledger.
    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger.json")
    }

    /// The throwaway login key; `.pub` lies beside it.
    pub fn login_key(&self) -> PathBuf {
        self.0.join("login_key")
    }

    /// The hosts' keys, boot keys first.
    pub fn known_hosts(&self) -> PathBuf {
        self.0.join("known_hosts")
    }

    /// Held by `up`, `extend` and `down`, by one at a time.
    pub fn work_lock(&self) -> PathBuf {
        self.0.join("work.lock")
    }

    /// Held by whatever uses the fleet's hosts.
    pub fn use_lock(&self) -> PathBuf {
        self.0.join("use.lock")
    }

    /// Takes all of it away.
    pub fn remove(&self) -> std::io::Result<()> {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Ledger {
    /// An empty one.
    pub fn new(fleet: &str, owner: &str, login: &str) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            fleet: fleet.to_owned(),
            owner: owner.to_owned(),
            login: login.to_owned(),
            identity: None,
            key: None,
            ssh_from: None,
            profile: None,
            regions: BTreeMap::new(),
        }
    }

    /// Reads a fleet's ledger; `None` where there is none.
    pub fn read(folder: &FleetFolder) -> Result<Option<Self>, LedgerError> {
        let path = folder.ledger();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(LedgerError::State(StateError::File {
                    action: "read",
                    path,
                    source,
                }));
            }
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|source| LedgerError::Form { path, source })
    }

    /// Writes it, on disk when this returns.
    pub fn write(&self, folder: &FleetFolder) -> Result<(), LedgerError> {
        state::make_folder(&folder.0)?;
        let path = folder.ledger();
        let mut text = serde_json::to_string_pretty(self).map_err(|source| LedgerError::Form {
            path: path.clone(),
            source,
        })?;
        text.push('\n');
        Ok(state::write_atomic(&path, text.as_bytes())?)
    }

    /// Whether it names nothing of ours.
    pub fn is_empty(&self) -> bool {
        self.regions.values().all(|region| {
            let group = region.group.as_ref().is_some_and(|group| group.ours);
            region.hosts.is_empty() && region.elastic.is_empty() && !group
        }) && self.unanswered().next().is_none()
    }

    /// What is in a region, made where nothing was.
    pub fn region(&mut self, name: &str) -> &mut Region {
        self.regions.entry(name.to_owned()).or_default()
    }

    /// All hosts, with their regions.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, &FleetHost)> {
        self.regions
            .iter()
            .flat_map(|(region, held)| held.hosts.iter().map(move |host| (region.as_str(), host)))
    }

    /// Where each host's connections to a public target come from: its own address and its Elastic IPs. By instance id.
    pub fn public_sources(&self) -> Vec<(String, Vec<IpAddr>)> {
        let regions = self.regions.values();
        let hosts = regions.flat_map(|held| held.hosts.iter().map(move |host| (held, host)));
        hosts
            .filter_map(|(held, host)| {
                let elastic = held.elastic.iter().filter(|elastic| {
                    let of = elastic.of.as_ref();
                    of.is_some_and(|(id, _)| *id == host.id) && host.address != Some(elastic.address)
                });
                let all: Vec<IpAddr> = host
                    .address
                    .into_iter()
                    .chain(elastic.map(|elastic| elastic.address))
                    .collect();
                (!all.is_empty()).then(|| (host.id.clone(), all))
            })
            .collect()
    }

    /// A host by its instance id.
    pub fn host_mut(&mut self, id: &str) -> Option<&mut FleetHost> {
        self.regions
            .values_mut()
            .flat_map(|region| &mut region.hosts)
            .find(|host| host.id == id)
    }

    /// The moment at which the first host ends.
    pub fn ends(&self) -> Option<Timestamp> {
        self.hosts().map(|(_, host)| host.until).min()
    }

    /// Launches that were asked for and of whose answer nothing is known.
    pub fn unanswered(&self) -> impl Iterator<Item = (&str, &Launch)> {
        self.regions
            .iter()
            .flat_map(|(region, held)| held.launches.iter().map(move |launch| (region.as_str(), launch)))
            .filter(|(_, launch)| launch.state == LaunchState::Asked)
    }

    /// The file of the private key that logs in.
    pub fn login_key(&self, folder: &FleetFolder) -> PathBuf {
        self.identity.clone().unwrap_or_else(|| folder.login_key())
    }

    /// A host as ssh reaches it, called by its instance id.
    pub fn as_host(&self, host: &FleetHost) -> Host {
        Host {
            name: host.id.clone(),
            user: Some(self.login.clone()),
            address: host
                .ssh_address()
                .map(|address| address.to_string())
                .unwrap_or_default(),
            port: None,
            weight: 1,
            group: None,
            sources: None,
            origin: Origin::Fleet(self.fleet.clone()),
        }
    }

    /// The hosts that are ready, as a run takes them: named by address, grouped by region where there are several.
    pub fn ready_hosts(&self) -> Vec<Host> {
        let grouped = self.regions.values().filter(|region| !region.hosts.is_empty()).count() > 1;
        let ready = self.hosts().filter(|(_, host)| host.ready);
        ready
            .filter_map(|(region, host)| {
                let address = host.ssh_address()?;
                let several = host.private.len() > 1;
                Some(Host {
                    name: address.to_string(),
                    group: grouped.then(|| region.to_owned()),
                    sources: several.then(|| joined(&host.private)),
                    ..self.as_host(host)
                })
            })
            .collect()
    }
}

fn joined(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
}

/// The keys that known_hosts has for an address.
pub fn known_keys(known_hosts: &Path, address: IpAddr) -> Result<Vec<String>, StateError> {
    let own = format!("{address} ");
    let text = read_known(known_hosts)?;
    Ok(text
        .lines()
        .filter_map(|line| line.strip_prefix(&own))
        .map(str::to_owned)
        .collect())
}

/// Puts a host's keys into known_hosts in the place of what was there for it; several keys are all accepted.
pub fn pin(known_hosts: &Path, address: IpAddr, keys: &[&str]) -> Result<(), StateError> {
    let own = format!("{address} ");
    let mut text: String = read_known(known_hosts)?
        .lines()
        .filter(|line| !line.starts_with(&own))
        .flat_map(|line| [line, "\n"])
        .collect();
    for key in keys {
        // a comment after the key says nothing to ssh
        let bare = key.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        text.push_str(&format!("{own}{bare}\n"));
    }
    state::write_atomic(known_hosts, text.as_bytes())
}

fn read_known(known_hosts: &Path) -> Result<String, StateError> {
    match std::fs::read_to_string(known_hosts) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        other => other.map_err(|source| StateError::File {
            action: "read",
            path: known_hosts.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(id: &str, private: &[&str]) -> FleetHost {
        FleetHost {
            id: id.to_owned(),
            run: "r".to_owned(),
            kind: "t2.micro".to_owned(),
            zone: "us-east-1a".to_owned(),
            address: Some("203.0.113.7".parse().unwrap()),
            private: private.iter().map(|a| a.parse().unwrap()).collect(),
            launched_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            until: "2026-01-01T02:00:00Z".parse().unwrap(),
            spot: false,
            hourly: Some(0.0116),
            boot_key: None,
            ready: true,
        }
    }

    #[test]
    fn it_is_written_and_read_and_taken_away() {
        let place = tempfile::tempdir().unwrap();
        let folder = FleetFolder(place.path().join("fleets/default"));
        assert!(Ledger::read(&folder).unwrap().is_none());
        let mut ledger = Ledger::new("default", "arn@x", "ec2-user");
        ledger.region("us-east-1").hosts.push(host("i-1", &["10.0.0.1"]));
        ledger.region("us-east-1").launches.push(Launch {
            token: "t".to_owned(),
            count: 1,
            subnet: "subnet-1".to_owned(),
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            until: "2026-01-01T02:00:00Z".parse().unwrap(),
            boot_key: "ssh-ed25519 BOOT".to_owned(),
            hourly: None,
            state: LaunchState::Asked,
        });
        ledger.write(&folder).unwrap();
        let read = Ledger::read(&folder).unwrap().unwrap();
        assert_eq!(read.hosts().count(), 1);
        assert_eq!(read.unanswered().count(), 1);
        std::fs::write(folder.ledger(), "{").unwrap();
        let error = Ledger::read(&folder).unwrap_err().to_string();
        assert!(error.contains("swarm down"), "{error}");
        folder.remove().unwrap();
        folder.remove().unwrap();
        assert!(!folder.0.exists());
    }

    #[test]
    fn hosts_of_several_regions_are_grouped_and_bring_their_sources() {
        let mut ledger = Ledger::new("f", "o", "root");
        ledger
            .region("us-east-1")
            .hosts
            .push(host("i-1", &["10.0.0.1", "10.0.0.2"]));
        let one = ledger.ready_hosts();
        assert_eq!(one[0].group, None);
        assert_eq!(one[0].sources.as_deref(), Some("10.0.0.1,10.0.0.2"));
        ledger.region("eu-west-1").hosts.push(host("i-2", &["10.1.0.1"]));
        let mut unready = host("i-3", &["10.1.0.2"]);
        unready.ready = false;
        ledger.region("eu-west-1").hosts.push(unready);
        let two = ledger.ready_hosts();
        let groups: Vec<_> = two.iter().map(|host| host.group.as_deref()).collect();
        assert_eq!(groups, [Some("eu-west-1"), Some("us-east-1")]);
        assert_eq!(two[0].sources, None);
        assert_eq!(two[0].ssh_words(), "root@203.0.113.7");
    }

    #[test]
    fn a_pin_replaces_only_its_own_host() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("known_hosts");
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.11".parse().unwrap());
        pin(&file, a, &["ssh-ed25519 BOOT comment"]).unwrap();
        pin(&file, b, &["ssh-ed25519 BOOT"]).unwrap();
        pin(&file, a, &["ssh-ed25519 BOOT", "ssh-ed25519 OWN"]).unwrap();
        pin(&file, a, &["ssh-ed25519 OWN"]).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, "10.0.0.11 ssh-ed25519 BOOT\n10.0.0.1 ssh-ed25519 OWN\n");
    }
}
