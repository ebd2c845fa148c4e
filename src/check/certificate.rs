//! Certificates: chain, name, days left. Judged from what a handshake showed.

use super::finding::{Code, Finding, Step};
use super::scout::Scout;
use super::walk::{Walk, list};
use super::x509::{self, Facts};
use swarm_agent::wire::look::{Offer, Shaken, Sight, Trust};

const DAY: i64 = 86_400;
/// Days before its end from which on a certificate is warned of.
const SOON: i64 = 14;

/// Shakes hands and looks at the certificates. `now`: seconds since 1970.
pub async fn look<S: Scout>(walk: &Walk<'_, S>, now: i64) -> Vec<Finding> {
    if !walk.aim.target.tls {
        return vec![Finding::skipped(Step::Certificate, "the URL is not on TLS")];
    }
    match walk.shake(0, Offer::Usual).await {
        Ok(Sight::Shaken(shaken)) => judge(&shaken, now),
        Ok(_) => vec![failed("the agent answered something else")],
        Err(fault) => vec![failed(&fault.detail)],
    }
}

fn failed(why: &str) -> Finding {
    Finding::fail(
        Step::Certificate,
        Code::TlsFailed,
        format!("the TLS handshake fails: {why}"),
    )
    .because("no client gets any further")
}

/// What is said of it.
pub fn judge(shaken: &Shaken, now: i64) -> Vec<Finding> {
    let chain: Vec<Facts> = shaken.chain.iter().filter_map(|der| x509::read(der)).collect();
    let mut findings = of_chain(shaken, &chain, now);
    if let Some(why) = &shaken.failed {
        findings.push(failed(why));
    }
    if findings.is_empty() {
        let seen = match chain.first() {
            Some(own) => format!(
                "for {}, issued by {}, {} days left, {} sent",
                list(&own.names, 3),
                own.issuer,
                (own.not_after - now) / DAY,
                certificates(chain.len())
            ),
            None => "trusted".to_owned(),
        };
        findings.push(Finding::pass(Step::Certificate, seen));
    }
    findings
}

fn of_chain(shaken: &Shaken, chain: &[Facts], now: i64) -> Vec<Finding> {
    let step = Step::Certificate;
    let mut findings = Vec::new();
    let Some(own) = chain.first() else {
        return match &shaken.trust {
            Some(_) => vec![Finding::fail(
                step,
                Code::CertificateUntrusted,
                "the server sends something that is no certificate",
            )],
            None => findings,
        };
    };
    let over: Vec<&Facts> = chain.iter().filter(|one| one.not_after < now).collect();
    match &shaken.trust {
        Some(Trust::Expired { .. }) => {
            let one = over.first().copied().unwrap_or(own);
            let seen = format!("that of {} ended {} days ago", one.subject, (now - one.not_after) / DAY);
            findings.push(
                Finding::fail(step, Code::CertificateExpired, seen).because("browsers and clients refuse to connect"),
            );
        }
        Some(Trust::UnknownIssuer) => findings.push(unknown_issuer(chain)),
        Some(Trust::NotYet) => {
            let seen = "it has not begun to be valid: the clock of one side is wrong, or it was installed too early";
            findings.push(Finding::fail(step, Code::CertificateUntrusted, seen));
        }
        Some(Trust::Bad(why)) => findings.push(Finding::fail(step, Code::CertificateUntrusted, why.clone())),
        Some(Trust::Trusted) | None => {}
    }
    if let Some(Trust::Expired { otherwise: false }) = &shaken.trust
        && let Some(top) = chain.last()
        && !top.is_own_issuer()
        && chain.len() == 1
    {
        // both may be wrong; what comes first hides what comes then, which is told as a doubt
        let seen = "whether its chain is whole is not known while it is expired";
        findings.push(Finding::unknown(step, None, seen));
    }
    if !shaken.name_fits {
        let seen = format!("it is for {}, not for {}", list(&own.names, 4), shaken.name);
        findings.push(
            Finding::fail(step, Code::CertificateWrongName, seen).because("browsers and clients refuse to connect"),
        );
    }
    let soonest = chain.iter().min_by_key(|one| one.not_after);
    if let Some(one) = soonest.filter(|one| one.not_after >= now && one.not_after - now < SOON * DAY) {
        let seen = format!("that of {} ends in {} days", one.subject, (one.not_after - now) / DAY);
        findings.push(
            Finding::warn(step, Code::CertificateExpiresSoon, seen)
                .because("renew it, and see why it was not renewed by itself"),
        );
    }
    findings
}

