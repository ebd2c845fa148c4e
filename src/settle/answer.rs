//! What the script on a host answers, as values, and what is told to it, as lines. Pure: no stream, no clock.

use super::Wants;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::net::IpAddr;

/// Length of an ed25519 public key as SSH writes it: two strings with their lengths.
const KEY_LENGTH: usize = 4 + 11 + 4 + 32;
/// Its beginning.
const KEY_HEAD: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x20";

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A shell of root's is there; the script can be sent.
    Open,
    /// The login user cannot become root: what sudo said.
    Denied(String),
    /// The script runs; its arguments can be sent.
    Ready,
    /// It waits for the timer: why.
    Waiting(String),
    /// The timer lives: seconds left.
    Timer(u64),
    /// One secondary address.
    Address(IpAddr, Added),
    /// The key that the host will have: `ssh-ed25519 BASE64`.
    Key(String),
    /// It has it.
    Switched(Shown),
    /// The script has ended: what it could not do, and why.
    Failed(Failed, String),
}

/// How a secondary address came to its interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It was there already.
    There,
    /// It is there now.
    Now,
    /// It is not there: why.
    Not(String),
}

/// Whether the new key was seen by one who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The host connected to itself and was shown the new key.
    Seen,
    /// It has no ssh-keyscan, or cannot connect to itself. The next connection tells.
    Unseen,
}

/// What the script could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// Find the timer alive.
    Timer,
    /// Make a new host key.
    Key,
    /// Put it in the boot key's place.
    Switch,
}

impl Answer {
    /// Reads one answer, without the words before it; `None` is no answer of the script's.
    pub fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "open" => Some(Self::Open),
            "denied" => Some(Self::Denied(rest.to_owned())),
            "ready" => Some(Self::Ready),
            "waiting" => Some(Self::Waiting(rest.to_owned())),
            "timer" => rest.split(' ').next()?.parse().ok().map(Self::Timer),
            "address" => {
                let (address, state) = rest.split_once(' ')?;
                let (state, why) = state.split_once(' ').unwrap_or((state, ""));
                let state = match state {
                    "there" => Added::There,
                    "added" => Added::Now,
                    "failed" => Added::Not(why.to_owned()),
                    _ => return None,
                };
                Some(Self::Address(address.parse().ok()?, state))
            }
            "key" => is_public_key(rest).then(|| Self::Key(rest.to_owned())),
            "switched" => match rest {
                "seen" => Some(Self::Switched(Shown::Seen)),
                "unseen" => Some(Self::Switched(Shown::Unseen)),
                _ => None,
            },
            "failed" => {
                let (what, why) = rest.split_once(' ').unwrap_or((rest, ""));
                let what = match what {
                    "timer" => Failed::Timer,
                    "key" => Failed::Key,
                    "switch" => Failed::Switch,
                    _ => return None,
                };
                Some(Self::Failed(what, why.to_owned()))
            }
            _ => None,
        }
    }
}

/// Whether this is `ssh-ed25519 BASE64` and nothing more: it goes into a known_hosts file.
pub fn is_public_key(text: &str) -> bool {
    let Some(("ssh-ed25519", base64)) = text.split_once(' ') else {
        return false;
    };
    STANDARD
        .decode(base64)
        .is_ok_and(|key| key.len() == KEY_LENGTH && key.starts_with(KEY_HEAD))
}

