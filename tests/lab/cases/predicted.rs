//! Owns: each rule of `swarm spread` held against the real HAProxy and nginx: every address must reach the server that was
//! predicted. Must not: know how a rule works.

use crate::lab::Lab;
use crate::process::{Daemon, wait_until};
use crate::{Result, ensure};
use ::swarm::balancer::Balancer;
use ::swarm::balancer::rule::{Pool, Rule};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    ("predicted::haproxy_deals_every_source_as_predicted", haproxy),
    ("predicted::nginx_deals_every_source_as_predicted", nginx),
];

/// The first port of the servers behind; then those of the balancers.
const SERVERS: u16 = 17_600;
const FRONTS: u16 = 17_620;
/// Nobody listens here.
const DEAD: u16 = 17_699;
/// Of the balancer that listens on IPv6 for both families.
const BOTH: u16 = 17_698;
/// Servers behind, as s1 to s5.
const MOST: u16 = 5;
/// Addresses of each family.
const SOURCES: usize = 520;

/// Servers: weights, and what keeps some of them out.
struct Farm {
    weights: &'static [u32],
    /// Marked as down in the configuration.
    down: &'static [usize],
    /// Not listening: found out by the balancer itself.
    dead: &'static [usize],
}

const FARMS: [Farm; 8] = [
    Farm::of(&[1, 1], &[], &[]),
    Farm::of(&[1, 1, 1], &[], &[]),
    Farm::of(&[2, 1, 1, 1], &[], &[]),
    Farm::of(&[7, 3, 1, 20, 20], &[], &[]),
    Farm::of(&[1, 1, 1], &[1], &[]),
    // a common factor that those that are up do not have
    Farm::of(&[2, 6, 3, 3], &[2, 3], &[]),
    Farm::of(&[1, 1, 1], &[0, 2], &[]),
    Farm::of(&[3, 1, 2], &[], &[2]),
];

impl Farm {
    const fn of(weights: &'static [u32], down: &'static [usize], dead: &'static [usize]) -> Self {
        Self { weights, down, dead }
    }

    /// Where a server listens, as configurations write it.
    fn written(&self, at: usize) -> String {
        let port = match self.dead.contains(&at) {
            true => DEAD,
            false => SERVERS + at as u16,
        };
        format!("127.0.0.1:{port}")
    }

    /// As `swarm spread` is told of it.
    fn pool(&self) -> Result<Pool> {
        let names: Vec<String> = (0..self.weights.len())
            .map(|at| format!("{}={}", self.written(at), self.weights[at]))
            .collect();
        let mut pool = Pool::parse(&names.join(","))?;
        for at in self.down.iter().chain(self.dead) {
            pool = pool.without(&self.written(*at))?;
        }
        Ok(pool)
    }
}

/// Addresses as networks have them, and as nobody has them; IPv4 ones in IPv6's clothes too, as a socket for both sees them.
fn sources() -> Vec<IpAddr> {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut v4: Vec<Ipv4Addr> = (1..=200).map(|d| Ipv4Addr::new(10, 77, 0, d)).collect();
    v4.extend((0..100).map(|c| Ipv4Addr::new(192, 168, c, 7)));
    v4.extend((2..60).map(|d| Ipv4Addr::new(127, 0, 0, d)));
    while v4.len() < SOURCES {
        v4.push((next() as u32).into());
    }
    let mut v6: Vec<Ipv6Addr> = (1..=200u16)
        .map(|n| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n))
        .collect();
    v6.extend((0..100u16).map(|n| Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 1, 0, 1)));
    v6.extend(v4.iter().take(60).map(Ipv4Addr::to_ipv6_mapped));
    while v6.len() < SOURCES {
        v6.push((u128::from(next()) << 64 | u128::from(next())).into());
    }
    v4.into_iter()
        .map(IpAddr::V4)
        .chain(v6.into_iter().map(IpAddr::V6))
        .collect()
}

/// Sends these words to a port and gives the body of what comes back.
fn exchange(port: u16, words: &str) -> Result<String> {
    body_of(TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?, words)
}

fn body_of(mut stream: TcpStream, words: &str) -> Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(words.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or("an answer without an end of its head")?;
    ensure!(head.contains(" 200 "), "it answered {head}");
    Ok(body.trim().to_owned())
}

