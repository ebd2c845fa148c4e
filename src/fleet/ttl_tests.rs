//! The timer run for real in each shell there is, in folders of the test's own, with a recording `shutdown` before the
//! real one on the search path. Never here: anything that could end this machine.

use futures_util::future::join_all;
use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::timeout;

/// Longer than any wait of these tests may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The line by which the timer finds the commands of a machine, whatever its environment says.
const REAL_PATH: &str = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin\n";

/// A folder with the timer, and one with the commands that it finds first.
struct Machine {
    root: TempDir,
    /// Where the commands that would end the machine are recorded.
    ends: pipe::Receiver,
}

impl Machine {
    fn new(shell: &Path) -> Self {
        let root = tempfile::Builder::new().prefix("swarm-ttl-").tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("bin")).unwrap();
        fs::create_dir(at("swarm")).unwrap();
        // Should a test be killed, its watcher must not find this machine's commands once the folder is gone.
        let without_path = include_str!("ttl.sh").replace(REAL_PATH, "");
        assert!(!without_path.contains("sbin"));
        fs::write(at("swarm/ttl"), without_path).unwrap();
        for name in ["date", "mv", "rm", "sed", "setsid", "sleep", "sync", "tr"] {
            let place = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
            symlink(place.iter().find(|file| file.exists()).unwrap(), at("bin").join(name)).unwrap();
        }
        symlink(shell, at("bin/sh")).unwrap();
        assert!(Command::new("mkfifo").arg(at("ends")).status().unwrap().success());
        let ends = pipe::OpenOptions::new().open_receiver(at("ends")).unwrap();
        let machine = Self { root, ends };
        for name in ["shutdown", "poweroff", "halt"] {
            machine.command(name, "exit 0");
        }
        machine
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join("swarm").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// One of the commands that end a machine: tells the test, then does this.
    fn command(&self, name: &str, then: &str) {
        let ends = self.root.path().join("ends");
        self.script(name, &format!("echo \"{name} $*\" >{}\n{then}", ends.display()));
    }

    fn script(&self, name: &str, text: &str) {
        let file = self.root.path().join("bin").join(name);
        let new = file.with_extension("new");
        fs::write(&new, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, file).unwrap();
    }

    /// Says what the wall clock shows from now on.
    fn clock_shows(&self, seconds: &str) {
        self.script("date", &format!("echo '{seconds}'"));
    }

    fn run(&self, words: &[&str]) -> Output {
        let bin = self.root.path().join("bin");
        Command::new(bin.join("sh"))
            .arg(self.file("ttl"))
            .args(words)
            .env_clear()
            .env("PATH", &bin)
            .output()
            .unwrap()
    }

