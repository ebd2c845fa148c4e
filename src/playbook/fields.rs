//! What a playbook says that flags could say too: each as a flag and its values. Pure. What flags mean is
//! `cli::attack`'s, so that a playbook without flows is the same as its flags.

use super::keys::{self, Key, Keys, Kind};
use super::reading::{Reading, Section};
use super::text::Scope;
use super::tree::{Entry, Node, Value};
use crate::secret::Beside;
use std::path::Path;
use swarm_agent::wire::flow::{Expression, Piece, Variable};
use swarm_agent::wire::share::Broadcast;

/// One flag and what the playbook has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its long name, `url` for the target.
    pub flag: &'static str,
    /// `[load] connections`, as messages name the key.
    pub what: String,
    /// Its values; none: a switch that is on.
    pub values: Vec<String>,
    /// Where it stands.
    pub line: usize,
    /// A secret is in its values, and errors about its flag would show them.
    pub secret: bool,
}

/// The tables of one engine alone.
pub const ENGINES: [(&str, &Keys); 4] = [
    ("http", &keys::HTTP),
    ("websocket", &keys::WEBSOCKET),
    ("socketio", &keys::SOCKETIO),
    ("engineio", &keys::ENGINEIO),
];

/// Flags whose value may be `@FILE`, and those whose value is a file. Both stand beside the playbook.
const POINTERS: [&str; 8] = [
    "header",
    "user",
    "cookie",
    "auth",
    "query",
    "data",
    "message",
    "lb-stats-auth",
];
const FILES: [&str; 4] = ["data-file", "cacert", "cert", "key"];

/// Flags whose errors hide their value anyhow.
const DISCREET: [&str; 7] = ["header", "cookie", "auth", "query", "data", "message", "lb-stats-auth"];

/// All fields of a file. `beside` is where it lies.
pub fn fields(reading: &Reading, top: &Section<'_>, beside: Beside<'_>) -> Vec<Field> {
    let mut all = Vec::new();
    let mut of = |section: &Section<'_>, keys: &'static Keys| {
        for key in keys.keys {
            all.extend(field(reading, section, key, beside));
        }
    };
    of(top, &keys::TOP);
    let tables: [(&str, &'static Keys); 5] = [
        ("load", &keys::LOAD),
        ("request", &keys::REQUEST),
        ("tls", &keys::TLS),
        ("hosts", &keys::HOSTS),
        ("watch", &keys::WATCH),
    ];
    for (name, keys) in tables.into_iter().chain(ENGINES) {
        if let Some(section) = top.table(name, keys) {
            of(&section, keys);
        }
    }
    match top.get("require").map(|entry| &entry.node.value) {
        Some(Value::Table(_)) => {
            if let Some(section) = top.table("require", &keys::REQUIRE) {
                of(&section, &keys::REQUIRE);
            }
        }
        Some(_) => {
            for said in top.texts("require") {
                all.push(Field {
                    flag: "require",
                    what: "require".into(),
                    values: vec![said.text],
                    line: said.line,
                    secret: false,
                });
            }
        }
        None => {}
    }
    engine(top, &mut all);
    all
}

/// A broadcast without flows, as its flags.
pub fn of_broadcast(broadcast: &Broadcast, table: &Entry) -> [Field; 2] {
    let field = |flag, key: &str, value: String| Field {
        flag,
        what: format!("[broadcast] {key}"),
        values: vec![value],
        line: table.node.get(key).map_or(table.line, |entry| entry.line),
        secret: false,
    };
    [
        field("broadcast", "event", broadcast.event.clone()),
        field("emitters", "emitters", format!("1/{}", broadcast.one_in)),
    ]
}

/// A table of one engine names the engine; a table of another one is wrong.
fn engine(top: &Section<'_>, all: &mut Vec<Field>) {
    let named = all
        .iter()
        .find(|field| field.flag == "engine")
        .map(|field| field.values[0].clone());
    let there: Vec<&str> = ENGINES
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| top.get(name).is_some())
        .collect();
    match (named, there.as_slice()) {
        (_, []) => {}
        (None, [one]) => all.push(Field {
            flag: "engine",
            what: format!("[{one}]"),
            values: vec![(*one).to_string()],
            line: top.get(one).map_or(1, |entry| entry.line),
            secret: false,
        }),
        (None, several) => {
            let last = several.iter().max_by_key(|name| top.get(name).map(|entry| entry.line));
            top.wrong(last.unwrap_or(&several[0]), "tables of two engines: a playbook has one");
        }
        (Some(named), several) => {
            for other in several.iter().filter(|name| **name != named) {
                top.wrong(other, &format!("this table is for another engine than {named}"));
            }
        }
    }
}

