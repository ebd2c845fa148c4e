//! The script against the shells of this machine, in folders of the test's own; no SSH.

use super::*;
use crate::fleet::host::Origin;
use crate::transport::stream::Held;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

pub(super) const NONCE: &str = "test0nonce";
/// In the place of the agent: the magic line, then what comes in.
pub(super) const AGENT: &[u8] = b"#!/bin/sh\necho \"swarm-agent/1 $1\"\nexec cat\n";

pub(super) struct Machine {
    pub(super) root: TempDir,
    path: String,
}

impl Machine {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["home", "run"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self {
            root,
            path: "/usr/bin:/bin".to_owned(),
        }
    }

    /// A machine that has only these commands.
    fn with_commands(commands: &[&str]) -> Self {
        let mut machine = Self::new();
        let bin = machine.root.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        for command in commands {
            let place = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(command));
            symlink(place.iter().find(|file| file.exists()).unwrap(), bin.join(command)).unwrap();
        }
        machine.path = bin.display().to_string();
        machine
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.root.path().join("home/.cache/swarm")
    }

    /// Its agent files, by name.
    pub(super) fn files(&self, folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder)
            .map(Iterator::collect::<Vec<_>>)
            .unwrap_or_default();
        let mut names: Vec<String> = entries
            .into_iter()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(super) fn stream(&self, program: &str, words: &[&str]) -> Stream {
        let mut command = Command::new(program);
        command
            .args(words)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.root.path().join("home"));
        command
            .env("XDG_RUNTIME_DIR", self.root.path().join("run"))
            .env("TMPDIR", self.root.path());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (input, output, errors) = (
            child.stdin.take().unwrap(),
            child.stdout.take().unwrap(),
            child.stderr.take().unwrap(),
        );
        Stream {
            input: Box::new(input),
            output: Box::new(output),
            errors: Box::new(errors),
            held: Held::Child(Box::new(child)),
        }
    }

    async fn deploy_with(
        &self,
        program: &str,
        words: &[&str],
        binaries: &AgentBinaries,
    ) -> Result<Stream, DeployError> {
        let host = Host::parse("bee1", Origin::Flag).unwrap();
        let deadlines = Deadlines {
            shell: Duration::from_secs(5),
            step: Duration::from_secs(5),
            upload: Duration::from_secs(10),
        };
        through_shell(self.stream(program, words), &host, binaries, NONCE, deadlines).await
    }

    /// Deploys through `/bin/sh` and checks that the agent speaks, takes input and loses nothing.
    pub(super) async fn deploy(&self) {
        self.speaks_after("/bin/sh", &["-s"]).await;
    }

    async fn speaks_after(&self, program: &str, words: &[&str]) {
        let mut stream = self.deploy_with(program, words, &agents(AGENT)).await.unwrap();
        stream.input.write_all(b"\x00\x01 first bytes").await.unwrap();
        let input = std::mem::replace(&mut stream.input, Box::new(tokio::io::sink()));
        drop(input);
        let mut said = Vec::new();
        stream.output.read_to_end(&mut said).await.unwrap();
        assert_eq!(
            String::from_utf8_lossy(&said),
            format!("swarm-agent/1 {NONCE}\n\0\x01 first bytes")
        );
        stream.close().await;
    }
}

pub(super) fn agents(raw: &[u8]) -> AgentBinaries {
    let mut binaries = AgentBinaries::default();
    binaries.insert(std::env::consts::ARCH, AgentBinary::pack(raw).unwrap());
    binaries
}

pub(super) fn agent_file() -> String {
    format!("agent-{}", &AgentBinary::pack(AGENT).unwrap().sha256[..16])
}

#[tokio::test]
async fn the_agent_is_sent_once() {
    let machine = Machine::new();
    machine.deploy().await;
    assert_eq!(machine.files(&machine.folder()), [agent_file()]);
    let file = machine.folder().join(agent_file());
    let first = std::fs::metadata(&file).unwrap();
    assert_eq!(first.permissions().mode() & 0o777, 0o700);
    assert_eq!(
        std::fs::metadata(machine.folder()).unwrap().permissions().mode() & 0o777,
        0o700
    );
    machine.deploy().await;
    assert_eq!(
        std::fs::metadata(&file).unwrap().ino(),
        first.ino(),
        "the second time it was there already"
    );
}

#[tokio::test]
async fn a_planted_file_is_replaced() {
    let machine = Machine::new();
    machine.deploy().await;
    let file = machine.folder().join(agent_file());
    std::fs::write(&file, "#!/bin/sh\necho evil\n").unwrap();
    machine.deploy().await;
    assert_eq!(std::fs::read(&file).unwrap(), AGENT);
    // The right content in a file that others may change is not trusted either, nor is a link to such a file.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o777)).unwrap();
    machine.deploy().await;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o700);
    std::fs::rename(&file, machine.folder().join("elsewhere")).unwrap();
    symlink("elsewhere", &file).unwrap();
    machine.deploy().await;
    assert!(std::fs::symlink_metadata(&file).unwrap().is_file());
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    machine.deploy().await;
    assert!(file.is_file());
}

