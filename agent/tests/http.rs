//! The HTTP engine and its two loops against hand-written servers that count what they saw.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use swarm_agent::flow;
use swarm_agent::net::Dialer;
use swarm_agent::recorder::counts::add_up;
use swarm_agent::recorder::{Recorder, Recording};
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::report::Latency;
use swarm_agent::wire::share::*;
use swarm_agent::worker::{Phase, Worker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const MS: u64 = 1_000_000;

/// What a server answers, and what it then does with the connection.
#[derive(Clone, Copy)]
struct Manner {
    answer: &'static [u8],
    after: After,
    delay: Duration,
}

#[derive(Clone, Copy, PartialEq)]
enum After {
    Keep,
    Close,
    /// Closes every connection after its second answer, without saying so before.
    CloseSecond,
    Never,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nX-Backend: s1\r\nContent-Length: 2\r\n\r\nok";

const fn says(answer: &'static [u8]) -> Manner {
    Manner {
        answer,
        after: After::Keep,
        delay: Duration::ZERO,
    }
}

#[derive(Default)]
struct Seen {
    connections: AtomicU64,
    requests: AtomicU64,
    with_cookie: AtomicU64,
}

async fn server(manner: Manner) -> (u16, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Seen::default());
    let counts = Arc::clone(&seen);
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = Arc::clone(&counts);
            seen.connections.fetch_add(1, Ordering::Relaxed);
            tokio::task::spawn_local(async move {
                let mut bytes = Vec::new();
                let mut answered = 0;
                while stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {
                    while let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                        bytes.drain(..end + 4);
                        seen.requests.fetch_add(1, Ordering::Relaxed);
                        seen.with_cookie
                            .fetch_add(u64::from(head.contains("Cookie: id=7")), Ordering::Relaxed);
                        if manner.after == After::Never {
                            continue;
                        }
                        tokio::time::sleep(manner.delay).await;
                        let gone = head.starts_with("GET /there ");
                        stream.write_all(if gone { OK } else { manner.answer }).await.unwrap();
                        answered += 1;
                        if manner.after == After::Close || (manner.after == After::CloseSecond && answered == 2) {
                            return;
                        }
                    }
                }
            });
        }
    });
    (port, seen)
}

fn http() -> Http {
    Http {
        method: "GET".into(),
        body: None,
        keepalive: true,
        requests_per_connection: None,
        connection_life: None,
        redirects: 0,
        ok: vec![(101, 101), (200, 299)],
    }
}

fn share(port: u16, http: Http, load: Load) -> Share {
    let target = Target {
        url: format!("http://127.0.0.1:{port}/"),
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
        host_index: 0,
        hosts: 1,
        deal: Deal {
            mine: vec![0],
            slots: 1,
        },
        targets: vec![target],
        engine: Engine::Http(http),
        load,
        request: Request {
            headers: vec![("User-Agent".into(), "swarm".into())],
            cookie: None,
            keep_cookies: false,
        },
        tls: Tls::default(),
        sources: Vec::new(),
        backend_from: BackendFrom::Usual,
        limits: Limits {
            connect: 2_000 * MS,
            hit: 300 * MS,
            ack: 0,
            grace: 300 * MS,
            silence: 10_000 * MS,
            resolve_every: None,
        },
        trace: false,
    }
}

