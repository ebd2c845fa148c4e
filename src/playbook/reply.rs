//! How an answer must be and what is remembered of it. Pure.

use super::keys;
use super::reading::Section;
use super::text::Scope;
use super::tree::{Entry, Node, Value};
use crate::cli::units;
use swarm_agent::wire::flow::{Capture, Check, From, Is, Reply};

/// `timeout`, `check` and `capture` of a step that is answered.
pub fn reply(scope: &Scope<'_>, section: &Section<'_>, http: bool) -> Option<Reply> {
    let within = match section.get("timeout") {
        Some(_) => Some(section.read("timeout", units::duration_above_zero)?),
        None => None,
    };
    let checks: Option<Vec<Check>> = section
        .several("check")
        .into_iter()
        .map(|node| check(scope, node, http))
        .collect();
    Some(Reply {
        within,
        checks: checks?,
        captures: captures(scope, section.get("capture"), http)?,
    })
}

/// Whether a step says anything about an answer.
pub fn wants_answer<'a>(section: &Section<'_>) -> Option<&'a str> {
    ["timeout", "check", "capture"]
        .into_iter()
        .find(|key| section.get(key).is_some())
}

fn check(scope: &Scope<'_>, node: &Node, http: bool) -> Option<Check> {
    let section = Section::open(scope.reading, &keys::CHECK, node)?;
    section.only_one(&["pointer", "header"]);
    section.only_one(&["equal", "containing"]);
    if section.get("header").is_some() && !http {
        section.wrong("header", "only answers of http have headers");
    }
    let pointer = section.read("pointer", pointer);
    let header = section.text("header").map(|name| name.to_ascii_lowercase());
    let is = match (section.get("equal"), section.get("containing")) {
        (Some(equal), _) if pointer.is_some() => Is::Equal(scope.json(&equal.node)?),
        (Some(equal), _) => Is::Equal(scope.scalar("check equal", &equal.node)?),
        (None, Some(text)) => Is::Containing(scope.scalar("check containing", &text.node)?),
        (None, None) if pointer.is_some() || header.is_some() => Is::Present,
        (None, None) => {
            let says = "says nothing: { pointer = '/0/ok', equal = true }, { containing = 'text' }";
            scope.reading.wrong(node.line, format!("check: {says}"));
            return None;
        }
    };
    Some(Check { pointer, header, is })
}

/// A JSON pointer (RFC 6901) is empty or begins with a slash.
fn pointer(text: &str) -> Result<String, String> {
    match text.is_empty() || text.starts_with('/') {
        true => Ok(text.to_string()),
        false => Err(format!("no JSON pointer; it begins with a slash: /{text}")),
    }
}

fn captures(scope: &Scope<'_>, entry: Option<&Entry>, http: bool) -> Option<Vec<Capture>> {
    let Some(entry) = entry else {
        return Some(Vec::new());
    };
    let Value::Table(entries) = &entry.node.value else {
        let word = entry.node.word();
        scope.reading.wrong(
            entry.line,
            format!("capture: must be a table of names, not {word}: {{ token = '/0/token' }}"),
        );
        return None;
    };
    entries
        .iter()
        .map(|entry| {
            let from = source(scope, entry)?;
            if !http && matches!(from, From::Header(_) | From::Cookie(_)) {
                let text = format!("capture {}: only answers of http have headers and cookies", entry.key);
                scope.reading.wrong(entry.line, text);
            }
            let slot = scope.slot(&entry.key)?;
            Some(Capture { slot, from })
        })
        .collect()
}

fn source(scope: &Scope<'_>, entry: &Entry) -> Option<From> {
    let wrong = |error: &str| {
        scope
            .reading
            .wrong(entry.line, format!("capture {}: {error}", entry.key));
    };
    if let Value::Table(_) = entry.node.value {
        return source_table(scope, entry);
    }
    let text = scope.reading.scalar("capture", &entry.node)?.text;
    match text.split_once(':') {
        _ if text.is_empty() || text.starts_with('/') => Some(From::Pointer(text)),
        Some(("header", name)) if !name.is_empty() => Some(From::Header(name.trim().to_ascii_lowercase())),
        Some(("cookie", name)) if !name.is_empty() => Some(From::Cookie(name.trim().to_string())),
        _ => {
            wrong("from where? '/json/pointer', 'header:NAME', 'cookie:NAME' or { between = ['before', 'after'] }");
            None
        }
    }
}

fn source_table(scope: &Scope<'_>, entry: &Entry) -> Option<From> {
    let section = Section::open(scope.reading, &keys::CAPTURE, &entry.node)?;
    section.only_one(&["pointer", "header", "cookie", "between"]);
    if let Some(text) = section.read("pointer", pointer) {
        return Some(From::Pointer(text));
    }
    if let Some(name) = section.text("header") {
        return Some(From::Header(name.to_ascii_lowercase()));
    }
    if let Some(name) = section.text("cookie") {
        return Some(From::Cookie(name));
    }
    let between: Vec<String> = section.texts("between").into_iter().map(|said| said.text).collect();
    match <[String; 2]>::try_from(between) {
        Ok([before, after]) if !before.is_empty() && !after.is_empty() => Some(From::Between(before, after)),
        _ => {
            let text = format!("capture {}: between = ['before', 'after']", entry.key);
            scope.reading.wrong(entry.line, text);
            None
        }
    }
}
