//! Playbooks: a TOML file to the flags that it stands for and to the program that clients run, or errors that name
//! file, line and the nearest right key. `docs/playbooks.md` has the grammar.
//!
//! Pure but for `place`, which reads files. Never here: hosts, flags' meaning, running.

mod acts;
mod emits;
mod expression;
pub mod fields;
pub mod from_bench;
pub mod keys;
pub mod load;
mod messages;
pub mod nearest;
pub mod origins;
pub mod place;
mod reading;
mod reply;
mod requests;
pub mod resolved;
pub mod rows;
pub mod schema;
pub mod shipped;
mod steps;
mod text;
mod times;
mod tree;
mod vars;

use self::fields::Field;
use self::load::Needs;
use self::origins::Origins;
use self::reading::{Reading, Section};
use self::rows::CsvEnd;
use self::steps::Workshop;
use self::tree::Node;
use crate::cli::attack::Kind;
use crate::secret::{self, Beside};
use std::path::PathBuf;
use swarm_agent::wire::flow::{Program, Script};
use swarm_agent::wire::share::Broadcast;

/// A playbook, read and checked as far as it can be without knowing the run's engine and targets.
#[derive(Debug)]
pub struct Book {
    /// Its name: that of a shipped one, or of the file without its ending.
    pub name: String,
    /// What it finds, in a line.
    pub about: Option<String>,
    /// What flags could say too.
    pub fields: Vec<Field>,
    /// What it needs to mean anything.
    pub needs: Needs,
    /// What is measured of broadcasts; whether it is stamped is known when it is compiled.
    pub broadcast: Option<Broadcast>,
    /// The CSV file, beside the playbook.
    pub csv: Option<PathBuf>,
    /// What becomes of clients without a row.
    pub csv_end: Option<CsvEnd>,
    /// The script, beside the playbook.
    pub script: Option<PathBuf>,
    /// It has flows.
    pub has_flows: bool,
    reading: Reading,
    tree: Node,
    folder: PathBuf,
    remembered: Vec<String>,
}

/// A playbook's text and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name of the playbook.
    pub name: String,
    /// The file as messages name it.
    pub file: String,
    /// Where the files that it names lie; empty: the working folder.
    pub folder: PathBuf,
    /// Its text.
    pub text: String,
}

/// Reads a playbook. `sets` are `NAME=VALUE`; the error has a line for everything that is wrong.
pub fn read(source: &Source, sets: &[String], environment: &secret::Environment) -> Result<Book, String> {
    let mut reading = Reading::new(&source.file);
    let tree = match tree::read(&source.text) {
        Ok(tree) => tree,
        Err(wrong) => {
            wrong.into_iter().for_each(|(line, text)| reading.wrong(line, text));
            return Err(reading.faults());
        }
    };
    let given = tree.get("vars").map_or(&[][..], |entry| entry.node.entries());
    let beside = Beside {
        folder: &source.folder,
        environment,
    };
    let vars = vars::Vars::new(given, sets, beside, &mut |line, text| reading.wrong(line, text));
    reading.vars = vars;
    reading.broadcasts = tree.get("broadcast").is_some();
    let book = parts(source, &reading, &tree, beside);
    match book {
        Some(parts) if reading.is_right() => Ok(parts.whole(source, reading, tree)),
        _ => Err(reading.faults()),
    }
}

/// All of a book but what it was read from.
struct Parts {
    about: Option<String>,
    fields: Vec<Field>,
    needs: Needs,
    broadcast: Option<Broadcast>,
    csv: Option<PathBuf>,
    csv_end: Option<CsvEnd>,
    script: Option<PathBuf>,
    has_flows: bool,
    remembered: Vec<String>,
}

impl Parts {
    fn whole(self, source: &Source, reading: Reading, tree: Node) -> Book {
        Book {
            name: source.name.clone(),
            about: self.about,
            fields: self.fields,
            needs: self.needs,
            broadcast: self.broadcast,
            csv: self.csv,
            csv_end: self.csv_end,
            script: self.script,
            has_flows: self.has_flows,
            reading,
            tree,
            folder: source.folder.clone(),
            remembered: self.remembered,
        }
    }
}

