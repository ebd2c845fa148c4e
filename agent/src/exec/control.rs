//! What agent, guardian and holder say to each other over their sockets: frames of the wire with messages of their own.
//! Never here: what is done about it.

use crate::wire::exec::{Exit, Words};
use crate::wire::frame::{Inbox, Outbox};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Downwards: agent to guardian, guardian to holder.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Down {
    /// Get ready to run this.
    Hold(Hold),
    /// Exec at this instant of the monotonic clock, ns.
    Start { at: u64 },
    /// End everything.
    End,
    /// Nothing in the folder is wanted any more: remove it and leave.
    Done,
}

/// What is to be held.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hold {
    pub words: Words,
    pub login_shell: bool,
    /// The run's folder, absolute.
    pub folder: std::path::PathBuf,
}

/// Upwards: holder to guardian, guardian to agent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Up {
    /// Forked, and waiting for the instant.
    Held,
    /// About to exec, at this instant of the monotonic clock, ns.
    Began { at: u64 },
    /// The exec failed.
    NotBegun { why: String },
    /// The command ended.
    Exited { exit: Exit, at: u64 },
    /// Nothing runs any more, but `left`.
    Over { lingering: u32, left: u32 },
}

/// One end of a socket, for tasks. Reading may be given up at any time and loses nothing.
pub(super) struct Socket {
    stream: UnixStream,
    inbox: Inbox,
}

impl Socket {
    pub fn new(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: UnixStream::from_std(stream)?,
            inbox: Inbox::default(),
        })
    }

    /// The next message; `None` when the other side is gone, or speaks nonsense.
    pub async fn next<M: DeserializeOwned>(&mut self) -> Option<M> {
        let mut piece = [0; 4096];
        loop {
            match self.inbox.next_message() {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(_) => return None,
            }
            match self.stream.read(&mut piece).await {
                Ok(n @ 1..) => self.inbox.feed(&piece[..n]),
                Ok(0) | Err(_) => return None,
            }
        }
    }

    pub async fn tell<M: Serialize>(&mut self, message: &M) -> io::Result<()> {
        self.stream.write_all(&framed(message)?).await
    }
}

/// The same for a process that does one thing after the other.
pub(super) struct Blocking {
    stream: std::os::unix::net::UnixStream,
    inbox: Inbox,
}

impl Blocking {
    pub fn new(stream: std::os::unix::net::UnixStream) -> Self {
        Self {
            stream,
            inbox: Inbox::default(),
        }
    }

    pub fn next<M: DeserializeOwned>(&mut self) -> Option<M> {
        let mut piece = [0; 4096];
        loop {
            match self.inbox.next_message() {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(_) => return None,
            }
            match self.stream.read(&mut piece) {
                Ok(n @ 1..) => self.inbox.feed(&piece[..n]),
                Ok(0) => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    pub fn tell<M: Serialize>(&mut self, message: &M) -> io::Result<()> {
        self.stream.write_all(&framed(message)?)
    }
}

fn framed<M: Serialize>(message: &M) -> io::Result<Vec<u8>> {
    let mut outbox = Outbox::default();
    outbox.data(message).map_err(io::Error::other)?;
    Ok(std::iter::from_fn(|| outbox.next_frame()).flatten().collect())
}

/// Standard input, which is one end of a pair of sockets. The copy goes with an exec.
pub(super) fn inherited() -> io::Result<std::os::unix::net::UnixStream> {
    Ok(rustix::stdio::stdin().try_clone_to_owned()?.into())
}
