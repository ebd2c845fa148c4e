//! Owns: what the report says of the balancer beside who reached whom: backends lost in mid-run and who moved where, sessions
//! that strayed, one slow server among its peers, names that come with an event or in a body, as whom hosts are seen.

use crate::lab::Lab;
use crate::proxy::{CHECKED, ROUND_ROBIN, SEEN, SEEN_SHARED, STICKY, url};
use crate::server::SOCKETIO;
use crate::swarm::{Attack, Outcome};
use crate::{Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    ("observed::a_backend_goes_down_and_its_clients_move", clients_move),
    ("observed::a_backend_goes_down_and_sources_of_http_move", sources_move),
    ("observed::polling_behind_round_robin_strays", strays),
    ("observed::a_balancer_that_keeps_its_word_breaks_nothing", no_breaks),
    ("observed::one_slow_server_stands_out", slow_server),
    ("observed::an_event_names_the_backend", named_by_event),
    ("observed::hosts_are_seen_as_they_are", seen_as_own),
    ("observed::hosts_behind_one_address_are_told", seen_as_one),
];

/// Clients or sources by where they went, of the moves from one backend.
fn moved(outcome: &Outcome, from: &str) -> Result<(u64, BTreeMap<String, u64>)> {
    let (mut lost, mut to) = (0, BTreeMap::new());
    for row in outcome
        .rows("/affinity/moves")?
        .iter()
        .filter(|row| row["from"] == from)
    {
        lost += row["lost"].as_u64().unwrap_or(0);
        for landed in row["to"].as_array().into_iter().flatten() {
            let name = landed["name"].as_str().unwrap_or("nobody knows").to_owned();
            *to.entry(name).or_default() += landed["count"].as_u64().unwrap_or(0);
        }
    }
    Ok((lost, to))
}

/// h1 and h4 are at s2, which is killed: HAProxy's checks see it, and the clients come back elsewhere.
fn clients_move(lab: &Lab) -> Result {
    lab.proxies.wait_checked()?;
    let attack = Attack::new(lab, &url("http", CHECKED, ""))
        .with("--socketio --transport websocket -c 40 --connect-rate 40 -z 12s --reconnect");
    let attacking = super::started(lab, attack, 40)?;
    let before = lab.servers.matrix("clients")?;
    lab.servers.stop(1)?;
    let outcome = attacking.wait()?;
    // only what runs can be asked for its counts
    lab.servers.start_again(1)?;
    outcome.expect_code(0)?;
    lab.servers.wait_all_closed()?;
    let on_s2: u64 = before.values().filter_map(|row| row.get("s2")).sum();
    ensure!(on_s2 == 20, "s2 has {on_s2} of the clients: {before:?}");
    // What the others count: theirs, and those that came over.
    let mut came = BTreeMap::new();
    for (source, row) in lab.servers.matrix("clients")? {
        for (name, n) in row {
            let had = before.get(&source).and_then(|row| row.get(&name)).copied().unwrap_or(0);
            if n > had {
                *came.entry(name).or_insert(0) += n - had;
            }
        }
    }
    let (lost, to) = moved(&outcome, "s2")?;
    ensure!(
        lost == on_s2 && to == came && to.values().sum::<u64>() == on_s2,
        "{}",
        outcome.wrong(&format!("{lost} of {on_s2} lost, reported {to:?}, counted {came:?}"))
    );
    let moves = outcome.rows("/affinity/moves")?;
    ensure!(
        moves.len() == 1,
        "{}",
        outcome.wrong(&format!("other moves: {moves:?}"))
    );
    let row = &moves[0];
    let away = row["away"]["count"].as_u64();
    ensure!(
        row["unit"] == "clients" && row["moved"] == on_s2 && row["not_back"] == 0 && away == Some(on_s2),
        "{}",
        outcome.wrong(&format!("{row}"))
    );
    // The real client's first delay is half a second at least.
    let least = row["away"]["min"].as_u64().unwrap_or(0);
    ensure!(
        least >= 500_000,
        "{}",
        outcome.wrong(&format!("one was away for {least} us"))
    );
    ensure!(
        outcome.row("/backends", "name", "s2")?["dropped"] == on_s2,
        "{}",
        outcome.wrong("s2's row does not say that it lost them")
    );
    outcome.expect_said(&[
        "s2 was lost at",
        "20 clients moved",
        "(median)",
        "sticky until a backend was lost: 2 of 4 sources",
    ])
}

