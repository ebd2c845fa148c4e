//! What speaks Engine.IO at the endpoint: version, heartbeat, carriers. Judged from what was seen.

use super::cookies::Jar;
use super::finding::{Code, Finding, Step};
use super::scout::Scout;
use super::walk::{Walk, told};
use serde::Deserialize;
use std::time::Duration;
use swarm_agent::wire::fault::Fault;
use swarm_agent::wire::look::{Answered, Heard, Talk};
use swarm_agent::wire::share::{Eio, Version};

/// How long a server of version 3 may take to let a client into `/` by itself.
const BY_ITSELF: Duration = Duration::from_millis(300);

/// What a server tells at the opening of a session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handshake {
    /// Session id.
    pub sid: String,
    /// What it may be upgraded to.
    #[serde(default)]
    pub upgrades: Vec<String>,
    /// ms between pings.
    pub ping_interval: u64,
    /// ms that are waited for the answer.
    pub ping_timeout: u64,
    /// Bytes of a payload at most.
    #[serde(default)]
    pub max_payload: Option<u64>,
}

impl Handshake {
    /// From a ping to the end of a client that does not answer.
    pub fn life(&self) -> Duration {
        Duration::from_millis(self.ping_interval.saturating_add(self.ping_timeout))
    }
}

/// The answer to an opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// A session.
    Session(Version, Handshake),
    /// An error of Engine.IO: its code.
    Refused(i64),
    /// Something else.
    Else,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    #[serde(default)]
    message: Option<String>,
}

/// Reads it.
pub fn read(answered: &Answered) -> Opening {
    if let Some(code) = refusal(answered) {
        return Opening::Refused(code);
    }
    let text = String::from_utf8_lossy(&answered.body);
    let packet = |packet: &str| {
        let json = packet.strip_prefix('0')?;
        serde_json::from_str::<Handshake>(json)
            .ok()
            .filter(|handshake| is_sid(&handshake.sid))
    };
    if answered.status != 200 {
        return Opening::Else;
    }
    // version 3 writes `97:0{..}2:40`, version 4 `0{..}`
    let opened = match text.split_once(":0{") {
        Some((digits, _)) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let length = digits.parse().unwrap_or(0);
            let rest: String = text[digits.len() + 1..].chars().take(length).collect();
            packet(&rest).map(|handshake| (Version::Three, handshake))
        }
        _ => text
            .split('\u{1e}')
            .next()
            .and_then(packet)
            .map(|handshake| (Version::Four, handshake)),
    };
    match opened {
        Some((version, handshake)) => Opening::Session(version, handshake),
        None => Opening::Else,
    }
}

/// A session id goes into request lines: nothing but what its servers make of it.
fn is_sid(sid: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
    !sid.is_empty() && sid.len() <= 256 && sid.chars().all(plain)
}

/// The code of an error of Engine.IO: 1 is "Session ID unknown", 5 "Unsupported protocol version". Where an upgrade is
/// refused, the server sends the words alone.
pub fn refusal(answered: &Answered) -> Option<i64> {
    if answered.status == 400 && answered.body.trim_ascii() == b"Session ID unknown" {
        return Some(1);
    }
    let refusal: Refusal = serde_json::from_slice(&answered.body).ok()?;
    refusal.message.is_some().then_some(refusal.code)
}

/// What came of it.
pub struct Found {
    /// What is to be told.
    pub findings: Vec<Finding>,
    /// The session that was opened: the server speaks Engine.IO.
    pub handshake: Option<Handshake>,
}

/// Opens a session by polling, by the other version where the server wants that.
pub async fn look<S: Scout>(walk: &Walk<'_, S>) -> Found {
    let first = walk.aim.first_version();
    let (mut answer, _) = open(walk, 0, first).await;
    let mut spoken = first;
    if matches!(answer.as_ref().map(read), Ok(Opening::Refused(5))) {
        spoken = other(first);
        (answer, _) = open(walk, 0, spoken).await;
    }
    let (findings, session) = judge(&walk.aim.version, &walk.aim.endpoint, &answer, spoken);
    if let Some((version, _)) = &session {
        walk.version.set(*version);
    }
    Found {
        findings,
        handshake: session.map(|(_, handshake)| handshake),
    }
}

/// Opens a session by polling, as a client without cookies does.
pub async fn open<S: Scout>(walk: &Walk<'_, S>, origin: usize, version: Version) -> (Result<Answered, Fault>, Jar) {
    let path = walk.aim.engineio_path(version, "polling", "");
    let mut jar = Jar::default();
    let answer = walk.ask(origin, walk.request("GET", &path, &jar, None)).await;
    if let Ok(answered) = &answer {
        jar.take(super::walk::headers(answered), walk.place(&path));
    }
    (answer, jar)
}

