//! Each verdict, and what it takes for one.

#![allow(clippy::unwrap_used)]
use super::super::{Seen, matrix};
use super::*;

/// A source and the backends that it reached.
fn seen(rows: &[(&str, &[&str])]) -> Matrix {
    let owned: Vec<(IpAddr, Vec<(String, u64)>)> = rows
        .iter()
        .map(|(source, backends)| {
            let backends = backends.iter().map(|name| ((*name).to_owned(), 10)).collect();
            (source.parse().unwrap(), backends)
        })
        .collect();
    let seen: Vec<Seen<'_>> = owned
        .iter()
        .map(|(address, backends)| Seen {
            host: "h",
            address: *address,
            backends,
        })
        .collect();
    matrix(&seen)
}

/// What a rule would have made of these sources, with the servers called otherwise.
fn dealt(balancer: &Balancer, sources: &[&str], called: &[&str]) -> Matrix {
    let rows: Vec<(&str, [&str; 1])> = sources
        .iter()
        .map(|source| (*source, [called[balancer.server(source.parse().unwrap()).unwrap()]]))
        .collect();
    let rows: Vec<(&str, &[&str])> = rows.iter().map(|(source, names)| (*source, &names[..])).collect();
    seen(&rows)
}

fn balancer(rule: Rule, backends: &str) -> Balancer {
    Balancer::new(rule, Pool::parse(backends).unwrap()).unwrap()
}

