//! How a run ended, as a word and as an exit code. Pure. What was left behind in EC2 (exit 5) is not known here.

use super::identities::Mismatch;
use super::summary::{HostStatus, Status, Summary};
use crate::conduct::outcome::Ended;
use swarm_agent::wire::share::Load;

/// The status of a run, in the order of the exit codes: what stops a reader first is told first.
pub fn status(ended: Ended, mismatches: &[Mismatch], summary: &Summary) -> Status {
    let all_reported = summary.hosts.iter().all(|h| h.status == HostStatus::Reported);
    if ended == Ended::Interrupted {
        Status::Interrupted
    } else if !mismatches.is_empty() {
        Status::Incomplete
    } else if !all_reported {
        Status::Partial
    } else if nothing_ok(summary) {
        Status::Failed
    } else {
        Status::Complete
    }
}

/// No hit was ok; where nothing was sent, no client got through.
fn nothing_ok(summary: &Summary) -> bool {
    let tally = &summary.whole.tally;
    match &summary.load {
        Load::Held(_) if tally.requests == 0 => tally.connections.opened == 0,
        Load::Held(_) | Load::Open(_) | Load::Closed(_) => tally.ok == 0,
    }
}

/// The exit code that a summary stands for: 130 interrupted, 6 no host started, 3 partial or incomplete, 4 nothing was
/// ok, a requirement does not hold, or `strict` and there is a warning; else 0. `main` puts 5 between 130 and 6.
pub fn exit_code(summary: &Summary, strict: bool) -> u8 {
    let none_started = summary
        .hosts
        .iter()
        .all(|h| matches!(h.status, HostStatus::Refused { .. }));
    let unmet = summary.requirements.iter().any(|r| !r.passed) || (strict && !summary.warnings.is_empty());
    match summary.run.status {
        Status::Interrupted => 130,
        _ if none_started => 6,
        Status::Incomplete | Status::Partial => 3,
        Status::Failed => 4,
        Status::Complete if unmet || nothing_ok(summary) => 4,
        Status::Complete => 0,
    }
}
