//! `swarm down`: of fleets on EC2, or with `--hosts` of hosts of a list. Never here: how.

use super::down_hosts;
use super::hosts::HostArgs;
use crate::error::{Error, Exit};

/// `swarm down` as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct DownArgs {
    #[command(flatten)]
    pub from: HostArgs,
    #[cfg(feature = "aws")]
    #[command(flatten)]
    pub fleets: super::down_fleets::FleetArgs,
}

/// `swarm down`.
#[cfg(feature = "aws")]
pub async fn down(args: &DownArgs) -> Result<Exit, Error> {
    if !args.from.names_any() {
        // -F and -i are what the fleet's other commands take too, and are not needed here
        return super::down_fleets::down(&args.fleets).await;
    }
    if args.fleets != super::down_fleets::FleetArgs::default() {
        return Err(super::Usage(
            "down: --hosts is a list of your own, the other flags are about fleets on EC2: do one after the other"
                .into(),
        )
        .into());
    }
    hosts(&args.from).await
}

/// `swarm down`.
#[cfg(not(feature = "aws"))]
pub async fn down(args: &DownArgs) -> Result<Exit, Error> {
    hosts(&args.from).await
}

async fn hosts(from: &HostArgs) -> Result<Exit, Error> {
    let (hosts, ssh) = down_hosts::understand(from)?;
    down_hosts::down_hosts(&hosts, &ssh).await
}
