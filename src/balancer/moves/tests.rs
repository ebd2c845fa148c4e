//! Moves are told on evidence alone.
#![allow(clippy::unwrap_used)]

use super::*;
use swarm_agent::wire::observed::Back;

const S: u64 = 1_000_000;

fn departure(from: &str, at_us: u64, (lost, stormed): (u64, u64), back: &[(Option<&str>, u64)]) -> Departure {
    Departure {
        from: Some(from.to_owned()),
        first_us: at_us,
        last_us: at_us + 1000,
        lost,
        stormed,
        back: back
            .iter()
            .map(|(to, clients)| {
                let mut away = Histogram::default();
                (0..*clients).for_each(|_| away.record(1_200_000));
                Back {
                    to: to.map(str::to_owned),
                    clients: *clients,
                    away,
                }
            })
            .collect(),
    }
}

fn told(departures: &[Departure], stood: &[(&str, u64)]) -> Vec<Option<String>> {
    let stood = stood.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    of_clients(departures, &stood).iter().map(words).collect()
}

#[test]
fn a_backend_that_lost_everyone_was_lost() {
    let lost = departure("s2", 12_300_000, (40, 0), &[(Some("s1"), 22), (Some("s3"), 18)]);
    let stood = [("s1", 62), ("s2", 40), ("s3", 58)];
    assert_eq!(
        told(std::slice::from_ref(&lost), &stood)[0].as_deref(),
        Some("s2 was lost at 12.3 s: 40 clients moved, 22 to s1 and 18 to s3, away for 1.2 s (median)")
    );
    // it had one more: it only lost some
    assert_eq!(
        told(&[lost], &[("s2", 41)])[0].as_deref(),
        Some("s2 lost 40 clients at 12.3 s: 40 clients moved, 22 to s1 and 18 to s3, away for 1.2 s (median)")
    );
}

#[test]
fn those_who_come_back_are_told_apart() {
    type Case<'a> = (Departure, u64, Option<&'a str>);
    let cases: [Case<'_>; 7] = [
        (
            departure("s2", 3 * S, (20, 0), &[(Some("s2"), 20)]),
            40,
            Some("s2 was lost at 3.0 s: 20 came back to it, away for 1.2 s (median)"),
        ),
        (
            departure("s2", 3 * S, (20, 0), &[(Some("s1"), 1), (Some("s2"), 17)]),
            37,
            Some(
                "s2 was lost at 3.0 s: 1 client moved, 1 to s1, 17 came back to it, 2 are not back, away for 1.2 s \
                 (median)",
            ),
        ),
        (
            departure("s2", 3 * S, (20, 0), &[]),
            20,
            Some("s2 was lost at 3.0 s: 20 are not back"),
        ),
        // two clients are too few to speak of a server
        (departure("s2", 3 * S, (2, 0), &[]), 2, None),
        // and some clients that come back to it are no news
        (departure("s2", 3 * S, (5, 0), &[(Some("s2"), 5)]), 90, None),
        (departure("s2", 3 * S, (0, 20), &[(Some("s2"), 20)]), 40, None),
        (
            departure("s2", 3 * S, (0, 20), &[(Some("s1"), 5), (Some("s2"), 14), (None, 1)]),
            34,
            Some(
                "20 clients of s2 dropped their connections at 3.0 s: 5 clients moved, 5 to s1, 14 came back to it, 1 \
                 are back nobody knows where, away for 1.2 s (median)",
            ),
        ),
    ];
    for (departure, stood, wanted) in cases {
        let rows = told(std::slice::from_ref(&departure), &[("s2", stood)]);
        assert_eq!(rows[0].as_deref(), wanted, "{departure:?}");
    }
    let mut nameless = departure("s2", S, (9, 0), &[(Some("s1"), 9)]);
    nameless.from = None;
    assert_eq!(told(&[nameless], &[("s2", 9)]), [None]);
}

/// s1, then s2 is restarted; each one's clients go to the other.
#[test]
fn a_rolling_restart_is_told_one_by_one() {
    let departures = [
        departure("s1", 10 * S, (20, 0), &[(Some("s2"), 20)]),
        departure("s2", 20 * S, (40, 0), &[(Some("s1"), 40)]),
    ];
    // s1 had its 20 and then those 40; s2 its 20 and those 20
    let rows = told(&departures, &[("s1", 60), ("s2", 40)]);
    assert!(
        rows[0].as_ref().unwrap().starts_with("s1 was lost at 10.0 s"),
        "{rows:?}"
    );
    assert!(
        rows[1].as_ref().unwrap().starts_with("s2 was lost at 20.0 s"),
        "{rows:?}"
    );
}

