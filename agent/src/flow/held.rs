//! Held load: clients connect when they are due, stay, say something now and then, and close.
//! Never here: sockets, protocols (`engine`), due times (`pacer`).

use super::alarm::Alarm;
use super::comeback;
use super::play::{self, Stage};
use super::room::{Post, Room, Turn};
use crate::wire::share::Load;
use crate::worker::Worker;
use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often a thread looks whether the others have reached the count of `-n`.
const LOOK: Duration = Duration::from_millis(50);

/// Runs this thread's clients to their end.
pub async fn run(worker: Rc<Worker>) {
    let Load::Held(plan) = &worker.share.load else { return };
    let room = Room::new(Rc::clone(&worker), plan.clone());
    let stage = Stage::new(&worker.share);
    if let Some(program) = &worker.share.program {
        worker.recorder.borrow_mut().play(program);
    }
    // declared before the clients, so that it counts after they are gone
    let _count = Count(Rc::clone(&room));
    let alarm = Alarm::new().ok();
    let end = worker.at(plan.end);
    let mut clients = FuturesUnordered::new();
    let mut posts: Vec<Rc<Post>> = Vec::new();
    let mut drained = Box::pin(worker.drained());
    loop {
        room.advance(Instant::now(), |turn| match turn {
            Turn::Open { number, to } => {
                let post = Rc::new(Post::default());
                if let Some(to) = to {
                    room.close_at(to, &post);
                }
                if posts.len() >= 64 && posts.len() >= 2 * clients.len() {
                    posts.retain(|post| Rc::strong_count(post) > 1);
                }
                posts.push(Rc::clone(&post));
                clients.push(match &stage {
                    Some(stage) => Either::Left(play::run(Rc::clone(&room), Rc::clone(stage), number, post)),
                    None => Either::Right(comeback::run(Rc::clone(&room), number, post)),
                });
            }
            Turn::Storm => posts.iter().for_each(|post| post.tear()),
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
    for post in &posts {
        post.shut();
    }
    while clients.next().await.is_some() {}
}

/// Counts what was planned and never sent when the load ends, also when the end of the grace period drops it.
struct Count(Rc<Room>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.worker.recorder.borrow_mut().not_started(self.0.unstarted());
    }
}

async fn until(alarm: Option<&Alarm>, at: Instant) {
    match alarm {
        Some(alarm) if alarm.until(at).await.is_ok() => {}
        // without a descriptor for the timer the coarse one serves
        _ => tokio::time::sleep_until(at.into()).await,
    }
}
