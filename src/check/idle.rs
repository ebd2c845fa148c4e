//! How long a connection lives on which little or nothing is said. Seen from outside, only the shortest time limit on the way
//! shows. Judged from what was heard.

use super::cookies::Jar;
use super::engineio::Handshake;
use super::finding::{Code, Finding, Step};
use super::scout::Scout;
use super::walk::{Walk, told};
use std::time::Duration;
use swarm_agent::wire::look::{Heard, Talk, Upgrade};
use swarm_agent::wire::share::Version;

/// A connection is watched a little longer than it must live.
const MORE: Duration = Duration::from_secs(1);

/// Watches as long as the user allows.
pub async fn look<S: Scout>(walk: &Walk<'_, S>, handshake: Option<&Handshake>) -> Vec<Finding> {
    let aim = walk.aim;
    let Some(most) = aim.idle else {
        return vec![Finding::skipped(Step::Idle, "it takes its time: add --idle 90s")];
    };
    let mut findings = Vec::new();
    if let Some(handshake) = handshake {
        findings.push(heartbeats(walk, handshake, most).await);
    }
    let raw = aim.idle_path.clone().or_else(|| {
        let own = aim.speech == super::aim::Speech::Websocket;
        own.then(|| aim.target.path.clone())
    });
    if let Some(path) = raw {
        findings.push(silence(walk, &path, most).await);
    }
    if findings.is_empty() {
        findings.push(Finding::skipped(
            Step::Idle,
            "nothing to watch: name a WebSocket with --idle-path PATH",
        ));
    }
    findings
}

/// A client of Engine.IO that does nothing but keep its heartbeat.
async fn heartbeats<S: Scout>(walk: &Walk<'_, S>, handshake: &Handshake, most: Duration) -> Finding {
    let life = handshake.life();
    if life > most {
        let seen = format!(
            "pingInterval + pingTimeout is {:.1} s, which is longer than --idle {:.1} s",
            life.as_secs_f64(),
            most.as_secs_f64()
        );
        return Finding::skipped(Step::Idle, seen);
    }
    let version = walk.version.get();
    let path = walk.aim.engineio_path(version, "websocket", "");
    let name = match walk.open(0, &path, &Jar::default()).await {
        Ok((name, _, Upgrade::Done)) => name,
        Ok((_, answered, _)) => {
            return Finding::unknown(Step::Idle, None, format!("no WebSocket: {}", told(&answered)));
        }
        Err(fault) => return Finding::unknown(Step::Idle, None, format!("no WebSocket: {}", fault.detail)),
    };
    let interval = handshake.ping_interval;
    let talk = match version {
        Version::Four => Talk {
            name,
            send: super::broadcast::joining(walk.aim, version).into_iter().collect(),
            replies: vec![("2".into(), "3".into())],
            ..Talk::default()
        },
        Version::Three => Talk {
            name,
            every: Some((interval.saturating_mul(1_000_000), "2".into())),
            ..Talk::default()
        },
    };
    let heard = walk.talk(0, life + MORE, talk).await;
    walk.close(0, name).await;
    match heard {
        Ok(heard) => judge_heartbeats(&heard, handshake),
        Err(fault) => Finding::unknown(Step::Idle, None, fault.detail),
    }
}

/// What is said of a client that only keeps its heartbeat.
pub fn judge_heartbeats(heard: &Heard, handshake: &Handshake) -> Finding {
    let step = Step::Idle;
    let life = handshake.life().as_secs_f64();
    let lived = heard.took as f64 / 1e9;
    match &heard.ended {
        None => Finding::pass(
            step,
            format!(
                "a client that only keeps its heartbeat was still connected after {lived:.1} s (pingInterval + pingTimeout is {life:.1} s)"
            ),
        ),
        Some(ended) if heard.by_frame => Finding::unknown(
            step,
            None,
            format!("the server itself ended it after {lived:.1} s: {ended}"),
        ),
        Some(ended) => {
            let seen = format!(
                "cut after {lived:.1} s ({ended}); the server pings every {} s",
                handshake.ping_interval as f64 / 1e3
            );
            Finding::fail(step, Code::IdleCutBeforePing, seen)
                .because("a time limit on the way is shorter than pingInterval: quiet clients lose their connection again and again")
        }
    }
}

async fn silence<S: Scout>(walk: &Walk<'_, S>, path: &str, most: Duration) -> Finding {
    let name = match walk.open(0, path, &Jar::default()).await {
        Ok((name, _, Upgrade::Done)) => name,
        Ok((_, answered, _)) => {
            return Finding::unknown(Step::Idle, None, format!("no WebSocket at {path}: {}", told(&answered)));
        }
        Err(fault) => return Finding::unknown(Step::Idle, None, format!("no WebSocket at {path}: {}", fault.detail)),
    };
    let talk = Talk {
        name,
        ..Talk::default()
    };
    let heard = walk.talk(0, most, talk).await;
    walk.close(0, name).await;
    match heard {
        // the query may hold secrets
        Ok(heard) => judge_silence(&heard, path.split('?').next().unwrap_or_default()),
        Err(fault) => Finding::unknown(Step::Idle, None, fault.detail),
    }
}

/// What is said of a WebSocket over which nothing is sent.
pub fn judge_silence(heard: &Heard, path: &str) -> Finding {
    let lived = heard.took as f64 / 1e9;
    match &heard.ended {
        None => Finding::pass(
            Step::Idle,
            format!("a silent WebSocket at {path} was still open after {lived:.1} s"),
        ),
        Some(ended) => {
            let who = if heard.by_frame {
                "the server, or what speaks for it, said so"
            } else {
                "no close frame came"
            };
            Finding::warn(
                Step::Idle,
                Code::IdleCut,
                format!("a silent WebSocket at {path} was cut after {lived:.1} s: {ended}"),
            )
            .because(format!(
                "{who}: send something more often than that, or set the time limit higher"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Verdict;

    fn heard(seconds: u64, ended: Option<&str>, by_frame: bool) -> Heard {
        Heard {
            took: seconds * 1_000_000_000,
            ended: ended.map(str::to_owned),
            by_frame,
            ..Heard::default()
        }
    }

    #[test]
    fn ends_are_judged() {
        let handshake = Handshake {
            sid: "x".into(),
            upgrades: Vec::new(),
            ping_interval: 10_000,
            ping_timeout: 4000,
            max_payload: None,
        };
        let code = |finding: Finding| (finding.verdict, finding.code);
        let cut = Some("the connection was closed without a close frame");
        assert_eq!(
            code(judge_heartbeats(&heard(15, None, false), &handshake)),
            (Verdict::Pass, None)
        );
        assert_eq!(
            code(judge_heartbeats(&heard(3, cut, false), &handshake)),
            (Verdict::Fail, Some(Code::IdleCutBeforePing))
        );
        assert_eq!(
            code(judge_heartbeats(&heard(3, Some("close frame 1000"), true), &handshake)),
            (Verdict::Unknown, None)
        );
        assert_eq!(
            code(judge_silence(&heard(90, None, false), "/ws")),
            (Verdict::Pass, None)
        );
        let silence = judge_silence(&heard(3, cut, false), "/ws");
        assert!(silence.seen.contains("cut after 3.0 s"), "{}", silence.seen);
        assert_eq!(code(silence), (Verdict::Warn, Some(Code::IdleCut)));
    }
}
