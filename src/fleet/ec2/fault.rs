//! What went wrong between EC2 and us: what was being done, EC2's code and words, and the way out. Never here: retries.

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};

/// Why EC2 did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Ec2Error {
    /// Nobody to be.
    #[error(
        "no AWS credentials ({said}): set AWS_PROFILE or --profile, log in (`aws sso login`, `aws configure`), or set AWS_ACCESS_KEY_ID \
         and AWS_SECRET_ACCESS_KEY"
    )]
    NoCredentials {
        /// Of the SDK.
        said: String,
    },
    /// EC2 answered no.
    #[error("{doing}: AWS says {code}: {said}{way_out}")]
    Refused {
        /// What was asked for, and where.
        doing: String,
        /// EC2's code.
        code: String,
        /// EC2's words.
        said: String,
        /// What to do, or nothing.
        way_out: String,
    },
    /// No answer.
    #[error(
        "{doing}: no answer from AWS ({said}): is the region's name right (AWS_REGION, --region), and does a network lead there (AWS_ENDPOINT_URL, proxies)?"
    )]
    NoAnswer {
        /// What was asked for, and where.
        doing: String,
        /// Cause.
        said: String,
    },
    /// What was asked for does not exist or does not fit. Nothing was made.
    #[error("{0}")]
    Unfit(String),
}

/// What follows from a code for a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// This zone has no room: another may.
    Capacity,
    /// The account's limit is reached.
    Quota,
    /// Something else.
    Other,
}

impl Ec2Error {
    pub(super) fn no_credentials(said: &str) -> Self {
        Self::NoCredentials { said: said.to_owned() }
    }

    /// EC2's code, where it answered.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Wrong in what was typed or configured, before anything was made.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Unfit(_) | Self::NoCredentials { .. })
            || self.code().is_some_and(|code| {
                code.starts_with("Invalid") && code.contains("NotFound") || code == "InvalidAMIID.Malformed"
            })
    }

    /// Whether EC2 said for certain that it did not do it. A call is tried several times: after a lost answer, throttling,
    /// a server's error or credentials that ran out, an earlier try may have taken effect.
    pub fn made_nothing(&self) -> bool {
        let definite = |code: &str| {
            self.lack() != Lack::Other
                || ["Invalid", "Unsupported", "Missing"]
                    .iter()
                    .any(|start| code.starts_with(start))
                || [
                    "UnauthorizedOperation",
                    "AccessDenied",
                    "OptInRequired",
                    "Blocked",
                    "PendingVerification",
                ]
                .contains(&code)
        };
        match self {
            Self::Refused { code, .. } => definite(code),
            Self::Unfit(_) => true,
            Self::NoCredentials { .. } | Self::NoAnswer { .. } => false,
        }
    }

    /// What it means for a launch.
    pub fn lack(&self) -> Lack {
        match self.code().unwrap_or_default() {
            "InsufficientInstanceCapacity"
            | "InsufficientHostCapacity"
            | "InsufficientCapacity"
            | "InsufficientFreeAddressesInSubnet"
            | "Unsupported"
            | "SpotMaxPriceTooLow" => Lack::Capacity,
            "VcpuLimitExceeded"
            | "InstanceLimitExceeded"
            | "MaxSpotInstanceCountExceeded"
            | "AddressLimitExceeded"
            | "SecurityGroupLimitExceeded" => Lack::Quota,
            _ => Lack::Other,
        }
    }
}

/// Makes an error of an answer, or of none.
pub(super) fn fault<E, R>(doing: &str, error: &SdkError<E, R>) -> Ec2Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let doing = doing.to_owned();
    if let Some(service) = error.as_service_error() {
        let code = service.code().unwrap_or("an error without a code").to_owned();
        let said = service.message().unwrap_or("no words").trim_end_matches('.').to_owned();
        let way_out = way_out(&code).map(|text| format!(": {text}")).unwrap_or_default();
        return Ec2Error::Refused {
            doing,
            code,
            said,
            way_out,
        };
    }
    let said = chain(error);
    if said.contains("credential") {
        return Ec2Error::NoCredentials { said };
    }
    Ec2Error::NoAnswer { doing, said }
}

