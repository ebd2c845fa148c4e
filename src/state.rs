//! Where swarm keeps what it must not forget: paths, locks, atomic writes, the name of this installation. Never here:
//! what stands in the files.
//!
//! State lies in `$XDG_STATE_HOME/swarm` (else `~/.local/state/swarm`), the installation's name in
//! `$XDG_CONFIG_HOME/swarm/installation` (else `~/.config/swarm/installation`): whoever deletes the state still owns
//! what was made. All folders have mode 0700, all files 0600.

use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// No home.
    #[error("there is no place for what swarm owns: set HOME, or XDG_STATE_HOME and XDG_CONFIG_HOME")]
    NoHome,
    /// A file or folder.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// read, write, make, lock.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Somebody else works with it.
    #[error("{what}: {holder} holds {}", path.display())]
    Held {
        /// What that means.
        what: String,
        /// Process, as far as known.
        holder: String,
        /// The lock.
        path: PathBuf,
    },
    /// An installation whose name is lost owns nothing any more.
    #[error("{} does not hold an installation's name (16 of a-z and 0-9): put it right if you know it (it stands after the @ in swarm:owner), or remove the file to begin anew", .0.display())]
    Garbled(PathBuf),
    /// A fleet's name becomes a folder and a tag.
    #[error("--fleet {0:?}: a name has 1 to 40 of a-z, A-Z, 0-9, - and _, and does not begin with -")]
    FleetName(String),
}

/// The places of one user.
#[derive(Debug, Clone)]
pub struct State {
    state: PathBuf,
    config: PathBuf,
}

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// By one alone.
    Alone,
    /// By several.
    Shared,
}

/// A lock, held until dropped. The kernel drops it with the process, however that ends.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Shows that its holder lives: the file's time is the present one.
    pub fn beat(&self) {
        // a beat that fails makes others wait less, and the next one comes in a second
        let _ = rustix::fs::futimens(
            &self.0,
            &rustix::fs::Timestamps {
                last_access: NOW,
                last_modification: NOW,
            },
        );
    }
}

const NOW: rustix::fs::Timespec = rustix::fs::Timespec {
    tv_sec: 0,
    tv_nsec: rustix::fs::UTIME_NOW,
};

impl State {
    /// The places that the environment names.
    pub fn of(environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, StateError> {
        let absolute = |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let place = |name: &str, below: &str| {
            absolute(name)
                .or_else(|| home.as_ref().map(|home| home.join(below)))
                .map(|folder| folder.join("swarm"))
                .ok_or(StateError::NoHome)
        };
        Ok(Self {
            state: place("XDG_STATE_HOME", ".local/state")?,
            config: place("XDG_CONFIG_HOME", ".config")?,
        })
    }

    /// Those of this process.
    pub fn real() -> Result<Self, StateError> {
        Self::of(&|name| std::env::var(name).ok())
    }

    /// A fleet's folder, which may not exist.
    pub fn fleet(&self, name: &str) -> Result<PathBuf, StateError> {
        check_fleet_name(name)?;
        Ok(self.state.join("fleets").join(name))
    }

    /// Names of the fleets that have a folder, sorted.
    pub fn fleets(&self) -> Result<Vec<String>, StateError> {
        let folder = self.state.join("fleets");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed("read", &folder, source)),
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| check_fleet_name(name).is_ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// This installation's name, if it has one.
    pub fn installation(&self) -> Result<Option<String>, StateError> {
        let path = self.config.join("installation");
        match std::fs::read_to_string(&path) {
            Ok(text) if is_installation(text.trim()) => Ok(Some(text.trim().to_owned())),
            Ok(_) => Err(StateError::Garbled(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("read", &path, source)),
        }
    }

    /// The same, made when there is none: 16 random characters that tell this installation's fleets from others'.
    pub fn installation_or_new(&self) -> Result<String, StateError> {
        if let Some(name) = self.installation()? {
            return Ok(name);
        }
        let mut random = [0u8; 16];
        let source = Path::new("/dev/urandom");
        File::open(source)
            .and_then(|mut file| file.read_exact(&mut random))
            .map_err(|error| failed("read", source, error))?;
        let name: String = random
            .iter()
            .map(|byte| char::from(b"0123456789abcdefghjkmnpqrstvwxyz"[usize::from(byte & 31)]))
            .collect();
        make_folder(&self.config)?;
        write_atomic(&self.config.join("installation"), format!("{name}\n").as_bytes())?;
        Ok(name)
    }
}

fn is_installation(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// A fleet's name is a folder, a tag and a part of the security group's name.
pub fn check_fleet_name(name: &str) -> Result<(), StateError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let fine = (1..=40).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(plain);
    fine.then_some(()).ok_or_else(|| StateError::FleetName(name.to_owned()))
}

/// Makes a folder and those above it, mode 0700.
pub fn make_folder(folder: &Path) -> Result<(), StateError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| failed("make", folder, source))
}

