//! The agent's side of one command: its folder and files, its guardian, its output on credit, its end. A task beside the
//! link, which it speaks with by messages. Never here: how processes are found and ended.

use super::control::{Down, Hold, Socket, Up};
use super::files::{self, Arriving, Leaving};
use super::{GUARD, SELF, kin};
use crate::clock::{instant_of, monotonic_ns};
use crate::wire::exec::{CutShort, Ended, Exit, FromExec, Order, PIECE, Printed, ToExec, WINDOW};
use crate::wire::message::{Armed, FromAgent};
use rustix::process::{WaitOptions, getpid, set_child_subreaper, wait};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

/// From SIGTERM to SIGKILL, where the guardian is gone and the agent stands in for it.
const GRACE: Duration = Duration::from_secs(2);
/// How long output may still come when every process is over, and a guardian may take to clear up.
const LAST: Duration = Duration::from_secs(5);

/// A command that is being prepared, held or run. Dropping it ends it.
pub struct Exec {
    told: UnboundedSender<Told>,
    task: JoinHandle<()>,
}

enum Told {
    Exec(ToExec),
    Start(u64),
    Drain,
}

impl Exec {
    /// Prepares a command; what comes of it goes to `lines`.
    pub fn launch(order: Order, lines: UnboundedSender<FromAgent>) -> Self {
        let (told, hears) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let round = order.round;
            // the link may be on its way out
            match Job::armed(order, hears, lines.clone()).await {
                Ok(job) => {
                    lines
                        .send(FromAgent::Armed(Box::new(Armed {
                            round,
                            ..Armed::default()
                        })))
                        .ok();
                    job.run().await;
                }
                Err(Some(reason)) => drop(lines.send(FromAgent::Refused { reason })),
                Err(None) => {}
            }
        });
        Self { told, task }
    }

    /// More about it from the controller.
    pub fn tell(&self, told: ToExec) {
        self.told.send(Told::Exec(told)).ok();
    }

    /// Begin at this instant of the monotonic clock, ns.
    pub fn start(&self, at: u64) {
        self.told.send(Told::Start(at)).ok();
    }

    /// End it now, and say what came of it.
    pub fn drain(&self) {
        self.told.send(Told::Drain).ok();
    }
}

impl Drop for Exec {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Job {
    order: Order,
    folder: PathBuf,
    hears: UnboundedReceiver<Told>,
    lines: UnboundedSender<FromAgent>,
    guardian: Option<Socket>,
    child: Child,
    output: Option<Receiver>,
    errors: Option<Receiver>,
    /// Bytes that may be sent.
    credit: usize,
    start: Option<u64>,
    began: Option<u64>,
    exited: Option<(Exit, u64)>,
    cut_short: Option<CutShort>,
    over: Option<(u32, u32)>,
}

/// A folder in which nobody runs yet: it goes when what is to lie in it does not arrive.
struct Fresh(Option<PathBuf>);

impl Fresh {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            std::fs::remove_dir_all(folder).ok();
        }
    }
}

impl Job {
    /// Everything that can be done before the instant. `None`: nobody wants it any more.
    async fn armed(
        order: Order,
        mut hears: UnboundedReceiver<Told>,
        lines: UnboundedSender<FromAgent>,
    ) -> Result<Self, Option<String>> {
        let folder = files::folder(&order.run)?;
        let fresh = Fresh(Some(folder.clone()));
        let made = async {
            let mut arriving = Arriving::new(&folder, order.uploads.clone())?;
            while !arriving.complete() {
                match hears.recv().await {
                    Some(Told::Exec(ToExec::Piece(bytes))) => {
                        arriving.take(&bytes)?;
                        let took = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                        lines.send(FromAgent::Exec(FromExec::Took(took))).ok();
                    }
                    Some(Told::Drain) | None => return Err(None),
                    Some(_) => {}
                }
            }
            drop(arriving);
            let hold = Hold {
                words: order.words.clone(),
                login_shell: order.login_shell,
                folder: folder.clone(),
            };
            held(hold)
                .await
                .map_err(|error| Some(format!("the command cannot be held ready: {error}")))
        };
        let (child, guardian, output, errors) = made.await?;
        fresh.keep();
        Ok(Self {
            order,
            folder,
            hears,
            lines,
            guardian: Some(guardian),
            child,
            output: Some(output),
            errors: Some(errors),
            credit: WINDOW,
            start: None,
            began: None,
            exited: None,
            cut_short: None,
            over: None,
        })
    }

