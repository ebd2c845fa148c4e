//! What one region has and what is lacking there: looked up before anything is made. Never here: changing anything.

use super::ec2::{Ec2Error, FoundGroup, Image, Instance, Kind, Place, Regional, Wish};
use super::owner::Whose;
use super::price;

/// What every host of a fleet is to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recipe {
    /// Where in a region.
    pub wish: Wish,
    /// `--type`
    pub kind: Option<String>,
    /// `--image`
    pub image: Option<String>,
    /// `--security-group`
    pub group: Option<String>,
    /// `--key`
    pub key: Option<String>,
    /// `--spot`, with `--max-price` in USD per hour.
    pub spot: Option<Option<f64>>,
    /// Addresses of each host that load comes from, the primary one among them.
    pub sources: u32,
    /// Elastic IPs of each host.
    pub elastic: u32,
}

/// One region, looked at.
#[derive(Debug, Clone)]
pub struct Site {
    /// EC2 there.
    pub at: Regional,
    /// Hosts that were asked for.
    pub wanted: u32,
    /// Instances of this fleet that EC2 lists, those that are gone too.
    pub listed: Vec<Instance>,
    /// Those that are alive.
    pub alive: Vec<Instance>,
    /// Hosts that the ledger names, launched a moment ago and not listed yet.
    pub fresh: u32,
    /// The fleet's own security groups: one a network.
    pub groups: Vec<FoundGroup>,
    /// What is launched, when something is lacking.
    pub supply: Option<Supply>,
}

/// What can be launched in a region.
#[derive(Debug, Clone)]
pub struct Supply {
    /// Where, in the order of trying.
    pub places: Vec<Place>,
    /// Its type.
    pub kind: Kind,
    /// Its image.
    pub image: Image,
    /// Private addresses beside the primary one.
    pub secondary: u32,
    /// USD per hour of one host, where it is known: the instance alone.
    pub hourly: Option<f64>,
    /// What the user should know: a type taken in another's place, a number that was clamped.
    pub notes: Vec<String>,
}

impl Site {
    /// How many hosts are lacking.
    pub fn missing(&self) -> u32 {
        self.wanted.saturating_sub(self.there())
    }

    /// How many there are, listed or not yet.
    pub fn there(&self) -> u32 {
        u32::try_from(self.alive.len())
            .unwrap_or(u32::MAX)
            .saturating_add(self.fresh)
    }

    /// The group that fits: of the network that is launched in, else the first.
    pub fn group(&self) -> Option<&FoundGroup> {
        match &self.supply {
            Some(supply) => self.groups.iter().find(|group| group.vpc == supply.places[0].vpc),
            None => self.groups.first(),
        }
    }
}

/// Looks at a region: the fleet's hosts and its security group there. Nothing is wanted yet.
pub async fn look(at: Regional, fleet: &str, mine: &Whose) -> Result<Site, Ec2Error> {
    let ours = |name: &str, owner: &str| name == fleet && mine.owns(owner);
    let (instances, groups) = tokio::join!(at.instances(), at.groups());
    let mut listed = instances?;
    listed.retain(|host| ours(&host.fleet, &host.owner));
    let alive = listed.iter().filter(|host| host.phase.is_alive()).cloned().collect();
    let mut groups = groups?;
    groups.retain(|group| ours(&group.fleet, &group.owner));
    Ok(Site {
        at,
        wanted: 0,
        listed,
        alive,
        fresh: 0,
        groups,
        supply: None,
    })
}

/// Finds what can be launched in a region.
pub async fn supply(at: &Regional, recipe: &Recipe) -> Result<Supply, Ec2Error> {
    let (kind, places) = tokio::join!(at.kind(recipe.kind.as_deref()), at.places(&recipe.wish));
    let (kind, mut places) = (kind?, places?);
    let image = at.image(recipe.image.as_deref(), &kind).await?;
    let zones: Vec<String> = places.iter().map(|place| place.zone.clone()).collect();
    places.retain(|place| kind.zones.contains(&place.zone));
    if places.is_empty() {
        return Err(Ec2Error::Unfit(format!(
            "{} offers {} in {} and not in {}: choose another --zone or --subnet",
            at.name,
            kind.name,
            kind.zones.iter().cloned().collect::<Vec<_>>().join(", "),
            zones.join(", ")
        )));
    }
    let mut notes = Vec::new();
    if recipe.kind.is_none() && kind.name != "t2.micro" {
        notes.push(format!("{} has no t2.micro: taking {}", at.name, kind.name));
    }
    let asked = recipe.sources.max(1).max(recipe.elastic + 1);
    let sources = asked.min(kind.addresses);
    if recipe.elastic + 1 > kind.addresses {
        return Err(Ec2Error::Unfit(format!(
            "--source-eips {}: a {} holds {} addresses on its interface, so at most {} beside its own: ask for fewer, or a larger --type",
            recipe.elastic,
            kind.name,
            kind.addresses,
            kind.addresses - 1
        )));
    }
    if sources < asked {
        notes.push(format!(
            "a {} holds {} addresses on its interface: --source-ips-per-host {asked} becomes {sources}",
            kind.name, kind.addresses
        ));
    }
    let hourly = match recipe.spot {
        None => price::hourly(&kind.name, &at.name),
        Some(_) => {
            let prices = at.spot_prices(&kind.name).await?;
            let of_places = places.iter().filter_map(|place| prices.get(&place.zone).copied());
            of_places.fold(None, |most: Option<f64>, usd| Some(most.map_or(usd, |m| m.max(usd))))
        }
    };
    Ok(Supply {
        places,
        kind,
        image,
        secondary: sources - 1,
        hourly,
        notes,
    })
}
