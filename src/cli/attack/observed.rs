//! Where answers name their backend and the address they were asked from: `--backend-from`, `--seen-as-from`. What a protocol
//! does not have is refused, with what it has. Pure.

use super::args::AttackArgs;
use super::protocol::is_token;
use crate::cli::Usage;
use swarm_agent::wire::share::{BackendFrom, Carrier, Engine, SaidFirst, SeenFrom};

/// `--backend-from`.
pub(super) fn backend_from(args: &AttackArgs, engine: &Engine) -> Result<BackendFrom, Usage> {
    let Some(typed) = args.backend_from.as_deref() else {
        return Ok(BackendFrom::Usual);
    };
    let refused = |why: &str| Usage(format!("--backend-from {typed}: {why}"));
    let (kind, rest) = typed.split_once(':').unwrap_or((typed, ""));
    match kind {
        "header" if is_token(rest) => Ok(BackendFrom::Header(rest.to_ascii_lowercase())),
        "cookie" if is_token(rest) => Ok(BackendFrom::Cookie(rest.to_owned())),
        "body" => {
            let pointer = pointer(rest).ok_or_else(|| refused("a JSON pointer begins with /, as body:/server/id"))?;
            match without_body(engine) {
                None => Ok(BackendFrom::Body(pointer)),
                Some(why) => Err(refused(&format!("{why}; {}", said_instead(engine, &pointer)))),
            }
        }
        "event" => {
            let (name, inside) = match rest.find('/') {
                Some(at) => (&rest[..at], Some(rest[at..].to_owned())),
                None => (rest, None),
            };
            if name.is_empty() {
                return Err(refused("which event? event:NAME or event:NAME/pointer"));
            }
            match engine {
                Engine::Socketio(_) => Ok(BackendFrom::Said(SaidFirst {
                    event: Some(name.to_owned()),
                    pointer: inside,
                })),
                Engine::Http(_) => Err(refused("http has no events; header:NAME, cookie:NAME or body:/pointer")),
                Engine::Websocket(_) | Engine::Engineio(_) => Err(refused(&format!(
                    "there are no events without Socket.IO; message{}",
                    inside.map(|inside| format!(":{inside}")).unwrap_or_default()
                ))),
            }
        }
        "message" => {
            let inside = match (typed.contains(':'), pointer(rest)) {
                (false, _) => None,
                (true, Some(pointer)) => Some(pointer),
                (true, None) => {
                    return Err(refused("a JSON pointer begins with /, as message:/server/id"));
                }
            };
            match engine {
                Engine::Websocket(_) | Engine::Engineio(_) => Ok(BackendFrom::Said(SaidFirst {
                    event: None,
                    pointer: inside,
                })),
                Engine::Http(_) => Err(refused(
                    "http has no messages; header:NAME, cookie:NAME or body:/pointer",
                )),
                Engine::Socketio(_) => Err(refused(&format!(
                    "Socket.IO speaks in events; event:NAME{}",
                    inside.unwrap_or_default()
                ))),
            }
        }
        _ => Err(refused(&format!("header:NAME, cookie:NAME{}", more(engine)))),
    }
}

/// `--seen-as-from`.
pub(super) fn seen_from(args: &AttackArgs, engine: &Engine) -> Result<Option<SeenFrom>, Usage> {
    let Some(typed) = args.seen_as_from.as_deref() else {
        return Ok(None);
    };
    let refused = |why: &str| Usage(format!("--seen-as-from {typed}: {why}"));
    match typed.split_once(':') {
        Some(("header", name)) if is_token(name) => Ok(Some(SeenFrom::Header(name.to_ascii_lowercase()))),
        Some(("body", rest)) => {
            let pointer = pointer(rest).ok_or_else(|| refused("a JSON pointer begins with /, as body:/client/ip"))?;
            match without_body(engine) {
                None => Ok(Some(SeenFrom::Body(pointer))),
                Some(why) => Err(refused(&format!("{why}; header:NAME"))),
            }
        }
        _ => Err(refused(match without_body(engine) {
            None => "header:NAME or body:/pointer",
            Some(_) => "header:NAME",
        })),
    }
}

/// Why no answer of this engine has a body to read.
fn without_body(engine: &Engine) -> Option<&'static str> {
    match engine {
        Engine::Http(_) => None,
        Engine::Websocket(_) => Some("a WebSocket's handshake has no body"),
        Engine::Socketio(_) | Engine::Engineio(_) => match engine.engineio() {
            Some((Carrier::Websocket, _)) => Some("with --transport websocket the handshake has no body"),
            _ => None,
        },
    }
}

/// The same pointer into what is said first.
fn said_instead(engine: &Engine, pointer: &str) -> String {
    match engine {
        Engine::Socketio(_) => format!("event:NAME{pointer}, header:NAME or cookie:NAME"),
        _ => format!("message:{pointer}, header:NAME or cookie:NAME"),
    }
}

fn more(engine: &Engine) -> &'static str {
    match (engine, without_body(engine)) {
        (Engine::Http(_), _) => " or body:/pointer",
        (Engine::Socketio(_), None) => ", body:/pointer or event:NAME/pointer",
        (Engine::Socketio(_), Some(_)) => " or event:NAME/pointer",
        (_, None) => ", body:/pointer, message or message:/pointer",
        (_, Some(_)) => ", message or message:/pointer",
    }
}

fn pointer(typed: &str) -> Option<String> {
    (typed.starts_with('/') && typed.len() > 1).then(|| typed.to_owned())
}
