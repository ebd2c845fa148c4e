//! What a variable holds, and what an expression comes to. Pure.

use super::dice::Dice;
use crate::wire::flow::{Expression, Operator, Variable};
use std::borrow::Cow;
use std::net::IpAddr;

/// What was set or captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(i64),
    /// A text.
    Text(Box<str>),
    /// JSON that is neither a whole number nor a text.
    Json(Box<str>),
}

impl Value {
    /// What a piece of JSON is to a playbook.
    pub fn of_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::String(text) => Self::Text(text.as_str().into()),
            other => match other.as_i64() {
                Some(number) => Self::Number(number),
                None => Self::Json(other.to_string().into()),
            },
        }
    }

    /// What a script's variable is, of which only the text is known: a number, an object or array, or a text.
    pub fn of_script(text: &str) -> Self {
        let compound = text.starts_with(['{', '[']) && serde_json::from_str::<serde_json::Value>(text).is_ok();
        match text.parse() {
            Ok(number) => Self::Number(number),
            Err(_) if compound => Self::Json(text.into()),
            Err(_) => Self::Text(text.into()),
        }
    }

    /// As text.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Number(number) => number.to_string().into(),
            Self::Text(text) | Self::Json(text) => Cow::Borrowed(text),
        }
    }
}

/// What an expression comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made<'a> {
    /// A number.
    Number(i64),
    /// A text.
    Text(Cow<'a, str>),
    /// JSON as it was captured.
    Json(&'a str),
}

/// Why a value cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmade {
    /// Modulo by zero.
    ByZero,
    /// Something that is no number in a calculation.
    NoNumber,
    /// This variable was never set.
    Unset(u16),
    /// The client has no such column.
    NoColumn(u16),
    /// There is no broadcast whose stamp could be given.
    NoStamp,
    /// It cannot stand where it should: a line feed in a header, a space in a path.
    Misplaced(&'static str),
}

/// What variables stand for at one instant of one client.
pub struct Facts<'a> {
    /// Number over the whole swarm.
    pub conn: u64,
    /// Clients of the whole swarm.
    pub conns: u64,
    /// Place of the host.
    pub host: u32,
    /// Hosts.
    pub hosts: u32,
    /// Local address.
    pub source: IpAddr,
    /// ms since 1970 by the controller's clock, at the start instant.
    pub start_unix_ms: u64,
    /// ms since the start instant.
    pub elapsed_ms: u64,
    /// Round of the innermost repetition.
    pub round: u64,
    /// The run's name.
    pub run: &'a str,
    /// What the connect named.
    pub backend: &'a str,
    /// The CSV row.
    pub columns: &'a [String],
    /// Set or captured.
    pub slots: &'a [Option<Value>],
    /// The stamp of the emit that is being made.
    pub stamp: Option<&'a str>,
    /// Random numbers.
    pub dice: &'a Dice,
}

impl<'a> Facts<'a> {
    /// What an expression comes to.
    pub fn of(&self, expression: &'a Expression) -> Result<Made<'a>, Unmade> {
        Ok(match expression {
            Expression::Number(number) => Made::Number(*number),
            Expression::Text(text) => Made::Text(Cow::Borrowed(text)),
            Expression::Variable(variable) => self.variable(variable)?,
            Expression::Calculation(left, operator, right) => {
                let (left, right) = (number(&self.of(left)?)?, number(&self.of(right)?)?);
                Made::Number(match operator {
                    Operator::Plus => left.wrapping_add(right),
                    Operator::Minus => left.wrapping_sub(right),
                    Operator::Times => left.wrapping_mul(right),
                    Operator::Modulo if right == 0 => return Err(Unmade::ByZero),
                    Operator::Modulo => left.wrapping_rem_euclid(right),
                })
            }
        })
    }

    fn variable(&self, variable: &Variable) -> Result<Made<'a>, Unmade> {
        let count = |n: u64| Made::Number(n as i64);
        Ok(match variable {
            Variable::Conn => count(self.conn),
            Variable::Conns => count(self.conns),
            Variable::Host => count(self.host.into()),
            Variable::Hosts => count(self.hosts.into()),
            Variable::Source => Made::Text(self.source.to_string().into()),
            Variable::Time => count(self.start_unix_ms + self.elapsed_ms),
            Variable::Elapsed => count(self.elapsed_ms),
            Variable::Random(from, to) => Made::Number(self.dice.between(*from, *to)),
            Variable::Round => count(self.round),
            Variable::Run => Made::Text(Cow::Borrowed(self.run)),
            Variable::Backend => Made::Text(Cow::Borrowed(self.backend)),
            Variable::Column(column) => match self.columns.get(usize::from(*column)) {
                Some(text) => Made::Text(Cow::Borrowed(text)),
                None => return Err(Unmade::NoColumn(*column)),
            },
            Variable::Slot(slot) => match self.slots.get(usize::from(*slot)) {
                Some(Some(Value::Number(number))) => Made::Number(*number),
                Some(Some(Value::Text(text))) => Made::Text(Cow::Borrowed(text)),
                Some(Some(Value::Json(json))) => Made::Json(json),
                Some(None) | None => return Err(Unmade::Unset(*slot)),
            },
            Variable::Stamp => Made::Text(Cow::Borrowed(self.stamp.ok_or(Unmade::NoStamp)?)),
        })
    }
}