fn met(last: u8, backends: &[(&'static str, u64, u64, u64)]) -> Met<'static> {
    Met {
        host: "h1",
        address: [10, 0, 0, last].into(),
        backends: backends
            .iter()
            .map(|(name, count, first_us, last_us)| MetOne {
                name,
                count: *count,
                first_us: *first_us,
                last_us: *last_us,
            })
            .collect(),
    }
}

#[test]
fn a_source_moves_for_good_or_not_at_all() {
    let one = |backends: &[(&'static str, u64, u64, u64)]| of_sources(&[met(1, backends)]);
    let moved = one(&[("s1", 90, 13 * S, 30 * S), ("s2", 50, 0, 12 * S)]);
    assert_eq!(moved.len(), 1);
    assert_eq!(
        words(&moved[0]).unwrap(),
        "1 source that s2 had answered went for good at 13.0 s, 1 to s1, without an answer for 1.0 s (median)"
    );
    for never in [
        &[("s1", 90, 0, 30 * S)][..],
        // round robin
        &[("s1", 90, 0, 30 * S), ("s2", 90, 1, 30 * S)],
        // it came back
        &[("s1", 90, 0, 30 * S), ("s2", 50, 12 * S, 18 * S)],
        // too little
        &[("s1", 90, 13 * S, 30 * S), ("s2", 4, 0, 12 * S)],
        &[("s1", 4, 13 * S, 30 * S), ("s2", 50, 0, 12 * S)],
        // the end came too soon to tell
        &[("s1", 90, 12 * S, 12 * S + S / 2), ("s2", 50, 0, 12 * S)],
    ] {
        assert_eq!(one(never), [], "{never:?}");
    }
}

#[test]
fn sources_that_move_together_are_one_move() {
    let moves = of_sources(&[
        met(1, &[("s2", 50, 0, 12 * S), ("s1", 90, 12 * S + 5, 30 * S)]),
        met(2, &[("s2", 50, 0, 12 * S), ("s3", 90, 13 * S, 30 * S)]),
        met(3, &[("s2", 50, 0, 20 * S), ("s3", 90, 20 * S, 30 * S)]),
        met(4, &[("s1", 50, 0, 29 * S)]),
    ]);
    let told: Vec<_> = moves
        .iter()
        .map(|row| {
            (
                row.from.as_deref().unwrap(),
                row.first_us,
                row.last_us,
                row.lost,
                row.to.len(),
            )
        })
        .collect();
    assert_eq!(told, [("s2", 12 * S + 5, 13 * S, 2, 2), ("s2", 20 * S, 20 * S, 1, 1)]);
}

#[test]
fn a_lost_backend_breaks_no_stickiness() {
    let lost = |whole| {
        let stood = [("s2".to_owned(), if whole { 20 } else { 90 })].into();
        of_clients(&[departure("s2", 5 * S, (20, 0), &[(Some("s1"), 20)])], &stood)
    };
    let stayed = met(2, &[("s3", 20, 1, S)]);
    let went = met(1, &[("s2", 20, 0, S), ("s1", 20, 6 * S, 7 * S)]);
    let sources = [went.clone(), stayed.clone()];
    assert_eq!(
        sticky_until(&sources, &lost(true), "cookies kept").unwrap(),
        "sticky until a backend was lost: 1 of 2 sources were on another backend then, all others stayed where they were \
         (cookies kept)"
    );
    // only some of its clients were lost
    assert_eq!(sticky_until(&sources, &lost(false), ""), None);
    // it was elsewhere before that, or on one where nobody of that move went
    for (name, at) in [("s1", 4 * S), ("s3", 6 * S)] {
        let early = met(3, &[("s2", 20, 0, S), (name, 20, at, 7 * S)]);
        assert_eq!(sticky_until(&[went.clone(), early], &lost(true), ""), None, "{name}");
    }
    assert_eq!(sticky_until(&[stayed], &lost(true), ""), None);
    assert_eq!(sticky_until(&sources, &[], ""), None);
    let http = met(1, &[("s1", 90, 13 * S, 30 * S), ("s2", 50, 0, 12 * S)]);
    let moves = of_sources(std::slice::from_ref(&http));
    assert!(
        sticky_until(&[http], &moves, "cookies dropped")
            .unwrap()
            .starts_with("sticky but for a change in mid-run: 1 of 1 sources")
    );
}