    /// From the wait for the instant to the last word.
    async fn run(mut self) {
        if self.watch().await.is_none() {
            return;
        }
        // all writers are gone; what they wrote is still in the pipes
        while self.output.is_some() || self.errors.is_some() {
            match timeout(LAST, self.pass_on()).await {
                Ok(Some(())) => {}
                Ok(None) => return,
                Err(_) if self.credit == 0 => {}
                // somebody that is no child of the command holds them
                Err(_) => break,
            }
        }
        for index in 0..self.order.fetch.len() {
            if self.fetch(index).await.is_none() {
                return;
            }
        }
        self.clear_up().await;
        let ended = self.ended();
        self.say(FromExec::Ended(ended));
    }

    /// Until nothing runs any more. `None`: the link is gone.
    async fn watch(&mut self) -> Option<()> {
        while self.over.is_none() {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                told = self.hears.recv() => match told? {
                    Told::Start(at) => {
                        self.start = Some(at);
                        self.tell_guardian(&Down::Start { at }).await;
                    }
                    Told::Drain => self.cut(CutShort::Drained).await,
                    Told::Exec(told) => self.credited(told),
                },
                said = heard(&mut self.guardian) => self.note(said).await,
                piece = read(&mut self.output, self.credit), if self.output.is_some() && self.credit > 0 => self.printed(Printed::Output, piece),
                piece = read(&mut self.errors, self.credit), if self.errors.is_some() && self.credit > 0 => self.printed(Printed::Errors, piece),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => self.cut(CutShort::Timeout).await,
            }
        }
        Some(())
    }

    /// One more step of what is left to be sent. `None`: the link is gone.
    async fn pass_on(&mut self) -> Option<()> {
        tokio::select! {
            biased;
            told = self.hears.recv() => match told? {
                Told::Exec(told) => self.credited(told),
                Told::Start(_) | Told::Drain => {}
            },
            piece = read(&mut self.output, self.credit), if self.output.is_some() && self.credit > 0 => self.printed(Printed::Output, piece),
            piece = read(&mut self.errors, self.credit), if self.errors.is_some() && self.credit > 0 => self.printed(Printed::Errors, piece),
        }
        Some(())
    }

    fn deadline(&self) -> Option<Instant> {
        let limit = Duration::from_nanos(self.order.timeout.filter(|_| self.cut_short.is_none())?);
        Some(Instant::from_std(instant_of(self.start?)) + limit).filter(|_| self.exited.is_none())
    }

    async fn cut(&mut self, why: CutShort) {
        self.cut_short.get_or_insert(why);
        self.tell_guardian(&Down::End).await;
    }

    async fn tell_guardian(&mut self, down: &Down) {
        if let Some(guardian) = &mut self.guardian {
            // one that is gone is noticed by its silence
            guardian.tell(down).await.ok();
        }
    }

    async fn note(&mut self, said: Option<Up>) {
        match said {
            Some(Up::Began { at }) => self.began = Some(at),
            Some(Up::NotBegun { why }) => {
                self.began = None;
                self.exited = Some((Exit::NotBegun(why), 0));
            }
            Some(Up::Exited { exit, at }) => {
                self.exited.get_or_insert((exit, at));
            }
            Some(Up::Over { lingering, left }) => self.over = Some((lingering, left)),
            Some(Up::Held) => {}
            None => {
                // orphans of a guardian that was killed are the agent's
                self.guardian = None;
                let left = kin::end_all(GRACE, || while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}).await;
                std::fs::remove_dir_all(&self.folder).ok();
                let why = "its guardian was killed, and with it the command and all it had started".to_owned();
                self.exited.get_or_insert((Exit::Unknown(why), monotonic_ns()));
                self.over = Some((0, left));
            }
        }
    }

    fn printed(&mut self, stream: Printed, piece: Option<Vec<u8>>) {
        match (piece, stream) {
            (Some(bytes), stream) => {
                self.credit -= bytes.len().min(self.credit);
                self.say(FromExec::Output {
                    stream,
                    bytes: bytes.into(),
                });
            }
            (None, Printed::Output) => self.output = None,
            (None, Printed::Errors) => self.errors = None,
        }
    }

    fn credited(&mut self, told: ToExec) {
        if let ToExec::Took(bytes) = told {
            self.credit = (self.credit + bytes as usize).min(WINDOW);
        }
    }

    /// Sends one file. `None`: the link is gone.
    async fn fetch(&mut self, index: usize) -> Option<()> {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        let no_file = |error: io::Error| FromExec::NoFile {
            index: number,
            why: error.to_string(),
        };
        let mut leaving = match Leaving::open(&self.folder, &self.order.fetch[index]) {
            Ok(leaving) => leaving,
            Err(error) => {
                self.say(no_file(error));
                return Some(());
            }
        };
        self.say(FromExec::File {
            index: number,
            mode: leaving.mode,
            size: leaving.size,
        });
        loop {
            while self.credit == 0 {
                match self.hears.recv().await? {
                    Told::Exec(told) => self.credited(told),
                    Told::Start(_) | Told::Drain => {}
                }
            }
            match leaving.next(self.credit) {
                Ok(bytes) if bytes.is_empty() => return Some(()),
                Ok(bytes) => {
                    self.credit -= bytes.len();
                    self.say(FromExec::Piece(bytes.into()));
                }
                Err(error) => {
                    self.say(no_file(error));
                    return Some(());
                }
            }
        }
    }

    /// The guardian removes the folder and leaves.
    async fn clear_up(&mut self) {
        self.tell_guardian(&Down::Done).await;
        if let Some(guardian) = &mut self.guardian {
            timeout(LAST, guardian.next::<Up>()).await.ok();
        }
        self.guardian = None;
        self.child.try_wait().ok();
    }

    fn ended(&mut self) -> Ended {
        let unknown = || (Exit::Unknown("nobody saw how it ended".to_owned()), 0);
        let (mut exit, at) = self.exited.take().unwrap_or_else(unknown);
        if self.began.is_none() && !matches!(exit, Exit::NotBegun(_)) {
            exit = Exit::NotBegun("it was ended before its instant".to_owned());
        }
        let start = self.start.unwrap_or_default();
        let (lingering, left) = self.over.unwrap_or_default();
        Ended {
            began: self.began.map(|began| began.cast_signed() - start.cast_signed()),
            ran: self.began.map_or(0, |began| at.saturating_sub(began)),
            exit,
            cut_short: self.cut_short,
            lingering,
            left,
        }
    }

    fn say(&self, said: FromExec) {
        // a link that is gone ends this task too
        self.lines.send(FromAgent::Exec(said)).ok();
    }
}

