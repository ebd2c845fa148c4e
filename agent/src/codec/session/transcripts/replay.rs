//! One machine in the place of the real client of a transcript.
//!
//! What may differ: how packets are spread over POSTs, and where in the stream the upgrade falls (both are a matter of
//! moments); ids of acknowledgements, which a real client counts for each namespace and ours over all; the close packet.
#![allow(clippy::unwrap_used)]

use super::super::{Action, Input, Layer, Machine, Namespace, Said, refused};
use super::form::{Form, bytes, digits, reason_of, taken_apart, whole};
use super::script::{Line, Script, packets};
use crate::codec::engineio::Frame;
use crate::codec::engineio3;
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::share::{Carrier, Version};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

pub struct Replay<'a> {
    script: &'a Script,
    machine: Machine,
    now: Instant,
    begun: bool,
    /// In flight, or standing.
    getting: bool,
    posting: bool,
    opening: bool,
    socket: bool,
    opened: bool,
    upgraded: bool,
    left: bool,
    /// The machine says goodbye though nobody told it to.
    parting: bool,
    fault: Option<Fault>,
    over: bool,
    /// What the machine sent by POST and over the WebSocket, and what the real client did.
    ours: (Vec<String>, Vec<String>),
    theirs: (Vec<String>, Vec<String>),
    /// Packets of the recorded POSTs that wait for their answer, and those that were answered.
    unanswered: VecDeque<usize>,
    answered: usize,
    spaces: BTreeMap<String, Namespace>,
    form: Form,
    entered: Vec<Namespace>,
    put_out: Vec<Namespace>,
    refusals: BTreeMap<Namespace, String>,
    heard: VecDeque<(Namespace, Value, Option<u64>)>,
    acked: VecDeque<Value>,
    asked: BTreeMap<Namespace, u64>,
}

type Outcome<T = ()> = Result<T, String>;

impl<'a> Replay<'a> {
    /// Plays the whole conversation; the error says where the machine is not the real client.
    pub fn run(script: &'a Script) -> Outcome {
        let mut machine = Machine::new(script.carrier, script.version, script.layer);
        machine.keep_bodies(true);
        let mut replay = Self {
            script,
            machine,
            now: Instant::now(),
            begun: false,
            getting: false,
            posting: false,
            opening: false,
            socket: false,
            opened: false,
            upgraded: false,
            left: false,
            parting: false,
            fault: None,
            over: false,
            ours: Default::default(),
            theirs: Default::default(),
            unanswered: VecDeque::new(),
            answered: 0,
            spaces: BTreeMap::new(),
            form: Form::new(script.version, script.layer),
            entered: Vec::new(),
            put_out: Vec::new(),
            refusals: BTreeMap::new(),
            heard: VecDeque::new(),
            acked: VecDeque::new(),
            asked: BTreeMap::new(),
        };
        for (number, line) in script.lines.iter().enumerate() {
            replay
                .line(line)
                .map_err(|why| format!("line {}: {line:?}: {why}", number + 1))?;
            replay.settle_posts()?;
        }
        replay.end()
    }

    fn line(&mut self, line: &Line) -> Outcome {
        match line {
            Line::Asks | Line::Server => {}
            Line::Posts(frames) => {
                self.unanswered.push_back(frames.len());
                for frame in frames {
                    let shown = self.form.shown(frame, false);
                    self.theirs.0.push(shown);
                }
                self.beat(frames)?;
            }
            Line::Sends(frame) => {
                let shown = self.form.shown(frame, false);
                self.theirs.1.push(shown);
                if *frame == Frame::Text("5".into()) {
                    self.finish_polling()?;
                }
                self.beat(std::slice::from_ref(frame))?;
            }
            Line::Polled(200, payload) => {
                if self.getting {
                    let payload = self.form.translated(payload);
                    self.input(Input::Polled(&payload))?;
                } else if !(self.over || self.left || self.upgraded) {
                    return Err("the machine does not poll".into());
                }
            }
            Line::Polled(status, body) => self.input(Input::PollLost(refused(*status, body)))?,
            Line::Posted(status, body) if *status != 200 => {
                if self.posting {
                    self.input(Input::PollLost(refused(*status, body)))?;
                }
            }
            Line::Posted(..) => self.answered += self.unanswered.pop_front().ok_or("no POST was recorded")?,
            Line::Cut => self.input(Input::PollLost(Fault::new(FaultKind::ClosedByServer, "cut")))?,
            Line::SocketOpen if self.opening => {
                self.socket = true;
                self.input(Input::SocketOpen)?;
            }
            Line::SocketOpen if self.over || self.left => {}
            Line::SocketOpen => return Err("the machine opened no WebSocket".into()),
            Line::Text(text) => {
                let text = self.form.translate(text);
                self.input(Input::Frame(&text))?;
            }
            Line::Binary(bytes) => self.input(Input::Binary(bytes))?,
            Line::SocketLost => self.lose_socket()?,
            Line::App(space, what, arguments) => self.application(space, what, arguments)?,
        }
        Ok(())
    }

