//! Conducts a run.

pub mod outcome;
pub mod phase;
pub mod plausible;
pub mod sync;
