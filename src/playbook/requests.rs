//! The step that makes an HTTP request. Pure.

use super::acts::{headers, is_table, pairs, text};
use super::expression::{Part, parts};
use super::keys;
use super::origins::Origins;
use super::reading::{Reading, Section};
use super::reply::reply;
use super::text::Scope;
use super::tree::{Node, Value};
use swarm_agent::wire::flow::{Http, Piece, Reply, Text};

/// Statuses that count as ok unless a step says otherwise.
const OK: [(u16, u16); 2] = [(101, 101), (200, 299)];

/// `http`: a path or URL, or a table.
pub fn http(scope: &Scope<'_>, node: &Node, origins: &mut Origins) -> Option<Http> {
    if !is_table(node) {
        let (target, path) = place(scope, node, origins)?;
        return Some(Http {
            method: "GET".into(),
            target,
            path,
            headers: Vec::new(),
            body: None,
            ok: OK.to_vec(),
            reply: Reply::default(),
        });
    }
    let section = Section::open(scope.reading, &keys::REQUEST_STEP, node)?;
    section.only_one(&["body", "json", "form"]);
    let (target, path) = match section.get("url") {
        Some(entry) => place(scope, &entry.node, origins)?,
        None => (None, None),
    };
    let mut headers = headers(scope, &section)?;
    let typed = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let (body, content_type) = if let Some(entry) = section.get("json") {
        (Some(scope.json(&entry.node)?), Some("application/json"))
    } else if section.get("form").is_some() {
        let form = form(pairs(scope, &section, "form")?);
        (Some(form), Some("application/x-www-form-urlencoded"))
    } else {
        (text(scope, &section, "body")?, None)
    };
    if let (Some(content_type), false) = (content_type, typed) {
        headers.push(("Content-Type".into(), Text::plain(content_type)));
    }
    let usual = if body.is_some() { "POST" } else { "GET" };
    let method = section.read("method", |text| match crate::cli::attack::is_token(text) {
        true => Ok(text.to_ascii_uppercase()),
        false => Err("no method; GET, POST, PUT...".into()),
    });
    let ok = section.read("ok", crate::cli::attack::statuses);
    Some(Http {
        method: method.unwrap_or_else(|| usual.into()),
        target,
        path,
        headers,
        body,
        ok: ok.unwrap_or_else(|| OK.to_vec()),
        reply: reply(scope, &section, true)?,
    })
}

/// Names and plain values are percent-encoded here; what is known only in the run goes in as it is.
fn form(pairs: Vec<(String, Text)>) -> Text {
    let escaped = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let mut pieces: Vec<Piece> = Vec::new();
    for (place, (name, Text(value))) in pairs.into_iter().enumerate() {
        let gap = if place > 0 { "&" } else { "" };
        pieces.push(Piece::Plain(format!("{gap}{}=", escaped(&name))));
        pieces.extend(value.into_iter().map(|piece| match piece {
            Piece::Plain(plain) => Piece::Plain(escaped(&plain)),
            other => other,
        }));
    }
    Text(pieces)
}

type Place = (Option<u16>, Option<Text>);

/// A path on the client's own target, or a whole URL, whose host must be known beforehand.
fn place(scope: &Scope<'_>, node: &Node, origins: &mut Origins) -> Option<Place> {
    let Value::Text(raw) = &node.value else {
        scope.reading.wrong(node.line, "http url: /path or https://host/path");
        return None;
    };
    let wrong = |error: String| {
        let error = scope.reading.vars.discreet(raw, error);
        scope.reading.wrong(node.line, format!("http: {error}"));
    };
    let mut whole = String::new();
    beginning(scope.reading, raw, &mut whole, 0).map_err(wrong).ok()?;
    if whole.starts_with('/') {
        return Some((None, Some(scope.text(raw, node.line)?)));
    }
    match origins.place(&whole) {
        Ok((target, path)) => {
            let path = match path.split('#').next().unwrap_or_default() {
                "" => "/".to_string(),
                query if query.starts_with('?') => format!("/{query}"),
                path => path.to_string(),
            };
            Some((Some(target), Some(scope.text(&path, node.line)?)))
        }
        Err(error) => {
            wrong(error);
            None
        }
    }
}

/// A URL with what its beginning says in braces filled in, so that its host can be seen; the rest as it is written.
fn beginning(reading: &Reading, raw: &str, out: &mut String, depth: usize) -> Result<(), String> {
    for part in parts(raw)? {
        match part {
            Part::Plain(plain) => out.push_str(plain),
            Part::Braces(inside) if has_host(out) => out.push_str(&format!("{{{{{inside}}}}}")),
            Part::Braces(inside) => match reading.vars.nested(inside, depth)? {
                // its own beginning may be enough
                Some(nested) => beginning(reading, nested, out, depth + 1)?,
                None => out.push_str(&reading.try_settle(&format!("{{{{{inside}}}}}"))?),
            },
        }
    }
    Ok(())
}

/// Whether nothing that follows can change the host.
fn has_host(url: &str) -> bool {
    let after = url.find("://").map(|at| &url[at + 3..]);
    url.starts_with('/') || after.is_some_and(|rest| rest.contains(['/', '?', '#']))
}
