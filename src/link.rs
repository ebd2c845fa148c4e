//! One agent's link: greeting, typed send and receive, pings stamped at the moment they are written. Whatever a hostile
//! agent sends ends its own link and nothing else. Never here: which host does what.

use crate::clock::now_ns;
use crate::transport::Stream;
use crate::transport::stream::Held;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use swarm_agent::wire::frame::{Inbox, Outbox};
use swarm_agent::wire::message::{FromAgent, Hello, ToAgent};
use swarm_agent::wire::{BUILD_ID, MAGIC};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// How long an agent may take to say hello once it was started.
const GREETING: Duration = Duration::from_secs(20);
/// Noise that a login shell may print before the agent's first line, bytes.
const NOISE: usize = 1024 * 1024;
/// Last words of an agent that are kept, bytes.
const LAST_WORDS: usize = 2048;

/// What comes from an agent.
#[derive(Debug)]
pub enum LinkEvent {
    /// A message.
    Said(FromAgent),
    /// A ping came back.
    Ponged {
        /// Our clock when the ping was written, ns.
        sent: u64,
        /// The agent's clock when it was read.
        agent_received: u64,
        /// The agent's clock when it was answered.
        agent_sent: u64,
        /// Our clock when the answer came.
        received: u64,
        /// It stood behind other frames: its stamps say nothing about the way.
        queued: bool,
    },
    /// The link is gone; nothing follows.
    Closed(String),
}

/// Why an agent is of no use.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It did not say hello in time.
    #[error("the agent did not answer within {} s{}", GREETING.as_secs(), words(.last_words))]
    Silent {
        /// What it printed on standard error.
        last_words: String,
    },
    /// It ended before it said hello.
    #[error("the agent ended before it said hello{}", words(.last_words))]
    Ended {
        /// What it printed on standard error.
        last_words: String,
    },
    /// It is another build.
    #[error("the agent there is another build ({theirs}, this is {BUILD_ID}): remove it, or let swarm send its own")]
    Foreign {
        /// Its build.
        theirs: String,
    },
    /// It said something else than hello.
    #[error("the agent does not speak our protocol: {0}")]
    Protocol(String),
}

fn words(last: &str) -> String {
    if last.trim().is_empty() {
        String::new()
    } else {
        format!(": {}", last.trim())
    }
}

/// Sends to one agent.
#[derive(Clone)]
pub struct LinkHandle {
    orders: mpsc::UnboundedSender<ToAgent>,
}

impl LinkHandle {
    /// Queues a message; pings, start, drain and bye go before a share.
    pub fn send(&self, message: ToAgent) {
        // a link that is gone has said so by an event
        let _ = self.orders.send(message);
    }
}

type Pings = Arc<Mutex<HashMap<u32, (u64, bool)>>>;
type LastWords = Arc<Mutex<Vec<u8>>>;

/// Greets the agent behind `stream` and starts the tasks of its link on `tasks`. What it says goes to `events`.
pub async fn start(
    stream: Stream,
    nonce: &str,
    tasks: &TaskTracker,
    events: mpsc::UnboundedSender<LinkEvent>,
) -> Result<(LinkHandle, Box<Hello>), LinkError> {
    let Stream {
        input,
        mut output,
        errors,
        held,
    } = stream;
    let last_words = LastWords::default();
    tasks.spawn(listen(errors, Arc::clone(&last_words)));
    let mut inbox = Inbox::default();
    let greeted = tokio::time::timeout(GREETING, greet(&mut output, nonce, &mut inbox)).await;
    let hello = match judge(greeted.ok(), &last_words).await {
        Ok(hello) => hello,
        Err(error) => {
            // the end of its input is what ends an agent
            drop(input);
            held.end().await;
            return Err(error);
        }
    };
    let (orders, ordered) = mpsc::unbounded_channel();
    let pings = Pings::default();
    tasks.spawn(write(input, ordered, Arc::clone(&pings)));
    let life = Life {
        pings,
        last_words,
        events,
        held,
    };
    tasks.spawn(life.read(output, inbox));
    Ok((LinkHandle { orders }, hello))
}

/// What the greeting came to; `None`: it did not come in time.
async fn judge(
    greeted: Option<Result<Box<Hello>, LinkError>>,
    last_words: &LastWords,
) -> Result<Box<Hello>, LinkError> {
    let said = || String::from_utf8_lossy(&last_words.lock().expect("no holder of this lock panics")).into_owned();
    match greeted {
        None => Err(LinkError::Silent { last_words: said() }),
        Some(Err(LinkError::Ended { .. })) => {
            // its last words may still be on their way
            tokio::time::sleep(Duration::from_millis(100)).await;
            Err(LinkError::Ended { last_words: said() })
        }
        Some(Ok(hello)) if hello.build != BUILD_ID => Err(LinkError::Foreign {
            theirs: hello.build.chars().take(40).collect(),
        }),
        Some(other) => other,
    }
}

