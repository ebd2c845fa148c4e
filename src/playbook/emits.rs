//! The step that emits a Socket.IO event: name, arguments, binary ones among them, and what answers it. Pure.

use super::acts::slashed;
use super::expression::{Part, parts};
use super::keys;
use super::reading::{Reading, Section};
use super::reply::{reply, wants_answer};
use super::text::Scope;
use super::tree::{Entry, Node, Value};
use base64::Engine as _;
use swarm_agent::wire::flow::{Answer, Bytes, Emit};

/// Events that Socket.IO keeps for itself.
const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// `emit`: an event's name, a list that begins with it, or a table.
pub fn emit(scope: &Scope<'_>, node: &Node) -> Option<Emit> {
    let plain = |event: &str, line: usize, args: &[Node], answer: Answer, namespace: Option<String>| {
        fitting(scope.reading, event, line)?;
        let (args, attachments) = binary(scope.reading, args)?;
        Some(Emit {
            namespace,
            array: scope.array(event, line, &args)?,
            attachments,
            answer,
        })
    };
    match &node.value {
        Value::Text(event) => plain(event, node.line, &[], Answer::Written, None),
        Value::List(items) => {
            let (event, args) = named(scope.reading, items, node.line)?;
            plain(event, node.line, args, Answer::Written, None)
        }
        _ => {
            let section = Section::open(scope.reading, &keys::EMIT, node)?;
            section.only_one(&["json", "event"]);
            section.only_one(&["json", "args"]);
            let answer = answer_of_emit(scope, &section)?;
            let namespace = section.text("namespace").map(|name| slashed(&name));
            if let Some(entry) = section.get("json") {
                let items = as_json(scope.reading, &section, entry)?;
                let (event, args) = named(scope.reading, &items, entry.line)?;
                return plain(event, entry.line, args, answer, namespace);
            }
            let Some(Node {
                value: Value::Text(event),
                line,
                ..
            }) = section.get("event").map(|entry| &entry.node)
            else {
                section.wrong("event", "its name is missing");
                return None;
            };
            let args = match section.get("args").map(|entry| &entry.node) {
                None => &[],
                Some(Node {
                    value: Value::List(items),
                    ..
                }) => items.as_slice(),
                Some(_) => {
                    section.wrong("args", "a list, also of one argument: args = ['hello']");
                    return None;
                }
            };
            plain(event, *line, args, answer, namespace)
        }
    }
}

fn as_json(reading: &Reading, section: &Section<'_>, entry: &Entry) -> Option<Vec<Node>> {
    let Value::Text(text) = &entry.node.value else {
        section.wrong("json", "a text with a JSON array: '[\"event\", null]'");
        return None;
    };
    match serde_json::from_str::<Vec<serde_json::Value>>(text) {
        Ok(items) => Some(items.into_iter().map(|item| Node::of_json(item, &entry.node)).collect()),
        Err(error) => {
            reading.wrong(entry.line, format!("emit json: no JSON array: {error}"));
            None
        }
    }
}

fn named<'a>(reading: &Reading, items: &'a [Node], line: usize) -> Option<(&'a str, &'a [Node])> {
    match items.split_first() {
        Some((
            Node {
                value: Value::Text(event),
                ..
            },
            args,
        )) => Some((event, args)),
        _ => {
            reading.wrong(
                line,
                "emit: a list begins with the event's name: ['say', { text = 'hello' }]",
            );
            None
        }
    }
}

fn fitting(reading: &Reading, event: &str, line: usize) -> Option<()> {
    let error = if event.is_empty() {
        "the event has no name".to_string()
    } else if RESERVED.contains(&event) {
        format!("`{event}` is reserved by Socket.IO")
    } else if plain_parts(event).any(|plain| plain.contains(',')) {
        format!("`{event}`: a name alone; with arguments it is a list: ['event', 1, 'text']")
    } else {
        return Some(());
    };
    reading.wrong(line, format!("emit: {error}"));
    None
}

/// What of a text stands outside braces.
fn plain_parts(text: &str) -> impl Iterator<Item = &str> {
    parts(text)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|part| match part {
            Part::Plain(plain) => Some(plain),
            Part::Braces(_) => None,
        })
}

/// Arguments `{ "$base64" = "..." }` become placeholders, as Socket.IO's packets have them, and their bytes.
fn binary(reading: &Reading, args: &[Node]) -> Option<(Vec<Node>, Vec<Bytes>)> {
    let mut bytes = Vec::new();
    let args = args
        .iter()
        .map(|arg| without_bytes(reading, arg, &mut bytes))
        .collect::<Option<_>>()?;
    Some((args, bytes))
}

fn without_bytes(reading: &Reading, node: &Node, bytes: &mut Vec<Bytes>) -> Option<Node> {
    let value = match &node.value {
        Value::Table(entries) if entries.len() == 1 && entries[0].key == "$base64" => {
            let found = decoded(reading, &entries[0].node)?;
            let place = serde_json::json!({"_placeholder": true, "num": bytes.len()});
            bytes.push(found);
            Node::of_json(place, node).value
        }
        Value::Table(entries) => Value::Table(
            entries
                .iter()
                .map(|entry| {
                    Some(Entry {
                        node: without_bytes(reading, &entry.node, bytes)?,
                        ..entry.clone()
                    })
                })
                .collect::<Option<_>>()?,
        ),
        Value::List(items) => Value::List(
            items
                .iter()
                .map(|item| without_bytes(reading, item, bytes))
                .collect::<Option<_>>()?,
        ),
        other => other.clone(),
    };
    Some(Node { value, ..node.clone() })
}

/// Bytes written as base64.
pub(super) fn decoded(reading: &Reading, node: &Node) -> Option<Bytes> {
    let text = reading.scalar("base64", node)?.text;
    let read = base64::engine::general_purpose::STANDARD.decode(text.trim());
    read.map(Bytes)
        .map_err(|error| {
            let error = reading.vars.discreet(node.written(), format!("no base64: {error}"));
            reading.wrong(node.line, error);
        })
        .ok()
}

fn answer_of_emit(scope: &Scope<'_>, section: &Section<'_>) -> Option<Answer> {
    section.only_one(&["ack", "answer"]);
    let acked = section.switch("ack").unwrap_or(false);
    let event = section.text("answer");
    match (acked, event) {
        (true, _) => reply(scope, section, false).map(Answer::Ack),
        (false, Some(event)) => Some(Answer::Event {
            event: Some(event),
            reply: reply(scope, section, false)?,
        }),
        (false, None) => {
            if let Some(key) = wants_answer(section) {
                section.wrong(key, "nothing answers this emit: add ack = true or answer = 'event'");
            }
            Some(Answer::Written)
        }
    }
}
