//! Owns: one machine that stands for an EC2 instance, as a case sees it, and what its boot (machine.sh) is given.
//! Must not: start or end one (`machines`).

use crate::Result;
use crate::moto::{Boot, Instance};
use crate::process::{self, Seen, run};
use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One call of `shutdown`, `poweroff`, `halt` or `reboot` on a machine.
#[derive(Debug, Clone, PartialEq)]
pub struct ShutdownCall {
    /// Wall clock of this machine, seconds.
    pub at: f64,
    pub command: String,
    /// `now`, `+N` (minutes) or `cancel`
    pub time: String,
    pub words: String,
}

/// A machine, also one that is gone.
#[derive(Debug, Clone)]
pub struct Machine {
    pub instance: String,
    pub region: String,
    /// On the bridge.
    pub address: String,
    /// Its sshd listens.
    pub ready: bool,
    /// It has ended with its instance.
    pub gone: bool,
    pub(crate) namespace: String,
    pub(crate) port: String,
    pub(crate) folder: PathBuf,
    pub(crate) pid: u32,
}

impl Machine {
    /// A path as this machine sees it, to be read and written from the root namespace.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.pid))
    }

    /// Its process 1, as numbered out here.
    pub fn first(&self) -> Option<u32> {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid)).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// Runs a shell line inside, as root, not through SSH.
    pub fn inside(&self, line: &str) -> Result<String> {
        let first = self.first().ok_or("the machine is gone")?.to_string();
        run(Command::new("nsenter")
            .args([
                "--target", &first, "--mount", "--uts", "--net", "--pid", "--root", "--wd=/",
            ])
            .args(["sh", "-c", line])
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", "/root"))
    }

    /// All shutdowns that were asked for on it, also after it has gone.
    pub fn shutdowns(&self) -> Result<Vec<ShutdownCall>> {
        let text = std::fs::read_to_string(self.folder.join("shutdown.calls")).unwrap_or_default();
        text.lines()
            .map(|line| {
                let mut parts = line.splitn(4, ' ').map(str::to_owned);
                let mut next = || parts.next().ok_or_else(|| format!("half a line: {line}"));
                Ok(ShutdownCall {
                    at: next()?.parse()?,
                    command: next()?,
                    time: next()?,
                    words: next()?,
                })
            })
            .collect()
    }

    /// Everything that runs in it but its listening sshd.
    pub fn processes(&self) -> Vec<Seen> {
        let network = |pid: u32| std::fs::metadata(format!("/proc/{pid}/ns/net")).map(|m| m.ino());
        let Ok(own) = network(self.pid) else {
            return Vec::new();
        };
        let mut seen = process::seen(|pid| pid != self.pid && network(pid).is_ok_and(|n| n == own));
        seen.retain(|p| !(p.exe.ends_with("/sshd") && p.command.contains("[listener]")));
        seen
    }

    /// What its boot and its sshd said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

/// What machine.sh reads.
pub fn write_boot(folder: &Path, instance: &Instance, boot: &Boot) -> Result {
    std::fs::write(folder.join("instance"), &instance.id)?;
    std::fs::write(folder.join("bootcmd.sh"), &boot.bootcmd)?;
    std::fs::write(folder.join("runcmd.sh"), &boot.runcmd)?;
    let mut script = String::new();
    for (n, file) in boot.files.iter().enumerate() {
        std::fs::write(folder.join(format!("file{n}")), &file.content)?;
        let (path, into) = (quoted(&file.path), if file.append { ">>" } else { ">" });
        writeln!(
            script,
            "mkdir -p \"$(dirname {path})\"; base64 -d /mnt/file{n} {into} {path}"
        )?;
        writeln!(
            script,
            "chmod {} {path}; chown {} {path}",
            quoted(&file.mode),
            quoted(&file.owner)
        )?;
    }
    std::fs::write(folder.join("files.sh"), script)?;
    let keys = folder.join("keys");
    std::fs::create_dir(&keys)?;
    for (name, text) in &boot.ssh_keys {
        let (kind, half) = name
            .split_once('_')
            .ok_or("ssh_keys are named KIND_private or KIND_public")?;
        let end = if half == "public" { ".pub" } else { "" };
        let file = keys.join(format!("ssh_host_{kind}_key{end}"));
        std::fs::write(&file, text)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    }
    let user = boot.authorized.join("\n") + "\n";
    // As cloud-init leaves it where root is not to log in.
    let refusal = "no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command=\"echo 'Please login as the user \
                   \\\"ec2-user\\\" rather than the user \\\"root\\\".';echo;sleep 10;exit 142\" ";
    let prefix = if boot.disable_root { refusal } else { "" };
    let root: String = boot.authorized.iter().map(|key| format!("{prefix}{key}\n")).collect();
    std::fs::write(folder.join("authorized_keys.user"), user)?;
    std::fs::write(folder.join("authorized_keys.root"), root)?;
    Ok(())
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