/// Asks from every source and holds the answer against the prediction.
fn all_as_predicted(rule: Rule, farm: &Farm, ask: impl Fn(IpAddr) -> Result<String>) -> Result {
    let pool = farm.pool()?;
    let dealer = rule.over(&pool)?;
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    let all = sources();
    ensure!(all.len() >= 1000, "too few sources");
    for source in &all {
        let answered = ask(*source)?;
        let predicted = dealer.server(*source).map(|at| format!("s{}", at + 1));
        match predicted {
            Some(predicted) if predicted == answered => {}
            // servers that take turns: nothing is predicted
            None => continue,
            Some(predicted) => wrong.push(format!("{source}: {predicted} predicted, {answered} answered")),
        }
        seen.insert(answered);
    }
    let what = format!(
        "{} over {:?}, down {:?}, dead {:?}",
        rule.word(),
        farm.weights,
        farm.down,
        farm.dead
    );
    ensure!(
        wrong.is_empty(),
        "{what}: {} of {} are wrong: {}",
        wrong.len(),
        all.len(),
        wrong[..wrong.len().min(5)].join("; ")
    );
    let turns = all.iter().filter(|source| dealer.server(**source).is_none()).count();
    ensure!(
        turns * 100 <= all.len(),
        "{what}: nothing is predicted for {turns} sources"
    );
    let up = pool.up().count();
    ensure!(seen.len() == up, "{what}: {} of {up} servers were seen", seen.len());
    eprintln!("{what}: {} of {} sources as predicted", all.len() - turns, all.len());
    Ok(())
}

const HAPROXY: [(Rule, &str); 3] = [
    (Rule::HaproxySource, ""),
    (Rule::HaproxySourceAvalanche, "  hash-type map-based sdbm avalanche\n"),
    (Rule::HaproxySourceConsistent, "  hash-type consistent\n"),
];

fn haproxy(lab: &Lab) -> Result {
    let mut config =
        String::from("defaults\n  mode http\n  timeout connect 2s\n  timeout client 5s\n  timeout server 5s\n");
    for at in 0..MOST {
        write!(
            config,
            "frontend s{0}\n  bind 127.0.0.1:{1}\n  http-request return status 200 content-type text/plain string s{0}\n",
            at + 1,
            SERVERS + at
        )?;
    }
    let mut port = FRONTS;
    let mut fronts = Vec::new();
    for (rule, lines) in HAPROXY {
        for farm in &FARMS {
            write!(
                config,
                "frontend f{port}\n  bind 127.0.0.1:{port} accept-proxy\n  default_backend b{port}\nbackend b{port}\n  balance source\n{lines}"
            )?;
            for (at, weight) in farm.weights.iter().enumerate() {
                let out = if farm.down.contains(&at) { " disabled" } else { "" };
                let checked = if farm.dead.contains(&at) {
                    " check inter 100ms fall 1"
                } else {
                    ""
                };
                writeln!(
                    config,
                    "  server s{} {} weight {weight}{out}{checked}",
                    at + 1,
                    farm.written(at)
                )?;
            }
            fronts.push((rule, farm, port));
            port += 1;
        }
    }
    // one that sees IPv4 in IPv6's clothes
    write!(
        config,
        "frontend both\n  bind :::{BOTH} v4v6\n  default_backend b{}\n",
        fronts[1].2
    )?;
    // one asks here whether the dead ones are found out
    write!(config, "frontend found\n  bind 127.0.0.1:{port}\n")?;
    for (_, farm, front) in &fronts {
        for at in farm.dead {
            writeln!(
                config,
                "  http-request return status 503 if {{ srv_is_up(b{front}/s{}) }}",
                at + 1
            )?;
        }
    }
    config.push_str("  http-request return status 200 content-type text/plain string found\n");
    let file = lab.folder.join("predicted.cfg");
    std::fs::write(&file, config)?;
    let _daemon = Daemon::start(
        &lab.folder,
        "predicted-haproxy",
        Command::new("haproxy").arg("-db").arg("-f").arg(file),
    )?;
    wait_until(
        "HAProxy to know which servers are dead",
        Duration::from_secs(10),
        || Ok(exchange(port, "GET / HTTP/1.0\r\n\r\n").is_ok()),
    )?;
    for (rule, farm, port) in fronts {
        all_as_predicted(rule, farm, |source| {
            let (family, own) = match source {
                IpAddr::V4(_) => ("TCP4", "127.0.0.1"),
                IpAddr::V6(_) => ("TCP6", "::1"),
            };
            exchange(
                port,
                &format!("PROXY {family} {source} {own} 1024 80\r\nGET / HTTP/1.0\r\n\r\n"),
            )
        })?;
    }
    both_families(Rule::HaproxySource)
}

