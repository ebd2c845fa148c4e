//! The steps of `swarm up`, in order: look, say what will be made, make it, wait until it is ready. What goes wrong on the
//! way is removed again, or named. Each step is one call; the details are elsewhere.

use super::keys::keys;
use super::preview::{Setting, preview};
use super::ready::{NotReady, Reach, until_ready};
use super::rollback::{removed, roll_back};
use super::{Mode, UpCommand};
use crate::agent_binary::AgentBinaries;
use crate::cli::fleet_access;
use crate::cli::units::comma;
use crate::error::{Error, Exit};
use crate::fleet::ec2::{Aws, Ec2Error, own_address};
use crate::fleet::ledger::{FleetFolder, Ledger};
use crate::fleet::owner::{Owner, Whose};
use crate::fleet::raise::{RaiseError, Raising, reconcile};
use crate::fleet::survey::{self, Site};
use crate::fleet::{raze, shape};
use crate::show;
use crate::signal::Signals;
use crate::state::{Hold, State, lock, make_folder};
use crate::transport::Transport;
use futures_util::future::try_join_all;
use ipnet::IpNet;
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
    let profile = command.profile.clone().or_else(|| before.as_ref()?.profile.clone());
    let aws = Aws::connect(profile.as_deref()).await?;
    let regions = regions(command, before.as_ref(), &aws)?;
    check_regions(&aws, &regions).await?;
    let owner = owner(command, state, &aws, &regions[0].0).await?;
    let mut ledger = before.unwrap_or_else(|| Ledger::new(&command.fleet, &owner.to_string(), &command.login));
    let mut sites = look(command, &aws, &regions, &owner).await?;
    share_out(command, &regions, &mut sites)?;
    supply(command, &mut sites).await?;
    can_log_in(command, folder, &mut ledger, &sites)?;
    has_agents(&binaries, &sites)?;
    let quotas = elastic_quotas(command, &sites).await?;
    let ssh_from = ssh_from(command, &aws).await?;
    let setting = Setting {
        owner: &owner.to_string(),
        ssh_from,
        group: &shape::group_name(&command.fleet, &owner.installation),
        quotas: &quotas,
    };
    let text = preview(command, &sites, &setting);
    if command.mode == Mode::DryRun {
        return show::out(&format!("{text}nothing was made (--dry-run)\n"))
            .map(|()| Exit::Ok)
            .map_err(|error| Error::Unexpected(Box::new(error)));
    }
    show::say(&text);
    ledger.profile = profile;
    // hosts that are there keep the login that they have
    if ledger.hosts().next().is_none() {
        ledger.login.clone_from(&command.login);
        ledger.identity = match &command.identity {
            Some(file) => Some(std::path::absolute(file).map_err(|error| Error::Unexpected(Box::new(error)))?),
            None => None,
        };
    }
    let mut raising = Raising {
        aws,
        folder: folder.clone(),
        ledger,
        owner,
        run: crate::cli::attack::run_id::fresh(),
        recipe: command.recipe.clone(),
        tags: command.tags.clone(),
        ttl: command.ttl,
        ssh_from: ssh_from.unwrap_or_default(),
        keys: keys(folder, command.recipe.key.is_some())
            .await
            .map_err(|error| Error::Unexpected(Box::new(error)))?,
    };
    let mut signals = Signals::listen().map_err(|error| Error::Unexpected(Box::new(error)))?;
    match make(command, &mut raising, &sites, &Arc::new(binaries), &mut signals).await {
        Ok(exit) => Ok(exit),
        Err(trouble) => Err(undo(command, &mut raising, &sites, trouble, &mut signals).await),
    }
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
        return Err(Trouble::TooFew(format!("{there} of {wanted} hosts could be launched")));
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
    let ready = raising.ledger.hosts().filter(|(_, host)| host.ready).count();
    if ready < needed {
        return Err(Trouble::TooFew(format!("{ready} of {wanted} hosts are ready")));
    }
    removed(raising, sites, failed.keys()).await?;
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
    let Some(supply) = &site.supply else {
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
        Trouble::TooFew(text) => (
            format!("{text}, {:?} are needed (--min-hosts)", command.min_hosts),
            Exit::Unexpected,
        ),
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

/// The regions, with their own numbers: those of the command, else the fleet's, else the environment's.
fn regions(command: &UpCommand, before: Option<&Ledger>, aws: &Aws) -> Result<Vec<(String, Option<u32>)>, Error> {
    if !command.regions.is_empty() {
        return Ok(command.regions.clone());
    }
    if let Some(zone) = command.recipe.wish.zones.first() {
        // us-east-1a lies in us-east-1
        let region = zone.trim_end_matches(|c: char| c.is_ascii_lowercase());
        return Ok(vec![(region.to_owned(), None)]);
    }
    let noted: Vec<_> = before
        .into_iter()
        .flat_map(|ledger| ledger.regions.iter())
        .filter(|(_, region)| !region.hosts.is_empty())
        .map(|(name, _)| (name.clone(), None))
        .collect();
    if !noted.is_empty() {
        return Ok(noted);
    }
    let region = aws.region_of_environment().ok_or_else(|| {
        Error::Usage(
            "no region: name one with --region eu-west-1, or set AWS_REGION"
                .to_owned()
                .into(),
        )
    })?;
    Ok(vec![(region, None)])
}

async fn check_regions(aws: &Aws, regions: &[(String, Option<u32>)]) -> Result<(), Error> {
    let first = &regions[0].0;
    let listed = match aws.region(first).regions().await {
        // a region that does not exist has no address
        Err(error @ Ec2Error::NoAnswer { .. }) => {
            return Err(Error::Usage(format!("--region {first}: {error}").into()));
        }
        other => other?,
    };
    for (name, _) in regions {
        let why = match listed.iter().find(|region| region.name == *name) {
            Some(region) if region.enabled => continue,
            Some(_) => "the account has not enabled it: enable it in the AWS console, or choose another".to_owned(),
            None => {
                let known: Vec<&str> = listed.iter().filter(|r| r.enabled).map(|r| r.name.as_str()).collect();
                format!("EC2 knows no such region: {}", known.join(", "))
            }
        };
        return Err(Error::Usage(format!("--region {name}: {why}").into()));
    }
    Ok(())
}

async fn owner(command: &UpCommand, state: &State, aws: &Aws, region: &str) -> Result<Owner, Error> {
    let arn = aws.caller(region).await?;
    let installation = match command.mode {
        Mode::DryRun => state.installation()?.unwrap_or_else(|| "new".to_owned()),
        _ => state.installation_or_new()?,
    };
    Ok(Owner::new(&arn, &installation))
}

async fn look(
    command: &UpCommand,
    aws: &Aws,
    regions: &[(String, Option<u32>)],
    owner: &Owner,
) -> Result<Vec<Site>, Error> {
    let mine = Whose::Mine(Some(owner.installation.clone()));
    let looks = regions
        .iter()
        .map(|(name, _)| survey::look(aws.region(name), &command.fleet, &mine));
    Ok(try_join_all(looks).await?)
}

/// Says how many hosts each region is to have.
fn share_out(command: &UpCommand, regions: &[(String, Option<u32>)], sites: &mut [Site]) -> Result<(), Error> {
    let wrong = |error: String| Error::Usage(error.into());
    let there: u32 = sites.iter().map(|site| site.alive.len() as u32).sum();
    if there == 0 || regions.iter().any(|(_, own)| own.is_some()) || sites.len() == 1 {
        let shares = shape::spread(command.size, regions).map_err(wrong)?;
        sites
            .iter_mut()
            .for_each(|site| site.wanted = shares.get(&site.at.name).copied().unwrap_or(0));
    } else {
        // what is lacking is spread, what is there stays
        let size = command.size.unwrap_or(there);
        let mut lacking = size.saturating_sub(there);
        sites.iter_mut().for_each(|site| site.wanted = site.alive.len() as u32);
        while lacking > 0 {
            let least = sites.iter_mut().min_by_key(|site| site.wanted);
            least.expect("there is a region").wanted += 1;
            lacking -= 1;
        }
    }
    let wanted: u32 = sites.iter().map(|site| site.wanted).sum();
    if there > wanted {
        show::say(&format!(
            "fleet {} has {there} hosts, more than {wanted}: none is removed; `swarm down --fleet {}` removes all",
            command.fleet, command.fleet
        ));
    }
    Ok(())
}

async fn supply(command: &UpCommand, sites: &mut [Site]) -> Result<(), Error> {
    let lacking = sites.iter_mut().filter(|site| site.missing() > 0);
    let found = lacking.map(|site| async {
        site.supply = Some(survey::supply(&site.at, &command.recipe).await?);
        Ok::<(), Error>(())
    });
    try_join_all(found).await.map(drop)
}

/// Hosts that are there must be ones that this machine can log in to.
fn can_log_in(command: &UpCommand, folder: &FleetFolder, ledger: &mut Ledger, sites: &[Site]) -> Result<(), Error> {
    let mut strangers = Vec::new();
    for site in sites {
        strangers.extend(reconcile(ledger, &site.at.name, &site.alive));
    }
    let there = sites.iter().any(|site| !site.alive.is_empty());
    let has_key = ledger.identity.is_some() || command.recipe.key.is_some() || folder.login_key().exists();
    if strangers.is_empty() && (has_key || !there) {
        return Ok(());
    }
    let ids: Vec<&str> = strangers.iter().map(|host| host.id.as_str()).collect();
    Err(Error::Usage(
        format!(
            "fleet {}: {} of your hosts are up, but the ledger and key that go with them are not here {}: remove them first (swarm down --fleet {})",
            command.fleet,
            sites.iter().map(|site| site.alive.len()).sum::<usize>(),
            ids.join(" "),
            command.fleet
        )
        .into(),
    ))
}

fn has_agents(binaries: &AgentBinaries, sites: &[Site]) -> Result<(), Error> {
    for supply in sites.iter().filter_map(|site| site.supply.as_ref()) {
        let arch = match supply.image.arch.as_str() {
            "arm64" => "aarch64",
            other => other,
        };
        if binaries.for_arch(arch).is_none() {
            return Err(Error::Usage(
                format!(
                    "{} hosts are {arch} and there is no agent for that here: build one on such a machine (cargo build --profile agent -p swarm-agent), give it as --agent-binary {arch}=FILE, or choose another --type",
                    supply.kind.name
                )
                .into(),
            ));
        }
    }
    Ok(())
}

/// Elastic IPs are counted before anything is made.
async fn elastic_quotas(command: &UpCommand, sites: &[Site]) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for site in sites.iter().filter(|_| command.recipe.elastic > 0) {
        let wanted = site.missing() * command.recipe.elastic;
        let quota = site.at.elastic_quota().await?;
        let most = quota.most.map_or("not known".to_owned(), |most| most.to_string());
        if quota.most.is_some_and(|most| quota.taken + wanted > most) {
            return Err(Error::Usage(
                format!(
                    "{}: {wanted} Elastic IPs are wanted, {} of {most} are in use: ask for fewer (--source-eips, -s), spread over several --region, or raise the quota (Service Quotas in the AWS console)",
                    site.at.name, quota.taken
                )
                .into(),
            ));
        }
        lines.push(format!(
            "{}: {wanted} Elastic IPs more; {} of {most} in use",
            site.at.name, quota.taken
        ));
    }
    Ok(lines)
}

/// Who may reach port 22: nobody needs to be let in to a group of the user's.
async fn ssh_from(command: &UpCommand, aws: &Aws) -> Result<Option<IpNet>, Error> {
    match (&command.recipe.group, command.ssh_from) {
        (Some(_), _) => Ok(None),
        (None, Some(net)) => Ok(Some(net)),
        (None, None) => Ok(Some(IpNet::from(own_address(aws.endpoint()).await?))),
    }
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
