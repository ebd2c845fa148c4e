//! Tests of folding: what is before, what rose, what is told.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::watch::address::Address;
use crate::watch::haproxy;
use crate::watch::prometheus::{find, wanted};
use proptest::prelude::*;

const START: u64 = 100_000_000_000;
const SECOND: u64 = 1_000_000_000;

fn watch() -> Watch {
    Watch {
        balancer: Some(Address::balancer("http://lb/haproxy?stats").unwrap()),
        metrics: vec![(Address::page("http://s1/metrics").unwrap(), wanted("x").unwrap())],
    }
}

/// A page of one server, `www/s1`.
fn page(stot: u64, scur: u64, smax: u64, status: &str) -> Content {
    let text = format!(
        "# pxname,svname,type,stot,scur,smax,econ,status,check_status,hrsp_2xx\n\
         www,FRONTEND,0,{stot},{scur},{smax},,OPEN,,\nwww,s1,2,{stot},{scur},{smax},0,{status},L4CON,{stot}\n"
    );
    Content::Balancer(Kind::Haproxy, haproxy::rows(&text).unwrap())
}

fn reading(at_ns: u64, content: Content) -> Reading {
    Reading {
        page: 0,
        at_ns,
        ask: Ask::Tick,
        content: Ok(content),
    }
}

fn started() -> Record {
    let mut record = Record::new(&watch());
    record.take(reading(START - 9 * SECOND, page(1, 0, 50, "UP")));
    record.take(reading(START - SECOND / 2, page(5, 1, 50, "UP")));
    record.started(START);
    record
}

#[test]
fn the_last_reading_before_the_start_is_what_counts_from() {
    let mut record = started();
    // asked before the start was known, answered before the instant
    record.take(reading(START - 1, page(6, 1, 50, "UP")));
    record.take(reading(START + SECOND, page(16, 4, 50, "UP")));
    let last = Reading {
        ask: Ask::After,
        ..reading(START + 2 * SECOND, page(20, 0, 60, "UP 1/3"))
    };
    assert!(record.take(last).is_empty());
    let balancer = record.finish().balancer.unwrap();
    assert!(balancer.whole && balancer.changes.is_empty());
    assert_eq!(
        (balancer.before_us, balancer.after_us, balancer.own),
        (0, Some(2_000_000), 2)
    );
    let s1 = &balancer.rows[1];
    assert_eq!(
        (s1.before.as_ref().unwrap().counters.get("stot"), s1.risen.get("stot")),
        (Some(6), Some(14))
    );
    // 50 stood before the run; 60 were reached in it, between two readings
    assert_eq!((s1.most_sessions, s1.anew), (60, false));
    let sessions: Vec<(u64, u64)> = balancer
        .timeline
        .iter()
        .map(|moment| (moment.at_us, moment.rows[0].1.or_zero("sessions")))
        .collect();
    assert_eq!(sessions, [(1_000_000, 4), (2_000_000, 0)]);
    assert!(
        balancer.timeline.iter().all(|moment| moment.rows.len() == 1),
        "frontends are no servers"
    );
}

#[test]
fn counters_that_begin_anew_are_added_up_and_told() {
    let mut record = started();
    for (second, stot) in [(1, 15), (2, 3), (3, 10)] {
        record.take(reading(START + second * SECOND, page(stot, 0, 50, "UP")));
    }
    let s1 = record.finish().balancer.unwrap().rows.remove(1);
    assert_eq!((s1.risen.get("stot"), s1.anew), (Some(20), true));
}

#[test]
fn a_server_that_goes_is_told_with_its_time() {
    let mut record = started();
    let lines: Vec<String> = [(1, "UP"), (2, "UP 1/2"), (3, "DOWN"), (4, "DOWN 1/2"), (5, "UP")]
        .into_iter()
        .flat_map(|(second, status)| record.take(reading(START + second * SECOND, page(5, 0, 50, status))))
        .collect();
    assert_eq!(
        lines,
        [
            "balancer: www/s1 is DOWN (L4CON), was UP",
            "balancer: www/s1 is UP (L4CON), was DOWN"
        ]
    );
    let changes = record.finish().balancer.unwrap().changes;
    let told: Vec<(u64, &str)> = changes
        .iter()
        .map(|change| (change.at_us, change.state.as_str()))
        .collect();
    assert_eq!(told, [(3_000_000, "DOWN"), (5_000_000, "UP")]);
}

