//! Clients and their steps: when each of them opens, hits and closes, and what is recorded of it.
//!
//! One file for each kind of load. Each returns when its load is over and every client is done; `run` drops it when the
//! grace period ends. Never here: sockets, protocols (`engine`), due times (`pacer`).

mod alarm;
mod answer;
mod ask;
mod backoff;
mod beside;
mod cast;
mod client;
pub mod closed;
mod comeback;
mod hearing;
pub mod held;
pub mod hit;
mod landing;
mod link;
mod naming;
pub mod open;
mod play;
mod room;

pub use client::FAREWELL;

use crate::wire::share::Load;
use crate::worker::Worker;
use std::rc::Rc;
use std::sync::Arc;

/// Runs this worker's part of the load.
pub async fn run(worker: Rc<Worker>) {
    let share = Arc::clone(&worker.share);
    match &share.load {
        Load::Closed(load) => closed::run(worker, load).await,
        Load::Open(load) => open::run(worker, load).await,
        Load::Held(_) => held::run(worker).await,
    }
}
