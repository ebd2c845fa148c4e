//! One run on this host: threads and their workers, the start instant, the end of the load, the grace period, and what
//! they recorded. Never here: protocols, the link.

use crate::flow;
use crate::gather::{Gather, Handover};
use crate::host::CpuTicks;
use crate::net::tls::TlsSetup;
use crate::net::{Dialer, resolve};
use crate::pacer;
use crate::recorder::Recorder;
use crate::trace::Trace;
use crate::wire::message::FromAgent;
use crate::wire::report::{Interval, Latency, Report};
use crate::wire::share::{Load, Share};
use crate::worker::{Phase, Worker};
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Load threads run this much nicer than the link's thread: a starved agent must not lose its controller.
const NICER: i32 = 5;
const SECOND: Duration = Duration::from_secs(1);
/// Held clients close together at the end; this is how long it may take beyond the farewell of one.
const ALL_FAREWELLS: Duration = Duration::from_secs(1);

/// A share that passed its preflight.
pub struct Armed {
    /// This host's part of the plan.
    pub share: Arc<Share>,
    /// Addresses of each target.
    pub resolved: Vec<Vec<IpAddr>>,
    /// How long the look-ups of names took.
    pub lookups: Vec<Duration>,
    /// TLS, when a target wants it.
    pub tls: Option<Arc<TlsSetup>>,
    /// Threads to use.
    pub threads: u32,
}

/// A run that was started.
pub struct Run {
    phase: watch::Sender<Phase>,
}

impl Run {
    /// Starts the threads; they wait for `start`. Intervals and the final report go to `events`.
    /// `clock_error`: what the hosts' clocks may differ by at `start`, ns.
    pub fn launch(
        armed: &Armed,
        start: Instant,
        clock_error: u64,
        events: mpsc::UnboundedSender<FromAgent>,
    ) -> std::io::Result<Self> {
        let (phase, watching) = watch::channel(Phase::Running);
        let (hand, handed) = mpsc::unbounded_channel();
        let claimed = Arc::new(AtomicU64::new(0));
        for index in 0..armed.threads {
            let seat = Seat {
                share: Arc::clone(&armed.share),
                resolved: armed.resolved.clone(),
                lookups: if index == 0 { armed.lookups.clone() } else { Vec::new() },
                tls: armed.tls.clone(),
                index,
                threads: armed.threads,
                start,
                clock_error,
                phase: watching.clone(),
                claimed: Arc::clone(&claimed),
                trace: (armed.share.trace && armed.share.host_index == 0 && index == 0)
                    .then(|| Trace::new(start, events.clone())),
                hand: hand.clone(),
            };
            std::thread::Builder::new()
                .name(format!("load-{index}"))
                .spawn(move || seat.work())?;
        }
        tokio::spawn(gather(armed.threads as usize, start, handed, events));
        Ok(Self { phase })
    }

    /// No new hits; the report follows within the grace period.
    pub fn drain(&self) {
        // no receiver: the threads are done already
        let _ = self.phase.send(Phase::Draining);
    }
}

/// When the load ends by plan, ns since the start instant; `None` when only a count ends it.
fn planned_end(load: &Load) -> Option<u64> {
    match load {
        Load::Closed(closed) => closed.duration.map(|duration| closed.warmup + duration),
        Load::Open(open) => Some(open.warmup + pacer::length(&open.schedule.stages)),
        Load::Held(held) => Some(held.end),
    }
}

fn warmup(load: &Load) -> Duration {
    Duration::from_nanos(match load {
        Load::Closed(closed) => closed.warmup,
        Load::Open(open) => open.warmup,
        Load::Held(_) => 0,
    })
}

/// What a load thread is given.
struct Seat {
    share: Arc<Share>,
    resolved: Vec<Vec<IpAddr>>,
    lookups: Vec<Duration>,
    tls: Option<Arc<TlsSetup>>,
    index: u32,
    threads: u32,
    start: Instant,
    clock_error: u64,
    phase: watch::Receiver<Phase>,
    claimed: Arc<AtomicU64>,
    trace: Option<Trace>,
    hand: mpsc::UnboundedSender<(usize, Handover)>,
}

impl Seat {
    fn work(self) {
        // a host that forbids it has its reasons; the run goes on without
        let _ = rustix::process::setpriority_process(None, NICER);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a thread may have a runtime of its own");
        let local = tokio::task::LocalSet::new();
        std::thread::sleep(self.start.saturating_duration_since(Instant::now()));
        runtime.block_on(local.run_until(self.load()));
        // dropping the set ends what the grace period did not see answered
    }

