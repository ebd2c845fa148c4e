//! What `swarm up` finds before it makes anything: credentials, regions, the fleet's hosts, what can be launched, who is let
//! in. Every refusal of this file comes while nothing was made. Never here: making.

use super::{DEFAULT_LOGIN, Mode, UpCommand};
use crate::agent_binary::AgentBinaries;
use crate::error::Error;
use crate::fleet::ec2::{Aws, Ec2Error, own_address};
use crate::fleet::ledger::{FleetFolder, Ledger};
use crate::fleet::owner::{Owner, Whose, account, installation};
use crate::fleet::raise::reconcile;
use crate::fleet::survey::{self, Site};
use crate::fleet::{raze, shape};
use crate::show;
use crate::state::State;
use futures_util::future::try_join_all;
use ipnet::IpNet;
use jiff::Timestamp;

/// All that is known then.
pub(super) struct Outlook {
    /// AWS.
    pub(super) aws: Aws,
    /// Profile that the credentials are of.
    pub(super) profile: Option<String>,
    /// Whose the fleet is.
    pub(super) owner: Owner,
    /// What is owned, as EC2 has it.
    pub(super) ledger: Ledger,
    /// The regions.
    pub(super) sites: Vec<Site>,
    /// Elastic IPs, a line a region.
    pub(super) quotas: Vec<String>,
    /// Who may reach port 22; `None` with a group of the user's.
    pub(super) ssh_from: Option<IpNet>,
}

