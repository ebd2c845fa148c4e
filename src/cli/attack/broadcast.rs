//! What is measured of broadcasts: the event, who emits, and whether emits carry a stamp. Pure.

use super::Noted;
use super::args::AttackArgs;
use crate::cli::Usage;
use crate::cli::units::{self, comma};
use crate::split;
use swarm_agent::wire::share::{Broadcast, Engine, Load};

/// What stands for the stamp in an emit.
const PLACE: &str = "{{stamp}}";

pub(super) fn broadcast(
    args: &AttackArgs,
    engine: &Engine,
    load: &Load,
    noted: &mut Noted,
) -> Result<Option<Broadcast>, Usage> {
    let emits = match engine {
        Engine::Socketio(socketio) => &socketio.emits[..],
        Engine::Http(_) | Engine::Websocket(_) | Engine::Engineio(_) => &[],
    };
    let stamps = emits.iter().filter(|emit| emit.contains(PLACE)).count();
    let Some(event) = &args.broadcast else {
        return match &args.emitters {
            Some(typed) => Err(Usage(format!(
                "--emitters {typed}: add --broadcast EVENT, which all listen for"
            ))),
            None if stamps > 0 => Err(Usage(format!(
                "--emit: {PLACE} is filled for --broadcast EVENT alone; add it"
            ))),
            None => Ok(None),
        };
    };
    if event.trim().is_empty() {
        return Err(Usage("--broadcast: the event has no name".into()));
    }
    if emits.is_empty() {
        return Err(Usage(format!(
            "--broadcast {event}: nothing is emitted; add --emit 'event,{{\"text\":\"{PLACE}\"}}'"
        )));
    }
    if stamps > 0 && stamps < emits.len() {
        return Err(Usage(format!(
            "--broadcast {event}: put {PLACE} into a text of every --emit, or of none"
        )));
    }
    if emits.iter().any(|emit| named(emit).contains(PLACE)) {
        return Err(Usage(format!(
            "--emit: {PLACE} stands in the event's name; put it into a text of its arguments"
        )));
    }
    let clients = split::connections(load);
    let one_in = match &args.emitters {
        Some(typed) => emitters(typed, clients)?,
        None => {
            noted.took("--emitters 1/1");
            1
        }
    };
    if clients < 2 {
        return Err(Usage(format!(
            "--broadcast {event}: one client has nobody to hear it; raise -c"
        )));
    }
    Ok(Some(Broadcast {
        event: event.clone(),
        one_in,
        stamped: stamps > 0,
    }))
}

fn emitters(typed: &str, clients: u64) -> Result<u64, Usage> {
    let wrong = |why: &str| Usage(format!("--emitters {typed}: {why}"));
    let form = "one client in K, as 1/10";
    let (one, many) = typed.trim().split_once('/').ok_or_else(|| wrong(form))?;
    let many = units::count_or_zero(many).map_err(|error| wrong(&error))?;
    if one.trim() != "1" || many == 0 {
        return Err(wrong(form));
    }
    if many > clients {
        return Err(wrong(&format!(
            "there are only {} clients; 1/{clients} leaves one that emits",
            comma(clients)
        )));
    }
    Ok(many)
}

/// The event's name of an emit.
fn named(emit: &str) -> String {
    let parts: Vec<serde_json::Value> = serde_json::from_str(emit).unwrap_or_default();
    parts
        .first()
        .and_then(|name| name.as_str())
        .unwrap_or_default()
        .to_owned()
}
