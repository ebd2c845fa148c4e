//! What controller and agent say to each other: every message, plan and report type that both sides share.
//!
//! A conversation begins with one magic line (`swarm-agent/1 NONCE`), printed by the agent, so that whatever a login
//! shell printed before it can be skipped. Then both sides send frames ([`frame`]) that carry messages ([`message`])
//! in postcard's encoding. The first message is the agent's [`message::Hello`]; both ends must have the same
//! [`BUILD_ID`], there is no shim for mixed versions.
//!
//! Never here: I/O policy, reading clocks.

pub mod broadcast;
pub mod exec;
pub mod fault;
pub mod flow;
pub mod frame;
pub mod histogram;
pub mod look;
pub mod message;
pub mod observed;
pub mod report;
pub mod share;

/// Names the sources this agent or controller was built from.
pub const BUILD_ID: &str = env!("SWARM_BUILD_ID");

/// The start of the line that comes before the first frame; the run's nonce and a line feed follow it.
pub const MAGIC: &str = "swarm-agent/1 ";
