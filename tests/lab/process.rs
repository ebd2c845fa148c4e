//! Owns: starting, waiting for and ending processes, and looking at those that run. Each is ended by its own pid.
//! Must not: know what a process is for.

use crate::Result;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How a command ended, with all it said.
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// It was killed by us because its time was over.
    pub timed_out: bool,
    pub took: Duration,
}

/// A command under way whose output is being gathered.
pub struct Running {
    child: Child,
    began: Instant,
    stdout: Gathered,
    stderr: Gathered,
}

/// What one output said so far, and word of its end.
struct Gathered {
    bytes: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

impl Gathered {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let (sender, ended) = channel::<()>();
        let own = Arc::clone(&bytes);
        std::thread::spawn(move || {
            let _sender = sender;
            let mut piece = [0; 16 * 1024];
            // A broken pipe ends the text, and what came before it still counts.
            while let Ok(n @ 1..) = pipe.read(&mut piece) {
                own.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend_from_slice(&piece[..n]);
            }
        });
        Self { bytes, ended }
    }

    /// A process that was left behind may hold the output open: what it would still say is not waited for.
    fn text(&self) -> String {
        let _ = self.ended.recv_timeout(Duration::from_secs(5));
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Starts a command and reads both its outputs aside.
pub fn start(command: &mut Command) -> Result<Running> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{:?} did not start: {e}", command.get_program()))?;
    let stdout = Gathered::from(child.stdout.take().ok_or("no stdout pipe")?);
    let stderr = Gathered::from(child.stderr.take().ok_or("no stderr pipe")?);
    Ok(Running {
        child,
        began: Instant::now(),
        stdout,
        stderr,
    })
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits until it ends, or kills it (alone, by pid) when `limit` is over.
    pub fn wait(mut self, limit: Duration) -> Result<Finished> {
        let until = Instant::now() + limit;
        let mut timed_out = false;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() >= until {
                timed_out = true;
                self.child.kill()?;
                break self.child.wait()?;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let took = self.began.elapsed();
        Ok(Finished {
            status,
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            timed_out,
            took,
        })
    }
}

/// Runs a short command to its end; an error names it and holds what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let done = start(command)?.wait(Duration::from_secs(60))?;
    if done.status.success() && !done.timed_out {
        return Ok(done.stdout);
    }
    Err(format!("{command:?}: {}: {}{}", done.status, done.stdout, done.stderr).into())
}

/// Runs words as one command, split at spaces.
pub fn words(line: &str) -> Result<String> {
    let mut parts = line.split_whitespace();
    run(Command::new(parts.next().ok_or("an empty command line")?).args(parts))
}

/// A long-lived process of the lab. It ends when this is dropped; its pid is on file for a lab that dies before.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command` with its output in `log`, and notes it in `pids` of the lab's folder.
    pub fn start(lab: &Path, name: &str, command: &mut Command) -> Result<Self> {
        let log = lab.join(format!("{name}.log"));
        let file = std::fs::File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .map_err(|e| format!("{name}: {:?} did not start: {e}", command.get_program()))?;
        note(lab, child.id())?;
        Ok(Self { child, log })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to end (SIGTERM) and waits; what it still has to write, it writes.
    pub fn stop(mut self) -> Result<String> {
        signal(self.pid(), Signal::TERM)?;
        wait_until("a daemon to end", Duration::from_secs(10), || {
            Ok(self.child.try_wait()?.is_some())
        })?;
        Ok(self.said())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a pid down with its start time, so that a later lab ends this process and no other that took the number.
pub fn note(lab: &Path, pid: u32) -> Result {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(lab.join("pids"))?;
    writeln!(file, "{pid} {}", start_time(pid).unwrap_or_default())?;
    Ok(())
}

/// Ends all processes noted in a lab's folder that are still the ones noted.
pub fn end_noted(lab: &Path) {
    let noted = std::fs::read_to_string(lab.join("pids")).unwrap_or_default();
    for line in noted.lines() {
        let mut words = line.split(' ');
        let (Some(Ok(pid)), Some(started)) = (words.next().map(str::parse::<u32>), words.next()) else {
            continue;
        };
        if start_time(pid).is_some_and(|now| now == started) {
            let _ = signal(pid, Signal::KILL);
        }
    }
}

fn start_time(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 22, counted after the command's name, which may hold spaces.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

pub fn signal(pid: u32, signal: Signal) -> Result {
    let target = Pid::from_raw(pid.cast_signed()).ok_or("pid 0")?;
    kill_process(target, signal).map_err(|e| format!("signal {signal:?} to {pid}: {e}").into())
}

/// There, and no zombie that waits to be reaped.
pub fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// Asks again every 10 ms until it is so; the error says what was waited for.
pub fn wait_until(what: &str, limit: Duration, mut so: impl FnMut() -> Result<bool>) -> Result {
    let until = Instant::now() + limit;
    while !so()? {
        if Instant::now() >= until {
            return Err(format!("waited {limit:?} in vain for {what}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// A process that runs now.
#[derive(Debug, Clone)]
pub struct Seen {
    pub pid: u32,
    /// Where its program file is, as the kernel names it.
    pub exe: String,
    pub command: String,
}

/// All processes for which `belongs` says yes. Those that end while we look are left out, and zombies too.
pub fn seen(mut belongs: impl FnMut(u32) -> bool) -> Vec<Seen> {
    let Ok(folder) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    folder
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|&pid| belongs(pid))
        .filter_map(|pid| {
            let exe = std::fs::read_link(format!("/proc/{pid}/exe"))
                .ok()?
                .to_string_lossy()
                .into_owned();
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            Some(Seen { pid, exe, command })
        })
        .collect()
}
