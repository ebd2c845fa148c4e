//! What hosts saw of the balancer, put together: exact over hosts, dropped with a doubtful name, told as warnings.

use super::*;
use swarm_agent::wire::observed::{Back, Departure, Span, Stray, Strays};

fn meets(outcome: &mut Outcome, host: usize, backend: &str, first_us: u64, last_us: u64) {
    let counts = &mut report(outcome, host).counts;
    let source = &mut counts.sources[0];
    source.backends.push((backend.to_owned(), 7));
    source.spans.push(Span {
        backend: backend.to_owned(),
        first_us,
        last_us,
    });
}

fn strays(at_us: u64) -> Strays {
    Strays {
        sessions: 3,
        first: Some(Stray {
            at_us,
            source: [10, 0, 0, 9].into(),
            session: "sid abcdef...".into(),
            from: "s0".into(),
            to: "s1".into(),
        }),
    }
}

#[test]
fn breaks_of_all_hosts_add_up() {
    let mut outcome = open_loop(3);
    assert_eq!(merge(&outcome).affinity.breaks, None);
    meets(&mut outcome, 0, "s1", 500_000, 800_000);
    meets(&mut outcome, 2, "s1", 300_000, 800_000);
    report(&mut outcome, 0).counts.strays = strays(400_000);
    report(&mut outcome, 1).counts.strays = strays(200_000);
    let summary = merge(&outcome);
    let breaks = summary.affinity.breaks.unwrap();
    assert_eq!((breaks.sources, breaks.sessions, breaks.first_us), (2, 6, 200_000));
    assert_eq!(
        (breaks.example.host.as_str(), breaks.example.session.as_deref()),
        ("h1", Some("sid abcdef..."))
    );
    assert_eq!(summary.affinity.sticky, Some(false));
    // a name that is none breaks nothing
    report(&mut outcome, 0).counts.backend_overflow = 1;
    let summary = merge(&outcome);
    assert_eq!((summary.affinity.breaks, summary.affinity.moves.len()), (None, 0));
}

#[test]
fn a_backend_lost_on_two_hosts_is_one_move() {
    let mut outcome = sums::stormy();
    let departed = |at_us: u64, to: &str| Departure {
        from: Some("s1".into()),
        first_us: at_us,
        last_us: at_us,
        lost: 1,
        stormed: 0,
        back: vec![Back {
            to: Some(to.to_owned()),
            clients: 1,
            away: recorded(&[700_000]),
        }],
    };
    let near = departed(3_000_000, "s0");
    let far = departed(9_000_000, "s1");
    report(&mut outcome, 0).counts.departures = vec![near, far];
    let moves = merge(&outcome).affinity.moves;
    let told: Vec<_> = moves
        .iter()
        .map(|row| {
            (
                row.first_us,
                row.last_us,
                row.lost,
                row.stormed,
                row.moved(),
                row.missing(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [(2_000_000, 3_000_000, 2, 4, 1, 3), (9_000_000, 9_000_000, 1, 0, 0, 0)]
    );
    assert_eq!((moves[0].away().count, moves[0].away().min), (3, 700_000));
}

#[test]
fn sources_of_http_move_for_good() {
    let mut outcome = open_loop(2);
    meets(&mut outcome, 0, "s1", 2_000_000, 3_900_000);
    let moves = merge(&outcome).affinity.moves;
    assert_eq!(moves.len(), 1);
    assert_eq!(
        (moves[0].from.as_deref(), moves[0].first_us, moves[0].lost),
        (Some("s0"), 2_000_000, 1)
    );
    assert_eq!(moves[0].to[0].name.as_deref(), Some("s1"));
}

#[test]
fn one_slow_backend_is_a_warning() {
    let mut outcome = open_loop(2);
    let (fast, slow) = (recorded(&[1_000; 200]), recorded(&[40_000; 200]));
    report(&mut outcome, 0).counts.backends[0].latency = fast;
    report(&mut outcome, 1).counts.backends[0].latency = slow;
    let summary = merge(&outcome);
    assert_eq!(kinds(&summary), ["slow_backend"]);
    let text = &summary.warnings[0].text;
    assert!(
        text.starts_with("s1 is slow: the median of its request is 40 ms"),
        "{text}"
    );
}

#[test]
fn hosts_behind_one_address_are_told() {
    let mut outcome = open_loop(3);
    for host in 0..3 {
        report(&mut outcome, host).counts.sources[0].seen_as = vec![[203, 0, 113, 9 + host as u8 / 2].into()];
    }
    report(&mut outcome, 2).counts.sources[0]
        .seen_as
        .push([203, 0, 113, 77].into());
    let summary = merge(&outcome);
    assert_eq!(kinds(&summary), ["sources_share_address", "source_seen_as_many"]);
    assert!(
        summary.warnings[0]
            .text
            .starts_with("10.0.0.1 of h0 and 10.0.0.2 of h1 are seen as one address, 203.0.113.9"),
        "{:?}",
        summary.warnings
    );
    assert_eq!(summary.sources[2].seen_as.len(), 2);
}
