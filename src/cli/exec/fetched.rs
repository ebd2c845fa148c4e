//! Files that come back, written to `out/HOST/FILE` as they come and never over another. Never here: the link.

use crate::merge::exec::Fetched;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file that is longer is not taken.
const LONGEST: u64 = 4 << 30;

/// The files of one host.
pub(super) struct Fetching {
    folder: PathBuf,
    wanted: Vec<String>,
    results: Vec<Option<Result<(String, u64), String>>>,
    open: Option<Open>,
}

struct Open {
    index: usize,
    file: File,
    path: PathBuf,
    size: u64,
    left: u64,
}

impl Fetching {
    /// Nothing is made yet.
    pub fn new(out: &Path, host: &str, wanted: &[String]) -> Self {
        // a host's name holds no slash, and may be all dots
        let host = if host.starts_with('.') {
            format!("_{host}")
        } else {
            host.to_owned()
        };
        Self {
            folder: out.join(host),
            wanted: wanted.to_vec(),
            results: vec![None; wanted.len()],
            open: None,
        }
    }

    /// A file begins.
    pub fn begin(&mut self, index: u32, mode: u32, size: u64) {
        self.open = None;
        let index = index as usize;
        let Some(name) = self.wanted.get(index).filter(|_| self.results[index].is_none()) else {
            // a stranger's file
            return;
        };
        let path = self.folder.join(name.trim_start_matches('/'));
        let made = match size {
            0..=LONGEST => make(&path, mode).map_err(|error| format!("{}: {error}", path.display())),
            _ => Err(format!("it has {size} bytes, more than {LONGEST}")),
        };
        match made {
            Ok(_) if size == 0 => self.results[index] = Some(Ok((path.display().to_string(), 0))),
            Ok(file) => {
                let left = size;
                self.open = Some(Open {
                    index,
                    file,
                    path,
                    size,
                    left,
                });
            }
            Err(why) => self.results[index] = Some(Err(why)),
        }
    }

    /// More of it.
    pub fn take(&mut self, bytes: &[u8]) {
        let Some(open) = &mut self.open else { return };
        let part = &bytes[..bytes.len().min(usize::try_from(open.left).unwrap_or(usize::MAX))];
        if let Err(error) = open.file.write_all(part) {
            self.results[open.index] = Some(Err(format!("{}: {error}", open.path.display())));
            self.open = None;
            return;
        }
        open.left -= part.len() as u64;
        if open.left == 0 {
            self.results[open.index] = Some(Ok((open.path.display().to_string(), open.size)));
            self.open = None;
        }
    }

    /// It does not come, or not to its end.
    pub fn fail(&mut self, index: u32, why: String) {
        if let Some(result) = self.results.get_mut(index as usize) {
            *result = Some(Err(why));
        }
        self.open = None;
    }

    /// What came of each.
    pub fn results(self) -> Vec<Fetched> {
        let missing = || Err("it did not come".to_owned());
        let all = self.wanted.into_iter().zip(self.results);
        all.map(|(name, result)| Fetched {
            name,
            result: result.unwrap_or_else(missing),
        })
        .collect()
    }
}

fn make(path: &Path, mode: u32) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).create(folder)?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        // whoever fetched a file may read it
        .mode(mode & 0o777 | 0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_whole_or_say_why_not() {
        let out = tempfile::tempdir().unwrap();
        let wanted = ["a/b.txt", "/var/log/x", "gone", "cut", "empty"].map(String::from);
        let mut fetching = Fetching::new(out.path(), "h1", &wanted);
        fetching.begin(0, 0o640, 5);
        fetching.take(b"abc");
        fetching.take(b"de-more");
        fetching.begin(1, 0o755, 1);
        fetching.take(b"x");
        fetching.fail(2, "no such file".into());
        fetching.begin(3, 0o600, 9);
        fetching.take(b"1234");
        fetching.begin(4, 0o600, 0);
        // neither a file twice nor one that nobody asked for
        fetching.begin(0, 0o600, 1);
        fetching.take(b"Z");
        fetching.begin(77, 0o600, 1);
        fetching.take(b"Z");
        let results = fetching.results();
        let ok: Vec<bool> = results.iter().map(|file| file.result.is_ok()).collect();
        assert_eq!(ok, [true, true, false, false, true]);
        assert_eq!(std::fs::read(out.path().join("h1/a/b.txt")).unwrap(), b"abcde");
        assert_eq!(std::fs::read(out.path().join("h1/var/log/x")).unwrap(), b"x");
        let mut again = Fetching::new(out.path(), "h1", &wanted);
        again.begin(0, 0o600, 1);
        assert!(again.results()[0].result.as_ref().unwrap_err().contains("exists"));
    }
}