fn sources_move(lab: &Lab) -> Result {
    lab.proxies.wait_checked()?;
    let mut attacking = Attack::new(lab, &url("http", CHECKED, "/"))
        .with("-q 80 -c 8 -z 10s --backend-from header:X-Backend")
        .start()?;
    // two seconds of it
    attacking.until("answers from all", Duration::from_secs(20), || {
        Ok(lab.servers.socketio_total("/http")? >= 160)
    })?;
    lab.servers.stop(1)?;
    let outcome = attacking.wait()?;
    lab.servers.start_again(1)?;
    // requests that were on their way to s2 may have failed
    let (lost, to) = moved(&outcome, "s2")?;
    ensure!(
        lost == 2 && to.values().sum::<u64>() == 2 && !to.contains_key("s2"),
        "{}",
        outcome.wrong(&format!("{lost} sources left s2, for {to:?}"))
    );
    let moves = outcome.rows("/affinity/moves")?;
    ensure!(
        moves.iter().all(|row| row["unit"] == "sources"),
        "{}",
        outcome.wrong(&format!("{moves:?}"))
    );
    // Each source that is said to have gone somewhere was seen there by that server.
    let counted = lab.servers.matrix("http")?;
    for (name, n) in &to {
        let seen = counted.values().filter(|row| row.contains_key(name)).count() as u64;
        ensure!(seen >= *n, "{name} saw {seen} sources: {counted:?}");
    }
    outcome.expect_said(&["2 sources that s2 had answered went for good at"])
}

/// Each request of a session goes to the next server: the sessions are seen on two at least.
fn strays(lab: &Lab) -> Result {
    let outcome = Attack::new(lab, &url("http", ROUND_ROBIN, ""))
        .hosts("h1,h2")
        .with("--socketio --transport polling -c 6 --connect-rate 6 --hold 2s")
        .limit(Duration::from_secs(40))
        .run()?;
    lab.servers.wait_all_closed()?;
    let sessions = outcome.count("/affinity/breaks/sessions")?;
    // one after the other, so none can be lucky for long; the first may be when all come at once
    ensure!(
        (3..=6).contains(&sessions),
        "{}",
        outcome.wrong(&format!("{sessions} sessions strayed"))
    );
    let example = &outcome.report()?["affinity"]["breaks"]["example"];
    let named = |key: &str| example[key].as_str().unwrap_or_default().to_owned();
    let names: Vec<&str> = SOCKETIO.iter().map(|(name, _)| *name).collect();
    ensure!(
        named("session").starts_with("sid ")
            && names.contains(&named("from").as_str())
            && names.contains(&named("to").as_str())
            && named("from") != named("to"),
        "{}",
        outcome.wrong(&format!("the example is {example}"))
    );
    outcome.expect_said(&["seen on more than one backend, first at", "(sid "])
}

fn no_breaks(lab: &Lab) -> Result {
    for words in [
        "--socketio --transport polling -c 12 --connect-rate 12 --hold 2s",
        "--socketio --transport upgrade -c 12 --connect-rate 12 -z 6s --storm 2s",
    ] {
        let outcome = Attack::new(lab, &url("http", STICKY, "")).with(words).run()?;
        outcome.expect_code(0)?;
        let affinity = &outcome.report()?["affinity"];
        ensure!(
            affinity["breaks"] == Value::Null && affinity["sticky"] == true,
            "{}",
            outcome.wrong(&format!("{affinity}"))
        );
        let text = outcome.text();
        ensure!(!text.contains(" moved, "), "{}", outcome.wrong("somebody moved"));
        lab.servers.wait_all_closed()?;
    }
    Ok(())
}

