//! Steps that say something over the socket and wait for what answers it: emit, send, join, expect. Never here: HTTP,
//! opening sessions.

use super::answer::{self, judge};
use super::hits::Hit;
use super::player::{Came, Ended, Manner, Player, Stop, span};
use super::stage::Line;
use super::stand::Link;
use super::text;
use super::value::Facts;
use crate::codec::session::Said;
use crate::codec::stamp::PLACE;
use crate::wire::fault::FaultKind;
use crate::wire::flow::{Answer, Emit, Expect, Namespace, Payload, Reply, Send};
use crate::wire::report::Latency;
use std::time::{Duration, Instant};

/// What answers a message that is on its way.
#[derive(Clone, Copy)]
pub enum Awaited<'a> {
    /// Nothing: it is done when it is written.
    Written,
    /// The acknowledgement of this id.
    Ack(u64, &'a Reply),
    /// An event of this name, or any message.
    Event(Option<&'a str>, &'a Reply),
}

impl Player {
    /// Emits an event.
    pub async fn emit(&mut self, at: usize, line: &Line, emit: &Emit, due: Option<Instant>) -> Ended {
        let hit = self.hit(at, due)?;
        self.inbox.clear();
        let mut array = self.stage.buffer.take();
        array.clear();
        let facts = Facts {
            stamp: self.caster.as_ref().map(|_| PLACE),
            ..self.facts(hit.mark.sent)
        };
        if let Err(unmade) = text::write(&emit.array, &facts, &mut array) {
            return self.unmade(&hit, at, &unmade);
        }
        if let Some(caster) = &mut self.caster
            && (array.contains(PLACE) || !self.stage.stamped)
        {
            array = caster.filled(&array, hit.mark.sent);
        }
        let ack = matches!(emit.answer, Answer::Ack(_));
        let said = self.say(emit.namespace.as_deref(), &array, &line.attachments, ack);
        self.stage.buffer.replace(array);
        match said {
            Err(why) => self.not_connected(&hit, at, why),
            Ok(id) => {
                let awaited = match &emit.answer {
                    Answer::Ack(reply) => Awaited::Ack(id.unwrap_or(u64::MAX), reply),
                    answer => of(answer),
                };
                self.answered(&hit, at, awaited).await
            }
        }
    }

