//! The ssh config that a run's connections use: our options first, then the user's own. Never here: connecting.
//!
//! ssh takes the first value it meets, so what stands first cannot be undone by the user's files: nothing of theirs may
//! run a command of its own in our session, ask for a terminal, or forward anything. What stands last is a mere default.

use std::path::{Path, PathBuf};

/// What of ssh's ways the user asked for.
#[derive(Debug, Clone, Default)]
pub struct SshOptions {
    /// `-i`: keys to use, and no others.
    pub identities: Vec<PathBuf>,
    /// `-F`: a config in the place of the user's and the system's.
    pub config: Option<PathBuf>,
    /// `--accept-new-host-keys`: a host that is not known yet is taken in. A changed key is refused even then.
    pub accept_new_host_keys: bool,
    /// Seconds for TCP connect, greeting and key exchange; 0 means the default of 10.
    pub connect_timeout_s: u32,
    /// Host keys that swarm itself has on file, and no others: for hosts that it made.
    pub pinned: Option<PathBuf>,
}

/// Seconds to connect when nothing else was said.
pub const CONNECT_TIMEOUT_S: u32 = 10;

/// Why a config cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SshConfigError {
    /// The user's `-F` file.
    #[error("-F {}: {source}", file.display())]
    Config {
        /// As given.
        file: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The user's `-i` file.
    #[error("-i {}: {source}: give the file of a private key", file.display())]
    Identity {
        /// As given.
        file: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A name that cannot stand in an ssh config.
    #[error("-i {}: ssh's config can't hold a file name with quotes, backslashes or control characters: rename it", .0.display())]
    IdentityName(PathBuf),
}

/// The config's text. `curve25519` says whether the client knows how to reorder key exchanges (OpenSSH 8.0 and later).
pub fn text(options: &SshOptions, curve25519: bool) -> Result<String, SshConfigError> {
    let timeout = if options.connect_timeout_s == 0 {
        CONNECT_TIMEOUT_S
    } else {
        options.connect_timeout_s
    };
    let checking = if options.accept_new_host_keys {
        "accept-new"
    } else {
        "yes"
    };
    // Jump hosts are reached by another ssh with this same config: hence the two that the openssh crate sets as well.
    let mut text = format!(
        "# Written by swarm for one run.\n\
         RemoteCommand none\n\
         RequestTTY no\n\
         ClearAllForwardings yes\n\
         ForwardAgent no\n\
         ForwardX11 no\n\
         PermitLocalCommand no\n\
         BatchMode yes\n\
         StrictHostKeyChecking {checking}\n\
         ConnectTimeout {timeout}\n\
         ConnectionAttempts 1\n\
         ServerAliveInterval 5\n\
         ServerAliveCountMax 2\n\
         LogLevel INFO\n"
    );
    if !options.identities.is_empty() {
        text.push_str("IdentitiesOnly yes\n");
    }
    for identity in &options.identities {
        text.push_str(&identity_line(identity)?);
    }
    if let Some(file) = &options.pinned {
        let name = quotable(file).ok_or_else(|| SshConfigError::IdentityName(file.clone()))?;
        text.push_str(&format!(
            "UserKnownHostsFile \"{name}\"\n\
             GlobalKnownHostsFile /dev/null\n\
             HostKeyAlgorithms ssh-ed25519\n\
             UpdateHostKeys no\n"
        ));
    }
    match &options.config {
        // As with ssh's own -F, neither the user's config nor the system's counts then. It is copied and not included,
        // because ssh refuses to include a file that others may write, while it takes one given by -F.
        Some(file) => {
            let theirs = std::fs::read_to_string(file);
            text.push_str(&theirs.map_err(|source| SshConfigError::Config {
                file: file.clone(),
                source,
            })?);
        }
        None => text.push_str("Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n"),
    }
    // OpenSSH's present default (sntrup761x25519) costs two thirds of a connect to many hosts; this was the default until
    // 2022. It reorders the list and takes nothing out of it, and a KexAlgorithms of the user or the system comes first.
    if curve25519 {
        text.push_str("\nHost *\nKexAlgorithms ^curve25519-sha256\n");
    }
    Ok(text)
}

fn identity_line(identity: &Path) -> Result<String, SshConfigError> {
    let unusable = |source| SshConfigError::Identity {
        file: identity.to_owned(),
        source,
    };
    std::fs::metadata(identity).map_err(unusable)?;
    let absolute = std::path::absolute(identity).map_err(unusable)?;
    let name = quotable(&absolute).ok_or_else(|| SshConfigError::IdentityName(identity.to_owned()))?;
    Ok(format!("IdentityFile \"{name}\"\n"))
}

/// A file's name as it may stand between quotes in an ssh config.
fn quotable(file: &Path) -> Option<String> {
    file.to_str()
        .filter(|name| !name.contains(['"', '\'', '\\']) && !name.contains(char::is_control))
        .map(|name| name.replace('%', "%%"))
}

/// Whether a client of this `ssh -V` text can reorder key exchanges with `^`.
pub fn knows_reordering(version: &str) -> bool {
    let number = version
        .split_once("OpenSSH_")
        .map(|(_, after)| after.split(|c: char| !c.is_ascii_digit()).next());
    number
        .flatten()
        .and_then(|major| major.parse::<u32>().ok())
        .is_some_and(|major| major >= 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_options_come_first_and_the_key_exchange_last() {
        let text = text(&SshOptions::default(), true).unwrap();
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is missing"));
        for ours in [
            "RemoteCommand none",
            "RequestTTY no",
            "ClearAllForwardings yes",
            "ForwardAgent no",
            "PermitLocalCommand no",
        ] {
            assert!(at(ours) < at("Include ~/.ssh/config"), "{ours}");
        }
        assert!(at("Include ~/.ssh/config") < at("Include /etc/ssh/ssh_config"));
        assert!(at("Include /etc/ssh/ssh_config") < at("KexAlgorithms ^curve25519-sha256"));
        assert!(text.contains("StrictHostKeyChecking yes\n"));
    }

    #[test]
    fn a_config_of_the_users_choice_stands_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, "Host a\nHostName b").unwrap();
        let options = SshOptions {
            config: Some(file),
            accept_new_host_keys: true,
            ..SshOptions::default()
        };
        let text = text(&options, false).unwrap();
        assert!(text.ends_with("Host a\nHostName b") && !text.contains("Include"));
        assert!(text.contains("StrictHostKeyChecking accept-new\n"));
    }

    #[test]
    fn a_key_that_is_not_there_or_cannot_be_written_down_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let named = |name: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, "").unwrap();
            text(
                &SshOptions {
                    identities: vec![file],
                    ..SshOptions::default()
                },
                false,
            )
        };
        assert!(named("a 100%").unwrap().contains("a 100%%\"\n"));
        assert!(matches!(named("a\"b"), Err(SshConfigError::IdentityName(_))));
        let missing = SshOptions {
            identities: vec![folder.path().join("none")],
            ..SshOptions::default()
        };
        assert!(matches!(text(&missing, false), Err(SshConfigError::Identity { .. })));
    }

    #[test]
    fn hosts_of_our_own_are_known_by_our_own_file_alone() {
        let options = SshOptions {
            pinned: Some("/a b/known_hosts".into()),
            ..SshOptions::default()
        };
        let text = text(&options, true).unwrap();
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is missing"));
        assert!(at("UserKnownHostsFile \"/a b/known_hosts\"\n") < at("Include ~/.ssh/config"));
        assert!(at("GlobalKnownHostsFile /dev/null") < at("Include ~/.ssh/config"));
    }

    #[test]
    fn versions_are_told_apart() {
        assert!(knows_reordering("OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19"));
        assert!(knows_reordering("OpenSSH_10.0p2, OpenSSL 3"));
        assert!(!knows_reordering("OpenSSH_7.4p1, OpenSSL 1.0.2k"));
        assert!(!knows_reordering("Sun_SSH_1.1"));
    }
}
