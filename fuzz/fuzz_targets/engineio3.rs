//! Owns: any bytes as a payload of Engine.IO 3. What is read and can be written is read back as it was.
//! Must not: know what a session makes of packets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swarm_agent::codec::engineio::{Frame, Packet};
use swarm_agent::codec::engineio3::{Piece, append, content, is_payload, packets, parse};

fn frames(payload: &[u8]) -> Option<Vec<Frame>> {
    let read = |piece: Piece<'_>| match piece {
        Piece::Text(text) => match parse(text)? {
            Packet::Binary(bytes) => Some(Frame::Binary(bytes)),
            _ => Some(Frame::Text(text.to_owned())),
        },
        Piece::Binary(bytes) => content(bytes).map(|bytes| Frame::Binary(bytes.to_vec())),
    };
    packets(payload)?.into_iter().map(read).collect()
}

fuzz_target!(|payload: &[u8]| {
    let _ = is_payload(payload);
    let Some(all) = frames(payload) else { return };
    let mut text = String::new();
    for frame in &all {
        append(&mut text, frame);
    }
    assert_eq!(frames(text.as_bytes()), Some(all));
});
