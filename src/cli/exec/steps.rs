//! The steps of `swarm exec`, in order. Each is one call; the details are elsewhere.

use super::ExecCommand;
use super::ear::Ear;
use crate::cli::attack::steps::refusal;
use crate::cli::crew::{self, Reach, Ways};
use crate::cli::joined::{self, Joined, Wanted};
use crate::cli::preview::first_line;
use crate::conduct::ConductError;
use crate::conduct::exec::{self, ExecOutcome};
use crate::error::{Error, Exit};
use crate::fleet::host::Host;
use crate::merge::exec::{Received, exit_code, summary};
use crate::show::{self, ShowError};
use tokio::sync::mpsc;

/// `swarm exec`, from the flags to the exit code.
pub async fn exec(command: ExecCommand) -> Result<Exit, Error> {
    let mut hosts = command.hosts.hosts()?;
    let joined = match command.hosts.fleet.clone() {
        Some(name) => Some(joined::join(wanted(&command), &name, hosts.len()).await?),
        None => None,
    };
    let mut notes = Vec::new();
    if let Some(joined) = &joined {
        notes.extend(joined.notes.iter().cloned());
        hosts.splice(0..0, joined.hosts.iter().cloned());
    }
    if !command.output.quiet {
        show::say(&head(&command, &hosts, joined.as_ref(), &notes));
    }
    for file in &command.output.files {
        show::files::check(file).map_err(unwritten)?;
    }
    let (mut outcome, received) = run(&command, &hosts, joined.as_ref()).await?;
    outcome.warnings.extend(notes);
    let summary = summary(&command.plan, outcome, received);
    show::exec::finish(&summary, &command.output).map_err(unwritten)?;
    Ok(Exit::of(exit_code(&summary)))
}

fn wanted(command: &ExecCommand) -> Wanted {
    Wanted {
        min_hosts: command.plan.min_hosts,
        own_sources: !command.plan.sources.is_empty(),
        lasts: command.plan.timeout,
        network: true,
    }
}

/// What is printed before anything is done.
fn head(command: &ExecCommand, hosts: &[Host], joined: Option<&Joined>, notes: &[(String, String)]) -> String {
    let crew = crew::crew(hosts, joined);
    let mut lines = vec![
        first_line(&crew),
        format!("command  {}", show::exec::command(&command.plan.words)),
        match hosts.len() {
            1 => "         One host runs this.".to_owned(),
            n => format!("         Each of {n} hosts runs this; loads add up."),
        },
    ];
    if let Some(ends) = &crew.ends {
        lines.push(format!("ends     {ends}"));
    }
    lines.push(format!("defaults {}", command.defaults.join(", ")));
    lines.extend(notes.iter().map(|(_, text)| format!("note     {text}")));
    lines.join("\n")
}

/// Reaches the hosts and conducts the run on them, listening to what they say.
async fn run(
    command: &ExecCommand,
    hosts: &[Host],
    fleet: Option<&Joined>,
) -> Result<(ExecOutcome, Vec<Received>), Error> {
    let (events, happening) = mpsc::unbounded_channel();
    let (heard, hears) = mpsc::unbounded_channel();
    let entrants = crew::entrants(hosts)?;
    let names: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
    let reach = Reach {
        run: &command.plan.run,
        ssh: &command.ssh,
        agent_binaries: &command.agent_binaries,
    };
    let ways = Ways::open(reach, hosts, fleet, &events).await?;
    let received = Ear::new(command, &names).listen(hears, events);
    match exec::exec(&command.plan, entrants, happening, heard).await {
        Err(ConductError::Left) => {
            ways.leave();
            Err(Error::Interrupted)
        }
        Err(other) => {
            ways.close().await;
            Err(match refusal(other) {
                Error::NoLoad(why) => Error::NotBegun(why),
                other => other,
            })
        }
        Ok(outcome) => {
            ways.close().await;
            let received = received
                .await
                .map_err(|_| Error::Unexpected("what the hosts said was lost".into()))?;
            Ok((outcome, received))
        }
    }
}

fn unwritten(error: ShowError) -> Error {
    Error::Unexpected(Box::new(error))
}
