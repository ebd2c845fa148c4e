use super::fixture::{SECOND, closed_loop, held, open_loop, recorded};
use super::summary::{By, HostStatus};
use super::*;
use crate::conduct::outcome::Ended;
use proptest::prelude::*;
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::histogram::Histogram;
use swarm_agent::wire::report::{Example, FaultRow};
use swarm_agent::wire::share::{Cadence, PER_SECOND, Schedule, Stage};

fn report(outcome: &mut Outcome, host: usize) -> &mut Report {
    match &mut outcome.hosts[host].end {
        HostEnd::Reported(report) => report,
        _ => panic!("the fixture's hosts report"),
    }
}

fn histogram(outcome: &mut Outcome, host: usize, name: Latency) -> &mut Histogram {
    let list = &mut report(outcome, host).latency;
    let at = list.iter().position(|(n, _)| *n == name).unwrap();
    &mut list[at].1
}

fn kinds(summary: &Summary) -> Vec<&str> {
    summary.warnings.iter().map(|w| w.kind.as_str()).collect()
}

fn total_cadence() -> Option<Cadence> {
    let rate = 4 * PER_SECOND;
    Some(Cadence::Total(Schedule {
        stages: vec![Stage {
            duration: 4 * SECOND,
            from: rate,
            to: rate,
        }],
    }))
}

#[test]
fn honest_outcomes_add_up() {
    for (name, outcome) in [
        ("open", open_loop(3)),
        ("closed by count", closed_loop(2, Some(41))),
        ("closed by time", closed_loop(2, None)),
        ("held silent", held(3, None)),
        ("held, one message", held(2, Some(Cadence::Once))),
        ("held, a rate in total", held(2, total_cadence())),
    ] {
        let summary = merge(&outcome);
        assert_eq!(summary.warnings, [], "{name}");
        assert_eq!(summary.run.status, Status::Complete, "{name}");
        assert_eq!(exit_code(&summary, true), 0, "{name}");
        assert_eq!(summary.whole.tally.connections.opened > 0, true, "{name}");
    }
}

