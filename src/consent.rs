//! Who may be hit: which addresses are free, which host names need the user's word, and what is asked.
//!
//! Pure. Never here: sockets, terminals, the environment; nothing but the command line and a typed answer consents.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

/// A host name of the plan and the addresses that hits to it would go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approach {
    /// Host name or address as the plan has it.
    pub host: String,
    /// What it stands for, as the controller or the hosts resolved it. Empty: not known yet.
    pub addresses: Vec<IpAddr>,
}

/// What follows for this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Every address is loopback or private.
    Free,
    /// `--yes` was given for these names.
    ByFlag(Vec<String>),
    /// Show the plan and ask for these names.
    Ask(Vec<String>),
    /// No terminal to ask at and no `--yes`: exit 2 with this text.
    Refuse(String),
}

/// Loopback, private (RFC 1918, RFC 4193) and link-local addresses need no consent.
pub fn is_free(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_free(IpAddr::V4(v4)),
            None => v6 == Ipv6Addr::LOCALHOST || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}

/// The host names that need consent, each once, sorted: those with an address that isn't free, or with none known.
pub fn names_to_ask(approaches: &[Approach]) -> Vec<String> {
    let asked: BTreeSet<String> = approaches
        .iter()
        .filter(|approach| approach.addresses.is_empty() || !approach.addresses.iter().copied().all(is_free))
        .map(|approach| plain(&approach.host))
        .collect();
    asked.into_iter().collect()
}

/// What a run against these approaches needs. `terminal`: a person can be asked.
pub fn decide(approaches: &[Approach], yes: bool, terminal: bool) -> Decision {
    let names = names_to_ask(approaches);
    match (names.is_empty(), yes, terminal) {
        (true, ..) => Decision::Free,
        (_, true, _) => Decision::ByFlag(names),
        (.., true) => Decision::Ask(names),
        _ => Decision::Refuse(format!(
            "{} is neither loopback nor private: load needs your consent, and there is no terminal to ask at; add --yes if you may load it",
            names.join(", ")
        )),
    }
}

/// The question, to be shown under the plan.
pub fn prompt(plan: &str, names: &[String]) -> String {
    let gap = if plan.is_empty() || plan.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!(
        "{plan}{gap}\nThis sends load to {}, which is neither loopback nor private.\nOnly go on if you may. Type {} to start: ",
        names.join(", "),
        names.join(" ")
    )
}

/// Whether a typed answer names every host.
pub fn agrees(answer: &str, names: &[String]) -> bool {
    let typed: BTreeSet<String> = answer
        .split([' ', ',', '\t', '\r', '\n'])
        .filter(|word| !word.is_empty())
        .map(plain)
        .collect();
    !names.is_empty() && names.iter().all(|name| typed.contains(&plain(name)))
}

/// The names of `resolved` that were in nobody's consent: what an agent resolved, or where a redirect leads, is a new
/// target. `approved` are the names that were asked for or flagged.
pub fn strays(resolved: &[Approach], approved: &[String]) -> Vec<String> {
    names_to_ask(resolved)
        .into_iter()
        .filter(|name| !approved.iter().any(|known| plain(known) == *name))
        .collect()
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approach(host: &str, addresses: &[&str]) -> Approach {
        Approach {
            host: host.into(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn free_addresses() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.4",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.1.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_free(address.parse().unwrap()), "{address}");
        }
        for address in [
            "8.8.8.8",
            "172.32.0.1",
            "192.169.0.1",
            "0.0.0.0",
            "100.64.0.1",
            "::",
            "2001:db8::1",
            "::ffff:8.8.8.8",
            "224.0.0.1",
        ] {
            assert!(!is_free(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn one_public_address_is_enough_to_ask() {
        let mixed = [
            approach("App.Example.com.", &["10.0.0.1", "203.0.113.9"]),
            approach("db", &["10.0.0.2"]),
        ];
        assert_eq!(names_to_ask(&mixed), ["app.example.com"]);
        assert_eq!(names_to_ask(&[approach("unknown", &[])]), ["unknown"]);
    }

    #[test]
    fn decisions() {
        let public = [approach("a.example", &["203.0.113.9"])];
        let names = vec!["a.example".to_string()];
        assert_eq!(decide(&[approach("l", &["127.0.0.1"])], false, false), Decision::Free);
        assert_eq!(decide(&public, true, false), Decision::ByFlag(names.clone()));
        assert_eq!(decide(&public, false, true), Decision::Ask(names));
        let Decision::Refuse(text) = decide(&public, false, false) else {
            panic!("must refuse")
        };
        assert!(
            text.starts_with("a.example is neither") && text.contains("--yes"),
            "{text}"
        );
    }

    #[test]
    fn only_the_name_agrees() {
        let names = vec!["a.example".to_string(), "b.example".to_string()];
        assert!(agrees("A.example b.example\n", &names));
        for answer in ["", "y", "yes", "a.example", "a.example.org b.example"] {
            assert!(!agrees(answer, &names), "{answer}");
        }
        assert!(!agrees("yes", &[]));
        let text = prompt("target   x", &names);
        assert!(
            text.starts_with("target   x\n\n") && text.ends_with("Type a.example b.example to start: "),
            "{text}"
        );
    }

    #[test]
    fn what_was_not_approved_strays() {
        let resolved = [
            approach("a.example", &["203.0.113.9"]),
            approach("c.example", &["203.0.113.10"]),
            approach("d", &["10.1.1.1"]),
        ];
        assert_eq!(strays(&resolved, &["A.example".into()]), ["c.example"]);
    }
}