/// Looks, and refuses what cannot be. `alive` is when an `up` of this fleet was last seen at work.
pub(super) async fn outlook(
    command: &UpCommand,
    state: &State,
    folder: &FleetFolder,
    before: Option<Ledger>,
    alive: Timestamp,
    binaries: &AgentBinaries,
) -> Result<Outlook, Error> {
    let profile = command.profile.clone().or_else(|| before.as_ref()?.profile.clone());
    let aws = Aws::connect(profile.as_deref()).await?;
    let regions = regions(command, before.as_ref(), &aws)?;
    check_regions(&aws, &regions).await?;
    let owner = owner(command, state, before.as_ref(), &aws, &regions[0].0).await?;
    let mut ledger = match before {
        Some(ledger) => same_account(ledger, &owner)?,
        None => Ledger::new(&command.fleet, &owner.to_string(), DEFAULT_LOGIN),
    };
    settle_launches(&aws, &ledger, alive).await?;
    let mut sites = look(command, &aws, &regions, &owner).await?;
    let mut others = elsewhere(command, &aws, &ledger, &regions, &owner).await?;
    let strangers = reconciled(&mut ledger, sites.iter_mut().chain(&mut others));
    share_out(command, &regions, &mut sites)?;
    others.iter_mut().for_each(|site| site.wanted = site.there());
    sites.extend(others);
    supply(command, &mut sites).await?;
    can_log_in(command, folder, &mut ledger, &sites, &strangers)?;
    check_min_hosts(command, &sites)?;
    has_agents(binaries, &sites)?;
    let quotas = elastic_quotas(command, &owner, &sites).await?;
    let ssh_from = ssh_from(command, &ledger, &aws).await?;
    Ok(Outlook {
        aws,
        profile,
        owner,
        ledger,
        sites,
        quotas,
        ssh_from,
    })
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
        .filter(|(_, region)| region.may_have_hosts())
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
    // a region that is named may be the one that does not exist
    let first = aws.region_of_environment().unwrap_or_else(|| regions[0].0.clone());
    let first = &first;
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

/// Whose the fleet is: one that is there keeps the installation that made it.
async fn owner(
    command: &UpCommand,
    state: &State,
    before: Option<&Ledger>,
    aws: &Aws,
    region: &str,
) -> Result<Owner, Error> {
    let arn = aws.caller(region).await?;
    let noted = before.and_then(|ledger| installation(&ledger.owner)).map(str::to_owned);
    let installation = match (noted, command.mode) {
        (Some(noted), _) => noted,
        (None, Mode::DryRun) => state.installation()?.unwrap_or_else(|| "new".to_owned()),
        (None, _) => state.installation_or_new()?,
    };
    Ok(Owner::new(&arn, &installation))
}

async fn look(
    command: &UpCommand,
    aws: &Aws,
    regions: &[(String, Option<u32>)],
    owner: &Owner,
) -> Result<Vec<Site>, Error> {
    let mine = Whose::Mine(vec![owner.installation.clone()]);
    let looks = regions
        .iter()
        .map(|(name, _)| survey::look(aws.region(name), &command.fleet, &mine));
    Ok(try_join_all(looks).await?)
}

/// Regions of the fleet that the command does not name: their hosts stay as they are.
async fn elsewhere(
    command: &UpCommand,
    aws: &Aws,
    ledger: &Ledger,
    regions: &[(String, Option<u32>)],
    owner: &Owner,
) -> Result<Vec<Site>, Error> {
    let noted = ledger.regions.iter().filter(|(_, held)| held.may_have_hosts());
    let others: Vec<_> = noted
        .filter(|(name, _)| !regions.iter().any(|(named, _)| named == *name))
        .map(|(name, _)| (name.clone(), None))
        .collect();
    look(command, aws, &others, owner).await
}

/// Says how many hosts each region is to have.
fn share_out(command: &UpCommand, regions: &[(String, Option<u32>)], sites: &mut [Site]) -> Result<(), Error> {
    let wrong = |error: String| Error::Usage(error.into());
    let there: u32 = sites.iter().map(Site::there).sum();
    if there == 0 || regions.iter().any(|(_, own)| own.is_some()) || sites.len() == 1 {
        let shares = shape::spread(command.size, regions).map_err(wrong)?;
        sites
            .iter_mut()
            .for_each(|site| site.wanted = shares.get(&site.at.name).copied().unwrap_or(0));
    } else {
        // what is lacking is spread, what is there stays
        let size = command.size.unwrap_or(there);
        let mut lacking = size.saturating_sub(there);
        sites.iter_mut().for_each(|site| site.wanted = site.there());
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

/// A ledger of another account says nothing of this one, and must not be changed by what this one has.
fn same_account(ledger: Ledger, owner: &Owner) -> Result<Ledger, Error> {
    match (account(&ledger.owner), account(&owner.arn)) {
        (noted, now) if noted == now => Ok(ledger),
        (noted, now) => Err(Error::Usage(
            format!(
                "fleet {} is in the AWS account {noted}, and these credentials are of {now}: use the profile that it was made with (--profile), or another name (--fleet)",
                ledger.fleet
            )
            .into(),
        )),
    }
}

/// What may still come of launches of an `up` that was killed comes now, and is counted.
async fn settle_launches(aws: &Aws, ledger: &Ledger, alive: Timestamp) -> Result<(), Error> {
    for region in ledger.regions.keys() {
        let open = ledger.unanswered().filter(|(at, _)| at == region);
        let open: Vec<_> = open.map(|(_, launch)| launch.clone()).collect();
        raze::await_launches(&aws.region(region), &open, alive).await?;
    }
    Ok(())
}

/// Brings the ledger up to what EC2 lists; gives hosts of which it knows nothing.
fn reconciled<'a>(ledger: &mut Ledger, sites: impl Iterator<Item = &'a mut Site>) -> Vec<String> {
    let mut strangers = Vec::new();
    for site in sites {
        strangers.extend(
            reconcile(ledger, &site.at.name, &site.listed)
                .into_iter()
                .map(|host| host.id),
        );
        let held = ledger.region(&site.at.name);
        let unlisted = held
            .hosts
            .iter()
            .filter(|host| !site.alive.iter().any(|there| there.id == host.id));
        site.fresh = unlisted.count() as u32;
    }
    strangers
}

/// Hosts that are there must be ones that this machine can log in to, and hosts that are added must be like them.
fn can_log_in(
    command: &UpCommand,
    folder: &FleetFolder,
    ledger: &mut Ledger,
    sites: &[Site],
    strangers: &[String],
) -> Result<(), Error> {
    let fleet = &command.fleet;
    let there: u32 = sites.iter().map(Site::there).sum();
    if there == 0 {
        ledger.login = command.login.clone().unwrap_or_else(|| DEFAULT_LOGIN.to_owned());
        ledger.key.clone_from(&command.recipe.key);
        let identity = command.identity.as_ref().map(std::path::absolute).transpose();
        ledger.identity = identity.map_err(|error| Error::Unexpected(Box::new(error)))?;
        return Ok(());
    }
    let wrong = |text: String| Err(Error::Usage(text.into()));
    let has_key = ledger.key.is_some() || folder.login_key().exists();
    if !strangers.is_empty() || !has_key {
        return wrong(format!(
            "fleet {fleet}: {there} of your hosts are up, but the ledger and key that go with them are not here {}: remove them first (swarm down --fleet {fleet})",
            strangers.join(" ")
        ));
    }
    for (flag, given, has) in [
        ("--login", &command.login, Some(&ledger.login)),
        ("--key", &command.recipe.key, ledger.key.as_ref()),
    ] {
        if let Some(given) = given
            && Some(given) != has
        {
            let has = has.map_or("a throwaway key", String::as_str);
            return wrong(format!(
                "{flag} {given}: the hosts of fleet {fleet} that are up have {has}: leave {flag} out, or make another fleet (--fleet)"
            ));
        }
    }
    Ok(())
}

/// More hosts than are asked for can't get ready.
fn check_min_hosts(command: &UpCommand, sites: &[Site]) -> Result<(), Error> {
    let wanted: u32 = sites.iter().map(|site| site.wanted.max(site.there())).sum();
    let needed = command.min_hosts.of(wanted as usize);
    if needed > wanted as usize {
        return Err(Error::Usage(
            format!("--min-hosts {needed}: only {wanted} hosts are asked for").into(),
        ));
    }
    Ok(())
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

/// Elastic IPs are counted before anything is made: every host is to have its number, those that are there too.
async fn elastic_quotas(command: &UpCommand, owner: &Owner, sites: &[Site]) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for site in sites.iter().filter(|_| command.recipe.elastic > 0) {
        let hosts = site.wanted.max(site.there());
        let (quota, ours) = (site.at.elastic_quota().await?, site.at.elastic().await?);
        let is_ours = |tag: &str| installation(tag) == Some(owner.installation.as_str());
        let ours = ours
            .iter()
            .filter(|elastic| elastic.fleet == command.fleet && is_ours(&elastic.owner));
        let ours = ours.count() as u32;
        let more = (hosts * command.recipe.elastic).saturating_sub(ours);
        let most = quota.most.map_or("not known".to_owned(), |most| most.to_string());
        if quota.most.is_some_and(|most| quota.taken + more > most) {
            return Err(Error::Usage(
                format!(
                    "{}: {more} Elastic IPs more are wanted, {} of {most} are in use: ask for fewer (--source-eips, -s), spread over several --region, release those that nobody uses (swarm down), or raise the quota (Service Quotas in the AWS console)",
                    site.at.name, quota.taken
                )
                .into(),
            ));
        }
        lines.push(format!(
            "{}: {more} Elastic IPs more; {} of {most} in use",
            site.at.name, quota.taken
        ));
    }
    Ok(lines)
}

/// Who may reach port 22: who is named now, else who was named when the fleet was made, else this machine. Nobody needs to
/// be let in to a group of the user's.
async fn ssh_from(command: &UpCommand, ledger: &Ledger, aws: &Aws) -> Result<Option<IpNet>, Error> {
    let noted = ledger.ssh_from.as_ref().and_then(|text| text.parse().ok());
    match (&command.recipe.group, command.ssh_from.or(noted)) {
        (Some(_), _) => Ok(None),
        (None, Some(net)) => Ok(Some(net)),
        (None, None) => Ok(Some(IpNet::from(own_address(aws.endpoint()).await?))),
    }
}
