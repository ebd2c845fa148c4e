//! What `swarm exec` came to: the outcome beside what was received, judged. Pure.

use super::clocks::{bound_us, offset_us, sync_of};
use super::summary::Sync;
use super::warning::Warning;
use crate::conduct::exec::{ExecEnd, ExecHost, ExecOutcome};
use crate::conduct::outcome::Ended as RunEnded;
use crate::order::OrderPlan;
use swarm_agent::wire::exec::{CutShort, Ended, Exit};

/// What one command printed on one stream, bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The beginning.
    pub head: Vec<u8>,
    /// The end, where there was more than fits.
    pub tail: Vec<u8>,
    /// Bytes between them that were not kept.
    pub cut: u64,
}

/// A file that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// As `--fetch` named it.
    pub name: String,
    /// Where it lies and how long it is, or why it is not there.
    pub result: Result<(String, u64), String>,
}

/// What came from one host beside its end.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Standard output.
    pub output: Kept,
    /// Standard error.
    pub errors: Kept,
    /// Files.
    pub files: Vec<Fetched>,
}

/// How the whole ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Every command began and ended, whatever its status.
    Complete,
    /// Hosts were lost or refused.
    Partial,
    /// The user's first interrupt ended it.
    Interrupted,
    /// No command began.
    NothingBegan,
}

impl Status {
    /// The word of the report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Interrupted => "interrupted",
            Self::NothingBegan => "failed",
        }
    }
}

/// One host.
#[derive(Debug, Clone)]
pub struct ExecRow {
    /// Name, address, order, end.
    pub host: ExecHost,
    /// What came from it.
    pub received: Received,
    /// us.
    pub start_offset_us: Option<i64>,
    /// us.
    pub duration_us: Option<u64>,
    /// us.
    pub clock_error_us: Option<u64>,
}

/// The result.
#[derive(Debug, Clone)]
pub struct ExecSummary {
    /// Names the run.
    pub run: String,
    /// The command line, secrets taken out.
    pub command: String,
    /// Wall clock of the instant.
    pub started_at: jiff::Timestamp,
    /// From the instant to the last end.
    pub duration_s: f64,
    /// How it ended.
    pub status: Status,
    /// Every host that was asked for.
    pub hosts: Vec<ExecRow>,
    /// How well they started together.
    pub sync: Option<Sync>,
    /// Doubts.
    pub warnings: Vec<Warning>,
}

/// Puts outcome and what was received together.
pub fn summary(plan: &OrderPlan, outcome: ExecOutcome, received: Vec<Received>) -> ExecSummary {
    let rows: Vec<ExecRow> = outcome
        .hosts
        .into_iter()
        .zip(received)
        .map(|(host, r)| row(host, r))
        .collect();
    let clocks: Vec<_> = rows
        .iter()
        .map(|row| (row.start_offset_us, row.clock_error_us))
        .collect();
    let mut warnings: Vec<Warning> = outcome
        .warnings
        .into_iter()
        .map(|(kind, text)| Warning::new(kind, text))
        .collect();
    warnings.extend(rows.iter().flat_map(doubts));
    ExecSummary {
        run: plan.run.clone(),
        command: plan.command.clone(),
        started_at: outcome.started_at,
        duration_s: outcome.duration_s,
        status: status(outcome.ended, &rows),
        sync: sync_of(&clocks),
        hosts: rows,
        warnings,
    }
}

fn row(host: ExecHost, received: Received) -> ExecRow {
    let ended = ended(&host);
    ExecRow {
        start_offset_us: ended.and_then(|ended| ended.began).map(offset_us),
        duration_us: ended
            .filter(|ended| ended.began.is_some())
            .map(|ended| ended.ran / 1000),
        clock_error_us: host.clock.as_ref().map(|clock| bound_us(clock.bound_ns)),
        host,
        received,
    }
}

/// How a host's command ended, when its agent said so.
pub fn ended(host: &ExecHost) -> Option<&Ended> {
    match &host.end {
        ExecEnd::Ended(ended) => Some(ended),
        ExecEnd::Lost { .. } | ExecEnd::Refused { .. } => None,
    }
}

fn status(ended_by: RunEnded, rows: &[ExecRow]) -> Status {
    let began = |row: &ExecRow| match &row.host.end {
        ExecEnd::Ended(ended) => ended.began.is_some(),
        ExecEnd::Lost { .. } => true,
        ExecEnd::Refused { .. } => false,
    };
    if ended_by == RunEnded::Interrupted {
        Status::Interrupted
    } else if !rows.iter().any(began) {
        Status::NothingBegan
    } else if rows.iter().any(|row| ended(&row.host).is_none()) {
        Status::Partial
    } else {
        Status::Complete
    }
}

/// 130 interrupted, 5 processes were left behind, 6 no command began, 3 hosts were lost, 4 a command did not end with 0 or a
/// file did not come, else 0.
pub fn exit_code(summary: &ExecSummary) -> u8 {
    let left = summary
        .hosts
        .iter()
        .any(|row| ended(&row.host).is_some_and(|e| e.left > 0));
    match summary.status {
        Status::Interrupted => 130,
        _ if left => 5,
        Status::NothingBegan => 6,
        Status::Partial => 3,
        Status::Complete if summary.hosts.iter().all(is_well) => 0,
        Status::Complete => 4,
    }
}

