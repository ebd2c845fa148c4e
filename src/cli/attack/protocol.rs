//! What is said in each protocol, and the flags that belong to another one. Reads the files that flags name.

use super::args::AttackArgs;
use super::target::Aim;
use super::{Kind, Noted, Surroundings, read};
use crate::cli::{Usage, units};
use crate::secret;
use swarm_agent::wire::share::{Carrier, Engine, Http, Socketio, Websocket};

/// Statuses that count as ok unless `--ok` says otherwise.
const OK: [(u16, u16); 2] = [(101, 101), (200, 299)];

/// Refuses the flags of another engine, with the way out.
pub(super) fn refuse_strangers(args: &AttackArgs, kind: Kind) -> Result<(), Usage> {
    let http = [
        ("--method", args.method.is_some()),
        ("--data", args.data.is_some()),
        ("--data-file", args.data_file.is_some()),
        ("--content-type", args.content_type.is_some()),
        ("--no-keepalive", args.no_keepalive),
        ("--requests-per-connection", args.requests_per_connection.is_some()),
        ("--connection-life", args.connection_life.is_some()),
        ("--redirects", args.redirects.is_some()),
        ("--ok", args.ok.is_some()),
    ];
    let websocket = [
        ("--message", args.message.is_some()),
        ("--binary", args.binary),
        ("--echo", args.echo),
        ("--subprotocol", args.subprotocol.is_some()),
    ];
    let socketio = [
        ("--eio", args.eio.is_some()),
        ("--transport", args.transport.is_some()),
        ("--namespace", args.namespace.is_some()),
        ("--path", args.path.is_some()),
        ("--query", !args.query.is_empty()),
        ("--auth", args.auth.is_some()),
        ("--emit", !args.emit.is_empty()),
        ("--ack", args.ack),
        ("--expect", args.expect.is_some()),
    ];
    let given = |flags: &[(&'static str, bool)]| flags.iter().find(|(_, given)| *given).map(|(flag, _)| *flag);
    let refusal = match kind {
        Kind::Http => given(&socketio)
            .map(|flag| format!("{flag}: add --socketio"))
            .or_else(|| given(&websocket).map(|flag| format!("{flag} is for websocket: use a ws:// or wss:// URL")))
            .or_else(|| {
                args.every
                    .as_ref()
                    .map(|_| "--every is for websocket and socketio: http says -q R".into())
            }),
        Kind::Websocket => given(&socketio)
            .map(|flag| format!("{flag}: add --socketio"))
            .or_else(|| given(&http).map(|flag| format!("{flag} is for http: a websocket sends --message TEXT"))),
        Kind::Socketio => given(&websocket)
            .map(|flag| format!("{flag} is for websocket: socketio sends --emit 'event,json'"))
            .or_else(|| given(&http).map(|flag| format!("{flag} is for http: socketio sends --emit 'event,json'"))),
    };
    refusal.map_or(Ok(()), |text| Err(Usage(text)))
}

/// The engine and what is said in it.
pub(super) fn engine(args: &AttackArgs, aim: &Aim, around: &Surroundings, noted: &mut Noted) -> Result<Engine, Usage> {
    match aim.kind {
        Kind::Http => http(args, noted).map(Engine::Http),
        Kind::Websocket => websocket(args, noted).map(Engine::Websocket),
        Kind::Socketio => socketio(args, aim, around, noted).map(Engine::Socketio),
    }
}

/// Whether held clients have something to send.
pub(super) fn says_something(engine: &Engine) -> bool {
    match engine {
        Engine::Http(_) => true,
        Engine::Websocket(websocket) => websocket.message.is_some(),
        Engine::Socketio(socketio) => !socketio.emits.is_empty(),
    }
}

fn http(args: &AttackArgs, noted: &mut Noted) -> Result<Http, Usage> {
    let body = match (&args.data, &args.data_file) {
        (Some(_), Some(_)) => return Err(Usage("--data and --data-file: give one of them".into())),
        (Some(typed), None) => Some(text_or_file("--data", typed)?),
        (None, Some(path)) => Some(secret::file(path).map_err(|error| Usage::of("--data-file:", error))?),
        (None, None) => None,
    };
    let method = match &args.method {
        Some(method) if is_token(method) => method.to_ascii_uppercase(),
        Some(method) => {
            return Err(Usage(format!("--method {method}: no method; GET, POST, PUT...")));
        }
        None => {
            let method = if body.is_some() { "POST" } else { "GET" };
            noted.took(format!("-m {method}"));
            method.into()
        }
    };
    let per_connection = read("--requests-per-connection", &args.requests_per_connection, units::count)?;
    let life = read("--connection-life", &args.connection_life, units::duration_above_zero)?;
    if args.no_keepalive && (per_connection.is_some() || life.is_some()) {
        return Err(Usage(
            "--no-keepalive closes after each request: leave out --requests-per-connection and --connection-life"
                .into(),
        ));
    }
    Ok(Http {
        method,
        body,
        keepalive: !args.no_keepalive,
        requests_per_connection: per_connection,
        connection_life: life,
        redirects: read("--redirects", &args.redirects, redirects)?.unwrap_or_else(|| {
            noted.took("--redirects 0");
            0
        }),
        ok: read("--ok", &args.ok, statuses)?.unwrap_or_else(|| {
            noted.took("--ok 101,200-299");
            OK.to_vec()
        }),
    })
}

fn redirects(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|n| *n <= 50)
        .ok_or_else(|| "a number from 0 to 50".to_string())
}

fn statuses(text: &str) -> Result<Vec<(u16, u16)>, String> {
    let status = |digits: &str| {
        digits
            .trim()
            .parse::<u16>()
            .ok()
            .filter(|status| (100..=999).contains(status))
    };
    let range = |part: &str| match part.split_once('-') {
        Some((from, to)) => status(from).zip(status(to)).filter(|(from, to)| from <= to),
        None => status(part).map(|one| (one, one)),
    };
    text.split(',')
        .map(|part| range(part).ok_or_else(|| format!("`{part}` is no status: 200-299,304")))
        .collect()
}

fn websocket(args: &AttackArgs, noted: &mut Noted) -> Result<Websocket, Usage> {
    let message = args
        .message
        .as_deref()
        .map(|typed| text_or_file("--message", typed))
        .transpose()?;
    for (flag, given) in [("--echo", args.echo), ("--binary", args.binary)] {
        if given && message.is_none() {
            return Err(Usage(format!("{flag}: nothing is sent; add --message TEXT")));
        }
    }
    if let (Some(bytes), false) = (&message, args.binary)
        && std::str::from_utf8(bytes).is_err()
    {
        return Err(Usage(
            "--message: not UTF-8, which a text frame must be; add --binary".into(),
        ));
    }
    if let Some(name) = args.subprotocol.as_deref()
        && !name.split(',').all(|part| is_token(part.trim()))
    {
        return Err(Usage(format!("--subprotocol {name}: no protocol name")));
    }
    if message.is_none() {
        noted.took("no --message: connections are only held");
    }
    Ok(Websocket {
        subprotocol: args.subprotocol.clone(),
        message,
        binary: args.binary,
        echo: args.echo,
    })
}

fn socketio(args: &AttackArgs, aim: &Aim, around: &Surroundings, noted: &mut Noted) -> Result<Socketio, Usage> {
    match args.eio.as_deref() {
        Some("4" | "auto") => {}
        Some("3") => {
            return Err(Usage(
                "--eio 3 is not there yet: this version speaks Engine.IO 4 (servers from v3 on)".into(),
            ));
        }
        Some(other) => return Err(Usage(format!("--eio {other}: auto or 4"))),
        None => noted.took("--eio auto"),
    }
    for (flag, given) in [("--ack", args.ack), ("--expect", args.expect.is_some())] {
        if given && args.emit.is_empty() {
            return Err(Usage(format!("{flag}: nothing is emitted; add --emit 'event,json'")));
        }
    }
    let mut query: Vec<String> = aim
        .query
        .iter()
        .flat_map(|query| query.split('&'))
        .map(String::from)
        .collect();
    for typed in &args.query {
        query.push(query_pair(typed, around)?);
    }
    let auth = match &args.auth {
        Some(typed) => Some(auth(typed, around)?),
        None => None,
    };
    if args.emit.is_empty() {
        noted.took("no --emit: clients are only held");
    }
    Ok(Socketio {
        carrier: carrier(args, aim, noted)?,
        path: endpoint(args, noted)?,
        namespace: namespace(args, aim)?,
        query,
        auth,
        emits: args
            .emit
            .iter()
            .map(|typed| emit(typed).map_err(|error| Usage(format!("--emit {}: {error}", redact_emit(typed)))))
            .collect::<Result<_, _>>()?,
        ack: args.ack,
        expect: args.expect.clone(),
    })
}

fn carrier(args: &AttackArgs, aim: &Aim, noted: &mut Noted) -> Result<Carrier, Usage> {
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

fn endpoint(args: &AttackArgs, noted: &mut Noted) -> Result<String, Usage> {
    let Some(typed) = &args.path else {
        noted.took("--path /socket.io/");
        return Ok("/socket.io/".into());
    };
    if typed.contains(|c: char| c == '?' || c == '#' || c.is_whitespace() || c.is_control()) {
        return Err(Usage(format!(
            "--path {}: a path alone, as /socket.io/; parameters go into --query",
            secret::redact_url(typed)
        )));
    }
    // as socket.io-client: one slash before and one behind
    Ok(match typed.trim_matches('/') {
        "" => "/".into(),
        plain => format!("/{plain}/"),
    })
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
    let value = secret::value(value, &around.environment).map_err(|error| wrong(&error))?;
    let escaped = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    Ok(format!("{}={}", escaped(key), escaped(&value)))
}

fn auth(typed: &str, around: &Surroundings) -> Result<String, Usage> {
    let text = secret::value(typed, &around.environment).map_err(|error| Usage::of("--auth:", error))?;
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

fn text_or_file(flag: &str, typed: &str) -> Result<Vec<u8>, Usage> {
    match typed.strip_prefix('@') {
        Some(path) => secret::file(path).map_err(|error| Usage(format!("{flag}: {error}"))),
        None => Ok(typed.as_bytes().to_vec()),
    }
}

/// A token of RFC 9110.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
