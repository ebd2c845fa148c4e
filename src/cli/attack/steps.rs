//! The steps of `swarm attack`, in order. Each is one call; the details are elsewhere.

use super::crew::{self, Ways};
use super::{AttackCommand, Mode};
use crate::cli::ask;
use crate::cli::preview::preview;
use crate::conduct::notice::Notice;
use crate::conduct::outcome::Outcome;
use crate::conduct::{ConductError, Until, conduct};
use crate::consent::{self, Approach, Decision};
use crate::error::{Error, Exit};
use crate::fleet::host::Host;
use crate::plan::Plan;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedSender};

/// How long the controller's own look-up of a target may take.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Resolves the targets as the controller sees them: for hosts without a resolver, and to know who is asked about.
pub async fn resolve(plan: &mut Plan) {
    for target in &mut plan.targets {
        let (host, port) = target
            .connect_to
            .clone()
            .unwrap_or_else(|| (target.host.clone(), target.port));
        let found = tokio::time::timeout(LOOK_UP, tokio::net::lookup_host((host.as_str(), port))).await;
        // a name that only the hosts can resolve is asked about once they have
        let addresses: Vec<IpAddr> = found
            .ok()
            .and_then(Result::ok)
            .into_iter()
            .flatten()
            .map(|a| a.ip())
            .collect();
        target.fallback = addresses;
        target.fallback.dedup();
    }
}

/// Whether public targets may be hit: nobody needs to be asked, or the user agreed.
pub fn agree(command: &AttackCommand, shown: &str) -> Result<bool, Error> {
    let known = command.plan.targets.iter().filter(|target| !target.fallback.is_empty());
    let approaches: Vec<Approach> = known
        .map(|target| Approach {
            host: target.host.clone(),
            addresses: target.fallback.clone(),
        })
        .collect();
    let stdin_is_taken = command.hosts.files.contains(&super::HostFile::Stdin);
    match consent::decide(&approaches, command.yes, ask::terminal(stdin_is_taken)) {
        Decision::Free => Ok(command.yes),
        Decision::ByFlag(_) => Ok(true),
        Decision::Refuse(text) => Err(Error::Consent(text)),
        Decision::Ask(names) => {
            let answer = ask::ask(&consent::prompt(shown, &names))
                .map_err(|error| Error::Consent(format!("cannot ask for consent: {error}")))?;
            if consent::agrees(&answer, &names) {
                Ok(true)
            } else {
                Err(Error::Consent(format!("no consent for {}", names.join(", "))))
            }
        }
    }
}

/// Reaches the hosts and conducts the run on them.
pub async fn run(
    command: &AttackCommand,
    hosts: &[Host],
    consented: bool,
    notices: UnboundedSender<Notice>,
) -> Result<Outcome, Error> {
    let until = if command.mode == Mode::ArmOnly {
        Until::Armed
    } else {
        Until::Reported
    };
    let (events, happening) = mpsc::unbounded_channel();
    let entrants = crew::entrants(hosts)?;
    let ways = Ways::open(command, hosts, &events).await?;
    drop(events);
    match conduct(command.plan.clone(), entrants, until, consented, happening, notices).await {
        Err(ConductError::Left) => {
            ways.leave();
            Err(Error::Interrupted)
        }
        other => {
            ways.close().await;
            other.map_err(refusal)
        }
    }
}

fn refusal(error: ConductError) -> Error {
    match error {
        ConductError::TooFew { .. } => Error::NoLoad(error.to_string()),
        ConductError::SourceUnowned(_) => Error::Usage(error.to_string().into()),
        ConductError::Consent(_) => Error::Consent(error.to_string()),
        ConductError::Stopped | ConductError::Left => Error::Interrupted,
    }
}

/// The plan as it is shown before the load.
pub fn plan_text(command: &AttackCommand, hosts: &[Host]) -> String {
    preview(&command.plan, &crew::crew(hosts), &command.notes)
}

/// A dry run ends well once the plan stands.
pub fn dry() -> Exit {
    Exit::Ok
}
