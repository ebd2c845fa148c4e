//! `swarm check`: walks the way that a real client takes to a target, and says for each step what was seen and what it means.
//! Looks are ordered from hosts through a [`Scout`]; each step's judgement is a pure function of what was seen.
//!
//! Never here: load, printing, how hosts are reached.

pub mod aim;
pub mod balancer;
mod broadcast;
mod certificate;
pub mod cookies;
mod engineio;
pub mod finding;
mod idle;
pub mod mend;
mod names;
mod polling;
mod probe;
mod redirect;
pub mod scout;
mod stickiness;
mod versions;
mod walk;
mod websocket;
mod x509;

pub use names::{Resolved, resolve};

use aim::{Aim, Speech};
use balancer::Kind;
use engineio::Handshake;
use finding::{Code, Finding, Step, Verdict};
use mend::Mend;
use scout::{Origin, Scout};
use std::collections::BTreeMap;
use stickiness::Need;
use walk::Walk;

/// What a quiet connection must live, where no server said so.
const USUAL_LIFE_S: u64 = 45;

/// All that was found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The URL, without secrets.
    pub target: String,
    /// Origins that looked.
    pub from: Vec<Origin>,
    /// The balancer, and how it is known.
    pub balancer: Option<(Kind, String)>,
    /// Findings in the order of the steps, each with the lines that mend it.
    pub steps: Vec<(Finding, Vec<Mend>)>,
    /// Connections that were made.
    pub requests: u32,
    /// Some address of the target could be connected to.
    pub reached: bool,
}

impl Report {
    /// Whether some step fails.
    pub fn fails(&self) -> bool {
        self.steps.iter().any(|(finding, _)| finding.verdict == Verdict::Fail)
    }
}

/// Walks the whole way. `now`: seconds since 1970.
pub async fn check<S: Scout>(scout: &S, aim: &Aim, origins: &[Origin], resolved: &Resolved, now: i64) -> Report {
    let ground = names::reach(scout, aim, origins, resolved).await;
    if ground.ways.is_empty() {
        return report(aim, origins, ground.findings, (None, ground.asked), None);
    }
    let walk = Walk::new(scout, aim, ground.ways, ground.asked);
    let mut findings = ground.findings;
    findings.extend(redirect::look(&walk).await);
    findings.extend(certificate::look(&walk, now).await);
    let no_tls = findings.iter().any(|finding| finding.code == Some(Code::TlsFailed));
    findings.extend(versions::look(&walk).await);
    let mut handshake = None;
    if no_tls {
        findings.extend(rest_skipped("no TLS connection stands"));
    } else {
        let (more, said) = match aim.speech {
            Speech::Http => (http(&walk).await, None),
            Speech::Websocket => (raw(&walk).await, None),
            Speech::Socketio | Speech::Engineio => engineio_steps(&walk).await,
        };
        findings.extend(more);
        handshake = said;
    }
    let told = aim.balancer.map(|kind| (kind, "--balancer".to_owned()));
    let balancer = told.or_else(|| walk.sign());
    report(
        aim,
        &walk.origins,
        findings,
        (balancer, walk.requests()),
        handshake.as_ref(),
    )
}

fn report(
    aim: &Aim,
    from: &[Origin],
    mut findings: Vec<Finding>,
    (balancer, requests): (Option<(Kind, String)>, u32),
    handshake: Option<&Handshake>,
) -> Report {
    let reached = findings.iter().any(|finding| finding.step != Step::Dns);
    if !reached {
        findings.push(Finding::skipped(Step::Redirect, NOT_REACHED));
        findings.push(Finding::skipped(Step::Certificate, NOT_REACHED));
        findings.push(Finding::skipped(Step::TlsVersions, NOT_REACHED));
        findings.extend(rest_skipped(NOT_REACHED));
    }
    // a stable sort: findings of one step stay in their order
    findings.sort_by_key(|finding| finding.step);
    let place = mend::Place {
        path: if aim.speech.is_engineio() {
            aim.endpoint.clone()
        } else {
            aim.target.path.split('?').next().unwrap_or_default().to_owned()
        },
        host: aim.target.host.clone(),
        seconds: handshake.map_or(USUAL_LIFE_S, |handshake| handshake.life().as_secs().max(1)),
    };
    let kind = aim.balancer.or(balancer.as_ref().map(|(kind, _)| *kind));
    let mended = |finding: Finding| {
        let wanted = matches!(finding.verdict, Verdict::Fail | Verdict::Warn);
        let lines = match finding.code.filter(|_| wanted) {
            Some(code) => mend::lines(code, kind, &place),
            None => Vec::new(),
        };
        (finding, lines)
    };
    Report {
        target: aim.target.url.clone(),
        from: from.to_vec(),
        balancer: balancer.or_else(|| aim.balancer.map(|kind| (kind, "--balancer".to_owned()))),
        steps: findings.into_iter().map(mended).collect(),
        requests,
        reached,
    }
}