async fn greet(output: &mut (impl AsyncRead + Unpin), nonce: &str, inbox: &mut Inbox) -> Result<Box<Hello>, LinkError> {
    let magic = format!("{MAGIC}{nonce}\n").into_bytes();
    let mut seen = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        let n = output.read(&mut buffer).await.unwrap_or(0);
        if n == 0 {
            return Err(LinkError::Ended {
                last_words: String::new(),
            });
        }
        seen.extend_from_slice(&buffer[..n]);
        if let Some(at) = seen.windows(magic.len()).position(|window| window == magic) {
            inbox.feed(&seen[at + magic.len()..]);
            break;
        }
        if seen.len() > NOISE {
            return Err(LinkError::Protocol(format!(
                "more than {NOISE} bytes came before its first line"
            )));
        }
    }
    loop {
        match inbox.next_message::<FromAgent>() {
            Ok(Some(FromAgent::Hello(hello))) => return Ok(hello),
            Ok(Some(_)) => {
                return Err(LinkError::Protocol("its first message is no hello".to_owned()));
            }
            // another build may well have another encoding
            Err(error) => {
                return Err(LinkError::Protocol(format!("{error}; it may be another build")));
            }
            Ok(None) => {}
        }
        let n = output.read(&mut buffer).await.unwrap_or(0);
        if n == 0 {
            return Err(LinkError::Ended {
                last_words: String::new(),
            });
        }
        inbox.feed(&buffer[..n]);
    }
}

async fn listen(mut errors: impl AsyncRead + Unpin, last_words: LastWords) {
    let mut buffer = [0u8; 1024];
    while let Ok(n @ 1..) = errors.read(&mut buffer).await {
        let mut kept = last_words.lock().expect("no holder of this lock panics");
        kept.extend_from_slice(&buffer[..n]);
        let over = kept.len().saturating_sub(LAST_WORDS);
        kept.drain(..over);
    }
}

async fn write(mut input: impl AsyncWrite + Unpin, mut ordered: mpsc::UnboundedReceiver<ToAgent>, pings: Pings) {
    let mut outbox = Outbox::default();
    loop {
        // closing the input when the handle is gone is what ends the agent
        let first = if outbox.is_empty() {
            ordered.recv().await
        } else {
            ordered.try_recv().ok()
        };
        if first.is_none() && outbox.is_empty() {
            break;
        }
        let mut next = first;
        while let Some(message) = next {
            let queued = !outbox.is_empty();
            let taken = match &message {
                ToAgent::Share(_) => outbox.data(&message),
                ToAgent::Ping { seq } => {
                    pings
                        .lock()
                        .expect("no holder of this lock panics")
                        .insert(*seq, (now_ns(), queued));
                    outbox.control(&message)
                }
                ToAgent::Start { .. } | ToAgent::Drain | ToAgent::Bye => outbox.control(&message),
            };
            if taken.is_err() {
                break;
            }
            next = ordered.try_recv().ok();
        }
        if let Some(frame) = outbox.next_frame()
            && (input.write_all(&frame).await.is_err() || input.flush().await.is_err())
        {
            break;
        }
    }
    // the reader tells why the link is gone
    let _ = input.shutdown().await;
}

/// What the reading half of a link holds.
struct Life {
    pings: Pings,
    last_words: LastWords,
    events: mpsc::UnboundedSender<LinkEvent>,
    held: Held,
}

impl Life {
    async fn read(self, mut output: impl AsyncRead + Unpin, mut inbox: Inbox) {
        let mut buffer = vec![0u8; 64 * 1024];
        let why = loop {
            if let Err(why) = deliver(&mut inbox, now_ns(), &self.pings, &self.events) {
                break why;
            }
            match output.read(&mut buffer).await {
                Ok(0) => break "the agent's connection ended".to_owned(),
                Ok(n) => inbox.feed(&buffer[..n]),
                Err(error) => break format!("the agent's connection broke: {error}"),
            }
        };
        tokio::time::sleep(Duration::from_millis(50)).await;
        let last =
            String::from_utf8_lossy(&self.last_words.lock().expect("no holder of this lock panics")).into_owned();
        // a conductor that is gone asks no more
        let _ = self.events.send(LinkEvent::Closed(format!("{why}{}", words(&last))));
        self.held.end().await;
    }
}

fn deliver(
    inbox: &mut Inbox,
    received: u64,
    pings: &Pings,
    events: &mpsc::UnboundedSender<LinkEvent>,
) -> Result<(), String> {
    while let Some(message) = inbox
        .next_message::<FromAgent>()
        .map_err(|error| format!("the agent sent {error}"))?
    {
        let event = match message {
            FromAgent::Pong {
                seq,
                received: agent_received,
                sent: agent_sent,
            } => {
                let stamped = pings.lock().expect("no holder of this lock panics").remove(&seq);
                let Some((sent, queued)) = stamped else {
                    return Err("the agent answered a ping that was not sent".to_owned());
                };
                LinkEvent::Ponged {
                    sent,
                    agent_received,
                    agent_sent,
                    received,
                    queued,
                }
            }
            message => LinkEvent::Said(message),
        };
        if events.send(event).is_err() {
            return Err("nobody listens any more".to_owned());
        }
    }
    Ok(())
}
