//! The steps of `swarm up`, in order: look, say what will be made, make it, wait until it is ready. What goes wrong on the
//! way is removed again, or named. Each step is one call; the details are elsewhere.

use super::keys::keys;
use super::outlook::{Outlook, outlook};
use super::preview::preview;
use super::ready::{NotReady, Reach, until_ready};
use super::rollback::{removed, roll_back};
use super::{Mode, UpCommand};
use crate::agent_binary::AgentBinaries;
use crate::cli::attack::run_id;
use crate::cli::fleet_access;
use crate::cli::units::comma;
use crate::error::{Error, Exit};
use crate::fleet::ledger::{FleetFolder, Ledger};
use crate::fleet::raise::{RaiseError, Raising};
use crate::fleet::raze;
use crate::fleet::survey::Site;
use crate::show;
use crate::signal::Signals;
use crate::state::{Hold, State, lock, make_folder};
use crate::transport::Transport;
use std::sync::Arc;

/// `swarm up`, from the flags to the exit code.
pub async fn up(command: UpCommand) -> Result<Exit, Error> {
    let state = State::real()?;
    let folder = FleetFolder(state.fleet(&command.fleet)?);
    let binaries = AgentBinaries::with_overrides(&command.agent_binaries)
        .map_err(|error| Error::Usage(error.to_string().into()))?;
    let _work = match command.mode {
        Mode::DryRun => None,
        _ => {
            make_folder(&folder.0)?;
            let busy = format!("another command works on fleet {}", command.fleet);
            Some(lock(&folder.work_lock(), Hold::Alone, &busy)?)
        }
    };
    let before = Ledger::read(&folder)?;
    let outcome = raise(&command, &state, &folder, before, binaries).await;
    forget_if_empty(&folder)?;
    outcome
}

/// A fleet's folder in which nothing of EC2's is noted says nothing.
fn forget_if_empty(folder: &FleetFolder) -> Result<(), Error> {
    let noted = Ledger::read(folder)?;
    if noted.is_none_or(|ledger| ledger.is_empty()) {
        folder.remove().map_err(|error| Error::Unexpected(Box::new(error)))?;
    }
    Ok(())
}

async fn raise(
    command: &UpCommand,
    state: &State,
    folder: &FleetFolder,
    before: Option<Ledger>,
    binaries: AgentBinaries,
) -> Result<Exit, Error> {
    let outlook = outlook(command, state, folder, before, &binaries).await?;
    let text = preview(command, &outlook);
    if command.mode == Mode::DryRun {
        return show::out(&format!("{text}nothing was made (--dry-run)\n"))
            .map(|()| Exit::Ok)
            .map_err(|error| Error::Unexpected(Box::new(error)));
    }
    show::say(&text);
    let sites = outlook.sites.clone();
    let mut raising = begin(command, folder, outlook).await?;
    let mut signals = Signals::listen().map_err(|error| Error::Unexpected(Box::new(error)))?;
    match make(command, &mut raising, &sites, &Arc::new(binaries), &mut signals).await {
        Ok(exit) => Ok(exit),
        Err(trouble) => Err(undo(command, &mut raising, &sites, trouble, &mut signals).await),
    }
}

/// Keys, and a name for this command.
async fn begin(command: &UpCommand, folder: &FleetFolder, outlook: Outlook) -> Result<Raising, Error> {
    let unexpected = |error: Box<dyn std::error::Error + Send + Sync>| Error::Unexpected(error);
    let mut ledger = outlook.ledger;
    ledger.profile = outlook.profile;
    // hosts that are there keep the login that they have
    if ledger.hosts().next().is_none() {
        ledger.login.clone_from(&command.login);
        let identity = command.identity.as_ref().map(std::path::absolute).transpose();
        ledger.identity = identity.map_err(|error| unexpected(Box::new(error)))?;
    }
    Ok(Raising {
        aws: outlook.aws,
        folder: folder.clone(),
        ledger,
        owner: outlook.owner,
        run: run_id::fresh(),
        recipe: command.recipe.clone(),
        tags: command.tags.clone(),
        ttl: command.ttl,
        ssh_from: outlook.ssh_from,
        keys: keys(folder, command.recipe.key.is_some())
            .await
            .map_err(|error| unexpected(Box::new(error)))?,
    })
}

/// Why the making ended early.
pub(super) enum Trouble {
    Raise(RaiseError),
    Interrupted,
    /// Too few got ready.
    TooFew(String),
    /// Something here.
    Here(Error),
}

impl From<RaiseError> for Trouble {
    fn from(error: RaiseError) -> Self {
        Self::Raise(error)
    }
}