fn number(result: &Made<'_>) -> Result<i64, Unmade> {
    match result {
        Made::Number(number) => Ok(*number),
        Made::Text(text) => text.trim().parse().map_err(|_| Unmade::NoNumber),
        Made::Json(_) => Err(Unmade::NoNumber),
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Client 7 of 100 in its third round, with one column and three variables.
    pub fn with<T>(test: impl FnOnce(Facts<'_>) -> T) -> T {
        let dice = Dice::new("r", 7);
        test(Facts {
            conn: 7,
            conns: 100,
            host: 1,
            hosts: 2,
            source: [127, 0, 0, 2].into(),
            start_unix_ms: 1_000_000,
            elapsed_ms: 250,
            round: 2,
            run: "r1",
            backend: "s1",
            columns: &["12".to_owned()],
            slots: &[
                Some(Value::Number(5)),
                Some(Value::Text("a\"b\n".into())),
                Some(Value::Json("{\"a\":[1,null]}".into())),
                None,
            ],
            stamp: None,
            dice: &dice,
        })
    }

    fn made(expression: &Expression) -> Result<String, Unmade> {
        with(|facts| {
            Ok(match facts.of(expression)? {
                Made::Number(number) => number.to_string(),
                Made::Text(text) => text.into_owned(),
                Made::Json(json) => json.to_owned(),
            })
        })
    }

    #[test]
    fn variables_and_calculations() {
        use Variable::*;
        let var = |variable| Expression::Variable(variable);
        let of = |left, operator, right| Expression::Calculation(Box::new(left), operator, Box::new(right));
        let num = Expression::Number;
        for (expression, wanted) in [
            (var(Conn), Ok("7")),
            (var(Conns), Ok("100")),
            (var(Host), Ok("1")),
            (var(Hosts), Ok("2")),
            (var(Source), Ok("127.0.0.2")),
            (var(Time), Ok("1000250")),
            (var(Elapsed), Ok("250")),
            (var(Random(4, 4)), Ok("4")),
            (var(Round), Ok("2")),
            (var(Run), Ok("r1")),
            (var(Backend), Ok("s1")),
            (var(Column(0)), Ok("12")),
            (var(Column(1)), Err(Unmade::NoColumn(1))),
            (var(Slot(2)), Ok("{\"a\":[1,null]}")),
            (var(Slot(3)), Err(Unmade::Unset(3))),
            (var(Stamp), Err(Unmade::NoStamp)),
            (of(var(Conn), Operator::Modulo, num(5)), Ok("2")),
            (of(num(-7), Operator::Modulo, num(5)), Ok("3")),
            (of(var(Column(0)), Operator::Times, num(2)), Ok("24")),
            (of(var(Conn), Operator::Modulo, num(0)), Err(Unmade::ByZero)),
            (of(var(Run), Operator::Plus, num(1)), Err(Unmade::NoNumber)),
            (of(var(Slot(2)), Operator::Plus, num(1)), Err(Unmade::NoNumber)),
            (of(num(i64::MAX), Operator::Plus, num(1)), Ok("-9223372036854775808")),
            (of(num(i64::MIN), Operator::Modulo, num(-1)), Ok("0")),
            (
                of(of(num(2), Operator::Minus, num(5)), Operator::Times, num(3)),
                Ok("-9"),
            ),
        ] {
            assert_eq!(made(&expression), wanted.map(str::to_owned), "{expression:?}");
        }
    }
}
