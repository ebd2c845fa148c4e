//! What held clients see of a balancer: names that come with what is said first, sessions that stray, who goes where when a
//! backend is lost.
#![allow(clippy::unwrap_used)]

mod held;

use futures_util::{SinkExt, StreamExt};
use held::{MS, run, samples, share, websocket};
use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use swarm_agent::recorder::Recording;
use swarm_agent::wire::report::Latency;
use swarm_agent::wire::share::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

fn said(event: Option<&str>, pointer: Option<&str>) -> BackendFrom {
    BackendFrom::Said(SaidFirst {
        event: event.map(str::to_owned),
        pointer: pointer.map(str::to_owned),
    })
}

fn clients(recording: &Recording) -> Vec<(&str, u64, u64)> {
    let rows = recording.counts.backends.iter();
    rows.map(|row| (row.name.as_str(), row.connections, row.dropped))
        .collect()
}

fn socketio(carrier: Carrier) -> Engine {
    Engine::Socketio(Socketio {
        carrier,
        path: "/socket.io/".into(),
        namespace: "/".into(),
        query: Vec::new(),
        auth: None,
        emits: Vec::new(),
        ack: false,
        expect: None,
        version: Eio::Fixed(Version::Four),
    })
}

/// Greets everyone who comes in, after an event that says nothing.
async fn greeter() -> u16 {
    let (layer, io) = SocketIo::builder()
        .ping_interval(Duration::from_millis(200))
        .build_layer();
    io.ns("/", async move |socket: SocketRef| {
        socket.emit("noise", &"s9").ok();
        socket.emit("hello", &serde_json::json!({"node": {"id": "s1"}})).ok();
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = axum::Router::new().layer(layer);
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    port
}

#[tokio::test]
async fn the_first_event_names_the_backend_over_every_carrier() {
    let port = greeter().await;
    for carrier in [Carrier::Websocket, Carrier::Polling, Carrier::Upgrade] {
        let mut share = share(port, socketio(carrier), 5, 600, None, None);
        share.backend_from = said(Some("hello"), Some("/node/id"));
        let recording = run(share).await;
        assert_eq!(clients(&recording), [("s1", 5, 0)], "{carrier:?}");
        assert_eq!(recording.counts.backend_by, ["event:hello/node/id"]);
        let source = &recording.counts.sources[0];
        assert_eq!(source.backends, [("s1".to_owned(), 5)], "{carrier:?}");
        assert_eq!(source.spans.len(), 1);
    }
}

#[tokio::test]
async fn an_event_that_never_comes_names_nobody() {
    let port = greeter().await;
    let mut share = share(port, socketio(Carrier::Websocket), 2, 300, None, None);
    share.backend_from = said(Some("welcome"), None);
    let recording = run(share).await;
    assert_eq!(recording.counts.tally.connections.opened, 2);
    assert_eq!(clients(&recording), []);
}

/// Names itself `a` to the first `first` who come, and breaks off with them 50 ms after the last of them came; all later ones
/// are on `b`. The name is in a header and in the first message.
async fn failing_over(first: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = Arc::new(AtomicU64::new(0));
    let (lose, lost) = tokio::sync::watch::channel(false);
    let lose = Arc::new(lose);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (came, lose, mut lost) = (Arc::clone(&came), Arc::clone(&lose), lost.clone());
            tokio::spawn(async move {
                let number = came.fetch_add(1, Ordering::Relaxed);
                let name = if number < first { "a" } else { "b" };
                #[allow(clippy::result_large_err)] // the callback's type is tungstenite's
                let meet = |_: &Request, mut response: Response| {
                    response.headers_mut().insert("x-backend", name.parse().unwrap());
                    response.headers_mut().insert("x-client", "10.1.1.1".parse().unwrap());
                    response.headers_mut().insert("set-cookie", "node=x".parse().unwrap());
                    Ok(response)
                };
                let mut socket = tokio_tungstenite::accept_hdr_async(stream, meet).await.unwrap();
                socket
                    .send(Message::Text(format!("{{\"node\":\"{name}\"}}").into()))
                    .await
                    .unwrap();
                if number + 1 == first {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    lose.send_replace(true);
                }
                tokio::select! {
                    _ = lost.wait_for(|lost| *lost), if name == "a" => {}
                    () = async { while let Some(Ok(_)) = socket.next().await {} } => {}
                }
            });
        }
    });
    port
}

fn coming_back(mut share: Share) -> Share {
    if let Load::Held(held) = &mut share.load {
        held.reconnect = Some(BackOff {
            least: 100 * MS,
            most: 200 * MS,
            jitter: 500,
            attempts: None,
        });
    }
    share
}

