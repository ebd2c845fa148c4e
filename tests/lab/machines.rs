//! Owns: the machines that stand for EC2 instances: a thread that boots one for each new instance in moto, ends it with
//! its instance, carries out the shutdowns that happen inside, and keeps the map from public addresses to machines.
//! Must not: know swarm, or change anything in moto but by a machine's own shutdown.

use crate::cloud::CONTROLLER;
use crate::machine::{Machine, write_boot};
use crate::moto::{Instance, Moto, State};
use crate::net::Net;
use crate::process::{self, run, wait_until};
use crate::{Result, ensure};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Last parts of the machines' addresses on the bridge; used in turn, so that none comes back at once.
/// Nobody else may use these: a neighbour that is known by another MAC is not looked for anew for about 8 s.
const NUMBERS: std::ops::Range<u8> = 101..250;
/// At most so many boot at once.
const BOOTING: usize = 4;
const TICK: Duration = Duration::from_millis(50);

struct Running {
    machine: Machine,
    child: Child,
    began: Instant,
    /// Lines of its shutdown.calls that were acted upon.
    read: usize,
    due: Option<Instant>,
}

#[derive(Default)]
struct Shared {
    machines: Vec<Machine>,
    /// Instances still to come that get no machine.
    never: u32,
    without: Vec<String>,
    minute: Option<Duration>,
    failed: Option<String>,
}

