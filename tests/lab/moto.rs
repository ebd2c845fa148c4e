//! Owns: moto's server, which is EC2 to the lab, and typed answers to what exists in it: straight from moto, in all
//! regions at once, not through the proxy, and without the clock of its states (counted in DescribeInstances) moving.
//! Must not: make faults.

use crate::process::{Daemon, wait_until};
use crate::{Result, ensure, http};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Networks of the addresses that moto gives out: ours (RFC 2544) and its own, which exist in the real world. Nothing
/// may ever be sent there.
pub const PUBLIC_NETWORKS: [&str; 2] = ["198.18.0.0/15", "54.214.0.0/16"];

pub struct Moto {
    daemon: Daemon,
    pub address: SocketAddr,
}

/// Everything that exists in it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct State {
    pub instances: Vec<Instance>,
    pub groups: Vec<Group>,
    pub addresses: Vec<Address>,
    pub others: Vec<Other>,
}

pub type Tags = BTreeMap<String, String>;

#[derive(Debug, Clone, Deserialize)]
pub struct Instance {
    pub id: String,
    pub region: String,
    pub zone: String,
    /// `pending`, `running`, `stopped`, `shutting-down`, `terminated`
    pub state: String,
    pub instance_type: String,
    pub image: String,
    pub spot: bool,
    /// None once it is terminated, and for a moment after its launch.
    pub public: Option<Ipv4Addr>,
    /// The primary one first.
    pub private: Vec<Ipv4Addr>,
    /// Private address to Elastic IP.
    pub elastic: BTreeMap<Ipv4Addr, Ipv4Addr>,
    pub tags: Tags,
    /// Decoded.
    pub user_data: String,
    pub token: Option<String>,
    pub groups: Vec<String>,
    pub subnet: Option<String>,
    /// `stop` or `terminate`
    pub on_shutdown: String,
    /// `optional` or `required`
    pub imds_tokens: String,
    pub imds_hops: u32,
}

impl Instance {
    pub fn is_alive(&self) -> bool {
        matches!(self.state.as_str(), "pending" | "running")
    }
}

/// A security group, VPCs' default ones left out.
#[derive(Debug, Clone, Deserialize)]
pub struct Group {
    pub id: String,
    pub region: String,
    pub name: String,
    pub tags: Tags,
    pub ingress: Vec<Ingress>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Ingress {
    pub from: Option<i32>,
    pub to: Option<i32>,
    pub cidr: Option<String>,
}

impl Ingress {
    pub fn lets_in(&self, address: Ipv4Addr, port: i32) -> bool {
        let network = self.cidr.as_ref().and_then(|cidr| cidr.parse::<ipnet::Ipv4Net>().ok());
        network.is_some_and(|n| n.contains(&address))
            && self.from.is_none_or(|from| from <= port)
            && self.to.is_none_or(|to| to >= port)
    }
}

/// An Elastic IP.
#[derive(Debug, Clone, Deserialize)]
pub struct Address {
    pub id: String,
    pub region: String,
    pub public: Ipv4Addr,
    pub private: Option<Ipv4Addr>,
    pub instance: Option<String>,
    pub tags: Tags,
}

/// A key pair, volume, network interface, launch template or spot request.
#[derive(Debug, Clone, Deserialize)]
pub struct Other {
    pub id: String,
    pub region: String,
    pub kind: String,
}

/// What cloud-init would make of an instance's user data.
#[derive(Debug, Clone, Deserialize)]
pub struct Boot {
    pub bootcmd: String,
    pub runcmd: String,
    pub files: Vec<BootFile>,
    pub ssh_keys: BTreeMap<String, String>,
    pub authorized: Vec<String>,
    pub disable_root: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub struct BootFile {
    pub path: String,
    pub mode: String,
    pub owner: String,
    /// base64
    pub content: String,
    pub append: bool,
}

/// The Python that tests/setup prepared.
pub fn python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/moto/bin/python")
}

impl Moto {
    pub fn start(lab: &Path) -> Result<Self> {
        ensure!(python().exists(), "there is no {}: run tests/setup", python().display());
        // Free a moment ago; nothing else here takes ports of its own accord.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/servers/ec2.py");
        let mut command = Command::new(python());
        command
            .arg(script)
            .arg(port.to_string())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let daemon = Daemon::start(lab, "moto", &mut command)?;
        let moto = Self {
            daemon,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        };
        wait_until("moto to answer", Duration::from_secs(60), || {
            Ok(http::get(moto.address, "/lab/state").is_ok())
        })
        .map_err(|e| format!("{e}; it said: {}", moto.said()))?;
        Ok(moto)
    }

