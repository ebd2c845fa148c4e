//! What `swarm exec` is to do, and each host's own order: placeholders filled in, `{share:N}` dealt so that all shares add
//! up to N. Pure: files were read before.
//!
//! Placeholders are `{host}`, `{index}` (from 0), `{next}` (index + 1), `{hosts}`, `{source}` and `{share:N}`; other
//! braces are left alone, and what was filled in is not read again.

use crate::plan::{MinHosts, SourceRange};
use crate::split::deals_within;
use bytes::Bytes;
use std::net::IpAddr;
use swarm_agent::wire::exec::{Order, PIECE, Upload, Words};
use swarm_agent::wire::message::Hello;
use swarm_agent::wire::share::Deal;

/// A command for all hosts.
#[derive(Debug, Clone)]
pub struct OrderPlan {
    /// Names the run: 12 characters, time-ordered.
    pub run: String,
    /// The command line as typed, secrets taken out.
    pub command: String,
    /// The command, with its placeholders.
    pub words: Words,
    /// `--login-shell`.
    pub login_shell: bool,
    /// `--upload`: name, mode and bytes.
    pub uploads: Vec<(Upload, Bytes)>,
    /// `--fetch`.
    pub fetch: Vec<String>,
    /// `--timeout`, ns.
    pub timeout: Option<u64>,
    /// `--silence`, ns.
    pub silence: u64,
    /// `--source-ips`.
    pub sources: Vec<SourceRange>,
    /// `--min-hosts`.
    pub min_hosts: MinHosts,
}

/// What must be known of a host for its order.
#[derive(Debug, Clone)]
pub struct Hired<'a> {
    /// As the user named it.
    pub name: &'a str,
    /// Its part in `{share:N}`, at least 1.
    pub weight: u32,
    /// Its address for `{source}`.
    pub source: IpAddr,
}

impl OrderPlan {
    /// One order a host, in the order given.
    pub fn orders(&self, hosts: &[Hired<'_>]) -> Vec<Order> {
        let weights: Vec<u32> = hosts.iter().map(|host| host.weight).collect();
        let deals = deals_within(&weights, u64::MAX);
        let places = hosts.iter().zip(&deals).enumerate();
        places
            .map(|(index, (host, deal))| {
                let place = Place {
                    host,
                    index,
                    hosts: hosts.len(),
                    deal,
                };
                Order {
                    round: 0,
                    run: self.run.clone(),
                    words: place.words(&self.words),
                    login_shell: self.login_shell,
                    uploads: self.uploads.iter().map(|(upload, _)| upload.clone()).collect(),
                    fetch: self.fetch.clone(),
                    timeout: self.timeout,
                    silence: self.silence,
                }
            })
            .collect()
    }

    /// The piece of the uploads that begins so many bytes from the start of the first; `None` at the end.
    pub fn piece(&self, mut at: u64) -> Option<Bytes> {
        for (_, bytes) in &self.uploads {
            let long = bytes.len() as u64;
            if at < long {
                let from = usize::try_from(at).ok()?;
                return Some(bytes.slice(from..bytes.len().min(from + PIECE)));
            }
            at -= long;
        }
        None
    }
}

/// The address of a host that `{source}` stands for: the first of those it was told to use, else the first of its
/// interfaces that others can reach, IPv4 before IPv6.
pub fn source_of(told: &[IpAddr], hello: Option<&Hello>) -> IpAddr {
    let own = hello.map_or(&[][..], |hello| &hello.interfaces);
    let reachable = || {
        own.iter()
            .map(|(_, address)| *address)
            .filter(|address| !is_own_business(*address))
    };
    told.first()
        .copied()
        .or_else(|| reachable().find(IpAddr::is_ipv4))
        .or_else(|| reachable().next())
        .unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

fn is_own_business(address: IpAddr) -> bool {
    address.is_loopback()
        || match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        }
}

/// Whether the words name this placeholder.
pub fn names(words: &Words, placeholder: &str) -> bool {
    let holds = |text: &[u8]| {
        text.windows(placeholder.len())
            .any(|part| part == placeholder.as_bytes())
    };
    match words {
        Words::Argv(argv) => argv.iter().any(|word| holds(word)),
        Words::Line(line) => holds(line),
    }
}

/// The first `{share:...}` that holds no number or is not closed.
pub fn bad_share(words: &Words) -> Option<String> {
    let bad = |text: &[u8]| {
        let mut rest = text;
        while let Some(at) = rest.windows(SHARE.len()).position(|part| part == SHARE) {
            rest = &rest[at..];
            let Some(end) = rest.iter().position(|byte| *byte == b'}') else {
                return Some(String::from_utf8_lossy(rest).into_owned());
            };
            if share(&rest[1..end]).is_none() {
                return Some(String::from_utf8_lossy(&rest[..=end]).into_owned());
            }
            rest = &rest[end..];
        }
        None
    };
    match words {
        Words::Argv(argv) => argv.iter().find_map(|word| bad(word)),
        Words::Line(line) => bad(line),
    }
}

const SHARE: &[u8] = b"{share:";

/// The number of `share:1000`.
fn share(name: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(name.strip_prefix(b"share:")?).ok()?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

/// One host among the others.
struct Place<'a> {
    host: &'a Hired<'a>,
    index: usize,
    hosts: usize,
    deal: &'a Deal,
}

impl Place<'_> {
    fn words(&self, words: &Words) -> Words {
        match words {
            Words::Argv(argv) => Words::Argv(argv.iter().map(|word| self.filled(word).into()).collect()),
            Words::Line(line) => Words::Line(self.filled(line).into()),
        }
    }

