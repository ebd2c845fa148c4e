//! Whether an answer is as a step wants it, and what is remembered of it. Pure.

use super::text;
use super::value::{Facts, Unmade, Value};
use crate::wire::flow::{Check, From, Is, Reply};
use serde_json::Value as Json;
use std::borrow::Cow;

/// A text or number of an answer is told in a failure up to so many characters; longer ones by their kind.
const TOLD: usize = 32;

/// What came back.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// Arguments of an acknowledgement, a JSON array.
    Arguments(&'a str),
    /// An event, a JSON array with its name in front.
    Event(&'a str),
    /// A message.
    Message(&'a [u8]),
    /// An HTTP answer: headers with their names in lower case, body.
    Http(&'a [(String, String)], &'a [u8]),
}

/// The arguments of an event, its name taken off.
pub fn arguments(event: &str) -> Cow<'_, str> {
    let Some(inside) = event.trim_start().strip_prefix('[').map(str::trim_start) else {
        return Cow::Borrowed(event);
    };
    let bytes = inside.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    // a name is a string: its end is at a character's boundary
    let rest = inside.get(at + 1..).unwrap_or("]").trim_start();
    format!("[{}", rest.strip_prefix(',').unwrap_or(rest).trim_start()).into()
}

/// Whether all checks hold; then what is remembered, else what was wrong.
pub fn judge(reply: &Reply, answer: Answer<'_>, facts: &Facts<'_>) -> Result<Vec<(u16, Value)>, String> {
    if reply.checks.is_empty() && reply.captures.is_empty() {
        return Ok(Vec::new());
    }
    let mut read = Read {
        answer,
        text: None,
        json: None,
    };
    for check in &reply.checks {
        read.check(check, facts)?;
    }
    let mut remembered = Vec::new();
    for capture in &reply.captures {
        remembered.push((capture.slot, read.capture(&capture.from)?));
    }
    Ok(remembered)
}

/// Why a value could not be made, as a failure tells it. `slots` are the names of the variables.
pub fn why(unmade: &Unmade, slots: &[String]) -> String {
    match unmade {
        Unmade::ByZero => "a remainder by zero".to_owned(),
        Unmade::NoNumber => "a calculation with something that is no number".to_owned(),
        Unmade::Unset(slot) => {
            let name = slots.get(usize::from(*slot)).map_or("a variable", String::as_str);
            format!("{name} was never set")
        }
        Unmade::NoColumn(column) => format!("the client has no column {} of the CSV file", column + 1),
        Unmade::NoStamp => "a stamp outside an emit of a broadcast".to_owned(),
        Unmade::Misplaced(where_) => format!("a value that cannot stand in {where_}"),
    }
}

/// An answer, read as far as somebody asked.
struct Read<'a> {
    answer: Answer<'a>,
    text: Option<Cow<'a, str>>,
    json: Option<Option<Json>>,
}

impl<'a> Read<'a> {
    fn text(&mut self) -> &str {
        let answer = self.answer;
        self.text.get_or_insert_with(|| match answer {
            Answer::Arguments(text) => Cow::Borrowed(text),
            Answer::Event(text) => arguments(text),
            Answer::Message(bytes) | Answer::Http(_, bytes) => String::from_utf8_lossy(bytes),
        })
    }

    fn at(&mut self, pointer: &str) -> Result<Option<&Json>, String> {
        if self.json.is_none() {
            self.json = Some(serde_json::from_str(self.text()).ok());
        }
        match self.json.as_ref().and_then(Option::as_ref) {
            Some(json) => Ok(json.pointer(pointer)),
            None => Err("the answer is not JSON".to_owned()),
        }
    }

