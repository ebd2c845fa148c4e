//! `[vars]`: names that stand for values known before the run, overridden by `--set NAME=VALUE`. Pure but for
//! `@FILE` and `env:NAME`, which are read as everywhere.

use super::expression::{Part, parts};
use super::nearest::nearest;
use super::tree::{Entry, Value};
use crate::secret::{self, Beside, HIDDEN};
use std::path::Path;
use swarm_agent::wire::flow::Expression;

/// Names that mean something by themselves.
pub const BUILT_IN: [&str; 12] = [
    "conn", "conns", "host", "hosts", "source", "time", "elapsed", "random", "round", "run", "backend", "stamp",
];

/// A secret shorter than this is in too many words to be searched for in a message.
const SHORTEST: usize = 4;

/// Values of `[vars]` within each other.
const DEEPEST: usize = 8;

/// A value that is known beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant {
    /// As text.
    pub text: String,
    /// In a place of its own in JSON.
    pub json: String,
    /// It came from `@FILE` or `env:NAME` and is never shown.
    pub hidden: bool,
    /// Where the file has its name.
    pub line: usize,
}

impl Constant {
    fn text(text: String) -> Self {
        let json = serde_json::Value::from(text.as_str()).to_string();
        Self {
            text,
            json,
            hidden: false,
            line: 0,
        }
    }

    fn bare(text: String) -> Self {
        Self {
            json: text.clone(),
            text,
            hidden: false,
            line: 0,
        }
    }

    /// As an operand: a whole number is one.
    pub fn expression(&self) -> Expression {
        match self.json.parse() {
            Ok(number) => Expression::Number(number),
            Err(_) => Expression::Text(self.text.clone()),
        }
    }
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vars {
    named: Vec<(String, Constant)>,
}

impl Vars {
    /// From the entries of `[vars]` and `--set`. `beside` is where the file's secrets are read; a typed `@FILE` is in the
    /// working folder. What is wrong goes to `wrong` by line; line 0 is the command line.
    pub fn new(entries: &[Entry], sets: &[String], beside: Beside<'_>, wrong: &mut dyn FnMut(usize, String)) -> Self {
        let mut vars = Self::default();
        let mut unused: Vec<(&str, &str)> = Vec::new();
        for typed in sets {
            match typed.split_once('=') {
                Some((name, value)) => unused.push((name.trim(), value)),
                None => wrong(0, format!("--set {}: NAME=VALUE", secret::redact_pair(typed))),
            }
        }
        for entry in entries {
            let name = entry.key.as_str();
            if let Err(error) = is_name(name) {
                wrong(entry.line, format!("[vars] {name}: {error}"));
                continue;
            }
            // the last one counts, as with every flag
            let set = unused.iter().rfind(|(set, _)| *set == name).map(|(_, value)| *value);
            unused.retain(|(set, _)| *set != name);
            match constant(&entry.node.value, set, beside) {
                Ok(constant) => {
                    let line = entry.line;
                    vars.named.push((entry.key.clone(), Constant { line, ..constant }));
                }
                Err(error) if set.is_some() => wrong(0, format!("--set {name}: {error}")),
                Err(error) => wrong(entry.line, format!("[vars] {name}: {error}")),
            }
        }
        for (name, _) in unused {
            let names = entries.iter().map(|entry| entry.key.as_str());
            wrong(0, format!("--set {name}: {}", missing(name, names, "[vars]")));
        }
        vars
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Constant> {
        self.named
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// The text of a name that has braces in it itself, and so is read where it is used. `depth`: how deep that is already.
    pub fn nested(&self, inside: &str, depth: usize) -> Result<Option<&str>, String> {
        let name = inside.trim();
        match self.get(name).filter(|constant| constant.text.contains("{{")) {
            Some(_) if depth >= DEEPEST => Err(format!("[vars] {name}: its value comes back to itself")),
            found => Ok(found.map(|constant| constant.text.as_str())),
        }
    }

    /// Whether a text holds a secret: its braces name one, or a value that holds one.
    pub fn is_secret(&self, text: &str) -> bool {
        self.holds_secret(text, &mut Vec::new())
    }

    /// `seen`: names that were looked at already, as values may come back to themselves.
    fn holds_secret<'a>(&'a self, text: &'a str, seen: &mut Vec<&'a str>) -> bool {
        for word in words_in_braces(text) {
            if let Some(constant) = self.get(word)
                && !seen.contains(&word)
            {
                seen.push(word);
                if constant.hidden || self.holds_secret(&constant.text, seen) {
                    return true;
                }
            }
        }
        false
    }

    /// What is wrong with a text, which is named as it is written where it holds a secret.
    pub fn discreet(&self, written: &str, error: String) -> String {
        match self.is_secret(written) {
            true => {
                let written: String = written.chars().take(40).collect();
                format!("`{written}` does not fit here; what it stands for is a secret and not shown")
            }
            false => error,
        }
    }

    /// A message without secrets: the last net, as a message may hold a value however it came there.
    pub fn hide(&self, message: &str) -> String {
        let secrets = self.named.iter().filter(|(_, constant)| constant.hidden);
        let mut secrets: Vec<&str> = secrets.map(|(_, constant)| constant.text.trim()).collect();
        secrets.retain(|text| text.len() >= SHORTEST);
        secrets.sort_by_key(|text| std::cmp::Reverse(text.len()));
        secrets
            .into_iter()
            .fold(message.to_string(), |message, secret| message.replace(secret, HIDDEN))
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|(name, _)| name.as_str())
    }

