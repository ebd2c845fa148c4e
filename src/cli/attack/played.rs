//! What only a playbook brings into a plan: its program with rows and script, broadcasts, what it needs of hosts. Reads the files that it names.

use super::Surroundings;
use super::args::AttackArgs;
use super::stages::cut_off;
use super::target::{Aim, named_by_steps};
use crate::cli::Usage;
use crate::plan::SourceRange;
use crate::playbook::load::Needs;
use crate::playbook::origins::Origins;
use crate::playbook::rows::{CsvEnd, Sheet, csv_end, sheet};
use crate::playbook::{Book, place};
use crate::split;
use swarm_agent::wire::flow::{Act, Answer, Expression, Piece, Program, Step, Text, Variable};
use swarm_agent::wire::report::Latency;
use swarm_agent::wire::share::{Broadcast, Engine, Level, Load, Target};

/// Flags about a playbook without one.
pub(super) fn refuse_alone(args: &AttackArgs) -> Result<(), Usage> {
    let given = [
        ("--set", !args.set.is_empty()),
        ("--csv", args.csv.is_some()),
        ("--csv-end", args.csv_end.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Usage(format!(
            "{flag} is for playbooks: add --playbook NAME (`swarm playbook list`)"
        ))),
        None => Ok(()),
    }
}

/// Rows where no flow could use them.
pub(super) fn refuse_rows(args: &AttackArgs) -> Result<(), Usage> {
    let given = [("--csv", args.csv.is_some()), ("--csv-end", args.csv_end.is_some())];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Usage(format!(
            "{flag}: only the texts of flows can use rows, and this playbook has no [[flow]]"
        ))),
        None => Ok(()),
    }
}

/// Flags about what is sent and when, which the flows say.
pub(super) fn refuse_what_flows_say(args: &AttackArgs) -> Result<(), Usage> {
    let of_rates = args.stage.iter().any(|stage| !stage.starts_with("connections:"));
    let given = [
        ("-q", args.rate.is_some()),
        ("-n", args.requests.is_some()),
        ("--every", args.every.is_some()),
        ("--stage", of_rates),
        ("--warmup", args.warmup.is_some()),
        ("--method", args.method.is_some()),
        ("--data", args.data.is_some()),
        ("--data-file", args.data_file.is_some()),
        ("--content-type", args.content_type.is_some()),
        ("--no-keepalive", args.no_keepalive),
        ("--requests-per-connection", args.requests_per_connection.is_some()),
        ("--connection-life", args.connection_life.is_some()),
        ("--redirects", args.redirects.is_some()),
        ("--ok", args.ok.is_some()),
        ("--message", args.message.is_some()),
        ("--binary", args.binary),
        ("--echo", args.echo),
        ("--emit", !args.emit.is_empty()),
        ("--ack", args.ack),
        ("--expect", args.expect.is_some()),
        ("--broadcast", args.broadcast.is_some()),
        ("--emitters", args.emitters.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Usage(format!(
            "{flag}: the playbook's flows say what is sent and when; only load, target and headers can be changed from outside"
        ))),
        None => Ok(()),
    }
}

/// The program, with a row for each client. Servers that steps name become targets; without rows the load may get smaller.
pub(super) fn program(
    book: &Book,
    args: &AttackArgs,
    aim: &Aim,
    around: &Surroundings,
    targets: &mut Vec<Target>,
    load: &mut Load,
) -> Result<Box<Program>, Usage> {
    let sheet = rows(book, args)?;
    let script = match &book.script {
        Some(path) => Some(place::script(path).map_err(|error| Usage(book.wrong(None, "script", &error)))?),
        None => None,
    };
    let mut origins = Origins::new(targets);
    let columns = sheet.as_ref().map_or(&[][..], |sheet| sheet.columns.as_slice());
    let program = book.program(aim.kind, columns, script, around.environment.as_ref(), &mut origins);
    let mut program = program.map_err(Usage)?;
    for url in origins.added() {
        targets.push(named_by_steps(args, aim.kind, url)?);
    }
    if let Some(sheet) = sheet {
        let end = match &args.csv_end {
            Some(typed) => csv_end(typed).map_err(|error| Usage(format!("--csv-end {typed}: {error}")))?,
            None => book.csv_end.unwrap_or(CsvEnd::Error),
        };
        if end == CsvEnd::Stop {
            at_most(load, sheet.rows.len() as u64);
        }
        let rows = sheet.deal(split::connections(load), end);
        program.rows = rows.map_err(|error| match &args.csv {
            Some(_) => Usage(format!("--csv: {error}")),
            None => Usage(book.wrong(None, "csv", &format!("csv: {error}"))),
        })?;
    }
    Ok(Box::new(program))
}

/// No more clients than this.
fn at_most(load: &mut Load, most: u64) {
    if let Load::Held(held) = load {
        match &mut held.clients {
            Level::Ramp { count, .. } => *count = most.min(*count),
            Level::Stages(stages) => *stages = cut_off(stages, most),
        }
    }
}

