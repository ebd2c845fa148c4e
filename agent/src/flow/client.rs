//! One held client's connection: opens, sends what it is ordered to, waits for the answers, closes. It records; it never
//! decides when something is due (`room`) or what follows its end (`comeback`), and knows of protocols only which engine
//! it calls.

use super::answer::{Answer, Waiting};
use super::beside::{keep_bodies, record};
use super::cast::Caster;
use super::comeback::{Ending, closed, comes_back};
use super::link::Link;
use super::naming::{Look, Naming};
use super::room::{Post, Room};
use crate::codec::session::Said;
use crate::engine::reach::{Reach, Thread};
use crate::pacer;
use crate::recorder::{Away, BackendId, SourceId};
use crate::wire::fault::Fault;
use crate::wire::report::Latency;
use crate::wire::share::Engine;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep_until};

/// So long a client that closes waits for its server. Thousands close at the same moment, and a server that is not done with
/// a farewell when the connection is dropped never sees it.
pub const FAREWELL: Duration = Duration::from_secs(5);

/// A connected client. Dropping it closes its sockets without a farewell.
pub(super) struct Client {
    room: Rc<Room>,
    post: Rc<Post>,
    reach: Rc<Reach>,
    link: Link,
    source: SourceId,
    backend: Option<BackendId>,
    /// What the server says is looked into for its name.
    naming: Option<Box<Naming>>,
    answer: Answer,
    waiting: VecDeque<Waiting>,
    closing: Option<Instant>,
    leaving: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// Where broadcasts are measured.
    caster: Option<Box<Caster>>,
}

/// A client's way to its target, the same for all its connections.
pub(super) fn reach(room: &Room, number: u64) -> Reach {
    let worker = &room.worker;
    let target = worker.target_of(number);
    let first = worker.index == 0 && number == worker.share.deal.number(0);
    let thread = Thread {
        dialer: Rc::clone(&worker.dialer),
        share: Arc::clone(&worker.share),
        traffic: Rc::clone(&room.traffic),
        names: Rc::clone(&room.names),
    };
    let trace = worker.trace.clone().filter(|_| first);
    let source = worker.dialer.next_source(target);
    Reach::new(thread, target, source, trace)
}

/// When client `number` was due that opens now for the first time.
pub(super) fn due(room: &Room, number: u64) -> Option<Instant> {
    let now = Instant::now();
    let spans = pacer::spans(&room.plan.clients, number);
    let due = spans.iter().rev().map(|span| room.worker.at(span.from));
    due.into_iter().find(|due| *due <= now)
}

/// Opens a client's connection; a failure is recorded.
pub(super) async fn open(
    room: &Rc<Room>,
    number: u64,
    post: &Rc<Post>,
    reach: &Rc<Reach>,
    due: Option<Instant>,
) -> Result<Box<Client>, Ending> {
    let worker = &room.worker;
    let target = reach.target;
    let now = Instant::now();
    worker.recorder.borrow_mut().attempted(due, now);
    reach.home.set(None);
    let connected = tokio::select! {
        biased;
        connected = Link::open(room, reach, now + worker.dialer.limit()) => connected,
        // closed while it was being opened: it stays unfinished
        () = closed(post) => return Err(Ending::Closed),
    };
    let mut recorder = worker.recorder.borrow_mut();
    record(reach, &mut recorder);
    match connected {
        Ok((mut link, arrival)) => {
            let source = recorder.source(arrival.local);
            let backend = arrival
                .backend
                .as_ref()
                .and_then(|(name, by)| recorder.backend(name, by));
            let now = Instant::now();
            recorder.opened(source, backend, target, arrival.remote, Some(now), arrival.times());
            reach.home.set(backend);
            if let Some(seen) = arrival.seen {
                recorder.seen(source, seen);
            }
            drop(recorder);
            let naming = Naming::of(reach, arrival.handshake, now);
            if naming.is_none() {
                keep_bodies(&mut link, room);
            }
            let seq = post.said.get();
            let caster = room
                .hall
                .as_ref()
                .map(|hall| Caster::enter(hall, number, seq, backend, now));
            let answer = Answer::of(&worker.share.engine);
            Ok(Box::new(Client {
                room: Rc::clone(room),
                post: Rc::clone(post),
                reach: Rc::clone(reach),
                link,
                source,
                backend,
                naming,
                answer,
                waiting: VecDeque::new(),
                closing: None,
                leaving: false,
                timer: None,
                caster,
            }))
        }
        Err(failure) => {
            // of no backend's clients
            reach.polls.set(0);
            let source = failure.local.or(reach.source).map(|address| recorder.source(address));
            let backend = failure
                .backend
                .as_ref()
                .and_then(|named| recorder.backend(&named.0, &named.1));
            recorder.attempt_failed(source, backend, target, &failure.fault, Instant::now());
            Err(Ending::Failed {
                again: comes_back(&failure.fault),
            })
        }
    }
}

