//! Shows a run while it goes on: the conductor's notices to the live line. Never here: what they mean for the result.

use crate::conduct::notice::{Notice, Second};
use crate::show::live::{Live, LivePoint};
use tokio::sync::mpsc::UnboundedReceiver;

/// Shows notices until the conductor is done. `told_head`: the attack's head was printed, and what belongs to it is, too.
pub async fn watch(mut live: Live, told_head: bool, mut told: UnboundedReceiver<Notice>) {
    let mut view = View::default();
    while let Some(notice) = told.recv().await {
        match notice {
            Notice::Gone { host, why } => live.say(&format!("{host}: {why}")),
            Notice::Doubt { host, text } => live.say(&format!("{host}: {text}")),
            Notice::Server { line } => {
                if told_head {
                    live.say(&line);
                }
            }
            Notice::Beside { line } => live.say(&line),
            Notice::Started { hosts } => view.asked = hosts,
            Notice::Second(second) => live.show(&view.point(&second)),
            Notice::Draining => live.say("stopping: no new hits; once more Ctrl-C leaves at once"),
            Notice::Trace { at_us, line } => live.say(&format!("{:>10.3} ms  {line}", at_us as f64 / 1e3)),
        }
    }
    live.clear();
}

/// What the line remembers from second to second.
#[derive(Debug, Default)]
struct View {
    asked: usize,
    last_s: f64,
    requests: u64,
    errors: u64,
}

impl View {
    fn point(&mut self, second: &Second) -> LivePoint {
        let took = (second.t_s - self.last_s).max(1e-3);
        self.last_s = second.t_s;
        self.requests += second.requests;
        self.errors += second.errors;
        LivePoint {
            t_s: second.t_s,
            requests: self.requests,
            rps: second.requests as f64 / took,
            errors: self.errors,
            open: second.open,
            p50: second.latency.quantile(0.5),
            p99: second.latency.quantile(0.99),
            hosts_alive: second.running,
            hosts_asked: second.asked,
        }
    }
}
