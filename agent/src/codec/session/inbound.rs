//! What the server's messages mean to a client: events, acknowledgements, namespaces entered, refused and left, and
//! attachments until their packet is whole.

use super::machine::Machine;
use super::namespaces::State;
use super::{Action, Namespace, PUT_OUT, Said, short};
use crate::codec::socketio::{self, Kind, Packet};
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::share::Version;

/// Bytes of attachments that one packet may have while they are kept.
const ATTACHED: usize = 64 << 20;

/// A packet whose attachments are not all there.
#[derive(Debug)]
pub struct Partial {
    /// What is said then; nothing when it is for a namespace that the client is not in.
    said: Option<Said>,
    left: u32,
    bytes: usize,
    attachments: Vec<Vec<u8>>,
}

impl Machine {
    pub(super) fn raw_text(&mut self, text: &str, out: &mut Vec<Action>) {
        let text = if self.keep { text.to_owned() } else { String::new() };
        out.push(Action::Said(Said::Message {
            text: Some(text),
            binary: None,
        }));
    }

    pub(super) fn raw_binary(&mut self, bytes: &[u8], out: &mut Vec<Action>) {
        let bytes = if self.keep { bytes.to_vec() } else { Vec::new() };
        out.push(Action::Said(Said::Message {
            text: None,
            binary: Some(bytes),
        }));
    }

    /// A Socket.IO packet.
    pub(super) fn packet(&mut self, text: &str, out: &mut Vec<Action>) {
        let Some(packet) = socketio::parse(text) else {
            return self.fail(FaultKind::Protocol, "not a Socket.IO packet", out);
        };
        if self.partial.is_some() {
            return self.fail(
                FaultKind::Protocol,
                "a packet among the attachments of another one",
                out,
            );
        }
        if self.version == Version::Four && packet.kind == Kind::Connect && !packet.body.starts_with('{') {
            return self.other_version(out);
        }
        if self.version == Version::Three && packet.namespace == "/" {
            if packet.kind == Kind::Connect {
                self.namespaces.root_entered = true;
            } else if packet.kind == Kind::ConnectError && !self.ready {
                // a refusal in the root refuses every namespace
                let reason = short(&socketio::refusal(packet.body));
                return self.fail(FaultKind::ConnectError, reason, out);
            }
        }
        let keep = self.keep;
        let said = match self.namespaces.find(packet.namespace) {
            Some((number, place)) if place.state != State::Out => match packet.kind {
                Kind::Connect => return self.entered(number, out),
                Kind::ConnectError => return self.turned_away(number, &packet, out),
                Kind::Disconnect => return self.put_out(number, out),
                Kind::Event | Kind::BinaryEvent => match socketio::event_name(packet.body) {
                    Some(name) => Some(Said::Event {
                        namespace: number,
                        name,
                        body: kept(packet.body, keep),
                        id: packet.id,
                        attachments: Vec::new(),
                    }),
                    None => return self.fail(FaultKind::Protocol, "an event without a name", out),
                },
                Kind::Ack | Kind::BinaryAck => Some(Said::Ack {
                    // an acknowledgement without an id is not parsed
                    id: packet.id.unwrap_or(u64::MAX),
                    body: kept(packet.body, keep),
                    attachments: Vec::new(),
                }),
            },
            // only its attachments matter, as they follow whatever the namespace
            _ => None,
        };
        if packet.attachments > 0 {
            self.partial = Some(Box::new(Partial {
                said,
                left: packet.attachments,
                bytes: 0,
                attachments: Vec::new(),
            }));
        } else {
            out.extend(said.map(Action::Said));
        }
    }

    fn turned_away(&mut self, number: Namespace, packet: &Packet<'_>, out: &mut Vec<Action>) {
        let reason = short(&socketio::refusal(packet.body));
        let keep = self.keep;
        let Some(place) = self.namespaces.get(number) else {
            return;
        };
        if self.version == Version::Three && place.state == State::In {
            // to those who are in, servers of this version say errors with the same packet; clients hear an event
            let body = if keep {
                format!(
                    "[\"error\",{}]",
                    if packet.body.is_empty() { "null" } else { packet.body }
                )
            } else {
                String::new()
            };
            out.push(Action::Said(Said::Event {
                namespace: number,
                name: "error".to_owned(),
                body,
                id: None,
                attachments: Vec::new(),
            }));
            return;
        }
        place.state = State::Out;
        place.release();
        if number == 0 && !self.ready {
            self.fail(FaultKind::ConnectError, reason, out);
        } else {
            out.push(Action::Said(Said::Refused {
                namespace: number,
                reason,
            }));
        }
    }

    fn put_out(&mut self, number: Namespace, out: &mut Vec<Action>) {
        if self.leaving {
            return;
        }
        if let Some(place) = self.namespaces.get(number) {
            place.state = State::Out;
            place.release();
        }
        if self.ready && self.namespaces.any() {
            out.push(Action::Said(Said::Left { namespace: number }));
            return;
        }
        let fault = Fault::new(FaultKind::ClosedByServer, PUT_OUT);
        self.ending.get_or_insert(Box::new(fault));
    }

    /// A binary message: the next attachment.
    pub(super) fn attachment(&mut self, bytes: &[u8], out: &mut Vec<Action>) {
        let Some(partial) = &mut self.partial else {
            return self.fail(FaultKind::Protocol, "an attachment without its packet", out);
        };
        partial.left -= 1;
        if self.keep && partial.said.is_some() {
            partial.bytes += bytes.len();
            if partial.bytes > ATTACHED {
                return self.fail(FaultKind::Protocol, "a packet's attachments are too long", out);
            }
            partial.attachments.push(bytes.to_vec());
        }
        if partial.left > 0 {
            return;
        }
        let Some(partial) = self.partial.take() else { return };
        if let Some(mut said) = partial.said {
            if let Said::Event { attachments, .. } | Said::Ack { attachments, .. } = &mut said {
                *attachments = partial.attachments;
            }
            out.push(Action::Said(said));
        }
    }
}

fn kept(body: &str, keep: bool) -> String {
    if keep { body.to_owned() } else { String::new() }
}