/// The key without its comment.
pub fn without_comment(public: &str) -> String {
    public.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// The lines that the script reads: `settle`. An error names what cannot stand in one.
pub fn settle_lines(wants: &Wants, patience_s: u64) -> Result<String, String> {
    let boot_key = without_comment(wants.boot_public);
    if !is_public_key(&boot_key) {
        return Err(format!("{boot_key:?} is no ed25519 public key"));
    }
    let folders = &wants.folders;
    for folder in [&folders.timer, &folders.cloud, &folders.running] {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._/-".contains(&b);
        if !folder.starts_with('/') || !folder.bytes().all(plain) {
            return Err(format!("{folder:?} is no plain absolute path"));
        }
    }
    let addresses: Vec<String> = wants.addresses.iter().map(ToString::to_string).collect();
    Ok(format!(
        "{} {patience_s}\n{boot_key}\n{} {}\n{}\n",
        folders.timer,
        folders.cloud,
        folders.running,
        addresses.join(" ")
    ))
}

/// The same for `extend`.
pub fn extend_lines(timer: &str, until_s: i64, ttl_s: u64) -> String {
    format!("{timer} 0\n{} {ttl_s}\n", until_s.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settle::Folders;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    #[test]
    fn answers_are_read() {
        let six = "2001:db8::6".parse().unwrap();
        for (line, answer) in [
            ("open", Answer::Open),
            (
                "denied sudo: a password is required",
                Answer::Denied("sudo: a password is required".into()),
            ),
            ("ready", Answer::Ready),
            ("waiting no watcher", Answer::Waiting("no watcher".into())),
            ("timer 7190 812", Answer::Timer(7190)),
            ("timer 0 812", Answer::Timer(0)),
            (
                "address 10.0.0.9 there",
                Answer::Address("10.0.0.9".parse().unwrap(), Added::There),
            ),
            ("address 2001:db8::6 added", Answer::Address(six, Added::Now)),
            (
                "address 10.0.0.9 failed RTNETLINK answers: no",
                Answer::Address("10.0.0.9".parse().unwrap(), Added::Not("RTNETLINK answers: no".into())),
            ),
            (&format!("key {KEY}"), Answer::Key(KEY.into())),
            ("switched seen", Answer::Switched(Shown::Seen)),
            ("switched unseen", Answer::Switched(Shown::Unseen)),
            (
                "failed timer no watcher was started",
                Answer::Failed(Failed::Timer, "no watcher was started".into()),
            ),
            ("failed key", Answer::Failed(Failed::Key, String::new())),
            ("failed switch x", Answer::Failed(Failed::Switch, "x".into())),
        ] {
            assert_eq!(Answer::parse(line), Some(answer), "{line}");
        }
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for line in [
            "",
            "timer",
            "timer none",
            "timer -1 5",
            "timer 99999999999999999999 5",
            "address 10.0.0.9",
            "address eth0 there",
            "address 10.0.0.9 perhaps",
            "switched",
            "switched maybe",
            "failed",
            "failed everything",
            "opened",
            "key",
            "key ssh-rsa AAAA",
            "key ssh-ed25519 AAAA",
            &format!("key {KEY} comment"),
            &format!("key {}", KEY.replace("AAAAC3", "AAAAC4")),
            &format!("key @cert-authority * {KEY}"),
        ] {
            assert_eq!(Answer::parse(line), None, "{line}");
        }
    }

    fn wants(boot_public: &str) -> Wants<'_> {
        Wants {
            boot_public,
            ttl_s: 60,
            addresses: vec!["10.0.0.9".parse().unwrap(), "fd00::1".parse().unwrap()],
            folders: Folders::default(),
        }
    }

    #[test]
    fn arguments_stand_on_lines_of_their_own() {
        let with_comment = format!("{KEY} $(reboot)\n");
        assert_eq!(
            settle_lines(&wants(&with_comment), 90).unwrap(),
            format!("/var/lib/swarm 90\n{KEY}\n/var/lib/cloud /run/cloud-init\n10.0.0.9 fd00::1\n")
        );
        assert_eq!(extend_lines("/var/lib/swarm", -1, 60), "/var/lib/swarm 0\n0 60\n");
        assert!(
            settle_lines(&wants("ssh-ed25519 $(reboot)"), 90)
                .unwrap_err()
                .contains("ed25519")
        );
        for folder in ["", "relative", "/a b", "/a\nb", "/$HOME", "/a;b"] {
            let mut wants = wants(KEY);
            wants.folders.cloud = folder.to_owned();
            assert!(settle_lines(&wants, 90).is_err(), "{folder:?}");
        }
    }
}
