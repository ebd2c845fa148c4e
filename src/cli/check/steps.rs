//! The steps of `swarm check`, in order. Each is one call; the details are elsewhere.

use super::CheckCommand;
use crate::check::{self, Report, Resolved, scout};
use crate::cli::ask;
use crate::cli::attack::steps::{look_up, refusal};
use crate::cli::crew::{self, Reach, Ways};
use crate::cli::hosts::HostFile;
use crate::cli::joined::{self, Joined, Wanted};
use crate::cli::preview::first_line;
use crate::conduct::ConductError;
use crate::conduct::scouts::Scouts;
use crate::consent::{self, Approach};
use crate::error::{Error, Exit};
use crate::fleet::host::Host;
use crate::show;
use tokio::sync::mpsc;

/// `swarm check`, from the flags to the exit code.
pub async fn check(mut command: CheckCommand) -> Result<Exit, Error> {
    let mut hosts = command.hosts.hosts()?;
    let joined = match command.hosts.fleet.clone() {
        Some(name) => Some(joined::join(wanted(&command), &name, hosts.len()).await?),
        None => None,
    };
    if let Some(joined) = &joined {
        hosts.splice(0..0, joined.hosts.iter().cloned());
        joined
            .notes
            .iter()
            .for_each(|(_, text)| show::say(&format!("note     {text}")));
    }
    if !command.json {
        show::say(&first_line(&crew::crew(&hosts, joined.as_ref())));
    }
    look_up(&mut command.aim.target).await;
    let report = run(&command, &hosts, joined.as_ref()).await?;
    show::check::finish(&report, command.json).map_err(|error| Error::Unexpected(Box::new(error)))?;
    Ok(exit(&report))
}

fn exit(report: &Report) -> Exit {
    match (report.reached, report.fails()) {
        (false, _) => Exit::NoLoad,
        (true, true) => Exit::Failed,
        (true, false) => Exit::Ok,
    }
}

fn wanted(command: &CheckCommand) -> Wanted {
    Wanted {
        min_hosts: command.min_hosts,
        own_sources: !command.sources.is_empty(),
        lasts: None,
        network: true,
    }
}

/// Reaches the hosts and has them look.
async fn run(command: &CheckCommand, hosts: &[Host], fleet: Option<&Joined>) -> Result<Report, Error> {
    let (events, happening) = mpsc::unbounded_channel();
    let entrants = crew::entrants(hosts)?;
    let reach = Reach {
        run: &command.run,
        ssh: &command.ssh,
        agent_binaries: &command.agent_binaries,
    };
    let ways = Ways::open(reach, hosts, fleet, &events).await?;
    drop(events);
    match Scouts::gather(entrants, &command.sources, command.min_hosts, happening).await {
        Err(ConductError::Left) => {
            ways.leave();
            Err(Error::Interrupted)
        }
        Err(other) => {
            ways.close().await;
            Err(refusal(other))
        }
        Ok(scouts) => {
            for (name, why) in &scouts.absent {
                show::say(&format!("note     {name} does not take part: {why}"));
            }
            let walked = tokio::select! {
                walked = walk(command, &scouts) => walked,
                () = scouts.interrupted() => Err(Error::Interrupted),
            };
            scouts.close().await;
            ways.close().await;
            walked
        }
    }
}

async fn walk(command: &CheckCommand, scouts: &Scouts) -> Result<Report, Error> {
    let origins = scout::origins(scouts);
    let resolved = check::resolve(scouts, &command.aim, &origins).await;
    agree(command, &resolved).await?;
    let now = jiff::Timestamp::now().as_second();
    Ok(check::check(scouts, &command.aim, &origins, &resolved, now).await)
}

/// Whether the target may be looked at: its addresses, as the hosts see them, are near, or the user agreed.
async fn agree(command: &CheckCommand, resolved: &Resolved) -> Result<(), Error> {
    let addresses = resolved.addresses();
    if addresses.is_empty() || command.yes {
        return Ok(());
    }
    let target = &command.aim.target;
    let names = consent::names_to_ask(&[Approach {
        host: target.host.clone(),
        addresses,
    }]);
    if names.is_empty() {
        return Ok(());
    }
    let name = names.join(", ");
    if !ask::terminal(command.hosts.files.contains(&HostFile::Stdin)) {
        return Err(Error::Consent(format!(
            "{name} is neither loopback nor private: about a hundred connections need your consent, and there is no terminal to ask at; add --yes if you may check it"
        )));
    }
    let question = format!(
        "This opens about a hundred connections to {name}, which is neither loopback nor private.\nOnly go on if you may. Type {} to start: ",
        names.join(" ")
    );
    // the links are kept alive meanwhile
    let answer = tokio::task::spawn_blocking(move || ask::ask(&question)).await;
    let answer = answer
        .map_err(|error| Error::Unexpected(Box::new(error)))?
        .map_err(|error| Error::Consent(format!("cannot ask for consent: {error}")))?;
    match consent::agrees(&answer, &names) {
        true => Ok(()),
        false => Err(Error::Consent(format!("no consent for {name}"))),
    }
}
