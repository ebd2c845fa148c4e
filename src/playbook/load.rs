//! What of a playbook goes into the plan directly: the way back, storms, broadcasts, what it needs of hosts. Pure.

use super::keys;
use super::reading::Section;
use crate::cli::units::{self, SECOND};
use swarm_agent::wire::share::{BackOff, Broadcast};

/// As socket.io-client comes back unless told otherwise.
const USUAL: BackOff = BackOff {
    least: SECOND,
    most: 5 * SECOND,
    jitter: 500,
    attempts: None,
};

/// How clients come back, and when all are dropped.
pub fn comeback(load: &Section<'_>) -> (Option<BackOff>, Vec<u64>) {
    let read = |said: super::reading::Said| match units::duration_above_zero(&said.text) {
        Ok(at) => Some(at),
        Err(error) => {
            load.wrong("storms", &error);
            None
        }
    };
    let mut storms: Vec<u64> = load.texts("storms").into_iter().filter_map(read).collect();
    storms.sort_unstable();
    storms.dedup();
    let on = load.switch("reconnect");
    let least = load.read("reconnect-delay", units::duration_above_zero);
    let most = load.read("reconnect-delay-max", units::duration_above_zero);
    let jitter = load.read("reconnect-jitter", jitter);
    let attempts = load.read("reconnect-attempts", units::count);
    if on == Some(false) && !storms.is_empty() {
        load.wrong("storms", "after a storm clients come back: leave out reconnect = false");
    }
    if on != Some(true) && storms.is_empty() {
        for key in [
            "reconnect-delay",
            "reconnect-delay-max",
            "reconnect-jitter",
            "reconnect-attempts",
        ] {
            if load.get(key).is_some() {
                load.wrong(key, "nobody comes back: add reconnect = true");
            }
        }
        return (None, storms);
    }
    let least = least.unwrap_or(USUAL.least);
    let most = most.unwrap_or(USUAL.most.max(least));
    if most < least {
        load.wrong("reconnect-delay-max", "is shorter than reconnect-delay");
    }
    let way_back = BackOff {
        least,
        most,
        jitter: jitter.unwrap_or(USUAL.jitter),
        attempts: attempts.map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
    };
    (Some(way_back), storms)
}

/// In thousandths.
fn jitter(text: &str) -> Result<u32, String> {
    match units::decimal(text) {
        Some(part) if part <= 1.0 => Ok((part * 1000.0).round() as u32),
        _ => Err("a part between 0 and 1".into()),
    }
}

/// What is measured of broadcasts. `stamped` is found out from what is emitted.
pub fn broadcast(section: &Section<'_>, flows: bool) -> Option<Broadcast> {
    let Some(event) = section.text("event").filter(|event| !event.is_empty()) else {
        section.wrong("event", "its name is missing");
        return None;
    };
    if flows && section.get("emitters").is_some() {
        section.wrong("emitters", "the flows say who emits: give the emitting flow its weight");
    }
    Some(Broadcast {
        event,
        one_in: section.read("emitters", one_in).unwrap_or(1),
        stamped: false,
    })
}

fn one_in(text: &str) -> Result<u64, String> {
    let wrong = || "1/K: one client in K emits".to_string();
    let (one, k) = text.split_once('/').ok_or_else(wrong)?;
    match (one.trim(), units::count(k)) {
        ("1", Ok(k)) => Ok(k),
        _ => Err(wrong()),
    }
}

/// What a playbook needs to mean anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Hosts.
    pub hosts: Option<u64>,
    /// Source addresses of all hosts together.
    pub sources: Option<u64>,
}

/// `[hosts]` min and sources.
pub fn needs(top: &Section<'_>) -> Needs {
    match top.table("hosts", &keys::HOSTS) {
        Some(hosts) => Needs {
            hosts: hosts.read("min", units::count),
            sources: hosts.read("sources", units::count),
        },
        None => Needs::default(),
    }
}
