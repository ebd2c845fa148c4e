//! What is said in each protocol, and the flags that belong to another one. Reads the files that flags name.

use super::args::AttackArgs;
use super::engineio::engineio;
use super::socketio::socketio;
use super::target::Aim;
use super::{Kind, Noted, Surroundings, read};
use crate::cli::{Usage, units};
use crate::secret;
use swarm_agent::wire::share::{Engine, Http, Websocket};

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
    let messages = [
        ("--message", args.message.is_some()),
        ("--binary", args.binary),
        ("--echo", args.echo),
    ];
    let websocket = [("--subprotocol", args.subprotocol.is_some())];
    let engineio = [
        ("--eio", args.eio.is_some()),
        ("--transport", args.transport.is_some()),
        ("--path", args.path.is_some()),
        ("--query", !args.query.is_empty()),
    ];
    let socketio = [
        ("--namespace", args.namespace.is_some()),
        ("--auth", args.auth.is_some()),
        ("--emit", !args.emit.is_empty()),
        ("--ack", args.ack),
        ("--expect", args.expect.is_some()),
        ("--broadcast", args.broadcast.is_some()),
        ("--emitters", args.emitters.is_some()),
    ];
    let given = |flags: &[&[(&'static str, bool)]]| {
        let mut all = flags.iter().flat_map(|some| some.iter());
        all.find(|(_, given)| *given).map(|(flag, _)| *flag)
    };
    let refusal = match kind {
        Kind::Http => given(&[&engineio, &socketio])
            .map(|flag| format!("{flag}: add --socketio"))
            .or_else(|| {
                given(&[&messages, &websocket])
                    .map(|flag| format!("{flag} is for websocket: use a ws:// or wss:// URL"))
            })
            .or_else(|| {
                args.every
                    .as_ref()
                    .map(|_| "--every is for websocket and socketio: http says -q R".into())
            }),
        Kind::Websocket => given(&[&engineio, &socketio])
            .map(|flag| format!("{flag}: add --socketio"))
            .or_else(|| given(&[&http]).map(|flag| format!("{flag} is for http: a websocket sends --message TEXT"))),
        Kind::Socketio => given(&[&messages, &websocket])
            .map(|flag| format!("{flag} is for websocket: socketio sends --emit 'event,json'"))
            .or_else(|| given(&[&http]).map(|flag| format!("{flag} is for http: socketio sends --emit 'event,json'"))),
        Kind::Engineio => given(&[&socketio])
            .map(|flag| format!("{flag} is for socketio: engineio sends --message TEXT, or say --socketio"))
            .or_else(|| given(&[&websocket]).map(|flag| format!("{flag} is for websocket: use --engine websocket")))
            .or_else(|| given(&[&http]).map(|flag| format!("{flag} is for http: engineio sends --message TEXT"))),
    };
    refusal.map_or(Ok(()), |text| Err(Usage(text)))
}

/// The engine and what is said in it.
pub(super) fn engine(args: &AttackArgs, aim: &Aim, around: &Surroundings, noted: &mut Noted) -> Result<Engine, Usage> {
    match aim.kind {
        Kind::Http => http(args, noted).map(Engine::Http),
        Kind::Websocket => websocket(args, noted).map(Engine::Websocket),
        Kind::Socketio => socketio(args, aim, around, noted).map(Engine::Socketio),
        Kind::Engineio => engineio(args, aim, around, noted).map(Engine::Engineio),
    }
}

/// Whether held clients have something to send.
pub(super) fn says_something(engine: &Engine) -> bool {
    match engine {
        Engine::Http(_) => true,
        Engine::Websocket(websocket) => websocket.message.is_some(),
        Engine::Socketio(socketio) => !socketio.emits.is_empty(),
        Engine::Engineio(engineio) => engineio.message.is_some(),
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

/// Inclusive ranges of statuses, as `--ok` has them.
pub fn statuses(text: &str) -> Result<Vec<(u16, u16)>, String> {
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
    let message = message(args, noted)?;
    if let Some(name) = args.subprotocol.as_deref()
        && !name.split(',').all(|part| is_token(part.trim()))
    {
        return Err(Usage(format!("--subprotocol {name}: no protocol name")));
    }
    Ok(Websocket {
        subprotocol: args.subprotocol.clone(),
        message,
        binary: args.binary,
        echo: args.echo,
    })
}

/// What each client says, where it says anything.
pub(super) fn message(args: &AttackArgs, noted: &mut Noted) -> Result<Option<Vec<u8>>, Usage> {
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
            "--message: not UTF-8, which a text message must be; add --binary".into(),
        ));
    }
    if message.is_none() {
        noted.took("no --message: connections are only held");
    }
    Ok(message)
}

fn text_or_file(flag: &str, typed: &str) -> Result<Vec<u8>, Usage> {
    match typed.strip_prefix('@') {
        Some(path) => secret::file(path).map_err(|error| Usage(format!("{flag}: {error}"))),
        None => Ok(typed.as_bytes().to_vec()),
    }
}

/// A token of RFC 9110.
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
