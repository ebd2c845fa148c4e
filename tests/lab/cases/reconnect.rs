//! Owns: clients that are lost behind a balancer and come back: what the report says of them is what the servers saw.

use crate::lab::Lab;
use crate::proxy::{STICKY, url};
use crate::server::{SOCKETIO, number};
use crate::swarm::{Attack, Outcome};
use crate::{Result, ensure};
use std::collections::BTreeMap;

pub const CASES: &[super::Case] = &[
    ("reconnect::a_storm_behind_the_source_hash", storm),
    ("reconnect::a_backend_is_restarted", restarted_backend),
];

fn connections(outcome: &Outcome, what: &str) -> Result<u64> {
    outcome.count(&format!("/totals/connections/{what}"))
}

fn expect(outcome: &Outcome, expected: &[(&str, u64)]) -> Result {
    for (what, n) in expected {
        let got = connections(outcome, what)?;
        ensure!(got == *n, "{}", outcome.wrong(&format!("{what} is {got}, not {n}")));
    }
    let reconnected = connections(outcome, "reconnected")?;
    let timed = outcome.count("/latency/reconnect/count")?;
    ensure!(
        timed == reconnected,
        "{}",
        outcome.wrong(&format!("{timed} ways back were timed, {reconnected} counted"))
    );
    Ok(())
}

fn storm(lab: &Lab) -> Result {
    let outcome = Attack::new(lab, &url("http", STICKY, ""))
        .hosts("h1,h2")
        .with("--socketio --transport upgrade -c 40 --connect-rate 40 -z 7s --storm 3s")
        .with("--emit echo,1 --ack --every 500ms")
        .run()?;
    outcome.expect_code(0)?;
    lab.servers.wait_all_closed()?;
    expect(
        &outcome,
        &[
            ("stormed", 40),
            ("reconnected", 40),
            ("dropped", 0),
            ("gave_up", 0),
            ("away", 0),
            ("opened", 80),
            ("peak", 40),
        ],
    )?;
    // The real client's first delay is 1 s, half of it by chance.
    let least = outcome.count("/latency/reconnect/min")?;
    ensure!(
        least >= 500_000,
        "{}",
        outcome.wrong(&format!("one was back after {least} us"))
    );
    let event = &outcome.rows("/events")?[0];
    ensure!(
        event["t_s"] == 3.0,
        "{}",
        outcome.wrong("the storm is not on the timeline")
    );

    let counted = lab.servers.matrix("clients")?;
    ensure!(
        outcome.matrix()? == counted,
        "{}",
        outcome.wrong(&format!("the servers counted {counted:?}"))
    );
    // Each source has its one backend, where its 20 clients came twice.
    ensure!(
        counted.len() == 2 && counted.values().all(|row| row.values().eq([&40])),
        "{counted:?}"
    );
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    for (_, port) in SOCKETIO {
        for session in lab.servers.log(port)?["sessions"]
            .as_array()
            .ok_or("a log without sessions")?
        {
            for did in session["did"].as_array().ok_or("a session without what it did")? {
                if did["what"] == "disconnect" {
                    let reason = did["reason"].as_str().unwrap_or_default().to_owned();
                    *ends.entry(reason).or_default() += 1;
                }
            }
        }
    }
    let expected = [("client namespace disconnect", 40), ("transport close", 40)];
    ensure!(
        ends.iter().map(|(reason, n)| (reason.as_str(), *n)).eq(expected),
        "40 were to be torn away and 40 to say goodbye: {ends:?}"
    );
    // What the storm tore away on its way may or may not have come in; all else did, and was acknowledged.
    let (sent, acked) = (
        outcome.count("/totals/messages/sent")?,
        outcome.count("/totals/messages/acked")?,
    );
    let emits = lab.servers.socketio_total("/emits")?;
    ensure!(
        acked <= emits && emits <= sent && sent - acked == outcome.count("/totals/messages/lost")?,
        "{}",
        outcome.wrong(&format!("{acked} acknowledged, {emits} came in, {sent} sent"))
    );
    Ok(())
}

/// The clients of h1 are at s2 and lose it; those of h2 are at s3 and notice nothing.
fn restarted_backend(lab: &Lab) -> Result {
    let attack = Attack::new(lab, &url("http", STICKY, ""))
        .hosts("h1,h2")
        .with("--socketio --transport websocket -c 40 --connect-rate 40 -z 9s --reconnect");
    let attacking = super::started(lab, attack, 40)?;
    lab.servers.restart(1)?;
    let outcome = attacking.wait()?;
    outcome.expect_code(0)?;
    lab.servers.wait_all_closed()?;
    expect(
        &outcome,
        &[
            ("dropped", 20),
            ("reconnected", 20),
            ("stormed", 0),
            ("gave_up", 0),
            ("away", 0),
            ("opened", 60),
            ("peak", 40),
        ],
    )?;
    let failed = connections(&outcome, "failed")?;
    let attempted = connections(&outcome, "attempted")?;
    ensure!(
        attempted == 60 + failed,
        "{}",
        outcome.wrong("attempted is not opened and failed")
    );
    // What s2 counted begins with its second life.
    for (server, clients) in [(1, 20), (2, 20)] {
        let (name, port) = SOCKETIO[server];
        let counted = number(&lab.servers.counts(port)?, "/all/clients");
        ensure!(counted == clients, "{name} counted {counted} clients, not {clients}");
    }
    for (name, clients) in [("s2", 40), ("s3", 20)] {
        let row = outcome.row("/backends", "name", name)?;
        ensure!(
            row["connections"] == clients,
            "{}",
            outcome.wrong(&format!("{name} has {}, not {clients}", row["connections"]))
        );
    }
    Ok(())
}
