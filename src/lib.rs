//! swarm's controller.

pub mod conduct;
pub mod demo;
pub mod plan;
pub mod requirement;
