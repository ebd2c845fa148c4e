//! What waits to be sent, in order, and how much of it fits into one payload. Pure.

use crate::codec::engineio::{self, Frame};
use crate::codec::engineio3;
use crate::wire::share::Version;
use std::collections::VecDeque;

/// One packet that waits.
#[derive(Debug)]
pub struct Waiting {
    /// The packet.
    pub frame: Frame,
    /// With it an emit or a raw message is written.
    pub ends_emit: bool,
}

impl Waiting {
    /// A packet of the protocol's own.
    pub fn own(text: impl Into<String>) -> Self {
        Self {
            frame: Frame::Text(text.into()),
            ends_emit: false,
        }
    }
}

/// The packets of an emit (`counts`) or an answer: its text and what is attached to it.
pub fn sequence(text: String, attachments: &[Vec<u8>], counts: bool) -> impl Iterator<Item = Waiting> {
    let last = attachments.len();
    std::iter::once(Frame::Text(text))
        .chain(attachments.iter().cloned().map(Frame::Binary))
        .enumerate()
        .map(move |(at, frame)| Waiting {
            frame,
            ends_emit: counts && at == last,
        })
}

/// Takes packets off the front into one payload of at most `limit` bytes, one packet at least; says how many emits
/// end in it.
pub fn payload(queue: &mut VecDeque<Waiting>, version: Version, limit: Option<usize>) -> (String, u32) {
    let mut out = String::new();
    let mut emits = 0;
    let mut first = true;
    while let Some(next) = queue.front() {
        let fits = limit.is_none_or(|limit| out.len() + 1 + engineio::length(&next.frame) <= limit);
        if !(std::mem::take(&mut first) || fits) {
            break;
        }
        match version {
            Version::Four => engineio::append(&mut out, &next.frame),
            Version::Three => engineio3::append(&mut out, &next.frame),
        }
        emits += u32::from(next.ends_emit);
        queue.pop_front();
    }
    (out, emits)
}

/// The packet as one message of a WebSocket: version 3 puts the type in front of binary content.
pub fn message(frame: Frame, version: Version) -> Frame {
    match (frame, version) {
        (Frame::Binary(mut bytes), Version::Three) => {
            bytes.insert(0, engineio3::MESSAGE);
            Frame::Binary(bytes)
        }
        (frame, _) => frame,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn payloads_hold_every_packet_once_in_order(all in prop::collection::vec("4[a-z]{0,20}", 1..20), limit in 1usize..60) {
            let mut queue: VecDeque<Waiting> = all.iter().cloned().map(Waiting::own).collect();
            let mut seen = Vec::new();
            while !queue.is_empty() {
                let (text, emits) = payload(&mut queue, Version::Four, Some(limit));
                let inside: Vec<_> = engineio::packets(&text).map(str::to_owned).collect();
                prop_assert!(text.len() <= limit || inside.len() == 1);
                prop_assert_eq!(emits, 0);
                seen.extend(inside);
            }
            prop_assert_eq!(seen, all);
        }
    }

    #[test]
    fn an_emit_ends_with_its_last_attachment() {
        let mut queue: VecDeque<Waiting> = sequence("451-[1]".into(), &[vec![1]], true).collect();
        assert_eq!(payload(&mut queue, Version::Three, Some(3)), ("7:451-[1]".into(), 0));
        assert_eq!(payload(&mut queue, Version::Three, None), ("6:b4AQ==".into(), 1));
        assert_eq!(
            message(Frame::Binary(vec![1]), Version::Three),
            Frame::Binary(vec![4, 1])
        );
    }
}
