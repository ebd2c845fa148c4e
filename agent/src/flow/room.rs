//! What the held clients of one thread share: who is open, what is due when, and how many messages may still be sent.
//! Never here: sockets, protocols.

use super::cast::Hall;
use crate::codec::backend::BackendNames;
use crate::engine::reach::Traffic;
use crate::engine::socketio;
use crate::pacer;
use crate::wire::share::{Cadence, Deal, Held};
use crate::worker::Worker;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::{Duration, Instant};

/// Orders to one client.
#[derive(Default)]
pub struct Post {
    /// Messages to send, with the instants when they are due.
    pub orders: RefCell<VecDeque<Option<Instant>>>,
    /// Close.
    pub close: Cell<bool>,
    /// A storm: drop the connection without a farewell.
    pub torn: Cell<bool>,
    /// The client is lost and on its way back: it takes no messages.
    away: Cell<bool>,
    /// Messages said so far, over all its connections: with several of them they are said in turn.
    pub said: Cell<u32>,
    /// The client's task.
    pub waker: RefCell<Option<Waker>>,
}

impl Post {
    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Tells the client to close.
    pub fn shut(&self) {
        self.close.set(true);
        self.wake();
    }

    /// Tells the client to drop its connection, where it stands.
    pub fn tear(&self) {
        if !self.close.get() && !self.away.get() {
            self.torn.set(true);
            self.wake();
        }
    }

    fn order(&self, due: Option<Instant>) {
        self.orders.borrow_mut().push_back(due);
        self.wake();
    }
}

/// What is for those who hold the clients to do.
pub enum Turn {
    /// Client `number` opens, and closes at `to`.
    Open {
        /// Of the whole plan.
        number: u64,
        /// ns since the start.
        to: Option<u64>,
    },
    /// Every client that is connected drops its connection.
    Storm,
}

/// What comes at an instant.
pub enum Upcoming {
    /// To be done by those who hold the clients.
    Turn(Turn),
    /// A client sends its next message.
    Say(Weak<Post>),
    /// A client looks again what there is to do.
    Wake(Weak<Post>),
    /// A client closes.
    Close(Weak<Post>),
    /// The next message of the total is due.
    Total,
}

struct Entry {
    at: Instant,
    turn: u64,
    what: Upcoming,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.turn).cmp(&(other.at, other.turn))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

#[derive(Default)]
struct Agenda {
    entries: BinaryHeap<Reverse<Entry>>,
    turn: u64,
    open: Vec<Rc<Post>>,
    next: usize,
    waiting: VecDeque<Instant>,
    unstarted: u64,
    /// Messages of `--every` without `-n` that came due while their client was away.
    missed: u64,
    /// Messages of the total: this thread's, and how many of them came due.
    total: u64,
    came: u64,
}

/// What the clients share.
pub struct Room {
    /// The thread.
    pub worker: Rc<Worker>,
    /// The plan.
    pub plan: Held,
    /// Bytes.
    pub traffic: Rc<Traffic>,
    /// Where answers name their backend.
    pub names: Rc<BackendNames>,
    /// Messages ordered or sent and not decided.
    pub pending: Cell<u64>,
    /// Where broadcasts are measured.
    pub hall: Option<Rc<Hall>>,
    /// One client in so many sends, and which messages of the total are those of this thread's.
    senders: Option<(u64, Deal)>,
    limit: Option<u64>,
    stride: u64,
    clients: u64,
    agenda: RefCell<Agenda>,
    entries: RefCell<Vec<(u16, Rc<socketio::Entry>)>>,
    changed: tokio::sync::Notify,
}

impl Room {
    /// The agenda of this thread's clients.
    pub fn new(worker: Rc<Worker>, plan: Held) -> Rc<Self> {
        let deal = &worker.share.deal;
        let clients = pacer::connections(&plan.clients);
        let own = deal.count(clients);
        let (index, threads) = (u64::from(worker.index), u64::from(worker.threads));
        let stride = threads.min(own).max(1);
        let step = usize::try_from(threads).unwrap_or(1).max(1);
        let senders = pacer::one_in(&worker.share).map(|one_in| {
            let numbers = (index..own).step_by(step).map(|k| deal.number(k));
            (one_in, pacer::senders(one_in, clients, numbers))
        });
        let mut agenda = Agenda::default();
        if let Some(Cadence::Total(schedule)) = &plan.cadence {
            let hits = pacer::hits(schedule).min(plan.requests.unwrap_or(u64::MAX));
            let mine = deal.count(hits);
            if let Some((_, senders)) = &senders {
                agenda.total = senders.count(hits);
            } else if index < stride {
                agenda.total = (mine + stride - 1 - index) / stride;
            } else if own == 0 && index == 0 {
                agenda.total = mine;
            }
        }
        let claims = match &plan.cadence {
            Some(cadence) => matches!(cadence, Cadence::Once | Cadence::Every(_)),
            // whoever plays a playbook claims each of its hits
            None => worker.share.program.is_some(),
        };
        let limit = plan
            .requests
            .filter(|_| claims)
            .map(|n| pacer::messages(&worker.share).count(n));
        let room = Self {
            hall: Hall::new(&worker),
            senders,
            traffic: Rc::default(),
            names: Rc::new(BackendNames::of(&worker.share)),
            pending: Cell::new(0),
            limit,
            stride,
            clients,
            agenda: RefCell::new(agenda),
            entries: RefCell::default(),
            changed: tokio::sync::Notify::new(),
            worker: Rc::clone(&worker),
            plan,
        };
        for k in (index..own).step_by(step) {
            let number = deal.number(k);
            for span in pacer::spans(&room.plan.clients, number) {
                if span.from < room.plan.end {
                    let open = Turn::Open { number, to: span.to };
                    room.at(worker.at(span.from), Upcoming::Turn(open));
                }
            }
        }
        for storm in &room.plan.storms {
            room.at(worker.at(*storm), Upcoming::Turn(Turn::Storm));
        }
        room.next_total();
        Rc::new(room)
    }

