//! The body of an answer, fed piece by piece: finds its end, counts it, keeps its beginning. Never here: heads, sockets.

use super::{Framing, Malformed};

/// Bytes of chunk extensions or trailers at most.
const OVERHEAD_LIMIT: u32 = 64 * 1024;

/// Reads one body.
#[derive(Debug, Clone)]
pub struct BodyReader {
    state: State,
    read: u64,
    overhead: u32,
}

/// What a piece of bytes brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Bytes that belong to this body, its framing included.
    pub used: usize,
    /// The body is whole.
    pub done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    Size { size: u64, digits: u8 },
    Extension(u64),
    SizeEnd(u64),
    Chunk(u64),
    ChunkCr,
    ChunkLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
}

impl BodyReader {
    /// A reader for a body of this framing.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size { size: 0, digits: 0 },
            Framing::UntilClose => State::UntilClose,
        };
        Self {
            state,
            read: 0,
            overhead: 0,
        }
    }

    /// Bytes of the body itself so far.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Whether the body is whole.
    pub fn done(&self) -> bool {
        self.state == State::Done
    }

    /// The server closed: fine where this is how the body ends.
    pub fn closed(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// Takes the next bytes. The body's beginning is kept in `kept` until it holds `limit` bytes.
    pub fn feed(&mut self, bytes: &[u8], kept: &mut Vec<u8>, limit: usize) -> Result<Step, Malformed> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            let rest = &bytes[at..];
            match self.state {
                State::Length(left) => {
                    let took = self.content(rest, left, kept, limit);
                    let left = left - took as u64;
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                    at += took;
                }
                State::Chunk(left) => {
                    let took = self.content(rest, left, kept, limit);
                    let left = left - took as u64;
                    self.state = if left == 0 { State::ChunkCr } else { State::Chunk(left) };
                    at += took;
                }
                State::UntilClose => at += self.content(rest, u64::MAX, kept, limit),
                _ => {
                    self.state = self.framing_byte(rest[0])?;
                    at += 1;
                }
            }
        }
        Ok(Step {
            used: at,
            done: self.done(),
        })
    }

    fn content(&mut self, bytes: &[u8], left: u64, kept: &mut Vec<u8>, limit: usize) -> usize {
        let took = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let room = limit.saturating_sub(kept.len()).min(took);
        kept.extend_from_slice(&bytes[..room]);
        self.read += took as u64;
        took
    }

    fn framing_byte(&mut self, byte: u8) -> Result<State, Malformed> {
        const BAD: Malformed = Malformed("bad chunked encoding");
        if matches!(self.state, State::Extension(_) | State::Trailer) {
            self.overhead += 1;
            if self.overhead > OVERHEAD_LIMIT {
                return Err(Malformed("chunk extensions or trailers larger than 64 KiB"));
            }
        }
        Ok(match (self.state, byte) {
            (State::Size { size, digits: 1.. }, b'\r') => State::SizeEnd(size),
            (State::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => State::Extension(size),
            (State::Size { size, digits: 0..15 }, _) => {
                let digit = (byte as char).to_digit(16).ok_or(BAD)?;
                let State::Size { digits, .. } = self.state else {
                    return Err(BAD);
                };
                State::Size {
                    size: size * 16 + u64::from(digit),
                    digits: digits + 1,
                }
            }
            (State::Extension(size), b'\r') => State::SizeEnd(size),
            (State::Extension(_), b'\n') => return Err(BAD),
            (State::Extension(size), _) => State::Extension(size),
            (State::SizeEnd(0), b'\n') => State::TrailerStart,
            (State::SizeEnd(size), b'\n') => State::Chunk(size),
            (State::ChunkCr, b'\r') => State::ChunkLf,
            (State::ChunkLf, b'\n') => State::Size { size: 0, digits: 0 },
            (State::TrailerStart, b'\r') => State::LastLf,
            (State::TrailerStart | State::Trailer, b'\n') => return Err(BAD),
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerStart | State::Trailer, _) => State::Trailer,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::LastLf, b'\n') => State::Done,
            _ => return Err(BAD),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    type Whole = (Result<bool, Malformed>, usize, u64, Vec<u8>);

    fn feed(framing: Framing, pieces: &[&[u8]]) -> Whole {
        let (mut reader, mut kept, mut used) = (BodyReader::new(framing), Vec::new(), 0);
        for piece in pieces {
            match reader.feed(piece, &mut kept, 512) {
                Ok(step) => used += step.used,
                Err(error) => return (Err(error), 0, 0, Vec::new()),
            }
        }
        (Ok(reader.done()), used, reader.read(), kept)
    }

    #[test]
    fn chunks_are_counted_and_what_follows_is_left() {
        let text = b"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\nNEXT";
        let (done, used, read, kept) = feed(Framing::Chunked, &[text]);
        assert_eq!(
            (done, used, read, kept),
            (Ok(true), text.len() - 4, 6, b"hello!".to_vec())
        );
    }

    #[test]
    fn bad_chunks_are_refused() {
        for text in [
            "\r\n",
            "g\r\n",
            "5\nhello",
            "5\r\nhelloX",
            "-1\r\n",
            "1000000000000000\r\n",
            "5\r\nhello\n0\r\n",
            "0\r\n\n",
        ] {
            assert!(feed(Framing::Chunked, &[text.as_bytes()]).0.is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..6), cuts in prop::collection::vec(0usize..2000, 0..12), noise in prop::option::of((0usize..2000, any::<u8>()))) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend(format!("{:x}\r\n", chunk.len()).bytes());
                text.extend(chunk);
                text.extend(b"\r\n");
            }
            text.extend(b"0\r\n\r\nrest");
            if let Some((at, byte)) = noise {
                let at = at % text.len();
                text[at] = byte;
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c % text.len()).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            for framing in [Framing::Chunked, Framing::Length(100), Framing::UntilClose, Framing::Empty] {
                prop_assert_eq!(feed(framing, &pieces), feed(framing, &[&text]));
            }
            if noise.is_none() {
                prop_assert_eq!(feed(Framing::Chunked, &pieces).2, chunks.iter().map(Vec::len).sum::<usize>() as u64);
            }
        }
    }
}
