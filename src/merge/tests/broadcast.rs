//! Broadcasts: what was due over all hosts, what came, and each number corrupted once.

use super::*;
use crate::merge::broadcast::Pair;
use swarm_agent::wire::broadcast::{CastRow, Casts, mark};
use swarm_agent::wire::share::Broadcast;

/// Two hosts, each with 8 clients on a backend of its own; everybody emits once in each of the seconds 2 and 3. What is
/// emitted on one backend reaches this many of its listeners, and this many on the other.
fn cast(at_home: u64, away: u64) -> Outcome {
    let mut outcome = held(2, Some(Cadence::Every(SECOND)));
    outcome.plan.broadcast = Some(Broadcast {
        event: "said".into(),
        one_in: 1,
        stamped: true,
    });
    for host in 0..2 {
        let name = |host: usize| format!("s{host}");
        let received = vec![(mark(Some(&name(host))), at_home), (mark(Some(&name(1 - host))), away)];
        let heard = at_home + away + 5;
        let casts = Casts {
            rows: vec![CastRow {
                backend: Some(name(host)),
                emits: vec![(2, 4), (3, 4)],
                listeners: vec![(1, 8), (4, -8)],
                own: 8,
                received: received.into_iter().filter(|(_, n)| *n > 0).collect(),
            }],
            heard,
            beyond: 5,
            duplicates: 2,
            own: 8,
            below: 3,
            ..Casts::default()
        };
        let times: Vec<u64> = (0..heard - 3).map(|n| 900 + n).collect();
        let histogram = recorded(&times);
        let end = report(&mut outcome, host);
        end.casts = Some(Box::new(casts));
        end.latency.push((Latency::Broadcast, histogram.clone()));
        outcome.hosts[host]
            .progress
            .latency
            .insert(Latency::Broadcast, histogram);
    }
    outcome
}

fn pair(from: &str, to: &str, expected: u64, received: u64) -> Pair {
    Pair {
        from: Some(from.into()),
        to: Some(to.into()),
        expected,
        received,
    }
}

#[test]
fn what_is_due_is_emits_times_listeners_over_all_hosts() {
    let summary = merge(&cast(56, 64));
    assert_eq!(summary.warnings, []);
    let all = summary.broadcast.unwrap();
    assert_eq!((all.emitted, all.expected, all.received), (16, Some(240), 240));
    assert_eq!(
        (all.duplicates, all.own, all.beyond, all.below_clock_error),
        (4, 16, 10, 6)
    );
    assert_eq!(
        all.pairs,
        [
            pair("s0", "s0", 56, 56),
            pair("s0", "s1", 64, 64),
            pair("s1", "s0", 64, 64),
            pair("s1", "s1", 56, 56)
        ]
    );
    assert_eq!(all.reach(), Some(1.0));
    assert!(all.verdict.unwrap().contains("the nodes share an adapter"));
    // 400 and 500 us at the start, and 50 parts in a million of 4.25 s
    assert_eq!(all.clock_error_us, Some(900 + 213));
}

#[test]
fn a_missing_adapter_shows_in_words() {
    let summary = merge(&cast(56, 0));
    assert_eq!(summary.warnings, []);
    let all = summary.broadcast.as_ref().unwrap();
    assert_eq!((all.expected, all.received), (Some(240), 112));
    assert_eq!(all.pairs[1], pair("s0", "s1", 64, 0));
    let verdict = all.verdict.as_deref().unwrap();
    assert!(
        verdict.starts_with("events emitted on s0 reached only clients on s0"),
        "{verdict}"
    );
    assert!(verdict.contains("reach 1/2; the nodes share no adapter"), "{verdict}");
    for (rule, passed) in [
        ("reach>=0.99", false),
        ("reach>=40%", true),
        ("reach<1", true),
        ("broadcast.p99<1s", true),
    ] {
        let rule = crate::requirement::Requirement::parse(rule, Latency::Ack).unwrap();
        let judged = rule.evaluate(&summary);
        assert_eq!(judged.passed, passed, "{judged:?}");
    }
}

#[test]
fn each_number_that_is_corrupted_is_caught() {
    type Corruption = fn(&mut Casts);
    let cases: [(&str, Corruption); 7] = [
        ("first receipts", |c| c.heard += 1),
        ("those beyond", |c| c.beyond += 1),
        ("below the clock error", |c| c.below += 1),
        ("messages sent", |c| c.rows[0].emits[0].1 += 1),
        ("never left", |c| c.rows[0].listeners[1].1 += 1),
        ("was due there", |c| c.rows[0].own += 1),
        ("was due there", |c| c.rows[0].received[1].0 = 77),
    ];
    for (what, corrupt) in cases {
        let mut outcome = cast(56, 64);
        corrupt(report(&mut outcome, 1).casts.as_mut().unwrap());
        let summary = merge(&outcome);
        let found = summary
            .warnings
            .iter()
            .find(|w| w.kind == "sum_broadcasts" && w.text.contains(what));
        assert!(found.is_some(), "{what}: {:?}", summary.warnings);
        assert_eq!(summary.run.status, Status::Incomplete, "{what}");
    }
}

#[test]
fn with_a_lost_host_nobody_knows_what_was_due() {
    let mut outcome = cast(56, 64);
    outcome.hosts[1].end = HostEnd::Lost {
        at_s: 3.0,
        why: "gone".into(),
    };
    let summary = merge(&outcome);
    let all = summary.broadcast.as_ref().unwrap();
    assert_eq!((all.expected, all.reach(), all.emitted), (None, None, 8));
    assert!(all.pairs.is_empty() && all.verdict.is_none());
    assert_eq!(kinds(&summary), ["host_lost"]);
    let rule = crate::requirement::Requirement::parse("reach>=0.99", Latency::Ack).unwrap();
    let judged = rule.evaluate(&summary);
    assert!(!judged.passed && judged.reason.unwrap().contains("a host was lost"));
}

#[test]
fn unknown_backends_and_unheard_events_are_told() {
    let mut outcome = cast(56, 64);
    for host in 0..2 {
        let casts = report(&mut outcome, host).casts.as_mut().unwrap();
        casts.rows[0].backend = None;
        casts.rows[0].received = vec![(0, 120)];
    }
    let all = merge(&outcome).broadcast.unwrap();
    assert_eq!(
        (all.expected, all.received, all.pairs.len(), all.verdict),
        (Some(240), 240, 0, None)
    );

    let mut outcome = cast(56, 64);
    for host in 0..2 {
        let end = report(&mut outcome, host);
        end.latency.retain(|(name, _)| *name != Latency::Broadcast);
        let casts = end.casts.as_mut().unwrap();
        casts.rows[0].received.clear();
        (casts.heard, casts.beyond, casts.below, casts.own, casts.duplicates) = (0, 0, 0, 0, 0);
        casts.unstamped = 7 * host as u64;
        outcome.hosts[host].progress.latency.remove(&Latency::Broadcast);
    }
    let summary = merge(&outcome);
    assert_eq!(kinds(&summary), ["broadcast_unheard"]);
    assert!(
        summary.warnings[0]
            .text
            .starts_with("7 events `said` came, none with the stamp")
    );
    assert_eq!(summary.broadcast.unwrap().reach(), Some(0.0));
}
