//! Owns: the target servers (three Socket.IO, one WebSocket, Redis) and what they counted.
//! Must not: know swarm or the balancers.

use crate::net::BRIDGE_ADDRESS;
use crate::process::{Daemon, wait_until};
use crate::{Result, ensure, http};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub const SOCKETIO: [(&str, u16); 3] = [("s1", 17001), ("s2", 17002), ("s3", 17003)];
pub const WEBSOCKET: (&str, u16) = ("w1", 17011);
const REDIS_PORT: u16 = 17079;

pub struct Servers {
    _daemons: Vec<Daemon>,
}

/// Source address to backend to number of clients, as the servers saw it.
pub type Matrix = BTreeMap<String, BTreeMap<String, u64>>;

pub fn at(port: u16) -> Result<SocketAddr> {
    Ok(format!("{BRIDGE_ADDRESS}:{port}").parse()?)
}

impl Servers {
    pub fn start(lab: &Path) -> Result<Self> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/servers");
        ensure!(
            scripts.join("node_modules/socket.io").exists(),
            "tests/lab/servers has no node_modules: run tests/setup"
        );
        let redis_port = REDIS_PORT.to_string();
        let mut redis = Command::new("redis-server");
        redis.args([
            "--port",
            &redis_port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        let mut daemons = vec![Daemon::start(lab, "redis", redis.current_dir(lab))?];
        for (name, port) in SOCKETIO {
            let mut node = Command::new("node");
            node.arg(scripts.join("socketio.js"))
                .args([name, BRIDGE_ADDRESS, &port.to_string(), &redis_port]);
            daemons.push(Daemon::start(lab, name, &mut node)?);
        }
        let mut node = Command::new("node");
        node.arg(scripts.join("websocket.js"))
            .args([WEBSOCKET.0, BRIDGE_ADDRESS, &WEBSOCKET.1.to_string()]);
        daemons.push(Daemon::start(lab, WEBSOCKET.0, &mut node)?);
        Ok(Self { _daemons: daemons })
    }

    pub fn wait_ready(&self) -> Result {
        for (name, port) in SOCKETIO.into_iter().chain([WEBSOCKET]) {
            let address = at(port)?;
            wait_until(&format!("{name} to listen"), Duration::from_secs(20), || {
                Ok(TcpStream::connect(address).is_ok())
            })?;
        }
        Ok(())
    }

    pub fn reset(&self) -> Result {
        for (_, port) in SOCKETIO.into_iter().chain([WEBSOCKET]) {
            http::ask("POST", at(port)?, "/_lab/reset")?;
        }
        Ok(())
    }

    /// What one server counted.
    pub fn counts(&self, port: u16) -> Result<Value> {
        Ok(serde_json::from_str(&http::get(at(port)?, "/_lab/counts")?.body)?)
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
        Ok(number(&self.counts(WEBSOCKET.1)?, &format!("/all{pointer}")))
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

    /// Waits until no Socket.IO or WebSocket client is open any more.
    pub fn wait_all_closed(&self) -> Result {
        wait_until("the servers to see every client gone", Duration::from_secs(10), || {
            Ok(self.socketio_total("/open")? + self.websocket_total("/open")? == 0)
        })
    }
}

/// A count at a JSON pointer; what was never counted is 0.
pub fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}
