//! What is done over the first connection to a host that EC2 has just started: its timer is seen to live, its secondary
//! addresses come up, and the boot host key, which all hosts of a launch share, gives way to one of its own.
//!
//! The new key is told first and takes the boot key's place only after the caller has written it down: whoever is killed
//! in between, a key that the caller knows is shown. Answers are lines that begin with `swarm-settle NONCE`. Never here:
//! EC2, known_hosts files, what becomes of a host that cannot be settled.

mod answer;

use crate::dialogue::{Dialogue, Stopped, is_nonce};
use crate::fleet::user_data;
use crate::transport::{Stream, plain};
pub use answer::{Added, Shown};
use answer::{Answer, Failed, extend_lines, settle_lines};
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Becomes root; its last line, with the nonce, is added here.
const OPEN: &str = include_str!("settle/open.sh");
/// What root's shell runs, likewise.
const SCRIPT: &str = include_str!("settle/settle.sh");
/// The word before the nonce.
const WORD: &str = "swarm-settle";
/// A timer may show that much more than it was given, in seconds: it counts whole seconds, and from the boot's end.
const TIMER_SLACK_S: u64 = 5;

/// What a host is to be like afterwards.
#[derive(Debug, Clone)]
pub struct Wants<'a> {
    /// The public boot host key, as in the user data.
    pub boot_public: &'a str,
    /// The most seconds that the timer may have left.
    pub ttl_s: u64,
    /// Secondary private addresses, to be added to the interface that this connection came in by.
    pub addresses: Vec<IpAddr>,
    /// Where things lie on the host.
    pub folders: Folders,
}

/// Where things lie on a host; the default but in tests.
#[derive(Debug, Clone)]
pub struct Folders {
    /// The timer's.
    pub timer: String,
    /// cloud-init's own, on disk.
    pub cloud: String,
    /// The same, of this boot.
    pub running: String,
}

impl Default for Folders {
    fn default() -> Self {
        Self {
            timer: user_data::FOLDER.to_owned(),
            cloud: "/var/lib/cloud".to_owned(),
            running: "/run/cloud-init".to_owned(),
        }
    }
}

/// How long each step may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From the shell's start to its first line: login scripts run in it.
    pub shell: Duration,
    /// Until cloud-init has set the timer.
    pub boot: Duration,
    /// One answer of the script.
    pub step: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            shell: Duration::from_secs(20),
            boot: Duration::from_secs(90),
            step: Duration::from_secs(30),
        }
    }
}

/// A host that is as it was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Its own public host key, `ssh-ed25519 BASE64`: from now on it shows no other.
    pub host_key: String,
    /// Whether it was seen to.
    pub shown: Shown,
    /// Until it ends itself.
    pub seconds_left: u64,
    /// Each address that was wanted, and what became of it.
    pub addresses: Vec<(IpAddr, Added)>,
}

/// Why a host is not settled.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The nonce is made by us.
    #[error("a nonce has 8 to 64 characters of a-z and 0-9, not {0:?}")]
    Nonce(String),
    /// Wants that cannot be told.
    #[error("host {host}: this cannot be asked of it: {what}")]
    Unfit {
        /// Host.
        host: String,
        /// What.
        what: String,
    },
    /// No POSIX shell answered.
    #[error(
        "host {host}: it answers, but not as a POSIX shell ({said}): choose an image with /bin/sh behind ssh (--image)"
    )]
    NoShell {
        /// Host.
        host: String,
        /// What came instead.
        said: String,
    },
    /// The login user may not do it.
    #[error(
        "host {host}: its user cannot become root without a password ({said}): name the image's own user (--login), \
         or an image whose user has passwordless sudo"
    )]
    NotRoot {
        /// Host.
        host: String,
        /// Of sudo.
        said: String,
    },
    /// It might never end: to be terminated.
    #[error(
        "host {host}: its timer is not to be relied on ({why}): it would not end by itself, so it must be terminated"
    )]
    Timer {
        /// Host.
        host: String,
        /// Why.
        why: String,
    },
    /// It keeps the boot key.
    #[error(
        "host {host}: it cannot have a host key of its own ({why}): terminate it, and choose another image if that happens again"
    )]
    Key {
        /// Host.
        host: String,
        /// Why.
        why: String,
    },
    /// Nor can we know it.
    #[error(
        "host {host}: its new host key cannot be written down here ({source}): it keeps the boot key; make room, then try again"
    )]
    Pin {
        /// Host.
        host: String,
        /// Cause.
        source: std::io::Error,
    },
    /// An answer that the script does not give.
    #[error("host {host}: it gave no sense when {step}: {said:?}: terminate it")]
    Garbled {
        /// Host.
        host: String,
        /// What was going on.
        step: &'static str,
        /// The line.
        said: String,
    },
    /// It stopped answering.
    #[error("host {host}: {step} took longer than {after_s} s: try again")]
    Slow {
        /// Host.
        host: String,
        /// What.
        step: &'static str,
        /// Seconds.
        after_s: u64,
    },
    /// It went away.
    #[error("host {host}: the connection ended when {step}{said}: try again")]
    Ended {
        /// Host.
        host: String,
        /// What.
        step: &'static str,
        /// Last words, with a colon before them, or nothing.
        said: String,
    },
}

