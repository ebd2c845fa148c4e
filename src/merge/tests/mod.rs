//! Merging: parts, statuses, skew, peak, rates, doubts. The sums have their own file.

mod broadcast;
mod observed;
mod sums;

use super::fixture::{SECOND, closed_loop, held, open_loop, played, recorded};
use super::parts::By;
use super::summary::HostStatus;
use super::*;
use crate::conduct::outcome::Ended;
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::histogram::Histogram;
use swarm_agent::wire::message::{DroppedSource, NoPath};
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
    // shares were cut again without it: the plan was done, and the warning stays
    assert_eq!(summary.run.status, Status::Complete);
    assert!(kinds(&summary).contains(&"host_refused"));
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
    assert_eq!(summary.whole.rates.requests, Some(10.0));
}

#[test]
fn doubts_are_told_with_their_numbers() {
    type Change = fn(&mut Outcome);
    let cases: [(&str, &str, Change); 10] = [
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
        (
            "source_without_path",
            "h0: source 10.0.0.7 has no path to http://app.test/",
            |o| {
                o.hosts[0].armed.as_mut().unwrap().dropped = vec![DroppedSource {
                    source: "10.0.0.7".parse().unwrap(),
                    target: 0,
                    address: "192.0.2.1:80".parse().unwrap(),
                    why: NoPath::Silent { after_ms: 5000 },
                }];
            },
        ),
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
