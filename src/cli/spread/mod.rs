//! `swarm spread`: which backend each source will reach, before anything is sent. Flags to what they mean, or an error that
//! names the flag. Never here: load, printing.

mod sources;
pub mod steps;

use super::balanced::{self, BalancerArgs};
use super::crew_args::{read, source_ranges};
use super::hosts::{HostArgs, HostsFrom};
use super::{Usage, joined, units};
use crate::balancer::Balancer;
use crate::plan::SourceRange;
use crate::secret::redact_url;

const FROM: &str = "From where";

/// The flags of `swarm spread`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[command(
    after_help = "Nothing is sent: it is arithmetic, and each rule was held against the real balancer (docs/spread.md). Without hosts, \
addresses and a fleet it says how many hosts are wanted when EC2 picks their addresses."
)]
pub struct SpreadArgs {
    /// What is to be attacked: for the words alone, nothing is sent to it
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    #[command(flatten)]
    pub balanced: BalancerArgs,
    /// Backends that are down, by name (s2 of --backends 4)
    #[arg(long, value_name = "NAME,...")]
    pub down: Vec<String>,
    /// The balancer listens on IPv6 for both families (bind :::80 v4v6, ipv6only=off): it sees 10.0.0.1 as ::ffff:10.0.0.1
    #[arg(long)]
    pub v4v6: bool,
    /// The hosts' own addresses: user@addr[:port],...; names are resolved
    #[arg(long, value_name = "HOST,...", help_heading = FROM)]
    pub hosts: Vec<String>,
    /// The same, one a line; of a host with sources=LIST those are taken
    #[arg(long, value_name = "FILE", help_heading = FROM)]
    pub host_file: Vec<String>,
    /// These addresses: LIST, CIDR or A-B
    #[arg(long, value_name = "LIST", help_heading = FROM)]
    pub source_ips: Vec<String>,
    /// The public addresses of the fleet that `swarm up` made [default without hosts and addresses: the one that is up]
    #[arg(long, value_name = "NAME", help_heading = FROM)]
    pub fleet: Option<String>,
    /// Clients in all: says how many each backend gets
    #[arg(short = 'c', long, value_name = "N")]
    pub connections: Option<String>,
    /// stdout holds JSON alone (swarm.spread/1)
    #[arg(long)]
    pub json: bool,
}

/// `swarm spread`, understood.
#[derive(Debug, Clone)]
pub struct SpreadCommand {
    /// As typed, secrets taken out.
    pub url: Option<String>,
    /// Rule and servers, those that are down taken out.
    pub balancer: Balancer,
    /// Hosts and fleet.
    pub from: HostsFrom,
    /// `--source-ips`
    pub ranges: Vec<SourceRange>,
    /// `-c`
    pub clients: Option<u64>,
    /// JSON alone.
    pub json: bool,
}

/// What the flags mean, given the fleets that the ledger knows.
pub fn understand(args: &SpreadArgs, fleets: &[String]) -> Result<SpreadCommand, Usage> {
    let balancer = args.balanced.read()?.ok_or_else(|| {
        Usage("how does the balancer pick a backend, and of how many? swarm spread --balancer haproxy-source --backends 4".into())
    })?;
    let hosts = HostArgs {
        hosts: args.hosts.clone(),
        host_file: args.host_file.clone(),
        ..HostArgs::default()
    };
    let fleet = match (&args.fleet, hosts.names_any() || !args.source_ips.is_empty()) {
        (Some(_), _) => Some(super::fleet_name(&args.fleet)?),
        (None, true) => None,
        (None, false) => joined::meant(None, fleets).map_err(Usage)?,
    };
    let mut ranges = Vec::new();
    for typed in &args.source_ips {
        let wrong = |error: String| Usage(format!("--source-ips {typed}: {error}"));
        ranges.extend(source_ranges(typed).map_err(wrong)?);
    }
    Ok(SpreadCommand {
        url: args.url.as_deref().map(url).transpose()?,
        balancer: match args.v4v6 {
            true => balanced::without(balancer, &args.down)?.on_both_families(),
            false => balanced::without(balancer, &args.down)?,
        },
        from: hosts.from_where(0, fleet)?,
        ranges,
        clients: read("-c", &args.connections, units::count)?,
        json: args.json,
    })
}

fn url(typed: &str) -> Result<String, Usage> {
    let known = ["http://", "https://", "ws://", "wss://"];
    match known
        .iter()
        .any(|scheme| typed.to_ascii_lowercase().starts_with(scheme))
    {
        true => Ok(redact_url(typed)),
        false => Err(Usage(format!("{}: no URL: http(s):// or ws(s)://", redact_url(typed)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(change: impl FnOnce(&mut SpreadArgs)) -> Result<SpreadCommand, String> {
        let mut args = SpreadArgs {
            balanced: BalancerArgs {
                balancer: Some("haproxy-source".into()),
                backends: Some("3".into()),
            },
            ..SpreadArgs::default()
        };
        change(&mut args);
        understand(&args, &[]).map_err(|error| error.0)
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_flag() {
        type Change = fn(&mut SpreadArgs);
        let cases: [(&str, Change); 14] = [
            ("swarm spread --balancer haproxy-source --backends 4", |args| {
                args.balanced = BalancerArgs::default();
            }),
            ("--balancer haproxy-source: over how many", |args| {
                args.balanced.backends = None
            }),
            ("--backends 3: by which rule", |args| args.balanced.balancer = None),
            ("--balancer leastconn: no rule", |args| {
                args.balanced.balancer = Some("leastconn".into());
            }),
            ("--balancer nginx-hash-consistent: ", |args| {
                args.balanced.balancer = Some("nginx-hash-consistent".into());
            }),
            ("--backends 1: at least 2", |args| {
                args.balanced.backends = Some("1".into())
            }),
            ("--down s9: no such backend: s1, s2, s3", |args| {
                args.down = vec!["s9".into()]
            }),
            ("--down s3: no backend is left", |args| {
                args.down = vec!["s1,s2,s3".into()]
            }),
            ("--source-ips 10.0.0.9-10.0.0.1: the wrong way round", |args| {
                args.source_ips = vec!["10.0.0.9-10.0.0.1".into()];
            }),
            ("--hosts is empty", |args| args.hosts = vec![",".into()]),
            ("--host-file -: stdin can be read only once", |args| {
                args.host_file = vec!["-".into(), "-".into()];
            }),
            ("-c 0", |args| args.connections = Some("0".into())),
            ("example.com: no URL", |args| args.url = Some("example.com".into())),
            ("--fleet", |args| args.fleet = Some("a/b".into())),
        ];
        for (says, change) in cases {
            let error = typed(change).unwrap_err();
            assert!(error.contains(says), "{says}: {error}");
        }
    }

    #[test]
    fn the_fleet_that_is_up_is_meant_where_no_address_is_named() {
        let args = |hosts: &[&str]| SpreadArgs {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            balanced: BalancerArgs {
                balancer: Some("nginx-ip-hash".into()),
                backends: Some("2".into()),
            },
            ..SpreadArgs::default()
        };
        let fleet = |hosts: &[&str]| understand(&args(hosts), &["f".to_owned()]).unwrap().from.fleet;
        assert_eq!(fleet(&[]).as_deref(), Some("f"));
        assert_eq!(fleet(&["10.0.0.1"]), None);
    }
}
