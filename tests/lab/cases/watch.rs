//! Owns: what the balancer counted of a run beside what swarm counted, and the servers' own counts as a third: HAProxy's page
//! and runtime socket, nginx's stub_status, metrics of a server.

use crate::lab::Lab;
use crate::net::BRIDGE_ADDRESS;
use crate::proxy::{CHECKED, IP_HASH, ROUND_ROBIN, RUNTIME, SHORT_WEBSOCKET, STICKY, STUB_STATUS, statistics, url};
use crate::server::{SOCKETIO, WEBSOCKET, at, number};
use crate::swarm::{Attack, Outcome};
use crate::{Result, ensure, http};
use serde_json::Value;
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    ("watch::http_requests_agree_with_the_page", |lab| http_requests(lab, "")),
    ("watch::http_requests_agree_without_keepalive", |lab| {
        http_requests(lab, "--no-keepalive")
    }),
    ("watch::websockets_agree_with_the_runtime_socket_on_tcp", websockets),
    ("watch::socketio_by_websocket_agrees_with_the_runtime_socket", |lab| {
        socketio(lab, "websocket")
    }),
    ("watch::socketio_by_upgrade_agrees_with_the_runtime_socket", |lab| {
        socketio(lab, "upgrade")
    }),
    ("watch::polls_agree_with_the_runtime_socket", polling),
    ("watch::nginx_is_read_by_its_stub_status", nginx),
    ("watch::metrics_of_a_server_stand_on_the_timeline", metrics),
    ("watch::another_clients_traffic_is_told", other_traffic),
    ("watch::a_server_that_goes_and_comes_is_an_event", server_goes),
];

/// HAProxy's page, which wants a name and a password.
pub const LOGIN: &str = "--lb-stats-auth swarm:lab";

pub fn page() -> String {
    url("http", STICKY, "/haproxy?stats")
}

fn has_doubt(outcome: &Outcome, kind: &str) -> Result<bool> {
    Ok(outcome.rows("/warnings")?.iter().any(|warning| warning["kind"] == kind))
}

/// Each server of the table: name, the balancer's count, swarm's.
fn compared(outcome: &Outcome) -> Result<Vec<(String, u64, u64)>> {
    let rows = outcome.rows("/balancer/compared/servers")?;
    let row = |row: &Value| -> Result<(String, u64, u64)> {
        let name = row["name"].as_str().ok_or("a server without a name")?;
        Ok((name.to_owned(), number(row, "/balancer"), number(row, "/swarm")))
    };
    rows.iter().map(row).collect()
}

/// The balancer, swarm and the servers themselves counted the same, each server apart.
pub fn three_agree(outcome: &Outcome, expected: &[(&str, u64)]) -> Result {
    outcome.expect_code(0)?;
    let expected: Vec<(String, u64, u64)> = expected.iter().map(|(name, n)| ((*name).to_owned(), *n, *n)).collect();
    let got = compared(outcome)?;
    ensure!(
        got == expected,
        "{}",
        outcome.wrong(&format!("compared {got:?}, the servers counted {expected:?}"))
    );
    ensure!(
        outcome.report()?["balancer"]["compared"]["agrees"] == true && !has_doubt(outcome, "balancer_disagrees")?,
        "{}",
        outcome.wrong("equal counts disagree")
    );
    outcome.expect_said(&["counted the same, within 1 %"])
}

