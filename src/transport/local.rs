//! Agents on this machine: child processes of the embedded agent, spoken to over pipes like any other.

use super::Stream;
use crate::agent_binary::{AgentBinaries, AgentBinary};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::{Builder, TempPath};
use tokio::process::{Child, Command};

/// How long an agent may take to leave by itself.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why no agent runs on this machine.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// No agent was built for this machine.
    #[error(
        "there is no agent for this machine ({arch}): give one with --agent-binary {arch}=FILE"
    )]
    NoAgent {
        /// As `uname -m` says it.
        arch: &'static str,
    },
    /// The agent cannot be laid into any folder that allows programs.
    #[error("cannot unpack the agent into a folder that allows programs (tried {tried}): {source}")]
    Unpack {
        /// Folders.
        tried: String,
        /// The last cause.
        source: std::io::Error,
    },
    /// The process does not start.
    #[error("cannot start an agent on this machine: {0}")]
    Spawn(#[source] std::io::Error),
}

/// The agent's file on this machine; gone with this value.
pub struct LocalAgent {
    file: TempPath,
}

impl LocalAgent {
    /// Unpacks the agent into the first folder that allows programs.
    pub fn unpack(binaries: &AgentBinaries) -> Result<Self, LocalError> {
        let arch = std::env::consts::ARCH;
        let binary = binaries
            .for_arch(arch)
            .ok_or(LocalError::NoAgent { arch })?;
        let folders = folders();
        let mut cause = std::io::Error::from(std::io::ErrorKind::NotFound);
        for folder in &folders {
            match unpack_into(folder, binary) {
                Ok(file) => return Ok(Self { file }),
                Err(error) => cause = error,
            }
        }
        let tried = folders
            .iter()
            .map(|f| f.display().to_string())
            .collect::<Vec<_>>()
            .join(", ");
        Err(LocalError::Unpack {
            tried,
            source: cause,
        })
    }

    /// Starts one agent. It ends when its input does.
    pub fn spawn(&self, nonce: &str) -> Result<(Stream, LocalProcess), LocalError> {
        let mut child = Command::new(&self.file)
            .arg(nonce)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C goes to the controller alone: it drains the agents
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(LocalError::Spawn)?;
        let stream = Stream {
            input: Box::new(child.stdin.take().expect("stdin was asked for as a pipe")),
            output: Box::new(child.stdout.take().expect("stdout was asked for as a pipe")),
            errors: Box::new(child.stderr.take().expect("stderr was asked for as a pipe")),
        };
        Ok((stream, LocalProcess { child }))
    }
}

/// One agent's process.
pub struct LocalProcess {
    child: Child,
}

impl LocalProcess {
    /// Waits for it to leave, and ends it when it does not.
    pub async fn close(mut self) {
        if tokio::time::timeout(FAREWELL, self.child.wait())
            .await
            .is_err()
        {
            // it may have left in between
            let _ = self.child.kill().await;
        }
    }
}

fn folders() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    [
        Some(std::env::temp_dir()),
        runtime,
        Some(PathBuf::from("/var/tmp")),
        Some(PathBuf::from("/dev/shm")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn unpack_into(folder: &Path, binary: &AgentBinary) -> std::io::Result<TempPath> {
    let raw = binary.raw()?;
    let mut file = Builder::new()
        .prefix("swarm-agent-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempfile_in(folder)?;
    file.write_all(&raw)?;
    // a file that is open for writing cannot be run
    let path = file.into_temp_path();
    runs(&path)?;
    Ok(path)
}

/// Whether the folder lets programs run: an agent whose input has ended leaves at once.
fn runs(file: &Path) -> std::io::Result<()> {
    let mut child = std::process::Command::new(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    child.kill()?;
    child.wait().map(|_| ())
}
