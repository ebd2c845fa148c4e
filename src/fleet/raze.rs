//! The end of fleets in one region, from tags and from ids that are known: look, remove, look again. Never here: the ledger's file, printing.

use super::ec2::{Ec2Error, ElasticAddress, FoundGroup, Instance, Left, Phase, Regional};
use super::ledger::Launch;
use super::owner::Whose;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1500);
/// How long hosts may take to end.
const ENDING: Duration = Duration::from_secs(300);
/// How long volumes and network interfaces may take to go after their hosts.
const TRAILING: Duration = Duration::from_secs(30);
/// After so long nothing will come of a call whose caller is gone.
pub const LATE: SignedDuration = SignedDuration::from_secs(20);
/// How long EC2 may take to know an instance that it has launched itself.
pub const FRESH: SignedDuration = SignedDuration::from_mins(2);
/// Tries for one change that EC2 refuses.
const TRIES: u32 = 4;

/// Which fleets are meant.
#[derive(Debug, Clone)]
pub struct Meant {
    /// Whose.
    pub whose: Whose,
    /// One of them, else all.
    pub fleet: Option<String>,
    /// What one command made, else all.
    pub run: Option<String>,
}

impl Meant {
    fn is(&self, fleet: &str, owner: &str, run: &str) -> bool {
        let named = |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|name| name == own);
        self.whose.owns(owner) && named(&self.fleet, fleet) && named(&self.run, run)
    }
}

/// What there is of the fleets that are meant, and of others.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Hosts that exist.
    pub hosts: Vec<Instance>,
    /// Security groups.
    pub groups: Vec<FoundGroup>,
    /// Elastic IPs.
    pub elastic: Vec<ElasticAddress>,
    /// Other people's fleets, and other fleets of one's own: hosts by (fleet, owner).
    pub others: BTreeMap<(String, String), usize>,
}

impl Found {
    /// Nothing that is meant.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.groups.is_empty() && self.elastic.is_empty()
    }
}

/// What could not be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remaining {
    /// Where.
    pub region: String,
    /// `instance`, `security-group`, `elastic-ip`, `volume`, `network-interface`
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Why, as far as known.
    pub why: String,
}

/// One step that is worth telling.
pub type Tell<'a> = &'a (dyn Fn(String) + Sync);

/// Lists what there is.
pub async fn look(at: &Regional, meant: &Meant) -> Result<Found, Ec2Error> {
    let (instances, groups, elastic) = tokio::join!(at.instances(), at.groups(), at.elastic());
    let mut found = Found::default();
    let mut count = |fleet: &str, owner: &str, n: usize| {
        *found.others.entry((fleet.to_owned(), owner.to_owned())).or_default() += n;
    };
    for instance in instances?.into_iter().filter(|instance| instance.phase.exists()) {
        if meant.is(&instance.fleet, &instance.owner, &instance.run) {
            found.hosts.push(instance);
        } else {
            count(&instance.fleet, &instance.owner, 1);
        }
    }
    for group in groups? {
        if meant.is(&group.fleet, &group.owner, &group.run) {
            found.groups.push(group);
        } else {
            count(&group.fleet, &group.owner, 0);
        }
    }
    for address in elastic? {
        if meant.is(&address.fleet, &address.owner, &address.run) {
            found.elastic.push(address);
        } else {
            count(&address.fleet, &address.owner, 0);
        }
    }
    Ok(found)
}

