//! Steps that open, change and leave a socket, and those that hand over to the script. Pure.

use super::keys;
use super::origins::Origins;
use super::reading::{Reading, Section};
use super::reply::reply;
use super::text::Scope;
use super::times;
use super::tree::{Entry, Node, Value};
use crate::cli::attack::Kind;
use crate::cli::units;
use swarm_agent::wire::flow::{Connect, Namespace, Reconnect, Reply, Rounds, ScriptStep, Spread, Text};
use swarm_agent::wire::share::Carrier;

/// A switch as an act's whole value: `true`, and nothing else.
pub fn on(reading: &Reading, what: &str, node: &Node) -> Option<()> {
    match node.value {
        Value::Switch(true) => Some(()),
        _ => {
            reading.wrong(node.line, format!("{what}: true, or a table with its settings"));
            None
        }
    }
}

pub(super) fn is_table(node: &Node) -> bool {
    matches!(node.value, Value::Table(_))
}

/// `connect`.
pub fn connect(scope: &Scope<'_>, node: &Node, kind: Kind, origins: &mut Origins) -> Option<Connect> {
    if !is_table(node) {
        return on(scope.reading, "connect", node).map(|()| Connect::default());
    }
    let section = Section::open(scope.reading, &keys::CONNECT, node)?;
    for (key, fits) in [
        ("subprotocol", kind == Kind::Websocket),
        ("transport", kind.is_engineio()),
        ("namespace", kind == Kind::Socketio),
        ("namespaces", kind == Kind::Socketio),
        ("auth", kind == Kind::Socketio),
    ] {
        if section.get(key).is_some() && !fits {
            section.wrong(key, &format!("engine {} has none", kind.word()));
        }
    }
    let mut target = None;
    if let Some(url) = section.text("target") {
        match origins.place(&url) {
            Ok((place, "" | "/")) => target = Some(place),
            Ok(_) => section.wrong("target", "a server alone, https://host:port; the path goes into path"),
            Err(error) => {
                let written = section.get("target").map_or("", |entry| entry.node.written());
                section.wrong("target", &scope.reading.vars.discreet(written, error));
            }
        }
    }
    let carrier = section.read("transport", |text| match text {
        "upgrade" => Ok(Carrier::Upgrade),
        "websocket" => Ok(Carrier::Websocket),
        "polling" => Ok(Carrier::Polling),
        _ => Err("upgrade, websocket or polling".into()),
    });
    Some(Connect {
        target,
        path: text(scope, &section, "path")?,
        query: secrets(scope, &section, "query")?,
        headers: headers(scope, &section)?,
        subprotocol: section.text("subprotocol"),
        carrier,
        namespaces: namespaces(scope, &section)?,
        within: section.read("timeout", units::duration_above_zero),
    })
}

fn namespaces(scope: &Scope<'_>, section: &Section<'_>) -> Option<Vec<Namespace>> {
    section.only_one(&["namespaces", "namespace"]);
    section.only_one(&["namespaces", "auth"]);
    if section.get("namespaces").is_some() {
        let several = section.several("namespaces").into_iter();
        return several.map(|node| join(scope, node)).collect();
    }
    match (section.text("namespace"), section.get("auth")) {
        (None, None) => Some(Vec::new()),
        (name, auth) => Some(vec![Namespace {
            // none named: the one of the URL or the flag
            name: name.as_deref().map(slashed).unwrap_or_default(),
            auth: json(scope, auth)?,
        }]),
    }
}

pub(super) fn slashed(name: &str) -> String {
    if name.starts_with('/') {
        name.to_string()
    } else {
        format!("/{name}")
    }
}

/// `join`: a namespace, or a table with its payload.
pub fn join(scope: &Scope<'_>, node: &Node) -> Option<Namespace> {
    if !is_table(node) {
        let name = slashed(&scope.reading.scalar("join", node)?.text);
        return Some(Namespace { name, auth: None });
    }
    let section = Section::open(scope.reading, &keys::JOIN, node)?;
    let Some(name) = section.text("namespace") else {
        section.wrong("namespace", "is missing");
        return None;
    };
    let auth = json(scope, section.get("auth"))?;
    Some(Namespace {
        name: slashed(&name),
        auth,
    })
}

/// The payload of a CONNECT. `Some(None)` where nothing is said, `None` where something is wrong.
pub(super) fn json(scope: &Scope<'_>, entry: Option<&Entry>) -> Option<Option<Text>> {
    match entry {
        None => Some(None),
        Some(entry) => scope.secret_json(&entry.node).map(Some),
    }
}

pub(super) fn text(scope: &Scope<'_>, section: &Section<'_>, key: &str) -> Option<Option<Text>> {
    match section.get(key) {
        None => Some(None),
        Some(entry) => scope.scalar(&section.what(key), &entry.node).map(Some),
    }
}

pub(super) fn pairs(scope: &Scope<'_>, section: &Section<'_>, key: &str) -> Option<Vec<(String, Text)>> {
    named(section, key, |what, node| scope.scalar(what, node))
}

/// The same with values that may be secrets.
fn secrets(scope: &Scope<'_>, section: &Section<'_>, key: &str) -> Option<Vec<(String, Text)>> {
    named(section, key, |what, node| scope.secret_scalar(what, node))
}

fn named(section: &Section<'_>, key: &str, read: impl Fn(&str, &Node) -> Option<Text>) -> Option<Vec<(String, Text)>> {
    let Some(entry) = section.get(key) else {
        return Some(Vec::new());
    };
    if !is_table(&entry.node) {
        section.wrong(key, "must be a table of names and values");
        return None;
    }
    let one = |entry: &Entry| Some((entry.key.clone(), read(&section.what(key), &entry.node)?));
    entry.node.entries().iter().map(one).collect()
}

pub(super) fn headers(scope: &Scope<'_>, section: &Section<'_>) -> Option<Vec<(String, Text)>> {
    let headers = secrets(scope, section, "headers")?;
    for (name, _) in &headers {
        if !crate::cli::attack::is_token(name) {
            section.wrong("headers", &format!("`{name}` is no header's name"));
        }
    }
    Some(headers)
}

/// `reconnect`.
pub fn reconnect(reading: &Reading, node: &Node) -> Option<Reconnect> {
    if !is_table(node) {
        return on(reading, "reconnect", node).map(|()| Reconnect {
            abruptly: false,
            after: Spread::Fixed(0),
        });
    }
    let section = Section::open(reading, &keys::RECONNECT, node)?;
    let after = match section.get("after") {
        Some(entry) => times::spread(reading, "reconnect after", &entry.node)?,
        None => Spread::Fixed(0),
    };
    Some(Reconnect {
        abruptly: section.switch("abruptly").unwrap_or(false),
        after,
    })
}

/// `script` as a step.
pub fn script(scope: &Scope<'_>, node: &Node) -> Option<ScriptStep> {
    if !is_table(node) {
        on(scope.reading, "script", node)?;
        return Some(ScriptStep {
            period: None,
            rounds: Rounds::Forever,
            reply: Reply::default(),
        });
    }
    let section = Section::open(scope.reading, &keys::SCRIPT, node)?;
    Some(ScriptStep {
        period: section.read("period", units::duration_above_zero),
        rounds: times::rounds(&section)?,
        reply: reply(scope, &section, false)?,
    })
}
