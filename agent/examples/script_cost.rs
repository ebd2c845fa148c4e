//! What scripts cost: `script_cost CLIENTS CALLS` makes CLIENTS clients of a script, lets each be told and say CALLS
//! messages, and prints resident memory per client and CPU time per call. `script_cost FILE` runs a script's hooks by hand
//! and prints what they order: `on_connect`, then `next_message` three times, then `on_message` with `["chat",{"text":"hi"}]`.

use rustix::time::{ClockId, clock_gettime};
use std::io::{Error, Result, Write};
use swarm_agent::script::{Body, Client, Engine, Facts};

const SCRIPT: &str = r#"
let said = 0, heard = 0;
function on_message(client, event, message) {
    if (message.text) heard += 1;
}
function next_message(client) {
    said += 1;
    client.emit("chat", { room: "room-" + (client.conn % 200), text: "hello " + said, from: client.conn });
}
"#;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(|word| (word, word.parse::<u64>())) {
        Some((_, Ok(clients))) => weigh(clients, words.get(1).and_then(|word| word.parse().ok()).unwrap_or(100)),
        Some((file, Err(_))) => show(file),
        None => Err(Error::other("script_cost CLIENTS CALLS, or script_cost FILE")),
    }
}

fn facts(conn: u64, conns: u64) -> Facts {
    Facts {
        conn,
        conns,
        host: 0,
        hosts: 1,
        source: "10.99.1.7".into(),
        run: "r-20261129-1".into(),
        seed: 1,
        columns: vec![("user".into(), format!("user-{conn}"))],
    }
}

fn weigh(clients: u64, calls: u64) -> Result<()> {
    let empty = resident()?;
    let engine = Engine::compile("cost.js", SCRIPT).map_err(Error::other)?;
    let before = resident()?;
    let start = on_cpu();
    let made: std::result::Result<Vec<Client>, _> =
        (0..clients).map(|conn| engine.client(&facts(conn, clients))).collect();
    let mut made = made.map_err(Error::other)?;
    let making = (on_cpu() - start) / clients.max(1);
    let fresh = resident()?;
    let mut out = Vec::new();
    let mut orders = 0;
    let mut round = |say: &mut dyn FnMut(&mut Client, &mut Vec<_>) -> Result<()>| -> Result<u64> {
        let start = on_cpu();
        for _ in 0..calls {
            for client in &mut made {
                say(client, &mut out)?;
                orders += out.len();
                out.clear();
            }
        }
        Ok((on_cpu() - start) / (clients * calls).max(1))
    };
    let saying = round(&mut |client, out| client.next_message(5, out).map(drop).map_err(Error::other))?;
    let body = Body::Json(r#"[{"room":"room-7","text":"hello","from":7}]"#);
    let hearing = round(&mut |client, out| client.on_message(5, Some("chat"), body, out).map_err(Error::other))?;
    let held = resident()?;
    let each = |kib: u64| kib.saturating_sub(before) as f64 / clients as f64;
    writeln!(
        std::io::stdout(),
        "engine {} KiB a thread, client {:.2} KiB new and {:.2} KiB after its calls; made in {making} ns, next_message \
         {saying} ns, on_message {hearing} ns of CPU; {orders} orders",
        before - empty,
        each(fresh),
        each(held)
    )
}

fn show(file: &str) -> Result<()> {
    let source = std::fs::read_to_string(file)?;
    let engine = Engine::compile(file, &source).map_err(Error::other)?;
    let mut client = engine.client(&facts(7, 1000)).map_err(Error::other)?;
    let mut out = Vec::new();
    client.on_connect(0, &mut out).map_err(Error::other)?;
    print("on_connect", &mut out)?;
    for second in 1..=3u64 {
        let more = client.next_message(second * 1000, &mut out).map_err(Error::other)?;
        print(if more { "next_message" } else { "next_message: no more" }, &mut out)?;
    }
    client
        .on_message(4000, Some("chat"), Body::Json(r#"[{"text":"hi"}]"#), &mut out)
        .map_err(Error::other)?;
    print("on_message", &mut out)
}

fn print(hook: &str, out: &mut Vec<swarm_agent::script::Order>) -> Result<()> {
    writeln!(std::io::stdout(), "{hook}")?;
    for order in out.drain(..) {
        writeln!(std::io::stdout(), "    {order:?}")?;
    }
    Ok(())
}

/// CPU time of this thread, ns.
fn on_cpu() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    (now.tv_sec * 1_000_000_000 + now.tv_nsec).unsigned_abs()
}

/// Resident memory of this process, KiB.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0))
}