    fn header(&self, name: &str) -> Option<&'a str> {
        let Answer::Http(headers, _) = self.answer else {
            return None;
        };
        headers
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }

    fn check(&mut self, check: &Check, facts: &Facts<'_>) -> Result<(), String> {
        let wanted = |text| text::made(text, facts).map_err(|unmade| why(&unmade, &[]));
        if let Some(name) = &check.header {
            let have = self.header(name);
            return match (&check.is, have) {
                (_, None) => Err(format!("header {name} is missing")),
                (Is::Present, Some(_)) => Ok(()),
                (Is::Equal(text), Some(have)) => {
                    let wanted = wanted(text)?;
                    same(
                        have == wanted || serde_json::from_str::<String>(&wanted).is_ok_and(|w| w == have),
                        || format!("header {name} is {}, not {}", told(have), told(&wanted)),
                    )
                }
                (Is::Containing(text), Some(have)) => {
                    let wanted = wanted(text)?;
                    same(have.contains(&wanted), || {
                        format!("header {name} does not hold {}", told(&wanted))
                    })
                }
            };
        }
        let Some(pointer) = &check.pointer else {
            return match &check.is {
                Is::Present => same(!self.text().is_empty(), || "the answer is empty".to_owned()),
                Is::Equal(text) => {
                    let wanted = wanted(text)?;
                    let have = self.text();
                    same(have == wanted, || {
                        format!("the answer is {}, not {}", told(have), told(&wanted))
                    })
                }
                Is::Containing(text) => {
                    let wanted = wanted(text)?;
                    same(self.text().contains(&wanted), || {
                        format!("the answer does not hold {}", told(&wanted))
                    })
                }
            };
        };
        let have = self.at(pointer)?;
        let place = if pointer.is_empty() { "the answer" } else { pointer };
        match &check.is {
            Is::Present => same(have.is_some_and(|have| !have.is_null()), || {
                format!("{place} is missing")
            }),
            Is::Equal(text) => {
                let wanted = wanted(text)?;
                same(have.is_some_and(|have| equal(have, &wanted)), || {
                    format!("{place} is {}, not {}", kind(have), told(&wanted))
                })
            }
            Is::Containing(text) => {
                let wanted = wanted(text)?;
                let holds = have.is_some_and(|have| match have {
                    Json::String(text) => text.contains(&wanted),
                    other => other.to_string().contains(&wanted),
                });
                same(holds, || format!("{place} is {} without {}", kind(have), told(&wanted)))
            }
        }
    }

    fn capture(&mut self, from: &From) -> Result<Value, String> {
        match from {
            From::Pointer(pointer) => match self.at(pointer)? {
                Some(json) => Ok(Value::of_json(json)),
                None => Err(format!("nothing at {pointer} to remember")),
            },
            From::Header(name) => match self.header(name) {
                Some(value) => Ok(Value::Text(value.into())),
                None => Err(format!("no header {name} to remember")),
            },
            From::Cookie(name) => self
                .cookie(name)
                .map(|value| Value::Text(value.into()))
                .ok_or_else(|| format!("no cookie {name} to remember")),
            From::Between(before, after) => {
                let found = self.text().split_once(before.as_str()).and_then(|(_, rest)| {
                    if after.is_empty() {
                        return Some(rest);
                    }
                    rest.split_once(after.as_str()).map(|(found, _)| found)
                });
                match found {
                    Some(found) => Ok(Value::Text(found.into())),
                    None => Err(format!(
                        "nothing between {} and {} to remember",
                        told(before),
                        told(after)
                    )),
                }
            }
        }
    }

    /// Of the last line that sets it.
    fn cookie(&self, name: &str) -> Option<&'a str> {
        let Answer::Http(headers, _) = self.answer else {
            return None;
        };
        let lines = headers.iter().rev().filter(|(header, _)| header == "set-cookie");
        lines
            .filter_map(|(_, line)| line.split(';').next()?.split_once('='))
            .find(|(cookie, _)| cookie.trim() == name)
            .map(|(_, value)| value.trim())
    }
}

fn same(holds: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(wrong()) }
}

/// Equal as JSON (numbers by their worth); what is wanted may also be a text without quotes.
fn equal(have: &Json, wanted: &str) -> bool {
    match serde_json::from_str::<Json>(wanted) {
        Ok(wanted) if *have == wanted => true,
        Ok(wanted) if have.is_number() && wanted.is_number() => have.as_f64() == wanted.as_f64(),
        _ => have.as_str() == Some(wanted),
    }
}

/// A text in a failure. Long ones may differ from hit to hit, and failures are told by their text.
fn told(text: &str) -> String {
    if text.chars().count() > TOLD {
        return "a longer text".to_owned();
    }
    text.to_owned()
}

