//! Clients that are lost come back: storms, servers that go, refusals, over every held engine and carrier.
#![allow(clippy::unwrap_used)]

mod held;

use futures_util::{SinkExt, StreamExt};
use held::{MS, faults, run, samples, share, websocket};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use swarm_agent::recorder::Recording;
use swarm_agent::wire::report::{Connections, Latency};
use swarm_agent::wire::share::*;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// What a gate does with connections, those that stand too.
#[derive(Clone, Copy, PartialEq)]
enum Gate {
    /// Passes them on to this server; those that stood before it was turned are cut.
    Open(u16),
    /// Cuts them, new ones at once.
    Shut,
}

/// A relay before a server, so that connections can be cut without the server's say.
async fn gate(begin: Gate) -> (u16, watch::Sender<Gate>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (hand, gate) = watch::channel(begin);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut gate = gate.clone();
            tokio::spawn(async move {
                let since = *gate.borrow_and_update();
                let Gate::Open(server) = since else { return };
                let mut far = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                // else each answer of polling waits for a delayed acknowledgement
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = gate.wait_for(|now| *now != since) => {}
                }
            });
        }
    });
    (port, hand)
}

/// Turns the gate a moment after `so`.
fn turn(hand: watch::Sender<Gate>, gate: Gate, so: impl Fn() -> bool + Send + 'static) {
    tokio::spawn(async move {
        while !so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // what the server knows the client has yet to hear
        tokio::time::sleep(Duration::from_millis(1000)).await;
        hand.send(gate).unwrap();
        // the gate stays as it is for as long as anyone connects
        hand.closed().await;
    });
}

#[derive(Default)]
struct Seen {
    /// Let in.
    clients: AtomicU64,
    /// Those of them that have emitted ten times: whatever comes with coming in is over.
    settled: AtomicU64,
}

async fn socketio_server() -> (u16, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let (layer, io) = SocketIo::builder()
        .ping_interval(Duration::from_secs(2))
        .ping_timeout(Duration::from_secs(10))
        .build_layer();
    let counts = Arc::clone(&seen);
    io.ns("/", async move |socket: SocketRef| {
        counts.clients.fetch_add(1, Ordering::Relaxed);
        let (emits, counts) = (Arc::new(AtomicU64::new(0)), Arc::clone(&counts));
        socket.on("echo", async move |Data::<serde_json::Value>(data), ack: AckSender| {
            if emits.fetch_add(1, Ordering::Relaxed) == 9 {
                counts.settled.fetch_add(1, Ordering::Relaxed);
            }
            ack.send(&data).ok();
        });
        socket.on("kick", async move |socket: SocketRef| {
            socket.disconnect().ok();
        });
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = axum::Router::new().layer(layer);
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    (port, seen)
}

/// Knows each client by a cookie that it gives it: cookie to the source addresses it came from, in order.
type Known = Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>;

/// Echoes.
async fn websocket_server() -> (u16, Known) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let known = Known::default();
    let book = Arc::clone(&known);
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let book = Arc::clone(&book);
            tokio::spawn(async move {
                #[allow(clippy::result_large_err)] // the callback's type is tungstenite's
                let meet = |request: &Request, mut response: Response| {
                    let mut book = book.lock().unwrap();
                    let name = match request.headers().get("Cookie") {
                        Some(cookie) => cookie.to_str().unwrap().to_owned(),
                        None => format!("id={}", book.len()),
                    };
                    let value = name.parse().unwrap();
                    book.entry(name).or_default().push(peer.ip());
                    response.headers_mut().insert("Set-Cookie", value);
                    Ok(response)
                };
                // a client that is cut while it comes in is no failure of the server
                let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, meet).await else {
                    return;
                };
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, known)
}

fn socketio(carrier: Carrier, emit: &str, ack: bool) -> Engine {
    Engine::Socketio(Socketio {
        carrier,
        path: "/socket.io/".into(),
        namespace: "/".into(),
        query: Vec::new(),
        auth: None,
        emits: vec![emit.into()],
        ack,
        expect: None,
        version: Eio::Fixed(Version::Four),
    })
}

const ECHO: &str = r#"["echo",1]"#;

fn back_off(ms: u64, attempts: Option<u32>) -> BackOff {
    BackOff {
        least: ms * MS,
        most: 10 * ms * MS,
        jitter: 0,
        attempts,
    }
}

/// The share, with clients that come back after `back_off`, and storms.
fn returning(mut share: Share, back_off: BackOff, storms_ms: &[u64]) -> Share {
    let Load::Held(held) = &mut share.load else {
        panic!("held")
    };
    held.reconnect = Some(back_off);
    // a busy machine is no failure of what is tested here
    (share.limits.ack, share.limits.hit) = (10_000 * MS, 10_000 * MS);
    held.storms = storms_ms.iter().map(|ms| ms * MS).collect();
    share
}

/// All carriers side by side.
async fn each_carrier(case: impl AsyncFn(Carrier)) {
    let cases = [Carrier::Websocket, Carrier::Polling, Carrier::Upgrade].map(|carrier| case(carrier));
    futures_util::future::join_all(cases).await;
}

/// Whether so many connections were let in.
fn all_in(known: &Known, connections: usize) -> impl Fn() -> bool + Send + 'static {
    let known = Arc::clone(known);
    move || known.lock().unwrap().values().map(Vec::len).sum::<usize>() == connections
}

