//! HTTP steps: one request over the client's one HTTP connection, while its socket session is heard. Never here: what a
//! socket says.

use super::answer::{Answer, judge};
use super::hits::Hit;
use super::player::{Came, Ended, Manner, Player, Stop};
use super::stage::only_http;
use super::text;
use super::value::Unmade;
use crate::codec::backend::{BODY_READ, Found};
use crate::codec::http1::{RequestLine, request};
use crate::engine::http::{Broken, Connection, EXCERPT, Question};
use crate::flow::ask::is_redirect;
use crate::net::Dialed;
use crate::recorder::{ConnectTimes, SourceId};
use crate::wire::fault::FaultKind;
use crate::wire::flow::{From, Http, Reply};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Bytes of a body that are looked into at most.
const LOOKED_INTO: usize = 1 << 20;

/// A connection to one target, kept for the next request.
pub struct Web {
    connection: Connection,
    target: u16,
    /// Where it comes from.
    pub source: SourceId,
    /// The backend behind it was told.
    pub landed: bool,
}

/// What of an answer is kept beside its body.
#[derive(Default)]
struct Kept {
    headers: Vec<(String, String)>,
    cookies: Vec<Vec<u8>>,
    location: Option<String>,
    found: Found,
}

impl Player {
    /// Sends a request and looks at its answer.
    pub async fn http(&mut self, at: usize, step: &Http, due: Option<Instant>) -> Ended {
        let mut hit = self.hit(at, due)?;
        self.inbox.clear();
        let target = step.target.unwrap_or(self.target);
        (hit.mark.target, hit.backend) = (target, None);
        let bytes = match self.request(step, target, hit.mark.sent) {
            Ok(bytes) => bytes,
            Err(unmade) => return self.unmade(&hit, at, &unmade),
        };
        let within = step.reply.within.unwrap_or(self.room.worker.share.limits.hit);
        let question = Question {
            bytes: &bytes,
            head: step.method == "HEAD",
            limit: hit.mark.sent + Duration::from_nanos(within),
            keep: if reads_body(&step.reply) {
                LOOKED_INTO
            } else if self.stage.names.reads_bodies() {
                BODY_READ
            } else {
                EXCERPT
            },
        };
        let all_headers = reads_headers(&step.reply);
        let mut body = Vec::new();
        loop {
            let mut web = match self.line(at, target, &mut hit, question.limit).await? {
                Ok(web) => web,
                Err(failed) => return failed,
            };
            let used = web.connection.hits > 0;
            let cookies = !self.cookies().is_empty();
            let stage = Rc::clone(&self.stage);
            let mut kept = Kept::default();
            let visit = |name: &str, value: &[u8]| {
                stage.names.look(name, value, &mut kept.found);
                if name.eq_ignore_ascii_case("set-cookie") {
                    kept.cookies.push(value.to_vec());
                }
                if all_headers {
                    let value = String::from_utf8_lossy(value).into_owned();
                    kept.headers.push((name.to_ascii_lowercase(), value));
                } else if name.eq_ignore_ascii_case("location") {
                    kept.location = Some(String::from_utf8_lossy(value).into_owned());
                }
            };
            let exchange = web.connection.exchange(&question, visit, &mut body);
            let Some(answer) = self.meanwhile(exchange).await else {
                self.hang_up(web);
                return Err(Stop::Closing);
            };
            match answer {
                Ok(answer) => {
                    self.recorder().bytes(bytes.len() as u64, answer.received);
                    self.recorder().status(answer.status);
                    if stage.names.reads_bodies() {
                        let read = &body[..body.len().min(BODY_READ)];
                        stage.names.read(read, &mut kept.found);
                    }
                    self.land(&mut web, &mut hit, &kept.found, cookies);
                    self.taken(answer.status, &kept);
                    if answer.keep_alive {
                        self.web = Some(web);
                    } else {
                        self.hang_up(web);
                    }
                    return self.look(&hit, at, step, answer.status, &kept, &body);
                }
                Err(broken) => {
                    self.hang_up(web);
                    // the server may close an idle connection in the very moment in which it is used again
                    if !(used && is_stale(&broken) && is_idempotent(&step.method)) {
                        let fault = self.fault(at, broken.fault.kind, &broken.fault.detail);
                        return self.badly(&hit, Some(&fault));
                    }
                }
            }
        }
    }

    /// Judges an answer by its status, then by what the step wants of it.
    fn look(&mut self, hit: &Hit, at: usize, step: &Http, status: u16, kept: &Kept, body: &[u8]) -> Ended {
        let now = Instant::now();
        let ok = if step.ok.is_empty() {
            &[(200, 299)]
        } else {
            &step.ok[..]
        };
        if !ok.iter().any(|(first, last)| (*first..=*last).contains(&status)) {
            let fault = self.fault(at, FaultKind::HttpStatus, &format!("status {status}"));
            return self.badly(hit, Some(&fault.with_answer(status, body)));
        }
        let judged = judge(&step.reply, Answer::Http(&kept.headers, body), &self.facts(now));
        match judged {
            Ok(values) => {
                self.remember(values);
                self.well(hit, now)
            }
            Err(why) => {
                let fault = self.fault(at, FaultKind::Check, &why).with_answer(status, body);
                self.badly(hit, Some(&fault))
            }
        }
    }

