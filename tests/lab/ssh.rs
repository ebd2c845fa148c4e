//! Owns: the controller's SSH side: its key, the known_hosts files and the ssh_config files with every alias.
//! Must not: touch this machine's own SSH set-up, or start anything.

use crate::Result;
use crate::host::{HOSTS, address};
use crate::process::run;
use crate::relay::Delay;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One-way delays of the unequal paths, host by host.
pub const SLOW: [Delay; HOSTS] = [Delay::same(5), Delay::same(20), Delay::same(50), Delay::same(80)];
/// The same, but the last path is 60 ms slower up than down: no clock measurement can see that, only bound it.
pub const ASYMMETRIC: [Delay; HOSTS] = [SLOW[0], SLOW[1], SLOW[2], Delay { up_ms: 70, down_ms: 10 }];

/// Ports of the sshds that a case starts on top of a host's own.
pub const EXTRA_PORTS: std::ops::Range<u16> = 2201..2206;

pub struct Keys {
    /// What the controller logs in with.
    pub login: PathBuf,
    /// A key that no host knows.
    pub stranger: PathBuf,
    /// Host keys, by host.
    pub hosts: Vec<PathBuf>,
    /// A host key that no host has.
    pub wrong_host: PathBuf,
}

pub fn make_keys(folder: &Path) -> Result<Keys> {
    let key = |name: &str| -> Result<PathBuf> {
        let path = folder.join(name);
        run(Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(&path))?;
        Ok(path)
    };
    Ok(Keys {
        login: key("login_key")?,
        stranger: key("stranger_key")?,
        hosts: (0..HOSTS)
            .map(|i| key(&format!("host_key_{}", i + 1)))
            .collect::<Result<_>>()?,
        wrong_host: key("wrong_host_key")?,
    })
}

/// Each is an ssh_config that knows `h1` to `h4`, `dead` (no such address), `shut` (nothing listens there) and
/// `extra1`... (an sshd that a case starts).
pub struct Configs {
    /// Straight ways, host keys known.
    pub plain: PathBuf,
    pub slow: PathBuf,
    pub asymmetric: PathBuf,
    /// Nobody's host key is known.
    pub unknown: PathBuf,
    /// h1's key is not the one on record, the others' are unknown.
    pub changed: PathBuf,
    /// Logs in with a key that no host accepts.
    pub refused: PathBuf,
}

pub fn write_configs(folder: &Path, keys: &Keys) -> Result<Configs> {
    let known = folder.join("known_hosts");
    let mut lines = String::new();
    for (index, key) in keys.hosts.iter().enumerate() {
        let public = public(key)?;
        writeln!(lines, "{} {public}", address(index))?;
        for port in EXTRA_PORTS {
            writeln!(lines, "[{}]:{port} {public}", address(index))?;
        }
    }
    std::fs::write(&known, lines)?;
    let none = folder.join("known_hosts.unknown");
    std::fs::write(&none, "")?;
    let other = folder.join("known_hosts.changed");
    std::fs::write(&other, format!("{} {}\n", address(0), public(&keys.wrong_host)?))?;

    let config = |name: &str, known: &Path, login: &Path, delays: Option<[Delay; HOSTS]>| -> Result<PathBuf> {
        let path = folder.join(name);
        std::fs::write(&path, config_text(known, login, delays)?)?;
        Ok(path)
    };
    Ok(Configs {
        plain: config("ssh_config", &known, &keys.login, None)?,
        slow: config("ssh_config.slow", &known, &keys.login, Some(SLOW))?,
        asymmetric: config("ssh_config.asymmetric", &known, &keys.login, Some(ASYMMETRIC))?,
        unknown: config("ssh_config.unknown", &none, &keys.login, None)?,
        changed: config("ssh_config.changed", &other, &keys.login, None)?,
        refused: config("ssh_config.refused", &known, &keys.stranger, None)?,
    })
}

fn config_text(known: &Path, login: &Path, delays: Option<[Delay; HOSTS]>) -> Result<String> {
    let relay = std::env::current_exe()?;
    let mut text = String::new();
    for index in 0..HOSTS {
        writeln!(text, "Host h{}\n  HostName {}", index + 1, address(index))?;
        if let Some(Delay { up_ms, down_ms }) = delays.map(|all| all[index]) {
            writeln!(
                text,
                "  ProxyCommand \"{}\" relay {up_ms} {down_ms} %h %p",
                relay.display()
            )?;
        }
    }
    // The extra sshds live on the last host.
    for (n, port) in EXTRA_PORTS.enumerate() {
        writeln!(
            text,
            "Host extra{}\n  HostName {}\n  Port {port}",
            n + 1,
            address(HOSTS - 1)
        )?;
    }
    writeln!(text, "Host dead\n  HostName 10.77.0.99\n  ConnectTimeout 5")?;
    writeln!(text, "Host shut\n  HostName {}\n  Port 2299", address(HOSTS - 1))?;
    writeln!(
        text,
        "Host *\n  User root\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  \
         GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  BatchMode yes\n  LogLevel ERROR",
        login.display(),
        known.display()
    )?;
    Ok(text)
}

fn public(key: &Path) -> Result<String> {
    let text = std::fs::read_to_string(key.with_extension("pub"))?;
    let mut words = text.split(' ');
    Ok(format!(
        "{} {}",
        words.next().ok_or("an empty key file")?,
        words.next().ok_or("a key file of one word")?
    ))
}
