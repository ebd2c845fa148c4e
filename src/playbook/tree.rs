//! A playbook's TOML as a tree of nodes that know their line. The only place that knows the TOML parser. Pure.

use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// From 1.
    pub line: usize,
    /// Bytes of the text that it was written in.
    pub span: Range<usize>,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a point.
    Decimal(f64),
    /// true or false.
    Switch(bool),
    /// Values one after the other.
    List(Vec<Node>),
    /// Named values in the order in which they were written.
    Table(Vec<Entry>),
    /// A date or time.
    Date(String),
    /// JSON's null, which TOML cannot say; only of JSON written as text.
    Null,
}

/// A named value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// Line of the name, from 1.
    pub line: usize,
    /// The value.
    pub node: Node,
}

impl Node {
    /// The word for its type in messages.
    pub fn word(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a text",
            Value::Integer(_) => "a number",
            Value::Decimal(_) => "a decimal number",
            Value::Switch(_) => "true or false",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Date(_) => "a date",
            Value::Null => "null",
        }
    }

    /// A value of JSON that was written as text, at the place of that text.
    pub fn of_json(value: serde_json::Value, at: &Self) -> Self {
        let value = match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(on) => Value::Switch(on),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(number) => Value::Integer(number),
                None => Value::Decimal(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Value::Text(text),
            serde_json::Value::Array(items) => {
                Value::List(items.into_iter().map(|item| Self::of_json(item, at)).collect())
            }
            serde_json::Value::Object(map) => Value::Table(
                map.into_iter()
                    .map(|(key, value)| Entry {
                        key,
                        line: at.line,
                        node: Self::of_json(value, at),
                    })
                    .collect(),
            ),
        };
        Self {
            line: at.line,
            span: at.span.clone(),
            value,
        }
    }

    /// Every node of a text in it, itself among them.
    pub fn texts<'a>(&'a self, found: &mut dyn FnMut(&'a Self)) {
        match &self.value {
            Value::Text(_) => found(self),
            Value::List(items) => items.iter().for_each(|item| item.texts(found)),
            Value::Table(entries) => entries.iter().for_each(|entry| entry.node.texts(found)),
            _ => {}
        }
    }

    /// What is written there, if it is a text.
    pub fn written(&self) -> &str {
        match &self.value {
            Value::Text(text) => text,
            _ => "",
        }
    }

    /// The entries of a table; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The entry of a table with this name.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }
}

/// Reads a whole text; what is no TOML comes back as `(line, what is wrong)`.
pub fn read(text: &str) -> Result<Node, Vec<(usize, String)>> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors
            .iter()
            .map(|error| {
                let at = error.span().map_or(0, |span| span.start);
                (
                    lines.at(at),
                    format!("no TOML: {}", error.message().replace('\n', ", ")),
                )
            })
            .collect());
    }
    let span = table.span();
    let mut wrong = Vec::new();
    let value = entries(table.get_ref(), &lines, &mut wrong);
    if wrong.is_empty() {
        Ok(Node { line: 1, span, value })
    } else {
        Err(wrong)
    }
}

fn node(spanned: &Spanned<DeValue<'_>>, lines: &Lines, wrong: &mut Vec<(usize, String)>) -> Node {
    let span = spanned.span();
    let line = lines.at(span.start);
    let value = match spanned.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(digits) => {
            let plain = digits.as_str().replace('_', "");
            Value::Integer(i64::from_str_radix(&plain, digits.radix()).unwrap_or_else(|_| {
                wrong.push((line, format!("{plain} does not fit into 64 bits")));
                0
            }))
        }
        DeValue::Float(digits) => Value::Decimal(digits.as_str().replace('_', "").parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(on) => Value::Switch(*on),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(item, lines, wrong)).collect()),
        DeValue::Table(table) => entries(table, lines, wrong),
    };
    Node { line, span, value }
}

fn entries(table: &DeTable<'_>, lines: &Lines, wrong: &mut Vec<(usize, String)>) -> Value {
    let mut all: Vec<(usize, Entry)> = table
        .iter()
        .map(|(key, value)| {
            let start = key.span().start;
            let entry = Entry {
                key: key.get_ref().to_string(),
                line: lines.at(start),
                node: node(value, lines, wrong),
            };
            (start, entry)
        })
        .collect();
    all.sort_by_key(|(start, _)| *start);
    Value::Table(all.into_iter().map(|(_, entry)| entry).collect())
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(
            std::iter::once(0)
                .chain(text.match_indices('\n').map(|(at, _)| at + 1))
                .collect(),
        )
    }

    fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|begin| *begin <= byte).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_know_their_lines_and_keep_their_order() {
        let tree = read("b = 1\na = 'x'\n[t]\nz = [1,\n  true]\n").unwrap();
        let keys: Vec<(&str, usize)> = tree.entries().iter().map(|e| (e.key.as_str(), e.line)).collect();
        assert_eq!(keys, [("b", 1), ("a", 2), ("t", 3)]);
        let Value::List(items) = &tree.get("t").unwrap().node.get("z").unwrap().node.value else {
            panic!("a list")
        };
        assert_eq!(items[1].line, 5);
        assert_eq!(items[1].value, Value::Switch(true));
    }

    #[test]
    fn what_is_no_toml_is_named_by_line() {
        let wrong = read("a = 1\nb =\n").unwrap_err();
        assert_eq!(wrong[0].0, 2, "{wrong:?}");
        let wrong = read("a = 1\na = 2\n").unwrap_err();
        assert!(wrong[0].0 == 2 && wrong[0].1.contains("duplicate"), "{wrong:?}");
        assert!(read("a = 99999999999999999999\n").is_err());
    }
}
