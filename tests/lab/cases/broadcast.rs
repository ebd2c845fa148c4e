//! Owns: what broadcasts show of the nodes behind a balancer: with an adapter everybody hears, without one only the
//! clients of the same node do, and the report says so; the numbers are those that the servers logged.

use crate::lab::Lab;
use crate::proxy::{STICKY, WITHOUT_ADAPTER, url};
use crate::server::{ALONE, SOCKETIO, number};
use crate::swarm::{Attack, Outcome};
use crate::{Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;

pub const CASES: &[super::Case] = &[
    ("broadcast::a_redis_adapter_reaches_everybody", with_adapter),
    ("broadcast::without_an_adapter_each_node_keeps_its_own", without_adapter),
    ("broadcast::without_a_stamp_reach_alone_is_measured", unstamped),
];

/// Three hosts, each by its address on a backend of its own; 6 of 24 clients emit twice a second.
fn attack<'a>(lab: &'a Lab, port: u16, emit: &str) -> Attack<'a> {
    Attack::new(lab, &url("http", port, ""))
        .hosts("h1,h2,h3")
        .with("--socketio --transport websocket -c 24 --connect-rate 24 --hold 5s --every 500ms")
        .with("--broadcast broadcast-all --emitters 1/4 --emit")
        .word(emit)
}

const STAMPED: &str = r#"broadcast-all,{"text":"hello {{stamp}}"}"#;

/// Emits that these servers saw.
fn emits(lab: &Lab, servers: [(&str, u16); 3]) -> Result<u64> {
    let mut sum = 0;
    for (_, port) in servers {
        sum += number(&lab.servers.counts(port)?, "/all/emits");
    }
    Ok(sum)
}

fn pairs(outcome: &Outcome) -> Result<Vec<(String, String, u64, u64)>> {
    let text = |pair: &Value, key: &str| pair[key].as_str().unwrap_or_default().to_owned();
    let pairs = outcome.rows("/broadcast/pairs")?.iter().map(|pair| {
        let sums = (number(pair, "/expected"), number(pair, "/received"));
        (text(pair, "from"), text(pair, "to"), sums.0, sums.1)
    });
    Ok(pairs.collect())
}

/// What holds of every run: all three nodes, every emit the servers saw, the sums of the pairs.
fn sums(lab: &Lab, outcome: &Outcome, servers: [(&str, u16); 3]) -> Result {
    lab.servers.wait_all_closed()?;
    let emitted = outcome.count("/broadcast/emitted")?;
    ensure!(
        emitted == emits(lab, servers)? && emitted >= 40,
        "{}",
        outcome.wrong("the servers saw other emits")
    );
    let pairs = pairs(outcome)?;
    let names: BTreeSet<&str> = pairs.iter().map(|(from, ..)| from.as_str()).collect();
    ensure!(
        pairs.len() == 9 && names == servers.iter().map(|(name, _)| *name).collect(),
        "{}",
        outcome.wrong("not every pair of three nodes")
    );
    ensure!(
        pairs.iter().all(|(_, _, due, _)| *due >= 50),
        "{}",
        outcome.wrong("little was due")
    );
    let due: u64 = pairs.iter().map(|(_, _, due, _)| due).sum();
    let came: u64 = pairs.iter().map(|(_, _, _, came)| came).sum();
    ensure!(
        due == outcome.count("/broadcast/expected")? && came == outcome.count("/broadcast/received")?,
        "{}",
        outcome.wrong("the pairs are not the whole")
    );
    Ok(())
}

fn with_adapter(lab: &Lab) -> Result {
    let outcome = attack(lab, STICKY, STAMPED).with("--require reach>=0.99").run()?;
    outcome.expect_code(0)?;
    sums(lab, &outcome, SOCKETIO)?;
    for (from, to, due, came) in pairs(&outcome)? {
        ensure!(
            due == came,
            "{}",
            outcome.wrong(&format!("{from} to {to}: {came} of {due}"))
        );
    }
    ensure!(
        outcome.count("/broadcast/duplicates")? == 0,
        "{}",
        outcome.wrong("duplicates")
    );
    // every first receipt has its time, or is told to be below the clock error
    let timed = outcome
        .report()?
        .pointer("/latency/broadcast/count")
        .and_then(Value::as_u64);
    let first = outcome.count("/broadcast/received")? + outcome.count("/broadcast/not_due")?;
    ensure!(
        timed.unwrap_or(0) + outcome.count("/broadcast/below_clock_error")? == first,
        "{}",
        outcome.wrong("receipts without a time")
    );
    ensure!(
        outcome.count("/broadcast/clock_error_us")? > 0,
        "{}",
        outcome.wrong("clocks without error")
    );
    outcome.expect_said(&[
        "reach 100",
        "the nodes share an adapter",
        "between hosts by their clocks",
    ])
}

fn without_adapter(lab: &Lab) -> Result {
    lab.servers.others()?;
    lab.servers.reset()?;
    let outcome = attack(lab, WITHOUT_ADAPTER, STAMPED)
        .with("--require reach>=0.99")
        .run()?;
    outcome.expect_code(4)?;
    sums(lab, &outcome, ALONE)?;
    for (from, to, due, came) in pairs(&outcome)? {
        let wanted = if from == to { due } else { 0 };
        ensure!(
            wanted == came,
            "{}",
            outcome.wrong(&format!("{from} to {to}: {came} of {due}"))
        );
    }
    outcome.expect_said(&[
        "events emitted on n1 reached only clients on n1",
        "reach 1/3; the nodes share no adapter (Redis adapter missing?)",
    ])
}

fn unstamped(lab: &Lab) -> Result {
    let outcome = attack(lab, STICKY, r#"broadcast-all,"hello""#).run()?;
    outcome.expect_code(0)?;
    lab.servers.wait_all_closed()?;
    let (due, came) = (
        outcome.count("/broadcast/expected")?,
        outcome.count("/broadcast/received")?,
    );
    // at the edges of a listener's time an emit may come in the next second
    ensure!(
        due > 500 && came.abs_diff(due) * 10 < due,
        "{}",
        outcome.wrong(&format!("{came} of {due}"))
    );
    let stamped = outcome.report()?.pointer("/broadcast/stamped") == Some(&Value::Bool(true));
    let timed = outcome.report()?.pointer("/latency/broadcast").is_some();
    ensure!(!stamped && !timed, "{}", outcome.wrong("times without stamps"));
    ensure!(
        outcome.rows("/broadcast/pairs")?.is_empty(),
        "{}",
        outcome.wrong("pairs without stamps")
    );
    outcome.expect_said(&["only reach is measured"])
}