    fn does(&self, words: &[&str]) {
        let done = self.run(words);
        assert!(
            done.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// `start` or `extend` with an UNTIL so many seconds from now.
    fn set(&self, word: &str, until: i64, ttl: u64) {
        let until = jiff::Timestamp::now().as_second() + until;
        self.does(&[word, &until.to_string(), &ttl.to_string()]);
    }

    /// Why a command failed.
    fn refuses(&self, words: &[&str]) -> String {
        let done = self.run(words);
        assert!(!done.status.success(), "{words:?} should fail");
        assert!(done.stdout.is_empty());
        String::from_utf8(done.stderr).unwrap()
    }

    /// Seconds left, and the watcher, by `check`.
    fn left(&self) -> (u64, Pid) {
        let done = self.run(&["check"]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let said = String::from_utf8(done.stdout).unwrap();
        let (seconds, pid) = said.trim_end().split_once(' ').unwrap();
        (seconds.parse().unwrap(), Pid::from_raw(pid.parse().unwrap()).unwrap())
    }

    /// Waits for the next command that would end the machine.
    async fn end(&mut self) -> String {
        let mut said = Vec::new();
        let reading = async {
            while !said.ends_with(b"\n") {
                // Nothing to read is also what a pipe without a writer says.
                match self.ends.read_u8().await {
                    Ok(byte) => said.push(byte),
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        timeout(PATIENCE, reading).await.expect("the machine should have ended");
        String::from_utf8(said).unwrap().trim_end().to_owned()
    }

    fn has_not_ended(&self) -> bool {
        matches!(self.ends.try_read(&mut [0; 64]), Ok(0) | Err(_))
    }

    fn watchers(&self) -> Vec<Pid> {
        let is_ours = format!("\0{}\0watch\0", self.file("ttl").display());
        let mut found = Vec::new();
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let pid = process.file_name().to_str().and_then(|name| name.parse().ok());
            let words = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
            let Some(pid) = pid.and_then(Pid::from_raw).filter(|_| words.contains(&is_ours)) else {
                continue;
            };
            // What it starts looks like it until it has become another program.
            if getpgid(Some(pid)) == Ok(pid) {
                found.push(pid);
            }
        }
        found
    }

    /// Ends the watchers, and what they run, and waits until they are gone.
    fn kill(&self, signal: Signal) {
        let begun = Instant::now();
        let mut watchers = self.watchers();
        while !watchers.is_empty() {
            for watcher in watchers {
                kill_process_group(watcher, signal).ok();
            }
            assert!(begun.elapsed() < PATIENCE, "a watcher does not end by {signal:?}");
            std::thread::sleep(Duration::from_millis(5));
            watchers = self.watchers();
        }
    }

    /// The next boot has another name, and no watcher yet.
    fn reboot(&self) {
        self.kill(Signal::KILL);
        let deadline = self.read("deadline");
        let (_, at) = deadline.split_once(' ').unwrap();
        fs::write(self.file("deadline"), format!("another-boot {at}")).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill(Signal::KILL);
    }
}

fn shells() -> Vec<PathBuf> {
    let known = ["/bin/dash", "/bin/bash", "/bin/busybox"].map(PathBuf::from);
    // A busybox may be built to prefer its own poweroff to the one on the path.
    let looks_at_path = |shell: &Path| {
        let found = Command::new(shell)
            .args(["sh", "-c", "date"])
            .env("PATH", "/nowhere")
            .output();
        !shell.ends_with("busybox") || !found.unwrap().status.success()
    };
    let usable = |shell: &PathBuf| shell.exists() && looks_at_path(shell);
    let shells: Vec<PathBuf> = known.into_iter().filter(usable).collect();
    assert!(!shells.is_empty());
    shells
}

/// The same for each shell, side by side.
async fn in_each_shell<F: Future<Output = ()>>(test: impl Fn(Machine) -> F) {
    join_all(shells().iter().map(|shell| test(Machine::new(shell)))).await;
}

#[tokio::test]
async fn the_machine_ends_when_its_time_is_over() {
    in_each_shell(|mut machine| async move {
        machine.set("start", 1000, 2);
        let (seconds, watcher) = machine.left();
        assert!(seconds <= 2, "{seconds}");
        assert_eq!(machine.watchers(), [watcher]);
        assert_eq!(machine.end().await, "shutdown -P now");
        assert!(
            machine
                .refuses(&["extend", "4000000000", "60"])
                .contains("ending already")
        );
    })
    .await;
}

#[tokio::test]
async fn the_wall_clock_can_end_it_sooner() {
    in_each_shell(|mut machine| async move {
        machine.set("start", 2, 1000);
        assert_eq!(machine.end().await, "shutdown -P now");
    })
    .await;
}

#[tokio::test]
async fn a_wall_clock_gone_mad_never_gives_more_than_the_ttl() {
    in_each_shell(|mut machine| async move {
        machine.clock_shows("4000000000");
        machine.does(&["start", "1900000000", "600"]);
        assert_eq!(machine.left().0, 0, "ahead of its time: it ends early");
        assert_eq!(machine.end().await, "shutdown -P now");
    })
    .await;
    for wrong in ["5", "-700", "", "no time"] {
        in_each_shell(|machine| async move {
            machine.clock_shows(wrong);
            machine.does(&["start", "1900000000", "600"]);
            let (seconds, _) = machine.left();
            assert!((590..=600).contains(&seconds), "{wrong:?}: {seconds}");
            // A jump later on does not matter.
            machine.clock_shows("4000000000");
            let (seconds, _) = machine.left();
            assert!((580..=600).contains(&seconds) && machine.has_not_ended(), "{seconds}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_longer_time_is_taken_by_the_watcher_that_runs() {
    in_each_shell(|machine| async move {
        machine.set("start", 1000, 2);
        let first = machine.left().1;
        machine.set("extend", 1000, 600);
        let first_end = Instant::now() + Duration::from_secs(4);
        while Instant::now() < first_end {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (seconds, watcher) = machine.left();
        assert!((580..=600).contains(&seconds), "{seconds}");
        assert!(watcher == first && machine.has_not_ended());
        assert_eq!(machine.watchers(), [first]);
    })
    .await;
}

#[tokio::test]
async fn a_shorter_time_is_taken_within_seconds() {
    in_each_shell(|mut machine| async move {
        machine.set("start", 1000, 600);
        machine.set("extend", 1, 600);
        assert_eq!(machine.end().await, "shutdown -P now");
    })
    .await;
}

#[tokio::test]
async fn a_reboot_keeps_the_extension_and_no_other_machines() {
    in_each_shell(|machine| async move {
        machine.does(&["start", "4000000000", "60"]);
        machine.does(&["extend", "4000000000", "600"]);
        machine.reboot();
        machine.does(&["start", "4000000000", "60"]);
        let (seconds, _) = machine.left();
        assert!((580..=600).contains(&seconds), "{seconds}");
        // Half a file counts for nothing.
        machine.reboot();
        fs::write(machine.file("extended"), "40000").unwrap();
        machine.does(&["start", "4000000000", "60"]);
        assert!(machine.left().0 <= 60);
        // The disk of this machine was made from that of another.
        machine.does(&["extend", "4000000000", "600"]);
        machine.reboot();
        machine.does(&["start", "4000000001", "60"]);
        assert!(machine.left().0 <= 60);
    })
    .await;
}

#[tokio::test]
async fn starting_again_moves_nothing() {
    in_each_shell(|machine| async move {
        machine.does(&["start", "4000000000", "600"]);
        let (deadline, (_, watcher)) = (machine.read("deadline"), machine.left());
        machine.clock_shows("3999999990");
        machine.does(&["start", "4000000000", "600"]);
        assert_eq!(machine.watchers(), [watcher]);
        // A watcher that was killed comes again, for the same instant.
        machine.kill(Signal::TERM);
        machine.does(&["start", "4000000000", "600"]);
        assert_eq!(machine.read("deadline"), deadline);
        assert_ne!(machine.left().1, watcher);
    })
    .await;
}

#[tokio::test]
async fn a_watcher_that_does_not_live_is_seen() {
    in_each_shell(|machine| async move {
        assert!(machine.refuses(&["check"]).contains("no watcher was started"));
        machine.set("start", 1000, 600);
        let (_, watcher) = machine.left();
        kill_process(watcher, Signal::STOP).unwrap();
        let begun = Instant::now();
        while machine.run(&["check"]).status.success() {
            assert!(begun.elapsed() < PATIENCE, "it is stopped");
        }
        assert!(machine.refuses(&["check"]).contains("stopped or dead"));
        machine.kill(Signal::KILL);
        assert!(machine.refuses(&["check"]).contains("is not the watcher"));
        // Its number belongs to others now: any process, and the watcher of another folder.
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        fs::write(machine.file("pid"), format!("{}\n", other.id())).unwrap();
        assert!(machine.refuses(&["check"]).contains("is not the watcher"));
        other.kill().unwrap();
        other.wait().unwrap();
        let neighbour = Machine::new(Path::new("/bin/sh"));
        neighbour.set("start", 1000, 600);
        fs::copy(neighbour.file("pid"), machine.file("pid")).unwrap();
        assert!(machine.refuses(&["check"]).contains("is not the watcher"));
        for broken in ["", "x\n", "-1\n"] {
            fs::write(machine.file("pid"), broken).unwrap();
            assert!(machine.refuses(&["check"]).contains("no watcher was started"));
        }
        // An extension brings it back.
        machine.set("extend", 1000, 500);
        assert!(machine.left().0 <= 500);
    })
    .await;
}

#[tokio::test]
async fn what_shutdown_cannot_do_others_try() {
    in_each_shell(|mut machine| async move {
        for name in ["shutdown", "poweroff", "halt"] {
            machine.command(name, "exit 1");
        }
        machine.set("start", 1000, 0);
        for way in [
            "shutdown -P now",
            "poweroff -f",
            "poweroff -f -f",
            "halt -f -p",
            "shutdown -P now",
        ] {
            assert_eq!(machine.end().await, way);
        }
    })
    .await;
}

#[tokio::test]
async fn its_files_are_its_owners_alone() {
    in_each_shell(|machine| async move {
        machine.set("start", 1000, 600);
        machine.set("extend", 1000, 700);
        for name in ["given", "extended", "deadline", "pid"] {
            assert_eq!(
                fs::metadata(machine.file(name)).unwrap().mode() & 0o777,
                0o600,
                "{name}"
            );
        }
        let left: Vec<_> = fs::read_dir(machine.file("")).unwrap().collect();
        assert_eq!(left.len(), 5, "no half files: {left:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_time_starts_nothing() {
    in_each_shell(|machine| async move {
        for words in [
            &["start", "1900000000"][..],
            &["start", "$(reboot)", "60"],
            &["start", "-5", "60"],
            &["start", "010", "60"],
            &["start", "99999999999999999999", "60"],
            &["extend", "1900000000", ""],
            &["watch", "x"],
            &["main"],
            &["fail"],
            &[],
        ] {
            machine.refuses(words);
        }
        assert!(machine.watchers().is_empty());
    })
    .await;
}
