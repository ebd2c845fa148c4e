//! The machines of a run: what a host is, and where lists of hosts come from. Never here: SSH, agents.

pub mod host;
pub mod hostlist;
pub mod price;