    /// What the application did, or saw.
    fn application(&mut self, space: &str, what: &str, arguments: &[Value]) -> Outcome {
        let number = self.spaces.get(space).copied();
        match what {
            "connects" => return self.connects(space),
            "send" => {
                let frame = match bytes(&arguments[0]) {
                    Some(bytes) => Frame::Binary(bytes),
                    None => Frame::Text(arguments[0].as_str().unwrap().to_owned()),
                };
                return self.order(|machine, out| machine.message(frame, out));
            }
            "emit" | "emit-with-ack" => {
                let (array, attachments) = taken_apart(arguments);
                let number = number.ok_or("no such namespace")?;
                let mut out = Vec::new();
                let asks = what == "emit-with-ack";
                let id = self.machine.emit(number, &array, &attachments, asks, &mut out);
                // known before what goes out is looked at
                self.form.ids.entry(space.to_owned()).or_default().extend(id);
                return self.perform(out);
            }
            "answers" => {
                let (array, attachments) = taken_apart(arguments);
                let number = number.ok_or("no such namespace")?;
                let id = self.asked.remove(&number).ok_or("nothing was asked")?;
                return self.order(|machine, out| machine.answer(number, id, &array, &attachments, out));
            }
            "leaves" => return self.leaves(space),
            _ => {}
        }
        let seen = match what {
            "open" => self.opened,
            "connect" => number.is_some_and(|number| self.entered.contains(&number)),
            "heard" if self.script.layer == Layer::Raw => {
                self.heard.pop_front().map(|(_, said, _)| said) == Some(arguments[0].clone())
            }
            "heard" => {
                let at = self.heard.iter().position(|(place, ..)| Some(*place) == number);
                let (place, said, id) = at.and_then(|at| self.heard.remove(at)).ok_or("nothing was heard")?;
                self.asked.extend(id.map(|id| (place, id)));
                said == Value::from(arguments.to_vec())
            }
            "acked" => {
                let answer = Value::from(arguments.to_vec());
                let at = self.acked.iter().position(|known| *known == answer);
                at.and_then(|at| self.acked.remove(at)).is_some()
            }
            "connect_error" | "error" => {
                let fault = self.fault.as_ref().map(|fault| fault.detail.clone());
                let refusal = number.and_then(|number| self.refusals.get(&number).cloned());
                match refusal.or(fault) {
                    // the real client's own words
                    Some(_) if self.script.name.starts_with("foreign") => true,
                    Some(reason) => reason == reason_of(&arguments[0]),
                    None => false,
                }
            }
            "disconnect" | "close" => match arguments[0].as_str() {
                Some("io client disconnect" | "forced close") => self.left || !self.spaces.is_empty(),
                Some("io server disconnect") => {
                    number.is_some_and(|number| self.put_out.contains(&number)) || self.closed_by_server()
                }
                Some("transport close" | "transport error") => self.closed_by_server(),
                _ => false,
            },
            "upgraded" => true,
            other if other.starts_with("connection failed") => self.fault.is_some(),
            _ => false,
        };
        if seen { Ok(()) } else { Err(self.state()) }
    }

    fn closed_by_server(&self) -> bool {
        let fault = self.fault.as_ref().map(|fault| fault.kind);
        self.parting || fault == Some(FaultKind::ClosedByServer)
    }

    fn connects(&mut self, space: &str) -> Outcome {
        let mut out = Vec::new();
        if self.script.layer == Layer::Socketio {
            let number = self.machine.join(space, self.script.auth.as_deref(), &mut out);
            self.spaces.insert(space.to_owned(), number);
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.machine.begin(&mut out);
        }
        self.perform(out)
    }

    /// Out of one namespace, or out of the last one and with it out of the session.
    fn leaves(&mut self, space: &str) -> Outcome {
        let number = self.spaces.remove(space);
        let others = self.spaces.values().any(|other| self.entered.contains(other));
        if let (Some(number), true) = (number, others) {
            return self.order(|machine, out| machine.part(number, out));
        }
        self.left = true;
        self.order(Machine::leave)
    }

    /// A client's ping of version 3 is due when the real client sent one.
    fn beat(&mut self, frames: &[Frame]) -> Outcome {
        if self.script.version == Version::Three && frames.contains(&Frame::Text("2".into())) && !self.over {
            self.now = self.machine.deadline().ok_or("no heartbeat is due")?;
            return self.input(Input::Tick);
        }
        Ok(())
    }

    /// The real client has paused polling: the server answered the GET that was left, and the POST.
    fn finish_polling(&mut self) -> Outcome {
        while self.posting {
            self.input(Input::Posted)?;
        }
        if self.getting && !self.left {
            let noop: &[u8] = match self.script.version {
                Version::Four => b"6",
                Version::Three => b"1:6",
            };
            self.input(Input::Polled(noop))?;
        }
        Ok(())
    }

    /// A POST of ours is answered once the recorded server has answered as many packets.
    fn settle_posts(&mut self) -> Outcome {
        while self.posting && self.ours.0.len() <= self.answered {
            self.input(Input::Posted)?;
        }
        Ok(())
    }

    fn lost(&mut self, fault: Fault) {
        if !self.over && !self.left {
            self.fault = Some(fault);
        }
        self.over = true;
    }