    async fn load(self) {
        let without_messages = matches!(&self.share.load, Load::Held(held) if held.cadence.is_none());
        let offset = (self.share.host_index as usize).wrapping_mul(7) + self.index as usize;
        let worker = Rc::new(Worker {
            recorder: RefCell::new(Recorder::new(self.start, without_messages, self.share.targets.len())),
            dialer: Dialer::new(&self.share, &self.resolved, self.tls.clone(), offset),
            share: Arc::clone(&self.share),
            index: self.index,
            threads: self.threads,
            start: self.start,
            clock_error: self.clock_error,
            phase: self.phase.clone(),
            claimed: Arc::clone(&self.claimed),
            trace: self.trace.clone(),
        });
        for took in &self.lookups {
            worker.recorder.borrow_mut().latency(Latency::Dns, *took);
        }
        let measured = self.start + warmup(&self.share.load);
        let renewing = tokio::task::spawn_local(renew(Rc::clone(&worker)));
        let mut flow = tokio::task::spawn_local(flow::run(Rc::clone(&worker)));
        let mut tick = tokio::time::interval_at((measured + SECOND).into(), SECOND);
        let over = self.over();
        tokio::pin!(over);
        loop {
            tokio::select! {
                _ = &mut flow => break,
                () = &mut over => {
                    flow.abort();
                    // it is dropped, and has counted what it left, when this returns
                    let _ = (&mut flow).await;
                    break;
                }
                _ = tick.tick() => self.cut(&worker),
            }
        }
        renewing.abort();
        let ended_us = self.start.elapsed().as_micros() as u64;
        self.cut(&worker);
        let whole = worker.recorder.borrow().finish();
        self.hand(Handover::Done { whole, ended_us });
    }

    /// Ends when nothing may go on: the planned end or the drain, and the grace period after it.
    async fn over(&self) {
        let farewell = if matches!(self.share.load, Load::Held(_)) {
            flow::FAREWELL + ALL_FAREWELLS
        } else {
            Duration::ZERO
        };
        let grace = Duration::from_nanos(self.share.limits.grace) + farewell;
        let planned = planned_end(&self.share.load).map(|ns| self.start + Duration::from_nanos(ns));
        let mut phase = self.phase.clone();
        let drained = async {
            let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
        };
        match planned {
            Some(end) => {
                tokio::select! {
                    () = tokio::time::sleep_until(end.into()) => {}
                    () = drained => {}
                }
            }
            None => drained.await,
        }
        tokio::time::sleep(grace).await;
    }

    fn cut(&self, worker: &Worker) {
        let recording = worker.recorder.borrow_mut().cut();
        self.hand(Handover::Cut {
            at_us: self.start.elapsed().as_micros() as u64,
            recording,
        });
    }

    fn hand(&self, handover: Handover) {
        // without a gatherer the agent is on its way out
        let _ = self.hand.send((self.index as usize, handover));
    }
}

/// `--resolve-every`: looks the names up again; what cannot be resolved stays as it was.
async fn renew(worker: Rc<Worker>) {
    let Some(every) = worker.share.limits.resolve_every else {
        return;
    };
    loop {
        tokio::time::sleep(Duration::from_nanos(every)).await;
        if let Ok((resolved, lookups)) = resolve::look_up(&worker.share.targets).await {
            worker.dialer.readdress(&resolved);
            let mut recorder = worker.recorder.borrow_mut();
            for took in lookups {
                recorder.latency(Latency::Dns, took);
            }
        }
    }
}

async fn gather(
    threads: usize,
    start: Instant,
    mut handed: mpsc::UnboundedReceiver<(usize, Handover)>,
    events: mpsc::UnboundedSender<FromAgent>,
) {
    let mut gather = Gather::new(threads);
    let first = CpuTicks::read();
    let mut last = first;
    tokio::time::sleep_until(start.into()).await;
    while let Some((thread, handover)) = handed.recv().await {
        for ready in gather.take(thread, handover) {
            let now = CpuTicks::read();
            let cpu_busy = now
                .zip(last)
                .and_then(|(now, last)| now.since(&last))
                .map(|(busy, _)| busy);
            last = now.or(last);
            let interval = Interval {
                seq: ready.seq,
                at_us: ready.at_us,
                counts: ready.recording.counts,
                latency: ready.recording.latency,
                cpu_busy,
            };
            let _ = events.send(FromAgent::Interval(Box::new(interval)));
        }
        if let Some((whole, ended_us)) = gather.whole() {
            let cpu = CpuTicks::read().zip(first).and_then(|(now, first)| now.since(&first));
            let report = Report {
                last_seq: gather.last_seq(),
                start_offset: whole.first.map(|(offset, _)| offset),
                ended_us,
                counts: whole.counts,
                latency: whole.latency,
                warmup: whole.warmup,
                casts: whole.casts,
                cpu_busy: cpu.map(|(busy, _)| busy),
                cpu_steal: cpu.map(|(_, steal)| steal),
            };
            let _ = events.send(FromAgent::Report(Box::new(report)));
            return;
        }
    }
}
