//! What rules pick, by tables and by properties. That it is what balancers pick is held by the lab (`predicted`).

#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

fn pool(text: &str) -> Pool {
    Pool::parse(text).unwrap()
}

fn dealer(rule: Rule, backends: &str, down: &[&str]) -> Dealer {
    let pool = down
        .iter()
        .fold(pool(backends), |pool, name| pool.without(name).unwrap());
    rule.over(&pool).unwrap()
}

fn dealt(dealer: &Dealer, sources: &[&str]) -> Vec<Option<usize>> {
    sources
        .iter()
        .map(|source| dealer.server(source.parse().unwrap()))
        .collect()
}

/// Servers as every rule takes them.
const WRITTEN: &str = "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80";

#[test]
fn the_map_is_the_address_modulo_the_servers() {
    let sources = ["10.77.0.1", "10.77.0.2", "10.77.0.3", "10.77.0.4"];
    let three = dealer(Rule::HaproxySource, "3", &[]);
    assert_eq!(dealt(&three, &sources), [Some(1), Some(2), Some(0), Some(1)]);
    let without = dealer(Rule::HaproxySource, "3", &["s2"]);
    assert_eq!(dealt(&without, &sources), [Some(2), Some(0), Some(2), Some(0)]);
    assert_eq!(three.why_idle(2), "no source is 2 mod 3");
}

#[test]
fn weights_have_their_slots_and_common_factors_are_taken_out() {
    for (backends, slots) in [("3:2,1,1", 4), ("3:20,10,10", 4), ("2:3,5", 8)] {
        let dealer = dealer(Rule::HaproxySource, backends, &[]);
        let mut counts = vec![0; 3];
        for n in 0..slots {
            counts[dealer.server(IpAddr::V4(n.into())).unwrap()] += 1;
        }
        let weights = pool(backends).reduced_weights();
        counts.truncate(weights.len());
        assert_eq!(counts, weights, "{backends}");
        // and it begins again
        assert_eq!(
            dealer.server(IpAddr::V4(0.into())),
            dealer.server(IpAddr::V4(slots.into()))
        );
    }
    assert_eq!(
        dealer(Rule::HaproxySource, "2:3,5", &[])
            .why_idle(0)
            .split(' ')
            .next_back(),
        Some("8")
    );
}

#[test]
fn ip_hash_takes_three_octets_of_ipv4_and_all_of_ipv6() {
    let three = dealer(Rule::NginxIpHash, "3", &[]);
    let one_24 = dealt(&three, &["10.0.0.1", "10.0.0.2", "10.0.0.255"]);
    assert!(one_24.windows(2).all(|pair| pair[0] == pair[1]));
    let reached = |sources: Vec<IpAddr>| -> std::collections::BTreeSet<usize> {
        sources
            .into_iter()
            .map(|source| three.server(source).unwrap())
            .collect()
    };
    assert_eq!(reached((0..32).map(|c| IpAddr::from([10, 0, c, 1])).collect()).len(), 3);
    let v6 = (1..32).map(|n| IpAddr::V6((0x2001_0db8_u128 << 96 | n).into()));
    assert_eq!(reached(v6.collect()).len(), 3);
}

#[test]
fn only_what_hangs_on_a_server_moves_when_it_goes() {
    for rule in [Rule::HaproxySourceConsistent, Rule::NginxHashConsistent] {
        let whole = dealer(rule, WRITTEN, &[]);
        let without = dealer(rule, WRITTEN, &["10.0.0.2:80"]);
        let mut moved = 0;
        for n in 0..2000u32 {
            let source = IpAddr::V4((0x0a00_0000 + n * 7).into());
            match whole.server(source) {
                Some(1) => {
                    moved += 1;
                    assert_ne!(without.server(source), Some(1));
                }
                other => assert_eq!(without.server(source), other, "{rule:?} {source}"),
            }
        }
        assert!(moved > 300, "{rule:?}: {moved}");
    }
}

#[test]
fn what_is_not_known_is_refused() {
    let refused = Rule::NginxHashConsistent.over(&pool("3")).unwrap_err();
    assert!(refused.contains("--backends 10.0.0.4:3000"), "{refused}");
    assert!(
        Rule::parse("leastconn")
            .unwrap_err()
            .contains("haproxy-source, haproxy-source-avalanche")
    );
    for rule in Rule::ALL {
        assert_eq!(Rule::parse(rule.word()), Ok(rule));
    }
}

