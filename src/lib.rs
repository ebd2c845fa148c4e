//! swarm's controller.

pub mod agent_binary;
pub mod clock;
pub mod conduct;
pub mod deploy;
pub mod fleet;
pub mod link;
pub mod plan;
pub mod requirement;
pub mod transport;