    /// All names and values, as they were written.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Constant)> {
        self.named.iter().map(|(name, value)| (name.as_str(), value))
    }
}

/// The words of a text that stand in braces, names among them.
pub fn words_in_braces(text: &str) -> impl Iterator<Item = &str> {
    let braces = parts(text).unwrap_or_default().into_iter();
    braces
        .filter_map(|part| match part {
            Part::Braces(inside) => Some(inside),
            Part::Plain(_) => None,
        })
        .flat_map(|inside| inside.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
}

/// The text for a name that is not there.
pub fn missing<'a>(wrong: &str, names: impl Iterator<Item = &'a str>, place: &str) -> String {
    let names: Vec<&str> = names.collect();
    match nearest(wrong, names.iter().copied()) {
        Some(near) => format!("there is no `{wrong}` in {place}; did you mean `{near}`?"),
        None if names.is_empty() => format!("there is no `{wrong}`: {place} is empty"),
        None => format!("there is no `{wrong}` in {place}: there are {}", names.join(", ")),
    }
}

/// Whether texts can use it as a name.
pub fn is_name(name: &str) -> Result<(), String> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    match (plain, BUILT_IN.contains(&name)) {
        (false, _) => Err("a name has letters, digits and _ (a - would be a minus)".into()),
        (_, true) => Err("this name has a meaning of its own; take another".into()),
        _ => Ok(()),
    }
}

/// The value in the file, or what was set, which must be of the same kind.
fn constant(default: &Value, set: Option<&str>, beside: Beside<'_>) -> Result<Constant, String> {
    match (default, set) {
        (Value::Text(text), set) => {
            let folder = set.map_or(beside.folder, |_| Path::new(""));
            let typed = set.unwrap_or(text);
            let value = Beside { folder, ..beside }.value(typed)?;
            Ok(Constant {
                hidden: secret::is_pointer(typed),
                ..Constant::text(value)
            })
        }
        (Value::Integer(number), None) => Ok(Constant::bare(number.to_string())),
        (Value::Integer(_), Some(set)) => match set.trim().parse::<i64>() {
            Ok(number) => Ok(Constant::bare(number.to_string())),
            Err(_) => Err("must be a whole number, as in the playbook".into()),
        },
        (Value::Decimal(number), None) if number.is_finite() => Ok(Constant::bare(number.to_string())),
        (Value::Decimal(_), Some(set)) => match set.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Constant::bare(number.to_string())),
            _ => Err("must be a number, as in the playbook".into()),
        },
        (Value::Switch(on), None) => Ok(Constant::bare(on.to_string())),
        (Value::Switch(_), Some(set @ ("true" | "false"))) => Ok(Constant::bare(set.to_string())),
        (Value::Switch(_), Some(_)) => Err("true or false".into()),
        _ => Err("must be a text, a number, true or false".into()),
    }
}