#[tokio::test]
async fn a_folder_that_is_a_link_is_passed_over() {
    let machine = Machine::new();
    let trap = machine.root.path().join("trap");
    std::fs::create_dir(&trap).unwrap();
    std::fs::create_dir(machine.root.path().join("home/.cache")).unwrap();
    symlink(&trap, machine.folder()).unwrap();
    machine.deploy().await;
    assert!(machine.files(&trap).is_empty());
    assert_eq!(machine.files(&machine.root.path().join("run/swarm")), [agent_file()]);
}

#[tokio::test]
async fn a_folder_open_to_others_is_closed_first() {
    let machine = Machine::new();
    std::fs::create_dir_all(machine.folder()).unwrap();
    std::fs::set_permissions(machine.folder(), std::fs::Permissions::from_mode(0o777)).unwrap();
    machine.deploy().await;
    assert_eq!(
        std::fs::metadata(machine.folder()).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[tokio::test]
async fn without_gzip_it_comes_unpacked() {
    let machine = Machine::with_commands(&[
        "sh",
        "cat",
        "head",
        "id",
        "ls",
        "mkdir",
        "chmod",
        "mv",
        "rm",
        "sha256sum",
        "uname",
        "wc",
        "tr",
        "mktemp",
    ]);
    machine.deploy().await;
    assert_eq!(std::fs::read(machine.folder().join(agent_file())).unwrap(), AGENT);
}

#[tokio::test]
async fn without_a_hasher_it_comes_afresh_and_goes_afterwards() {
    let machine = Machine::with_commands(&[
        "sh", "cat", "head", "id", "ls", "mkdir", "chmod", "mv", "rm", "gzip", "uname", "wc", "tr", "mktemp",
    ]);
    machine.deploy().await;
    assert!(machine.files(&machine.folder()).is_empty());
    assert_eq!(
        machine.files(machine.root.path()),
        ["bin", "home", "run"],
        "the new folder is gone"
    );
}

#[tokio::test]
async fn noise_of_login_scripts_is_skipped() {
    let machine = Machine::new();
    let noisy =
        "echo welcome; echo 'swarm-deploy someone else'; printf 'no end of line'; echo warning >&2; exec /bin/sh -s";
    machine.speaks_after("/bin/sh", &["-c", noisy]).await;
    // A flood on standard error must not stop it, whenever it comes.
    let flood = "(i=0; while [ $i -lt 4000 ]; do echo 'a line of forty characters or thereabouts' >&2; i=$((i+1)); done); exec /bin/sh -s";
    machine.speaks_after("/bin/sh", &["-c", flood]).await;
}

#[tokio::test]
async fn other_shells_serve_as_well() {
    for (shell, words) in [
        ("/bin/dash", &["-s"][..]),
        ("/bin/bash", &["-s"]),
        ("/bin/bash", &["--posix", "-s"]),
        ("/bin/csh", &["-c", "exec /bin/sh -s"]),
    ] {
        if Path::new(shell).exists() {
            Machine::new().speaks_after(shell, words).await;
        }
    }
}

#[tokio::test]
async fn what_is_no_shell_is_told_with_its_first_words() {
    let machine = Machine::new();
    for (words, said) in [
        (
            "echo 'This account is currently not available.'; exit 1",
            "This account is currently not available.",
        ),
        ("echo not here >&2; exit 1", "not here"),
        ("exit 0", "no output"),
        ("printf 'router> '; exec sleep 1", "router>"),
    ] {
        let host = Host::parse("bee1", Origin::Flag).unwrap();
        let deadlines = Deadlines {
            shell: Duration::from_millis(500),
            ..Deadlines::default()
        };
        let stream = machine.stream("/bin/sh", &["-c", words]);
        let error = through_shell(stream, &host, &agents(AGENT), NONCE, deadlines)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("host bee1: ") && error.contains(said) && error.contains("POSIX shell"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn another_architecture_or_system_is_told_with_the_way_out() {
    let machine = Machine::new();
    let says = |line: &str| format!("read x; echo swarm-deploy {NONCE} host {line}; cat >/dev/null");
    let error = machine
        .deploy_with("/bin/sh", &["-c", &says("Linux riscv64")], &agents(AGENT))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("riscv64") && error.contains("--agent-binary riscv64=FILE"),
        "{error}"
    );
    let error = machine
        .deploy_with("/bin/sh", &["-c", &says("FreeBSD amd64")], &agents(AGENT))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("FreeBSD"), "{error}");
}

#[tokio::test]
async fn a_host_without_a_place_names_every_place() {
    let machine = Machine::new();
    let says = format!(
        "echo swarm-deploy {NONCE} host Linux {}; echo swarm-deploy {NONCE} tried /a: No space left on device; echo swarm-deploy {NONCE} none",
        std::env::consts::ARCH
    );
    let error = machine
        .deploy_with("/bin/sh", &["-c", &says], &agents(AGENT))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/a: No space left on device") && error.contains("1 MiB"),
        "{error}"
    );
}

#[tokio::test]
async fn a_nonce_that_a_shell_could_read_is_refused() {
    let local = crate::transport::Local::new(AgentBinaries::default().for_arch(std::env::consts::ARCH).unwrap())
        .await
        .unwrap();
    let error = deploy(
        &Transport::Local(local),
        &Host::local(1),
        &agents(AGENT),
        "$(reboot)",
        Deadlines::default(),
    )
    .await;
    assert!(matches!(error, Err(DeployError::Nonce(_))));
}
