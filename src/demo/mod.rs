//! Owns the servers of `swarm demo`: three Socket.IO backends behind a balancer that picks by source
//! address, on loopback, and their own counts. Never touches agents, plans or reports: the demo's attack is
//! an ordinary one on [`Demo::url`].

mod backend;
mod balancer;
mod counts;
mod listening;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use thiserror::Error;

use self::backend::Backend;
use self::counts::Tally;
use self::listening::Listening;

pub use self::counts::{BackendCounts, Counts};

/// The backends' names, in the balancer's order.
pub const BACKENDS: [&str; 3] = ["s1", "s2", "s3"];

/// File descriptors that the servers hold in this process for each connection of a client: the balancer's
/// two and the backend's one.
pub const DESCRIPTORS_PER_CONNECTION: u64 = 3;

/// The running servers. They end with [`Demo::stop`]; dropping a `Demo` only begins their end.
pub struct Demo {
    tally: Arc<Tally>,
    backends: Vec<Backend>,
    balancer: Listening,
}

/// Why the demo's servers did not start.
#[derive(Debug, Error)]
pub enum DemoError {
    /// No port, no descriptor, or no loopback.
    #[error("cannot listen on 127.0.0.1 for the demo's {server}")]
    Listen {
        /// Which of the servers: `balancer` or a backend's name.
        server: &'static str,
        source: io::Error,
    },
}

impl Demo {
    /// Starts three backends and the balancer, each on a free port of 127.0.0.1.
    pub async fn start() -> Result<Self, DemoError> {
        let tally = Tally::new(&BACKENDS);
        let backends = BACKENDS
            .iter()
            .map(|name| Backend::start(name, Arc::clone(&tally)).map_err(listen_error(name)))
            .collect::<Result<Vec<_>, _>>()?;
        let addresses = backends.iter().map(Backend::address).collect();
        let balancer = balancer::start(addresses, Arc::clone(&tally)).map_err(listen_error("balancer"))?;
        Ok(Self {
            tally,
            backends,
            balancer,
        })
    }

    /// The balancer's URL, `http://127.0.0.1:PORT`; Socket.IO is at the usual path `/socket.io/`.
    pub fn url(&self) -> String {
        format!("http://{}", self.balancer.address())
    }

    /// What the servers counted so far, all of one moment.
    pub fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// All counts to zero; clients that are still open are forgotten.
    pub fn reset(&self) {
        self.tally.reset();
    }

    /// Ends all connections and returns when the servers' tasks have ended. The balancer goes first: no
    /// client gets a new connection while the backends say goodbye.
    pub async fn stop(self) {
        self.balancer.stop().await;
        for backend in &self.backends {
            backend.stop().await;
        }
    }
}

fn listen_error(server: &'static str) -> impl FnOnce(io::Error) -> DemoError {
    move |source| DemoError::Listen { server, source }
}
