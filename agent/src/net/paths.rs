//! Which source addresses have a path to the targets: before the load, one connection a pair, closed at once. A
//! secondary private address in EC2 has none to a public target until an Elastic IP is given to it.
//!
//! Never here: changing the share, the load's own connections.

use super::{open_tcp, resolve};
use crate::wire::message::{DroppedSource, NoPath};
use crate::wire::share::{Consent, Share};
use futures_util::StreamExt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Targets that are tried at most, and sources towards each of them.
const MOST_TARGETS: usize = 8;
const MOST_SOURCES: usize = 256;
/// Connections that are being tried at one time.
const AT_ONCE: usize = 256;
/// How long one may take: at least one lost SYN is sent again (after 1 s), at most two (after 3 s more).
const SHORTEST: Duration = Duration::from_millis(1500);
const LONGEST: Duration = Duration::from_secs(5);
/// How long all of them may take together: hosts are waited for while they arm.
const WHOLE: Duration = Duration::from_secs(12);
/// Pairs that one warning names.
const NAMED: usize = 4;

/// What was found out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// Sources that are not to be used, each once.
    pub dropped: Vec<DroppedSource>,
    /// Doubts, as sentences.
    pub warnings: Vec<String>,
}

/// A source and a target to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    source: IpAddr,
    target: u16,
    address: SocketAddr,
}

impl Pair {
    /// Within loopback there is always a path.
    fn is_inside(&self) -> bool {
        self.source.is_loopback() && self.address.ip().is_loopback()
    }

    fn known(&self) -> Finding {
        if self.is_inside() {
            Finding::Answer
        } else {
            Finding::Unknown
        }
    }
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// There is a path: it was accepted, or somebody refused.
    Answer,
    NoPath(NoPath),
    /// It says nothing about the source: not tried in time, or this host had no descriptors left.
    Unknown,
}

/// Tries the paths that a share's connections will take.
pub async fn probe(share: &Share, resolved: &[Vec<IpAddr>]) -> Paths {
    probe_by(share, resolved, WHOLE, |source, target| async move {
        // dropped, and so closed, as soon as it stands
        open_tcp(target, Some(source)).await.map(drop)
    })
    .await
}

/// The same with the `dial` given.
async fn probe_by<D, F>(share: &Share, resolved: &[Vec<IpAddr>], whole: Duration, dial: D) -> Paths
where
    D: Fn(IpAddr, SocketAddr) -> F,
    F: Future<Output = io::Result<()>>,
{
    let (pairs, left_out) = pairs(share, resolved);
    let limit = Duration::from_nanos(share.limits.connect).clamp(SHORTEST, LONGEST);
    let mut findings: Vec<Finding> = pairs.iter().map(Pair::known).collect();
    let open = pairs
        .clone()
        .into_iter()
        .enumerate()
        .filter(|(_, pair)| !pair.is_inside());
    let tries = open.map(|(place, pair)| {
        let attempt = dial(pair.source, pair.address);
        async move { (place, finding(tokio::time::timeout(limit, attempt).await.ok(), limit)) }
    });
    let mut tries = std::pin::pin!(futures_util::stream::iter(tries).buffer_unordered(AT_ONCE));
    let until = Instant::now() + whole;
    while let Ok(Some((place, finding))) = tokio::time::timeout_at(until.into(), tries.next()).await {
        findings[place] = finding;
    }
    let untried = left_out + findings.iter().filter(|finding| **finding == Finding::Unknown).count();
    let mut paths = judge(share, &pairs, &findings);
    if untried > 0 {
        let all = left_out + pairs.len();
        let text =
            format!("{untried} of {all} paths from a source address to a target were not tried before the start");
        paths.warnings.push(text);
    }
    paths
}

