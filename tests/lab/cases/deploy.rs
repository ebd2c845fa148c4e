//! Owns: how the agent gets onto a host, and onto a host that is not as it should be.

use super::{held, small, started};
use crate::host::Host;
use crate::lab::Lab;
use crate::process::run;
use crate::{Result, ensure};
use std::process::Command;
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    ("deploy::a_second_run_uploads_nothing", second_run),
    ("deploy::a_planted_file_is_replaced_and_never_run", planted),
    ("deploy::a_half_file_is_replaced", half),
    ("deploy::a_symlinked_folder_is_not_trusted", symlinked),
    ("deploy::a_folder_of_someone_else_is_not_trusted", foreign),
    ("deploy::a_read_only_home_is_gone_round", |lab| odd_home(lab, "ro")),
    ("deploy::a_noexec_home_is_gone_round", |lab| {
        odd_home(lab, "noexec,size=64m,mode=700")
    }),
    ("deploy::a_full_disk_refuses_the_host", full_disk),
    ("deploy::csh_as_login_shell_works", csh),
    ("deploy::a_noisy_login_does_not_break_the_link", noisy),
];

/// Runs once on empty homes and gives the path of the agent on this host.
fn deployed(lab: &Lab, host: &Host) -> Result<String> {
    for host in &lab.hosts {
        host.freshen()?;
    }
    small(lab).run()?.expect_code(0)?;
    let found = host.inside("find /root /tmp /var/tmp -type f -perm -u+x -size +500k")?;
    let mut paths = found.lines();
    let path = paths
        .next()
        .ok_or_else(|| format!("no agent lies on {} after a run", host.name))?;
    ensure!(
        paths.next().is_none(),
        "more than one agent lies on {}: {found}",
        host.name
    );
    Ok(path.to_owned())
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(folder, _)| folder)
}

fn hash(host: &Host, path: &str) -> Result<String> {
    Ok(host.inside(&format!("sha256sum < {path}"))?.trim().to_owned())
}

/// Holds four clients from this host alone and gives the program files that ran there meanwhile, SSH's left out.
fn running_from(lab: &Lab, host: &Host) -> Result<Vec<String>> {
    let attacking = started(lab, held(lab, 4, "2s").hosts(&host.name), 4)?;
    let mut exes: Vec<String> = host.processes().into_iter().map(|p| p.exe).collect();
    attacking.wait()?.expect_code(0)?;
    exes.retain(|exe| !exe.ends_with("/sshd"));
    ensure!(!exes.is_empty(), "no agent was seen on {}", host.name);
    Ok(exes)
}

fn second_run(lab: &Lab) -> Result {
    let host = lab.host("h1")?;
    let path = deployed(lab, host)?;
    let mode = host.inside(&format!("stat -c %a:%u {}", folder(&path)))?;
    ensure!(mode.trim() == "700:0", "the agent's folder is {mode}");
    let stamp = || host.inside(&format!("stat -c '%i %y %z' {path}"));
    let before = stamp()?;
    small(lab).run()?.expect_code(0)?;
    let after = stamp()?;
    ensure!(before == after, "the agent was written again: {before} became {after}");
    Ok(())
}

fn planted(lab: &Lab) -> Result {
    let host = lab.host("h1")?;
    let path = deployed(lab, host)?;
    let genuine = hash(host, &path)?;
    host.inside(&format!(
        "rm {path}; printf '#!/bin/sh\\ntouch /root/PLANTED\\n' > {path}; chmod 755 {path}"
    ))?;
    small(lab).run()?.expect_code(0)?;
    ensure!(
        !host.path("/root/PLANTED").exists(),
        "what was planted under the agent's name was run"
    );
    ensure!(hash(host, &path)? == genuine, "what was planted is still there");
    Ok(())
}

fn half(lab: &Lab) -> Result {
    let host = lab.host("h1")?;
    let path = deployed(lab, host)?;
    let genuine = hash(host, &path)?;
    host.inside(&format!("truncate -s 100000 {path}"))?;
    small(lab).run()?.expect_code(0)?;
    ensure!(hash(host, &path)? == genuine, "the half file is still there");
    Ok(())
}

