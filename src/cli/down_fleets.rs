//! `swarm down` of fleets: everything of the fleets that are meant is removed, verified by tag, and struck out of the ledger. It
//! needs no ledger: EC2's tags suffice. What could not be removed is named, exit 5.

use super::scope::{Noted, Scope, ScopeArgs, noted, scope};
use super::status;
use crate::error::{Error, Exit};
use crate::fleet::ec2::Ec2Error;
use crate::fleet::ledger::Ledger;
use crate::fleet::owner::Whose;
use crate::fleet::raze::{self, Found, Meant, Remaining, await_launches};
use crate::show;
use crate::state::{Hold, Lock, State, lock};
use futures_util::future::join_all;
use std::time::{Duration, SystemTime};

/// A call that was under way when its program was killed may take effect a little later.
const LATE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_secs(1);

/// What of EC2 is meant, as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct FleetArgs {
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Take another owner's fleets: the whole of swarm:owner, an ARN, or an installation
    #[arg(long, value_name = "OWNER")]
    pub owner: Option<String>,
    /// Even while an attack runs
    #[arg(long)]
    pub force: bool,
    /// Only list what would be removed
    #[arg(long)]
    pub dry_run: bool,
}

/// What became of one region.
struct Ended {
    region: String,
    found: Found,
    left: Vec<Remaining>,
}

/// `swarm down` of fleets.
pub async fn down(args: &FleetArgs) -> Result<Exit, Error> {
    let state = State::real()?;
    let known = noted(&state, &args.scope)?;
    let _locks = match args.dry_run {
        true => Vec::new(),
        false => locks(&known, args.force)?,
    };
    let owned = known
        .iter()
        .any(|noted| noted.ledger.as_ref().is_some_and(|ledger| !ledger.is_empty()));
    ended(args, state, known).await.map_err(|error| match (owned, error) {
        // a script must not take "no credentials" for "nothing left"
        (true, error) => Error::Fleet {
            text: format!("{}; the ledger still names things that cost money", error.chain()),
            exit: Exit::foremost([error.exit(), Exit::LeftBehind]),
        },
        (false, error) => error,
    })
}

async fn ended(args: &FleetArgs, state: State, known: Vec<Noted>) -> Result<Exit, Error> {
    let installation = state.installation()?;
    let scope = scope(state, known, &args.scope).await?;
    let whose = match &args.owner {
        Some(owner) => Whose::Named(owner.clone()),
        None => Whose::Mine(installation.clone()),
    };
    let meant = Meant {
        whose,
        fleet: args.scope.fleet.clone(),
        run: None,
    };
    if args.dry_run {
        return list(&scope, &meant).await;
    }
    let each = scope.regions.iter().map(|region| one_region(&scope, &meant, region));
    let mut regions = Vec::new();
    let mut troubles = Vec::new();
    for (region, outcome) in scope.regions.iter().zip(join_all(each).await) {
        match outcome {
            Ok(ended) => regions.push(ended),
            Err(error) => troubles.push((region.clone(), error)),
        }
    }
    strike_out(&scope, &regions, &troubles)?;
    tell(args, &scope, &regions, installation.is_none(), troubles).await
}

/// The fleets' locks: nobody makes, changes or uses them meanwhile.
fn locks(known: &[Noted], force: bool) -> Result<Vec<Lock>, Error> {
    let mut held = Vec::new();
    for noted in known {
        let name = &noted.name;
        let busy = format!("another command works on fleet {name}: wait for its end");
        held.push(lock(&noted.folder.work_lock(), Hold::Alone, &busy)?);
        if !force {
            let used = format!("an attack runs on fleet {name}: wait for its end, or end it with --force");
            held.push(lock(&noted.folder.use_lock(), Hold::Alone, &used)?);
        }
    }
    Ok(held)
}

async fn list(scope: &Scope, meant: &Meant) -> Result<Exit, Error> {
    let mut text = String::new();
    let mut all = Vec::new();
    for region in &scope.regions {
        let found = raze::look(&scope.aws.region(region), meant).await?;
        for host in &found.hosts {
            text.push_str(&format!(
                "{region}: fleet {}: instance {} ({})\n",
                host.fleet,
                host.id,
                host.phase.word()
            ));
        }
        for elastic in &found.elastic {
            text.push_str(&format!(
                "{region}: fleet {}: Elastic IP {}\n",
                elastic.fleet, elastic.address
            ));
        }
        for group in &found.groups {
            text.push_str(&format!(
                "{region}: fleet {}: security group {} {}\n",
                group.fleet, group.id, group.name
            ));
        }
        all.push((region.clone(), found));
    }
    if text.is_empty() {
        text = format!("nothing of yours in {}\n", scope.regions.join(", "));
    }
    text.push_str(&status::others(&all));
    text.push_str("nothing was removed (--dry-run)\n");
    show::out(&text)
        .map(|()| Exit::Ok)
        .map_err(|error| Error::Unexpected(Box::new(error)))
}

async fn one_region(scope: &Scope, meant: &Meant, region: &str) -> Result<Ended, Ec2Error> {
    let at = scope.aws.region(region);
    for noted in &scope.noted {
        settle_calls(&at, meant, noted, region).await?;
    }
    let found = raze::look(&at, meant).await?;
    let left = match found.is_empty() {
        true => Vec::new(),
        false => raze::remove(&at, meant, found.clone(), &|line| show::say(&line)).await?,
    };
    Ok(Ended {
        region: region.to_owned(),
        found,
        left,
    })
}

