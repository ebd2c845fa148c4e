//! The JSON Schema of playbooks, made of the table of keys, so that an editor completes what the code reads. Pure.

use super::keys::{ALL, INSIDE, Keys, Kind};
use serde_json::{Map, Value, json};

/// The schema, draft 2020-12.
pub fn schema() -> Value {
    let mut tables = Map::new();
    for keys in ALL.iter().chain(&INSIDE) {
        tables.insert(id(keys), table(keys));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A playbook of swarm",
        "$ref": format!("#/$defs/{}", id(ALL[0])),
        "$defs": tables,
    })
}

/// A table's name without brackets and blanks; the step `http` is not the table `[http]`.
fn id(keys: &Keys) -> String {
    let name: String = keys
        .name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    if keys.name.starts_with('[') {
        format!("table-{name}")
    } else {
        name
    }
}

fn table(keys: &Keys) -> Value {
    let mut properties = Map::new();
    for key in keys.keys {
        let mut schema = kind(key.kind);
        if let Value::Object(map) = &mut schema {
            map.insert("description".into(), key.about.into());
        }
        properties.insert(key.name.into(), schema);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn kind(kind: Kind) -> Value {
    let reference = |keys: &Keys| json!({ "$ref": format!("#/$defs/{}", id(keys)) });
    let filled = || json!({ "type": "string", "pattern": "\\{\\{.*\\}\\}" });
    match kind {
        Kind::Text | Kind::Time => json!({ "type": "string" }),
        Kind::Number => json!({ "type": ["number", "string"] }),
        Kind::Switch => json!({ "anyOf": [{ "type": "boolean" }, filled()] }),
        Kind::Spread => json!({ "anyOf": [{ "type": "string" }, { "$ref": "#/$defs/arandomtime" }] }),
        Kind::Json => json!({}),
        Kind::Texts => json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] }),
        Kind::Pairs => json!({ "type": "object" }),
        Kind::Words(words) => json!({ "anyOf": [{ "enum": words }, filled()] }),
        Kind::Table(keys) => json!({ "anyOf": [reference(keys)] }),
        Kind::Tables(keys) => json!({ "type": "array", "items": reference(keys) }),
        Kind::Or(kinds) => json!({ "anyOf": kinds.iter().map(|one| self::kind(*one)).collect::<Vec<_>>() }),
    }
}
