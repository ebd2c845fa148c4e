//! Owns: the proof that the lab's odd hosts are as odd as the cases take them for. Runs no swarm.

use crate::lab::Lab;
use crate::process::{Finished, run, start, wait_until};
use crate::{Result, ensure};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    ("odd_hosts::homes_can_be_read_only_noexec_and_full", homes),
    ("odd_hosts::extra_sshds_have_their_limits", extras),
    ("odd_hosts::keys_are_unknown_changed_and_refused_as_named", keys),
    ("odd_hosts::a_host_can_be_killed_and_comes_back", killed),
];

fn ssh(config: &Path, alias: &str, line: &str) -> Result<Finished> {
    start(Command::new("ssh").arg("-F").arg(config).args([alias, line]))?.wait(Duration::from_secs(10))
}

fn homes(lab: &Lab) -> Result {
    let host = lab.host("h2")?;
    let config = &lab.configs.plain;
    let script = "cp /bin/true ~/t && chmod 755 ~/t && ~/t";
    for (options, word) in [
        ("ro", "Read-only"),
        ("noexec,size=1m", "Permission denied"),
        ("size=16k", "No space"),
    ] {
        let home = host.mount_over(options, &["/root"])?;
        let done = ssh(config, "h2", script)?;
        ensure!(
            !done.status.success() && done.stderr.contains(word),
            "{options}: {} {}",
            done.status,
            done.stderr
        );
        drop(home);
        ensure!(
            ssh(config, "h2", script)?.status.success(),
            "the home is not as it was after {options}"
        );
        host.freshen()?;
    }
    Ok(())
}

fn extras(lab: &Lab) -> Result {
    let host = lab.host("h4")?;
    let config = &lab.configs.plain;
    let said = |n: u16, before: &str, more: &str, line: &str| -> Result<String> {
        let sshd = host.extra_sshd(&lab.folder, &lab.keys, n, before, more)?;
        run(Command::new("ssh").arg("-F").arg(config).args([&sshd.alias, line]))
    };
    ensure!(
        said(1, "", "ForceCommand /bin/echo hi", "uname")?.trim() == "hi",
        "it is a shell"
    );
    let limit = said(2, "ulimit -n 256;", "", "ulimit -Hn")?;
    ensure!(limit.trim() == "256", "{limit} files");
    ensure!(
        said(3, "exec setarch i686", "", "uname -m")?.trim() == "i686",
        "the same machine as ever"
    );
    host.login_shell("/usr/sbin/nologin")?;
    let done = ssh(config, "h4", "true")?;
    host.login_shell("/bin/bash")?;
    ensure!(
        !done.status.success() && done.stdout.contains("not available"),
        "nologin let it in: {}",
        done.stdout
    );
    Ok(())
}

fn keys(lab: &Lab) -> Result {
    let configs = &lab.configs;
    for (config, alias, word) in [
        (&configs.unknown, "h1", "Host key verification failed"),
        (&configs.changed, "h1", "REMOTE HOST IDENTIFICATION HAS CHANGED"),
        (&configs.refused, "h1", "Permission denied"),
        (&configs.plain, "shut", "Connection refused"),
        (&configs.plain, "dead", "No route to host"),
    ] {
        let mut command = Command::new("ssh");
        command
            .arg("-F")
            .arg(config)
            .args(["-o", "LogLevel=INFO", alias, "true"]);
        let done = start(&mut command)?.wait(Duration::from_secs(10))?;
        ensure!(
            done.status.code() == Some(255) && done.stderr.contains(word),
            "{alias}: {}",
            done.stderr
        );
    }
    Ok(())
}

fn killed(lab: &Lab) -> Result {
    let host = lab.host("h3")?;
    let session = start(
        Command::new("ssh")
            .arg("-F")
            .arg(&lab.configs.plain)
            .args(["h3", "sleep 60"]),
    )?;
    wait_until("the session", Duration::from_secs(5), || {
        Ok(host.processes().iter().any(|p| p.command.contains("sleep 60")))
    })?;
    ensure!(
        lab.agents().iter().any(|p| p.command.contains("sleep 60")),
        "a foreign process on a host was not seen"
    );
    ensure!(host.kill_all()? >= 2, "the session was not killed whole");
    let done = session.wait(Duration::from_secs(5))?;
    ensure!(
        !done.timed_out && done.status.code() == Some(255),
        "the client did not notice: {}",
        done.status
    );
    lab.nothing_left_within(Duration::from_secs(2))?;
    ensure!(
        ssh(&lab.configs.plain, "h3", "true")?.status.success(),
        "the host did not come back"
    );
    Ok(())
}
