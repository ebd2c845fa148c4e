//! The steps of `swarm attack`, in order. Each is one call; the details are elsewhere.

use super::{AttackCommand, Mode, played, watch};
use crate::cli::ask;
use crate::cli::crew::{self, Reach, Ways};
use crate::cli::hosts::HostFile;
use crate::cli::joined::{self, Joined, Wanted};
use crate::cli::preview::{first_line, preview};
use crate::conduct::event::Event;
use crate::conduct::notice::Notice;
use crate::conduct::outcome::{HostEnd, Outcome};
use crate::conduct::server;
use crate::conduct::watching::Watching;
use crate::conduct::{ConductError, Until, conduct, planned_end};
use crate::consent::{self, Approach, Decision};
use crate::error::{Error, Exit};
use crate::fleet::host::Host;
use crate::merge::merge;
use crate::merge::summary::{Judged, Summary};
use crate::merge::verdict::exit_code;
use crate::plan::Plan;
use crate::show::live::{Live, LiveMode};
use crate::show::{self, Output, ShowError};
use crate::source;
use crate::watch::record::Record;
use crate::watch::watcher::{WatchError, Watcher};
use std::net::IpAddr;
use std::time::Duration;
use swarm_agent::wire::share::Target;
use tokio::sync::mpsc::{self, UnboundedSender};

/// How long the controller's own look-up of a target may take.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Resolves the targets as the controller sees them: for hosts without a resolver, and to know who is asked about.
pub async fn resolve(plan: &mut Plan) {
    for target in &mut plan.targets {
        look_up(target).await;
    }
}

