//! One launch: RunInstances, with everything that keeps a host from being forgotten. Never here: which zone comes next.

use super::catalogue::LastingDisk;
use super::fault::{Ec2Error, fault};
use super::sight::{self, Instance};
use super::{Regional, specification, tags_of};
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, InstanceInterruptionBehavior, InstanceMarketOptionsRequest,
    InstanceMetadataEndpointState, InstanceMetadataOptionsRequest, InstanceNetworkInterfaceSpecification, InstanceType,
    MarketType, ResourceType, ShutdownBehavior, SpotInstanceType, SpotMarketOptions,
};
use base64::Engine as _;

/// What one launch asks for.
#[derive(Debug, Clone)]
pub struct Order {
    /// Makes a repeated call the same launch; at most 64 characters.
    pub token: String,
    /// So many hosts.
    pub count: u32,
    /// And no fewer.
    pub least: u32,
    /// `subnet-...`
    pub subnet: String,
    /// `sg-...`
    pub group: String,
    /// Instance type.
    pub kind: String,
    /// `ami-...`
    pub image: String,
    /// Disks of the image that would outlive the host: they are told to go with it.
    pub lasting_disks: Vec<LastingDisk>,
    /// Key pair of EC2, with `--key`.
    pub key: Option<String>,
    /// Cloud-init's user data, as text.
    pub user_data: String,
    /// Private addresses beside the primary one.
    pub secondary: u32,
    /// Spot, with the most that is paid per hour.
    pub spot: Option<Option<f64>>,
    /// On every object that the launch makes.
    pub tags: Vec<(String, String)>,
    /// On the instances alone.
    pub instance_tags: Vec<(String, String)>,
}

impl Regional {
    /// Launches hosts. They shut themselves down for good (shutdown means terminate), and nothing but themselves can
    /// read their user data (IMDSv2, one hop).
    pub async fn launch(&self, order: &Order) -> Result<Vec<Instance>, Ec2Error> {
        let metadata = InstanceMetadataOptionsRequest::builder()
            .http_endpoint(InstanceMetadataEndpointState::Enabled)
            .http_tokens(HttpTokensState::Required)
            .http_put_response_hop_limit(1)
            .build();
        let mut interface = InstanceNetworkInterfaceSpecification::builder()
            .device_index(0)
            .subnet_id(&order.subnet)
            .groups(&order.group)
            .associate_public_ip_address(true)
            .delete_on_termination(true);
        if let Some(secondary) = i32::try_from(order.secondary).ok().filter(|n| *n > 0) {
            interface = interface.secondary_private_ip_address_count(secondary);
        }
        let mut instance_tags = order.tags.clone();
        instance_tags.extend(order.instance_tags.iter().cloned());
        let mut ask = self
            .client
            .run_instances()
            .client_token(&order.token)
            .min_count(i32::try_from(order.least).unwrap_or(i32::MAX))
            .max_count(i32::try_from(order.count).unwrap_or(i32::MAX))
            .image_id(&order.image)
            .instance_type(InstanceType::from(order.kind.as_str()))
            .set_key_name(order.key.clone())
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .metadata_options(metadata)
            .network_interfaces(interface.build())
            .user_data(base64::engine::general_purpose::STANDARD.encode(&order.user_data))
            .tag_specifications(specification(ResourceType::Instance, &instance_tags))
            .tag_specifications(specification(ResourceType::Volume, &order.tags))
            .tag_specifications(specification(ResourceType::NetworkInterface, &order.tags));
        for lasting in &order.lasting_disks {
            let disk = EbsBlockDevice::builder()
                .delete_on_termination(true)
                .set_snapshot_id(lasting.snapshot.clone())
                .set_volume_size(lasting.gib);
            let mapping = BlockDeviceMapping::builder()
                .device_name(&lasting.device)
                .ebs(disk.build());
            ask = ask.block_device_mappings(mapping.build());
        }
        if let Some(most) = order.spot {
            let options = SpotMarketOptions::builder()
                .spot_instance_type(SpotInstanceType::OneTime)
                .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
                .set_max_price(most.map(|usd| usd.to_string()));
            ask = ask.tag_specifications(specification(ResourceType::SpotInstancesRequest, &order.tags));
            ask = ask.instance_market_options(
                InstanceMarketOptionsRequest::builder()
                    .market_type(MarketType::Spot)
                    .spot_options(options.build())
                    .build(),
            );
        }
        let said = ask
            .send()
            .await
            .map_err(|error| fault(&format!("launching {} hosts in {}", order.count, self.name), &error))?;
        Ok(said.instances().iter().filter_map(sight::instance).collect())
    }

    /// Sets tags on objects.
    pub async fn tag(&self, ids: &[String], tags: &[(String, String)]) -> Result<(), Ec2Error> {
        if ids.is_empty() {
            return Ok(());
        }
        self.client
            .create_tags()
            .set_resources(Some(ids.to_vec()))
            .set_tags(Some(tags_of(tags)))
            .send()
            .await
            .map(drop)
            .map_err(|error| fault(&format!("tagging in {}", self.name), &error))
    }
}
