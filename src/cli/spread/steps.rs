//! The steps of `swarm spread`: gather the sources, predict, print.

use super::SpreadCommand;
use super::sources::sources;
use crate::balancer::forecast::forecast;
use crate::error::{Error, Exit};
use crate::show;
use crate::show::spread::Spread;
use std::net::IpAddr;

/// `swarm spread`, from the flags to the exit code.
pub async fn spread(command: SpreadCommand) -> Result<Exit, Error> {
    let (sources, notes) = sources(&command).await?;
    let addresses: Vec<IpAddr> = sources.iter().map(|source| source.address).collect();
    let balancer = &command.balancer;
    let seen = forecast(balancer, &addresses);
    let spread = Spread {
        url: command.url.as_deref(),
        balancer,
        reach: seen.to_reach_all(balancer, &addresses),
        even: seen.to_be_even(balancer, &addresses),
        drawn: seen.drawn(balancer),
        seen: &seen,
        sources: &sources,
        notes: &notes,
    };
    let text = match command.json {
        true => spread.json().map_err(|error| Error::Unexpected(Box::new(error)))?,
        false => spread.text(),
    };
    show::out(&text)
        .map(|()| Exit::Ok)
        .map_err(|error| Error::Unexpected(Box::new(error)))
}
