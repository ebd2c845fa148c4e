//! The identities: honest outcomes hold them, each corruption is caught.

use super::*;
use proptest::prelude::*;
use swarm_agent::wire::observed::{Back, Departure};
use swarm_agent::wire::report::StepRow;

#[test]
fn honest_outcomes_add_up() {
    for (name, outcome) in [
        ("open", open_loop(3)),
        ("closed by count", closed_loop(2, Some(41))),
        ("closed by time", closed_loop(2, None)),
        ("held silent", held(3, None)),
        ("held, one message", held(2, Some(Cadence::Once))),
        ("held, a rate in total", held(2, total_cadence())),
        ("a playbook", played(3)),
    ] {
        let summary = merge(&outcome);
        assert_eq!(summary.warnings, [], "{name}");
        assert_eq!(summary.run.status, Status::Complete, "{name}");
        assert_eq!(exit_code(&summary, true), 0, "{name}");
        assert!(summary.whole.tally.connections.opened > 0, "{name}");
    }
}

#[test]
fn each_sum_that_is_corrupted_is_caught() {
    type Corruption = fn(&mut Outcome);
    let cases: [(&str, &str, Corruption); 25] = [
        ("sum_planned", "not_started", |o| {
            report(o, 1).counts.tally.not_started += 1
        }),
        ("sum_planned", "share", |o| {
            o.hosts[1].share.as_mut().unwrap().deal.mine.clear()
        }),
        ("sum_shares", "share", |o| {
            o.hosts[1].share.as_mut().unwrap().deal.mine.push(0)
        }),
        ("sum_hits", "unfinished", |o| report(o, 1).counts.tally.unfinished += 1),
        ("sum_hits", "ok", |o| report(o, 1).counts.tally.ok -= 1),
        ("sum_connections", "failed", |o| {
            report(o, 1).counts.tally.connections.failed += 1
        }),
        ("sum_answers", "lost", |o| report(o, 1).counts.tally.messages.lost += 1),
        ("sum_buckets", "count", |o| histogram(o, 1, Latency::Service).count += 1),
        ("sum_buckets", "bucket", |o| {
            histogram(o, 1, Latency::Request).buckets[0].1 += 1
        }),
        ("sum_samples", "failed", |o| {
            histogram(o, 1, Latency::RequestFailed).count += 1
        }),
        ("sum_samples", "gone", |o| {
            report(o, 1).latency.retain(|(n, _)| *n != Latency::Lateness)
        }),
        ("sum_intervals", "min", |o| histogram(o, 1, Latency::Service).min -= 1),
        ("sum_intervals", "max", |o| histogram(o, 1, Latency::Service).max += 1),
        ("sum_intervals", "sum", |o| histogram(o, 1, Latency::Service).sum += 1),
        ("sum_intervals", "squares", |o| {
            histogram(o, 1, Latency::Service).sum_of_squares += 1
        }),
        ("sum_intervals", "moved", |o| {
            let buckets = &mut histogram(o, 1, Latency::Service).buckets;
            buckets[0].0 -= 1;
        }),
        ("sum_counters", "late", |o| o.hosts[1].progress.counts.tally.late += 1),
        ("sum_counters", "bytes", |o| report(o, 1).counts.tally.bytes_sent += 1),
        ("sum_sequence", "gap", |o| o.hosts[1].progress.broken_at = Some(2)),
        ("sum_sequence", "last", |o| report(o, 1).last_seq = Some(4)),
        ("sum_rows", "source", |o| report(o, 1).counts.sources[0].requests -= 1),
        ("sum_rows", "target", |o| report(o, 1).counts.targets[0].requests += 1),
        ("sum_rows", "backend", |o| report(o, 1).counts.backends[0].requests += 1),
        ("sum_departures", "span", |o| {
            report(o, 1).counts.sources[0].spans.clear()
        }),
        ("sum_rows", "source latency", |o| {
            report(o, 1).counts.sources[0].latency = recorded(&[1])
        }),
    ];
    for (kind, what, corrupt) in cases {
        let mut outcome = open_loop(3);
        corrupt(&mut outcome);
        let summary = merge(&outcome);
        let case = format!("{kind} by {what}: {:?}", summary.warnings);
        let warning = summary.warnings.iter().find(|w| w.kind == kind).expect(&case);
        let named = kind == "sum_shares" || warning.text.starts_with("h1: ");
        assert!(named, "{case}");
        assert_eq!(summary.run.status, Status::Incomplete, "{case}");
        assert_eq!(exit_code(&summary, false), 3, "{case}");
    }
}

