//! Owns: the cloud of one case: moto emptied, a proxy in front of it, machines that boot for its instances, and swarm
//! run as its users do, each from a home of its own, where nothing but the lab can be reached.
//! Must not: know what a case looks for.

use crate::cloud_proxy::{Call, CloudProxy, When};
use crate::lab::Lab;
use crate::machines::Machines;
use crate::moto::{self, Moto, PUBLIC_NETWORKS};
use crate::process::{self, Finished, Running, run, words};
use crate::{Result, ensure};
use rustix::process::Signal;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The controller's own address on the bridge, which is its only network.
pub const CONTROLLER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 90);
/// Commands that know `-F`.
const WITH_CONFIG: &[&str] = &["up", "status", "extend", "down", "attack", "exec"];
const LIMIT: Duration = Duration::from_secs(120);

/// What all clouds of a lab share; made for the first one.
pub struct Ground {
    moto: Arc<Moto>,
    /// Where swarm runs: a network namespace with no way out of the lab.
    controller: String,
}

impl Ground {
    fn of(lab: &Lab) -> Result<&Self> {
        if lab.ground.get().is_none() {
            let moto = Arc::new(Moto::start(&lab.folder)?);
            let controller = lab.net.namespace("c", &CONTROLLER.to_string())?;
            // Source addresses of instances answer here, unless this machine is itself in such a network.
            if words("ip -4 route show root 172.31.0.0/16")?.trim().is_empty() {
                words(&format!("ip route add 172.31.0.0/16 dev {}", lab.net.bridge))?;
            }
            let _ = lab.ground.set(Self { moto, controller });
        }
        lab.ground.get().ok_or_else(|| "no ground".into())
    }
}

/// Shared by a lab's cases.
pub type GroundCell = OnceLock<Ground>;

pub struct Cloud<'a> {
    lab: &'a Lab,
    pub moto: Arc<Moto>,
    pub proxy: CloudProxy,
    pub machines: Machines,
    /// For `-F`: leads public addresses to the machines, whose sshds are then checked and logged in to as always.
    pub config: PathBuf,
    folder: PathBuf,
    controller: &'a str,
}

/// One user of swarm: a home, and what the environment says.
pub struct Seat<'a> {
    cloud: &'a Cloud<'a>,
    pub home: PathBuf,
    environment: Vec<(String, String)>,
}

/// How a run ended that was to be killed at a call.
pub enum Killed {
    /// At this call.
    At(Call),
    /// It had ended before it came to that call.
    Ended(Finished),
}

impl<'a> Cloud<'a> {
    pub fn start(lab: &'a Lab) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let ground = Ground::of(lab)?;
        ground.moto.reset()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = lab.folder.join(format!("cloud{number}"));
        std::fs::create_dir(&folder)?;
        let proxy = CloudProxy::start(ground.moto.address)?;
        let machines = Machines::start(&folder.join("machines"), &lab.net, &ground.moto)?;
        let config = folder.join("ssh_config");
        std::fs::write(&config, config_text(&machines.map)?)?;
        Ok(Self {
            lab,
            moto: Arc::clone(&ground.moto),
            proxy,
            machines,
            config,
            folder,
            controller: &ground.controller,
        })
    }

    /// A user with a home of this name, which is made when it is not there yet.
    pub fn seat(&'a self, name: &str) -> Result<Seat<'a>> {
        let home = self.folder.join("homes").join(name);
        std::fs::create_dir_all(&home)?;
        Ok(Seat {
            cloud: self,
            home,
            environment: Vec::new(),
        })
    }

    /// Runs swarm as the first user; words are split at spaces.
    pub fn swarm(&self, line: &str) -> Result<Finished> {
        self.seat("first")?.run(line)
    }

    /// A command in the controller's place: nothing but the lab can be reached from there.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.controller))
            .arg(program);
        command
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("TERM", "dumb")
            .env("SWARM_LAB", &self.lab.id);
        for (name, value) in self.aws() {
            command.env(name, value);
        }
        command
    }

    /// What makes any AWS client talk to this cloud.
    pub fn aws(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", self.proxy.url()),
            ("AWS_ACCESS_KEY_ID", "testing".into()),
            ("AWS_SECRET_ACCESS_KEY", "testing".into()),
            ("AWS_DEFAULT_REGION", "us-east-1".into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ]
    }

    /// Ends all that a killed swarm left running on the controller's side (ssh, relays).
    pub fn sweep(&self) -> Result {
        process::wait_until("what a killed run left to end", Duration::from_secs(5), || {
            let left = self.lab.leftovers();
            for p in &left {
                let _ = process::signal(p.pid, Signal::KILL);
            }
            Ok(left.is_empty())
        })
    }