fn slow_server(lab: &Lab) -> Result {
    let attack = |words: &str| {
        Attack::new(lab, &url("http", ROUND_ROBIN, "/who?slow=s2:150"))
            .with("-n 1200 -c 12 --backend-from body:/server/name")
            .with(words)
            .run()
    };
    let outcome = attack("")?;
    outcome.expect_code(0)?;
    ensure!(
        outcome.word("/affinity/by")? == "body:/server/name",
        "{}",
        outcome.wrong("named by something else")
    );
    let counted = lab.servers.matrix("http")?;
    ensure!(
        outcome.matrix()? == counted,
        "{}",
        outcome.wrong(&format!("the servers counted {counted:?}"))
    );
    let warning = outcome.row("/warnings", "kind", "slow_backend")?;
    let text = warning["text"].as_str().unwrap_or_default();
    ensure!(text.starts_with("s2 is slow: the median"), "{}", outcome.wrong(text));
    let median = |name: &str| {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
            outcome.row("/backends", "name", name)?["latency"]["p50"].as_u64(),
        )
    };
    ensure!(
        median("s2")? >= Some(150_000) && median("s1")? < Some(150_000),
        "{}",
        outcome.wrong("the rows do not say it")
    );
    // strict runs fail by it
    let outcome = attack("--strict")?;
    outcome.expect_code(4)?;
    outcome.row("/warnings", "kind", "slow_backend").map(drop)
}

fn named_by_event(lab: &Lab) -> Result {
    for transport in ["websocket", "upgrade", "polling"] {
        let outcome = Attack::new(lab, &url("http", STICKY, ""))
            .with(&format!(
                "--socketio --transport {transport} -c 20 --connect-rate 40 --hold 1s"
            ))
            .with("--query welcome=1 --backend-from event:welcome/server")
            .run()?;
        outcome.expect_code(0)?;
        lab.servers.wait_all_closed()?;
        let counted = lab.servers.matrix("clients")?;
        ensure!(
            outcome.matrix()? == counted && outcome.word("/affinity/by")? == "event:welcome/server",
            "{}",
            outcome.wrong(&format!("{transport}: the servers counted {counted:?}"))
        );
        lab.servers.reset()?;
    }
    Ok(())
}

fn seen_as_own(lab: &Lab) -> Result {
    for (words, engine) in [
        ("-n 80 -c 8", "http"),
        (
            "--socketio --transport websocket -c 8 --connect-rate 8 --hold 1s",
            "websocket",
        ),
        (
            "--socketio --transport polling -c 8 --connect-rate 8 --hold 1s",
            "polling",
        ),
    ] {
        let outcome = Attack::new(lab, &url("http", SEEN, ""))
            .with(words)
            .with("--seen-as-from header:X-Client")
            .run()?;
        outcome.expect_code(0)?;
        let rows = outcome.rows("/sources")?;
        ensure!(
            rows.len() == 4 && rows.iter().all(|row| row["seen_as"] == row["address"]),
            "{}",
            outcome.wrong(&format!("{engine}: {rows:?}"))
        );
        ensure!(
            !outcome.text().contains("are seen as one address"),
            "{}",
            outcome.wrong(engine)
        );
    }
    Ok(())
}

fn seen_as_one(lab: &Lab) -> Result {
    let outcome = Attack::new(lab, &url("http", SEEN_SHARED, "/who"))
        .with("-n 80 -c 8 --seen-as-from header:X-Client")
        .run()?;
    outcome.expect_code(0)?;
    let rows = outcome.rows("/sources")?;
    let relay = &rows[0]["seen_as"];
    ensure!(
        rows.len() == 4 && relay.is_string() && rows.iter().all(|row| row["seen_as"] == *relay),
        "{}",
        outcome.wrong(&format!("{rows:?}"))
    );
    outcome.row("/warnings", "kind", "sources_share_address")?;
    outcome.expect_said(&["and 10.77.0.4 of h4 are seen as one address", "NAT"])?;
    // by the body, too, where the server tells what the balancer told it
    let outcome = Attack::new(lab, &url("http", SEEN, "/who"))
        .with("-n 80 -c 8 --seen-as-from body:/client")
        .run()?;
    let rows = outcome.rows("/sources")?;
    ensure!(
        rows.len() == 4 && rows.iter().all(|row| row["seen_as"] == row["address"]),
        "{}",
        outcome.wrong(&format!("{rows:?}"))
    );
    Ok(())
}
