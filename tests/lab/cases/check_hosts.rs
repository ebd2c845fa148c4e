//! Owns: `swarm check` from hosts over SSH, as a user's fleet would run it, and the words that no run begins with.
//! Must not: hold faults (`check`).

use crate::lab::Lab;
use crate::proxy::{ROUND_ROBIN, STICKY, url};
use crate::stand::checked::Checked;
use crate::swarm::ran;
use crate::{Result, ensure};

pub const CASES: &[super::Case] = &[
    ("check_hosts::a_source_hash_is_sticky_by_source", sticky),
    ("check_hosts::round_robin_is_found", round_robin),
    ("check_hosts::it_is_no_load", no_load),
];

fn check(lab: &Lab, port: u16) -> Result<Checked> {
    let config = lab.configs.plain.display().to_string();
    let target = url("http", port, "");
    Checked::read(ran(
        lab,
        &[
            "check",
            &target,
            "--socketio",
            "--json",
            "--hosts",
            "h1,h2,h3",
            "-F",
            &config,
        ],
    )?)
}

fn sticky(lab: &Lab) -> Result {
    let checked = check(lab, STICKY)?;
    ensure!(checked.alarms()?.is_empty(), "{}", checked.wrong("a false alarm"));
    checked.expect_exit(0)?;
    let step = checked.step("stickiness")?;
    ensure!(
        step["finding"] == "sticky_by_source",
        "{}",
        checked.wrong("it is sticky by source")
    );
    ensure!(
        checked.step("polling")?["verdict"] == "pass",
        "{}",
        checked.wrong("three hosts reach three servers: polling can be judged")
    );
    let from = checked.said["from"].as_array().map_or(0, Vec::len);
    ensure!(from == 3, "{}", checked.wrong("not from three hosts"));
    Ok(())
}

fn round_robin(lab: &Lab) -> Result {
    let checked = check(lab, ROUND_ROBIN)?;
    ensure!(
        checked.alarms()?.contains(&("polling", "sid_unknown", "fail")),
        "{}",
        checked.wrong("Session ID unknown is not found")
    );
    checked.expect_exit(4)
}

/// A few dozen requests, and the servers saw no more than it says.
fn no_load(lab: &Lab) -> Result {
    let checked = check(lab, STICKY)?;
    let said = checked.said["requests"]
        .as_u64()
        .ok_or_else(|| checked.wrong("no requests"))?;
    ensure!(said < 200, "{}", checked.wrong("that is no few dozen"));
    lab.servers.wait_all_closed()?;
    let clients = lab.servers.socketio_total("/clients")?;
    ensure!(
        clients <= said,
        "{}",
        checked.wrong(&format!("the servers counted {clients} clients"))
    );
    Ok(())
}
