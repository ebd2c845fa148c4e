//! Owns: one host of the lab: a namespace with an sshd, a home, a /tmp, a password file, a host name and (but for
//! the last) a monotonic clock of its own. Must not: know swarm.

use crate::net::Net;
use crate::process::{self, run, wait_until};
use crate::ssh::{EXTRA_PORTS, Keys};
use crate::{Result, ensure};
use rustix::process::Signal;
use std::os::linux::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How many hosts the lab has.
pub const HOSTS: usize = 4;

pub fn address(index: usize) -> String {
    format!("10.77.0.{}", index + 1)
}

pub struct Host {
    /// `h1`...: also its ssh alias and its host name.
    pub name: String,
    pub address: String,
    namespace: String,
    folder: PathBuf,
    /// Of the sshd that listens.
    sshd: u32,
    net_inode: u64,
}

impl Host {
    /// Makes the namespace and starts its sshd, without waiting for it: see `wait_ready`.
    pub fn start(lab: &Path, net: &Net, keys: &Keys, index: usize) -> Result<Self> {
        let name = format!("h{}", index + 1);
        let address = address(index);
        let namespace = net.namespace(&name, &address)?;
        let folder = lab.join(&name);
        std::fs::create_dir(&folder)?;
        std::fs::copy("/etc/passwd", folder.join("passwd"))?;
        std::fs::copy(keys.login.with_extension("pub"), folder.join("authorized_keys"))?;
        std::fs::write(
            folder.join("sshd_config"),
            sshd_config(&folder, &keys.hosts[index], &address, 22, ""),
        )?;
        // Days ahead: 1, 2, 3 for the first three hosts. A product that compared clocks unmeasured would be days off.
        let days = if index + 1 < HOSTS { index as u64 + 1 } else { 0 };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &namespace, "unshare", "--mount", "--uts", "--fork"]);
        if days > 0 {
            let ahead = (days * 86_400).to_string();
            command.args(["--time", "--monotonic", &ahead, "--boottime", &ahead]);
        }
        let folder_text = folder.display();
        let script = format!(
            "set -e; mount --make-rprivate /; hostname {name}
             mount -t tmpfs -o size=256m,mode=700 home /root
             mount -t tmpfs -o size=256m,mode=1777 tmp /tmp
             mount -t tmpfs -o size=64m,mode=1777 vartmp /var/tmp
             mount --bind {folder_text}/passwd /etc/passwd
             exec /usr/sbin/sshd -f {folder_text}/sshd_config -E {folder_text}/sshd.log"
        );
        run(command.args(["sh", "-c", &script]))?;
        Ok(Self {
            name,
            address,
            namespace,
            folder,
            sshd: 0,
            net_inode: 0,
        })
    }

    /// sshd writes its pid when it listens.
    pub fn wait_ready(&mut self) -> Result {
        self.sshd = pid_in(&self.folder.join("sshd.pid"))?;
        self.net_inode = net_inode(self.sshd).ok_or("the sshd went away")?;
        Ok(())
    }

    /// A path as this host sees it, to be read and written from the root namespace.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.sshd))
    }

    /// Runs a shell line inside the host (all its namespaces), not through SSH.
    pub fn inside(&self, line: &str) -> Result<String> {
        run(self.command("sh").args(["-c", line]))
    }

    /// A command that will run inside the host.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.sshd.to_string(),
            "--mount",
            "--uts",
            "--net",
            "--time",
            "--root",
            "--wd=/",
        ]);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", "/root");
        command.arg(program);
        command
    }

    /// An empty home and /tmp, bash as login shell, nothing mounted above.
    pub fn freshen(&self) -> Result {
        self.login_shell("/bin/bash")?;
        self.inside("rm -rf /root/..?* /root/.[!.]* /root/* /tmp/..?* /tmp/.[!.]* /tmp/* /var/tmp/*")
            .map(drop)
    }

    /// Changes root's login shell, for this host alone.
    pub fn login_shell(&self, shell: &str) -> Result {
        let text = std::fs::read_to_string("/etc/passwd")?;
        let lines: Vec<String> = text
            .lines()
            .map(|line| match line.rsplit_once(':') {
                Some((rest, _)) if line.starts_with("root:") => format!("{rest}:{shell}"),
                _ => line.to_owned(),
            })
            .collect();
        // In place: the file itself is what is mounted on /etc/passwd.
        std::fs::write(self.folder.join("passwd"), lines.join("\n") + "\n")?;
        Ok(())
    }

    /// Everything that runs in this host but its listening sshds.
    pub fn processes(&self) -> Vec<process::Seen> {
        let mut seen = process::seen(|pid| net_inode(pid) == Some(self.net_inode));
        seen.retain(|p| !(p.exe.ends_with("/sshd") && p.command.contains("[listener]")));
        seen
    }

    /// Kills every session and whatever they started, as a host that dies would.
    pub fn kill_all(&self) -> Result<usize> {
        let mut killed = 0;
        wait_until("the host to be quiet", Duration::from_secs(5), || {
            let running = self.processes();
            for p in &running {
                killed += usize::from(process::signal(p.pid, Signal::KILL).is_ok());
            }
            Ok(running.is_empty())
        })?;
        Ok(killed)
    }

    /// Puts a file system over paths of this host until the guard goes.
    pub fn mount_over(&self, options: &str, paths: &[&str]) -> Result<Mounted<'_>> {
        let mut mounted = Mounted {
            host: self,
            paths: Vec::new(),
        };
        for path in paths {
            self.inside(&format!("mount -t tmpfs -o {options} lab-over {path}"))?;
            mounted.paths.push((*path).to_owned());
        }
        Ok(mounted)
    }

    /// A second sshd on this host; `before` is what the shell does before it (`ulimit -n 256;`).
    pub fn extra_sshd(&self, lab: &Path, keys: &Keys, number: u16, before: &str, config: &str) -> Result<Extra> {
        let port = EXTRA_PORTS.start + number - 1;
        let folder = self.folder.join(format!("extra{number}"));
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir(&folder)?;
        std::fs::copy(self.folder.join("authorized_keys"), folder.join("authorized_keys"))?;
        let index: usize = self.name[1..].parse()?;
        let text = sshd_config(&folder, &keys.hosts[index - 1], &self.address, port, config);
        std::fs::write(folder.join("sshd_config"), text)?;
        let at = folder.display();
        self.inside(&format!("{before} /usr/sbin/sshd -f {at}/sshd_config -E {at}/sshd.log"))?;
        let pid = pid_in(&folder.join("sshd.pid"))?;
        process::note(lab, pid)?;
        Ok(Extra {
            pid,
            alias: format!("extra{number}"),
        })
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// What is mounted over a host's paths; gone when dropped.
pub struct Mounted<'a> {
    host: &'a Host,
    paths: Vec<String>,
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        for path in self.paths.iter().rev() {
            if let Err(error) = self.host.inside(&format!("umount -l {path}")) {
                eprintln!("{}: {path} stays mounted: {error}", self.host.name);
            }
        }
    }
}

