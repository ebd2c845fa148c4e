//! The three streams of one process somewhere, and what has to be ended with it. Never here: what the bytes mean.

use openssh::{Child as RemoteChild, Session};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::process::Child;
use tokio::time::timeout;

/// What is written to a process.
pub type Input = Box<dyn AsyncWrite + Send + Unpin>;
/// What is read from a process.
pub type Output = Box<dyn AsyncRead + Send + Unpin>;

/// How long a process may take to end after its input has ended. An agent stops all load within a second.
const FAREWELL: Duration = Duration::from_secs(3);

/// One process: its standard streams and its end.
pub struct Stream {
    /// Standard input; dropping it is the end of input.
    pub input: Input,
    /// Standard output.
    pub output: Output,
    /// Standard error.
    pub errors: Output,
    /// What ends with it.
    pub held: Held,
}

/// What has to be ended with a stream.
pub enum Held {
    /// Nothing: a test's pair of pipes.
    Nothing,
    /// A child process of ours, killed when dropped.
    Child(Box<Child>),
    /// The connection to a host, which this stream has for itself, and the process on it; its socket's folder.
    Session(Box<RemoteChild<Arc<Session>>>, Arc<TempDir>),
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held = match &self.held {
            Held::Nothing => "nothing",
            Held::Child(_) => "child",
            Held::Session(..) => "session",
        };
        f.debug_struct("Stream").field("held", &held).finish_non_exhaustive()
    }
}

impl Stream {
    /// Streams with nothing behind them: for tests.
    pub fn bare(input: Input, output: Output, errors: Output) -> Self {
        Self {
            input,
            output,
            errors,
            held: Held::Nothing,
        }
    }

    /// Puts bytes that were read already before the output.
    pub fn unread(mut self, bytes: Vec<u8>) -> Self {
        if !bytes.is_empty() {
            self.output = Box::new(std::io::Cursor::new(bytes).chain(self.output));
        }
        self
    }

    /// Ends the input, waits a moment for the process to leave, then ends what is held, by force if it must be.
    pub async fn close(self) {
        let Self {
            input,
            mut output,
            mut errors,
            held,
        } = self;
        drop(input);
        let mut sink = (tokio::io::sink(), tokio::io::sink());
        let drained = async {
            tokio::join!(
                tokio::io::copy(&mut output, &mut sink.0),
                tokio::io::copy(&mut errors, &mut sink.1)
            )
        };
        // Either it left, or it is left: both are the end here.
        timeout(FAREWELL, drained).await.ok();
        held.end().await;
    }
}

impl Held {
    /// Ends it. For callers that took a stream apart, after they dropped the input.
    pub async fn end(self) {
        match self {
            Self::Nothing => {}
            Self::Child(mut child) => {
                if timeout(FAREWELL, child.wait()).await.is_err() {
                    // A child that is gone already is what was wanted.
                    child.kill().await.ok();
                }
            }
            Self::Session(child, _folder) => {
                let session = child.session();
                // Gives up the channel; the process itself ends because its input did.
                child.disconnect().await.ok();
                if let Some(session) = Arc::into_inner(session) {
                    // A master that no longer answers ends by itself (ControlPersist, ServerAliveInterval).
                    timeout(FAREWELL, session.close()).await.ok();
                }
            }
        }
    }
}