#[test]
fn samples_of_held_clients_are_proven_too() {
    for (name, what) in [(Latency::Ack, "message and ack"), (Latency::Handshake, "handshake")] {
        let mut outcome = held(2, Some(Cadence::Once));
        *histogram(&mut outcome, 0, name) = recorded(&[5]);
        let summary = merge(&outcome);
        let found = summary
            .warnings
            .iter()
            .any(|w| w.kind == "sum_samples" && w.text.contains(what));
        assert!(found, "{:?}", summary.warnings);
    }
    let mut outcome = held(2, None);
    report(&mut outcome, 0).counts.sources[0].backends[0].1 -= 1;
    assert!(kinds(&merge(&outcome)).contains(&"sum_rows"));
}

/// Half of host 1's clients are lost in a storm and one by the server; the last one is still away at the end.
pub(super) fn stormy() -> Outcome {
    let mut outcome = held(2, None);
    let Load::Held(load) = &mut outcome.plan.load else {
        panic!("held")
    };
    load.reconnect = Some(swarm_agent::wire::share::BackOff {
        least: SECOND,
        most: 5 * SECOND,
        jitter: 500,
        attempts: Some(2),
    });
    load.storms = vec![2 * SECOND];
    let back = recorded(&[900_000, 1_100_000]);
    let lose = |tally: &mut Tally| {
        let c = &mut tally.connections;
        (c.stormed, c.dropped, c.reconnected, c.gave_up, c.away) = (4, 1, 2, 2, 1);
    };
    lose(&mut report(&mut outcome, 1).counts.tally);
    lose(&mut outcome.hosts[1].progress.counts.tally);
    report(&mut outcome, 1).counts.departures = vec![Departure {
        from: Some("s1".into()),
        first_us: 2_000_000,
        last_us: 2_000_900,
        lost: 1,
        stormed: 4,
        back: vec![Back {
            to: Some("s1".into()),
            clients: 2,
            away: back.clone(),
        }],
    }];
    report(&mut outcome, 1).latency.push((Latency::Reconnect, back.clone()));
    outcome.hosts[1].progress.latency.insert(Latency::Reconnect, back);
    outcome
}

#[test]
fn ways_back_are_proven() {
    let summary = merge(&stormy());
    assert_eq!(summary.warnings, []);
    assert_eq!(summary.run.status, Status::Complete);
    type Corruption = fn(&mut Outcome);
    let cases: [(&str, &str, Corruption); 10] = [
        ("sum_comebacks", "dropped", |o| {
            report(o, 1).counts.tally.connections.dropped += 1
        }),
        ("sum_comebacks", "stormed", |o| {
            report(o, 1).counts.tally.connections.stormed -= 1
        }),
        ("sum_comebacks", "gave_up", |o| {
            report(o, 1).counts.tally.connections.gave_up += 1
        }),
        ("sum_comebacks", "away", |o| {
            report(o, 1).counts.tally.connections.away = 0
        }),
        ("sum_samples", "reconnected", |o| {
            report(o, 1).counts.tally.connections.reconnected += 1;
        }),
        ("sum_departures", "lost", |o| {
            report(o, 1).counts.departures[0].lost += 1
        }),
        ("sum_departures", "stormed", |o| {
            report(o, 1).counts.departures[0].stormed -= 1
        }),
        ("sum_departures", "back", |o| {
            report(o, 1).counts.departures[0].back[0].clients += 1
        }),
        ("sum_departures", "away", |o| {
            report(o, 1).counts.departures[0].back[0].away = recorded(&[900_000, 1_100_001])
        }),
        ("sum_comebacks", "nobody was to come back", |o| {
            let Load::Held(load) = &mut o.plan.load else {
                panic!("held")
            };
            load.reconnect = None;
        }),
    ];
    for (kind, what, corrupt) in cases {
        let mut outcome = stormy();
        corrupt(&mut outcome);
        let summary = merge(&outcome);
        assert!(kinds(&summary).contains(&kind), "{what}: {:?}", summary.warnings);
        assert_eq!(summary.run.status, Status::Incomplete, "{what}");
    }
}

#[test]
fn the_whole_must_be_the_sum_of_its_parts() {
    let outcome = open_loop(3);
    let summary = merge(&outcome);
    let parts: Vec<&Part> = summary.hosts.iter().map(|h| &h.part).collect();
    let hosts: Vec<&HostOutcome> = outcome.hosts.iter().collect();
    let mut whole = summary.whole.clone();
    assert_eq!(identities::of_whole(&whole, &parts, &hosts, &summary.load), []);
    whole.tally.bytes_received += 1;
    whole.latency.get_mut(&Latency::Request).unwrap().buckets[0].1 -= 1;
    let found = identities::of_whole(&whole, &parts, &hosts, &summary.load);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|m| m.warning().kind == "sum_parts"));
}

