//! Owns: source addresses that lead nowhere: which are dropped, what is said of them, and when nobody is connected to
//! before the start.

use super::{nothing_was_sent, small};
use crate::capture::Capture;
use crate::host::Host;
use crate::lab::Lab;
use crate::net::BRIDGE_ADDRESS;
use crate::process::words;
use crate::proxy::{STICKY, url};
use crate::swarm::{Attack, Outcome};
use crate::{Result, ensure};
use std::collections::BTreeMap;

pub const CASES: &[super::Case] = &[
    ("paths::a_source_without_a_path_is_dropped_by_name", dropped),
    (
        "paths::a_target_that_is_down_or_refuses_drops_no_source",
        nothing_to_drop,
    ),
    ("paths::one_source_makes_no_connection_before_the_start", one_source),
    ("paths::a_public_target_is_tried_only_with_consent", consent),
];

/// Runs within a host, and what takes it back when this is dropped.
struct Undo<'a>(&'a Host, Vec<String>);

impl<'a> Undo<'a> {
    fn of(host: &'a Host) -> Self {
        Self(host, Vec::new())
    }

    fn with(mut self, does: &str, undoes: &str) -> Result<Self> {
        self.0.inside(does)?;
        self.1.push(undoes.to_owned());
        Ok(self)
    }

    /// A second address of the host's network.
    fn address(self, address: &str) -> Result<Self> {
        self.with(
            &format!("ip addr add {address}/24 dev eth0"),
            &format!("ip addr del {address}/24 dev eth0"),
        )
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        for line in self.1.iter().rev() {
            if let Err(error) = self.0.inside(line) {
                eprintln!("{}: left as it was changed: {error}", self.0.name);
            }
        }
    }
}

/// 10.77.0.61 has a path; from .62 the network is unreachable, and what .63 sends goes to a machine that is not there.
fn odd_sources(host: &Host) -> Result<Undo<'_>> {
    let nobody = "10.77.0.250";
    Undo::of(host)
        .address("10.77.0.61")?
        .address("10.77.0.62")?
        .address("10.77.0.63")?
        .with(
            "ip rule add from 10.77.0.62 prio 100 unreachable",
            "ip rule del from 10.77.0.62 prio 100",
        )?
        .with(
            &format!("ip neigh add {nobody} lladdr 02:77:00:00:00:fa dev eth0 nud permanent"),
            &format!("ip neigh del {nobody} dev eth0"),
        )?
        .with(
            &format!("ip route add {BRIDGE_ADDRESS}/32 via {nobody} dev eth0 table 77"),
            "ip route flush table 77",
        )?
        .with(
            "ip rule add from 10.77.0.63 prio 101 lookup 77",
            "ip rule del from 10.77.0.63 prio 101",
        )
}

fn warned(outcome: &Outcome) -> Result<Vec<String>> {
    let rows = outcome.rows("/warnings")?.iter();
    let of_kind = rows.filter(|row| row["kind"] == "source_without_path");
    Ok(of_kind
        .map(|row| row["text"].as_str().unwrap_or_default().to_owned())
        .collect())
}

