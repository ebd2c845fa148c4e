//! Report files: written whole or not at all. Never here: what stands in them.

use super::ShowError;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Proves before any load that a report can be written there: its ending is known and its folder takes a file.
pub fn check(path: &Path) -> Result<(), ShowError> {
    let known = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    if !known {
        return Err(ShowError::Form { path: path.to_owned() });
    }
    if path.is_dir() {
        return Err(failed(path, io::ErrorKind::IsADirectory.into()));
    }
    temporary(path).map(drop).map_err(|source| failed(path, source))
}

/// Writes a file beside its place and moves it there, so that no reader ever sees a half one.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), ShowError> {
    replace(path, bytes).map_err(|source| failed(path, source))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary(path)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn temporary(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    tempfile::Builder::new()
        .prefix(".swarm-report-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
}

fn failed(path: &Path, source: io::Error) -> ShowError {
    ShowError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        check(&path).unwrap();
        write(&path, b"one, a longer text").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_told_before() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            check(&folder.path().join("r.txt")),
            Err(ShowError::Form { .. })
        ));
        let nowhere = folder.path().join("none").join("r.json");
        assert!(matches!(check(&nowhere), Err(ShowError::File { .. })));
        assert!(matches!(write(&nowhere, b"x"), Err(ShowError::File { .. })));
    }
}
