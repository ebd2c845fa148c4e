//! Owns: the proof that the lab itself is what the other cases take it for. Runs no swarm.

use crate::capture::{self, Capture};
use crate::lab::Lab;
use crate::net::BRIDGE_ADDRESS;
use crate::process::{self, run};
use crate::proxy::{COOKIE, IP_HASH, ROUND_ROBIN, SNI_NAME, STICKY, TLS, TLS_SNI, url};
use crate::server::{SOCKETIO, at};
use crate::ssh::{ASYMMETRIC, SLOW};
use crate::{Result, ensure, http};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    ("smoke::hosts_are_apart_and_their_clocks_too", hosts_are_apart),
    ("smoke::ssh_paths_have_their_delays", paths_have_their_delays),
    ("smoke::balancers_choose_as_they_should", balancers_choose),
    ("smoke::tls_listeners_answer", tls_listeners),
    ("smoke::servers_count_real_clients", servers_count),
    ("smoke::capture_sees_the_first_syn", capture_sees),
];

/// A command on a host, through SSH.
fn on(config: &Path, alias: &str, line: &str) -> Command {
    let mut command = Command::new("ssh");
    command.arg("-F").arg(config).args([alias, line]);
    command
}

fn hosts_are_apart(lab: &Lab) -> Result {
    let here: f64 = first_number(&std::fs::read_to_string("/proc/uptime")?)?;
    for (index, host) in lab.hosts.iter().enumerate() {
        let said = run(&mut on(
            &lab.configs.plain,
            &host.name,
            "hostname; echo $HOME; touch /tmp/mine ~/mine; ls /tmp; cat /proc/uptime",
        ))?;
        let lines: Vec<&str> = said.lines().collect();
        ensure!(
            lines[..3] == [host.name.as_str(), "/root", "mine"],
            "{}: {said}",
            host.name
        );
        let ahead = (first_number(lines[3])? - here) / 86_400.0;
        let days = [1.0, 2.0, 3.0, 0.0][index];
        ensure!(
            (ahead - days).abs() < 0.01,
            "{}: its clock is {ahead} days ahead, not {days}",
            host.name
        );
        ensure!(
            host.path("/root/mine").exists(),
            "{}: its home is not seen from here",
            host.name
        );
        ensure!(
            !Path::new("/root/mine").exists() && !Path::new("/tmp/mine").exists(),
            "the host wrote into this machine"
        );
        host.freshen()?;
    }
    // Sessions are over; only listeners are left.
    lab.nothing_left_within(Duration::from_secs(5))
}

fn first_number(text: &str) -> Result<f64> {
    Ok(text.split_whitespace().next().ok_or("no number")?.parse()?)
}

/// A word goes there and back over an open session: that takes the round trip and little more.
fn paths_have_their_delays(lab: &Lab) -> Result {
    for (config, delays) in [(&lab.configs.slow, SLOW), (&lab.configs.asymmetric, ASYMMETRIC)] {
        for (host, delay) in lab.hosts.iter().zip(delays) {
            let script = format!(
                "set -e; coproc S {{ ssh -F {} {} cat; }}; for i in 1 2 3 4 5; do a=$(date +%s%N); echo x >&${{S[1]}}; \
                 read -u ${{S[0]}} l; [ \"$l\" = x ]; b=$(date +%s%N); echo $(((b-a)/1000)); done",
                config.display(),
                host.name
            );
            let said = run(Command::new("bash").args(["-c", &script]))?;
            let micros = said
                .lines()
                .map(str::parse::<u64>)
                .min_by_key(|n| n.clone().unwrap_or(u64::MAX));
            let micros = micros.ok_or("no round trip")??;
            let known = delay.round_trip_ms() * 1000;
            ensure!(
                (known..known + 15_000).contains(&micros),
                "{}: a round trip took {micros} us, not {known}",
                host.name
            );
        }
    }
    Ok(())
}

fn backend(lab: &Lab, host: usize, port: u16, path: &str) -> Result<String> {
    let target = url("http", port, path);
    let said =
        run(lab.hosts[host]
            .command("curl")
            .args(["-s", "-D", "-", "-o", "/dev/null", "--max-time", "5", &target]))?;
    let found = said.lines().find_map(|l| {
        l.to_lowercase()
            .strip_prefix("x-backend: ")
            .map(|v| v.trim().to_owned())
    });
    found.ok_or_else(|| format!("no X-Backend from {target}: {said}").into())
}

