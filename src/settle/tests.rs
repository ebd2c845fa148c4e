//! The conversation against far ends that are played by a shell of this machine. The real script is run by the tests of
//! layer L1, against an sshd of their own: here it would find this machine's.

use super::*;
use crate::transport::stream::Held;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::process::Command;

const NONCE: &str = "test0nonce";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
/// What every far end begins with: words of its own, then answers.
const FAR: &str = "say() { echo \"swarm-settle test0nonce $*\"; }; to() { while read -r l; do case $l in *\"$1\"*) return;; esac; done; exit; }
    echo Welcome; to 'open test0nonce; exit'; say open; to '3<&0 </dev/null; exit'; say ready; read -r timer; ";
/// The rest of `settle`'s lines.
const LINES: &str = "read -r boot; read -r folders; read -r addresses; ";

fn far_end(script: &str) -> Stream {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    stream_of(command)
}

fn stream_of(mut command: Command) -> Stream {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    Stream {
        input: Box::new(streams.0.unwrap()),
        output: Box::new(streams.1.unwrap()),
        errors: Box::new(streams.2.unwrap()),
        held: Held::Child(Box::new(child)),
    }
}

fn quick() -> Deadlines {
    Deadlines {
        shell: Duration::from_secs(5),
        boot: Duration::ZERO,
        step: Duration::from_secs(5),
    }
}

fn wants() -> Wants<'static> {
    Wants {
        boot_public: KEY,
        ttl_s: 7200,
        addresses: vec!["10.0.0.9".parse().unwrap(), "10.0.0.8".parse().unwrap()],
        folders: Folders::default(),
    }
}

async fn settle_at(script: &str, deadlines: Deadlines) -> Result<Settled, SettleError> {
    settle(far_end(script), "bee1", NONCE, &wants(), |_| Ok(()), deadlines).await
}

async fn refusal(script: &str) -> SettleError {
    settle_at(script, quick()).await.unwrap_err()
}

