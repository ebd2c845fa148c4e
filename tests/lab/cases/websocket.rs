//! Owns: plain WebSocket against a real server: echoes, pings, closes with a code, frames that are no frames.

use crate::lab::Lab;
use crate::net::BRIDGE_ADDRESS;
use crate::server::WEBSOCKET;
use crate::swarm::Attack;
use crate::{Result, ensure};

pub const CASES: &[super::Case] = &[
    ("websocket::echoes_are_counted_on_both_sides", echoes),
    ("websocket::pings_are_answered", pings),
    ("websocket::a_close_code_is_in_the_error", close_code),
    ("websocket::an_invalid_frame_is_a_protocol_error", garbage),
    ("websocket::a_plain_http_answer_is_no_handshake", no_upgrade),
];

fn target(path: &str) -> String {
    format!("ws://{BRIDGE_ADDRESS}:{}{path}", WEBSOCKET.1)
}

fn echoes(lab: &Lab) -> Result {
    let words = "-c 40 --connect-rate 40 --hold 3s --message hello --echo --every 500ms";
    let outcome = Attack::new(lab, &target("/")).with(words).run()?;
    outcome.expect_code(0)?;
    lab.servers.wait_all_closed()?;
    let counted = lab.servers.websocket_total("/messages")?;
    let sent = outcome.count("/totals/messages/sent")?;
    ensure!(
        sent == counted,
        "{}",
        outcome.wrong(&format!("{sent} sent, the server counted {counted}"))
    );
    ensure!(
        (200..=360).contains(&sent),
        "{}",
        outcome.wrong(&format!("{sent} messages in 3 to 4 s"))
    );
    ensure!(
        outcome.count("/totals/messages/received")? == sent,
        "{}",
        outcome.wrong("not every echo came back")
    );
    ensure!(
        outcome.count("/latency/message/count")? == sent,
        "{}",
        outcome.wrong("echoes that were not timed")
    );
    for (what, n) in [("/clients", 40), ("/peak", 40)] {
        let got = lab.servers.websocket_total(what)?;
        ensure!(
            got == n,
            "{}",
            outcome.wrong(&format!("the server counted {got} of {what}"))
        );
    }
    // A client that leaves says so.
    let counts = lab.servers.counts(WEBSOCKET.1)?;
    let rude = counts["all"]["disconnects"]["1006"].as_u64().unwrap_or(0);
    ensure!(
        rude == 0,
        "{}",
        outcome.wrong(&format!("{rude} clients left without a close frame"))
    );
    for (source, row) in counts["sources"].as_object().ok_or("no sources")? {
        let reported = outcome.matrix()?.get(source).and_then(|r| r.get("w1").copied());
        ensure!(
            reported == row["clients"].as_u64(),
            "{}",
            outcome.wrong(&format!("{source}: {reported:?}, counted {}", row["clients"]))
        );
    }
    Ok(())
}

fn pings(lab: &Lab) -> Result {
    let outcome = Attack::new(lab, &target("/ping"))
        .with("-c 8 --connect-rate 8 --hold 3s")
        .run()?;
    outcome.expect_code(0)?;
    // Two a second for 3 s and more, each one answered with its own payload.
    let pongs = lab.servers.websocket_total("/pongs")?;
    ensure!(pongs >= 8 * 5, "{}", outcome.wrong(&format!("{pongs} pongs only")));
    ensure!(
        outcome.count("/totals/connections/dropped")? == 0,
        "{}",
        outcome.wrong("some were dropped")
    );
    Ok(())
}

fn close_code(lab: &Lab) -> Result {
    let words = "-c 8 --connect-rate 8 --hold 2s --message hello";
    let outcome = Attack::new(lab, &target("/close/4001")).with(words).run()?;
    ensure!(
        lab.servers.websocket_total("/messages")? == 8,
        "{}",
        outcome.wrong("not eight messages arrived")
    );
    ensure!(
        outcome.errors("closed_by_server")? == 8,
        "{}",
        outcome.wrong("not eight times closed_by_server")
    );
    let row = outcome.row("/errors", "kind", "closed_by_server")?;
    ensure!(
        row.to_string().contains("4001"),
        "{}",
        outcome.wrong("the code is not in the error")
    );
    ensure!(
        outcome.count("/totals/connections/dropped")? == 8,
        "{}",
        outcome.wrong("not eight dropped")
    );
    Ok(())
}

fn garbage(lab: &Lab) -> Result {
    let words = "-c 8 --connect-rate 8 --hold 2s --message hello --echo";
    let outcome = Attack::new(lab, &target("/garbage")).with(words).run()?;
    ensure!(
        outcome.errors("protocol")? == 8,
        "{}",
        outcome.wrong("not eight times protocol")
    );
    // RFC 6455 section 7.1.7: the client fails the connection, with 1002.
    let counts = lab.servers.counts(WEBSOCKET.1)?;
    ensure!(
        counts["all"]["disconnects"]["1002"] == 8,
        "{}",
        outcome.wrong(&format!("the server saw {}", counts["all"]["disconnects"]))
    );
    Ok(())
}

/// The Socket.IO server answers a WebSocket handshake outside its path by ignoring it: a time-out or an error.
fn no_upgrade(lab: &Lab) -> Result {
    let target = crate::proxy::url("ws", crate::proxy::ROUND_ROBIN, "/nothing-here");
    let outcome = Attack::new(lab, &target)
        .with("-c 4 --connect-rate 4 --hold 1s --connect-timeout 2s")
        .run()?;
    outcome.expect_code(4)?;
    ensure!(
        outcome.count("/totals/connections/failed")? == 4,
        "{}",
        outcome.wrong("not four failed")
    );
    ensure!(
        outcome.count("/totals/connections/opened")? == 0,
        "{}",
        outcome.wrong("some opened")
    );
    Ok(())
}
