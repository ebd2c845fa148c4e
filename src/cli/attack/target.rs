//! URLs to targets, and the engine that their scheme or a flag names. Pure: names are not resolved here.

use super::args::AttackArgs;
use crate::cli::Usage;
use crate::secret::redact_url;
use swarm_agent::wire::share::Target;
use url::{Host, Url};

/// The engine, before its flags are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HTTP/1.1.
    Http,
    /// WebSocket.
    Websocket,
    /// Socket.IO.
    Socketio,
    /// Engine.IO without Socket.IO in it.
    Engineio,
}

impl Kind {
    /// Its name on the command line and in the report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Websocket => "websocket",
            Self::Socketio => "socketio",
            Self::Engineio => "engineio",
        }
    }

    /// Whether it speaks Engine.IO, raw or with Socket.IO in it.
    pub fn is_engineio(self) -> bool {
        matches!(self, Self::Socketio | Self::Engineio)
    }
}

/// What the URLs say.
#[derive(Debug, Clone)]
pub(super) struct Aim {
    pub kind: Kind,
    pub targets: Vec<Target>,
    /// Name and password of the URLs' user-info.
    pub user: Option<(String, String)>,
    /// The URLs' path, which is socketio's namespace.
    pub path: String,
    /// The URLs' query, which socketio and engineio send in their handshake.
    pub query: Option<String>,
    /// Some URL is ws:// or wss://.
    pub websocket_scheme: bool,
}

struct Address {
    typed: String,
    weight: u32,
    url: Url,
}

/// Reads the URLs and decides on the engine.
pub(super) fn aim(args: &AttackArgs) -> Result<Aim, Usage> {
    if args.urls.iter().all(|url| url.trim().is_empty()) {
        return Err(Usage(
            "attack what? a URL is missing: swarm attack https://host/".into(),
        ));
    }
    let addresses: Vec<Address> = args.urls.iter().map(|typed| address(typed)).collect::<Result<_, _>>()?;
    let kind = kind(args, &addresses)?;
    match kind {
        Kind::Socketio => addresses.iter().try_for_each(refuse_pasted)?,
        Kind::Engineio => addresses.iter().try_for_each(refuse_own_query)?,
        Kind::Http | Kind::Websocket => {}
    }
    let user = agreed(&addresses, "user-info", |address| user_info(&address.url))?;
    let (path, query) = match kind {
        Kind::Socketio | Kind::Engineio => (
            agreed(&addresses, paths_of(kind), |address| address.url.path().to_string())?,
            agreed(&addresses, "queries", |address| {
                address.url.query().filter(|q| !q.is_empty()).map(String::from)
            })?,
        ),
        _ => (String::new(), None),
    };
    let rules = rules(args)?;
    let targets = addresses
        .iter()
        .map(|address| target(address, kind, &rules))
        .collect::<Result<Vec<_>, _>>()?;
    let websocket_scheme = addresses.iter().any(|address| address.url.scheme().starts_with("ws"));
    Ok(Aim {
        kind,
        targets,
        user,
        path,
        query,
        websocket_scheme,
    })
}

fn rules(args: &AttackArgs) -> Result<Vec<ConnectTo>, Usage> {
    args.connect_to.iter().map(|typed| connect_to(typed)).collect()
}

/// A further target that only steps of a playbook name: no client is dealt to it.
pub(super) fn named_by_steps(args: &AttackArgs, kind: Kind, url: &str) -> Result<Target, Usage> {
    let mut target = target(&address(url)?, kind, &rules(args)?)?;
    target.weight = 0;
    Ok(target)
}

/// Every `--connect-to` must be about some target.
pub(super) fn refuse_unused_rules(args: &AttackArgs, targets: &[Target]) -> Result<(), Usage> {
    let rules = rules(args)?;
    let unused = |rule: &&ConnectTo| !targets.iter().any(|target| rule.covers(target));
    match rules.iter().find(unused) {
        Some(rule) => Err(Usage(format!(
            "--connect-to {}: no target is at {}:{}",
            rule.typed, rule.from.0, rule.from.1
        ))),
        None => Ok(()),
    }
}

