//! The steps of `swarm up`, in order: look, say what will be made, make it, wait until it is ready. What goes wrong on the
//! way is removed again, or named. Each step is one call; the details are elsewhere.

use super::cover;
use super::keys::keys;
use super::outlook::{Outlook, outlook};
use super::preview::preview;
use super::ready::{NotReady, Reach, until_ready};
use super::rollback::{removed, roll_back};
use super::{Mode, UpCommand};
use crate::agent_binary::AgentBinaries;
use crate::cli::fleet_access;
use crate::cli::run_id;
use crate::cli::units::comma;
use crate::error::{Error, Exit};
use crate::fleet::ledger::{FleetFolder, Ledger};
use crate::fleet::raise::{RaiseError, Raising};
use crate::fleet::survey::Site;
use crate::show;
use crate::signal::Signals;
use crate::state::{Hold, Lock, State, last_seen, lock, make_folder};
use crate::transport::Transport;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// `swarm up`, from the flags to the exit code.
pub async fn up(command: UpCommand) -> Result<Exit, Error> {
    let state = State::real()?;
    let folder = FleetFolder(state.fleet(&command.fleet)?);
    let binaries = AgentBinaries::with_overrides(&command.agent_binaries)
        .map_err(|error| Error::Usage(error.to_string().into()))?;
    if command.mode == Mode::DryRun {
        let before = Ledger::read(&folder)?;
        let command = match &command.cover {
            Some(cover) => cover::first_round(&command, cover, before.as_ref()),
            None => command,
        };
        let outlook = outlook(&command, &state, &folder, before, Timestamp::MIN, &binaries).await?;
        return show::out(&format!(
            "{}nothing was made (--dry-run)\n",
            preview(&command, &outlook)
        ))
        .map(|()| Exit::Ok)
        .map_err(|error| Error::Unexpected(Box::new(error)));
    }
    let is_new = !folder.0.exists();
    make_folder(&folder.0)?;
    let alive = last_seen(&folder.work_lock());
    let busy = format!("another command works on fleet {}", command.fleet);
    let work = Arc::new(lock(&folder.work_lock(), Hold::Alone, &busy)?);
    let heart = tokio::spawn(beat(Arc::clone(&work)));
    let scene = Scene {
        state: &state,
        folder: &folder,
        alive,
    };
    let outcome = match (Ledger::read(&folder), &command.cover) {
        (Ok(_), Some(cover)) => cover::rounds(&command, cover, &scene, &binaries).await,
        (Ok(before), None) => raise(&command, &scene, before, binaries).await,
        (Err(error), _) => Err(error.into()),
    };
    heart.abort();
    let left = matches!(&outcome, Err(error) if error.exit() == Exit::LeftBehind);
    let forgotten = match left {
        true => Ok(()),
        false => forget_if_empty(&folder, is_new),
    };
    let exit = outcome?;
    forgotten.map(|()| exit)
}

