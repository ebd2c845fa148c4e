//! Tests of the comparison: which servers are meant, which counter compares, what is said of a disagreement.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::watch::row::{Figures, Row};

/// Proxy, server, mode, status, and what rose.
type Server<'a> = (&'a str, &'a str, &'a str, &'a str, &'a [(&'static str, u64)]);

fn tracked((proxy, name, mode, status, risen): &Server<'_>) -> Tracked {
    let mut counters = Figures::default();
    risen.iter().for_each(|(name, n)| counters.set(name, *n));
    let mut gauges = Figures::default();
    gauges.set("weight", 10);
    let row = Row {
        proxy: (*proxy).into(),
        name: (*name).into(),
        kind: match *name {
            "BACKEND" => RowKind::Backend,
            "nginx" => RowKind::Whole,
            _ => RowKind::Server,
        },
        mode: (*mode).into(),
        status: (*status).into(),
        check_status: String::new(),
        counters: Figures::default(),
        gauges,
    };
    Tracked {
        before: Some(row.clone()),
        after: row,
        risen: counters,
        most_sessions: 0,
        most_queued: 0,
        anew: false,
    }
}

fn haproxy(servers: &[Server<'_>]) -> Balancer {
    Balancer {
        address: "http://lb/stats".into(),
        kind: Kind::Haproxy,
        proxies: Vec::new(),
        rows: servers.iter().map(tracked).collect(),
        timeline: Vec::new(),
        before_us: 0,
        after_us: Some(1),
        whole: true,
        own: 0,
        changes: Vec::new(),
    }
}

fn counted(connections: u64, requests: u64) -> Counted {
    Counted {
        connections,
        requests,
        polls: 0,
    }
}

fn compared(balancer: &Balancer, meter: Meter, backends: &[(&str, Counted)]) -> Comparison {
    compare(balancer, meter, backends, Counted::default(), Around::default())
}

fn rows(comparison: &Comparison) -> Vec<(&str, &str, u64, u64)> {
    let row = |row: &Compared| (row.counter, row.balancer, row.swarm);
    comparison
        .rows
        .iter()
        .map(|one| (one.name.as_str(), row(one).0, row(one).1, row(one).2))
        .collect()
}

#[test]
fn requests_are_answers_and_clients_are_upgrades() {
    let balancer = haproxy(&[
        (
            "www",
            "s1",
            "http",
            "UP",
            &[("stot", 13), ("hrsp_2xx", 9), ("hrsp_5xx", 1), ("wretr", 3)],
        ),
        (
            "www",
            "s2",
            "http",
            "UP",
            &[("stot", 5), ("hrsp_2xx", 3), ("hrsp_1xx", 2)],
        ),
        ("www", "s3", "http", "DOWN", &[]),
        ("www", "BACKEND", "http", "UP", &[("stot", 18)]),
    ]);
    let seen = [("s1", counted(4, 10)), ("s2", counted(2, 5))];
    let by_requests = compared(&balancer, Meter::Requests, &seen);
    assert_eq!(
        rows(&by_requests),
        [("s1", "hrsp_*", 10, 10), ("s2", "hrsp_*", 5, 5), ("s3", "hrsp_*", 0, 0)]
    );
    assert_eq!((&by_requests.disagreement, &by_requests.unknown), (&None, &None));
    let known = by_requests.known.unwrap();
    assert_eq!(known.names, ["s1", "s2", "s3"]);
    assert_eq!(known.alike(), None, "one was down");
    let (mut up, mut unlike) = (known.clone(), known.clone());
    up.up[2] = true;
    assert_eq!(up.alike(), Some(&known.names[..]));
    (unlike.up[2], unlike.weights[0]) = (true, 1);
    assert_eq!(unlike.alike(), None);
    assert_eq!(
        (&known.up[..], &known.weights[..]),
        (&[true, true, false][..], &[10, 10, 10][..])
    );
    let sockets = compared(&balancer, Meter::Sockets { alone: false }, &seen[1..]);
    assert_eq!(rows(&sockets)[1], ("s2", "hrsp_1xx", 2, 2));
}

#[test]
fn a_proxy_in_mode_tcp_counts_connections() {
    let balancer = haproxy(&[("t", "s1", "tcp", "UP", &[("stot", 4)])]);
    let seen = [("s1", counted(4, 90))];
    assert_eq!(
        rows(&compared(&balancer, Meter::Requests, &seen)),
        [("s1", "stot", 4, 4)]
    );
    assert_eq!(
        rows(&compared(&balancer, Meter::Sockets { alone: true }, &seen)),
        [("s1", "stot", 4, 4)]
    );
    for meter in [Meter::Sockets { alone: false }, Meter::Polls] {
        let comparison = compared(&balancer, meter, &seen);
        assert!(comparison.unknown.unwrap().contains("mode tcp") && comparison.rows.is_empty());
        assert!(comparison.known.is_some());
    }
}

#[test]
fn the_proxies_with_traffic_are_meant_or_those_named() {
    let mut balancer = haproxy(&[
        ("www", "s1", "http", "UP", &[("stot", 5), ("hrsp_2xx", 5)]),
        ("www", "s2", "http", "UP", &[]),
        ("ws", "s1", "http", "UP", &[]),
        ("ws", "s3", "http", "UP", &[]),
        ("api", "s1", "http", "UP", &[("stot", 7), ("hrsp_2xx", 7)]),
    ]);
    let seen = [("s1", counted(1, 12))];
    let comparison = compared(&balancer, Meter::Requests, &seen);
    assert_eq!(rows(&comparison), [("s1", "hrsp_*", 12, 12), ("s2", "hrsp_*", 0, 0)]);
    assert_eq!(comparison.rows[0].places, [0, 4]);
    balancer.proxies = vec!["www".into()];
    assert_eq!(
        rows(&compared(&balancer, Meter::Requests, &seen))[0],
        ("s1", "hrsp_*", 5, 12)
    );
}

#[test]
fn names_match_exactly_else_in_any_case_else_not() {
    let balancer = haproxy(&[
        ("www", "Node-1", "http", "UP", &[("stot", 5), ("hrsp_2xx", 5)]),
        ("www", "node-2", "http", "UP", &[("stot", 6), ("hrsp_2xx", 6)]),
    ]);
    let seen = [
        ("node-1", counted(1, 5)),
        ("node-2", counted(1, 6)),
        ("other", counted(1, 9)),
    ];
    let comparison = compared(&balancer, Meter::Requests, &seen);
    assert_eq!(
        rows(&comparison),
        [("Node-1", "hrsp_*", 5, 5), ("node-2", "hrsp_*", 6, 6)]
    );
    assert_eq!(comparison.unmatched, ["other"]);
    let strangers = compared(&balancer, Meter::Requests, &seen[2..]);
    assert_eq!(
        strangers.unknown.as_deref(),
        Some("no server of the balancer is called as a backend that answered (other)")
    );
    assert_eq!(strangers.known, None);
    assert!(
        compared(&balancer, Meter::Requests, &[])
            .unknown
            .unwrap()
            .contains("--backend-from")
    );
}

#[test]
fn a_hundredth_is_borne_and_more_is_said_with_its_reasons() {
    for (balancer, swarm, agrees) in [
        (0, 0, true),
        (100, 100, true),
        (101, 100, true),
        (102, 100, false),
        (98, 100, false),
        (1, 0, false),
    ] {
        let row = Compared {
            name: String::new(),
            places: Vec::new(),
            counter: "",
            balancer,
            swarm,
        };
        assert_eq!(row.agrees(), agrees, "{balancer} {swarm}");
    }
    let mut balancer = haproxy(&[
        ("www", "s1", "http", "UP", &[("stot", 150), ("hrsp_2xx", 150)]),
        ("www", "s2", "http", "UP", &[("stot", 50), ("hrsp_2xx", 50)]),
        ("www", "s3", "http", "UP", &[("stot", 7), ("hrsp_2xx", 7)]),
    ]);
    balancer.rows[1].anew = true;
    let seen = [("s1", counted(1, 100)), ("s2", counted(1, 100))];
    let around = Around {
        unanswered: 3,
        warmup: 40,
        stayed_polling: 9,
    };
    let comparison = compare(&balancer, Meter::Requests, &seen, Counted::default(), around);
    assert_eq!(
        comparison.disagreement.as_deref(),
        Some(
            "s1: 150 by the balancer's hrsp_*, 100 here (+50.0 %); s2: 50 by the balancer's hrsp_*, 100 here (-50.0 %); \
             s3: 7 by the balancer's hrsp_*, 0 here (swarm saw nothing of it)"
        )
    );
    assert_eq!(
        comparison.reasons,
        [
            "other clients' traffic over the same servers",
            "3 hits that failed or were not answered in time here, and may have been there",
            "40 requests of the warm-up, which swarm keeps apart",
            "its counters began anew in mid-run: it was started again, or they were cleared",
            "another balancer, or another process of this one, took a part",
        ]
    );
}

#[test]
fn retries_are_a_reason_where_sessions_are_counted() {
    let balancer = haproxy(&[("t", "s1", "tcp", "UP", &[("stot", 9), ("wretr", 5), ("wredis", 1)])]);
    let comparison = compared(&balancer, Meter::Requests, &[("s1", counted(4, 4))]);
    assert!(
        comparison
            .reasons
            .contains(&"5 retries and 1 redispatches, each a session more".to_owned()),
        "{:?}",
        comparison.reasons
    );
}

#[test]
fn nginx_is_compared_as_a_whole_without_our_own_readings() {
    let mut balancer = haproxy(&[("", "nginx", "http", "", &[("requests", 110), ("accepts", 14)])]);
    balancer.kind = Kind::Nginx;
    balancer.own = 10;
    let whole = Counted {
        polls: 96,
        ..counted(4, 100)
    };
    let of = |meter| compare(&balancer, meter, &[("s1", counted(4, 100))], whole, Around::default());
    assert_eq!(rows(&of(Meter::Requests)), [("nginx", "requests", 100, 100)]);
    assert_eq!(
        rows(&of(Meter::Sockets { alone: false })),
        [("nginx", "requests", 100, 100)]
    );
    assert_eq!(rows(&of(Meter::Polls)), [("nginx", "requests", 100, 96)]);
    assert_eq!(of(Meter::Requests).known, None);
}

#[test]
fn without_a_reading_after_the_run_nothing_is_compared() {
    let mut balancer = haproxy(&[("www", "s1", "http", "UP", &[("stot", 1), ("hrsp_2xx", 1)])]);
    balancer.whole = false;
    let comparison = compared(&balancer, Meter::Requests, &[("s1", counted(1, 5))]);
    assert!(comparison.rows.is_empty() && comparison.disagreement.is_none());
    assert!(comparison.unknown.unwrap().contains("after the run"));
    assert_eq!(comparison.known.unwrap().names, ["s1"]);
}
