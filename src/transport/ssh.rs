//! Connections to hosts through the user's own OpenSSH client, one a host, ended with the run.
//!
//! Host keys are always checked: an unknown one is taken only when the user said so, a changed one never. Never here:
//! what is run on a host, and what it says.

use super::ssh_config::{self, CONNECT_TIMEOUT_S, SshConfigError, SshOptions};
use super::ssh_failure::{is_passing, told};
use super::stream::{Held, Stream};
use crate::fleet::host::Host;
use openssh::{ControlPersist, KnownHosts, Session, SessionBuilder, Stdio};
use std::collections::HashMap;
use std::error::Error as _;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Connects that go on at once: a key exchange takes a core for tens of milliseconds.
const AT_ONCE: usize = 16;
/// The same to one address: sshd's default `MaxStartups` begins to drop at 10.
const AT_ONCE_PER_ADDRESS: usize = 8;
/// Tries for one host when the other side closed the connection early.
const TRIES: u32 = 6;
/// Seconds after which a connection without a process ends by itself: what is left of a controller that was killed.
const IDLE_S: NonZeroUsize = NonZeroUsize::new(10).expect("10 is not 0");
/// For what comes after the connect timeout: authentication.
const LOGIN: Duration = Duration::from_secs(20);
/// For opening a channel on a connection that stands.
const CHANNEL: Duration = Duration::from_secs(15);
/// The longest control path that ssh can bind, less what the openssh crate and ssh itself append.
const FOLDER_LIMIT: usize = 108 - 56;

/// Why a host could not be reached over SSH.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// The run's own files.
    #[error("cannot prepare for ssh in {}: {source}", folder.display())]
    Folder {
        /// Where.
        folder: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// `-i` or `-F`.
    #[error(transparent)]
    Config(#[from] SshConfigError),
    /// No client here.
    #[error("the command ssh cannot be run ({0}): install OpenSSH's client")]
    NoClient(std::io::Error),
    /// Not in known_hosts.
    #[error(
        "host {host}: its host key is not known: check it and add it (ssh-keyscan {scan} >> ~/.ssh/known_hosts), \
         or run again with --accept-new-host-keys"
    )]
    HostKeyUnknown {
        /// Host.
        host: String,
        /// Words for ssh-keyscan.
        scan: String,
    },
    /// Another key than known_hosts has.
    #[error(
        "host {host}: its host key has changed or is revoked: somebody may be in between, or the machine was made anew. \
         Check that, then: ssh-keygen -R '{known}'"
    )]
    HostKeyChanged {
        /// Host.
        host: String,
        /// Its entry in known_hosts.
        known: String,
    },
    /// Another key than `swarm up` put on file.
    #[error(
        "host {host}: it does not show the host key that `swarm up` put on file: somebody may be in between, or its address belongs \
         to another machine now. `swarm status` tells which; `swarm down` and `swarm up` make the fleet anew"
    )]
    NotOurs {
        /// Host.
        host: String,
    },
    /// No key of ours was taken.
    #[error(
        "host {host}: login refused ({said}): name the user (user@host) and the key (-i FILE); a key with a passphrase must be \
         in the agent first (ssh-add FILE). To see why: ssh -v {words}"
    )]
    Denied {
        /// Host.
        host: String,
        /// Of ssh.
        said: String,
        /// Words for ssh.
        words: String,
    },
    /// No address.
    #[error("host {host}: the name {address} is not resolved: check its spelling, or give an address")]
    NameUnknown {
        /// Host.
        host: String,
        /// As given to ssh.
        address: String,
    },
    /// Nobody listens.
    #[error("host {host}: connection refused: is sshd running there, on this port (host:PORT)?")]
    Refused {
        /// Host.
        host: String,
    },
    /// No answer.
    #[error(
        "host {host}: not reached ({said}): is it up, and does its firewall or security group let port 22 through?"
    )]
    Unreachable {
        /// Host.
        host: String,
        /// Of ssh.
        said: String,
    },
    /// It takes too long.
    #[error("host {host}: no login within {after_s} s: try ssh -v {words}")]
    Slow {
        /// Host.
        host: String,
        /// Seconds.
        after_s: u64,
        /// Words for ssh.
        words: String,
    },
    /// Logged in, but no process could be started.
    #[error(
        "host {host}: logged in, but no command can be run there ({said}): is the account allowed to (ForceCommand, MaxSessions)?"
    )]
    Channel {
        /// Host.
        host: String,
        /// Cause.
        said: String,
    },
    /// Anything else.
    #[error("host {host}: ssh failed: {said}: try ssh -v {words}")]
    Other {
        /// Host.
        host: String,
        /// Of ssh.
        said: String,
        /// Words for ssh.
        words: String,
    },
}

