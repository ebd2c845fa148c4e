//! Steps that open and close the client's socket session: connect, reconnect, disconnect. Never here: what is said in it.

use super::player::{Came, Did, Ended, Manner, Player, Stop};
use super::stand::{Link, Stand};
use super::text;
use super::value::Unmade;
use crate::codec::session::Said;
use crate::engine::reach::{Arrival, Failure, Reach, Thread};
use crate::engine::socketio::{self, Entry};
use crate::engine::websocket;
use crate::flow::beside::record;
use crate::flow::cast::Caster;
use crate::flow::client::FAREWELL;
use crate::flow::comeback::{closed, comes_back};
use crate::flow::naming::Naming;
use crate::recorder::Away;
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::flow::{Act, Connect, Reconnect};
use crate::wire::share::Engine;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// So long a client that goes in the middle of its flow waits for its server.
const SHORT_FAREWELL: Duration = Duration::from_secs(1);

/// How a session is to be opened, its texts made.
struct Way {
    path: String,
    subprotocol: Option<String>,
    entry: Option<Rc<Entry>>,
    headers: Vec<(String, String)>,
}

impl Player {
    /// Opens the session that this line describes; one that stands is left first.
    pub async fn connect(&mut self, line: usize, plan: &Connect, due: Option<Instant>) -> Ended {
        self.leave().await;
        self.inbox.clear();
        self.entered = Some(line);
        self.open(line, plan, due).await
    }

    /// Drops the session, stays away, and opens it again as its last connect did.
    pub async fn reconnect(&mut self, line: usize, plan: &Reconnect, due: Option<Instant>) -> Ended {
        self.inbox.clear();
        let stood = self.stand.is_some();
        if plan.abruptly {
            self.note();
            if let Some(stand) = self.part() {
                let (from, now) = (stand.backend, Instant::now());
                let mut recorder = self.recorder();
                recorder.stormed(from, now);
                recorder.away();
                drop(recorder);
                self.away = Some(Away { from, since: now });
            }
        } else {
            self.leave().await;
        }
        let back = Instant::now() + self.dice.spread(&plan.after);
        self.rest(Some(back), Manner::Idle).await?;
        let track = Rc::clone(&self.track);
        let connect = self.entered.and_then(|entered| match &track.lines.get(entered)?.act {
            Act::Connect(connect) => Some(connect),
            _ => None,
        });
        let did = match connect {
            Some(connect) => self.open(line, connect, due).await,
            None => {
                let fault = self.fault(line, FaultKind::NotConnected, "no connect came before");
                self.attempted(line, due);
                self.refused(line, self.target, &fault.into())
            }
        };
        // nobody takes up what a playbook's own step did not bring back
        if did == Ok(Did::Badly) && stood && self.away.take().is_some() {
            self.recorder().gave_up();
        }
        did
    }

    fn attempted(&mut self, line: usize, due: Option<Instant>) {
        let at = self.step(line);
        let mut recorder = self.recorder();
        recorder.attempted(due, Instant::now());
        recorder.flows().sent(at);
    }

    async fn open(&mut self, line: usize, plan: &Connect, due: Option<Instant>) -> Ended {
        let begin = Instant::now();
        self.attempted(line, due);
        let target = plan.target.unwrap_or(self.target);
        let way = match self.way(plan, target, begin) {
            Ok(way) => way,
            Err(unmade) => {
                let why = super::answer::why(&unmade, &self.program().slots);
                let fault = self.fault(line, FaultKind::Check, &why);
                return self.refused(line, target, &fault.into());
            }
        };
        let within = plan
            .within
            .map_or(self.room.worker.dialer.limit(), Duration::from_nanos);
        let reach = Rc::new(self.reach(target, way.headers.clone()));
        let cookies = !reach.cookies.borrow().is_empty();
        let opened = tokio::select! {
            biased;
            opened = Box::pin(open(&reach, &way, begin + within)) => opened,
            // closed while it was being opened: it stays unfinished
            () = closed(&self.post) => return Err(Stop::Closing),
        };
        record(&reach, &mut self.recorder());
        match opened {
            Ok((link, arrival)) => {
                self.stands(line, target, reach, way.entry, (link, arrival), (begin, cookies));
                Ok(Did::Well)
            }
            Err(failure) => {
                self.take_cookies(std::mem::take(&mut *reach.cookies.borrow_mut()));
                self.refused(line, target, &failure)
            }
        }
    }

