//! Conducts a run.

pub mod outcome;
