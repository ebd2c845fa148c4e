//! The guardian: parent of the command, adoptive parent of all that it leaves behind, and their end. It outlives the agent
//! for as long as that takes, and removes the run's folder. Never here: the link.

use super::control::{Down, Hold, Socket, Up, inherited};
use super::{HOLD, SELF, kin};
use crate::clock::monotonic_ns;
use crate::wire::exec::Exit;
use rustix::process::{Pid, WaitOptions, WaitStatus, getpid, set_child_subreaper, setsid, wait};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// The same when the guardian itself is told to go: whoever tells it may have no more patience than this.
const SHORT: Duration = Duration::from_secs(1);
/// What a command has left running when it ends may end by itself for so long.
const LINGER: Duration = Duration::from_millis(250);
const LOOK: Duration = Duration::from_millis(10);

/// Guards one command for the agent at the other end of standard input.
pub fn guard() -> io::Result<()> {
    // a signal to the agent's group is not meant for it
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut agent = Socket::new(inherited()?)?;
        let Some(Down::Hold(hold)) = agent.next().await else {
            return Ok(());
        };
        let folder = hold.folder.clone();
        let guarded = Guardian::new(agent, hold).await?.live().await;
        // made for this run; what cannot be removed is no reason to stay
        std::env::set_current_dir("/").ok();
        std::fs::remove_dir_all(folder).ok();
        guarded
    })
}

struct Guardian {
    agent: Socket,
    holder: Socket,
    command: Option<Pid>,
    exited: Option<(Exit, u64)>,
    child_ended: Signal,
}

/// Signals that would end the guardian; they end the command instead.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// Why the watch is over.
enum Stop {
    Exited,
    Told,
    Alone,
    Signalled,
}

impl Guardian {
    async fn new(agent: Socket, hold: Hold) -> io::Result<Self> {
        let child_ended = signal(SignalKind::child())?;
        let (ours, theirs) = UnixStream::pair()?;
        // std's Child reaps nothing when it is dropped; here everything is reaped
        let child = Command::new(SELF)
            .arg(HOLD)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        let mut holder = Socket::new(ours)?;
        holder.tell(&Down::Hold(hold)).await?;
        // the command's outputs are its own: they end when it and its children have ended
        let nowhere = std::fs::File::options().write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(&nowhere)?;
        rustix::stdio::dup2_stderr(&nowhere)?;
        Ok(Self {
            agent,
            holder,
            command: i32::try_from(child.id()).ok().and_then(Pid::from_raw),
            exited: None,
            child_ended,
        })
    }

    async fn live(mut self) -> io::Result<()> {
        let stop = self.watch(Signals::listen()?).await;
        let lingering = match stop {
            Stop::Exited => {
                // a time limit that comes while it is being cleared up is none of it
                self.tell_exit().await.ok();
                self.linger().await
            }
            Stop::Told | Stop::Alone | Stop::Signalled => 0,
        };
        let grace = match stop {
            Stop::Signalled => SHORT,
            Stop::Exited | Stop::Told | Stop::Alone => GRACE,
        };
        let left = kin::end_all(grace, || reap(self.command, &mut self.exited)).await;
        // an agent that is gone hears none of it, and there is nothing else to do
        self.last_words(lingering, left).await.ok();
        Ok(())
    }

    /// What the holder said last, and how the command ended.
    async fn tell_exit(&mut self) -> io::Result<()> {
        while let Ok(Some(said)) = timeout(LINGER, self.holder.next::<Up>()).await {
            self.agent.tell(&said).await?;
        }
        match self.exited.take() {
            Some((exit, at)) => self.agent.tell(&Up::Exited { exit, at }).await,
            None => Ok(()),
        }
    }

    /// That all is over. Then the agent may still want files.
    async fn last_words(&mut self, lingering: u32, left: u32) -> io::Result<()> {
        self.tell_exit().await?;
        self.agent.tell(&Up::Over { lingering, left }).await?;
        while !matches!(self.agent.next().await, Some(Down::Done) | None) {}
        Ok(())
    }

    /// Passes on what is said until the command has ended or is to end.
    async fn watch(&mut self, mut signals: Signals) -> Stop {
        let mut holder_speaks = true;
        loop {
            tokio::select! {
                biased;
                _ = self.child_ended.recv() => {
                    reap(self.command, &mut self.exited);
                    if self.exited.is_some() {
                        return Stop::Exited;
                    }
                }
                said = self.holder.next::<Up>(), if holder_speaks => match said {
                    Some(said) => {
                        if self.agent.tell(&said).await.is_err() {
                            return Stop::Alone;
                        }
                    }
                    None => holder_speaks = false,
                },
                told = self.agent.next() => match told {
                    // a holder that is gone is told by its end
                    Some(start @ Down::Start { .. }) => self.holder.tell(&start).await.unwrap_or_default(),
                    Some(Down::End) => return Stop::Told,
                    Some(Down::Hold(_) | Down::Done) => {}
                    None => return Stop::Alone,
                },
                () = signals.next() => return Stop::Signalled,
            }
        }
    }

    /// Waits a moment for what the command has left running; returns how many are to be ended.
    async fn linger(&mut self) -> u32 {
        let until = tokio::time::Instant::now() + LINGER;
        loop {
            reap(self.command, &mut self.exited);
            let left = kin::below(std::process::id()).len();
            if left == 0 || tokio::time::Instant::now() >= until {
                return u32::try_from(left).unwrap_or(u32::MAX);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Waits for all that has ended, and notes how the command did.
fn reap(command: Option<Pid>, exited: &mut Option<(Exit, u64)>) {
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if Some(pid) == command {
            *exited = Some((exit_of(status), monotonic_ns()));
        }
    }
}

fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown(format!("it ended with the status {:#x}", status.as_raw())),
    }
}
