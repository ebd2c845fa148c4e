//! What a client says: into namespaces and out of them, events, answers, raw messages. How it is carried is in `machine`.

use super::machine::{Machine, Way};
use super::namespaces::State;
use super::outbox::{self, Waiting};
use super::{Action, Namespace, Said};
use crate::codec::engineio::Frame;
use crate::codec::socketio;
use crate::wire::share::Version;

impl Machine {
    /// Enters a namespace, as soon as the session is open. The first one that was ever named makes the client stand;
    /// each other one ends in [`Said::Joined`] or [`Said::Refused`]. Servers of version 3 know no auth payload.
    pub fn join(&mut self, name: &str, auth: Option<&str>, out: &mut Vec<Action>) -> Namespace {
        let Some(number) = self.namespaces.want(name, auth) else {
            let reason = "too many namespaces".to_owned();
            out.push(Action::Said(Said::Refused {
                namespace: Namespace::MAX,
                reason,
            }));
            return Namespace::MAX;
        };
        match self.way {
            Way::Start | Way::Over => {}
            _ => {
                self.ask_in(number, out);
                self.flush(out);
            }
        }
        number
    }

    /// Leaves a namespace; the session stays, even without any.
    pub fn part(&mut self, namespace: Namespace, out: &mut Vec<Action>) {
        let Some(place) = self.namespaces.get(namespace) else {
            return;
        };
        let was = std::mem::replace(&mut place.state, State::Out);
        place.release();
        if was == State::In {
            self.queue.push_back(Waiting::own(socketio::disconnect(&place.name)));
            self.flush(out);
        }
    }

    /// Emits `["event",args..]`, with a placeholder for each attachment; the id is that of the acknowledgement that was
    /// asked for. What is emitted before the client is in waits; after it was put out it is dropped.
    pub fn emit(
        &mut self,
        namespace: Namespace,
        array: &str,
        attachments: &[Vec<u8>],
        ack: bool,
        out: &mut Vec<Action>,
    ) -> Option<u64> {
        let place = self.namespaces.get(namespace)?;
        let id = ack.then_some(self.next_id);
        self.next_id += u64::from(ack);
        let text = socketio::event(&place.name, id, array, attachments.len());
        let packets = outbox::sequence(text, attachments, true);
        match place.state {
            State::In => {
                self.queue.extend(packets);
                self.flush(out);
            }
            State::Wanted => place.hold(packets),
            State::Out => {}
        }
        id
    }

    /// Answers an event for which the server asks an acknowledgement, with `[args..]`.
    pub fn answer(
        &mut self,
        namespace: Namespace,
        id: u64,
        array: &str,
        attachments: &[Vec<u8>],
        out: &mut Vec<Action>,
    ) {
        if let Some(place) = self.namespaces.get(namespace)
            && place.state == State::In
        {
            let text = socketio::ack(&place.name, id, array, attachments.len());
            self.queue.extend(outbox::sequence(text, attachments, false));
            self.flush(out);
        }
    }

    /// Sends a raw message.
    pub fn message(&mut self, frame: Frame, out: &mut Vec<Action>) {
        let frame = match frame {
            Frame::Text(text) => Frame::Text(format!("4{text}")),
            binary => binary,
        };
        self.queue.push_back(Waiting { frame, ends_emit: true });
        self.flush(out);
    }

    /// Asks the server to let the client into a namespace that it wants.
    pub(super) fn ask_in(&mut self, number: Namespace, out: &mut Vec<Action>) {
        let root_entered = self.namespaces.root_entered;
        let Some(place) = self.namespaces.get(number) else {
            return;
        };
        let auth = place.auth.take();
        match (self.version, place.state) {
            (_, State::Out) => {}
            (_, State::In) => out.push(Action::Said(Said::Joined { namespace: number })),
            // the server does that by itself, once
            (Version::Three, State::Wanted) if &*place.name == "/" => {
                if root_entered {
                    self.entered(number, out);
                }
            }
            (Version::Three, State::Wanted) => {
                // the real client of this version ends a bare namespace with nothing more
                let text = socketio::connect(&place.name, None);
                self.queue.push_back(Waiting::own(text));
            }
            (Version::Four, State::Wanted) => {
                let text = socketio::connect(&place.name, auth.as_deref());
                self.queue.push_back(Waiting::own(text));
            }
        }
    }

    /// The client is in a namespace: what waited for it goes out.
    pub(super) fn entered(&mut self, number: Namespace, out: &mut Vec<Action>) {
        let Some(place) = self.namespaces.get(number) else {
            return;
        };
        if std::mem::replace(&mut place.state, State::In) == State::In {
            return;
        }
        let waited = place.release();
        if number == 0 && !self.ready {
            self.ready = true;
            out.push(Action::Ready);
        } else {
            out.push(Action::Said(Said::Joined { namespace: number }));
        }
        self.queue.extend(waited);
        self.flush(out);
    }
}
