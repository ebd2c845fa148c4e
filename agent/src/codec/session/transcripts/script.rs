//! A transcript as lines with a meaning. Never here: the machine.
#![allow(clippy::unwrap_used)]

use super::super::Layer;
use crate::codec::engineio::{self, Frame, Packet};
use crate::codec::engineio3::{self, Piece};
use crate::wire::share::{Carrier, Version};
use serde_json::Value;

/// One conversation.
pub struct Script {
    pub name: String,
    pub version: Version,
    pub carrier: Carrier,
    pub layer: Layer,
    /// What version 4 sends with each CONNECT, as the server was told it.
    pub auth: Option<String>,
    pub lines: Vec<Line>,
}

/// What a line tells.
#[derive(Debug, Clone)]
pub enum Line {
    /// The client polls, opens a WebSocket, or closes it: nothing that is compared by itself.
    Asks,
    /// The client posts these packets.
    Posts(Vec<Frame>),
    /// The client sends a message of a WebSocket.
    Sends(Frame),
    /// The GET is answered.
    Polled(u16, Vec<u8>),
    /// The POST is answered.
    Posted(u16, Vec<u8>),
    /// The answer to a GET or POST never came.
    Cut,
    SocketOpen,
    Text(String),
    Binary(Vec<u8>),
    /// The server's close frame, the end of the connection, or bytes that are no frame.
    SocketLost,
    /// The client's application, in a namespace.
    App(String, String, Vec<Value>),
    /// The server's application.
    Server,
}

impl Script {
    pub fn parse(folder: &str, name: &str, text: &str) -> Self {
        let version = if matches!(folder, "v2" | "eio3") {
            Version::Three
        } else {
            Version::Four
        };
        let layer = if folder.starts_with("eio") {
            Layer::Raw
        } else {
            Layer::Socketio
        };
        let carrier = match name.trim_end_matches("-octet") {
            name if name.ends_with("-polling") => Carrier::Polling,
            name if name.ends_with("-websocket") => Carrier::Websocket,
            _ => Carrier::Upgrade,
        };
        let told = text
            .lines()
            .find_map(|line| line.strip_prefix("= server was told "))
            .map(|json| serde_json::from_str::<Vec<Value>>(json).unwrap()[0].to_string());
        Self {
            name: name.to_owned(),
            version,
            carrier,
            layer,
            auth: told.filter(|_| version == Version::Four),
            lines: text
                .lines()
                .filter(|line| !line.starts_with('#'))
                .map(|line| parse(line, version))
                .collect(),
        }
    }
}

fn parse(line: &str, version: Version) -> Line {
    let (side, rest) = line.split_once(' ').unwrap();
    if side == "=" {
        return application(rest);
    }
    let words: Vec<&str> = rest.splitn(3, ' ').collect();
    match (side, words[0], words[1]) {
        (_, "GET" | "POST", "cut") => Line::Cut,
        (">", "POST", "polling") => {
            let (_query, body) = words[2].split_once(' ').unwrap();
            Line::Posts(packets(&content(body), version))
        }
        ("<", "GET", status) => Line::Polled(status.parse().unwrap(), content(words[2])),
        ("<", "POST", status) => Line::Posted(status.parse().unwrap(), content(words[2])),
        ("<", "WS", "101") => Line::SocketOpen,
        ("<", "WS", "close" | "end" | "raw") => Line::SocketLost,
        ("<", "WS", "text") => Line::Text(plain(words.get(2).unwrap_or(&""))),
        ("<", "WS", "binary") => Line::Binary(hex(words.get(2).unwrap_or(&""))),
        (">", "WS", "text") => Line::Sends(Frame::Text(plain(words.get(2).unwrap_or(&"")))),
        (">", "WS", "binary") => {
            let bytes = hex(words.get(2).unwrap_or(&""));
            Line::Sends(Frame::Binary(match version {
                Version::Four => bytes,
                Version::Three => engineio3::content(&bytes).unwrap().to_vec(),
            }))
        }
        (">", "GET" | "WS", _) => Line::Asks,
        _ => panic!("a line that says nothing known: {line}"),
    }
}

/// `client/chat emit ["event",1]`.
fn application(rest: &str) -> Line {
    let (words, arguments) = rest
        .find(" [")
        .map_or((rest, "[]"), |at| (&rest[..at], &rest[at + 1..]));
    let (who, what) = words.split_once(' ').unwrap();
    let Some(space) = who.strip_prefix("client") else {
        return Line::Server;
    };
    let space = if space.is_empty() { "/" } else { space };
    let arguments = serde_json::from_str(arguments).unwrap_or_default();
    Line::App(space.to_owned(), what.to_owned(), arguments)
}

/// `empty`, `text PAYLOAD` or `binary HEX`.
fn content(body: &str) -> Vec<u8> {
    match body.split_once(' ') {
        Some(("text", payload)) => plain(payload).into_bytes(),
        Some(("binary", digits)) => hex(digits),
        _ => Vec::new(),
    }
}

/// The characters that the transcript writes as `\xNN`.
fn plain(text: &str) -> String {
    let mut parts = text.split("\\x");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        out.push(char::from(u8::from_str_radix(&part[..2], 16).unwrap()));
        out.push_str(&part[2..]);
    }
    out
}

pub fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

/// The packets of a payload. What a client posted as text must be what our own encoder makes of them.
pub fn packets(payload: &[u8], version: Version) -> Vec<Frame> {
    let text = |text: &str, packet: Option<Packet<'_>>| match packet.unwrap() {
        Packet::Binary(bytes) => Frame::Binary(bytes),
        _ => Frame::Text(text.to_owned()),
    };
    let mut again = String::new();
    let mut as_text = true;
    let all: Vec<Frame> = match version {
        Version::Four => engineio::packets(std::str::from_utf8(payload).unwrap())
            .map(|packet| text(packet, engineio::parse(packet)))
            .inspect(|frame| engineio::append(&mut again, frame))
            .collect(),
        Version::Three => engineio3::packets(payload)
            .unwrap()
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(packet) => text(packet, engineio3::parse(packet)),
                Piece::Binary(bytes) => Frame::Binary(engineio3::content(bytes).unwrap().to_vec()),
            })
            .inspect(|frame| engineio3::append(&mut again, frame))
            .collect(),
    };
    as_text &= !matches!(payload.first(), Some(0 | 1));
    assert!(
        !as_text || again.as_bytes() == payload,
        "posted {:?}, our encoder makes {again:?}",
        String::from_utf8_lossy(payload)
    );
    all
}