#[test]
fn each_sum_that_is_corrupted_is_caught() {
    type Corruption = fn(&mut Outcome);
    let cases: [(&str, &str, Corruption); 24] = [
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
fn a_lost_host_keeps_what_it_had_sent() {
    let mut outcome = open_loop(3);
    outcome.hosts[1].end = HostEnd::Lost {
        at_s: 4.5,
        why: "connection closed".into(),
    };
    let summary = merge(&outcome);
    assert_eq!(summary.run.status, Status::Partial);
    assert_eq!(kinds(&summary), ["host_lost"]);
    assert!(
        summary.warnings[0].text.contains("until t = 4.0 s"),
        "{}",
        summary.warnings[0].text
    );
    let whole = merge(&open_loop(3));
    assert_eq!(summary.whole.tally, whole.whole.tally);
    assert_eq!(
        summary.whole.latency[&Latency::Request],
        whole.whole.latency[&Latency::Request]
    );
    assert_eq!(exit_code(&summary, false), 3);
}

#[test]
fn a_refused_host_counts_nothing() {
    let mut outcome = open_loop(1);
    let mut refused = open_loop(2).hosts.remove(1);
    refused.end = HostEnd::Refused { why: "no route".into() };
    outcome.hosts.push(refused);
    let summary = merge(&outcome);
    assert_eq!(summary.run.status, Status::Partial);
    assert_eq!(summary.whole.tally.requests, 40);
    assert_eq!(summary.hosts[1].part, Part::default());
    assert_eq!(summary.rows(By::Host).len(), 1);
    outcome.hosts[0].end = HostEnd::Refused { why: "no route".into() };
    assert_eq!(exit_code(&merge(&outcome), false), 6);
}

#[test]
fn a_report_that_cannot_be_true_spoils_only_its_own_host() {
    let mut outcome = open_loop(2);
    histogram(&mut outcome, 1, Latency::Service).sum_of_squares = u128::MAX;
    report(&mut outcome, 1).counts.tally.bytes_sent = u64::MAX;
    let summary = merge(&outcome);
    assert!(matches!(&summary.hosts[1].status, HostStatus::Lost { why, .. } if why.contains("cannot be true")));
    assert_eq!(summary.run.status, Status::Partial);
}

#[test]
fn status_and_exit_code_follow_what_happened() {
    let mut outcome = open_loop(2);
    outcome.ended = Ended::Interrupted;
    report(&mut outcome, 0).counts.tally.ok -= 1;
    assert_eq!(exit_code(&merge(&outcome), false), 130);

    let mut outcome = held(2, None);
    for host in 0..2 {
        let report = report(&mut outcome, host);
        let c = &mut report.counts.tally.connections;
        (c.opened, c.failed) = (0, c.attempted);
        report.counts.sources.clear();
        report.counts.backends.clear();
        report.counts.targets.clear();
        report.latency.clear();
        let tally = report.counts.tally.clone();
        outcome.hosts[host].progress.counts.tally = tally;
        outcome.hosts[host].progress.latency.clear();
    }
    let summary = merge(&outcome);
    assert_eq!(summary.run.status, Status::Failed, "{:?}", summary.warnings);
    assert_eq!(exit_code(&summary, false), 4);

    let mut summary = merge(&open_loop(2));
    summary.requirements.push(summary::Judged {
        expr: "p99<1ms".into(),
        name: None,
        value: None,
        shown: "not measured".into(),
        passed: false,
    });
    assert_eq!(exit_code(&summary, false), 4);
}

#[test]
fn the_peak_is_the_largest_sum_at_one_cut() {
    let mut outcome = open_loop(2);
    for (host, open) in [[5, 9, 1, 0], [5, 1, 8, 0]].iter().enumerate() {
        for (point, open) in outcome.hosts[host].progress.points.iter_mut().zip(open) {
            point.open = *open;
        }
    }
    let summary = merge(&outcome);
    assert_eq!(summary.whole.peak, Some(10));
    assert_eq!(summary.hosts[0].part.peak, Some(9));
    outcome
        .hosts
        .iter_mut()
        .for_each(|h| h.progress.points.iter_mut().for_each(|p| p.open = 0));
    assert_eq!(merge(&outcome).whole.peak, None, "some were open, no cut saw them");
}

#[test]
fn the_skew_is_what_lies_between_the_first_and_the_last_start() {
    for (offsets, bounds, skew, bound, error) in [
        (vec![Some(5_000)], vec![Some(900_000)], Some(0), Some(0), Some(900)),
        (
            vec![Some(-2_000_000), Some(1_000_000), Some(0)],
            vec![Some(100_001), Some(200_000), Some(300_000)],
            Some(3000),
            Some(500),
            Some(300),
        ),
        (
            vec![Some(0), Some(7_000)],
            vec![Some(1_000), None],
            Some(7),
            None,
            Some(1),
        ),
        (vec![None, None], vec![None, None], None, None, None),
    ] {
        let mut outcome = open_loop(offsets.len() as u32);
        for (at, (offset, bound)) in offsets.iter().zip(&bounds).enumerate() {
            report(&mut outcome, at).start_offset = *offset;
            let clock = outcome.hosts[at].clock.unwrap();
            outcome.hosts[at].clock = bound.map(|bound_ns| crate::conduct::outcome::Clock { bound_ns, ..clock });
        }
        let sync = merge(&outcome).sync;
        assert_eq!(sync.map(|s| s.start_skew_us), skew, "{offsets:?}");
        assert_eq!(sync.and_then(|s| s.start_skew_bound_us), bound, "{offsets:?}");
        assert_eq!(sync.and_then(|s| s.clock_error_us), error, "{offsets:?}");
    }
}

#[test]
fn rates_leave_out_ramp_and_grace() {
    let summary = merge(&held(2, total_cadence()));
    assert_eq!(summary.window, Some((1_000_000, 4_000_000)));
    assert_eq!(summary.whole.rates.messages, Some(4.0));
    assert_eq!(summary.whole.rates.connections, Some(16.0));
    let mut outcome = open_loop(2);
    // an answer that comes 3 s late, in the grace period, makes no rate
    for host in &mut outcome.hosts {
        let last = host.progress.points.last_mut().unwrap();
        last.at_us = 7_000_000;
    }
    let summary = merge(&outcome);
    assert_eq!(summary.whole.rates.requests, Some(28.0 / 3.0));
}

#[test]
fn doubts_are_told_with_their_numbers() {
    type Change = fn(&mut Outcome);
    let cases: [(&str, &str, Change); 9] = [
        ("generator_bound", "CPU was 95 % busy", |o| {
            report(o, 0).cpu_busy = Some(0.95)
        }),
        ("generator_bound", "hits were sent late", |o| {
            report(o, 0).counts.tally.late = 5;
            o.hosts[0].progress.counts.tally.late = 5;
        }),
        ("cpu_steal", "20 %", |o| report(o, 0).cpu_steal = Some(0.2)),
        ("start_skew", "60.0 ms apart", |o| {
            report(o, 0).start_offset = Some(60_130_000)
        }),
        ("preflight", "h0: slow disk", |o| {
            o.hosts[0].armed.as_mut().unwrap().warnings.push("slow disk".into());
        }),
        ("redirects", "40 answers were redirects to https://b.test/x", |o| {
            report(o, 0).counts.redirected = 10;
            report(o, 0).counts.location = Some("https://b.test/x?token=1".into());
        }),
        ("session_id_unknown", "stickiness is broken", |o| {
            fault(o, FaultKind::SessionIdUnknown)
        }),
        ("port_exhausted", "no local port", |o| {
            fault(o, FaultKind::PortExhausted)
        }),
        ("backend_doubtful", "more than 64 values", |o| {
            report(o, 0).counts.backend_overflow = 3
        }),
    ];
    for (kind, text, change) in cases {
        let mut outcome = open_loop(2);
        change(&mut outcome);
        let summary = merge(&outcome);
        assert_eq!(kinds(&summary), [kind], "{:?}", summary.warnings);
        assert!(summary.warnings[0].text.contains(text), "{}", summary.warnings[0].text);
        assert_eq!(summary.run.status, Status::Complete);
        assert_eq!(exit_code(&summary, true), 4);
    }
}

fn fault(outcome: &mut Outcome, kind: FaultKind) {
    for host in 0..2u64 {
        report(outcome, host as usize).counts.faults.push(FaultRow {
            kind,
            detail: "d".into(),
            count: 2,
            first_at_us: 9 - host,
            examples: vec![
                Example {
                    at_us: 9 - host,
                    source: None,
                    backend: None,
                    status: Some(400),
                    excerpt: b"{\"code\":1}\xff".to_vec(),
                };
                2
            ],
        });
    }
}

#[test]
fn faults_of_all_hosts_are_one_row() {
    let mut outcome = open_loop(2);
    fault(&mut outcome, FaultKind::SessionIdUnknown);
    let rows = merge(&outcome).errors;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].count, rows[0].first_at_us, rows[0].examples.len()), (4, 8, 3));
    assert_eq!(rows[0].examples[0].host, "h1");
    assert_eq!(rows[0].examples[0].body, "{\"code\":1}\u{fffd}");
}