    /// Hands an event to the session: the id of its acknowledgement, or why it cannot be said.
    pub fn say(
        &mut self,
        namespace: Option<&str>,
        array: &str,
        attachments: &[Vec<u8>],
        ack: bool,
    ) -> Result<Option<u64>, &'static str> {
        let stand = self.stand.as_mut().ok_or("not connected")?;
        let namespace = stand.namespace(namespace).ok_or("not in this namespace")?;
        stand
            .emit(namespace, array, attachments, ack)
            .ok_or("the session knows no events: it is no Socket.IO")
    }

    /// Sends a raw message.
    pub async fn send(&mut self, at: usize, send: &Send, due: Option<Instant>) -> Ended {
        let hit = self.hit(at, due)?;
        self.inbox.clear();
        if self.stand.is_none() {
            return self.not_connected(&hit, at, "not connected");
        }
        match &send.message {
            Payload::Text(text) => {
                let mut message = self.stage.buffer.take();
                message.clear();
                if let Err(unmade) = text::write(text, &self.facts(hit.mark.sent), &mut message) {
                    return self.unmade(&hit, at, &unmade);
                }
                if let Some(stand) = &mut self.stand {
                    stand.send_text(&message);
                }
                self.stage.buffer.replace(message);
            }
            Payload::Binary(bytes) => {
                if let Some(stand) = &mut self.stand {
                    stand.send_binary(&bytes.0);
                }
            }
        }
        self.answered(&hit, at, of(&send.answer)).await
    }

    /// Waits for what answers a message that was handed to the session.
    pub async fn answered(&mut self, hit: &Hit, at: usize, awaited: Awaited<'_>) -> Ended {
        let expected = !matches!(awaited, Awaited::Written);
        self.recorder().message_sent(expected);
        let limits = &self.room.worker.share.limits;
        let within = match awaited {
            Awaited::Written => limits.hit,
            Awaited::Ack(_, reply) => reply.within.unwrap_or(limits.ack),
            Awaited::Event(_, reply) => reply.within.unwrap_or(limits.hit),
        };
        let until = hit.mark.sent + Duration::from_nanos(within);
        // an event that is not as it should be may be another client's: the right one may follow
        let mut wrong = None;
        loop {
            if !expected && self.stand.as_ref().is_some_and(|stand| stand.unwritten == 0) {
                return self.well(hit, Instant::now());
            }
            let said = match self.came(Some(until), Manner::Answer).await {
                Came::Said(said) => said,
                Came::Closing => return Err(Stop::Closing),
                Came::Over => {
                    if expected {
                        self.recorder().message_lost();
                    }
                    self.badly(hit, None)?;
                    return Err(Stop::Over);
                }
                Came::Time => return self.in_vain(hit, at, awaited, within, wrong),
            };
            let (reply, name) = match (awaited, &said) {
                (Awaited::Ack(id, reply), Said::Ack { id: came, .. }) if id == *came => (reply, Latency::Ack),
                (Awaited::Event(event, reply), said) if fits(said, event, None) => (reply, Latency::Message),
                _ => {
                    self.keep(said);
                    continue;
                }
            };
            let now = Instant::now();
            let judged = judge(reply, content(&said), &self.facts(now));
            match judged {
                Ok(values) => {
                    self.acked(name, hit.mark.sent, now);
                    self.remember(values);
                    return self.well(hit, now);
                }
                Err(why) if name == Latency::Ack => {
                    self.acked(name, hit.mark.sent, now);
                    let fault = self.fault(at, FaultKind::Check, &why).with_excerpt(bytes(&said));
                    return self.badly(hit, Some(&fault));
                }
                Err(why) => {
                    wrong = Some((why, bytes(&said).to_vec()));
                    self.keep(said);
                }
            }
        }
    }

    /// Nothing answered in time.
    fn in_vain(
        &mut self,
        hit: &Hit,
        at: usize,
        awaited: Awaited<'_>,
        within: u64,
        wrong: Option<(String, Vec<u8>)>,
    ) -> Ended {
        let within = span(within);
        let fault = match (awaited, wrong) {
            (Awaited::Written, _) => self.fault(at, FaultKind::Timeout, &format!("not written within {within}")),
            (Awaited::Ack(..), _) => self.fault(
                at,
                FaultKind::AckTimeout,
                &format!("no acknowledgement within {within}"),
            ),
            (Awaited::Event(..), Some((why, excerpt))) => {
                let what = format!("nothing as wanted within {within}: {why}");
                self.fault(at, FaultKind::Check, &what).with_excerpt(&excerpt)
            }
            (Awaited::Event(event, _), None) => {
                let what = format!("no {} within {within}", event.unwrap_or("message"));
                self.fault(at, FaultKind::EchoTimeout, &what)
            }
        };
        if !matches!(awaited, Awaited::Written) {
            self.recorder().message_lost();
        }
        self.badly(hit, Some(&fault))
    }

    /// Enters a further namespace.
    pub async fn join(&mut self, at: usize, namespace: &Namespace, due: Option<Instant>) -> Ended {
        let hit = self.hit(at, due)?;
        self.inbox.clear();
        let auth = namespace
            .auth
            .as_ref()
            .map(|auth| text::made(auth, &self.facts(hit.mark.sent)));
        let auth = match auth.transpose() {
            Ok(auth) => auth,
            Err(unmade) => return self.unmade(&hit, at, &unmade),
        };
        let Some(Link::Socketio(session)) = self.stand.as_mut().map(|stand| &mut stand.link) else {
            return self.not_connected(&hit, at, "not connected");
        };
        let number = session.join(&namespace.name, auth.as_deref());
        if let Some(stand) = &mut self.stand
            && stand.number(Some(&namespace.name)) != Some(number)
        {
            stand.joined.push((number, namespace.name.clone()));
        }
        let within = self.room.worker.share.limits.hit;
        let until = hit.mark.sent + Duration::from_nanos(within);
        loop {
            let fault = match self.came(Some(until), Manner::Answer).await {
                Came::Said(Said::Joined { namespace }) if namespace == number => {
                    return self.well(&hit, Instant::now());
                }
                Came::Said(Said::Refused { namespace, reason }) if namespace == number => {
                    self.fault(at, FaultKind::ConnectError, &reason)
                }
                Came::Said(said) => {
                    self.keep(said);
                    continue;
                }
                Came::Closing => return Err(Stop::Closing),
                Came::Over => {
                    self.badly(&hit, None)?;
                    return Err(Stop::Over);
                }
                Came::Time => self.fault(at, FaultKind::Timeout, &format!("no answer within {}", span(within))),
            };
            return self.badly(&hit, Some(&fault));
        }
    }

    /// Waits for events or messages; those that came since the last step that said something count.
    pub async fn expect(&mut self, at: usize, expect: &Expect, due: Option<Instant>) -> Ended {
        let hit = self.hit(at, due)?;
        let within = expect.reply.within.unwrap_or(self.room.worker.share.limits.hit);
        let until = hit.mark.sent + Duration::from_nanos(within);
        let mut left = expect.count.max(1);
        let mut wrong = None;
        for said in self.inbox.take_all() {
            if left == 0 || !self.is_expected(&said, expect, &mut wrong) {
                self.inbox.keep(said);
            } else {
                left -= 1;
            }
        }
        while left > 0 {
            if self.stand.is_none() && self.lost.is_none() {
                return self.not_connected(&hit, at, "not connected");
            }
            match self.came(Some(until), Manner::Idle).await {
                Came::Said(said) if self.is_expected(&said, expect, &mut wrong) => left -= 1,
                Came::Said(said) => self.keep(said),
                Came::Closing => return Err(Stop::Closing),
                Came::Over => {
                    self.badly(&hit, None)?;
                    return Err(Stop::Over);
                }
                Came::Time => {
                    let what = expect.event.as_deref().unwrap_or("message");
                    let missing = if expect.count > 1 {
                        format!("{left} of {} {what} did not come within {}", expect.count, span(within))
                    } else {
                        format!("no {what} within {}", span(within))
                    };
                    let fault = match wrong {
                        Some(why) => self.fault(at, FaultKind::Check, &format!("{missing}: {why}")),
                        None => self.fault(at, FaultKind::EchoTimeout, &missing),
                    };
                    return self.badly(&hit, Some(&fault));
                }
            }
        }
        self.well(&hit, Instant::now())
    }

    /// Whether this is what is waited for; then it is remembered, else it is told what was wrong.
    fn is_expected(&mut self, said: &Said, expect: &Expect, wrong: &mut Option<String>) -> bool {
        let namespace = match &expect.namespace {
            None => None,
            Some(name) => match self.stand.as_ref().and_then(|stand| stand.namespace(Some(name))) {
                None => return false,
                some => some,
            },
        };
        if !fits(said, expect.event.as_deref(), namespace) {
            return false;
        }
        let judged = judge(&expect.reply, content(said), &self.facts(Instant::now()));
        match judged {
            Ok(values) => {
                self.remember(values);
                true
            }
            Err(why) => {
                *wrong = Some(why);
                false
            }
        }
    }
}

