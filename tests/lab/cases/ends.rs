//! Owns: how a run ends when it does not end well: a host dies, the controller is interrupted or killed.

use super::{held, started};
use crate::lab::Lab;
use crate::net::BRIDGE_ADDRESS;
use crate::proxy::STICKY;
use crate::server::WEBSOCKET;
use crate::swarm::Attack;
use crate::{Result, ensure};
use rustix::process::Signal;
use std::time::{Duration, Instant};

pub const CASES: &[super::Case] = &[
    ("ends::a_host_killed_in_mid_run_leaves_the_rest_working", host_killed),
    ("ends::a_killed_controller_leaves_no_agent", controller_killed),
    (
        "ends::a_killed_controller_leaves_no_local_agent",
        local_controller_killed,
    ),
    ("ends::an_interrupt_drains_and_reports", interrupted),
    ("ends::a_second_interrupt_leaves_at_once", interrupted_twice),
];

fn host_killed(lab: &Lab) -> Result {
    let attacking = started(lab, held(lab, 80, "8s"), 80)?;
    let began = Instant::now();
    let killed = lab.host("h3")?.kill_all()?;
    ensure!(
        killed >= 2,
        "only {killed} processes ran on h3: an agent and its session at least were expected"
    );
    // The others don't notice: three seconds later their clients are all still there.
    std::thread::sleep(Duration::from_secs(3));
    let open = lab.servers.socketio_total("/open")?;
    let outcome = attacking.wait()?;
    ensure!(
        open == 60,
        "{}",
        outcome.wrong(&format!("{open} clients open after h3 died, not 60"))
    );
    ensure!(
        began.elapsed() < Duration::from_secs(25),
        "{}",
        outcome.wrong("the dead host was waited for")
    );
    outcome.expect_code(3)?;
    ensure!(
        outcome.word("/run/status")? == "partial",
        "{}",
        outcome.wrong("not partial")
    );
    for host in ["h1", "h2", "h3", "h4"] {
        let status = &outcome.row("/hosts", "name", host)?["status"];
        let expected = if host == "h3" { "lost" } else { "reported" };
        ensure!(
            status == expected,
            "{}",
            outcome.wrong(&format!("{host} is {status}, not {expected}"))
        );
    }
    outcome.expect_said(&["h3", "lost"])?;
    lab.servers.wait_all_closed()?;
    lab.nothing_left_within(Duration::from_secs(5))
}

/// The agents see the end of their input, or hear nothing for 10 s; then 1 s to stop.
const ORPHANS: Duration = Duration::from_secs(12);

fn controller_killed(lab: &Lab) -> Result {
    let attacking = started(lab, held(lab, 80, "60s"), 80)?;
    ensure!(lab.agents().len() > 4, "fewer agents than hosts: {:?}", lab.agents());
    attacking.signal(Signal::KILL)?;
    lab.no_agent_within(ORPHANS)?;
    lab.servers.wait_all_closed()?;
    let outcome = attacking.wait()?;
    ensure!(outcome.code().is_none(), "{}", outcome.wrong("it was not killed"));
    Ok(())
}

fn local_controller_killed(lab: &Lab) -> Result {
    let attack = Attack::new(lab, &format!("http://127.0.0.1:{STICKY}")).no_hosts();
    let words = "--local 2 --socketio --transport websocket -c 20 --connect-rate 20 --hold 60s";
    let attacking = started(lab, attack.with(words), 20)?;
    ensure!(
        lab.agents().len() >= 3,
        "no two agents beside the controller: {:?}",
        lab.agents()
    );
    attacking.signal(Signal::KILL)?;
    lab.no_agent_within(ORPHANS)?;
    lab.servers.wait_all_closed()
}

fn interrupted(lab: &Lab) -> Result {
    let attacking = started(lab, held(lab, 80, "60s"), 80)?;
    let began = Instant::now();
    attacking.signal(Signal::INT)?;
    let outcome = attacking.wait()?;
    ensure!(
        began.elapsed() < Duration::from_secs(15),
        "{}",
        outcome.wrong("it did not drain within its grace")
    );
    outcome.expect_code(130)?;
    ensure!(
        outcome.word("/run/status")? == "interrupted",
        "{}",
        outcome.wrong("not interrupted")
    );
    ensure!(
        outcome.count("/totals/connections/opened")? == 80,
        "{}",
        outcome.wrong("the report lacks what was")
    );
    for host in outcome.rows("/hosts")? {
        ensure!(
            host["status"] == "reported",
            "{}",
            outcome.wrong("a host did not report")
        );
    }
    lab.servers.wait_all_closed()?;
    lab.nothing_left_within(Duration::from_secs(5))
}

/// Nobody answers, so the first interrupt waits its whole grace; the second doesn't.
fn interrupted_twice(lab: &Lab) -> Result {
    let attack = Attack::new(lab, &format!("ws://{BRIDGE_ADDRESS}:{}/silent", WEBSOCKET.1));
    let words = "-c 8 --connect-rate 8 --hold 60s --message hello --echo --grace 20s";
    let mut attacking = attack.with(words).start()?;
    attacking.until("a message from all", Duration::from_secs(30), || {
        Ok(lab.servers.websocket_total("/messages")? >= 8)
    })?;
    attacking.signal(Signal::INT)?;
    std::thread::sleep(Duration::from_secs(1));
    let again = Instant::now();
    // Gone already: then there was no drain to cut short.
    attacking
        .signal(Signal::INT)
        .map_err(|e| format!("it did not wait for what was in flight: {e}"))?;
    let outcome = attacking.wait()?;
    ensure!(
        again.elapsed() < Duration::from_secs(3),
        "{}",
        outcome.wrong("a second interrupt was not heard")
    );
    outcome.expect_code(130)?;
    lab.no_agent_within(ORPHANS)?;
    lab.servers.wait_all_closed()
}
