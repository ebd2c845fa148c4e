//! Taking back what one `up` launched, and nothing else. Never here: why.

use super::steps::settle_launches;
use crate::fleet::owner::Whose;
use crate::fleet::raise::{RaiseError, Raising};
use crate::fleet::raze::{self, Meant, Remaining};
use crate::fleet::survey::Site;
use crate::show;

/// Removes all that this command made; gives what is left.
pub(super) async fn roll_back(raising: &mut Raising, sites: &[Site]) -> Result<Vec<Remaining>, String> {
    let mut left = Vec::new();
    for site in sites {
        left.extend(one_region(raising, site).await.map_err(|error| error.to_string())?);
    }
    Ok(left)
}

async fn one_region(raising: &mut Raising, site: &Site) -> Result<Vec<Remaining>, RaiseError> {
    settle_launches(raising, site).await?;
    let meant = Meant {
        whose: Whose::Mine(Some(raising.owner.installation.clone())),
        fleet: Some(raising.ledger.fleet.clone()),
        run: Some(raising.run.clone()),
    };
    let found = raze::look(&site.at, &meant).await?;
    let gone: Vec<String> = found.hosts.iter().map(|host| host.id.clone()).collect();
    let left = raze::remove(&site.at, &meant, found, &|line| show::say(&line)).await?;
    let is_left = |id: &str| left.iter().any(|left| left.id == id);
    let region = raising.ledger.region(&site.at.name);
    region
        .hosts
        .retain(|host| !gone.contains(&host.id) || is_left(&host.id));
    let run = format!("{}-", raising.run);
    region.launches.retain(|launch| !launch.token.starts_with(&run));
    region
        .elastic
        .retain(|elastic| is_left(&elastic.id) || elastic.of.as_ref().is_some_and(|(id, _)| !gone.contains(id)));
    if site.group.is_none()
        && !region
            .group
            .as_ref()
            .and_then(|group| group.id.as_deref())
            .is_some_and(is_left)
    {
        region.group = None;
    }
    raising.ledger.write(&raising.folder)?;
    Ok(left)
}

/// Terminates hosts that did not get ready, and strikes them out.
pub(super) async fn removed<'a>(
    raising: &mut Raising,
    sites: &[Site],
    ids: impl Iterator<Item = &'a String>,
) -> Result<(), RaiseError> {
    let ids: Vec<String> = ids.cloned().collect();
    for site in sites {
        let region = raising.ledger.region(&site.at.name);
        let here: Vec<String> = ids
            .iter()
            .filter(|id| region.hosts.iter().any(|h| h.id == **id))
            .cloned()
            .collect();
        if here.is_empty() {
            continue;
        }
        show::say(&format!(
            "{}: terminating what is not ready: {}",
            site.at.name,
            here.join(" ")
        ));
        site.at.terminate(&here).await?;
        region.hosts.retain(|host| !here.contains(&host.id));
        raising.ledger.write(&raising.folder)?;
    }
    Ok(())
}
