//! One Socket.IO or Engine.IO client as a pure machine: what comes in, and when, to what is to be done. It owns the order
//! of things: at most one GET in flight, the upgrade from polling to WebSocket, heartbeats, the namespaces.
//! Never here: sockets, clocks (instants are handed in), HTTP.

mod heartbeat;
mod inbound;
mod machine;
mod namespaces;
mod outbound;
mod outbox;

pub use machine::Machine;

use super::engineio::{Frame, Refusal};
use crate::wire::fault::{Fault, FaultKind};

/// A namespace: its place among those that the client was told of, 0 for the first.
pub type Namespace = u16;

/// Detail of the fault that ends a client which the server put out of its last namespace.
pub const PUT_OUT: &str = "namespace left by the server";

/// What the messages of the session are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layer {
    /// Packets of Socket.IO.
    #[default]
    Socketio,
    /// Nothing that the machine looks into.
    Raw,
}

/// What came in.
#[derive(Debug)]
pub enum Input<'a> {
    /// The GET was answered with 200.
    Polled(&'a [u8]),
    /// The POST was answered with 200.
    Posted,
    /// The GET or the POST was answered otherwise, or not at all.
    PollLost(Fault),
    /// The WebSocket stands.
    SocketOpen,
    /// The WebSocket could not be opened, or it broke.
    SocketLost(Fault),
    /// A text message of the WebSocket.
    Frame(&'a str),
    /// A binary message of the WebSocket.
    Binary(&'a [u8]),
    /// [`Machine::deadline`] may have passed.
    Tick,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Poll.
    Get,
    /// Send this payload.
    Post(String),
    /// Open a WebSocket, for this session if there is one.
    OpenSocket,
    /// Send this over the WebSocket, as a text or binary message.
    Send(Frame),
    /// Close the WebSocket.
    CloseSocket,
    /// The Engine.IO session is open.
    Opened,
    /// Polling has ended for good.
    Upgraded,
    /// The upgrade failed: the client stays on polling, as the real one does.
    Stays(Fault),
    /// The first namespace is entered, or the raw session is open: the client stands.
    Ready,
    /// The server said something, or emits were written.
    Said(Said),
    /// The client is lost.
    Fail(Fault),
    /// The client has left as it was told to.
    Finished,
}

/// What a client hears, or knows to be written. Bodies and attachments are empty unless they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// An event.
    Event {
        /// Where.
        namespace: Namespace,
        /// Its name.
        name: String,
        /// The whole JSON array, placeholders of attachments in it.
        body: String,
        /// The server asks for an acknowledgement.
        id: Option<u64>,
        /// Binary attachments, in order.
        attachments: Vec<Vec<u8>>,
    },
    /// An acknowledgement. Ids are counted over all namespaces of the client.
    Ack {
        /// Of the emit.
        id: u64,
        /// The JSON array of what is handed back.
        body: String,
        /// Binary attachments, in order.
        attachments: Vec<Vec<u8>>,
    },
    /// A raw Engine.IO message, either text or binary.
    Message {
        /// As text.
        text: Option<String>,
        /// As binary.
        binary: Option<Vec<u8>>,
    },
    /// So many emits or raw messages were written.
    Written(u32),
    /// A further namespace was entered, or the first one again.
    Joined {
        /// Which.
        namespace: Namespace,
    },
    /// A further namespace refused the client, or the first one when it was asked again.
    Refused {
        /// Which.
        namespace: Namespace,
        /// What the server said.
        reason: String,
    },
    /// The server put the client out of a namespace while it is in another one.
    Left {
        /// Which.
        namespace: Namespace,
    },
}

fn short(text: &str) -> String {
    text.chars().take(120).collect()
}

/// The fault that a polling answer other than 200 stands for.
pub fn refused(status: u16, body: &[u8]) -> Fault {
    let fault = match Refusal::parse(body) {
        Some(Refusal { code: 1, .. }) => Fault::new(FaultKind::SessionIdUnknown, "Session ID unknown"),
        Some(Refusal { code: 5, .. }) => {
            Fault::new(FaultKind::UnsupportedProtocolVersion, "Unsupported protocol version")
        }
        Some(Refusal { message, .. }) if !message.is_empty() => {
            Fault::new(FaultKind::HttpStatus, format!("status {status}: {}", short(&message)))
        }
        _ => Fault::new(FaultKind::HttpStatus, format!("status {status}")),
    };
    fault.with_answer(status, body)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod transcripts;