fn closed(connections: u64, requests: Option<u64>, duration_ms: Option<u64>) -> Load {
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

fn open(rate: u64, ms: u64, connections: u64) -> Load {
    let stage = Stage {
        duration: ms * MS,
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

/// Runs a share on two workers, checks what always holds, and gives what was recorded. `end`: drain after so long, and
/// drop the flow so long after that, as `run` does when the grace period is over.
async fn run_until(share: Share, end: Option<(Duration, Duration)>) -> Recording {
    let share = Arc::new(share);
    let start = Instant::now();
    let (phase, watch) = tokio::sync::watch::channel(Phase::Running);
    let claimed = Arc::new(AtomicU64::new(0));
    let workers: Vec<Rc<Worker>> = (0..2)
        .map(|index| {
            Rc::new(Worker {
                index,
                threads: 2,
                start,
                recorder: RefCell::new(Recorder::new(start, false, 1)),
                dialer: Dialer::new(&share, &[vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]], None, 0),
                phase: watch.clone(),
                claimed: Arc::clone(&claimed),
                trace: None,
                share: Arc::clone(&share),
            })
        })
        .collect();
    let both = async { tokio::join!(flow::run(Rc::clone(&workers[0])), flow::run(Rc::clone(&workers[1]))) };
    match end {
        None => {
            tokio::time::timeout(Duration::from_secs(20), both)
                .await
                .expect("the run ends by itself");
        }
        Some((drain, grace)) => {
            let over = async {
                tokio::time::sleep(drain).await;
                phase.send(Phase::Draining).unwrap();
                tokio::time::sleep(grace).await;
            };
            tokio::select! {
                _ = both => {}
                () = over => {}
            }
        }
    }
    let parts: Vec<Recording> = workers.iter().map(|worker| worker.recorder.borrow().finish()).collect();
    let whole = add_up(&parts);
    let tally = &whole.counts.tally;
    assert_eq!(tally.requests, tally.ok + tally.failed + tally.unfinished, "{tally:?}");
    let connections = &tally.connections;
    assert_eq!(
        connections.attempted,
        connections.opened + connections.failed + connections.unfinished,
        "{tally:?}"
    );
    assert_eq!(samples(&whole, Latency::Service), tally.ok);
    assert_eq!(samples(&whole, Latency::RequestFailed), tally.failed);
    whole
}

async fn run(share: Share) -> Recording {
    let recording = run_until(share, None).await;
    assert_eq!(recording.counts.tally.connections.open, 0);
    assert_eq!(recording.counts.tally.unfinished, 0);
    recording
}

fn samples(recording: &Recording, name: Latency) -> u64 {
    recording
        .latency
        .iter()
        .find(|(have, _)| *have == name)
        .map_or(0, |(_, histogram)| histogram.count)
}

fn kinds(recording: &Recording) -> Vec<(FaultKind, u64)> {
    recording
        .counts
        .faults
        .iter()
        .map(|row| (row.kind, row.count))
        .collect()
}

/// Servers and clients on one thread.
fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn a_count_is_exact_and_connections_are_kept() {
    local(async {
        let (port, seen) = server(says(OK)).await;
        let recording = run(share(port, http(), closed(5, Some(203), None))).await;
        let tally = &recording.counts.tally;
        assert_eq!((tally.requests, tally.ok, tally.connections.opened), (203, 203, 5));
        assert_eq!(seen.requests.load(Ordering::Relaxed), 203);
        assert_eq!(seen.connections.load(Ordering::Relaxed), 5);
        assert_eq!(recording.counts.sources[0].backends, [("s1".to_owned(), 203)]);
        assert_eq!(recording.counts.statuses, [(200, 203)]);
    });
}

#[test]
fn connections_are_closed_as_asked() {
    local(async {
        for (http, expected) in [
            (
                Http {
                    keepalive: false,
                    ..http()
                },
                30,
            ),
            (
                Http {
                    requests_per_connection: Some(3),
                    ..http()
                },
                10,
            ),
        ] {
            let (port, seen) = server(says(OK)).await;
            let recording = run(share(port, http, closed(1, Some(30), None))).await;
            assert_eq!(recording.counts.tally.ok, 30);
            assert_eq!(seen.connections.load(Ordering::Relaxed), expected);
        }
    });
}

#[test]
fn every_framing_of_a_body_is_read() {
    local(async {
        let chunked: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let interim: &[u8] =
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
        for (manner, connections) in [
            (says(chunked), 1),
            (says(interim), 1),
            (says(b"HTTP/1.1 204 No Content\r\n\r\n"), 1),
            (
                Manner {
                    after: After::Close,
                    ..says(b"HTTP/1.1 200 OK\r\n\r\nall until the end")
                },
                12,
            ),
        ] {
            let (port, seen) = server(manner).await;
            let recording = run(share(port, http(), closed(1, Some(12), None))).await;
            assert_eq!(recording.counts.tally.ok, 12, "{:?}", kinds(&recording));
            assert_eq!(seen.connections.load(Ordering::Relaxed), connections);
        }
    });
}

#[test]
fn a_connection_that_was_closed_between_hits_is_no_failure() {
    local(async {
        let (port, seen) = server(Manner {
            after: After::CloseSecond,
            ..says(OK)
        })
        .await;
        let recording = run(share(port, http(), closed(2, Some(40), None))).await;
        assert_eq!(recording.counts.tally.ok, 40, "{:?}", kinds(&recording));
        assert_eq!(seen.requests.load(Ordering::Relaxed), 40);
        assert!(seen.connections.load(Ordering::Relaxed) >= 20);
    });
}

#[test]
fn failures_have_their_kinds() {
    local(async {
        let early: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
        for (manner, kind) in [
            (
                says(b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy"),
                FaultKind::HttpStatus,
            ),
            (says(b"SSH-2.0-OpenSSH\r\n\r\n"), FaultKind::Protocol),
            (
                says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
                FaultKind::Protocol,
            ),
            (
                Manner {
                    after: After::Close,
                    ..says(early)
                },
                FaultKind::ClosedByServer,
            ),
            (
                Manner {
                    after: After::Never,
                    ..says(OK)
                },
                FaultKind::Timeout,
            ),
        ] {
            let (port, _) = server(manner).await;
            let recording = run(share(port, http(), closed(2, Some(6), None))).await;
            assert_eq!(recording.counts.tally.failed, 6);
            assert_eq!(kinds(&recording), [(kind, 6)]);
            if kind == FaultKind::HttpStatus {
                assert_eq!(recording.counts.faults[0].examples[0].excerpt, b"busy");
            }
        }
    });
}

#[test]
fn nobody_listening_fails_every_hit_once() {
    local(async {
        let port = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let recording = run(share(port, http(), closed(3, Some(7), None))).await;
        let tally = &recording.counts.tally;
        assert_eq!((tally.requests, tally.failed, tally.connections.failed), (7, 7, 7));
        assert_eq!(kinds(&recording), [(FaultKind::ConnectRefused, 7)]);
    });
}

#[test]
fn redirects_stay_within_the_plan() {
    local(async {
        let there: &[u8] = b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n";
        let (port, seen) = server(says(there)).await;
        let recording = run(share(port, Http { redirects: 1, ..http() }, closed(1, Some(4), None))).await;
        assert_eq!(
            (recording.counts.tally.ok, seen.requests.load(Ordering::Relaxed)),
            (4, 8)
        );
        let recording = run(share(port, http(), closed(1, Some(4), None))).await;
        assert_eq!((recording.counts.tally.failed, recording.counts.redirected), (4, 4));
        let foreign: &[u8] = b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n";
        let (port, _) = server(says(foreign)).await;
        let recording = run(share(port, Http { redirects: 5, ..http() }, closed(1, Some(2), None))).await;
        assert_eq!(kinds(&recording), [(FaultKind::Redirect, 2)]);
    });
}

#[test]
fn cookies_are_kept_when_asked() {
    local(async {
        let sets: &[u8] = b"HTTP/1.1 200 OK\r\nSet-Cookie: id=7; Path=/\r\nContent-Length: 0\r\n\r\n";
        for (keep, expected) in [(true, 9), (false, 0)] {
            let (port, seen) = server(says(sets)).await;
            let mut share = share(port, http(), closed(1, Some(10), None));
            share.request.keep_cookies = keep;
            run(share).await;
            assert_eq!(seen.with_cookie.load(Ordering::Relaxed), expected);
        }
    });
}

#[test]
fn an_open_loop_sends_what_is_due() {
    local(async {
        let (port, seen) = server(says(OK)).await;
        let recording = run(share(port, http(), open(200, 500, 50))).await;
        let tally = &recording.counts.tally;
        assert_eq!((tally.requests, tally.ok, tally.not_started), (100, 100, 0));
        assert_eq!(seen.requests.load(Ordering::Relaxed), 100);
        assert_eq!(samples(&recording, Latency::Request), 100);
        assert_eq!(samples(&recording, Latency::Lateness), 100);
    });
}

#[test]
fn waiting_for_a_free_connection_is_in_the_latency() {
    local(async {
        let (port, seen) = server(Manner {
            delay: Duration::from_millis(40),
            ..says(OK)
        })
        .await;
        let recording = run(share(port, http(), open(100, 500, 2))).await;
        let tally = &recording.counts.tally;
        assert_eq!(tally.requests + tally.not_started, 50);
        assert!(tally.not_started > 0, "{tally:?}");
        assert_eq!(seen.requests.load(Ordering::Relaxed), tally.requests);
        let histogram = |name| {
            recording
                .latency
                .iter()
                .find(|(have, _)| *have == name)
                .map(|(_, h)| h.clone())
                .unwrap()
        };
        let (request, service) = (histogram(Latency::Request), histogram(Latency::Service));
        assert!(
            request.max > 2 * service.quantile(0.5).unwrap(),
            "{} {:?}",
            request.max,
            service.quantile(0.5)
        );
    });
}

#[test]
fn a_warm_up_is_in_no_measured_number() {
    local(async {
        let (port, seen) = server(Manner {
            delay: Duration::from_millis(5),
            ..says(OK)
        })
        .await;
        let warm = |load| match load {
            Load::Closed(closed) => Load::Closed(Closed {
                warmup: 200 * MS,
                ..closed
            }),
            Load::Open(open) => Load::Open(Open {
                warmup: 200 * MS,
                ..open
            }),
            held => held,
        };
        for load in [warm(closed(2, Some(20), None)), warm(open(100, 200, 20))] {
            let before = seen.requests.load(Ordering::Relaxed);
            let recording = run(share(port, http(), load)).await;
            assert_eq!(recording.counts.tally.requests, 20);
            let warmed = recording.warmup.unwrap();
            assert!(warmed.requests > 0 && warmed.requests == warmed.ok, "{warmed:?}");
            assert_eq!(seen.requests.load(Ordering::Relaxed) - before, 20 + warmed.requests);
        }
    });
}

#[test]
fn a_drain_and_the_end_of_grace_leave_no_hit_uncounted() {
    local(async {
        for load in [
            closed(3, Some(1_000_000), None),
            open(500, 60_000, 4),
            closed(3, Some(1_000_000), Some(100)),
        ] {
            let planned = if matches!(load, Load::Open(_)) {
                30_000
            } else {
                1_000_000
            };
            for after in [After::Keep, After::Never] {
                let (port, seen) = server(Manner {
                    after,
                    delay: Duration::from_millis(2),
                    ..says(OK)
                })
                .await;
                let mut share = share(port, http(), load.clone());
                // hits that hang are still in flight when the grace period ends
                share.limits.hit = 60_000 * MS;
                let recording = run_until(share, Some((Duration::from_millis(200), Duration::from_millis(150)))).await;
                let tally = &recording.counts.tally;
                assert_eq!(tally.requests + tally.not_started, planned, "{tally:?}");
                assert_eq!(seen.requests.load(Ordering::Relaxed), tally.requests, "{tally:?}");
                assert_eq!(tally.unfinished > 0, after == After::Never, "{tally:?}");
            }
        }
    });
}
