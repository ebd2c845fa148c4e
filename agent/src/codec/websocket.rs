//! WebSocket frames (RFC 6455) from the client's side: masked frames out, an incremental reader of the server's frames,
//! the upgrade's key and its answer. Never here: sockets, clocks, randomness (keys and masks are handed in).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// What a message from the server may hold at most, unless told otherwise.
pub const MESSAGE_LIMIT: usize = 16 << 20;

/// Text frame.
pub const TEXT: u8 = 1;
/// Binary frame.
pub const BINARY: u8 = 2;
/// Close frame.
pub const CLOSE: u8 = 8;
/// Ping frame.
pub const PING: u8 = 9;
/// Pong frame.
pub const PONG: u8 = 10;

/// One whole message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Binary.
    Binary(Vec<u8>),
    /// Ping, to be answered with the same payload.
    Ping(Vec<u8>),
    /// Pong.
    Pong,
    /// Close with code and reason, when it carries them.
    Close(Option<(u16, String)>),
}

/// Why the server's bytes are no WebSocket frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation(pub &'static str);

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// Appends one masked, final frame.
pub fn encode(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: [u8; 4]) {
    out.reserve(payload.len() + 14);
    out.push(0x80 | opcode);
    match payload.len() {
        short @ 0..=125 => out.push(0x80 | short as u8),
        middle @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Appends a close frame; without a code it is empty.
pub fn encode_close(out: &mut Vec<u8>, code: Option<u16>, mask: [u8; 4]) {
    match code {
        Some(code) => encode(out, CLOSE, &code.to_be_bytes(), mask),
        None => encode(out, CLOSE, &[], mask),
    }
}

/// The key of an upgrade request from 16 random bytes.
pub fn key(random: [u8; 16]) -> String {
    STANDARD.encode(random)
}

/// What the server has to answer to this key.
pub fn accept(key: &str) -> String {
    let mut digest = Sha1::new();
    digest.update(key.as_bytes());
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest.finalize())
}

/// Reads the server's frames from bytes that may be cut anywhere. While no message is under way it holds no memory.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    header: [u8; 10],
    have: u8,
    /// Of the frame whose header is complete.
    opcode: u8,
    last: bool,
    left: u64,
    in_payload: bool,
    control: Vec<u8>,
    body: Vec<u8>,
    /// Opcode of the message under way, 0 for none.
    message: u8,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(MESSAGE_LIMIT)
    }
}

impl Decoder {
    /// A reader that refuses messages longer than `limit`.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            header: [0; 10],
            have: 0,
            opcode: 0,
            last: false,
            left: 0,
            in_payload: false,
            control: Vec::new(),
            body: Vec::new(),
            message: 0,
        }
    }

    /// Takes bytes off `input` until a message is whole; `None` when all of `input` is used up.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Violation> {
        loop {
            if !self.in_payload && !self.take_header(input)? {
                return Ok(None);
            }
            let take = input.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let (now, later) = input.split_at(take);
            if self.opcode >= CLOSE {
                self.control.extend_from_slice(now)
            } else {
                self.body.extend_from_slice(now)
            }
            *input = later;
            self.left -= take as u64;
            if self.left > 0 {
                return Ok(None);
            }
            self.in_payload = false;
            if let Some(message) = self.frame_ended()? {
                return Ok(Some(message));
            }
        }
    }

    /// Whether a frame or message has begun and not ended.
    pub fn midway(&self) -> bool {
        self.have > 0 || self.in_payload || self.message != 0
    }

    fn take_header(&mut self, input: &mut &[u8]) -> Result<bool, Violation> {
        loop {
            let wanted = if self.have < 2 { 2 } else { 2 + extended(self.header[1]) };
            if self.have >= wanted {
                break;
            }
            let Some((first, rest)) = input.split_first() else {
                return Ok(false);
            };
            self.header[usize::from(self.have)] = *first;
            self.have += 1;
            *input = rest;
            if self.have == 2 {
                self.check_start()?;
            }
        }
        let long = match self.have {
            2 => u64::from(self.header[1]),
            4 => u64::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            _ => u64::from_be_bytes(self.header[2..].try_into().expect("eight bytes after the first two")),
        };
        if (self.have == 4 && long < 126) || (self.have == 10 && long <= 0xffff) {
            return Err(Violation("a frame's length is not in its shortest form"));
        }
        if long > self.limit as u64 || (self.opcode < CLOSE && self.body.len() as u64 + long > self.limit as u64) {
            return Err(Violation("a message is too long"));
        }
        self.have = 0;
        self.left = long;
        self.in_payload = true;
        Ok(true)
    }

    fn check_start(&mut self) -> Result<(), Violation> {
        let (first, second) = (self.header[0], self.header[1]);
        self.last = first & 0x80 != 0;
        self.opcode = first & 0x0f;
        if first & 0x70 != 0 {
            return Err(Violation("a reserved bit is set"));
        }
        if second & 0x80 != 0 {
            return Err(Violation("the server's frame is masked"));
        }
        match self.opcode {
            0 if self.message == 0 => Err(Violation("a continuation without a beginning")),
            TEXT | BINARY if self.message != 0 => Err(Violation("a message begins inside another")),
            TEXT | BINARY => {
                self.message = self.opcode;
                Ok(())
            }
            0 => Ok(()),
            CLOSE | PING | PONG if !self.last || second > 125 => Err(Violation("a control frame is long or in pieces")),
            CLOSE | PING | PONG => Ok(()),
            _ => Err(Violation("a reserved opcode")),
        }
    }

    fn frame_ended(&mut self) -> Result<Option<Message>, Violation> {
        match self.opcode {
            PING => return Ok(Some(Message::Ping(std::mem::take(&mut self.control)))),
            PONG => {
                self.control = Vec::new();
                return Ok(Some(Message::Pong));
            }
            CLOSE => return close(std::mem::take(&mut self.control)).map(Some),
            _ if !self.last => return Ok(None),
            _ => {}
        }
        let body = std::mem::take(&mut self.body);
        match std::mem::take(&mut self.message) {
            TEXT => match String::from_utf8(body) {
                Ok(text) => Ok(Some(Message::Text(text))),
                Err(_) => Err(Violation("a text is not UTF-8")),
            },
            _ => Ok(Some(Message::Binary(body))),
        }
    }
}

