//! Taking back what one `up` launched, and nothing else. Never here: why.

use crate::fleet::ec2::Ec2Error;
use crate::fleet::ledger::{FleetHost, Launch};
use crate::fleet::owner::Whose;
use crate::fleet::raise::{RaiseError, Raising};
use crate::fleet::raze::{self, FRESH, Meant, Named, Remaining};
use crate::fleet::survey::Site;
use crate::show;
use jiff::Timestamp;

/// Removes all that this command made, region by region; gives what is left, and where nobody could look.
pub(super) async fn roll_back(raising: &mut Raising, sites: &[Site]) -> (Vec<Remaining>, Vec<String>) {
    let (mut left, mut unknown) = (Vec::new(), Vec::new());
    for site in sites {
        match one_region(raising, site).await {
            Ok(more) => left.extend(more),
            Err(error) => unknown.push(format!("{}: {error}", site.at.name)),
        }
    }
    (left, unknown)
}

async fn one_region(raising: &mut Raising, site: &Site) -> Result<Vec<Remaining>, RaiseError> {
    let run = format!("{}-", raising.run);
    let held = raising.ledger.region(&site.at.name);
    let made_something = held.launches.iter().any(|launch| launch.token.starts_with(&run))
        || held
            .group
            .as_ref()
            .is_some_and(|group| group.ours && site.group().is_none());
    if !made_something && raising.recipe.elastic == 0 {
        return Ok(Vec::new());
    }
    let open: Vec<Launch> = raising
        .ledger
        .unanswered()
        .filter(|(region, launch)| *region == site.at.name && launch.token.starts_with(&run))
        .map(|(_, launch)| launch.clone())
        .collect();
    raze::await_launches(&site.at, &open, Timestamp::MIN).await?;
    let meant = Meant {
        whose: Whose::Mine(vec![raising.owner.installation.clone()]),
        fleet: Some(raising.ledger.fleet.clone()),
        run: Some(raising.run.clone()),
    };
    let before: Vec<&str> = site.alive.iter().map(|host| host.id.as_str()).collect();
    let held = raising.ledger.region(&site.at.name);
    let made = held
        .hosts
        .iter()
        .filter(|host| host.run == raising.run && !before.contains(&host.id.as_str()));
    let named: Vec<Named> = made
        .map(|host| Named {
            id: host.id.clone(),
            at: host.launched_at,
        })
        .collect();
    let found = raze::look(&site.at, &meant).await?;
    let mut gone: Vec<String> = found.hosts.iter().map(|host| host.id.clone()).collect();
    gone.extend(named.iter().map(|host| host.id.clone()));
    let left = raze::remove(&site.at, &meant, &found, &named, &|line| show::say(&line)).await?;
    let is_left = |id: &str| left.iter().any(|left| left.id == id);
    let held = raising.ledger.region(&site.at.name);
    held.hosts.retain(|host| !gone.contains(&host.id) || is_left(&host.id));
    if left.is_empty() {
        held.launches.retain(|launch| !launch.token.starts_with(&run));
    }
    let freed = |id: &str| found.elastic.iter().any(|elastic| elastic.id == id);
    held.elastic
        .retain(|elastic| !freed(&elastic.id) || is_left(&elastic.id));
    let group = held.group.as_ref().and_then(|group| group.id.as_deref());
    if site.groups.is_empty() && !group.map_or(!left.is_empty(), is_left) {
        held.group = None;
    }
    raising.ledger.write(&raising.folder)?;
    Ok(left)
}

/// Terminates hosts that did not get ready, whoever launched them, and strikes them out.
pub(super) async fn removed<'a>(
    raising: &mut Raising,
    sites: &[Site],
    ids: impl Iterator<Item = &'a String>,
) -> Result<(), RaiseError> {
    let ids: Vec<String> = ids.cloned().collect();
    for site in sites {
        let region = raising.ledger.region(&site.at.name);
        let is_here = |id: &&String| region.hosts.iter().any(|host| host.id == **id);
        let here: Vec<String> = ids.iter().filter(is_here).cloned().collect();
        if here.is_empty() {
            continue;
        }
        let names = here.join(" ");
        show::say(&format!("{}: terminating what is not ready: {names}", site.at.name));
        let mut kept: Vec<String> = Vec::new();
        match site.at.terminate(&here).await {
            // gone by other hands is gone; one that was launched a moment ago is not known yet, and stays noted
            Err(Ec2Error::Refused { code, .. }) if code == "InvalidInstanceID.NotFound" => {
                let young = |host: &&FleetHost| Timestamp::now().duration_since(host.launched_at) < FRESH;
                kept.extend(region.hosts.iter().filter(young).map(|host| host.id.clone()));
            }
            other => other?,
        }
        region
            .hosts
            .retain(|host| !here.contains(&host.id) || kept.contains(&host.id));
        raising.ledger.write(&raising.folder)?;
    }
    Ok(())
}
