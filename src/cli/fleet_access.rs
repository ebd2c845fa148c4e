//! How a fleet's hosts are reached and shown: the ways that `up`, `status`, `extend` and `attack` share. Never here: EC2.

use crate::error::Error;
use crate::fleet::ledger::{FleetFolder, FleetHost, Ledger};
use crate::show::fleet::HostRow;
use crate::transport::ssh_config::SshOptions;
use crate::transport::{Ssh, Transport};
use jiff::Timestamp;
use std::path::PathBuf;

/// SSH to a fleet's hosts: its login key, and the host keys that swarm has on file alone.
pub async fn transport(ledger: &Ledger, folder: &FleetFolder, config: Option<PathBuf>) -> Result<Transport, Error> {
    let throwaway = folder.login_key();
    let identity = ledger
        .identity
        .clone()
        .or_else(|| throwaway.exists().then_some(throwaway));
    let options = SshOptions {
        identities: identity.into_iter().collect(),
        config,
        pinned: Some(folder.known_hosts()),
        ..SshOptions::default()
    };
    let ssh = Ssh::new(&options)
        .await
        .map_err(|error| Error::Transport(Box::new(error)))?;
    Ok(Transport::Ssh(ssh))
}

/// The rows of a table of hosts.
pub fn rows(ledger: &Ledger) -> Vec<HostRow> {
    let mut rows: Vec<HostRow> = ledger.hosts().map(|(region, host)| row(region, host)).collect();
    for row in &mut rows {
        let held = ledger.regions.get(&row.region);
        row.elastic = held.map_or(0, |held| {
            let own =
                |elastic: &&crate::fleet::ledger::Elastic| elastic.of.as_ref().is_some_and(|(id, _)| *id == row.id);
            held.elastic.iter().filter(own).count()
        });
    }
    rows
}

fn row(region: &str, host: &FleetHost) -> HostRow {
    let now = Timestamp::now();
    HostRow {
        id: host.id.clone(),
        state: if host.ready { "ready" } else { "launched" }.to_owned(),
        address: host.address,
        private: host.private.clone(),
        region: region.to_owned(),
        zone: host.zone.clone(),
        kind: host.kind.clone(),
        spot: host.spot,
        age_s: now.duration_since(host.launched_at).as_secs(),
        left_s: Some(host.until.duration_since(now).as_secs()),
        hourly: host.hourly,
        elastic: 0,
        agent: None,
    }
}