fn balancers_choose(lab: &Lab) -> Result {
    let polling = "/socket.io/?EIO=4&transport=polling";
    // HAProxy's map-based source hash: the address as a number modulo three servers.
    for (host, expected) in ["s2", "s3", "s1", "s2"].into_iter().enumerate() {
        for _ in 0..3 {
            let got = backend(lab, host, STICKY, polling)?;
            ensure!(
                got == expected,
                "h{}: source hash led to {got}, not {expected}",
                host + 1
            );
        }
    }
    for port in [STICKY, ROUND_ROBIN, COOKIE] {
        let got: BTreeSet<String> = (0..6).map(|_| backend(lab, 0, port, "/")).collect::<Result<_>>()?;
        ensure!(got.len() == 3, "round robin on {port} reached {got:?}");
    }
    let got: BTreeSet<String> = (0..4)
        .map(|host| backend(lab, host, IP_HASH, polling))
        .collect::<Result<_>>()?;
    ensure!(got.len() == 1, "ip_hash took one /24 for several sources: {got:?}");
    // The servers saw the hosts' own addresses through all of them.
    let seen: BTreeSet<String> = lab.servers.matrix("http")?.into_keys().collect();
    ensure!(
        seen == BTreeSet::from(["10.77.0.1".to_owned()]),
        "plain requests came from {seen:?}"
    );
    let stats = http::get(at(STICKY)?, "/haproxy?stats")?;
    ensure!(
        stats.status == 401,
        "the statistics page answered {} without a password",
        stats.status
    );
    Ok(())
}

fn tls_listeners(lab: &Lab) -> Result {
    let curl = |words: &[&str]| {
        let mut command = lab.hosts[0].command("curl");
        command
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5"])
            .args(words);
        run(&mut command)
    };
    let own = lab.proxies.certificates.own.display().to_string();
    let authority = lab.proxies.certificates.authority.display().to_string();
    let target = url("https", TLS, "/");
    ensure!(
        curl(&["--cacert", &own, &target])? == "200",
        "the self-signed certificate does not stand for itself"
    );
    ensure!(curl(&[&target]).is_err(), "a self-signed certificate was trusted");
    let named = format!("https://{SNI_NAME}:{TLS_SNI}/");
    let resolve = format!("{SNI_NAME}:{TLS_SNI}:{BRIDGE_ADDRESS}");
    ensure!(
        curl(&["--cacert", &authority, "--resolve", &resolve, &named])? == "200",
        "the name is not answered"
    );
    ensure!(
        curl(&["-k", &url("https", TLS_SNI, "/")]).is_err(),
        "strict-sni let a nameless client in"
    );
    Ok(())
}

/// The real client, from two hosts: what the servers counted is what it did.
fn servers_count(lab: &Lab) -> Result {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/servers/client.js");
    for (host, transport) in [(0, "upgrade"), (1, "polling"), (2, "websocket")] {
        let namespace = lab.hosts[host].namespace();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, "node"]).arg(&script).args([
            &url("http", STICKY, ""),
            transport,
            "5",
        ]);
        let said = run(&mut command)?;
        ensure!(said.trim() == "5 acked", "the {transport} client said {said}");
    }
    lab.servers.wait_all_closed()?;
    let clients = lab.servers.matrix("clients")?;
    let expected: BTreeMap<String, BTreeMap<String, u64>> =
        [("10.77.0.1", "s2"), ("10.77.0.2", "s3"), ("10.77.0.3", "s1")]
            .into_iter()
            .map(|(source, server)| (source.to_owned(), BTreeMap::from([(server.to_owned(), 5)])))
            .collect();
    ensure!(clients == expected, "the servers counted {clients:?}");
    for (what, n) in [
        ("/emits", 15),
        ("/upgraded", 5),
        ("/handshakes/polling", 10),
        ("/handshakes/websocket", 5),
    ] {
        let got = lab.servers.socketio_total(what)?;
        ensure!(got == n, "{what}: {got}, not {n}");
    }
    let peak: u64 = SOCKETIO
        .iter()
        .map(|(_, port)| Ok(lab.servers.counts(*port)?["all"]["peak"].as_u64().unwrap_or(0)))
        .sum::<Result<u64>>()?;
    ensure!(peak == 15, "each server had its five at once, together {peak}");
    Ok(())
}

fn capture_sees(lab: &Lab) -> Result {
    let capture = Capture::start(lab, STICKY)?;
    for host in [0, 1] {
        backend(lab, host, STICKY, "/")?;
        std::thread::sleep(Duration::from_millis(200));
    }
    process::wait_until("nothing", Duration::from_secs(1), || Ok(true))?;
    let first = capture.first_syns()?;
    ensure!(first.keys().eq(["10.77.0.1", "10.77.0.2"]), "SYNs came from {first:?}");
    let spread = capture::spread_ms(&first);
    ensure!(
        (200.0..800.0).contains(&spread),
        "a 200 ms pause was seen as {spread} ms"
    );
    Ok(())
}
