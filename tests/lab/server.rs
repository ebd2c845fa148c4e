//! Owns: the target servers (three Socket.IO, one WebSocket, Redis, and the ones that few cases want), their stopping and
//! starting, and what they counted and logged. Must not: know swarm or the balancers.

use crate::net::BRIDGE_ADDRESS;
use crate::process::{Daemon, wait_until};
use crate::{Result, ensure, http};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Socket.IO 4 with the Redis adapter, pinging every 2 s; each a process of its own.
pub const SOCKETIO: [(&str, u16); 3] = [("s1", 17001), ("s2", 17002), ("s3", 17003)];
pub const WEBSOCKET: (&str, u16) = ("w1", 17011);
const REDIS_PORT: u16 = 17079;

/// Socket.IO 2. This and all below it is started by [`Servers::others`].
pub const VERSION_2: (&str, u16) = ("v2", 17021);
/// Socket.IO 4 with `allowEIO3`.
pub const ALLOW_EIO3: (&str, u16) = ("e3", 17022);
/// Socket.IO 4 without an adapter: a broadcast stays where it was said.
pub const ALONE: [(&str, u16); 3] = [("n1", 17031), ("n2", 17032), ("n3", 17033)];
/// Engine.IO without Socket.IO, protocol 4 and 3, under `/engine.io/`: each echoes.
pub const ENGINE_4: (&str, u16) = ("r4", 17041);
pub const ENGINE_3: (&str, u16) = ("r3", 17042);
/// Socket.IO 4 that pings every 10 s.
pub const RARE_PINGS: (&str, u16) = ("p1", 17051);
/// Socket.IO 4 that pings every 4 s and gives up on a client 2 s later: silence that lasts, in a test's time.
pub const PATIENT: [(&str, u16); 2] = [("t1", 17061), ("t2", 17062)];

/// Kind (a word of `others.js`), name and port.
const OTHERS: [(&str, (&str, u16)); 10] = [
    ("v2", VERSION_2),
    ("eio3", ALLOW_EIO3),
    ("alone", ALONE[0]),
    ("alone", ALONE[1]),
    ("alone", ALONE[2]),
    ("engine4", ENGINE_4),
    ("engine3", ENGINE_3),
    ("rare-pings", RARE_PINGS),
    ("patient", PATIENT[0]),
    ("patient", PATIENT[1]),
];
const OTHERS_PROCESS: &str = "others";

pub struct Servers {
    lab: PathBuf,
    scripts: PathBuf,
    running: Mutex<BTreeMap<&'static str, Daemon>>,
}

/// Source address to backend to number of clients, as the servers saw it.
pub type Matrix = BTreeMap<String, BTreeMap<String, u64>>;

pub fn at(port: u16) -> Result<SocketAddr> {
    Ok(format!("{BRIDGE_ADDRESS}:{port}").parse()?)
}

