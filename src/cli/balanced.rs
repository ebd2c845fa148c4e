//! The flags that say what a balancer does, which `attack`, `spread` and `up` share. Never here: what follows from them.

use super::Usage;
use crate::balancer::Balancer;
use crate::balancer::rule::{Pool, Rule};

/// The flags, as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct BalancerArgs {
    /// How the balancer picks a backend: haproxy-source, haproxy-source-avalanche, haproxy-source-consistent, nginx-ip-hash,
    /// nginx-hash-consistent; wants --backends
    #[arg(long, value_name = "RULE")]
    pub balancer: Option<String>,
    /// The backends behind it, in the order of its configuration: 4, with weights 4:2,1,1,1, or by name web1,web2=2
    #[arg(long, value_name = "N[:W,...]|NAME,...")]
    pub backends: Option<String>,
}

impl BalancerArgs {
    /// What they mean; `None` without any.
    pub fn read(&self) -> Result<Option<Balancer>, Usage> {
        match (&self.balancer, &self.backends) {
            (None, None) => Ok(None),
            (Some(rule), Some(backends)) => {
                let read = Rule::parse(rule).map_err(|error| Usage(format!("--balancer {rule}: {error}")))?;
                balancer(read, pool(backends)?).map(Some)
            }
            (Some(rule), None) => Err(Usage(format!(
                "--balancer {rule}: over how many backends? add --backends 4"
            ))),
            (None, Some(backends)) => Err(Usage(format!(
                "--backends {backends}: by which rule does the balancer pick one? add --balancer {}",
                Rule::HaproxySource.word()
            ))),
        }
    }
}

/// Reads `--backends`.
pub fn pool(typed: &str) -> Result<Pool, Usage> {
    Pool::parse(typed).map_err(|error| Usage(format!("--backends {typed}: {error}")))
}

/// A rule over servers, or why it cannot be known for them.
pub fn balancer(rule: Rule, pool: Pool) -> Result<Balancer, Usage> {
    Balancer::new(rule, pool).map_err(|error| Usage(format!("--balancer {}: {error}", rule.word())))
}

/// The same with `--down` taken out.
pub fn without(balancer: Balancer, down: &[String]) -> Result<Balancer, Usage> {
    let names = down.iter().flat_map(|list| list.split(',')).map(str::trim);
    names.into_iter().try_fold(balancer, |balancer, name| {
        balancer
            .without(name)
            .map_err(|error| Usage(format!("--down {name}: {error}")))
    })
}
