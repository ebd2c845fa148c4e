//! Agents as child processes on this machine, over the same wire.
//!
//! The embedded agent is unpacked once a run: into memory (a memfd) where that may be executed, else into a file of its
//! own. Each child has a process group of its own, so that an interrupt at the terminal reaches only the controller,
//! which drains first. Never here: what the bytes mean.

use super::stream::{Held, Stream};
use crate::agent_binary::AgentBinary;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::Command;

/// Why no agent can run here.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The embedded bytes are damaged.
    #[error("the agent inside this program cannot be unpacked: {0}: build swarm again")]
    Unpack(std::io::Error),
    /// No place from which programs may run.
    #[error(
        "this machine has no place to run the agent from: {0}: set TMPDIR to a folder that is not full and not mounted noexec"
    )]
    NoPlace(String),
    /// It was unpacked and cannot be started.
    #[error("cannot start an agent on this machine: {0}")]
    Spawn(std::io::Error),
}

/// The local side of one run.
#[derive(Debug)]
pub struct Local {
    place: Place,
}

/// Where the agent was unpacked; it is gone with the run.
#[derive(Debug)]
enum Place {
    Memory(File),
    Folder(TempDir),
}

impl Place {
    fn program(&self) -> PathBuf {
        match self {
            Self::Memory(file) => PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())),
            Self::Folder(folder) => folder.path().join("swarm-agent"),
        }
    }
}

impl Local {
    /// Unpacks the agent to where it can be executed.
    pub async fn new(agent: &AgentBinary) -> Result<Self, LocalError> {
        let raw = agent.raw().map_err(LocalError::Unpack)?;
        let folders = folders();
        let mut tried = Vec::new();
        // A script (an agent of a test) is opened again by its interpreter, when the memfd is closed already.
        let memory = raw.starts_with(b"\x7fELF").then_some(None);
        let places = memory.into_iter().chain(folders.iter().map(Some));
        for folder in places {
            let place = match folder {
                None => in_memory(&raw).map(Place::Memory),
                Some(folder) => in_folder(folder, &raw).map(Place::Folder),
            };
            let runs = match place {
                Ok(place) => is_executable(&place).await.map(|()| place),
                Err(error) => Err(error),
            };
            match runs {
                Ok(place) => return Ok(Self { place }),
                Err(error) => tried.push(format!(
                    "{}: {error}",
                    folder.map_or("memory".into(), |folder| folder.display().to_string())
                )),
            }
        }
        Err(LocalError::NoPlace(tried.join("; ")))
    }

    /// Starts one agent.
    pub fn spawn(&self, nonce: &str) -> Result<Stream, LocalError> {
        let mut command = Command::new(self.place.program());
        command
            .arg0("swarm-agent")
            .arg(nonce)
            .process_group(0)
            .kill_on_drop(true);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(LocalError::Spawn)?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(LocalError::Spawn(std::io::Error::other("its streams are missing")));
        };
        Ok(Stream {
            input: Box::new(input),
            output: Box::new(output),
            errors: Box::new(errors),
            held: Held::Child(Box::new(child)),
        })
    }
}

fn in_memory(raw: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(memfd_create("swarm-agent", MemfdFlags::CLOEXEC)?);
    file.write_all(raw)?;
    Ok(file)
}

fn in_folder(parent: &Path, raw: &[u8]) -> std::io::Result<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("swarm-agent-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)?;
    let file = folder.path().join("swarm-agent");
    std::fs::write(&file, raw)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700))?;
    Ok(folder)
}

/// Starts it with its input at the end, and ends it at once: the kernel's answer to the start is what counts.
async fn is_executable(place: &Place) -> std::io::Result<()> {
    let mut command = Command::new(place.program());
    command
        .arg("probe")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn()?;
    // Whatever it did with an empty input, it ran.
    child.kill().await.ok();
    Ok(())
}

fn folders() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let fixed = ["/var/tmp", "/dev/shm"].map(PathBuf::from);
    let mut folders: Vec<PathBuf> = [Some(std::env::temp_dir()), runtime, home]
        .into_iter()
        .flatten()
        .chain(fixed)
        .collect();
    folders.retain(|folder| folder.is_absolute());
    folders.dedup();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A program that every Linux has, in the place of the agent: prints its arguments and its input.
    fn echo() -> AgentBinary {
        AgentBinary::pack(b"#!/bin/sh\necho \"swarm-agent/1 $1\"\nexec cat\n").unwrap()
    }

    #[tokio::test]
    async fn an_agent_speaks_and_ends_with_its_input() {
        let local = Local::new(&echo()).await.unwrap();
        let mut stream = local.spawn("n0").unwrap();
        stream.input.write_all(b"hello").await.unwrap();
        let input = std::mem::replace(&mut stream.input, Box::new(tokio::io::sink()));
        drop(input);
        let mut said = String::new();
        stream.output.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "swarm-agent/1 n0\nhello");
        stream.close().await;
    }

    #[tokio::test]
    async fn a_place_that_runs_nothing_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let program = Place::Folder(in_folder(folder.path(), b"#!/bin/sh\n").unwrap());
        is_executable(&program).await.unwrap();
        std::fs::set_permissions(program.program(), std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(
            is_executable(&program).await.unwrap_err().kind(),
            std::io::ErrorKind::PermissionDenied
        );
    }
}
