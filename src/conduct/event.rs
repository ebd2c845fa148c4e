//! What happens to a conductor: every input of its one loop.

use crate::link::LinkHandle;
use crate::signal::Interrupt;
use crate::watch::record::Reading;
use swarm_agent::wire::message::{FromAgent, Hello};

use super::sync::Sample;

/// One thing that happened.
pub enum Event {
    /// An agent runs on this host and said hello.
    Reached {
        /// Number of the host in the list.
        host: usize,
        /// The way to it.
        link: LinkHandle,
        /// Who it is.
        hello: Box<Hello>,
        /// Address it was reached at.
        address: String,
    },
    /// This host could not be reached, or has no agent.
    Unreached {
        /// Number of the host.
        host: usize,
        /// Cause and way out.
        why: String,
    },
    /// The agent said something.
    Said {
        /// Number of the host.
        host: usize,
        /// What.
        message: FromAgent,
    },
    /// A ping was answered.
    Ponged {
        /// Number of the host.
        host: usize,
        /// Its four stamps; `None` when it stood behind a queue.
        sample: Option<Sample>,
    },
    /// The link is gone.
    Closed {
        /// Number of the host.
        host: usize,
        /// Why, with the agent's last words.
        why: String,
    },
    /// So many bytes of what a host's command printed, or of its files, went where they belong.
    Took {
        /// Number of the host.
        host: usize,
        /// Bytes.
        bytes: u32,
    },
    /// A page beside the run was read.
    Read(Box<Reading>),
    /// The user wants to stop.
    Interrupted(Interrupt),
    /// Time to look around: pings, deadlines, the live line.
    Tick,
}
