//! How an agent is started and spoken to: over SSH on a host, or as a child process here.
//!
//! One variant a file; this one only delegates. Never here: what the bytes mean.

pub mod local;
pub mod ssh;
pub mod ssh_config;
mod ssh_failure;
pub mod stream;

use crate::fleet::host::Host;
pub use local::{Local, LocalError};
pub use ssh::{Ssh, SshError};
pub(crate) use ssh_failure::plain;
pub use stream::Stream;

/// A way to a host, opened once a run.
#[derive(Debug)]
pub enum Transport {
    /// OpenSSH, one connection a host.
    Ssh(Ssh),
    /// Child processes on this machine.
    Local(Local),
}

/// What a transport opened.
#[derive(Debug)]
pub enum Opened {
    /// A POSIX shell (`/bin/sh -s`) that reads its script from the stream.
    Shell(Stream),
    /// The agent itself.
    Agent(Stream),
}

/// Why a host could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Over SSH.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// As a child process.
    #[error(transparent)]
    Local(#[from] LocalError),
}

impl Transport {
    /// Reaches a host. The nonce goes to the agent where the agent is what was opened.
    pub async fn open(&self, host: &Host, nonce: &str) -> Result<Opened, TransportError> {
        match self {
            Self::Ssh(ssh) => Ok(Opened::Shell(ssh.shell(host).await?)),
            Self::Local(local) => Ok(Opened::Agent(local.spawn(nonce)?)),
        }
    }
}
