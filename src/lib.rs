//! swarm's controller.

pub mod cli;
pub mod conduct;
pub mod consent;
pub mod error;
pub mod plan;
pub mod requirement;
pub mod secret;
pub mod split;
