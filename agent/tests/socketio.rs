//! The Socket.IO engine against socketioxide over all carriers, and against hand-written servers.
#![allow(clippy::unwrap_used)]

mod held;

use held::{MS, faults, run, samples, share};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::report::Latency;
use swarm_agent::wire::share::{Cadence, Carrier, Eio, Engine, Socketio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const CARRIERS: [Carrier; 3] = [Carrier::Websocket, Carrier::Polling, Carrier::Upgrade];

#[derive(Default)]
struct Seen {
    clients: AtomicU64,
    echoes: AtomicU64,
    left: AtomicU64,
}

fn engine(carrier: Carrier) -> Socketio {
    Socketio {
        carrier,
        path: "/socket.io/".into(),
        namespace: "/".into(),
        query: Vec::new(),
        auth: None,
        emits: vec![r#"["echo",{"i":1}]"#.into()],
        ack: true,
        expect: None,
        version: Eio::Auto,
    }
}

async fn server() -> (u16, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let (layer, io) = SocketIo::builder()
        .ping_interval(Duration::from_millis(100))
        .ping_timeout(Duration::from_millis(200))
        .build_layer();
    let counts = Arc::clone(&seen);
    let enter = move |socket: SocketRef| {
        counts.clients.fetch_add(1, Ordering::Relaxed);
        let (echoes, left) = (Arc::clone(&counts), Arc::clone(&counts));
        socket.on("echo", async move |Data::<serde_json::Value>(data), ack: AckSender| {
            echoes.echoes.fetch_add(1, Ordering::Relaxed);
            ack.send(&data).ok();
        });
        socket.on("ask", async move |socket: SocketRef| {
            socket.emit("noise", &0).ok();
            socket.emit("reply", &1).ok();
        });
        socket.on("kick", async move |socket: SocketRef| {
            socket.disconnect().ok();
        });
        socket.on_disconnect(async move |_: SocketRef| {
            left.left.fetch_add(1, Ordering::Relaxed);
        });
    };
    let again = enter.clone();
    io.ns("/", async move |socket: SocketRef| enter(socket));
    io.ns("/chat", async move |socket: SocketRef| again(socket));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = axum::Router::new().layer(layer);
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    (port, seen)
}

/// Answers the n-th request of the server with the n-th answer, the last one again and again.
async fn scripted(answers: &'static [&'static str]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let turn = Arc::new(AtomicU64::new(0));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let turn = Arc::clone(&turn);
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                while stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    let n = usize::try_from(turn.fetch_add(1, Ordering::Relaxed)).unwrap();
                    let (status, body) = answers[n.min(answers.len() - 1)].split_once(' ').unwrap();
                    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn every_carrier_holds_emits_and_hears_acknowledgements() {
    for carrier in CARRIERS {
        let (port, seen) = server().await;
        let recording = run(share(
            port,
            Engine::Socketio(engine(carrier)),
            40,
            1_500,
            Some(Cadence::Every(300 * MS)),
            None,
        ))
        .await;
        let tally = &recording.counts.tally;
        assert_eq!(
            (tally.connections.opened, tally.connections.dropped),
            (40, 0),
            "{carrier:?} {:?}",
            faults(&recording)
        );
        assert_eq!((tally.failed, tally.unfinished), (0, 0), "{carrier:?}");
        assert!(tally.ok >= 40 * 3, "{carrier:?} {tally:?}");
        assert_eq!(samples(&recording, Latency::Ack), tally.ok, "{carrier:?}");
        assert_eq!(seen.clients.load(Ordering::Relaxed), 40, "{carrier:?}");
        assert_eq!(seen.echoes.load(Ordering::Relaxed), tally.requests, "{carrier:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(seen.left.load(Ordering::Relaxed), 40, "{carrier:?}");
    }
}

#[tokio::test]
async fn namespaces_are_entered_expected_events_heard_and_refusals_told() {
    for carrier in CARRIERS {
        let (port, _) = server().await;
        let mut chat = engine(carrier);
        (chat.namespace, chat.ack, chat.expect) = ("/chat".into(), false, Some("reply".into()));
        chat.emits = vec![r#"["ask"]"#.into()];
        let recording = run(share(
            port,
            Engine::Socketio(chat),
            3,
            5_000,
            Some(Cadence::Once),
            Some(3),
        ))
        .await;
        let tally = &recording.counts.tally;
        assert_eq!(
            (tally.ok, tally.messages.acked, tally.messages.received),
            (3, 3, 6),
            "{carrier:?} {:?}",
            faults(&recording)
        );

        let mut nowhere = engine(carrier);
        nowhere.namespace = "/nope".into();
        let recording = run(share(port, Engine::Socketio(nowhere), 2, 1_000, None, None)).await;
        let seen = faults(&recording);
        assert_eq!(
            (seen[0].0, seen[0].2),
            (FaultKind::ConnectError, 2),
            "{carrier:?} {seen:?}"
        );
        assert_eq!(recording.counts.tally.connections.failed, 2, "{carrier:?}");

        let mut kicked = engine(carrier);
        (kicked.ack, kicked.emits) = (false, vec![r#"["kick"]"#.into()]);
        let recording = run(share(
            port,
            Engine::Socketio(kicked),
            2,
            2_000,
            Some(Cadence::Once),
            None,
        ))
        .await;
        assert_eq!(faults(&recording)[0].0, FaultKind::ClosedByServer, "{carrier:?}");
        assert_eq!(recording.counts.tally.connections.dropped, 2, "{carrier:?}");
    }
}

#[tokio::test]
async fn what_a_wrong_server_says_has_its_own_word() {
    const OPEN: &str = r#"200 0{"sid":"a","upgrades":[],"pingInterval":100,"pingTimeout":50}"#;
    let cases: [(&'static [&'static str], FaultKind); 6] = [
        (
            &[OPEN, r#"400 {"code":1,"message":"Session ID unknown"}"#],
            FaultKind::SessionIdUnknown,
        ),
        (
            &[r#"400 {"code":5,"message":"Unsupported protocol version"}"#],
            FaultKind::UnsupportedProtocolVersion,
        ),
        (&[r#"200 97:0{"sid":"a"}2:40"#], FaultKind::UnsupportedProtocolVersion),
        (
            &[r#"400 {"code":0,"message":"Transport unknown"}"#],
            FaultKind::HttpStatus,
        ),
        (&["200 <html>"], FaultKind::Protocol),
        (&["503 down"], FaultKind::HttpStatus),
    ];
    for (answers, kind) in cases {
        let port = scripted(answers).await;
        let recording = run(share(
            port,
            Engine::Socketio(engine(Carrier::Polling)),
            1,
            600,
            None,
            None,
        ))
        .await;
        assert_eq!(faults(&recording)[0].0, kind, "{answers:?}");
        assert_eq!(recording.counts.tally.connections.failed, 1, "{answers:?}");
    }
}

#[tokio::test]
async fn a_server_that_stops_pinging_is_told() {
    // the namespace answer comes with the opening; then 6 for ever, as fast as the client polls
    let port = scripted(&[
        "200 0{\"sid\":\"a\",\"upgrades\":[],\"pingInterval\":100,\"pingTimeout\":50}\u{1e}40{\"sid\":\"b\"}",
        "200 6",
    ])
    .await;
    let recording = run(share(
        port,
        Engine::Socketio(engine(Carrier::Polling)),
        1,
        2_000,
        None,
        None,
    ))
    .await;
    assert_eq!(
        faults(&recording),
        [(FaultKind::PingTimeout, "no ping within 150 ms", 1)]
    );
    assert_eq!(recording.counts.tally.connections.dropped, 1);
}
