//! What http answers say of the balancer: names in bodies, sessions that stray in spite of their cookies, as whom we are seen,
//! and when each source met each backend.

use super::bench::*;
use std::net::IpAddr;
use swarm_agent::recorder::Recording;
use swarm_agent::wire::share::{BackendFrom, SeenFrom};

fn said(headers: &str, body: &str) -> Reply {
    let length = body.len();
    reply(
        format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\n\r\n{body}"),
        Then::Keep,
    )
}

fn backends(recording: &Recording) -> Vec<(&str, u64, u64)> {
    let mut rows: Vec<_> = recording
        .counts
        .backends
        .iter()
        .map(|row| (row.name.as_str(), row.connections, row.requests))
        .collect();
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn a_body_names_the_backend_and_us() {
    let (port, _) = server(|asked| {
        let name = ["a", "b"][(asked.connection % 2) as usize];
        // longer than what is kept of a body for an example
        let pad = "x".repeat(3000);
        said(
            "X-Backend: front\r\n",
            &format!("{{\"pad\":\"{pad}\",\"node\":{{\"id\":\"{name}\"}},\"you\":\"10.9.8.7, 10.0.0.1\"}}"),
        )
    })
    .await;
    let mut share = share(port, closed(2, Some(20), None));
    share.backend_from = BackendFrom::Body("/node/id".into());
    share.seen_from = Some(SeenFrom::Body("/you".into()));
    let recording = run(share).await;
    let rows = backends(&recording);
    assert_eq!(rows.iter().map(|row| row.2).sum::<u64>(), 20, "{rows:?}");
    assert_eq!([(rows[0].0, rows[0].1), (rows[1].0, rows[1].1)], [("a", 1), ("b", 1)]);
    assert_eq!(recording.counts.backend_by, ["body:/node/id"]);
    let seen: IpAddr = [10, 9, 8, 7].into();
    assert_eq!(recording.counts.sources[0].seen_as, [seen]);
    // no cookie was given: these clients have no session that could stray
    assert_eq!(recording.counts.strays.sessions, 0);
}

#[tokio::test]
async fn a_header_tells_as_whom_we_are_seen() {
    let (port, _) = server(|asked| {
        let as_whom = ["127.0.0.1", "no address", "192.0.2.7:99"][asked.turn.min(2) as usize];
        said(&format!("X-Client: {as_whom}\r\n"), "{}")
    })
    .await;
    let mut share = share(port, closed(1, Some(5), None));
    share.seen_from = Some(SeenFrom::Header("x-client".into()));
    let recording = run(share).await;
    let own: IpAddr = [127, 0, 0, 1].into();
    assert_eq!(recording.counts.sources[0].seen_as, [own, [192, 0, 2, 7].into()]);
    assert_eq!(backends(&recording), []);
}

/// Two clients that are given cookies; the answers to one of them come from elsewhere from its third on.
#[tokio::test]
async fn a_client_with_cookies_that_is_answered_from_elsewhere_strays_once() {
    let (port, _) = server(|asked| {
        let name = if asked.connection == 1 && asked.turn >= 2 {
            ["c", "d"][(asked.turn % 2) as usize]
        } else {
            "a"
        };
        said(&format!("Set-Cookie: node=x; Path=/\r\nX-Backend: {name}\r\n"), "{}")
    })
    .await;
    let share = share(port, closed(2, None, Some(200)));
    let recording = run(share.clone()).await;
    let strays = &recording.counts.strays;
    assert_eq!(strays.sessions, 1, "{strays:?}");
    let first = strays.first.as_ref().unwrap();
    assert_eq!(
        (first.from.as_str(), first.to.as_str(), first.session.as_str()),
        ("a", "c", "cookie node")
    );
    let mut share = share;
    share.request.keep_cookies = false;
    assert_eq!(run(share).await.counts.strays.sessions, 0);
}

/// The first answer gives the cookie, so that only the second can have kept to it.
#[tokio::test]
async fn a_first_cookie_binds_nobody_before() {
    let (port, _) = server(|asked| match asked.turn {
        0 => said("X-Backend: a\r\n", "{}"),
        _ => said("Set-Cookie: node=b\r\nX-Backend: b\r\n", "{}"),
    })
    .await;
    let recording = run(share(port, closed(1, Some(6), None))).await;
    assert_eq!(recording.counts.strays.sessions, 0);
    let source = &recording.counts.sources[0];
    let met: Vec<_> = source.spans.iter().map(|span| span.backend.as_str()).collect();
    assert_eq!(met, ["a", "b"]);
    let (a, b) = (&source.spans[0], &source.spans[1]);
    assert!(
        a.first_us == a.last_us && a.last_us <= b.first_us && b.first_us <= b.last_us,
        "{source:?}"
    );
    assert_eq!(source.backends, [("a".to_owned(), 1), ("b".to_owned(), 5)]);
}
