//! Owns: that `swarm spread`, an attack and the servers' own counts say the same, and that an attack says why a backend got
//! nothing. Must not: know how a rule works.

use super::held;
use crate::lab::Lab;
use crate::proxy::{STICKY, url};
use crate::swarm::{Attack, Outcome, said};
use crate::{Result, ensure};
use serde_json::Value;

pub const CASES: &[super::Case] = &[
    ("foretold::spread_says_what_the_attack_then_sees", spread),
    ("foretold::an_attack_says_why_a_backend_got_nothing", because),
    ("foretold::what_the_rule_does_not_predict_is_no_verdict", no_verdict),
];

/// Source by backend, as `swarm spread --json` has it.
fn predicted(lab: &Lab, words: &[&str]) -> Result<Value> {
    let all: Vec<&str> = ["spread", "--json"].iter().chain(words).copied().collect();
    Ok(serde_json::from_str(&said(lab, &all)?)?)
}

fn spread(lab: &Lab) -> Result {
    let spread = predicted(
        lab,
        &[
            "--balancer",
            "haproxy-source",
            "--backends",
            "3",
            "--source-ips",
            "10.77.0.1-10.77.0.4",
            "-c",
            "80",
        ],
    )?;
    let outcome = held(lab, 80, "1s").run()?;
    outcome.expect_code(0)?;
    lab.servers.wait_all_closed()?;
    let counted = lab.servers.matrix("clients")?;
    let sources = spread["sources"].as_array().ok_or("no sources")?;
    ensure!(sources.len() == 4, "{spread}");
    for source in sources {
        let (address, backend) = (
            source["address"].as_str().unwrap_or("?"),
            source["backend"].as_str().unwrap_or("?"),
        );
        let n = counted.get(address).and_then(|row| row.get(backend)).copied();
        ensure!(
            source["clients"].as_u64() == n && n == Some(20),
            "{address} on {backend}: {} predicted, the servers counted {counted:?}",
            source["clients"]
        );
    }
    ensure!(
        spread["schema"] == "swarm.spread/1" && spread["reached"] == 3,
        "{spread}"
    );
    let idle = predicted(
        lab,
        &[
            "--balancer",
            "haproxy-source",
            "--backends",
            "3",
            "--hosts",
            "root@10.77.0.1,10.77.0.4:22",
        ],
    )?;
    ensure!(idle["idle"] == serde_json::json!(["s1", "s3"]), "{idle}");
    // 10.77.0.2 is 2, and 10.77.0.3 is 0 mod 3; the next ones behind the hosts' own are looked at first
    let next: Vec<&str> = idle["to_reach_all"]["addresses"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|next| next["address"].as_str())
        .collect();
    ensure!(next == ["10.77.0.5", "10.77.0.6"], "{idle}");
    Ok(())
}

fn affinity<'a>(outcome: &'a Outcome, pointer: &str) -> Result<&'a str> {
    outcome.word(&format!("/affinity/{pointer}"))
}

/// Two hosts whose addresses are both 1 mod 3.
fn because(lab: &Lab) -> Result {
    let outcome = held(lab, 20, "1s")
        .hosts("h1,h4")
        .with("--balancer haproxy-source --backends 3")
        .run()?;
    outcome.expect_code(0)?;
    let because = affinity(&outcome, "because")?;
    ensure!(
        because
            == "2 sources reached 1 of 3 backends, as haproxy-source predicts; s1 and s3 got nothing, because no source is 0 mod 3, and no \
                source is 2 mod 3; add 10.77.0.5 and 10.77.0.6, or --source-ips 10.77.0.5,10.77.0.6",
        "{because}"
    );
    ensure!(
        outcome.count("/affinity/known")? == 3 && outcome.count("/affinity/reached")? == 1,
        "{}",
        outcome.wrong("not 1 of 3")
    );
    outcome.expect_said(&["1 of 3 reached", "s1 and s3 got nothing"])?;
    // what it advises is true
    lab.servers.wait_all_closed()?;
    lab.servers.reset()?;
    let all = Attack::new(lab, &url("http", STICKY, ""))
        .with("--socketio --transport websocket -c 40 --connect-rate 40 --hold 1s --balancer haproxy-source --backends s1,s2,s3")
        .run()?;
    all.expect_code(0)?;
    let because = affinity(&all, "because")?;
    ensure!(
        because == "4 sources reached 3 of 3 backends, as haproxy-source predicts",
        "{because}"
    );
    Ok(())
}

fn no_verdict(lab: &Lab) -> Result {
    let outcome = held(lab, 40, "1s")
        .with("--balancer haproxy-source --backends 4")
        .run()?;
    outcome.expect_code(0)?;
    ensure!(
        affinity(&outcome, "because").is_err(),
        "{}",
        outcome.wrong("a verdict that is not true")
    );
    let unknown = affinity(&outcome, "unknown")?;
    ensure!(
        unknown.starts_with("haproxy-source over 4 servers predicts ") && unknown.contains("NAT"),
        "{unknown}"
    );
    Ok(())
}
