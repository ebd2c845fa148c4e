//! `swarm down` of fleets: everything of the fleets that are meant is removed, verified by tag, and struck out of the
//! ledger. It needs no ledger: EC2's tags suffice; and a host that a ledger names is ended by its id, listed or not. What
//! could not be removed is named, exit 5.

use super::scope::{Noted, Scope, ScopeArgs, noted, scope};
use super::status;
use crate::error::{Error, Exit};
use crate::fleet::ec2::{Ec2Error, Regional};
use crate::fleet::ledger::Ledger;
use crate::fleet::owner::{Whose, is_same_caller};
use crate::fleet::raze::{self, Found, LATE, Meant, Named, Remaining, await_launches};
use crate::show;
use crate::state::{Hold, Lock, State, last_seen, lock};
use futures_util::future::join_all;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two looks for what a killed program may have made.
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

/// When each fleet's `up` was last seen at work, by the fleet's name.
type LastSeen = BTreeMap<String, Timestamp>;

/// What became of one region.
struct Ended {
    region: String,
    found: Found,
    /// What is left, or why that is not known.
    left: Result<Vec<Remaining>, Ec2Error>,
}

/// `swarm down` of fleets.
pub async fn down(args: &FleetArgs) -> Result<Exit, Error> {
    let state = State::real()?;
    let mut known = noted(&state, &args.scope)?;
    if let Some(owner) = &args.owner {
        // another owner's fleets are none of this machine's business but what its ledgers say of just them
        let whose = Whose::Named(owner.clone());
        known.retain(|noted| noted.ledger.as_ref().is_some_and(|ledger| whose.owns(&ledger.owner)));
    }
    let seen: LastSeen = known
        .iter()
        .map(|noted| (noted.name.clone(), last_seen(&noted.folder.work_lock())))
        .collect();
    let _locks = match args.dry_run {
        true => Vec::new(),
        false => locks(&known, args.force)?,
    };
    // what was read before the locks were held may have changed meanwhile
    for noted in &mut known {
        noted.reread();
    }
    let owns = |noted: &Noted| match &noted.ledger {
        Some(ledger) => !ledger.is_empty(),
        None => noted.folder.login_key().exists(),
    };
    let owned = known.iter().any(owns);
    ended(args, state, known, seen)
        .await
        .map_err(|error| match (owned, error) {
            // a script must not take "no credentials" for "nothing left"
            (true, error) => Error::Fleet {
                text: format!("{}; the ledger still names things that cost money", error.chain()),
                exit: Exit::foremost([error.exit(), Exit::LeftBehind]),
            },
            (false, error) => error,
        })
}

async fn ended(args: &FleetArgs, state: State, known: Vec<Noted>, seen: LastSeen) -> Result<Exit, Error> {
    let scope = scope(state, known, &args.scope).await?;
    let whose = match &args.owner {
        Some(owner) => Whose::Named(owner.clone()),
        None => scope.mine()?,
    };
    let meant = Meant {
        whose,
        fleet: args.scope.fleet.clone(),
        run: None,
    };
    if args.dry_run {
        return list(&scope, &meant).await;
    }
    let each = scope
        .regions
        .iter()
        .map(|region| one_region(&scope, &meant, region, &seen));
    let regions = join_all(each).await;
    strike_out(&scope, &regions, args.scope.all_regions)?;
    tell(args, &scope, &meant, &regions)
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
        let at = scope.aws.region(region);
        let (found, tagged) = (raze::look(&at, meant).await?, raze::trailing(&at, meant).await?);
        let mut line = |fleet: &str, what: String| text.push_str(&format!("{region}: fleet {fleet}: {what}\n"));
        for host in &found.hosts {
            line(&host.fleet, format!("instance {} ({})", host.id, host.phase.word()));
        }
        for elastic in &found.elastic {
            line(&elastic.fleet, format!("Elastic IP {}", elastic.address));
        }
        for group in &found.groups {
            line(&group.fleet, format!("security group {} {}", group.id, group.name));
        }
        for left in &tagged {
            line(&left.fleet, format!("{} {}", left.kind, left.id));
        }
        all.push((region.clone(), found));
    }
    if text.is_empty() {
        text = format!("nothing of yours in {}\n", scope.regions.join(", "));
    }
    text.push_str(&scope.elsewhere());
    text.push_str(&status::others(&all, &meant.whose));
    text.push_str("nothing was removed (--dry-run)\n");
    show::out(&text)
        .map(|()| Exit::Ok)
        .map_err(|error| Error::Unexpected(Box::new(error)))
}

