//! Broadcasts: who emits them, who listens since when, what was heard of them and how long it took.
//!
//! A [`Hall`] is what the clients of one thread share, a [`Caster`] is one client in it. All times are us since the start
//! instant, which is the same instant on all hosts but for their clocks' error; so a receipt's time less its stamp's is the
//! delivery time, exact within one host, and within [`error_at`] between two. What lies below that error, or below
//! zero, is counted as such and is in no distribution. Which receipts are due is said in [`crate::wire::broadcast`].
//!
//! Without a stamp nothing tells receipts apart: each counts in the second in which it came, and where some clients emit
//! and others don't, only those that don't are counted as listeners, as an emitter may or may not hear itself.
//! Never here: sockets, when something is emitted (`room`).

use super::hearing::{Hearing, Receipt};
use crate::codec::stamp::{PLACE, Stamp, Stamps};
use crate::recorder::BackendId;
use crate::wire::broadcast::{due_from, due_until, error_at, second, stay_until};
use crate::wire::report::Latency;
use crate::worker::Worker;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What the clients of a thread share.
pub struct Hall {
    worker: Rc<Worker>,
    event: String,
    stamped: bool,
    /// Without stamps client numbers that are 0 modulo this are no listeners.
    deaf: Option<u64>,
    stamps: Stamps,
    hearing: RefCell<Hearing>,
}

impl Hall {
    /// Of this thread; `None` when the share measures no broadcasts.
    pub fn new(worker: &Rc<Worker>) -> Option<Rc<Self>> {
        let plan = worker.share.broadcast.as_ref()?;
        Some(Rc::new(Self {
            worker: Rc::clone(worker),
            event: plan.event.clone(),
            stamped: plan.stamped,
            deaf: Some(plan.one_in).filter(|n| *n > 1 && !plan.stamped),
            stamps: Stamps::of(&worker.share.run),
            hearing: RefCell::default(),
        }))
    }

    /// Whether the bodies of events are wanted.
    pub fn reads_bodies(&self) -> bool {
        self.stamped
    }

    fn us(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.worker.start);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// Whether a client of the whole swarm lives on this host.
    fn is_ours(&self, number: u64) -> bool {
        let deal = &self.worker.share.deal;
        let slot = number % u64::from(deal.slots.max(1));
        deal.mine.iter().any(|mine| u64::from(*mine) == slot)
    }

    /// How long a delivery took; `None`: less than can be told.
    fn took(&self, stamp: &Stamp, now_us: u64) -> Option<Duration> {
        let took = now_us.checked_sub(stamp.at_us)?;
        let error = match self.is_ours(stamp.emitter) {
            true => 0,
            false => error_at(self.worker.clock_error, now_us.saturating_mul(1000)),
        };
        (took.saturating_mul(1000) >= error).then(|| Duration::from_micros(took))
    }
}

/// One client in the hall. Dropping it ends its listening.
pub struct Caster {
    hall: Rc<Hall>,
    number: u64,
    place: u32,
    seq: u32,
    session: Option<Session>,
    stays: Option<Instant>,
}

/// From joining to leaving.
struct Session {
    backend: Option<BackendId>,
    mark: u32,
    from: u32,
    listens: bool,
    emits: Recent,
    heard: Recent,
}

/// Counts of the last two seconds in which there was something: more cannot turn out not to have been due.
#[derive(Default)]
struct Recent([(u32, u64); 2]);

impl Recent {
    fn add(&mut self, second: u32) {
        if self.0[0].0 != second {
            self.0[1] = std::mem::replace(&mut self.0[0], (second, 0));
        }
        self.0[0].1 += 1;
    }

    fn since(&self, second: u32) -> u64 {
        self.0.iter().filter(|(at, _)| *at >= second).map(|(_, n)| n).sum()
    }
}

impl Caster {
    /// Client `number` of the whole swarm comes in, and listens. Its emits are numbered from `seq` on: one that comes back goes
    /// on where it was.
    pub fn enter(hall: &Rc<Hall>, number: u64, seq: u32, backend: Option<BackendId>, now: Instant) -> Box<Self> {
        let mut caster = Box::new(Self {
            hall: Rc::clone(hall),
            number,
            place: hall.hearing.borrow_mut().take_place(),
            seq,
            session: None,
            stays: None,
        });
        caster.joined(backend, now);
        caster
    }

