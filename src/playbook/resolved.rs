//! A playbook as `swarm playbook show` prints it: its own text, the values of `[vars]` filled in. Pure.

use super::Source;
use super::expression::{Part, parts};
use super::reading::Reading;
use super::tree::{self, Value};
use super::vars::Vars;
use crate::secret::{Beside, is_pointer};
use std::path::Path;

/// The text with what is known filled in; what only points at a secret stays a pointer, and so does all that names it.
pub fn resolved(source: &Source, sets: &[String]) -> Result<String, String> {
    let mut reading = Reading::new(&source.file);
    let tree = tree::read(&source.text).map_err(|wrong| {
        wrong.into_iter().for_each(|(line, text)| reading.wrong(line, text));
        reading.faults()
    })?;
    let given = tree.get("vars").map_or(&[][..], |entry| entry.node.entries());
    // secrets are not looked up: who shows a playbook shows no passwords
    let secret = is_pointer;
    let nowhere = Beside {
        folder: Path::new(""),
        environment: &|_| None,
    };
    let open: Vec<String> = sets
        .iter()
        .filter(|set| !set.split_once('=').is_some_and(|(_, v)| secret(v)))
        .cloned()
        .collect();
    let hidden: Vec<&str> = sets
        .iter()
        .filter_map(|set| set.split_once('='))
        .filter(|(_, value)| secret(value))
        .map(|(name, _)| name)
        .collect();
    let plain: Vec<tree::Entry> = given
        .iter()
        .filter(|entry| !hidden.contains(&entry.key.as_str()))
        .filter(|entry| !matches!(&entry.node.value, Value::Text(text) if secret(text) && !names(&open, &entry.key)))
        .cloned()
        .collect();
    reading.vars = Vars::new(&plain, &open, nowhere, &mut |line, text| reading.wrong(line, text));
    if !reading.is_right() {
        return Err(reading.faults());
    }
    let mut changes: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    for entry in given {
        let pointer = sets
            .iter()
            .rev()
            .filter_map(|set| set.split_once('='))
            .find(|(name, _)| *name == entry.key);
        let value = match (pointer, reading.vars.get(&entry.key)) {
            (_, Some(constant)) if matches!(entry.node.value, Value::Text(_)) => quoted(&constant.text),
            (_, Some(constant)) => constant.json.clone(),
            (Some((_, pointer)), None) => quoted(pointer),
            (None, None) => continue,
        };
        changes.push((entry.node.span.clone(), value));
    }
    for entry in tree.entries().iter().filter(|entry| entry.key != "vars") {
        entry.node.texts(&mut |node| {
            let written = &source.text[node.span.clone()];
            if let Some(filled) = fill(&reading, written) {
                changes.push((node.span.clone(), filled));
            }
        });
    }
    changes.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut text = source.text.clone();
    for (span, value) in changes {
        text.replace_range(span, &value);
    }
    Ok(text)
}

fn names(sets: &[String], name: &str) -> bool {
    sets.iter()
        .any(|set| set.split_once('=').is_some_and(|(set, _)| set == name))
}

/// A basic string of TOML: JSON's escapes are among its own.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A text as written in the file, with those braces filled in that are known; `None` when none is.
fn fill(reading: &Reading, written: &str) -> Option<String> {
    let literal = written.starts_with('\'');
    let mut changed = false;
    let mut out = String::new();
    for part in parts(written).ok()? {
        match part {
            Part::Plain(plain) => out.push_str(plain),
            Part::Braces(inside) => match reading.try_settle(&format!("{{{{{inside}}}}}")) {
                Ok(value) if !literal || !value.contains(['\'', '\n']) => {
                    changed = true;
                    let escaped = quoted(&value);
                    out.push_str(if literal {
                        &value
                    } else {
                        &escaped[1..escaped.len() - 1]
                    });
                }
                _ => out.push_str(&format!("{{{{{inside}}}}}")),
            },
        }
    }
    changed.then_some(out)
}
