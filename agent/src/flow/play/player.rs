//! One client that plays a flow: its state, what it waits for and hears meanwhile, and how its hits are recorded. Never
//! here: what single steps do, sockets.

use super::dice::Dice;
use super::hooks::Hooks;
use super::inbox::Inbox;
use super::stage::{Stage, Track, row};
use super::stand::Stand;
use super::value::{Facts, Value};
use super::web::Web;
use crate::codec::cookie::Jar;
use crate::codec::session::Said;
use crate::flow::beside::record;
use crate::flow::cast::Caster;
use crate::flow::room::{Post, Room};
use crate::recorder::{Away, BackendId, Recorder};
use crate::wire::fault::Fault;
use crate::wire::flow::Program;
use std::cell::{RefCell, RefMut};
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep_until};

/// After a failure that took no time a client pauses, longer and longer, so that it does not spin.
pub const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What came while a client waited.
#[derive(Debug)]
pub enum Came {
    /// The server said something, or messages were written.
    Said(Said),
    /// The time is over.
    Time,
    /// The client is to close.
    Closing,
    /// The session is lost, or the client has failed.
    Over,
}

/// How a client waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// A wait that the client's end cuts short.
    Idle,
    /// The same, to an exact instant.
    Exact,
    /// For an answer: when the client closes it may still come within the grace period.
    Answer,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    /// As it should.
    Well,
    /// Not so; it is counted.
    Badly,
}

/// Why a client does no further step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It is to close.
    Closing,
    /// Its session is lost, or it has failed.
    Over,
}

/// The end of a step.
pub type Ended = Result<Did, Stop>;

/// One client.
pub struct Player {
    pub room: Rc<Room>,
    pub stage: Rc<Stage>,
    pub post: Rc<Post>,
    pub track: Rc<Track>,
    /// Over the whole swarm.
    pub number: u64,
    /// Its row of the CSV file.
    row: Option<usize>,
    /// Its own target.
    pub target: u16,
    /// All its sockets are bound to it.
    pub source: Option<IpAddr>,
    /// Where its sockets really come from, once it had one.
    pub local: Option<IpAddr>,
    pub slots: Vec<Option<Value>>,
    pub dice: Dice,
    /// Round of the innermost repetition.
    pub round: u64,
    /// The name of the backend that its connect named.
    pub backend: String,
    pub stand: Option<Box<Stand>>,
    pub web: Option<Box<Web>>,
    pub inbox: Inbox,
    pub hooks: Option<Box<Hooks>>,
    /// Where broadcasts are measured.
    pub caster: Option<Box<Caster>>,
    /// The line of its last connect.
    pub entered: Option<usize>,
    /// Its cookies did not keep it on one backend, which is told once.
    pub strayed: bool,
    /// The backend that its last http answer came from.
    pub landed: Option<BackendId>,
    /// Lost, and not back yet.
    pub away: Option<Away>,
    /// The session is lost, and whether the real client comes back from that.
    pub lost: Option<bool>,
    /// It leaves: it has failed as a whole, or was told to.
    pub done: bool,
    /// Its last connect was turned away in so many words: the real client does not try again.
    pub turned_away: bool,
    /// The last failure took no time: others must not be starved by the next.
    pub at_once: bool,
    pub pause: Duration,
    jar: RefCell<Jar>,
    timer: Option<Pin<Box<Sleep>>>,
    closing: Option<Instant>,
}

impl Player {
    /// Client `number` before its first step; `None` when there is nothing to play.
    pub fn new(room: Rc<Room>, stage: Rc<Stage>, number: u64, post: Rc<Post>) -> Option<Box<Self>> {
        let worker = &room.worker;
        let track = stage.track(number)?;
        let program = worker.share.program.as_deref()?;
        let target = worker.target_of(number);
        Some(Box::new(Self {
            number,
            row: row(&worker.share, number),
            target,
            source: worker.dialer.next_source(target),
            local: None,
            slots: vec![None; program.slots.len()],
            dice: Dice::new(&worker.share.run, number),
            round: 0,
            backend: String::new(),
            stand: None,
            web: None,
            inbox: Inbox::default(),
            hooks: None,
            caster: None,
            entered: None,
            strayed: false,
            landed: None,
            away: None,
            lost: None,
            done: false,
            turned_away: false,
            at_once: false,
            pause: FIRST_PAUSE,
            jar: RefCell::default(),
            timer: None,
            closing: None,
            track,
            room,
            stage,
            post,
        }))
    }

    /// The playbook.
    pub fn program(&self) -> &Program {
        let program = self.room.worker.share.program.as_deref();
        program.expect("a player is only made where there is a playbook")
    }

