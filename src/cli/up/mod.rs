//! `swarm up`: flags to what a fleet is to be, or an error that names the flag. Never here: EC2, SSH, printing.

pub mod args;
mod cover;
mod keys;
mod outlook;
mod preview;
mod ready;
mod rollback;
pub mod steps;

use self::args::UpArgs;
use self::cover::Cover;
use super::{Usage, units};
use crate::fleet::ec2::Wish;
use crate::fleet::shape;
use crate::fleet::survey::Recipe;
use crate::plan::MinHosts;
use ipnet::IpNet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Amazon Linux's login.
pub(super) const DEFAULT_LOGIN: &str = "ec2-user";
/// The longest life of a host.
const LONGEST_TTL: u64 = 14 * 86_400;
/// Addresses that one interface holds at most, whatever the type.
const MOST_ADDRESSES: u64 = 50;
/// Hosts that one command makes at most.
const MOST_HOSTS: u64 = 1_000;

/// `swarm up`, understood.
#[derive(Debug, Clone)]
pub struct UpCommand {
    /// Its name.
    pub fleet: String,
    /// `-s`
    pub size: Option<u32>,
    /// `--cover`: hosts are started until its backends are reached.
    pub cover: Option<Cover>,
    /// `--region`, each with its own number where it has one.
    pub regions: Vec<(String, Option<u32>)>,
    /// What hosts are to be.
    pub recipe: Recipe,
    /// `--login`
    pub login: Option<String>,
    /// `--tag`
    pub tags: Vec<(String, String)>,
    /// `--ttl`
    pub ttl: Duration,
    /// `--ssh-from`
    pub ssh_from: Option<IpNet>,
    /// `--min-hosts`
    pub min_hosts: MinHosts,
    /// How far to go.
    pub mode: Mode,
    /// `--ready-timeout`
    pub patience: Duration,
    /// `--profile`
    pub profile: Option<String>,
    /// `-i`
    pub identity: Option<PathBuf>,
    /// `-F`
    pub ssh_config: Option<PathBuf>,
    /// `--agent-binary`
    pub agent_binaries: Vec<String>,
}

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Until every host has said hello.
    Ready,
    /// Until the launch is accepted and recorded.
    Launched,
    /// Say what would be made.
    DryRun,
}

/// What the flags mean.
pub fn understand(args: &UpArgs) -> Result<UpCommand, Usage> {
    let fleet = super::fleet_name(&args.fleet)?;
    let number = |flag: &str, typed: &Option<String>, most: u64| read(flag, typed, |text| up_to(text, most));
    let size = number("-s", &args.size, MOST_HOSTS)?;
    let regions = args
        .region
        .iter()
        .map(|typed| region(typed))
        .collect::<Result<Vec<_>, _>>()?;
    let cover = cover::read_cover(args)?;
    if cover.is_none() && size.is_none() && regions.iter().all(|(_, own)| own.is_none()) {
        return Err(Usage("say how many hosts: swarm up -s 8".into()));
    }
    if args.subnet.is_some() && (regions.len() > 1 || !args.zone.is_empty()) {
        return Err(Usage(
            "--subnet is one place: leave --zone and a second --region out".into(),
        ));
    }
    if args.security_group.is_some() && regions.len() > 1 {
        return Err(Usage(
            "--security-group belongs to one region: leave the second --region out".into(),
        ));
    }
    if args.security_group.is_some() && args.ssh_from.is_some() {
        return Err(Usage(
            "--ssh-from: your own --security-group is not changed: open port 22 in it yourself".into(),
        ));
    }
    if args.dry_run && args.no_wait {
        return Err(Usage("--dry-run and --no-wait: give one of them".into()));
    }
    if args.identity.is_some() && args.key.is_none() {
        return Err(Usage(
            "-i: hosts get a throwaway key; with a key pair of yours say --key NAME too".into(),
        ));
    }
    let max_price = read("--max-price", &args.max_price, |text| {
        units::decimal(text.trim_start_matches('$'))
            .filter(|usd| *usd > 0.001 && *usd < 1000.0)
            .ok_or_else(|| "USD per hour, as 0.01".to_owned())
    })?;
    if max_price.is_some() && !args.spot {
        return Err(Usage("--max-price is for spot hosts: add --spot".into()));
    }
    let elastic = number("--source-eips", &args.source_eips, MOST_ADDRESSES)?;
    Ok(UpCommand {
        fleet,
        size,
        cover,
        regions,
        recipe: Recipe {
            wish: Wish {
                subnet: args.subnet.clone(),
                zones: args.zone.clone(),
            },
            kind: args.kind.clone(),
            image: args.image.clone(),
            group: args.security_group.clone(),
            key: args.key.clone(),
            spot: args.spot.then_some(max_price),
            sources: number("--source-ips-per-host", &args.source_ips_per_host, MOST_ADDRESSES)?.unwrap_or(1),
            elastic: elastic.unwrap_or(0),
        },
        login: args.login.as_deref().map(login).transpose()?,
        tags: shape::user_tags(&args.tag)?,
        ttl: ttl(&args.ttl)?,
        ssh_from: read("--ssh-from", &args.ssh_from, net)?,
        min_hosts: super::min_hosts(&args.min_hosts)?.unwrap_or(MinHosts::Percent(100.0)),
        mode: match (args.dry_run, args.no_wait) {
            (true, _) => Mode::DryRun,
            (_, true) => Mode::Launched,
            _ => Mode::Ready,
        },
        patience: read("--ready-timeout", &args.ready_timeout, units::duration_above_zero)?
            .map_or(Duration::from_secs(300), Duration::from_nanos),
        profile: args.profile.clone(),
        identity: args.identity.clone(),
        ssh_config: args.ssh_config.clone(),
        agent_binaries: args.agent_binary.clone(),
    })
}

