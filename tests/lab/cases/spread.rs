//! Owns: which backend each source reaches, by the report and by the servers' own counts, side by side.

use super::held;
use crate::lab::Lab;
use crate::proxy::{IP_HASH, ROUND_ROBIN, STICKY, url};
use crate::server::Matrix;
use crate::swarm::{Attack, Outcome};
use crate::{Result, ensure};
use std::collections::{BTreeMap, BTreeSet};

pub const CASES: &[super::Case] = &[
    ("spread::one_host_reaches_one_backend", one_host),
    ("spread::four_hosts_reach_all_backends_by_websocket", |lab| {
        four_hosts(lab, "websocket")
    }),
    ("spread::four_hosts_reach_all_backends_by_polling", |lab| {
        four_hosts(lab, "polling")
    }),
    ("spread::four_hosts_reach_all_backends_by_upgrade", |lab| {
        four_hosts(lab, "upgrade")
    }),
    (
        "spread::http_round_robin_is_counted_by_source_and_backend",
        http_round_robin,
    ),
    ("spread::a_remainder_is_dealt_and_nothing_is_lost", remainder),
    ("spread::ip_hash_takes_one_slash_24_for_one_source", ip_hash),
    ("spread::local_source_addresses_reach_all_backends", local_sources),
];

fn matrix(rows: &[(&str, &str, u64)]) -> Matrix {
    let mut matrix = Matrix::new();
    for (source, backend, n) in rows {
        matrix
            .entry((*source).to_owned())
            .or_default()
            .insert((*backend).to_owned(), *n);
    }
    matrix
}

/// The report's matrix, the servers' and (if known) the expected one are the same.
fn agree(lab: &Lab, outcome: &Outcome, expected: Option<&Matrix>) -> Result {
    lab.servers.wait_all_closed()?;
    let (reported, counted) = (outcome.matrix()?, lab.servers.matrix("clients")?);
    ensure!(
        reported == counted,
        "{}",
        outcome.wrong(&format!("reported {reported:?}, the servers counted {counted:?}"))
    );
    if let Some(expected) = expected {
        ensure!(
            &counted == expected,
            "the servers counted {counted:?}, not {expected:?}"
        );
    }
    // The same numbers by backend.
    let mut by_backend: BTreeMap<&str, u64> = BTreeMap::new();
    for (backend, n) in counted.values().flatten() {
        *by_backend.entry(backend).or_default() += n;
    }
    for (backend, n) in &by_backend {
        let row = outcome.row("/backends", "name", backend)?;
        ensure!(
            row["connections"] == *n,
            "{backend}: {} reported, {n} counted",
            row["connections"]
        );
    }
    ensure!(
        outcome.rows("/backends")?.len() == by_backend.len(),
        "{}",
        outcome.wrong("other backends than there are")
    );
    ensure!(
        outcome.count("/affinity/reached")? == by_backend.len() as u64,
        "{}",
        outcome.wrong("wrong number reached")
    );
    Ok(())
}

fn one_host(lab: &Lab) -> Result {
    let outcome = held(lab, 60, "1s").hosts("h1").run()?;
    outcome.expect_code(0)?;
    agree(lab, &outcome, Some(&matrix(&[("10.77.0.1", "s2", 60)])))
}

fn four_hosts(lab: &Lab, transport: &str) -> Result {
    let attack = Attack::new(lab, &url("http", STICKY, ""));
    let words = format!("--socketio --transport {transport} -c 80 --connect-rate 80 --hold 2s");
    let outcome = attack.with(&words).run()?;
    outcome.expect_code(0)?;
    let expected = matrix(&[
        ("10.77.0.1", "s2", 20),
        ("10.77.0.2", "s3", 20),
        ("10.77.0.3", "s1", 20),
        ("10.77.0.4", "s2", 20),
    ]);
    agree(lab, &outcome, Some(&expected))?;
    for source in expected.keys() {
        let row = outcome.row("/sources", "address", source)?;
        ensure!(
            row["connections"] == 20,
            "{source}: {} clients, not 20",
            row["connections"]
        );
    }
    Ok(())
}

fn http_round_robin(lab: &Lab) -> Result {
    let outcome = Attack::new(lab, &url("http", ROUND_ROBIN, "/"))
        .with("-n 400 -c 8")
        .run()?;
    outcome.expect_code(0)?;
    ensure!(
        outcome.count("/totals/requests")? == 400 && outcome.count("/totals/ok")? == 400,
        "{}",
        outcome.wrong("not 400")
    );
    ensure!(
        outcome.count("/statuses/200")? == 400,
        "{}",
        outcome.wrong("not 400 times 200")
    );
    let counted = lab.servers.matrix("http")?;
    let reported = outcome.matrix()?;
    ensure!(
        reported == counted,
        "{}",
        outcome.wrong(&format!("reported {reported:?}, the servers counted {counted:?}"))
    );
    let sums: Vec<u64> = counted.values().map(|row| row.values().sum()).collect();
    ensure!(
        sums == [100; 4],
        "each host sends a quarter, but the servers counted {counted:?}"
    );
    ensure!(
        counted.values().all(|row| row.len() == 3),
        "round robin reaches all from everywhere: {counted:?}"
    );
    Ok(())
}

/// 43 over 4 hosts: 11, 11, 11, 10.
fn remainder(lab: &Lab) -> Result {
    let outcome = Attack::new(lab, &url("http", STICKY, "/")).with("-n 43 -c 4").run()?;
    outcome.expect_code(0)?;
    let counted = lab.servers.matrix("http")?;
    let sums: Vec<u64> = counted.values().map(|row| row.values().sum()).collect();
    ensure!(sums == [11, 11, 11, 10], "43 requests were dealt as {sums:?}");
    Ok(())
}

fn ip_hash(lab: &Lab) -> Result {
    let attack = Attack::new(lab, &url("http", IP_HASH, ""));
    let outcome = attack
        .with("--socketio --transport upgrade -c 40 --connect-rate 40 --hold 1s")
        .run()?;
    outcome.expect_code(0)?;
    agree(lab, &outcome, None)?;
    let counted = lab.servers.matrix("clients")?;
    let backends: BTreeSet<&String> = counted.values().flat_map(BTreeMap::keys).collect();
    ensure!(
        counted.len() == 4 && backends.len() == 1,
        "ip_hash spread one /24: {counted:?}"
    );
    Ok(())
}

fn local_sources(lab: &Lab) -> Result {
    let attack = Attack::new(lab, &format!("http://127.0.0.1:{STICKY}")).no_hosts();
    let words =
        "--local 1 --source-ips 127.0.0.2-127.0.0.9 --socketio --transport websocket -c 40 --connect-rate 40 --hold 1s";
    let outcome = attack.with(words).run()?;
    outcome.expect_code(0)?;
    agree(lab, &outcome, None)?;
    let counted = lab.servers.matrix("clients")?;
    let expected: Vec<String> = (2..=9).map(|n| format!("127.0.0.{n}")).collect();
    ensure!(
        counted.keys().eq(expected.iter()),
        "the servers saw {:?}",
        counted.keys()
    );
    ensure!(
        counted
            .values()
            .all(|row| row.len() == 1 && row.values().sum::<u64>() == 5),
        "not five a source: {counted:?}"
    );
    let reached: BTreeSet<&String> = counted.values().flat_map(BTreeMap::keys).collect();
    ensure!(reached.len() == 3, "eight consecutive addresses reached {reached:?}");
    Ok(())
}
