//! What is printed of a predicted spread.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::balancer::forecast::forecast;
use crate::balancer::rule::Pool;

fn told(rule: Rule, backends: &str, down: Option<&str>, sources: &[&str], json: bool) -> String {
    let balancer = Balancer::new(rule, Pool::parse(backends).unwrap()).unwrap();
    let balancer = down.map_or_else(|| balancer.clone(), |name| balancer.without(name).unwrap());
    let sources: Vec<Source> = sources
        .iter()
        .map(|address| Source {
            address: address.parse().unwrap(),
            host: Some(format!("root@{address}")),
            clients: Some(25),
        })
        .collect();
    let addresses: Vec<IpAddr> = sources.iter().map(|source| source.address).collect();
    let seen = forecast(&balancer, &addresses);
    let spread = Spread {
        url: Some("https://app.test/"),
        balancer: &balancer,
        reach: seen.to_reach_all(&balancer, &addresses),
        even: seen.to_be_even(&balancer, &addresses),
        drawn: seen.drawn(&balancer),
        seen: &seen,
        sources: &sources,
        notes: &["a doubt".to_owned()],
    };
    if json { spread.json().unwrap() } else { spread.text() }
}

#[test]
fn a_spread_with_a_gap() {
    let text = told(
        Rule::HaproxySource,
        "3",
        None,
        &["10.0.0.2", "10.0.0.3", "10.0.0.5", "10.0.0.6"],
        false,
    );
    let expected = "\
https://app.test/: haproxy-source (balance source) over 3 backends; prediction verified against HAProxy 2.6, nothing is sent

 source   | host          | backend | clients
----------+---------------+---------+---------
 10.0.0.2 | root@10.0.0.2 | s1      |      25
 10.0.0.3 | root@10.0.0.3 | s2      |      25
 10.0.0.5 | root@10.0.0.5 | s1      |      25
 10.0.0.6 | root@10.0.0.6 | s2      |      25

 backend | sources | share of all addresses | clients
---------+---------+------------------------+---------
 s1      |       2 |                 33.3 % |      50
 s2      |       2 |                 33.3 % |      50
 s3      |       0 |                 33.3 % |       0

2 of 3 backends are reached; busiest over mean 1.50
s3 gets nothing: no source is 2 mod 3
for all to be reached: 1 more source: 10.0.0.7 (s3)
for all to be reached evenly: 2 more sources: 10.0.0.7 (s3), 10.0.0.10 (s3)
hosts with addresses that EC2 picks, for all to be reached: 2 more for 50 %, 6 more for 90 %, 12 more for 99 %
note: a doubt
";
    assert_eq!(text, expected);
}

#[test]
fn without_addresses_only_chance_is_told() {
    let text = told(Rule::HaproxySource, "4", None, &[], false);
    assert!(!text.contains("gets nothing"), "{text}");
    assert!(
        text.contains("for all to be reached: 7 for 50 %, 13 for 90 %, 21 for 99 %"),
        "{text}"
    );
}

#[test]
fn what_is_down_is_said_to_be() {
    let text = told(Rule::HaproxySource, "3:2,1,1", Some("s2"), &["10.0.0.1"], false);
    assert!(
        text.contains(" s2      |      1 |    down |                  0.0 % |       0"),
        "{text}"
    );
    assert!(text.contains("1 of 2 backends is reached"), "{text}");
}

#[test]
fn ip_hash_wants_other_networks() {
    let text = told(Rule::NginxIpHash, "3", None, &["10.0.0.1", "10.0.0.2"], false);
    assert!(text.contains("one /24 is one source to ip_hash"), "{text}");
}

#[test]
fn json_says_the_same() {
    let text = told(
        Rule::HaproxySource,
        "3",
        None,
        &["10.0.0.2", "10.0.0.3", "10.0.0.5", "10.0.0.6"],
        true,
    );
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["schema"], "swarm.spread/1");
    assert_eq!(json["balancer"], "haproxy-source");
    assert_eq!(json["sources"][1]["backend"], "s2");
    assert_eq!(json["backends"][2]["sources"], 0);
    assert_eq!(json["backends"][0]["clients"], 50);
    assert_eq!(
        (&json["reached"], &json["idle"]),
        (&2.into(), &serde_json::json!(["s3"]))
    );
    assert_eq!(json["to_reach_all"]["addresses"][0]["address"], "10.0.0.7");
    assert_eq!(json["to_be_even"]["sources"], 2);
    assert_eq!(json["hosts_by_chance"]["p90"], 6);
}
