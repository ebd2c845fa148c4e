//! Brings the agent to a host and starts it: one shell on one channel, whose script becomes the agent.
//!
//! Only what differs crosses the wire: an agent of the same hash that lies on the host is used, after its content was
//! hashed there. The dialogue is in lines that begin with `swarm-deploy NONCE`; all else that a login shell prints is
//! skipped. Never here: what the agent says, load.

pub mod removal;

use crate::agent_binary::{AgentBinaries, AgentBinary};
use crate::dialogue::{Dialogue, Stopped, is_nonce};
use crate::fleet::host::Host;
use crate::transport::{Opened, Stream, Transport, TransportError};
use futures_util::stream::{FuturesUnordered, Stream as Results};
use std::time::Duration;

/// What runs on the host; its last line, with the nonce, is added here.
const SCRIPT: &str = concat!(include_str!("deploy/place.sh"), include_str!("deploy.sh"));

/// The word before the nonce in the script's answers.
const WORD: &str = "swarm-deploy";

/// How long each step may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From the shell's start to its first line: login scripts run in it.
    pub shell: Duration,
    /// One answer of the script.
    pub step: Duration,
    /// The agent's bytes, to where they lie.
    pub upload: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            shell: Duration::from_secs(20),
            step: Duration::from_secs(20),
            upload: Duration::from_secs(120),
        }
    }
}

/// Why no agent runs on a host.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// Not reached.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The nonce is made by us.
    #[error("a nonce has 8 to 64 characters of a-z and 0-9, not {0:?}")]
    Nonce(String),
    /// No POSIX shell answered.
    #[error("host {host}: it answers, but not as a POSIX shell ({said}): swarm needs /bin/sh behind ssh, on Linux")]
    NoShell {
        /// Host.
        host: String,
        /// What came instead.
        said: String,
    },
    /// Another system.
    #[error("host {host}: it runs {system} and the agent runs on Linux only: leave this host out")]
    System {
        /// Host.
        host: String,
        /// `uname -s`.
        system: String,
    },
    /// No agent for it.
    #[error(
        "host {host}: its architecture is {arch} and the agents here are for {have}: build one there \
         (cargo build --profile agent -p swarm-agent) and give it as --agent-binary {arch}=FILE"
    )]
    Architecture {
        /// Host.
        host: String,
        /// `uname -m`.
        arch: String,
        /// What there is.
        have: String,
    },
    /// No place for it.
    #[error(
        "host {host}: no folder there can hold and run the agent ({mib} MiB): {tried}: make room, or a folder that is not noexec"
    )]
    NoFolder {
        /// Host.
        host: String,
        /// Its size, rounded up.
        mib: u64,
        /// Each folder and why not.
        tried: String,
    },
    /// It stopped answering.
    #[error("host {host}: {step} took longer than {after_s} s: the host or the way to it is too slow, or hangs")]
    Slow {
        /// Host.
        host: String,
        /// What.
        step: &'static str,
        /// Seconds.
        after_s: u64,
    },
    /// It went away.
    #[error("host {host}: the connection ended while {step}{said}: try again")]
    Ended {
        /// Host.
        host: String,
        /// What.
        step: &'static str,
        /// Last words, with a colon before them, or nothing.
        said: String,
    },
    /// The embedded bytes are damaged.
    #[error("host {host}: the agent for {arch} cannot be unpacked here ({source}): build swarm again")]
    Unpack {
        /// Host.
        host: String,
        /// Architecture.
        arch: String,
        /// Cause.
        source: std::io::Error,
    },
}

/// Reaches a host and starts the agent there. The stream stands at the agent's first byte of output.
pub async fn deploy(
    transport: &Transport,
    host: &Host,
    binaries: &AgentBinaries,
    nonce: &str,
    deadlines: Deadlines,
) -> Result<Stream, DeployError> {
    if !is_nonce(nonce) {
        return Err(DeployError::Nonce(nonce.to_owned()));
    }
    match transport.open(host, nonce).await? {
        Opened::Agent(stream) => Ok(stream),
        Opened::Shell(stream) => through_shell(stream, host, binaries, nonce, deadlines).await,
    }
}

/// The same for all hosts side by side, each answer as it comes, with the host's place in the list. Dropping it stops all.
pub fn reach<'a>(
    transport: &'a Transport,
    hosts: &'a [Host],
    binaries: &'a AgentBinaries,
    nonce: &'a str,
    deadlines: Deadlines,
) -> impl Results<Item = (usize, Result<Stream, DeployError>)> + Unpin + 'a {
    let one = move |(index, host): (usize, &'a Host)| {
        Box::pin(async move { (index, deploy(transport, host, binaries, nonce, deadlines).await) })
    };
    hosts.iter().enumerate().map(one).collect::<FuturesUnordered<_>>()
}

