//! swarm's controller.

pub mod demo;
