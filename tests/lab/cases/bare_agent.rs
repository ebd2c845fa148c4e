//! Owns: what the agent needs of a host and what it never touches: shown in an empty chroot, and where reading the wall
//! clock kills. Both by `cage.c`, which is pushed under the agent's name and starts the genuine agent in its cage.

use super::{held, small, started};
use crate::host::Host;
use crate::lab::Lab;
use crate::process::{run, start};
use crate::proxy::{STICKY, TLS, url};
use crate::swarm::Attack;
use crate::{Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    ("bare_agent::the_cage_kills_who_reads_the_wall_clock", cage_kills),
    ("bare_agent::never_reads_the_wall_clock", no_wall_clock),
    ("bare_agent::works_in_an_empty_chroot", empty_chroot),
];

/// Where the genuine agent is put on a host: alone in a folder.
const ALONE: &str = "/root/empty";

fn cage(lab: &Lab, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let out = lab.folder.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/cage.c");
    run(Command::new("cc")
        .args(["-static", "-O1", "-Wall", "-Werror", "-s"])
        .args(flags)
        .arg("-o")
        .arg(&out)
        .arg(source))?;
    Ok(out)
}

/// Takes the agent that a run left on the host and puts it into a folder of its own.
fn put_alone(lab: &Lab, host: &Host) -> Result {
    host.freshen()?;
    small(lab).hosts(&host.name).run()?.expect_code(0)?;
    lab.servers.reset()?;
    host.inside(&format!(
        "mkdir {ALONE} && find /root /tmp -type f -perm -u+x -size +500k | head -1 | xargs -I@ mv @ {ALONE}/agent && test -x {ALONE}/agent"
    ))?;
    Ok(())
}

fn agent_binary(cage: &Path) -> Result<String> {
    Ok(format!(
        "{}={}",
        run(Command::new("uname").arg("-m"))?.trim(),
        cage.display()
    ))
}

/// The cage itself: `date` dies in it, `sleep` doesn't.
fn cage_kills(lab: &Lab) -> Result {
    let date = cage(lab, "cage-date", &["-DNO_WALL_CLOCK", "-DAGENT=\"/bin/date\""])?;
    let done = start(&mut Command::new(date))?.wait(Duration::from_secs(5))?;
    ensure!(
        done.status.code() == Some(128 + 31),
        "date lived: {} {}",
        done.status,
        done.stdout
    );
    ensure!(
        done.stderr.contains("wall clock"),
        "the cage did not say why: {}",
        done.stderr
    );
    let sleep = cage(lab, "cage-sleep", &["-DNO_WALL_CLOCK", "-DAGENT=\"/bin/sleep\""])?;
    run(Command::new(sleep).arg("0.1")).map(drop)
}

fn no_wall_clock(lab: &Lab) -> Result {
    let host = lab.host("h1")?;
    put_alone(lab, host)?;
    let cage = cage(
        lab,
        "cage-clock",
        &["-DNO_WALL_CLOCK", &format!("-DAGENT=\"{ALONE}/agent\"")],
    )?;
    let binary = agent_binary(&cage)?;
    // Everything that asks for the time: an open loop, then sockets that are opened, timed and held.
    let http = Attack::new(lab, &url("http", STICKY, "/"))
        .hosts("h1")
        .with("-q 100 -z 2s --agent-binary")
        .word(&binary)
        .run()?;
    http.expect_code(0)?;
    let got = lab.servers.socketio_total("/http")?;
    ensure!(
        got == 200,
        "{}",
        http.wrong(&format!("the servers counted {got} requests, not 200"))
    );
    let attack = held(lab, 20, "2s").hosts("h1").with("--agent-binary").word(&binary);
    let attacking = started(lab, attack, 20)?;
    let caged = host.processes().iter().any(|p| p.exe.contains(ALONE));
    attacking.wait()?.expect_code(0)?;
    ensure!(caged, "the agent did not run from its cage: nothing was shown");
    host.freshen()
}

/// Only the one file: no /dev, no /proc, no libraries, no resolver, no certificates; TLS and a WebSocket handshake.
fn empty_chroot(lab: &Lab) -> Result {
    let host = lab.host("h1")?;
    put_alone(lab, host)?;
    let cage = cage(
        lab,
        "cage-chroot",
        &[&format!("-DCHROOT=\"{ALONE}\""), "-DAGENT=\"/agent\""],
    )?;
    let attack = Attack::new(lab, &url("https", TLS, ""))
        .hosts("h1")
        .with("-k --socketio --transport websocket -c 20 --connect-rate 20 --hold 2s --agent-binary")
        .word(&agent_binary(&cage)?);
    let attacking = started(lab, attack, 20)?;
    let root = |pid: u32| std::fs::read_link(format!("/proc/{pid}/root")).unwrap_or_default();
    let caged = host.processes().iter().any(|p| root(p.pid).ends_with("empty"));
    let files = host.inside(&format!("find {ALONE} -mindepth 1"))?;
    attacking.wait()?.expect_code(0)?;
    ensure!(caged, "no agent ran in the chroot: nothing was shown");
    ensure!(
        files.trim() == format!("{ALONE}/agent"),
        "more than the agent lay in the chroot: {files}"
    );
    host.freshen()
}
