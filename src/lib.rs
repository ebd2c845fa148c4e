//! swarm's controller.

pub mod agent_binary;
pub mod clock;
pub mod conduct;
pub mod demo;
pub mod link;
pub mod plan;
pub mod requirement;
pub mod signal;
pub mod source;
pub mod split;
pub mod transport;
