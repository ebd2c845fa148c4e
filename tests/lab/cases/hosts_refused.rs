//! Owns: hosts that can't take part: each is named with the cause and the way out, before any load is sent.

use super::{nothing_was_sent, small};
use crate::host::Extra;
use crate::lab::Lab;
use crate::net::BRIDGE_ADDRESS;
use crate::proxy::{STICKY, url};
use crate::server::WEBSOCKET;
use crate::swarm::{Attack, Outcome};
use crate::{Result, ensure};
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    (
        "hosts_refused::an_unknown_host_key_names_the_flag_that_accepts_it",
        unknown_key,
    ),
    ("hosts_refused::a_changed_host_key_is_never_accepted", changed_key),
    ("hosts_refused::a_refused_login_names_the_way_out", refused_key),
    ("hosts_refused::an_unreachable_host_stops_the_run", |lab| {
        gone(lab, "dead")
    }),
    ("hosts_refused::a_closed_ssh_port_stops_the_run", |lab| {
        gone(lab, "shut")
    }),
    ("hosts_refused::min_hosts_goes_on_without_the_unreachable", min_hosts),
    ("hosts_refused::an_answer_that_is_no_shell_is_named", no_shell),
    ("hosts_refused::a_login_shell_that_refuses_is_named", no_login),
    ("hosts_refused::too_few_files_are_named", few_files),
    ("hosts_refused::too_few_ports_are_named", few_ports),
    ("hosts_refused::another_cpu_is_named", other_cpu),
];

/// It ended before any load, for a reason that it names, and left nothing behind.
fn refused(lab: &Lab, outcome: &Outcome, words: &[&str]) -> Result {
    outcome.expect_refused(6, words)?;
    nothing_was_sent(lab)?;
    // a master that was just connecting when the run ended goes by its ControlPersist of 10 s
    lab.nothing_left_within(Duration::from_secs(15))
}

fn unknown_key(lab: &Lab) -> Result {
    let known = lab.folder.join("known_hosts.unknown");
    std::fs::write(&known, "")?;
    let outcome = small(lab).hosts("h1").config(&lab.configs.unknown).run()?;
    refused(lab, &outcome, &["h1", "--accept-new-host-keys"])?;
    ensure!(
        std::fs::read_to_string(&known)?.is_empty(),
        "a host key was taken without being asked to"
    );
    small(lab)
        .config(&lab.configs.unknown)
        .with("--accept-new-host-keys")
        .run()?
        .expect_code(0)?;
    ensure!(
        std::fs::read_to_string(&known)?.contains("10.77.0.1"),
        "the accepted key was not kept"
    );
    // Known now: no flag needed any more.
    small(lab).config(&lab.configs.unknown).run()?.expect_code(0)?;
    std::fs::write(&known, "")?;
    Ok(())
}

fn changed_key(lab: &Lab) -> Result {
    for flag in ["", "--accept-new-host-keys"] {
        let outcome = small(lab).hosts("h1").config(&lab.configs.changed).with(flag).run()?;
        refused(lab, &outcome, &["h1", "changed"])?;
    }
    Ok(())
}

fn refused_key(lab: &Lab) -> Result {
    let outcome = small(lab).hosts("h1").config(&lab.configs.refused).run()?;
    refused(lab, &outcome, &["h1", "permission denied"])?;
    let text = outcome.text();
    ensure!(
        text.contains("ssh-add") || text.contains("--identity"),
        "{}",
        outcome.wrong("no way out is named")
    );
    // And that way out works: the key given on the command line.
    let login = lab.keys.login.display().to_string();
    small(lab)
        .config(&lab.configs.refused)
        .with("-i")
        .word(&login)
        .run()?
        .expect_code(0)
}

fn gone(lab: &Lab, alias: &str) -> Result {
    let outcome = small(lab).hosts(&format!("h1,h2,h3,{alias}")).run()?;
    refused(lab, &outcome, &[alias])?;
    ensure!(
        outcome.finished.took < Duration::from_secs(45),
        "{}",
        outcome.wrong("too long")
    );
    Ok(())
}

