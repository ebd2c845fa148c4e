//! What `swarm up` is about to make, and its price: printed before anything is made, and alone with `--dry-run`. Pure.

use super::UpCommand;
use super::outlook::Outlook;
use crate::cli::units::show_duration;
use crate::fleet::price;
use crate::fleet::shape;
use crate::fleet::survey::{Site, Supply};

/// The text, line by line.
pub(super) fn preview(command: &UpCommand, outlook: &Outlook) -> String {
    let sites = &outlook.sites;
    let mut lines = vec![format!("fleet    {}, owner {}", command.fleet, outlook.owner)];
    for site in sites {
        let at = &site.at.name;
        match &site.supply {
            None => lines.push(format!(
                "{at}: {} of {} hosts are there: nothing to launch",
                site.there(),
                site.wanted
            )),
            Some(supply) => lines.extend(launch(command, site, supply, outlook)),
        }
    }
    lines.extend(outlook.quotas.iter().cloned());
    if sites.iter().any(|site| site.supply.is_some()) {
        lines.push(format!(
            "ends     {} after launch, each host by itself; `swarm extend --ttl T` gives more",
            show_duration(u64::try_from(command.ttl.as_nanos()).unwrap_or(u64::MAX))
        ));
        lines.push(cost(command, sites));
    }
    lines.join("\n") + "\n"
}

fn launch(command: &UpCommand, site: &Site, supply: &Supply, outlook: &Outlook) -> Vec<String> {
    let at = &site.at.name;
    let there = match site.there() {
        0 => String::new(),
        n => format!(" ({n} of {} are there)", site.wanted),
    };
    let how = if command.recipe.spot.is_some() {
        "spot"
    } else {
        "on demand"
    };
    let mut lines = vec![format!(
        "{at}: launch {} x {} {how}{there}",
        site.missing(),
        supply.kind.name
    )];
    let zones: Vec<&str> = supply.places.iter().map(|place| place.zone.as_str()).collect();
    lines.push(format!("  zones    {}, in this order", zones.join(", ")));
    lines.push(format!(
        "  image    {} {} ({})",
        supply.image.id, supply.image.name, supply.image.arch
    ));
    let group = match (&command.recipe.group, site.group()) {
        (Some(own), _) => format!("{own}, yours, left as it is"),
        (None, Some(found)) => format!("{} {}, which is there", found.name, found.id),
        (None, None) => {
            let name = shape::group_name(&command.fleet, &outlook.owner.installation);
            format!("{name}, to be made")
        }
    };
    let open = outlook
        .ssh_from
        .map(|net| format!("; port 22 open to {net} alone"))
        .unwrap_or_default();
    lines.push(format!("  group    {group}{open}"));
    let login = match &outlook.ledger.key {
        Some(key) => format!("{} with your key pair {key}", outlook.ledger.login),
        None => format!("{} with a throwaway key", outlook.ledger.login),
    };
    lines.push(format!("  login    {login}"));
    let mut addresses = "1 public".to_owned();
    if supply.secondary > 0 {
        addresses.push_str(&format!(", {} private", supply.secondary + 1));
    }
    if command.recipe.elastic > 0 {
        addresses.push_str(&format!(", {} Elastic IP", command.recipe.elastic));
    }
    lines.push(format!(
        "  each has {addresses} address{}",
        if supply.secondary > 0 { "es" } else { "" }
    ));
    for (key, value) in &command.tags {
        lines.push(format!("  tag      {key}={value}"));
    }
    lines.extend(supply.notes.iter().map(|note| format!("  note     {note}")));
    lines
}

/// The price per hour of all that is to be launched.
fn cost(command: &UpCommand, sites: &[Site]) -> String {
    let addresses_each = f64::from(1 + command.recipe.elastic);
    let mut hourly = Some(0.0);
    let (mut addresses, mut disks, mut unknown_disk) = (0.0, 0.0, false);
    for (site, supply) in sites.iter().filter_map(|site| Some((site, site.supply.as_ref()?))) {
        let n = f64::from(site.missing());
        hourly = hourly.zip(supply.hourly).map(|(sum, each)| sum + n * each);
        addresses += n * addresses_each * price::PUBLIC_ADDRESS_HOURLY;
        let disk = supply.image.disk_gib.zip(price::disk_gb_month("gp3", &site.at.name));
        match disk {
            Some((gib, month)) => disks += n * f64::from(gib) * month / price::HOURS_PER_MONTH,
            None => unknown_disk = true,
        }
    }
    let beside = format!(
        "public addresses {addresses:.4}, {}",
        if unknown_disk {
            "disks not known here".to_owned()
        } else {
            format!("disks {disks:.4}")
        }
    );
    let source = match command.recipe.spot {
        Some(_) => "spot prices of this moment".to_owned(),
        None => format!("{}, {}", price::SOURCE, price::AS_OF),
    };
    match hourly {
        Some(hosts) => format!(
            "price    {:.4} USD an hour: hosts {hosts:.4}, {beside} ({source})",
            hosts + addresses + disks
        ),
        None => format!("price    not known for this type in this region; beside it {beside} USD an hour ({source})"),
    }
}