fn other(version: Version) -> Version {
    match version {
        Version::Three => Version::Four,
        Version::Four => Version::Three,
    }
}

/// What is said of it, and the session, where the server speaks Engine.IO. `asked`: the version of the last request.
pub fn judge(
    wanted: &Eio,
    endpoint: &str,
    answer: &Result<Answered, Fault>,
    asked: Version,
) -> (Vec<Finding>, Option<(Version, Handshake)>) {
    let step = Step::Engineio;
    let answered = match answer {
        Ok(answered) => answered,
        Err(fault) => {
            let seen = format!("{endpoint}: {}", fault.detail);
            return (vec![Finding::fail(step, Code::HandshakeFailed, seen)], None);
        }
    };
    match read(answered) {
        Opening::Session(version, handshake) => {
            let told = describe(version, &handshake);
            if let Eio::Fixed(wanted) = wanted
                && *wanted != version
            {
                let seen = format!("clients speak Engine.IO {}, the server {}", wanted.number(), told);
                let why =
                    "clients of Socket.IO 1 and 2 speak 3, later ones 4; a server of 4 takes both with allowEIO3: true";
                let finding = Finding::fail(step, Code::WrongVersion, seen).because(why);
                return (vec![finding], Some((version, handshake)));
            }
            (vec![Finding::pass(step, told)], Some((version, handshake)))
        }
        Opening::Refused(5) => {
            let seen = format!(
                "the server does not speak version {}: {}",
                asked.number(),
                told(answered)
            );
            (vec![Finding::fail(step, Code::WrongVersion, seen)], None)
        }
        Opening::Refused(_) => {
            let seen = format!("Engine.IO refuses: {}", told(answered));
            (vec![Finding::fail(step, Code::HandshakeFailed, seen)], None)
        }
        Opening::Else if answered.status >= 500 => {
            let finding = Finding::fail(step, Code::HandshakeFailed, format!("{endpoint}: {}", told(answered)))
                .because("the balancer has no server that answers");
            (vec![finding], None)
        }
        Opening::Else => {
            let finding = Finding::fail(step, Code::NotEngineio, format!("{endpoint}: {}", told(answered)))
                .because("something else answers there: the balancer sends this path elsewhere, or the server's path is another one (--path)");
            (vec![finding], None)
        }
    }
}

fn describe(version: Version, handshake: &Handshake) -> String {
    let seconds = |ms: u64| ms as f64 / 1e3;
    let upgrades = if handshake.upgrades.is_empty() {
        "no upgrade offered".to_owned()
    } else {
        format!("upgrades to {}", handshake.upgrades.join(", "))
    };
    format!(
        "Engine.IO {}, pingInterval {} s, pingTimeout {} s, {upgrades}",
        version.number(),
        seconds(handshake.ping_interval),
        seconds(handshake.ping_timeout)
    )
}

/// The same over a WebSocket that stands, for clients that don't poll.
pub async fn look_over<S: Scout>(walk: &Walk<'_, S>, name: u32) -> Found {
    let wait = Talk {
        name,
        until: Some("0{".into()),
        ..Talk::default()
    };
    let opened = walk.talk(0, walk.aim.limit.min(Duration::from_secs(5)), wait).await;
    let joined = Talk {
        name,
        until: Some("40".into()),
        ..Talk::default()
    };
    let packet = opened.as_ref().ok().and_then(first_packet);
    // only servers of version 4 name a limit; one of version 3 lets clients into `/` by itself
    let version = match &packet {
        Some(handshake) if handshake.max_payload.is_none() => match walk.talk(0, BY_ITSELF, joined).await {
            Ok(heard) if heard.found => Version::Three,
            _ => Version::Four,
        },
        _ => Version::Four,
    };
    let findings = judge_over(&walk.aim.version, packet.map(|handshake| (version, handshake)), &opened);
    if let Some((version, _)) = &findings.1 {
        walk.version.set(*version);
    }
    Found {
        findings: vec![findings.0],
        handshake: findings.1.map(|(_, handshake)| handshake),
    }
}

fn first_packet(heard: &Heard) -> Option<Handshake> {
    let (_, text) = heard.texts.first()?;
    serde_json::from_str(text.strip_prefix('0')?).ok()
}

