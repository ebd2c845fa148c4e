//! Texts with values in them, written at the end of a buffer that the caller keeps. Pure.

use super::value::{Facts, Made, Unmade, Value};
use crate::wire::flow::{Piece, Text};
use std::fmt::Write;

/// Writes a text with its values.
pub fn write(text: &Text, facts: &Facts<'_>, out: &mut String) -> Result<(), Unmade> {
    for piece in &text.0 {
        match piece {
            Piece::Plain(plain) => out.push_str(plain),
            Piece::Value(expression) => raw(&facts.of(expression)?, out),
            Piece::InString(expression) => match &facts.of(expression)? {
                Made::Text(text) => escape(text, out),
                Made::Json(json) => escape(json, out),
                number => raw(number, out),
            },
            Piece::Json(expression) => match &facts.of(expression)? {
                Made::Text(text) => {
                    out.push('"');
                    escape(text, out);
                    out.push('"');
                }
                other => raw(other, out),
            },
        }
    }
    Ok(())
}

/// The same as a text of its own.
pub fn made(text: &Text, facts: &Facts<'_>) -> Result<String, Unmade> {
    let mut out = String::new();
    write(text, facts, &mut out)?;
    Ok(out)
}

/// What a variable is set to: one value alone keeps its kind, all else is a text. It is written in `buffer` first, which
/// many share, so that it takes no more memory than it needs.
pub fn value(text: &Text, facts: &Facts<'_>, buffer: &mut String) -> Result<Value, Unmade> {
    if let [Piece::Value(expression) | Piece::Json(expression)] = text.0.as_slice() {
        return Ok(match facts.of(expression)? {
            Made::Number(number) => Value::Number(number),
            Made::Text(text) => Value::Text(text.into_owned().into()),
            Made::Json(json) => Value::Json(json.into()),
        });
    }
    buffer.clear();
    write(text, facts, buffer)?;
    Ok(Value::Text(buffer.as_str().into()))
}

/// The value of a header: no line feed may come into it from outside.
pub fn header(text: &Text, facts: &Facts<'_>) -> Result<String, Unmade> {
    let value = made(text, facts)?;
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Unmade::Misplaced("a header"));
    }
    Ok(value)
}

/// A value of a query parameter: all but the unreserved characters of RFC 3986 as `%XX`.
pub fn percent_encoded(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // a String takes whatever is written to it
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn raw(made: &Made<'_>, out: &mut String) {
    match made {
        Made::Number(number) => out.push_str(itoa::Buffer::new().format(*number)),
        Made::Text(text) => out.push_str(text),
        Made::Json(json) => out.push_str(json),
    }
}

/// The inside of a JSON string (RFC 8259, section 7).
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                // a String takes whatever is written to it
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::value::tests::with;
    use super::*;
    use crate::wire::flow::{Expression, Operator, Variable};

    fn slot(number: u16) -> Expression {
        Expression::Variable(Variable::Slot(number))
    }

    #[test]
    fn values_stand_as_text_in_json_strings_and_as_json() {
        let plain = |text: &str| Piece::Plain(text.into());
        let room = Expression::Calculation(
            Box::new(Expression::Variable(Variable::Conn)),
            Operator::Modulo,
            Box::new(Expression::Number(4)),
        );
        for (pieces, wanted) in [
            (vec![plain("room-"), Piece::Value(room.clone())], Ok("room-3")),
            (
                vec![plain("[\""), Piece::InString(slot(1)), plain("\"]")],
                Ok("[\"a\\\"b\\n\"]"),
            ),
            (vec![Piece::Json(slot(1))], Ok("\"a\\\"b\\n\"")),
            (vec![Piece::Json(room)], Ok("3")),
            (vec![Piece::Json(slot(2))], Ok("{\"a\":[1,null]}")),
            (vec![Piece::InString(slot(2))], Ok("{\\\"a\\\":[1,null]}")),
            (vec![plain("x"), Piece::Value(slot(3))], Err(Unmade::Unset(3))),
            (vec![], Ok("")),
        ] {
            let text = Text(pieces);
            assert_eq!(with(|facts| made(&text, &facts)), wanted.map(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn a_variable_keeps_the_kind_of_a_value_that_stands_alone() {
        let set = |pieces| with(|facts| value(&Text(pieces), &facts, &mut String::from("left"))).unwrap();
        assert_eq!(set(vec![Piece::Value(slot(0))]), Value::Number(5));
        assert_eq!(set(vec![Piece::Json(slot(2))]), Value::Json("{\"a\":[1,null]}".into()));
        assert_eq!(
            set(vec![Piece::Value(slot(0)), Piece::Plain("0".into())]),
            Value::Text("50".into())
        );
    }

    #[test]
    fn query_values_are_encoded() {
        let mut out = String::new();
        percent_encoded("a b&c=ü/~.", &mut out);
        assert_eq!(out, "a%20b%26c%3D%C3%BC%2F~.");
    }
}