    fn stands(
        &mut self,
        line: usize,
        target: u16,
        reach: Rc<Reach>,
        entry: Option<Rc<Entry>>,
        (mut link, arrival): (Link, Arrival),
        (begin, cookies): (Instant, bool),
    ) {
        let now = Instant::now();
        let at = self.step(line);
        let mut recorder = self.room.worker.recorder.borrow_mut();
        let source = recorder.source(arrival.local);
        let named = arrival.backend.as_ref();
        let backend = named.and_then(|(name, by)| recorder.backend(name, by));
        recorder.opened(source, backend, target, arrival.remote, Some(now), arrival.times());
        reach.home.set(backend);
        if let Some(seen) = arrival.seen {
            recorder.seen(source, seen);
        }
        let took = now.saturating_duration_since(begin);
        recorder
            .flows()
            .ok(at, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let was = self.away.take();
        if let Some(was) = &was {
            recorder.returned(was, backend, now);
            if let (Some(from), Some(to)) = (was.from, backend)
                && from != to
                && cookies
                && !std::mem::replace(&mut self.strayed, true)
            {
                let session = reach.cookies.borrow().names();
                recorder.strayed_between(now, source, &session, from, to);
            }
        }
        drop(recorder);
        let mut naming = Naming::of(&reach, arrival.handshake, now);
        if let (Some(naming), Some(was)) = (&mut naming, was) {
            naming.returned(was, now);
        }
        match (&mut self.caster, &self.room.hall) {
            (Some(caster), _) => caster.joined(backend, now),
            (None, Some(hall)) => self.caster = Some(Caster::enter(hall, self.number, 0, backend, now)),
            (None, None) => {}
        }
        self.room.back(&self.post);
        self.post.torn.set(false);
        self.local = Some(arrival.local);
        self.backend = named.map_or_else(String::new, |(name, _)| String::from_utf8_lossy(name).into_owned());
        if let Link::Socketio(session) = &mut link {
            session.keep_bodies(self.track.bodies || naming.is_some());
        }
        self.stand = Some(Box::new(Stand {
            reach,
            link,
            entry,
            source,
            backend,
            naming,
            unwritten: 0,
            joined: Vec::new(),
            out: Vec::new(),
        }));
        self.hook_connect();
    }

    fn refused(&mut self, line: usize, target: u16, failure: &Failure) -> Ended {
        let at = self.step(line);
        let address = failure.local.or(self.source);
        let mut recorder = self.recorder();
        let source = address.map(|address| recorder.source(address));
        let named = failure.backend.as_ref();
        let backend = named.and_then(|named| recorder.backend(&named.0, &named.1));
        recorder.attempt_failed(source, backend, target, &failure.fault, Instant::now());
        recorder.flows().failed(at);
        drop(recorder);
        self.at_once = true;
        self.turned_away = !comes_back(&failure.fault);
        Ok(Did::Badly)
    }

    fn reach(&self, target: u16, headers: Vec<(String, String)>) -> Reach {
        let worker = &self.room.worker;
        let first = worker.index == 0 && self.number == worker.share.deal.number(0);
        let thread = Thread {
            dialer: Rc::clone(&worker.dialer),
            share: Arc::clone(&worker.share),
            traffic: Rc::clone(&self.room.traffic),
            names: Rc::clone(&self.room.names),
        };
        let trace = worker.trace.clone().filter(|_| first);
        let reach = Reach::new(thread, target, self.source, trace);
        *reach.cookies.borrow_mut() = self.lend_cookies();
        *reach.headers.borrow_mut() = headers;
        reach
    }

    /// Makes the texts of a connect.
    fn way(&self, plan: &Connect, target: u16, now: Instant) -> Result<Way, Unmade> {
        let facts = self.facts(now);
        let made = |text| text::made(text, &facts);
        let mut headers = Vec::new();
        for (name, value) in &plan.headers {
            headers.push((name.clone(), text::header(value, &facts)?));
        }
        let mut query = Vec::new();
        for (name, value) in &plan.query {
            let mut pair = String::new();
            text::percent_encoded(name, &mut pair);
            pair.push('=');
            text::percent_encoded(&made(value)?, &mut pair);
            query.push(pair);
        }
        let path = plan.path.as_ref().map(made).transpose()?;
        if path.as_ref().is_some_and(|path| path.bytes().any(|byte| byte <= b' ')) {
            return Err(Unmade::Misplaced("a path"));
        }
        let shared = self.room.entry(target);
        let plain = query.is_empty() && path.is_none() && plan.carrier.is_none() && plan.namespaces.is_empty();
        let entry = match shared {
            Some(shared) if plain => Some(shared),
            Some(shared) => {
                let mut entry = Entry::clone(&shared);
                entry.path = path.clone().unwrap_or(entry.path);
                entry.carrier = plan.carrier.unwrap_or(entry.carrier);
                entry.query.append(&mut query);
                let mut namespaces = Vec::new();
                for namespace in &plan.namespaces {
                    let auth = namespace.auth.as_ref().map(made).transpose()?;
                    namespaces.push((namespace.name.clone(), auth));
                }
                let mut namespaces = namespaces.into_iter();
                if let Some((name, auth)) = namespaces.next() {
                    if !name.is_empty() {
                        entry.namespace = name;
                    }
                    entry.auth = auth;
                    entry.more = namespaces.collect();
                }
                Some(Rc::new(entry))
            }
            None => None,
        };
        let mut path = path.unwrap_or_else(|| self.room.worker.dialer.target(target).path.clone());
        for pair in &query {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(pair);
        }
        let shares = match &self.room.worker.share.engine {
            Engine::Websocket(plan) => plan.subprotocol.clone(),
            Engine::Http(_) | Engine::Socketio(_) | Engine::Engineio(_) => None,
        };
        Ok(Way {
            path,
            subprotocol: plan.subprotocol.clone().or(shares),
            entry,
            headers,
        })
    }

    /// Leaves the session, if there is one, as a client that goes.
    pub async fn leave(&mut self) {
        let Some(stand) = &mut self.stand else { return };
        if let Some(caster) = &mut self.caster {
            caster.left(Instant::now());
        }
        stand.leave();
        let patience = if self.closes() { FAREWELL } else { SHORT_FAREWELL };
        let until = Instant::now() + patience;
        let gone = poll_fn(|cx| {
            while let Some(stand) = &mut self.stand {
                match stand.poll(cx) {
                    Poll::Ready(Ok(Said::Event { .. } | Said::Message { .. })) => {
                        self.room.worker.recorder.borrow_mut().message_received();
                    }
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => break,
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(())
        });
        // a server that says nothing to a farewell keeps nobody
        let _ = tokio::time::timeout_at(until.into(), gone).await;
        self.note();
        // what was asked and not answered when the client goes by itself is unfinished, not lost
        self.drop_errands();
        if self.part().is_some() {
            self.recorder().closed();
        }
    }

    /// A client that closes stays until the broadcasts that were emitted before are judged and what its script has asked is
    /// answered, within the grace period.
    pub async fn linger(&mut self) {
        if self.closes()
            && let Some(caster) = self.caster.as_mut().filter(|caster| caster.stays().is_none())
        {
            caster.close(Instant::now());
        }
        loop {
            let stays = self.caster.as_ref().and_then(|caster| caster.stays());
            let asked = self.hooks.as_ref().and_then(|hooks| hooks.deadline());
            let until = stays.max(asked);
            if self.stand.is_none() || until.is_none() || self.lost.is_some() || self.done {
                return;
            }
            match self.came(until, Manner::Answer).await {
                Came::Said(_) => {}
                Came::Time | Came::Closing | Came::Over => return,
            }
        }
    }

    /// Stays with the session until the client's end, which may be a loss.
    pub async fn stay(&mut self) -> Stop {
        loop {
            match self.came(None, Manner::Idle).await {
                Came::Said(_) | Came::Time => {}
                Came::Closing => return Stop::Closing,
                Came::Over => return Stop::Over,
            }
        }
    }
}

async fn open(reach: &Rc<Reach>, way: &Way, deadline: Instant) -> Result<(Link, Arrival), Failure> {
    match (&reach.share.engine, &way.entry) {
        (Engine::Websocket(_), _) => {
            let (session, arrival) = websocket::open(reach, &way.path, way.subprotocol.as_deref(), deadline).await?;
            Ok((Link::Websocket(session), arrival))
        }
        (_, Some(entry)) => {
            let (session, arrival) = socketio::open(Rc::clone(reach), Rc::clone(entry), deadline).await?;
            Ok((Link::Socketio(session), arrival))
        }
        (_, None) => Err(Fault::new(FaultKind::Local, "http holds nothing").into()),
    }
}
