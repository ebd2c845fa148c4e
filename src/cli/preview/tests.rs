//! Tests of the plan as it is printed.

use super::*;
use crate::cli::attack::{Surroundings, understand};
use crate::cli::{Command, Parsed, parse};

fn shown(line: &str, crew: &Crew) -> Vec<String> {
    let words: Vec<String> = format!("swarm attack {line}").split(' ').map(String::from).collect();
    let Ok(Parsed::Command(Command::Attack(args))) = parse(words.iter().map(Into::into)) else {
        panic!("{line}")
    };
    let around = Surroundings {
        words,
        environment: Box::new(|_| None),
        run: "0123456789ab".into(),
        fleets: Vec::new(),
    };
    let command = understand(&args, &around).unwrap();
    preview(&command.plan, crew, &command.notes)
        .lines()
        .map(String::from)
        .collect()
}

fn crew(hosts: usize) -> Crew {
    Crew {
        from: format!("{hosts} hosts"),
        weights: vec![1; hosts],
        ..Crew::default()
    }
}

#[test]
fn the_shape_of_the_contract() {
    let crew = Crew {
        from: "fleet default: 8 hosts, 8 addresses".into(),
        sources: vec![1; 8],
        ports: Some(28_232),
        files: Some(65_535),
        ends: Some("fleet has 2h41m left".into()),
        ..crew(8)
    };
    let lines = shown(
        "https://chat.example.com --socketio -c 10000 --connect-rate 500 --hold 5m",
        &crew,
    );
    assert_eq!(
        lines[..7],
        [
            "target   https://chat.example.com  socketio upgrade, EIO auto, cookies kept",
            "from     fleet default: 8 hosts, 8 addresses",
            "load     10,000 clients, 500/s, then 5m: ends after 5m20s",
            "split    8 x 1,250 clients, 62.5/s",
            "needs    1,250 of 28,232 ports a source; 1,250 of 65,535 files a host; three of each a client while it upgrades",
            "ends     after 5m20s and at most 10s of grace; fleet has 2h41m left",
            "defaults --local 1, --eio auto, no --emit: clients are only held, --transport upgrade, --path /socket.io/",
        ]
    );
    assert_eq!(first_line(&crew), "from: fleet default, 8 hosts, 8 addresses");
}

#[test]
fn a_closed_loop_is_named_as_such() {
    let lines = shown("http://127.0.0.1/ --require p99<250ms", &crew(1));
    assert_eq!(
        lines[0],
        "target   http://127.0.0.1/  http GET, keep-alive, cookies dropped"
    );
    assert_eq!(lines[2], "load     50 connections, closed loop, for 10s");
    assert_eq!(lines[3], "         no due times: queueing is hidden; use -q");
    assert_eq!(lines[4], "split    1 x 50 connections");
    let all = lines.join("\n");
    assert!(all.contains("\nrequire  p99<250ms  (request.p99)"), "{all}");
    assert!(all.contains("\nnote     a closed loop has no due times"), "{all}");
    for default in ["-c 50", "-z 10s", "-t 1m", "--local 1", "--min-hosts 100%"] {
        assert!(all.contains(default), "{default}: {all}");
    }
}

#[test]
fn other_loads() {
    for (line, hosts, place, says) in [
        (
            "http://h/ -q 1000 -z 30s -c 40",
            4,
            2,
            "load     1,000/s for 30s: 30,000 hits due, open loop, at most 40 connections: ends after 30s",
        ),
        (
            "http://h/ -q 1000 -z 30s -c 40",
            4,
            3,
            "split    4 x 10 connections, 250/s, 7,500 requests",
        ),
        (
            "http://h/ --stage 10s:100 --stage 20s:100 -c 4",
            1,
            2,
            "load     0/s to 100/s in 10s, then 100/s for 20s: 2,500 hits due, open loop, at most 4 connections: ends after 30s",
        ),
        (
            "ws://h/ -c 5 --message x --every 1s --hold 1m",
            3,
            2,
            "load     5 clients, 0.5/s, then 1m: ends after 1m10s; each sends every 1s",
        ),
        (
            "ws://h/ -c 5 --message x --every 1s --hold 1m",
            3,
            3,
            "split    2 x 2 clients, 0.167/s + 1 x 1 clients, 0.167/s",
        ),
        ("ws://h/ -c 2 -z 5s", 8, 4, "         6 of 8 hosts have nothing to do"),
        ("3=http://a/ http://b/ -n 10 -c 5", 1, 1, "         3 of 4  http://a/"),
        (
            "http://h/ --connect-to h:80:[::1]:81",
            1,
            0,
            "target   http://h/ at [::1]:81  http GET, keep-alive, cookies dropped",
        ),
        (
            "http://h/ --socketio -c 10 --transport polling",
            1,
            4,
            "needs    20 ports a source; 20 files a host",
        ),
    ] {
        let lines = shown(line, &crew(hosts));
        assert_eq!(lines[place], says, "{line}");
    }
}

#[test]
fn the_way_back() {
    let lines = shown(
        "ws://h/ -c 100 --connect-rate 100 -z 90s --storm 10s --storm 70s --reconnect-attempts 4",
        &crew(1),
    );
    assert_eq!(
        lines[2..5],
        [
            "load     100 clients, 100/s, then 1m29s: ends after 1m30s",
            "         lost clients come back: 1s doubling to 5s, ±50 %, 4 attempts at most; storm after 10s, 1m10s",
            "split    1 x 100 clients, 100/s",
        ]
    );
    // the ports of the first storm are free again at the second one
    assert!(
        lines[5].starts_with("needs    200 ports a source; 100 files a host"),
        "{}",
        lines[5]
    );
}
