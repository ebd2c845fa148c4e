//! Owns: the list of all lab cases, and the few steps that several groups share. Must not: hold a case itself.

mod bad_input;
mod bare_agent;
mod broadcast;
mod check;
mod check_hosts;
mod clocks;
mod cloud_calls;
mod cloud_smoke;
mod conformance;
mod crowd;
mod deploy;
mod diagnose;
mod down_hosts;
mod ends;
mod exec;
mod fleet;
mod fleet_cover;
mod fleet_ends;
mod fleet_faults;
mod fleet_many;
mod foretold;
mod hosts_refused;
mod observed;
mod odd_hosts;
mod paths;
mod playbooks;
mod predicted;
mod reconnect;
mod smoke;
mod spread;
mod stickiness;
mod tls;
mod watch;
mod watch_pages;
mod websocket;

use crate::lab::{Lab, with_lab};
use crate::proxy::{STICKY, url};
use crate::swarm::{Attack, Attacking};
use crate::{Result, ensure};
use libtest_mimic::Trial;
use std::time::Duration;

/// A case: its name (group::what it shows) and what it does in the lab.
type Case = (&'static str, fn(&Lab) -> Result);

pub fn all() -> Vec<Trial> {
    let groups: &[&[Case]] = &[
        smoke::CASES,
        cloud_smoke::CASES,
        cloud_calls::CASES,
        fleet::CASES,
        fleet_cover::CASES,
        fleet_ends::CASES,
        fleet_faults::CASES,
        fleet_many::CASES,
        odd_hosts::CASES,
        spread::CASES,
        predicted::CASES,
        foretold::CASES,
        diagnose::CASES,
        paths::CASES,
        crowd::CASES,
        stickiness::CASES,
        reconnect::CASES,
        observed::CASES,
        clocks::CASES,
        ends::CASES,
        exec::CASES,
        deploy::CASES,
        down_hosts::CASES,
        hosts_refused::CASES,
        bad_input::CASES,
        tls::CASES,
        websocket::CASES,
        watch::CASES,
        watch_pages::CASES,
        conformance::CASES,
        broadcast::CASES,
        playbooks::CASES,
        bare_agent::CASES,
        check_hosts::CASES,
    ];
    groups
        .concat()
        .into_iter()
        .map(|(name, case)| Trial::test(name, move || with_lab(case).map_err(|e| e.to_string().into())))
        .chain(check::trials())
        .collect()
}

/// Forty plain requests over four connections: the smallest attack that needs every host.
fn small(lab: &Lab) -> Attack<'_> {
    Attack::new(lab, &url("http", STICKY, "/")).with("-n 40 -c 4")
}

/// Socket.IO clients over WebSocket through the source hash, all opened within a second.
fn held<'a>(lab: &'a Lab, clients: u64, hold: &str) -> Attack<'a> {
    Attack::new(lab, &url("http", STICKY, "")).with(&format!(
        "--socketio --transport websocket -c {clients} --connect-rate {clients} --hold {hold}"
    ))
}

/// Starts it and waits until the servers have this many clients open.
fn started(lab: &Lab, attack: Attack<'_>, clients: u64) -> Result<Attacking> {
    let mut attacking = attack.start()?;
    let open = attacking.until("all clients to be open", Duration::from_secs(30), || {
        Ok(lab.servers.socketio_total("/open")? == clients)
    });
    match open {
        Ok(()) => Ok(attacking),
        Err(error) => Err(attacking
            .wait()
            .map_or_else(|e| format!("{error}; {e}").into(), |o| o.wrong(&error.to_string()))),
    }
}

/// What no load at all means: not one plain request, not one client at any server.
fn nothing_was_sent(lab: &Lab) -> Result {
    for count in ["/http", "/clients"] {
        let n = lab.servers.socketio_total(count)? + lab.servers.websocket_total(count)?;
        ensure!(n == 0, "load was sent though nothing should have been: {n} of {count}");
    }
    Ok(())
}
