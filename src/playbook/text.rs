//! Texts of steps, with values in them: cut into pieces, names resolved; and JSON made of TOML. Pure.

use super::expression::{self, Part, parts};
use super::reading::Reading;
use super::tree::{Node, Value};
use super::vars::{BUILT_IN, Constant, missing, words_in_braces};
use crate::secret::{Beside, is_pointer};
use swarm_agent::wire::flow::{Expression, Piece, Text, Variable};

/// What names mean in the texts of one flow.
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
    /// Where secrets are read.
    pub secrets: Beside<'a>,
    /// Whether there is a broadcast whose stamp can be filled in.
    pub stamped: bool,
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

    /// What a name stands for. `within`: the name of `[vars]` whose value it stands in.
    fn name(&self, name: &str, within: Option<&str>) -> Result<Expression, String> {
        if let Some(constant) = self.constant(name, within) {
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
            "stamp" if self.stamped => Variable::Stamp,
            "stamp" => return Err("stamp is filled in for [broadcast] alone, and there is none".into()),
            "random" => return Err("random(FROM, TO)".into()),
            _ => return self.given(name).map(Expression::Variable),
        };
        Ok(Expression::Variable(variable))
    }

    /// A value of `[vars]`; within the value of a name that is a column's too, that name is the column.
    fn constant(&self, name: &str, within: Option<&str>) -> Option<&Constant> {
        match within == Some(name) && self.columns.iter().any(|column| column == name) {
            true => None,
            false => self.reading.vars.get(name),
        }
    }

    /// The text of a name that has braces in it itself.
    fn nested(&self, inside: &str, depth: usize, within: Option<&str>) -> Result<Option<&str>, String> {
        match self.constant(inside.trim(), within) {
            Some(_) => self.reading.vars.nested(inside, depth),
            None => Ok(None),
        }
    }

    /// Notes a name that is both in `[vars]` and a column, unless its value is about that very column.
    pub fn refuse_doubled(&self) {
        for column in self.columns {
            if let Some(constant) = self.reading.vars.get(column)
                && !words_in_braces(&constant.text).any(|word| word == column)
            {
                let text =
                    format!("column `{column}` is in [vars] too: rename it, or --set {column}='{{{{{column}}}}}'");
                self.reading.wrong(constant.line, text);
            }
        }
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

    fn parse(&self, inside: &str, within: Option<&str>) -> Result<Expression, String> {
        expression::parse(inside, &|name| self.name(name, within))
    }

    /// What `@FILE` or `env:NAME` stands for; `None` of any other text.
    fn pointed(&self, text: &str) -> Result<Option<String>, String> {
        match is_pointer(text) {
            true => self.secrets.value(&self.reading.try_settle(text)?).map(Some),
            false => Ok(None),
        }
    }

    fn pieces(&self, text: &str, place: Place) -> Result<Vec<Piece>, String> {
        self.nested_pieces(text, place, 0, None)
    }

    fn nested_pieces(
        &self,
        text: &str,
        place: Place,
        depth: usize,
        within: Option<&str>,
    ) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        for part in parts(text)? {
            let plain = |text: &str| match place {
                Place::Plain => text.to_string(),
                Place::InString => escaped(text),
            };
            match part {
                Part::Plain(text) => push(&mut pieces, &plain(text)),
                Part::Braces(inside) if self.nested(inside, depth, within)?.is_some() => {
                    let text = self.nested(inside, depth, within)?.unwrap_or_default();
                    let nested = self.nested_pieces(text, place, depth + 1, Some(inside.trim()));
                    for piece in nested.map_err(|error| self.reading.discreet(inside, error))? {
                        join(&mut pieces, piece);
                    }
                }
                Part::Braces(inside) => match self.parse(inside, within)? {
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

    /// The same of a value that may be a secret, `@FILE` or `env:NAME`.
    pub fn secret_scalar(&self, what: &str, node: &Node) -> Option<Text> {
        match self.pointed(node.written()) {
            Ok(Some(secret)) => Some(Text::plain(secret)),
            Ok(None) => self.scalar(what, node),
            Err(error) => {
                self.reading.wrong(node.line, format!("{what}: {error}"));
                None
            }
        }
    }

    /// JSON of a value of the file: numbers stay numbers, and `"{{x}}"` alone in its place becomes what x is.
    pub fn json(&self, node: &Node) -> Option<Text> {
        self.json_with(node, false)
    }

    /// The same; texts in it may be secrets, `@FILE` or `env:NAME`.
    pub fn secret_json(&self, node: &Node) -> Option<Text> {
        self.json_with(node, true)
    }

    fn json_with(&self, node: &Node, secrets: bool) -> Option<Text> {
        let mut pieces = Vec::new();
        match self.write(node, secrets, &mut pieces) {
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
                self.write(arg, false, &mut pieces)
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

    fn write(&self, node: &Node, secrets: bool, out: &mut Vec<Piece>) -> Result<(), (usize, String)> {
        let at = |error: String| (node.line, error);
        match &node.value {
            Value::Text(text) if secrets && is_pointer(text) => {
                push(out, &quoted(&self.pointed(text).map_err(at)?.unwrap_or_default()));
            }
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
                    self.write(item, secrets, out)?;
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
                    self.write(&entry.node, secrets, out)?;
                }
                push(out, "}");
            }
        }
        Ok(())
    }

    /// A JSON string, or what stands alone in its braces.
    fn string(&self, text: &str, out: &mut Vec<Piece>) -> Result<(), String> {
        self.nested_string(text, out, 0, None)
    }

    fn nested_string(
        &self,
        text: &str,
        out: &mut Vec<Piece>,
        depth: usize,
        within: Option<&str>,
    ) -> Result<(), String> {
        if let [Part::Braces(inside)] = parts(text)?.as_slice() {
            if let Some(nested) = self.nested(inside, depth, within)? {
                let written = self.nested_string(nested, out, depth + 1, Some(inside.trim()));
                return written.map_err(|error| self.reading.discreet(inside, error));
            }
            let alone = self.constant(inside.trim(), within);
            match (alone, self.parse(inside, within)?) {
                (Some(constant), _) => push(out, &constant.json),
                (None, Expression::Number(number)) => push(out, &number.to_string()),
                (None, Expression::Text(text)) => push(out, &quoted(&text)),
                (None, other) => out.push(Piece::Json(other)),
            }
            return Ok(());
        }
        push(out, "\"");
        for piece in self.nested_pieces(text, Place::InString, depth, within)? {
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
