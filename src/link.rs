//! One agent's actor: the handshake, typed messages both ways, and whether the agent still lives.
//!
//! It owns the stream. Writing and reading go on side by side in one task of its own, so that neither waits for the
//! other, and every error of the agent's ends this link alone, with a reason. Never here: which host does what.

mod actor;
mod pings;

use crate::transport::Stream;
use std::time::Duration;
use swarm_agent::wire::message::{FromAgent, Hello, ToAgent};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Events that may wait for their reader; beyond it the agent waits.
const EVENTS: usize = 256;

/// Time limits of a link.
#[derive(Debug, Clone, Copy)]
pub struct LinkLimits {
    /// From the start of the process to its hello.
    pub hello: Duration,
    /// Without any byte of the agent while a ping waits for its pong.
    pub silence: Duration,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(15),
            silence: Duration::from_secs(10),
        }
    }
}

/// What happens on a link, in order. `Closed` is always the last one.
#[derive(Debug)]
pub enum LinkEvent {
    /// The handshake is done; the agent is of this very build.
    Hello(Box<Hello>),
    /// Everything the agent says but hellos and pongs.
    Message {
        /// What.
        message: FromAgent,
        /// Controller's monotonic clock when its last bytes were read (ns).
        at_ns: u64,
    },
    /// The answer to a ping.
    Pong {
        /// Of the ping.
        seq: u32,
        /// Controller's clock when the ping was handed to the stream (ns).
        sent_ns: u64,
        /// Agent's clock when it read the ping (ns).
        agent_received_ns: u64,
        /// Agent's clock when it wrote the pong (ns).
        agent_sent_ns: u64,
        /// Controller's clock when the pong was read (ns).
        received_ns: u64,
        /// The ping went out behind other frames: no good as a sample of the clocks.
        queued: bool,
    },
    /// The link is over.
    Closed {
        /// Cause, with the agent's last words on standard error.
        why: String,
    },
}

/// What the handle asks of the actor.
#[derive(Debug)]
enum Order {
    Send(ToAgent),
    Ping(u32),
}

/// The controller's end of a link. Dropping it ends the link.
#[derive(Debug)]
pub struct LinkHandle {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

/// The link is over; its last event says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link is closed")]
pub struct LinkClosed;

/// Starts links.
#[derive(Debug)]
pub struct Link;

impl Link {
    /// Takes over an agent's stream.
    pub fn start(stream: Stream, nonce: &str) -> (LinkHandle, mpsc::Receiver<LinkEvent>) {
        Self::start_with(stream, nonce, LinkLimits::default())
    }

    /// The same, with other limits.
    pub fn start_with(stream: Stream, nonce: &str, limits: LinkLimits) -> (LinkHandle, mpsc::Receiver<LinkEvent>) {
        let (orders, taken) = mpsc::unbounded_channel();
        let (events, told) = mpsc::channel(EVENTS);
        let task = tokio::spawn(actor::run(stream, nonce.to_owned(), limits, taken, events));
        (LinkHandle { orders, task }, told)
    }
}

impl LinkHandle {
    /// Queues a message. A share or a command goes in chunks, everything else before them. Nothing is written before the hello.
    pub fn send(&self, message: ToAgent) -> Result<(), LinkClosed> {
        self.orders.send(Order::Send(message)).map_err(|_| LinkClosed)
    }

    /// Queues a ping; it is stamped when it is written.
    pub fn ping(&self, seq: u32) -> Result<(), LinkClosed> {
        self.orders.send(Order::Ping(seq)).map_err(|_| LinkClosed)
    }

    /// Writes what is queued, ends the agent's input, waits until it has left (a bounded time), and ends the connection.
    /// Whoever reads the events must go on reading, or have dropped the receiver.
    pub async fn close(self) {
        let Self { orders, task } = self;
        drop(orders);
        // It can only fail by a panic of the actor, and then there is nothing left to close.
        task.await.ok();
    }
}

#[cfg(test)]
mod tests;