#[test]
fn the_first_bad_interval_is_named() {
    let honest = open_loop(2);
    let mut outcome = honest.clone();
    let host = &mut outcome.hosts[1];
    let intervals = 4;
    // the same run told again, with one sample lost on the way in interval 2
    let mut progress = crate::conduct::outcome::Progress::default();
    for seq in 0..intervals {
        let mut interval = fixture_interval(&honest, seq);
        if seq == 2 {
            let lost = interval
                .latency
                .iter_mut()
                .find(|(n, _)| *n == Latency::Service)
                .unwrap();
            lost.1 = Histogram::default();
        }
        progress.fold(interval);
    }
    host.progress = progress;
    let summary = merge(&outcome);
    let warning = summary.warnings.iter().find(|w| w.kind == "sum_intervals").unwrap();
    assert!(warning.text.contains("first bad interval: 2"), "{}", warning.text);
}

/// An interval of host 1 in which two more hits were ok, made to look like those of the fixture.
fn fixture_interval(outcome: &Outcome, seq: u32) -> swarm_agent::wire::report::Interval {
    let point = &outcome.hosts[1].progress.points[seq as usize];
    let until = seq as usize + 1;
    let ok: u64 = outcome.hosts[1].progress.points[..until]
        .iter()
        .map(|p| p.requests - p.errors)
        .sum();
    let failed: u64 = outcome.hosts[1].progress.points[..until].iter().map(|p| p.errors).sum();
    let mut counts = outcome.hosts[1].progress.counts.clone();
    counts.tally.ok = ok;
    counts.tally.failed = failed;
    let samples = |n| recorded(&vec![1000; n]);
    swarm_agent::wire::report::Interval {
        seq,
        at_us: point.at_us,
        counts,
        latency: vec![
            (Latency::Service, samples((point.requests - point.errors) as usize)),
            (Latency::RequestFailed, samples(point.errors as usize)),
        ],
        cpu_busy: None,
    }
}

#[test]
fn steps_of_a_playbook_are_proven_and_added_up() {
    let summary = merge(&played(3));
    let flow = &summary.flows[0];
    let tally = &summary.whole.tally;
    assert_eq!((summary.flows.len(), flow.clients), (1, tally.connections.attempted));
    assert_eq!(
        (flow.steps[1].requests, flow.steps[1].latency.count),
        (tally.requests, tally.ok)
    );
    assert_eq!(summary.row_latency, Latency::Service);
    type Corruption = fn(&mut StepRow);
    let cases: [(usize, Corruption); 6] = [
        (0, |step| step.requests += 1),
        (0, |step| (step.ok, step.failed) = (step.ok - 1, step.failed + 1)),
        (1, |step| step.requests -= 1),
        (1, |step| {
            (step.ok, step.unfinished) = (step.ok - 1, step.unfinished + 1)
        }),
        (1, |step| step.latency.count += 1),
        (1, |step| step.latency.buckets[0].1 += 1),
    ];
    for (at, corrupt) in cases {
        let mut outcome = played(3);
        corrupt(&mut report(&mut outcome, 1).counts.flows[0].steps[at]);
        let summary = merge(&outcome);
        let found = summary.warnings.iter().find(|w| w.kind == "sum_flows");
        assert!(
            found.is_some_and(|w| w.text.starts_with("h1: ")),
            "{at} {:?}",
            summary.warnings
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn merged_recorders_equal_one_that_saw_everything(
        parts in prop::collection::vec(prop::collection::vec(prop_oneof![0u64..5000, 0u64..8_000_000_000], 0..200), 1..6),
    ) {
        let lists: Vec<Latencies> = parts
            .iter()
            .map(|samples| Latencies::from([(Latency::Service, recorded(samples))]))
            .collect();
        let mut merged = Latencies::new();
        lists.iter().for_each(|list| rows::add_latencies(&mut merged, list));
        let all: Vec<u64> = parts.concat();
        prop_assert_eq!(&merged[&Latency::Service], &recorded(&all));
        let mut sorted = all.clone();
        sorted.sort_unstable();
        prop_assert_eq!(merged[&Latency::Service].min, sorted.first().copied().unwrap_or(0));
        prop_assert_eq!(merged[&Latency::Service].max, sorted.last().copied().unwrap_or(0));
        prop_assert_eq!(merged[&Latency::Service].sum, all.iter().map(|us| u128::from(*us)).sum::<u128>());
    }
}
