//! The closed loop: each connection sends its next hit when the last one was answered.

use super::hit::{Client, Way};
use crate::pacer::{self, Span};
use crate::wire::share::Closed;
use crate::worker::Worker;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What the connections of one thread share.
struct Loop {
    worker: Rc<Worker>,
    /// No hit begins after it.
    end: Option<Instant>,
    /// Hits of this host, all threads together.
    requests: Option<u64>,
    measuring: Cell<bool>,
}

/// Runs this worker's connections until the end of the load.
pub async fn run(worker: Rc<Worker>, load: &Closed) {
    let share = Rc::new(Loop {
        end: load.duration.map(|duration| worker.at(load.warmup + duration)),
        requests: load.requests.map(|whole| worker.share.deal.count(whole)),
        measuring: Cell::new(load.warmup == 0),
        worker: Rc::clone(&worker),
    });
    let mut tasks = JoinSet::new();
    let connections = worker.share.deal.count(pacer::connections(&load.connections));
    for k in (u64::from(worker.index)..connections).step_by(worker.threads as usize) {
        let spans = pacer::spans(&load.connections, worker.share.deal.number(k));
        tasks.spawn_local(Rc::clone(&share).connection(k, spans));
    }
    let begin = worker.at(load.warmup);
    if load.warmup > 0 {
        let share = Rc::clone(&share);
        tasks.spawn_local(async move {
            tokio::time::sleep_until(begin.into()).await;
            share.worker.recorder.borrow_mut().end_warmup();
            share.measuring.set(true);
        });
    }
    tokio::select! {
        () = all(&mut tasks) => {}
        () = share.over() => {}
    }
    share.count_not_started();
    all(&mut tasks).await;
}

async fn all(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

impl Loop {
    async fn over(&self) {
        match self.end {
            Some(end) => tokio::select! {
                () = tokio::time::sleep_until(end.into()) => {}
                () = self.worker.drained() => {}
            },
            None => self.worker.drained().await,
        }
    }

    fn is_over(&self) -> bool {
        !self.worker.running() || self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// Takes one hit of this host; `None` when all are taken.
    fn claim(&self) -> Option<u64> {
        if !self.measuring.get() {
            return Some(0);
        }
        let k = self.worker.claimed.fetch_add(1, Ordering::Relaxed);
        self.requests.is_none_or(|most| k < most).then_some(k)
    }

    /// What nobody has claimed when the load is over was not started; the first thread to come takes the rest.
    fn count_not_started(&self) {
        if let Some(most) = self.requests
            && self.is_over()
        {
            let claimed = self.worker.claimed.fetch_max(most, Ordering::Relaxed);
            self.worker
                .recorder
                .borrow_mut()
                .not_started(most.saturating_sub(claimed));
        }
    }

    async fn connection(self: Rc<Self>, k: u64, spans: Vec<Span>) {
        let mut client = Client::new(Rc::clone(&self.worker));
        for span in spans {
            if span.from > 0 {
                tokio::select! {
                    () = tokio::time::sleep_until(self.worker.at(span.from).into()) => {}
                    () = self.worker.drained() => {}
                }
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
            let wake = Instant::now() + pause;
            tokio::time::sleep_until(self.end.map_or(wake, |end| wake.min(end)).into()).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
