//! `swarm status`: what exists, by EC2's word and not by the ledger's alone. Changes nothing.

use super::fleet_access::{rows, transport};
use super::greet::greet;
use super::run_id;
use super::scope::{Noted, Scope, ScopeArgs, noted, scope};
use crate::agent_binary::AgentBinaries;
use crate::error::{Error, Exit};
use crate::fleet::ec2::Instance;
use crate::fleet::ledger::Ledger;
use crate::fleet::owner::Whose;
use crate::fleet::price;
use crate::fleet::raise::reconcile;
use crate::fleet::raze::{self, Found, Meant};
use crate::show;
use crate::show::fleet::HostRow;
use crate::state::State;
use futures_util::future::{join_all, try_join_all};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// `swarm status` as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// ssh configuration, as ssh -F
    #[arg(short = 'F', long, value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,
    /// Do not ask the agents over ssh
    #[arg(long)]
    pub no_ssh: bool,
}

/// `swarm status`.
pub async fn status(args: &StatusArgs) -> Result<Exit, Error> {
    let state = State::real()?;
    let known = noted(&state, &args.scope)?;
    let scope = scope(state, known, &args.scope).await?;
    let meant = Meant {
        whose: scope.mine()?,
        fleet: args.scope.fleet.clone(),
        run: None,
    };
    let looks = scope.regions.iter().map(|region| async {
        let at = scope.aws.region(region);
        raze::look(&at, &meant).await.map(|found| (region.clone(), found))
    });
    let found: Vec<(String, Found)> = try_join_all(looks).await?;
    let mut text = String::new();
    for name in names(&scope, &found) {
        text.push_str(&fleet(&name, &scope, &found, args).await?);
    }
    if text.is_empty() {
        text = format!("no fleet of yours in {}\n", scope.regions.join(", "));
    }
    text.push_str(&scope.elsewhere());
    text.push_str(&others(&found, &meant.whose));
    show::out(&text)
        .map(|()| Exit::Ok)
        .map_err(|error| Error::Unexpected(Box::new(error)))
}

/// Fleets that the ledger or EC2 knows.
fn names(scope: &Scope, found: &[(String, Found)]) -> Vec<String> {
    let noted = scope
        .noted
        .iter()
        .filter(|noted| noted.ledger.is_some())
        .map(|noted| noted.name.clone());
    let hosts = found
        .iter()
        .flat_map(|(_, found)| &found.hosts)
        .map(|host| host.fleet.clone());
    let groups = found
        .iter()
        .flat_map(|(_, found)| &found.groups)
        .map(|group| group.fleet.clone());
    let elastic = found
        .iter()
        .flat_map(|(_, found)| &found.elastic)
        .map(|elastic| elastic.fleet.clone());
    let mut names: Vec<String> = noted.chain(hosts).chain(groups).chain(elastic).collect();
    names.sort();
    names.dedup();
    names
}

async fn fleet(name: &str, scope: &Scope, found: &[(String, Found)], args: &StatusArgs) -> Result<String, Error> {
    let of =
        |found: &Found| -> Vec<Instance> { found.hosts.iter().filter(|host| host.fleet == name).cloned().collect() };
    let hosts: Vec<(String, Vec<Instance>)> = found
        .iter()
        .map(|(region, found)| (region.clone(), of(found)))
        .collect();
    let noted = scope
        .noted
        .iter()
        .find(|noted| noted.name == name && noted.ledger.is_some());
    let owner = hosts
        .iter()
        .flat_map(|(_, hosts)| hosts)
        .map(|host| host.owner.clone())
        .next();
    let ledger = noted.and_then(|noted| noted.ledger.clone());
    let before: Vec<String> = ledger
        .iter()
        .flat_map(|ledger| ledger.hosts())
        .filter(|(region, _)| scope.regions.iter().any(|looked| looked == region))
        .map(|(_, host)| host.id.clone())
        .collect();
    let mut ledger = ledger.unwrap_or_else(|| Ledger::new(name, owner.as_deref().unwrap_or_default(), "ec2-user"));
    for (region, hosts) in &hosts {
        reconcile(&mut ledger, region, hosts);
    }
    let mut rows = table_rows(&ledger, &hosts);
    if let Some(noted) = noted.filter(|_| !args.no_ssh) {
        ask(&mut rows, &ledger, noted, args).await?;
    }
    let mut text = show::fleet::status(name, owner.as_deref().unwrap_or(&ledger.owner), &rows);
    for gone in before.iter().filter(|id| !rows.iter().any(|row| row.id == **id)) {
        text.push_str(&format!("{gone}: in the ledger, and EC2 no longer has it\n"));
    }
    if rows.is_empty() {
        text.push_str(&format!(
            "nothing of it runs: `swarm down --fleet {name}` clears what is left of it\n"
        ));
    } else if noted.is_none() {
        text.push_str("its key is not on this machine: it can be ended from here, not used\n");
    }
    Ok(text + "\n")
}

