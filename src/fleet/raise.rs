//! Making a fleet: each step writes the ledger before the call that makes something, and again with the answer. Never
//! here: SSH, printing.

use super::ec2::{Aws, Ec2Error, Instance, Lack, Order, Phase, Rule};
use super::ledger::{Elastic, FleetFolder, FleetHost, Group, Launch, LaunchState, Ledger, LedgerError};
use super::owner::{self, Owner, Whose};
use super::shape;
use super::survey::{Recipe, Site, Supply};
use super::user_data::{Boot, user_data};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// How long an instance that answers over SSH may still be called pending.
const PENDING: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(1500);
/// How long EC2 may take to list what it launched.
const FRESH: SignedDuration = SignedDuration::from_mins(2);

/// The host key that hosts boot with, and how they are logged in to.
#[derive(Clone)]
pub struct BootKeys {
    /// Private, OpenSSH's form. It stays in memory and in the hosts' user data.
    pub host_private: String,
    /// Public.
    pub host_public: String,
    /// Public part of the throwaway login key; `None` with `--key`.
    pub login_public: Option<String>,
}

/// Why a fleet is not made.
#[derive(Debug, thiserror::Error)]
pub enum RaiseError {
    /// EC2.
    #[error(transparent)]
    Ec2(#[from] Ec2Error),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What one `up` works with.
pub struct Raising {
    /// AWS.
    pub aws: Aws,
    /// The fleet's files.
    pub folder: FleetFolder,
    /// What we own.
    pub ledger: Ledger,
    /// Whose it is.
    pub owner: Owner,
    /// This command's name; its launches' tokens begin with it.
    pub run: String,
    /// What hosts are to be.
    pub recipe: Recipe,
    /// Tags of the user.
    pub tags: Vec<(String, String)>,
    /// How long a host lives.
    pub ttl: Duration,
    /// Who may reach port 22; `None` with a group of the user's.
    pub ssh_from: Option<IpNet>,
    /// Keys of hosts that boot now.
    pub keys: BootKeys,
}

impl Raising {
    fn all_tags(&self) -> Vec<(String, String)> {
        shape::tags(&self.ledger.fleet, &self.run, &self.owner, &self.tags)
    }

    /// The security group of a region: the user's, the one that is there, or a new one; open to `ssh_from`. `None` where
    /// nothing is launched and no group of ours is.
    pub async fn group(&mut self, site: &Site) -> Result<Option<String>, RaiseError> {
        if let Some(id) = self.recipe.group.clone() {
            self.ledger.region(&site.at.name).group = Some(Group {
                name: id.clone(),
                id: Some(id.clone()),
                ours: false,
            });
            self.ledger.write(&self.folder)?;
            return Ok(Some(id));
        }
        let vpc = site.supply.as_ref().map(|supply| supply.places[0].vpc.as_str());
        let Some(vpc) = vpc.or(site.group().map(|group| group.vpc.as_str())) else {
            // hosts without a group of ours: they were launched with the user's
            return Ok(None);
        };
        let name = shape::group_name(&self.ledger.fleet, &self.owner.installation);
        let mut group = Group {
            name: name.clone(),
            id: site.group().map(|found| found.id.clone()),
            ours: true,
        };
        self.ledger.region(&site.at.name).group = Some(group.clone());
        self.ledger.write(&self.folder)?;
        let id = match &group.id {
            Some(id) => id.clone(),
            None => {
                let id = self.made_group(site, &name, vpc).await?;
                group.id = Some(id.clone());
                self.ledger.region(&site.at.name).group = Some(group);
                self.ledger.write(&self.folder)?;
                id
            }
        };
        if let Some(from) = self.ssh_from {
            let open_to = site.group().map(|found| found.open_to.clone()).unwrap_or_default();
            if !open_to.contains(&from) {
                site.at.change_group(&id, Rule::Open, from).await?;
            }
            for old in open_to.into_iter().filter(|net| *net != from) {
                site.at.change_group(&id, Rule::Close, old).await?;
            }
        }
        Ok(Some(id))
    }

    /// Makes a group. A try whose answer was lost may have made it already; and EC2 may not know it yet, a moment later.
    async fn made_group(&self, site: &Site, name: &str, vpc: &str) -> Result<String, RaiseError> {
        let made = site.at.create_group(name, vpc, &self.all_tags()).await;
        let id = match made {
            Err(error) if error.code() == Some("InvalidGroup.Duplicate") => {
                let mut groups = site.at.groups().await?;
                groups.retain(|group| group.name == name && group.vpc == vpc);
                groups.pop().ok_or(error)?.id
            }
            other => other?,
        };
        let began = tokio::time::Instant::now();
        while !site.at.groups().await?.iter().any(|group| group.id == id) && began.elapsed() < PENDING {
            tokio::time::sleep(LOOK).await;
        }
        Ok(id)
    }

    /// Launches what is lacking: all in the first zone that has room for all, else what each zone has. Gives how many, and
    /// what was said where that could not be.
    pub async fn launch(
        &mut self,
        site: &Site,
        supply: &Supply,
        group: &str,
    ) -> Result<(u32, Vec<String>), RaiseError> {
        let (mut got, mut said) = (0, Vec::new());
        for whole in [true, false] {
            for place in &supply.places {
                let missing = site.missing() - got;
                if missing == 0 {
                    return Ok((got, said));
                }
                // a single host was asked for as a whole already
                if !whole && missing == 1 && site.missing() == 1 {
                    return Ok((got, said));
                }
                let least = if whole { missing } else { 1 };
                match self.launch_in(site, supply, group, &place.subnet, missing, least).await {
                    Ok(launched) => got += launched,
                    Err(RaiseError::Ec2(error)) if error.lack() == Lack::Capacity => {
                        let room = if whole {
                            format!("not {missing} at once: ")
                        } else {
                            String::new()
                        };
                        said.push(format!("{}: {room}{error}", place.zone));
                    }
                    // the account's limit is met here, for all at once; other regions have their own
                    Err(RaiseError::Ec2(error)) if error.lack() == Lack::Quota => {
                        said.push(error.to_string());
                        if !whole {
                            return Ok((got, said));
                        }
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok((got, said))
    }

    /// One launch, written down before and after.
    async fn launch_in(
        &mut self,
        site: &Site,
        supply: &Supply,
        group: &str,
        subnet: &str,
        count: u32,
        least: u32,
    ) -> Result<u32, RaiseError> {
        let now = Timestamp::now();
        let until = now + SignedDuration::try_from(self.ttl).unwrap_or(SignedDuration::from_hours(2));
        let launches = self.ledger.regions.values().map(|region| region.launches.len());
        let launch = Launch {
            token: format!("{}-{}", self.run, launches.sum::<usize>()),
            count,
            subnet: subnet.to_owned(),
            at: now,
            until,
            boot_key: self.keys.host_public.clone(),
            hourly: supply.hourly,
            state: LaunchState::Asked,
        };
        let order = Order {
            token: launch.token.clone(),
            count,
            least,
            subnet: subnet.to_owned(),
            group: group.to_owned(),
            kind: supply.kind.name.clone(),
            image: supply.image.id.clone(),
            lasting_disks: supply.image.lasting_disks.clone(),
            key: self.recipe.key.clone(),
            user_data: self.user_data(until),
            secondary: supply.secondary,
            spot: self.recipe.spot,
            tags: self.all_tags(),
            instance_tags: vec![(super::ec2::UNTIL_TAG.to_owned(), seconds(until).to_string())],
        };
        self.ledger.region(&site.at.name).launches.push(launch.clone());
        self.ledger.write(&self.folder)?;
        let answer = site.at.launch(&order).await;
        let region = self.ledger.region(&site.at.name);
        if let Some(noted) = region.launches.iter_mut().find(|noted| noted.token == launch.token) {
            noted.state = match &answer {
                Ok(_) => LaunchState::Answered,
                Err(error) if error.made_nothing() => LaunchState::Refused,
                Err(_) => LaunchState::Asked,
            };
            // an unknown outcome is waited for from now on: the last try was made just now
            noted.at = Timestamp::now();
        }
        for instance in answer.as_ref().into_iter().flatten() {
            adopt(&mut region.hosts, instance, &launch);
        }
        self.ledger.write(&self.folder)?;
        Ok(u32::try_from(answer?.len()).unwrap_or(u32::MAX))
    }

    fn user_data(&self, until: Timestamp) -> String {
        user_data(&Boot {
            host_private: &self.keys.host_private,
            host_public: &self.keys.host_public,
            login_public: self.keys.login_public.as_deref(),
            until_s: until.as_second(),
            ttl_s: self.ttl.as_secs(),
        })
    }

    /// Brings the ledger up to what EC2 says: addresses, hosts that went away, hosts of a launch whose answer was lost.
    /// Hosts that are alive and of which no launch is known come back: nothing here can log in to them.
    pub async fn look(&mut self, site: &Site) -> Result<Vec<Instance>, RaiseError> {
        let instances = site.at.instances().await?;
        let strangers = self.reconcile(&site.at.name, &instances);
        self.ledger.write(&self.folder)?;
        Ok(strangers)
    }

    /// The same, from instances that were listed a moment ago.
    pub fn reconcile(&mut self, region: &str, instances: &[Instance]) -> Vec<Instance> {
        reconcile(&mut self.ledger, region, instances)
    }

    /// The region's instances, as soon as none of the fleet is pending: until then nothing can be given to it.
    async fn running(&self, site: &Site) -> Result<Vec<Instance>, RaiseError> {
        let began = tokio::time::Instant::now();
        loop {
            let instances = site.at.instances().await?;
            let ours = |id: &str| self.ledger.hosts().any(|(_, host)| host.id == id);
            let pending = instances.iter().any(|i| i.phase == Phase::Pending && ours(&i.id));
            if !pending || began.elapsed() > PENDING {
                return Ok(instances);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Sees to it that every address that wants an Elastic IP has one: those that are taken and free come first.
    pub async fn elastic(&mut self, site: &Site) -> Result<u32, RaiseError> {
        let mut given = 0;
        let instances = self.running(site).await?;
        let mut free = self.noted_elastic(site).await?;
        for instance in instances.iter().filter(|instance| instance.phase == Phase::Running) {
            let known = self.ledger.host_mut(&instance.id).is_some();
            let Some(interface) = instance.interface.as_ref().filter(|_| known) else {
                continue;
            };
            for private in instance.private.iter().skip(1).take(self.recipe.elastic as usize) {
                let of = Some((instance.id.clone(), *private));
                let held = self.ledger.region(&site.at.name);
                if held.elastic.iter().any(|elastic| elastic.of == of) {
                    continue;
                }
                let id = match free.pop() {
                    Some(id) => id,
                    None => {
                        let (id, address) = site.at.take_elastic(&self.all_tags()).await?;
                        self.ledger.region(&site.at.name).elastic.push(Elastic {
                            id: id.clone(),
                            address,
                            of: None,
                        });
                        self.ledger.write(&self.folder)?;
                        id
                    }
                };
                site.at.give_elastic(&id, interface, *private).await?;
                let held = self.ledger.region(&site.at.name);
                if let Some(elastic) = held.elastic.iter_mut().find(|elastic| elastic.id == id) {
                    elastic.of = of;
                }
                self.ledger.write(&self.folder)?;
                given += 1;
            }
        }
        Ok(given)
    }

    /// Brings the ledger's Elastic IPs up to what EC2 says, and gives those that belong to no host.
    async fn noted_elastic(&mut self, site: &Site) -> Result<Vec<String>, RaiseError> {
        let (fleet, own) = (self.ledger.fleet.clone(), self.owner.installation.clone());
        let mut ours = site.at.elastic().await?;
        ours.retain(|elastic| elastic.fleet == fleet && owner::installation(&elastic.owner) == Some(&own));
        let free = ours
            .iter()
            .filter(|elastic| elastic.of.is_none())
            .map(|elastic| elastic.id.clone());
        let free = free.collect();
        self.ledger.region(&site.at.name).elastic = ours
            .into_iter()
            .map(|elastic| Elastic {
                id: elastic.id,
                address: elastic.address,
                of: elastic.of,
            })
            .collect();
        self.ledger.write(&self.folder)?;
        Ok(free)
    }
}

/// Whole seconds: what a tag says and what the host's timer counts are the same.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn adopt(hosts: &mut Vec<FleetHost>, instance: &Instance, launch: &Launch) {
    if hosts.iter().any(|host| host.id == instance.id) {
        return;
    }
    hosts.push(FleetHost {
        id: instance.id.clone(),
        run: launch.token.split('-').next().unwrap_or_default().to_owned(),
        kind: instance.kind.clone(),
        zone: instance.zone.clone(),
        address: instance.address,
        private: instance.private.clone(),
        launched_at: instance.launched_at,
        until: seconds(launch.until),
        spot: instance.spot,
        hourly: launch.hourly,
        boot_key: Some(launch.boot_key.clone()),
        ready: false,
    });
}

/// Changes the ledger to what EC2 lists of this fleet in a region.
pub fn reconcile(ledger: &mut Ledger, region: &str, instances: &[Instance]) -> Vec<Instance> {
    let (fleet, owner) = (ledger.fleet.clone(), ledger.owner.clone());
    let whose = Whose::Mine(owner::installation(&owner).map(str::to_owned).into_iter().collect());
    let held = ledger.region(region);
    let mut strangers = Vec::new();
    let ours = instances.iter().filter(|i| i.fleet == fleet && whose.owns(&i.owner));
    let alive: Vec<&Instance> = ours.filter(|instance| instance.phase.is_alive()).collect();
    for instance in &alive {
        if let Some(host) = held.hosts.iter_mut().find(|host| host.id == instance.id) {
            host.address = instance.address.or(host.address);
            if !instance.private.is_empty() {
                host.private.clone_from(&instance.private);
            }
            host.until = instance.until.unwrap_or(host.until);
            continue;
        }
        let launch = held
            .launches
            .iter_mut()
            .find(|launch| instance.token.as_deref() == Some(launch.token.as_str()));
        match launch {
            Some(launch) => {
                launch.state = LaunchState::Answered;
                let launch = launch.clone();
                adopt(&mut held.hosts, instance, &launch);
            }
            None => strangers.push((*instance).clone()),
        }
    }
    // a host that EC2 lists as gone is gone; one that was launched a moment ago may not be listed yet
    let fresh = Timestamp::now() - FRESH;
    held.hosts.retain(|host| {
        let listed = instances.iter().find(|instance| instance.id == host.id);
        listed.map_or(host.launched_at > fresh, |instance| instance.phase.is_alive())
    });
    strangers
}