/// A second sshd, ended when dropped.
pub struct Extra {
    pid: u32,
    pub alias: String,
}

impl Drop for Extra {
    fn drop(&mut self) {
        let _ = process::signal(self.pid, Signal::KILL);
    }
}

fn sshd_config(folder: &Path, key: &Path, address: &str, port: u16, more: &str) -> String {
    let (folder, key) = (folder.display(), key.display());
    format!(
        "ListenAddress {address}:{port}\nHostKey {key}\nPidFile {folder}/sshd.pid\n\
         AuthorizedKeysFile {folder}/authorized_keys\nUsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\nPrintLastLog no\nUseDNS no\n\
         LogLevel VERBOSE\nSubsystem sftp internal-sftp\n{more}\n"
    )
}

fn pid_in(file: &Path) -> Result<u32> {
    let mut pid = None;
    wait_until("an sshd to listen", Duration::from_secs(5), || {
        pid = std::fs::read_to_string(file)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        Ok(pid.is_some())
    })?;
    pid.ok_or_else(|| "no pid".into())
}

fn net_inode(pid: u32) -> Option<u64> {
    std::fs::metadata(format!("/proc/{pid}/ns/net"))
        .ok()
        .map(|m| m.st_ino())
}

/// `h1,h2`: the value of `--hosts` for these.
pub fn list(hosts: &[&str]) -> Result<String> {
    ensure!(!hosts.is_empty(), "no hosts");
    Ok(hosts.join(","))
}