fn known(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn named(matrix: &Matrix, balancer: &Balancer) -> Explained {
    let clues = Clues {
        known: None,
        named: Some(balancer),
    };
    explain(matrix, &clues)
}

/// None of them is 2 mod 3.
const EIGHT: [&str; 8] = [
    "10.0.0.2",
    "10.0.0.3",
    "10.0.0.5",
    "10.0.0.6",
    "10.0.0.8",
    "10.0.0.9",
    "10.0.0.11",
    "10.0.0.12",
];

#[test]
fn a_rule_that_was_named_says_who_got_nothing_and_why() {
    let three = balancer(Rule::HaproxySource, "3");
    let told = named(&dealt(&three, &EIGHT, &["s1", "s2", "s3"]), &three);
    assert_eq!(
        told.because.unwrap(),
        "8 sources reached 2 of 3 backends, as haproxy-source predicts; s3 got nothing, because no source is 2 mod 3; add 10.0.0.13, or \
         --source-ips 10.0.0.13"
    );
    assert_eq!((told.known, told.rule), (Some(3), Some(Rule::HaproxySource)));
    assert_eq!(told.idle, ["s3"]);
    assert_eq!(told.unknown, None);
}

#[test]
fn servers_of_other_names_are_told_by_their_place() {
    let three = balancer(Rule::HaproxySource, "3");
    let told = named(&dealt(&three, &EIGHT, &["node-a", "node-b", "node-c"]), &three);
    assert_eq!(told.idle, ["server 3 of the configuration"]);
    let because = told.because.unwrap();
    assert!(
        because.contains("; server 3 of the configuration got nothing, because no source is 2 mod 3; "),
        "{because}"
    );
}

#[test]
fn all_reached_is_said_too() {
    let three = balancer(Rule::HaproxySource, "3");
    let told = named(
        &dealt(&three, &["10.0.0.1", "10.0.0.2", "10.0.0.3"], &["s1", "s2", "s3"]),
        &three,
    );
    assert_eq!(
        told.because.unwrap(),
        "3 sources reached 3 of 3 backends, as haproxy-source predicts"
    );
    assert!(told.idle.is_empty());
}

#[test]
fn one_24_behind_ip_hash_wants_another_network() {
    let three = balancer(Rule::NginxIpHash, "3");
    let told = named(&dealt(&three, &["10.77.0.1", "10.77.0.2"], &["s1", "s2", "s3"]), &three);
    let because = told.because.unwrap();
    assert!(
        because.starts_with("2 sources reached 1 of 3 backends, as nginx-ip-hash predicts; "),
        "{because}"
    );
    assert!(because.contains("add hosts in other networks, as 10.77."), "{because}");
    assert!(because.contains(".0/24"), "{because}");
    assert_eq!(told.idle.len(), 2);
}

#[test]
fn what_the_named_rule_does_not_predict_is_no_verdict() {
    let three = balancer(Rule::HaproxySource, "3");
    // .1 should be on s2
    let told = named(&seen(&[("10.77.0.1", &["s1"]), ("10.77.0.2", &["s3"])]), &three);
    assert_eq!(told.because, None);
    let unknown = told.unknown.unwrap();
    assert!(
        unknown.starts_with(
            "haproxy-source over 3 servers predicts s2 for 10.77.0.1, and it reached s1 (1 of 2 sources differ): "
        ),
        "{unknown}"
    );
    assert!(unknown.contains("NAT"), "{unknown}");
    // public addresses are what the balancer sees
    let told = named(&seen(&[("54.1.0.1", &["s1"]), ("54.1.0.2", &["s1"])]), &three);
    assert!(!told.unknown.unwrap().contains("NAT"));
    // two names for one server
    let told = named(&seen(&[("10.77.0.1", &["a"]), ("10.77.0.4", &["b"])]), &three);
    assert!(told.unknown.unwrap().contains("whatever their names stand for"));
}

#[test]
fn a_server_that_was_down_is_found_with_enough_sources() {
    let three = balancer(Rule::HaproxySource, "3");
    let two = three.without("s2").unwrap();
    let many: Vec<String> = (1..=14).map(|n| format!("10.0.0.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let told = named(&dealt(&two, &many, &["s1", "s2", "s3"]), &three);
    assert_eq!(
        told.because.unwrap(),
        "14 sources reached 2 of 3 backends, as haproxy-source predicts with s2 down"
    );
    assert_eq!(told.known, Some(3));
    let told = named(&dealt(&two, &many[..4], &["s1", "s2", "s3"]), &three);
    assert_eq!(told.because, None);
    let unknown = told.unknown.unwrap();
    assert!(
        unknown.contains("with s2 down it would be as seen, and too few sources tell"),
        "{unknown}"
    );
}

#[test]
fn a_socket_for_both_families_is_found_with_enough_sources() {
    let three = balancer(Rule::HaproxySource, "3");
    let both = three.clone().on_both_families();
    let many: Vec<String> = (1..=14).map(|n| format!("10.0.0.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let told = named(&dealt(&both, &many, &["s1", "s2", "s3"]), &three);
    assert_eq!(
        told.because.unwrap(),
        "14 sources reached 3 of 3 backends, as haproxy-source predicts where the balancer sees ::ffff:a.b.c.d (it listens on IPv6 for \
         both families)"
    );
    let told = named(&dealt(&both, &many[..3], &["s1", "s2", "s3"]), &three);
    let unknown = told.unknown.unwrap();
    assert!(unknown.contains("(where the balancer sees ::ffff:a.b.c.d"), "{unknown}");
}

#[test]
fn a_source_on_two_backends_is_no_source_hash() {
    let three = balancer(Rule::HaproxySource, "3");
    let told = named(&seen(&[("10.77.0.1", &["s1", "s2"]), ("10.77.0.2", &["s3"])]), &three);
    assert_eq!(told.because, None);
    let unknown = told.unknown.unwrap();
    assert!(unknown.contains("1 of 2 sources were seen on several"), "{unknown}");
}

#[test]
fn a_rule_that_nobody_named_needs_proof() {
    let names = known(&["s1", "s2", "s3"]);
    let clues = Clues {
        known: Some(&names),
        named: None,
    };
    let three = balancer(Rule::HaproxySource, "3");
    let told = explain(&dealt(&three, &EIGHT, &["s1", "s2", "s3"]), &clues);
    // five rules, and to ip_hash all of these are one source: chance fits once in three
    assert_eq!(
        told.because.unwrap(),
        "8 sources reached 2 of 3 backends; s3 got nothing"
    );
    assert!(told.unknown.unwrap().contains("why is not known"));
    assert_eq!((told.rule, told.known), (None, Some(3)));
    // sources in several networks, none in turn
    let spread: Vec<String> = (0..12)
        .map(|n| format!("10.{n}.{}.{}", n * 7 % 5, 3 + n * n % 7))
        .collect();
    let spread: Vec<&str> = spread.iter().map(String::as_str).collect();
    for rule in [
        Rule::HaproxySource,
        Rule::HaproxySourceAvalanche,
        Rule::HaproxySourceConsistent,
        Rule::NginxIpHash,
    ] {
        let told = explain(&dealt(&balancer(rule, "3"), &spread, &["s1", "s2", "s3"]), &clues);
        assert_eq!(told.rule, Some(rule));
        let because = told.because.unwrap();
        assert!(
            because.contains(&format!(
                ", as {} predicts, and no other rule that swarm knows",
                rule.word()
            )),
            "{because}"
        );
    }
}

#[test]
fn sources_dealt_in_turn_prove_nothing() {
    let names = known(&["s1", "s2", "s3"]);
    let clues = Clues {
        known: Some(&names),
        named: None,
    };
    // as any balancer does that deals newcomers in turn and remembers them, and `balance source` too
    let rows: Vec<(String, &str)> = (0..30)
        .map(|n| (format!("10.{n}.0.1"), ["s3", "s1", "s2"][n % 3]))
        .collect();
    let rows: Vec<(&str, &[&str])> = rows
        .iter()
        .map(|(source, name)| (source.as_str(), std::slice::from_ref(name)))
        .collect();
    let told = explain(&seen(&rows), &clues);
    assert_eq!((told.rule, told.because, told.known), (None, None, Some(3)));
}

#[test]
fn nothing_known_is_said() {
    let told = explain(
        &seen(&[("10.0.0.1", &["s1"]), ("10.0.0.2", &["s2"])]),
        &Clues::default(),
    );
    assert_eq!((told.known, told.rule, told.because), (None, None, None));
    assert!(told.unknown.unwrap().contains("--balancer RULE --backends N"));
    assert_eq!(explain(&seen(&[]), &Clues::default()), Explained::default());
    for rows in [
        &[("10.0.0.1", &["s1"][..])][..],
        &[("10.0.0.1", &["s1", "s2"][..]), ("10.0.0.2", &["s2"][..])][..],
    ] {
        assert_eq!(explain(&seen(rows), &Clues::default()), Explained::default());
    }
    let names = known(&["web1", "web2"]);
    let clues = Clues {
        known: Some(&names),
        named: None,
    };
    let told = explain(&seen(&[("10.0.0.1", &["a"]), ("10.0.0.2", &["b"])]), &clues);
    assert!(told.unknown.unwrap().contains("name them otherwise"));
}
