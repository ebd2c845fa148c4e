//! One HTTP client: its connections, cookies and requests, and the life of one hit, redirects included.

use super::ask::{http, idempotent, is_redirect, rendered};
use super::landing::{Known, Landing};
use crate::codec::cookie::Jar;
use crate::engine::http::{Answer, Broken, Connection, Question};
use crate::recorder::{BackendId, ConnectTimes, Mark, SourceId};
use crate::wire::fault::{Fault, FaultKind};
use crate::worker::Worker;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use url::Url;

/// What became of a hit's way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It was answered, or failed on a connection that stood.
    Stood,
    /// No connection could be opened: wait before the next try.
    Closed,
}

/// One client.
pub struct Client {
    worker: Rc<Worker>,
    lines: Vec<Line>,
    landing: Landing,
    excerpt: Vec<u8>,
    location: Vec<u8>,
    jar: Jar,
}

/// What a client has for one target.
struct Line {
    connection: Option<(Connection, SourceId)>,
    bytes: Rc<[u8]>,
    known: Known,
    route: Option<IpAddr>,
}

/// How one exchange ended.
struct Exchanged {
    answer: Result<Answer, Fault>,
    backend: Option<BackendId>,
}

impl Client {
    /// A client without connections.
    pub fn new(worker: Rc<Worker>) -> Self {
        let jar = Jar::default();
        let lines = (0..worker.share.targets.len())
            .map(|target| Line {
                connection: None,
                bytes: rendered(&worker, &jar, target as u16, None),
                known: Known::default(),
                route: None,
            })
            .collect();
        let landing = Landing::new(&worker.share);
        Self {
            worker,
            lines,
            landing,
            excerpt: Vec::new(),
            location: Vec::new(),
            jar,
        }
    }

    /// Sends hit `n` of the plan, due at `due`, and records what became of it.
    pub async fn hit(&mut self, n: u64, due: Option<Instant>) -> Way {
        let worker = Rc::clone(&self.worker);
        let target = worker.target_of(n);
        let sent = Instant::now();
        let limit = sent + Duration::from_nanos(worker.share.limits.hit);
        let source = self.source(target);
        let mut mark = worker.recorder.borrow_mut().hit_sent(due, sent, source.0, target);
        if let Err(way) = self.connect(target, source, &mut mark, limit).await {
            return way;
        }
        let bytes = Rc::clone(&self.lines[usize::from(target)].bytes);
        let head = http(&worker).method == "HEAD";
        let mut done = self
            .ask(
                target,
                source.1,
                &mut mark,
                &Question {
                    bytes: &bytes,
                    head,
                    limit,
                    keep: self.landing.keeps(),
                },
            )
            .await;
        if http(&worker).redirects > 0 {
            done = self.follow(target, done, &mut mark, limit).await;
        }
        self.settle(&mark, done);
        Way::Stood
    }

    /// Closes every connection.
    pub fn close(&mut self) {
        for line in &mut self.lines {
            if line.connection.take().is_some() {
                self.worker.recorder.borrow_mut().closed();
            }
        }
    }

    /// The source that this hit will come from, and the address to bind to when a connection has to be opened.
    fn source(&mut self, target: u16) -> (SourceId, Option<IpAddr>) {
        let line = &mut self.lines[usize::from(target)];
        if let Some((_, source)) = &line.connection {
            return (*source, None);
        }
        let bound = self.worker.dialer.next_source(target);
        let address = bound.unwrap_or_else(|| *line.route.get_or_insert_with(|| self.worker.dialer.route(target)));
        (self.worker.recorder.borrow_mut().source(address), bound)
    }

    /// Makes sure of a connection. A failed one is this hit's failure too, counted once among the errors.
    async fn connect(
        &mut self,
        target: u16,
        source: (SourceId, Option<IpAddr>),
        mark: &mut Mark,
        limit: Instant,
    ) -> Result<(), Way> {
        if self.lines[usize::from(target)].connection.is_some() {
            return Ok(());
        }
        let worker = Rc::clone(&self.worker);
        let begin = Instant::now();
        worker.recorder.borrow_mut().attempted(mark.due, begin);
        let deadline = limit.min(begin + worker.dialer.limit());
        match worker.dialer.dial(target, source.1, deadline).await {
            Ok(dialed) => {
                let mut recorder = worker.recorder.borrow_mut();
                mark.source = recorder.source(dialed.local.ip());
                let times = ConnectTimes {
                    tcp: dialed.tcp,
                    tls: dialed.tls,
                    ..ConnectTimes::default()
                };
                recorder.opened(mark.source, None, target, dialed.remote.ip(), None, times);
                self.lines[usize::from(target)].connection = Some((Connection::new(dialed), mark.source));
                Ok(())
            }
            Err(fault) => {
                let now = Instant::now();
                let mut recorder = worker.recorder.borrow_mut();
                recorder.attempt_failed(Some(mark.source), None, target, &fault, now);
                recorder.hit_failed(mark, now, None, None, None);
                Err(Way::Closed)
            }
        }
    }