fn kind(json: Option<&Json>) -> String {
    match json {
        None => "missing".to_owned(),
        Some(Json::Array(_)) => "an array".to_owned(),
        Some(Json::Object(_)) => "an object".to_owned(),
        Some(other) => told(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::value::tests::with;
    use super::*;
    use crate::wire::flow::{Capture, Text};

    fn check(pointer: Option<&str>, header: Option<&str>, is: Is) -> Reply {
        Reply {
            checks: vec![Check {
                pointer: pointer.map(str::to_owned),
                header: header.map(str::to_owned),
                is,
            }],
            ..Reply::default()
        }
    }

    #[test]
    fn checks_tell_what_was_wrong() {
        let equal = |text: &str| Is::Equal(Text::plain(text));
        let holding = |text: &str| Is::Containing(Text::plain(text));
        let headers = [("x-kind".to_owned(), "a b".to_owned())];
        let http = Answer::Http(&headers, b"{\"ok\":true}");
        let event = Answer::Event("[\"said\",{\"ok\":false,\"text\":\"hello all\"},2]");
        for (reply, answer, wrong) in [
            (check(Some("/0/ok"), None, equal("false")), event, None),
            (
                check(Some("/0/ok"), None, equal("true")),
                event,
                Some("/0/ok is false, not true"),
            ),
            (check(Some("/1"), None, equal("2.0")), event, None),
            (check(Some("/0/text"), None, equal("\"hello all\"")), event, None),
            (check(Some("/0/text"), None, equal("hello all")), event, None),
            (check(Some("/0/text"), None, holding("lo a")), event, None),
            (check(Some("/0"), None, holding("\"ok\":false")), event, None),
            (check(Some("/2"), None, Is::Present), event, Some("/2 is missing")),
            (check(Some("/2"), None, equal("1")), event, Some("/2 is missing, not 1")),
            (
                check(Some("/0"), None, equal("1")),
                event,
                Some("/0 is an object, not 1"),
            ),
            (check(None, None, holding("hello")), event, None),
            (
                check(None, None, equal("x")),
                Answer::Message(b"y"),
                Some("the answer is y, not x"),
            ),
            (
                check(None, None, Is::Present),
                Answer::Message(b""),
                Some("the answer is empty"),
            ),
            (
                check(Some("/0"), None, Is::Present),
                Answer::Message(b"<"),
                Some("the answer is not JSON"),
            ),
            (check(Some("/0"), None, equal("1")), Answer::Arguments("[1]"), None),
            (check(Some("/ok"), None, equal("true")), http, None),
            (check(None, Some("x-kind"), equal("a b")), http, None),
            (
                check(None, Some("x-kind"), holding("c")),
                http,
                Some("header x-kind does not hold c"),
            ),
            (
                check(None, Some("x-no"), Is::Present),
                http,
                Some("header x-no is missing"),
            ),
        ] {
            let found = with(|facts| judge(&reply, answer, &facts));
            assert_eq!(found.err().as_deref(), wrong, "{reply:?} {answer:?}");
        }
    }

    #[test]
    fn what_is_remembered() {
        let headers = [
            ("set-cookie".to_owned(), "a=1; Path=/".to_owned()),
            ("location".to_owned(), "/x".to_owned()),
        ];
        let http = Answer::Http(&headers, b"{\"t\":\"k y\",\"n\":3,\"d\":1.5}");
        let text = |text: &str| Ok(Value::Text(text.into()));
        for (from, wanted) in [
            (From::Pointer("/t".into()), text("k y")),
            (From::Pointer("/n".into()), Ok(Value::Number(3))),
            (From::Pointer("/d".into()), Ok(Value::Json("1.5".into()))),
            (From::Pointer("/no".into()), Err("nothing at /no to remember")),
            (From::Header("location".into()), text("/x")),
            (From::Header("etag".into()), Err("no header etag to remember")),
            (From::Cookie("a".into()), text("1")),
            (From::Cookie("b".into()), Err("no cookie b to remember")),
            (From::Between("\"t\":\"".into(), "\"".into()), text("k y")),
            (
                From::Between("<".into(), ">".into()),
                Err("nothing between < and > to remember"),
            ),
        ] {
            let reply = Reply {
                captures: vec![Capture {
                    slot: 4,
                    from: from.clone(),
                }],
                ..Reply::default()
            };
            let found = with(|facts| judge(&reply, http, &facts));
            match wanted {
                Ok(value) => assert_eq!(found.unwrap(), [(4, value)], "{from:?}"),
                Err(wrong) => assert_eq!(found.unwrap_err(), wrong),
            }
        }
    }

    #[test]
    fn the_name_of_an_event_is_taken_off() {
        for (event, wanted) in [
            ("[\"a\",1,{\"b\":2}]", "[1,{\"b\":2}]"),
            ("[\"a\"]", "[]"),
            (" [ \"a\\\",\" , 1 ]", "[1 ]"),
            ("[\"ü\",\"x\"]", "[\"x\"]"),
            ("", ""),
        ] {
            assert_eq!(arguments(event), wanted, "{event}");
        }
    }
}
