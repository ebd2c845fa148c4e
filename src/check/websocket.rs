//! The WebSocket handshake: whether `Upgrade` and `Connection` get through, and what answers. Judged from what was seen.

use super::cookies::Jar;
use super::finding::{Code, Finding, Step};
use super::scout::Scout;
use super::walk::{Walk, told};
use swarm_agent::wire::fault::Fault;
use swarm_agent::wire::look::{Answered, Upgrade};

/// What came of it.
pub struct Stands {
    /// Both steps.
    pub findings: Vec<Finding>,
    /// The WebSocket that stands, by its name.
    pub kept: Option<u32>,
}

/// Shakes hands at the path; where that fails, asks for the same path as a plain request.
pub async fn look<S: Scout>(walk: &Walk<'_, S>, path: &str) -> Stands {
    let opened = walk.open(0, path, &Jar::default()).await;
    let kept = match &opened {
        Ok((name, _, Upgrade::Done)) => Some(*name),
        _ => None,
    };
    let plain = match &opened {
        Ok((_, _, Upgrade::Refused)) => {
            let asked = walk.request("GET", path, &Jar::default(), None);
            walk.ask(0, asked).await.ok()
        }
        _ => None,
    };
    let handshake = opened.map(|(_, answered, upgrade)| (answered, upgrade));
    Stands {
        findings: judge(&handshake, plain.as_ref()),
        kept,
    }
}

/// Both steps where there is nothing to shake hands with.
pub fn skipped(why: &str) -> Vec<Finding> {
    vec![
        Finding::skipped(Step::UpgradeHeaders, why),
        Finding::skipped(Step::Websocket, why),
    ]
}

/// What is said of it. `plain`: the answer to a request of the same path without the headers of the upgrade.
pub fn judge(handshake: &Result<(Answered, Upgrade), Fault>, plain: Option<&Answered>) -> Vec<Finding> {
    let (headers, socket) = (Step::UpgradeHeaders, Step::Websocket);
    match handshake {
        Ok((_, Upgrade::Done)) => vec![
            Finding::pass(headers, "they get through: 101 Switching Protocols"),
            Finding::pass(socket, "it stands"),
        ],
        Ok((_, Upgrade::Wrong(why))) => vec![
            Finding::pass(headers, "they get through: 101 Switching Protocols"),
            Finding::fail(socket, Code::WebsocketWrongAccept, why.clone())
                .because("something in the way rewrites the answer; clients close such a connection at once"),
        ],
        Ok((answered, Upgrade::Refused)) if is_eaten(answered, plain) => vec![
            Finding::fail(
                headers,
                Code::UpgradeEaten,
                format!(
                    "a WebSocket handshake is answered as a plain request is: {}",
                    told(answered)
                ),
            )
            .because(
                "a proxy in the way does not pass `Upgrade` and `Connection` on, or speaks HTTP/1.0 to the server",
            ),
            Finding::skipped(socket, "the handshake does not reach the server"),
        ],
        Ok((answered, Upgrade::Refused)) => {
            let same = plain.is_some_and(|plain| plain.status == answered.status);
            let why = match answered.status {
                401 | 403 if !same => {
                    "something in the way, or the server, refuses WebSockets and lets other requests pass"
                }
                502..=504 => "the balancer got no answer of the server",
                _ if same => "a plain request of this path is answered alike: is the path right?",
                _ => "the handshake arrives, and is refused",
            };
            vec![
                Finding::unknown(
                    headers,
                    None,
                    format!("the handshake is refused: status {}", answered.status),
                ),
                Finding::fail(socket, Code::WebsocketRefused, told(answered)).because(why),
            ]
        }
        Err(fault) => vec![
            Finding::unknown(headers, None, "the handshake is not answered"),
            Finding::fail(socket, Code::WebsocketRefused, fault.detail.clone()),
        ],
    }
}

/// Answered as though no upgrade had been asked for: the answer is that to a plain request, and one that such a request
/// gets rightly. A refusal for reasons of its own (403, 404, 5xx) is none.
fn is_eaten(answered: &Answered, plain: Option<&Answered>) -> bool {
    let alike = plain.is_some_and(|plain| plain.status == answered.status && plain.body == answered.body);
    match answered.status {
        // "Upgrade Required", as an answer to one that asks for an upgrade
        426 => true,
        200..=299 | 400 => alike,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Verdict;

    fn answered(status: u16, body: &str) -> Answered {
        Answered {
            status,
            body: body.as_bytes().to_vec(),
            ..Answered::default()
        }
    }

    #[test]
    fn handshakes_are_judged() {
        let bad = r#"{"code":3,"message":"Bad request"}"#;
        let refused = |status, body| Ok((answered(status, body), Upgrade::Refused));
        type Row = (
            Result<(Answered, Upgrade), Fault>,
            Option<Answered>,
            [(Verdict, Option<Code>); 2],
        );
        let (pass, skipped, unknown) = (
            (Verdict::Pass, None),
            (Verdict::Skipped, None),
            (Verdict::Unknown, None),
        );
        let eaten = (Verdict::Fail, Some(Code::UpgradeEaten));
        let no = (Verdict::Fail, Some(Code::WebsocketRefused));
        let table: Vec<Row> = vec![
            (Ok((answered(101, ""), Upgrade::Done)), None, [pass, pass]),
            (
                Ok((
                    answered(101, ""),
                    Upgrade::Wrong("101 without Sec-WebSocket-Accept".into()),
                )),
                None,
                [pass, (Verdict::Fail, Some(Code::WebsocketWrongAccept))],
            ),
            (refused(400, bad), Some(answered(400, bad)), [eaten, skipped]),
            (
                refused(426, "Upgrade Required"),
                Some(answered(426, "x")),
                [eaten, skipped],
            ),
            (refused(200, "<html>"), Some(answered(200, "<html>")), [eaten, skipped]),
            (refused(403, "no"), Some(answered(400, bad)), [unknown, no]),
            (refused(403, "no"), Some(answered(403, "no")), [unknown, no]),
            (refused(404, "no"), Some(answered(404, "no")), [unknown, no]),
            (refused(400, "no subprotocol"), Some(answered(426, "")), [unknown, no]),
            (refused(502, "gateway"), Some(answered(502, "gateway")), [unknown, no]),
        ];
        for (handshake, plain, expected) in table {
            let found: Vec<_> = judge(&handshake, plain.as_ref())
                .iter()
                .map(|finding| (finding.verdict, finding.code))
                .collect();
            assert_eq!(found, expected, "{handshake:?}");
        }
    }
}
