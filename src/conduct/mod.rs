//! Conducts a run: one loop that takes every event, changes the state of the run, and acts. It owns the way from the
//! barrier over the start instant to the last report. Never here: printing, SSH, AWS.

mod conductor;
pub mod event;
pub mod exec;
mod muster;
pub mod notice;
pub mod outcome;
pub mod phase;
pub mod plausible;
pub mod scouts;
mod seat;
pub mod server;
pub mod sync;
pub mod watching;

use crate::plan::Plan;
use conductor::Conductor;
use event::Event;
use notice::Notice;
use outcome::Outcome;
use swarm_agent::wire::share::{Consent, Load};
use tokio::sync::mpsc;
use watching::Watching;

/// One host as the conductor is told of it.
#[derive(Debug, Clone)]
pub struct Entrant {
    /// As the user named it.
    pub name: String,
    /// Its weight.
    pub weight: u32,
    /// Its group.
    pub group: Option<String>,
    /// Its own `sources=`, instead of the plan's.
    pub sources: Vec<crate::plan::SourceRange>,
}

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until all hosts are armed and their clocks are known.
    Armed,
    /// To the end.
    Reported,
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum ConductError {
    /// Too few hosts are left before the start.
    #[error("{left} of {asked} hosts can take part and {needed} are needed (--min-hosts){reasons}")]
    TooFew {
        /// Hosts that can.
        left: usize,
        /// Hosts asked for.
        asked: usize,
        /// `--min-hosts`.
        needed: usize,
        /// Host by host.
        reasons: String,
    },
    /// `--source-ips` names an address that no host owns.
    #[error("--source-ips: {0} is an address of none of the hosts")]
    SourceUnowned(String),
    /// A target resolves to a public address and nobody has agreed to that.
    #[error("{0}: agree with --yes, or name a target that is yours")]
    Consent(String),
    /// The user stopped it before the start.
    #[error("stopped before the start")]
    Stopped,
    /// The user left without waiting for the report.
    #[error("stopped at once: the hosts were told to stop, their reports were not waited for")]
    Left,
}

impl ConductError {
    /// Too few are left, with what each of the others said.
    fn too_few<'a>(
        left: usize,
        asked: usize,
        needed: usize,
        refused: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let reasons = refused.map(|(name, why)| format!("\n  {name}: {why}")).collect();
        Self::TooFew {
            left,
            asked,
            needed,
            reasons,
        }
    }
}

/// Conducts the run and returns what it came to. `watching`: pages that are read beside it.
pub async fn conduct(
    plan: Plan,
    entrants: Vec<Entrant>,
    until: Until,
    consented: bool,
    mut events: mpsc::UnboundedReceiver<Event>,
    notices: mpsc::UnboundedSender<Notice>,
    watching: Option<Watching>,
) -> Result<Outcome, ConductError> {
    let needed = plan.min_hosts.of(entrants.len());
    let consent = if consented { Consent::Given } else { Consent::Missing };
    let mut conductor = Conductor::new(plan, entrants, needed, consent, notices, watching);
    let ended = conductor.run(until, &mut events).await;
    if !matches!(ended, Err(ConductError::Left)) {
        conductor.close(events).await;
    }
    ended.map(|()| conductor.outcome())
}

/// When the load ends by plan, ns after the start; `None` when only a count ends it.
pub fn planned_end(load: &Load) -> Option<u64> {
    match load {
        Load::Closed(closed) => closed.duration.map(|duration| closed.warmup + duration),
        Load::Open(open) => Some(open.warmup + open.schedule.stages.iter().map(|stage| stage.duration).sum::<u64>()),
        Load::Held(held) => Some(held.end),
    }
}