fn address(typed: &str) -> Result<Address, Usage> {
    let (weight, text) = match typed.split_once('=') {
        Some((weight, rest)) if !weight.is_empty() && weight.chars().all(|c| c.is_ascii_digit()) => (weight, rest),
        _ => ("1", typed),
    };
    let shown = redact_url(text);
    let weight = weight.parse().ok().filter(|weight| (1..=10_000).contains(weight));
    let weight = weight.ok_or_else(|| Usage(format!("{}: a weight is between 1 and 10000", redact_url(typed))))?;
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Usage(format!(
            "{shown}: no scheme; https://{shown}? (http, https, ws or wss)"
        )));
    };
    if !["http", "https", "ws", "wss"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return Err(Usage(format!(
            "{shown}: unknown scheme `{scheme}`; http, https, ws or wss"
        )));
    }
    if rest.is_empty() || rest.starts_with(['/', '?', '#', ':']) {
        return Err(Usage(format!("{shown}: no host")));
    }
    let url = Url::parse(text).map_err(|error| Usage(format!("{shown}: {error}")))?;
    if url.port() == Some(0) {
        return Err(Usage(format!("{shown}: port 0 can't be connected to")));
    }
    Ok(Address {
        typed: shown,
        weight,
        url,
    })
}

fn kind(args: &AttackArgs, addresses: &[Address]) -> Result<Kind, Usage> {
    let named = match args.engine.as_deref() {
        None => None,
        Some("http") => Some(Kind::Http),
        Some("websocket") => Some(Kind::Websocket),
        Some("socketio") => Some(Kind::Socketio),
        Some("engineio") => Some(Kind::Engineio),
        Some(other) => {
            return Err(Usage(format!(
                "--engine {other}: no such engine; http, websocket, socketio or engineio"
            )));
        }
    };
    let named = match (named, args.socketio) {
        (Some(kind), true) if kind != Kind::Socketio => {
            return Err(Usage(format!(
                "--engine {} and --socketio: give one of them",
                kind.word()
            )));
        }
        (_, true) => Some(Kind::Socketio),
        (named, false) => named,
    };
    let by_scheme = |address: &Address| {
        if address.url.scheme().starts_with("ws") {
            Kind::Websocket
        } else {
            Kind::Http
        }
    };
    if let Some(kind) = named {
        return match addresses
            .iter()
            .find(|address| kind == Kind::Http && by_scheme(address) == Kind::Websocket)
        {
            Some(address) => Err(Usage(format!(
                "{}: --engine http wants http:// or https://",
                address.typed
            ))),
            None => Ok(kind),
        };
    }
    let first = by_scheme(&addresses[0]);
    match addresses.iter().find(|address| by_scheme(address) != first) {
        Some(other) => Err(Usage(format!(
            "{} is {}, {} is {}: all URLs of a run need one engine; name it with --engine or run them apart",
            addresses[0].typed,
            first.word(),
            other.typed,
            by_scheme(other).word()
        ))),
        None => Ok(first),
    }
}

/// The address that a socket.io client requests, pasted where the client's own argument belongs.
fn refuse_pasted(address: &Address) -> Result<(), Usage> {
    let url = &address.url;
    let path = url.path().trim_end_matches('/');
    let query = |key: &str| {
        url.query_pairs()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.into_owned())
    };
    let has_eio = query("EIO").is_some();
    let is_endpoint = path.ends_with("/socket.io") || path.ends_with("/engine.io");
    if !has_eio && !is_endpoint {
        return Ok(());
    }
    let authority = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_string(),
    };
    let mut line = format!("swarm attack {}://{authority} --socketio", url.scheme());
    if !path.is_empty() && path != "/socket.io" {
        line.push_str(&format!(" --path {path}/"));
    }
    match query("transport").as_deref() {
        Some("websocket") => line.push_str(" --transport websocket"),
        Some("polling") => line.push_str(" --transport polling"),
        _ => {}
    }
    let what = if is_endpoint { "/socket.io/" } else { "?EIO=" };
    Err(Usage(format!(
        "{}: with socketio the URL's path is the namespace, and `{what}` belongs to the protocol, which swarm adds itself; the right line is: {line}",
        address.typed
    )))
}

fn paths_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Socketio => "paths, which are socketio's namespaces",
        _ => "paths, which are engineio's endpoint",
    }
}