fn rows(book: &Book, args: &AttackArgs) -> Result<Option<Sheet>, Usage> {
    if let Some(path) = &args.csv {
        let text = place::text(path).map_err(|error| Usage(format!("--csv: {error}")))?;
        let read = sheet(&path.display().to_string(), &text);
        return read.map(Some).map_err(|error| Usage(format!("--csv: {error}")));
    }
    let Some(path) = &book.csv else {
        return match (&args.csv_end, book.csv_end) {
            (Some(_), _) => Err(Usage("--csv-end: there are no rows; add --csv FILE".into())),
            (None, Some(_)) => {
                let text = "csv-end: there are no rows; add csv = 'FILE' or --csv FILE";
                Err(Usage(book.wrong(None, "csv-end", text)))
            }
            (None, None) => Ok(None),
        };
    };
    let read = place::text(path).and_then(|text| sheet(&path.display().to_string(), &text));
    read.map(Some).map_err(|error| Usage(book.wrong(None, "csv", &error)))
}

/// What is measured of the broadcasts that flows emit.
pub(super) fn broadcast(book: Option<&Book>, engine: &Engine, program: &Program) -> Result<Option<Broadcast>, Usage> {
    let Some((book, broadcast)) = book.and_then(|book| Some((book, book.broadcast.as_ref()?))) else {
        return Ok(None);
    };
    let Engine::Socketio(_) = engine else {
        let text = "broadcast: only engine socketio has events";
        return Err(Usage(book.wrong(Some("broadcast"), "event", text)));
    };
    if !emits(program) {
        let text = "broadcast: no step of the flows emits anything";
        return Err(Usage(book.wrong(Some("broadcast"), "event", text)));
    }
    Ok(Some(Broadcast {
        stamped: is_stamped(program),
        ..broadcast.clone()
    }))
}

/// All steps of a program, those within others too.
fn each<'a>(steps: &'a [Step], found: &mut dyn FnMut(&'a Act)) {
    for step in steps {
        found(&step.act);
        match &step.act {
            Act::Every(every) => each(&every.steps, found),
            Act::Repeat(repeat) => each(&repeat.steps, found),
            _ => {}
        }
    }
}

/// Whether anything is emitted; what a script sends may be.
fn emits(program: &Program) -> bool {
    let mut found = false;
    for flow in &program.flows {
        each(&flow.steps, &mut |act| {
            found |= matches!(act, Act::Emit(_) | Act::Script(_))
        });
    }
    found
}

/// Whether some emit carries the stamp.
fn is_stamped(program: &Program) -> bool {
    let stamp = |text: &Text| {
        text.0.iter().any(|piece| match piece {
            Piece::Plain(_) => false,
            Piece::Value(one) | Piece::InString(one) | Piece::Json(one) => {
                *one == Expression::Variable(Variable::Stamp)
            }
        })
    };
    let mut stamped = false;
    for flow in &program.flows {
        each(&flow.steps, &mut |act| {
            if let Act::Emit(emit) = act {
                stamped |= stamp(&emit.array);
            }
        });
    }
    stamped
}

/// What a requirement without a name is about: what the flows wait for.
pub(super) fn bare_latency(program: &Program) -> Option<Latency> {
    let (mut ack, mut message, mut service) = (false, false, false);
    for flow in &program.flows {
        each(&flow.steps, &mut |act| match act {
            Act::Emit(emit) => match emit.answer {
                Answer::Ack(_) => ack = true,
                Answer::Event { .. } => message = true,
                Answer::Written => {}
            },
            Act::Send(send) => message |= send.answer != Answer::Written,
            Act::Http(_) => service = true,
            _ => {}
        });
    }
    match (ack, message, service) {
        (true, ..) => Some(Latency::Ack),
        (_, true, _) => Some(Latency::Message),
        (.., true) => Some(Latency::Service),
        _ => None,
    }
}

/// What a playbook needs and these hosts don't have. `listed`: addresses that host lists name for themselves.
pub fn unmet(needs: Needs, hosts: usize, sources: &[SourceRange], listed: usize) -> Option<String> {
    let hosts = hosts as u64;
    if let Some(min) = needs.hosts
        && hosts < min
    {
        return Some(format!(
            "this playbook needs {min} hosts to mean anything, and there is {hosts}: --hosts, `swarm up -s {min}`, or --local {min}"
        ));
    }
    let least = needs.sources?;
    let there = match sources {
        [] => hosts.max(listed as u64),
        ranges => ranges.iter().map(addresses).fold(0, u64::saturating_add),
    };
    (there < least).then(|| {
        format!(
            "this playbook needs {least} source addresses to mean anything, and there is {there}: more hosts, or --source-ips"
        )
    })
}

/// How many addresses a range may be; an interface tells only on its host.
fn addresses(range: &SourceRange) -> u64 {
    match range {
        SourceRange::One(_) => 1,
        SourceRange::Interface(_) => u64::MAX,
        SourceRange::Net(net) => {
            let bits = net.max_prefix_len() - net.prefix_len();
            1_u64.checked_shl(u32::from(bits)).unwrap_or(u64::MAX)
        }
        SourceRange::Range(from, to) => {
            let number = |address: &std::net::IpAddr| match address {
                std::net::IpAddr::V4(v4) => u128::from(v4.to_bits()),
                std::net::IpAddr::V6(v6) => v6.to_bits(),
            };
            u64::try_from(number(to) - number(from) + 1).unwrap_or(u64::MAX)
        }
    }
}

#[cfg(test)]
mod tests;
