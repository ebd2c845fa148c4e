//! What is said in Socket.IO: carrier, endpoint, namespace, handshake and events. Reads the files that flags name.

use super::args::AttackArgs;
use super::target::Aim;
use super::{Noted, Surroundings};
use crate::cli::Usage;
use crate::secret;
use swarm_agent::wire::share::{Carrier, Eio, Socketio, Version};

pub(super) fn socketio(
    args: &AttackArgs,
    aim: &Aim,
    around: &Surroundings,
    noted: &mut Noted,
) -> Result<Socketio, Usage> {
    let version = eio(args, noted)?;
    for (flag, given) in [("--ack", args.ack), ("--expect", args.expect.is_some())] {
        if given && args.emit.is_empty() {
            return Err(Usage(format!("{flag}: nothing is emitted; add --emit 'event,json'")));
        }
    }
    let auth = match &args.auth {
        Some(typed) => Some(auth(typed, around)?),
        None => None,
    };
    if auth.is_some() && version == Eio::Fixed(Version::Three) {
        return Err(Usage(
            "--auth: servers of Engine.IO 3 (Socket.IO 2) know no auth payload; give --query K=V".into(),
        ));
    }
    if args.emit.is_empty() {
        noted.took("no --emit: clients are only held");
    }
    Ok(Socketio {
        carrier: carrier(args, aim, noted)?,
        path: endpoint(args, "/socket.io/", noted)?,
        namespace: namespace(args, aim)?,
        query: query(args, aim, around)?,
        auth,
        emits: args
            .emit
            .iter()
            .map(|typed| emit(typed).map_err(|error| Usage(format!("--emit {}: {error}", redact_emit(typed)))))
            .collect::<Result<_, _>>()?,
        ack: args.ack,
        expect: args.expect.clone(),
        version,
    })
}

/// `--eio`.
pub(super) fn eio(args: &AttackArgs, noted: &mut Noted) -> Result<Eio, Usage> {
    match args.eio.as_deref() {
        Some("3") => Ok(Eio::Fixed(Version::Three)),
        Some("4") => Ok(Eio::Fixed(Version::Four)),
        Some("auto") => Ok(Eio::Auto),
        Some(other) => Err(Usage(format!("--eio {other}: auto, 3 or 4"))),
        None => {
            noted.took("--eio auto");
            Ok(Eio::Auto)
        }
    }
}

/// Parameters of the handshake: the URL's and `--query`.
pub(super) fn query(args: &AttackArgs, aim: &Aim, around: &Surroundings) -> Result<Vec<String>, Usage> {
    let mut query: Vec<String> = aim
        .query
        .iter()
        .flat_map(|query| query.split('&'))
        .map(String::from)
        .collect();
    for typed in &args.query {
        query.push(query_pair(typed, around)?);
    }
    Ok(query)
}

pub(super) fn carrier(args: &AttackArgs, aim: &Aim, noted: &mut Noted) -> Result<Carrier, Usage> {
    match (args.transport.as_deref(), aim.websocket_scheme) {
        (Some("websocket"), _) => Ok(Carrier::Websocket),
        (None, true) => {
            noted.took("--transport websocket (by the URL's scheme)");
            Ok(Carrier::Websocket)
        }
        (None, false) => {
            noted.took("--transport upgrade");
            Ok(Carrier::Upgrade)
        }
        (Some(name @ ("upgrade" | "polling")), true) => Err(Usage(format!(
            "--transport {name} and ws(s)://: that scheme means transport websocket; write http(s)://"
        ))),
        (Some("upgrade"), false) => Ok(Carrier::Upgrade),
        (Some("polling"), false) => Ok(Carrier::Polling),
        (Some(other), _) => Err(Usage(format!("--transport {other}: upgrade, websocket or polling"))),
    }
}

/// `--path`, or else `usual`.
pub(super) fn endpoint(args: &AttackArgs, usual: &str, noted: &mut Noted) -> Result<String, Usage> {
    let Some(typed) = &args.path else {
        noted.took(format!("--path {usual}"));
        return Ok(usual.into());
    };
    if typed.contains(|c: char| c == '?' || c == '#' || c.is_whitespace() || c.is_control()) {
        return Err(Usage(format!(
            "--path {}: a path alone, as /socket.io/; parameters go into --query",
            secret::redact_url(typed)
        )));
    }
    Ok(with_slashes(typed))
}

