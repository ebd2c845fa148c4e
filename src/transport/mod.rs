//! How an agent is started and spoken to. A closed set: one variant a file, the enum only delegates. Never here: what
//! the bytes mean.

pub mod local;

use tokio::io::{AsyncRead, AsyncWrite};

/// The three ends of a running agent.
pub struct Stream {
    /// The agent's standard input.
    pub input: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its standard output.
    pub output: Box<dyn AsyncRead + Send + Unpin>,
    /// Its standard error.
    pub errors: Box<dyn AsyncRead + Send + Unpin>,
}
