//! Forms in which what ours and the real client sent can be compared: JSON by its value, ids of acknowledgements by their
//! order, bytes as the transcripts write them. Never here: the machine.
#![allow(clippy::unwrap_used)]

use super::super::Layer;
use super::script::hex;
use crate::codec::engineio::{self, Frame};
use crate::codec::engineio3::{self, Piece};
use crate::codec::socketio::{self, Kind};
use crate::wire::share::Version;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Of one conversation.
pub struct Form {
    version: Version,
    layer: Layer,
    /// By namespace: ids of acknowledgements as ours counts them, in the order they were asked for.
    pub ids: BTreeMap<String, Vec<u64>>,
}

impl Form {
    pub fn new(version: Version, layer: Layer) -> Self {
        Self {
            version,
            layer,
            ids: BTreeMap::new(),
        }
    }

    /// A packet in a form that can be compared: JSON by its value, ids by their order in the namespace.
    pub fn shown(&self, frame: &Frame, ours: bool) -> String {
        let text = match frame {
            Frame::Binary(bytes) => return format!("binary {}", digits(bytes)),
            Frame::Text(text) => text,
        };
        let packet = text.strip_prefix('4').filter(|_| self.layer == Layer::Socketio);
        let Some(packet) = packet.and_then(socketio::parse) else {
            return text.clone();
        };
        let event = matches!(packet.kind, Kind::Event | Kind::BinaryEvent);
        let id = match self.ids.get(packet.namespace) {
            Some(ids) if ours && event => packet
                .id
                .and_then(|id| ids.iter().position(|known| *known == id))
                .map(|at| at as u64),
            _ => packet.id,
        };
        let body =
            serde_json::from_str::<Value>(packet.body).map_or_else(|_| packet.body.to_owned(), |v| v.to_string());
        format!(
            "{:?} {} {id:?} {} {body}",
            packet.kind, packet.namespace, packet.attachments
        )
    }

    /// The ids of acknowledgements in a payload as the machine counts them.
    pub fn translated(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = String::new();
        match (self.version, std::str::from_utf8(payload)) {
            _ if self.layer == Layer::Raw => return payload.to_vec(),
            (Version::Four, Ok(text)) => {
                for packet in engineio::packets(text) {
                    engineio::append(&mut out, &Frame::Text(self.translate(packet)));
                }
            }
            (Version::Three, Ok(_)) => {
                for piece in engineio3::packets(payload).unwrap_or_default() {
                    let Piece::Text(packet) = piece else {
                        return payload.to_vec();
                    };
                    engineio3::append(&mut out, &Frame::Text(self.translate(packet)));
                }
            }
            _ => return payload.to_vec(),
        }
        out.into_bytes()
    }

    pub fn translate(&self, text: &str) -> String {
        let packet = text.strip_prefix('4').filter(|_| self.layer == Layer::Socketio);
        let ack = packet.and_then(socketio::parse).filter(|packet| {
            matches!(packet.kind, Kind::Ack | Kind::BinaryAck) && self.ids.contains_key(packet.namespace)
        });
        let Some((packet, id)) = ack.and_then(|packet| packet.id.map(|id| (packet, id))) else {
            return text.to_owned();
        };
        let ids = &self.ids[packet.namespace];
        let known = usize::try_from(id).ok().and_then(|at| ids.get(at));
        let head = text.len() - packet.body.len() - id.to_string().len();
        format!("{}{}{}", &text[..head], known.unwrap_or(&u64::MAX), packet.body)
    }
}

/// What `{"hex":".."}` stands for.
pub fn bytes(value: &Value) -> Option<Vec<u8>> {
    Some(hex(value.get("hex")?.as_str()?))
}

pub fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Arguments as the packet's array, with placeholders, and the attachments.
pub fn taken_apart(arguments: &[Value]) -> (String, Vec<Vec<u8>>) {
    fn apart(value: &mut Value, out: &mut Vec<Vec<u8>>) {
        if let Some(bytes) = bytes(value) {
            *value = json!({ "_placeholder": true, "num": out.len() });
            out.push(bytes);
            return;
        }
        match value {
            Value::Array(all) => all.iter_mut().for_each(|value| apart(value, out)),
            Value::Object(all) => all.values_mut().for_each(|value| apart(value, out)),
            _ => {}
        }
    }
    let mut array = Value::from(arguments.to_vec());
    let mut attachments = Vec::new();
    apart(&mut array, &mut attachments);
    (array.to_string(), attachments)
}

/// The reverse.
pub fn whole(body: &str, attachments: &[Vec<u8>]) -> Value {
    fn together(value: &mut Value, attachments: &[Vec<u8>]) {
        if value.get("_placeholder").is_some() {
            let at = value["num"].as_u64().and_then(|at| usize::try_from(at).ok());
            let bytes = at.and_then(|at| attachments.get(at)).expect("an attachment");
            *value = json!({ "hex": digits(bytes) });
            return;
        }
        match value {
            Value::Array(all) => all.iter_mut().for_each(|value| together(value, attachments)),
            Value::Object(all) => all.values_mut().for_each(|value| together(value, attachments)),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(body).expect("an array");
    together(&mut value, attachments);
    value
}

/// What a real client was told: `{"message":".."}`, a text, or whatever the server's middleware passed on.
pub fn reason_of(argument: &Value) -> String {
    let message = argument.get("message").unwrap_or(argument);
    message.as_str().map_or_else(|| message.to_string(), str::to_owned)
}