/// Settles a host over a shell that was opened on it. `pin` writes the new public key down, beside the boot key; when
/// this returns `Ok`, the boot key can be forgotten. May be repeated after any failure but `Timer`.
pub async fn settle(
    stream: Stream,
    host: &str,
    nonce: &str,
    wants: &Wants<'_>,
    pin: impl FnOnce(&str) -> std::io::Result<()>,
    deadlines: Deadlines,
) -> Result<Settled, SettleError> {
    let mut talk = Talk::new(stream, host, nonce, deadlines);
    let result = talk.settle(nonce, wants, pin).await;
    talk.dialogue.into_stream().close().await;
    result
}

/// Gives a host another time to end at: the earlier of `until_s`, seconds since 1970, and `ttl_s` from now. Seconds left.
pub async fn extend(
    stream: Stream,
    host: &str,
    nonce: &str,
    until_s: i64,
    ttl_s: u64,
    folders: &Folders,
    deadlines: Deadlines,
) -> Result<u64, SettleError> {
    let mut talk = Talk::new(stream, host, nonce, deadlines);
    let result = talk.extend(nonce, until_s, ttl_s, folders).await;
    talk.dialogue.into_stream().close().await;
    result
}

/// The conversation with one host.
struct Talk<'a> {
    dialogue: Dialogue,
    host: &'a str,
    deadlines: Deadlines,
}

impl<'a> Talk<'a> {
    fn new(stream: Stream, host: &'a str, nonce: &str, deadlines: Deadlines) -> Self {
        Self {
            dialogue: Dialogue::new(stream, WORD, nonce),
            host,
            deadlines,
        }
    }

    async fn settle(
        &mut self,
        nonce: &str,
        wants: &Wants<'_>,
        pin: impl FnOnce(&str) -> std::io::Result<()>,
    ) -> Result<Settled, SettleError> {
        let lines = settle_lines(wants, self.deadlines.boot.as_secs()).map_err(|what| SettleError::Unfit {
            host: self.host.to_owned(),
            what,
        })?;
        self.begin("settle", nonce).await?;
        self.tell(&lines, LOOKING).await?;
        let seconds_left = self.timer(wants.ttl_s).await?;
        let mut addresses = Vec::new();
        let host_key = loop {
            match self.answer(MAKING, self.deadlines.step).await? {
                Answer::Address(address, added) if addresses.len() < wants.addresses.len() => {
                    addresses.push((address, cleaned(added)));
                }
                Answer::Key(key) => break key,
                other => return Err(self.unasked(MAKING, &other)),
            }
        };
        pin(&host_key).map_err(|source| SettleError::Pin {
            host: self.host.to_owned(),
            source,
        })?;
        self.tell("switch\n", SWITCHING).await?;
        let shown = match self.answer(SWITCHING, self.deadlines.step).await? {
            Answer::Switched(shown) => shown,
            other => return Err(self.unasked(SWITCHING, &other)),
        };
        Ok(Settled {
            host_key,
            shown,
            seconds_left,
            addresses,
        })
    }

    async fn extend(&mut self, nonce: &str, until_s: i64, ttl_s: u64, folders: &Folders) -> Result<u64, SettleError> {
        self.begin("extend", nonce).await?;
        self.tell(&extend_lines(&folders.timer, until_s, ttl_s), EXTENDING)
            .await?;
        self.timer(ttl_s).await
    }

    /// From a login shell to root's, with the script in it, which waits for its arguments.
    async fn begin(&mut self, what: &str, nonce: &str) -> Result<(), SettleError> {
        if !is_nonce(nonce) {
            return Err(SettleError::Nonce(nonce.to_owned()));
        }
        // The calls stand on one line: a shell that reads line by line would take the next one for an argument.
        let open = format!("{OPEN}open {nonce}; exit\n");
        let limit = self.deadlines.shell;
        let first = match self.dialogue.send(open.as_bytes(), limit).await {
            Ok(()) => self.dialogue.marker(limit).await,
            Err(slow) => Err(slow),
        };
        match first.ok().as_deref().and_then(Answer::parse) {
            Some(Answer::Open) => {}
            Some(Answer::Denied(said)) => {
                return Err(SettleError::NotRoot {
                    host: self.host.to_owned(),
                    said: shown(&said),
                });
            }
            _ => return Err(self.no_shell()),
        }
        self.tell(&format!("{SCRIPT}{what} {nonce} 3<&0 </dev/null; exit\n"), BECOMING)
            .await?;
        match self.answer(BECOMING, self.deadlines.step).await? {
            Answer::Ready => Ok(()),
            other => Err(self.unasked(BECOMING, &other)),
        }
    }

