//! Engine.IO protocol 3 (servers of Socket.IO 1 and 2): payloads of long polling as text and as binary, binary packets,
//! as engine.io-parser 2 reads and writes them. What both versions share is in `engineio`.
//! Never here: sockets, clocks, what a session does with a packet.

use super::engineio::{self, Frame, Packet};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The type of a message in front of binary content.
pub const MESSAGE: u8 = 4;

/// Digits that a length may have.
const DIGITS: usize = 9;

/// One packet of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As text, for [`parse`].
    Text(&'a str),
    /// As binary, for [`content`].
    Binary(&'a [u8]),
}

/// Reads one packet that came as text.
pub fn parse(text: &str) -> Option<Packet<'_>> {
    match text.strip_prefix('b') {
        // the parser takes any type before the base64; nothing but messages makes sense there
        Some(rest) => Some(Packet::Binary(STANDARD.decode(rest.strip_prefix('4')?).ok()?)),
        None => engineio::parse(text),
    }
}

/// What a message holds that came as binary: all but the type in its first byte.
pub fn content(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [MESSAGE, rest @ ..] => Some(rest),
        _ => None,
    }
}

/// Whether an answer to the opening is of this version: `97:0{"sid":..`.
pub fn is_payload(payload: &[u8]) -> bool {
    let digits = payload.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && payload[digits..].starts_with(b":0{")
}

/// The packets of a payload: `LENGTH:packet` again and again, or their binary form, which begins with a byte 0 or 1.
pub fn packets(payload: &[u8]) -> Option<Vec<Piece<'_>>> {
    match payload.first() {
        Some(0 | 1) => binary_packets(payload),
        _ => text_packets(std::str::from_utf8(payload).ok()?),
    }
}

fn text_packets(mut rest: &str) -> Option<Vec<Piece<'_>>> {
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (digits, after) = rest.split_once(':')?;
        let at = end_of(after, number(digits.bytes().map(|byte| byte.wrapping_sub(b'0')))?)?;
        if at > 0 {
            all.push(Piece::Text(&after[..at]));
        }
        rest = &after[at..];
    }
    Some(all)
}

/// Where a text of `length` UTF-16 code units ends, which is how JavaScript counts.
fn end_of(text: &str, length: usize) -> Option<usize> {
    let mut units = 0;
    for (at, character) in text.char_indices() {
        if units >= length {
            return (units == length).then_some(at);
        }
        units += character.len_utf16();
    }
    (units == length).then_some(text.len())
}

/// Each packet is 0 (text) or 1 (binary), the digits of its length in bytes, 255, and the packet.
fn binary_packets(mut rest: &[u8]) -> Option<Vec<Piece<'_>>> {
    let mut all = Vec::new();
    while let [kind @ (0 | 1), after @ ..] = rest {
        let digits = after.iter().position(|byte| *byte == 255)?;
        let length = number(after[..digits].iter().copied())?;
        let packet = after.get(digits + 1..digits + 1 + length)?;
        all.push(match kind {
            0 => Piece::Text(std::str::from_utf8(packet).ok()?),
            _ => Piece::Binary(packet),
        });
        rest = &after[digits + 1 + length..];
    }
    rest.is_empty().then_some(all)
}

fn number(digits: impl ExactSizeIterator<Item = u8>) -> Option<usize> {
    if digits.len() == 0 || digits.len() > DIGITS {
        return None;
    }
    let mut value = 0;
    for digit in digits {
        if digit > 9 {
            return None;
        }
        value = value * 10 + usize::from(digit);
    }
    Some(value)
}