    fn lose_socket(&mut self) -> Outcome {
        if std::mem::take(&mut self.socket) {
            return self.input(Input::SocketLost(Fault::new(FaultKind::ClosedByServer, "closed")));
        }
        Ok(())
    }

    fn input(&mut self, input: Input<'_>) -> Outcome {
        match input {
            Input::Polled(_) => self.getting = false,
            Input::Posted => self.posting = false,
            _ => {}
        }
        if self.over {
            return Ok(());
        }
        let mut out = Vec::new();
        self.machine.input(input, self.now, &mut out);
        self.perform(out)
    }

    fn order(&mut self, operation: impl FnOnce(&mut Machine, &mut Vec<Action>)) -> Outcome {
        let mut out = Vec::new();
        operation(&mut self.machine, &mut out);
        self.perform(out)
    }

    fn perform(&mut self, actions: Vec<Action>) -> Outcome {
        for action in actions {
            match action {
                Action::Get if self.getting => return Err("two GETs in flight".into()),
                Action::Get => self.getting = true,
                Action::Post(_) if self.posting => return Err("two POSTs in flight".into()),
                Action::Post(payload) => {
                    self.posting = true;
                    for frame in packets(payload.as_bytes(), self.script.version) {
                        self.parting |= !self.left && frame == Frame::Text("1".into());
                        let shown = self.form.shown(&frame, true);
                        self.ours.0.push(shown);
                    }
                }
                Action::OpenSocket => self.opening = true,
                Action::Send(_) if !self.socket => return Err("sent without a WebSocket".into()),
                Action::Send(mut frame) => {
                    if let (Frame::Binary(bytes), Version::Three) = (&mut frame, self.script.version) {
                        *bytes = engineio3::content(bytes).ok_or("binary that is no message")?.to_vec();
                    }
                    let shown = self.form.shown(&frame, true);
                    self.ours.1.push(shown);
                }
                Action::CloseSocket => {
                    self.opening = false;
                    self.parting |= !self.left;
                }
                Action::Opened => self.opened = true,
                Action::Upgraded => self.upgraded = true,
                Action::Stays(fault) => return Err(format!("it stays on polling: {fault}")),
                Action::Ready => self.entered.push(0),
                Action::Said(said) => self.hear(said),
                Action::Fail(fault) => self.lost(fault),
                Action::Finished => self.over = true,
            }
        }
        Ok(())
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Event {
                namespace,
                body,
                id,
                attachments,
                ..
            } => self.heard.push_back((namespace, whole(&body, &attachments), id)),
            Said::Ack { body, attachments, .. } => self.acked.push_back(whole(&body, &attachments)),
            Said::Message { text, binary } => {
                let said = binary.map_or_else(|| json!(text), |bytes| json!({ "hex": digits(&bytes) }));
                self.heard.push_back((0, said, None));
            }
            Said::Written(_) => {}
            Said::Joined { namespace } => self.entered.push(namespace),
            Said::Refused { namespace, reason } => drop(self.refusals.insert(namespace, reason)),
            Said::Left { namespace } => self.put_out.push(namespace),
        }
    }

    /// The end: nothing may be left that the real client did not see, and all must have been said.
    fn end(mut self) -> Outcome {
        while self.posting && !self.over {
            self.input(Input::Posted)?;
        }
        self.lose_socket()?;
        if (self.left || self.parting) && !self.over {
            return Err(format!("it began to leave and did not: {}", self.state()));
        }
        if !self.heard.is_empty() || !self.acked.is_empty() {
            return Err(format!("the real client did not hear that: {}", self.state()));
        }
        let stream = |(posts, sends): &(Vec<String>, Vec<String>)| -> Vec<String> {
            let own = |text: &&String| !["2probe", "5", "1"].contains(&text.as_str());
            posts.iter().chain(sends).filter(own).cloned().collect()
        };
        let (ours, theirs) = (stream(&self.ours), stream(&self.theirs));
        if ours != theirs {
            let mut at = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            at = at.min(ours.len().max(theirs.len()));
            let [ours, theirs] = [ours.get(at), theirs.get(at)];
            return Err(format!("packet {at}: ours {ours:?}, the real client's {theirs:?}"));
        }
        let changed = |sends: &[String]| sends.iter().any(|text| text == "5");
        // who leaves in the middle of the probe leaves by polling, where the real client finishes the upgrade first; and
        // who is refused is gone, where the real client stays without a namespace
        let upgrades = (changed(&self.ours.1), changed(&self.theirs.1));
        let gone = self.left || self.fault.is_some();
        if self.script.carrier == Carrier::Upgrade && upgrades.0 != upgrades.1 && !(upgrades.1 && gone) {
            return Err(format!("upgraded: ours and the real client's {upgrades:?}"));
        }
        Ok(())
    }

    fn state(&self) -> String {
        format!(
            "entered {:?}, put out {:?}, refused {:?}, heard {:?}, acked {:?}, fault {:?}",
            self.entered, self.put_out, self.refusals, self.heard, self.acked, self.fault
        )
    }
}
