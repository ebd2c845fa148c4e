//! Security groups: found by tag, made, opened to some addresses, removed. Never here: whose they are.

use super::fault::{Ec2Error, fault};
use super::{FLEET_TAG, OWNER_TAG, RUN_TAG, Regional, filter, specification, tag_value};
use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, ResourceType};
use ipnet::IpNet;
use std::time::Duration;

/// SSH.
const SSH_PORT: i32 = 22;
/// What a rule is called.
const RULE: &str = "ssh of the swarm controller";
/// A group in use can't be deleted; the network interfaces of its instances go a little after them.
const IN_USE: Duration = Duration::from_secs(90);

/// A group that carries a fleet's tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundGroup {
    /// `sg-...`
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its network.
    pub vpc: String,
    /// `swarm:fleet`
    pub fleet: String,
    /// `swarm:owner`
    pub owner: String,
    /// `swarm:run`
    pub run: String,
    /// From where SSH is let in.
    pub open_to: Vec<IpNet>,
}

/// A change to what a group lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Let SSH in.
    Open,
    /// No longer.
    Close,
}

impl Regional {
    /// All groups that carry a fleet's tag, of every owner.
    pub async fn groups(&self) -> Result<Vec<FoundGroup>, Ec2Error> {
        let mut pages = self
            .client
            .describe_security_groups()
            .filters(filter("tag-key", &[FLEET_TAG]))
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| fault(&format!("listing security groups in {}", self.name), &error))?;
            for group in page.security_groups() {
                let Some(id) = group.group_id() else { continue };
                found.push(FoundGroup {
                    id: id.to_owned(),
                    name: group.group_name().unwrap_or_default().to_owned(),
                    vpc: group.vpc_id().unwrap_or_default().to_owned(),
                    fleet: tag_value(group.tags(), FLEET_TAG).unwrap_or_default().to_owned(),
                    owner: tag_value(group.tags(), OWNER_TAG).unwrap_or_default().to_owned(),
                    run: tag_value(group.tags(), RUN_TAG).unwrap_or_default().to_owned(),
                    open_to: group.ip_permissions().iter().flat_map(sources).collect(),
                });
            }
        }
        Ok(found)
    }

    /// Makes a group that lets nothing in yet.
    pub async fn create_group(&self, name: &str, vpc: &str, tags: &[(String, String)]) -> Result<String, Ec2Error> {
        let said = self
            .client
            .create_security_group()
            .group_name(name)
            .description("swarm load test: ssh from its controller alone")
            .vpc_id(vpc)
            .tag_specifications(specification(ResourceType::SecurityGroup, tags))
            .send()
            .await
            .map_err(|error| fault(&format!("making the security group {name} in {}", self.name), &error))?;
        said.group_id()
            .map(str::to_owned)
            .ok_or_else(|| Ec2Error::Unfit(format!("{}: EC2 made a security group without an id", self.name)))
    }

    /// Changes from where SSH is let in. What is so already is no error.
    pub async fn change_group(&self, id: &str, rule: Rule, from: IpNet) -> Result<(), Ec2Error> {
        let permission = permission(from);
        let doing = format!("changing who may reach port 22 through {id} in {}", self.name);
        let done = match rule {
            Rule::Open => {
                let ask = self
                    .client
                    .authorize_security_group_ingress()
                    .group_id(id)
                    .ip_permissions(permission);
                ask.send().await.map(drop).map_err(|error| fault(&doing, &error))
            }
            Rule::Close => {
                let ask = self
                    .client
                    .revoke_security_group_ingress()
                    .group_id(id)
                    .ip_permissions(permission);
                ask.send().await.map(drop).map_err(|error| fault(&doing, &error))
            }
        };
        match done {
            Err(error)
                if matches!(
                    error.code(),
                    Some("InvalidPermission.Duplicate" | "InvalidPermission.NotFound")
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Removes a group, as soon as nothing uses it. One that is gone is no error.
    pub async fn delete_group(&self, id: &str) -> Result<(), Ec2Error> {
        let began = tokio::time::Instant::now();
        let mut pause = Duration::from_millis(500);
        loop {
            let done = self.client.delete_security_group().group_id(id).send().await;
            let error = match done {
                Ok(_) => return Ok(()),
                Err(error) => fault(&format!("removing the security group {id} in {}", self.name), &error),
            };
            match error.code() {
                Some("InvalidGroup.NotFound") => return Ok(()),
                Some("DependencyViolation" | "InvalidGroup.InUse") if began.elapsed() < IN_USE => {}
                _ => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}

fn permission(from: IpNet) -> IpPermission {
    let permission = IpPermission::builder()
        .ip_protocol("tcp")
        .from_port(SSH_PORT)
        .to_port(SSH_PORT);
    match from {
        IpNet::V4(net) => permission.ip_ranges(IpRange::builder().cidr_ip(net.to_string()).description(RULE).build()),
        IpNet::V6(net) => permission.ipv6_ranges(
            Ipv6Range::builder()
                .cidr_ipv6(net.to_string())
                .description(RULE)
                .build(),
        ),
    }
    .build()
}

fn sources(permission: &IpPermission) -> Vec<IpNet> {
    if permission.from_port() != Some(SSH_PORT) {
        return Vec::new();
    }
    let v4 = permission.ip_ranges().iter().filter_map(IpRange::cidr_ip);
    let v6 = permission.ipv6_ranges().iter().filter_map(Ipv6Range::cidr_ipv6);
    v4.chain(v6).filter_map(|net| net.parse().ok()).collect()
}
