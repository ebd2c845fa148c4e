//! Redirects: whether plain http leads to https, and whether it leads there at all. Redirects are followed on the URL's own
//! host and its two ports alone. Judged from what was seen.

use super::cookies::Jar;
use super::finding::{Code, Finding, Step};
use super::scout::Scout;
use super::walk::{Walk, header};
use swarm_agent::wire::fault::{Fault, FaultKind};
use swarm_agent::wire::share::Target;
use url::Url;

/// Redirects that are followed.
const MOST: usize = 6;

/// One request on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Where it went.
    pub url: String,
    /// Status, or what went wrong.
    pub answer: Result<u16, Fault>,
    /// Where the answer leads.
    pub to: Option<Lead>,
}

/// Where a redirect leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lead {
    /// Within the URL's host and ports: that is asked next.
    Here(String),
    /// Anywhere else.
    Elsewhere(String),
    /// To nothing that is a URL.
    Nowhere(String),
}

/// Follows the way of a client that begins at `http://`, or at the URL itself where that is plain or port 80 is closed.
pub async fn look<S: Scout>(walk: &Walk<'_, S>) -> Vec<Finding> {
    let mut hops = Vec::new();
    let aim = walk.aim;
    let path = aim.first_path();
    if let Some(twin) = &aim.twin {
        hops = follow(walk, twin, &path).await;
    }
    let closed = hops.first().is_some_and(|hop: &Hop| hop.answer.is_err());
    let own = if aim.twin.is_none() || closed {
        follow(walk, &aim.target, &path).await
    } else {
        Vec::new()
    };
    judge(
        aim.target.tls,
        hops.first().is_some_and(|_| true).then_some(&hops[..]),
        &own,
    )
}

async fn follow<S: Scout>(walk: &Walk<'_, S>, from: &Target, path: &str) -> Vec<Hop> {
    let mut hops: Vec<Hop> = Vec::new();
    let (mut target, mut path) = (from.clone(), path.to_owned());
    while hops.len() < MOST {
        let url = format!("{}://{}{path}", scheme(&target), target.authority);
        let known = hops.iter().any(|hop| hop.url == url);
        if known {
            break;
        }
        let mut asked = walk.request("GET", &path, &Jar::default(), None);
        asked.authority.clone_from(&target.authority);
        let answer = walk.ask_at(0, &target, asked).await;
        let location = answer.as_ref().ok().and_then(|answered| {
            let leads = matches!(answered.status, 301 | 302 | 303 | 307 | 308);
            header(answered, "location").filter(|_| leads).map(str::to_owned)
        });
        let lead = location.map(|location| {
            lead(
                &url,
                &location,
                &[Some(from), Some(&walk.aim.target), walk.aim.twin.as_ref()],
            )
        });
        hops.push(Hop {
            url: url.clone(),
            answer: answer.map(|answered| answered.status),
            to: lead.as_ref().map(|(lead, _)| lead.clone()),
        });
        match lead {
            Some((Lead::Here(_), Some((next, next_path)))) => (target, path) = (next, next_path),
            _ => break,
        }
    }
    hops
}

fn scheme(target: &Target) -> &'static str {
    if target.tls { "https" } else { "http" }
}

/// Where a `Location` leads, and what is to be asked there.
fn lead(from: &str, location: &str, known: &[Option<&Target>]) -> (Lead, Option<(Target, String)>) {
    let joined = Url::parse(from).and_then(|base| base.join(location));
    let Ok(url) = joined else {
        return (Lead::Nowhere(location.to_owned()), None);
    };
    let (host, port) = (
        url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
        url.port_or_known_default(),
    );
    let tls = matches!(url.scheme(), "https" | "wss");
    let fits =
        |target: &&Target| target.tls == tls && target.host.eq_ignore_ascii_case(&host) && Some(target.port) == port;
    match known.iter().flatten().copied().find(fits) {
        Some(target) => {
            let path = match url.query() {
                Some(query) => format!("{}?{query}", url.path()),
                None => url.path().to_owned(),
            };
            (Lead::Here(url.to_string()), Some((target.clone(), path)))
        }
        None => (Lead::Elsewhere(url.to_string()), None),
    }
}

