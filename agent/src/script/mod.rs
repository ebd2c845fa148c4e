//! The script that a playbook may name: its hooks, what they are told, and what they order. Never here: sockets, clocks,
//! files; a script knows what its caller hands it and nothing else.

mod client;
mod engine;
mod fault;
mod sandbox;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use engine::Engine;
use std::fmt;

/// Which hooks a script has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hooks {
    pub on_connect: bool,
    pub on_message: bool,
    pub next_message: bool,
}

/// What a script knows of its client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Number of the client over the whole swarm, from 0.
    pub conn: u64,
    /// Clients of the whole swarm.
    pub conns: u64,
    /// Number of this host, from 0.
    pub host: u32,
    pub hosts: u32,
    /// Source address as text, empty where the system chooses.
    pub source: String,
    /// The run's id.
    pub run: String,
    /// Of the run; what one client draws follows from it and from `conn`.
    pub seed: u64,
    /// The row of the CSV file that is this client's: names and values.
    pub columns: Vec<(String, String)>,
}

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// An array of arguments as JSON, without the event's name.
    Json(&'a str),
    Text(&'a str),
    Binary(&'a [u8]),
}

/// What a script tells its client to do, in the order of its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// A Socket.IO event; `array` is `["event",args..]` as JSON. No namespace: the playbook's own.
    Emit {
        namespace: Option<String>,
        array: String,
        ack: bool,
    },
    Send(String),
    SendBinary(Vec<u8>),
    Disconnect,
    /// This client has failed, for this reason.
    Fail(String),
}

/// Why a script was refused, or why one of its clients failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    pub script: String,
    pub line: Option<u32>,
    pub message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.script, self.message),
            None => write!(f, "{}: {}", self.script, self.message),
        }
    }
}

impl std::error::Error for ScriptError {}