fn min_hosts(lab: &Lab) -> Result {
    for least in ["3", "75%"] {
        let outcome = small(lab)
            .hosts("h1,h2,h3,dead")
            .with("--min-hosts")
            .word(least)
            .run()?;
        outcome.expect_code(0)?;
        outcome.expect_said(&["dead"])?;
        ensure!(
            outcome.row("/hosts", "name", "dead")?["status"] == "refused",
            "{}",
            outcome.wrong("dead is not refused")
        );
        // The whole is cut again over the three: 14, 13, 13.
        let mut sums: Vec<u64> = lab
            .servers
            .matrix("http")?
            .values()
            .map(|row| row.values().sum())
            .collect();
        sums.sort_unstable();
        ensure!(
            sums == [13, 13, 14],
            "{}",
            outcome.wrong(&format!("40 over three hosts: {sums:?}"))
        );
        lab.servers.reset()?;
    }
    let outcome = small(lab).hosts("h1,h2,shut,dead").with("--min-hosts 3").run()?;
    outcome.expect_refused(6, &["--min-hosts"])?;
    nothing_was_sent(lab)
}

/// An sshd of its own on h4.
fn extra(lab: &Lab, number: u16, before: &str, config: &str) -> Result<Extra> {
    lab.host("h4")?
        .extra_sshd(&lab.folder, &lab.keys, number, before, config)
}

fn no_shell(lab: &Lab) -> Result {
    let sshd = extra(lab, 1, "", "ForceCommand /bin/echo hi")?;
    let outcome = small(lab).hosts(&format!("h1,{}", sshd.alias)).run()?;
    drop(sshd);
    refused(lab, &outcome, &["extra1", "shell"])
}

fn no_login(lab: &Lab) -> Result {
    let host = lab.host("h4")?;
    host.login_shell("/usr/sbin/nologin")?;
    let outcome = small(lab).run();
    host.login_shell("/bin/bash")?;
    refused(lab, &outcome?, &["h4", "shell"])
}

fn few_files(lab: &Lab) -> Result {
    let sshd = extra(lab, 2, "ulimit -n 256;", "")?;
    let target = format!("ws://{BRIDGE_ADDRESS}:{}/", WEBSOCKET.1);
    let words = "-c 1000 --connect-rate 500 --hold 1s";
    let outcome = Attack::new(lab, &target).hosts(&sshd.alias).with(words).run()?;
    refused(lab, &outcome, &["extra2", "file", "256"])?;
    // What fits is let through.
    let words = "-c 100 --connect-rate 200 --hold 1s";
    Attack::new(lab, &target)
        .hosts(&sshd.alias)
        .with(words)
        .run()?
        .expect_code(0)?;
    let got = lab.servers.websocket_total("/clients")?;
    ensure!(got == 100, "the server counted {got} clients, not 100");
    Ok(())
}

fn few_ports(lab: &Lab) -> Result {
    let host = lab.host("h1")?;
    let range = "/proc/sys/net/ipv4/ip_local_port_range";
    let before = host.inside(&format!("cat {range}"))?;
    host.inside(&format!("echo 40000 40099 > {range}"))?;
    let words = "--socketio --transport websocket -c 500 --connect-rate 500 --hold 1s";
    let outcome = Attack::new(lab, &url("http", STICKY, "")).hosts("h1").with(words).run();
    host.inside(&format!("echo {} > {range}", before.trim()))?;
    refused(lab, &outcome?, &["h1", "ports", "100"])
}

fn other_cpu(lab: &Lab) -> Result {
    let sshd = extra(lab, 3, "exec setarch i686", "")?;
    let outcome = small(lab).hosts(&format!("h1,{}", sshd.alias)).run()?;
    drop(sshd);
    refused(lab, &outcome, &["extra3", "i686"])
}