/// The connection counters, once the sums of the way back hold.
fn connections(recording: &Recording) -> Connections {
    let counted = recording.counts.tally.connections.clone();
    assert_eq!(
        counted.dropped + counted.stormed,
        counted.reconnected + counted.gave_up + counted.away,
        "{counted:?}"
    );
    assert_eq!(
        samples(recording, Latency::Reconnect),
        counted.reconnected,
        "{counted:?}"
    );
    counted
}

#[tokio::test]
async fn a_storm_drops_all_clients_and_all_come_back() {
    each_carrier(async |carrier| {
        let (port, seen) = socketio_server().await;
        let load = share(
            port,
            socketio(carrier, ECHO, true),
            8,
            5_000,
            Some(Cadence::Every(100 * MS)),
            None,
        );
        let recording = run(returning(load, back_off(300, None), &[2_000])).await;
        let counted = connections(&recording);
        let told = faults(&recording);
        assert_eq!(
            (counted.stormed, counted.reconnected, counted.opened, counted.dropped),
            (8, 8, 16, 0),
            "{carrier:?} {told:?}"
        );
        assert_eq!(told, [], "{carrier:?}: a storm is no failure of the target");
        assert_eq!(seen.clients.load(Ordering::Relaxed), 16, "{carrier:?}");
        let tally = &recording.counts.tally;
        // away for 300 ms at least: two of each client's messages came due meanwhile
        assert!(tally.not_started >= 16, "{carrier:?} {tally:?}");
        assert_eq!(tally.unfinished, 0, "{carrier:?} {tally:?}");
        assert!(tally.ok > 8 * 5, "{carrier:?} {tally:?}");
        let (_, back) = recording
            .latency
            .iter()
            .find(|(name, _)| *name == Latency::Reconnect)
            .unwrap();
        assert!(back.min >= 300_000, "{carrier:?}: {} us", back.min);
    })
    .await;
}

#[tokio::test]
async fn two_storms_drop_every_client_twice() {
    let (port, known) = websocket_server().await;
    let load = share(port, websocket(None, false), 10, 3_500, None, None);
    let recording = run(returning(load, back_off(100, None), &[1_000, 2_000])).await;
    let counted = connections(&recording);
    assert_eq!((counted.stormed, counted.reconnected, counted.opened), (20, 20, 30));
    assert_eq!(known.lock().unwrap().len(), 10);
}

