//! Owns: a thousand Socket.IO clients over four hosts, with each transport, counted where they arrive.

use crate::lab::Lab;
use crate::proxy::{STICKY, url};
use crate::swarm::Attack;
use crate::{Result, ensure};
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    ("crowd::a_thousand_by_websocket", |lab| thousand(lab, "websocket")),
    ("crowd::a_thousand_by_polling", |lab| thousand(lab, "polling")),
    ("crowd::a_thousand_by_upgrade", |lab| thousand(lab, "upgrade")),
    ("crowd::every_emit_is_acked_and_counted", acks),
    ("crowd::namespace_and_auth_are_the_clients_own", namespace_and_auth),
];

fn thousand(lab: &Lab, transport: &str) -> Result {
    let words = format!("--socketio --transport {transport} -c 1000 --connect-rate 200 --hold 5s");
    let outcome = Attack::new(lab, &url("http", STICKY, "")).with(&words).run()?;
    outcome.expect_code(0)?;
    for (what, n) in [
        ("attempted", 1000),
        ("opened", 1000),
        ("failed", 0),
        ("dropped", 0),
        ("peak", 1000),
    ] {
        let got = outcome.count(&format!("/totals/connections/{what}"))?;
        ensure!(got == n, "{}", outcome.wrong(&format!("{what}: {got}, not {n}")));
    }
    ensure!(
        outcome.word("/run/status")? == "complete",
        "{}",
        outcome.wrong("not complete")
    );
    ensure!(outcome.rows("/errors")?.is_empty(), "{}", outcome.wrong("errors"));
    // Opened over 5 s, then held for 5 s: no quicker than that, and not much slower.
    let duration = outcome.number("/run/duration_s")?;
    ensure!(
        (9.5..20.0).contains(&duration),
        "{}",
        outcome.wrong(&format!("it took {duration} s, not about 10"))
    );

    lab.servers.wait_all_closed()?;
    // each of the four hosts asks once what the server speaks (--eio auto); whoever asks is no client
    let (polling, websocket, upgraded) = match transport {
        "websocket" => (0, 1004, 0),
        "polling" => (1004, 0, 0),
        _ => (1004, 0, 1000),
    };
    for (what, n) in [
        ("/clients", 1000),
        ("/peak", 1000),
        ("/open", 0),
        ("/handshakes/polling", polling),
        ("/handshakes/websocket", websocket),
        ("/upgraded", upgraded),
        ("/refused", 0),
        // A client that the server gave up on was not held.
        ("/disconnects/ping timeout", 0),
    ] {
        let got = lab.servers.socketio_total(what)?;
        ensure!(
            got == n,
            "{}",
            outcome.wrong(&format!("the servers counted {got} of {what}, not {n}"))
        );
    }
    lab.nothing_left_within(Duration::from_secs(5))
}

fn acks(lab: &Lab) -> Result {
    let attack = Attack::new(lab, &url("http", STICKY, ""));
    let outcome = attack
        .with("--socketio --transport websocket -c 40 --connect-rate 40 --hold 3s --every 500ms --ack --emit")
        .word(r#"["echo",{"i":1}]"#)
        .run()?;
    outcome.expect_code(0)?;
    let counted = lab.servers.socketio_total("/emits")?;
    let sent = outcome.count("/totals/messages/sent")?;
    ensure!(
        sent == counted,
        "{}",
        outcome.wrong(&format!("{sent} sent, but the servers got {counted}"))
    );
    // 40 clients for 3 to 4 s, one emit each half second.
    ensure!(
        (200..=360).contains(&sent),
        "{}",
        outcome.wrong(&format!("{sent} emits"))
    );
    let acked = outcome.count("/totals/messages/acked")?;
    ensure!(acked == sent, "{}", outcome.wrong(&format!("{acked} of {sent} acked")));
    ensure!(
        outcome.count("/latency/ack/count")? == acked,
        "{}",
        outcome.wrong("acks that were not timed")
    );
    Ok(())
}

fn namespace_and_auth(lab: &Lab) -> Result {
    let target = url("http", STICKY, "/admin");
    let words = "--socketio --transport websocket -c 8 --connect-rate 8 --hold 1s";
    let without = Attack::new(lab, &target).with(words).run()?;
    without.expect_code(4)?;
    ensure!(
        without.errors("connect_error")? == 8,
        "{}",
        without.wrong("a refused namespace is connect_error")
    );
    without.expect_said(&["not authorized"])?;
    ensure!(
        lab.servers.socketio_total("/clients")? == 0,
        "clients got in without a token"
    );

    let with = Attack::new(lab, &target)
        .with(words)
        .with("--auth")
        .word(r#"{"token":"secret"}"#)
        .run()?;
    with.expect_code(0)?;
    ensure!(
        lab.servers.socketio_total("/namespaces/~1admin")? == 8,
        "{}",
        with.wrong("not eight in /admin")
    );
    ensure!(
        !with.text().contains("secret"),
        "{}",
        with.wrong("the token is printed")
    );
    ensure!(
        !with.report()?.to_string().contains("secret"),
        "{}",
        with.wrong("the token is in the report")
    );
    Ok(())
}
