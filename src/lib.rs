//! swarm's controller.

pub mod agent_binary;
pub mod clock;
pub mod conduct;
pub mod fleet;
pub mod plan;
pub mod requirement;
pub mod transport;
