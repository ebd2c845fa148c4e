//! Flows and their steps: which act a step is, what it is called, what a failure of it means. Pure. What single acts say
//! is in the files beside.

use super::keys::{self, ABOUT_A_STEP};
use super::origins::Origins;
use super::reading::{Reading, Section};
use super::text::Scope;
use super::tree::{Entry, Node, Value};
use super::{acts, emits, messages, requests, times};
use crate::cli::attack::Kind;
use crate::cli::units;
use crate::secret::Beside;
use std::collections::BTreeSet;
use swarm_agent::wire::flow::{Act, Every, Flow, OnFailure, Repeat, Step};

/// The longest noun in a label, in characters.
const NOUN: usize = 40;

/// What the flows of a file are compiled with.
pub struct Workshop<'a> {
    /// The file.
    pub reading: &'a Reading,
    /// The engine of their sockets.
    pub kind: Kind,
    /// Columns of the CSV file.
    pub columns: &'a [String],
    /// Names of what flows and the script remember.
    pub slots: &'a [String],
    /// Those of the script.
    pub remembered: &'a [String],
    /// The file names a script.
    pub scripted: bool,
    /// Where the secrets are that it names.
    pub secrets: Beside<'a>,
    /// Servers that steps name.
    pub origins: &'a mut Origins,
}

/// What is known while the steps of one flow are read.
struct Line<'a> {
    scope: Scope<'a>,
    labels: BTreeSet<String>,
    connected: bool,
}

