//! What `swarm up` finds before it makes anything: credentials, regions, the fleet's hosts, what can be launched, who is let
//! in. Every refusal of this file comes while nothing was made. Never here: making.

use super::{Mode, UpCommand};
use crate::agent_binary::AgentBinaries;
use crate::error::Error;
use crate::fleet::ec2::{Aws, Ec2Error, own_address};
use crate::fleet::ledger::{FleetFolder, Ledger};
use crate::fleet::owner::{Owner, Whose};
use crate::fleet::raise::reconcile;
use crate::fleet::shape;
use crate::fleet::survey::{self, Site};
use crate::show;
use crate::state::State;
use futures_util::future::try_join_all;
use ipnet::IpNet;

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

/// Looks, and refuses what cannot be.
pub(super) async fn outlook(
    command: &UpCommand,
    state: &State,
    folder: &FleetFolder,
    before: Option<Ledger>,
    binaries: &AgentBinaries,
) -> Result<Outlook, Error> {
    let profile = command.profile.clone().or_else(|| before.as_ref()?.profile.clone());
    let aws = Aws::connect(profile.as_deref()).await?;
    let regions = regions(command, before.as_ref(), &aws)?;
    check_regions(&aws, &regions).await?;
    let owner = owner(command, state, &aws, &regions[0].0).await?;
    let mut ledger = before.unwrap_or_else(|| Ledger::new(&command.fleet, &owner.to_string(), &command.login));
    let mut sites = look(command, &aws, &regions, &owner).await?;
    share_out(command, &regions, &mut sites)?;
    sites.extend(elsewhere(command, &aws, &ledger, &regions, &owner).await?);
    supply(command, &mut sites).await?;
    can_log_in(command, folder, &mut ledger, &sites)?;
    has_agents(binaries, &sites)?;
    let quotas = elastic_quotas(command, &sites).await?;
    let ssh_from = ssh_from(command, &aws).await?;
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

/// Regions of the fleet that the command does not name: their hosts stay as they are.
async fn elsewhere(
    command: &UpCommand,
    aws: &Aws,
    ledger: &Ledger,
    regions: &[(String, Option<u32>)],
    owner: &Owner,
) -> Result<Vec<Site>, Error> {
    let noted = ledger.regions.iter().filter(|(_, held)| !held.hosts.is_empty());
    let others: Vec<_> = noted
        .filter(|(name, _)| !regions.iter().any(|(named, _)| named == *name))
        .map(|(name, _)| (name.clone(), None))
        .collect();
    let mut sites = look(command, aws, &others, owner).await?;
    sites.iter_mut().for_each(|site| site.wanted = site.alive.len() as u32);
    Ok(sites)
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
