//! The connection of a held client, whichever engine it is of. Never here: what is sent when (`client`, `room`), recording.

use super::room::Room;
use crate::codec::session::Said;
use crate::codec::websocket::Message;
use crate::engine::reach::{Arrival, Failure, Reach};
use crate::engine::{socketio, websocket};
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::share::Engine;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

/// Part of a client that is boxed as a whole.
#[allow(clippy::large_enum_variant)]
pub(super) enum Link {
    /// With the messages whose writing was not told yet.
    Websocket(websocket::Session, u32),
    /// Of Socket.IO or raw Engine.IO.
    Socketio(Box<socketio::Session>),
}

impl Link {
    /// Connects as the share's engine says.
    pub(super) async fn open(room: &Room, reach: &Rc<Reach>, deadline: Instant) -> Result<(Self, Arrival), Failure> {
        match &reach.share.engine {
            Engine::Websocket(plan) => {
                let path = reach.dialer.target(reach.target).path.clone();
                let (session, arrival) = websocket::open(reach, &path, plan.subprotocol.as_deref(), deadline).await?;
                Ok((Self::Websocket(session, 0), arrival))
            }
            Engine::Socketio(_) | Engine::Engineio(_) => {
                let Some(entry) = room.entry(reach.target) else {
                    return Err(Fault::new(FaultKind::Local, "no way in").into());
                };
                let (session, arrival) = socketio::open(Rc::clone(reach), entry, deadline).await?;
                Ok((Self::Socketio(session), arrival))
            }
            Engine::Http(_) => Err(Fault::new(FaultKind::Local, "http holds nothing").into()),
        }
    }

    /// What is heard next; an error once the connection has ended. `whole`: the text of messages is wanted.
    pub(super) fn poll_said(&mut self, reach: &Reach, whole: bool, cx: &mut Context<'_>) -> Poll<Result<Said, Fault>> {
        match self {
            Self::Socketio(session) => session.poll_said(cx),
            Self::Websocket(session, unwritten) => match session.poll_message(cx) {
                Poll::Ready(Ok(message)) => {
                    if reach.trace.is_some() {
                        reach.tell("<", &format!("{message:?}"));
                    }
                    let text = match message {
                        Message::Text(text) if whole => Some(text),
                        _ => None,
                    };
                    Poll::Ready(Ok(Said::Message { text, binary: None }))
                }
                Poll::Ready(Err(fault)) => Poll::Ready(Err(fault)),
                Poll::Pending if *unwritten > 0 && matches!(session.poll_written(cx), Poll::Ready(Ok(()))) => {
                    Poll::Ready(Ok(Said::Written(std::mem::take(unwritten))))
                }
                Poll::Pending => Poll::Pending,
            },
        }
    }

    /// Says goodbye.
    pub(super) fn leave(&mut self, reach: &Reach) {
        match self {
            Self::Websocket(session, _) => {
                reach.tell(">", "close 1000");
                session.leave();
            }
            Self::Socketio(session) => session.leave(),
        }
    }
}
