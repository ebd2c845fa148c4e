//! Owns: seeing from outside when each source began: SYNs on the bridge, stamped by the kernel's one clock.
//! Must not: use anything that swarm reports.

use crate::process::{Daemon, wait_until};
use crate::{Result, lab::Lab};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

/// tcpdump on the bridge, listening for connection attempts to one port.
pub struct Capture {
    tcpdump: Daemon,
}

/// When the first SYN of each source passed, in seconds of one clock.
pub type FirstSyn = BTreeMap<String, f64>;

impl Capture {
    pub fn start(lab: &Lab, port: u16) -> Result<Self> {
        let filter = format!("tcp dst port {port} and tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn");
        let mut command = Command::new("tcpdump");
        command.args([
            "-i",
            &lab.net.bridge,
            "-Z",
            "root",
            "-nn",
            "-tt",
            "-l",
            "--immediate-mode",
            "-s",
            "96",
        ]);
        let tcpdump = Daemon::start(&lab.folder, "tcpdump", command.arg(filter))?;
        wait_until("tcpdump to listen", Duration::from_secs(5), || {
            Ok(tcpdump.said().contains("listening on"))
        })?;
        Ok(Self { tcpdump })
    }

    /// Stops and reads. A line: `1700000000.123456 IP 10.77.0.1.40000 > 10.77.0.254.17080: Flags [S], ...`
    pub fn first_syns(self) -> Result<FirstSyn> {
        let mut first = FirstSyn::new();
        for line in self.tcpdump.stop()?.lines() {
            let mut words = line.split(' ');
            let (Some(Ok(time)), Some("IP"), Some(from)) =
                (words.next().map(str::parse::<f64>), words.next(), words.next())
            else {
                continue;
            };
            let Some((address, _port)) = from.rsplit_once('.') else {
                continue;
            };
            let at = first.entry(address.to_owned()).or_insert(time);
            *at = at.min(time);
        }
        Ok(first)
    }
}

/// Milliseconds between the first and the last host's first SYN.
pub fn spread_ms(first: &FirstSyn) -> f64 {
    let late = first.values().copied().fold(f64::MIN, f64::max);
    let early = first.values().copied().fold(f64::MAX, f64::min);
    (late - early) * 1e3
}
