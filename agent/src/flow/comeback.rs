//! The life of a held client over its connections: it opens, is lost, waits as the real client does, and opens again with
//! the cookies, the source address and the cadence that it had. Never here: what happens while it stands (`client`).

use super::backoff;
use super::client::{self, Client};
use super::room::{Post, Room};
use crate::codec::session::PUT_OUT;
use crate::recorder::Away;
use crate::wire::fault::{Fault, FaultKind};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// How a try to open or a connection ended, as far as it decides what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// By plan.
    Closed,
    /// It did not open.
    Failed {
        /// The real client tries again.
        again: bool,
    },
    /// It was open and is not any more: lost, or dropped in a storm.
    Lost {
        /// The real client comes back.
        again: bool,
    },
}

/// Whether the real Socket.IO client connects again by itself after this: it does after whatever broke its connection or
/// kept it from one, and does not when a server turned it away in so many words (`connect_error`, or a DISCONNECT packet,
/// which it calls "io server disconnect").
pub(super) fn comes_back(fault: &Fault) -> bool {
    match fault.kind {
        FaultKind::ConnectError => false,
        FaultKind::ClosedByServer => fault.detail != PUT_OUT,
        _ => true,
    }
}

/// Runs client `number` until it is closed, is lost for good, or has failed to open for good.
pub async fn run(room: Rc<Room>, number: u64, post: Rc<Post>) {
    let reach = Rc::new(client::reach(&room, number));
    let mut due = client::due(&room, number);
    let mut attempts = 0;
    let mut lost: Option<Away> = None;
    let mut strayed = false;
    loop {
        let cookies = !strayed && !reach.cookies.borrow().is_empty();
        let opened = Box::pin(client::open(&room, number, &post, &reach, due.take())).await;
        let mut from = None;
        let ending = match opened {
            Ok(mut client) => {
                strayed |= stands(&room, number, &post, &mut client, lost.take(), cookies);
                let ending = poll_fn(|cx| client.poll(cx)).await;
                from = client.backend();
                ending
            }
            Err(ending) => ending,
        };
        let Some(plan) = &room.plan.reconnect else { break };
        let again = match ending {
            Ending::Closed => break,
            Ending::Failed { again } => again,
            Ending::Lost { again } => {
                attempts = 0;
                lost = Some(Away {
                    from,
                    since: Instant::now(),
                });
                room.worker.recorder.borrow_mut().away();
                room.away(&post);
                again
            }
        };
        if !again || plan.attempts.is_some_and(|most| attempts >= most) {
            if lost.is_some() {
                room.worker.recorder.borrow_mut().gave_up();
            }
            break;
        }
        let wait = backoff::delay(plan, attempts, fastrand::f64());
        attempts += 1;
        if Box::pin(closed_within(&post, wait)).await {
            break;
        }
    }
    room.left(&post);
}

/// The client is open, for the first time or again. Whether its cookies (`cookies`) did not bring it where it was.
fn stands(room: &Room, number: u64, post: &Rc<Post>, client: &mut Client, lost: Option<Away>, cookies: bool) -> bool {
    let now = Instant::now();
    post.torn.set(false);
    match lost {
        None => {
            room.opened(number, post, now);
            false
        }
        Some(was) => {
            let strayed = client.returned(&was, now, cookies);
            room.back(post);
            strayed
        }
    }
}

/// Ends when the client is told to close.
pub(super) async fn closed(post: &Post) {
    poll_fn(|cx| {
        *post.waker.borrow_mut() = Some(cx.waker().clone());
        if post.close.get() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Waits; true when the client is told to close before that is over.
async fn closed_within(post: &Post, wait: Duration) -> bool {
    tokio::time::timeout(wait, closed(post)).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_turned_away_stays_away() {
        for (kind, detail, again) in [
            (FaultKind::ConnectError, "not authorized", false),
            (FaultKind::ClosedByServer, PUT_OUT, false),
            (FaultKind::ClosedByServer, "Engine.IO session closed", true),
            (FaultKind::ClosedByServer, "close 1006", true),
            (FaultKind::ConnectRefused, "connection refused", true),
            (FaultKind::ConnectTimeout, "no namespace within --connect-timeout", true),
            (FaultKind::SessionIdUnknown, "Session ID unknown", true),
            (FaultKind::PingTimeout, "no ping", true),
            (FaultKind::Protocol, "not an Engine.IO packet", true),
        ] {
            assert_eq!(comes_back(&Fault::new(kind, detail)), again, "{kind:?} {detail}");
        }
    }

    #[test]
    fn a_life_is_small() {
        fn size<F>(_: impl FnOnce(Rc<Room>, u64, Rc<Post>) -> F) -> usize {
            size_of::<F>()
        }
        assert!(size(run) < 256, "{}", size(run));
    }
}
