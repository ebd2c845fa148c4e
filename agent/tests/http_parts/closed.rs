//! The closed loop: its count, its end, its warm-up, drained and dropped.

use super::bench::*;
use std::time::{Duration, Instant};
use swarm_agent::wire::share::{Deal, Level, Load, Share, Stage};

fn level(share: &mut Share, level: Level) {
    if let Load::Closed(load) = &mut share.load {
        load.connections = level;
    }
}

fn warm(share: &mut Share, ms: u64) {
    if let Load::Closed(load) = &mut share.load {
        load.warmup = ms * MS;
    }
}

#[tokio::test]
async fn a_count_is_sent_exactly() {
    let (port, seen) = server(|_| ok()).await;
    let recording = run(share(port, closed(7, Some(100), None))).await;
    assert_eq!(hits(&recording), (100, 100, 0, 0));
    assert_eq!((seen.requests(), seen.connections()), (100, 7));
}

#[tokio::test]
async fn a_duration_ends_the_load() {
    let (port, seen) = server(|_| slow(5)).await;
    let begin = Instant::now();
    let recording = run(share(port, closed(3, None, Some(150)))).await;
    assert!((150..260).contains(&begin.elapsed().as_millis()));
    let sent = tally(&recording).requests;
    assert!(sent > 20, "{sent}");
    assert_eq!(hits(&recording), (seen.requests(), seen.requests(), 0, 0));
}

#[tokio::test]
async fn what_the_duration_cuts_off_a_count_was_not_started() {
    let (port, seen) = server(|_| slow(20)).await;
    let recording = run(share(port, closed(2, Some(1_000), Some(100)))).await;
    let sent = seen.requests();
    assert!(sent > 2 && sent < 20, "{sent}");
    assert_eq!(hits(&recording), (sent, sent, 0, 1_000 - sent));
}

#[tokio::test]
async fn two_threads_make_the_plan_together() {
    let (port, seen) = server(|_| ok()).await;
    let recording = run_with(share(port, closed(5, Some(101), None)), 2, End::Itself).await;
    assert_eq!(hits(&recording), (101, 101, 0, 0));
    assert_eq!((seen.requests(), seen.connections()), (101, 5));
}

#[tokio::test]
async fn connections_that_were_to_open_after_the_end_do_not_hold_it_up() {
    let (port, seen) = server(|_| slow(5)).await;
    for (requests, duration) in [(Some(20), None), (None, Some(100))] {
        let mut share = share(port, closed(1, requests, duration));
        let rate = Some(20_000_000);
        level(&mut share, Level::Ramp { count: 1_000, rate });
        let begin = Instant::now();
        let recording = run(share).await;
        assert!(begin.elapsed() < Duration::from_millis(400), "{:?}", begin.elapsed());
        assert_eq!(tally(&recording).not_started, 0);
    }
    assert!(seen.connections() < 20);
}

#[tokio::test]
async fn a_host_without_connections_starts_nothing_of_its_part() {
    let mut share = share(1, closed(1, Some(100), None));
    share.deal = Deal {
        mine: vec![1],
        slots: 2,
    };
    let recording = run(share).await;
    assert_eq!(hits(&recording), (0, 0, 0, 50));
}

#[tokio::test]
async fn a_thread_whose_connections_are_through_leaves_hits_to_others() {
    let (port, seen) = server(|_| slow(5)).await;
    let mut share = share(port, closed(1, Some(20), Some(500)));
    let stage = |duration, from, to| Stage { duration, from, to };
    // connection 0 of thread 0 stays, connection 1 of thread 1 closes after 20 ms
    let stages = vec![stage(20 * MS, 2, 2), stage(480 * MS, 1, 1)];
    level(&mut share, Level::Stages(stages));
    let recording = run_with(share, 2, End::Itself).await;
    assert_eq!((hits(&recording), seen.requests()), ((20, 20, 0, 0), 20));
}

#[tokio::test]
async fn the_warm_up_is_in_no_measured_number() {
    let (port, seen) = server(|_| slow(5)).await;
    let mut share = share(port, closed(2, Some(10), None));
    warm(&mut share, 100);
    let recording = run(share).await;
    assert_eq!(hits(&recording), (10, 10, 0, 0));
    let warmup = recording.warmup.as_ref().unwrap();
    assert!(warmup.requests > 10, "{warmup:?}");
    assert_eq!(warmup.requests + 10, seen.requests());
    assert_eq!(warmup.requests, warmup.ok + warmup.failed + warmup.unfinished);
    assert_eq!((warmup.unfinished, warmup.connections.opened), (0, 2));
    assert_eq!(tally(&recording).connections.opened, 0);
}

#[tokio::test]
async fn drained_in_the_warm_up_nothing_was_started() {
    let (port, seen) = server(|_| slow(5)).await;
    let mut share = share(port, closed(2, Some(10), None));
    warm(&mut share, 3_000);
    let recording = run_with(share, 1, End::Drained(50)).await;
    assert_eq!(hits(&recording), (0, 0, 0, 10));
    assert_eq!(recording.warmup.as_ref().unwrap().requests, seen.requests());
}

#[tokio::test]
async fn stages_count_from_the_end_of_the_warm_up() {
    let (port, _) = server(|_| slow(5)).await;
    let mut share = share(port, closed(1, None, Some(100)));
    let stages = vec![Stage {
        duration: 100 * MS,
        from: 2,
        to: 2,
    }];
    level(&mut share, Level::Stages(stages));
    warm(&mut share, 100);
    let recording = run(share).await;
    assert!(tally(&recording).ok > 15, "{:?}", tally(&recording));
}

#[tokio::test]
async fn drained_it_ends_at_once_and_what_is_in_flight_is_answered() {
    let (port, seen) = server(|_| slow(30)).await;
    let begin = Instant::now();
    let recording = run_with(share(port, closed(4, None, Some(4_000))), 1, End::Drained(100)).await;
    assert!(begin.elapsed() < Duration::from_millis(300));
    assert_eq!(hits(&recording), (seen.requests(), seen.requests(), 0, 0));
    for threads in [1, 2] {
        let begin = Instant::now();
        let recording = run_with(share(port, closed(4, Some(1_000), None)), threads, End::Drained(100)).await;
        assert!(begin.elapsed() < Duration::from_millis(300));
        let tally = tally(&recording);
        assert!(tally.ok > 0 && tally.ok == tally.requests);
        assert_eq!(tally.requests + tally.not_started, 1_000);
    }
}

#[tokio::test]
async fn dropped_at_the_end_of_grace_the_plan_still_adds_up() {
    let (port, seen) = server(|_| reply("", Then::Hang)).await;
    // with grace, and without any: then the flow has had no turn since the end
    for ms in [200, 100] {
        let before = seen.requests();
        let recording = run_with(share(port, closed(3, Some(50), Some(100))), 2, End::Dropped(ms)).await;
        assert_eq!(hits(&recording), (3, 0, 0, 47), "{ms}");
        assert_eq!(tally(&recording).unfinished, seen.requests() - before);
    }
}