    /// Empties everything, for the next round of the same case: EC2, its machines, the proxy's log and faults.
    pub fn reset(&self) -> Result {
        self.sweep()?;
        self.proxy.settle()?;
        self.proxy.reset();
        self.moto.reset()?;
        self.machines.wait_gone(Duration::from_secs(20))
    }

    /// Runs it and kills it (SIGKILL) at its n-th call to AWS, before that call takes effect or after it did.
    /// Calls count from the proxy's last reset. What it left running is ended too.
    pub fn kill_at(&self, number: usize, when: When, command: &mut Command) -> Result<Killed> {
        let held = self.proxy.hold(number, when);
        let mut running = process::start(command)?;
        process::note(&self.lab.folder, running.pid())?;
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(call) = held.reached(Duration::from_millis(20)) {
                process::signal(running.pid(), Signal::KILL)?;
                // What it started may hold its outputs open, so that goes first.
                self.sweep()?;
                running.wait(Duration::from_secs(5))?;
                drop(held);
                return Ok(Killed::At(call));
            }
            if running.has_ended()? || Instant::now() > until {
                drop(held);
                return Ok(Killed::Ended(running.wait(Duration::from_secs(1))?));
            }
        }
    }

    /// Fails, with what there is, unless nothing is left in EC2.
    pub fn expect_nothing_left(&self) -> Result {
        let left = self.moto.left_behind()?;
        ensure!(left.is_empty(), "left behind: {left:#?}");
        Ok(())
    }
}

impl Drop for Cloud<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.sweep() {
            eprintln!("cloud: {error}");
        }
    }
}

impl Seat<'_> {
    /// One more variable of the environment; an empty one is taken out.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// A swarm command as this user would run it.
    pub fn command(&self, line: &str) -> Command {
        let given: Vec<&str> = line.split_whitespace().collect();
        let mut command = self.cloud.command(env!("CARGO_BIN_EXE_swarm"));
        command.args(&given).env("HOME", &self.home).current_dir(&self.home);
        for (variable, folder) in [
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_STATE_HOME", ".local/state"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_CACHE_HOME", ".cache"),
        ] {
            command.env(variable, self.home.join(folder));
        }
        for (name, value) in &self.environment {
            match value.as_str() {
                "" => command.env_remove(name),
                value => command.env(name, value),
            };
        }
        if given.first().is_some_and(|first| WITH_CONFIG.contains(first)) {
            command.arg("-F").arg(&self.cloud.config);
        }
        command
    }

    pub fn start(&self, line: &str) -> Result<Running> {
        let running = process::start(&mut self.command(line))?;
        process::note(&self.cloud.lab.folder, running.pid())?;
        Ok(running)
    }

    pub fn run(&self, line: &str) -> Result<Finished> {
        self.run_within(line, LIMIT)
    }

    pub fn run_within(&self, line: &str, limit: Duration) -> Result<Finished> {
        let finished = self.start(line)?.wait(limit)?;
        self.cloud.machines.check()?;
        if std::env::var_os("SWARM_LAB_SHOW").is_some() {
            eprintln!("\nswarm {line}\n{}{}", finished.stderr, finished.stdout);
        }
        ensure!(
            !finished.timed_out,
            "swarm {line} hung: killed after {limit:?}\n  stdout: {}\n  stderr: {}",
            finished.stdout,
            finished.stderr
        );
        Ok(finished)
    }

    /// As `Cloud::kill_at`, for one of this user's commands.
    pub fn kill_at(&self, number: usize, when: When, line: &str) -> Result<Killed> {
        self.cloud.kill_at(number, when, &mut self.command(line))
    }
}

/// Whether cloud-init's own schema check takes this user data; its text where it does not.
pub fn check_schema(user_data: &str, folder: &Path) -> Result {
    let file = folder.join("user-data");
    std::fs::write(&file, user_data)?;
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cloud-init/usr/lib/python3/dist-packages");
    ensure!(modules.exists(), "there is no {}: run tests/setup", modules.display());
    run(Command::new(moto::python())
        .args(["-m", "cloudinit.cmd.main", "schema", "--config-file"])
        .arg(&file)
        .env("PYTHONPATH", modules))
    .map(drop)
}

fn config_text(map: &Path) -> Result<String> {
    let relay = std::env::current_exe()?;
    let mut hosts = String::new();
    for network in PUBLIC_NETWORKS {
        let mut parts = network.split(['.', '/']);
        let (Some(first), Some(second)) = (parts.next(), parts.next()) else {
            continue;
        };
        // A /15 is two of these.
        let second: u8 = second.parse()?;
        hosts += &format!(" {first}.{second}.* {first}.{}.*", second | 1);
    }
    Ok(format!(
        "Host{hosts}\n  ProxyCommand \"{}\" relay-to-machine \"{}\" %h %p\n",
        relay.display(),
        map.display()
    ))
}
