//! Names to addresses, on the host itself: hickory over the host's own configuration, never getaddrinfo (a static
//! glibc binary would load the host's name-service modules, or fail on them).

use crate::wire::share::Target;
use hickory_resolver::TokioResolver;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Resolves every target. An address is taken as it is; the controller's addresses serve where this host has no
/// resolver. Where a name has addresses of both families, those of version 4 are used, as few load hosts have both.
pub async fn resolve(targets: &[Target]) -> Result<Vec<Vec<IpAddr>>, String> {
    look_up(targets).await.map(|(resolved, _)| resolved)
}

/// The same, with how long each look-up of a name took.
pub async fn look_up(targets: &[Target]) -> Result<(Vec<Vec<IpAddr>>, Vec<Duration>), String> {
    let resolver = TokioResolver::builder_tokio()
        .ok()
        .and_then(|builder| builder.build().ok());
    let mut all = Vec::with_capacity(targets.len());
    let mut took = Vec::new();
    for target in targets {
        let host = target
            .connect_to
            .as_ref()
            .map_or(target.host.as_str(), |(host, _)| host.as_str());
        if let Ok(address) = host.parse() {
            all.push(vec![address]);
            continue;
        }
        let since = Instant::now();
        all.push(addresses(resolver.as_ref(), host, &target.fallback).await?);
        took.extend(resolver.as_ref().map(|_| since.elapsed()));
    }
    Ok((all, took))
}

async fn addresses(resolver: Option<&TokioResolver>, host: &str, fallback: &[IpAddr]) -> Result<Vec<IpAddr>, String> {
    let found = match resolver {
        Some(resolver) => resolver
            .lookup_ip(host)
            .await
            .map(|found| found.iter().collect::<Vec<_>>())
            .map_err(|error| error.to_string()),
        None => Err("this host has no resolver configuration".to_owned()),
    };
    let list = match found {
        Ok(list) if !list.is_empty() => list,
        Ok(_) | Err(_) if !fallback.is_empty() => fallback.to_vec(),
        Ok(_) => return Err(format!("{host} has no address")),
        Err(cause) => return Err(format!("{host} cannot be resolved on this host: {cause}")),
    };
    let v4: Vec<IpAddr> = list.iter().copied().filter(IpAddr::is_ipv4).collect();
    Ok(if v4.is_empty() { list } else { v4 })
}

/// All addresses of a name on this host, of both families.
pub async fn all(host: &str) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let built = TokioResolver::builder_tokio().and_then(|builder| builder.build());
    let resolver = built.map_err(|error| format!("this host has no resolver configuration: {error}"))?;
    let found = resolver.lookup_ip(host).await.map_err(|error| error.to_string())?;
    let mut all: Vec<IpAddr> = Vec::new();
    for address in found.iter() {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    Ok(all)
}

/// Whether an address is on this machine or a private network: hits there need nobody's consent.
pub fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}