/// Reads `--ttl`; two hours unless said.
pub fn ttl(typed: &Option<String>) -> Result<Duration, Usage> {
    let read = read("--ttl", typed, |text| {
        match units::duration_above_zero(text)? / units::SECOND {
            0 => Err("at least a second".to_owned()),
            s if s > LONGEST_TTL => Err(format!("at most {} days", LONGEST_TTL / 86_400)),
            s => Ok(s),
        }
    })?;
    Ok(Duration::from_secs(read.unwrap_or(7_200)))
}

fn up_to(text: &str, most: u64) -> Result<u32, String> {
    match units::count(text)? {
        n if n > most => Err(format!("at most {most}")),
        n => Ok(u32::try_from(n).unwrap_or(u32::MAX)),
    }
}

fn region(typed: &str) -> Result<(String, Option<u32>), Usage> {
    let wrong = |error: String| Usage(format!("--region {typed}: {error}"));
    let (name, own) = match typed.split_once('=') {
        Some((name, number)) => (name, Some(up_to(number, MOST_HOSTS).map_err(wrong)?)),
        None => (typed, None),
    };
    if !is_region(name) {
        return Err(wrong("no region: write one as eu-west-1, or eu-west-1=6".into()));
    }
    Ok((name.to_owned(), own))
}

/// Whether a word has a region's form.
pub fn is_region(name: &str) -> bool {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    plain && (5..=32).contains(&name.len()) && name.contains('-') && name.ends_with(|c: char| c.is_ascii_digit())
}

fn login(name: &str) -> Result<String, Usage> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if name.is_empty() || name.starts_with('-') || !name.bytes().all(plain) {
        return Err(Usage(format!("--login {name:?} is no login name")));
    }
    Ok(name.to_owned())
}

fn net(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    let net = address.or_else(|_| text.parse::<IpNet>().map(|net| net.trunc()));
    net.map_err(|_| "no network: write it as 203.0.113.0/24, or one address".to_owned())
}