/// Waits for what may still come of calls whose answer was never noted.
async fn settle_calls(
    at: &crate::fleet::ec2::Regional,
    meant: &Meant,
    noted: &Noted,
    region: &str,
) -> Result<(), Ec2Error> {
    let Some(ledger) = &noted.ledger else { return Ok(()) };
    let open: Vec<_> = ledger
        .unanswered()
        .filter(|(at, _)| *at == region)
        .map(|(_, launch)| launch.clone())
        .collect();
    await_launches(at, &open).await?;
    let held = ledger.regions.get(region);
    let group = held
        .and_then(|held| held.group.as_ref())
        .is_some_and(|group| group.ours && group.id.is_none());
    let written = std::fs::metadata(noted.folder.ledger()).and_then(|file| file.modified());
    while group && written.as_ref().is_ok_and(|at| age(*at) < LATE) {
        let found = raze::look(at, meant).await?;
        if found.groups.iter().any(|group| group.fleet == noted.name) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// How old a file is, by the file system's clock.
fn age(written: SystemTime) -> Duration {
    written.elapsed().unwrap_or_default()
}

/// The ledgers keep what is left, and nothing else.
fn strike_out(scope: &Scope, regions: &[Ended], troubles: &[(String, Ec2Error)]) -> Result<(), Error> {
    for noted in &scope.noted {
        let Some(mut ledger) = noted.ledger.clone() else {
            // a ledger that cannot be read names nothing; its key opens nothing any more
            if troubles.is_empty() && regions.iter().all(|ended| ended.left.is_empty()) {
                remove(noted)?;
            }
            continue;
        };
        for ended in regions {
            strike_region(&mut ledger, ended);
        }
        if ledger.is_empty() {
            remove(noted)?;
        } else {
            ledger.write(&noted.folder)?;
        }
    }
    Ok(())
}

fn strike_region(ledger: &mut Ledger, ended: &Ended) {
    let is_left = |id: &str| ended.left.iter().any(|left| left.id == id);
    let Some(held) = ledger.regions.get_mut(&ended.region) else {
        return;
    };
    held.launches.clear();
    held.hosts.retain(|host| is_left(&host.id));
    held.elastic.retain(|elastic| is_left(&elastic.id));
    if !held
        .group
        .as_ref()
        .and_then(|group| group.id.as_deref())
        .is_some_and(is_left)
    {
        held.group = None;
    }
    if held.hosts.is_empty() && held.elastic.is_empty() && held.group.is_none() {
        ledger.regions.remove(&ended.region);
    }
}

fn remove(noted: &Noted) -> Result<(), Error> {
    noted
        .folder
        .remove()
        .map_err(|error| Error::Unexpected(Box::new(error)))
}

/// Says what was removed, what is left, and what is others'.
async fn tell(
    args: &FleetArgs,
    scope: &Scope,
    regions: &[Ended],
    newcomer: bool,
    troubles: Vec<(String, Ec2Error)>,
) -> Result<Exit, Error> {
    let hosts: usize = regions.iter().map(|ended| ended.found.hosts.len()).sum();
    let others: usize = regions
        .iter()
        .map(|ended| ended.found.groups.len() + ended.found.elastic.len())
        .sum();
    let left: Vec<Remaining> = regions.iter().flat_map(|ended| ended.left.clone()).collect();
    let looked: Vec<&str> = regions.iter().map(|ended| ended.region.as_str()).collect();
    let mut text = match (hosts + others, left.is_empty()) {
        (0, _) => format!("nothing of yours in {}", looked.join(", ")),
        (_, true) => format!(
            "{} ended, nothing tagged is left in {}",
            raze::count(hosts, "host"),
            looked.join(", ")
        ),
        _ => format!("NOT removed: {}", show::fleet::remaining(&left)),
    };
    if hosts + others == 0 && !args.scope.all_regions {
        text.push_str(" (--all-regions looks everywhere)");
    }
    text.push('\n');
    let found: Vec<_> = regions
        .iter()
        .map(|ended| (ended.region.clone(), ended.found.clone()))
        .collect();
    let strangers = status::others(&found);
    text.push_str(&strangers);
    let mut exits = vec![if left.is_empty() { Exit::Ok } else { Exit::LeftBehind }];
    if newcomer && args.owner.is_none() && !strangers.is_empty() {
        exits.push(newcomers(scope, &found, &mut text).await?);
    } else if let Some((_, owner)) = found.iter().flat_map(|(_, found)| found.others.keys()).next() {
        text.push_str(&format!("to take another owner's: swarm down --owner '{owner}'\n"));
    }
    show::out(&text).map_err(|error| Error::Unexpected(Box::new(error)))?;
    for (region, error) in &troubles {
        show::say(&format!("{region} could not be cleared: {error}"));
        exits.push(match named_in(scope, region) {
            true => Exit::LeftBehind,
            false => Exit::Unexpected,
        });
    }
    Ok(Exit::foremost(exits))
}

/// This machine never made a fleet: what the same caller made elsewhere may be what is meant, and it still costs.
async fn newcomers(scope: &Scope, found: &[(String, Found)], text: &mut String) -> Result<Exit, Error> {
    let arn = scope.aws.caller(&scope.regions[0]).await?;
    let mut owners: Vec<&str> = found
        .iter()
        .flat_map(|(_, found)| found.others.keys().map(|(_, owner)| owner.as_str()))
        .filter(|owner| Whose::Named(arn.clone()).owns(owner))
        .collect();
    owners.sort_unstable();
    owners.dedup();
    for owner in &owners {
        text.push_str(&format!(
            "made by your own credentials on another machine, and still there: swarm down --owner '{owner}'\n"
        ));
    }
    Ok(if owners.is_empty() { Exit::Ok } else { Exit::LeftBehind })
}

fn named_in(scope: &Scope, region: &str) -> bool {
    scope
        .noted
        .iter()
        .filter_map(|noted| noted.ledger.as_ref())
        .any(|ledger| ledger.regions.contains_key(region))
}
