//! Owns: any text as a payload of Engine.IO 4, as a handshake and as a refusal. What is read is read back as it was.
//! Must not: know what a session makes of packets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swarm_agent::codec::engineio::{Frame, Handshake, Packet, Refusal, append, length, packets, parse};

fn frames(payload: &str) -> Option<Vec<Frame>> {
    packets(payload)
        .map(|packet| match parse(packet)? {
            Packet::Binary(bytes) => Some(Frame::Binary(bytes)),
            _ => Some(Frame::Text(packet.to_owned())),
        })
        .collect()
}

fuzz_target!(|payload: &str| {
    let _ = (Handshake::parse(payload), Refusal::parse(payload.as_bytes()));
    let Some(all) = frames(payload) else { return };
    let mut text = String::new();
    for frame in &all {
        append(&mut text, frame);
    }
    let sum: usize = all.iter().map(length).sum();
    assert_eq!(text.len(), sum + all.len() - 1);
    assert_eq!(frames(&text), Some(all));
});