/// The folder leads elsewhere: to where anyone could change the file between its check and its start.
fn symlinked(lab: &Lab) -> Result {
    let host = lab.host("h1")?;
    let path = deployed(lab, host)?;
    let folder = folder(&path);
    host.inside(&format!("mv {folder} /root/elsewhere && ln -s /root/elsewhere {folder} && ls -la --full-time /root/elsewhere > /root/before"))?;
    let exes = running_from(lab, host)?;
    ensure!(
        exes.iter().all(|exe| !exe.contains("/elsewhere/")),
        "an agent ran through a symlink: {exes:?}"
    );
    host.inside("ls -la --full-time /root/elsewhere | diff /root/before -")
        .map_err(|e| format!("written through a symlink: {e}"))?;
    Ok(())
}

fn foreign(lab: &Lab) -> Result {
    let host = lab.host("h1")?;
    let path = deployed(lab, host)?;
    let folder = folder(&path);
    host.inside(&format!(
        "chown -R 65534:65534 {folder} && ls -la --full-time {folder} > /root/before"
    ))?;
    let exes = running_from(lab, host)?;
    ensure!(
        exes.iter().all(|exe| !exe.starts_with(folder)),
        "an agent ran from someone else's folder: {exes:?}"
    );
    host.inside(&format!("ls -la --full-time {folder} | diff /root/before -"))
        .map_err(|e| format!("written to it: {e}"))?;
    host.freshen()
}

fn odd_home(lab: &Lab, options: &str) -> Result {
    let host = lab.host("h2")?;
    host.freshen()?;
    let _home = host.mount_over(options, &["/root"])?;
    let exes = running_from(lab, host)?;
    ensure!(
        exes.iter().all(|exe| !exe.starts_with("/root/")),
        "an agent ran from a home that can't hold one: {exes:?}"
    );
    Ok(())
}

/// Nowhere is there room: the message names the host and the cause; the others can go on if allowed.
fn full_disk(lab: &Lab) -> Result {
    let host = lab.host("h2")?;
    host.freshen()?;
    let _full = host.mount_over("size=64k,mode=1777", &["/root", "/tmp", "/var/tmp", "/dev/shm"])?;
    let outcome = small(lab).run()?;
    outcome.expect_refused(6, &["h2", "no space"])?;
    super::nothing_was_sent(lab)?;
    let outcome = small(lab).with("--min-hosts 3").run()?;
    outcome.expect_code(0)?;
    outcome.expect_said(&["h2", "no space"])?;
    ensure!(
        outcome.row("/hosts", "name", "h2")?["status"] == "refused",
        "{}",
        outcome.wrong("h2 is not refused")
    );
    ensure!(
        lab.servers.socketio_total("/http")? == 40,
        "{}",
        outcome.wrong("the others did not take the whole")
    );
    let left = host.inside("find /root /tmp /var/tmp /dev/shm -type f -size +1k")?;
    ensure!(left.trim().is_empty(), "half a file was left on the full disk: {left}");
    lab.nothing_left_within(Duration::from_secs(5))
}

fn csh(lab: &Lab) -> Result {
    for host in &lab.hosts {
        host.freshen()?;
        host.login_shell("/bin/csh")?;
    }
    let said = run(Command::new("ssh")
        .arg("-F")
        .arg(&lab.configs.plain)
        .args(["h1", "echo $shell"]))?;
    ensure!(said.contains("csh"), "the lab's login shell is {said}, not csh");
    for _ in ["cold", "warm"] {
        small(lab).run()?.expect_code(0)?;
    }
    ensure!(lab.servers.socketio_total("/http")? == 80, "not every request arrived");
    Ok(())
}

fn noisy(lab: &Lab) -> Result {
    for host in &lab.hosts {
        host.freshen()?;
        // Text, something like a message's length, bytes that are no UTF-8, no end of line; and stderr.
        let noise =
            "printf 'Welcome!\\n\\000\\000\\377\\376 swarm-agent\\n'; echo 'careful' >&2; printf 'no end of line'";
        for file in [".bashrc", ".profile", ".bash_profile"] {
            std::fs::write(host.path(&format!("/root/{file}")), format!("{noise}\n"))?;
        }
    }
    let said = run(Command::new("ssh")
        .arg("-F")
        .arg(&lab.configs.plain)
        .args(["h1", "true"]))?;
    ensure!(said.contains("Welcome!"), "the lab's login is not noisy: {said:?}");
    for _ in ["cold", "warm"] {
        small(lab).run()?.expect_code(0)?;
    }
    ensure!(lab.servers.socketio_total("/http")? == 80, "not every request arrived");
    for host in &lab.hosts {
        host.freshen()?;
    }
    Ok(())
}
