//! Frames: how messages are cut, queued and put together again on one byte stream.
//!
//! A frame is `u32 length (big endian) | u8 kind | payload`, the length counting kind and payload. Control frames hold a
//! whole message and go before queued data; data messages travel as chunks of at most [`CHUNK`] bytes, so that a ping
//! never waits behind a report for long. Pure: bytes in, bytes out. Never here: sockets, clocks.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;

/// The most payload bytes that one frame carries.
pub const CHUNK: usize = 16 * 1024;
/// The most bytes that one message may have, put together from its chunks.
pub const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;

const HEADER: usize = 5;
const CONTROL: u8 = 0;
const DATA_PART: u8 = 1;
const DATA_LAST: u8 = 2;

/// What a peer sent that is no frame of ours. The link is of no use afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// A frame's length field was 0 or passed the chunk size.
    Length(u32),
    /// A kind that this version does not know.
    Kind(u8),
    /// A message grew past [`MESSAGE_LIMIT`].
    TooLong,
    /// The bytes are no message of ours.
    Content(String),
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Length(n) => write!(f, "a frame of {n} bytes is outside the limits"),
            Self::Kind(k) => write!(f, "a frame of unknown kind {k}"),
            Self::TooLong => write!(f, "a message of more than {MESSAGE_LIMIT} bytes"),
            Self::Content(why) => write!(f, "a message that cannot be read: {why}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Messages on their way out. Control goes first; data goes chunk by chunk.
#[derive(Debug, Default)]
pub struct Outbox {
    control: VecDeque<Vec<u8>>,
    data: VecDeque<Vec<u8>>,
}

impl Outbox {
    /// Queues a small message that must not wait: pings, pongs, start, drain.
    pub fn control<M: Serialize>(&mut self, message: &M) -> Result<(), FrameError> {
        let bytes = encode(message)?;
        if bytes.len() > CHUNK {
            return Err(FrameError::TooLong);
        }
        self.control.push_back(framed(CONTROL, &bytes));
        Ok(())
    }

    /// Queues a message of any size, cut into chunks.
    pub fn data<M: Serialize>(&mut self, message: &M) -> Result<(), FrameError> {
        let bytes = encode(message)?;
        if bytes.len() > MESSAGE_LIMIT {
            return Err(FrameError::TooLong);
        }
        let chunks = bytes.chunks(CHUNK);
        let last = chunks.len().saturating_sub(1);
        for (index, chunk) in chunks.enumerate() {
            let kind = if index == last { DATA_LAST } else { DATA_PART };
            self.data.push_back(framed(kind, chunk));
        }
        Ok(())
    }

    /// The next frame to write, control before data.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        self.control.pop_front().or_else(|| self.data.pop_front())
    }

    /// Whether nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.control.is_empty() && self.data.is_empty()
    }
}

/// Bytes that came in, cut into messages.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    read: usize,
    parts: Vec<u8>,
}

impl Inbox {
    /// Takes what was read from the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.read == self.bytes.len() {
            self.bytes.clear();
            self.read = 0;
        } else if self.read > 4 * CHUNK {
            self.bytes.drain(..self.read);
            self.read = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message, or `None` until more bytes have come.
    pub fn next_message<M: DeserializeOwned>(&mut self) -> Result<Option<M>, FrameError> {
        loop {
            let waiting = &self.bytes[self.read..];
            if waiting.len() < HEADER {
                return Ok(None);
            }
            let length = u32::from_be_bytes([waiting[0], waiting[1], waiting[2], waiting[3]]);
            if length == 0 || length as usize > CHUNK + 1 {
                return Err(FrameError::Length(length));
            }
            let end = 4 + length as usize;
            if waiting.len() < end {
                return Ok(None);
            }
            let kind = waiting[4];
            let payload = &waiting[HEADER..end];
            self.read += end;
            match kind {
                CONTROL => return decode(payload).map(Some),
                DATA_PART | DATA_LAST => {
                    if self.parts.len() + payload.len() > MESSAGE_LIMIT {
                        return Err(FrameError::TooLong);
                    }
                    self.parts.extend_from_slice(payload);
                    if kind == DATA_LAST {
                        let whole = std::mem::take(&mut self.parts);
                        return decode(&whole).map(Some);
                    }
                }
                other => return Err(FrameError::Kind(other)),
            }
        }
    }
}

fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, FrameError> {
    postcard::to_stdvec(message).map_err(|error| FrameError::Content(error.to_string()))
}

fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, FrameError> {
    postcard::from_bytes(bytes).map_err(|error| FrameError::Content(error.to_string()))
}

fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 1).expect("a chunk's length fits 32 bits");
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.push(kind);
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream_of(outbox: &mut Outbox) -> Vec<u8> {
        std::iter::from_fn(|| outbox.next_frame()).flatten().collect()
    }

    #[test]
    fn control_goes_before_data_that_was_queued_first() {
        let mut outbox = Outbox::default();
        outbox.data(&vec![7u8; 3 * CHUNK]).unwrap();
        let first = outbox.next_frame().unwrap();
        outbox.control(&42u32).unwrap();
        let mut bytes = first;
        bytes.extend(stream_of(&mut outbox));
        let mut inbox = Inbox::default();
        inbox.feed(&bytes);
        assert_eq!(inbox.next_message::<u32>(), Ok(Some(42)));
        assert_eq!(inbox.next_message::<Vec<u8>>(), Ok(Some(vec![7u8; 3 * CHUNK])));
    }

    #[test]
    fn a_length_outside_the_limits_is_refused() {
        let mut inbox = Inbox::default();
        inbox.feed(&[0, 0, 0, 0, 0]);
        assert_eq!(inbox.next_message::<u32>(), Err(FrameError::Length(0)));
        let mut inbox = Inbox::default();
        inbox.feed(&[0xff, 0xff, 0xff, 0xff, 0]);
        assert_eq!(inbox.next_message::<u32>(), Err(FrameError::Length(u32::MAX)));
    }

    proptest! {
        #[test]
        fn messages_survive_any_cutting(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40_000), 1..6), cut in 1usize..5000) {
            let mut outbox = Outbox::default();
            for message in &messages {
                outbox.data(message).unwrap();
            }
            let stream = stream_of(&mut outbox);
            let mut inbox = Inbox::default();
            let mut got = Vec::new();
            for piece in stream.chunks(cut) {
                inbox.feed(piece);
                while let Some(message) = inbox.next_message::<Vec<u8>>().unwrap() {
                    got.push(message);
                }
            }
            prop_assert_eq!(got, messages);
        }

        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut inbox = Inbox::default();
            inbox.feed(&bytes);
            while let Ok(Some(_)) = inbox.next_message::<Vec<u8>>() {}
        }
    }
}
