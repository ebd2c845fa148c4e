//! What can be had in a region: places, instance types, images, spot prices. Never here: changing anything.

use super::fault::{Ec2Error, fault};
use super::{Regional, filter};
use aws_sdk_ec2::types::{BlockDeviceMapping, InstanceType, LocationType};
use std::collections::{BTreeMap, BTreeSet};

/// The types taken when none is named, best first.
const DEFAULT_KINDS: [&str; 2] = ["t2.micro", "t3.micro"];
/// Amazon Linux 2023, the standard image: minimal and container images have other names.
const IMAGE_NAME: &str = "al2023-ami-2023.*-kernel-*";
/// Its default kernel line, where several are offered side by side.
const KERNEL: &str = "-kernel-6.1-";

/// What the user wants of a place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// `--subnet`
    pub subnet: Option<String>,
    /// `--zone`
    pub zones: Vec<String>,
}

/// A subnet that hosts can be launched in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `subnet-...`
    pub subnet: String,
    /// Its availability zone.
    pub zone: String,
    /// Its network.
    pub vpc: String,
}

/// An instance type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// `t2.micro`
    pub name: String,
    /// Its architectures, as EC2 writes them.
    pub arches: Vec<String>,
    /// IPv4 addresses of its interface.
    pub addresses: u32,
    /// Zones that offer it.
    pub zones: BTreeSet<String>,
}

/// A machine image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `ami-...`
    pub id: String,
    /// Its name.
    pub name: String,
    /// `x86_64`, `arm64`
    pub arch: String,
    /// GiB of its root disk, where EC2 says.
    pub disk_gib: Option<u32>,
    /// Disks that the image would leave behind when its host ends.
    pub lasting_disks: Vec<LastingDisk>,
}

/// A disk of an image that would outlive the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastingDisk {
    /// Device name.
    pub device: String,
    /// `snap-...`, where it is made from one.
    pub snapshot: Option<String>,
    /// GiB.
    pub gib: Option<i32>,
}

impl Regional {
    /// Subnets to launch in: the one that is named, else those of the default network, in the zones that are wished for.
    pub async fn places(&self, wish: &Wish) -> Result<Vec<Place>, Ec2Error> {
        let doing = format!("listing subnets in {}", self.name);
        let ask = self.client.describe_subnets();
        let ask = match &wish.subnet {
            Some(subnet) => ask.subnet_ids(subnet),
            None => ask
                .filters(filter("vpc-id", &[&self.default_vpc().await?]))
                .filters(filter("default-for-az", &["true"])),
        };
        let said = ask.send().await.map_err(|error| fault(&doing, &error))?;
        let mut places: Vec<Place> = said
            .subnets()
            .iter()
            .filter_map(|subnet| {
                Some(Place {
                    subnet: subnet.subnet_id()?.to_owned(),
                    zone: subnet.availability_zone()?.to_owned(),
                    vpc: subnet.vpc_id()?.to_owned(),
                })
            })
            .collect();
        places.sort_by(|a, b| a.zone.cmp(&b.zone));
        let known: Vec<String> = places.iter().map(|place| place.zone.clone()).collect();
        if let Some(strange) = wish.zones.iter().find(|zone| !known.contains(zone)) {
            return Err(Ec2Error::Unfit(format!(
                "--zone {strange}: {} has a subnet for swarm in {} only",
                self.name,
                known.join(", ")
            )));
        }
        if !wish.zones.is_empty() {
            places.retain(|place| wish.zones.contains(&place.zone));
        }
        if places.is_empty() {
            return Err(Ec2Error::Unfit(format!(
                "{}: the default network has no default subnet: make one (aws ec2 create-default-subnet --availability-zone ZONE), or name one with --subnet",
                self.name
            )));
        }
        Ok(places)
    }

    async fn default_vpc(&self) -> Result<String, Ec2Error> {
        let said = self
            .client
            .describe_vpcs()
            .filters(filter("is-default", &["true"]))
            .send()
            .await
            .map_err(|error| fault(&format!("looking for the default network of {}", self.name), &error))?;
        let vpc = said.vpcs().first().and_then(|vpc| vpc.vpc_id());
        vpc.map(str::to_owned).ok_or_else(|| {
            Ec2Error::Unfit(format!(
                "{} has no default network (VPC): make it (aws ec2 create-default-vpc --region {}), or name a subnet with --subnet",
                self.name, self.name
            ))
        })
    }

