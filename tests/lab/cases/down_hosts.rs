//! Owns: `swarm down --hosts`: what it ends and removes on a host, what it leaves alone, and how it says what it could not.

use super::{held, small, started};
use crate::host::Host;
use crate::lab::Lab;
use crate::swarm::{Outcome, down};
use crate::{Result, ensure};
use std::time::{Duration, Instant};

pub const CASES: &[super::Case] = &[
    ("down_hosts::the_agent_file_goes_and_then_nothing_is_there", removed),
    ("down_hosts::running_agents_are_ended_and_their_hosts_lost", running),
    ("down_hosts::nobody_else_is_touched", innocents),
    ("down_hosts::a_place_beside_the_home_is_cleaned_too", beside_home),
    ("down_hosts::csh_as_login_shell_works", csh),
    ("down_hosts::what_cannot_be_removed_is_named", left),
    ("down_hosts::an_unreachable_host_is_named", unreachable),
];

const NAME: &str = "agent-0123456789abcdef";

/// Where agents of ours lie on a host.
fn agent_files(host: &Host) -> Result<Vec<String>> {
    let found = host.inside("find /root /tmp /var/tmp -name 'agent-*' -o -name swarm -o -name 'swarm-*'")?;
    Ok(found.lines().map(str::to_owned).collect())
}

/// An agent lies on every host, in a fresh home, and runs nowhere.
fn deployed(lab: &Lab) -> Result {
    for host in &lab.hosts {
        host.freshen()?;
    }
    small(lab).run()?.expect_code(0)?;
    for host in &lab.hosts {
        let files = agent_files(host)?;
        ensure!(
            files.len() == 2,
            "an agent and its folder lie on {}: {files:?}",
            host.name
        );
    }
    lab.nothing_left_within(Duration::from_secs(5))
}

fn line<'a>(outcome: &'a Outcome, host: &str) -> Result<&'a str> {
    let lines = outcome.finished.stdout.lines().chain(outcome.finished.stderr.lines());
    let of_host =
        lines.filter(|line| line.starts_with(&format!("{host}: ")) || line.starts_with(&format!("host {host}: ")));
    let of_host: Vec<&str> = of_host.collect();
    match of_host.as_slice() {
        [one] => Ok(*one),
        other => Err(outcome.wrong(&format!("one line about {host} was expected: {other:?}"))),
    }
}

fn expect_line(outcome: &Outcome, host: &str, words: &str) -> Result {
    let line = line(outcome, host)?;
    ensure!(
        line.contains(words),
        "{}",
        outcome.wrong(&format!("{words:?} is not in {line:?}"))
    );
    Ok(())
}

fn removed(lab: &Lab) -> Result {
    deployed(lab)?;
    let outcome = down(lab, "h1,h2")?;
    outcome.expect_code(0)?;
    for host in ["h1", "h2"] {
        expect_line(&outcome, host, "0 agents stopped, 1 file and 1 folder removed")?;
        let files = agent_files(lab.host(host)?)?;
        ensure!(files.is_empty(), "left on {host}: {files:?}");
    }
    ensure!(
        agent_files(lab.host("h3")?)?.len() == 2,
        "h3 was not named and was cleaned"
    );
    let again = down(lab, "h1,h2")?;
    again.expect_code(0)?;
    for host in ["h1", "h2"] {
        expect_line(&again, host, "nothing of ours was there")?;
    }
    small(lab).run()?.expect_code(0)?;
    lab.nothing_left_within(Duration::from_secs(5))
}

/// All hosts of the lab share one table of processes: the agents of h3 and h4 stand beside those of h1 and h2 in it, under
/// the same path and user, and are not theirs.
fn running(lab: &Lab) -> Result {
    for host in &lab.hosts {
        host.freshen()?;
    }
    let attacking = started(lab, held(lab, 80, "8s"), 80)?;
    let outcome = down(lab, "h1,h2")?;
    outcome.expect_code(0)?;
    for host in ["h1", "h2"] {
        expect_line(&outcome, host, "1 agent stopped, 1 file and 1 folder removed")?;
    }
    let open = lab.servers.socketio_total("/open")?;
    let attack = attacking.wait()?;
    ensure!(
        open == 40,
        "{}",
        attack.wrong(&format!("{open} clients stayed open, not 40"))
    );
    attack.expect_code(3)?;
    for (host, expected) in [("h1", "lost"), ("h2", "lost"), ("h3", "reported"), ("h4", "reported")] {
        let status = &attack.row("/hosts", "name", host)?["status"];
        ensure!(
            status == expected,
            "{}",
            attack.wrong(&format!("{host} is {status}, not {expected}"))
        );
    }
    for host in ["h1", "h2"] {
        let files = agent_files(lab.host(host)?)?;
        ensure!(files.is_empty(), "left on {host}: {files:?}");
    }
    lab.servers.wait_all_closed()?;
    lab.nothing_left_within(Duration::from_secs(5))
}

