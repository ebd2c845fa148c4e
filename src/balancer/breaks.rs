//! Stickiness that broke: sources and sessions that were seen on more than one backend, when first, and one of them whole.

use super::span::at;
use std::net::IpAddr;
use swarm_agent::wire::observed::Strays;

/// What one source met, over all of its host's threads.
#[derive(Debug, Clone)]
pub struct Met<'a> {
    /// Host.
    pub host: &'a str,
    /// Local address.
    pub address: IpAddr,
    /// The backends, in any order.
    pub backends: Vec<MetOne<'a>>,
}

/// One backend that a source met.
#[derive(Debug, Clone, Copy)]
pub struct MetOne<'a> {
    /// Its name.
    pub name: &'a str,
    /// Clients or answered hits.
    pub count: u64,
    /// The first time, us since the start instant.
    pub first_us: u64,
    /// The last time.
    pub last_us: u64,
}

/// Sources and sessions that were seen on more than one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaks {
    /// Sources.
    pub sources: u64,
    /// Sessions: Engine.IO sessions, and clients with cookies that they were given.
    pub sessions: u64,
    /// When the first of them was, us since the start instant.
    pub first_us: u64,
    /// That first one.
    pub example: Break,
}

/// One break, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// us since the start instant.
    pub at_us: u64,
    /// Host.
    pub host: String,
    /// Local address.
    pub source: IpAddr,
    /// The session, where it was one.
    pub session: Option<String>,
    /// Where it was.
    pub from: String,
    /// Where it was seen then.
    pub to: String,
}

/// Finds the breaks; `None` where there were none. `strays`: what each host saw of sessions.
pub fn breaks(sources: &[Met<'_>], strays: &[(&str, &Strays)]) -> Option<Breaks> {
    let broken: Vec<Break> = sources.iter().filter_map(of_source).collect();
    let of_sessions = strays.iter().filter_map(|(host, strays)| {
        let first = strays.first.as_ref()?;
        Some(Break {
            at_us: first.at_us,
            host: (*host).to_owned(),
            source: first.source,
            session: Some(first.session.clone()),
            from: first.from.clone(),
            to: first.to.clone(),
        })
    });
    let sessions = strays.iter().map(|(_, strays)| strays.sessions).sum();
    // of two at one time the session says more
    let first = of_sessions.chain(broken.iter().cloned()).min_by_key(|one| one.at_us)?;
    Some(Breaks {
        sources: broken.len() as u64,
        sessions,
        first_us: first.at_us,
        example: first,
    })
}

/// A source breaks when it meets its second backend.
fn of_source(source: &Met<'_>) -> Option<Break> {
    let mut met: Vec<&MetOne<'_>> = source.backends.iter().collect();
    met.sort_by_key(|one| (one.first_us, one.name));
    let (first, second) = (met.first()?, met.get(1)?);
    Some(Break {
        at_us: second.first_us,
        host: source.host.to_owned(),
        source: source.address,
        session: None,
        from: first.name.to_owned(),
        to: second.name.to_owned(),
    })
}

impl Breaks {
    /// In words.
    pub fn words(&self) -> String {
        let counted = |n: u64, what: &str| match n {
            0 => None,
            1 => Some(format!("1 {what}")),
            n => Some(format!("{n} {what}s")),
        };
        let who: Vec<String> = [counted(self.sources, "source"), counted(self.sessions, "session")]
            .into_iter()
            .flatten()
            .collect();
        let example = &self.example;
        let session = example
            .session
            .as_ref()
            .map(|id| format!(" ({id})"))
            .unwrap_or_default();
        format!(
            "{} seen on more than one backend, first at {}: {} of {}{session} went from {} to {}",
            who.join(" and "),
            at(self.first_us),
            example.source,
            example.host,
            example.from,
            example.to
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use swarm_agent::wire::observed::Stray;

    fn met(last: u8, backends: &[(&'static str, u64)]) -> Met<'static> {
        Met {
            host: "h1",
            address: [10, 0, 0, last].into(),
            backends: backends
                .iter()
                .map(|(name, first_us)| MetOne {
                    name,
                    count: 1,
                    first_us: *first_us,
                    last_us: *first_us,
                })
                .collect(),
        }
    }

    fn strays(sessions: u64, at_us: u64) -> Strays {
        Strays {
            sessions,
            first: Some(Stray {
                at_us,
                source: [10, 0, 0, 9].into(),
                session: "sid abcdef...".into(),
                from: "s3".into(),
                to: "s1".into(),
            }),
        }
    }

    #[test]
    fn the_first_break_is_told_whole() {
        assert_eq!(breaks(&[], &[]), None);
        assert_eq!(
            breaks(&[met(1, &[("s1", 5)]), met(2, &[])], &[("h1", &Strays::default())]),
            None
        );
        let sources = [
            met(1, &[("s1", 9), ("s2", 2), ("s3", 4)]),
            met(2, &[("s2", 7), ("s1", 6)]),
        ];
        let found = breaks(&sources, &[]).unwrap();
        assert_eq!((found.sources, found.sessions, found.first_us), (2, 0, 4));
        assert_eq!((found.example.from.as_str(), found.example.to.as_str()), ("s2", "s3"));
        let (one, other) = (strays(3, 8), strays(2, 4));
        let found = breaks(&sources, &[("h1", &one), ("h2", &other)]).unwrap();
        assert_eq!((found.sources, found.sessions, found.first_us), (2, 5, 4));
        assert_eq!((found.example.host.as_str(), found.example.from.as_str()), ("h2", "s3"));
        assert_eq!(
            found.words(),
            "2 sources and 5 sessions seen on more than one backend, first at 0.0 s: 10.0.0.9 of h2 (sid abcdef...) \
             went from s3 to s1"
        );
        let found = breaks(&sources[..1], &[]).unwrap();
        assert_eq!(
            found.words(),
            "1 source seen on more than one backend, first at 0.0 s: 10.0.0.1 of h1 went from s2 to s3"
        );
    }
}