/// What EC2 says of each host, and what the ledger adds.
fn table_rows(ledger: &Ledger, hosts: &[(String, Vec<Instance>)]) -> Vec<HostRow> {
    let mut by_id: BTreeMap<String, HostRow> = rows(ledger).into_iter().map(|row| (row.id.clone(), row)).collect();
    let now = jiff::Timestamp::now();
    let mut table = Vec::new();
    for (region, instance) in hosts
        .iter()
        .flat_map(|(region, hosts)| hosts.iter().map(move |host| (region, host)))
    {
        let known = by_id.remove(&instance.id);
        let ready = known.as_ref().is_some_and(|row| row.state == "ready");
        table.push(HostRow {
            id: instance.id.clone(),
            state: match (instance.phase.is_alive(), ready) {
                (true, false) => format!("{}, not ready", instance.phase.word()),
                _ => instance.phase.word().to_owned(),
            },
            address: instance.address,
            private: instance.private.clone(),
            region: region.clone(),
            zone: instance.zone.clone(),
            kind: instance.kind.clone(),
            spot: instance.spot,
            age_s: now.duration_since(instance.launched_at).as_secs(),
            left_s: instance.until.map(|until| until.duration_since(now).as_secs()),
            // a spot host's price is known to the one who launched it
            hourly: match (&known, instance.spot) {
                (Some(row), _) => row.hourly,
                (None, false) => price::hourly(&instance.kind, region),
                (None, true) => None,
            },
            elastic: known.map_or(0, |row| row.elastic),
            agent: None,
        });
    }
    table
}

/// Asks every host that is ready for a hello.
async fn ask(rows: &mut [HostRow], ledger: &Ledger, noted: &Noted, args: &StatusArgs) -> Result<(), Error> {
    let transport = Arc::new(transport(ledger, &noted.folder, args.ssh_config.clone()).await?);
    let binaries = AgentBinaries::default();
    let run = run_id::fresh();
    let ready = |id: &str| {
        ledger
            .hosts()
            .map(|(_, host)| host)
            .find(|host| host.id == id && host.ready)
    };
    let asked = rows
        .iter_mut()
        .filter_map(|row| Some((ledger.as_host(ready(&row.id)?), row)));
    let asked = asked.map(|(host, row)| {
        let (transport, binaries, nonce) = (Arc::clone(&transport), &binaries, format!("{run}status"));
        async move {
            let said = greet(&transport, &host, binaries, &nonce).await;
            row.agent = Some(match said {
                Ok(hello) => Ok(format!("{} cores, {} MiB", hello.cores, hello.memory >> 20)),
                Err(error) => Err(error.to_string()),
            });
        }
    });
    join_all(asked).await;
    Ok(())
}

/// Fleets of others, and of one's own that were not asked for.
pub fn others(found: &[(String, Found)], mine: &Whose) -> String {
    let mut text = String::new();
    for (region, found) in found {
        for ((fleet, owner), hosts) in &found.others {
            let whose = if mine.owns(owner) {
                "yours, not asked for"
            } else {
                owner
            };
            text.push_str(&format!(
                "left alone in {region}: fleet {fleet} of {whose}: {}\n",
                raze::count(*hosts, "host")
            ));
        }
    }
    text
}