    /// Takes what an answer says beside its body: cookies, where it leads.
    fn taken(&mut self, status: u16, kept: &Kept) {
        if self.room.worker.share.request.keep_cookies {
            let mut jar = self.cookies();
            for cookie in &kept.cookies {
                jar.set(0, cookie);
            }
        }
        let location = kept.headers.iter().find(|(name, _)| name == "location");
        if let Some(location) = kept.location.as_ref().or(location.map(|(_, value)| value))
            && is_redirect(status)
        {
            self.recorder().redirected(location);
        }
    }

    /// Head and body of a request.
    fn request(&self, step: &Http, target: u16, now: Instant) -> Result<Vec<u8>, Unmade> {
        let share = &self.room.worker.share;
        let facts = self.facts(now);
        let to = self.room.worker.dialer.target(target);
        let path = match &step.path {
            Some(path) => text::made(path, &facts)?,
            None => to.path.clone(),
        };
        if path.bytes().any(|byte| byte <= b' ') {
            return Err(Unmade::Misplaced("a path"));
        }
        let own = |name: &str| step.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let plan = share.request.headers.iter().filter(|(name, _)| !own(name));
        let mut headers: Vec<(String, String)> = plan.cloned().collect();
        for (name, value) in &step.headers {
            headers.push((name.clone(), text::header(value, &facts)?));
        }
        let body = step.body.as_ref().map(|body| text::made(body, &facts)).transpose()?;
        let cookie = self.cookies().header(0, share.request.cookie.as_deref());
        let line = RequestLine {
            method: &step.method,
            path: &path,
            authority: &to.authority,
            close: false,
        };
        let body = body.as_ref().map(String::as_bytes);
        Ok(request(
            &line,
            &headers,
            Some(cookie.as_str()).filter(|c| !c.is_empty()),
            body,
        ))
    }

    /// The connection, or a new one: else how the step ended.
    async fn line(
        &mut self,
        at: usize,
        target: u16,
        hit: &mut Hit,
        limit: Instant,
    ) -> Result<Result<Box<Web>, Ended>, Stop> {
        if let Some(mut web) = self.web.take() {
            if web.target == target && !web.connection.is_stale() {
                hit.mark.source = web.source;
                return Ok(Ok(web));
            }
            self.hang_up(web);
        }
        let (dialer, source) = (Rc::clone(&self.room.worker.dialer), self.source);
        let counts = only_http(&self.room.worker.share);
        let begin = Instant::now();
        if counts {
            self.recorder().attempted(hit.mark.due, begin);
        }
        let deadline = limit.min(begin + dialer.limit());
        let dial = async move { dialer.dial(target, source, deadline).await };
        let Some(dialed) = self.meanwhile(dial).await else {
            return Err(Stop::Closing);
        };
        match dialed {
            Ok(dialed) => Ok(Ok(Box::new(self.dialed(dialed, target, hit, counts)))),
            Err(fault) => {
                let now = Instant::now();
                self.at_once = true;
                if counts {
                    let source = Some(hit.mark.source);
                    self.recorder().attempt_failed(source, None, target, &fault, now);
                    return Ok(Err(self.badly(hit, None)));
                }
                let fault = self.fault(at, fault.kind, &fault.detail);
                Ok(Err(self.badly(hit, Some(&fault))))
            }
        }
    }

    fn dialed(&mut self, dialed: Dialed, target: u16, hit: &mut Hit, counts: bool) -> Web {
        self.local = Some(dialed.local.ip());
        let mut recorder = self.recorder();
        let source = recorder.source(dialed.local.ip());
        hit.mark.source = source;
        let times = ConnectTimes {
            tcp: dialed.tcp,
            tls: dialed.tls,
            ..ConnectTimes::default()
        };
        if counts {
            recorder.opened(source, None, target, dialed.remote.ip(), None, times);
        } else {
            recorder.connect_times(times);
        }
        drop(recorder);
        Web {
            connection: Connection::new(dialed),
            target,
            source,
            landed: false,
        }
    }

    /// Closes an HTTP connection.
    pub fn hang_up(&mut self, web: Box<Web>) {
        drop(web);
        if only_http(&self.room.worker.share) {
            self.recorder().closed();
        }
    }

    /// Lets something go on while the session is heard; `None` when the client closed and the grace period is over.
    async fn meanwhile<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        loop {
            let next = poll_fn(|cx| {
                if let Poll::Ready(done) = future.as_mut().poll(cx) {
                    return Poll::Ready(Ok(done));
                }
                if self.lost.is_some() || self.done {
                    // it is told when the step is over
                    return self.poll_closing(cx).map(|()| Err(Came::Closing));
                }
                self.poll_came(cx, None, Manner::Answer).map(Err)
            });
            match next.await {
                Ok(done) => return Some(done),
                Err(Came::Said(said)) => self.keep(said),
                Err(Came::Closing) => return None,
                Err(Came::Time | Came::Over) => {}
            }
        }
    }
}

fn is_stale(broken: &Broken) -> bool {
    broken.nothing_came && broken.fault.kind == FaultKind::ClosedByServer
}

fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE")
}

fn reads_body(reply: &Reply) -> bool {
    reply.checks.iter().any(|check| check.header.is_none())
        || reply
            .captures
            .iter()
            .any(|capture| matches!(capture.from, From::Pointer(_) | From::Between(..)))
}

fn reads_headers(reply: &Reply) -> bool {
    reply.checks.iter().any(|check| check.header.is_some())
        || reply
            .captures
            .iter()
            .any(|capture| matches!(capture.from, From::Header(_) | From::Cookie(_)))
}