    fn filled(&self, text: &[u8]) -> Vec<u8> {
        let mut filled = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((first, more)) = rest.split_first() {
            let end = (*first == b'{')
                .then(|| more.iter().position(|byte| *byte == b'}'))
                .flatten();
            match end.and_then(|end| Some((self.value(&more[..end])?, end))) {
                Some((value, end)) => {
                    filled.extend_from_slice(value.as_bytes());
                    rest = &more[end + 1..];
                }
                None => {
                    filled.push(*first);
                    rest = more;
                }
            }
        }
        filled
    }

    fn value(&self, name: &[u8]) -> Option<String> {
        Some(match name {
            b"host" => self.host.name.to_owned(),
            b"index" => self.index.to_string(),
            b"next" => (self.index + 1).to_string(),
            b"hosts" => self.hosts.to_string(),
            b"source" => self.host.source.to_string(),
            _ => self.deal.count(share(name)?).to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(words: Words) -> OrderPlan {
        OrderPlan {
            run: "r".into(),
            command: String::new(),
            words,
            login_shell: false,
            uploads: Vec::new(),
            fetch: Vec::new(),
            timeout: None,
            silence: 10,
            sources: Vec::new(),
            min_hosts: MinHosts::Percent(100.0),
        }
    }

    fn line(text: &str) -> Words {
        Words::Line(text.as_bytes().to_vec().into())
    }

    fn filled(text: &str, weights: &[u32]) -> Vec<String> {
        let names: Vec<String> = (0..weights.len()).map(|n| format!("h{n}")).collect();
        let hired: Vec<Hired> = names
            .iter()
            .zip(weights)
            .enumerate()
            .map(|(n, (name, weight))| Hired {
                name,
                weight: *weight,
                source: format!("10.0.0.{}", n + 1).parse().unwrap(),
            })
            .collect();
        let orders = plan(line(text)).orders(&hired);
        let text = |order: &Order| match &order.words {
            Words::Line(line) => String::from_utf8(line.to_vec()).unwrap(),
            Words::Argv(_) => unreachable!(),
        };
        orders.iter().map(text).collect()
    }

    #[test]
    fn placeholders_are_filled_and_other_braces_left_alone() {
        for (text, first, second) in [
            ("{host} {index}/{hosts}", "h0 0/2", "h1 1/2"),
            ("{next}{next}", "11", "22"),
            ("-b {source}", "-b 10.0.0.1", "-b 10.0.0.2"),
            ("{share:7}", "4", "3"),
            ("{share:1}", "1", "0"),
            (r#"{"a":{index}}"#, r#"{"a":0}"#, r#"{"a":1}"#),
            ("${host} {{host}} {", "$h0 {h0} {", "$h1 {h1} {"),
            (
                "awk {print} {} {Host} {share}",
                "awk {print} {} {Host} {share}",
                "awk {print} {} {Host} {share}",
            ),
        ] {
            assert_eq!(filled(text, &[1, 1]), [first, second], "{text}");
        }
        assert_eq!(filled("{share:1000}", &[1, 3, 1]), ["200", "600", "200"]);
    }

    #[test]
    fn a_share_without_a_number_is_told() {
        assert_eq!(bad_share(&line("a {share:10} {share:1k} b")), Some("{share:1k}".into()));
        assert_eq!(bad_share(&line("{share:10}{share:")), Some("{share:".into()));
        assert_eq!(bad_share(&line("-n {share:10 x")), Some("{share:10 x".into()));
        assert_eq!(bad_share(&line("{share:10}{share}{")), None);
        assert!(names(&line("-b {source}"), "{source}") && !names(&line("{sources}"), "{source}"));
    }

    #[test]
    fn uploads_are_cut_into_pieces_that_hold_one_file() {
        let upload = |name: &str, size: usize| {
            let upload = Upload {
                name: name.into(),
                mode: 0o644,
                size: size as u64,
            };
            (upload, Bytes::from(vec![name.as_bytes()[0]; size]))
        };
        let mut plan = plan(line("x"));
        plan.uploads = vec![upload("a", PIECE + 5), upload("e", 0), upload("b", 3)];
        let (mut at, mut got) = (0, Vec::new());
        while let Some(piece) = plan.piece(at) {
            at += piece.len() as u64;
            got.push((piece[0], piece.len()));
        }
        assert_eq!(got, [(b'a', PIECE), (b'a', 5), (b'b', 3)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn shares_add_up(whole in 0u64..1_000_000, weights in prop::collection::vec(1u32..9, 1..20)) {
            let shares = filled(&format!("{{share:{whole}}}"), &weights);
            prop_assert_eq!(shares.iter().map(|text| text.parse::<u64>().unwrap()).sum::<u64>(), whole);
        }
    }
}
