//! Held load: clients connect when they are due, stay, say something now and then, and close.
//! Never here: sockets, protocols (`engine`), due times (`pacer`).

use super::alarm::Alarm;
use super::client;
use super::room::{Post, Room};
use crate::wire::share::{Cadence, Load};
use crate::worker::Worker;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often a thread looks whether the others have reached the count of `-n`.
const LOOK: Duration = Duration::from_millis(50);

/// What was ordered and what was not said: counted even when the flow is dropped, after its clients.
struct Count {
    room: Rc<Room>,
    posts: Vec<Rc<Post>>,
}

impl Drop for Count {
    fn drop(&mut self) {
        let mut unstarted = self.room.unstarted();
        if self.room.counts() || matches!(self.room.plan.cadence, Some(Cadence::Total(_))) {
            let ordered: usize = self.posts.iter().map(|post| post.orders.borrow().len()).sum();
            unstarted += ordered as u64;
        }
        self.room.worker.recorder.borrow_mut().not_started(unstarted);
    }
}

/// Runs this thread's clients to their end.
pub async fn run(worker: Rc<Worker>) {
    let Load::Held(plan) = &worker.share.load else { return };
    let room = Room::new(Rc::clone(&worker), plan.clone());
    let alarm = Alarm::new().ok();
    let end = worker.at(plan.end);
    let mut count = Count {
        room: Rc::clone(&room),
        posts: Vec::new(),
    };
    let mut clients = FuturesUnordered::new();
    let mut drained = Box::pin(worker.drained());
    loop {
        room.advance(Instant::now(), |number, to| {
            let post = Rc::new(Post::default());
            if let Some(to) = to {
                room.close_at(to, &post);
            }
            let posts = &mut count.posts;
            if posts.len() >= 64 && posts.len() >= 2 * clients.len() {
                posts.retain(|post| Rc::strong_count(post) > 1);
            }
            posts.push(Rc::clone(&post));
            clients.push(client::run(Rc::clone(&room), number, post));
        });
        let idle = clients.is_empty() && room.next().is_none() && !room.counts();
        if Instant::now() >= end || room.counted_out() || idle {
            break;
        }
        let wait = room.next().map_or(end, |next| next.min(end));
        tokio::select! {
            biased;
            () = &mut drained => break,
            () = until(alarm.as_ref(), wait) => {}
            () = room.changed() => {}
            () = tokio::time::sleep(LOOK), if room.counts() => {}
            Some(()) = clients.next() => {}
        }
    }
    room.stop();
    for post in &count.posts {
        post.shut();
    }
    while clients.next().await.is_some() {}
}

async fn until(alarm: Option<&Alarm>, at: Instant) {
    match alarm {
        Some(alarm) if alarm.until(at).await.is_ok() => {}
        // without a descriptor for the timer the coarse one serves
        _ => tokio::time::sleep_until(at.into()).await,
    }
}
