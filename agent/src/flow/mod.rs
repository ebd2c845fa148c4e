//! Clients and their steps: when each of them opens, hits and closes, and what is recorded of it.
//!
//! One entry for each kind of load. Each returns when its load is over and every client is done; `run` drops it when the
//! grace period ends. Never here: sockets, protocols (`engine`), due times (`pacer`).

use crate::worker::Worker;
use std::rc::Rc;

/// Runs this worker's part of the load.
pub async fn run(worker: Rc<Worker>) {
    let _ = worker;
}