fn field(reading: &Reading, section: &Section<'_>, key: &Key, secrets: Beside<'_>) -> Option<Field> {
    let flag = key.flag?;
    let entry = section.get(key.name)?;
    let folder = secrets.folder;
    let values = match (key.kind, key.name) {
        (_, "emit") => emits(reading, entry, secrets)?,
        (Kind::Json, _) => vec![plain_json(reading, &entry.node, secrets, true)?],
        (Kind::Switch, _) => match section.switch(key.name)? {
            true => Vec::new(),
            false => return None,
        },
        (Kind::Pairs, _) => pairs(section, key.name, entry, flag, folder, reading)?,
        (Kind::Texts, _) => section.texts(key.name).into_iter().map(|said| said.text).collect(),
        _ => vec![section.text(key.name)?],
    };
    let values = values.into_iter().map(|value| beside(folder, flag, value)).collect();
    Some(Field {
        flag,
        what: section.what(key.name),
        values,
        line: entry.line,
        secret: !DISCREET.contains(&flag) && holds_secret(reading, &entry.node),
    })
}

/// Whether a secret of `[vars]` was filled in.
fn holds_secret(reading: &Reading, node: &Node) -> bool {
    let mut found = false;
    node.texts(&mut |node| found |= reading.vars.is_secret(node.written()));
    found
}

/// A file that the playbook names lies beside it.
fn beside(folder: &Path, flag: &str, value: String) -> String {
    let joined = |path: &str| folder.join(path).to_string_lossy().into_owned();
    if folder.as_os_str().is_empty() {
        return value;
    }
    match value.strip_prefix('@') {
        Some(path) if POINTERS.contains(&flag) => format!("@{}", joined(path)),
        _ if FILES.contains(&flag) => joined(&value),
        _ => value,
    }
}

fn pairs(
    section: &Section<'_>,
    key: &str,
    entry: &Entry,
    flag: &str,
    folder: &Path,
    reading: &Reading,
) -> Option<Vec<String>> {
    let Value::Table(entries) = &entry.node.value else {
        section.wrong(key, "must be a table of names and values");
        return None;
    };
    let gap = if flag == "header" { ": " } else { "=" };
    let one = |entry: &Entry| {
        let said = reading.scalar(&section.what(key), &entry.node)?;
        Some(format!("{}{gap}{}", entry.key, beside(folder, flag, said.text)))
    };
    entries.iter().map(one).collect()
}

/// `'event,json'`, a list that begins with the event, or several of them.
fn emits(reading: &Reading, entry: &Entry, secrets: Beside<'_>) -> Option<Vec<String>> {
    let one = |node: &Node| match &node.value {
        Value::Text(text) => with_stamp(reading, text, node.line),
        _ => plain_json(reading, node, secrets, false),
    };
    match &entry.node.value {
        Value::List(items) if items.iter().all(|item| matches!(item.value, Value::List(_))) => {
            items.iter().map(one).collect()
        }
        _ => one(&entry.node).map(|emit| vec![emit]),
    }
}

/// The stamp of broadcasts is filled in by whoever emits; all else must be known.
fn with_stamp(reading: &Reading, text: &str, line: usize) -> Option<String> {
    let cut: Vec<Option<String>> = text.split("{{stamp}}").map(|part| reading.settle(part, line)).collect();
    let cut: Option<Vec<String>> = cut.into_iter().collect();
    cut.map(|parts| parts.join("{{stamp}}"))
}

/// JSON whose values are all known beforehand. `pointers`: texts in it may be `@FILE` or `env:NAME`.
fn plain_json(reading: &Reading, node: &Node, secrets: Beside<'_>, pointers: bool) -> Option<String> {
    if let Value::Text(text) = &node.value {
        return reading.settle(text, node.line);
    }
    let scope = Scope {
        reading,
        columns: &[],
        slots: &[],
        own: Vec::new(),
        repeated: false,
        secrets,
        // --broadcast may be typed
        stamped: true,
    };
    let json = if pointers {
        scope.secret_json(node)
    } else {
        scope.json(node)
    };
    let mut out = String::new();
    for piece in json?.0 {
        match piece {
            Piece::Plain(text) => out.push_str(&text),
            Piece::InString(Expression::Variable(Variable::Stamp)) => out.push_str("{{stamp}}"),
            Piece::Json(Expression::Variable(Variable::Stamp)) => out.push_str("\"{{stamp}}\""),
            _ => {
                let text = "what is known only while clients run can be used in [[flow]] alone";
                reading.wrong(node.line, text);
                return None;
            }
        }
    }
    Some(out)
}