/// Writes a file whole or not at all, mode 0600, on disk when this returns.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let write = || {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| failed("write", path, source))
}

/// Takes a lock file without waiting. `what` says what is refused to whom comes second.
pub fn lock(path: &Path, hold: Hold, what: &str) -> Result<Lock, StateError> {
    let mut file = open_lock(path)?;
    let operation = match hold {
        Hold::Alone => FlockOperation::NonBlockingLockExclusive,
        Hold::Shared => FlockOperation::NonBlockingLockShared,
    };
    if let Err(error) = flock(&file, operation) {
        let mut pid = String::new();
        // who holds it is a courtesy
        let _ = file.read_to_string(&mut pid);
        let holder = match pid.trim() {
            "" => "another swarm".to_owned(),
            pid => format!("the swarm with process id {pid}"),
        };
        return match error {
            rustix::io::Errno::WOULDBLOCK => Err(StateError::Held {
                what: what.to_owned(),
                holder,
                path: path.to_owned(),
            }),
            other => Err(failed("lock", path, other.into())),
        };
    }
    // whoever held it before may have removed it with its folder: then this is nobody's lock any more
    let is_there = std::fs::metadata(path).is_ok_and(|there| file.metadata().is_ok_and(|own| own.ino() == there.ino()));
    if !is_there {
        return Err(StateError::Held {
            what: what.to_owned(),
            holder: "a swarm that just ended".to_owned(),
            path: path.to_owned(),
        });
    }
    let noted = file
        .set_len(0)
        .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
    noted.map_err(|source| failed("lock", path, source))?;
    Ok(Lock(file))
}

/// When whoever held a lock was last at work; long ago where nobody ever was.
pub fn last_seen(path: &Path) -> jiff::Timestamp {
    let modified = std::fs::metadata(path).and_then(|file| file.modified());
    modified
        .ok()
        .and_then(|at| at.try_into().ok())
        .unwrap_or(jiff::Timestamp::MIN)
}

fn open_lock(path: &Path) -> Result<File, StateError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| failed("lock", path, source))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> StateError {
    StateError::File {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, State) {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        let state = State::of(&|name| (name == "HOME").then(|| home.clone())).unwrap();
        (folder, state)
    }

    #[test]
    fn an_installation_is_named_once_and_for_good() {
        let (_folder, state) = state();
        assert_eq!(state.installation().unwrap(), None);
        let name = state.installation_or_new().unwrap();
        assert!(is_installation(&name), "{name}");
        assert_eq!(state.installation_or_new().unwrap(), name);
        assert_ne!(self::state().1.installation_or_new().unwrap(), name);
        std::fs::write(state.config.join("installation"), "x").unwrap();
        assert!(matches!(state.installation(), Err(StateError::Garbled(_))));
        write_atomic(&state.config.join("installation"), name.as_bytes()).unwrap();
        let mode = std::fs::metadata(state.config.join("installation"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn one_alone_or_several_hold_a_lock() {
        let (folder, _) = state();
        let path = folder.path().join("lock");
        let first = lock(&path, Hold::Shared, "no").unwrap();
        let second = lock(&path, Hold::Shared, "no").unwrap();
        let refused = lock(&path, Hold::Alone, "an attack runs").unwrap_err().to_string();
        assert!(
            refused.starts_with("an attack runs: ") && refused.contains(&std::process::id().to_string()),
            "{refused}"
        );
        drop((first, second));
        lock(&path, Hold::Alone, "no").unwrap();
    }

    #[test]
    fn fleets_are_listed_and_their_names_are_plain() {
        let (_folder, state) = state();
        assert!(state.fleets().unwrap().is_empty());
        make_folder(&state.fleet("b").unwrap()).unwrap();
        make_folder(&state.fleet("a-1").unwrap()).unwrap();
        assert_eq!(state.fleets().unwrap(), ["a-1", "b"]);
        for wrong in ["", "-a", "a/b", "..", "a b", &"x".repeat(41)] {
            assert!(state.fleet(wrong).is_err(), "{wrong}");
        }
        assert!(State::of(&|_| None).is_err());
    }
}
