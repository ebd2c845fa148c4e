//! `swarm extend --ttl T`: hosts live until T from now. Each host's own timer is set first, then the tag that says so.

use super::fleet_access::{rows, transport};
use super::fleet_name;
use super::run_id;
use super::scope::{ScopeArgs, noted, scope};
use super::up::ttl;
use crate::error::{Error, Exit};
use crate::fleet::ec2::UNTIL_TAG;
use crate::fleet::ledger::{FleetFolder, Ledger};
use crate::fleet::raise::reconcile;
use crate::settle;
use crate::show;
use crate::state::{Hold, State, lock};
use crate::transport::{Opened, Transport};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;
use std::time::Duration;

/// `swarm extend` as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct ExtendArgs {
    /// Name of the fleet [default: default]
    #[arg(long, value_name = "NAME")]
    pub fleet: Option<String>,
    /// How long hosts live from now
    #[arg(long, value_name = "T", required = true)]
    pub ttl: Option<String>,
    /// Profile of your AWS configuration [default: the one that `swarm up` was given]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// ssh configuration, as ssh -F
    #[arg(short = 'F', long, value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,
}

/// `swarm extend`. Exit 3 when some hosts keep their old end, which are named.
pub async fn extend(args: &ExtendArgs) -> Result<Exit, Error> {
    let (name, ttl) = (fleet_name(&args.fleet)?, ttl(&args.ttl)?);
    let state = State::real()?;
    let folder = FleetFolder(state.fleet(&name)?);
    let unknown = || Error::Fleet {
        text: format!("fleet {name} is not known here: `swarm status` lists what there is, `swarm up -s N` makes one"),
        exit: Exit::Usage,
    };
    if !folder.0.exists() {
        return Err(unknown());
    }
    let _work = lock(
        &folder.work_lock(),
        Hold::Alone,
        &format!("another command works on fleet {name}"),
    )?;
    let mut ledger = Ledger::read(&folder)?.ok_or_else(unknown)?;
    let scope_args = ScopeArgs {
        fleet: Some(name.clone()),
        profile: args.profile.clone(),
        ..ScopeArgs::default()
    };
    let scope = scope(state.clone(), noted(&state, &scope_args)?, &scope_args).await?;
    for region in ledger
        .regions
        .keys()
        .filter(|_| scope.foreign.is_empty())
        .cloned()
        .collect::<Vec<_>>()
    {
        let listed = scope.aws.region(&region).instances().await?;
        reconcile(&mut ledger, &region, &listed);
    }
    if !scope.foreign.is_empty() {
        return Err(Error::Usage(scope.elsewhere().trim_end().to_owned().into()));
    }
    if ledger.hosts().next().is_none() {
        return Err(gone(&name));
    }
    let transport = transport(&ledger, &folder, args.ssh_config.clone()).await?;
    let until = Timestamp::now() + SignedDuration::try_from(ttl).unwrap_or(SignedDuration::from_hours(2));
    let until = Timestamp::from_second(until.as_second()).unwrap_or(until);
    let failed = set_timers(&ledger, &transport, until, ttl).await;
    let mut set = Vec::new();
    for (region, held) in &mut ledger.regions {
        let hosts = held
            .hosts
            .iter_mut()
            .filter(|host| !failed.iter().any(|(id, _)| *id == host.id));
        let ids: Vec<String> = hosts
            .map(|host| {
                host.until = until;
                host.id.clone()
            })
            .collect();
        set.push((region.clone(), ids));
    }
    // the timers run: that comes first, whatever becomes of the tags
    ledger.write(&folder)?;
    for (region, ids) in set {
        let tag = (UNTIL_TAG.to_owned(), until.to_string());
        scope.aws.region(&region).tag(&ids, &[tag]).await?;
    }
    show::out(&show::fleet::ready(&name, &rows(&ledger))).map_err(|error| Error::Unexpected(Box::new(error)))?;
    for (id, why) in &failed {
        show::say(&format!("{id} keeps its old end: {why}"));
    }
    Ok(if failed.is_empty() { Exit::Ok } else { Exit::Partial })
}

/// A fleet of which EC2 has nothing.
pub fn gone(name: &str) -> Error {
    Error::Fleet {
        text: format!(
            "fleet {name} is gone: the ledger knows it and EC2 has none of its hosts (their time was over, or other hands ended them): \
             `swarm up -s N --fleet {name}` makes it anew, `swarm down --fleet {name}` clears the ledger"
        ),
        exit: Exit::Usage,
    }
}

/// Sets every host's timer; gives those where that failed.
async fn set_timers(ledger: &Ledger, transport: &Transport, until: Timestamp, ttl: Duration) -> Vec<(String, String)> {
    let run = run_id::fresh();
    let (ready, unready): (Vec<_>, Vec<_>) = ledger.hosts().map(|(_, host)| host).partition(|host| host.ready);
    let folders = settle::Folders::default();
    let folders = &folders;
    let each = ready.iter().map(|noted| {
        let nonce = format!("{run}extend");
        async move {
            let host = ledger.as_host(noted);
            let stream = match transport.open(&host, &nonce).await {
                Ok(Opened::Shell(stream) | Opened::Agent(stream)) => stream,
                Err(error) => return Some((noted.id.clone(), error.to_string())),
            };
            let set = settle::extend(
                stream,
                &noted.id,
                &nonce,
                until.as_second(),
                ttl.as_secs(),
                folders,
                settle::Deadlines::default(),
            );
            set.await.err().map(|error| (noted.id.clone(), error.to_string()))
        }
    });
    let mut failed: Vec<(String, String)> = join_all(each).await.into_iter().flatten().collect();
    let not_ready = "it is not ready yet: `swarm up` again brings it there";
    failed.extend(unready.iter().map(|host| (host.id.clone(), not_ready.to_owned())));
    failed
}