/// What is said of it. `plain`: the way from port 80, where the URL is on TLS; `own`: the way from the URL itself.
pub fn judge(tls: bool, plain: Option<&[Hop]>, own: &[Hop]) -> Vec<Finding> {
    let step = Step::Redirect;
    let hops = match plain {
        Some([Hop { answer: Err(_), .. }, ..]) | None => own,
        Some(hops) => hops,
    };
    let Some(last) = hops.last() else {
        return vec![Finding::skipped(step, "nothing was asked")];
    };
    let way = way(hops);
    match &last.to {
        Some(Lead::Here(_)) => {
            let why = "every client goes round until it gives up; behind a balancer that ends TLS the server may not know that the request came by https";
            vec![Finding::fail(step, Code::RedirectLoop, way).because(why)]
        }
        Some(Lead::Elsewhere(to)) => {
            let why = format!(
                "clients of this URL end at {}, which was not looked at; WebSocket clients do not follow redirects",
                short(to)
            );
            vec![Finding::warn(step, Code::RedirectElsewhere, way).because(why)]
        }
        Some(Lead::Nowhere(_)) => {
            vec![Finding::warn(step, Code::RedirectElsewhere, way).because("its Location is no URL")]
        }
        None => vec![ended(tls, plain, own, hops, way)],
    }
}

fn ended(tls: bool, plain: Option<&[Hop]>, own: &[Hop], hops: &[Hop], way: String) -> Finding {
    let step = Step::Redirect;
    if let Some([Hop { answer: Err(fault), .. }, ..]) = plain {
        let what = match fault.kind {
            FaultKind::ConnectRefused => "port 80 is closed".to_owned(),
            _ => format!("port 80: {}", fault.detail),
        };
        let own = own.first().and_then(|hop| hop.answer.as_ref().ok());
        let itself = own
            .map(|status| format!("; the URL itself answers {status}"))
            .unwrap_or_default();
        return Finding::pass(step, format!("{what}: nothing to redirect{itself}"));
    }
    if !tls {
        return match hops {
            [only] if only.answer.is_err() => Finding::skipped(step, format!("no answer: {way}")),
            [_] => Finding::pass(step, format!("none: {way}")),
            _ => Finding::pass(step, way),
        };
    }
    let reached_tls = hops.last().is_some_and(|hop| hop.url.starts_with("https://"));
    if reached_tls {
        return Finding::pass(step, way);
    }
    Finding::warn(step, Code::NoRedirect, way).because(
        "whoever types the name, or follows an old link, stays on plain http: cookies and tokens travel in the clear",
    )
}

/// `http://h/ 301 -> https://h/ 200`
fn way(hops: &[Hop]) -> String {
    let mut text: Vec<String> = hops
        .iter()
        .map(|hop| match &hop.answer {
            Ok(status) => format!("{} {status}", short(&hop.url)),
            Err(fault) => format!("{}: {}", short(&hop.url), fault.detail),
        })
        .collect();
    match hops.last().and_then(|hop| hop.to.as_ref()) {
        Some(Lead::Here(url) | Lead::Elsewhere(url) | Lead::Nowhere(url)) => text.push(short(url)),
        None => {}
    }
    text.join(" -> ")
}

