//! A conversation with a script in a shell: reads its answers among whatever else is printed, and never a byte too many.
//! Never here: what the answers mean.

use crate::transport::Stream;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// The most bytes that may stand before the next answer.
const NOISE_LIMIT: usize = 1024 * 1024;
/// The most bytes of standard error that are kept for a message.
const ERRORS_KEPT: usize = 2048;

/// Why there is no further answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The time is over.
    Slow,
    /// The stream ended, or holds nothing but noise.
    Ended,
}

/// Whether a nonce can stand in a script as it is.
pub fn is_nonce(nonce: &str) -> bool {
    (8..=64).contains(&nonce.len()) && nonce.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// A shell's streams while its answers are read.
pub struct Dialogue {
    stream: Stream,
    prefix: Vec<u8>,
    /// Read and not yet looked at.
    ahead: Vec<u8>,
    /// The first line that was no answer and not empty.
    noise: Option<Vec<u8>>,
    errors: Vec<u8>,
    errors_ended: bool,
}

impl Dialogue {
    /// Answers are lines that begin with this word and the nonce.
    pub fn new(stream: Stream, word: &str, nonce: &str) -> Self {
        let prefix = format!("{word} {nonce} ").into_bytes();
        Self {
            stream,
            prefix,
            ahead: Vec::new(),
            noise: None,
            errors: Vec::new(),
            errors_ended: false,
        }
    }

    /// The streams, standing after the last answer.
    pub fn into_stream(self) -> Stream {
        self.stream.unread(self.ahead)
    }

    /// Writes all of it, while standard error is still read: who fills that pipe reads no input. A far end that takes
    /// no more is no error here: what it said last is worth more, and the next answer is either there or is not.
    pub async fn send(&mut self, bytes: &[u8], limit: Duration) -> Result<(), Stopped> {
        let Stream { input, errors, .. } = &mut self.stream;
        let writing = async {
            input.write_all(bytes).await?;
            input.flush().await
        };
        let mut writing = std::pin::pin!(timeout(limit, writing));
        let mut piece = [0u8; 1024];
        loop {
            tokio::select! {
                done = &mut writing => return done.map(|_| ()).map_err(|_| Stopped::Slow),
                read = errors.read(&mut piece), if !self.errors_ended => {
                    keep(&mut self.errors, &mut self.errors_ended, &piece, read);
                }
            }
        }
    }

    /// The next answer, without the words before it.
    pub async fn marker(&mut self, limit: Duration) -> Result<String, Stopped> {
        timeout(limit, self.next_answer()).await.unwrap_or(Err(Stopped::Slow))
    }

    async fn next_answer(&mut self) -> Result<String, Stopped> {
        let mut skipped = 0;
        loop {
            while let Some(end) = self.ahead.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.ahead.drain(..=end).collect();
                if let Some(answer) = line.strip_prefix(self.prefix.as_slice()) {
                    return Ok(String::from_utf8_lossy(answer).trim_end().to_owned());
                }
                skipped += line.len();
                if self.noise.is_none() && !line.trim_ascii().is_empty() {
                    self.noise = Some(line);
                }
            }
            if skipped + self.ahead.len() > NOISE_LIMIT {
                return Err(Stopped::Ended);
            }
            let mut out = [0u8; 4096];
            let mut err = [0u8; 1024];
            tokio::select! {
                read = self.stream.output.read(&mut out) => match read {
                    Ok(0) | Err(_) => {
                        self.last_errors().await;
                        return Err(Stopped::Ended);
                    }
                    Ok(n) => self.ahead.extend_from_slice(&out[..n]),
                },
                read = self.stream.errors.read(&mut err), if !self.errors_ended => {
                    keep(&mut self.errors, &mut self.errors_ended, &err, read);
                }
            }
        }
    }

    /// What is left in standard error after the output has ended.
    async fn last_errors(&mut self) {
        let rest = async {
            let mut piece = [0u8; 1024];
            while !self.errors_ended {
                let read = self.stream.errors.read(&mut piece).await;
                keep(&mut self.errors, &mut self.errors_ended, &piece, read);
            }
        };
        // It is only for a message: no longer than that.
        timeout(Duration::from_millis(300), rest).await.ok();
    }

    /// What came in the place of the first answer.
    pub fn first_words(&self) -> Option<String> {
        let unfinished = Some(self.ahead.clone()).filter(|line| !line.trim_ascii().is_empty());
        let first = self.noise.clone().or(unfinished).or_else(|| first_line(&self.errors));
        first.map(|line| String::from_utf8_lossy(line.trim_ascii()).into_owned())
    }

    /// What was said last on standard error.
    pub fn last_words(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.errors);
        text.lines()
            .rev()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .map(str::to_owned)
    }
}

fn first_line(text: &[u8]) -> Option<Vec<u8>> {
    text.split(|byte| *byte == b'\n')
        .find(|line| !line.trim_ascii().is_empty())
        .map(<[u8]>::to_vec)
}

/// Keeps the beginning and the end of what is said on standard error, within a bound.
fn keep(errors: &mut Vec<u8>, ended: &mut bool, piece: &[u8], read: std::io::Result<usize>) {
    match read {
        Ok(0) | Err(_) => *ended = true,
        Ok(n) => {
            errors.extend_from_slice(&piece[..n]);
            if errors.len() > 2 * ERRORS_KEPT {
                errors.drain(ERRORS_KEPT..errors.len() - ERRORS_KEPT);
            }
        }
    }
}
