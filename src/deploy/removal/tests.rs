//! The script against the shells of this machine, in folders of the test's own; no SSH. What needs another user, and a
//! real agent, is shown in the lab.

use super::*;
use crate::deploy::tests::{AGENT, Machine, NONCE, agent_file, agents};
use crate::fleet::host::Origin;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn host() -> Host {
    Host::parse("bee1", Origin::Flag).unwrap()
}

async fn removed_by(machine: &Machine, program: &str, words: &[&str]) -> Removed {
    // This machine's own /tmp is none of the test's business.
    let mut script = SCRIPT.to_owned();
    let folders = ["/var/tmp", "/dev/shm", "/tmp"];
    for (place, folder) in folders.iter().enumerate() {
        assert!(script.contains(folder));
        script = script.replace(folder, &format!("@{place}@"));
    }
    for (place, folder) in folders.iter().enumerate() {
        let own = machine.root.path().join(format!("own{folder}"));
        script = script.replace(&format!("@{place}@"), &own.display().to_string());
    }
    let stream = machine.stream(program, words);
    by_script(stream, &host(), &script, NONCE, Deadlines::default())
        .await
        .unwrap()
}

async fn removed(machine: &Machine) -> Removed {
    removed_by(machine, "/bin/sh", &["-s"]).await
}

fn counts(removed: &Removed) -> (usize, usize, usize, usize) {
    (removed.agents, removed.files, removed.folders, removed.left.len())
}

