//! Long polling as a real client does it: one session, many requests, each on a connection of its own. Which of them reach
//! the server that knows the session? Judged from counts.

use super::cookies::Jar;
use super::engineio::{self, Opening};
use super::finding::{Code, Finding, Step};
use super::scout::Scout;
use super::walk::{Walk, headers, list, told};
use futures_util::future::join_all;
use swarm_agent::wire::fault::Fault;
use swarm_agent::wire::look::Answered;
use swarm_agent::wire::share::Version;

/// A false pass is to be less likely than this.
const DOUBT: f64 = 1e-6;
/// Sessions that are opened at least to see who is there.
const SURVEY: usize = 4;
/// Sessions of each origin: whether it always reaches the same backend.
const EACH: usize = 2;
/// Origins that take part in it.
const SURVEYORS: usize = 6;

/// Requests with one session so that, were they dealt to `backends` equal ones by chance, all of them would reach the right
/// one with less than one chance in a million. A heavier backend is reached more often by chance: with two, one of them
/// twice as heavy, 35 would be wanted. Two is the least that balancing can be about.
pub fn tries(backends: usize) -> u32 {
    let right = 1.0 / backends.max(2) as f64;
    (DOUBT.ln() / right.ln()).ceil() as u32
}

/// How requests of one session went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests.
    pub asked: u32,
    /// Those that reached a server that does not know the session.
    pub astray: u32,
    /// Those that ended in another way, and how.
    pub failed: Vec<String>,
}

impl Count {
    /// Nothing went astray, and something was asked.
    pub fn all_known(&self) -> bool {
        self.asked > 0 && self.astray == 0 && self.failed.is_empty()
    }
}

/// One session.
#[derive(Debug, Clone)]
pub struct Session {
    /// Where it was opened.
    pub origin: usize,
    /// Its id.
    pub sid: String,
    /// Cookies that the opening set.
    pub jar: Jar,
    /// The backend that opened it, where it gave its name.
    pub backend: Option<String>,
}

/// Opens one. `Err`: what came instead.
pub async fn session<S: Scout>(walk: &Walk<'_, S>, origin: usize) -> Result<Session, String> {
    let (answer, jar) = engineio::open(walk, origin, walk.version.get()).await;
    let answered = answer.map_err(|fault| fault.detail)?;
    match engineio::read(&answered) {
        Opening::Session(_, handshake) => Ok(Session {
            origin,
            sid: handshake.sid,
            jar,
            backend: answered.backend.map(|(_, name)| name),
        }),
        _ => Err(told(&answered)),
    }
}

/// Opens sessions from several origins, without cookies, to see which backends there are. They are closed again.
pub async fn survey<S: Scout>(walk: &Walk<'_, S>) -> Vec<Session> {
    let origins = walk.origins.len().min(SURVEYORS);
    let rounds = SURVEY.div_ceil(origins.max(1)).max(EACH);
    let mut seen = Vec::new();
    for _ in 0..rounds {
        let opened = join_all((0..origins).map(|origin| session(walk, origin))).await;
        seen.extend(opened.into_iter().flatten());
    }
    join_all(
        seen.iter()
            .map(|session| leave(walk, session, session.origin, &session.jar)),
    )
    .await;
    seen
}

/// Ends a session. Where it is not known nobody minds.
pub async fn leave<S: Scout>(walk: &Walk<'_, S>, session: &Session, origin: usize, jar: &Jar) {
    let body = packets(walk.version.get(), "1");
    post(walk, session, origin, jar, &body).await.ok();
}

/// What a request of a session came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poll {
    /// The server knows the session.
    Known,
    /// It does not.
    Astray,
    /// Neither, and what instead.
    Failed(String),
}

/// Reads it.
pub fn read(answer: &Result<Answered, Fault>) -> Poll {
    match answer {
        Ok(answered) if answered.status == 200 => Poll::Known,
        Ok(answered) if engineio::refusal(answered) == Some(1) => Poll::Astray,
        Ok(answered) => Poll::Failed(told(answered)),
        Err(fault) => Poll::Failed(fault.detail.clone()),
    }
}

/// Sends so many packets of a session from an origin, each by a request and a connection of its own. `keep`: cookies go
/// with them, and those that answers set are kept, as a browser does. `enough`: over as soon as so many went astray.
pub async fn polls<S: Scout>(
    walk: &Walk<'_, S>,
    session: &mut Session,
    origin: usize,
    keep: bool,
    (most, enough): (u32, u32),
) -> Count {
    let mut count = Count::default();
    while count.asked < most && count.astray < enough {
        let jar = if keep { session.jar.clone() } else { Jar::default() };
        let body = packets(walk.version.get(), heartbeat(walk.version.get()));
        let answer = post(walk, session, origin, &jar, &body).await;
        count.asked += 1;
        if keep && let Ok(answered) = &answer {
            let path = walk.aim.engineio_path(walk.version.get(), "polling", "");
            session.jar.take(headers(answered), walk.place(&path));
        }
        match read(&answer) {
            Poll::Known => {}
            Poll::Astray => {
                walk.met_stranger();
                count.astray += 1;
            }
            Poll::Failed(why) => {
                count.failed.push(why);
                if count.failed.len() >= 3 {
                    break;
                }
            }
        }
    }
    count
}

