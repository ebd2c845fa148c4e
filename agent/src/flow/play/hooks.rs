//! What the playbook's script says: its hooks are told what comes, and what they order is done. An error fails its client
//! and nobody else. Never here: how scripts run.

use super::answer::arguments;
use super::hits::Hit;
use super::player::{Did, Ended, Manner, Player, Stop, millis, span};
use super::stage::Line;
use super::talk::Awaited;
use super::value::Value;
use crate::codec::session::Said;
use crate::script::{self, Body, Order, ScriptError};
use crate::wire::fault::FaultKind;
use crate::wire::flow::{OnFailure, Reply, Rounds, ScriptStep};
use crate::wire::report::Latency;
use std::time::{Duration, Instant};

/// A client's script, and what its hooks have asked for and got no answer to.
pub struct Hooks {
    client: script::Client,
    listens: bool,
    errands: Vec<Errand>,
}

/// An emit of a hook whose acknowledgement is due. Hooks wait for nothing, so it is waited for beside the steps.
struct Errand {
    id: u64,
    hit: Hit,
    deadline: Instant,
}

impl Hooks {
    /// When the oldest errand is given up.
    pub fn deadline(&self) -> Option<Instant> {
        self.errands.first().map(|errand| errand.deadline)
    }

    /// Hands a variable over.
    pub fn set(&mut self, name: &str, value: &str) {
        self.client.set(name, value);
    }
}

impl Player {
    /// Makes the client's script.
    pub fn begin_script(&mut self) {
        let Some(script) = &self.program().script else { return };
        let worker = &self.room.worker;
        let program = self.program();
        let row = self.columns().iter().enumerate();
        let column = |at: usize| program.columns.get(at).cloned().unwrap_or_else(|| at.to_string());
        let facts = script::Facts {
            conn: self.number,
            conns: self.room.clients(),
            host: worker.share.host_index,
            hosts: worker.share.hosts,
            source: self.address().to_string(),
            run: worker.share.run.clone(),
            seed: super::dice::seed(&worker.share.run),
            columns: row.map(|(at, value)| (column(at), value.clone())).collect(),
        };
        let made = match &self.stage.script {
            Some(engine) => engine.client(&facts).map(|client| (client, engine.hooks())),
            None => Err(ScriptError {
                script: script.name.clone(),
                line: None,
                message: "could not be compiled".to_owned(),
            }),
        };
        match made {
            Ok((client, hooks)) => {
                self.hooks = Some(Box::new(Hooks {
                    client,
                    listens: hooks.on_message,
                    errands: Vec::new(),
                }));
            }
            Err(error) => self.script_failed(self.track.lines.len(), &error.to_string()),
        }
    }

    /// The client has failed by its script.
    fn script_failed(&mut self, line: usize, why: &str) {
        // without a hit that is allowed there is nothing to count it under
        if let Ok(hit) = self.hit(line, None) {
            let fault = self.fault(line, FaultKind::Script, why);
            // a failed hit says nothing that is not known here
            let _ = self.badly(&hit, Some(&fault));
        }
        self.done = true;
    }

    /// Calls the script, does what its hook orders, and takes over the variables that it has changed.
    fn call(&mut self, hook: impl FnOnce(&mut script::Client, u64, &mut Vec<Order>) -> Result<(), ScriptError>) {
        let mut orders = Vec::new();
        let called = self.ask(|client, elapsed| hook(client, elapsed, &mut orders));
        match called {
            Some(Ok(())) => orders.into_iter().for_each(|order| self.obey(order)),
            Some(Err(error)) => self.script_failed(self.track.lines.len(), &error.to_string()),
            None => {}
        }
    }

