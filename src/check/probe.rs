//! The change from polling to WebSocket: does the WebSocket of a session reach the server that knows it, and does that answer
//! the probe? Judged from counts.

use super::finding::{Code, Finding, Step};
use super::polling::{self, Session};
use super::scout::Scout;
use super::walk::{Walk, told};
use super::{cookies::Jar, engineio};
use std::time::Duration;
use swarm_agent::wire::look::{Talk, Upgrade};

/// WebSockets that are opened for sessions, all origins together. Were they dealt to two servers by chance, all of them
/// would go right less often than once in four thousand times.
const TRIES: usize = 12;
/// Origins that take part.
const MOST: usize = 4;
/// The server's answer to a probe may take so long.
const ANSWER: Duration = Duration::from_secs(3);

/// How the changes went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// WebSockets that were opened for a session.
    pub tried: u32,
    /// Those that reached a server that does not know it.
    pub astray: u32,
    /// Those that were refused in another way, and how.
    pub refused: Vec<String>,
    /// Probes that were answered, and that were not.
    pub answered: u32,
    /// The same.
    pub unanswered: Vec<String>,
    /// Sessions that could not be opened.
    pub unopened: Vec<String>,
}

/// Opens sessions by polling and a few WebSockets for each.
pub async fn look<S: Scout>(walk: &Walk<'_, S>) -> Changes {
    let origins = walk.origins.len().min(MOST);
    let each = TRIES.div_ceil(origins.max(1));
    let mut changes = Changes::default();
    for origin in 0..origins {
        match polling::session(walk, origin).await {
            Ok(session) => {
                change(walk, &session, each, &mut changes).await;
                polling::leave(walk, &session, origin, &session.jar).await;
            }
            Err(why) => changes.unopened.push(why),
        }
    }
    changes
}

async fn change<S: Scout>(walk: &Walk<'_, S>, session: &Session, times: usize, changes: &mut Changes) {
    let path = walk.aim.engineio_path(walk.version.get(), "websocket", &session.sid);
    let jar = if walk.aim.request.keep_cookies {
        session.jar.clone()
    } else {
        Jar::default()
    };
    for time in 0..times {
        changes.tried += 1;
        match walk.open(session.origin, &path, &jar).await {
            Ok((name, _, Upgrade::Done)) => {
                // one answer is enough; later WebSockets of the session only show where they arrive
                if time == 0 {
                    let probe = Talk {
                        name,
                        send: vec!["2probe".into()],
                        until: Some("3probe".into()),
                        ..Talk::default()
                    };
                    match walk.talk(session.origin, ANSWER, probe).await {
                        Ok(heard) if heard.found => changes.answered += 1,
                        Ok(heard) => changes
                            .unanswered
                            .push(heard.ended.unwrap_or_else(|| "no answer within 3 s".to_owned())),
                        Err(fault) => changes.unanswered.push(fault.detail),
                    }
                }
                walk.close(session.origin, name).await;
            }
            Ok((_, answered, _)) if engineio::refusal(&answered) == Some(1) => {
                walk.met_stranger();
                changes.astray += 1;
            }
            Ok((_, answered, _)) => changes.refused.push(told(&answered)),
            Err(fault) => changes.refused.push(fault.detail),
        }
    }
}

/// What is said of it.
pub fn judge(changes: &Changes, several: bool) -> Finding {
    let step = Step::Upgrade;
    if changes.tried == 0 {
        let why = changes.unopened.first().map_or("no session", String::as_str);
        return Finding::unknown(step, None, format!("no session could be opened: {why}"));
    }
    if changes.astray > 0 {
        let seen = format!(
            "the WebSocket of a session met \"Session ID unknown\" in {} of {} tries",
            changes.astray, changes.tried
        );
        return Finding::fail(step, Code::UpgradeOtherBackend, seen).because(
            "the balancer sends WebSockets by another rule than polls: clients stay on polling, or lose their session",
        );
    }
    let failed = changes.refused.iter().chain(&changes.unanswered).next();
    if let Some(first) = failed {
        let seen = format!(
            "{} of {} WebSockets of sessions were refused, {} of {} probes not answered: {first}",
            changes.refused.len(),
            changes.tried,
            changes.unanswered.len(),
            changes.answered as usize + changes.unanswered.len()
        );
        return Finding::fail(step, Code::UpgradeProbeFailed, seen).because("clients stay on polling");
    }
    let seen = format!(
        "the server that knows the session answered the probe; {} of {} WebSockets of sessions reached it",
        changes.tried, changes.tried
    );
    let alone = if several {
        ""
    } else {
        "; only one backend was seen, so that says little"
    };
    Finding::pass(step, seen + alone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Verdict;

    #[test]
    fn changes_are_judged() {
        let of = |astray, refused: &[&str], unanswered: &[&str]| Changes {
            tried: 12,
            astray,
            refused: refused.iter().map(|text| (*text).to_owned()).collect(),
            answered: 1,
            unanswered: unanswered.iter().map(|text| (*text).to_owned()).collect(),
            unopened: Vec::new(),
        };
        let table = [
            (of(0, &[], &[]), true, Verdict::Pass, None),
            (of(0, &[], &[]), false, Verdict::Pass, None),
            (of(5, &[], &[]), true, Verdict::Fail, Some(Code::UpgradeOtherBackend)),
            (
                of(12, &["502"], &[]),
                true,
                Verdict::Fail,
                Some(Code::UpgradeOtherBackend),
            ),
            (
                of(0, &["status 502"], &[]),
                true,
                Verdict::Fail,
                Some(Code::UpgradeProbeFailed),
            ),
            (
                of(0, &[], &["no answer"]),
                true,
                Verdict::Fail,
                Some(Code::UpgradeProbeFailed),
            ),
            (Changes::default(), true, Verdict::Unknown, None),
        ];
        for (changes, several, verdict, code) in table {
            let finding = judge(&changes, several);
            assert_eq!((finding.verdict, finding.code), (verdict, code), "{changes:?}");
        }
    }
}
