//! `swarm up --cover N`: what its flags mean, and the rounds: start hosts, look at the addresses that they got, start more.
//! Never here: how hosts are started (`steps`).

use super::args::UpArgs;
use super::steps::{Scene, raise};
use super::{MOST_HOSTS, UpCommand, read, up_to};
use crate::agent_binary::AgentBinaries;
use crate::balancer::Balancer;
use crate::balancer::cover::{Step, next};
use crate::balancer::forecast::forecast;
use crate::balancer::rule::{Pool, Rule};
use crate::cli::{Usage, balanced};
use crate::error::{Error, Exit};
use crate::fleet::ledger::Ledger;
use crate::show;
use std::net::IpAddr;

/// `--cover`, understood.
#[derive(Debug, Clone)]
pub struct Cover {
    /// What its backends are, and how one is picked.
    pub balancer: Balancer,
    /// Hosts in all.
    pub max_hosts: u32,
}

/// What the flags mean; `None` without `--cover`.
pub(super) fn read_cover(args: &UpArgs) -> Result<Option<Cover>, Usage> {
    let wrong = |text: String| Err(Usage(text));
    let Some(typed) = &args.cover else {
        let strays = [
            ("--max-hosts", &args.max_hosts),
            ("--balancer", &args.balancer),
            ("--backends", &args.backends),
        ];
        return match strays.iter().find(|(_, given)| given.is_some()) {
            Some((flag, _)) => wrong(format!(
                "{flag} is for --cover: swarm up --cover 4 --balancer haproxy-source --max-hosts 12"
            )),
            None => Ok(None),
        };
    };
    if let Some(size) = &args.size {
        return wrong(format!(
            "-s {size}: --cover says by itself how many hosts: leave -s out, --max-hosts is the most"
        ));
    }
    if let Some(own) = args.region.iter().find(|region| region.contains('=')) {
        return wrong(format!(
            "--region {own}: --cover says by itself how many hosts: name the region alone"
        ));
    }
    if args.no_wait {
        return wrong("--no-wait: --cover looks at the addresses that hosts got: leave it out".into());
    }
    let Some(rule) = &args.balancer else {
        return wrong(format!(
            "--cover {typed}: by which rule does the balancer pick a backend? add --balancer {}",
            Rule::HaproxySource.word()
        ));
    };
    let backends = read("--cover", &args.cover, |text| {
        let n = up_to(text, MOST_HOSTS)?;
        Pool::of(n as usize)
    })?;
    let own = args.backends.as_deref().map(balanced::pool).transpose()?;
    let size = backends.as_ref().map_or(0, Pool::size);
    if let (Some(own), Some(typed)) = (&own, &args.backends)
        && own.size() != size
    {
        return wrong(format!("--backends {typed}: --cover {size} is about {size} of them"));
    }
    let rule = Rule::parse(rule).map_err(|error| Usage(format!("--balancer {rule}: {error}")))?;
    let Some(pool) = own.or(backends) else { return Ok(None) };
    let balancer = balanced::balancer(rule, pool)?;
    let Some(max_hosts) = read("--max-hosts", &args.max_hosts, |text| up_to(text, MOST_HOSTS))? else {
        return wrong(format!("--cover {typed}: how many hosts at most? add --max-hosts 12"));
    };
    if (max_hosts as usize) < size && args.source_eips.is_none() {
        return wrong(format!(
            "--max-hosts {max_hosts}: fewer hosts than backends reach {max_hosts} of {size} at most"
        ));
    }
    Ok(Some(Cover { balancer, max_hosts }))
}

/// Rounds, until all backends are reached or as many hosts are there as may be. Hosts of earlier rounds are ready and stay,
/// whatever becomes of a later one.
pub(super) async fn rounds(
    command: &UpCommand,
    cover: &Cover,
    scene: &Scene<'_>,
    binaries: &AgentBinaries,
) -> Result<Exit, Error> {
    let mut round = command.clone();
    let mut exit = Exit::Ok;
    // a round that starts nothing could go on for ever
    let mut before = None;
    loop {
        let ledger = Ledger::read(scene.folder)?;
        let (hosts, addresses) = there(ledger.as_ref());
        match next(&cover.balancer, &addresses, hosts, cover.max_hosts as usize) {
            Step::Enough => {
                show::say(&reached(cover, &addresses, hosts));
                // all of it was there before: what there is is shown
                if before.is_none() {
                    round.size = Some(count(hosts));
                    return raise(&round, scene, ledger, binaries.clone()).await;
                }
                return Ok(exit);
            }
            Step::Short(idle) => return Err(short(command, cover, hosts, &idle.join(", "))),
            Step::Start(_) if before == Some(hosts) => {
                return Err(short(
                    command,
                    cover,
                    hosts,
                    "no more hosts could be started, and some backend",
                ));
            }
            Step::Start(more) => {
                show::say(&format!(
                    "{}; starting {more} more (at most {} in all)",
                    reached(cover, &addresses, hosts),
                    cover.max_hosts
                ));
                before = Some(hosts);
                round.size = Some(count(hosts + more));
                exit = raise(&round, scene, ledger, binaries.clone()).await?;
            }
        }
    }
}

/// The first round alone, for `--dry-run`.
pub(super) fn first_round(command: &UpCommand, cover: &Cover, ledger: Option<&Ledger>) -> UpCommand {
    let (hosts, addresses) = there(ledger);
    let more = match next(&cover.balancer, &addresses, hosts, cover.max_hosts as usize) {
        Step::Start(more) => more,
        Step::Enough | Step::Short(_) => 0,
    };
    UpCommand {
        size: Some(count((hosts + more).max(1))),
        ..command.clone()
    }
}

/// Hosts of the fleet, and the addresses that a public balancer sees of them.
fn there(ledger: Option<&Ledger>) -> (usize, Vec<IpAddr>) {
    let sources = ledger.map(Ledger::public_sources).unwrap_or_default();
    let hosts = ledger.map_or(0, |ledger| ledger.hosts().count());
    (
        hosts,
        sources.into_iter().flat_map(|(_, addresses)| addresses).collect(),
    )
}

fn reached(cover: &Cover, addresses: &[IpAddr], hosts: usize) -> String {
    let balancer = &cover.balancer;
    let size = balancer.pool.size();
    let idle = forecast(balancer, addresses).idle.len();
    format!(
        "{} over {size} backends: {hosts} {} {} of them",
        balancer.rule.word(),
        if hosts == 1 { "host reaches" } else { "hosts reach" },
        size - idle
    )
}

fn short(command: &UpCommand, cover: &Cover, hosts: usize, idle: &str) -> Error {
    Error::Fleet {
        text: format!(
            "{hosts} hosts (--max-hosts {}) do not reach every backend: {idle} gets nothing; they are kept: raise --max-hosts, give them more \
             addresses (--source-eips), or remove them (swarm down --fleet {})",
            cover.max_hosts, command.fleet
        ),
        exit: Exit::Failed,
    }
}

fn count(hosts: usize) -> u32 {
    u32::try_from(hosts).unwrap_or(u32::MAX)
}
