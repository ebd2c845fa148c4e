//! Engine.IO protocol 4: packets as text, payloads of long polling, the opening handshake, error answers. What version 3
//! does otherwise is in `engineio3`. Never here: sockets, clocks, what a session does with a packet (`session`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// Stands between the packets of a polling payload.
pub const SEPARATOR: char = '\u{1e}';

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The handshake, as JSON.
    Open(&'a str),
    /// The session ends.
    Close,
    /// Heartbeat of the server.
    Ping(&'a str),
    /// Answer to a heartbeat or probe.
    Pong(&'a str),
    /// A message, that is a Socket.IO packet.
    Message(&'a str),
    /// Upgrade is done.
    Upgrade,
    /// Nothing.
    Noop,
    /// Binary, base64 over polling.
    Binary(Vec<u8>),
}

/// A packet on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A packet as text, its type first.
    Text(String),
    /// What a binary message holds.
    Binary(Vec<u8>),
}

/// Reads one packet.
pub fn parse(text: &str) -> Option<Packet<'_>> {
    let mut characters = text.chars();
    let kind = characters.next()?;
    let rest = characters.as_str();
    Some(match kind {
        '0' => Packet::Open(rest),
        '1' => Packet::Close,
        '2' => Packet::Ping(rest),
        '3' => Packet::Pong(rest),
        '4' => Packet::Message(rest),
        '5' => Packet::Upgrade,
        '6' => Packet::Noop,
        'b' => Packet::Binary(STANDARD.decode(rest).ok()?),
        _ => return None,
    })
}

/// The packets of a polling payload.
pub fn packets(payload: &str) -> impl Iterator<Item = &str> {
    payload.split(SEPARATOR)
}

/// Appends one packet to a payload, binary ones as base64.
pub fn append(payload: &mut String, frame: &Frame) {
    if !payload.is_empty() {
        payload.push(SEPARATOR);
    }
    match frame {
        Frame::Text(text) => payload.push_str(text),
        Frame::Binary(bytes) => {
            payload.push('b');
            STANDARD.encode_string(bytes, payload);
        }
    }
}

/// Bytes that a packet takes in a payload.
pub fn length(frame: &Frame) -> usize {
    match frame {
        Frame::Text(text) => text.len(),
        Frame::Binary(bytes) => 1 + bytes.len().div_ceil(3) * 4,
    }
}

/// What the server tells at the opening.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handshake {
    /// Session id.
    pub sid: String,
    /// What the session may be upgraded to.
    #[serde(default)]
    pub upgrades: Vec<String>,
    /// Milliseconds between the server's pings.
    pub ping_interval: u64,
    /// Milliseconds that it waits for the answer.
    pub ping_timeout: u64,
    /// Bytes that a payload of ours may have.
    #[serde(default)]
    pub max_payload: Option<usize>,
}

impl Handshake {
    /// Reads the JSON of an open packet.
    pub fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

/// What a server says with status 400.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// 1: session unknown, 5: protocol version unsupported.
    pub code: i64,
    /// In words.
    #[serde(default)]
    pub message: String,
}

impl Refusal {
    /// Reads an error answer.
    pub fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_of_the_transcript() {
        let open =
            r#"0{"sid":"x","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        let Some(Packet::Open(json)) = parse(open) else {
            panic!("no open packet")
        };
        let wanted = Handshake {
            sid: "x".into(),
            upgrades: vec!["websocket".into()],
            ping_interval: 25_000,
            ping_timeout: 20_000,
            max_payload: Some(1_000_000),
        };
        assert_eq!(Handshake::parse(json), Some(wanted));
        for (text, packet) in [
            ("1", Packet::Close),
            ("2probe", Packet::Ping("probe")),
            ("3probe", Packet::Pong("probe")),
            ("40", Packet::Message("0")),
            ("5", Packet::Upgrade),
            ("6", Packet::Noop),
            ("bAQID", Packet::Binary(vec![1, 2, 3])),
        ] {
            assert_eq!(parse(text), Some(packet), "{text}");
        }
        for bad in ["", "7", "x", "b!!", "é"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn refusals_are_read() {
        assert_eq!(
            Refusal::parse(br#"{"code":1,"message":"Session ID unknown"}"#)
                .unwrap()
                .code,
            1
        );
        assert_eq!(Refusal::parse(b"<html>"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn packets_come_back(all in prop::collection::vec(frame(), 1..20)) {
            let mut text = String::new();
            let mut sizes = 0;
            for frame in &all {
                append(&mut text, frame);
                sizes += length(frame);
            }
            prop_assert_eq!(text.len(), sizes + all.len() - 1);
            let back: Vec<Frame> = packets(&text)
                .map(|packet| match parse(packet).unwrap() {
                    Packet::Message(text) => Frame::Text(format!("4{text}")),
                    Packet::Binary(bytes) => Frame::Binary(bytes),
                    other => panic!("{other:?}"),
                })
                .collect();
            prop_assert_eq!(back, all);
        }
    }

    fn frame() -> impl Strategy<Value = Frame> {
        prop_oneof![
            "4[a-zé😀:\\[\\]\"]{0,20}".prop_map(Frame::Text),
            prop::collection::vec(any::<u8>(), 0..30).prop_map(Frame::Binary),
        ]
    }
}
