//! The open loop: its schedule, lateness, too few connections, its warm-up, drained and dropped.

use super::bench::*;
use std::time::{Duration, Instant};
use swarm_agent::recorder::Recording;
use swarm_agent::wire::report::Latency;
use swarm_agent::wire::share::{Deal, Load};

/// The longest of a latency, within the histogram's precision, us.
fn longest(recording: &Recording, name: Latency) -> u64 {
    let (_, histogram) = recording.latency.iter().find(|(have, _)| *have == name).unwrap();
    histogram.max
}

#[tokio::test]
async fn every_hit_of_the_schedule_is_sent() {
    let (port, seen) = server(|_| ok()).await;
    let begin = Instant::now();
    let recording = run(share(port, open(500, 300, 20))).await;
    assert!((290..450).contains(&begin.elapsed().as_millis()));
    assert_eq!(hits(&recording), (150, 150, 0, 0));
    assert_eq!(seen.requests(), 150);
    assert_eq!(samples(&recording, Latency::Lateness), 150);
    assert_eq!(seen.connections(), tally(&recording).connections.opened);
}

#[tokio::test]
async fn a_count_cuts_the_schedule() {
    let (port, seen) = server(|_| ok()).await;
    let mut share = share(port, open(500, 2_000, 5));
    if let Load::Open(load) = &mut share.load {
        load.requests = Some(40);
    }
    let begin = Instant::now();
    assert_eq!(hits(&run(share).await), (40, 40, 0, 0));
    assert_eq!(seen.requests(), 40);
    assert!(begin.elapsed() < Duration::from_millis(400));
}

#[tokio::test]
async fn waiting_for_a_connection_is_part_of_the_latency() {
    // 10 hits due within 100 ms, each takes 20 ms, one connection: the later ones wait
    let (port, _) = server(|_| slow(20)).await;
    let recording = run(share(port, open(100, 100, 1))).await;
    let tally = tally(&recording);
    assert_eq!(tally.requests + tally.not_started, 10);
    assert!(tally.ok >= 3 && tally.late >= 2, "{tally:?}");
    let (request, service) = (
        longest(&recording, Latency::Request),
        longest(&recording, Latency::Service),
    );
    assert!(request > service + 15_000, "{request} {service}");
    assert!(longest(&recording, Latency::Lateness) > 15_000);
}

#[tokio::test]
async fn with_too_few_connections_the_rest_is_not_started() {
    let (port, seen) = server(|_| slow(50)).await;
    let recording = run(share(port, open(200, 200, 2))).await;
    let sent = seen.requests();
    assert!((6..=12).contains(&sent), "{sent}");
    assert_eq!(hits(&recording), (sent, sent, 0, 40 - sent));
    assert_eq!(seen.connections(), 2);
}

#[tokio::test]
async fn a_refused_target_leaves_no_hit_unaccounted() {
    let recording = run(share(1, open(200, 200, 50))).await;
    let tally = tally(&recording);
    assert_eq!(tally.failed, tally.requests);
    assert_eq!(tally.requests + tally.not_started, 40);
    assert_eq!(tally.connections.failed, tally.failed);
}

#[tokio::test]
async fn two_threads_make_the_schedule_together() {
    let (port, seen) = server(|_| ok()).await;
    let recording = run_with(share(port, open(500, 202, 9)), 2, End::Itself).await;
    assert_eq!((hits(&recording), seen.requests()), ((101, 101, 0, 0), 101));
}

#[tokio::test]
async fn two_hosts_make_the_schedule_together() {
    let (port, seen) = server(|_| ok()).await;
    for host in 0..2 {
        let mut share = share(port, open(500, 202, 9));
        share.deal = Deal {
            mine: vec![host],
            slots: 2,
        };
        assert_eq!(hits(&run(share).await).0, 51 - u64::from(host));
    }
    assert_eq!(seen.requests(), 101);
}

fn warm(ms: u64, mut share: swarm_agent::wire::share::Share) -> swarm_agent::wire::share::Share {
    if let Load::Open(load) = &mut share.load {
        load.warmup = ms * MS;
    }
    share
}

#[tokio::test]
async fn the_warm_up_is_in_no_measured_number() {
    let (port, seen) = server(|_| slow(5)).await;
    let recording = run(warm(100, share(port, open(200, 100, 10)))).await;
    assert_eq!(hits(&recording), (20, 20, 0, 0));
    let warmup = recording.warmup.as_ref().unwrap();
    assert_eq!((warmup.requests, warmup.ok), (20, 20));
    assert_eq!(seen.requests(), 40);
}

#[tokio::test]
async fn drained_the_rest_is_not_started() {
    let (port, seen) = server(|_| slow(20)).await;
    for threads in [1, 2] {
        let before = seen.requests();
        let begin = Instant::now();
        let recording = run_with(share(port, open(100, 3_000, 10)), threads, End::Drained(100)).await;
        assert!(begin.elapsed() < Duration::from_millis(250));
        let sent = seen.requests() - before;
        assert!((5..=12).contains(&sent), "{sent}");
        assert_eq!(hits(&recording), (sent, sent, 0, 300 - sent));
    }
    let recording = run_with(warm(2_000, share(port, open(100, 3_000, 10))), 1, End::Drained(50)).await;
    assert_eq!(hits(&recording), (0, 0, 0, 300));
}

#[tokio::test]
async fn dropped_at_the_end_of_grace_the_plan_still_adds_up() {
    let (port, seen) = server(|_| reply("", Then::Hang)).await;
    // with grace, and without any
    for ms in [200, 100] {
        let before = seen.requests();
        let recording = run_with(share(port, open(500, 100, 3)), 2, End::Dropped(ms)).await;
        assert_eq!(hits(&recording), (3, 0, 0, 47), "{ms}");
        assert_eq!(tally(&recording).unfinished, seen.requests() - before);
    }
    let recording = run_with(warm(200, share(port, open(500, 100, 3))), 1, End::Dropped(100)).await;
    assert_eq!(hits(&recording), (0, 0, 0, 50));
}