fn dropped(lab: &Lab) -> Result {
    let host = lab.host("h1")?;
    let _odd = odd_sources(host)?;
    let attack = || small(lab).hosts("h1,h2").with("--source-ips 10.77.0.0/24");
    let outcome = attack().run()?;
    outcome.expect_code(0)?;
    let warned = warned(&outcome)?;
    let unreachable = warned.iter().find(|text| text.contains("10.77.0.62"));
    let silent = warned.iter().find(|text| text.contains("10.77.0.63"));
    let (Some(unreachable), Some(silent), 2) = (unreachable, silent, warned.len()) else {
        return Err(outcome.wrong(&format!("two warnings were expected: {warned:?}")));
    };
    for text in [unreachable, silent] {
        for part in ["h1", BRIDGE_ADDRESS, "--source-eips", "--source-ips"] {
            ensure!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }
    ensure!(unreachable.contains("unreachable"), "no cause: {unreachable}");
    ensure!(silent.contains("no answer within 5.0 s"), "no cause: {silent}");
    outcome.expect_said(&["10.77.0.62", "10.77.0.63", "has no path"])?;
    // Half of the load from each host, and all of h1's from what is left to it.
    let counted = lab.servers.matrix("http")?;
    let sums: BTreeMap<&str, u64> = counted
        .iter()
        .map(|(s, row)| (s.as_str(), row.values().sum()))
        .collect();
    ensure!(
        sums.keys().eq(&["10.77.0.1", "10.77.0.2", "10.77.0.61"]) && sums["10.77.0.2"] == 20,
        "{}",
        outcome.wrong(&format!("the servers counted {sums:?}"))
    );
    let reported = outcome.matrix()?;
    ensure!(reported == counted, "reported {reported:?}, counted {counted:?}");
    let strict = attack().with("--strict").run()?;
    strict.expect_code(4)?;
    let armed = attack().with("--arm-only").run()?;
    armed.expect_code(0)?;
    armed.expect_said(&["h1", "source 10.77.0.62 has no path", "h2", "armed"])
}

/// Nobody answers for an address where no machine is; a port where nobody listens answers by refusing.
fn nothing_to_drop(lab: &Lab) -> Result {
    let host = lab.host("h1")?;
    let _second = Undo::of(host).address("10.77.0.61")?;
    for target in ["http://10.77.0.251:80/".to_owned(), url("http", 9, "/")] {
        let outcome = Attack::new(lab, &target)
            .hosts("h1")
            .with("--source-ips iface:eth0 -n 4 -c 2 --connect-timeout 4s")
            .run()?;
        outcome.expect_code(4)?;
        ensure!(
            warned(&outcome)?.is_empty(),
            "{}",
            outcome.wrong("a source was blamed for a target that is down")
        );
        let sources: Vec<&str> = outcome
            .rows("/sources")?
            .iter()
            .filter_map(|row| row["address"].as_str())
            .collect();
        ensure!(
            sources == ["10.77.0.1", "10.77.0.61"],
            "{}",
            outcome.wrong(&format!("connections were tried from {sources:?}"))
        );
    }
    nothing_was_sent(lab)
}

/// Who sent a SYN to the balancer while hosts were only armed.
fn tried(lab: &Lab, attack: Attack<'_>, code: i32) -> Result<(Vec<String>, Outcome)> {
    let capture = Capture::start(lab, STICKY)?;
    let outcome = attack.with("--arm-only").run()?;
    let syns = capture.first_syns()?;
    outcome.expect_code(code)?;
    Ok((syns.into_keys().collect(), outcome))
}

fn one_source(lab: &Lab) -> Result {
    let host = lab.host("h1")?;
    let _second = Undo::of(host).address("10.77.0.61")?;
    for (flags, expected) in [
        ("", &[][..]),
        ("--source-ips 10.77.0.61", &[]),
        ("--source-ips 10.77.0.1,10.77.0.61", &["10.77.0.1", "10.77.0.61"]),
    ] {
        let (tried, outcome) = tried(lab, small(lab).hosts("h1").with(flags), 0)?;
        ensure!(
            tried == expected,
            "{}",
            outcome.wrong(&format!("{tried:?} connected, not {expected:?}"))
        );
    }
    nothing_was_sent(lab)?;
    lab.servers.wait_all_closed()
}

/// A name that only the host knows, and that stands for a public address: who is asked for consent sees it only when the
/// hosts are armed.
fn consent(lab: &Lab) -> Result {
    let host = lab.host("h1")?;
    let public = "198.51.100.7";
    words(&format!("ip addr add {public}/32 dev {}", lab.net.bridge))?;
    let _public = Undo::of(host)
        .address("10.77.0.61")?
        .with(
            &format!("ip route add {public}/32 via {BRIDGE_ADDRESS}"),
            &format!("ip route del {public}/32"),
        )?
        .with(
            &format!("echo '{public} public.lab.test' > /root/hosts && mount --bind /root/hosts /etc/hosts"),
            "umount /etc/hosts",
        )?;
    let attack = || {
        Attack::new(lab, &format!("http://public.lab.test:{STICKY}/"))
            .hosts("h1")
            .with("-n 4 -c 2 --source-ips 10.77.0.1,10.77.0.61")
    };
    let (without, outcome) = tried(lab, attack(), 2)?;
    outcome.expect_said(&["public.lab.test", public, "--yes"])?;
    ensure!(
        without.is_empty(),
        "{}",
        outcome.wrong(&format!("{without:?} connected without consent"))
    );
    let (with, outcome) = tried(lab, attack().with("--yes"), 0)?;
    ensure!(
        with == ["10.77.0.1", "10.77.0.61"],
        "{}",
        outcome.wrong(&format!("with consent {with:?} connected"))
    );
    words(&format!("ip addr del {public}/32 dev {}", lab.net.bridge)).map(drop)
}
