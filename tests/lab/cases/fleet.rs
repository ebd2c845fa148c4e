//! Owns: the story of a fleet on EC2 as its users live it: up, status, attack, extend, down, against moto and machines
//! with a real sshd each. Must not: know swarm's inside.

use crate::cloud::{Cloud, check_schema};
use crate::lab::Lab;
use crate::process::Finished;
use crate::proxy::{STICKY, url};
use crate::server::Matrix;
use crate::{Result, ensure};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const CASES: &[super::Case] = &[("fleet::up_status_attack_extend_down", the_story)];

/// Fails, with all that was said, unless it ended with this code and said each of these.
pub fn expect(finished: &Finished, code: i32, says: &[&str]) -> Result {
    let text = format!("{}\n{}", finished.stdout, finished.stderr);
    ensure!(
        finished.status.code() == Some(code),
        "exit code {code} was expected, not {}:\n{text}",
        finished.status
    );
    for part in says {
        ensure!(text.contains(part), "it does not say {part:?}:\n{text}");
    }
    ensure!(!text.contains("panicked"), "a panic is no message:\n{text}");
    ensure!(!text.contains("PRIVATE KEY"), "a private key was printed:\n{text}");
    Ok(())
}

fn the_story(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let up = cloud.swarm("up -s 3")?;
    expect(&up, 0, &["fleet default: 3 hosts", "t2.micro", "USD an hour", "ready (3 of 3)"])?;
    let alive = cloud.moto.alive()?;
    ensure!(alive.len() == 3, "{} instances run, not 3", alive.len());
    let status = cloud.swarm("status")?;
    expect(&status, 0, &["fleet default: 3 hosts", "1h59m", "cores"])?;
    // a second up adds only what is missing
    expect(&cloud.swarm("up -s 4")?, 0, &["3 of 4 are there", "fleet default: 4 hosts"])?;
    ensure!(cloud.moto.alive()?.len() == 4, "not 4 instances");
    let target = url("http", STICKY, "/");
    let attack = cloud.swarm(&format!("attack {target} -n 40 -c 4"))?;
    expect(&attack, 0, &["from: fleet default, 4 hosts, 4 addresses, us-east-1", "complete"])?;
    expect(&cloud.swarm("extend --ttl 5h")?, 0, &["4h59m"])?;
    let down = cloud.swarm("down")?;
    expect(&down, 0, &["4 hosts ended, nothing tagged is left"])?;
    cloud.expect_nothing_left()?;
    expect(&cloud.swarm("down")?, 0, &["nothing of yours"])?;
    Ok(())
}