/// A packet that every server takes at any time, and that has no answer that would have to be fetched: a heartbeat as clients
/// of that version send it.
fn heartbeat(version: Version) -> &'static str {
    match version {
        Version::Three => "2",
        Version::Four => "3",
    }
}

fn packets(version: Version, packet: &str) -> String {
    match version {
        Version::Three => format!("{}:{packet}", packet.len()),
        Version::Four => packet.to_owned(),
    }
}

async fn post<S: Scout>(
    walk: &Walk<'_, S>,
    session: &Session,
    origin: usize,
    jar: &Jar,
    body: &str,
) -> Result<Answered, Fault> {
    let path = walk.aim.engineio_path(walk.version.get(), "polling", &session.sid);
    walk.ask(origin, walk.request("POST", &path, jar, Some(body))).await
}

/// What is said of polls. `several`: more than one backend is known to be there; `names`: what they are called.
pub fn judge(count: &Count, several: bool, names: &[String], kept: bool) -> Finding {
    let step = Step::Polling;
    let among = match names.len() {
        0 => String::new(),
        n => format!(
            "; {n} backend{} seen: {}",
            if n == 1 { "" } else { "s" },
            list(names, 4)
        ),
    };
    if count.astray > 0 {
        let seen = format!(
            "\"Session ID unknown\" in {} of {} polls of one session{among}",
            count.astray, count.asked
        );
        let why = if kept {
            "requests of one client reach different servers, and each knows its own sessions alone: clients fail to connect, or lose their session after a while"
        } else {
            "without cookies (--cookies drop) requests of one client reach different servers, and each knows its own sessions alone"
        };
        return Finding::fail(step, Code::SidUnknown, seen).because(why);
    }
    if let Some(first) = count.failed.first() {
        let seen = format!("{} of {} polls failed: {first}{among}", count.failed.len(), count.asked);
        return Finding::fail(step, Code::PollFailed, seen);
    }
    if !several {
        let seen = format!("all {} polls of one session were known{among}", count.asked);
        return Finding::unknown(step, Some(Code::NotKnownOneBackend), seen).because(
            "only one backend was seen, which proves nothing: look from more sources (--source-ips, --hosts), and name the backend in answers (--backend-from)",
        );
    }
    Finding::pass(
        step,
        format!(
            "all {} polls of one session, each on a new connection, reached the server that knows it{among}",
            count.asked
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Verdict;

    #[test]
    fn a_false_pass_is_less_likely_than_one_in_a_million() {
        assert_eq!([1, 2, 3, 4, 10].map(tries), [20, 20, 13, 10, 6]);
        for backends in 2..200usize {
            let by_chance = (1.0 / backends as f64).powi(tries(backends) as i32);
            assert!(by_chance <= DOUBT * 1.000_001, "{backends}: {by_chance}");
        }
    }

    #[test]
    fn polls_are_judged() {
        let count = |asked, astray, failed: &[&str]| Count {
            asked,
            astray,
            failed: failed.iter().map(|text| (*text).to_owned()).collect(),
        };
        let two = ["s1".to_owned(), "s2".to_owned()];
        let (fail, pass) = (Verdict::Fail, Verdict::Pass);
        for (count, several, names, verdict, code) in [
            (count(20, 0, &[]), true, &two[..], pass, None),
            (count(20, 9, &[]), true, &two[..], fail, Some(Code::SidUnknown)),
            (count(20, 1, &["502"]), true, &two[..], fail, Some(Code::SidUnknown)),
            (
                count(3, 0, &["502", "502", "502"]),
                true,
                &two[..],
                fail,
                Some(Code::PollFailed),
            ),
            (
                count(20, 0, &[]),
                false,
                &two[..1],
                Verdict::Unknown,
                Some(Code::NotKnownOneBackend),
            ),
            (
                count(20, 0, &[]),
                false,
                &[][..],
                Verdict::Unknown,
                Some(Code::NotKnownOneBackend),
            ),
        ] {
            let finding = judge(&count, several, names, true);
            assert_eq!((finding.verdict, finding.code), (verdict, code), "{count:?}");
        }
        assert!(
            judge(&count(20, 9, &[]), true, &two, true)
                .seen
                .starts_with("\"Session ID unknown\" in 9 of 20")
        );
    }

    #[test]
    fn answers_are_told_apart() {
        let answered = |status, body: &str| {
            Ok(Answered {
                status,
                body: body.as_bytes().to_vec(),
                ..Answered::default()
            })
        };
        assert_eq!(read(&answered(200, "ok")), Poll::Known);
        assert_eq!(
            read(&answered(400, r#"{"code":1,"message":"Session ID unknown"}"#)),
            Poll::Astray
        );
        assert!(matches!(
            read(&answered(400, r#"{"code":3,"message":"Bad request"}"#)),
            Poll::Failed(_)
        ));
        assert!(matches!(read(&answered(502, "<html>")), Poll::Failed(_)));
    }
}