    /// One exchange; on a used connection that the server had closed meanwhile, once more on a fresh one.
    async fn ask(&mut self, target: u16, bound: Option<IpAddr>, mark: &mut Mark, question: &Question<'_>) -> Exchanged {
        for again in [true, false] {
            let Some((mut connection, source)) = self.lines[usize::from(target)].connection.take() else {
                return Exchanged {
                    answer: Err(Fault::new(
                        FaultKind::ClosedByServer,
                        "closed before the answer was whole",
                    )),
                    backend: None,
                };
            };
            let used = connection.hits > 0;
            match self.exchange(&mut connection, question).await {
                Ok(answer) => {
                    let backend = self.backend(target, source);
                    if let (false, Some(backend)) = (used, backend) {
                        self.worker.recorder.borrow_mut().carried(backend);
                    }
                    self.worker
                        .recorder
                        .borrow_mut()
                        .bytes(question.bytes.len() as u64, answer.received);
                    self.keep(target, connection, source, &answer);
                    return Exchanged {
                        answer: Ok(answer),
                        backend,
                    };
                }
                Err(broken) => {
                    self.worker.recorder.borrow_mut().closed();
                    let stale = used && broken.nothing_came && broken.fault.kind == FaultKind::ClosedByServer;
                    if !(again && stale && idempotent(&self.worker)) {
                        return Exchanged {
                            answer: Err(broken.fault),
                            backend: None,
                        };
                    }
                    let bound = bound.or_else(|| self.worker.dialer.next_source(target));
                    if let Err(fault) = self.reopen(target, bound, mark, question.limit).await {
                        return Exchanged {
                            answer: Err(fault),
                            backend: None,
                        };
                    }
                }
            }
        }
        Exchanged {
            answer: Err(Fault::new(
                FaultKind::ClosedByServer,
                "closed before the answer was whole",
            )),
            backend: None,
        }
    }

    async fn reopen(
        &mut self,
        target: u16,
        bound: Option<IpAddr>,
        mark: &mut Mark,
        limit: Instant,
    ) -> Result<(), Fault> {
        let worker = Rc::clone(&self.worker);
        let begin = Instant::now();
        worker.recorder.borrow_mut().attempted(mark.due, begin);
        let dialed = worker
            .dialer
            .dial(target, bound, limit.min(begin + worker.dialer.limit()))
            .await;
        let mut recorder = worker.recorder.borrow_mut();
        match dialed {
            Ok(dialed) => {
                mark.source = recorder.source(dialed.local.ip());
                let times = ConnectTimes {
                    tcp: dialed.tcp,
                    tls: dialed.tls,
                    ..ConnectTimes::default()
                };
                recorder.opened(mark.source, None, target, dialed.remote.ip(), None, times);
                self.lines[usize::from(target)].connection = Some((Connection::new(dialed), mark.source));
                Ok(())
            }
            Err(fault) => {
                recorder.attempt_failed(Some(mark.source), None, target, &fault, Instant::now());
                Err(Fault::new(
                    FaultKind::ClosedByServer,
                    "the server closed the connection and no other could be opened",
                ))
            }
        }
    }

    async fn exchange(&mut self, connection: &mut Connection, question: &Question<'_>) -> Result<Answer, Broken> {
        let Self {
            landing,
            excerpt,
            location,
            jar,
            worker,
            ..
        } = self;
        landing.asks(jar);
        location.clear();
        let keep_cookies = worker.share.request.keep_cookies;
        let mut jar_changed = false;
        let visit = |name: &str, value: &[u8]| {
            landing.look(name, value);
            if name.len() == 8 && name.eq_ignore_ascii_case("location") {
                location.extend_from_slice(&value[..value.len().min(2048)]);
            }
            if keep_cookies && name.len() == 10 && name.eq_ignore_ascii_case("set-cookie") {
                jar_changed |= jar.set(0, value);
            }
        };
        let answer = connection.exchange(question, visit, excerpt).await;
        if answer.is_ok() {
            landing.read(excerpt);
        }
        if jar_changed {
            for (target, line) in self.lines.iter_mut().enumerate() {
                line.bytes = rendered(&self.worker, &self.jar, target as u16, None);
            }
        }
        answer
    }

