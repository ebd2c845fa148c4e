//! What a command about fleets looks at: the ledgers that are here, AWS, the regions. Shared by `status`, `extend` and
//! `down`. Never here: what is done there.

use super::up::is_region;
use super::{Usage, fleet_name};
use crate::error::Error;
use crate::fleet::ec2::Aws;
use crate::fleet::ledger::{FleetFolder, Ledger, LedgerError};
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

/// What is looked at.
pub struct Scope {
    /// Places of this user.
    pub state: State,
    /// The fleets that this machine knows of.
    pub noted: Vec<Noted>,
    /// AWS.
    pub aws: Aws,
    /// Regions, sorted.
    pub regions: Vec<String>,
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
    let ledgers = || noted.iter().filter_map(|noted| noted.ledger.as_ref());
    let profile = args
        .profile
        .clone()
        .or_else(|| ledgers().find_map(|ledger| ledger.profile.clone()));
    let aws = Aws::connect(profile.as_deref()).await?;
    let mut regions: BTreeSet<String> = args.region.iter().cloned().collect();
    if regions.is_empty() {
        regions.extend(ledgers().flat_map(|ledger| ledger.regions.keys().cloned()));
        regions.extend(aws.region_of_environment());
    }
    let Some(first) = regions.first() else {
        return Err(Usage("no region: name one with --region eu-west-1, or set AWS_REGION".into()).into());
    };
    if args.all_regions {
        let listed = aws.region(first).regions().await?;
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
        aws,
        regions: regions.into_iter().collect(),
    })
}