fn unknown_issuer(chain: &[Facts]) -> Finding {
    let step = Step::Certificate;
    let top = chain.last().expect("a chain that is looked at has a first certificate");
    let private = "clients that don't know that root refuse to connect; if they all do, check with --cacert FILE";
    if top.is_own_issuer() {
        let what = if chain.len() == 1 {
            "signed by itself"
        } else {
            "of a private authority"
        };
        let seen = format!("its root is {}, {what}", top.subject);
        return Finding::fail(step, Code::CertificateUntrusted, seen).because(private);
    }
    if chain.len() > 1 {
        let seen = format!(
            "{} sent, which lead to {}, and that is no trusted root",
            certificates(chain.len()),
            top.issuer
        );
        return Finding::fail(step, Code::CertificateUntrusted, seen).because(private);
    }
    let seen = format!(
        "the certificate of {} alone is sent; its issuer {} was neither sent nor is a trusted root",
        top.subject, top.issuer
    );
    Finding::fail(step, Code::ChainIncomplete, seen).because(
        "browsers may fetch or remember the missing one, Node, Python, mobile clients do not; if it is a private root that all clients know, check with --cacert FILE",
    )
}

fn certificates(n: usize) -> String {
    match n {
        1 => "1 certificate".to_owned(),
        n => format!("{n} certificates"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Verdict;

    const NOW: i64 = 1_790_000_000;

    fn facts(subject: &str, issuer: &str, days: i64) -> Facts {
        Facts {
            subject: subject.into(),
            issuer: issuer.into(),
            not_before: NOW - 100 * DAY,
            not_after: NOW + days * DAY,
            names: vec!["chat.test".into()],
        }
    }

    fn shaken(trust: Trust, name_fits: bool) -> Shaken {
        Shaken {
            version: Some("1.3".into()),
            trust: Some(trust),
            name_fits,
            name: "chat.test".into(),
            ..Shaken::default()
        }
    }

    #[test]
    fn chains_are_judged() {
        use Code as C;
        let (leaf, middle) = (
            facts("CN=chat.test", "CN=Middle", 60),
            facts("CN=Middle", "CN=Root", 600),
        );
        let own = facts("CN=chat.test", "CN=chat.test", 60);
        let over = facts("CN=chat.test", "CN=Middle", -3);
        let soon = facts("CN=chat.test", "CN=Middle", 5);
        let expired = Trust::Expired { otherwise: true };
        // the handshake, what its certificates say, what is found
        type Row = (Shaken, Vec<Facts>, Vec<(Verdict, C)>);
        let table: Vec<Row> = vec![
            (shaken(Trust::Trusted, true), vec![leaf.clone(), middle.clone()], vec![]),
            (
                shaken(Trust::UnknownIssuer, true),
                vec![leaf.clone()],
                vec![(Verdict::Fail, C::ChainIncomplete)],
            ),
            (
                shaken(Trust::UnknownIssuer, true),
                vec![leaf.clone(), middle.clone()],
                vec![(Verdict::Fail, C::CertificateUntrusted)],
            ),
            (
                shaken(Trust::UnknownIssuer, true),
                vec![own],
                vec![(Verdict::Fail, C::CertificateUntrusted)],
            ),
            (
                shaken(expired.clone(), true),
                vec![over.clone(), middle.clone()],
                vec![(Verdict::Fail, C::CertificateExpired)],
            ),
            (
                shaken(expired, false),
                vec![over, middle.clone()],
                vec![
                    (Verdict::Fail, C::CertificateExpired),
                    (Verdict::Fail, C::CertificateWrongName),
                ],
            ),
            (
                shaken(Trust::Trusted, false),
                vec![leaf, middle.clone()],
                vec![(Verdict::Fail, C::CertificateWrongName)],
            ),
            (
                shaken(Trust::Trusted, true),
                vec![soon, middle],
                vec![(Verdict::Warn, C::CertificateExpiresSoon)],
            ),
        ];
        for (shaken, chain, expected) in table {
            let found: Vec<(Verdict, C)> = of_chain(&shaken, &chain, NOW)
                .into_iter()
                .filter_map(|finding| Some((finding.verdict, finding.code?)))
                .collect();
            assert_eq!(found, expected, "{shaken:?} {chain:?}");
        }
    }

    #[test]
    fn a_handshake_that_fails_without_a_certificate_is_told() {
        let shaken = Shaken {
            failed: Some("alert: handshake failure".into()),
            ..Shaken::default()
        };
        let findings = judge(&shaken, NOW);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].code, Some(Code::TlsFailed));
    }
}
