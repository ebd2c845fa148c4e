//! TLS versions: which ones the server accepts. Judged from what handshakes showed.

use super::finding::{Code, Finding, Step};
use super::scout::Scout;
use super::walk::Walk;
use swarm_agent::wire::fault::Fault;
use swarm_agent::wire::look::{Offer, Sight};

/// `None`: not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Versions {
    /// TLS 1.0.
    pub v10: Option<bool>,
    /// TLS 1.1.
    pub v11: Option<bool>,
    /// TLS 1.2.
    pub v12: Option<bool>,
    /// TLS 1.3.
    pub v13: Option<bool>,
}

/// Offers each version alone.
pub async fn look<S: Scout>(walk: &Walk<'_, S>) -> Vec<Finding> {
    if !walk.aim.target.tls {
        return vec![Finding::skipped(Step::TlsVersions, "the URL is not on TLS")];
    }
    let versions = Versions {
        v10: accepted(&walk.shake(0, Offer::Old10).await),
        v11: accepted(&walk.shake(0, Offer::Old11).await),
        v12: accepted(&walk.shake(0, Offer::Only12).await),
        v13: accepted(&walk.shake(0, Offer::Only13).await),
    };
    vec![judge(versions)]
}

fn accepted(sight: &Result<Sight, Fault>) -> Option<bool> {
    match sight {
        Ok(Sight::Old { accepted }) => Some(*accepted),
        Ok(Sight::Shaken(shaken)) => Some(shaken.version.is_some()),
        _ => None,
    }
}

/// What is said of it.
pub fn judge(versions: Versions) -> Finding {
    let step = Step::TlsVersions;
    let all = [
        ("1.0", versions.v10),
        ("1.1", versions.v11),
        ("1.2", versions.v12),
        ("1.3", versions.v13),
    ];
    let of = |wanted: Option<bool>| -> Vec<&str> {
        let those = all.iter().filter(|(_, accepted)| *accepted == wanted);
        those.map(|(name, _)| *name).collect()
    };
    let mut seen = format!("TLS {} accepted", of(Some(true)).join(", "));
    let unclear = of(None);
    if !unclear.is_empty() {
        seen.push_str(&format!("; not known: {}", unclear.join(", ")));
    }
    if of(Some(true)).is_empty() {
        return Finding::unknown(step, None, "no version was accepted");
    }
    if versions.v10 == Some(true) || versions.v11 == Some(true) {
        return Finding::warn(step, Code::TlsOldVersion, seen).because(
            "TLS 1.0 and 1.1 are withdrawn (RFC 8996): no current client needs them, and audits ask for their end",
        );
    }
    if versions.v13 == Some(false) {
        let seen = format!("{seen}; 1.3 is not, which costs every connect one round trip");
        return Finding::good(step, Code::TlsNo13, seen);
    }
    Finding::pass(step, seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Verdict;

    #[test]
    fn versions_are_judged() {
        let of = |v10, v11, v12, v13| Versions { v10, v11, v12, v13 };
        let (yes, no) = (Some(true), Some(false));
        for (versions, verdict, code) in [
            (of(no, no, yes, yes), Verdict::Pass, None),
            (of(no, no, yes, no), Verdict::Pass, Some(Code::TlsNo13)),
            (of(yes, yes, yes, yes), Verdict::Warn, Some(Code::TlsOldVersion)),
            (of(no, yes, yes, no), Verdict::Warn, Some(Code::TlsOldVersion)),
            (of(None, None, None, None), Verdict::Unknown, None),
            (of(None, None, yes, yes), Verdict::Pass, None),
        ] {
            let finding = judge(versions);
            assert_eq!((finding.verdict, finding.code), (verdict, code), "{versions:?}");
        }
    }
}
