//! A host settled over a real sshd that shows a boot key: before, in between and afterwards. Its files, its timer and the
//! saved user data lie in the test's own folders; only an address of the loopback interface is this machine's.

use super::sshd::Sshd;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use swarm::fleet::user_data::{Boot, user_data};
use swarm::settle::{Added, Deadlines, Folders, SettleError, Settled, Shown, Wants, extend, settle};
use swarm::transport::{Ssh, SshError};

const NONCE: &str = "test0nonce";

/// An sshd with a boot key, and a timer beside it.
struct Booted {
    sshd: Sshd,
    /// The public boot key, without a comment.
    boot_public: String,
}

impl Booted {
    fn new() -> Self {
        let sshd = Sshd::start_with(|folder| {
            let file = folder.join("more_host_key");
            keygen("ecdsa", &file);
            format!("HostKey {}", file.display())
        });
        let boot_public = public(&sshd.at("host"));
        for folder in ["swarm", "bin", "run", "cloud/instance"] {
            fs::create_dir_all(sshd.at(folder)).unwrap();
        }
        fs::write(sshd.at("swarm/ttl"), include_str!("../../src/fleet/ttl.sh")).unwrap();
        // Whatever happens to this test, its watcher ends no machine: it sleeps, and finds nothing else.
        for command in ["date", "mv", "rm", "sed", "setsid", "sleep", "sync", "tr", "sh"] {
            std::os::unix::fs::symlink(Path::new("/bin").join(command), sshd.at("bin").join(command)).unwrap();
        }
        let timer = sshd.at("swarm/ttl");
        let watched = fs::read_to_string(&timer)
            .unwrap()
            .replace(":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", "");
        fs::write(&timer, watched).unwrap();
        let booted = Self { sshd, boot_public };
        booted.start_timer();
        booted.save_user_data();
        booted
    }

    fn start_timer(&self) {
        let started = Command::new("/bin/sh")
            .arg(self.sshd.at("swarm/ttl"))
            .args(["start", "4000000000", "600"])
            .env("PATH", self.sshd.at("bin"))
            .status();
        assert!(started.unwrap().success());
    }

    fn kill_timer(&self) {
        let watcher = fs::read_to_string(self.sshd.at("swarm/pid")).unwrap();
        let kill = Command::new("kill")
            .args(["-s", "KILL", "--", &format!("-{}", watcher.trim())])
            .stderr(Stdio::null())
            .status();
        kill.unwrap();
    }

