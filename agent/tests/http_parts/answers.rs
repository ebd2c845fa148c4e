//! One answer after the other: framing, connections, statuses, faults, redirects, cookies, backends.

use super::bench::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use swarm_agent::wire::fault::FaultKind;

/// A closed loop of ten hits on two connections, all answered well, as the server saw it, too: gives the connections.
async fn ten(change: impl FnOnce(&mut swarm_agent::wire::share::Http), answer: fn() -> Reply) -> u64 {
    let (port, seen) = server(move |_| answer()).await;
    let recording = run(with(share(port, closed(2, Some(10), None)), change)).await;
    assert_eq!(hits(&recording), (10, 10, 0, 0), "{:?}", faults(&recording));
    assert_eq!(seen.requests(), 10);
    assert_eq!(seen.connections(), tally(&recording).connections.opened);
    assert_eq!(recording.counts.statuses, [(200, 10)]);
    seen.connections()
}

#[tokio::test]
async fn kept_connections_carry_all_hits() {
    assert_eq!(ten(|_| {}, ok).await, 2);
}

#[tokio::test]
async fn without_keepalive_each_hit_has_its_connection() {
    assert_eq!(ten(|http| http.keepalive = false, ok).await, 10);
}

#[tokio::test]
async fn without_keepalive_the_server_is_told() {
    let (port, seen) = server(|_| ok()).await;
    run(with(share(port, closed(1, Some(1), None)), |http| {
        http.keepalive = false
    }))
    .await;
    assert!(seen.heads()[0].head.to_lowercase().contains("connection: close"));
}

#[tokio::test]
async fn a_connection_is_closed_after_its_hits() {
    let (port, seen) = server(|_| ok()).await;
    let recording = run(with(share(port, closed(1, Some(10), None)), |http| {
        http.requests_per_connection = Some(4);
    }))
    .await;
    assert_eq!(hits(&recording), (10, 10, 0, 0));
    assert_eq!(seen.connections(), 3);
    assert!(seen.heads().iter().all(|asked| asked.turn < 4));
}

#[tokio::test]
async fn a_connection_is_closed_after_its_life() {
    let (port, seen) = server(|_| slow(5)).await;
    let recording = run(with(share(port, closed(1, Some(6), None)), |http| {
        http.connection_life = Some(MS);
    }))
    .await;
    assert_eq!((hits(&recording), seen.connections()), ((6, 6, 0, 0), 6));
}

#[tokio::test]
async fn chunked_bodies_keep_the_connection() {
    let chunked = || {
        reply(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3;x=y\r\nyou\r\n0\r\nT: r\r\n\r\n",
            Then::Keep,
        )
    };
    assert_eq!(ten(|_| {}, chunked).await, 2);
}

#[tokio::test]
async fn close_delimited_bodies_end_with_the_connection() {
    assert_eq!(
        ten(|_| {}, || reply("HTTP/1.1 200 OK\r\n\r\nall of it", Then::Close)).await,
        10
    );
}

#[tokio::test]
async fn head_has_no_body() {
    let answer = || reply("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", Then::Keep);
    assert_eq!(ten(|http| http.method = "HEAD".into(), answer).await, 2);
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let answer = || {
        reply(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            Then::Keep,
        )
    };
    assert_eq!(ten(|_| {}, answer).await, 2);
}

#[tokio::test]
async fn large_bodies_are_read_whole() {
    let answer = || {
        let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n".to_vec();
        bytes.resize(bytes.len() + 300_000, b'x');
        reply(bytes, Then::Keep)
    };
    assert_eq!(ten(|_| {}, answer).await, 2);
}

/// Five hits on one connection, each failing with the same kind: gives the connections that the server saw.
async fn five_fail(answer: fn() -> Reply, kind: FaultKind) -> (u64, swarm_agent::recorder::Recording) {
    let (port, seen) = server(move |_| answer()).await;
    let mut share = share(port, closed(1, Some(5), None));
    share.limits.hit = 40 * MS;
    let recording = run(share).await;
    assert_eq!(hits(&recording), (5, 0, 5, 0), "{:?}", faults(&recording));
    assert_eq!(faults(&recording), [(kind, 5)]);
    assert_eq!(seen.requests(), 5);
    assert_eq!(seen.connections(), tally(&recording).connections.opened);
    (seen.connections(), recording)
}

