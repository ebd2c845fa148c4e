//! What a command about fleets looks at: the ledgers that are here, AWS, the regions. Shared by `status`, `extend` and
//! `down`. Never here: what is done there.

use super::up::is_region;
use super::{Usage, fleet_name};
use crate::error::Error;
use crate::fleet::ec2::Aws;
use crate::fleet::ledger::{FleetFolder, Ledger, LedgerError};
use crate::fleet::owner::{self, Whose};
use crate::show;
use crate::state::State;
use std::collections::BTreeSet;

/// The flags that say where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct ScopeArgs {
    /// One fleet [default: all of yours]
    #[arg(long, value_name = "NAME")]
    pub fleet: Option<String>,
    /// Regions to look in (repeatable) [default: those of the ledger, and that of environment or profile]
    #[arg(long, value_name = "REGION")]
    pub region: Vec<String>,
    /// Look in every region that the account has enabled
    #[arg(long)]
    pub all_regions: bool,
    /// Profile of your AWS configuration [default: the one that `swarm up` was given]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

/// A fleet's files and what they say.
#[derive(Debug, Clone)]
pub struct Noted {
    /// Its name.
    pub name: String,
    /// Where.
    pub folder: FleetFolder,
    /// What it says; empty where the ledger is gone or cannot be read.
    pub ledger: Option<Ledger>,
}

impl Noted {
    /// Reads the ledger again; one that cannot be read any more is none.
    pub fn reread(&mut self) {
        self.ledger = Ledger::read(&self.folder).ok().flatten();
    }
}

/// What is looked at.
pub struct Scope {
    /// Places of this user.
    pub state: State,
    /// The fleets that this machine knows of, in this account.
    pub noted: Vec<Noted>,
    /// Those that are in another account than the credentials: nothing can be said of them here.
    pub foreign: Vec<Noted>,
    /// AWS.
    pub aws: Aws,
    /// Who is calling.
    pub arn: String,
    /// Regions, sorted.
    pub regions: Vec<String>,
}

impl Scope {
    /// The installations that are this user's: this one, and those that its ledgers name.
    pub fn mine(&self) -> Result<Whose, Error> {
        let ledgers = self.noted.iter().filter_map(|noted| noted.ledger.as_ref());
        let named = ledgers
            .filter_map(|ledger| owner::installation(&ledger.owner))
            .map(str::to_owned);
        Ok(Whose::Mine(
            self.state.installation()?.into_iter().chain(named).collect(),
        ))
    }

    /// What is said of a fleet in another account.
    pub fn elsewhere(&self) -> String {
        let line = |noted: &Noted| {
            let ledger = noted.ledger.as_ref();
            let profile = ledger.and_then(|ledger| ledger.profile.as_deref());
            format!(
                "fleet {} is in the AWS account {}, and these credentials are of {}: name its profile{}\n",
                noted.name,
                ledger.map(|ledger| owner::account(&ledger.owner)).unwrap_or_default(),
                owner::account(&self.arn),
                profile.map(|name| format!(" (--profile {name})")).unwrap_or_default()
            )
        };
        self.foreign.iter().map(line).collect()
    }
}

/// The fleets of this machine that are meant.
pub fn noted(state: &State, args: &ScopeArgs) -> Result<Vec<Noted>, Error> {
    let names = match &args.fleet {
        Some(_) => vec![fleet_name(&args.fleet)?],
        None => state.fleets()?,
    };
    let mut noted = Vec::new();
    for name in names {
        let folder = FleetFolder(state.fleet(&name)?);
        let ledger = match Ledger::read(&folder) {
            Err(LedgerError::Form { .. }) if !folder.0.exists() => None,
            // what cannot be read is as good as deleted: EC2's tags say the same
            Err(error @ LedgerError::Form { .. }) => {
                show::say(&error.to_string());
                None
            }
            other => other?,
        };
        if folder.0.exists() {
            noted.push(Noted { name, folder, ledger });
        }
    }
    Ok(noted)
}

/// Finds credentials and regions.
pub async fn scope(state: State, noted: Vec<Noted>, args: &ScopeArgs) -> Result<Scope, Error> {
    if args.all_regions && !args.region.is_empty() {
        return Err(Usage("--region and --all-regions: give one of them".into()).into());
    }
    if let Some(wrong) = args.region.iter().find(|name| !is_region(name)) {
        return Err(Usage(format!("--region {wrong}: no region: write one as eu-west-1")).into());
    }
    let profile = profile(&noted, args)?;
    let aws = Aws::connect(profile.as_deref()).await?;
    let here = aws.region_of_environment();
    let named = || {
        noted
            .iter()
            .filter_map(|noted| noted.ledger.as_ref())
            .flat_map(|ledger| ledger.regions.keys())
    };
    let first = args.region.first().or(here.as_ref()).or(named().next()).cloned();
    let first = first.ok_or_else(|| Usage("no region: name one with --region eu-west-1, or set AWS_REGION".into()))?;
    let arn = aws.caller(&first).await?;
    let is_here = |noted: &Noted| {
        let ledger = noted.ledger.as_ref();
        ledger.is_none_or(|ledger| owner::account(&ledger.owner) == owner::account(&arn))
    };
    let (noted, foreign): (Vec<Noted>, Vec<Noted>) = noted.into_iter().partition(is_here);
    let mut regions: BTreeSet<String> = args.region.iter().cloned().collect();
    if regions.is_empty() {
        let ledgers = noted.iter().filter_map(|noted| noted.ledger.as_ref());
        regions.extend(ledgers.flat_map(|ledger| ledger.regions.keys().cloned()));
        regions.extend(here);
        regions.insert(first.clone());
    }
    if args.all_regions {
        let listed = aws.region(&first).regions().await?;
        regions.extend(
            listed
                .into_iter()
                .filter(|region| region.enabled)
                .map(|region| region.name),
        );
    }
    Ok(Scope {
        state,
        noted,
        foreign,
        aws,
        arn,
        regions: regions.into_iter().collect(),
    })
}

/// The profile that is named, else the one that all of the ledgers were made with.
fn profile(noted: &[Noted], args: &ScopeArgs) -> Result<Option<String>, Usage> {
    if args.profile.is_some() {
        return Ok(args.profile.clone());
    }
    let ledgers: Vec<&Ledger> = noted.iter().filter_map(|noted| noted.ledger.as_ref()).collect();
    let profiles: BTreeSet<Option<&String>> = ledgers.iter().map(|ledger| ledger.profile.as_ref()).collect();
    if profiles.len() > 1 {
        let each: Vec<String> = ledgers
            .iter()
            .map(|ledger| {
                format!(
                    "{} ({})",
                    ledger.fleet,
                    ledger.profile.as_deref().unwrap_or("the environment")
                )
            })
            .collect();
        return Err(Usage(format!(
            "your fleets were made with several profiles: {}: take one at a time with --fleet, or name one --profile",
            each.join(", ")
        )));
    }
    Ok(profiles.into_iter().next().flatten().cloned())
}