#[tokio::test]
async fn a_client_keeps_its_cookies_and_its_source_address() {
    let (port, known) = websocket_server().await;
    let mut load = share(
        port,
        websocket(Some("m"), true),
        12,
        2_500,
        Some(Cadence::Every(100 * MS)),
        None,
    );
    load.sources = (2..=6).map(|last| IpAddr::from([127, 0, 0, last])).collect();
    let recording = run(returning(load, back_off(100, None), &[1_000])).await;
    assert_eq!(connections(&recording).reconnected, 12);
    let known = known.lock().unwrap();
    assert_eq!(
        known.len(),
        12,
        "each came back with the cookie it was given: {known:?}"
    );
    for (cookie, sources) in known.iter() {
        assert!(sources.len() == 2 && sources[0] == sources[1], "{cookie}: {sources:?}");
    }
    let distinct: std::collections::BTreeSet<_> = known.values().map(|sources| sources[0]).collect();
    assert_eq!(distinct.len(), 5, "{known:?}");
}

#[tokio::test]
async fn clients_that_their_server_loses_come_back() {
    each_carrier(async |carrier| {
        let (server, seen) = socketio_server().await;
        let (other, seen_there) = socketio_server().await;
        let (port, hand) = gate(Gate::Open(server)).await;
        let counts = Arc::clone(&seen);
        turn(hand, Gate::Open(other), move || {
            counts.settled.load(Ordering::Relaxed) == 8
        });
        let load = share(
            port,
            socketio(carrier, ECHO, true),
            8,
            6_000,
            Some(Cadence::Every(100 * MS)),
            None,
        );
        let recording = run(returning(load, back_off(100, None), &[])).await;
        let counted = connections(&recording);
        let told = faults(&recording);
        assert_eq!(
            (counted.dropped, counted.reconnected, counted.stormed, counted.away),
            (8, 8, 0, 0),
            "{carrier:?} {told:?}"
        );
        assert_eq!(
            told.iter().map(|(_, _, count)| count).sum::<u64>(),
            8,
            "{carrier:?} {told:?}"
        );
        assert_eq!(seen.clients.load(Ordering::Relaxed), 8, "{carrier:?}");
        assert_eq!(seen_there.clients.load(Ordering::Relaxed), 8, "{carrier:?}");
    })
    .await;
    let (server, known) = websocket_server().await;
    let (other, known_there) = websocket_server().await;
    let (port, hand) = gate(Gate::Open(server)).await;
    turn(hand, Gate::Open(other), all_in(&known, 10));
    let load = share(port, websocket(None, false), 10, 4_000, None, None);
    let counted = connections(&run(returning(load, back_off(100, None), &[])).await);
    assert_eq!((counted.dropped, counted.reconnected), (10, 10));
    assert_eq!(known_there.lock().unwrap().len(), 10);
}

#[tokio::test]
async fn after_so_many_attempts_a_client_is_lost_for_good() {
    let (server, known) = websocket_server().await;
    let (port, hand) = gate(Gate::Open(server)).await;
    turn(hand, Gate::Shut, all_in(&known, 5));
    let load = share(port, websocket(None, false), 5, 15_000, None, None);
    // it ends by itself as soon as nobody is left: `run` waits 20 s at most
    let counted = connections(&run(returning(load, back_off(20, Some(3)), &[])).await);
    assert_eq!(
        (counted.dropped, counted.gave_up, counted.reconnected, counted.failed),
        (5, 5, 0, 15)
    );
    assert_eq!(counted.attempted, 5 + 15);
}