fn of(answer: &Answer) -> Awaited<'_> {
    match answer {
        Answer::Written => Awaited::Written,
        Answer::Ack(reply) => Awaited::Ack(u64::MAX, reply),
        Answer::Event { event, reply } => Awaited::Event(event.as_deref(), reply),
    }
}

/// Whether it is an event of that name (a message, where there is none) in that namespace.
fn fits(said: &Said, event: Option<&str>, namespace: Option<u16>) -> bool {
    match said {
        Said::Event {
            name, namespace: at, ..
        } => event.is_none_or(|event| event == name) && namespace.is_none_or(|namespace| namespace == *at),
        Said::Message { .. } => event.is_none(),
        _ => false,
    }
}

fn content(said: &Said) -> answer::Answer<'_> {
    match said {
        Said::Event { body, .. } => answer::Answer::Event(body),
        Said::Ack { body, .. } => answer::Answer::Arguments(body),
        other => answer::Answer::Message(bytes(other)),
    }
}

fn bytes(said: &Said) -> &[u8] {
    match said {
        Said::Event { body, .. } | Said::Ack { body, .. } => body.as_bytes(),
        Said::Message { text: Some(text), .. } => text.as_bytes(),
        Said::Message {
            binary: Some(bytes), ..
        } => bytes,
        _ => &[],
    }
}