#[test]
fn a_failed_reading_is_counted_and_told_once() {
    let mut record = started();
    let failed = |second| Reading {
        content: Err(ReadError::Silent(1)),
        ..reading(START + second * SECOND, page(0, 0, 0, ""))
    };
    assert_eq!(
        record.take(failed(1)),
        ["http://lb/haproxy?stats did not answer within 1 s; the run goes on"]
    );
    assert!(record.take(failed(2)).is_empty());
    record.take(reading(START + 3 * SECOND, page(9, 0, 50, "UP")));
    let watched = record.finish();
    let (page, balancer) = (&watched.pages[0], watched.balancer.unwrap());
    assert_eq!(
        (page.reads, page.failed, page.first_failure.as_ref().unwrap().0),
        (3, 2, 1_000_000)
    );
    assert_eq!((balancer.rows[1].risen.get("stot"), balancer.whole), (Some(4), false));
}

#[test]
fn a_server_that_comes_in_mid_run_begins_at_zero() {
    let mut record = started();
    let Content::Balancer(kind, mut rows) = page(7, 0, 50, "UP") else {
        unreachable!()
    };
    let mut new = rows[1].clone();
    new.name = "s2".into();
    rows.insert(1, new);
    record.take(reading(START + SECOND, Content::Balancer(kind, rows)));
    let rows = record.finish().balancer.unwrap().rows;
    let risen: Vec<(&str, Option<u64>)> = rows[1..]
        .iter()
        .map(|row| (row.after.name.as_str(), row.risen.get("stot")))
        .collect();
    assert_eq!(risen, [("s1", Some(2)), ("s2", Some(7))]);
}

#[test]
fn metrics_are_points_of_the_run_alone() {
    let mut record = started();
    let metrics = |second: i64, value: f64| Reading {
        page: 1,
        at_ns: START.checked_add_signed(second * SECOND as i64).unwrap(),
        ask: Ask::Tick,
        content: Ok(Content::Metrics(
            find(&format!("x{{a=\"1\"}} {value}\ny 1"), &wanted("x").unwrap()).unwrap(),
        )),
    };
    for (second, value) in [(-1, 1.0), (1, 2.5), (2, 3.5)] {
        record.take(metrics(second, value));
    }
    let watched = record.finish();
    assert_eq!(watched.metrics.len(), 1);
    assert_eq!(watched.metrics[0].points, [(1_000_000, 2.5), (2_000_000, 3.5)]);
    assert_eq!(watched.metrics[0].source, "http://s1/metrics");
}

#[test]
fn a_long_run_is_thinned_and_stays_whole() {
    let mut record = started();
    record.balancer.as_mut().unwrap().thin.most = 100;
    let seconds = 110;
    for second in 1..=seconds {
        record.take(reading(START + second * SECOND, page(5 + second, 1, 50, "UP")));
    }
    let balancer = record.finish().balancer.unwrap();
    assert_eq!(balancer.timeline.len(), 55);
    let steps: Vec<u64> = balancer
        .timeline
        .windows(2)
        .map(|pair| pair[1].at_us - pair[0].at_us)
        .collect();
    assert!(steps.iter().all(|step| *step == 2_000_000), "evenly spaced");
    assert_eq!(balancer.rows[1].risen.get("stot"), Some(seconds));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a balancer counts, what rose is the sum of what rose from reading to reading.
    #[test]
    fn what_rose_is_the_sum_of_the_rises(counts in prop::collection::vec(0u64..1000, 1..20)) {
        let mut record = started();
        let (mut last, mut sum, mut anew) = (5, 0, false);
        for (second, stot) in counts.iter().enumerate() {
            record.take(reading(START + (second as u64 + 1) * SECOND, page(*stot, 0, 50, "UP")));
            sum += if *stot < last { *stot } else { stot - last };
            anew |= *stot < last;
            last = *stot;
        }
        let s1 = record.finish().balancer.unwrap().rows.remove(1);
        prop_assert_eq!((s1.risen.or_zero("stot"), s1.anew), (sum, anew));
    }
}