/// Makes what is lacking and waits for it.
async fn make(
    command: &UpCommand,
    raising: &mut Raising,
    sites: &[Site],
    binaries: &Arc<AgentBinaries>,
    signals: &mut Signals,
) -> Result<Exit, Trouble> {
    let wanted: u32 = sites.iter().map(|site| site.wanted.max(site.alive.len() as u32)).sum();
    let needed = command.min_hosts.of(wanted as usize);
    for site in sites {
        launch(raising, site).await?;
    }
    let there = raising.ledger.hosts().count();
    if there < needed {
        return Err(Trouble::TooFew(format!(
            "{there} of {wanted} hosts could be launched, {needed} are needed (--min-hosts)"
        )));
    }
    if command.mode == Mode::Launched {
        show::say("launched and recorded; `swarm up` with the same -s waits until they are ready (--no-wait)");
        return table(raising, wanted);
    }
    let reach = Reach {
        transport: Arc::new(transport(command, raising).await.map_err(Trouble::Here)?),
        binaries: Arc::clone(binaries),
        login: raising.ledger.login.clone(),
    };
    let failed = until_ready(raising, sites, &reach, command.patience, signals)
        .await
        .map_err(|error| match error {
            NotReady::Raise(error) => Trouble::Raise(error),
            NotReady::Interrupted => Trouble::Interrupted,
        })?;
    // whoever launched it: a host that is not ready may have no timer, and is not kept
    removed(raising, sites, failed.keys()).await?;
    let ready = raising.ledger.hosts().filter(|(_, host)| host.ready).count();
    if ready < needed {
        return Err(Trouble::TooFew(format!(
            "{ready} of {wanted} hosts are ready, {needed} are needed (--min-hosts)"
        )));
    }
    for site in sites.iter().filter(|_| command.recipe.elastic > 0) {
        let given = raising.elastic(site).await?;
        show::say(&format!(
            "{}: {} Elastic IPs taken",
            site.at.name,
            comma(u64::from(given))
        ));
    }
    table(raising, wanted)
}

async fn launch(raising: &mut Raising, site: &Site) -> Result<(), Trouble> {
    let group = raising.group(site).await?;
    let (Some(supply), Some(group)) = (&site.supply, group) else {
        raising.look(site).await?;
        return Ok(());
    };
    let at = &site.at.name;
    show::say(&format!("{at}: security group {group}"));
    let (got, said) = raising.launch(site, supply, &group).await?;
    said.iter().for_each(|why| show::say(&format!("{at}: no room: {why}")));
    show::say(&format!("{at}: {got} x {} launched", supply.kind.name));
    match site.missing() - got {
        0 => Ok(()),
        // fewer may be enough: the caller counts
        lacking => {
            show::say(&format!("{at}: {lacking} could not be launched"));
            Ok(())
        }
    }
}

fn table(raising: &Raising, wanted: u32) -> Result<Exit, Trouble> {
    let rows = fleet_access::rows(&raising.ledger);
    let printed = show::out(&show::fleet::ready(&raising.ledger.fleet, &rows));
    printed.map_err(|error| Trouble::Here(Error::Unexpected(Box::new(error))))?;
    match rows.len() < wanted as usize {
        true => Ok(Exit::Partial),
        false => Ok(Exit::Ok),
    }
}

/// Removes what this command launched, and says what became of it.
async fn undo(
    command: &UpCommand,
    raising: &mut Raising,
    sites: &[Site],
    trouble: Trouble,
    signals: &mut Signals,
) -> Error {
    let (text, exit) = match trouble {
        Trouble::Raise(RaiseError::Ec2(error)) => {
            let exit = if error.is_usage() {
                Exit::Usage
            } else {
                Exit::Unexpected
            };
            (error.to_string(), exit)
        }
        Trouble::Raise(error) => (error.to_string(), Exit::Unexpected),
        Trouble::Interrupted => ("interrupted".to_owned(), Exit::Interrupted),
        Trouble::TooFew(text) => (text, Exit::Unexpected),
        Trouble::Here(error) => (error.chain(), error.exit()),
    };
    show::say(&format!(
        "{text}: removing what this command launched (Ctrl-C again leaves it)"
    ));
    let fleet = &command.fleet;
    let undone = tokio::select! {
        undone = roll_back(raising, sites) => undone,
        _ = signals.next() => Err("interrupted again".to_owned()),
    };
    match undone {
        Ok(left) if left.is_empty() => Error::Fleet {
            text: format!("{text}; nothing of this command is left"),
            exit,
        },
        Ok(left) => Error::Fleet {
            text: format!(
                "{text}; not removed: {}; try `swarm down --fleet {fleet}`",
                show::fleet::remaining(&left)
            ),
            exit: Exit::foremost([exit, Exit::LeftBehind]),
        },
        Err(why) => Error::Fleet {
            text: format!(
                "{text}; what was launched could not be removed ({why}): it is in the ledger, `swarm down --fleet {fleet}` removes it"
            ),
            exit: Exit::foremost([exit, Exit::LeftBehind]),
        },
    }
}

async fn transport(command: &UpCommand, raising: &Raising) -> Result<Transport, Error> {
    fleet_access::transport(&raising.ledger, &raising.folder, command.ssh_config.clone()).await
}

/// Waits for what may still come of a launch whose answer was lost.
pub(super) async fn settle_launches(raising: &Raising, site: &Site) -> Result<(), RaiseError> {
    let open: Vec<_> = raising
        .ledger
        .unanswered()
        .filter(|(region, _)| *region == site.at.name)
        .map(|(_, launch)| launch.clone())
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    Ok(raze::await_launches(&site.at, &open).await?)
}
