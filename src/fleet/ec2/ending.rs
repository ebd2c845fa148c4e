//! The end of hosts, and the question what is left. Never here: whose they are.

use super::fault::{Ec2Error, fault};
use super::{FLEET_TAG, OWNER_TAG, RUN_TAG, Regional, filter, tag_value};
use aws_sdk_ec2::types::Tag;

/// EC2's word for an id that it does not know.
const UNKNOWN: &str = "InvalidInstanceID.NotFound";
/// Instances that one call may name.
const AT_ONCE: usize = 500;

/// An object that still carries a fleet's tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// EC2's word: `volume`, `network-interface`.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// `swarm:fleet`
    pub fleet: String,
    /// `swarm:owner`
    pub owner: String,
    /// `swarm:run`
    pub run: String,
}

impl Regional {
    /// Terminates hosts. An id that EC2 does not know (not yet, or not any more) is an error, after the others were ended.
    pub async fn terminate(&self, ids: &[String]) -> Result<(), Ec2Error> {
        let mut first = Ok(());
        for some in ids.chunks(AT_ONCE) {
            let done = self.terminate_some(some).await;
            // one id that is unknown or protected fails the whole call: then one by one
            let done = match done {
                Err(error) if some.len() > 1 && error.code().is_some() => {
                    let mut each = Ok(());
                    for id in some {
                        let one = self.terminate_some(std::slice::from_ref(id)).await;
                        // an id that is not known hides no refusal
                        let hides = each
                            .as_ref()
                            .is_err_and(|error: &Ec2Error| error.code() == Some(UNKNOWN));
                        if each.is_ok() || hides && one.is_err() {
                            each = one;
                        }
                    }
                    each
                }
                other => other,
            };
            first = first.and(done);
        }
        first
    }

    async fn terminate_some(&self, ids: &[String]) -> Result<(), Ec2Error> {
        let done = self
            .client
            .terminate_instances()
            .set_instance_ids(Some(ids.to_vec()))
            .send()
            .await;
        done.map(drop)
            .map_err(|error| fault(&format!("terminating {} in {}", ids.join(", "), self.name), &error))
    }

    /// Volumes and network interfaces that carry a fleet's tag, of every owner: what goes with a host, or should.
    pub async fn trailing(&self) -> Result<Vec<Left>, Ec2Error> {
        let doing = |what: &str| format!("listing {what} in {}", self.name);
        let mut found = Vec::new();
        let mut pages = self
            .client
            .describe_volumes()
            .filters(filter("tag-key", &[FLEET_TAG]))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| fault(&doing("volumes"), &error))?;
            let volumes = page.volumes().iter();
            found.extend(volumes.filter_map(|volume| left("volume", volume.volume_id()?, volume.tags())));
        }
        let mut pages = self
            .client
            .describe_network_interfaces()
            .filters(filter("tag-key", &[FLEET_TAG]))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| fault(&doing("network interfaces"), &error))?;
            let interfaces = page.network_interfaces().iter();
            found.extend(
                interfaces.filter_map(|one| left("network-interface", one.network_interface_id()?, one.tag_set())),
            );
        }
        Ok(found)
    }
}

fn left(kind: &'static str, id: &str, tags: &[Tag]) -> Option<Left> {
    let value = |key: &str| tag_value(tags, key).unwrap_or_default().to_owned();
    Some(Left {
        kind,
        id: id.to_owned(),
        fleet: tag_value(tags, FLEET_TAG)?.to_owned(),
        owner: value(OWNER_TAG),
        run: value(RUN_TAG),
    })
}
