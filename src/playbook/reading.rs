//! What reading a playbook needs everywhere: where wrong things are noted, and tables whose keys are checked. Pure.

use super::expression::{self, Part, parts};
use super::keys::{Keys, unknown};
use super::tree::{Entry, Node, Value};
use super::vars::{BUILT_IN, Vars, missing};
use std::cell::RefCell;
use swarm_agent::wire::flow::Expression;

/// A reading of one file: what is known beforehand, and what was found wrong.
#[derive(Debug)]
pub struct Reading {
    /// Name of the file, for messages.
    pub file: String,
    /// `[vars]`.
    pub vars: Vars,
    /// It has `[broadcast]`.
    pub broadcasts: bool,
    wrong: RefCell<Vec<(usize, String)>>,
}

/// A scalar as text, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// What is said, values filled in.
    pub text: String,
    /// Where.
    pub line: usize,
}

impl Reading {
    /// Begins.
    pub fn new(file: &str) -> Self {
        Self {
            file: file.to_string(),
            vars: Vars::default(),
            broadcasts: false,
            wrong: RefCell::default(),
        }
    }

    /// Notes something wrong; line 0 is the command line.
    pub fn wrong(&self, line: usize, text: impl Into<String>) {
        let fault = (line, self.vars.hide(&text.into()));
        let mut known = self.wrong.borrow_mut();
        if !known.contains(&fault) {
            known.push(fault);
        }
    }

    /// Whether nothing was found wrong.
    pub fn is_right(&self) -> bool {
        self.wrong.borrow().is_empty()
    }

    /// All that was found wrong, a line each, in the order of the file.
    pub fn faults(&self) -> String {
        let mut wrong = self.wrong.borrow().clone();
        wrong.sort_by_key(|(line, _)| *line);
        let lines: Vec<String> = wrong
            .iter()
            .map(|(line, text)| match line {
                0 => text.clone(),
                line => format!("{}:{line}: {text}", self.file),
            })
            .collect();
        lines.join("\n")
    }

    /// A text with the values of `[vars]` filled in; what is known only during the run is wrong here.
    pub fn settle(&self, text: &str, line: usize) -> Option<String> {
        self.try_settle(text).map_err(|error| self.wrong(line, error)).ok()
    }

    /// The same; what is wrong is returned.
    pub fn try_settle(&self, text: &str) -> Result<String, String> {
        self.settle_nested(text, 0)
    }

    fn settle_nested(&self, text: &str, depth: usize) -> Result<String, String> {
        let mut out = String::new();
        for part in parts(text)? {
            match part {
                Part::Plain(plain) => out.push_str(plain),
                Part::Braces(inside) if self.vars.nested(inside, depth)?.is_some() => {
                    let text = self.vars.nested(inside, depth)?.unwrap_or_default();
                    let settled = self.settle_nested(text, depth + 1);
                    out.push_str(&settled.map_err(|error| self.discreet(inside, error))?);
                }
                Part::Braces(inside) => match expression::parse(inside, &|name| self.constant(name))? {
                    Expression::Number(number) => out.push_str(&number.to_string()),
                    Expression::Text(text) => out.push_str(&text),
                    _ => {
                        return Err(format!(
                            "{{{{{}}}}} is known only while clients run: here only [vars] can be used",
                            inside.trim()
                        ));
                    }
                },
            }
        }
        Ok(out)
    }

    /// What is wrong with a value that stands in braces.
    pub fn discreet(&self, inside: &str, error: String) -> String {
        self.vars.discreet(&format!("{{{{{inside}}}}}"), error)
    }

    fn constant(&self, name: &str) -> Result<Expression, String> {
        match self.vars.get(name) {
            Some(constant) => Ok(constant.expression()),
            None if BUILT_IN.contains(&name) => Err(format!(
                "{name} is known only while clients run: here only [vars] can be used"
            )),
            None => Err(missing(name, self.vars.names(), "[vars]")),
        }
    }

