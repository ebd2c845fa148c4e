//! Layer L1: swarm's parts against real servers on 127.0.0.1. Not run by plain `cargo test`: `cargo test --test loopback`.

// A test may unwrap, and prints what it measured.
#![allow(clippy::unwrap_used, clippy::disallowed_macros)]

mod cloud_init;
mod settle;
mod ssh;
mod sshd;
