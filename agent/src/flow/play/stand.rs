//! A client's socket session while it stands, whatever its protocol. Never here: what is said when.

use crate::codec::session::{Namespace, Said};
use crate::codec::websocket::Message;
use crate::engine::reach::Reach;
use crate::engine::{socketio, websocket};
use crate::flow::naming::{Look, Naming};
use crate::recorder::{BackendId, Recorder, SourceId};
use crate::wire::fault::Fault;
use crate::wire::report::Heartbeats;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

/// The session itself; part of a [`Stand`] that is boxed as a whole.
#[allow(clippy::large_enum_variant)]
pub enum Link {
    /// RFC 6455.
    Websocket(websocket::Session),
    /// Socket.IO or Engine.IO.
    Socketio(Box<socketio::Session>),
}

/// An open session. Dropping it closes its sockets without a word.
pub struct Stand {
    /// Its way to the target.
    pub reach: Rc<Reach>,
    /// The session.
    pub link: Link,
    /// How it came in, where it is Socket.IO or Engine.IO.
    pub entry: Option<Rc<socketio::Entry>>,
    /// Where it comes from.
    pub source: SourceId,
    /// Where it is.
    pub backend: Option<BackendId>,
    /// What the server says is looked into for its name.
    pub naming: Option<Box<Naming>>,
    /// Messages that are not written yet.
    pub unwritten: u32,
    /// Namespaces that were entered later.
    pub joined: Vec<(Namespace, String)>,
    /// Namespaces that the client was put out of, or not let into: what is emitted there is written nowhere.
    pub out: Vec<Namespace>,
}

fn same(one: &str, other: &str) -> bool {
    one.trim_start_matches('/') == other.trim_start_matches('/')
}

impl Stand {
    /// Looks in what was said for the backend's name, as long as that is not known: `Some` once it is. `bodies`: what is
    /// said is looked into anyway.
    pub fn name(&mut self, said: &Said, bodies: bool, recorder: &mut Recorder) -> Option<BackendId> {
        let look = self.naming.as_mut()?.hears(said, self.source, recorder, Instant::now());
        if look == Look::Waits {
            return None;
        }
        self.naming = None;
        if let Link::Socketio(session) = &mut self.link {
            session.keep_bodies(bodies);
        }
        match look {
            Look::Named(backend) => {
                self.backend = backend;
                self.reach.home.set(backend);
                backend
            }
            Look::Waits | Look::Over => None,
        }
    }

    /// The number of a namespace that was asked for; without a name the first.
    pub fn namespace(&self, name: Option<&str>) -> Option<Namespace> {
        self.number(name).filter(|number| !self.out.contains(number))
    }

    /// Notes where the client is and where it is not.
    pub fn moved(&mut self, said: &Said) {
        match said {
            Said::Joined { namespace } => self.out.retain(|out| out != namespace),
            Said::Refused { namespace, .. } | Said::Left { namespace } if !self.out.contains(namespace) => {
                self.out.push(*namespace);
            }
            _ => {}
        }
    }

    /// The same, whether the client is in it or not.
    pub fn number(&self, name: Option<&str>) -> Option<Namespace> {
        let (Some(name), Some(entry)) = (name, &self.entry) else {
            return Some(0);
        };
        if same(&entry.namespace, name) {
            return Some(0);
        }
        let named = entry.more.iter().position(|(more, _)| same(more, name));
        let later = || self.joined.iter().rev().find(|(_, joined)| same(joined, name));
        named
            .and_then(|at| Namespace::try_from(at + 1).ok())
            .or_else(|| later().map(|(number, _)| *number))
    }

    /// Emits `["event",args..]`; the id is that of the acknowledgement that is asked for. `None` at all: the session
    /// knows no events.
    pub fn emit(
        &mut self,
        namespace: Namespace,
        array: &str,
        attachments: &[Vec<u8>],
        ack: bool,
    ) -> Option<Option<u64>> {
        let Link::Socketio(session) = &mut self.link else {
            return None;
        };
        self.unwritten += 1;
        Some(session.emit_in(namespace, array, attachments, ack))
    }

    /// Sends a text message.
    pub fn send_text(&mut self, text: &str) {
        self.unwritten += 1;
        match &mut self.link {
            Link::Websocket(session) => {
                if self.reach.trace.is_some() {
                    self.reach.tell(">", text);
                }
                session.send(text.as_bytes(), false);
            }
            Link::Socketio(session) => session.send_text(text),
        }
    }

    /// Sends a binary message.
    pub fn send_binary(&mut self, bytes: &[u8]) {
        self.unwritten += 1;
        match &mut self.link {
            Link::Websocket(session) => {
                self.reach.tell(">", "(binary)");
                session.send(bytes, true);
            }
            Link::Socketio(session) => session.send_binary(bytes),
        }
    }

    /// Says goodbye; [`Stand::poll`] then ends.
    pub fn leave(&mut self) {
        match &mut self.link {
            Link::Websocket(session) => {
                self.reach.tell(">", "close 1000");
                session.leave();
            }
            Link::Socketio(session) => session.leave(),
        }
    }

    /// Heartbeats since they were last taken.
    pub fn heartbeats(&mut self) -> Heartbeats {
        match &mut self.link {
            Link::Websocket(_) => Heartbeats::default(),
            Link::Socketio(session) => session.heartbeats(),
        }
    }

    /// What the server says next, or what was written. Its error is the session's end.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Said, Fault>> {
        let session = match &mut self.link {
            Link::Socketio(session) => return session.poll_said(cx),
            Link::Websocket(session) => session,
        };
        let said = match session.poll_message(cx) {
            Poll::Ready(Ok(Message::Text(text))) => Said::Message {
                text: Some(text),
                binary: None,
            },
            // pings, pongs and closes are the session's own
            Poll::Ready(Ok(Message::Binary(bytes))) => Said::Message {
                text: None,
                binary: Some(bytes),
            },
            Poll::Ready(Ok(_)) => Said::Written(0),
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
            Poll::Pending if self.unwritten > 0 && matches!(session.poll_written(cx), Poll::Ready(Ok(()))) => {
                return Poll::Ready(Ok(Said::Written(std::mem::take(&mut self.unwritten))));
            }
            Poll::Pending => return Poll::Pending,
        };
        if self.reach.trace.is_some() {
            self.reach.tell("<", &format!("{said:?}"));
        }
        Poll::Ready(Ok(said))
    }
}