fn extended(second: u8) -> u8 {
    match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

fn close(payload: Vec<u8>) -> Result<Message, Violation> {
    let [high, low, reason @ ..] = payload.as_slice() else {
        return if payload.is_empty() {
            Ok(Message::Close(None))
        } else {
            Err(Violation("a close frame of one byte"))
        };
    };
    let code = u16::from_be_bytes([*high, *low]);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation("an invalid close code"));
    }
    match std::str::from_utf8(reason) {
        Ok(reason) => Ok(Message::Close(Some((code, reason.to_owned())))),
        Err(_) => Err(Violation("a close reason is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Server frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            n @ 0..=125 => out.push(n as u8),
            n @ 126..=0xffff => {
                out.push(126);
                out.extend((n as u16).to_be_bytes());
            }
            n => {
                out.push(127);
                out.extend((n as u64).to_be_bytes());
            }
        }
        out.extend(payload);
        out
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<Message>, Violation> {
        let mut decoder = Decoder::default();
        let mut seen = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(message) = decoder.next(&mut input)? {
                seen.push(message);
            }
        }
        Ok(seen)
    }

    #[test]
    fn the_key_of_the_rfc_is_answered_as_the_rfc_says() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(key(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
    }

    #[test]
    fn the_masked_hello_of_the_rfc() {
        let mut out = Vec::new();
        encode(&mut out, TEXT, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn fragments_join_and_control_frames_pass_between() {
        let bytes = [
            frame(1, b"Hel"),
            frame(0x89, b"p"),
            frame(0, b"l"),
            frame(0x80, b"o"),
            frame(0x8a, b""),
            frame(0x88, b"\x0f\xa1bye"),
        ]
        .concat();
        let wanted = [
            Message::Ping(b"p".to_vec()),
            Message::Text("Hello".into()),
            Message::Pong,
            Message::Close(Some((4001, "bye".into()))),
        ];
        assert_eq!(read(&[&bytes]).unwrap(), wanted);
    }

    #[test]
    fn what_the_protocol_forbids_is_named() {
        let cases: &[(&[u8], &str)] = &[
            (&[0x81, 0x80], "masked"),
            (&[0xc1, 0], "reserved bit"),
            (&[0x83, 0], "reserved opcode"),
            (&[0x8b, 0], "reserved opcode"),
            (&[0x80, 0], "continuation"),
            (&[0x01, 0, 0x81, 0], "inside another"),
            (&[0x09, 0], "control frame"),
            (&[0x89, 126], "control frame"),
            (&[0x81, 126, 0, 5], "shortest"),
            (&[0x82, 127, 0, 0, 0, 0, 0, 0, 1, 0], "shortest"),
            (&[0x82, 127, 0xff, 0, 0, 0, 0, 0, 1, 0], "too long"),
            (&[0x81, 1, 0xff], "UTF-8"),
            (&[0x88, 1, 3], "one byte"),
            (&[0x88, 2, 0x03, 0xed], "close code"),
            (&[0x88, 2, 0x03, 0xe7], "close code"),
            (&[0x88, 3, 0x03, 0xe8, 0xff], "UTF-8"),
        ];
        for (bytes, word) in cases {
            let violation = read(&[bytes]).unwrap_err();
            assert!(violation.0.contains(word), "{bytes:x?}: {violation}");
        }
    }

    #[test]
    fn fragments_together_obey_the_limit() {
        let mut decoder = Decoder::new(8);
        let bytes = [frame(2, b"12345"), frame(0x80, b"6789")].concat();
        assert_eq!(
            decoder.next(&mut bytes.as_slice()),
            Err(Violation("a message is too long"))
        );
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&[&bytes]);
        }

        #[test]
        fn a_cut_anywhere_changes_nothing(
            messages in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..300), any::<bool>()), 1..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut bytes = Vec::new();
            for (ping, body, split) in &messages {
                if *split {
                    let (a, b) = body.split_at(body.len() / 2);
                    bytes.extend(frame(2, a));
                    if *ping { bytes.extend(frame(0x89, b"x")); }
                    bytes.extend(frame(0x80, b));
                } else {
                    bytes.extend(frame(0x82, body));
                }
            }
            let whole = read(&[&bytes]).unwrap();
            let mut at: Vec<usize> = cuts.iter().map(|i| i.index(bytes.len())).collect();
            at.push(0);
            at.push(bytes.len());
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(&read(&pieces).unwrap(), &whole);
            let bodies: Vec<_> = whole.iter().filter_map(|m| match m { Message::Binary(b) => Some(b.clone()), _ => None }).collect();
            prop_assert_eq!(bodies, messages.iter().map(|m| m.1.clone()).collect::<Vec<_>>());
        }

        #[test]
        fn tungstenite_reads_our_control_frames(payload in prop::collection::vec(any::<u8>(), 0..=125), code in prop::option::of(3000u16..5000), mask in any::<[u8; 4]>()) {
            use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};
            use tokio_tungstenite::tungstenite::Message as Theirs;
            let mut ours = Vec::new();
            encode(&mut ours, PING, &payload, mask);
            encode(&mut ours, PONG, &payload, mask);
            encode_close(&mut ours, code, mask);
            let mut server = WebSocket::from_raw_socket(std::io::Cursor::new(ours), Role::Server, None);
            prop_assert_eq!(server.read().unwrap(), Theirs::Ping(payload.clone().into()));
            prop_assert_eq!(server.read().unwrap(), Theirs::Pong(payload.into()));
            match server.read().unwrap() {
                Theirs::Close(frame) => prop_assert_eq!(frame.map(|frame| u16::from(frame.code)), code),
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn tungstenite_reads_what_we_write_and_we_read_what_it_writes(text in ".{0,300}", long in 0usize..70_000, mask in any::<[u8; 4]>()) {
            use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};
            use tokio_tungstenite::tungstenite::Message as Theirs;
            let mut ours = Vec::new();
            encode(&mut ours, TEXT, text.as_bytes(), mask);
            encode(&mut ours, BINARY, &vec![7; long], mask);
            let mut server = WebSocket::from_raw_socket(std::io::Cursor::new(ours), Role::Server, None);
            prop_assert_eq!(server.read().unwrap(), Theirs::text(text.clone()));
            prop_assert_eq!(server.read().unwrap(), Theirs::binary(vec![7; long]));

            let mut server = WebSocket::from_raw_socket(std::io::Cursor::new(Vec::new()), Role::Server, None);
            server.send(Theirs::text(text.clone())).unwrap();
            server.send(Theirs::binary(vec![9; long])).unwrap();
            let bytes = server.get_ref().get_ref().clone();
            prop_assert_eq!(read(&[&bytes]).unwrap(), vec![Message::Text(text), Message::Binary(vec![9; long])]);
        }
    }
}
