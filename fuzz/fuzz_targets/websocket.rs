//! Owns: any bytes as frames of a WebSocket's server, whole and cut anywhere; and what we write, unmasked, read back.
//! Must not: touch a socket.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use swarm_agent::codec::websocket::{BINARY, Decoder, Message, Violation, encode};

/// Small, so that what goes past it is found.
const LIMIT: usize = 4096;

#[derive(Debug, Arbitrary)]
struct Bytes<'a> {
    cuts: Vec<u8>,
    mask: [u8; 4],
    bytes: &'a [u8],
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Message>, Option<Violation>) {
    let mut decoder = Decoder::new(LIMIT);
    let mut seen = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(message)) => seen.push(message),
                Ok(None) => break,
                Err(violation) => return (seen, Some(violation)),
            }
        }
        assert!(piece.is_empty(), "bytes were left that nobody asked for");
    }
    (seen, None)
}

fuzz_target!(|input: Bytes<'_>| {
    let whole = read(std::iter::once(input.bytes));
    for message in &whole.0 {
        let length = match message {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
            Message::Ping(bytes) => bytes.len(),
            Message::Pong | Message::Close(_) => 0,
        };
        assert!(length <= LIMIT);
    }
    let (mut rest, mut pieces) = (input.bytes, Vec::new());
    for cut in &input.cuts {
        let (piece, after) = rest.split_at(usize::from(*cut).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    assert_eq!(read(pieces.into_iter()), whole, "a cut changed something");

    let mut ours = Vec::new();
    encode(&mut ours, BINARY, input.bytes, input.mask);
    let mut payload = ours.split_off(ours.len() - input.bytes.len());
    for (byte, key) in payload.iter_mut().zip(input.mask.iter().cycle()) {
        *byte ^= key;
    }
    // as a server would send it: without the mask and its flag
    ours.truncate(ours.len() - 4);
    ours[1] &= 0x7f;
    ours.extend(payload);
    if input.bytes.len() <= LIMIT {
        let wanted = vec![Message::Binary(input.bytes.to_vec())];
        assert_eq!(read(std::iter::once(&ours[..])), (wanted, None));
    }
});
