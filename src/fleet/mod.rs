//! The machines of a run: what a host is, where lists of hosts come from, what a rented host is told at boot. Never here: SSH, agents.

pub mod host;
pub mod hostlist;
pub mod user_data;

#[cfg(test)]
mod ttl_tests;
