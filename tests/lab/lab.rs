//! Owns: the lab as a whole: one at a time, set up once, torn down whatever happens; stale labs are removed first.
//! Must not: know how its parts work inside, or hold tests.

use crate::cloud::GroundCell;
use crate::host::{HOSTS, Host};
use crate::net::{self, Net};
use crate::process::{self, wait_until};
use crate::proxy::Proxies;
use crate::server::Servers;
use crate::ssh::{self, Configs, Keys};
use crate::{Result, ensure};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

pub struct Lab {
    /// Six hexadecimal digits that name everything of this run.
    pub id: String,
    /// Where configurations, keys, logs and reports of this lab are.
    pub folder: PathBuf,
    pub net: Net,
    pub hosts: Vec<Host>,
    pub keys: Keys,
    pub configs: Configs,
    pub servers: Servers,
    pub proxies: Proxies,
    /// EC2, started by the first case that wants it.
    pub ground: GroundCell,
    _lock: std::fs::File,
}

const FOLDERS: &str = "/run";
const FOLDER_PREFIX: &str = "swarm-lab-";

static LAB: OnceLock<std::result::Result<Mutex<Option<Lab>>, String>> = OnceLock::new();
/// Set before anything is made, so that a signal can tear down what a set-up had done so far.
static ID: OnceLock<String> = OnceLock::new();

/// What the lab needs of a machine, or the text that says what is lacking.
pub fn check_machine() -> Result {
    ensure!(
        rustix::process::geteuid().is_root(),
        "it needs root (namespaces, bridges, sshd); run it with sudo"
    );
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let lacking: Vec<&str> = [
        "ip",
        "unshare",
        "nsenter",
        "sshd",
        "ssh",
        "ssh-keygen",
        "haproxy",
        "nginx",
        "redis-server",
        "tcpdump",
        "node",
        "openssl",
        "csh",
        "curl",
        "sudo",
        "cc",
        "mount",
        "setarch",
    ]
    .into_iter()
    .filter(|tool| !path.split(':').any(|folder| Path::new(folder).join(tool).exists()))
    .collect();
    ensure!(
        lacking.is_empty(),
        "these programs are lacking: {}; tests/setup installs them",
        lacking.join(" ")
    );
    Ok(())
}

/// Runs a case in the lab, which is set up when the first case asks for it.
pub fn with_lab(case: impl FnOnce(&Lab) -> Result) -> Result {
    let lab = LAB.get_or_init(|| {
        let began = Instant::now();
        let made = Lab::set_up()
            .map(|lab| Mutex::new(Some(lab)))
            .map_err(|e| e.to_string());
        eprintln!("the lab took {:.1} s to set up", began.elapsed().as_secs_f64());
        made
    });
    let lab = lab
        .as_ref()
        .map_err(|error| format!("the lab could not be set up: {error}"))?;
    // A case that panicked leaves the lab as usable as one that failed.
    let lab = lab.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let lab = lab.as_ref().ok_or("the lab is gone")?;
    lab.settle()?;
    case(lab)
}

