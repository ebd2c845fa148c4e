//! What answers a message of a held client, and the messages that wait for it. Never here: engines at work, clocks.

use crate::recorder::Mark;
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::share::Engine;
use std::time::Instant;

/// What answers a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing: it is done when it is written.
    Written,
    /// The next message, or the expected event.
    Message,
    /// The acknowledgement.
    Ack,
}

/// A message that waits for its answer.
pub struct Waiting {
    /// When it was due and sent.
    pub mark: Mark,
    /// Id of its acknowledgement.
    pub id: Option<u64>,
    /// Then it has waited too long.
    pub deadline: Instant,
}

impl Answer {
    /// What answers the messages of this engine.
    pub fn of(engine: &Engine) -> Self {
        match engine {
            Engine::Websocket(plan) if plan.echo => Self::Message,
            Engine::Engineio(plan) if plan.echo => Self::Message,
            Engine::Socketio(plan) if plan.ack => Self::Ack,
            Engine::Socketio(plan) if plan.expect.is_some() => Self::Message,
            Engine::Http(_) | Engine::Websocket(_) | Engine::Socketio(_) | Engine::Engineio(_) => Self::Written,
        }
    }

    /// What a message failed by that has waited too long.
    pub fn too_late(self) -> Fault {
        match self {
            Self::Ack => Fault::new(FaultKind::AckTimeout, "no acknowledgement within --ack-timeout"),
            Self::Message => Fault::new(FaultKind::EchoTimeout, "no answer within --timeout"),
            Self::Written => Fault::new(FaultKind::Timeout, "not written within --timeout"),
        }
    }
}