    /// How clients of this target come in, where the engine is Socket.IO or Engine.IO.
    pub fn entry(&self, target: u16) -> Option<Rc<socketio::Entry>> {
        let mut entries = self.entries.borrow_mut();
        if let Some((_, entry)) = entries.iter().find(|(known, _)| *known == target) {
            return Some(Rc::clone(entry));
        }
        let entry = Rc::new(socketio::Entry::of(&self.worker.share.engine, target)?);
        entries.push((target, Rc::clone(&entry)));
        Some(entry)
    }

    fn at(&self, at: Instant, what: Upcoming) {
        let mut agenda = self.agenda.borrow_mut();
        agenda.turn += 1;
        let turn = agenda.turn;
        agenda.entries.push(Reverse(Entry { at, turn, what }));
        drop(agenda);
        self.changed.notify_one();
    }

    fn next_total(&self) {
        let Some(Cadence::Total(schedule)) = &self.plan.cadence else {
            return;
        };
        let (came, total) = {
            let agenda = self.agenda.borrow();
            (agenda.came, agenda.total)
        };
        if came < total {
            let number = match &self.senders {
                Some((_, senders)) => senders.number(came),
                None => {
                    let turn = u64::from(self.worker.index) + came * self.stride;
                    self.worker.share.deal.number(turn)
                }
            };
            if let Some(due) = pacer::due(schedule, number) {
                self.at(self.worker.at(due), Upcoming::Total);
            }
        }
    }

    /// When the next thing comes.
    pub fn next(&self) -> Option<Instant> {
        self.agenda.borrow().entries.peek().map(|entry| entry.0.at)
    }

    /// Ends when the agenda has changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Does what has come by `now`; what is for those who hold the clients is given back.
    pub fn advance(&self, now: Instant, mut give: impl FnMut(Turn)) {
        while self.next().is_some_and(|at| at <= now) {
            let Some(Reverse(entry)) = self.agenda.borrow_mut().entries.pop() else {
                return;
            };
            match entry.what {
                Upcoming::Turn(turn) => give(turn),
                Upcoming::Wake(post) => {
                    if let Some(post) = post.upgrade() {
                        post.wake();
                    }
                }
                Upcoming::Close(post) => {
                    if let Some(post) = post.upgrade() {
                        post.shut();
                    }
                }
                Upcoming::Say(post) => {
                    let (Some(post), Some(Cadence::Every(period))) = (post.upgrade(), &self.plan.cadence) else {
                        continue;
                    };
                    if post.close.get() {
                        continue;
                    }
                    if post.away.get() {
                        // with a limit nothing is claimed, and so it is left to others
                        self.agenda.borrow_mut().missed += u64::from(self.limit.is_none());
                    } else if self.claim() {
                        self.pending.set(self.pending.get() + 1);
                        post.order(Some(entry.at));
                    } else {
                        continue;
                    }
                    self.at(
                        entry.at + Duration::from_nanos((*period).max(1)),
                        Upcoming::Say(Rc::downgrade(&post)),
                    );
                }
                Upcoming::Total => {
                    let mut agenda = self.agenda.borrow_mut();
                    agenda.came += 1;
                    agenda.waiting.push_back(entry.at);
                    drop(agenda);
                    self.pending.set(self.pending.get() + 1);
                    self.deal_out();
                    self.next_total();
                }
            }
        }
    }

    /// Gives what waits to open clients in turn.
    fn deal_out(&self) {
        let mut agenda = self.agenda.borrow_mut();
        while !agenda.open.is_empty() && !agenda.waiting.is_empty() {
            let turn = agenda.next % agenda.open.len();
            agenda.next = turn + 1;
            let due = agenda.waiting.pop_front();
            agenda.open[turn].order(due);
        }
    }

    /// A client stands: it gets its messages from now on.
    pub fn opened(&self, number: u64, post: &Rc<Post>, now: Instant) {
        if self
            .senders
            .as_ref()
            .is_some_and(|(one_in, _)| !number.is_multiple_of(*one_in))
        {
            return;
        }
        match &self.plan.cadence {
            None => {}
            Some(Cadence::Once) if self.claim() => {
                self.pending.set(self.pending.get() + 1);
                post.order(None);
            }
            Some(Cadence::Once) => {}
            Some(Cadence::Every(period)) => {
                let first = now + self.phase(number, *period);
                self.at(first, Upcoming::Say(Rc::downgrade(post)));
            }
            Some(Cadence::Total(_)) => {
                self.agenda.borrow_mut().open.push(Rc::clone(post));
                self.deal_out();
            }
        }
    }

