//! A real sshd on a high port of 127.0.0.1, with files and a home of its own. It must not: know what is deployed.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use swarm::fleet::host::{Host, Origin};
use swarm::transport::ssh_config::SshOptions;
use tempfile::TempDir;

/// An sshd in the foreground, ended when dropped, whose logins have a home of their own.
pub struct Sshd {
    pub folder: TempDir,
    pub port: u16,
    process: Child,
}

impl Sshd {
    pub fn start(more: &str) -> Self {
        Self::start_with(|_| more.to_owned())
    }

    /// With more lines in its configuration, which may name files of its folder.
    pub fn start_with(more: impl FnOnce(&Path) -> String) -> Self {
        let sshd = Path::new("/usr/sbin/sshd");
        assert!(
            sshd.exists(),
            "this test needs sshd: apt-get install --no-install-recommends openssh-server"
        );
        std::fs::create_dir_all("/run/sshd").unwrap();
        let folder = tempfile::Builder::new().prefix("swarm-test-").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for key in ["host", "login", "other", "newhost"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(at(key))
                .status()
                .unwrap();
            assert!(made.success());
        }
        std::fs::copy(at("login.pub"), at("authorized")).unwrap();
        std::fs::create_dir(at("home")).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\nUsePAM no\nStrictModes no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nSetEnv HOME={}\n",
            at("host").display(),
            at("authorized").display(),
            at("home").display()
        );
        let config = config + &more(folder.path()) + "\n";
        std::fs::write(at("sshd_config"), config).unwrap();
        let process = Command::new(sshd)
            .arg("-D")
            .arg("-f")
            .arg(at("sshd_config"))
            .arg("-E")
            .arg(at("log"))
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(
                Instant::now() < until,
                "sshd does not listen: {}",
                std::fs::read_to_string(at("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let sshd = Self { folder, port, process };
        sshd.knows("host");
        sshd
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Lets known_hosts have this key for the host.
    pub fn knows(&self, key: &str) {
        self.knows_keys(&[std::fs::read_to_string(self.at(&format!("{key}.pub"))).unwrap()]);
    }

    /// Lets known_hosts have these public keys for the host, and no others.
    pub fn knows_keys(&self, keys: &[String]) {
        let line = |key: &String| format!("[127.0.0.1]:{} {}\n", self.port, key.trim_end());
        std::fs::write(self.at("known_hosts"), keys.iter().map(line).collect::<String>()).unwrap();
    }

    pub fn options(&self) -> SshOptions {
        let config = self.at("ssh_config");
        let known = self.at("known_hosts");
        std::fs::write(
            &config,
            format!("UserKnownHostsFile {}\nGlobalKnownHostsFile none\n", known.display()),
        )
        .unwrap();
        SshOptions {
            identities: vec![self.at("login")],
            config: Some(config),
            ..SshOptions::default()
        }
    }

    pub fn host(&self) -> Host {
        Host::parse(&format!("root@127.0.0.1:{}", self.port), Origin::Flag).unwrap()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
