//! What the tests of http load share: a hand-written server that counts what it saw, a share for loopback, and a run of
//! it on one thread or two, with the identities that always hold.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use swarm_agent::flow;
use swarm_agent::net::Dialer;
use swarm_agent::recorder::{Recorder, Recording, counts};
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::report::{Latency, Tally};
use swarm_agent::wire::share::*;
use swarm_agent::worker::{Phase, Worker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const MS: u64 = 1_000_000;

/// What the server does after an answer.
#[derive(Clone, Copy, PartialEq)]
pub enum Then {
    Keep,
    Close,
    Hang,
}

/// One answer.
pub struct Reply {
    pub after: Duration,
    pub bytes: Vec<u8>,
    pub then: Then,
}

pub fn reply(bytes: impl AsRef<[u8]>, then: Then) -> Reply {
    Reply {
        after: Duration::ZERO,
        bytes: bytes.as_ref().to_vec(),
        then,
    }
}

pub fn ok() -> Reply {
    reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Then::Keep)
}

pub fn slow(ms: u64) -> Reply {
    Reply {
        after: Duration::from_millis(ms),
        ..ok()
    }
}

/// One request as the server saw it.
#[derive(Clone)]
pub struct Asked {
    /// Number of the connection, and of the request on it.
    pub connection: u64,
    pub turn: u64,
    pub head: String,
}

#[derive(Default)]
pub struct Seen {
    pub connections: AtomicU64,
    pub requests: Mutex<Vec<Asked>>,
}

impl Seen {
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub fn requests(&self) -> u64 {
        self.requests.lock().unwrap().len() as u64
    }

    pub fn heads(&self) -> Vec<Asked> {
        self.requests.lock().unwrap().clone()
    }
}

/// A server on loopback whose answers `script` writes.
pub async fn server(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (u16, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Seen::default());
    let (counted, script) = (Arc::clone(&seen), Arc::new(script));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = counted.connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(stream, connection, Arc::clone(&counted), Arc::clone(&script)));
        }
    });
    (port, seen)
}

async fn serve<F: Fn(&Asked) -> Reply>(mut stream: TcpStream, connection: u64, seen: Arc<Seen>, script: Arc<F>) {
    let mut buffer = Vec::new();
    let mut turn = 0;
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        };
        let head: Vec<u8> = buffer.drain(..end).collect();
        let asked = Asked {
            connection,
            turn,
            head: String::from_utf8(head).unwrap(),
        };
        turn += 1;
        let answer = script(&asked);
        seen.requests.lock().unwrap().push(asked);
        tokio::time::sleep(answer.after).await;
        if stream.write_all(&answer.bytes).await.is_err() {
            return;
        }
        match answer.then {
            Then::Keep => {}
            Then::Close => return,
            Then::Hang => std::future::pending().await,
        }
    }
}

/// A closed loop.
pub fn closed(connections: u64, requests: Option<u64>, duration_ms: Option<u64>) -> Load {
    Load::Closed(Closed {
        connections: Level::Ramp {
            count: connections,
            rate: None,
        },
        requests,
        duration: duration_ms.map(|ms| ms * MS),
        warmup: 0,
    })
}

/// An open loop at a steady rate.
pub fn open(rate: u64, duration_ms: u64, connections: u64) -> Load {
    let stage = Stage {
        duration: duration_ms * MS,
        from: rate * PER_SECOND,
        to: rate * PER_SECOND,
    };
    Load::Open(Open {
        schedule: Schedule { stages: vec![stage] },
        requests: None,
        connections,
        warmup: 0,
    })
}

pub fn target(port: u16) -> Target {
    Target {
        url: format!("http://127.0.0.1:{port}/"),
        tls: false,
        host: "127.0.0.1".into(),
        port,
        path: "/".into(),
        authority: format!("127.0.0.1:{port}"),
        weight: 1,
        connect_to: None,
        fallback: Vec::new(),
    }
}

pub fn share(port: u16, load: Load) -> Share {
    Share {
        run: "t".into(),
        round: 0,
        host_index: 0,
        hosts: 1,
        deal: Deal {
            mine: vec![0],
            slots: 1,
        },
        targets: vec![target(port)],
        engine: Engine::Http(Http {
            method: "GET".into(),
            body: None,
            keepalive: true,
            requests_per_connection: None,
            connection_life: None,
            redirects: 0,
            ok: vec![(200, 399)],
        }),
        load,
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
            connect: 1_000 * MS,
            hit: 1_000 * MS,
            ack: 1_000 * MS,
            grace: 300 * MS,
            silence: 10_000 * MS,
            resolve_every: None,
        },
        trace: false,
        program: None,
        broadcast: None,
    }
}