    /// A client closes or is lost for good: what it was ordered and has not sent goes to others, or was never started.
    pub fn left(&self, post: &Rc<Post>) {
        post.close.set(true);
        self.take_back(post);
    }

    /// A client is lost and comes back: until then it takes no messages.
    pub fn away(&self, post: &Rc<Post>) {
        post.away.set(true);
        let orders = self.take_back(post);
        if self.limit.is_none() && matches!(self.plan.cadence, Some(Cadence::Every(_))) {
            self.agenda.borrow_mut().missed += orders;
        }
    }

    /// It is back: it takes messages again, as if it had not been away.
    pub fn back(&self, post: &Rc<Post>) {
        post.away.set(false);
        if matches!(self.plan.cadence, Some(Cadence::Total(_))) {
            self.agenda.borrow_mut().open.push(Rc::clone(post));
            self.deal_out();
        }
    }

    /// Gives what a client was ordered and has not sent to others, where there is a total; else it was never started.
    fn take_back(&self, post: &Rc<Post>) -> u64 {
        let orders = std::mem::take(&mut *post.orders.borrow_mut());
        let count = orders.len() as u64;
        let total = matches!(self.plan.cadence, Some(Cadence::Total(_)));
        let mut agenda = self.agenda.borrow_mut();
        agenda.open.retain(|open| !Rc::ptr_eq(open, post));
        if total {
            for due in orders.into_iter().flatten().rev() {
                agenda.waiting.push_front(due);
            }
        } else {
            agenda.unstarted += count;
            self.pending.set(self.pending.get() - count);
        }
        drop(agenda);
        self.deal_out();
        self.changed.notify_one();
        count
    }

    /// Clients of the whole swarm.
    pub fn clients(&self) -> u64 {
        self.clients
    }

    /// Wakes a client at an instant, more exactly than its own timer could.
    pub fn wake_at(&self, at: Instant, post: &Rc<Post>) {
        self.at(at, Upcoming::Wake(Rc::downgrade(post)));
    }

    /// How far into a period client `number` begins: clients are spread evenly over it.
    pub fn phase(&self, number: u64, period: u64) -> Duration {
        let clients = u128::from(self.clients.max(1));
        let phase = u128::from(period) * (u128::from(number) % clients) / clients;
        Duration::from_nanos(u64::try_from(phase).unwrap_or(0))
    }

    /// A hit of a playbook goes out; false when the plan allows no more. It ends in [`Room::decided`].
    pub fn takes(&self) -> bool {
        let takes = self.claim();
        if takes {
            self.pending.set(self.pending.get() + 1);
        }
        takes
    }

    /// A message was decided.
    pub fn decided(&self) {
        self.pending.set(self.pending.get() - 1);
        if self.pending.get() == 0 {
            self.changed.notify_one();
        }
    }

    /// Claims one message of those that the plan allows.
    fn claim(&self) -> bool {
        let Some(limit) = self.limit else { return true };
        let claim = |n: u64| (n < limit).then_some(n + 1);
        self.worker
            .claimed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim)
            .is_ok()
    }

    /// Whether the plan ends by a count that is reached, and everything sent here is decided.
    pub fn counted_out(&self) -> bool {
        let agenda = self.agenda.borrow();
        let all = match self.limit {
            Some(limit) => self.worker.claimed.load(Ordering::Relaxed) >= limit,
            None => self.plan.requests.is_some() && agenda.came >= agenda.total,
        };
        all && self.pending.get() == 0
    }

    /// Whether the plan ends by a count that other threads work on, too.
    pub fn counts(&self) -> bool {
        self.limit.is_some()
    }

    /// No client opens any more, nothing more is due.
    pub fn stop(&self) {
        let mut agenda = self.agenda.borrow_mut();
        agenda.entries.clear();
        agenda.open = Vec::new();
    }

    /// Sets when an opened client closes.
    pub fn close_at(&self, to: u64, post: &Rc<Post>) {
        self.at(self.worker.at(to), Upcoming::Close(Rc::downgrade(post)));
    }

    /// Messages that were planned and never sent, once the load is over. With `-n` the rest that no thread has claimed
    /// is claimed here, so that it is counted once a host.
    pub fn unstarted(&self) -> u64 {
        let agenda = self.agenda.borrow();
        let unclaimed = self.limit.map_or(0, |limit| {
            let rest = self.worker.claimed.fetch_max(limit, Ordering::Relaxed);
            limit.saturating_sub(rest)
        });
        let unsent: u64 = if self.limit.is_some() { agenda.unstarted } else { 0 };
        unclaimed + unsent + agenda.missed + (agenda.total - agenda.came) + agenda.waiting.len() as u64
    }
}
