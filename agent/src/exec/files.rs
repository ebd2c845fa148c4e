//! The run's folder on this host, the files that come into it and those that go back. Never here: the link, processes.

use crate::wire::exec::{PIECE, Upload};
use rustix::fs::OFlags;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Permission bits that travel.
const MODE: u32 = 0o777;

/// Makes a folder that nobody else can look into: beside the agent, from where programs are known to run, else where
/// temporary files go.
pub(super) fn folder(run: &str) -> Result<PathBuf, String> {
    let plain: String = run.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = format!("exec-{}-{}", plain.to_ascii_lowercase(), std::process::id());
    let mut tried = String::new();
    for place in places() {
        // one of this very name was left by a process whose number came round
        for n in 0..100 {
            let path = place.join(if n == 0 { name.clone() } else { format!("{name}-{n}") });
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    tried += &format!("; {}: {error}", place.display());
                    break;
                }
            }
        }
    }
    Err(format!("no place for the run's folder{tried}"))
}

fn places() -> Vec<PathBuf> {
    let own = std::env::current_exe().ok().filter(|file| file.is_file());
    let beside = own.and_then(|file| Some(file.parent()?.to_owned()));
    // an agent of this machine runs from memory, or from a build's folder, where nothing is to be left
    let beside = beside.filter(|folder| {
        folder
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("swarm"))
    });
    let fixed = ["/var/tmp", "/tmp", "/dev/shm"].map(PathBuf::from);
    beside.into_iter().chain([std::env::temp_dir()]).chain(fixed).collect()
}

/// Uploads on their way into the folder.
pub(super) struct Arriving {
    folder: PathBuf,
    waiting: std::vec::IntoIter<Upload>,
    open: Option<(File, Upload, u64)>,
}

impl Arriving {
    pub fn new(folder: &Path, uploads: Vec<Upload>) -> Result<Self, String> {
        let mut arriving = Self {
            folder: folder.to_owned(),
            waiting: uploads.into_iter(),
            open: None,
        };
        arriving.open_next()?;
        Ok(arriving)
    }

    /// Whether all of them are there.
    pub fn complete(&self) -> bool {
        self.open.is_none()
    }

    /// Takes the next bytes.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let Some((file, upload, left)) = &mut self.open else {
                return Err("more bytes came than files were announced".to_owned());
            };
            let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
            file.write_all(&bytes[..n])
                .map_err(|error| format!("--upload {}: cannot be written: {error}", upload.name))?;
            *left -= n as u64;
            bytes = &bytes[n..];
            if *left == 0 {
                self.open_next()?;
            }
        }
        Ok(())
    }

    /// Makes files until one of them wants bytes.
    fn open_next(&mut self) -> Result<(), String> {
        self.open = None;
        for upload in self.waiting.by_ref() {
            let wrong = |error: io::Error| format!("--upload {}: {error}", upload.name);
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(self.folder.join(&upload.name))
                .map_err(wrong)?;
            file.set_permissions(Permissions::from_mode(upload.mode & MODE))
                .map_err(wrong)?;
            if upload.size > 0 {
                let size = upload.size;
                self.open = Some((file, upload, size));
                return Ok(());
            }
        }
        Ok(())
    }
}

/// A file that goes back.
pub(super) struct Leaving {
    file: File,
    pub mode: u32,
    pub size: u64,
    left: u64,
}

impl Leaving {
    /// Opens it. The folder is where relative paths begin.
    pub fn open(folder: &Path, path: &str) -> io::Result<Self> {
        // what is a pipe is not waited for
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(folder.join(path))?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        Ok(Self {
            file,
            mode: about.permissions().mode() & MODE,
            size: about.len(),
            left: about.len(),
        })
    }

    /// The next bytes, at most so many; none at the end. A file that has grown is cut where it was, one that has shrunk is
    /// an error.
    pub fn next(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(most).min(PIECE);
        let mut bytes = vec![0; wanted];
        self.file.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other("it shrank while it was read"),
            _ => error,
        })?;
        self.left -= wanted as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(name: &str, mode: u32, size: u64) -> Upload {
        Upload {
            name: name.into(),
            mode,
            size,
        }
    }

    #[test]
    fn files_arrive_whole_with_their_modes_and_never_over_another() {
        let folder = folder("TEST").unwrap();
        let all = vec![upload("a", 0o755, 3), upload("empty", 0o644, 0), upload("b", 0o400, 2)];
        let mut arriving = Arriving::new(&folder, all).unwrap();
        for piece in [&b"x"[..], b"yzA", b"B"] {
            assert!(!arriving.complete());
            arriving.take(piece).unwrap();
        }
        assert!(arriving.complete() && arriving.take(b"?").is_err());
        for (name, mode, holds) in [("a", 0o755, "xyz"), ("empty", 0o644, ""), ("b", 0o400, "AB")] {
            let path = folder.join(name);
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode, "{name}");
            let mut leaving = Leaving::open(&folder, name).unwrap();
            assert_eq!((leaving.size, leaving.mode), (holds.len() as u64, mode));
            assert_eq!(leaving.next(100).unwrap(), holds.as_bytes());
            assert!(leaving.next(100).unwrap().is_empty());
        }
        assert!(Arriving::new(&folder, vec![upload("a", 0o644, 1)]).is_err());
        assert!(Leaving::open(&folder, ".").is_err() && Leaving::open(&folder, "none").is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