/// Programs that look like ours and are not, and files of another owner.
fn innocents(lab: &Lab) -> Result {
    deployed(lab)?;
    let host = lab.host("h1")?;
    let sleeping = |program: &str, before: &str| {
        format!(
            "cp /bin/sleep {program} && chmod 755 {program} && ({before} setsid {program} 300 </dev/null >/dev/null 2>&1 &)"
        )
    };
    let programs = [
        ("/root/.cache/swarm/agent-xyz".to_owned(), ""),
        (format!("/root/elsewhere/{NAME}"), ""),
        (
            format!("/tmp/swarm-0/{NAME}"),
            "exec setpriv --reuid 65534 --clear-groups",
        ),
        (
            format!("/var/tmp/swarm-0/{NAME}"),
            "exec setpriv --reuid 65534 --clear-groups",
        ),
    ];
    host.inside("mkdir -m 755 /root/elsewhere /tmp/swarm-0 /var/tmp/swarm-0")?;
    for (program, before) in &programs {
        host.inside(&sleeping(program, before))?;
    }
    // A file of another owner in a folder of ours, and a folder of another owner.
    host.inside(&format!(
        "chown 65534:65534 /tmp/swarm-0/{NAME} /var/tmp/swarm-0 && touch /var/tmp/swarm-0/agent-fedcba9876543210"
    ))?;
    let runs = || -> Vec<String> { host.processes().into_iter().map(|p| p.exe).collect() };
    let all_run = || programs.iter().all(|(program, _)| runs().contains(program));
    crate::process::wait_until("the innocent to run", Duration::from_secs(5), || Ok(all_run()))?;
    let outcome = down(lab, "h1")?;
    outcome.expect_code(0)?;
    expect_line(&outcome, "h1", "0 agents stopped, 1 file and 0 folders removed")?;
    ensure!(
        all_run(),
        "{}",
        outcome.wrong(&format!("of the innocent only these still run: {:?}", runs()))
    );
    for (program, _) in &programs {
        host.inside(&format!("test -e {program}"))?;
    }
    host.inside("test -e /var/tmp/swarm-0/agent-fedcba9876543210")?;
    host.kill_all()?;
    host.freshen()
}

/// The home cannot hold an agent, so it lay and ran elsewhere.
fn beside_home(lab: &Lab) -> Result {
    let host = lab.host("h2")?;
    host.freshen()?;
    let _home = host.mount_over("ro", &["/root"])?;
    let attacking = started(lab, held(lab, 4, "8s").hosts("h2"), 4)?;
    ensure!(!agent_files(host)?.is_empty(), "no agent lies outside of the home");
    let began = Instant::now();
    let outcome = down(lab, "h2")?;
    outcome.expect_code(0)?;
    expect_line(&outcome, "h2", "1 agent stopped, 1 file and 1 folder removed")?;
    ensure!(
        began.elapsed() < Duration::from_secs(5),
        "{}",
        outcome.wrong("it took long")
    );
    attacking.wait()?.expect_code(3)?;
    let files = agent_files(host)?;
    ensure!(files.is_empty(), "left: {files:?}");
    lab.nothing_left_within(Duration::from_secs(5))
}

fn csh(lab: &Lab) -> Result {
    deployed(lab)?;
    for host in &lab.hosts {
        host.login_shell("/bin/csh")?;
    }
    let outcome = down(lab, "h1,h2,h3,h4")?;
    outcome.expect_code(0)?;
    for host in &lab.hosts {
        expect_line(&outcome, &host.name, "1 file and 1 folder removed")?;
        host.freshen()?;
    }
    Ok(())
}

fn left(lab: &Lab) -> Result {
    deployed(lab)?;
    let host = lab.host("h1")?;
    let folder = "/root/.cache/swarm";
    host.inside(&format!(
        "mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}"
    ))?;
    // What cannot be removed counts more than what was not looked at.
    let outcome = down(lab, "h1,h2,shut");
    host.inside(&format!("umount {folder}"))?;
    let outcome = outcome?;
    outcome.expect_code(5)?;
    expect_line(
        &outcome,
        "h1",
        "nothing was removed; left behind: /root/.cache/swarm/agent-",
    )?;
    expect_line(&outcome, "h1", "Read-only file system")?;
    expect_line(&outcome, "h2", "1 file and 1 folder removed")?;
    expect_line(&outcome, "shut", "connection refused")?;
    let again = down(lab, "h1")?;
    again.expect_code(0)?;
    expect_line(&again, "h1", "1 file and 1 folder removed")
}

fn unreachable(lab: &Lab) -> Result {
    deployed(lab)?;
    let outcome = down(lab, "dead,h1")?;
    outcome.expect_code(6)?;
    expect_line(&outcome, "dead", "not reached")?;
    expect_line(&outcome, "dead", "what is left there is not known")?;
    expect_line(&outcome, "h1", "1 file and 1 folder removed")?;
    ensure!(agent_files(lab.host("h1")?)?.is_empty(), "h1 was not cleaned");
    lab.nothing_left_within(Duration::from_secs(5))
}