/// The same with other http settings.
pub fn with(mut share: Share, change: impl FnOnce(&mut Http)) -> Share {
    if let Engine::Http(http) = &mut share.engine {
        change(http);
    }
    share
}

/// How a run ends.
#[derive(Clone, Copy, PartialEq)]
pub enum End {
    Itself,
    /// Drained after so many ms.
    Drained(u64),
    /// The flow is dropped after so many ms.
    Dropped(u64),
}

pub async fn run(share: Share) -> Recording {
    run_with(share, 1, End::Itself).await
}

/// Runs a share on `threads` workers and adds up what they recorded.
pub async fn run_with(share: Share, threads: u32, end: End) -> Recording {
    let share = Arc::new(share);
    let start = Instant::now();
    let (phase, watch) = tokio::sync::watch::channel(Phase::Running);
    let claimed = Arc::new(AtomicU64::new(0));
    let resolved: Vec<_> = share
        .targets
        .iter()
        .map(|_| vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])
        .collect();
    let workers: Vec<Rc<Worker>> = (0..threads)
        .map(|index| {
            Rc::new(Worker {
                index,
                threads,
                start,
                clock_error: 0,
                recorder: RefCell::new(Recorder::new(start, false, share.targets.len())),
                dialer: Dialer::new(&share, &resolved, None, index as usize),
                phase: watch.clone(),
                claimed: Arc::clone(&claimed),
                trace: None,
                share: Arc::clone(&share),
            })
        })
        .collect();
    let local = tokio::task::LocalSet::new();
    let flows = futures_util::future::join_all(workers.iter().map(|worker| flow::run(Rc::clone(worker))));
    let most = match end {
        End::Dropped(ms) => Duration::from_millis(ms),
        End::Itself | End::Drained(_) => Duration::from_secs(5),
    };
    let drain = async {
        if let End::Drained(ms) = end {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            phase.send(Phase::Draining).unwrap();
        }
    };
    let ran = local
        .run_until(async { tokio::join!(tokio::time::timeout(most, flows), drain).0 })
        .await;
    assert_eq!(ran.is_err(), matches!(end, End::Dropped(_)), "the run ends by itself");
    let parts: Vec<Recording> = workers.iter().map(|worker| worker.recorder.borrow().finish()).collect();
    let recording = counts::add_up(&parts);
    hold(&recording, matches!(share.load, Load::Open(_)), end);
    recording
}

/// The identities that always hold.
fn hold(recording: &Recording, open: bool, end: End) {
    let tally = tally(recording);
    let connections = &tally.connections;
    assert_eq!(tally.requests, tally.ok + tally.failed + tally.unfinished, "{tally:?}");
    let decided = connections.opened + connections.failed + connections.unfinished;
    assert_eq!(connections.attempted, decided, "{tally:?}");
    assert_eq!(samples(recording, Latency::Service), tally.ok, "{tally:?}");
    assert_eq!(samples(recording, Latency::RequestFailed), tally.failed, "{tally:?}");
    assert_eq!(samples(recording, Latency::Connect), connections.opened, "{tally:?}");
    let (due, sent) = if open { (tally.ok, tally.requests) } else { (0, 0) };
    assert_eq!(samples(recording, Latency::Request), due, "{tally:?}");
    assert_eq!(samples(recording, Latency::Lateness), sent, "{tally:?}");
    let answered = tally.ok + tally.failed;
    let sum = |rows: &mut dyn Iterator<Item = u64>| rows.sum::<u64>();
    assert_eq!(
        sum(&mut recording.counts.sources.iter().map(|row| row.requests)),
        answered
    );
    assert_eq!(
        sum(&mut recording.counts.targets.iter().map(|row| row.requests)),
        answered
    );
    if !matches!(end, End::Dropped(_)) {
        assert_eq!((connections.open, tally.unfinished), (0, 0), "{tally:?}");
    }
}

pub fn tally(recording: &Recording) -> &Tally {
    &recording.counts.tally
}

/// Sent, ok, failed, not started.
pub fn hits(recording: &Recording) -> (u64, u64, u64, u64) {
    let tally = tally(recording);
    (tally.requests, tally.ok, tally.failed, tally.not_started)
}

/// Kind and count of every fault.
pub fn faults(recording: &Recording) -> Vec<(FaultKind, u64)> {
    recording
        .counts
        .faults
        .iter()
        .map(|row| (row.kind, row.count))
        .collect()
}

/// Samples of a latency.
pub fn samples(recording: &Recording, name: Latency) -> u64 {
    let found = recording.latency.iter().find(|(have, _)| *have == name);
    found.map_or(0, |(_, histogram)| histogram.count)
}
