//! The WebSocket engine against tungstenite and against hand-written servers.
#![allow(clippy::unwrap_used)]

mod held;

use futures_util::{SinkExt, StreamExt};
use held::{MS, faults, run, samples, share, websocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::report::Latency;
use swarm_agent::wire::share::{Cadence, PER_SECOND, Schedule, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Echo,
    Silent,
    Close(u16),
    PingFirst,
}

#[derive(Default)]
struct Seen {
    clients: AtomicU64,
    messages: AtomicU64,
    closed_1000: AtomicU64,
    pongs: AtomicU64,
}

async fn server(manner: Manner) -> (u16, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Seen::default());
    let counts = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&counts);
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                seen.clients.fetch_add(1, Ordering::Relaxed);
                match manner {
                    Manner::Close(code) => socket
                        .close(Some(CloseFrame {
                            code: code.into(),
                            reason: "reason".into(),
                        }))
                        .await
                        .unwrap(),
                    Manner::PingFirst => socket.send(Message::Ping("p".into())).await.unwrap(),
                    Manner::Echo | Manner::Silent => {}
                }
                while let Some(Ok(message)) = socket.next().await {
                    match message {
                        Message::Text(_) | Message::Binary(_) => {
                            seen.messages.fetch_add(1, Ordering::Relaxed);
                            if manner == Manner::Echo {
                                socket.send(message).await.unwrap();
                            }
                        }
                        Message::Close(Some(frame)) if u16::from(frame.code) == 1000 => {
                            seen.closed_1000.fetch_add(1, Ordering::Relaxed);
                        }
                        Message::Pong(payload) if payload == "p" => {
                            seen.pongs.fetch_add(1, Ordering::Relaxed);
                        }
                        _ => {}
                    }
                }
            });
        }
    });
    (port, seen)
}

/// Answers every request with these bytes and keeps the connection open; `{accept}` stands for the right answer to the key.
async fn scripted(answer: &'static [u8], after: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                let key = text
                    .lines()
                    .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
                    .unwrap_or_default();
                let answer =
                    String::from_utf8_lossy(answer).replace("{accept}", &swarm_agent::codec::websocket::accept(key));
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.write_all(after).await.unwrap();
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            });
        }
    });
    port
}

const SWITCH: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Backend: s7\r\nSec-WebSocket-Accept: {accept}\r\n\r\n";

#[tokio::test]
async fn two_hundred_clients_echo_once_and_close() {
    let (port, seen) = server(Manner::Echo).await;
    let recording = run(share(
        port,
        websocket(Some("hello"), true),
        200,
        1_500,
        Some(Cadence::Once),
        None,
    ))
    .await;
    let tally = &recording.counts.tally;
    assert_eq!(
        (
            tally.connections.opened,
            tally.connections.dropped,
            tally.ok,
            tally.messages.acked
        ),
        (200, 0, 200, 200),
        "{tally:?} {:?}",
        faults(&recording)
    );
    assert_eq!(samples(&recording, Latency::Message), 200);
    assert_eq!(samples(&recording, Latency::Handshake), 200);
    assert_eq!(seen.clients.load(Ordering::Relaxed), 200);
    assert_eq!(seen.messages.load(Ordering::Relaxed), 200);
    assert_eq!(seen.closed_1000.load(Ordering::Relaxed), 200);
}

#[tokio::test]
async fn a_total_of_messages_is_sent_exactly() {
    let (port, seen) = server(Manner::Silent).await;
    let stages = vec![Stage {
        duration: 1_000 * MS,
        from: 100 * PER_SECOND,
        to: 100 * PER_SECOND,
    }];
    let recording = run(share(
        port,
        websocket(Some("x"), false),
        7,
        1_200,
        Some(Cadence::Total(Schedule { stages })),
        None,
    ))
    .await;
    let tally = &recording.counts.tally;
    assert_eq!(
        (tally.requests, tally.ok, tally.not_started),
        (100, 100, 0),
        "{tally:?}"
    );
    assert_eq!(samples(&recording, Latency::Lateness), 100);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(seen.messages.load(Ordering::Relaxed), 100);
}

#[tokio::test]
async fn messages_that_no_client_could_send_are_not_started() {
    let stages = vec![Stage {
        duration: 100 * MS,
        from: 100 * PER_SECOND,
        to: 100 * PER_SECOND,
    }];
    // port 1 refuses
    let recording = run(share(
        1,
        websocket(Some("x"), false),
        3,
        200,
        Some(Cadence::Total(Schedule { stages })),
        None,
    ))
    .await;
    let tally = &recording.counts.tally;
    assert_eq!(
        (tally.requests, tally.not_started, tally.connections.failed),
        (0, 10, 3),
        "{tally:?}"
    );
    assert_eq!(recording.counts.faults[0].kind, FaultKind::ConnectRefused);
}