#[tokio::test]
async fn a_client_that_never_stood_tries_again_too() {
    let (server, known) = websocket_server().await;
    let (port, hand) = gate(Gate::Shut).await;
    turn(hand, Gate::Open(server), || true);
    let load = share(
        port,
        websocket(Some("m"), true),
        5,
        3_000,
        Some(Cadence::Every(100 * MS)),
        None,
    );
    let recording = run(returning(load, back_off(50, None), &[])).await;
    let counted = connections(&recording);
    assert_eq!((counted.opened, counted.dropped, counted.reconnected), (5, 0, 0));
    assert!(counted.failed >= 5, "{counted:?}");
    assert!(recording.counts.tally.ok >= 5, "it has its messages then: {counted:?}");
    assert_eq!(known.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn a_client_that_is_turned_away_stays_away() {
    each_carrier(async |carrier| {
        let (port, seen) = socketio_server().await;
        let load = share(
            port,
            socketio(carrier, r#"["kick"]"#, false),
            3,
            2_500,
            Some(Cadence::Once),
            None,
        );
        let counted = connections(&run(returning(load, back_off(50, None), &[])).await);
        assert_eq!(
            (counted.dropped, counted.gave_up, counted.attempted),
            (3, 3, 3),
            "{carrier:?}: put out by the server"
        );
        assert_eq!(seen.clients.load(Ordering::Relaxed), 3, "{carrier:?}");

        let mut load = share(port, socketio(carrier, ECHO, true), 2, 1_000, None, None);
        let Engine::Socketio(engine) = &mut load.engine else {
            panic!("socketio")
        };
        engine.namespace = "/nope".into();
        let counted = connections(&run(returning(load, back_off(50, None), &[])).await);
        assert_eq!(
            (counted.attempted, counted.failed, counted.gave_up),
            (2, 2, 0),
            "{carrier:?}: refused"
        );
    })
    .await;
}

#[tokio::test]
async fn who_is_away_at_the_end_is_counted_and_waited_for_by_nobody() {
    let (port, known) = websocket_server().await;
    let load = share(port, websocket(None, false), 5, 1_500, None, None);
    let counted = connections(&run(returning(load, back_off(60_000, None), &[1_000])).await);
    assert_eq!((counted.stormed, counted.away, counted.attempted), (5, 5, 5));
    assert_eq!(known.lock().unwrap().len(), 5);

    // nor by the closing instant of a ramp down
    let mut load = share(port, websocket(None, false), 1, 3_000, None, None);
    let stage = |from, to| Stage {
        duration: 1_000 * MS,
        from,
        to,
    };
    let Load::Held(held) = &mut load.load else {
        panic!("held")
    };
    held.clients = Level::Stages(vec![stage(4, 4), stage(4, 0), stage(0, 0)]);
    let counted = connections(&run(returning(load, back_off(60_000, None), &[900])).await);
    assert_eq!(
        (counted.stormed, counted.away, counted.attempted, counted.open),
        (4, 4, 4, 0)
    );
}

#[tokio::test]
async fn messages_of_a_total_and_of_a_count_are_all_accounted_for() {
    let total = Cadence::Total(Schedule {
        stages: vec![Stage {
            duration: 2_000 * MS,
            from: 100 * PER_SECOND,
            to: 100 * PER_SECOND,
        }],
    });
    let (port, _) = websocket_server().await;
    let load = share(port, websocket(Some("m"), true), 8, 4_000, Some(total), None);
    let recording = run(returning(load, back_off(200, None), &[1_000])).await;
    let tally = &recording.counts.tally;
    assert_eq!(connections(&recording).reconnected, 8);
    assert_eq!(tally.requests + tally.not_started, 200, "{tally:?}");
    assert_eq!(
        tally.not_started, 0,
        "what was due meanwhile was sent when they were back: {tally:?}"
    );

    let load = share(
        port,
        websocket(Some("m"), true),
        8,
        10_000,
        Some(Cadence::Every(50 * MS)),
        Some(160),
    );
    let recording = run(returning(load, back_off(200, None), &[600])).await;
    let tally = &recording.counts.tally;
    assert_eq!(tally.requests + tally.not_started, 160, "{tally:?}");
    assert!(tally.ok + tally.failed >= 150, "{tally:?}");
}