/// Parameters in a URL that the protocol itself sets.
fn refuse_own_query(address: &Address) -> Result<(), Usage> {
    let own = |name: &str| ["EIO", "transport", "sid"].contains(&name);
    match address.url.query_pairs().find(|(name, _)| own(name)) {
        Some((name, _)) => Err(Usage(format!(
            "{}: `{name}` is the protocol's own parameter, which swarm sets; leave it out and say --eio 3|4, --transport NAME",
            address.typed
        ))),
        None => Ok(()),
    }
}

fn user_info(url: &Url) -> Option<(String, String)> {
    let named = !url.username().is_empty() || url.password().is_some();
    named.then(|| (unescaped(url.username()), unescaped(url.password().unwrap_or_default())))
}

fn agreed<T: PartialEq>(addresses: &[Address], what: &str, of: impl Fn(&Address) -> T) -> Result<T, Usage> {
    let first = of(&addresses[0]);
    match addresses.iter().all(|address| of(address) == first) {
        true => Ok(first),
        false => Err(Usage(format!(
            "the URLs of a run must have the same {what}: run them apart"
        ))),
    }
}

fn target(address: &Address, kind: Kind, rules: &[ConnectTo]) -> Result<Target, Usage> {
    let url = &address.url;
    let no_host = || Usage(format!("{}: no host", address.typed));
    let host = match url.host().ok_or_else(no_host)? {
        Host::Domain(name) => name.to_string(),
        Host::Ipv4(v4) => v4.to_string(),
        Host::Ipv6(v6) => v6.to_string(),
    };
    let bracketed = url.host_str().ok_or_else(no_host)?;
    let mut target = Target {
        url: address.typed.clone(),
        tls: matches!(url.scheme(), "https" | "wss"),
        port: url.port_or_known_default().ok_or_else(no_host)?,
        path: match (kind, url.query()) {
            (Kind::Socketio | Kind::Engineio, _) => "/".into(),
            (_, Some(query)) => format!("{}?{query}", url.path()),
            (_, None) => url.path().to_string(),
        },
        authority: url
            .port()
            .map_or_else(|| bracketed.to_string(), |port| format!("{bracketed}:{port}")),
        host,
        weight: address.weight,
        connect_to: None,
        fallback: Vec::new(),
    };
    target.connect_to = rules.iter().find(|rule| rule.covers(&target)).map(|rule| {
        let (host, port) = &rule.to;
        (
            if host.is_empty() {
                target.host.clone()
            } else {
                host.clone()
            },
            port.unwrap_or(target.port),
        )
    });
    Ok(target)
}

/// One `--connect-to`; as with curl an empty part means any, or the same.
struct ConnectTo {
    typed: String,
    from: (String, String),
    to: (String, Option<u16>),
}

impl ConnectTo {
    fn covers(&self, target: &Target) -> bool {
        let (host, port) = &self.from;
        (host.is_empty() || host.eq_ignore_ascii_case(&target.host))
            && (port.is_empty() || *port == target.port.to_string())
    }
}

fn connect_to(typed: &str) -> Result<ConnectTo, Usage> {
    let wrong = || {
        Usage(format!(
            "--connect-to {typed}: HOST:PORT:ADDR:PORT, an IPv6 address in brackets"
        ))
    };
    let mut parts = Vec::new();
    let mut rest = typed;
    loop {
        let (part, after) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (address, after) = inner.split_once(']').ok_or_else(wrong)?;
                (address, after)
            }
            None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
        };
        parts.push(part.to_string());
        match after.strip_prefix(':') {
            Some(more) => rest = more,
            None if after.is_empty() => break,
            None => return Err(wrong()),
        }
    }
    let [from_host, from_port, to_host, to_port] = <[String; 4]>::try_from(parts).map_err(|_| wrong())?;
    let port = |text: &str| match text {
        "" => Ok(None),
        digits => digits
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .map(Some)
            .ok_or_else(wrong),
    };
    port(&from_port)?;
    let to_port = port(&to_port)?;
    Ok(ConnectTo {
        typed: typed.to_string(),
        from: (from_host, from_port),
        to: (to_host, to_port),
    })
}

/// Percent-decoded, as user-info is written.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%')
            .then(|| {
                text.get(at + 1..at + 3)
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            })
            .flatten();
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}