fn short(url: &str) -> String {
    // the query is the protocol's own, or may hold secrets
    url.split('?').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Verdict;

    fn hop(url: &str, status: u16, to: Option<Lead>) -> Hop {
        Hop {
            url: url.into(),
            answer: Ok(status),
            to,
        }
    }

    fn closed(url: &str) -> Hop {
        Hop {
            url: url.into(),
            answer: Err(Fault::new(FaultKind::ConnectRefused, "Connection refused")),
            to: None,
        }
    }

    #[test]
    fn ways_are_judged() {
        let (plain, tls) = ("http://h/x", "https://h/x");
        let here = |url: &str| Some(Lead::Here(url.into()));
        let elsewhere = Some(Lead::Elsewhere("https://other/".into()));
        // https, the way from port 80 and the URL's own, what is found
        type Row = (bool, Option<Vec<Hop>>, Vec<Hop>, Verdict, Option<Code>);
        let table: Vec<Row> = vec![
            (
                true,
                Some(vec![hop(plain, 301, here(tls)), hop(tls, 200, None)]),
                vec![],
                Verdict::Pass,
                None,
            ),
            (
                true,
                Some(vec![hop(plain, 200, None)]),
                vec![],
                Verdict::Warn,
                Some(Code::NoRedirect),
            ),
            (
                true,
                Some(vec![hop(plain, 404, None)]),
                vec![],
                Verdict::Warn,
                Some(Code::NoRedirect),
            ),
            (
                true,
                Some(vec![hop(plain, 301, here(tls)), hop(tls, 301, here(plain))]),
                vec![],
                Verdict::Fail,
                Some(Code::RedirectLoop),
            ),
            (
                true,
                Some(vec![closed(plain)]),
                vec![hop(tls, 200, None)],
                Verdict::Pass,
                None,
            ),
            (
                true,
                Some(vec![closed(plain)]),
                vec![hop(tls, 301, here(tls))],
                Verdict::Fail,
                Some(Code::RedirectLoop),
            ),
            (
                true,
                Some(vec![hop(plain, 301, elsewhere.clone())]),
                vec![],
                Verdict::Warn,
                Some(Code::RedirectElsewhere),
            ),
            (false, None, vec![hop(plain, 200, None)], Verdict::Pass, None),
            (
                false,
                None,
                vec![hop(plain, 301, elsewhere)],
                Verdict::Warn,
                Some(Code::RedirectElsewhere),
            ),
            (
                false,
                None,
                vec![hop(plain, 302, here("http://h/y")), hop("http://h/y", 200, None)],
                Verdict::Pass,
                None,
            ),
            (
                false,
                None,
                vec![hop(plain, 302, here(plain))],
                Verdict::Fail,
                Some(Code::RedirectLoop),
            ),
        ];
        for (tls, plain, own, verdict, code) in table {
            let findings = judge(tls, plain.as_deref(), &own);
            assert_eq!(findings.len(), 1);
            assert_eq!(
                (findings[0].verdict, findings[0].code),
                (verdict, code),
                "{plain:?} {own:?}"
            );
        }
    }

    #[test]
    fn only_the_urls_own_host_and_ports_are_here() {
        let target = |tls: bool, port: u16| Target {
            url: String::new(),
            tls,
            host: "chat.test".into(),
            port,
            path: "/".into(),
            authority: "chat.test".into(),
            weight: 1,
            connect_to: None,
            fallback: Vec::new(),
        };
        let (plain, tls) = (target(false, 80), target(true, 8443));
        let known = [Some(&plain), Some(&tls)];
        for (location, here) in [
            ("https://chat.test:8443/a?b=1", true),
            ("/login", true),
            ("https://CHAT.test:8443/", true),
            ("https://chat.test/", false),
            ("https://evil.test:8443/", false),
            ("//evil.test/", false),
        ] {
            let (lead, next) = lead("http://chat.test/x", location, &known);
            assert_eq!(matches!(lead, Lead::Here(_)), here, "{location}");
            assert_eq!(next.is_some(), here, "{location}");
        }
        let (_, next) = lead("http://chat.test/x", "https://chat.test:8443/a?b=1", &known);
        assert_eq!(
            next.map(|(target, path)| (target.port, path)),
            Some((8443, "/a?b=1".into()))
        );
    }
}
