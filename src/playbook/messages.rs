//! Steps that send a message of raw WebSocket or Engine.IO, and that wait for what comes. Pure.

use super::acts::{is_table, slashed, text};
use super::emits::decoded;
use super::keys;
use super::reading::Section;
use super::reply::{reply, wants_answer};
use super::text::Scope;
use super::tree::{Node, Value};
use crate::cli::attack::Kind;
use crate::cli::units;
use swarm_agent::wire::flow::{Answer, Expect, Payload, Reply, Send};

/// `send`: a text, or a table.
pub fn send(scope: &Scope<'_>, node: &Node) -> Option<Send> {
    if !is_table(node) {
        return Some(Send {
            message: Payload::Text(scope.scalar("send", node)?),
            answer: Answer::Written,
        });
    }
    let section = Section::open(scope.reading, &keys::SEND, node)?;
    section.only_one(&["text", "json", "base64"]);
    let message = if let Some(entry) = section.get("json") {
        Payload::Text(scope.json(&entry.node)?)
    } else if let Some(entry) = section.get("base64") {
        Payload::Binary(decoded(scope.reading, &entry.node)?)
    } else if let Some(message) = text(scope, &section, "text")? {
        Payload::Text(message)
    } else {
        section.wrong("text", "nothing to send: text, json or base64");
        return None;
    };
    let answer = match section.switch("answer").unwrap_or(false) {
        true => Answer::Event {
            event: None,
            reply: reply(scope, &section, false)?,
        },
        false => {
            if let Some(key) = wants_answer(&section) {
                section.wrong(key, "nothing answers this message: add answer = true");
            }
            Answer::Written
        }
    };
    Some(Send { message, answer })
}

/// `expect`: an event's name, true for any message, or a table.
pub fn expect(scope: &Scope<'_>, node: &Node, kind: Kind) -> Option<Expect> {
    let any = |event: Option<String>| Expect {
        namespace: None,
        event,
        count: 1,
        reply: Reply::default(),
    };
    let found = match &node.value {
        Value::Text(_) => any(Some(scope.reading.scalar("expect", node)?.text)),
        Value::Switch(true) => any(None),
        _ => {
            let section = Section::open(scope.reading, &keys::EXPECT, node)?;
            let count = section.read("count", units::count).unwrap_or(1);
            Expect {
                namespace: section.text("namespace").map(|name| slashed(&name)),
                event: section.text("event"),
                count: u32::try_from(count).unwrap_or(u32::MAX),
                reply: reply(scope, &section, false)?,
            }
        }
    };
    if kind != Kind::Socketio && (found.event.is_some() || found.namespace.is_some()) {
        let text = format!(
            "expect: messages of engine {} have no event and no namespace: expect = true",
            kind.word()
        );
        scope.reading.wrong(node.line, text);
    }
    Some(found)
}