#[tokio::test]
async fn who_is_lost_on_one_backend_is_found_on_the_other() {
    for from in [BackendFrom::Usual, said(None, Some("/node"))] {
        let by_header = from == BackendFrom::Usual;
        let port = failing_over(6).await;
        let mut share = coming_back(share(port, websocket(None, false), 6, 1_200, None, None));
        share.backend_from = from;
        share.seen_from = Some(SeenFrom::Header("x-client".into()));
        let recording = run(share).await;
        assert_eq!(clients(&recording), [("a", 6, 6), ("b", 6, 0)], "{by_header}");
        let [departure] = &recording.counts.departures[..] else {
            panic!("{:?}", recording.counts.departures);
        };
        assert_eq!(
            (departure.from.as_deref(), departure.lost, departure.stormed),
            (Some("a"), 6, 0)
        );
        let [back] = &departure.back[..] else {
            panic!("{departure:?}");
        };
        assert_eq!((back.to.as_deref(), back.clients), (Some("b"), 6), "{by_header}");
        let reconnect = recording.latency.iter().find(|(name, _)| *name == Latency::Reconnect);
        assert_eq!(Some(&back.away), reconnect.map(|(_, histogram)| histogram));
        assert_eq!(samples(&recording, Latency::Reconnect), 6);
        let seen: IpAddr = [10, 1, 1, 1].into();
        assert_eq!(recording.counts.sources[0].seen_as, [seen]);
        // they came with a cookie, and a message does not tell in time
        let strays = &recording.counts.strays;
        assert_eq!(strays.sessions, if by_header { 6 } else { 0 });
        if let Some(first) = &strays.first {
            assert_eq!(
                (first.session.as_str(), first.from.as_str(), first.to.as_str()),
                ("cookie node", "a", "b")
            );
        }
    }
}

#[tokio::test]
async fn without_coming_back_they_are_only_lost() {
    let port = failing_over(3).await;
    let recording = run(share(port, websocket(None, false), 3, 400, None, None)).await;
    let departures = &recording.counts.departures;
    assert_eq!(departures.len(), 1);
    assert_eq!((departures[0].lost, departures[0].back.len()), (3, 0));
    assert_eq!(recording.counts.backends[0].errors, 3);
}

#[tokio::test]
async fn a_storm_is_no_loss() {
    let port = failing_over(0).await;
    let mut share = coming_back(share(port, websocket(None, false), 4, 900, None, None));
    if let Load::Held(held) = &mut share.load {
        held.storms = vec![200 * MS];
    }
    let recording = run(share).await;
    let departure = &recording.counts.departures[0];
    assert_eq!((departure.lost, departure.stormed), (0, 4));
    assert_eq!(
        (departure.back[0].to.as_deref(), departure.back[0].clients),
        (Some("b"), 4)
    );
    assert_eq!(
        (recording.counts.strays.sessions, recording.counts.backends[0].dropped),
        (0, 0)
    );
}

/// Engine.IO by polling: the opening is answered by `s1`, all that follows by `s2`, which does not know the session.
async fn unsticky() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 8192];
                while let Ok(length @ 1..) = stream.read(&mut request).await {
                    let opening = !String::from_utf8_lossy(&request[..length]).contains("sid=");
                    let (status, name, body) = if opening {
                        let open = r#"0{"sid":"abcdefghijkl","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000,"node":"s1"}"#;
                        ("200 OK", "s1", open)
                    } else {
                        ("400 Bad Request", "s2", r#"{"code":1,"message":"Session ID unknown"}"#)
                    };
                    let answer = format!(
                        "HTTP/1.1 {status}\r\nX-Backend: {name}\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_session_that_is_answered_from_elsewhere_strays() {
    let port = unsticky().await;
    let polling = || share(port, socketio(Carrier::Polling), 3, 400, None, None);
    let recording = run(polling()).await;
    assert_eq!(recording.counts.tally.connections.failed, 3);
    let strays = &recording.counts.strays;
    assert_eq!(strays.sessions, 3);
    let first = strays.first.as_ref().unwrap();
    assert_eq!(
        (first.session.as_str(), first.from.as_str(), first.to.as_str()),
        ("sid abcdef...", "s1", "s2")
    );
    assert_eq!(first.source, IpAddr::from([127, 0, 0, 1]));
    // who refused them is who was asked, not who opened them
    let errors: Vec<_> = recording
        .counts
        .backends
        .iter()
        .map(|row| (row.name.as_str(), row.errors))
        .collect();
    assert_eq!(errors, [("s2", 3)]);
    // the opening's body names it as well
    let mut share = polling();
    share.backend_from = BackendFrom::Body("/node".into());
    let recording = run(share).await;
    assert_eq!(recording.counts.backend_by, ["body:/node"]);
    assert_eq!(recording.counts.backends[0].name, "s1");
    assert_eq!(recording.counts.backends[0].errors, 3);
}
