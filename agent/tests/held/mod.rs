//! What the tests of held load share: a share for one target on loopback, and a run of it on one thread.
#![allow(clippy::unwrap_used, dead_code)]

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm_agent::flow::held;
use swarm_agent::net::Dialer;
use swarm_agent::recorder::{Recorder, Recording};
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::report::Latency;
use swarm_agent::wire::share::*;
use swarm_agent::worker::{Phase, Worker};

pub const MS: u64 = 1_000_000;

pub fn websocket(message: Option<&str>, echo: bool) -> Engine {
    Engine::Websocket(Websocket {
        subprotocol: None,
        message: message.map(|m| m.as_bytes().to_vec()),
        binary: false,
        echo,
    })
}

pub fn share(
    port: u16,
    engine: Engine,
    clients: u64,
    hold_ms: u64,
    cadence: Option<Cadence>,
    requests: Option<u64>,
) -> Share {
    let target = Target {
        url: format!("ws://127.0.0.1:{port}/"),
        tls: false,
        host: "127.0.0.1".into(),
        port,
        path: "/".into(),
        authority: format!("127.0.0.1:{port}"),
        weight: 1,
        connect_to: None,
        fallback: Vec::new(),
    };
    Share {
        run: "t".into(),
        round: 0,
        host_index: 0,
        hosts: 1,
        deal: Deal {
            mine: vec![0],
            slots: 1,
        },
        targets: vec![target],
        engine,
        load: Load::Held(Held {
            clients: Level::Ramp {
                count: clients,
                rate: None,
            },
            end: hold_ms * MS,
            cadence,
            requests,
            reconnect: None,
            storms: Vec::new(),
        }),
        request: Request {
            headers: vec![("User-Agent".into(), "swarm".into())],
            cookie: None,
            keep_cookies: true,
        },
        tls: Tls::default(),
        sources: Vec::new(),
        consent: Consent::Missing,
        backend_from: BackendFrom::Usual,
        seen_from: None,
        limits: Limits {
            connect: 2_000 * MS,
            hit: 1_000 * MS,
            ack: 1_000 * MS,
            grace: 1_000 * MS,
            silence: 10_000 * MS,
            resolve_every: None,
        },
        trace: false,
        program: None,
        broadcast: None,
    }
}

/// Runs a share on one thread, checks the identities that always hold, and gives what was recorded.
pub async fn run(share: Share) -> Recording {
    run_until(share, None).await
}

/// The same, drained after a while.
pub async fn run_until(share: Share, drain: Option<Duration>) -> Recording {
    let share = Arc::new(share);
    let start = Instant::now();
    let (phase, watch) = tokio::sync::watch::channel(Phase::Running);
    let worker = Rc::new(Worker {
        index: 0,
        threads: 1,
        start,
        clock_error: 0,
        recorder: RefCell::new(Recorder::new(start, false, 1)),
        dialer: Dialer::new(&share, &[vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]], None, 0),
        phase: watch,
        claimed: Arc::default(),
        trace: None,
        share,
    });
    let drained = async {
        match drain {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
        phase.send(Phase::Draining).unwrap();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        done = tokio::time::timeout(Duration::from_secs(20), held::run(Rc::clone(&worker))) => done.expect("the run ends by itself"),
        () = drained => {}
    }
    let recording = worker.recorder.borrow().finish();
    let tally = &recording.counts.tally;
    let connections = &tally.connections;
    assert_eq!(
        connections.attempted,
        connections.opened + connections.failed + connections.unfinished,
        "{tally:?}"
    );
    assert_eq!(connections.open, 0, "{tally:?}");
    assert_eq!(tally.requests, tally.ok + tally.failed + tally.unfinished, "{tally:?}");
    let messages = &tally.messages;
    assert_eq!(
        messages.expected,
        messages.acked + messages.lost + messages.unfinished,
        "{tally:?}"
    );
    assert_eq!(messages.sent, tally.requests, "{tally:?}");
    assert_eq!(samples(&recording, Latency::Service), tally.ok);
    recording
}

/// Drains after a while and drops the flow when the grace period is over, as `run` does.
pub async fn run_dropped(share: Share, drain: Duration, grace: Duration) -> Recording {
    let share = Arc::new(share);
    let start = Instant::now();
    let (phase, watch) = tokio::sync::watch::channel(Phase::Running);
    let worker = Rc::new(Worker {
        index: 0,
        threads: 1,
        start,
        clock_error: 0,
        recorder: RefCell::new(Recorder::new(start, false, 1)),
        dialer: Dialer::new(&share, &[vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]], None, 0),
        phase: watch,
        claimed: Arc::default(),
        trace: None,
        share,
    });
    let over = async {
        tokio::time::sleep(drain).await;
        phase.send(Phase::Draining).unwrap();
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        () = held::run(Rc::clone(&worker)) => {}
        () = over => {}
    }
    let recording = worker.recorder.borrow().finish();
    let tally = &recording.counts.tally;
    assert_eq!(tally.requests, tally.ok + tally.failed + tally.unfinished, "{tally:?}");
    recording
}

/// Kind, detail and count of every fault.
pub fn faults(recording: &Recording) -> Vec<(FaultKind, &str, u64)> {
    recording
        .counts
        .faults
        .iter()
        .map(|row| (row.kind, row.detail.as_str(), row.count))
        .collect()
}

/// Samples of a latency.
pub fn samples(recording: &Recording, name: Latency) -> u64 {
    recording
        .latency
        .iter()
        .find(|(have, _)| *have == name)
        .map_or(0, |(_, histogram)| histogram.count)
}