/// Whoever finds this command killed knows when it still lived.
async fn beat(work: Arc<Lock>) {
    loop {
        work.beat();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A fleet's folder in which nothing of EC2's is noted says nothing.
fn forget_if_empty(folder: &FleetFolder, is_new: bool) -> Result<(), Error> {
    // what cannot be read is told where it is used
    let Ok(noted) = Ledger::read(folder) else { return Ok(()) };
    // a folder whose ledger was taken away may still hold the key of hosts that live
    if noted.map_or(is_new, |ledger| ledger.is_empty()) {
        folder.remove().map_err(|error| Error::Unexpected(Box::new(error)))?;
    }
    Ok(())
}

/// Where the fleet is noted.
pub(super) struct Scene<'a> {
    pub(super) state: &'a State,
    pub(super) folder: &'a FleetFolder,
    /// When an `up` of this fleet was last seen at work.
    pub(super) alive: Timestamp,
}

/// Brings the fleet to its size.
pub(super) async fn raise(
    command: &UpCommand,
    scene: &Scene<'_>,
    before: Option<Ledger>,
    binaries: AgentBinaries,
) -> Result<Exit, Error> {
    let outlook = outlook(command, scene.state, scene.folder, before, scene.alive, &binaries).await?;
    show::say(&preview(command, &outlook));
    let sites = outlook.sites.clone();
    let mut raising = begin(command, scene.folder, outlook).await?;
    let mut signals = Signals::listen().map_err(|error| Error::Unexpected(Box::new(error)))?;
    match make(command, &mut raising, &sites, &Arc::new(binaries), &mut signals).await {
        Ok(exit) => Ok(exit),
        Err(trouble) => Err(undo(command, &mut raising, &sites, trouble, &mut signals).await),
    }
}

/// Keys, and a name for this command.
async fn begin(command: &UpCommand, folder: &FleetFolder, outlook: Outlook) -> Result<Raising, Error> {
    let mut ledger = outlook.ledger;
    ledger.profile = outlook.profile;
    if let Some(net) = command.ssh_from {
        ledger.ssh_from = Some(net.to_string());
    }
    let mut recipe = command.recipe.clone();
    recipe.key.clone_from(&ledger.key);
    let own_key = recipe.key.is_some();
    // before its key, which is of no use without it
    ledger.write(folder)?;
    Ok(Raising {
        aws: outlook.aws,
        folder: folder.clone(),
        ledger,
        owner: outlook.owner,
        run: run_id::fresh(),
        recipe,
        tags: command.tags.clone(),
        ttl: command.ttl,
        ssh_from: outlook.ssh_from,
        keys: keys(folder, own_key)
            .await
            .map_err(|error| Error::Unexpected(Box::new(error)))?,
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
    let wanted: u32 = sites.iter().map(|site| site.wanted.max(site.there())).sum();
    let mut reasons = Vec::new();
    let needed = command.min_hosts.of(wanted as usize);
    for site in sites {
        if signals.came() {
            return Err(Trouble::Interrupted);
        }
        reasons.extend(launch(raising, site).await?);
    }
    let there = raising.ledger.hosts().count();
    if there < needed {
        return Err(Trouble::TooFew(format!(
            "{there} of {wanted} hosts could be launched, {needed} are needed (--min-hosts){}",
            reasons.last().map(|why| format!(": {why}")).unwrap_or_default()
        )));
    }
    if signals.came() {
        return Err(Trouble::Interrupted);
    }
    if command.mode == Mode::Launched {
        show::say("launched and recorded; `swarm up` with the same -s waits until they are ready (--no-wait)");
        return table(raising, wanted);
    }
    let reach = Reach {
        transport: Arc::new(transport(command, raising).await.map_err(Trouble::Here)?),
        binaries: Arc::clone(binaries),
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
            "{ready} of {wanted} hosts are ready, {needed} are needed (--min-hosts): {}",
            failed.values().next().map_or("see above", String::as_str)
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

/// Launches what a region lacks; gives what was said where that could not be.
async fn launch(raising: &mut Raising, site: &Site) -> Result<Vec<String>, Trouble> {
    let group = raising.group(site).await?;
    let (Some(supply), Some(group)) = (&site.supply, group) else {
        raising.look(site).await?;
        return Ok(Vec::new());
    };
    let at = &site.at.name;
    show::say(&format!("{at}: security group {group}"));
    let (got, said) = raising.launch(site, supply, &group).await?;
    said.iter().for_each(|why| show::say(&format!("{at}: no room: {why}")));
    show::say(&format!("{at}: {got} x {} launched", supply.kind.name));
    Ok(said)
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
    show::say("removing what this command launched (Ctrl-C again leaves it)");
    let fleet = &command.fleet;
    // the interrupt that led here is taken; another one leaves at once
    signals.came();
    let (left, unknown) = tokio::select! {
        undone = roll_back(raising, sites) => undone,
        _ = signals.next() => (Vec::new(), vec!["interrupted again".to_owned()]),
    };
    let text = match (left.is_empty(), unknown.is_empty()) {
        (true, true) => {
            return Error::Fleet {
                text: format!("{text}; nothing of this command is left"),
                exit,
            };
        }
        (false, _) => format!("{text}; not removed: {}", show::fleet::remaining(&left)),
        (true, false) => format!(
            "{text}; what was launched could not be removed ({})",
            unknown.join("; ")
        ),
    };
    Error::Fleet {
        text: format!("{text}: it is in the ledger, `swarm down --fleet {fleet}` removes it"),
        exit: Exit::foremost([exit, Exit::LeftBehind]),
    }
}

async fn transport(command: &UpCommand, raising: &Raising) -> Result<Transport, Error> {
    fleet_access::transport(&raising.ledger, &raising.folder, command.ssh_config.clone()).await
}
