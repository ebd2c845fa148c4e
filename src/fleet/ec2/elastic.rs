//! Elastic IPs: how many there may be, taken, given to an address of a host, given back. Never here: whose they are.

use super::fault::{Ec2Error, fault};
use super::{FLEET_TAG, OWNER_TAG, RUN_TAG, Regional, filter, specification, tag_value};
use aws_sdk_ec2::types::{Address, DomainType, ResourceType};
use std::net::IpAddr;

/// The account's limit in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Elastic IPs that there may be, where EC2 says.
    pub most: Option<u32>,
    /// That there are.
    pub taken: u32,
}

/// An Elastic IP that carries a fleet's tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElasticAddress {
    /// `eipalloc-...`
    pub id: String,
    /// The address.
    pub address: IpAddr,
    /// Instance and private address that it belongs to.
    pub of: Option<(String, IpAddr)>,
    /// `swarm:fleet`
    pub fleet: String,
    /// `swarm:owner`
    pub owner: String,
    /// `swarm:run`
    pub run: String,
}

impl Regional {
    /// How many Elastic IPs the account has and may have here.
    pub async fn elastic_quota(&self) -> Result<Quota, Ec2Error> {
        let doing = format!("asking {} how many Elastic IPs there may be", self.name);
        let said = self
            .client
            .describe_account_attributes()
            .attribute_names("vpc-max-elastic-ips".into())
            .send()
            .await
            .map_err(|error| fault(&doing, &error))?;
        let most = said
            .account_attributes()
            .iter()
            .flat_map(|attribute| attribute.attribute_values())
            .find_map(|value| value.attribute_value()?.parse().ok());
        let all = self
            .client
            .describe_addresses()
            .send()
            .await
            .map_err(|error| fault(&doing, &error))?;
        let taken = u32::try_from(all.addresses().len()).unwrap_or(u32::MAX);
        Ok(Quota { most, taken })
    }

    /// All Elastic IPs that carry a fleet's tag, of every owner.
    pub async fn elastic(&self) -> Result<Vec<ElasticAddress>, Ec2Error> {
        let said = self
            .client
            .describe_addresses()
            .filters(filter("tag-key", &[FLEET_TAG]))
            .send()
            .await
            .map_err(|error| fault(&format!("listing Elastic IPs in {}", self.name), &error))?;
        Ok(said.addresses().iter().filter_map(found).collect())
    }

    /// Takes one.
    pub async fn take_elastic(&self, tags: &[(String, String)]) -> Result<(String, IpAddr), Ec2Error> {
        let doing = format!("taking an Elastic IP in {}", self.name);
        let said = self
            .client
            .allocate_address()
            .domain(DomainType::Vpc)
            .tag_specifications(specification(ResourceType::ElasticIp, tags))
            .send()
            .await
            .map_err(|error| fault(&doing, &error))?;
        let address = said.public_ip().and_then(|text| text.parse().ok());
        match (said.allocation_id(), address) {
            (Some(id), Some(address)) => Ok((id.to_owned(), address)),
            _ => Err(Ec2Error::Unfit(format!("{doing}: EC2 gave none"))),
        }
    }

    /// Gives it to one private address of a host's interface.
    pub async fn give_elastic(&self, id: &str, interface: &str, private: IpAddr) -> Result<(), Ec2Error> {
        self.client
            .associate_address()
            .allocation_id(id)
            .network_interface_id(interface)
            .private_ip_address(private.to_string())
            .allow_reassociation(false)
            .send()
            .await
            .map(drop)
            .map_err(|error| fault(&format!("giving {id} to {private} in {}", self.name), &error))
    }

    /// Gives it back. One that is gone is no error.
    pub async fn release_elastic(&self, id: &str) -> Result<(), Ec2Error> {
        let done = self.client.release_address().allocation_id(id).send().await;
        let done = done
            .map(drop)
            .map_err(|error| fault(&format!("releasing the Elastic IP {id} in {}", self.name), &error));
        match done {
            Err(error) if error.code() == Some("InvalidAllocationID.NotFound") => Ok(()),
            other => other,
        }
    }
}

fn found(said: &Address) -> Option<ElasticAddress> {
    let of = said
        .instance_id()
        .filter(|id| !id.is_empty())
        .zip(said.private_ip_address().and_then(|text| text.parse().ok()));
    Some(ElasticAddress {
        id: said.allocation_id()?.to_owned(),
        address: said.public_ip()?.parse().ok()?,
        of: of.map(|(id, private)| (id.to_owned(), private)),
        fleet: tag_value(said.tags(), FLEET_TAG)?.to_owned(),
        owner: tag_value(said.tags(), OWNER_TAG).unwrap_or_default().to_owned(),
        run: tag_value(said.tags(), RUN_TAG).unwrap_or_default().to_owned(),
    })
}