    fn ask<T>(&mut self, call: impl FnOnce(&mut script::Client, u64) -> T) -> Option<T> {
        let elapsed = millis(self.room.worker.start.elapsed());
        let mut hooks = self.hooks.take()?;
        let said = call(&mut hooks.client, elapsed);
        let slots = self.program().slots.iter().zip(&self.slots).enumerate();
        let changed: Vec<(usize, Value)> = slots
            .filter_map(|(slot, (name, known))| {
                let text = hooks.client.get(name)?;
                let same = known.as_ref().is_some_and(|value| value.text() == text);
                (!same).then(|| (slot, Value::of_script(&text)))
            })
            .collect();
        for (slot, value) in changed {
            self.slots[slot] = Some(value);
        }
        self.hooks = Some(hooks);
        Some(said)
    }

    /// The session stands.
    pub fn hook_connect(&mut self) {
        if self
            .stage
            .script
            .as_ref()
            .is_some_and(|script| script.hooks().on_connect)
        {
            self.call(|client, elapsed, orders| client.on_connect(elapsed, orders));
        }
    }

    /// Something came.
    pub fn tell_hooks(&mut self, said: &Said) {
        if !self.hooks.as_ref().is_some_and(|hooks| hooks.listens) {
            return;
        }
        let arguments = match said {
            Said::Event { body, .. } => arguments(body),
            _ => "".into(),
        };
        let (event, body) = match said {
            Said::Event { name, .. } => (Some(name.as_str()), Body::Json(&arguments)),
            Said::Message { text: Some(text), .. } => (None, Body::Text(text)),
            Said::Message {
                binary: Some(bytes), ..
            } => (None, Body::Binary(bytes)),
            _ => return,
        };
        self.call(|client, elapsed, orders| client.on_message(elapsed, event, body, orders));
    }

    /// Does what a hook orders, and waits for nothing.
    fn obey(&mut self, order: Order) {
        let line = self.track.lines.len();
        if self.done {
            return;
        }
        match order {
            Order::Disconnect => self.done = true,
            Order::Fail(why) => self.script_failed(line, &why),
            order => {
                let Ok(hit) = self.hit(line, None) else { return };
                let said = self.hand_over(&order);
                // whatever became of it is recorded
                let _ = match said {
                    Err(why) => self.not_connected(&hit, line, why),
                    Ok(Some(id)) => {
                        self.recorder().message_sent(true);
                        let ack = Duration::from_nanos(self.room.worker.share.limits.ack);
                        let deadline = hit.mark.sent + ack;
                        if let Some(hooks) = &mut self.hooks {
                            hooks.errands.push(Errand { id, hit, deadline });
                        }
                        return;
                    }
                    Ok(None) => {
                        self.recorder().message_sent(false);
                        self.well(&hit, Instant::now())
                    }
                };
            }
        }
    }

