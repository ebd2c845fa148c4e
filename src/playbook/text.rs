//! Texts of steps, with values in them: cut into pieces, names resolved; and JSON made of TOML. Pure.

use super::expression::{self, Part, parts};
use super::reading::Reading;
use super::tree::{Node, Value};
use super::vars::{BUILT_IN, missing};
use swarm_agent::wire::flow::{Expression, Piece, Text, Variable};

/// What names mean in the texts of one flow.
#[derive(Debug)]
pub struct Scope<'a> {
    /// The file.
    pub reading: &'a Reading,
    /// Columns of the CSV file.
    pub columns: &'a [String],
    /// Names of what all flows and the script remember; the place is the number.
    pub slots: &'a [String],
    /// Those of them that this flow, or the script, sets.
    pub own: Vec<String>,
    /// Whether steps stand within a repetition.
    pub repeated: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Plain,
    InString,
}

impl Scope<'_> {
    /// The number of a remembered name.
    pub fn slot(&self, name: &str) -> Option<u16> {
        let place = self.slots.iter().position(|known| known == name)?;
        u16::try_from(place).ok()
    }

    /// What a name stands for.
    fn name(&self, name: &str) -> Result<Expression, String> {
        if let Some(constant) = self.reading.vars.get(name) {
            return Ok(constant.expression());
        }
        let variable = match name {
            "conn" => Variable::Conn,
            "conns" => Variable::Conns,
            "host" => Variable::Host,
            "hosts" => Variable::Hosts,
            "source" => Variable::Source,
            "time" => Variable::Time,
            "elapsed" => Variable::Elapsed,
            "round" if self.repeated => Variable::Round,
            "round" => return Err("round counts the rounds of every and repeat: it is not in one".into()),
            "run" => Variable::Run,
            "backend" => Variable::Backend,
            "stamp" => Variable::Stamp,
            "random" => return Err("random(FROM, TO)".into()),
            _ => return self.given(name).map(Expression::Variable),
        };
        Ok(Expression::Variable(variable))
    }

    /// A column, or something remembered.
    fn given(&self, name: &str) -> Result<Variable, String> {
        if let Some(place) = self.columns.iter().position(|column| column == name) {
            return Ok(Variable::Column(u16::try_from(place).unwrap_or(u16::MAX)));
        }
        if self.own.iter().any(|known| known == name)
            && let Some(slot) = self.slot(name)
        {
            return Ok(Variable::Slot(slot));
        }
        if self.slots.iter().any(|known| known == name) {
            return Err(format!("`{name}` is set in another flow: a client runs one flow only"));
        }
        let known = BUILT_IN
            .into_iter()
            .chain(self.reading.vars.names())
            .chain(self.columns.iter().map(String::as_str))
            .chain(self.own.iter().map(String::as_str));
        Err(missing(name, known, "what is known here"))
    }

    fn parse(&self, inside: &str) -> Result<Expression, String> {
        expression::parse(inside, &|name| self.name(name))
    }

    fn pieces(&self, text: &str, place: Place) -> Result<Vec<Piece>, String> {
        self.nested_pieces(text, place, 0)
    }

    fn nested_pieces(&self, text: &str, place: Place, depth: usize) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        for part in parts(text)? {
            let plain = |text: &str| match place {
                Place::Plain => text.to_string(),
                Place::InString => escaped(text),
            };
            match part {
                Part::Plain(text) => push(&mut pieces, &plain(text)),
                Part::Braces(inside) if self.reading.vars.nested(inside, depth)?.is_some() => {
                    let text = self.reading.vars.nested(inside, depth)?.unwrap_or_default();
                    for piece in self.nested_pieces(text, place, depth + 1)? {
                        join(&mut pieces, piece);
                    }
                }
                Part::Braces(inside) => match self.parse(inside)? {
                    Expression::Number(number) => push(&mut pieces, &number.to_string()),
                    Expression::Text(text) => push(&mut pieces, &plain(&text)),
                    other if place == Place::InString => pieces.push(Piece::InString(other)),
                    other => pieces.push(Piece::Value(other)),
                },
            }
        }
        Ok(pieces)
    }

    /// A plain text with values in it. An error is noted at the line.
    pub fn text(&self, text: &str, line: usize) -> Option<Text> {
        match self.pieces(text, Place::Plain) {
            Ok(pieces) => Some(Text(pieces)),
            Err(error) => {
                self.reading.wrong(line, error);
                None
            }
        }
    }

    /// A scalar of the file as text with values in it.
    pub fn scalar(&self, what: &str, node: &Node) -> Option<Text> {
        match &node.value {
            Value::Text(text) => self.text(text, node.line),
            _ => self.reading.scalar(what, node).map(|said| Text::plain(said.text)),
        }
    }

    /// JSON of a value of the file: numbers stay numbers, and `"{{x}}"` alone in its place becomes what x is.
    pub fn json(&self, node: &Node) -> Option<Text> {
        let mut pieces = Vec::new();
        match self.write(node, &mut pieces) {
            Ok(()) => Some(Text(pieces)),
            Err((line, error)) => {
                self.reading.wrong(line, error);
                None
            }
        }
    }

    /// The array of an emit: the event's name, then its arguments.
    pub fn array(&self, event: &str, line: usize, args: &[Node]) -> Option<Text> {
        let mut pieces = Vec::new();
        push(&mut pieces, "[");
        let named = self.string(event, &mut pieces).map_err(|error| (line, error));
        let written = named.and_then(|()| {
            args.iter().try_for_each(|arg| {
                push(&mut pieces, ",");
                self.write(arg, &mut pieces)
            })
        });
        push(&mut pieces, "]");
        match written {
            Ok(()) => Some(Text(pieces)),
            Err((line, error)) => {
                self.reading.wrong(line, error);
                None
            }
        }
    }

    fn write(&self, node: &Node, out: &mut Vec<Piece>) -> Result<(), (usize, String)> {
        let at = |error: String| (node.line, error);
        match &node.value {
            Value::Text(text) => self.string(text, out).map_err(at)?,
            Value::Integer(number) => push(out, &number.to_string()),
            Value::Decimal(number) => match serde_json::Number::from_f64(*number) {
                Some(number) => push(out, &number.to_string()),
                None => return Err(at("JSON knows no such number".into())),
            },
            Value::Switch(on) => push(out, &on.to_string()),
            Value::Date(date) => push(out, &format!("\"{date}\"")),
            Value::Null => push(out, "null"),
            Value::List(items) => {
                push(out, "[");
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        push(out, ",");
                    }
                    self.write(item, out)?;
                }
                push(out, "]");
            }
            Value::Table(entries) => {
                push(out, "{");
                for (place, entry) in entries.iter().enumerate() {
                    push(out, if place > 0 { ",\"" } else { "\"" });
                    for piece in self.pieces(&entry.key, Place::InString).map_err(|e| (entry.line, e))? {
                        join(out, piece);
                    }
                    push(out, "\":");
                    self.write(&entry.node, out)?;
                }
                push(out, "}");
            }
        }
        Ok(())
    }

    /// A JSON string, or what stands alone in its braces.
    fn string(&self, text: &str, out: &mut Vec<Piece>) -> Result<(), String> {
        self.nested_string(text, out, 0)
    }

    fn nested_string(&self, text: &str, out: &mut Vec<Piece>, depth: usize) -> Result<(), String> {
        if let [Part::Braces(inside)] = parts(text)?.as_slice() {
            if let Some(nested) = self.reading.vars.nested(inside, depth)? {
                return self.nested_string(nested, out, depth + 1);
            }
            let alone = self.reading.vars.get(inside.trim());
            match (alone, self.parse(inside)?) {
                (Some(constant), _) => push(out, &constant.json),
                (None, Expression::Number(number)) => push(out, &number.to_string()),
                (None, Expression::Text(text)) => push(out, &quoted(&text)),
                (None, other) => out.push(Piece::Json(other)),
            }
            return Ok(());
        }
        push(out, "\"");
        for piece in self.pieces(text, Place::InString)? {
            join(out, piece);
        }
        push(out, "\"");
        Ok(())
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn escaped(text: &str) -> String {
    let quoted = quoted(text);
    quoted[1..quoted.len() - 1].to_string()
}

fn join(out: &mut Vec<Piece>, piece: Piece) {
    match piece {
        Piece::Plain(text) => push(out, &text),
        other => out.push(other),
    }
}

/// Neighbouring plain pieces become one.
fn push(out: &mut Vec<Piece>, text: &str) {
    match out.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Plain(last)) => last.push_str(text),
        _ => out.push(Piece::Plain(text.to_string())),
    }
}