#[test]
fn a_doubtful_name_is_dropped_only_when_swarm_found_it_itself() {
    let mut outcome = open_loop(2);
    report(&mut outcome, 0).counts.backend_overflow = 1;
    let summary = merge(&outcome);
    assert!(summary.backends.is_empty() && summary.matrix.backends.is_empty());
    assert!(summary.sources.iter().all(|s| s.backends.is_empty()));
    assert_eq!((summary.affinity.verdict, summary.affinity.reached), (None, None));
    outcome.plan.backend_from = BackendFrom::Header("x-backend".into());
    assert_eq!(merge(&outcome).backends.len(), 2);
}

#[test]
fn parts_of_the_fleet_have_rows_of_their_own() {
    let summary = merge(&open_loop(3));
    let groups: Vec<_> = summary
        .rows(By::Group)
        .iter()
        .map(|r| (r.name.to_owned(), r.requests))
        .collect();
    assert_eq!(groups, [("eu".to_owned(), 27), ("us".to_owned(), 13)]);
    for by in [By::Host, By::Group, By::Backend, By::Source, By::Target] {
        let rows = summary.rows(by);
        let samples: u64 = rows
            .iter()
            .filter_map(|r| r.latency(Latency::Request))
            .map(|h| h.count)
            .sum();
        assert_eq!(samples, summary.whole.tally.ok, "{by:?}");
        assert_eq!(rows.iter().map(|r| r.requests).sum::<u64>(), 40, "{by:?}");
    }
    assert_eq!(summary.affinity.sticky, Some(true));
    assert_eq!(summary.matrix.columns(), [27, 13]);
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
