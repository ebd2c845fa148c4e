//! What this host offers: cores, memory, descriptors, ports, addresses, and how busy its CPU is. Reads `/proc` where
//! there is one; an empty chroot has none, and says "not known". Never here: the plan.

use crate::addresses;
use crate::wire::message::Hello;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;

/// What this host says about itself. Raises the soft limit of descriptors to the hard one.
pub fn hello() -> Hello {
    Hello {
        build: crate::wire::BUILD_ID.to_owned(),
        pid: std::process::id(),
        cores: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        memory: memory().unwrap_or(0),
        files: raise_files(),
        ports: ports().unwrap_or((32_768, 60_999)),
        interfaces: addresses::read(),
    }
}

fn raise_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(1 << 20);
    let raised = Rlimit {
        current: Some(hard),
        maximum: limit.maximum,
    };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        hard
    } else {
        limit.current.unwrap_or(hard)
    }
}

fn memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

fn ports() -> Option<(u16, u16)> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut numbers = text.split_whitespace().map(str::parse::<u16>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// CPU time of the whole host so far, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTicks {
    busy: u64,
    steal: u64,
    whole: u64,
}

impl CpuTicks {
    /// Reads the clock ticks; `None` where they cannot be known.
    pub fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// Takes the first line of `/proc/stat`: user nice system idle iowait irq softirq steal.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().next()?.strip_prefix("cpu ")?;
        let n: Vec<u64> = line
            .split_whitespace()
            .take(8)
            .filter_map(|word| word.parse().ok())
            .collect();
        let [user, nice, system, idle, iowait, irq, softirq, steal] = n.try_into().ok()?;
        let busy = user + nice + system + irq + softirq;
        Some(Self {
            busy,
            steal,
            whole: busy + idle + iowait + steal,
        })
    }

    /// Shares of busy and stolen time since `before`, 0 to 1.
    pub fn since(&self, before: &Self) -> Option<(f32, f32)> {
        let whole = self.whole.checked_sub(before.whole).filter(|ticks| *ticks > 0)? as f32;
        Some((
            (self.busy.saturating_sub(before.busy)) as f32 / whole,
            (self.steal.saturating_sub(before.steal)) as f32 / whole,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_from_the_difference_of_two_readings() {
        let before = CpuTicks::parse("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1").unwrap();
        let after = CpuTicks::parse("cpu  150 10 120 810 0 5 5 10 0 0\n").unwrap();
        let (busy, steal) = after.since(&before).unwrap();
        assert!((busy - 90.0 / 110.0).abs() < 1e-6, "{busy}");
        assert!((steal - 10.0 / 110.0).abs() < 1e-6, "{steal}");
        assert_eq!(after.since(&after), None);
        assert_eq!(CpuTicks::parse("intr 5"), None);
    }
}