    /// Hands a message of the script to the session: the id of its acknowledgement, where it asks for one.
    fn hand_over(&mut self, order: &Order) -> Result<Option<u64>, &'static str> {
        match order {
            Order::Emit { namespace, array, ack } => self.say(namespace.as_deref(), array, &[], *ack),
            Order::Send(text) => {
                self.stand.as_mut().ok_or("not connected")?.send_text(text);
                Ok(None)
            }
            Order::SendBinary(bytes) => {
                self.stand.as_mut().ok_or("not connected")?.send_binary(bytes);
                Ok(None)
            }
            Order::Disconnect | Order::Fail(_) => Ok(None),
        }
    }

    /// Whether this acknowledgement is a hook's.
    pub fn answers_errand(&mut self, id: u64) -> bool {
        let Some(hooks) = &mut self.hooks else { return false };
        let Some(at) = hooks.errands.iter().position(|errand| errand.id == id) else {
            return false;
        };
        let errand = hooks.errands.remove(at);
        let now = Instant::now();
        self.acked(Latency::Ack, errand.hit.mark.sent, now);
        // a hit that went well says nothing that is not known here
        let _ = self.well(&errand.hit, now);
        true
    }

    /// Gives up the errands whose time is over.
    pub fn give_up_errands(&mut self, now: Instant) {
        let within = span(self.room.worker.share.limits.ack);
        while let Some(hooks) = &mut self.hooks
            && hooks.deadline().is_some_and(|deadline| deadline <= now)
        {
            let errand = hooks.errands.remove(0);
            let line = self.track.lines.len();
            let fault = self.fault(
                line,
                FaultKind::AckTimeout,
                &format!("no acknowledgement within {within}"),
            );
            self.recorder().message_lost();
            // a failed hit says nothing that is not known here
            let _ = self.badly(&errand.hit, Some(&fault));
        }
    }

    /// Waits for no answer any more.
    pub fn drop_errands(&mut self) {
        if let Some(hooks) = &mut self.hooks {
            hooks.errands.clear();
        }
    }

    /// The session is gone, and with it all answers.
    pub fn lose_errands(&mut self) {
        let Some(hooks) = &mut self.hooks else { return };
        for errand in std::mem::take(&mut hooks.errands) {
            self.recorder().message_lost();
            // a failed hit says nothing that is not known here
            let _ = self.badly(&errand.hit, None);
        }
    }

    /// Says what `next_message` gives, message by message.
    pub async fn script(&mut self, at: usize, line: &Line, step: &ScriptStep, due: Option<Instant>) -> Ended {
        let began = Instant::now();
        let mut first = due;
        let mut round = 0u64;
        let mut did = Did::Well;
        loop {
            let due = match step.period {
                Some(period) => {
                    let since = u64::try_from(u128::from(period) * u128::from(round)).unwrap_or(u64::MAX);
                    Some(began + self.room.phase(self.number, period) + Duration::from_nanos(since))
                }
                None => first.take(),
            };
            let on = match step.rounds {
                Rounds::Forever => true,
                Rounds::Count(count) => round < count,
                Rounds::For(ns) => due.unwrap_or_else(Instant::now) < began + Duration::from_nanos(ns),
            };
            if !on {
                return Ok(did);
            }
            if let Some(due) = due {
                self.rest(Some(due), Manner::Exact).await?;
            }
            if self.closes() {
                return Err(Stop::Closing);
            }
            self.round = round;
            round += 1;
            let mut orders = Vec::new();
            let more = match self.ask(|client, elapsed| client.next_message(elapsed, &mut orders)) {
                Some(Ok(more)) => more,
                None => false,
                Some(Err(error)) => {
                    self.script_failed(at, &error.to_string());
                    return Err(Stop::Over);
                }
            };
            if step.period.is_none() {
                // nothing else makes this loop wait: others have their turn, and the session is heard
                tokio::task::yield_now().await;
                self.at_once = orders.is_empty() && more;
                self.breathe().await?;
                self.rest(Some(Instant::now()), Manner::Idle).await?;
            }
            let mut due = due;
            for order in orders {
                if self.order(at, order, due.take(), &step.reply).await? == Did::Badly {
                    did = Did::Badly;
                    if line.on_failure == OnFailure::End {
                        return Ok(did);
                    }
                    self.breathe().await?;
                }
            }
            if !more {
                return Ok(did);
            }
        }
    }

    /// Does one order of `next_message`, and waits for its acknowledgement.
    async fn order(&mut self, at: usize, order: Order, due: Option<Instant>, reply: &Reply) -> Ended {
        match order {
            Order::Disconnect => {
                self.done = true;
                return Err(Stop::Over);
            }
            Order::Fail(why) => {
                self.script_failed(at, &why);
                return Err(Stop::Over);
            }
            Order::Emit { .. } | Order::Send(_) | Order::SendBinary(_) => {}
        }
        let hit = self.hit(at, due)?;
        match self.hand_over(&order) {
            Err(why) => self.not_connected(&hit, at, why),
            Ok(Some(id)) => self.answered(&hit, at, Awaited::Ack(id, reply)).await,
            Ok(None) => self.answered(&hit, at, Awaited::Written).await,
        }
    }
}
