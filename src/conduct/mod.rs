//! Conducts a run.

pub mod event;
pub mod outcome;
pub mod phase;
pub mod sync;