/// What this machine knows of one target's name.
pub(in crate::cli) async fn look_up(target: &mut Target) {
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

/// Whether public targets may be hit: nobody needs to be asked, or the user agreed.
pub fn agree(command: &AttackCommand, shown: &str) -> Result<bool, Error> {
    let targets = command.plan.targets.iter();
    let all: Vec<Approach> = targets
        .map(|target| Approach {
            host: target.host.clone(),
            addresses: target.fallback.clone(),
        })
        .collect();
    let known: Vec<Approach> = all.iter().filter(|one| !one.addresses.is_empty()).cloned().collect();
    let stdin_is_taken = command.hosts.files.contains(&HostFile::Stdin);
    match consent::decide(&known, command.yes, ask::terminal(stdin_is_taken)) {
        Decision::Free => Ok(command.yes),
        Decision::ByFlag(_) => Ok(true),
        Decision::Refuse(text) => Err(Error::Consent(text)),
        Decision::Ask(_) => {
            // whoever is asked anyway is asked for names that only the hosts know too: the answer is for the whole run
            let names = consent::names_to_ask(&all);
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

/// Reads the pages beside the run for the first time, before any host is touched.
async fn begin_watch(plan: &Plan, notices: &UnboundedSender<Notice>) -> Result<Option<Watcher>, Error> {
    if plan.watch.is_empty() {
        return Ok(None);
    }
    let begun = Watcher::begin(&plan.watch, &plan.tls, &plan.run).await;
    let (watcher, lines) = begun.map_err(|error: WatchError| match error.is_usage() {
        true => Error::Usage(error.to_string().into()),
        false => Error::NoLoad(error.to_string()),
    })?;
    for line in lines {
        // a view that is gone wants no notices
        let _ = notices.send(Notice::Server { line });
    }
    Ok(Some(watcher))
}

/// Reaches the hosts and conducts the run on them.
pub async fn run(
    command: &AttackCommand,
    hosts: &[Host],
    fleet: Option<&Joined>,
    consented: bool,
    notices: UnboundedSender<Notice>,
) -> Result<Outcome, Error> {
    let until = if command.mode == Mode::ArmOnly {
        Until::Armed
    } else {
        Until::Reported
    };
    let watcher = begin_watch(&command.plan, &notices).await?;
    let (events, happening) = mpsc::unbounded_channel();
    let entrants = crew::entrants(hosts)?;
    let reach = Reach {
        run: &command.plan.run,
        ssh: &command.ssh,
        agent_binaries: &command.agent_binaries,
    };
    let ways = Ways::open(reach, hosts, fleet, &events).await?;
    let following = watcher.map(|watcher| {
        let events = events.clone();
        watcher.follow(move |reading| events.send(Event::Read(Box::new(reading))).is_ok())
    });
    drop(events);
    let watching = following
        .as_ref()
        .map(|following| Watching::new(Record::new(&command.plan.watch), following.asks()));
    let plan = command.plan.clone();
    let conducted = conduct(plan, entrants, until, consented, happening, notices, watching).await;
    if let Some(following) = following {
        following.close().await;
    }
    match conducted {
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

/// What the conductor's error means for the command.
pub(in crate::cli) fn refusal(error: ConductError) -> Error {
    match error {
        ConductError::TooFew { .. } => Error::NoLoad(error.to_string()),
        ConductError::SourceUnowned(_) => Error::Usage(error.to_string().into()),
        ConductError::Consent(_) => Error::Consent(error.to_string()),
        ConductError::Stopped | ConductError::Left => Error::Interrupted,
    }
}

/// `swarm attack`, from the flags to the exit code.
pub async fn attack(mut command: AttackCommand) -> Result<Exit, Error> {
    let mut hosts = command.hosts.hosts()?;
    let joined = match command.hosts.fleet.clone() {
        Some(name) => Some(joined::join(wanted(&command), &name, hosts.len()).await?),
        None => None,
    };
    if let Some(joined) = &joined {
        command.notes.extend(joined.notes.iter().cloned());
        hosts.splice(0..0, joined.hosts.iter().cloned());
    }
    let listed = hosts.iter().filter_map(|host| host.sources.as_deref());
    let listed = listed.map(|sources| sources.split(',').count()).sum();
    if let Some(text) = played::unmet(command.needs, hosts.len(), &command.plan.sources, listed) {
        return Err(Error::Usage(text.into()));
    }
    let crew = crew::crew(&hosts, joined.as_ref());
    let plan = preview(&command.plan, &crew, &command.notes);
    if command.mode == Mode::DryRun {
        return show::out(&plan).map(|()| Exit::Ok).map_err(unwritten);
    }
    if !command.outputs.quiet {
        show::say(&first_line(&crew));
        show::say(&plan);
    }
    for file in &command.outputs.files {
        show::files::check(file).map_err(unwritten)?;
    }
    resolve(&mut command.plan).await;
    let consented = agree(&command, &plan)?;
    let outcome = watched(&command, &hosts, joined.as_ref(), consented).await?;
    if command.mode == Mode::ArmOnly {
        return show::out(&armed(&outcome)).map(|()| Exit::Ok).map_err(unwritten);
    }
    finish(&command, outcome)
}

fn wanted(command: &AttackCommand) -> Wanted {
    let plan = &command.plan;
    Wanted {
        min_hosts: plan.min_hosts,
        own_sources: !plan.sources.is_empty(),
        lasts: planned_end(&plan.load).map(|end| end + plan.limits.grace),
        network: command.mode != Mode::DryRun,
    }
}

/// Runs with the live line on.
pub async fn watched(
    command: &AttackCommand,
    hosts: &[Host],
    fleet: Option<&Joined>,
    consented: bool,
) -> Result<Outcome, Error> {
    let (notices, told) = mpsc::unbounded_channel();
    let live = Live::stderr(LiveMode::of(command.outputs.quiet, !command.outputs.live));
    let watching = tokio::spawn(watch::watch(live, !command.outputs.quiet, told));
    let outcome = run(command, hosts, fleet, consented, notices).await;
    // the view ends when the run drops its end of the notices
    let _ = watching.await;
    outcome
}

fn finish(command: &AttackCommand, mut outcome: Outcome) -> Result<Exit, Error> {
    outcome.warnings.extend(command.notes.iter().cloned());
    let summary = judged(&outcome);
    let output = Output {
        files: command.outputs.files.clone(),
        json: command.outputs.json,
        quiet: command.outputs.quiet,
    };
    show::finish(&summary, &output).map_err(unwritten)?;
    Ok(Exit::of(exit_code(&summary, command.plan.strict)))
}

/// Merges and judges.
pub fn judged(outcome: &Outcome) -> Summary {
    let mut summary = merge(outcome);
    summary.requirements = outcome
        .plan
        .requirements
        .iter()
        .map(|requirement| {
            let verdict = requirement.evaluate(&summary);
            let shown = verdict
                .reason
                .filter(|_| verdict.value.is_none())
                .unwrap_or(verdict.shown);
            Judged {
                expr: verdict.expr,
                name: Some(verdict.subject),
                value: verdict.value,
                shown,
                passed: verdict.passed,
            }
        })
        .collect();
    summary
}

/// What `--arm-only` found out.
fn armed(outcome: &Outcome) -> String {
    let mut text = String::new();
    for host in &outcome.hosts {
        let line = match (&host.armed, &host.hello, &host.clock, &host.end) {
            (Some(armed), Some(hello), Some(clock), _) => {
                let addresses: Vec<String> = armed.resolved.iter().flatten().map(IpAddr::to_string).collect();
                format!(
                    "armed: {} cores, {} files, clock known to {:.3} ms, target {}",
                    hello.cores,
                    hello.files,
                    clock.bound_ns as f64 / 1e6,
                    addresses.join(" ")
                )
            }
            (.., HostEnd::Refused { why }) => format!("refused: {why}"),
            _ => "not armed".to_owned(),
        };
        text.push_str(&format!("{}  {line}\n", host.name));
        if let (Some(share), Some(armed)) = (&host.share, &host.armed) {
            for doubt in source::without_path(&share.targets, &armed.dropped) {
                text.push_str(&format!("{}  {doubt}\n", host.name));
            }
        }
    }
    for line in server::lines(&server::of_outcome(&outcome.hosts), &outcome.plan) {
        text.push_str(&format!("{line}\n"));
    }
    for host in &outcome.hosts {
        for doubt in host.armed.iter().flat_map(|armed| &armed.warnings) {
            text.push_str(&format!("{}  {doubt}\n", host.name));
        }
    }
    text + "no load was sent (--arm-only)\n"
}

fn unwritten(error: ShowError) -> Error {
    Error::Unexpected(Box::new(error))
}
