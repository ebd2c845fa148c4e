//! Weighs the engines that scripts of playbooks could run on: `script-engines WAY CLIENTS CALLS` makes CLIENTS clients,
//! lets each say CALLS messages, and prints resident memory per client and CPU time per call. WAY is `context` (QuickJS, a
//! context a client), `scope` (one context, the script's scope a client), `object` (one context and scope, an object a
//! client) or `rhai` (one compiled script, a map a client). The file's size without the features `quickjs` and `rhai`, and
//! with one of them, is what that engine adds.

#[cfg(feature = "quickjs")]
mod quickjs;
#[cfg(feature = "rhai")]
mod rhai;

use rustix::time::{ClockId, clock_gettime};
use std::error::Error;

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let words: Vec<String> = std::env::args().collect();
    let number = |n: usize| words.get(n).and_then(|word| word.parse().ok()).unwrap_or(1000usize);
    let (clients, calls) = (number(2), number(3));
    match words.get(1).map(String::as_str) {
        #[cfg(feature = "quickjs")]
        Some("context") => quickjs::contexts(clients, calls),
        #[cfg(feature = "quickjs")]
        Some("scope") => quickjs::scopes(clients, calls),
        #[cfg(feature = "quickjs")]
        Some("object") => quickjs::objects(clients, calls),
        #[cfg(feature = "rhai")]
        Some("rhai") => rhai::maps(clients, calls),
        _ => weigh(resident()?, clients, calls, |_| Ok(0)),
    }
}

/// Runs `say` for each client in turn, `calls` times, and prints.
fn weigh(
    before: usize,
    clients: usize,
    calls: usize,
    mut say: impl FnMut(usize) -> Result<usize, Box<dyn Error>>,
) -> Done {
    let start = on_cpu();
    let mut bytes = 0;
    for _ in 0..calls {
        for client in 0..clients {
            bytes += say(client)?;
        }
    }
    let each = (on_cpu() - start) as f64 / (clients * calls) as f64;
    let held = (resident()? - before) as f64 / clients as f64;
    println!("{held:.2} KiB each, {each:.0} ns of CPU a call, {bytes} bytes said");
    Ok(())
}

/// CPU time of this thread, ns.
fn on_cpu() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    (now.tv_sec * 1_000_000_000 + now.tv_nsec).unsigned_abs()
}

/// Resident memory of this process, KiB.
fn resident() -> std::io::Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0))
}
