//! swarm's controller.