    /// Its log: one line a request, and stack traces.
    pub fn said(&self) -> String {
        self.daemon.said()
    }

    fn ask(&self, path: &str, given: Option<Value>) -> Result<String> {
        let body = given.map(|g| g.to_string()).unwrap_or_default();
        let answer = http::send("POST", self.address, &format!("/lab/{path}"), &body)?;
        ensure!(
            answer.status == 200,
            "moto: /lab/{path}: {}: {}",
            answer.status,
            answer.body
        );
        Ok(answer.body)
    }

    /// Nothing exists any more, and no rule is set.
    pub fn reset(&self) -> Result {
        self.ask("reset", None).map(drop)
    }

    pub fn state(&self) -> Result<State> {
        Ok(serde_json::from_str(&self.ask("state", None)?)?)
    }

    /// Those that are neither terminated nor on their way there.
    pub fn alive(&self) -> Result<Vec<Instance>> {
        let mut all = self.state()?.instances;
        all.retain(Instance::is_alive);
        Ok(all)
    }

    pub fn boot(&self, region: &str, instance: &str) -> Result<Boot> {
        let text = self.ask(&format!("boot?region={region}&id={instance}"), None)?;
        Ok(serde_json::from_str(&text)?)
    }

    /// An instance's own operating system has shut it down: EC2 does what its shutdown behaviour says.
    pub fn shut_down(&self, region: &str, instance: &str) -> Result {
        self.ask(&format!("shutdown?region={region}&id={instance}"), None)
            .map(drop)
    }

    fn rule(&self, name: &str, value: Value) -> Result {
        self.ask("rules", Some(json!({ name: value }))).map(drop)
    }

    /// In how many DescribeInstances a new instance is still `pending` (2 unless set).
    pub fn pending(&self, answers: u32) -> Result {
        self.rule("pending", json!(answers))
    }

    /// In how many DescribeInstances a terminated instance is still `shutting-down` (2 unless set).
    pub fn shutting_down(&self, answers: u32) -> Result {
        self.rule("shutting_down", json!(answers))
    }

    /// In how many DescribeInstances a new instance does not exist yet: left out, or InvalidInstanceID.NotFound.
    pub fn invisible(&self, answers: u32) -> Result {
        self.rule("invisible", json!(answers))
    }

    /// This many of the next instances stay `pending` for ever.
    pub fn never_running(&self, instances: u32) -> Result {
        self.rule("never_running", json!(instances))
    }

    /// How many more instances each of these zones has room for. The others have room for all.
    pub fn capacity(&self, zones: &[(&str, u32)]) -> Result {
        let zones: BTreeMap<&str, u32> = zones.iter().copied().collect();
        self.rule("capacity", json!(zones))
    }

    pub fn no_default_vpc(&self, regions: &[&str]) -> Result {
        self.rule("no_default_vpc", json!(regions))
    }

    /// All that costs money or would be found by its tags: nothing, when `down` has done its work.
    pub fn left_behind(&self) -> Result<Vec<String>> {
        let state = self.state()?;
        let mut left = Vec::new();
        for i in state.instances.iter().filter(|i| i.state != "terminated") {
            left.push(format!("instance {} in {} is {}", i.id, i.region, i.state));
        }
        left.extend(
            state
                .groups
                .iter()
                .map(|g| format!("security group {} ({}) in {}", g.id, g.name, g.region)),
        );
        left.extend(
            state
                .addresses
                .iter()
                .map(|a| format!("Elastic IP {} ({}) in {}", a.public, a.id, a.region)),
        );
        // What a living instance holds is named with it.
        let alive = left.iter().any(|line| line.starts_with("instance"));
        let held = |o: &&Other| alive && matches!(o.kind.as_str(), "volume" | "interface");
        left.extend(
            state
                .others
                .iter()
                .filter(|o| !held(o))
                .map(|o| format!("{} {} in {}", o.kind, o.id, o.region)),
        );
        Ok(left)
    }
}