#[tokio::test]
async fn a_host_is_settled() {
    let script = format!(
        "{FAR}{LINES}echo \"$timer|$boot|$folders|$addresses\" >&2; say waiting no watcher; echo noise; say timer 7100 55
         say address 10.0.0.9 there; say address 10.0.0.8 failed because; say key {KEY}
         read -r word; [ \"$word\" = switch ] && say switched seen"
    );
    let told = std::cell::RefCell::new(String::new());
    let pin = |key: &str| {
        told.borrow_mut().push_str(key);
        Ok(())
    };
    let settled = settle(far_end(&script), "bee1", NONCE, &wants(), pin, quick())
        .await
        .unwrap();
    assert_eq!(*told.borrow(), KEY);
    assert_eq!(
        settled,
        Settled {
            host_key: KEY.to_owned(),
            shown: Shown::Seen,
            seconds_left: 7100,
            addresses: vec![
                ("10.0.0.9".parse().unwrap(), Added::There),
                ("10.0.0.8".parse().unwrap(), Added::Not("because".to_owned())),
            ],
        }
    );
}

#[tokio::test]
async fn without_the_key_written_down_nothing_is_switched() {
    let folder = tempfile::tempdir().unwrap();
    let switched = folder.path().join("switched");
    let script = format!(
        "{FAR}{LINES}say timer 7100 55; say key {KEY}; read -r word && echo \"$word\" >'{}'",
        switched.display()
    );
    let full = |_: &str| Err(std::io::Error::from(std::io::ErrorKind::StorageFull));
    let error = settle(far_end(&script), "bee1", NONCE, &wants(), full, quick())
        .await
        .unwrap_err();
    assert!(matches!(error, SettleError::Pin { .. }), "{error}");
    assert!(!switched.exists());
    // A far end that names no proper key is not asked to switch either, and its key is written nowhere.
    let pins = AtomicUsize::new(0);
    let counted = |_: &str| {
        pins.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    let script = script.replace(KEY, &format!("@cert-authority * {KEY}"));
    let error = settle(far_end(&script), "bee1", NONCE, &wants(), counted, quick())
        .await
        .unwrap_err();
    assert!(matches!(error, SettleError::Garbled { .. }), "{error}");
    assert!(!switched.exists() && pins.into_inner() == 0);
}

#[tokio::test]
async fn a_timer_that_cannot_be_relied_on_is_an_error_of_its_own() {
    for (answers, why) in [
        (
            "say waiting x; say failed timer swarm ttl: no watcher was started",
            "no watcher was started",
        ),
        ("say timer 0 55", "it is over"),
        ("say timer 7300 55", "it has 7300 s left, of 7200"),
    ] {
        let error = refusal(&format!("{FAR}{LINES}{answers}")).await;
        let text = error.to_string();
        assert!(
            matches!(error, SettleError::Timer { .. }) && text.contains(why) && text.contains("terminate"),
            "{text}"
        );
    }
    // Words that it still waits do not make it wait for ever.
    let deadlines = Deadlines {
        boot: Duration::from_millis(50),
        step: Duration::from_millis(500),
        ..quick()
    };
    let script = format!("{FAR}{LINES}while say waiting for cloud-init; do sleep 0.05; done");
    let error = settle_at(&script, deadlines).await.unwrap_err();
    assert!(
        matches!(error, SettleError::Timer { .. }) && error.to_string().contains(": for cloud-init"),
        "{error}"
    );
}

#[tokio::test]
async fn every_other_failure_names_the_host_and_the_way_out() {
    for (script, words) in [
        (
            "echo 'Please login as the user ec2-user'; exit 1".to_owned(),
            "Please login as the user",
        ),
        ("exit 0".to_owned(), "no output"),
        (
            format!(
                "{}say denied sudo: a password is required",
                &FAR[..FAR.find("say open").unwrap()]
            ),
            "(sudo: a password is required): name the image's own user (--login)",
        ),
        (
            format!("{FAR}{LINES}say timer 9 9; say failed key no space"),
            "(no space): terminate it",
        ),
        (
            format!(
                "{FAR}{LINES}say timer 9 9; say key {KEY}; read w; say failed switch sshd still shows the boot key"
            ),
            "still shows the boot key",
        ),
        (
            format!("{FAR}{LINES}say timer 9 9; say switched seen"),
            "gave no sense when it made",
        ),
        (
            format!("{FAR}{LINES}say timer 9 9; for i in 1 2 3; do say address 10.0.0.9 there; done"),
            "gave no sense when it made",
        ),
        (
            format!("{FAR}{LINES}say timer 9 9; echo gone >&2; exit"),
            "ended when it made a host key of its own: gone: try again",
        ),
    ] {
        let error = refusal(&script).await.to_string();
        assert!(error.starts_with("host bee1: ") && error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_host_that_falls_silent_is_slow() {
    let deadlines = Deadlines {
        step: Duration::from_millis(300),
        ..quick()
    };
    let error = settle_at(&format!("{FAR}{LINES}say timer 9 9; exec sleep 5"), deadlines)
        .await
        .unwrap_err();
    assert!(matches!(error, SettleError::Slow { .. }), "{error}");
}

#[tokio::test]
async fn what_a_shell_could_read_is_refused_before_anything_is_sent() {
    let told = |error: Result<Settled, SettleError>| error.unwrap_err();
    let error = told(settle(far_end("exec cat"), "bee1", "$(reboot)", &wants(), |_| Ok(()), quick()).await);
    assert!(matches!(error, SettleError::Nonce(_)));
    let odd = Wants {
        boot_public: "ssh-ed25519 `reboot`",
        ..wants()
    };
    let error = told(settle(far_end("exec cat"), "bee1", NONCE, &odd, |_| Ok(()), quick()).await);
    assert!(matches!(error, SettleError::Unfit { .. }));
}

#[tokio::test]
async fn a_time_is_extended() {
    let script =
        format!("{FAR}read -r times; [ \"$timer $times\" = '/var/lib/swarm 0 1900000000 600' ] && say timer 600 55");
    let folders = Folders::default();
    let left = extend(far_end(&script), "bee1", NONCE, 1_900_000_000, 600, &folders, quick()).await;
    assert_eq!(left.unwrap(), 600);
    let script = format!("{FAR}say failed timer the time is over, it is ending already");
    let error = extend(far_end(&script), "bee1", NONCE, 1_900_000_000, 600, &folders, quick()).await;
    assert!(matches!(error, Err(SettleError::Timer { .. })));
}

#[tokio::test]
async fn a_user_with_sudo_becomes_root_and_keeps_nothing_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let script = |name: &str, text: String| {
        std::fs::write(at(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let wants = Wants {
        folders: Folders {
            timer: at("no/timer").display().to_string(),
            ..Folders::default()
        },
        ..wants()
    };
    script("id", "echo 1000".to_owned());
    for shell in ["/bin/dash", "/bin/bash", "/bin/busybox"] {
        if !std::path::Path::new(shell).exists() {
            continue;
        }
        for (sudo, root) in [
            ("shift; [ \"$1\" = true ] || echo \"$@\" >\"$SAID\"; exec \"$@\"", true),
            ("echo sudo: a password is required >&2; exit 1", false),
        ] {
            script("sudo", sudo.to_owned());
            let mut command = Command::new(shell);
            if shell.ends_with("busybox") {
                command.arg("sh");
            }
            command
                .arg("-s")
                .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
                .env("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22")
                .env("SAID", at("said"));
            let error = settle(stream_of(command), "bee1", NONCE, &wants, |_| Ok(()), quick())
                .await
                .unwrap_err();
            if root {
                // The real script was begun, and found no timer: there is none here.
                assert!(matches!(error, SettleError::Timer { .. }), "{shell}: {error}");
                let said = std::fs::read_to_string(at("said")).unwrap();
                assert_eq!(
                    said,
                    "env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C \
                     SSH_CONNECTION=10.0.0.1 50000 10.0.0.2 22 /bin/sh -s\n"
                );
            } else {
                assert!(matches!(error, SettleError::NotRoot { .. }), "{shell}: {error}");
            }
        }
    }
}