fn parts(source: &Source, reading: &Reading, tree: &Node, secrets: Beside<'_>) -> Option<Parts> {
    let top = Section::open(reading, &keys::TOP, tree)?;
    if let Some(entry) = top.get("vars")
        && !matches!(entry.node.value, tree::Value::Table(_))
    {
        top.wrong("vars", "must be a table of names and values");
    }
    let has_flows = top.get("flow").is_some();
    let beside = |text: String| source.folder.join(text);
    let remembered: Vec<String> = top.texts("remember").into_iter().map(|said| said.text).collect();
    if top.get("remember").is_some() && top.get("script").is_none() {
        top.wrong("remember", "there is no script that sets these names");
    }
    if top.get("script").is_some() && !has_flows {
        top.wrong("script", "hooks are called in flows: add a [[flow]]");
    }
    if top.get("csv").is_some() && !has_flows {
        top.wrong("csv", "only the texts of flows can use its columns: add a [[flow]]");
    }
    if top.get("csv-end").is_some() && !has_flows {
        top.wrong("csv-end", "only flows have rows: add a [[flow]]");
    }
    if let Some(load) = top.table("load", &keys::LOAD) {
        load::refuse_storms_without_return(&load);
    }
    let broadcast = top
        .table("broadcast", &keys::BROADCAST)
        .and_then(|section| load::broadcast(&section, has_flows));
    let mut fields = fields::fields(reading, &top, secrets);
    if let (false, Some(broadcast), Some(entry)) = (has_flows, &broadcast, top.get("broadcast")) {
        fields.extend(fields::of_broadcast(broadcast, entry));
    }
    Some(Parts {
        about: top.shown("about"),
        fields,
        needs: load::needs(&top),
        broadcast,
        csv: top.text("csv").map(beside),
        csv_end: top.read("csv-end", rows::csv_end),
        script: top.text("script").map(beside),
        has_flows,
        remembered,
    })
}

impl Book {
    /// The program of its flows, without rows. `columns`: of the CSV file; `environment`: for `env:NAME`; servers that steps name are added to `origins`.
    pub fn program(
        &self,
        kind: Kind,
        columns: &[String],
        script: Option<Script>,
        environment: &secret::Environment,
        origins: &mut Origins,
    ) -> Result<Program, String> {
        let entry = self.tree.get("flow");
        let nodes: Vec<&Node> = match entry.map(|entry| &entry.node) {
            Some(Node {
                value: tree::Value::List(items),
                ..
            }) => items.iter().collect(),
            Some(one) => vec![one],
            None => Vec::new(),
        };
        let slots = self.slots(&nodes, columns);
        let mut workshop = Workshop {
            reading: &self.reading,
            kind,
            columns,
            slots: &slots,
            remembered: &self.remembered,
            scripted: script.is_some(),
            secrets: Beside {
                folder: &self.folder,
                environment,
            },
            origins,
        };
        let flows = workshop.flows(&nodes);
        if !self.reading.is_right() {
            return Err(self.reading.faults());
        }
        Ok(Program {
            flows,
            slots,
            columns: columns.to_vec(),
            rows: Vec::new(),
            script,
            sent_unix_ms: 0,
        })
    }

    /// Names that steps and the script remember, each once.
    fn slots(&self, nodes: &[&Node], columns: &[String]) -> Vec<String> {
        let mut slots: Vec<String> = Vec::new();
        let mut add = |name: &str, line: usize| {
            let taken = vars::is_name(name).err().or_else(|| {
                let there = self.reading.vars.get(name).map(|_| "[vars]");
                let there = there.or_else(|| columns.iter().any(|column| column == name).then_some("the CSV file"));
                there.map(|place| format!("this name is in {place} already; take another"))
            });
            if let Some(error) = taken {
                self.reading.wrong(line, format!("{name}: {error}"));
            } else if !slots.iter().any(|known| known == name) {
                slots.push(name.to_string());
            }
        };
        let line = self.tree.get("remember").map_or(1, |entry| entry.line);
        self.remembered.iter().for_each(|name| add(name, line));
        for node in nodes {
            steps::gather(node, &mut |entry| add(&entry.key, entry.line));
        }
        slots
    }

    /// A message without the secrets of `[vars]`.
    pub fn hide(&self, message: &str) -> String {
        self.reading.vars.hide(message)
    }

    /// The file as messages begin with it.
    pub fn file(&self) -> String {
        format!("{}:", self.reading.file)
    }

    /// The file and line of a key of a flag, as messages name them.
    pub fn place_of(&self, field: &Field) -> String {
        format!("{}:{}", self.reading.file, field.line)
    }

    /// Something wrong about a key of the file's top or of one of its tables.
    pub fn wrong(&self, table: Option<&str>, key: &str, text: &str) -> String {
        let inside = table.map_or(Some(&self.tree), |name| self.tree.get(name).map(|entry| &entry.node));
        let line = inside.and_then(|node| node.get(key)).map_or(1, |entry| entry.line);
        format!("{}:{line}: {text}", self.reading.file)
    }
}

#[cfg(test)]
mod tests;