fn way_out(code: &str) -> Option<&'static str> {
    Some(match code {
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            "the credentials have expired: log in again (`aws sso login`), then run the same command; `swarm down` removes what is there"
        }
        "AuthFailure" | "InvalidClientTokenId" | "SignatureDoesNotMatch" | "UnrecognizedClientException" => {
            "the credentials are not accepted: check them with `aws sts get-caller-identity`, and this machine's clock"
        }
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
            "the caller lacks a permission: docs/aws.md has the least policy that suffices"
        }
        "OptInRequired" => "the account has not opted in to this region or service: choose another --region",
        "RequestLimitExceeded" | "Throttling" | "ThrottlingException" => {
            "it was asked several times, with pauses: try again in a minute"
        }
        "InsufficientInstanceCapacity" | "InsufficientHostCapacity" | "InsufficientCapacity" => {
            "choose another --zone, --region or --type"
        }
        "VcpuLimitExceeded" | "InstanceLimitExceeded" => {
            "ask for fewer hosts (-s) or a smaller --type, or raise the quota of running on-demand instances (Service Quotas in the AWS console), or spread over several --region"
        }
        "MaxSpotInstanceCountExceeded" => {
            "ask for fewer hosts (-s), leave --spot out, or raise the spot quota (Service Quotas in the AWS console)"
        }
        "SpotMaxPriceTooLow" => "raise --max-price, or leave it out: then at most the on-demand price is paid",
        "AddressLimitExceeded" => {
            "ask for fewer with --source-eips, or raise the quota of Elastic IPs (Service Quotas in the AWS console)"
        }
        "InvalidKeyPair.NotFound" => "--key names a key pair of EC2 in this region (`aws ec2 describe-key-pairs`)",
        "InvalidSubnetID.NotFound" => "--subnet names a subnet of this region (`aws ec2 describe-subnets`)",
        "InvalidGroup.NotFound" | "InvalidGroupId.Malformed" => {
            "--security-group takes a group's id (sg-...) in this region"
        }
        "InvalidAMIID.NotFound" | "InvalidAMIID.Malformed" => {
            "--image takes an id (ami-...) of this region: the same image has another id in each region"
        }
        "PendingVerification" | "Blocked" => "AWS holds this account back: see its e-mail to the account's owner",
        _ => return None,
    })
}

/// An error with its causes on one line, none said twice.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> Ec2Error {
        Ec2Error::Refused {
            doing: "x".into(),
            code: code.into(),
            said: "y".into(),
            way_out: String::new(),
        }
    }

    #[test]
    fn codes_mean_what_follows_from_them() {
        assert_eq!(refused("InsufficientInstanceCapacity").lack(), Lack::Capacity);
        assert_eq!(refused("VcpuLimitExceeded").lack(), Lack::Quota);
        assert_eq!(refused("UnauthorizedOperation").lack(), Lack::Other);
        for sure in [
            "InsufficientInstanceCapacity",
            "InvalidSubnetID.NotFound",
            "UnauthorizedOperation",
        ] {
            assert!(refused(sure).made_nothing(), "{sure}");
        }
        for open in [
            "RequestLimitExceeded",
            "InternalError",
            "ServiceUnavailable",
            "RequestExpired",
            "ExpiredToken",
        ] {
            assert!(!refused(open).made_nothing(), "{open}");
        }
        assert!(refused("InvalidKeyPair.NotFound").is_usage());
        assert!(!refused("InternalError").is_usage());
        assert!(Ec2Error::no_credentials("x").is_usage());
        for code in [
            "ExpiredToken",
            "VcpuLimitExceeded",
            "AddressLimitExceeded",
            "AuthFailure",
        ] {
            assert!(way_out(code).is_some(), "{code}");
        }
    }
}