    /// The type that is named, else the first of the usual ones that this region has.
    pub async fn kind(&self, named: Option<&str>) -> Result<Kind, Ec2Error> {
        let candidates: Vec<&str> = named.map_or(DEFAULT_KINDS.to_vec(), |name| vec![name]);
        let zones = self.offerings(&candidates).await?;
        let Some(chosen) = candidates.iter().find(|name| zones.contains_key(**name)) else {
            return Err(Ec2Error::Unfit(match named {
                Some(name) => format!(
                    "--type {name}: {} does not offer it: see `aws ec2 describe-instance-type-offerings --region {}`",
                    self.name, self.name
                ),
                None => format!(
                    "{} offers neither t2.micro nor t3.micro: name another with --type",
                    self.name
                ),
            }));
        };
        let said = self
            .client
            .describe_instance_types()
            .instance_types(InstanceType::from(*chosen))
            .send()
            .await
            .map_err(|error| fault(&format!("asking {} about the type {chosen}", self.name), &error))?;
        let about = said
            .instance_types()
            .first()
            .ok_or_else(|| Ec2Error::Unfit(format!("--type {chosen}: {} says nothing about it", self.name)))?;
        let number = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1);
        Ok(Kind {
            name: (*chosen).to_owned(),
            arches: about
                .processor_info()
                .map(|processor| processor.supported_architectures())
                .unwrap_or_default()
                .iter()
                .map(|arch| arch.as_str().to_owned())
                .collect(),
            addresses: number(about.network_info().and_then(|n| n.ipv4_addresses_per_interface())),
            zones: zones.get(*chosen).cloned().unwrap_or_default(),
        })
    }

    /// Zones by type, of the types that are offered at all.
    async fn offerings(&self, kinds: &[&str]) -> Result<BTreeMap<String, BTreeSet<String>>, Ec2Error> {
        let mut pages = self
            .client
            .describe_instance_type_offerings()
            .location_type(LocationType::AvailabilityZone)
            .filters(filter("instance-type", kinds))
            .into_paginator()
            .send();
        let mut zones: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| fault(&format!("asking {} for its instance types", self.name), &error))?;
            for offering in page.instance_type_offerings() {
                if let (Some(kind), Some(zone)) = (offering.instance_type(), offering.location()) {
                    zones
                        .entry(kind.as_str().to_owned())
                        .or_default()
                        .insert(zone.to_owned());
                }
            }
        }
        Ok(zones)
    }

    /// The image that is named, else the newest Amazon Linux; it must fit the type.
    pub async fn image(&self, named: Option<&str>, kind: &Kind) -> Result<Image, Ec2Error> {
        let wanted = ["x86_64", "arm64"]
            .into_iter()
            .find(|arch| kind.arches.iter().any(|own| own == arch))
            .unwrap_or("x86_64");
        let ask = self.client.describe_images();
        let ask = match named {
            Some(id) => ask.image_ids(id),
            None => ask
                .owners("amazon")
                .filters(filter("name", &[IMAGE_NAME]))
                .filters(filter("architecture", &[wanted]))
                .filters(filter("state", &["available"]))
                .filters(filter("virtualization-type", &["hvm"])),
        };
        let said = ask
            .send()
            .await
            .map_err(|error| fault(&format!("looking for an image in {}", self.name), &error))?;
        let newest = said.images().iter().max_by_key(|image| {
            let name = image.name().unwrap_or_default();
            (name.contains(KERNEL), image.creation_date().unwrap_or_default(), name)
        });
        let Some(image) = newest else {
            return Err(Ec2Error::Unfit(match named {
                Some(id) => format!(
                    "--image {id}: {} has no such image: an image has another id in each region",
                    self.name
                ),
                None => format!(
                    "{} lists no Amazon Linux 2023 for {wanted}: name an image with --image",
                    self.name
                ),
            }));
        };
        let arch = image.architecture().map(|arch| arch.as_str()).unwrap_or(wanted);
        let id = image.image_id().unwrap_or_default().to_owned();
        if !kind.arches.is_empty() && !kind.arches.iter().any(|own| own == arch) {
            return Err(Ec2Error::Unfit(format!(
                "--image {id} is for {arch}, and {} is {}: name an image of that architecture, or another --type",
                kind.name,
                kind.arches.join(" or ")
            )));
        }
        Ok(Image {
            id,
            name: image.name().unwrap_or_default().to_owned(),
            arch: arch.to_owned(),
            disk_gib: image
                .block_device_mappings()
                .first()
                .and_then(|mapping| mapping.ebs())
                .and_then(|disk| disk.volume_size())
                .and_then(|gib| u32::try_from(gib).ok()),
            // Amazon's own image takes its disk along
            lasting_disks: match named {
                Some(_) => image.block_device_mappings().iter().filter_map(lasting).collect(),
                None => Vec::new(),
            },
        })
    }

    /// The present spot price per hour in each zone, USD.
    pub async fn spot_prices(&self, kind: &str) -> Result<BTreeMap<String, f64>, Ec2Error> {
        let now = aws_sdk_ec2::primitives::DateTime::from_secs(jiff::Timestamp::now().as_second());
        let said = self
            .client
            .describe_spot_price_history()
            .instance_types(InstanceType::from(kind))
            .product_descriptions("Linux/UNIX")
            .product_descriptions("Linux/UNIX (Amazon VPC)")
            .start_time(now)
            .end_time(now)
            .send()
            .await
            .map_err(|error| fault(&format!("asking {} for spot prices", self.name), &error))?;
        let mut prices = BTreeMap::new();
        for price in said.spot_price_history() {
            if let (Some(zone), Some(usd)) = (
                price.availability_zone(),
                price.spot_price().and_then(|text| text.parse::<f64>().ok()),
            ) {
                // the newest comes first
                prices.entry(zone.to_owned()).or_insert(usd);
            }
        }
        Ok(prices)
    }
}

fn lasting(mapping: &BlockDeviceMapping) -> Option<LastingDisk> {
    let disk = mapping.ebs()?;
    let stays = disk.delete_on_termination() == Some(false);
    stays.then(|| LastingDisk {
        device: mapping.device_name().unwrap_or_default().to_owned(),
        snapshot: disk.snapshot_id().map(str::to_owned),
        gib: disk.volume_size(),
    })
}
