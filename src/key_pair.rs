//! Throwaway SSH keys, made by OpenSSH's own `ssh-keygen`: Ed25519, without a passphrase. Private keys lie in files of
//! mode 0600 in folders of mode 0700 and are never printed. Never here: where keys go.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No program.
    #[error("the command ssh-keygen cannot be run ({0}): install OpenSSH's client")]
    NoProgram(std::io::Error),
    /// It failed.
    #[error("ssh-keygen made no key in {}: {said}", path.display())]
    Failed {
        /// The key's file.
        path: PathBuf,
        /// Its words.
        said: String,
    },
    /// A key's file.
    #[error("cannot read the key {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// Makes a key in this file, and its public part beside it (`.pub`). Gives the public part: `ssh-ed25519 AAAA...`.
pub async fn make(file: &Path) -> Result<String, KeyError> {
    let done = tokio::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "swarm", "-f"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(KeyError::NoProgram)?;
    if !done.status.success() {
        return Err(KeyError::Failed {
            path: file.to_owned(),
            said: String::from_utf8_lossy(&done.stderr).trim().to_owned(),
        });
    }
    public(file)
}

/// The public part of a key's file.
pub fn public(file: &Path) -> Result<String, KeyError> {
    read(&file.with_extension("pub")).map(|text| text.trim().to_owned())
}

/// A key that never stays in a file: made in a folder of its own, read, and gone. Gives (private, public).
pub async fn fleeting() -> Result<(String, String), KeyError> {
    let folder = tempfile::Builder::new()
        .prefix("swarm-key-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir()
        .map_err(|source| KeyError::Read {
            path: std::env::temp_dir(),
            source,
        })?;
    let file = folder.path().join("key");
    let public = make(&file).await?;
    Ok((read(&file)?, public))
}

fn read(path: &Path) -> Result<String, KeyError> {
    std::fs::read_to_string(path).map_err(|source| KeyError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_made_and_nobody_else_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("login_key");
        let made = make(&file).await.unwrap();
        assert!(
            made.starts_with("ssh-ed25519 ") && public(&file).unwrap() == made,
            "{made}"
        );
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let (private, public) = fleeting().await.unwrap();
        assert!(private.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n") && private.ends_with("-----\n"));
        assert_ne!(public, made);
    }
}
