//! Owns: any text as a packet of Socket.IO. What is read is written, and read back as it was.
//! Must not: know what a session makes of packets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swarm_agent::codec::socketio::{Kind, ack, connect, disconnect, event, event_name, parse, refusal};

fuzz_target!(|text: &str| {
    let Some(packet) = parse(text) else { return };
    let _ = (event_name(packet.body), refusal(packet.body));
    let count = packet.attachments as usize;
    let again = match (packet.kind, packet.id) {
        // without an attachment these are written as their plain sisters
        (Kind::BinaryEvent | Kind::BinaryAck, _) if count == 0 => return,
        (Kind::Event | Kind::BinaryEvent, id) => event(packet.namespace, id, packet.body, count),
        (Kind::Ack | Kind::BinaryAck, Some(id)) => ack(packet.namespace, id, packet.body, count),
        // a body that begins as a namespace does would be one where the root has no name of its own
        (Kind::Connect, _) if !packet.body.starts_with('/') => connect(packet.namespace, Some(packet.body)),
        (Kind::Disconnect, _) if packet.body.is_empty() => disconnect(packet.namespace),
        _ => return,
    };
    assert_eq!(parse(&again[1..]), Some(packet), "{again}");
});
