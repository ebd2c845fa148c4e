//! swarm's agent.
pub mod wire;