/// Has the dialogue with the script; on failure the stream is closed.
pub async fn through_shell(
    stream: Stream,
    host: &Host,
    binaries: &AgentBinaries,
    nonce: &str,
    deadlines: Deadlines,
) -> Result<Stream, DeployError> {
    let mut dialogue = Dialogue::new(stream, WORD, nonce);
    match bring(&mut dialogue, host, binaries, nonce, deadlines).await {
        Ok(()) => Ok(dialogue.into_stream()),
        Err(error) => {
            dialogue.into_stream().close().await;
            Err(error)
        }
    }
}

async fn bring(
    dialogue: &mut Dialogue,
    host: &Host,
    binaries: &AgentBinaries,
    nonce: &str,
    deadlines: Deadlines,
) -> Result<(), DeployError> {
    // One line: a shell that reads line by line would take the next one for an answer to the script.
    let script = format!("{SCRIPT}deploy {nonce}; exit\n");
    let first = match dialogue.send(script.as_bytes(), deadlines.shell).await {
        Ok(()) => dialogue.marker(deadlines.shell).await,
        Err(slow) => Err(slow),
    };
    let first = first.map_err(|_| no_shell(dialogue, host))?;
    let (system, arch) = named(&first).ok_or_else(|| no_shell(dialogue, host))?;
    if system != "Linux" {
        return Err(DeployError::System {
            host: host.name.clone(),
            system: shown(&system),
        });
    }
    let agent = binaries.for_arch(&arch).ok_or_else(|| DeployError::Architecture {
        host: host.name.clone(),
        arch: shown(&arch),
        have: binaries.arches().collect::<Vec<_>>().join(", "),
    })?;
    let wanted = format!("{} {} {}\n", agent.sha256, agent.gz.len(), agent.raw_len);
    let asked = "telling it which agent is wanted";
    dialogue
        .send(wanted.as_bytes(), deadlines.step)
        .await
        .map_err(|why| ended(dialogue, host, why, asked, deadlines.step))?;
    settle(dialogue, host, &arch, agent, deadlines).await
}

/// Answers the script until the agent starts.
async fn settle(
    dialogue: &mut Dialogue,
    host: &Host,
    arch: &str,
    agent: &AgentBinary,
    deadlines: Deadlines,
) -> Result<(), DeployError> {
    let looking = "it looked for a place for the agent";
    let sending = "the agent was uploaded";
    let mut tried: Vec<String> = Vec::new();
    // After an upload the next word comes when all of it has arrived and is written.
    let (mut step, mut limit) = (looking, deadlines.step);
    loop {
        let word = dialogue
            .marker(limit)
            .await
            .map_err(|why| ended(dialogue, host, why, step, limit))?;
        (step, limit) = (looking, deadlines.step);
        match word.split_once(' ').unwrap_or((&word, "")) {
            ("have" | "sent", _) => return Ok(()),
            ("send", form) => {
                let unpacked;
                let bytes = match form {
                    "gz" => agent.gz.as_ref(),
                    _ => {
                        let unpack = |source| DeployError::Unpack {
                            host: host.name.clone(),
                            arch: arch.to_owned(),
                            source,
                        };
                        unpacked = agent.raw().map_err(unpack)?;
                        unpacked.as_slice()
                    }
                };
                (step, limit) = (sending, deadlines.upload);
                dialogue
                    .send(bytes, limit)
                    .await
                    .map_err(|why| ended(dialogue, host, why, step, limit))?;
            }
            ("tried", place) if tried.len() < 16 => tried.push(shown(place)),
            ("none", _) => {
                let mib = agent.raw_len.div_ceil(1024 * 1024);
                return Err(DeployError::NoFolder {
                    host: host.name.clone(),
                    mib,
                    tried: tried.join("; "),
                });
            }
            _ => {
                return Err(DeployError::NoShell {
                    host: host.name.clone(),
                    said: shown(&word),
                });
            }
        }
    }
}

/// `host SYSTEM ARCHITECTURE`.
fn named(word: &str) -> Option<(String, String)> {
    let mut parts = word.split(' ');
    (parts.next() == Some("host")).then_some(())?;
    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
}

fn no_shell(dialogue: &Dialogue, host: &Host) -> DeployError {
    let said = dialogue
        .first_words()
        .map_or_else(|| "no output".to_owned(), |line| format!("{:?}", shown(&line)));
    DeployError::NoShell {
        host: host.name.clone(),
        said,
    }
}

fn ended(dialogue: &Dialogue, host: &Host, why: Stopped, step: &'static str, limit: Duration) -> DeployError {
    let host = host.name.clone();
    match why {
        Stopped::Slow => DeployError::Slow {
            host,
            step,
            after_s: limit.as_secs(),
        },
        Stopped::Ended => {
            let said = dialogue
                .last_words()
                .map(|line| format!(": {}", shown(&line)))
                .unwrap_or_default();
            DeployError::Ended { host, step, said }
        }
    }
}

/// A stranger's text, short and on one line.
fn shown(text: &str) -> String {
    crate::transport::plain(text, 200)
}

#[cfg(test)]
mod tests;
