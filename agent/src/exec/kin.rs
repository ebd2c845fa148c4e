//! All processes below this one, found in `/proc`, and their end. Never here: why they are ended.

use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Between two looks at what is left.
const LOOK: Duration = Duration::from_millis(10);
/// Processes that not even SIGKILL has ended within this time hang in the kernel; nobody waits for them.
const STUCK: Duration = Duration::from_secs(20);

/// Ends every process below this one: SIGTERM, `grace`, then SIGKILL until none is left. Whoever is orphaned meanwhile
/// is below this one still, as it must be a reaper of orphans. `reap` is called at every look and must wait for what has
/// ended. Returns how many could not be ended.
pub(super) async fn end_all(grace: Duration, mut reap: impl FnMut()) -> u32 {
    let began = Instant::now();
    let mut asked = BTreeSet::new();
    loop {
        reap();
        let left = below(std::process::id());
        if left.is_empty() {
            return 0;
        }
        let time = began.elapsed();
        if time > grace + STUCK {
            return u32::try_from(left.len()).unwrap_or(u32::MAX);
        }
        for pid in left {
            if time >= grace {
                signal(pid, Signal::KILL);
            } else if asked.insert(pid) {
                signal(pid, Signal::TERM);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The living processes below `root`.
pub(super) fn below(root: u32) -> Vec<u32> {
    let Ok(folder) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let numbers = folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let stats = numbers.filter_map(|pid: u32| {
        let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let (parent, lives) = parent_of(&String::from_utf8_lossy(&text))?;
        Some((pid, (parent, lives)))
    });
    below_in(root, &stats.collect())
}

/// Parent, and whether it lives: fields 4 and 3 of `/proc/PID/stat`. The name before them may hold anything.
fn parent_of(stat: &str) -> Option<(u32, bool)> {
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    let state = words.next()?;
    Some((words.next()?.parse().ok()?, !matches!(state, "Z" | "X" | "x")))
}

fn below_in(root: u32, parents: &BTreeMap<u32, (u32, bool)>) -> Vec<u32> {
    let leads_to_root = |start: u32| {
        let mut at = start;
        // a table that was read while processes came and went may hold a circle
        for _ in 0..parents.len() {
            match parents.get(&at) {
                Some((parent, _)) if *parent == root => return true,
                Some((parent, _)) => at = *parent,
                None => return false,
            }
        }
        false
    };
    let living = parents.iter().filter(|(_, (_, lives))| *lives).map(|(pid, _)| *pid);
    living.filter(|pid| leads_to_root(*pid)).collect()
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // gone already is as good; one that may not be signalled is counted in the end
        kill_process(pid, signal).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_no_kin_but_their_children_are() {
        let table = [
            (1, (0, true)),
            (10, (1, true)),
            (11, (10, false)),
            (12, (11, true)),
            (20, (1, true)),
            (30, (31, true)),
            (31, (30, true)),
        ];
        assert_eq!(below_in(10, &table.into()), [12]);
        assert_eq!(below_in(1, &table.into()), [10, 12, 20]);
        assert_eq!(below_in(99, &table.into()), [0u32; 0]);
    }

    #[test]
    fn a_name_may_hold_what_it_likes() {
        assert_eq!(parent_of("7 (a) Z 9 b) S 42 7 7 0"), Some((42, true)));
        assert_eq!(parent_of("7 (x) Z 42 7"), Some((42, false)));
        assert_eq!(parent_of("nonsense"), None);
    }
}