    /// Its row of the CSV file.
    pub fn columns(&self) -> &[String] {
        self.row
            .and_then(|row| self.program().rows.get(row))
            .map_or(&[], Vec::as_slice)
    }

    /// The thread's recorder.
    pub fn recorder(&self) -> RefMut<'_, Recorder> {
        self.room.worker.recorder.borrow_mut()
    }

    /// The client's cookies: its session's while it stands.
    pub fn cookies(&self) -> RefMut<'_, Jar> {
        match &self.stand {
            Some(stand) => stand.reach.cookies.borrow_mut(),
            None => self.jar.borrow_mut(),
        }
    }

    /// The local address, as far as it is known.
    pub fn address(&self) -> IpAddr {
        let route = || self.stage.route(&self.room.worker.dialer, self.target);
        self.local.or(self.source).unwrap_or_else(route)
    }

    /// Whether the client is to close.
    pub fn closes(&self) -> bool {
        self.post.close.get()
    }

    /// What variables stand for now.
    pub fn facts(&self, now: Instant) -> Facts<'_> {
        let worker = &self.room.worker;
        let (share, program) = (&worker.share, self.program());
        Facts {
            conn: self.number,
            conns: self.room.clients(),
            host: share.host_index,
            hosts: share.hosts,
            source: self.address(),
            start_unix_ms: program.sent_unix_ms,
            elapsed_ms: millis(now.saturating_duration_since(worker.start)),
            round: self.round,
            run: &share.run,
            backend: &self.backend,
            columns: self.columns(),
            slots: &self.slots,
            stamp: None,
            dice: &self.dice,
        }
    }

    /// Remembers what an answer gave.
    pub fn remember(&mut self, values: Vec<(u16, Value)>) {
        for (slot, value) in values {
            self.set(slot, value);
        }
    }

    /// Sets a variable, for the script, too.
    pub fn set(&mut self, slot: u16, value: Value) {
        if let Some(hooks) = &mut self.hooks
            && let Some(name) = self
                .room
                .worker
                .share
                .program
                .as_ref()
                .and_then(|p| p.slots.get(usize::from(slot)))
        {
            hooks.set(name, &value.text());
        }
        if let Some(place) = self.slots.get_mut(usize::from(slot)) {
            *place = Some(value);
        }
    }

    /// Waits until something is said, or `until` has come.
    pub async fn came(&mut self, until: Option<Instant>, manner: Manner) -> Came {
        if let (Manner::Exact, Some(until)) = (manner, until) {
            self.room.wake_at(until, &self.post);
        }
        poll_fn(|cx| self.poll_came(cx, until, manner)).await
    }

    /// Waits until then, whatever is said; what is, is kept for those who expect it.
    pub async fn rest(&mut self, until: Option<Instant>, manner: Manner) -> Result<(), Stop> {
        if let (Manner::Exact, Some(until)) = (manner, until) {
            self.room.wake_at(until, &self.post);
        }
        loop {
            match poll_fn(|cx| self.poll_came(cx, until, manner)).await {
                Came::Said(said) => self.keep(said),
                Came::Time => return Ok(()),
                Came::Closing => return Err(Stop::Closing),
                Came::Over => return Err(Stop::Over),
            }
        }
    }

    /// After a failure that took no time: pauses, so that the same again does not starve others.
    pub async fn breathe(&mut self) -> Result<(), Stop> {
        if !std::mem::take(&mut self.at_once) {
            return Ok(());
        }
        let until = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.rest(Some(until), Manner::Idle).await
    }

    /// Keeps what was said for those who expect it.
    pub fn keep(&mut self, said: Said) {
        if self.track.expects {
            self.inbox.keep(said);
        }
    }

    /// One look at everything that a client waits for.
    pub fn poll_came(&mut self, cx: &mut Context<'_>, until: Option<Instant>, manner: Manner) -> Poll<Came> {
        let mut waker = self.post.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        let came = self.poll_waits(cx, until, manner);
        self.note();
        came
    }

    /// Ends when the client was told to close and the grace period is over.
    pub fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        *self.post.waker.borrow_mut() = Some(cx.waker().clone());
        if !self.closes() {
            return Poll::Pending;
        }
        let now = Instant::now();
        let grace = Duration::from_nanos(self.room.worker.share.limits.grace);
        let at = *self.closing.get_or_insert(now + grace);
        if at <= now {
            return Poll::Ready(());
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at.into())));
        timer.as_mut().reset(at.into());
        timer.as_mut().poll(cx)
    }

    /// Records what came up beside the client's own business.
    pub fn note(&mut self) {
        if let Some(stand) = &mut self.stand {
            let mut recorder = self.room.worker.recorder.borrow_mut();
            record(&stand.reach, &mut recorder);
            recorder.heartbeats(stand.heartbeats());
        }
    }

    fn poll_waits(&mut self, cx: &mut Context<'_>, until: Option<Instant>, manner: Manner) -> Poll<Came> {
        loop {
            if self.post.torn.take() && !self.closes() {
                self.torn();
            }
            if self.lost.is_some() || self.done {
                return Poll::Ready(Came::Over);
            }
            match self.stand.as_mut().map(|stand| stand.poll(cx)) {
                Some(Poll::Ready(Ok(said))) => {
                    if let Some(said) = self.heard(said) {
                        return Poll::Ready(Came::Said(said));
                    }
                    continue;
                }
                Some(Poll::Ready(Err(fault))) => {
                    self.gone(&fault);
                    continue;
                }
                Some(Poll::Pending) | None => {}
            }
            let now = Instant::now();
            let mut until = until;
            if self.closes() {
                let grace = Duration::from_nanos(self.room.worker.share.limits.grace);
                if self.closing.is_none()
                    && let Some(caster) = &mut self.caster
                {
                    caster.close(now);
                }
                let at = *self.closing.get_or_insert(now + grace);
                if manner != Manner::Answer || at <= now {
                    return Poll::Ready(Came::Closing);
                }
                until = Some(until.map_or(at, |until| until.min(at)));
            }
            if until.is_some_and(|until| until <= now) {
                return Poll::Ready(Came::Time);
            }
            let errand = self.hooks.as_ref().and_then(|hooks| hooks.deadline());
            if errand.is_some_and(|deadline| deadline <= now) {
                self.give_up_errands(now);
                continue;
            }
            let alarm = until.filter(|_| manner != Manner::Exact);
            let Some(next) = [alarm, errand].into_iter().flatten().min() else {
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

    /// What was said, unless it is nobody's business but ours.
    fn heard(&mut self, said: Said) -> Option<Said> {
        self.name(&said);
        match &said {
            Said::Event { .. } | Said::Message { .. } => {
                self.recorder().message_received();
                if let (Some(caster), Said::Event { name, body, .. }) = (&mut self.caster, &said) {
                    caster.heard(name, body, Instant::now());
                }
                if self.hooks.is_some() {
                    self.tell_hooks(&said);
                }
            }
            Said::Written(count) => {
                if let Some(stand) = &mut self.stand {
                    stand.unwritten = stand.unwritten.saturating_sub(*count);
                }
            }
            Said::Ack { id, .. } => {
                if self.answers_errand(*id) {
                    return None;
                }
            }
            Said::Joined { .. } | Said::Refused { .. } | Said::Left { .. } => {
                if let Some(stand) = &mut self.stand {
                    stand.moved(&said);
                }
            }
        }
        Some(said)
    }

    /// The session has ended, and not by us.
    fn gone(&mut self, fault: &Fault) {
        self.note();
        let Some(stand) = self.part() else { return };
        let target = stand.reach.target;
        let now = Instant::now();
        let mut recorder = self.recorder();
        recorder.dropped(stand.source, stand.backend, target, fault, now);
        recorder.away();
        drop(recorder);
        self.away = Some(Away {
            from: stand.backend,
            since: now,
        });
        self.lost = Some(crate::flow::comeback::comes_back(fault));
    }

    /// A storm drops the session, as when the network is lost.
    fn torn(&mut self) {
        self.note();
        let Some(stand) = self.part() else { return };
        stand.reach.tell("=", "storm");
        let (from, now) = (stand.backend, Instant::now());
        let mut recorder = self.recorder();
        recorder.stormed(from, now);
        recorder.away();
        drop(recorder);
        self.away = Some(Away { from, since: now });
        self.lost = Some(true);
    }

    /// Takes the session away; its cookies stay.
    pub fn part(&mut self) -> Option<Box<Stand>> {
        let stand = self.stand.take()?;
        if let Some(caster) = &mut self.caster {
            caster.left(Instant::now());
        }
        *self.jar.borrow_mut() = std::mem::take(&mut *stand.reach.cookies.borrow_mut());
        self.lose_errands();
        Some(stand)
    }

    /// Hands the cookies to the session that is about to be opened.
    pub fn lend_cookies(&self) -> Jar {
        std::mem::take(&mut *self.jar.borrow_mut())
    }

    /// Takes them back when it did not open.
    pub fn take_cookies(&self, jar: Jar) {
        *self.jar.borrow_mut() = jar;
    }
}

/// Whole ms.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A limit in words: `1.5 s`.
pub fn span(ns: u64) -> String {
    format!("{} s", ns as f64 / 1e9)
}