/// The SSH side of one run.
#[derive(Debug)]
pub struct Ssh {
    /// Control sockets and the config; gone with the last stream.
    folder: Arc<TempDir>,
    config: PathBuf,
    known_hosts: KnownHosts,
    /// Only host keys of swarm's own file count.
    pinned: bool,
    whole: Duration,
    at_once: Semaphore,
    per_address: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Ssh {
    /// Writes the run's config and makes its control folder. Nothing is connected yet.
    pub async fn new(options: &SshOptions) -> Result<Self, SshError> {
        let version = tokio::process::Command::new("ssh")
            .arg("-V")
            .output()
            .await
            .map_err(SshError::NoClient)?;
        let reorders = ssh_config::knows_reordering(&String::from_utf8_lossy(&version.stderr));
        let text = ssh_config::text(options, reorders)?;
        let folder = new_control_folder()?;
        let config = folder.path().join("config");
        std::fs::write(&config, text).map_err(|source| SshError::Folder {
            folder: folder.path().to_owned(),
            source,
        })?;
        let connect = if options.connect_timeout_s == 0 {
            CONNECT_TIMEOUT_S
        } else {
            options.connect_timeout_s
        };
        Ok(Self {
            folder: Arc::new(folder),
            config,
            known_hosts: if options.accept_new_host_keys {
                KnownHosts::Add
            } else {
                KnownHosts::Strict
            },
            pinned: options.pinned.is_some(),
            whole: Duration::from_secs(u64::from(connect)) + LOGIN,
            at_once: Semaphore::new(AT_ONCE),
            per_address: Mutex::default(),
        })
    }

    /// Where the control sockets are, while this run lasts.
    pub fn control_folder(&self) -> &Path {
        self.folder.path()
    }

    /// Connects and starts a POSIX shell that reads its script from the stream, whatever the login shell is.
    pub async fn shell(&self, host: &Host) -> Result<Stream, SshError> {
        let session = Arc::new(self.connect(host).await?);
        let cannot = |said: String| SshError::Channel {
            host: host.name.clone(),
            said,
        };
        let mut command = session.arc_raw_command("exec /bin/sh -s");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let spawned = timeout(CHANNEL, command.spawn()).await;
        let spawned = spawned.map_err(|_| cannot(format!("no answer within {} s", CHANNEL.as_secs())))?;
        let mut child = spawned.map_err(|error| cannot(chain(&error)))?;
        let streams = (child.stdin().take(), child.stdout().take(), child.stderr().take());
        let (Some(input), Some(output), Some(errors)) = streams else {
            return Err(cannot("its streams are missing".to_owned()));
        };
        Ok(Stream {
            input: Box::new(input),
            output: Box::new(output),
            errors: Box::new(errors),
            held: Held::Session(Box::new(child), Arc::clone(&self.folder)),
        })
    }

    /// One connection, tried again while the other side has too many being opened.
    async fn connect(&self, host: &Host) -> Result<Session, SshError> {
        let per_address = self.bound_of(&host.address);
        let mut builder = SessionBuilder::default();
        builder
            .known_hosts_check(self.known_hosts.clone())
            .control_directory(self.folder.path())
            .control_persist(ControlPersist::IdleFor(IDLE_S))
            .config_file(&self.config);
        if let Some(user) = &host.user {
            builder.user(user.clone());
        }
        if let Some(port) = host.port {
            builder.port(port);
        }
        let mut tried = 1;
        loop {
            let permits = (per_address.acquire().await, self.at_once.acquire().await);
            let outcome = timeout(self.whole, builder.connect_mux(&host.address)).await;
            drop(permits);
            let slow = || SshError::Slow {
                host: host.name.clone(),
                after_s: self.whole.as_secs(),
                words: host.ssh_words(),
            };
            let error = match outcome.map_err(|_| slow())? {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            let log = error
                .source()
                .map(ToString::to_string)
                .unwrap_or_else(|| error.to_string());
            if tried == TRIES || !is_passing(&log) {
                return Err(match told(host, &log) {
                    SshError::HostKeyUnknown { host, .. } | SshError::HostKeyChanged { host, .. } if self.pinned => {
                        SshError::NotOurs { host }
                    }
                    other => other,
                });
            }
            sleep(pause(tried)).await;
            tried += 1;
        }
    }

    fn bound_of(&self, address: &str) -> Arc<Semaphore> {
        let mut bounds = self.per_address.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            bounds
                .entry(address.to_owned())
                .or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE_PER_ADDRESS))),
        )
    }
}

/// 150, 300, 600 ... ms, half of it by chance, so that those who were dropped together do not come back together.
fn pause(tried: u32) -> Duration {
    let whole = 150_u64 << tried.min(6);
    Duration::from_millis(whole / 4 + chance() % (whole / 2))
}

/// A number that differs from call to call; no secret hangs on it.
fn chance() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(crate::clock::now_ns())
}

/// A folder for control sockets: ours alone, and with a path short enough for a socket.
fn new_control_folder() -> Result<TempDir, SshError> {
    let own = |parent: &Path| {
        tempfile::Builder::new()
            .prefix("swarm-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)
    };
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let places = [runtime, Some(std::env::temp_dir()), Some(PathBuf::from("/tmp"))];
    let mut failure = None;
    for place in places
        .into_iter()
        .flatten()
        .filter(|place| place.is_absolute() && place.as_os_str().len() + 13 <= FOLDER_LIMIT)
    {
        match own(&place) {
            Ok(folder) => return Ok(folder),
            Err(source) => failure = Some(SshError::Folder { folder: place, source }),
        }
    }
    Err(failure.expect("/tmp is short enough, so at least one place was tried"))
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
