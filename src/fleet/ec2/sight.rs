//! What EC2 says exists: instances, by tag. Never here: changing anything.

use super::fault::{Ec2Error, fault};
use super::{FLEET_TAG, OWNER_TAG, RUN_TAG, Regional, UNTIL_TAG, filter, tag_value};
use aws_sdk_ec2::types::{self, InstanceStateName};
use jiff::Timestamp;
use std::net::IpAddr;

/// Where an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Being started.
    Pending,
    /// Runs.
    Running,
    /// Being ended.
    Ending,
    /// Stopped or being stopped: its disk still costs.
    Stopped,
    /// Gone; EC2 lists it for an hour.
    Terminated,
}

impl Phase {
    /// Whether it costs, or may again.
    pub fn exists(self) -> bool {
        self != Self::Terminated
    }

    /// Whether it serves, or will.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }

    /// EC2's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Ending => "shutting-down",
            Self::Stopped => "stopped",
            Self::Terminated => "terminated",
        }
    }
}

/// One instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// `i-...`
    pub id: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// Instance type.
    pub kind: String,
    /// Availability zone.
    pub zone: String,
    /// Public address.
    pub address: Option<IpAddr>,
    /// Private addresses, the primary one first.
    pub private: Vec<IpAddr>,
    /// Its network interface.
    pub interface: Option<String>,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// Spot.
    pub spot: bool,
    /// Client token of its launch.
    pub token: Option<String>,
    /// `swarm:fleet`
    pub fleet: String,
    /// `swarm:owner`
    pub owner: String,
    /// `swarm:run`
    pub run: String,
    /// `swarm:until`
    pub until: Option<Timestamp>,
}

impl Regional {
    /// All instances that carry a fleet's tag, of every owner, those that are gone too.
    pub async fn instances(&self) -> Result<Vec<Instance>, Ec2Error> {
        let mut pages = self
            .client
            .describe_instances()
            .filters(filter("tag-key", &[FLEET_TAG]))
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| fault(&format!("listing hosts in {}", self.name), &error))?;
            let instances = page.reservations().iter().flat_map(types::Reservation::instances);
            found.extend(instances.filter_map(instance));
        }
        found.sort_by(|a: &Instance, b| (a.launched_at, &a.id).cmp(&(b.launched_at, &b.id)));
        Ok(found)
    }
}

/// In our type; `None` without an id.
pub(super) fn instance(said: &types::Instance) -> Option<Instance> {
    let interface = said.network_interfaces().first();
    let mut private: Vec<(bool, IpAddr)> = interface
        .into_iter()
        .flat_map(|interface| interface.private_ip_addresses())
        .filter_map(|address| {
            let ip = address.private_ip_address()?.parse().ok()?;
            Some((!address.primary().unwrap_or(false), ip))
        })
        .collect();
    private.sort();
    let mut private: Vec<IpAddr> = private.into_iter().map(|(_, ip)| ip).collect();
    if let Some(primary) = said.private_ip_address().and_then(|text| text.parse().ok()) {
        private.retain(|ip| *ip != primary);
        private.insert(0, primary);
    }
    let tag = |key: &str| tag_value(said.tags(), key);
    Some(Instance {
        id: said.instance_id()?.to_owned(),
        phase: phase(said.state().and_then(|state| state.name())),
        kind: said
            .instance_type()
            .map(|kind| kind.as_str().to_owned())
            .unwrap_or_default(),
        zone: said
            .placement()
            .and_then(|placement| placement.availability_zone())
            .unwrap_or_default()
            .to_owned(),
        address: said.public_ip_address().and_then(|text| text.parse().ok()),
        private,
        interface: interface
            .and_then(|interface| interface.network_interface_id())
            .map(str::to_owned),
        launched_at: said
            .launch_time()
            .and_then(|time| Timestamp::from_second(time.secs()).ok())
            .unwrap_or_default(),
        spot: said.instance_lifecycle() == Some(&types::InstanceLifecycleType::Spot),
        token: said.client_token().filter(|token| !token.is_empty()).map(str::to_owned),
        fleet: tag(FLEET_TAG).unwrap_or_default().to_owned(),
        owner: tag(OWNER_TAG).unwrap_or_default().to_owned(),
        run: tag(RUN_TAG).unwrap_or_default().to_owned(),
        until: tag(UNTIL_TAG).and_then(|text| text.parse().ok()),
    })
}

fn phase(name: Option<&InstanceStateName>) -> Phase {
    match name {
        Some(InstanceStateName::Running) => Phase::Running,
        Some(InstanceStateName::ShuttingDown) => Phase::Ending,
        Some(InstanceStateName::Stopped | InstanceStateName::Stopping) => Phase::Stopped,
        Some(InstanceStateName::Terminated) => Phase::Terminated,
        // what is not known yet is about to be
        _ => Phase::Pending,
    }
}
