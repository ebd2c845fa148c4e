//! swarm's controller.

pub mod balancer;
pub mod conduct;
pub mod demo;
pub mod merge;
pub mod plan;
pub mod requirement;
pub mod show;