const NOT_REACHED: &str = "the target was not reached";

fn rest_skipped(why: &str) -> Vec<Finding> {
    let steps = [
        Step::UpgradeHeaders,
        Step::Websocket,
        Step::Engineio,
        Step::Polling,
        Step::Upgrade,
        Step::Stickiness,
        Step::Idle,
        Step::Broadcast,
    ];
    steps.map(|step| Finding::skipped(step, why)).into()
}

fn skipped(steps: &[Step], why: &str) -> Vec<Finding> {
    steps.iter().map(|step| Finding::skipped(*step, why)).collect()
}

/// Steps that are Engine.IO's alone.
const OF_ENGINEIO: [Step; 3] = [Step::Engineio, Step::Polling, Step::Upgrade];

async fn http<S: Scout>(walk: &Walk<'_, S>) -> Vec<Finding> {
    let mut findings = websocket::skipped("an http URL: ws://, wss:// or --socketio asks for a WebSocket");
    findings.extend(skipped(&OF_ENGINEIO, "no Socket.IO is asked for: add --socketio"));
    findings.push(by_name(walk).await);
    findings.extend(idle::look(walk, None).await);
    findings.push(Finding::skipped(
        Step::Broadcast,
        "no Socket.IO is asked for: add --socketio",
    ));
    findings
}

async fn raw<S: Scout>(walk: &Walk<'_, S>) -> Vec<Finding> {
    let stands = websocket::look(walk, &walk.aim.target.path).await;
    let mut findings = stands.findings;
    findings.extend(skipped(&OF_ENGINEIO, "no Socket.IO is asked for: add --socketio"));
    match stands.kept {
        Some(name) => {
            walk.close(0, name).await;
            findings.push(by_name(walk).await);
            findings.extend(idle::look(walk, None).await);
        }
        None => findings.extend(skipped(&[Step::Stickiness, Step::Idle], "no WebSocket stands")),
    }
    findings.push(Finding::skipped(
        Step::Broadcast,
        "no Socket.IO is asked for: add --socketio",
    ));
    findings
}

async fn by_name<S: Scout>(walk: &Walk<'_, S>) -> Finding {
    match stickiness::look_by_name(walk).await {
        Some(tries) => stickiness::judge(&tries, Need::None),
        None => Finding::unknown(
            Step::Stickiness,
            None,
            "answers do not name their backend: say where they do with --backend-from header:NAME or cookie:NAME",
        ),
    }
}

async fn engineio_steps<S: Scout>(walk: &Walk<'_, S>) -> (Vec<Finding>, Option<Handshake>) {
    if walk.aim.polls {
        polled(walk).await
    } else {
        unpolled(walk).await
    }
}

