//! A short visit to one host: bring the agent there, hear its hello, leave. Never here: load.

use crate::agent_binary::AgentBinaries;
use crate::deploy::{Deadlines, DeployError, deploy};
use crate::fleet::host::Host;
use crate::link::{Link, LinkEvent};
use crate::transport::Transport;
use swarm_agent::wire::message::Hello;

/// Why nobody said hello.
#[derive(Debug, thiserror::Error)]
pub enum GreetError {
    /// No agent runs there.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// One runs and says nothing.
    #[error("host {host}: its agent said no hello: {why}")]
    Silent {
        /// Host.
        host: String,
        /// Why.
        why: String,
    },
}

/// Hears an agent's hello.
pub async fn greet(
    transport: &Transport,
    host: &Host,
    binaries: &AgentBinaries,
    nonce: &str,
) -> Result<Box<Hello>, GreetError> {
    let stream = deploy(transport, host, binaries, nonce, Deadlines::default()).await?;
    let (link, mut hearing) = Link::start(stream, nonce);
    let silent = |why: &str| GreetError::Silent {
        host: host.name.clone(),
        why: why.to_owned(),
    };
    let heard = match hearing.recv().await {
        Some(LinkEvent::Hello(hello)) => Ok(hello),
        Some(LinkEvent::Closed { why }) => Err(silent(&why)),
        _ => Err(silent("it said something else")),
    };
    drop(hearing);
    link.close().await;
    heard
}
