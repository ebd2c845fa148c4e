//! Owns: a stand: one balancer at `chat.lab.test`, set up for one case, healthy or with a fault built in; and running
//! `swarm check` or the real client against it. Must not: judge what comes out (`cases/check`).

mod balancer;
mod certificates;
pub mod checked;
pub mod fault;
pub mod faults;
mod names;

use crate::lab::Lab;
use crate::process::{self, Daemon, Finished, wait_until};
use crate::{Result, ensure, swarm};
pub use balancer::{Balancer, edited};
use checked::Checked;
pub use names::{ADDRESS, DEAD_ADDRESS, NAME};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Where `swarm check` asks from: all three servers behind a source hash, and three networks for `ip_hash`.
pub const SOURCES: &str = "127.0.1.1,127.0.2.2,127.0.3.3";
const LIMIT: Duration = Duration::from_secs(90);

pub struct Stand<'a> {
    lab: &'a Lab,
    balancer: Balancer,
    folder: PathBuf,
    _daemon: Daemon,
}

impl<'a> Stand<'a> {
    /// Runs this configuration, with [`NAME`] at these addresses.
    pub fn start(lab: &'a Lab, balancer: Balancer, configuration: &str, addresses: &[&str]) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        static NAME_SERVER: Once = Once::new();
        let mut known = Ok(());
        NAME_SERVER.call_once(|| known = names::know_nothing());
        known?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = lab.folder.join(format!("stand-{number}"));
        std::fs::create_dir(&folder)?;
        std::os::unix::fs::symlink(certificates::folder(&lab.folder)?, folder.join("certificates"))?;
        names::write(&folder, addresses)?;
        let file = folder.join("configuration");
        std::fs::write(&file, configuration)?;
        let port = if balancer.has_tls() { 443 } else { 80 };
        let address: SocketAddr = format!("{ADDRESS}:{port}").parse()?;
        ensure!(
            TcpStream::connect(address).is_err(),
            "something listens on {address} already, where stands do"
        );
        let mut daemon = Daemon::start(
            lab.folder.as_path(),
            &format!("stand-{number}"),
            &mut balancer.command(&folder, &file),
        )?;
        wait_until("a stand to listen", Duration::from_secs(10), || {
            ensure!(
                daemon.is_running()?,
                "the stand ended: {}\n{configuration}",
                daemon.said()
            );
            Ok(TcpStream::connect(address).is_ok())
        })?;
        Ok(Self {
            lab,
            balancer,
            folder,
            _daemon: daemon,
        })
    }

    fn url(&self, name: &str) -> String {
        let scheme = if self.balancer.has_tls() { "https" } else { "http" };
        format!("{scheme}://{name}")
    }

    /// Runs `swarm check` at a name, from these source addresses, with more words, split at spaces.
    pub fn check(&self, name: &str, from: &str, words: &str) -> Result<Checked> {
        let mut command = names::seeing(&self.folder, env!("CARGO_BIN_EXE_swarm"));
        swarm::at_home(self.lab, &mut command)?;
        command.args([
            "check",
            &self.url(name),
            "--socketio",
            "--json",
            "--local",
            "1",
            "--source-ips",
            from,
        ]);
        if self.balancer.has_tls() {
            command.arg("--cacert").arg(self.root());
        }
        command.args(words.split_whitespace());
        Checked::read(self.run(&mut command)?)
    }

    /// The real client: opens by this transport, stays, asks for an ack, and leaves. Fails as it does for users.
    pub fn real_client(&self, name: &str, transport: &str, stays_ms: u32) -> Result<Finished> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/servers/client.js");
        let mut command = names::seeing(&self.folder, "node");
        command.env("NODE_EXTRA_CA_CERTS", self.root());
        command
            .arg(script)
            .args([&self.url(name), transport, "1", &stays_ms.to_string()]);
        self.run(&mut command)
    }

    /// Whether a client that minds a cookie's domain, path and `Secure`, as browsers do, sends the balancer's cookie
    /// back to it. The real client of Node keeps every cookie.
    pub fn cookie_comes_back(&self) -> Result<bool> {
        let (url, jar) = (
            self.url(NAME) + "/socket.io/?EIO=4&transport=polling",
            self.folder.join("jar"),
        );
        let mut curl = names::seeing(&self.folder, "curl");
        self.run(curl_to(&mut curl, &url).arg("-c").arg(&jar))?;
        let mut again = names::seeing(&self.folder, "curl");
        Ok(self
            .run(curl_to(&mut again, &url).arg("-b").arg(&jar))?
            .stderr
            .contains("> Cookie: SERVERID="))
    }

    fn root(&self) -> PathBuf {
        self.folder.join("certificates/root.crt")
    }

    fn run(&self, command: &mut Command) -> Result<Finished> {
        let shown = format!("{command:?}");
        let running = process::start(command)?;
        process::note(&self.lab.folder, running.pid())?;
        let finished = running.wait(LIMIT)?;
        ensure!(
            !finished.timed_out,
            "it hung: {shown}\n{}{}",
            finished.stdout,
            finished.stderr
        );
        Ok(finished)
    }
}

fn curl_to<'c>(curl: &'c mut Command, url: &str) -> &'c mut Command {
    curl.args(["-sv", "-o", "/dev/null", "--max-time", "10", url])
}