/// As the real clients write an endpoint: one slash before and one behind.
pub(super) fn with_slashes(path: &str) -> String {
    match path.trim_matches('/') {
        "" => "/".into(),
        plain => format!("/{plain}/"),
    }
}

fn namespace(args: &AttackArgs, aim: &Aim) -> Result<String, Usage> {
    let by_url = if aim.path.is_empty() { "/" } else { aim.path.as_str() };
    match args.namespace.as_deref() {
        None => Ok(by_url.to_string()),
        Some(typed) => {
            let named = if typed.starts_with('/') {
                typed.to_string()
            } else {
                format!("/{typed}")
            };
            if named.contains([',', '?']) || named.chars().any(char::is_control) {
                return Err(Usage(format!("--namespace {typed}: no namespace; /chat")));
            }
            if by_url != "/" && by_url != named {
                return Err(Usage(format!(
                    "--namespace {typed}: the URL's path already names {by_url}; give one of them"
                )));
            }
            Ok(named)
        }
    }
}

fn query_pair(typed: &str, around: &Surroundings) -> Result<String, Usage> {
    let wrong = |error: &str| Usage(format!("--query {}: {error}", secret::redact_pair(typed)));
    let (key, value) = typed.split_once('=').ok_or_else(|| wrong("K=V"))?;
    if ["EIO", "transport", "sid", "j", "t", "b64"].contains(&key) {
        return Err(wrong("this parameter is the protocol's own, swarm sets it"));
    }
    let value = secret::value(value, around.environment.as_ref()).map_err(|error| wrong(&error))?;
    let escaped = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    Ok(format!("{}={}", escaped(key), escaped(&value)))
}

fn auth(typed: &str, around: &Surroundings) -> Result<String, Usage> {
    let text = secret::value(typed, around.environment.as_ref()).map_err(|error| Usage::of("--auth:", error))?;
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(serde_json::Value::Object(_)) => Ok(text),
        Ok(_) => Err(Usage(
            "--auth: must be a JSON object: --auth '{\"token\":\"...\"}'".into(),
        )),
        Err(error) => Err(Usage(format!(
            "--auth: no JSON ({error}): --auth '{{\"token\":\"...\"}}'"
        ))),
    }
}

/// `event,json...` or `["event",...]` as the JSON array that is sent, numbers as they were typed.
fn emit(typed: &str) -> Result<String, String> {
    let text = typed.trim();
    let array = if text.starts_with('[') {
        text.to_string()
    } else {
        let (event, rest) = text
            .split_once(',')
            .map_or((text, ""), |(event, rest)| (event.trim(), rest));
        let event = serde_json::to_string(event).map_err(|error| error.to_string())?;
        if rest.trim().is_empty() {
            format!("[{event}]")
        } else {
            format!("[{event},{rest}]")
        }
    };
    let parts: Vec<serde_json::Value> = serde_json::from_str(&array)
        .map_err(|_| "what follows the event must be JSON, a text in quotes: 'event,\"text\",{\"n\":1}'".to_string())?;
    match parts.first() {
        Some(serde_json::Value::String(event)) if event.is_empty() => Err("the event has no name".into()),
        Some(serde_json::Value::String(event))
            if [
                "connect",
                "connect_error",
                "disconnect",
                "disconnecting",
                "newListener",
                "removeListener",
            ]
            .contains(&event.as_str()) =>
        {
            Err(format!("`{event}` is reserved by Socket.IO"))
        }
        Some(serde_json::Value::String(_)) => Ok(array),
        _ => Err("an array must begin with the event's name: '[\"event\",{...}]'".into()),
    }
}

/// An emit as it may be shown: the event's name, its arguments hidden.
pub(super) fn redact_emit(typed: &str) -> String {
    let hidden = secret::HIDDEN;
    let text = typed.trim();
    if text.starts_with('[') {
        return match serde_json::from_str::<Vec<serde_json::Value>>(text) {
            Ok(parts) if parts.len() == 1 => text.to_string(),
            Ok(parts) if !parts.is_empty() => format!("[{},{hidden}]", parts[0]),
            _ => hidden.into(),
        };
    }
    match text.split_once(',') {
        Some((event, _)) => format!("{event},{hidden}"),
        None => text.to_string(),
    }
}