async fn one_region(scope: &Scope, meant: &Meant, region: &str, seen: &LastSeen) -> Ended {
    let at = scope.aws.region(region);
    let mut ended = Ended {
        region: region.to_owned(),
        found: Found::default(),
        left: Ok(Vec::new()),
    };
    ended.left = async {
        for noted in &scope.noted {
            let alive = seen.get(&noted.name).copied().unwrap_or(Timestamp::MIN);
            settle_calls(&at, meant, noted, alive).await?;
        }
        ended.found = raze::look(&at, meant).await?;
        let named = named(scope, region);
        raze::remove(&at, meant, &ended.found, &named, &|line| show::say(&line)).await
    }
    .await;
    ended
}

/// Hosts that the ledgers name in a region.
fn named(scope: &Scope, region: &str) -> Vec<Named> {
    let ledgers = scope.noted.iter().filter_map(|noted| noted.ledger.as_ref());
    let hosts = ledgers
        .filter_map(|ledger| ledger.regions.get(region))
        .flat_map(|held| &held.hosts);
    hosts
        .map(|host| Named {
            id: host.id.clone(),
            at: host.launched_at,
        })
        .collect()
}

/// Waits for what may still come of calls whose answer was never noted. `alive` is when their caller was last seen.
async fn settle_calls(at: &Regional, meant: &Meant, noted: &Noted, alive: Timestamp) -> Result<(), Ec2Error> {
    let Some(ledger) = &noted.ledger else { return Ok(()) };
    let open = ledger.unanswered().filter(|(region, _)| *region == at.name);
    let open: Vec<_> = open.map(|(_, launch)| launch.clone()).collect();
    await_launches(at, &open, alive).await?;
    let held = ledger.regions.get(&at.name);
    let group = held
        .and_then(|held| held.group.as_ref())
        .is_some_and(|group| group.ours && group.id.is_none());
    let began = tokio::time::Instant::now();
    while group && Timestamp::now().duration_since(alive) < LATE && began.elapsed() < LATE.unsigned_abs() {
        let found = raze::look(at, meant).await?;
        if found.groups.iter().any(|group| group.fleet == noted.name) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// The ledgers keep what is left, and what nobody could look at.
fn strike_out(scope: &Scope, regions: &[Ended], everywhere: bool) -> Result<(), Error> {
    for noted in &scope.noted {
        let clean = |ended: &Ended| ended.left.as_ref().is_ok_and(Vec::is_empty);
        let Some(mut ledger) = noted.ledger.clone() else {
            // a ledger that is gone names no region: its key is kept until its hosts were found and ended, or are nowhere
            let hosts = || regions.iter().flat_map(|ended| &ended.found.hosts);
            let found = hosts().any(|host| host.fleet == noted.name);
            let keyless = !noted.folder.login_key().exists();
            if regions.iter().all(clean) && (found || everywhere || keyless) {
                remove(noted)?;
            }
            continue;
        };
        for ended in regions {
            if let Ok(left) = &ended.left {
                strike_region(&mut ledger, &ended.region, left);
            }
        }
        if ledger.is_empty() && regions.iter().all(clean) {
            remove(noted)?;
        } else {
            ledger.write(&noted.folder)?;
        }
    }
    Ok(())
}

/// Whatever is left keeps its region in the ledger, so that the next `down` looks there.
fn strike_region(ledger: &mut Ledger, region: &str, left: &[Remaining]) {
    let is_left = |id: &str| left.iter().any(|left| left.id == id);
    if left.is_empty() {
        ledger.regions.remove(region);
        return;
    }
    let held = ledger.region(region);
    held.hosts.retain(|host| is_left(&host.id));
    held.elastic.retain(|elastic| is_left(&elastic.id));
    let known = held.group.as_ref().and_then(|group| group.id.as_deref());
    if known.is_some_and(|id| !is_left(id)) {
        held.group = None;
    }
}

fn remove(noted: &Noted) -> Result<(), Error> {
    noted
        .folder
        .remove()
        .map_err(|error| Error::Unexpected(Box::new(error)))
}

/// Says what was removed, what is left, and what is others'.
fn tell(args: &FleetArgs, scope: &Scope, meant: &Meant, regions: &[Ended]) -> Result<Exit, Error> {
    let hosts: usize = regions.iter().map(|ended| ended.found.hosts.len()).sum();
    let beside = |ended: &Ended| ended.found.groups.len() + ended.found.elastic.len();
    let all = hosts + regions.iter().map(beside).sum::<usize>();
    let left: Vec<Remaining> = regions
        .iter()
        .filter_map(|ended| ended.left.as_ref().ok())
        .flatten()
        .cloned()
        .collect();
    let looked: Vec<&str> = regions
        .iter()
        .filter(|ended| ended.left.is_ok())
        .map(|ended| ended.region.as_str())
        .collect();
    let looked = looked.join(", ");
    let mut text = match (all, left.is_empty()) {
        (_, false) => format!("NOT removed: {}", show::fleet::remaining(&left)),
        (0, true) => format!("nothing of yours in {looked}"),
        (_, true) => format!(
            "{} ended, nothing tagged is left in {looked}",
            raze::count(hosts, "host")
        ),
    };
    if all == 0 && left.is_empty() && !args.scope.all_regions {
        text.push_str(" (--all-regions looks everywhere)");
    }
    text.push('\n');
    text.push_str(&scope.elsewhere());
    let found: Vec<_> = regions
        .iter()
        .map(|ended| (ended.region.clone(), ended.found.clone()))
        .collect();
    text.push_str(&status::others(&found, &meant.whose));
    let mut exits = vec![if left.is_empty() && scope.foreign.is_empty() {
        Exit::Ok
    } else {
        Exit::LeftBehind
    }];
    exits.push(strangers(args, scope, meant, &found, &mut text)?);
    show::out(&text).map_err(|error| Error::Unexpected(Box::new(error)))?;
    for ended in regions {
        if let Err(error) = &ended.left {
            show::say(&format!("{} could not be cleared: {error}", ended.region));
            let had =
                !ended.found.is_empty() || !named(scope, &ended.region).is_empty() || is_noted(scope, &ended.region);
            exits.push(if had { Exit::LeftBehind } else { Exit::Unexpected });
        }
    }
    Ok(Exit::foremost(exits))
}

/// The lines that take other owners' fleets. A machine that never made a fleet may be where somebody tries to end what the
/// same caller made on another one: that still costs, and a script is told so.
fn strangers(
    args: &FleetArgs,
    scope: &Scope,
    meant: &Meant,
    found: &[(String, Found)],
    text: &mut String,
) -> Result<Exit, Error> {
    let newcomer = args.owner.is_none() && scope.state.installation()?.is_none();
    let mut exit = Exit::Ok;
    let mut told: Vec<(&str, &str)> = Vec::new();
    for (region, found) in found {
        for (fleet, owner) in found.others.keys().filter(|(_, owner)| !meant.whose.owns(owner)) {
            let (arn, _) = owner.rsplit_once('@').unwrap_or((owner, ""));
            let mine_elsewhere = newcomer && is_same_caller(arn, &scope.arn);
            if told.contains(&(fleet, owner)) || args.owner.is_some() {
                continue;
            }
            told.push((fleet, owner));
            let made = if mine_elsewhere {
                exit = Exit::LeftBehind;
                "made by your own credentials on another machine, and still there"
            } else {
                "to take another owner's"
            };
            text.push_str(&format!(
                "{made}: swarm down --fleet {fleet} --region {region} --owner '{owner}'\n"
            ));
        }
    }
    Ok(exit)
}

fn is_noted(scope: &Scope, region: &str) -> bool {
    let mut ledgers = scope.noted.iter().filter_map(|noted| noted.ledger.as_ref());
    ledgers.any(|ledger| ledger.regions.contains_key(region))
}