/// `BOTH` listens on IPv6 for both families, over three servers: real connections from real addresses.
fn both_families(rule: Rule) -> Result {
    let balancer = Balancer::new(rule, FARMS[1].pool()?)?.on_both_families();
    let mut wrong = Vec::new();
    for n in 0..SOURCES as u32 {
        let source = Ipv4Addr::from(0x7f00_0001 + n * 97);
        let answered = exchange_from(source, BOTH)?;
        let predicted = balancer.server(source.into()).map(|at| format!("s{}", at + 1));
        if predicted.as_deref() != Some(answered.as_str()) {
            wrong.push(format!("{source}: {predicted:?} predicted, {answered} answered"));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} on both families: {} of {SOURCES} are wrong: {}",
        rule.word(),
        wrong.len(),
        wrong[..wrong.len().min(5)].join("; ")
    );
    eprintln!(
        "{} on both families: {SOURCES} of {SOURCES} sources as predicted",
        rule.word()
    );
    Ok(())
}

fn exchange_from(source: Ipv4Addr, port: u16) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        socket
            .connect(SocketAddr::from(([127, 0, 0, 1], port)))
            .await?
            .into_std()
    })?;
    stream.set_nonblocking(false)?;
    body_of(stream, "GET / HTTP/1.0\r\n\r\n")
}

const NGINX: [(Rule, &str); 2] = [
    (Rule::NginxIpHash, "ip_hash;"),
    (Rule::NginxHashConsistent, "hash $remote_addr consistent;"),
];

fn nginx(lab: &Lab) -> Result {
    let folder = lab.folder.display();
    let mut config = format!(
        "user root;\nworker_processes 1;\nerror_log {folder}/predicted-nginx.log;\npid {folder}/predicted-nginx.pid;\n\
         events {{ worker_connections 4096; }}\nhttp {{\n  access_log off;\n  set_real_ip_from 127.0.0.0/8;\n  real_ip_header X-Real-IP;\n"
    );
    for what in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(config, "  {what}_temp_path {folder}/predicted-{what};")?;
    }
    for at in 0..MOST {
        writeln!(
            config,
            "  server {{ listen 127.0.0.1:{}; return 200 s{}; }}",
            SERVERS + at,
            at + 1
        )?;
    }
    let mut port = FRONTS;
    let mut fronts = Vec::new();
    for (rule, line) in NGINX {
        for farm in &FARMS {
            write!(config, "  upstream u{port} {{\n    {line}\n")?;
            for (at, weight) in farm.weights.iter().enumerate() {
                let out = if farm.down.contains(&at) { " down" } else { "" };
                writeln!(config, "    server {} weight={weight}{out};", farm.written(at))?;
            }
            writeln!(
                config,
                "  }}\n  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://u{port}; }} }}"
            )?;
            fronts.push((rule, farm, port));
            port += 1;
        }
    }
    writeln!(
        config,
        "  server {{ listen [::]:{BOTH} ipv6only=off; location / {{ proxy_pass http://u{}; }} }}\n}}",
        fronts[1].2
    )?;
    let file = lab.folder.join("predicted.nginx.conf");
    std::fs::write(&file, config)?;
    let _daemon = Daemon::start(
        &lab.folder,
        "predicted-nginx",
        Command::new("nginx")
            .arg("-c")
            .arg(file)
            .arg("-p")
            .arg(&lab.folder)
            .args(["-g", "daemon off;"]),
    )?;
    wait_until("nginx", Duration::from_secs(10), || {
        Ok(TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], FRONTS))).is_ok())
    })?;
    for (rule, farm, port) in fronts {
        all_as_predicted(rule, farm, |source| {
            exchange(port, &format!("GET / HTTP/1.0\r\nX-Real-IP: {source}\r\n\r\n"))
        })?;
    }
    both_families(Rule::NginxIpHash)
}
