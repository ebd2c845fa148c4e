//! swarm's controller.

pub mod agent_binary;
pub mod cli;
pub mod clock;
pub mod conduct;
pub mod consent;
pub mod demo;
pub mod error;
pub mod link;
pub mod plan;
pub mod requirement;
pub mod secret;
pub mod signal;
pub mod source;
pub mod split;
pub mod transport;