#[tokio::test]
async fn a_refusal_is_kept_with_its_words() {
    let answer = || {
        reply(
            "HTTP/1.1 503 No\r\nContent-Length: 9\r\nX-Backend: b1\r\n\r\noverload!",
            Then::Keep,
        )
    };
    let (connections, recording) = five_fail(answer, FaultKind::HttpStatus).await;
    assert_eq!(connections, 1);
    let example = &recording.counts.faults[0].examples[0];
    assert_eq!(
        (example.status, example.excerpt.as_slice()),
        (Some(503), b"overload!".as_slice())
    );
    assert_eq!(example.backend.as_deref(), Some("b1"));
    let backend = &recording.counts.backends[0];
    assert_eq!((backend.requests, backend.errors), (5, 5));
    assert_eq!(recording.counts.statuses, [(503, 5)]);
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let (connections, _) = five_fail(|| reply("SSH-2.0-x\r\n\r\n", Then::Keep), FaultKind::Protocol).await;
    assert_eq!(connections, 5);
}

#[tokio::test]
async fn an_answer_cut_short_is_closed_by_server() {
    let cut = || reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", Then::Close);
    assert_eq!(five_fail(cut, FaultKind::ClosedByServer).await.0, 5);
    // a fresh connection that is closed without a word is a failure, too, and not asked again
    assert_eq!(
        five_fail(|| reply("", Then::Close), FaultKind::ClosedByServer).await.0,
        5
    );
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout() {
    assert_eq!(five_fail(|| reply("", Then::Hang), FaultKind::Timeout).await.0, 5);
    let half = || reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", Then::Hang);
    assert_eq!(five_fail(half, FaultKind::Timeout).await.0, 5);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_between_hits_is_no_failure() {
    // the answer promises a connection that is gone by the next hit
    let (port, seen) = server(|_| Reply {
        then: Then::Close,
        ..ok()
    })
    .await;
    let recording = run(share(port, closed(2, Some(10), None))).await;
    assert_eq!(hits(&recording), (10, 10, 0, 0), "{:?}", faults(&recording));
    assert_eq!((seen.requests(), seen.connections()), (10, 10));
    assert!(recording.counts.faults.is_empty());
}

#[tokio::test]
async fn post_is_not_sent_twice() {
    let (port, seen) = server(|_| Reply {
        then: Then::Close,
        ..ok()
    })
    .await;
    let recording = run(with(share(port, closed(1, Some(4), None)), |http| {
        http.method = "POST".into()
    }))
    .await;
    assert_eq!(tally(&recording).requests, 4);
    assert_eq!(tally(&recording).ok, seen.requests());
    assert!(
        faults(&recording)
            .iter()
            .all(|(kind, _)| *kind == FaultKind::ClosedByServer)
    );
}

#[tokio::test]
async fn a_refused_target_ends_in_time_with_all_hits_accounted() {
    let begin = Instant::now();
    // port 1 refuses
    let recording = run(share(1, closed(4, Some(12), None))).await;
    assert_eq!(hits(&recording), (12, 0, 12, 0));
    assert_eq!(faults(&recording), [(FaultKind::ConnectRefused, 12)]);
    assert_eq!(tally(&recording).connections.failed, 12);
    assert!(begin.elapsed() < Duration::from_secs(1));
}

fn leads(to: &str) -> Reply {
    reply(
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"),
        Then::Keep,
    )
}

#[tokio::test]
async fn redirects_are_told_and_not_followed_unless_asked_for() {
    let (port, seen) = server(|_| leads("/there")).await;
    let recording = run(share(port, closed(1, Some(3), None))).await;
    assert_eq!(hits(&recording), (3, 3, 0, 0));
    assert_eq!(
        (recording.counts.redirected, recording.counts.location.as_deref()),
        (3, Some("/there"))
    );
    assert_eq!(seen.requests(), 3);
}

async fn follow(
    most: u32,
    script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> ((u64, u64), Vec<(FaultKind, u64)>) {
    let (port, seen) = server(script).await;
    let recording = run(with(share(port, closed(1, Some(3), None)), |http| {
        http.redirects = most
    }))
    .await;
    assert_eq!(tally(&recording).requests, 3);
    ((tally(&recording).ok, seen.requests()), faults(&recording))
}

fn hops(asked: &Asked) -> Reply {
    match asked.head.split(' ').nth(1).unwrap() {
        "/" => leads("/a?q=1"),
        "/a?q=1" => leads("b"),
        "/b" => ok(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn redirects_are_followed_within_the_target() {
    assert_eq!(follow(2, hops).await, ((3, 9), vec![]));
    assert_eq!(follow(1, hops).await, ((0, 6), vec![(FaultKind::Redirect, 3)]));
}

#[tokio::test]
async fn redirects_to_hosts_outside_the_plan_are_faults() {
    let foreign = |_: &Asked| leads("http://elsewhere.example/");
    assert_eq!(follow(5, foreign).await, ((0, 3), vec![(FaultKind::Redirect, 3)]));
}

#[tokio::test]
async fn redirects_lead_to_other_targets_of_the_plan() {
    let (second, seen_second) = server(|_| ok()).await;
    let (first, seen_first) = server(move |_| leads(&format!("http://127.0.0.1:{second}/x"))).await;
    let mut share = with(share(first, closed(1, Some(4), None)), |http| http.redirects = 1);
    share.targets.push(target(second));
    let recording = run(share).await;
    // two of four hits go to the first, and on
    assert_eq!(hits(&recording), (4, 4, 0, 0));
    assert_eq!((seen_first.requests(), seen_second.requests()), (2, 4));
    assert_eq!((seen_first.connections(), seen_second.connections()), (1, 1));
}

#[tokio::test]
async fn cookies_stay_with_their_client() {
    let (port, seen) = server(|asked| {
        let set = if asked.turn == 0 {
            format!("Set-Cookie: id={}; Path=/\r\n", asked.connection)
        } else {
            String::new()
        };
        reply(format!("HTTP/1.1 200 OK\r\n{set}Content-Length: 0\r\n\r\n"), Then::Keep)
    })
    .await;
    run(share(port, closed(3, Some(12), None))).await;
    for asked in seen.heads() {
        let expected = format!("Cookie: id={}\r\n", asked.connection);
        assert_eq!(asked.head.contains(&expected), asked.turn > 0, "{}", asked.head);
    }
    assert_eq!(seen.requests(), 12);
}

#[tokio::test]
async fn the_backend_stands_in_rows_by_source_and_backend() {
    let (port, seen) = server(|asked| {
        let name = asked.turn % 2;
        reply(
            format!("HTTP/1.1 200 OK\r\nX-Backend: b{name}\r\nContent-Length: 0\r\n\r\n"),
            Then::Keep,
        )
    })
    .await;
    let recording = run(share(port, closed(2, Some(20), None))).await;
    let count = |turn| seen.heads().iter().filter(|asked| asked.turn % 2 == turn).count() as u64;
    let mut cross = recording.counts.sources[0].backends.clone();
    cross.sort();
    assert_eq!(cross, [("b0".to_owned(), count(0)), ("b1".to_owned(), count(1))]);
    assert_eq!(
        recording.counts.backends.iter().map(|row| row.requests).sum::<u64>(),
        20
    );
    assert_eq!(recording.counts.backend_by, ["header:x-backend"]);
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let up = std::sync::Arc::new(AtomicBool::new(false));
    let flag = std::sync::Arc::clone(&up);
    let (port, _) = server(move |_| {
        if flag.swap(true, Ordering::Relaxed) {
            ok()
        } else {
            reply("", Then::Close)
        }
    })
    .await;
    let recording = run(share(port, closed(1, Some(5), None))).await;
    assert_eq!(hits(&recording), (5, 4, 1, 0));
}