fn judge_over(
    wanted: &Eio,
    session: Option<(Version, Handshake)>,
    heard: &Result<Heard, Fault>,
) -> (Finding, Option<(Version, Handshake)>) {
    let step = Step::Engineio;
    let Some((version, handshake)) = session else {
        let seen = match heard {
            Ok(heard) => match (heard.texts.first(), &heard.ended) {
                (Some((_, text)), _) => format!(
                    "the first message is no open packet: {}",
                    text.chars().take(80).collect::<String>()
                ),
                (None, Some(ended)) => format!("no open packet: {ended}"),
                (None, None) => "no open packet".to_owned(),
            },
            Err(fault) => fault.detail.clone(),
        };
        return (Finding::fail(step, Code::NotEngineio, seen), None);
    };
    let told = describe(version, &handshake);
    let finding = match wanted {
        Eio::Fixed(wanted) if *wanted != version => {
            let seen = format!("clients speak Engine.IO {}, the server {told}", wanted.number());
            Finding::fail(step, Code::WrongVersion, seen)
        }
        _ => Finding::pass(step, told),
    };
    (finding, Some((version, handshake)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Verdict;
    use proptest::prelude::*;

    const OPEN: &str =
        r#"0{"sid":"aB-3_","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

    fn answered(status: u16, body: &str) -> Answered {
        Answered {
            status,
            body: body.as_bytes().to_vec(),
            ..Answered::default()
        }
    }

    #[test]
    fn openings_are_read() {
        let Opening::Session(Version::Four, handshake) = read(&answered(200, OPEN)) else {
            panic!("version 4")
        };
        assert_eq!(
            (handshake.sid.as_str(), handshake.life()),
            ("aB-3_", Duration::from_secs(45))
        );
        let old = format!("{}:{OPEN}2:40", OPEN.len());
        assert!(matches!(
            read(&answered(200, &old)),
            Opening::Session(Version::Three, _)
        ));
        let refused = r#"{"code":5,"message":"Unsupported protocol version"}"#;
        assert_eq!(read(&answered(400, refused)), Opening::Refused(5));
        for (status, body) in [
            (200, "<html>"),
            (404, "no"),
            (200, "0{}"),
            (500, OPEN),
            (200, "{\"code\":1}"),
        ] {
            assert_eq!(read(&answered(status, body)), Opening::Else, "{body}");
        }
        let hostile = OPEN.replace("aB-3_", "a HTTP/1.1");
        assert_eq!(
            read(&answered(200, &hostile)),
            Opening::Else,
            "a session id that would break the request line"
        );
    }

    #[test]
    fn refusals_come_as_json_or_in_words() {
        for (status, body, code) in [
            (400, r#"{"code":1,"message":"Session ID unknown"}"#, Some(1)),
            (400, "Session ID unknown", Some(1)),
            (200, "Session ID unknown", None),
            (400, "Bad Request", None),
        ] {
            assert_eq!(refusal(&answered(status, body)), code, "{body}");
        }
    }

    #[test]
    fn openings_are_judged() {
        let old = format!("{}:{OPEN}2:40", OPEN.len());
        let unsupported = r#"{"code":5,"message":"Unsupported protocol version"}"#;
        let fixed = |version| Eio::Fixed(version);
        let (fail, pass) = (Verdict::Fail, Verdict::Pass);
        for (wanted, answer, verdict, code, stands) in [
            (Eio::Auto, answered(200, OPEN), pass, None, true),
            (Eio::Auto, answered(200, &old), pass, None, true),
            (
                fixed(Version::Four),
                answered(200, &old),
                fail,
                Some(Code::WrongVersion),
                true,
            ),
            (
                fixed(Version::Three),
                answered(200, OPEN),
                fail,
                Some(Code::WrongVersion),
                true,
            ),
            (
                fixed(Version::Four),
                answered(400, unsupported),
                fail,
                Some(Code::WrongVersion),
                false,
            ),
            (Eio::Auto, answered(404, "<html>"), fail, Some(Code::NotEngineio), false),
            (Eio::Auto, answered(200, "<html>"), fail, Some(Code::NotEngineio), false),
            (
                Eio::Auto,
                answered(503, "no server"),
                fail,
                Some(Code::HandshakeFailed),
                false,
            ),
        ] {
            let (findings, session) = judge(&wanted, "/socket.io/", &Ok(answer.clone()), Version::Four);
            assert_eq!(
                (findings[0].verdict, findings[0].code, session.is_some()),
                (verdict, code, stands),
                "{answer:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read(status in 100u16..600, body in ".{0,80}") {
            let _ = read(&answered(status, &body));
            let _ = read(&answered(200, &format!("{}:0{{{body}", body.len())));
        }
    }
}