impl Workshop<'_> {
    /// All flows.
    pub fn flows(&mut self, nodes: &[&Node]) -> Vec<Flow> {
        let mut flows: Vec<Flow> = Vec::new();
        for (place, node) in nodes.iter().enumerate() {
            let Some(section) = Section::open(self.reading, &keys::FLOW, node) else {
                continue;
            };
            let name = match section.shown("name") {
                Some(name) if !name.trim().is_empty() => name,
                _ if nodes.len() == 1 => "flow".to_string(),
                _ => format!("flow {}", place + 1),
            };
            if flows.iter().any(|flow| flow.name == name) {
                section.wrong("name", &format!("there is a flow `{name}` already"));
            }
            let weight = section.read("weight", units::count).unwrap_or(1);
            flows.push(Flow {
                name,
                weight: u32::try_from(weight).unwrap_or(u32::MAX),
                steps: self.steps_of(node, &section),
            });
        }
        flows
    }

    fn steps_of(&mut self, node: &Node, section: &Section<'_>) -> Vec<Step> {
        section.only_one(&["steps", "step"]);
        let key = if section.get("step").is_some() { "step" } else { "steps" };
        let nodes = section.several(key);
        if nodes.is_empty() {
            self.reading.wrong(section.line, "[[flow]]: it has no steps");
        }
        let mut own: Vec<String> = self.remembered.to_vec();
        gather(node, &mut |entry| own.push(entry.key.clone()));
        let mut line = Line {
            scope: Scope {
                reading: self.reading,
                columns: self.columns,
                slots: self.slots,
                own,
                repeated: false,
                secrets: self.secrets,
                stamped: self.reading.broadcasts,
            },
            labels: BTreeSet::new(),
            connected: false,
        };
        line.scope.refuse_doubled();
        self.steps(&mut line, &nodes, "")
    }

    fn steps(&mut self, line: &mut Line<'_>, nodes: &[&Node], before: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        for (place, node) in nodes.iter().enumerate() {
            let number = format!("{before}{}", place + 1);
            steps.extend(self.step(line, node, &number).unwrap_or_default());
        }
        steps
    }

    /// One step of the file; `set` with several names becomes several.
    fn step(&mut self, line: &mut Line<'_>, node: &Node, number: &str) -> Option<Vec<Step>> {
        let section = Section::open(self.reading, &keys::STEP, node)?;
        let known = |entry: &&Entry| keys::STEP.find(&entry.key).is_some();
        let acts: Vec<&Entry> = section
            .entries()
            .iter()
            .filter(known)
            .filter(|entry| !ABOUT_A_STEP.contains(&entry.key.as_str()))
            .collect();
        let entry = match acts.as_slice() {
            [one] => *one,
            [] => {
                let acts = keys::STEP.keys.iter().map(|key| key.name);
                let acts: Vec<&str> = acts.filter(|name| !ABOUT_A_STEP.contains(name)).collect();
                let text = format!("a step does one of {}", acts.join(", "));
                self.reading.wrong(section.line, text);
                return None;
            }
            [first, second, ..] => {
                let text = format!(
                    "a step does one thing, not {} and {}: make two of it",
                    first.key, second.key
                );
                self.reading.wrong(second.line, text);
                return None;
            }
        };
        self.fits(line, entry);
        let label = self.label(line, &section, number, entry);
        if entry.key == "set" {
            return self.set(line, entry, &label);
        }
        let act = self.act(line, entry, number)?;
        let on_failure = section.read("on-failure", |text| match text {
            "continue" => Ok(OnFailure::Continue),
            "end" => Ok(OnFailure::End),
            _ => Err("continue or end".into()),
        });
        Some(vec![Step {
            on_failure: on_failure.unwrap_or_else(|| usual(&act)),
            label,
            act,
        }])
    }

    /// Whether the engine knows this act, and the client is connected when it comes to it.
    fn fits(&self, line: &mut Line<'_>, entry: &Entry) {
        let engines: &[Kind] = match entry.key.as_str() {
            "emit" | "join" => &[Kind::Socketio],
            "send" => &[Kind::Websocket, Kind::Engineio],
            "connect" | "expect" | "disconnect" | "reconnect" | "script" => {
                &[Kind::Socketio, Kind::Websocket, Kind::Engineio]
            }
            _ => return,
        };
        let act = &entry.key;
        if !engines.contains(&self.kind) {
            let words: Vec<String> = engines
                .iter()
                .map(|kind| format!("engine = \"{}\"", kind.word()))
                .collect();
            let text = format!("{act}: engine {} has none; {}", self.kind.word(), words.join(" or "));
            self.reading.wrong(entry.line, text);
        } else if act == "connect" {
            line.connected = true;
        } else if !line.connected {
            self.reading.wrong(
                entry.line,
                format!("{act}: no step before it connects: add {{ connect = true }}"),
            );
        }
        if act == "script" && !self.scripted {
            self.reading.wrong(
                entry.line,
                "script: the playbook names none: script = \"file.js\" at its top",
            );
        }
    }

    fn label(&self, line: &mut Line<'_>, section: &Section<'_>, number: &str, entry: &Entry) -> String {
        let label = match section.shown("name") {
            Some(name) if !name.trim().is_empty() => name.trim().chars().take(2 * NOUN).collect(),
            _ => match noun(entry) {
                noun if noun.is_empty() => format!("{number} {}", entry.key),
                noun => format!("{number} {} {noun}", entry.key),
            },
        };
        if !line.labels.insert(label.clone()) {
            section.wrong("name", &format!("there is a step `{label}` in this flow already"));
        }
        label
    }

    fn act(&mut self, line: &mut Line<'_>, entry: &Entry, number: &str) -> Option<Act> {
        let (reading, node) = (self.reading, &entry.node);
        let act = match entry.key.as_str() {
            "connect" => Act::Connect(acts::connect(&line.scope, node, self.kind, self.origins)?),
            "join" => Act::Join(acts::join(&line.scope, node)?),
            "emit" => Act::Emit(emits::emit(&line.scope, node)?),
            "send" => Act::Send(messages::send(&line.scope, node)?),
            "expect" => Act::Expect(messages::expect(&line.scope, node, self.kind)?),
            "http" => Act::Http(requests::http(&line.scope, node, self.origins)?),
            "wait" => Act::Wait(times::wait(reading, node)?),
            "think" => Act::Wait(swarm_agent::wire::flow::Wait::For(times::spread(
                reading, "think", node,
            )?)),
            "script" => Act::Script(acts::script(&line.scope, node)?),
            "disconnect" => acts::on(reading, "disconnect", node).map(|()| Act::Disconnect)?,
            "reconnect" => Act::Reconnect(acts::reconnect(reading, node)?),
            "every" => {
                let section = Section::open(reading, &keys::EVERY, node)?;
                if section.get("period").is_none() {
                    section.wrong("period", "is missing: period = '5s'");
                }
                let steps = self.inner(line, &section, number);
                Act::Every(Every {
                    period: section.read("period", units::duration_above_zero)?,
                    rounds: times::rounds(&section)?,
                    steps,
                })
            }
            _ => {
                let section = Section::open(reading, &keys::REPEAT, node)?;
                let steps = self.inner(line, &section, number);
                Act::Repeat(Repeat {
                    rounds: times::rounds(&section)?,
                    steps,
                })
            }
        };
        Some(act)
    }

    fn inner(&mut self, line: &mut Line<'_>, section: &Section<'_>, number: &str) -> Vec<Step> {
        let nodes = section.several("steps");
        if nodes.is_empty() {
            section.wrong("steps", "there are none to repeat");
        }
        let outside = std::mem::replace(&mut line.scope.repeated, true);
        let steps = self.steps(line, &nodes, &format!("{number}."));
        line.scope.repeated = outside;
        steps
    }

    fn set(&self, line: &mut Line<'_>, entry: &Entry, label: &str) -> Option<Vec<Step>> {
        let Value::Table(entries) = &entry.node.value else {
            self.reading.wrong(
                entry.line,
                "set: a table of names and values: { room = 'room-{{conn % 200}}' }",
            );
            return None;
        };
        let several = entries.len() > 1;
        entries
            .iter()
            .map(|entry| {
                let value = line.scope.scalar("set", &entry.node)?;
                let label = if several {
                    format!("{label} {}", entry.key)
                } else {
                    label.to_string()
                };
                Some(Step {
                    label,
                    act: Act::Set {
                        slot: line.scope.slot(&entry.key)?,
                        value,
                    },
                    on_failure: OnFailure::Continue,
                })
            })
            .collect()
    }
}