    /// A scalar as text.
    pub fn scalar(&self, what: &str, node: &Node) -> Option<Said> {
        let text = match &node.value {
            Value::Text(text) => self.settle(text, node.line)?,
            Value::Integer(number) => number.to_string(),
            Value::Decimal(number) => number.to_string(),
            Value::Switch(on) => on.to_string(),
            Value::Date(_) | Value::List(_) | Value::Table(_) | Value::Null => {
                self.wrong(
                    node.line,
                    format!("{what}: must be a text or a number, not {}", node.word()),
                );
                return None;
            }
        };
        Some(Said { text, line: node.line })
    }
}

/// A table whose keys were checked.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    reading: &'a Reading,
    keys: &'static Keys,
    entries: &'a [Entry],
    /// Where it begins.
    pub line: usize,
}

impl<'a> Section<'a> {
    /// Opens a table and notes the keys that it cannot have; `None` when it is no table.
    pub fn open(reading: &'a Reading, keys: &'static Keys, node: &'a Node) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            reading.wrong(
                node.line,
                format!("{}: must be a table, not {}", keys.name, node.word()),
            );
            return None;
        };
        for entry in entries {
            if keys.find(&entry.key).is_none() {
                reading.wrong(entry.line, unknown(keys, &entry.key));
            }
        }
        Some(Self {
            reading,
            keys,
            entries,
            line: node.line,
        })
    }

    /// All entries.
    pub fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// The entry of a key, which must be one of the table's.
    pub fn get(&self, key: &str) -> Option<&'a Entry> {
        debug_assert!(self.keys.find(key).is_some(), "{} has no {key}", self.keys.name);
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// `emit timeout`, as messages name a key.
    pub fn what(&self, key: &str) -> String {
        match self.keys.name {
            "the playbook" | "a step" => key.to_string(),
            name => format!("{name} {key}"),
        }
    }

    /// Notes something wrong about a key that is there.
    pub fn wrong(&self, key: &str, text: &str) {
        let line = self.get(key).map_or(self.line, |entry| entry.line);
        self.reading.wrong(line, format!("{}: {text}", self.what(key)));
    }

    /// A scalar as text.
    pub fn said(&self, key: &str) -> Option<Said> {
        let entry = self.get(key)?;
        self.reading.scalar(&self.what(key), &entry.node)
    }

    /// A value read by `how`, whose error says what is wrong.
    pub fn read<T>(&self, key: &str, how: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let said = self.said(key)?;
        let written = self.get(key).map_or("", |entry| entry.node.written());
        let read = how(&said.text).map_err(|error| {
            let shown: String = said.text.chars().take(40).collect();
            let again = if error.contains(&shown) {
                error
            } else {
                format!("`{shown}`: {error}")
            };
            let again = self.reading.vars.discreet(written, again);
            self.reading.wrong(said.line, format!("{}: {again}", self.what(key)));
        });
        read.ok()
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<String> {
        self.said(key).map(|said| said.text)
    }

    /// A text that is shown: as it is written where it holds a secret.
    pub fn shown(&self, key: &str) -> Option<String> {
        let written = self.get(key)?.node.written();
        let text = self.text(key)?;
        Some(match self.reading.vars.is_secret(written) {
            true => written.to_string(),
            false => text,
        })
    }

    /// true or false.
    pub fn switch(&self, key: &str) -> Option<bool> {
        self.read(key, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("true or false".into()),
        })
    }

    /// One value or a list of them.
    pub fn several(&self, key: &str) -> Vec<&'a Node> {
        match self.get(key).map(|entry| &entry.node) {
            None => Vec::new(),
            Some(Node {
                value: Value::List(items),
                ..
            }) => items.iter().collect(),
            Some(one) => vec![one],
        }
    }

    /// One text or several.
    pub fn texts(&self, key: &str) -> Vec<Said> {
        let what = self.what(key);
        let several = self.several(key);
        several
            .iter()
            .filter_map(|node| self.reading.scalar(&what, node))
            .collect()
    }

    /// Notes all but the first of several keys that exclude each other.
    pub fn only_one(&self, keys: &[&str]) {
        let there: Vec<&str> = keys.iter().copied().filter(|key| self.get(key).is_some()).collect();
        for other in there.iter().skip(1) {
            self.wrong(other, &format!("and {}: give one of them", there[0]));
        }
    }

    /// The table of a key, checked.
    pub fn table(&self, key: &str, keys: &'static Keys) -> Option<Section<'a>> {
        Section::open(self.reading, keys, &self.get(key)?.node)
    }
}
