//! `swarm exec` on a host: one command, begun at an instant, with all that it starts ended when its time is over or when
//! nobody is there any more to want it.
//!
//! Three processes of the same program stand in a row. The agent has a job ([`job`]) that speaks with the controller. Its
//! child is the guardian ([`guard`]), a reaper of orphans that holds a socket from the agent: whatever ends the agent ends
//! the socket, and the guardian ends every process below itself. Its child is the holder ([`hold`]), forked while there
//! is time, which waits for the instant and then becomes the command: the exec is all that happens at the instant.
//!
//! Never here: the wall clock, what the output means.

mod control;
mod files;
mod guard;
mod hold;
mod job;
mod kin;
mod login;

pub use guard::guard;
pub use hold::hold;
pub use job::Exec;

/// The guardian's argument. A nonce holds letters and digits only.
pub const GUARD: &str = "--guard";
/// The holder's argument.
pub const HOLD: &str = "--hold";

/// This program, whatever has become of its file.
const SELF: &str = "/proc/self/exe";
