//! The end of hosts, and the question what is left. Never here: whose they are.

use super::fault::{Ec2Error, fault};
use super::{FLEET_TAG, OWNER_TAG, RUN_TAG, Regional, filter};
use std::collections::BTreeMap;

/// Instances that one call may name.
const AT_ONCE: usize = 500;

/// An object that still carries a fleet's tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// EC2's word: `volume`, `network-interface`, ...
    pub kind: String,
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
                        each = each.and(self.terminate_some(std::slice::from_ref(id)).await);
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

    /// Objects of any kind that carry a fleet's tag, by EC2's index of tags: volumes and network interfaces too.
    pub async fn tagged(&self) -> Result<Vec<Left>, Ec2Error> {
        let mut pages = self
            .client
            .describe_tags()
            .filters(filter("key", &[FLEET_TAG, OWNER_TAG, RUN_TAG]))
            .into_paginator()
            .send();
        let mut found: BTreeMap<String, Left> = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| fault(&format!("listing tags in {}", self.name), &error))?;
            for tag in page.tags() {
                let (Some(id), Some(key)) = (tag.resource_id(), tag.key()) else {
                    continue;
                };
                let left = found.entry(id.to_owned()).or_insert_with(|| Left {
                    kind: tag
                        .resource_type()
                        .map(|kind| kind.as_str().to_owned())
                        .unwrap_or_default(),
                    id: id.to_owned(),
                    fleet: String::new(),
                    owner: String::new(),
                    run: String::new(),
                });
                let value = tag.value().unwrap_or_default().to_owned();
                match key {
                    FLEET_TAG => left.fleet = value,
                    RUN_TAG => left.run = value,
                    _ => left.owner = value,
                }
            }
        }
        Ok(found.into_values().collect())
    }
}
