//! Owns: the proof that a server cannot tell swarm's clients from the real ones: both are led through the same scenarios at
//! the same servers at the same time, and the servers' own logs of them agree. The real clients are socket.io-client 2 and 4
//! and engine.io-client 3 and 6 (`conform.js`). Must not: compare ids, times, or what one side says of itself.

mod scenario;

use self::scenario::{ENGINEIO, SHORT, SOCKETIO, Scenario};
use crate::lab::Lab;
use crate::net::BRIDGE_ADDRESS;
use crate::process;
use crate::server::{ALLOW_EIO3, ALONE, ENGINE_3, ENGINE_4, VERSION_2};
use crate::swarm::{Attack, Attacking};
use crate::{Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Of the playbooks that are written.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

pub const CASES: &[super::Case] = &[
    ("conformance::socketio_4_by_websocket", socketio::<4, 4, 0>),
    ("conformance::socketio_4_by_polling", socketio::<4, 4, 1>),
    ("conformance::socketio_4_by_upgrade", socketio::<4, 4, 2>),
    ("conformance::socketio_2_by_websocket", socketio::<2, 2, 0>),
    ("conformance::socketio_2_by_polling", socketio::<2, 2, 1>),
    ("conformance::socketio_2_by_upgrade", socketio::<2, 2, 2>),
    (
        "conformance::socketio_2_at_a_server_4_by_websocket",
        socketio::<2, 4, 0>,
    ),
    ("conformance::socketio_2_at_a_server_4_by_polling", socketio::<2, 4, 1>),
    ("conformance::socketio_2_at_a_server_4_by_upgrade", socketio::<2, 4, 2>),
    ("conformance::engineio_4_by_websocket", engineio::<4, 0>),
    ("conformance::engineio_4_by_polling", engineio::<4, 1>),
    ("conformance::engineio_4_by_upgrade", engineio::<4, 2>),
    ("conformance::engineio_3_by_websocket", engineio::<3, 0>),
    ("conformance::engineio_3_by_polling", engineio::<3, 1>),
    ("conformance::engineio_3_by_upgrade", engineio::<3, 2>),
];

const TRANSPORTS: [&str; 3] = ["websocket", "polling", "upgrade"];
/// Of each kind, in each scenario.
const CLIENTS: usize = 3;
/// swarm's clients come from the first host, the real ones from where the servers are.
const SWARM: &str = "10.77.0.1";
/// In place of a scenario's hold, where a slow machine needs it for the upgrade; less than the interval, so that no heartbeat falls into it.
const UPGRADED: u64 = 1_300;

/// Who meets whom, and how.
struct Meeting {
    raw: bool,
    /// Of the real client.
    version: u8,
    eio: u8,
    server: (&'static str, u16),
    transport: &'static str,
}

fn socketio<const CLIENT: u8, const SERVER: u8, const TRANSPORT: usize>(lab: &Lab) -> Result {
    let server = match (CLIENT, SERVER) {
        (2, 2) => VERSION_2,
        (2, _) => ALLOW_EIO3,
        _ => ALONE[0],
    };
    let meeting = Meeting {
        raw: false,
        version: CLIENT,
        eio: if CLIENT == 2 { 3 } else { 4 },
        server,
        transport: TRANSPORTS[TRANSPORT],
    };
    agree(lab, &meeting, &SOCKETIO)
}

fn engineio<const EIO: u8, const TRANSPORT: usize>(lab: &Lab) -> Result {
    let meeting = Meeting {
        raw: true,
        version: EIO,
        eio: EIO,
        server: if EIO == 3 { ENGINE_3 } else { ENGINE_4 },
        transport: TRANSPORTS[TRANSPORT],
    };
    agree(lab, &meeting, &ENGINEIO)
}

/// Leads both through all scenarios and compares what the server wrote down of each.
fn agree(lab: &Lab, meeting: &Meeting, scenarios: &[Scenario]) -> Result {
    lab.servers.others()?;
    let upgrades = meeting.transport == "upgrade";
    let mut under_way = Vec::new();
    for scenario in scenarios {
        let real = process::start(&mut real(meeting, scenario))?;
        let mut swarm = swarm(lab, meeting, scenario)?;
        if scenario.hold == SHORT {
            finish(real, swarm)?;
        } else {
            // the long one waits while the others go by; the agent is on the host once its clients are
            let here = |log: &Value| sessions(log, scenario, upgrades, true).len() == CLIENTS;
            swarm.until("swarm's clients", Duration::from_secs(20), || {
                Ok(here(&lab.servers.log(meeting.server.1)?))
            })?;
            under_way.push((real, swarm));
        }
    }
    for (real, swarm) in under_way {
        finish(real, swarm)?;
    }
    lab.servers.wait_all_closed()?;
    let log = lab.servers.log(meeting.server.1)?;
    let mut wrong = Vec::new();
    let mut seen = 0;
    for scenario in scenarios {
        let (theirs, ours) = (
            sessions(&log, scenario, upgrades, false),
            sessions(&log, scenario, upgrades, true),
        );
        seen += theirs.len() + ours.len();
        if theirs.len() != CLIENTS || theirs != ours {
            wrong.push(difference(scenario, &theirs, &ours));
        }
    }
    ensure!(
        wrong.is_empty(),
        "the server's log tells them apart:\n{}",
        wrong.concat()
    );
    let all = log["sessions"].as_array().map_or(0, Vec::len);
    ensure!(all == seen, "{} sessions of nobody are in the log {log}", all - seen);
    Ok(())
}

fn hold(meeting: &Meeting, scenario: &Scenario) -> u64 {
    if meeting.transport == "upgrade" {
        scenario.hold.max(UPGRADED)
    } else {
        scenario.hold
    }
}

fn target(meeting: &Meeting) -> String {
    format!("http://{BRIDGE_ADDRESS}:{}", meeting.server.1)
}

fn real(meeting: &Meeting, scenario: &Scenario) -> Command {
    let says = scenario.says.iter().map(|says| {
        if meeting.raw {
            json!(says)
        } else {
            serde_json::from_str(says).unwrap_or_default()
        }
    });
    let further = scenario.further.iter().copied();
    let namespaces: Vec<&str> = std::iter::once(scenario.namespace).chain(further).collect();
    let mut plan = json!({
        "url": target(meeting),
        "raw": meeting.raw,
        "version": meeting.version,
        "transport": meeting.transport,
        "clients": CLIENTS,
        "namespaces": namespaces,
        "query": {"case": scenario.name, "with": "a b&c"},
        "emits": says.collect::<Vec<Value>>(),
        "ack": scenario.ack,
        "hold": hold(meeting, scenario),
        "stays": scenario.stays,
    });
    match (scenario.token, meeting.version) {
        (true, 2) => plan["query"]["token"] = json!("secret"),
        (true, _) => plan["auth"] = json!({"token": "secret"}),
        _ => {}
    }
    let mut node = Command::new("node");
    node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/servers/conform.js"))
        .arg(plan.to_string());
    node
}

fn swarm(lab: &Lab, meeting: &Meeting, scenario: &Scenario) -> Result<Attacking> {
    let attack = match scenario.steps {
        Some(steps) => Attack::playbook(lab, &book(lab, meeting, scenario, steps)?),
        None => Attack::new(lab, &target(meeting)),
    };
    let mut attack = attack.hosts("h1").with(&format!(
        "--eio {} --transport {} -c {CLIENTS} --connect-rate max --hold {}ms --query case={} --query",
        meeting.eio,
        meeting.transport,
        hold(meeting, scenario),
        scenario.name
    ));
    attack = attack.word("with=a b&c");
    if meeting.raw {
        attack = attack.with("--engine engineio --echo");
        if let Some(says) = scenario.says {
            attack = attack.word("--message").word(says);
        }
        return attack.start();
    }
    if scenario.steps.is_some() {
        return attack.start();
    }
    attack = attack.with("--socketio --namespace").word(scenario.namespace);
    if let Some(says) = scenario.says {
        attack = attack.word("--emit").word(says);
    }
    if scenario.ack {
        attack = attack.word("--ack");
    }
    if scenario.token {
        attack = match meeting.version {
            2 => attack.with("--query token=secret"),
            _ => attack.word("--auth").word(r#"{"token":"secret"}"#),
        };
    }
    attack.start()
}

/// The scenario as a playbook: its file.
fn book(lab: &Lab, meeting: &Meeting, scenario: &Scenario, steps: &str) -> Result<String> {
    let folder = lab.folder.join("conformance");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(format!(
        "{}-{}.toml",
        scenario.name,
        NUMBER.fetch_add(1, Ordering::Relaxed)
    ));
    let (target, namespace) = (target(meeting), scenario.namespace);
    std::fs::write(
        &file,
        format!(
            "target = \"{target}\"\nengine = \"socketio\"\n[[flow]]\nname = \"{name}\"\nsteps = [\n\
             {{ connect = {{ namespace = \"{namespace}\" }} }},\n{steps}\n]\n",
            name = scenario.name,
        ),
    )?;
    Ok(file.display().to_string())
}

/// Waits for both. That the server ends or refuses clients makes swarm's exit code 4, which says nothing here.
fn finish(real: process::Running, swarm: Attacking) -> Result {
    let outcome = swarm.wait()?;
    ensure!(
        matches!(outcome.code(), Some(0 | 4)),
        "{}",
        outcome.wrong("swarm did not do its part")
    );
    let real = real.wait(Duration::from_secs(30))?;
    ensure!(
        real.status.success() && !real.timed_out,
        "the real client did not do its part: {}{}",
        real.stdout,
        real.stderr
    );
    Ok(())
}

/// The sessions of one side in a scenario, without what may differ.
fn sessions(log: &Value, scenario: &Scenario, upgrades: bool, swarm: bool) -> Vec<String> {
    let all = log["sessions"].as_array().map_or(&[][..], Vec::as_slice);
    let mut found: Vec<String> = all
        .iter()
        .filter(|session| session["query"]["case"] == scenario.name && (session["source"] == SWARM) == swarm)
        .map(|session| {
            let mut kept = session.clone();
            for word in ["n", "source"] {
                kept[word].take();
            }
            // swarm does not wait for the upgrade before it speaks, so the end may come in the middle of the probe
            if upgrades && (scenario.stays || !scenario.ends_alike) {
                for word in ["transport", "upgraded"] {
                    kept[word].take();
                }
            }
            // both the last poll and the close packet are on their way: which comes first decides what the server calls it
            if scenario.stays && kept["closed"] == "forced close" {
                kept["closed"] = json!("transport close");
            }
            // a slow machine may give one of them time for a third
            kept["beats"] = json!(kept["beats"].as_u64().map(|beats| beats.min(2)));
            if !scenario.ends_alike {
                kept["closed"].take();
                kept["did"]
                    .as_array_mut()
                    .into_iter()
                    .for_each(|did| did.retain(|entry| entry["what"] != "disconnect"));
            }
            kept.to_string()
        })
        .collect();
    found.sort();
    found
}

/// Both logs of a scenario, what is the same in both once.
fn difference(scenario: &Scenario, theirs: &[String], ours: &[String]) -> String {
    let mut text = format!("{}:\n", scenario.name);
    let mut left = ours.to_vec();
    for line in theirs {
        match left.iter().position(|known| known == line) {
            Some(at) => {
                left.remove(at);
                text += &format!("    both   {line}\n");
            }
            None => text += &format!("  - real   {line}\n"),
        }
    }
    for line in left {
        text += &format!("  + swarm  {line}\n");
    }
    text
}
