//! swarm's controller.

pub mod conduct;
pub mod plan;
pub mod requirement;