fn read<T>(flag: &str, typed: &Option<String>, how: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Usage> {
    let one = |text: &str| how(text).map_err(|error| Usage(format!("{flag} {text}: {error}")));
    typed.as_deref().map(one).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut UpArgs);

    fn typed(change: impl FnOnce(&mut UpArgs)) -> Result<UpCommand, String> {
        let mut args = UpArgs {
            size: Some("8".into()),
            ..UpArgs::default()
        };
        change(&mut args);
        understand(&args).map_err(|error| error.0)
    }

    #[test]
    fn defaults() {
        let up = typed(|_| {}).unwrap();
        assert_eq!((up.fleet.as_str(), up.login, up.size), ("default", None, Some(8)));
        assert_eq!((up.ttl.as_secs(), up.recipe.sources, up.recipe.elastic), (7200, 1, 0));
        assert_eq!(up.mode, Mode::Ready);
    }

    #[test]
    fn regions_bring_their_numbers() {
        let up = typed(|args| {
            args.size = None;
            args.region = vec!["eu-west-1=6".into(), "us-east-1=3".into()];
        });
        assert_eq!(
            up.unwrap().regions,
            [("eu-west-1".to_owned(), Some(6)), ("us-east-1".to_owned(), Some(3))]
        );
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        let from =
            |text: &str| typed(|args| args.ssh_from = Some(text.to_owned())).map(|up| up.ssh_from.unwrap().to_string());
        assert_eq!(from("203.0.113.7").unwrap(), "203.0.113.7/32");
        assert_eq!(from("203.0.113.7/24").unwrap(), "203.0.113.0/24");
        assert!(from("here").unwrap_err().contains("203.0.113.0/24"));
    }

    #[test]
    fn cover_says_how_many_by_itself() {
        let up = typed(|args| {
            args.size = None;
            args.cover = Some("4".into());
            args.balancer = Some("haproxy-source".into());
            args.max_hosts = Some("12".into());
        });
        let up = up.unwrap();
        let cover = up.cover.unwrap();
        assert_eq!((up.size, cover.max_hosts, cover.balancer.pool.size()), (None, 12, 4));
    }

    #[test]
    fn cover_is_refused_before_anything_is_made() {
        let cases: [(&str, Change); 11] = [
            ("--cover 4: by which rule", |args| args.balancer = None),
            ("--cover 4: how many hosts at most", |args| args.max_hosts = None),
            ("--max-hosts 3: fewer hosts than backends", |args| {
                args.max_hosts = Some("3".into())
            }),
            ("--cover 1: at least 2", |args| args.cover = Some("1".into())),
            ("--balancer roundrobin: no rule", |args| {
                args.balancer = Some("roundrobin".into())
            }),
            ("--backends 3: --cover 4 is about 4", |args| {
                args.backends = Some("3".into())
            }),
            ("-s 8: --cover says by itself", |args| args.size = Some("8".into())),
            ("--region eu-west-1=6: --cover says by itself", |args| {
                args.region = vec!["eu-west-1=6".into()];
            }),
            ("--no-wait: --cover looks at the addresses", |args| args.no_wait = true),
            ("--max-hosts is for --cover", |args| {
                args.size = Some("8".into());
                args.cover = None;
            }),
            ("--balancer nginx-hash-consistent", |args| {
                args.balancer = Some("nginx-hash-consistent".into());
            }),
        ];
        for (says, change) in cases {
            let error = typed(|args| {
                args.size = None;
                args.cover = Some("4".into());
                args.balancer = Some("haproxy-source".into());
                args.max_hosts = Some("12".into());
                change(args);
            })
            .unwrap_err();
            assert!(error.contains(says), "{says}: {error}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_flag() {
        let cases: [(&str, Change); 12] = [
            ("swarm up -s 8", |args| args.size = None),
            ("-s 0", |args| args.size = Some("0".into())),
            ("-s 2000", |args| args.size = Some("2000".into())),
            ("--region Ireland", |args| args.region = vec!["Ireland".into()]),
            ("add --spot", |args| args.max_price = Some("0.01".into())),
            ("--max-price x", |args| {
                args.spot = true;
                args.max_price = Some("x".into());
            }),
            ("--ttl 2", |args| args.ttl = Some("2".into())),
            ("--ttl 90d", |args| args.ttl = Some("90d".into())),
            ("say --key NAME too", |args| args.identity = Some("k".into())),
            ("--subnet is one place", |args| {
                args.subnet = Some("subnet-1".into());
                args.zone = vec!["us-east-1a".into()];
            }),
            ("--login", |args| args.login = Some("-x".into())),
            ("--fleet", |args| args.fleet = Some("a/b".into())),
        ];
        for (says, change) in cases {
            let error = typed(change).unwrap_err();
            assert!(error.contains(says), "{says}: {error}");
        }
    }
}
