//! The report of `swarm exec` as JSON, schema `swarm.exec/1`. Times are whole microseconds unless the name says otherwise;
//! absent means not measured, never zero.

use super::command;
use super::lines::whole;
use crate::conduct::exec::ExecEnd;
use crate::merge::exec::{ExecRow, ExecSummary, Kept, ended};
use serde::Serialize;
use swarm_agent::wire::exec::{CutShort, Exit};

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    run: RunJson,
    hosts: Vec<HostJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sync: Option<SyncJson>,
    warnings: Vec<WarningJson>,
}

#[derive(Serialize)]
struct RunJson {
    id: String,
    started_at: String,
    duration_s: f64,
    command: String,
    version: &'static str,
    status: &'static str,
}

/// One host. Of `exit_code`, `signal` and `reason` there is the one that says how it ended.
#[derive(Serialize)]
struct HostJson {
    name: String,
    address: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_short: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_offset_us: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_error_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_us: Option<u64>,
    stdout: String,
    stdout_cut_bytes: u64,
    stderr: String,
    stderr_cut_bytes: u64,
    left_running: u32,
    not_ended: u32,
    files: Vec<FileJson>,
}

#[derive(Serialize)]
struct FileJson {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct SyncJson {
    start_skew_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_skew_bound_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_error_us: Option<u64>,
}

#[derive(Serialize)]
struct WarningJson {
    kind: String,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// The report as text, a line feed at its end.
pub(super) fn text(summary: &ExecSummary) -> Result<String, serde_json::Error> {
    let report = Report {
        schema: "swarm.exec/1",
        run: RunJson {
            id: summary.run.clone(),
            started_at: summary.started_at.to_string(),
            duration_s: summary.duration_s,
            command: summary.command.clone(),
            version: env!("CARGO_PKG_VERSION"),
            status: summary.status.word(),
        },
        hosts: summary.hosts.iter().map(host).collect(),
        sync: summary.sync.as_ref().map(|sync| SyncJson {
            start_skew_us: sync.start_skew_us,
            start_skew_bound_us: sync.start_skew_bound_us,
            clock_error_us: sync.clock_error_us,
        }),
        warnings: summary
            .warnings
            .iter()
            .map(|warning| WarningJson {
                kind: warning.kind.clone(),
                text: warning.text.clone(),
                advice: warning.advice.clone(),
            })
            .collect(),
    };
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

fn host(row: &ExecRow) -> HostJson {
    let ended = ended(&row.host);
    let (status, lost) = match &row.host.end {
        ExecEnd::Ended(_) => ("ended", None),
        ExecEnd::Lost { why, .. } => ("lost", Some(why.clone())),
        ExecEnd::Refused { why } => ("refused", Some(why.clone())),
    };
    let text = |kept: &Kept| String::from_utf8_lossy(&whole(kept)).into_owned();
    HostJson {
        name: row.host.name.clone(),
        address: row.host.address.clone(),
        status,
        command: row.host.order.as_ref().map(|order| command(&order.words)),
        exit_code: ended.and_then(|ended| match ended.exit {
            Exit::Code(code) => Some(code),
            _ => None,
        }),
        signal: ended.and_then(|ended| match ended.exit {
            Exit::Signal(signal) => Some(signal),
            _ => None,
        }),
        reason: lost.or_else(|| match &ended?.exit {
            Exit::NotBegun(why) | Exit::Unknown(why) => Some(why.clone()),
            Exit::Code(_) | Exit::Signal(_) => None,
        }),
        cut_short: ended.and_then(|ended| ended.cut_short).map(|why| match why {
            CutShort::Timeout => "timeout",
            CutShort::Drained => "interrupted",
        }),
        start_offset_us: row.start_offset_us,
        clock_error_us: row.clock_error_us,
        duration_us: row.duration_us,
        stdout: text(&row.received.output),
        stdout_cut_bytes: row.received.output.cut,
        stderr: text(&row.received.errors),
        stderr_cut_bytes: row.received.errors.cut,
        left_running: ended.map_or(0, |ended| ended.lingering),
        not_ended: ended.map_or(0, |ended| ended.left),
        files: row
            .received
            .files
            .iter()
            .map(|file| FileJson {
                name: file.name.clone(),
                path: file.result.as_ref().ok().map(|(path, _)| path.clone()),
                bytes: file.result.as_ref().ok().map(|(_, bytes)| *bytes),
                error: file.result.as_ref().err().cloned(),
            })
            .collect(),
    }
}