/// All machines of a case. Dropped, they end.
pub struct Machines {
    shared: Arc<Mutex<Shared>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Public address, machine's address: one pair a line.
    pub map: PathBuf,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Machines {
    pub fn start(folder: &Path, net: &Net, moto: &Arc<Moto>) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let map = folder.join("map");
        std::fs::write(&map, "")?;
        let (shared, stop) = (Arc::<Mutex<Shared>>::default(), Arc::<AtomicBool>::default());
        let mut watcher = Watcher {
            moto: Arc::clone(moto),
            net: net.clone(),
            folder: folder.into(),
            map: map.clone(),
            mapped: String::new(),
            shared: Arc::clone(&shared),
            running: BTreeMap::new(),
            numbers: NUMBERS.cycle(),
        };
        let stopping = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopping.load(Ordering::Acquire) {
                if let Err(error) = watcher.tick() {
                    lock(&watcher.shared).failed.get_or_insert(error.to_string());
                }
                std::thread::sleep(TICK);
            }
            let all: Vec<String> = watcher.running.keys().cloned().collect();
            if let Err(error) = watcher.end(&all) {
                eprintln!("machines: {error}");
            }
        });
        Ok(Self {
            shared,
            stop,
            thread: Some(thread),
            map,
        })
    }

    /// All there were in this case, in the order of their boot.
    pub fn all(&self) -> Vec<Machine> {
        lock(&self.shared).machines.clone()
    }

    /// Those that have not gone.
    pub fn alive(&self) -> Vec<Machine> {
        let mut all = self.all();
        all.retain(|m| !m.gone);
        all
    }

    pub fn of(&self, instance: &str) -> Result<Machine> {
        let found = self.all().into_iter().find(|m| m.instance == instance);
        found.ok_or_else(|| format!("no machine was booted for {instance}").into())
    }

    /// Waits until exactly so many machines answer on SSH.
    pub fn wait_ready(&self, count: usize, limit: Duration) -> Result {
        wait_until(&format!("{count} machines to be ready"), limit, || {
            self.check()?;
            Ok(self.alive().iter().filter(|m| m.ready).count() == count)
        })
    }

    /// Waits until no machine is left.
    pub fn wait_gone(&self, limit: Duration) -> Result {
        wait_until("all machines to be gone", limit, || Ok(self.alive().is_empty()))
    }

    /// The lab's own failure, if there was one.
    pub fn check(&self) -> Result {
        match &lock(&self.shared).failed {
            Some(error) => Err(format!("the lab failed to keep its machines: {error}").into()),
            None => Ok(()),
        }
    }

    /// The next so many instances never boot: nothing listens at their addresses.
    pub fn never_boot(&self, instances: u32) {
        lock(&self.shared).never = instances;
    }

    /// How long a minute of `shutdown +N` lasts.
    pub fn minute(&self, length: Duration) {
        lock(&self.shared).minute = Some(length);
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watcher {
    moto: Arc<Moto>,
    net: Net,
    folder: PathBuf,
    map: PathBuf,
    mapped: String,
    shared: Arc<Mutex<Shared>>,
    running: BTreeMap<String, Running>,
    numbers: std::iter::Cycle<std::ops::Range<u8>>,
}

impl Watcher {
    fn tick(&mut self) -> Result {
        self.carry_out_shutdowns()?;
        let state = self.moto.state()?;
        let over: Vec<String> = self
            .running
            .keys()
            .filter(|id| !state.instances.iter().any(|i| i.is_alive() && i.id == **id))
            .cloned()
            .collect();
        self.end(&over)?;
        for instance in state.instances.iter().filter(|i| i.is_alive() && i.public.is_some()) {
            let booting = self.running.values().filter(|r| !r.machine.ready).count();
            if booting < BOOTING && !self.running.contains_key(&instance.id) && !self.gets_none(&instance.id) {
                let booted = self.boot(instance);
                // It may have gone while we were at it.
                let is_there = self.moto.alive()?.iter().any(|i| i.id == instance.id);
                if is_there {
                    booted?;
                }
            }
        }
        self.look_for_ready()?;
        self.write_map(&state)
    }

    fn gets_none(&self, instance: &str) -> bool {
        let mut shared = lock(&self.shared);
        if shared.machines.iter().any(|m| m.instance == instance) || shared.without.iter().any(|w| w == instance) {
            return true;
        }
        if shared.never > 0 {
            shared.never -= 1;
            shared.without.push(instance.to_owned());
            return true;
        }
        false
    }

    fn boot(&mut self, instance: &Instance) -> Result {
        let boot = self.moto.boot(&instance.region, &instance.id)?;
        let number = self.numbers.next().ok_or("no number")?;
        let name = format!("m{number}");
        let folder = self.folder.join(&instance.id);
        std::fs::create_dir(&folder)?;
        write_boot(&folder, instance, &boot)?;
        let private = instance
            .private
            .first()
            .ok_or("an instance without a private address")?;
        let log = std::fs::File::create(folder.join("log"))?;
        let machine = Machine {
            instance: instance.id.clone(),
            region: instance.region.clone(),
            address: format!("10.77.0.{number}"),
            ready: false,
            gone: false,
            namespace: format!("{}-{name}", self.net.bridge),
            port: format!("{}{name}", self.net.bridge),
            folder,
            pid: 0,
        };
        let child = Command::new("sh")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/machine.sh"))
            .args([&machine.namespace, &self.net.bridge, &machine.port, &machine.address])
            .arg(format!("02:77:00:00:00:{number:02x}"))
            .arg(private.to_string())
            .arg(&machine.folder)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let machine = Machine {
            pid: child.id(),
            ..machine
        };
        lock(&self.shared).machines.push(machine.clone());
        let running = Running {
            machine,
            child,
            began: Instant::now(),
            read: 0,
            due: None,
        };
        self.running.insert(instance.id.clone(), running);
        Ok(())
    }

    fn look_for_ready(&mut self) -> Result {
        for running in self.running.values_mut().filter(|r| !r.machine.ready) {
            running.machine.ready = running.machine.folder.join("ready").exists();
            if running.machine.ready {
                update(&self.shared, &running.machine);
            }
            let ended = running.child.try_wait()?;
            let slow = running.began.elapsed() > Duration::from_secs(60);
            ensure!(
                ended.is_none() && !slow,
                "the machine of {} did not boot ({ended:?}): {}",
                running.machine.instance,
                running.machine.said()
            );
        }
        Ok(())
    }

    /// What `shutdown` was asked for on the machines.
    fn carry_out_shutdowns(&mut self) -> Result {
        let minute = lock(&self.shared).minute.unwrap_or(Duration::from_secs(60));
        let mut ended = Vec::new();
        for running in self.running.values_mut() {
            let calls = running.machine.shutdowns()?;
            for call in calls.iter().skip(running.read) {
                running.due = match call.time.strip_prefix('+') {
                    Some(n) => Some(Instant::now() + minute * n.parse::<u32>()?),
                    None if call.time == "cancel" => None,
                    None => Some(Instant::now()),
                };
            }
            running.read = calls.len();
            if running.due.is_some_and(|due| due <= Instant::now()) {
                ended.push((running.machine.region.clone(), running.machine.instance.clone()));
            }
        }
        for (region, instance) in ended {
            self.end(std::slice::from_ref(&instance))?;
            self.moto.shut_down(&region, &instance)?;
        }
        Ok(())
    }

    /// Kills them with all that runs in them, and frees what they had.
    fn end(&mut self, instances: &[String]) -> Result {
        let mut ended: Vec<Running> = instances.iter().filter_map(|id| self.running.remove(id)).collect();
        let mut firsts = Vec::new();
        for running in &ended {
            firsts.extend(running.machine.first());
            // Gone by itself is as good.
            let _ = process::signal(running.machine.pid, Signal::KILL);
        }
        // Its process 1 ends after all the others, whose connections are closed then: only without them may the
        // network go, or the far ends would never hear of it.
        wait_until("the processes of machines to end", Duration::from_secs(20), || {
            firsts.retain(|&pid| process::is_running(pid));
            Ok(firsts.is_empty())
        })?;
        let mut batch = String::new();
        for running in &mut ended {
            running.child.wait()?;
            writeln!(
                batch,
                "link del {}\nnetns del {}",
                running.machine.port, running.machine.namespace
            )?;
            running.machine.ready = false;
            running.machine.gone = true;
            update(&self.shared, &running.machine);
        }
        if !ended.is_empty() {
            let file = self.folder.join("batch");
            std::fs::write(&file, batch)?;
            run(Command::new("ip").args(["-force", "-batch"]).arg(&file))?;
        }
        Ok(())
    }

    /// Only those that a security group lets the controller's SSH in to.
    fn write_map(&mut self, state: &State) -> Result {
        let mut text = String::new();
        for instance in &state.instances {
            let of_instance = state.groups.iter().filter(|g| instance.groups.contains(&g.id));
            let open = of_instance
                .flat_map(|g| &g.ingress)
                .any(|rule| rule.lets_in(CONTROLLER, 22));
            let Some(running) = self.running.get(&instance.id).filter(|r| open && r.machine.ready) else {
                continue;
            };
            for public in instance.public.iter().chain(instance.elastic.values()) {
                writeln!(text, "{public} {}", running.machine.address)?;
            }
        }
        if text != self.mapped {
            let new = self.map.with_extension("new");
            std::fs::write(&new, &text)?;
            std::fs::rename(new, &self.map)?;
            self.mapped = text;
        }
        Ok(())
    }
}

fn update(shared: &Mutex<Shared>, machine: &Machine) {
    let mut shared = lock(shared);
    if let Some(known) = shared.machines.iter_mut().find(|m| m.instance == machine.instance) {
        known.clone_from(machine);
    }
}