/// Starts a guardian, and returns when its holder waits for the instant.
async fn held(hold: Hold) -> io::Result<(Child, Socket, Receiver, Receiver)> {
    // should the guardian be killed, its orphans come here
    set_child_subreaper(Some(getpid()))?;
    let (ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new(SELF)
        .arg(GUARD)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let missing = || io::Error::other("its outputs are missing");
    let output = OwnedFd::from(child.stdout.take().ok_or_else(missing)?);
    let errors = OwnedFd::from(child.stderr.take().ok_or_else(missing)?);
    let (output, mut errors) = (Receiver::from_owned_fd(output)?, Receiver::from_owned_fd(errors)?);
    let mut guardian = Socket::new(ours)?;
    guardian.tell(&Down::Hold(hold)).await?;
    match guardian.next().await {
        Some(Up::Held) => Ok((child, guardian, output, errors)),
        _ => {
            let mut words = String::new();
            timeout(LAST, errors.read_to_string(&mut words)).await.ok();
            child.try_wait().ok();
            Err(io::Error::other(format!("its guardian ended: {}", words.trim())))
        }
    }
}

async fn heard(guardian: &mut Option<Socket>) -> Option<Up> {
    match guardian {
        Some(guardian) => guardian.next().await,
        None => std::future::pending().await,
    }
}

/// The next bytes, at most so many; `None` at the end.
async fn read(pipe: &mut Option<Receiver>, credit: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; PIECE.min(credit)];
    let n = match pipe {
        Some(pipe) => pipe.read(&mut bytes).await.unwrap_or(0),
        None => 0,
    };
    bytes.truncate(n);
    (n > 0).then_some(bytes)
}