/// A real program under this name, running.
fn runs(file: &Path, name: &str) -> (Running, PathBuf) {
    std::fs::create_dir_all(file).unwrap();
    let program = file.join(name);
    std::fs::copy("/bin/sleep", &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = Command::new(&program);
    command.arg("60").stdin(Stdio::null()).stdout(Stdio::null());
    (Running(command.spawn().unwrap()), program)
}

/// Ended and taken away with the test.
struct Running(Child);

impl Running {
    fn ended(&mut self) -> bool {
        // who was ended a moment ago is waited for here: it is a child of this test
        (0..50).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            self.0.try_wait().unwrap().is_some()
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

const NAME: &str = "agent-0123456789abcdef";

#[tokio::test]
async fn what_deploy_brought_is_removed_and_the_second_time_nothing_is_there() {
    let machine = Machine::new();
    machine.deploy().await;
    assert_eq!(counts(&removed(&machine).await), (0, 1, 1, 0));
    assert!(!machine.folder().exists());
    assert!(removed(&machine).await.is_nothing());
}

#[tokio::test]
async fn only_what_deploy_leaves_is_removed() {
    let machine = Machine::new();
    let folder = machine.folder();
    std::fs::create_dir_all(folder.join(format!("{NAME}.gone.77/deep"))).unwrap();
    std::fs::create_dir_all(folder.join("exec-1m85pzp45s2j-77/deep")).unwrap();
    std::fs::create_dir_all(folder.join("agent-fedcba9876543210")).unwrap();
    let elsewhere = machine.root.path().join("elsewhere");
    std::fs::write(&elsewhere, "precious").unwrap();
    let ours = [NAME, ".part.test0nonce.77", ".probe.test0nonce.77"];
    let others = [
        "agent-xyz",
        "agent-0123456789abcdeF",
        "agent-0123456789abcdef0",
        "agent-0123456789abcdef.gone.x",
        ".part.x",
        ".part.UP.1",
        "notes",
        "exec-notes",
        "exec-1m85pzp45s2j-x",
        "exec-A-1",
    ];
    for name in ours.iter().chain(&others) {
        std::fs::write(folder.join(name), "x").unwrap();
    }
    symlink(&elsewhere, folder.join("agent-aaaaaaaaaaaaaaaa")).unwrap();
    symlink(machine.root.path(), folder.join("agent-aaaaaaaaaaaaaaaa.gone.1")).unwrap();
    assert_eq!(counts(&removed(&machine).await), (0, ours.len() + 2, 0, 0));
    let mut left = machine.files(&folder);
    left.sort();
    let mut expected: Vec<String> = others.iter().map(|name| (*name).to_owned()).collect();
    expected.extend(
        [
            "agent-fedcba9876543210",
            "agent-aaaaaaaaaaaaaaaa",
            "agent-aaaaaaaaaaaaaaaa.gone.1",
        ]
        .map(str::to_owned),
    );
    expected.sort();
    assert_eq!(left, expected);
    assert_eq!(std::fs::read(&elsewhere).unwrap(), b"precious");
}

#[tokio::test]
async fn a_folder_that_is_a_link_is_left_alone() {
    let machine = Machine::new();
    let trap = machine.root.path().join("trap");
    std::fs::create_dir(&trap).unwrap();
    std::fs::write(trap.join(NAME), "x").unwrap();
    std::fs::create_dir(machine.root.path().join("home/.cache")).unwrap();
    symlink(&trap, machine.folder()).unwrap();
    assert!(removed(&machine).await.is_nothing());
    assert!(trap.join(NAME).exists());
}

#[tokio::test]
async fn new_folders_go_with_their_agents_and_empty_ones_of_others_stay() {
    let machine = Machine::new();
    let root = machine.root.path();
    let folders = ["swarm-a1B2c3D4", "swarm-projects", "swarm-a1B2c3D", "swarm-a1B2-3D4"];
    for folder in folders {
        std::fs::create_dir(root.join(folder)).unwrap();
    }
    std::fs::write(root.join(folders[0]).join(NAME), "x").unwrap();
    std::fs::write(root.join(folders[3]).join(NAME), "x").unwrap();
    assert_eq!(counts(&removed(&machine).await), (0, 1, 1, 0));
    assert_eq!(
        machine.files(root),
        ["home", "run", "swarm-a1B2-3D4", "swarm-a1B2c3D", "swarm-projects"]
    );
}

#[tokio::test]
async fn agents_are_ended_and_nobody_else() {
    let machine = Machine::new();
    let root = machine.root.path();
    let (mut kept, _) = runs(&machine.folder(), NAME);
    let (mut new, program) = runs(&root.join("swarm-a1B2c3D4"), NAME);
    let (mut run_folder, _) = runs(&root.join("run/swarm"), "agent-00000000000000ff");
    // its file and its folder are gone, and it still runs
    std::fs::remove_file(&program).unwrap();
    std::fs::remove_dir(program.parent().unwrap()).unwrap();
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(root).unwrap());
    let (mut shared, _) = runs(&root.join(format!("own/dev/shm/swarm-{uid}")), NAME);
    let (mut elsewhere, _) = runs(&root.join("elsewhere"), NAME);
    let (mut other_name, _) = runs(&machine.folder(), "agent-xyz");
    let (mut too_deep, _) = runs(&machine.folder().join("deeper"), NAME);
    assert_eq!(counts(&removed(&machine).await), (4, 3, 2, 0));
    for (agent, name) in [
        (&mut kept, "kept"),
        (&mut new, "new"),
        (&mut run_folder, "run"),
        (&mut shared, "shared"),
    ] {
        assert!(agent.ended(), "{name}");
    }
    for other in [&mut elsewhere, &mut other_name, &mut too_deep] {
        assert!(other.0.try_wait().unwrap().is_none());
    }
    assert_eq!(machine.files(&machine.folder()), ["agent-xyz", "deeper"]);
}

/// The home is reached through a link: the kernel names the agent's file without it.
#[tokio::test]
async fn a_home_behind_a_link_is_seen_through() {
    let machine = Machine::new();
    let root = machine.root.path();
    std::fs::rename(root.join("home"), root.join("volume")).unwrap();
    symlink(root.join("volume"), root.join("home")).unwrap();
    let (mut agent, _) = runs(&machine.folder(), NAME);
    assert_eq!(counts(&removed(&machine).await), (1, 1, 1, 0));
    assert!(agent.ended());
}

/// A shell that ignores the asking: it is ended by force.
#[tokio::test]
async fn who_does_not_listen_is_ended_by_force() {
    let machine = Machine::new();
    std::fs::create_dir_all(machine.folder()).unwrap();
    let program = machine.folder().join(NAME);
    std::fs::copy("/bin/sh", &program).unwrap();
    let mut command = Command::new(&program);
    let deaf = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
    command.args(["-c", deaf]).stdout(Stdio::piped());
    let mut agent = Running(command.spawn().unwrap());
    let mut said = [0u8; 6];
    std::io::Read::read_exact(agent.0.stdout.as_mut().unwrap(), &mut said).unwrap();
    let began = std::time::Instant::now();
    assert_eq!(counts(&removed(&machine).await), (1, 1, 1, 0));
    assert!(began.elapsed() >= Duration::from_secs(2), "it was given time");
    assert!(agent.ended());
}

#[tokio::test]
async fn other_shells_serve_as_well_behind_noise() {
    for (shell, words) in [
        ("/bin/dash", &["-s"][..]),
        ("/bin/bash", &["-s"]),
        ("/bin/bash", &["--posix", "-s"]),
        ("/bin/csh", &["-c", "echo hello; exec /bin/sh -s"]),
        ("/bin/busybox", &["sh", "-s"]),
    ] {
        if Path::new(shell).exists() {
            let machine = Machine::new();
            machine.deploy().await;
            let (mut agent, _) = runs(&machine.folder(), NAME);
            let removed = removed_by(&machine, shell, words).await;
            assert_eq!(counts(&removed), (1, 2, 1, 0), "{shell} {words:?}");
            assert!(agent.ended());
        }
    }
}

#[tokio::test]
async fn what_a_stranger_answers_ends_it() {
    let machine = Machine::new();
    let fails = |words: String| {
        let stream = machine.stream("/bin/sh", &["-c", &words]);
        async move {
            through_shell(stream, &host(), NONCE, Deadlines::default())
                .await
                .unwrap_err()
                .to_string()
        }
    };
    let answer = format!("read x; echo swarm-deploy {NONCE}");
    for (words, says) in [
        ("echo no account; exit 1".to_owned(), "no account"),
        (format!("{answer} host FreeBSD amd64; cat >/dev/null"), "FreeBSD"),
        (format!("{answer} host Linux x86_64; exit"), "connection ended"),
        (
            format!("{answer} host Linux x86_64; echo swarm-deploy {NONCE} odd; cat >/dev/null"),
            "odd",
        ),
        (
            format!("{answer} host Linux x86_64; while echo swarm-deploy {NONCE} stopped 1; do :; done"),
            "stopped",
        ),
    ] {
        let error = fails(words).await;
        assert!(error.starts_with("host bee1: ") && error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn this_machine_keeps_nothing() {
    let binaries = agents(AGENT);
    let agent = binaries.for_arch(std::env::consts::ARCH).unwrap();
    let local = Transport::Local(crate::transport::Local::new(agent).await.unwrap());
    let removed = remove(&local, &Host::local(1), NONCE, Deadlines::default()).await;
    assert!(removed.unwrap().is_nothing());
    let nonce = remove(&local, &Host::local(1), "a b", Deadlines::default()).await;
    assert!(matches!(nonce, Err(DeployError::Nonce(_))));
    assert!(agent_file().starts_with("agent-"));
}