/// A client whose later steps can mean nothing is done: without its socket, its log-in or what it was to remember.
fn usual(act: &Act) -> OnFailure {
    let captures = match act {
        Act::Connect(_) | Act::Join(_) | Act::Http(_) | Act::Reconnect(_) => return OnFailure::End,
        Act::Emit(emit) => answers(&emit.answer),
        Act::Send(send) => answers(&send.answer),
        Act::Expect(expect) => !expect.reply.captures.is_empty(),
        _ => false,
    };
    if captures { OnFailure::End } else { OnFailure::Continue }
}

fn answers(answer: &swarm_agent::wire::flow::Answer) -> bool {
    use swarm_agent::wire::flow::Answer;
    match answer {
        Answer::Written => false,
        Answer::Ack(reply) | Answer::Event { reply, .. } => !reply.captures.is_empty(),
    }
}

/// What an act names, as it is written: an event, a path, a namespace. Queries and payloads are never in it.
fn noun(entry: &Entry) -> String {
    let named = |node: &Node, keys: &[&str]| {
        let mut found = keys.iter().filter_map(|key| node.get(key));
        found.next().map(|entry| entry.node.clone())
    };
    let node = match (&entry.node.value, entry.key.as_str()) {
        (Value::Table(_), _) => named(&entry.node, &["event", "url", "namespace", "period", "times"]),
        (Value::List(items), "emit") => items.first().cloned(),
        (_, "send") => None,
        _ => Some(entry.node.clone()),
    };
    let text = match node.map(|node| node.value) {
        Some(Value::Text(text)) => text,
        Some(Value::Integer(number)) => number.to_string(),
        _ => String::new(),
    };
    let plain = text.split(['?', '#']).next().unwrap_or_default();
    plain.chars().filter(|c| !c.is_control()).take(NOUN).collect()
}

/// The names that steps below this node set or capture.
pub fn gather(node: &Node, found: &mut dyn FnMut(&Entry)) {
    match &node.value {
        Value::Table(entries) => {
            for entry in entries {
                let names = matches!(entry.key.as_str(), "set" | "capture");
                if names && let Value::Table(inner) = &entry.node.value {
                    inner.iter().for_each(&mut *found);
                } else {
                    gather(&entry.node, found);
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| gather(item, found)),
        _ => {}
    }
}