fn is_well(row: &ExecRow) -> bool {
    let command = ended(&row.host).is_some_and(|e| e.exit == Exit::Code(0) && e.cut_short.is_none());
    command && row.received.files.iter().all(|file| file.result.is_ok())
}

/// How a command ended, in a few words.
pub fn in_words(ended: &Ended) -> String {
    let how = match &ended.exit {
        Exit::Code(code) => format!("exit {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::NotBegun(why) => format!("not begun: {why}"),
        Exit::Unknown(why) => format!("not known: {why}"),
    };
    match ended.cut_short {
        Some(CutShort::Timeout) => format!("timeout, {how}"),
        Some(CutShort::Drained) => format!("interrupted, {how}"),
        None => how,
    }
}

fn doubts(row: &ExecRow) -> Vec<Warning> {
    let name = &row.host.name;
    let mut doubts = Vec::new();
    let processes = |n: u32| {
        if n == 1 {
            "1 process".to_owned()
        } else {
            format!("{n} processes")
        }
    };
    if let Some(ended) = ended(&row.host) {
        if ended.lingering > 0 {
            let text = format!(
                "{name}: the command had ended and left {} running: ended",
                processes(ended.lingering)
            );
            doubts.push(Warning::new("left_running", text));
        }
        if ended.left > 0 {
            let text = format!("{name}: {} could not be ended", processes(ended.left));
            doubts.push(
                Warning::new("not_ended", text).advise("look at the host: another user's, or stuck in the kernel"),
            );
        }
    }
    for (stream, kept) in [("stdout", &row.received.output), ("stderr", &row.received.errors)] {
        if kept.cut > 0 {
            let text = format!("{name}: {} bytes of {stream} are not in the report", kept.cut);
            doubts.push(Warning::new("output_cut", text).advise("let the command write to a file, and --fetch it"));
        }
    }
    for file in &row.received.files {
        if let Err(why) = &file.result {
            doubts.push(Warning::new("not_fetched", format!("{name}: {}: {why}", file.name)));
        }
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_agent::wire::exec::Words;

    fn ended_with(exit: Exit) -> Ended {
        Ended {
            began: (!matches!(exit, Exit::NotBegun(_))).then_some(1_600),
            ran: 5_000_000,
            exit,
            cut_short: None,
            lingering: 0,
            left: 0,
        }
    }

    fn of(ends: Vec<ExecEnd>, ended: RunEnded) -> ExecSummary {
        let host = |end| ExecHost {
            name: "h".into(),
            address: "a".into(),
            order: None,
            clock: None,
            end,
        };
        let received = vec![Received::default(); ends.len()];
        let outcome = ExecOutcome {
            started_at: jiff::Timestamp::UNIX_EPOCH,
            duration_s: 1.0,
            ended,
            hosts: ends.into_iter().map(host).collect(),
            warnings: Vec::new(),
        };
        let plan = OrderPlan {
            run: "r".into(),
            command: "c".into(),
            words: Words::Line(Vec::new().into()),
            login_shell: false,
            uploads: Vec::new(),
            fetch: Vec::new(),
            timeout: None,
            silence: 1,
            sources: Vec::new(),
            min_hosts: crate::plan::MinHosts::Count(1),
        };
        summary(&plan, outcome, received)
    }

    #[test]
    fn every_end_has_its_exit_code() {
        let end = |exit| ExecEnd::Ended(ended_with(exit));
        let lost = || ExecEnd::Lost {
            at_s: 1.0,
            why: "gone".into(),
        };
        let refused = || ExecEnd::Refused { why: "no".into() };
        let none = || end(Exit::NotBegun("no such program".into()));
        for (ends, code, word) in [
            (vec![end(Exit::Code(0)), end(Exit::Code(0))], 0, "complete"),
            (vec![end(Exit::Code(0)), end(Exit::Code(1))], 4, "complete"),
            (vec![end(Exit::Signal(9))], 4, "complete"),
            (vec![end(Exit::Code(0)), none()], 4, "complete"),
            (vec![none(), none()], 6, "failed"),
            (vec![end(Exit::Code(1)), lost()], 3, "partial"),
            (vec![end(Exit::Code(0)), refused()], 3, "partial"),
            (vec![lost()], 3, "partial"),
        ] {
            let summary = of(ends, RunEnded::Complete);
            assert_eq!((exit_code(&summary), summary.status.word()), (code, word));
        }
        assert_eq!(exit_code(&of(vec![end(Exit::Code(0))], RunEnded::Interrupted)), 130);
        let left = ExecEnd::Ended(Ended {
            left: 2,
            ..ended_with(Exit::Code(0))
        });
        let summary = of(vec![left], RunEnded::Complete);
        assert_eq!((exit_code(&summary), summary.warnings.len()), (5, 1));
        assert_eq!(
            (summary.hosts[0].start_offset_us, summary.hosts[0].duration_us),
            (Some(2), Some(5_000))
        );
    }
}