    /// Waits until the timer is seen to live, and judges what it has left.
    async fn timer(&mut self, ttl_s: u64) -> Result<u64, SettleError> {
        let whole = self.deadlines.boot + self.deadlines.step;
        let until = Instant::now() + whole;
        let mut waits_for = String::new();
        loop {
            // Each word that it still waits is an answer in time, but all of them together have a bound.
            let answer = timeout_at(until, self.answer(LOOKING, whole)).await;
            match answer {
                Ok(Ok(Answer::Timer(left))) => return self.judged(left, ttl_s),
                Ok(Ok(Answer::Waiting(why))) => waits_for = why,
                Ok(Ok(other)) => return Err(self.unasked(LOOKING, &other)),
                Ok(Err(SettleError::Slow { .. })) | Err(_) => {
                    let after = whole.as_secs();
                    let why = format!("nothing is known of it after {after} s: {}", shown(&waits_for));
                    return Err(self.no_timer(why.trim_end_matches(": ").to_owned()));
                }
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    fn judged(&self, left: u64, ttl_s: u64) -> Result<u64, SettleError> {
        if left == 0 {
            return Err(self.no_timer("it is over, the host is about to end".to_owned()));
        }
        if left > ttl_s.saturating_add(TIMER_SLACK_S) {
            return Err(self.no_timer(format!("it has {left} s left, of {ttl_s}")));
        }
        Ok(left)
    }

    async fn tell(&mut self, text: &str, step: &'static str) -> Result<(), SettleError> {
        let limit = self.deadlines.step;
        let sent = self.dialogue.send(text.as_bytes(), limit).await;
        sent.map_err(|why| self.stopped(why, step, limit))
    }

    /// The next answer; the script's failures are errors.
    async fn answer(&mut self, step: &'static str, limit: Duration) -> Result<Answer, SettleError> {
        let line = self.dialogue.marker(limit).await;
        let line = line.map_err(|why| self.stopped(why, step, limit))?;
        let host = || self.host.to_owned();
        match Answer::parse(&line) {
            Some(Answer::Failed(Failed::Timer, why)) => Err(self.no_timer(shown(&why))),
            Some(Answer::Failed(Failed::Key | Failed::Switch, why)) => Err(SettleError::Key {
                host: host(),
                why: shown(&why),
            }),
            Some(answer) => Ok(answer),
            None => Err(SettleError::Garbled {
                host: host(),
                step,
                said: shown(&line),
            }),
        }
    }

    fn no_timer(&self, why: String) -> SettleError {
        SettleError::Timer {
            host: self.host.to_owned(),
            why,
        }
    }

    fn unasked(&self, step: &'static str, answer: &Answer) -> SettleError {
        SettleError::Garbled {
            host: self.host.to_owned(),
            step,
            said: shown(&format!("{answer:?}")),
        }
    }

    fn no_shell(&self) -> SettleError {
        let said = self.dialogue.first_words();
        SettleError::NoShell {
            host: self.host.to_owned(),
            said: said.map_or_else(|| "no output".to_owned(), |line| format!("{:?}", shown(&line))),
        }
    }

    fn stopped(&self, why: Stopped, step: &'static str, limit: Duration) -> SettleError {
        let host = self.host.to_owned();
        match why {
            Stopped::Slow => SettleError::Slow {
                host,
                step,
                after_s: limit.as_secs(),
            },
            Stopped::Ended => {
                let said = self.dialogue.last_words();
                let said = said.map(|line| format!(": {}", shown(&line))).unwrap_or_default();
                SettleError::Ended { host, step, said }
            }
        }
    }
}

const BECOMING: &str = "it started a shell of root's";
const LOOKING: &str = "it looked for its timer";
const MAKING: &str = "it made a host key of its own";
const SWITCHING: &str = "it took its new host key";
const EXTENDING: &str = "it set its timer anew";

fn cleaned(added: Added) -> Added {
    match added {
        Added::Not(why) => Added::Not(shown(&why)),
        other => other,
    }
}

/// A stranger's text, short and on one line.
fn shown(text: &str) -> String {
    plain(text, 200)
}

#[cfg(test)]
mod tests;