    /// It is in, or in again, and listens.
    pub fn joined(&mut self, backend: Option<BackendId>, now: Instant) {
        self.left(now);
        let mut recorder = self.hall.worker.recorder.borrow_mut();
        let session = Session {
            backend,
            mark: recorder.mark_of(backend),
            from: due_from(self.hall.us(now)),
            listens: self.hall.deaf.is_none_or(|one_in| !self.number.is_multiple_of(one_in)),
            emits: Recent::default(),
            heard: Recent::default(),
        };
        if session.listens {
            recorder.broadcasts().joined(backend, session.from);
        }
        drop(recorder);
        self.session = Some(session);
    }

    /// It has left, or was lost: what it was not there for long enough to hear is taken back.
    pub fn left(&mut self, now: Instant) {
        let Some(session) = self.session.take().filter(|session| session.listens) else {
            return;
        };
        let until = due_until(self.hall.us(now)).max(session.from);
        let mut recorder = self.hall.worker.recorder.borrow_mut();
        let casts = recorder.broadcasts();
        casts.left(session.backend, session.from, until, session.emits.since(until));
        for mark in self.hall.hearing.borrow_mut().take_back(until, self.place) {
            casts.taken_back(session.backend, mark);
        }
        for _ in 0..session.heard.since(until) {
            casts.taken_back(session.backend, 0);
        }
    }

    /// It is told to close: it stays until the emits of now are judged.
    pub fn close(&mut self, now: Instant) {
        let until = stay_until(self.hall.us(now));
        self.stays = Some(self.hall.worker.start + Duration::from_micros(until));
    }

    /// Until when it stays after it was told to close.
    pub fn stays(&self) -> Option<Instant> {
        self.stays
    }

    /// Notes an emit of now, and puts its stamp into the text's places for it.
    pub fn filled(&mut self, text: &str, now: Instant) -> String {
        let stamp = self.emitted(now);
        let mut pieces = text.split(PLACE);
        let mut filled = String::with_capacity(text.len() + 80);
        filled.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            if let Some(stamp) = &stamp {
                self.hall.stamps.write(stamp, &mut filled);
            }
            filled.push_str(piece);
        }
        filled
    }

    fn emitted(&mut self, now: Instant) -> Option<Stamp> {
        let session = self.session.as_mut()?;
        let at_us = self.hall.us(now);
        let second = second(at_us);
        let due = self.hall.stamped && session.from <= second;
        let mut recorder = self.hall.worker.recorder.borrow_mut();
        recorder.broadcasts().emitted(session.backend, second, due);
        if due {
            session.emits.add(second);
        }
        let stamp = Stamp {
            emitter: self.number,
            seq: self.seq,
            at_us,
            origin: session.mark,
        };
        self.seq = self.seq.wrapping_add(1);
        Some(stamp)
    }

    /// It hears an event; those of another name are none of ours.
    pub fn heard(&mut self, name: &str, body: &str, now: Instant) {
        let Some(session) = self.session.as_mut().filter(|session| session.listens) else {
            return;
        };
        let hall = &self.hall;
        if name != hall.event {
            return;
        }
        let now_us = hall.us(now);
        let mut recorder = hall.worker.recorder.borrow_mut();
        let casts = recorder.broadcasts();
        if !hall.stamped {
            let second = second(now_us);
            casts.heard += 1;
            if session.from <= second {
                casts.received(session.backend, 0);
                session.heard.add(second);
            } else {
                casts.beyond += 1;
            }
            return;
        }
        if body.is_empty() {
            // it came with the handshake, before bodies were kept: nobody who has just come is due
            return;
        }
        let ahead = 2 * 1_000_000 + hall.worker.clock_error / 1000;
        let Some(stamp) = hall.stamps.find(body).filter(|stamp| stamp.at_us <= now_us + ahead) else {
            casts.unstamped += 1;
            return;
        };
        if stamp.emitter == self.number {
            casts.own += 1;
            return;
        }
        let second = second(stamp.at_us);
        let key = (stamp.emitter, stamp.seq);
        match hall.hearing.borrow_mut().hear(second, key, stamp.origin, self.place) {
            Receipt::Again => casts.duplicates += 1,
            Receipt::Forgotten => casts.forgotten += 1,
            Receipt::First => {
                casts.heard += 1;
                if session.from <= second {
                    casts.received(session.backend, stamp.origin);
                } else {
                    casts.beyond += 1;
                }
                match hall.took(&stamp, now_us) {
                    Some(took) => recorder.latency(Latency::Broadcast, took),
                    None => casts.below += 1,
                }
            }
        }
    }
}

impl Drop for Caster {
    fn drop(&mut self) {
        self.left(Instant::now());
        self.hall.hearing.borrow_mut().give_back(self.place);
    }
}
