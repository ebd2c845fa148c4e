//! The agent's life: hello, share, armed, start, report; the end of its input, or silence, stops everything.
//!
//! It runs on a thread of its own with non-blocking descriptors, so that pings are answered while the load runs. Never
//! here: engines, the wall clock.

use crate::clock::{instant_of, monotonic_ns};
use crate::exec::Exec;
use crate::host;
use crate::look::Looks;
use crate::net::paths::{self, Paths};
use crate::net::resolve;
use crate::net::tls::TlsSetup;
use crate::preflight;
use crate::probe;
use crate::run::{Armed, Run};
use crate::script;
use crate::wire::exec::{Order, ToExec};
use crate::wire::frame::{Inbox, Outbox};
use crate::wire::message::{self, FromAgent, Hello, ToAgent};
use crate::wire::share::{Engine, Load, Share};
use crate::wire::{MAGIC, frame::FrameError};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Before a share says otherwise, an agent that hears nothing for so long stops.
const SILENCE: Duration = Duration::from_secs(10);

/// Why an agent ended before its controller told it to.
#[derive(Debug)]
pub enum ServeError {
    /// Standard input or output is of no use.
    Io(io::Error),
    /// The controller sent something that is no message of ours.
    Frame(FrameError),
    /// Nothing came from the controller for so long.
    Silence(Duration),
}

impl std::fmt::Display for ServeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the link to the controller broke: {error}"),
            Self::Frame(error) => write!(f, "the controller sent {error}"),
            Self::Silence(time) => write!(f, "nothing heard from the controller for {} s", time.as_secs()),
        }
    }
}

impl std::error::Error for ServeError {}

impl From<io::Error> for ServeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Serves one controller on standard input and output until it says bye or goes.
pub fn serve(nonce: &str) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let mut agent = Agent::new()?;
        agent.greet(nonce).await?;
        agent.live().await
    });
    // load threads and look-ups end with the process
    runtime.shutdown_background();
    served
}

struct Agent {
    input: AsyncFd<OwnedFd>,
    output: AsyncFd<OwnedFd>,
    inbox: Inbox,
    outbox: Outbox,
    writing: Vec<u8>,
    hello: Hello,
    round: u32,
    /// When the share came, on the monotonic clock, ns.
    given: u64,
    arming: Option<JoinHandle<()>>,
    armed: Option<Armed>,
    run: Option<Run>,
    exec: Option<Exec>,
    looks: Looks,
    silence: Duration,
    events: mpsc::UnboundedSender<Event>,
    happened: mpsc::UnboundedReceiver<Event>,
    lines: mpsc::UnboundedSender<FromAgent>,
    reports: mpsc::UnboundedReceiver<FromAgent>,
}

enum Event {
    Armed(Box<(Armed, message::Armed)>),
    Refused(String),
}

enum Next {
    Go,
    Leave,
}

impl Agent {
    fn new() -> Result<Self, ServeError> {
        let (events, happened) = mpsc::unbounded_channel();
        let (lines, reports) = mpsc::unbounded_channel();
        Ok(Self {
            looks: Looks::new(lines.clone()),
            input: non_blocking(rustix::stdio::stdin().try_clone_to_owned()?)?,
            output: non_blocking(rustix::stdio::stdout().try_clone_to_owned()?)?,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            writing: Vec::new(),
            hello: host::hello(),
            round: 0,
            given: 0,
            arming: None,
            armed: None,
            run: None,
            exec: None,
            silence: SILENCE,
            events,
            happened,
            lines,
            reports,
        })
    }

    async fn greet(&mut self, nonce: &str) -> Result<(), ServeError> {
        self.writing.extend_from_slice(format!("{MAGIC}{nonce}\n").as_bytes());
        let hello = FromAgent::Hello(Box::new(self.hello.clone()));
        self.outbox.data(&hello).map_err(ServeError::Frame)
    }

    async fn live(&mut self) -> Result<(), ServeError> {
        let mut heard = Instant::now();
        let mut buffer = vec![0u8; 64 * 1024];
        loop {
            if self.writing.is_empty()
                && let Some(frame) = self.outbox.next_frame()
            {
                self.writing = frame;
            }
            let pending = !self.writing.is_empty();
            tokio::select! {
                biased;
                read = read_some(&self.input, &mut buffer) => {
                    let n = read?;
                    if n == 0 {
                        return Ok(());
                    }
                    heard = Instant::now();
                    self.inbox.feed(&buffer[..n]);
                    while let Some(message) = self.inbox.next_message::<ToAgent>().map_err(ServeError::Frame)? {
                        if let Next::Leave = self.obey(message)? {
                            return Ok(());
                        }
                    }
                }
                wrote = write_some(&self.output, &self.writing), if pending => {
                    let n = wrote?;
                    self.writing.drain(..n);
                }
                Some(event) = self.happened.recv() => self.note(event)?,
                Some(message) = self.reports.recv() => self.outbox.data(&message).map_err(ServeError::Frame)?,
                () = tokio::time::sleep_until((heard + self.silence).into()) => return Err(ServeError::Silence(self.silence)),
            }
        }
    }

