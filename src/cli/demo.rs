//! `swarm demo`: three Socket.IO servers behind a source-hash balancer on this machine's loopback, attacked first from one
//! address, then from eight, with the real agents. The servers' own counts stand beside the report. Never here: the servers.

use super::DemoArgs;
use super::attack::{Surroundings, steps, understand};
use super::{Command, Parsed, parse};
use crate::demo::{Counts, Demo};
use crate::error::{Error, Exit};
use crate::merge::summary::Summary;
use crate::show;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Clients of one attack: few enough for a descriptor limit of 1,024 in the demo's own process.
const CLIENTS: u64 = 80;

/// One attack of the demo.
struct Act {
    title: &'static str,
    sources: &'static str,
    transport: &'static str,
}

const ACTS: [Act; 4] = [
    Act {
        title: "1. From one address, as a load test from one machine is",
        sources: "127.0.0.2",
        transport: "upgrade",
    },
    Act {
        title: "2. From eight addresses, polling",
        sources: "127.0.0.2-127.0.0.9",
        transport: "polling",
    },
    Act {
        title: "3. From eight addresses, upgrade",
        sources: "127.0.0.2-127.0.0.9",
        transport: "upgrade",
    },
    Act {
        title: "4. From eight addresses, websocket",
        sources: "127.0.0.2-127.0.0.9",
        transport: "websocket",
    },
];

/// Runs the demo. Exit 1 when what the servers counted differs from what the report says.
pub async fn demo(args: &DemoArgs) -> Result<Exit, Error> {
    let demo = Demo::start().await.map_err(|error| Error::Demo(Box::new(error)))?;
    let played = play(&demo, args).await;
    demo.stop().await;
    played
}

async fn play(demo: &Demo, args: &DemoArgs) -> Result<Exit, Error> {
    let mut exits = Vec::new();
    let mut reports = Vec::new();
    for act in &ACTS {
        demo.reset();
        let line = words(demo, act, args);
        let summary = attack(&line).await?;
        let counted = demo.counts();
        let differences = differences(&summary, &counted);
        exits.push(if differences.is_empty() {
            Exit::Ok
        } else {
            Exit::Unexpected
        });
        if args.json {
            reports.push(show::json::text(&summary).map_err(|error| Error::Unexpected(Box::new(error)))?);
        } else {
            say(&told(act, &line, &summary, &counted, &differences))?;
        }
    }
    if args.json {
        say(&format!("[{}]\n", reports.join(",\n")))?;
    } else {
        say(&ending())?;
    }
    Ok(Exit::foremost(exits))
}

/// The command line of an act, as a user would type it.
fn words(demo: &Demo, act: &Act, args: &DemoArgs) -> Vec<String> {
    let mut line = format!(
        "swarm attack {} --socketio --transport {} --source-ips {} -c {CLIENTS} --connect-rate {CLIENTS} --emit echo,1 --ack --hold 1s",
        demo.url(),
        act.transport,
        act.sources,
    );
    if args.no_live || args.json {
        line.push_str(" --no-live");
    }
    line.split(' ').map(str::to_owned).collect()
}

async fn attack(line: &[String]) -> Result<Summary, Error> {
    let Parsed::Command(Command::Attack(args)) = parse(line.iter().map(Into::into))? else {
        return Err(Error::Demo("the demo's own command line is no attack".into()));
    };
    let around = Surroundings {
        words: line.to_vec(),
        // the demo's servers are here, whatever fleet is up
        fleets: Vec::new(),
        ..Surroundings::real()
    };
    let mut command = understand(&args, &around)?;
    let hosts = command.hosts.hosts()?;
    steps::resolve(&mut command.plan).await;
    let outcome = steps::watched(&command, &hosts, None, false).await?;
    Ok(steps::judged(&outcome))
}

type Table = BTreeMap<IpAddr, BTreeMap<String, u64>>;

/// Clients by source and backend, as the report has them.
fn reported(summary: &Summary) -> Table {
    let mut table = Table::new();
    for row in summary.sources.iter() {
        for (backend, clients) in &row.backends {
            *table
                .entry(row.address)
                .or_default()
                .entry(backend.clone())
                .or_default() += clients;
        }
    }
    table
}

fn differences(summary: &Summary, counted: &Counts) -> Vec<String> {
    let mut found = Vec::new();
    let report = reported(summary);
    if report != counted.sources {
        found.push(format!(
            "by source and backend the report says {report:?}, the servers counted {:?}",
            counted.sources
        ));
    }
    let clients: u64 = counted.backends.values().map(|backend| backend.clients).sum();
    let emits: u64 = counted.backends.values().map(|backend| backend.emits).sum();
    let tally = &summary.whole.tally;
    for (what, ours, theirs) in [
        ("clients", tally.connections.opened, clients),
        ("emits", tally.messages.sent, emits),
    ] {
        if ours != theirs {
            found.push(format!("the report says {ours} {what}, the servers counted {theirs}"));
        }
    }
    for warning in summary.warnings.iter().filter(|warning| warning.kind == "incomplete") {
        found.push(warning.text.clone());
    }
    found
}

fn told(act: &Act, line: &[String], summary: &Summary, counted: &Counts, differences: &[String]) -> String {
    let mut text = format!("{}\n\n  $ {}\n\n", act.title, line.join(" "));
    text.push_str(&show::tables::matrix(summary));
    text.push_str("\n  the servers' own counts\n");
    for (backend, counts) in &counted.backends {
        text.push_str(&format!(
            "    {backend}  {} clients, {} emits\n",
            counts.clients, counts.emits
        ));
    }
    if let Some(verdict) = &summary.affinity.verdict {
        text.push_str(&format!("\n  {verdict}\n"));
    }
    match differences {
        [] => text.push_str("  The report and the servers agree, client by client.\n\n"),
        some => some
            .iter()
            .for_each(|difference| text.push_str(&format!("  DIFFERENCE: {difference}\n"))),
    }
    text
}

fn ending() -> String {
    "Your own service, from this machine:      swarm attack http://HOST:PORT --socketio -c 100\n\
     from hosts of yours, at one instant:      swarm attack http://HOST:PORT --socketio -c 1000 --connect-rate 200 --hosts user@a,user@b\n"
        .to_owned()
}

fn say(text: &str) -> Result<(), Error> {
    show::out(text).map_err(|error| Error::Unexpected(Box::new(error)))
}
