//! The open loop: hits are due by the clock, whether earlier ones were answered or not. Those that are due wait in a
//! counter; the next free connection takes the oldest.

use super::hit::{Client, Way};
use crate::pacer;
use crate::timer::Timer;
use crate::wire::share::{Open, Schedule, Stage};
use crate::worker::Worker;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// After the schedule's end the last hits that are due may still be taken up for so long.
const LAST_CALL: Duration = Duration::from_millis(10);
const PAUSE: Duration = Duration::from_millis(10);

/// What the connections of one thread share. Hits are counted in this thread's own numbers, from 0.
struct Queue {
    worker: Rc<Worker>,
    part: RefCell<Part>,
    /// The next hit to be taken.
    next: Cell<u64>,
    /// Hits below are due.
    until: Cell<u64>,
    /// What is measured, while the warm-up goes on.
    measured: RefCell<Option<Part>>,
    closed: Cell<bool>,
    idle: RefCell<Vec<Rc<Notify>>>,
    taken: Notify,
}

/// Counts what was not started even when the flow is dropped.
struct Count(Rc<Queue>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The schedule that is being run: the warm-up's, then the measured one.
#[derive(Clone)]
struct Part {
    schedule: Schedule,
    base: Instant,
    /// Hits of this thread.
    whole: u64,
}

/// Runs this worker's hits to the end of the schedule.
pub async fn run(worker: Rc<Worker>, load: &Open) {
    let measured = Part::new(&worker, load.schedule.clone(), worker.at(load.warmup), load.requests);
    let (first, measured) = if load.warmup > 0 {
        (Part::new(&worker, steady(load), worker.start, None), Some(measured))
    } else {
        (measured, None)
    };
    let queue = Rc::new(Queue {
        part: RefCell::new(first),
        measured: RefCell::new(measured),
        next: Cell::new(0),
        until: Cell::new(0),
        closed: Cell::new(false),
        idle: RefCell::default(),
        taken: Notify::new(),
        worker: Rc::clone(&worker),
    });
    let _count = Count(Rc::clone(&queue));
    let timer = Timer::new().ok();
    let connections = worker.share.deal.count(load.connections);
    let mine = (u64::from(worker.index)..connections)
        .step_by(worker.threads as usize)
        .count();
    let mut crew = Crew {
        tasks: JoinSet::new(),
        most: mine.max(1),
        queue: Rc::clone(&queue),
    };
    if load.warmup > 0 {
        queue.pace(timer.as_ref(), &mut crew).await;
        tokio::select! {
            () = tokio::time::sleep_until(worker.at(load.warmup).into()) => {}
            () = worker.drained() => {}
        }
        queue.measure();
    }
    queue.pace(timer.as_ref(), &mut crew).await;
    let end = worker.at(load.warmup + pacer::length(&load.schedule.stages)) + LAST_CALL;
    tokio::select! {
        () = queue.all_taken() => {}
        () = tokio::time::sleep_until(end.into()) => {}
        () = worker.drained() => {}
    }
    queue.close();
    while crew.tasks.join_next().await.is_some() {}
}

/// The warm-up: a plateau at the schedule's first rate that is not nothing.
fn steady(load: &Open) -> Schedule {
    let rate = load
        .schedule
        .stages
        .iter()
        .flat_map(|stage| [stage.from, stage.to])
        .find(|rate| *rate > 0)
        .unwrap_or(0);
    Schedule {
        stages: vec![Stage {
            duration: load.warmup,
            from: rate,
            to: rate,
        }],
    }
}

impl Part {
    fn new(worker: &Worker, schedule: Schedule, base: Instant, requests: Option<u64>) -> Self {
        let whole = pacer::hits(&schedule).min(requests.unwrap_or(u64::MAX));
        let host = worker.share.deal.count(whole);
        let (index, threads) = (u64::from(worker.index), u64::from(worker.threads));
        let mine = host.saturating_sub(index).div_ceil(threads);
        Self {
            schedule,
            base,
            whole: mine,
        }
    }

    /// Number of this thread's hit `own` in the whole plan.
    fn number(&self, worker: &Worker, own: u64) -> u64 {
        worker
            .share
            .deal
            .number(u64::from(worker.index) + own * u64::from(worker.threads))
    }

    fn due(&self, worker: &Worker, own: u64) -> Option<Instant> {
        if own >= self.whole {
            return None;
        }
        pacer::due(&self.schedule, self.number(worker, own)).map(|ns| self.base + Duration::from_nanos(ns))
    }
}

/// The connections, opened as they are needed.
struct Crew {
    tasks: JoinSet<()>,
    most: usize,
    queue: Rc<Queue>,
}

impl Crew {
    /// Lets somebody take a hit that has become due.
    fn call(&mut self) {
        let idle = self.queue.idle.borrow_mut().pop();
        match idle {
            Some(waiting) => waiting.notify_one(),
            None if self.tasks.len() < self.most => {
                self.tasks.spawn_local(Rc::clone(&self.queue).connection());
            }
            None => {}
        }
    }
}

impl Queue {
    /// Declares hits due, one batch after the other, until the last of this part.
    async fn pace(&self, timer: Option<&Timer>, crew: &mut Crew) {
        let part = self.part.borrow().clone();
        while let Some(due) = part.due(&self.worker, self.until.get()) {
            let waited = async {
                if due > Instant::now() {
                    match timer {
                        Some(timer) if timer.until(due).await.is_ok() => {}
                        // without a descriptor for the timer the coarse one serves; what is late is counted so
                        _ => tokio::time::sleep_until(due.into()).await,
                    }
                } else {
                    // lets the connections take what is due before the next batch
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                () = waited => {}
                () = self.worker.drained() => return,
            }
            let now = Instant::now();
            while part.due(&self.worker, self.until.get()).is_some_and(|due| due <= now) {
                self.until.set(self.until.get() + 1);
                crew.call();
            }
        }
    }

    /// The warm-up is over: the measured schedule begins.
    fn measure(&self) {
        if let Some(part) = self.measured.take() {
            self.worker.recorder.borrow_mut().end_warmup();
            *self.part.borrow_mut() = part;
            self.next.set(0);
            self.until.set(0);
        }
    }

    async fn all_taken(&self) {
        while self.next.get() < self.part.borrow().whole {
            self.taken.notified().await;
        }
    }

    /// No hit is taken any more; those that were not are counted.
    fn close(&self) {
        if self.closed.replace(true) {
            return;
        }
        self.measure();
        let rest = self.part.borrow().whole - self.next.get();
        self.worker.recorder.borrow_mut().not_started(rest);
        for waiting in self.idle.borrow_mut().drain(..) {
            waiting.notify_one();
        }
    }

    async fn connection(self: Rc<Self>) {
        let mut client = Client::new(Rc::clone(&self.worker));
        let wake = Rc::new(Notify::new());
        while !self.closed.get() {
            if self.next.get() >= self.until.get() {
                self.idle.borrow_mut().push(Rc::clone(&wake));
                wake.notified().await;
                continue;
            }
            let own = self.next.get();
            self.next.set(own + 1);
            let (number, due) = {
                let part = self.part.borrow();
                (part.number(&self.worker, own), part.due(&self.worker, own))
            };
            self.taken.notify_one();
            if client.hit(number, due).await == Way::Closed {
                tokio::time::sleep(PAUSE).await;
            }
        }
        client.close();
    }
}