/// Clients that begin by polling, as the real ones do.
async fn polled<S: Scout>(walk: &Walk<'_, S>) -> (Vec<Finding>, Option<Handshake>) {
    let opened = engineio::look(walk).await;
    let mut findings = opened.findings;
    let Some(handshake) = opened.handshake else {
        let none = rest_skipped("nothing speaks Engine.IO there");
        findings.extend(none.into_iter().filter(|finding| finding.step != Step::Engineio));
        return (findings, None);
    };
    let stands = websocket::look(walk, &walk.aim.engineio_path(walk.version.get(), "websocket", "")).await;
    findings.extend(stands.findings);
    if let Some(name) = stands.kept {
        walk.close(0, name).await;
    }
    let sessions = polling::survey(walk).await;
    let polls = polls(walk).await;
    let polled = polls.as_ref().ok().map(|(session, count)| (session, count));
    let tries = stickiness::look(walk, polled).await;
    let astray = polled.is_some_and(|(_, count)| !count.all_known());
    let changes = match (walk.aim.upgrades, astray, stands.kept) {
        (false, ..) => Err("clients stay on polling (--transport polling)"),
        (_, true, _) => Err("polls of one session do not reach one server"),
        (.., None) => Err("no WebSocket stands"),
        _ => Ok(probe::look(walk).await),
    };
    // judged when all of them have shown which backends there are
    let several = walk.knows_several();
    findings.push(match &polls {
        Ok((_, count)) => polling::judge(count, several, &walk.backends(), walk.aim.request.keep_cookies),
        Err(why) => Finding::fail(
            Step::Polling,
            Code::PollFailed,
            format!("no session could be opened: {why}"),
        ),
    });
    findings.push(match changes {
        Ok(changes) => probe::judge(&changes, several),
        Err(why) => Finding::skipped(Step::Upgrade, why),
    });
    findings.push(match tries {
        Some(tries) => stickiness::judge(&tries, Need::Polls),
        None => Finding::unknown(Step::Stickiness, None, "no session could be opened"),
    });
    findings.extend(held(walk, &handshake, stands.kept.is_some(), &sessions).await);
    (findings, Some(handshake))
}

/// Clients that begin with a WebSocket.
async fn unpolled<S: Scout>(walk: &Walk<'_, S>) -> (Vec<Finding>, Option<Handshake>) {
    let stands = websocket::look(walk, &walk.aim.engineio_path(walk.version.get(), "websocket", "")).await;
    let mut findings = stands.findings;
    let Some(name) = stands.kept else {
        let rest = rest_skipped("no WebSocket stands");
        let told = [Step::UpgradeHeaders, Step::Websocket];
        findings.extend(rest.into_iter().filter(|finding| !told.contains(&finding.step)));
        return (findings, None);
    };
    let opened = engineio::look_over(walk, name).await;
    walk.close(0, name).await;
    findings.extend(opened.findings);
    findings.extend(skipped(
        &[Step::Polling, Step::Upgrade],
        "clients don't poll (ws://, wss:// or --transport websocket)",
    ));
    let Some(handshake) = opened.handshake else {
        findings.extend(skipped(
            &[Step::Stickiness, Step::Idle, Step::Broadcast],
            "nothing speaks Engine.IO there",
        ));
        return (findings, None);
    };
    // whether the balancer would carry clients that poll; a server may not let them
    let sessions = polling::survey(walk).await;
    findings.push(match stickiness::look(walk, None).await {
        Some(tries) => stickiness::judge(&tries, Need::MayPoll),
        None => Finding::skipped(
            Step::Stickiness,
            "the server lets nobody poll, and a WebSocket needs none",
        ),
    });
    findings.extend(held(walk, &handshake, true, &sessions).await);
    (findings, Some(handshake))
}

/// One session, and as many polls as it takes to be sure.
async fn polls<S: Scout>(walk: &Walk<'_, S>) -> Result<(polling::Session, polling::Count), String> {
    let mut session = polling::session(walk, 0).await?;
    let most = polling::tries(walk.backends().len());
    let keep = walk.aim.request.keep_cookies;
    let count = polling::polls(walk, &mut session, 0, keep, (most, most)).await;
    polling::leave(walk, &session, 0, &session.jar).await;
    Ok((session, count))
}

/// Steps that need a WebSocket to be held.
async fn held<S: Scout>(
    walk: &Walk<'_, S>,
    handshake: &Handshake,
    stands: bool,
    sessions: &[polling::Session],
) -> Vec<Finding> {
    if !stands {
        return skipped(&[Step::Idle, Step::Broadcast], "no WebSocket stands");
    }
    let mut findings = idle::look(walk, Some(handshake)).await;
    findings.push(broadcast::look(walk, &homes(sessions)).await);
    findings
}

/// The backend of each origin, where all of its sessions (two at least) reached the same.
fn homes(sessions: &[polling::Session]) -> BTreeMap<usize, String> {
    let mut names: BTreeMap<usize, Vec<&Option<String>>> = BTreeMap::new();
    for session in sessions {
        names.entry(session.origin).or_default().push(&session.backend);
    }
    let one = |(origin, names): (usize, Vec<&Option<String>>)| {
        let first = names.first().copied().cloned().flatten()?;
        let same = names.len() > 1 && names.iter().all(|name| name.as_ref() == Some(&first));
        same.then_some((origin, first))
    };
    names.into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests;