/// Appends one packet to a payload of the text form, binary ones as base64.
pub fn append(payload: &mut String, frame: &Frame) {
    use std::fmt::Write;
    match frame {
        Frame::Text(text) => {
            let units: usize = text.chars().map(char::len_utf16).sum();
            let _ = write!(payload, "{units}:{text}");
        }
        Frame::Binary(bytes) => {
            let _ = write!(payload, "{}:b{MESSAGE}", 2 + bytes.len().div_ceil(3) * 4);
            STANDARD.encode_string(bytes, payload);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn payloads_of_the_real_parser() {
        // made with engine.io-parser 2.2.1
        let open = r#"97:0{"sid":"x","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"pad":"12345678901"}2:40"#;
        let open = open.replacen("97", &(open.find('}').unwrap() - 2).to_string(), 1);
        let all = packets(open.as_bytes()).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[1], Piece::Text("40"));
        assert!(is_payload(open.as_bytes()));
        // a length counts UTF-16 code units: é is one, 😀 two
        assert_eq!(
            packets("5:4é😀a1:6".as_bytes()),
            Some(vec![Piece::Text("4é😀a"), Piece::Text("6")])
        );
        assert_eq!(packets(b"7:b4AQID"), None);
        assert_eq!(packets(b"6:b4AQI="), Some(vec![Piece::Text("b4AQI=")]));
        assert_eq!(parse("b4AQI="), Some(Packet::Binary(vec![1, 2])));
        assert_eq!(parse("b2AQI="), None);
        assert_eq!(packets(b"0:"), Some(vec![]));
        // [{message, "é"}, {message, Buffer 1 2 3}] as binary
        assert_eq!(
            packets(&[0, 3, 255, b'4', 0xc3, 0xa9, 1, 4, 255, 4, 1, 2, 3]),
            Some(vec![Piece::Text("4é"), Piece::Binary(&[4, 1, 2, 3])])
        );
        assert_eq!(content(&[4, 1, 2, 3]), Some(&[1, 2, 3][..]));
    }

    #[test]
    fn what_is_no_payload_is_refused() {
        for bad in [
            "x",
            ":",
            "1",
            "2:4",
            "-1:4",
            "1e1:40",
            "2:😀x",
            "1:😀",
            "1:62",
            "9999999999:4",
        ] {
            assert_eq!(packets(bad.as_bytes()), None, "{bad}");
        }
        for bad in [
            &[0][..],
            &[0, 255],
            &[0, 10, 255],
            &[1, 2, 255, 4],
            &[2, 1, 255, 4],
            &[0, 1, 255, b'6', 7],
        ] {
            assert_eq!(packets(bad), None, "{bad:?}");
        }
        assert!(!is_payload(br#"0{"sid":"a:b"}"#));
        assert!(!is_payload(b":0{"));
        assert_eq!(content(b""), None);
    }

    fn frame() -> impl Strategy<Value = Frame> {
        prop_oneof![
            "4[a-zé😀:0-9]{0,20}".prop_map(Frame::Text),
            prop::collection::vec(any::<u8>(), 0..30).prop_map(Frame::Binary),
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..11, Just(255u8), Just(b':'), b'0'..=b'9'], 0..60)) {
            let _ = is_payload(&bytes);
            for piece in packets(&bytes).unwrap_or_default() {
                match piece {
                    Piece::Text(text) => drop(parse(text)),
                    Piece::Binary(bytes) => { content(bytes); }
                }
            }
        }

        #[test]
        fn packets_come_back(all in prop::collection::vec(frame(), 0..20)) {
            let mut text = String::new();
            for frame in &all {
                append(&mut text, frame);
            }
            let back: Vec<Frame> = packets(text.as_bytes()).unwrap().into_iter().map(|piece| match piece {
                Piece::Text(text) => match parse(text).unwrap() {
                    Packet::Message(text) => Frame::Text(format!("4{text}")),
                    Packet::Binary(bytes) => Frame::Binary(bytes),
                    other => panic!("{other:?}"),
                },
                Piece::Binary(bytes) => panic!("{bytes:?}"),
            }).collect();
            prop_assert_eq!(back, all);
        }

        #[test]
        fn binary_payloads_come_back(all in prop::collection::vec(frame(), 1..20)) {
            let mut bytes = Vec::new();
            for frame in &all {
                let (kind, packet) = match frame {
                    Frame::Text(text) => (0, text.as_bytes().to_vec()),
                    Frame::Binary(content) => (1, [&[MESSAGE], &content[..]].concat()),
                };
                bytes.push(kind);
                bytes.extend(packet.len().to_string().bytes().map(|digit| digit - b'0'));
                bytes.push(255);
                bytes.extend(packet);
            }
            let back: Vec<Frame> = packets(&bytes).unwrap().into_iter().map(|piece| match piece {
                Piece::Text(text) => Frame::Text(text.to_owned()),
                Piece::Binary(bytes) => Frame::Binary(content(bytes).unwrap().to_vec()),
            }).collect();
            prop_assert_eq!(back, all);
        }
    }
}