impl Client {
    /// Ends with the connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        *self.post.waker.borrow_mut() = Some(cx.waker().clone());
        let end = self.poll_steps(cx);
        let mut recorder = self.room.worker.recorder.borrow_mut();
        record(&self.reach, &mut recorder);
        if let Link::Socketio(session) = &mut self.link {
            recorder.heartbeats(session.heartbeats());
        }
        end
    }

    fn poll_steps(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        if self.post.torn.take() && !self.post.close.get() {
            self.torn();
            return Poll::Ready(Ending::Lost { again: true });
        }
        loop {
            if !self.post.close.get() {
                while let Some(due) = self.take_order() {
                    self.say(due);
                }
            }
            match self.link.poll_said(&self.reach, self.naming.is_some(), cx) {
                Poll::Ready(Ok(said)) => {
                    self.heard(&said);
                    continue;
                }
                Poll::Ready(Err(fault)) => return Poll::Ready(self.gone(&fault)),
                Poll::Pending => {}
            }
            let now = Instant::now();
            if self.post.close.get() && self.closing.is_none() {
                self.closing = Some(now + Duration::from_nanos(self.room.worker.share.limits.grace));
                if let Some(caster) = &mut self.caster {
                    caster.close(now);
                }
            }
            let stays = self.caster.as_ref().and_then(|caster| caster.stays());
            let stays = stays.filter(|until| !self.leaving && *until > now);
            if let Some(until) = self.closing
                && !self.leaving
                && ((self.waiting.is_empty() && stays.is_none()) || until <= now)
            {
                self.leaving = true;
                if let Some(caster) = &mut self.caster {
                    caster.left(now);
                }
                self.closing = Some(now + FAREWELL);
                self.link.leave(&self.reach);
                continue;
            }
            if self.leaving && self.closing.is_some_and(|until| until <= now) {
                self.room.worker.recorder.borrow_mut().closed();
                return Poll::Ready(Ending::Closed);
            }
            if self.time_out(now) {
                continue;
            }
            let answer_due = self.waiting.iter().map(|waiting| waiting.deadline).next();
            let Some(next) = [answer_due, self.closing, stays].into_iter().flatten().min() else {
                self.timer = None;
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(next.into())));
            if timer.deadline() != next.into() {
                timer.as_mut().reset(next.into());
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn take_order(&self) -> Option<Option<Instant>> {
        self.post.orders.borrow_mut().pop_front()
    }

    fn say(&mut self, due: Option<Instant>) {
        let share = &self.room.worker.share;
        let now = Instant::now();
        let id = match (&share.engine, &mut self.link) {
            (Engine::Websocket(plan), Link::Websocket(session, unwritten)) => {
                let message = plan.message.as_deref().unwrap_or_default();
                if self.reach.trace.is_some() {
                    self.reach.tell(">", &String::from_utf8_lossy(message));
                }
                session.send(message, plan.binary);
                *unwritten += 1;
                None
            }
            (Engine::Socketio(plan), Link::Socketio(session)) => {
                let turn = usize::try_from(self.post.said.get()).unwrap_or(0) % plan.emits.len().max(1);
                plan.emits.get(turn).and_then(|array| match &mut self.caster {
                    Some(caster) => session.emit(&caster.filled(array, now), plan.ack),
                    None => session.emit(array, plan.ack),
                })
            }
            (Engine::Engineio(plan), Link::Socketio(session)) => {
                let message = plan.message.as_deref().unwrap_or_default();
                if plan.binary {
                    session.send_binary(message);
                } else {
                    session.send_text(&String::from_utf8_lossy(message));
                }
                None
            }
            _ => None,
        };
        self.post.said.set(self.post.said.get().wrapping_add(1));
        let expected = self.answer != Answer::Written;
        let limit = if self.answer == Answer::Ack {
            share.limits.ack
        } else {
            share.limits.hit
        };
        let mut recorder = self.room.worker.recorder.borrow_mut();
        let mark = recorder.hit_sent(due, now, self.source, self.reach.target);
        recorder.message_sent(expected);
        drop(recorder);
        self.waiting.push_back(Waiting {
            mark,
            id,
            deadline: now + Duration::from_nanos(limit),
        });
    }

    fn heard(&mut self, said: &Said) {
        let now = Instant::now();
        self.name(said, now);
        match said {
            Said::Written(count) if self.answer == Answer::Written => {
                for _ in 0..*count {
                    self.answered(0, now);
                }
            }
            Said::Written(_) => {}
            Said::Ack { id, .. } => {
                if let Some(at) = self.waiting.iter().position(|waiting| waiting.id == Some(*id)) {
                    self.answered(at, now);
                }
            }
            Said::Event { name, body, .. } => {
                if let Some(caster) = &mut self.caster {
                    caster.heard(name, body, now);
                }
                let wanted = matches!(&self.room.worker.share.engine, Engine::Socketio(plan) if plan.expect.as_ref() == Some(name));
                self.message(wanted, now);
            }
            Said::Message { .. } => self.message(true, now),
            // the flags name no further namespace
            Said::Joined { .. } | Said::Refused { .. } | Said::Left { .. } => {}
        }
    }

    /// Looks for the backend's name, as long as that is not known.
    fn name(&mut self, said: &Said, now: Instant) {
        let Some(naming) = &mut self.naming else { return };
        let look = naming.hears(said, self.source, &mut self.room.worker.recorder.borrow_mut(), now);
        if look == Look::Waits {
            return;
        }
        self.naming = None;
        keep_bodies(&mut self.link, &self.room);
        if let Look::Named(Some(backend)) = look {
            self.backend = Some(backend);
            self.reach.home.set(self.backend);
            if let Some(caster) = &mut self.caster {
                caster.joined(self.backend, now);
            }
        }
    }

    /// The client is back. Whether it came with cookies (`cookies`) and is on another backend nevertheless.
    pub(super) fn returned(&mut self, was: &Away, now: Instant, cookies: bool) -> bool {
        let mut recorder = self.room.worker.recorder.borrow_mut();
        recorder.returned(was, self.backend, now);
        if let Some(naming) = &mut self.naming {
            naming.returned(*was, now);
        }
        match (was.from, self.backend) {
            (Some(from), Some(to)) if cookies && from != to => {
                let session = self.reach.cookies.borrow().names();
                recorder.strayed_between(now, self.source, &session, from, to);
                true
            }
            _ => false,
        }
    }

    /// Where it is, as far as that is known.
    pub(super) fn backend(&self) -> Option<BackendId> {
        self.backend
    }

    fn message(&mut self, wanted: bool, now: Instant) {
        self.room.worker.recorder.borrow_mut().message_received();
        if wanted && self.answer == Answer::Message {
            self.answered(0, now);
        }
    }

    fn answered(&mut self, at: usize, now: Instant) {
        let Some(waiting) = self.waiting.remove(at) else { return };
        let mut recorder = self.room.worker.recorder.borrow_mut();
        recorder.hit_ok(&waiting.mark, now, self.backend, None);
        let took = now.saturating_duration_since(waiting.mark.sent);
        match self.answer {
            Answer::Written => {}
            Answer::Message => recorder.message_acked(Latency::Message, took),
            Answer::Ack => recorder.message_acked(Latency::Ack, took),
        }
        drop(recorder);
        self.room.decided();
    }

    /// Gives up the oldest message when its time is over.
    fn time_out(&mut self, now: Instant) -> bool {
        if self.waiting.front().is_none_or(|waiting| waiting.deadline > now) {
            return false;
        }
        let Some(waiting) = self.waiting.pop_front() else {
            return false;
        };
        self.lost(&waiting, now, Some(&self.answer.too_late()));
        true
    }

    fn lost(&self, waiting: &Waiting, now: Instant, fault: Option<&Fault>) {
        let mut recorder = self.room.worker.recorder.borrow_mut();
        recorder.hit_failed(&waiting.mark, now, self.backend, None, fault);
        if self.answer != Answer::Written {
            recorder.message_lost();
        }
        drop(recorder);
        self.room.decided();
    }

    /// The session has ended: as we wanted it, or not.
    fn gone(&mut self, fault: &Fault) -> Ending {
        if self.leaving {
            self.room.worker.recorder.borrow_mut().closed();
            return Ending::Closed;
        }
        self.room.worker.recorder.borrow_mut().dropped(
            self.source,
            self.backend,
            self.reach.target,
            fault,
            Instant::now(),
        );
        self.lose_all();
        Ending::Lost {
            again: comes_back(fault),
        }
    }

    /// A storm drops the connection: nothing is said, as when the network is lost.
    fn torn(&mut self) {
        self.reach.tell("=", "storm");
        self.room
            .worker
            .recorder
            .borrow_mut()
            .stormed(self.backend, Instant::now());
        self.lose_all();
    }

    /// What was sent and not answered never will be.
    fn lose_all(&mut self) {
        let now = Instant::now();
        if let Some(caster) = &mut self.caster {
            caster.left(now);
        }
        for waiting in std::mem::take(&mut self.waiting) {
            self.lost(&waiting, now, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_client_is_small() {
        assert!(size_of::<Client>() < 1024, "{}", size_of::<Client>());
    }
}
