//! The closed loop: each connection sends its next hit when the last one was answered.

use super::hit::{Client, Way};
use crate::pacer::{self, Span};
use crate::wire::share::{Closed, Level, Stage};
use crate::worker::Worker;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often a thread looks whether all hits are taken, for connections that are yet to open.
const LOOK: Duration = Duration::from_millis(50);

/// What the connections of one thread share.
struct Loop {
    worker: Rc<Worker>,
    /// No hit begins after it.
    end: Option<Instant>,
    /// Hits of this host, all threads together.
    requests: Option<u64>,
    measuring: Cell<bool>,
    /// Hits of the warm-up so far.
    warm: Cell<u64>,
    /// Nothing more is to be done: no connection waits any longer.
    done: watch::Sender<bool>,
}

/// Counts what was not started even when the flow is dropped.
struct Count(Rc<Loop>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// Runs this worker's connections until the end of the load.
pub async fn run(worker: Rc<Worker>, load: &Closed) {
    let share = Rc::new(Loop {
        end: end(load).map(|end| worker.at(end)),
        requests: load.requests.map(|whole| worker.share.deal.count(whole)),
        measuring: Cell::new(load.warmup == 0),
        warm: Cell::new(0),
        done: watch::Sender::new(false),
        worker: Rc::clone(&worker),
    });
    let _count = Count(Rc::clone(&share));
    let mut tasks = JoinSet::new();
    let connections = worker.share.deal.count(pacer::connections(&load.connections));
    if connections == 0 {
        // nobody on this host can take what is its part
        return;
    }
    let level = level(load);
    for k in (u64::from(worker.index)..connections).step_by(worker.threads as usize) {
        let spans = pacer::spans(&level, worker.share.deal.number(k));
        tasks.spawn_local(Rc::clone(&share).connection(k, spans));
    }
    if load.warmup > 0 {
        let begin = worker.at(load.warmup);
        tokio::select! {
            () = tokio::time::sleep_until(begin.into()) => {}
            () = worker.drained() => {}
        }
        share.measure();
    }
    tokio::select! {
        // connections may be through while those of other threads still take hits
        () = all(&mut tasks) => share.over().await,
        () = share.over() => {}
    }
    share.finish();
    all(&mut tasks).await;
}

/// When no hit begins any more, ns since the start instant: after the planned length, or that of the connections' stages.
fn end(load: &Closed) -> Option<u64> {
    let stages = match &load.connections {
        Level::Stages(stages) => Some(pacer::length(stages)),
        Level::Ramp { .. } => None,
    };
    load.duration.or(stages).map(|length| load.warmup + length)
}

/// When connections are open. Stages count from the end of the warm-up, which is a plateau at their first level that is
/// not nothing; a ramp begins with the warm-up.
fn level(load: &Closed) -> Level {
    match &load.connections {
        Level::Stages(stages) if load.warmup > 0 => {
            let first = stages.iter().flat_map(|stage| [stage.from, stage.to]);
            let first = first.into_iter().find(|level| *level > 0).unwrap_or(0);
            let mut all = vec![Stage {
                duration: load.warmup,
                from: first,
                to: first,
            }];
            all.extend_from_slice(stages);
            Level::Stages(all)
        }
        level => level.clone(),
    }
}

async fn all(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

impl Loop {
    /// Ends when no hit may begin any more: by the clock, by the count, or drained.
    async fn over(&self) {
        let by_clock = async {
            match self.end {
                Some(end) => tokio::time::sleep_until(end.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = by_clock => {}
            () = self.all_claimed() => {}
            () = self.worker.drained() => {}
        }
    }

    async fn all_claimed(&self) {
        let Some(most) = self.requests else {
            return std::future::pending().await;
        };
        while self.worker.claimed.load(Ordering::Relaxed) < most {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The warm-up is over.
    fn measure(&self) {
        if !self.measuring.replace(true) {
            self.worker.recorder.borrow_mut().end_warmup();
        }
    }

    /// No hit begins any more; those that nobody has claimed are counted.
    fn finish(&self) {
        self.measure();
        self.done.send_replace(true);
        self.count_not_started();
    }

    /// Waits until `at`, or until nothing more is to be done.
    async fn wait(&self, at: Instant) {
        let mut done = self.done.subscribe();
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {}
            // the sender is our own
            _ = done.wait_for(|done| *done) => {}
        }
    }

    fn is_over(&self) -> bool {
        *self.done.borrow() || !self.worker.running() || self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// Takes one hit of this host; `None` when all are taken.
    fn claim(&self) -> Option<u64> {
        if !self.measuring.get() {
            let k = self.warm.replace(self.warm.get() + 1);
            return Some(u64::from(self.worker.index) + k * u64::from(self.worker.threads));
        }
        let k = self.worker.claimed.fetch_add(1, Ordering::Relaxed);
        self.requests.is_none_or(|most| k < most).then_some(k)
    }

    /// What nobody has claimed when the load is over was not started; the first thread to come takes the rest.
    fn count_not_started(&self) {
        if let Some(most) = self.requests {
            let claimed = self.worker.claimed.fetch_max(most, Ordering::Relaxed);
            let rest = most.saturating_sub(claimed);
            self.worker.recorder.borrow_mut().not_started(rest);
        }
    }

    async fn connection(self: Rc<Self>, k: u64, spans: Vec<Span>) {
        let mut client = Client::new(Rc::clone(&self.worker));
        for span in spans {
            if span.from > 0 {
                self.wait(self.worker.at(span.from)).await;
            }
            let to = span.to.map(|to| self.worker.at(to));
            self.hits(k, &mut client, to).await;
            client.close();
        }
    }

    async fn hits(&self, k: u64, client: &mut Client, to: Option<Instant>) {
        let mut pause = FIRST_PAUSE;
        while !self.is_over() && to.is_none_or(|to| Instant::now() < to) {
            let Some(claimed) = self.claim() else { return };
            // one target a connection, so that a kept connection serves all its hits
            let way = client
                .hit(
                    self.worker.share.deal.number(if self.worker.share.targets.len() > 1 {
                        claimed
                    } else {
                        k
                    }),
                    None,
                )
                .await;
            if way == Way::Stood {
                pause = FIRST_PAUSE;
                continue;
            }
            self.wait(Instant::now() + pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