impl Lab {
    fn set_up() -> Result<Self> {
        let lock = std::fs::File::create(Path::new(FOLDERS).join("swarm-lab.lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| "another lab runs on this machine; only one at a time")?;
        remove_stale()?;
        std::fs::create_dir_all("/run/sshd")?;
        let id = format!("{:06x}", rustix::process::getpid().as_raw_nonzero().get() & 0xff_ffff);
        let folder = Path::new(FOLDERS).join(format!("{FOLDER_PREFIX}{id}"));
        std::fs::create_dir(&folder)?;
        let id = ID.get_or_init(|| id).clone();
        // The slow starters first: the network is made while node reads its modules. Until the bridge has its
        // address they couldn't listen on it, so that comes before them.
        let net = Net::new(&id)?;
        let servers = Servers::start(&folder)?;
        let proxies = Proxies::start(&folder)?;
        let keys = ssh::make_keys(&folder)?;
        let configs = ssh::write_configs(&folder, &keys)?;
        let mut hosts = (0..HOSTS)
            .map(|i| Host::start(&folder, &net, &keys, i))
            .collect::<Result<Vec<_>>>()?;
        for host in &mut hosts {
            host.wait_ready()?;
        }
        servers.wait_ready()?;
        proxies.wait_ready()?;
        std::fs::create_dir(folder.join("home"))?;
        std::fs::create_dir(folder.join("reports"))?;
        Ok(Self {
            id,
            folder,
            net,
            hosts,
            keys,
            configs,
            servers,
            proxies,
            ground: GroundCell::new(),
            _lock: lock,
        })
    }

    /// Before each case: nobody connected, nothing counted, nothing left over from the case before.
    fn settle(&self) -> Result {
        for left in self.leftovers() {
            let _ = process::signal(left.pid, rustix::process::Signal::KILL);
        }
        for host in &self.hosts {
            host.kill_all()?;
            host.login_shell("/bin/bash")?;
        }
        self.servers.restore()?;
        self.servers.wait_all_closed()?;
        self.servers.reset()
    }

    pub fn host(&self, name: &str) -> Result<&Host> {
        self.hosts
            .iter()
            .find(|h| h.name == name)
            .ok_or_else(|| format!("no host {name}").into())
    }

    /// All that swarm has left running: in the hosts, and here (what it starts inherits the lab's mark).
    pub fn leftovers(&self) -> Vec<process::Seen> {
        let mark = format!("SWARM_LAB={}", self.id);
        let mut left = process::seen(|pid| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|env| env.split(|&b| b == 0).any(|entry| entry == mark.as_bytes()))
        });
        for host in &self.hosts {
            left.extend(host.processes());
        }
        left
    }

    /// Of these the agents: no SSH client or server, nor what delays one.
    pub fn agents(&self) -> Vec<process::Seen> {
        let mut left = self.leftovers();
        left.retain(|p| !p.exe.ends_with("/ssh") && !p.exe.ends_with("/sshd") && !p.command.contains(" relay "));
        left
    }

    pub fn no_agent_within(&self, limit: Duration) -> Result {
        wait_until("every agent to be gone", limit, || Ok(self.agents().is_empty()))
            .map_err(|e| format!("{e}; left: {:?}", self.agents()).into())
    }

    /// Fails when anything of a run is still alive after `limit`.
    pub fn nothing_left_within(&self, limit: Duration) -> Result {
        wait_until("every process of the run to be gone", limit, || {
            Ok(self.leftovers().is_empty())
        })
        .map_err(|e| format!("{e}; left: {:?}", self.leftovers()).into())
    }
}

fn remove_stale() -> Result {
    for entry in std::fs::read_dir(FOLDERS)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(FOLDER_PREFIX) {
            process::end_noted(&entry.path());
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    net::remove(None)
}

/// Ends this process's lab, if there is one. Safe to call twice.
pub fn tear_down() -> Result {
    if let Some(Ok(lab)) = LAB.get() {
        drop(lab.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
    }
    remove_own()
}

/// By name and by what is on file, without the `Lab` itself: a case may be in the middle of using it.
fn remove_own() -> Result {
    // One at a time: after a signal the main thread comes here too, and waits until the process is left.
    static REMOVING: Mutex<()> = Mutex::new(());
    let removing = REMOVING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(id) = ID.get() else { return Ok(()) };
    let folder = Path::new(FOLDERS).join(format!("{FOLDER_PREFIX}{id}"));
    process::end_noted(&folder);
    net::remove(Some(id))?;
    if folder.exists() && std::env::var_os("SWARM_LAB_KEEP").is_none() {
        // A process that was killed a moment ago may still be writing its last line.
        wait_until("the lab's folder to go", Duration::from_secs(2), || {
            Ok(std::fs::remove_dir_all(&folder).is_ok())
        })?;
    }
    if LEAVING.load(Ordering::Acquire) {
        // Never given back: whoever waits for it must not go on in a lab that is gone.
        std::mem::forget(removing);
    }
    Ok(())
}

/// A signal came: the process ends as soon as the lab is removed.
static LEAVING: AtomicBool = AtomicBool::new(false);

/// SIGINT and SIGTERM: remove the lab, then leave with 130.
pub fn tear_down_on_signals() {
    std::thread::spawn(|| {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else {
            return;
        };
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            LEAVING.store(true, Ordering::Release);
            if let Err(error) = remove_own() {
                eprintln!("the lab was not torn down whole: {error}");
            }
            std::process::exit(130);
        });
    });
}