    /// As cloud-init does: as it came, as a message of parts, and as its own YAML.
    fn save_user_data(&self) {
        let private = fs::read_to_string(self.sshd.at("host")).unwrap();
        let text = user_data(&Boot {
            host_private: &private,
            host_public: &self.boot_public,
            login_public: None,
            until_s: 4_000_000_000,
            ttl_s: 600,
        });
        let own = format!(
            "ssh_keys:\n  ed25519_private: '{}'\n  ed25519_public: x\n",
            private.replace('\n', "\n\n    ")
        );
        let json = serde_json::json!({"ssh_keys": {"ed25519_private": private, "ed25519_public": "x"}}).to_string();
        for (file, text) in [
            ("cloud/instance/user-data.txt", text.clone()),
            (
                "cloud/instance/user-data.txt.i",
                format!("Content-Type: text/cloud-config\n\n{text}"),
            ),
            ("cloud/instance/cloud-config.txt", own),
            ("run/combined-cloud-config.json", json),
        ] {
            fs::write(self.sshd.at(file), text).unwrap();
            fs::set_permissions(self.sshd.at(file), fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    fn folders(&self) -> Folders {
        let at = |name: &str| self.sshd.at(name).display().to_string();
        Folders {
            timer: at("swarm"),
            cloud: at("cloud"),
            running: at("run"),
        }
    }

    /// Connects, as anyone does, and settles.
    async fn settle(&self, pin: impl FnOnce(&str) -> io::Result<()>) -> Result<Settled, SettleError> {
        self.settle_within(2, pin).await
    }

    /// The same with so many seconds for the timer to come.
    async fn settle_within(
        &self,
        boot_s: u64,
        pin: impl FnOnce(&str) -> io::Result<()>,
    ) -> Result<Settled, SettleError> {
        let stream = Ssh::new(&self.sshd.options())
            .await
            .unwrap()
            .shell(&self.sshd.host())
            .await
            .unwrap();
        let wants = Wants {
            boot_public: &self.boot_public,
            ttl_s: 600,
            addresses: vec![ADDRESS.parse().unwrap(), "127.0.0.1".parse().unwrap()],
            folders: self.folders(),
        };
        let deadlines = Deadlines {
            boot: Duration::from_secs(boot_s),
            ..Deadlines::default()
        };
        settle(stream, "bee1", NONCE, &wants, pin, deadlines).await
    }

    /// Whether a connection that knows only this key is made.
    async fn shows(&self, key: &str) -> bool {
        self.sshd.knows_keys(&[key.to_owned()]);
        let ssh = Ssh::new(&self.sshd.options()).await.unwrap();
        match ssh.shell(&self.sshd.host()).await {
            Ok(stream) => {
                stream.close().await;
                true
            }
            Err(SshError::HostKeyChanged { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn files_with_boot_key(&self, part: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for folder in ["", "cloud/instance", "run"] {
            for entry in fs::read_dir(self.sshd.at(folder)).unwrap().flatten() {
                let text = fs::read(entry.path()).unwrap_or_default();
                if String::from_utf8_lossy(&text).contains(part) {
                    found.push(entry.path());
                }
            }
        }
        found
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        self.kill_timer();
        // It may not have come so far.
        Command::new("ip")
            .args(["addr", "del", &format!("{ADDRESS}/32"), "dev", "lo"])
            .stderr(Stdio::null())
            .status()
            .unwrap();
    }
}

/// Of loopback's own network, so that it leads nowhere.
const ADDRESS: &str = "127.83.11.9";

fn keygen(kind: &str, file: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", "", "-f"])
        .arg(file)
        .status();
    assert!(made.unwrap().success());
}

fn public(private: &Path) -> String {
    let made = Command::new("ssh-keygen")
        .arg("-y")
        .arg("-f")
        .arg(private)
        .output()
        .unwrap();
    let text = String::from_utf8(made.stdout).unwrap();
    text.split(' ').take(2).map(str::trim).collect::<Vec<_>>().join(" ")
}

fn addresses_here() -> String {
    let listed = Command::new("ip")
        .args(["-o", "addr", "show", "dev", "lo"])
        .output()
        .unwrap();
    String::from_utf8(listed.stdout).unwrap()
}

/// One test: both its parts use the one address of this machine.
#[tokio::test]
async fn a_host_gets_a_key_of_its_own_whatever_interrupts_it() {
    let host = Booted::new();
    assert!(!addresses_here().contains(ADDRESS));
    // A line of the boot key's secret part.
    let private = fs::read_to_string(host.sshd.at("host")).unwrap();
    let secret = private.lines().nth(3).unwrap().to_owned();
    assert_eq!(host.files_with_boot_key(&secret).len(), 5);

    // The controller ends before it has written the new key down: the boot key is still shown.
    let mut first = String::new();
    let full = |key: &str| {
        first = key.to_owned();
        Err(io::Error::from(io::ErrorKind::StorageFull))
    };
    let error = host.settle(full).await.unwrap_err();
    assert!(matches!(error, SettleError::Pin { .. }), "{error}");
    assert!(host.shows(&host.boot_public).await && !host.shows(&first).await);

    // Again, by the boot key. What was made is used.
    host.sshd.knows_keys(std::slice::from_ref(&host.boot_public));
    let known = [host.boot_public.clone(), first.clone()];
    let pin = |key: &str| {
        assert_eq!(key, first);
        host.sshd.knows_keys(&known);
        Ok(())
    };
    let settled = host.settle(pin).await.unwrap();
    assert!(addresses_here().contains(&format!(" {ADDRESS}/32 ")));
    assert_eq!(settled.host_key, first);
    assert_eq!(settled.shown, Shown::Seen);
    assert!((500..=600).contains(&settled.seconds_left), "{}", settled.seconds_left);
    let lo: std::net::IpAddr = "127.0.0.1".parse().unwrap();
    assert_eq!(
        settled.addresses,
        [(ADDRESS.parse().unwrap(), Added::There), (lo, Added::There)],
        "the first try added it"
    );
    assert!(host.shows(&first).await && !host.shows(&host.boot_public).await);

    let log = fs::read_to_string(host.sshd.at("log")).unwrap();
    assert!(log.contains("Received SIGHUP; restarting"), "{log}");

    // The boot key is nowhere any more, nor is the other kind; what is there is the new key, and root's alone.
    assert_eq!(host.files_with_boot_key(&secret), Vec::<PathBuf>::new());
    assert!(!host.sshd.at("more_host_key").exists() && !host.sshd.at("host.swarm").exists());
    assert_eq!(public(&host.sshd.at("host")), first);
    for file in [
        "host",
        "cloud/instance/user-data.txt",
        "cloud/instance/cloud-config.txt",
    ] {
        assert_eq!(
            fs::metadata(host.sshd.at(file)).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let saved = fs::read_to_string(host.sshd.at("cloud/instance/user-data.txt")).unwrap();
    assert!(
        saved.contains("    taken out by swarm\n") && saved.contains("ttl start 4000000000 600"),
        "{saved}"
    );
    let json = fs::read_to_string(host.sshd.at("run/combined-cloud-config.json")).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());

    // The answer was lost: again, by the new key, and nothing changes.
    host.sshd.knows_keys(std::slice::from_ref(&first));
    let again = host.settle(|_| Ok(())).await.unwrap();
    assert_eq!(again.host_key, first);
    assert!(host.shows(&first).await);

    // Its time is set anew, and then its timer dies.
    let ssh = Ssh::new(&host.sshd.options()).await.unwrap();
    let stream = ssh.shell(&host.sshd.host()).await.unwrap();
    let left = extend(
        stream,
        "bee1",
        NONCE,
        4_000_000_000,
        550,
        &host.folders(),
        Deadlines::default(),
    )
    .await;
    assert!((500..=550).contains(&left.unwrap()));
    host.kill_timer();
    let never = |_: &str| panic!("no key is named before the timer is seen");
    let error = host.settle(never).await.unwrap_err();
    assert!(matches!(error, SettleError::Timer { .. }), "{error}");

    // A timer that comes while cloud-init is still at work is waited for; afterwards none will come.
    let late = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        host.start_timer();
    };
    let (settled, ()) = tokio::join!(host.settle_within(60, |_| Ok(())), late);
    assert_eq!(settled.unwrap().host_key, first);
    host.kill_timer();
    fs::write(host.sshd.at("run/result.json"), "{}").unwrap();
    let begun = Instant::now();
    let error = host.settle_within(60, never).await.unwrap_err();
    assert!(
        matches!(error, SettleError::Timer { .. }) && begun.elapsed() < Duration::from_secs(30),
        "{error}"
    );
    drop(host);

    // Another one, that was interrupted when the new key lay in its place, but sshd was not told yet.
    let host = Booted::new();
    let mut first = String::new();
    let gone = |key: &str| {
        first = key.to_owned();
        Err(io::Error::from(io::ErrorKind::Interrupted))
    };
    host.settle(gone).await.unwrap_err();
    fs::rename(host.sshd.at("host.swarm"), host.sshd.at("host")).unwrap();
    // Some versions of sshd read their keys for each connection, some when they begin: either key may be shown now.
    host.sshd.knows_keys(&[host.boot_public.clone(), first.clone()]);
    let settled = host.settle(|_| Ok(())).await.unwrap();
    assert_eq!(
        (settled.host_key.as_str(), settled.shown),
        (first.as_str(), Shown::Seen)
    );
    assert!(host.shows(&first).await && !host.shows(&host.boot_public).await);
}
