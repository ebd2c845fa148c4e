//! Who looks: the hosts of a check and the addresses they connect from, each an origin. Tests put a fake in their place.

use crate::conduct::scouts::Scouts;
use std::net::IpAddr;
use std::time::Duration;
use swarm_agent::wire::fault::Fault;
use swarm_agent::wire::look::{Order, Sight};

/// Origins of one check at most: it sends a few dozen requests, and more sources would tell nothing more.
pub const MOST_ORIGINS: usize = 16;

/// A host and an address that it connects from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Place of the host.
    pub place: usize,
    /// Its name.
    pub host: String,
    /// The address; `None`: as its routes choose.
    pub source: Option<IpAddr>,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.source {
            Some(source) => write!(f, "{source}"),
            None => f.write_str(&self.host),
        }
    }
}

/// Whoever carries an order out.
pub trait Scout {
    /// Has an origin's host do it; it is over after so long.
    fn look(&self, origin: &Origin, within: Duration, order: Order) -> impl Future<Output = Result<Sight, Fault>>;
}

impl Scout for Scouts {
    async fn look(&self, origin: &Origin, within: Duration, order: Order) -> Result<Sight, Fault> {
        Self::look(self, origin.place, within, order).await
    }
}

/// The origins of these hosts, host by host in turn, so that the first ones are of different hosts where there are several.
pub fn origins(scouts: &Scouts) -> Vec<Origin> {
    let hosts = scouts.hosts.iter();
    dealt(hosts.map(|host| (host.name.as_str(), host.sources.as_slice())))
}

fn dealt<'a>(hosts: impl Iterator<Item = (&'a str, &'a [IpAddr])>) -> Vec<Origin> {
    let hosts: Vec<(&str, &[IpAddr])> = hosts.collect();
    let longest = hosts.iter().map(|(_, sources)| sources.len().max(1)).max().unwrap_or(0);
    let mut all = Vec::new();
    for turn in 0..longest {
        for (place, (name, sources)) in hosts.iter().enumerate() {
            let source = sources.get(turn).copied();
            if source.is_some() || (turn == 0 && sources.is_empty()) {
                all.push(Origin {
                    place,
                    host: (*name).to_owned(),
                    source,
                });
            }
        }
    }
    all.truncate(MOST_ORIGINS);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_taken_host_by_host() {
        let [a, b, c]: [IpAddr; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.9"].map(|text| text.parse().unwrap());
        let (first, second) = ([a, b], [c]);
        let all = dealt([("h1", &first[..]), ("h2", &second[..]), ("h3", &[][..])].into_iter());
        let told: Vec<String> = all.iter().map(|origin| format!("{} {origin}", origin.host)).collect();
        assert_eq!(told, ["h1 10.0.0.1", "h2 10.0.0.9", "h3 h3", "h1 10.0.0.2"]);
        let many: Vec<IpAddr> = (1..=40u8).map(|n| IpAddr::from([127, 0, 0, n])).collect();
        assert_eq!(dealt([("h", &many[..])].into_iter()).len(), MOST_ORIGINS);
    }
}