impl Servers {
    pub fn start(lab: &Path) -> Result<Self> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/servers");
        for package in ["socket.io", "socket.io-v2", "engine.io-v3"] {
            ensure!(
                scripts.join("node_modules").join(package).exists(),
                "tests/lab/servers/node_modules lacks {package}: run tests/setup"
            );
        }
        let servers = Self {
            lab: lab.to_owned(),
            scripts,
            running: Mutex::default(),
        };
        let mut redis = Command::new("redis-server");
        redis.args([
            "--port",
            &REDIS_PORT.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        servers
            .running()
            .insert("redis", Daemon::start(lab, "redis", redis.current_dir(lab))?);
        for (name, port) in SOCKETIO {
            servers.launch_socketio(name, port)?;
        }
        servers.launch(
            WEBSOCKET.0,
            "websocket.js",
            &[WEBSOCKET.0, BRIDGE_ADDRESS, &WEBSOCKET.1.to_string()],
        )?;
        Ok(servers)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<&'static str, Daemon>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn launch(&self, name: &'static str, script: &str, words: &[&str]) -> Result {
        let mut node = Command::new("node");
        node.arg(self.scripts.join(script)).args(words);
        let daemon = Daemon::start(&self.lab, name, &mut node)?;
        self.running().insert(name, daemon);
        Ok(())
    }

    fn launch_socketio(&self, name: &'static str, port: u16) -> Result {
        let words = [name, BRIDGE_ADDRESS, &port.to_string(), &REDIS_PORT.to_string()];
        self.launch(name, "socketio.js", &words)
    }

    pub fn wait_ready(&self) -> Result {
        SOCKETIO.into_iter().chain([WEBSOCKET]).try_for_each(wait_listening)
    }

    /// Starts, at the first call, the servers that most cases don't want. They stay for the cases to come.
    pub fn others(&self) -> Result {
        if self.running().contains_key(OTHERS_PROCESS) {
            return Ok(());
        }
        let words: Vec<String> = OTHERS
            .iter()
            .map(|(kind, (name, port))| format!("{kind}:{name}:{port}"))
            .collect();
        let words: Vec<&str> = [BRIDGE_ADDRESS]
            .into_iter()
            .chain(words.iter().map(String::as_str))
            .collect();
        self.launch(OTHERS_PROCESS, "others.js", &words)?;
        OTHERS.into_iter().try_for_each(|(_, server)| wait_listening(server))
    }

    /// Ends those servers, with what they counted; [`Self::others`] starts them again.
    pub fn end_others(&self) {
        drop(self.running().remove(OTHERS_PROCESS));
    }

    /// Ends one of [`SOCKETIO`] at once, as a process that is told to end does: its connections break. What it counted
    /// and logged is gone with it.
    pub fn stop(&self, n: usize) -> Result {
        let (name, _) = SOCKETIO[n];
        let daemon = self.running().remove(name);
        daemon.ok_or_else(|| format!("{name} does not run"))?.stop()?;
        Ok(())
    }

    /// Starts one of [`SOCKETIO`] that was stopped, and waits until it listens.
    pub fn start_again(&self, n: usize) -> Result {
        let (name, port) = SOCKETIO[n];
        ensure!(!self.running().contains_key(name), "{name} runs already");
        self.launch_socketio(name, port)?;
        wait_listening(SOCKETIO[n])
    }

    pub fn restart(&self, n: usize) -> Result {
        self.stop(n)?;
        self.start_again(n)
    }

    /// Starts what a case has left stopped.
    pub fn restore(&self) -> Result {
        for (n, (name, _)) in SOCKETIO.into_iter().enumerate() {
            if !self.running().contains_key(name) {
                self.start_again(n)?;
            }
        }
        Ok(())
    }

    /// All that run now and count.
    fn counting(&self) -> Vec<(&'static str, u16)> {
        let running = self.running();
        let mut all: Vec<_> = SOCKETIO.into_iter().chain([WEBSOCKET]).collect();
        all.retain(|(name, _)| running.contains_key(name));
        if running.contains_key(OTHERS_PROCESS) {
            all.extend(OTHERS.map(|(_, server)| server));
        }
        all
    }

    pub fn reset(&self) -> Result {
        for (_, port) in self.counting() {
            self.reset_one(port)?;
        }
        Ok(())
    }

    pub fn reset_one(&self, port: u16) -> Result {
        http::ask("POST", at(port)?, "/_lab/reset").map(drop)
    }

    /// What one server counted.
    pub fn counts(&self, port: u16) -> Result<Value> {
        Ok(serde_json::from_str(&http::get(at(port)?, "/_lab/counts")?.body)?)
    }

    /// What each client did at one server since the last reset: `sessions` and `http` (`sessions.js` has the shape).
    pub fn log(&self, port: u16) -> Result<Value> {
        let log: Value = serde_json::from_str(&http::get(at(port)?, "/_lab/log")?.body)?;
        ensure!(
            log["lost"] == 0,
            "the log of {port} was full: {} entries are lost",
            log["lost"]
        );
        Ok(log)
    }

    /// The sum of one count over the three Socket.IO servers: `/clients`, `/peak`, `/handshakes/polling`.
    pub fn socketio_total(&self, pointer: &str) -> Result<u64> {
        let mut sum = 0;
        for (_, port) in SOCKETIO {
            sum += number(&self.counts(port)?, &format!("/all{pointer}"));
        }
        Ok(sum)
    }

    pub fn websocket_total(&self, pointer: &str) -> Result<u64> {
        self.total(WEBSOCKET.1, pointer)
    }

    pub fn total(&self, port: u16, pointer: &str) -> Result<u64> {
        Ok(number(&self.counts(port)?, &format!("/all{pointer}")))
    }

    /// `key` (`clients`, `http`) by source address and server; what is zero is left out.
    pub fn matrix(&self, key: &str) -> Result<Matrix> {
        let mut matrix = Matrix::new();
        for (name, port) in SOCKETIO {
            let counts = self.counts(port)?;
            let sources = counts["sources"].as_object().ok_or("counts without sources")?;
            for (source, row) in sources {
                let n = number(row, &format!("/{key}"));
                if n > 0 {
                    matrix.entry(source.clone()).or_default().insert(name.to_owned(), n);
                }
            }
        }
        Ok(matrix)
    }

    /// Waits until no Socket.IO, Engine.IO or WebSocket client is open any more.
    pub fn wait_all_closed(&self) -> Result {
        wait_until("the servers to see every client gone", Duration::from_secs(10), || {
            let open = self
                .counting()
                .into_iter()
                .map(|(_, port)| self.total(port, "/open"))
                .sum::<Result<u64>>()?;
            Ok(open == 0)
        })
    }
}

fn wait_listening((name, port): (&str, u16)) -> Result {
    let address = at(port)?;
    wait_until(&format!("{name} to listen"), Duration::from_secs(20), || {
        Ok(TcpStream::connect(address).is_ok())
    })
}

/// A count at a JSON pointer; what was never counted is 0.
pub fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}