#[tokio::test]
async fn repeated_messages_stop_after_n_and_the_clients_close() {
    let (port, seen) = server(Manner::Echo).await;
    let recording = run(share(
        port,
        websocket(Some("x"), true),
        5,
        15_000,
        Some(Cadence::Every(20 * MS)),
        Some(33),
    ))
    .await;
    let tally = &recording.counts.tally;
    assert_eq!((tally.requests, tally.ok, tally.not_started), (33, 33, 0), "{tally:?}");
    assert_eq!(seen.messages.load(Ordering::Relaxed), 33);
}

#[tokio::test]
async fn once_with_fewer_clients_than_n_leaves_the_rest_not_started() {
    let (port, _) = server(Manner::Echo).await;
    let recording = run(share(
        port,
        websocket(Some("x"), true),
        5,
        300,
        Some(Cadence::Once),
        Some(8),
    ))
    .await;
    assert_eq!((recording.counts.tally.ok, recording.counts.tally.not_started), (5, 3));
}

#[tokio::test]
async fn missing_echoes_are_lost() {
    let (port, _) = server(Manner::Silent).await;
    let mut share = share(port, websocket(Some("x"), true), 3, 2_000, Some(Cadence::Once), Some(3));
    share.limits.hit = 100 * MS;
    let recording = run(share).await;
    assert_eq!(
        faults(&recording),
        [(FaultKind::EchoTimeout, "no answer within --timeout", 3)]
    );
    assert_eq!(
        (recording.counts.tally.failed, recording.counts.tally.messages.lost),
        (3, 3)
    );
}

#[tokio::test]
async fn close_codes_pings_garbage_and_refusals_have_their_words() {
    let (port, _) = server(Manner::Close(4001)).await;
    let recording = run(share(port, websocket(None, false), 2, 1_000, None, None)).await;
    assert_eq!(
        faults(&recording),
        [(FaultKind::ClosedByServer, "close 4001 reason", 2)]
    );
    assert_eq!(recording.counts.tally.connections.dropped, 2);

    let (port, seen) = server(Manner::PingFirst).await;
    run(share(port, websocket(None, false), 2, 300, None, None)).await;
    assert_eq!(seen.pongs.load(Ordering::Relaxed), 2);

    let port = scripted(SWITCH, &[0x81, 0x81, 0, 0, 0, 0, 0]).await;
    let recording = run(share(port, websocket(None, false), 1, 500, None, None)).await;
    assert_eq!(
        faults(&recording),
        [(FaultKind::Protocol, "the server's frame is masked", 1)]
    );
    assert_eq!(recording.counts.backends[0].name, "s7");

    let port = scripted(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\nnope", b"").await;
    let recording = run(share(port, websocket(None, false), 1, 500, None, None)).await;
    assert_eq!(faults(&recording), [(FaultKind::UpgradeRefused, "status 400", 1)]);
    assert_eq!(recording.counts.faults[0].examples[0].excerpt, b"nope");
    assert_eq!(recording.counts.statuses, [(400, 1)]);

    let port = scripted(
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
        b"",
    )
    .await;
    let recording = run(share(port, websocket(None, false), 1, 500, None, None)).await;
    assert_eq!(
        faults(&recording),
        [(FaultKind::Protocol, "wrong Sec-WebSocket-Accept", 1)]
    );

    let port = scripted(b"", b"").await;
    let mut silent = share(port, websocket(None, false), 1, 1_000, None, None);
    silent.limits.connect = 100 * MS;
    assert_eq!(faults(&run(silent).await)[0].0, FaultKind::ConnectTimeout);
}

#[tokio::test]
async fn a_drained_run_closes_its_clients_and_counts_what_was_not_sent() {
    let (port, seen) = server(Manner::Echo).await;
    let stages = vec![Stage {
        duration: 10_000 * MS,
        from: 50 * PER_SECOND,
        to: 50 * PER_SECOND,
    }];
    let plan = share(
        port,
        websocket(Some("x"), true),
        20,
        10_000,
        Some(Cadence::Total(Schedule { stages })),
        None,
    );
    let recording = held::run_until(plan, Some(Duration::from_millis(300))).await;
    let tally = &recording.counts.tally;
    assert_eq!(tally.requests + tally.not_started, 500, "{tally:?}");
    assert!(tally.ok == tally.requests && tally.ok > 5, "{tally:?}");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(seen.closed_1000.load(Ordering::Relaxed), 20);
}

#[tokio::test]
async fn messages_that_hang_at_the_end_of_grace_are_counted() {
    let (port, seen) = server(Manner::Silent).await;
    let rate = Stage {
        duration: 60_000 * MS,
        from: 100 * PER_SECOND,
        to: 100 * PER_SECOND,
    };
    let cadence = Cadence::Total(Schedule { stages: vec![rate] });
    let mut share = share(port, websocket(Some("x"), true), 4, 60_000, Some(cadence), None);
    share.limits.hit = 60_000 * MS;
    let recording = held::run_dropped(share, Duration::from_millis(300), Duration::from_millis(100)).await;
    let tally = &recording.counts.tally;
    assert_eq!(tally.requests + tally.not_started, 6000, "{tally:?}");
    assert!(tally.unfinished > 0, "{tally:?}");
    assert!(seen.messages.load(Ordering::Relaxed) <= tally.requests);
}
