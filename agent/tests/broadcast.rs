//! Broadcasts against socketioxide: to all, to the others, to a part, twice, and without a stamp; every number is known.
#![allow(clippy::unwrap_used)]

mod held;

use held::{MS, faults, run, samples, share};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use std::collections::BTreeMap;
use std::time::Duration;
use swarm_agent::recorder::Recording;
use swarm_agent::wire::broadcast::Casts;
use swarm_agent::wire::report::Latency;
use swarm_agent::wire::share::{Broadcast, Cadence, Carrier, Eio, Engine, Level, Load, Share, Socketio};
use tokio::net::TcpListener;

const CARRIERS: [Carrier; 3] = [Carrier::Websocket, Carrier::Polling, Carrier::Upgrade];
const STAMPED: &str = r#"["say",{"text":"{{stamp}}"}]"#;

/// Two nodes' worth of clients in one server: every second one is in room `b`.
async fn server() -> u16 {
    let (layer, io) = SocketIo::builder()
        .ping_interval(Duration::from_millis(500))
        .build_layer();
    let everybody = io.clone();
    io.ns("/", async move |socket: SocketRef| {
        let io = everybody.clone();
        socket.on("say", async move |Data::<serde_json::Value>(said), ack: AckSender| {
            ack.send(&1).ok();
            io.broadcast()
                .emit("said", &serde_json::json!({ "wrapped": said }))
                .await
                .ok();
        });
        let io = everybody.clone();
        socket.on("twice", async move |Data::<serde_json::Value>(said)| {
            for _ in 0..2 {
                io.broadcast().emit("said", &said).await.ok();
            }
        });
        socket.on(
            "others",
            async move |socket: SocketRef, Data::<serde_json::Value>(said)| {
                socket.broadcast().emit("said", &said).await.ok();
            },
        );
        socket.on(
            "myself",
            async move |socket: SocketRef, Data::<serde_json::Value>(said)| {
                socket.emit("said", &said).ok();
            },
        );
        socket.on("nobody", async move || {});
        socket.on("plain", async move |socket: SocketRef| {
            socket.broadcast().emit("said", &"no stamp").await.ok();
        });
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = axum::Router::new().layer(layer);
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    port
}

fn plan(port: u16, carrier: Carrier, emit: &str, clients: u64, hold_ms: u64, one_in: u64) -> Share {
    let socketio = Socketio {
        carrier,
        path: "/socket.io/".into(),
        namespace: "/".into(),
        query: Vec::new(),
        auth: None,
        emits: vec![emit.into()],
        ack: emit.starts_with(r#"["say""#),
        expect: None,
        version: Eio::Auto,
    };
    let every = Some(Cadence::Every(500 * MS));
    let mut share = share(port, Engine::Socketio(socketio), clients, hold_ms, every, None);
    share.limits.grace = 4_000 * MS;
    share.broadcast = Some(Broadcast {
        event: "said".into(),
        one_in,
        stamped: emit.contains("{{stamp}}"),
    });
    share
}

fn casts(recording: &Recording) -> &Casts {
    recording.casts.as_deref().unwrap()
}

/// What was due, as the controller reckons it, of one host whose backends are not named: one row.
fn expected(casts: &Casts) -> u64 {
    assert_eq!(casts.rows.len(), 1, "{casts:?}");
    let row = &casts.rows[0];
    let (mut due, mut sum) = (0i64, 0);
    let changes: BTreeMap<u32, i64> = row.listeners.iter().copied().collect();
    for second in 0..100 {
        due += changes.get(&second).copied().unwrap_or(0);
        let emits = row.emits.iter().find(|(at, _)| *at == second).map_or(0, |(_, n)| *n);
        sum += emits * u64::try_from(due).unwrap();
    }
    assert_eq!(due, 0, "everybody has left");
    sum - row.own
}

fn received(casts: &Casts) -> u64 {
    casts.rows.iter().flat_map(|row| &row.received).map(|(_, n)| n).sum()
}

fn emitted(casts: &Casts) -> u64 {
    casts.rows.iter().flat_map(|row| &row.emits).map(|(_, n)| n).sum()
}

/// The sums that always hold.
fn proven(recording: &Recording) {
    let casts = casts(recording);
    assert_eq!(emitted(casts), recording.counts.tally.messages.sent);
    assert_eq!(casts.heard, received(casts) + casts.beyond, "{casts:?}");
    if casts.rows[0].own > 0 {
        assert_eq!(
            casts.heard,
            samples(recording, Latency::Broadcast) + casts.below,
            "{casts:?}"
        );
    }
    assert!(received(casts) <= expected(casts), "{casts:?}");
}

#[tokio::test]
async fn what_reaches_all_is_received_by_all() {
    for carrier in CARRIERS {
        let port = server().await;
        let recording = run(plan(port, carrier, STAMPED, 12, 4_000, 3)).await;
        let casts = casts(&recording);
        proven(&recording);
        assert_eq!(faults(&recording), [], "{carrier:?}");
        // 4 of 12 emit twice a second for 4 s
        assert!((28..=36).contains(&emitted(casts)), "{carrier:?} {casts:?}");
        assert!(expected(casts) > 100, "{carrier:?} {casts:?}");
        assert_eq!(received(casts), expected(casts), "{carrier:?} {casts:?}");
        // each emitter hears itself: the server tells everybody
        assert_eq!(casts.own, emitted(casts), "{carrier:?}");
        assert_eq!(
            (casts.duplicates, casts.below, casts.unstamped, casts.forgotten),
            (0, 0, 0, 0),
            "{carrier:?}"
        );
        assert_eq!(samples(&recording, Latency::Broadcast), casts.heard, "{carrier:?}");
    }
}

#[tokio::test]
async fn what_others_hear_twice_never_or_unstamped_is_told() {
    let websocket = Carrier::Websocket;
    let emit = |event: &str| format!(r#"["{event}","{{{{stamp}}}}"]"#);
    let port = server().await;
    for (event, reach, own, duplicates, unstamped) in [
        ("others", 1, 0, false, false),
        ("twice", 1, 1, true, false),
        ("myself", 0, 1, false, false),
        ("nobody", 0, 0, false, false),
        ("plain", 0, 0, false, true),
    ] {
        let recording = run(plan(port, websocket, &emit(event), 6, 3_000, 2)).await;
        let casts = casts(&recording);
        proven(&recording);
        assert!(expected(casts) >= 30, "{event} {casts:?}");
        assert_eq!(received(casts), reach * expected(casts), "{event} {casts:?}");
        assert_eq!(casts.own > 0, own == 1, "{event} {casts:?}");
        assert_eq!(casts.duplicates > 0, duplicates, "{event} {casts:?}");
        assert_eq!(
            casts.duplicates,
            if duplicates { casts.heard } else { 0 },
            "{event} {casts:?}"
        );
        assert_eq!(casts.unstamped > 0, unstamped, "{event} {casts:?}");
    }
}

#[tokio::test]
async fn clients_that_leave_in_between_are_due_for_what_they_were_there_for() {
    let port = server().await;
    let mut share = plan(port, Carrier::Websocket, STAMPED, 10, 6_000, 5);
    let Load::Held(held) = &mut share.load else {
        unreachable!()
    };
    let stage = |ms: u64, from, to| swarm_agent::wire::share::Stage {
        duration: ms * MS,
        from,
        to,
    };
    held.clients = Level::Stages(vec![stage(2_000, 0, 10), stage(2_000, 10, 10), stage(2_000, 10, 2)]);
    let recording = run(share).await;
    let casts = casts(&recording);
    proven(&recording);
    assert_eq!(recording.counts.tally.connections.opened, 10);
    assert!(expected(casts) > 30, "{casts:?}");
    assert_eq!(received(casts), expected(casts), "{casts:?}");
    // who has just come, or is about to go, hears what it is not due to hear
    assert!(casts.beyond > 0, "{casts:?}");
}

#[tokio::test]
async fn without_a_stamp_only_those_who_do_not_emit_are_counted() {
    let port = server().await;
    let recording = run(plan(port, Carrier::Websocket, r#"["say",1]"#, 8, 4_000, 4)).await;
    let casts = casts(&recording);
    assert_eq!(casts.heard, received(casts) + casts.beyond, "{casts:?}");
    assert_eq!(samples(&recording, Latency::Broadcast), 0);
    let due = expected(casts);
    // six listen; at the edges of their time an emit of one second may come in the next
    assert!(due >= 6 * 8 && received(casts).abs_diff(due) <= 6 * 2, "{casts:?}");
}

#[tokio::test]
async fn a_rate_in_total_is_dealt_to_those_who_emit() {
    let port = server().await;
    let mut share = plan(port, Carrier::Websocket, STAMPED, 9, 3_000, 4);
    let Load::Held(held) = &mut share.load else {
        unreachable!()
    };
    let plateau = swarm_agent::wire::share::Stage {
        duration: 3_000 * MS,
        from: 20_000_000,
        to: 20_000_000,
    };
    held.cadence = Some(Cadence::Total(swarm_agent::wire::share::Schedule {
        stages: vec![plateau],
    }));
    let recording = run(share).await;
    proven(&recording);
    let tally = &recording.counts.tally;
    assert_eq!((tally.requests, tally.not_started), (60, 0), "{tally:?}");
    assert_eq!(received(casts(&recording)), expected(casts(&recording)));
}