/// What each Socket.IO server itself counted.
pub fn counted(lab: &Lab, pointer: &str) -> Result<Vec<(&'static str, u64)>> {
    let one = |(name, port): (&'static str, u16)| Ok((name, number(&lab.servers.counts(port)?, pointer)));
    SOCKETIO.into_iter().map(one).collect()
}

fn http_requests(lab: &Lab, words: &str) -> Result {
    let outcome = Attack::new(lab, &url("http", ROUND_ROBIN, "/"))
        .with("-n 400 -c 8")
        .with(words)
        .with(&format!("--lb-stats {} {LOGIN}", page()))
        .run()?;
    let counted = counted(lab, "/all/http")?;
    ensure!(counted.iter().map(|(_, n)| n).sum::<u64>() == 400, "{counted:?}");
    three_agree(&outcome, &counted)?;
    ensure!(
        outcome.count("/affinity/known")? == 3 && outcome.word("/balancer/kind")? == "haproxy",
        "{}",
        outcome.wrong("HAProxy has three servers there")
    );
    outcome.expect_said(&["the balancer's statistics at", "balancer haproxy at"])?;
    ensure!(
        !outcome.text().contains("swarm:lab"),
        "the password is shown:\n{}",
        outcome.text()
    );
    // What is before, after and between fits.
    let rows = |list: &str| -> Result<Vec<(u64, String)>> {
        let rows = outcome
            .rows(list)?
            .iter()
            .filter(|row| row["pxname"] == "www" && row["svname"] != "BACKEND");
        Ok(rows
            .map(|row| (number(row, "/stot"), row["svname"].to_string()))
            .collect())
    };
    let (before, after, delta) = (
        rows("/balancer/before")?,
        rows("/balancer/after")?,
        rows("/balancer/delta")?,
    );
    ensure!(
        before.len() == 3
            && before
                .iter()
                .zip(&after)
                .zip(&delta)
                .all(|((before, after), delta)| before.0 + delta.0 == after.0 && before.1 == after.1),
        "{before:?} {delta:?} {after:?}"
    );
    Ok(())
}

fn websockets(lab: &Lab) -> Result {
    let outcome = Attack::new(lab, &url("ws", SHORT_WEBSOCKET, "/"))
        .with("-c 24 --connect-rate 24 --hold 1s --message hello --every 500ms")
        .with(&format!("--lb-stats tcp://127.0.0.1:{RUNTIME}"))
        .run()?;
    let clients = lab.servers.websocket_total("/clients")?;
    ensure!(clients == 24, "the server counted {clients}");
    three_agree(&outcome, &[(WEBSOCKET.0, clients)])?;
    let moments = outcome.rows("/balancer/timeline")?;
    let most = moments
        .iter()
        .flat_map(|moment| moment["rows"].as_array().into_iter().flatten())
        .filter(|row| row["svname"] == WEBSOCKET.0)
        .map(|row| number(row, "/sessions"))
        .max();
    ensure!(
        most == Some(24),
        "{}",
        outcome.wrong("the timeline shows no 24 sessions")
    );
    Ok(())
}

fn socketio(lab: &Lab, transport: &str) -> Result {
    let outcome = Attack::new(lab, &url("http", STICKY, ""))
        .with(&format!(
            "--socketio --transport {transport} -c 80 --connect-rate 80 --hold 2s"
        ))
        .word("--lb-stats")
        .word(&format!("unix:{}", lab.proxies.socket.display()))
        .run()?;
    lab.servers.wait_all_closed()?;
    three_agree(&outcome, &counted(lab, "/all/clients")?)
}

/// No balancer counts clients that poll; their requests it does, and so does swarm.
fn polling(lab: &Lab) -> Result {
    let outcome = Attack::new(lab, &url("http", STICKY, ""))
        .with("--socketio --transport polling -c 40 --connect-rate 40 --hold 3s --emit echo,1 --ack --every 500ms")
        .with(&format!("--lb-stats tcp://127.0.0.1:{RUNTIME}#websockets"))
        .run()?;
    outcome.expect_code(0)?;
    let got = compared(&outcome)?;
    // At least a handshake, the namespace's POST, an answer and the farewell for each of 40 clients.
    ensure!(
        got.iter().map(|(_, _, swarm)| swarm).sum::<u64>() > 160 && outcome.count("/affinity/known")? == 3,
        "{}",
        outcome.wrong(&format!("{got:?}"))
    );
    ensure!(
        got.iter().all(|(_, balancer, swarm)| balancer == swarm),
        "{}",
        outcome.wrong(&format!("the balancer counted other requests: {got:?}"))
    );
    Ok(())
}

fn nginx(lab: &Lab) -> Result {
    let outcome = Attack::new(lab, &url("http", IP_HASH, "/"))
        .with("-q 100 -z 3s")
        .with(&format!("--lb-stats {}", url("http", STUB_STATUS, "/status")))
        .run()?;
    ensure!(
        lab.servers.socketio_total("/http")? == 300,
        "the servers counted others"
    );
    // Our own readings, which nginx counts as well, are taken out.
    three_agree(&outcome, &[("nginx", 300)])?;
    let delta = &outcome.rows("/balancer/delta")?[0];
    ensure!(number(delta, "/requests") > 300, "nginx counts the readings: {delta}");
    ensure!(
        outcome.word("/balancer/kind")? == "nginx",
        "{}",
        outcome.wrong("no nginx")
    );
    Ok(())
}

fn metrics(lab: &Lab) -> Result {
    let (name, port) = SOCKETIO[0];
    let outcome = Attack::new(lab, &url("http", ROUND_ROBIN, "/"))
        .with("-q 90 -z 3s")
        .word("--watch-metrics")
        .word(&format!(
            "http://{BRIDGE_ADDRESS}:{port}/_lab/metrics=lab_http_requests_total{{server=\"{name}\"}},process_resident_memory_bytes"
        ))
        .run()?;
    outcome.expect_code(0)?;
    let points = |metric: &str| -> Result<Vec<(f64, f64)>> {
        let row = outcome.row("/metrics", "name", metric)?;
        ensure!(row["labels"]["server"] == name, "{row}");
        let points = row["points"].as_array().ok_or("no points")?;
        let point = |point: &Value| Some((point[0].as_f64()?, point[1].as_f64()?));
        points.iter().map(|one| point(one).ok_or("no point".into())).collect()
    };
    let requests = points("lab_http_requests_total")?;
    let counted = number(&lab.servers.counts(port)?, "/all/http");
    ensure!(
        requests.len() >= 3 && requests.is_sorted() && requests.last().map(|(_, n)| *n) == Some(counted as f64),
        "{counted} counted, {requests:?}"
    );
    ensure!(
        points("process_resident_memory_bytes")?
            .iter()
            .all(|(_, bytes)| *bytes > 1e6),
        "a node of less than a megabyte"
    );
    ensure!(
        outcome.rows("/metrics")?.len() == 2,
        "{}",
        outcome.wrong("other series")
    );
    outcome.expect_said(&["lab_http_requests_total", "process_resident_memory_bytes"])
}

fn other_traffic(lab: &Lab) -> Result {
    let mut attacking = Attack::new(lab, &url("http", ROUND_ROBIN, "/"))
        .with("-q 60 -z 4s")
        .with(&format!("--lb-stats {} {LOGIN}", page()))
        .start()?;
    attacking.until("load to arrive", Duration::from_secs(30), || {
        Ok(lab.servers.socketio_total("/http")? > 0)
    })?;
    for _ in 0..60 {
        http::get(at(ROUND_ROBIN)?, "/")?;
    }
    let outcome = attacking.wait()?;
    outcome.expect_code(0)?;
    let got = compared(&outcome)?;
    let sum = |of: fn(&(String, u64, u64)) -> u64| got.iter().map(of).sum::<u64>();
    ensure!(
        sum(|row| row.2) == 240 && sum(|row| row.1) == 300,
        "{}",
        outcome.wrong(&format!("240 of ours and 60 of others: {got:?}"))
    );
    ensure!(
        has_doubt(&outcome, "balancer_disagrees")?,
        "{}",
        outcome.wrong("no doubt")
    );
    outcome.expect_said(&[
        "the balancer's counts are others than these: s1: ",
        "other clients' traffic over the same servers",
    ])
}

fn server_goes(lab: &Lab) -> Result {
    lab.proxies.wait_checked()?;
    let attack = Attack::new(lab, &url("http", CHECKED, ""))
        .with("--socketio --transport websocket -c 40 --connect-rate 40 -z 12s --reconnect")
        .with(&format!("--lb-stats tcp://127.0.0.1:{RUNTIME}"));
    let mut attacking = super::started(lab, attack, 40)?;
    let state = || -> Result<String> {
        let text = statistics()?;
        let row = text
            .lines()
            .find(|line| line.starts_with("checked,s2,"))
            .ok_or("no checked/s2")?;
        Ok(row.to_owned())
    };
    lab.servers.stop(1)?;
    attacking.until("HAProxy to see s2 gone", Duration::from_secs(10), || {
        Ok(state()?.contains(",DOWN,"))
    })?;
    lab.servers.start_again(1)?;
    attacking.until("HAProxy to see s2 come back", Duration::from_secs(10), || {
        Ok(state()?.contains(",UP,"))
    })?;
    let outcome = attacking.wait()?;
    outcome.expect_code(0)?;
    let events = outcome.rows("/events")?;
    let told: Vec<(f64, &str, &str)> = events
        .iter()
        .filter_map(|event| {
            Some((
                event["t_s"].as_f64()?,
                event["status"].as_str()?,
                event["text"].as_str()?,
            ))
        })
        .filter(|(.., text)| text.contains("checked/s2"))
        .collect();
    let states: Vec<&str> = told.iter().map(|(_, status, _)| *status).collect();
    let duration = outcome.number("/run/duration_s")?;
    ensure!(
        states == ["DOWN", "UP"] && 0.0 < told[0].0 && told[0].0 < told[1].0 && told[1].0 <= duration,
        "{}",
        outcome.wrong(&format!("s2 went and came: {told:?}"))
    );
    outcome.expect_said(&[
        "balancer: checked/s2 is DOWN (L4CON), was UP",
        "balancer: checked/s2 is UP",
    ])
}
