//! What of a playbook goes into the plan directly: broadcasts, what it needs of hosts. Pure.

use super::keys;
use super::reading::Section;
use crate::cli::units;
use swarm_agent::wire::share::Broadcast;

/// `reconnect = false` says the opposite of storms, and no flag can say it.
pub fn refuse_storms_without_return(load: &Section<'_>) {
    if load.get("storms").is_some() && load.switch("reconnect") == Some(false) {
        load.wrong("storms", "after a storm clients come back: leave out reconnect = false");
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