#[test]
fn pools_are_read() {
    let names = |text: &str| Pool::parse(text).map(|pool| pool.names());
    let weights = |text: &str| -> Vec<u32> { pool(text).servers().iter().map(|server| server.weight).collect() };
    assert_eq!(names("2").unwrap(), ["s1", "s2"]);
    assert_eq!(weights("4:2,1,1,1"), [2, 1, 1, 1]);
    assert_eq!(names("web1,web2=3").unwrap(), ["web1", "web2"]);
    assert_eq!(weights("web1,web2=3"), [1, 3]);
    assert_eq!(
        names("10.0.0.4:3000,10.0.0.5:3000").unwrap(),
        ["10.0.0.4:3000", "10.0.0.5:3000"]
    );
    for (text, says) in [
        ("", "a number (4)"),
        ("1", "at least 2"),
        ("web1", "at least 2"),
        ("65", "at most 64"),
        ("99999999999999999999", "at most 64"),
        ("3:1,1", "3 servers want 3 weights, not 2"),
        ("2:1,0", "weight 0: 1 to 256"),
        ("2:1,257", "weight 257"),
        ("a=x,b", "weight x"),
        ("a,,b", "a number (4)"),
        ("a,b,a", "a stands there twice"),
    ] {
        let error = Pool::parse(text).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
    assert!(pool("2").without("s3").unwrap_err().contains("s1, s2"));
    let error = pool("2").without("s1").unwrap().without("s2").unwrap_err();
    assert!(error.contains("no backend is left"), "{error}");
}

fn some_pool() -> impl Strategy<Value = Pool> {
    let servers = prop::collection::vec((1u32..=20, any::<bool>()), 2..8);
    servers.prop_filter_map("one must be up", |servers| {
        let text: Vec<String> = servers
            .iter()
            .enumerate()
            .map(|(i, (w, _))| format!("10.0.0.{i}:80={w}"))
            .collect();
        let mut pool = Pool::parse(&text.join(",")).ok()?;
        for (i, (_, up)) in servers.iter().enumerate() {
            if !up {
                pool = pool.without(&format!("10.0.0.{i}:80")).ok()?;
            }
        }
        Some(pool)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No source reaches a server that is down, shares are a whole, and those that are down have none.
    #[test]
    fn only_servers_that_are_up_are_reached(pool in some_pool(), addresses in prop::collection::vec(any::<(u32, u128)>(), 32)) {
        for rule in Rule::ALL {
            let dealer = rule.over(&pool).unwrap();
            for (v4, v6) in &addresses {
                for source in [IpAddr::V4((*v4).into()), IpAddr::V6((*v6).into())] {
                    prop_assert!(dealer.server(source).is_none_or(|at| pool.servers()[at].up));
                    prop_assert_eq!(dealer.server(source), dealer.server(rule.key(source)));
                }
            }
            let shares = dealer.shares();
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{:?} {:?}", rule, shares);
            prop_assert!(shares.iter().zip(pool.servers()).all(|(share, server)| server.up == (*share > 0.0)), "{:?}", shares);
        }
    }
}

/// The shares that hosts of unknown addresses are reckoned with are those that many addresses have.
#[test]
fn shares_are_what_many_addresses_get() {
    for rule in Rule::ALL {
        for down in [&[][..], &["10.0.0.2:80"]] {
            let dealer = dealer(rule, "10.0.0.1:80=2,10.0.0.2:80,10.0.0.3:80,10.0.0.4:80=3", down);
            let mut counts = [0.0; 4];
            let n = 40_000u32;
            for i in 0..n {
                // all over the address space
                let source = IpAddr::V4(i.wrapping_mul(2_654_435_761).into());
                if let Some(at) = dealer.server(source) {
                    counts[at] += 1.0 / f64::from(n);
                }
            }
            for (share, count) in dealer.shares().iter().zip(counts) {
                assert!(
                    (share - count).abs() < 0.02,
                    "{rule:?} {down:?}: {:?} {counts:?}",
                    dealer.shares()
                );
            }
        }
    }
}

/// What the real balancers answered in the lab (`predicted`): three equal servers at 127.0.0.1:17600 to 17602, twelve sources from
/// 10.77.0.1 and twelve from 2001:db8::1 on.
#[test]
fn what_real_balancers_answered_is_still_predicted() {
    let answered: [(Rule, [usize; 12], [usize; 12]); 3] = [
        (
            Rule::HaproxySourceAvalanche,
            [2, 2, 1, 0, 0, 1, 0, 1, 0, 1, 1, 2],
            [0, 2, 2, 2, 0, 1, 0, 1, 0, 1, 1, 1],
        ),
        (
            Rule::HaproxySourceConsistent,
            [0, 2, 1, 0, 2, 0, 1, 1, 1, 0, 2, 1],
            [0, 2, 1, 1, 1, 1, 2, 2, 0, 1, 1, 1],
        ),
        (
            Rule::NginxHashConsistent,
            [0, 0, 1, 1, 0, 1, 2, 1, 0, 1, 2, 0],
            [0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 2],
        ),
    ];
    for (rule, v4, v6) in answered {
        let dealer = dealer(rule, "127.0.0.1:17600,127.0.0.1:17601,127.0.0.1:17602", &[]);
        let deal = |first: IpAddr| -> Vec<usize> {
            let nth = |n: u8| match first {
                IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) + u32::from(n)).into()),
                IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) + u128::from(n)).into()),
            };
            (0..12).map(|n| dealer.server(nth(n)).unwrap()).collect()
        };
        assert_eq!(deal("10.77.0.1".parse().unwrap()), v4, "{rule:?}");
        assert_eq!(deal("2001:db8::1".parse().unwrap()), v6, "{rule:?}");
    }
}

#[test]
fn the_checksum_is_the_one_of_ethernet() {
    assert_eq!(!points::crc(!0, b"123456789"), 0xcbf4_3926);
}

#[test]
fn ipv6_is_written_as_nginx_writes_it() {
    for (address, written) in [
        ("2001:db8::1", "2001:db8::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("::1", "::1"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
        ("::10.0.0.1", "::10.0.0.1"),
        ("fe80::ff:fe00:0", "fe80::ff:fe00:0"),
    ] {
        assert_eq!(points::text(address.parse().unwrap()), written);
    }
}