    /// The backend that the last answer named.
    fn backend(&mut self, target: u16, source: SourceId) -> Option<BackendId> {
        let known = &mut self.lines[usize::from(target)].known;
        let recorder = &mut self.worker.recorder.borrow_mut();
        self.landing.backend(known, source, &self.jar, recorder)
    }

    /// Keeps the connection for the next hit, or closes it.
    fn keep(&mut self, target: u16, connection: Connection, source: SourceId, answer: &Answer) {
        let http = http(&self.worker);
        let spent = http.requests_per_connection.is_some_and(|most| connection.hits >= most);
        let old = http
            .connection_life
            .is_some_and(|life| connection.opened.elapsed() >= Duration::from_nanos(life));
        if answer.keep_alive && http.keepalive && !spent && !old {
            self.lines[usize::from(target)].connection = Some((connection, source));
        } else {
            self.worker.recorder.borrow_mut().closed();
        }
    }

    /// Follows redirects within the plan's targets.
    async fn follow(&mut self, first: u16, mut done: Exchanged, mark: &mut Mark, limit: Instant) -> Exchanged {
        let mut from = first;
        let mut path = self.worker.share.targets[usize::from(first)].path.clone();
        for _ in 0..http(&self.worker).redirects {
            let Ok(answer) = &done.answer else { return done };
            if !is_redirect(answer.status) || self.location.is_empty() {
                return done;
            }
            let keeps_method = matches!(answer.status, 307 | 308);
            let Some((target, there)) = self.leads_to(from, &path) else {
                done.answer = Err(Fault::new(
                    FaultKind::Redirect,
                    "leads to a host that is no target of the plan",
                ));
                return done;
            };
            let source = self.source(target);
            if self.lines[usize::from(target)].connection.is_none()
                && let Err(fault) = self.reopen(target, source.1, mark, limit).await
            {
                done.answer = Err(fault);
                return done;
            }
            let method = if keeps_method {
                http(&self.worker).method.clone()
            } else {
                "GET".to_owned()
            };
            let head = method == "HEAD";
            let bytes = rendered(&self.worker, &self.jar, target, Some((&method, &there)));
            done = self
                .ask(
                    target,
                    source.1,
                    mark,
                    &Question {
                        bytes: &bytes,
                        head,
                        limit,
                        keep: self.landing.keeps(),
                    },
                )
                .await;
            (from, path) = (target, there);
        }
        if done.answer.as_ref().is_ok_and(|answer| is_redirect(answer.status)) {
            done.answer = Err(Fault::new(
                FaultKind::Redirect,
                "more redirects than --redirects allows",
            ));
        }
        done
    }

    /// The target and path that the last Location names, if the plan has such a target.
    fn leads_to(&self, from: u16, path: &str) -> Option<(u16, String)> {
        let targets = &self.worker.share.targets;
        let here = &targets[usize::from(from)];
        let scheme = if here.tls { "https" } else { "http" };
        let base = Url::parse(&format!("{scheme}://{}{path}", here.authority)).ok()?;
        let there = base.join(std::str::from_utf8(&self.location).ok()?).ok()?;
        let tls = there.scheme() == "https";
        let host = there.host_str()?.trim_matches(['[', ']']).to_owned();
        let port = there.port_or_known_default()?;
        let same = |target: &crate::wire::share::Target| {
            target.tls == tls && target.host.eq_ignore_ascii_case(&host) && target.port == port
        };
        let number = if same(here) {
            usize::from(from)
        } else {
            targets.iter().position(same)?
        };
        let query = there.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some((number as u16, format!("{}{query}", there.path())))
    }

    fn settle(&mut self, mark: &Mark, done: Exchanged) {
        let now = Instant::now();
        let mut recorder = self.worker.recorder.borrow_mut();
        match done.answer {
            Ok(answer) => {
                let http = http(&self.worker);
                if is_redirect(answer.status) && !self.location.is_empty() {
                    recorder.redirected(&String::from_utf8_lossy(&self.location));
                }
                if http
                    .ok
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&answer.status))
                {
                    recorder.hit_ok(mark, now, done.backend, Some(answer.status));
                } else {
                    let fault = Fault::new(FaultKind::HttpStatus, format!("status {}", answer.status))
                        .with_answer(answer.status, &self.excerpt);
                    recorder.hit_failed(mark, now, done.backend, Some(answer.status), Some(&fault));
                }
            }
            Err(fault) => recorder.hit_failed(mark, now, done.backend, None, Some(&fault)),
        }
    }
}
