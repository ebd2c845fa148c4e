//! From bytes to lines that are fit for a terminal, each with the name of its host; and what is kept of them. Pure.

use crate::merge::exec::Kept;
use crate::show::clean;

/// A line that is longer is broken: whoever prints no line breaks is not waited for.
const LONGEST: usize = 16 * 1024;
/// What is kept of one stream: so many bytes from its beginning...
const HEAD: usize = 128 * 1024;
/// ...and so many from its end.
const TAIL: usize = 384 * 1024;

/// One stream of one host, line by line.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Takes bytes; returns the lines that are whole now, each behind the prefix.
    pub fn take(&mut self, prefix: &str, bytes: &[u8]) -> String {
        let mut text = String::new();
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            text += &self.line(prefix);
        }
        self.begun.extend_from_slice(rest);
        while self.begun.len() > LONGEST {
            let more = self.begun.split_off(LONGEST);
            text += &self.line(prefix);
            self.begun = more;
        }
        text
    }

    /// What stands without a line break at the end.
    pub fn rest(&mut self, prefix: &str) -> String {
        match self.begun.is_empty() {
            true => String::new(),
            false => self.line(prefix),
        }
    }

    fn line(&mut self, prefix: &str) -> String {
        let line = std::mem::take(&mut self.begun);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        format!("{prefix}{}\n", clean::line_indented(&String::from_utf8_lossy(line)))
    }
}

/// Keeps the beginning and the end of a stream.
#[derive(Debug, Default)]
pub struct Keeper {
    head: Vec<u8>,
    tail: std::collections::VecDeque<u8>,
    cut: u64,
}

impl Keeper {
    /// Takes bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        let (first, more) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
        self.head.extend_from_slice(first);
        self.tail.extend(more);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
        self.cut += over as u64;
    }

    /// What was kept.
    pub fn kept(self) -> Kept {
        Kept {
            head: self.head,
            tail: self.tail.into(),
            cut: self.cut,
        }
    }
}

/// A stream as one text; what was cut is told where it stood.
pub fn whole(kept: &Kept) -> Vec<u8> {
    let mut whole = kept.head.clone();
    if kept.cut > 0 {
        whole.extend_from_slice(format!("\n[{} bytes left out]\n", kept.cut).as_bytes());
    }
    whole.extend_from_slice(&kept.tail);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_harmless_behind_their_host() {
        let mut lines = Lines::default();
        assert_eq!(lines.take("h1 | ", b"one\ntw"), "h1 | one\n");
        assert_eq!(
            lines.take("h1 | ", b"o\r\n\x1b[2J\x07x\xff\n\n"),
            "h1 | two\nh1 |  [2J x\u{fffd}\nh1 | \n"
        );
        assert_eq!(lines.take("h1 | ", b"no end"), "");
        assert_eq!(
            (lines.rest("h1 | "), lines.rest("h1 | ")),
            ("h1 | no end\n".into(), String::new())
        );
    }

    #[test]
    fn a_line_without_end_is_broken() {
        let mut lines = Lines::default();
        let text = lines.take("", &vec![b'x'; LONGEST * 2 + 7]);
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [LONGEST, LONGEST]);
        assert_eq!(lines.rest("").len(), 8);
    }

    #[test]
    fn what_is_kept_is_bounded_and_says_what_is_cut() {
        let mut keeper = Keeper::default();
        for n in 0..100u32 {
            keeper.take(&vec![n as u8; 10_000]);
        }
        let kept = keeper.kept();
        assert_eq!((kept.head.len(), kept.tail.len()), (HEAD, TAIL));
        assert_eq!(kept.cut as usize, 1_000_000 - HEAD - TAIL);
        assert_eq!((kept.head[0], kept.tail.last()), (0, Some(&99)));
        assert!(String::from_utf8_lossy(&whole(&kept)).contains("bytes left out]"));
    }
}
