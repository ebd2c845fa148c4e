//! The servers that steps name by whole URLs: which target of the plan each is. Pure.

use swarm_agent::wire::share::Target;
use url::Url;

/// Targets of the plan, and those that steps add to them.
#[derive(Debug, Clone)]
pub struct Origins {
    known: Vec<(bool, String, u16)>,
    added: Vec<String>,
}

impl Origins {
    /// The targets that the run has already.
    pub fn new(targets: &[Target]) -> Self {
        Self {
            known: targets
                .iter()
                .map(|target| (target.tls, target.host.clone(), target.port))
                .collect(),
            added: Vec::new(),
        }
    }

    /// Cuts a whole URL into the target's number and the rest, path and query.
    pub fn place<'a>(&mut self, url: &'a str) -> Result<(u16, &'a str), String> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| format!("`{url}`: a whole URL, https://host/path, or a path that begins with a slash"))?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (origin, path) = url.split_at(scheme.len() + 3 + end);
        if origin.contains("{{") {
            return Err(format!(
                "{origin}: the host must be known beforehand; use [vars] and --set"
            ));
        }
        if !["http", "https", "ws", "wss"].contains(&scheme) {
            return Err(format!("{origin}: unknown scheme `{scheme}`; http, https, ws or wss"));
        }
        let parsed = Url::parse(origin).map_err(|error| format!("{origin}: {error}"))?;
        let host = parsed
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_string();
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err("no name and password in a step's URL: set a header".into());
        }
        let tls = matches!(scheme, "https" | "wss");
        let port = parsed.port_or_known_default().unwrap_or(if tls { 443 } else { 80 });
        let wanted = (tls, host, port);
        let place = match self.known.iter().position(|known| *known == wanted) {
            Some(place) => place,
            None => {
                self.known.push(wanted);
                self.added.push(origin.to_string());
                self.known.len() - 1
            }
        };
        let place = u16::try_from(place).map_err(|_| "too many servers".to_string())?;
        Ok((place, path))
    }

    /// URLs of the servers that were added, in the order of their numbers.
    pub fn added(&self) -> &[String] {
        &self.added
    }
}
