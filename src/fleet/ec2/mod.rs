//! EC2: what swarm asks of it, in swarm's own types. One file a noun; each call is one function, with its own retries
//! and with errors that name cause and way out. Never here: the ledger, SSH, printing, the order of things.

mod catalogue;
mod elastic;
mod ending;
mod fault;
mod group;
mod launch;
mod me;
mod retries;
mod sight;

pub use catalogue::{Image, Kind, LastingDisk, Place, Wish};
pub use elastic::{ElasticAddress, Quota};
pub use ending::Left;
pub use fault::{Ec2Error, Lack};
pub use group::{FoundGroup, Rule};
pub use launch::Order;
pub use me::own_address;
pub use sight::{Instance, Phase};

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::ProvideCredentials;
use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use fault::fault;
use std::time::Duration;

/// Tries of one call: throttling, lost connections and 5xx are tried again with backoff and jitter.
const TRIES: u32 = 6;
/// One try of one call. A launch of fifty hosts is answered in some ten seconds.
const ATTEMPT: Duration = Duration::from_secs(60);
/// All tries of one call.
const CALL: Duration = Duration::from_secs(180);

/// The tag that every object carries: the fleet's name.
pub const FLEET_TAG: &str = "swarm:fleet";
/// The command that made it.
pub const RUN_TAG: &str = "swarm:run";
/// Whose it is: the caller's ARN, `@`, the installation's name.
pub const OWNER_TAG: &str = "swarm:owner";
/// On instances: when they shut themselves down (RFC 3339).
pub const UNTIL_TAG: &str = "swarm:until";

/// A session with AWS.
#[derive(Debug, Clone)]
pub struct Aws {
    sdk: SdkConfig,
}

/// EC2 in one region.
#[derive(Debug, Clone)]
pub struct Regional {
    client: Client,
    /// `eu-west-1`.
    pub name: String,
}

/// A region as EC2 lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRegion {
    /// Its name.
    pub name: String,
    /// Whether the account may use it.
    pub enabled: bool,
}

impl Aws {
    /// Finds the credentials, the usual AWS ways: environment, profile, SSO, process, instance role. No call is made
    /// but what those need.
    pub async fn connect(profile: Option<&str>) -> Result<Self, Ec2Error> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(10))
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(CALL)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http.clone())
            .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
            .timeout_config(timeouts);
        if let Some(profile) = profile {
            // a profile that is named goes before keys of the environment, as with Amazon's own command
            let setting = ProviderConfig::default().with_http_client(http.clone());
            let named = ProfileFileCredentialsProvider::builder()
                .configure(&setting)
                .profile_name(profile)
                .build();
            loader = loader.profile_name(profile).credentials_provider(named);
        }
        let sdk = loader.load().await;
        let provider = sdk
            .credentials_provider()
            .ok_or_else(|| Ec2Error::no_credentials("none is configured"))?;
        provider.provide_credentials().await.map_err(|error| {
            let of = profile.map(|name| format!("profile {name}: ")).unwrap_or_default();
            Ec2Error::no_credentials(&format!("{of}{}", fault::chain(&error)))
        })?;
        Ok(Self { sdk })
    }

    /// The region of environment and profile.
    pub fn region_of_environment(&self) -> Option<String> {
        self.sdk.region().map(|region| region.as_ref().to_owned())
    }

    /// `AWS_ENDPOINT_URL`, where it is set.
    pub fn endpoint(&self) -> Option<&str> {
        self.sdk.endpoint_url()
    }

    /// EC2 in a region.
    pub fn region(&self, name: &str) -> Regional {
        let config = self.sdk.to_builder().region(Region::new(name.to_owned())).build();
        let config = aws_sdk_ec2::config::Builder::from(&config)
            .retry_classifier(retries::NoCapacity)
            .build();
        Regional {
            client: Client::from_conf(config),
            name: name.to_owned(),
        }
    }

    /// The caller's ARN, by `sts:GetCallerIdentity`, which needs no permission.
    pub async fn caller(&self, region: &str) -> Result<String, Ec2Error> {
        let config = self.sdk.to_builder().region(Region::new(region.to_owned())).build();
        let said = aws_sdk_sts::Client::new(&config)
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| fault(&format!("asking {region} who is calling"), &error))?;
        Ok(said.arn().unwrap_or("unknown").to_owned())
    }
}

impl Regional {
    /// All regions of this one's partition.
    pub async fn regions(&self) -> Result<Vec<ListedRegion>, Ec2Error> {
        let said = self.client.describe_regions().all_regions(true).send().await;
        let said = said.map_err(|error| fault(&format!("asking {} for the regions", self.name), &error))?;
        let listed = said.regions().iter().filter_map(|region| {
            Some(ListedRegion {
                name: region.region_name()?.to_owned(),
                enabled: region.opt_in_status() != Some("not-opted-in"),
            })
        });
        Ok(listed.collect())
    }
}

/// A filter of a describe call.
fn filter(name: &str, values: &[&str]) -> Filter {
    Filter::builder()
        .name(name)
        .set_values(Some(values.iter().map(|value| (*value).to_owned()).collect()))
        .build()
}

fn tags_of(pairs: &[(String, String)]) -> Vec<Tag> {
    let tag = |(key, value): &(String, String)| Tag::builder().key(key).value(value).build();
    pairs.iter().map(tag).collect()
}

/// Tags that an object has from its first moment.
fn specification(kind: ResourceType, tags: &[(String, String)]) -> TagSpecification {
    TagSpecification::builder()
        .resource_type(kind)
        .set_tags(Some(tags_of(tags)))
        .build()
}

/// The value of a tag among an object's.
fn tag_value<'a>(tags: &'a [Tag], key: &str) -> Option<&'a str> {
    tags.iter().find(|tag| tag.key() == Some(key)).and_then(Tag::value)
}