/// What is to be tried, target by target, and how many pairs are too many for it. A target that has less than two
/// sources of its family is not tried (there would be nothing to go on with), nor one that nobody agreed to connect to.
fn pairs(share: &Share, resolved: &[Vec<IpAddr>]) -> (Vec<Pair>, usize) {
    let mut pairs = Vec::new();
    let mut tried: Vec<SocketAddr> = Vec::new();
    let mut left_out = 0;
    for (target, addresses) in (0..).zip(resolved).take(share.targets.len()) {
        let Some(first) = addresses.first() else { continue };
        let address = SocketAddr::new(*first, share.targets[usize::from(target)].dialed_port());
        if !agreed(share, *first) || tried.contains(&address) {
            continue;
        }
        let sources: Vec<IpAddr> = family(&share.sources, first.is_ipv4()).collect();
        let inside = |source: &IpAddr| source.is_loopback() && first.is_loopback();
        if sources.len() < 2 || sources.iter().all(inside) {
            continue;
        }
        let room = if tried.len() < MOST_TARGETS { MOST_SOURCES } else { 0 };
        left_out += sources.len().saturating_sub(room);
        tried.push(address);
        pairs.extend(sources.into_iter().take(room).map(|source| Pair {
            source,
            target,
            address,
        }));
    }
    (pairs, left_out)
}

/// Whether an address may be connected to before the start: it is near, or the user agreed to the plan's targets.
pub fn agreed(share: &Share, address: IpAddr) -> bool {
    share.consent == Consent::Given || resolve::is_near(address)
}

fn family(sources: &[IpAddr], v4: bool) -> impl Iterator<Item = IpAddr> {
    sources.iter().copied().filter(move |source| source.is_ipv4() == v4)
}

/// What a try says about the path. `None`: it took longer than the limit.
fn finding(tried: Option<io::Result<()>>, limit: Duration) -> Finding {
    use io::ErrorKind as E;
    let silent = Finding::NoPath(NoPath::Silent {
        after_ms: u32::try_from(limit.as_millis()).unwrap_or(u32::MAX),
    });
    let Some(tried) = tried else { return silent };
    let Err(error) = tried else { return Finding::Answer };
    match (error.kind(), error.raw_os_error()) {
        (E::ConnectionRefused | E::ConnectionReset, _) => Finding::Answer,
        (E::TimedOut, _) => silent,
        (_, Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) => Finding::Unknown,
        (E::HostUnreachable | E::NetworkUnreachable, _) => Finding::NoPath(NoPath::Unreachable(error.to_string())),
        _ => Finding::NoPath(NoPath::Unusable(error.to_string())),
    }
}

/// Who is dropped: a source without a path to a target that another source reaches. A target that no source reaches is
/// down, and says nothing. When that would drop every source of a family, none of it is dropped: without a source
/// connections would leave from wherever the routes choose.
fn judge(share: &Share, pairs: &[Pair], findings: &[Finding]) -> Paths {
    let reached = |target: u16| {
        let found = pairs.iter().zip(findings);
        found
            .filter(|(pair, _)| pair.target == target)
            .any(|(_, finding)| *finding == Finding::Answer)
    };
    let mut cut_off: Vec<DroppedSource> = Vec::new();
    for (pair, finding) in pairs.iter().zip(findings) {
        if let Finding::NoPath(why) = finding
            && reached(pair.target)
            && !cut_off.iter().any(|known| known.source == pair.source)
        {
            cut_off.push(DroppedSource {
                source: pair.source,
                target: pair.target,
                address: pair.address,
                why: why.clone(),
            });
        }
    }
    let mut paths = Paths::default();
    for v4 in [true, false] {
        let of_family = cut_off.iter().filter(|cut| cut.source.is_ipv4() == v4).cloned();
        let of_family: Vec<DroppedSource> = of_family.collect();
        if !of_family.is_empty() && of_family.len() == family(&share.sources, v4).count() {
            paths.warnings.push(none_reaches_all(share, &of_family));
        } else {
            paths.dropped.extend(of_family);
        }
    }
    paths
}

fn none_reaches_all(share: &Share, cut_off: &[DroppedSource]) -> String {
    let one = |cut: &DroppedSource| {
        let url = &share.targets[usize::from(cut.target)].url;
        format!("{} has none to {url} ({})", cut.source, cut.why)
    };
    let mut named: Vec<String> = cut_off.iter().take(NAMED).map(one).collect();
    if cut_off.len() > NAMED {
        named.push(format!("and {} more", cut_off.len() - NAMED));
    }
    format!(
        "no source address has a path to every target, so all are used: {}",
        named.join("; ")
    )
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
