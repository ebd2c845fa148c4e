//! The live line on stderr: rewritten in place on a terminal, a plain line every five seconds elsewhere.
//!
//! Never here: when a point is made. A stderr that cannot be written is left alone: a run does not end for it.

use super::{clean, figures};
use std::io::{IsTerminal, Stderr, Write};

/// Seconds between plain lines.
const PLAIN_EVERY_S: f64 = 5.0;
/// Width of a terminal that does not tell its own.
const WIDTH: usize = 80;

/// What is known at one moment of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LivePoint {
    /// Seconds since the start instant.
    pub t_s: f64,
    /// Hits answered so far.
    pub requests: u64,
    /// Hits answered a second, lately.
    pub rps: f64,
    /// Failures so far.
    pub errors: u64,
    /// Connections open.
    pub open: u64,
    /// Median of the last second, us.
    pub p50: Option<u64>,
    /// 99th percentile of the last second, us.
    pub p99: Option<u64>,
    /// Hosts that are heard.
    pub hosts_alive: usize,
    /// Hosts that were started.
    pub hosts_asked: usize,
}

/// How the live line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveMode {
    /// Not at all.
    Off,
    /// A line every five seconds.
    Plain,
    /// One line, rewritten.
    Rewrite,
}

impl LiveMode {
    /// What `--quiet`, `--no-live` and stderr allow.
    pub fn of(quiet: bool, no_live: bool) -> Self {
        match (quiet || no_live, std::io::stderr().is_terminal()) {
            (true, _) => Self::Off,
            (false, true) => Self::Rewrite,
            (false, false) => Self::Plain,
        }
    }
}

/// The live line.
#[derive(Debug)]
pub struct Live<W: Write = Stderr> {
    writer: W,
    mode: LiveMode,
    next_plain_s: f64,
    standing: bool,
}

impl Live {
    /// On stderr.
    pub fn stderr(mode: LiveMode) -> Self {
        Self::on(std::io::stderr(), mode)
    }
}

impl<W: Write> Live<W> {
    /// On any writer.
    pub fn on(writer: W, mode: LiveMode) -> Self {
        Self {
            writer,
            mode,
            next_plain_s: PLAIN_EVERY_S,
            standing: false,
        }
    }

    /// Shows a point, or leaves it out when its time has not come.
    pub fn show(&mut self, point: &LivePoint) {
        let written = match self.mode {
            LiveMode::Off => Ok(()),
            LiveMode::Rewrite => {
                self.standing = true;
                let line = clean::cut(&line(point), width().saturating_sub(1));
                write!(self.writer, "\r{line}\x1b[K")
            }
            LiveMode::Plain if point.t_s + 0.5 < self.next_plain_s => Ok(()),
            LiveMode::Plain => {
                self.next_plain_s = ((point.t_s + 0.5) / PLAIN_EVERY_S).floor() * PLAIN_EVERY_S + PLAIN_EVERY_S;
                writeln!(self.writer, "{}", line(point))
            }
        };
        let _ = written.and_then(|()| self.writer.flush());
    }

    /// A line of its own while the live line stands: a lost host, a trace.
    pub fn say(&mut self, text: &str) {
        self.clear();
        let _ = writeln!(self.writer, "{}", clean::line_indented(text)).and_then(|()| self.writer.flush());
    }

    /// Takes the line away, so that the result stands alone.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.standing) {
            let _ = write!(self.writer, "\r\x1b[K").and_then(|()| self.writer.flush());
        }
    }
}

/// A point as one line.
pub fn line(point: &LivePoint) -> String {
    let latency = match (point.p50, point.p99) {
        (Some(p50), Some(p99)) => {
            format!(
                "  p50 {} ms  p99 {} ms",
                figures::ms(p50 as f64),
                figures::ms(p99 as f64)
            )
        }
        _ => String::new(),
    };
    let hosts = match point.hosts_alive == point.hosts_asked {
        true => figures::count(point.hosts_asked as u64),
        false => format!("{} of {}", point.hosts_alive, point.hosts_asked),
    };
    format!(
        "{:>6}  {} done  {}/s  {} errors  {} open{latency}  hosts {hosts}",
        figures::span(point.t_s),
        figures::count(point.requests),
        figures::rate(point.rps),
        figures::count(point.errors),
        figures::count(point.open),
    )
}

fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stderr())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
        .unwrap_or(WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(t_s: f64) -> LivePoint {
        LivePoint {
            t_s,
            requests: 12_345,
            rps: 1234.5,
            errors: 1,
            open: 50,
            p50: Some(1234),
            p99: Some(56_789),
            hosts_alive: 3,
            hosts_asked: 4,
        }
    }

    #[test]
    fn a_point_is_one_line() {
        assert_eq!(
            line(&point(12.3)),
            "12.3 s  12,345 done  1,235/s  1 errors  50 open  p50 1.23 ms  p99 56.8 ms  hosts 3 of 4"
        );
    }

    #[test]
    fn without_a_terminal_a_line_comes_every_five_seconds() {
        let mut out = Vec::new();
        let mut live = Live::on(&mut out, LiveMode::Plain);
        (1..=12).for_each(|s| live.show(&point(f64::from(s))));
        live.clear();
        let text = String::from_utf8(out).unwrap();
        let times: Vec<&str> = text.lines().map(|l| l.trim().split("  ").next().unwrap()).collect();
        assert_eq!(times, ["5.0 s", "10.0 s"]);
        assert!(!text.contains('\r'));
    }

    #[test]
    fn on_a_terminal_the_line_is_rewritten_and_taken_away() {
        let mut out = Vec::new();
        let mut live = Live::on(&mut out, LiveMode::Rewrite);
        live.show(&point(1.0));
        live.say("h1 lost\x1b[2J");
        live.show(&point(2.0));
        live.clear();
        live.clear();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("\r\x1b[K").count(), 2, "{text:?}");
        assert!(text.contains("h1 lost [2J\n"), "{text:?}");
        assert!(text.ends_with("\x1b[K"));
    }

    #[test]
    fn off_writes_nothing() {
        let mut out = Vec::new();
        Live::on(&mut out, LiveMode::Off).show(&point(60.0));
        assert!(out.is_empty());
    }
}