    fn obey(&mut self, message: ToAgent) -> Result<Next, ServeError> {
        match message {
            ToAgent::Ping { seq } => {
                let received = monotonic_ns();
                let pong = FromAgent::Pong {
                    seq,
                    received,
                    sent: monotonic_ns(),
                };
                self.outbox.control(&pong).map_err(ServeError::Frame)?;
            }
            ToAgent::Share(share) => {
                self.silence = Duration::from_nanos(share.limits.silence).max(Duration::from_secs(1));
                self.armed = None;
                self.given = monotonic_ns();
                self.round = share.round;
                let arming = tokio::spawn(arm(*share, self.hello.clone(), self.events.clone()));
                if let Some(earlier) = self.arming.replace(arming) {
                    earlier.abort();
                }
            }
            ToAgent::Start { at, clock_error } => self.start(at, clock_error)?,
            ToAgent::Drain => match (&self.run, &self.exec) {
                (Some(run), _) => run.drain(),
                (None, Some(exec)) => exec.drain(),
                (None, None) => return Ok(Next::Leave),
            },
            ToAgent::Bye => return Ok(Next::Leave),
            ToAgent::Look(look) => self.looks.begin(*look),
            ToAgent::Exec(ToExec::Order(order)) => self.order(order),
            ToAgent::Exec(told) => {
                if let Some(exec) = &self.exec {
                    exec.tell(told);
                }
            }
        }
        Ok(Next::Go)
    }

    /// A command; it arms aside and says so itself.
    fn order(&mut self, order: Order) {
        self.silence = Duration::from_nanos(order.silence).max(Duration::from_secs(1));
        // one that was only held ends with its handle
        self.exec = Some(Exec::launch(order, self.lines.clone()));
    }

    fn start(&mut self, at: u64, clock_error: u64) -> Result<(), ServeError> {
        if let Some(exec) = &self.exec {
            exec.start(at);
            return Ok(());
        }
        let Some(mut armed) = self.armed.take() else {
            let refused = FromAgent::Refused {
                reason: "told to start before it was armed".to_owned(),
            };
            return self.outbox.data(&refused).map_err(ServeError::Frame);
        };
        let start = instant_of(at);
        if let Some(program) = &mut Arc::make_mut(&mut armed.share).program {
            program.sent_unix_ms += at.saturating_sub(self.given) / 1_000_000;
        }
        self.run = Some(Run::launch(&armed, start, clock_error, self.lines.clone())?);
        Ok(())
    }

    fn note(&mut self, event: Event) -> Result<(), ServeError> {
        let message = match event {
            Event::Armed(both) => {
                let (armed, message) = *both;
                if message.round != self.round {
                    // about a share that was replaced meanwhile
                    return Ok(());
                }
                self.armed = Some(armed);
                FromAgent::Armed(Box::new(message))
            }
            Event::Refused(reason) => FromAgent::Refused { reason },
        };
        self.outbox.data(&message).map_err(ServeError::Frame)
    }
}

async fn arm(share: Share, hello: Hello, events: mpsc::UnboundedSender<Event>) {
    let event = match ready(share, &hello).await {
        Ok(both) => Event::Armed(Box::new(both)),
        Err(reason) => Event::Refused(reason),
    };
    // the agent may be on its way out
    let _ = events.send(event);
}

async fn ready(mut share: Share, hello: &Hello) -> Result<(Armed, message::Armed), String> {
    let (resolved, lookups) = resolve::look_up(&share.targets).await?;
    let found = match preflight::connections(&share) {
        0 => Paths::default(),
        _ => paths::probe(&share, &resolved).await,
    };
    // all that follows is about the sources that are left: ports, the load, the report's rows
    let is_dropped = |source: &_| found.dropped.iter().any(|dropped| dropped.source == *source);
    share.sources.retain(|source| !is_dropped(source));
    let mut warnings = preflight::check(&share, hello, &resolved)?;
    warnings.extend(found.warnings);
    if let Some(script) = share.program.as_ref().and_then(|program| program.script.as_ref()) {
        // each thread compiles its own; what is wrong with it is told before the start
        script::Engine::compile(&script.name, &script.source).map_err(|error| error.to_string())?;
    }
    let tls = share
        .targets
        .iter()
        .any(|target| target.tls)
        .then(|| TlsSetup::new(&share.tls))
        .transpose()?
        .map(Arc::new);
    let told = match preflight::connections(&share) {
        0 => probe::Found::default(),
        _ => probe::engineio(&mut share, &resolved, tls.clone()).await,
    };
    warnings.extend(told.warnings);
    let threads = threads(&share, hello);
    let message = message::Armed {
        round: share.round,
        resolved: resolved.clone(),
        warnings,
        dropped: found.dropped,
        seen: told.seen,
    };
    Ok((
        Armed {
            share: Arc::new(share),
            resolved,
            lookups,
            tls,
            threads,
        },
        message,
    ))
}

/// One thread a core; no more than there are connections, and one for clients that are only held.
fn threads(share: &Share, hello: &Hello) -> u32 {
    let connections = u32::try_from(preflight::connections(share)).unwrap_or(u32::MAX).max(1);
    let idle = share.program.is_none()
        && matches!((&share.load, &share.engine), (Load::Held(held), Engine::Websocket(_) | Engine::Socketio(_) | Engine::Engineio(_)) if held.cadence.is_none());
    if idle && connections < 2000 {
        1
    } else {
        hello.cores.clamp(1, connections)
    }
}

/// `AsyncFd::new` is deprecated for descriptors that somebody else may close; this one is owned by what it returns.
#[allow(deprecated)]
fn non_blocking(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    fcntl_setfl(&descriptor, fcntl_getfl(&descriptor)? | OFlags::NONBLOCK)?;
    AsyncFd::new(descriptor)
}

async fn read_some(input: &AsyncFd<OwnedFd>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        let mut ready = input.readable().await?;
        if let Ok(done) = ready.try_io(|fd| rustix::io::read(fd, &mut *buffer).map_err(io::Error::from)) {
            return done;
        }
    }
}

async fn write_some(output: &AsyncFd<OwnedFd>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        let mut ready = output.writable().await?;
        if let Ok(done) = ready.try_io(|fd| rustix::io::write(fd, bytes).map_err(io::Error::from)) {
            return done;
        }
    }
}
