//! Whose a fleet is. Pure; never here: EC2, files.

use std::fmt;

/// A tag value holds at most 256 characters.
const LONGEST: usize = 256;

/// The value of `swarm:owner`: the caller's ARN, `@`, the installation's name. The installation decides: an ARN may
/// change from session to session, and several people may share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Of the caller who made it.
    pub arn: String,
    /// Of the installation that made it.
    pub installation: String,
}

impl Owner {
    /// An owner; an ARN that is too long for a tag loses its end.
    pub fn new(arn: &str, installation: &str) -> Self {
        let room = LONGEST - 1 - installation.len();
        Self {
            arn: arn.chars().take(room).collect(),
            installation: installation.to_owned(),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.arn, self.installation)
    }
}

/// The account in an ARN or in a `swarm:owner`.
pub fn account(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

/// The installation in a `swarm:owner`.
pub fn installation(tag: &str) -> Option<&str> {
    tag.rsplit_once('@').map(|(_, installation)| installation)
}

/// Whether both ARNs are the same user, or the same role in whatever session.
pub fn is_same_caller(a: &str, b: &str) -> bool {
    let role = |arn: &str| match arn.split_once(":assumed-role/") {
        Some((before, role)) => format!("{before}:{}", role.split('/').next().unwrap_or_default()),
        None => arn.to_owned(),
    };
    role(a) == role(b)
}

/// Whose fleets a command takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Those of these installations: this one, and those that its ledgers name.
    Mine(Vec<String>),
    /// `--owner`: the whole tag, an ARN, or an installation's name.
    Named(String),
}

impl Whose {
    /// Whether an object with this `swarm:owner` is meant.
    pub fn owns(&self, tag: &str) -> bool {
        let (arn, installation) = tag.rsplit_once('@').unwrap_or((tag, ""));
        match self {
            Self::Mine(own) => own.iter().any(|own| own == installation),
            Self::Named(name) => !name.is_empty() && [tag, arn, installation].contains(&name.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_installation_decides() {
        let owner = Owner::new("arn:aws:sts::1:assumed-role/dev/ann@example.com", "0123456789abcdef").to_string();
        assert!(Whose::Mine(vec!["x".into(), "0123456789abcdef".into()]).owns(&owner));
        assert!(!Whose::Mine(vec!["fedcba9876543210".into()]).owns(&owner));
        assert!(!Whose::Mine(Vec::new()).owns(&owner));
        for named in [
            owner.as_str(),
            "0123456789abcdef",
            "arn:aws:sts::1:assumed-role/dev/ann@example.com",
        ] {
            assert!(Whose::Named(named.into()).owns(&owner), "{named}");
        }
        assert!(!Whose::Named("arn:aws:sts::1:assumed-role/dev".into()).owns(&owner));
        assert!(!Whose::Named(String::new()).owns(""));
    }

    #[test]
    fn callers_and_their_accounts() {
        assert_eq!(
            account("arn:aws:sts::123456789012:assumed-role/dev/ann@x"),
            "123456789012"
        );
        assert_eq!(account("odd"), "");
        assert_eq!(installation("arn:aws:iam::1:user/a@b@0123"), Some("0123"));
        let of = |session: &str| format!("arn:aws:sts::1:assumed-role/dev/{session}");
        assert!(is_same_caller(&of("ci-1"), &of("ci-2")));
        assert!(!is_same_caller(&of("ci-1"), "arn:aws:sts::1:assumed-role/ops/ci-1"));
        assert!(is_same_caller("arn:aws:iam::1:user/a", "arn:aws:iam::1:user/a"));
    }

    #[test]
    fn a_long_arn_still_fits_a_tag() {
        let owner = Owner::new(&"a".repeat(400), "0123456789abcdef");
        assert_eq!(owner.to_string().len(), 256);
        assert!(Whose::Mine(vec!["0123456789abcdef".into()]).owns(&owner.to_string()));
    }
}