/// A launch whose answer is not known may take effect a little later: waits until its hosts are listed, or until so much
/// time has passed since `alive`, when whoever asked for it was last seen, that nothing will come of it.
pub async fn await_launches(at: &Regional, launches: &[Launch], alive: Timestamp) -> Result<(), Ec2Error> {
    if launches.is_empty() {
        return Ok(());
    }
    let began = Instant::now();
    loop {
        let instances = at.instances().await?;
        let is_open = |launch: &Launch| {
            let listed = instances
                .iter()
                .any(|i| i.token.as_deref() == Some(launch.token.as_str()));
            !listed && Timestamp::now().duration_since(alive.max(launch.at)) < LATE
        };
        // a clock that was set back would make it wait for hours
        if !launches.iter().any(is_open) || began.elapsed() > LATE.unsigned_abs() {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
}

/// A host that the ledger names: it is ended by its id, listed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// `i-...`
    pub id: String,
    /// When it was launched.
    pub at: Timestamp,
}

/// Removes all that is meant and verifies by tag that nothing is left. What is left is returned by name.
pub async fn remove(
    at: &Regional,
    meant: &Meant,
    found: &Found,
    named: &[Named],
    tell: Tell<'_>,
) -> Result<Vec<Remaining>, Ec2Error> {
    let mut troubles: BTreeMap<String, String> = BTreeMap::new();
    end_hosts(at, meant, found, named, tell, &mut troubles).await?;
    // an Elastic IP belongs to nobody as soon as its host is gone
    for address in &found.elastic {
        let done = again(|| at.release_elastic(&address.id)).await;
        note(&mut troubles, &address.id, done, || {
            tell(format!("{}: Elastic IP {} released", at.name, address.address));
        });
    }
    for group in &found.groups {
        let done = at.delete_group(&group.id).await;
        note(&mut troubles, &group.id, done, || {
            tell(format!("{}: security group {} removed", at.name, group.name));
        });
    }
    verify(at, meant, &troubles).await
}

fn note(troubles: &mut BTreeMap<String, String>, id: &str, done: Result<(), Ec2Error>, told: impl FnOnce()) {
    match done {
        Ok(()) => told(),
        Err(error) => {
            troubles.insert(id.to_owned(), error.to_string());
        }
    }
}

async fn end_hosts(
    at: &Regional,
    meant: &Meant,
    found: &Found,
    named: &[Named],
    tell: Tell<'_>,
    troubles: &mut BTreeMap<String, String>,
) -> Result<(), Ec2Error> {
    let mut asked: Vec<String> = Vec::new();
    let began = Instant::now();
    let mut left = found.hosts.clone();
    // hosts that EC2 told us of and does not list yet
    let mut unlisted: Vec<Named> = match named.is_empty() {
        true => Vec::new(),
        false => unlisted(named, &at.instances().await?),
    };
    while !left.is_empty() || !unlisted.is_empty() {
        let listed = left
            .iter()
            .filter(|host| host.phase != Phase::Ending)
            .map(|host| host.id.clone());
        let fresh: Vec<String> = listed.filter(|id| !asked.contains(id)).collect();
        if !fresh.is_empty() {
            tell(format!("{}: terminating {}", at.name, fresh.join(" ")));
            if let Err(error) = again(|| at.terminate(&fresh)).await {
                fresh.iter().for_each(|id| {
                    troubles.insert(id.clone(), error.to_string());
                });
            }
            asked.extend(fresh);
        }
        for host in &unlisted {
            // not known to EC2 yet: the next round asks again
            let _ = at.terminate(std::slice::from_ref(&host.id)).await;
        }
        if began.elapsed() > ENDING {
            return Ok(());
        }
        sleep(PAUSE).await;
        let instances = at.instances().await?;
        unlisted = self::unlisted(named, &instances);
        let ours = |host: &Instance| meant.is(&host.fleet, &host.owner, &host.run);
        left = instances
            .into_iter()
            .filter(|host| host.phase.exists() && ours(host))
            .collect();
        // those that EC2 refuses to end are not waited for
        let refused = |host: &Instance| troubles.contains_key(&host.id) && host.phase != Phase::Ending;
        if unlisted.is_empty() && !left.is_empty() && left.iter().all(refused) {
            return Ok(());
        }
    }
    if !asked.is_empty() {
        tell(format!("{}: {} terminated", at.name, count(asked.len(), "host")));
    }
    Ok(())
}

/// Hosts of which EC2 says nothing though they are young; of older ones it says nothing because they are long gone.
fn unlisted(named: &[Named], instances: &[Instance]) -> Vec<Named> {
    let now = Timestamp::now();
    let is_open = |host: &&Named| now.duration_since(host.at) < FRESH && !instances.iter().any(|i| i.id == host.id);
    named.iter().filter(is_open).cloned().collect()
}

/// Volumes and network interfaces that are meant: they go with their hosts, or a little later, or not at all.
pub async fn trailing(at: &Regional, meant: &Meant) -> Result<Vec<Left>, Ec2Error> {
    let mut tagged = at.trailing().await?;
    tagged.retain(|left| meant.is(&left.fleet, &left.owner, &left.run));
    Ok(tagged)
}

async fn verify(at: &Regional, meant: &Meant, troubles: &BTreeMap<String, String>) -> Result<Vec<Remaining>, Ec2Error> {
    let began = Instant::now();
    loop {
        let (found, trailing) = (look(at, meant).await?, trailing(at, meant).await?);
        // what was removed without trouble may be listed for a moment more
        let groups = found.groups.iter().map(|group| &group.id);
        let lingering = groups.chain(found.elastic.iter().map(|address| &address.id));
        let passing = lingering
            .chain(trailing.iter().map(|left| &left.id))
            .any(|id| !troubles.contains_key(id));
        if found.hosts.is_empty() && passing && began.elapsed() < TRAILING {
            sleep(PAUSE).await;
            continue;
        }
        let hosts = found.hosts.iter().map(|host| ("instance", host.id.as_str()));
        let groups = found.groups.iter().map(|group| ("security-group", group.id.as_str()));
        let elastic = found.elastic.iter().map(|address| ("elastic-ip", address.id.as_str()));
        let others = trailing.iter().map(|left| (left.kind, left.id.as_str()));
        let all = hosts.chain(groups).chain(elastic).chain(others);
        return Ok(all
            .map(|(kind, id)| Remaining {
                region: at.name.clone(),
                kind: kind.to_owned(),
                id: id.to_owned(),
                why: troubles
                    .get(id)
                    .cloned()
                    .unwrap_or_else(|| "it is still there".to_owned()),
            })
            .collect());
    }
}

/// Asks again, with pauses, whatever the refusal was.
async fn again<T, F: Future<Output = Result<T, Ec2Error>>>(ask: impl Fn() -> F) -> Result<T, Ec2Error> {
    let mut tried = 1;
    loop {
        match ask().await {
            Err(_) if tried < TRIES => sleep(PAUSE * tried).await,
            other => return other,
        }
        tried += 1;
    }
}

/// `1 host`, `2 hosts`.
pub fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
