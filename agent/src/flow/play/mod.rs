//! Clients that play a playbook: each takes one flow and does its steps in order. While it waits for anything it hears
//! its socket session, so that heartbeats are answered and what comes is counted.
//!
//! Every step that says something or waits for an answer is a hit; opening a session counts as a connection. Only the
//! first timed step of an `every` round has a due time: all others begin when the one before has ended. What came since
//! the last step that said something (connect, emit, send, join, http) is kept for an `expect`; waits and variables don't
//! count as steps there. A client that lost its session begins its flow again when the plan lets it come back, with the
//! variables, cookies and source address that it had.
//!
//! Never here: protocols (`engine`), due times of the load (`room`).

mod answer;
mod cursor;
mod dice;
mod enter;
mod hits;
mod hooks;
mod inbox;
mod place;
mod player;
pub mod stage;
mod stand;
mod talk;
mod text;
mod value;
mod web;

pub use stage::Stage;

use super::backoff;
use super::client::due;
use super::room::{Post, Room};
use crate::wire::flow::{Act, OnFailure, Text, Wait};
use cursor::{Cursor, Next};
use player::{Did, Ended, Manner, Player, Stop};
use stage::Line;
use std::rc::Rc;
use std::time::Instant;

/// Steps that a client does in a row before others have their turn, where none of them waits.
const IN_A_ROW: u32 = 32;

/// How a flow ended.
enum End {
    /// Its client has nothing left to do here.
    Done,
    /// Its session was lost, or did not come back yet; whether the real client tries again.
    Lost { again: bool },
}

/// Plays client `number` until it is closed, is done, or is lost for good.
pub async fn run(room: Rc<Room>, stage: Rc<Stage>, number: u64, post: Rc<Post>) {
    if let Some(player) = Player::new(Rc::clone(&room), stage, number, Rc::clone(&post)) {
        Box::pin(life(player)).await;
    }
    room.left(&post);
}

async fn life(mut player: Box<Player>) {
    player.begins();
    player.begin_script();
    let mut attempts = 0;
    loop {
        let End::Lost { again } = player.flow().await else {
            break;
        };
        let room = Rc::clone(&player.room);
        if player.lost.take().is_some() {
            attempts = 0;
            room.away(&player.post);
        }
        let plan = room.plan.reconnect.as_ref().filter(|_| again);
        let Some(plan) = plan.filter(|plan| plan.attempts.is_none_or(|most| attempts < most)) else {
            // one that never stood is only a connection that failed
            if player.away.is_some() {
                player.recorder().gave_up();
            }
            break;
        };
        let back = Instant::now() + backoff::delay(plan, attempts, player.dice.unit());
        attempts += 1;
        if player.rest(Some(back), Manner::Idle).await.is_err() {
            break;
        }
    }
    player.linger().await;
    player.leave().await;
    if let Some(web) = player.web.take() {
        player.hang_up(web);
    }
}

impl Player {
    /// Counts the client as begun.
    fn begins(&self) {
        let now = Instant::now();
        let due = due(&self.room, self.number);
        let mut recorder = self.recorder();
        recorder.begins(due.unwrap_or(now), now);
        recorder.flows().begun(self.track.number);
    }

    /// Plays the flow from its beginning.
    async fn flow(&mut self) -> End {
        let track = Rc::clone(&self.track);
        let (room, number) = (Rc::clone(&self.room), self.number);
        let mut cursor = Cursor::default();
        let mut in_a_row = 0;
        // steps that take no time share an instant: reading the clock would be most of their cost
        let mut now = Instant::now();
        loop {
            if self.closes() {
                return End::Done;
            }
            if self.lost.is_some() || self.done {
                return self.end();
            }
            let ended = match cursor.next(&track.lines, now, |period| room.phase(number, period)) {
                Next::Over => break,
                Next::Wait(at) => {
                    in_a_row = 0;
                    self.rest(Some(at), Manner::Exact).await.map(|()| Did::Well)
                }
                Next::Yield => {
                    tokio::task::yield_now().await;
                    Ok(Did::Well)
                }
                Next::Act(at, due) => {
                    let line = &track.lines[at];
                    self.round = cursor.round();
                    in_a_row += 1;
                    if in_a_row % IN_A_ROW == 0 {
                        tokio::task::yield_now().await;
                        now = Instant::now();
                    }
                    let ended = match &line.act {
                        Act::Set { slot, value } => match self.sets(at, *slot, value, now) {
                            Ok(Did::Well) => continue,
                            ended => ended,
                        },
                        _ => self.act(at, line, due).await,
                    };
                    if ended == Ok(Did::Badly) {
                        if self.away.is_some() && matches!(line.act, Act::Connect(_)) {
                            let again = !self.turned_away;
                            return End::Lost { again };
                        }
                        if self.lost.is_some() {
                            return self.end();
                        }
                        if line.on_failure == OnFailure::End {
                            return End::Done;
                        }
                        self.breathe().await.map(|()| Did::Badly)
                    } else {
                        ended
                    }
                }
            };
            now = Instant::now();
            match ended {
                Ok(_) => {}
                Err(Stop::Closing) => return End::Done,
                Err(Stop::Over) => return self.end(),
            }
        }
        if self.stand.is_some() && self.stay().await == Stop::Over {
            return self.end();
        }
        End::Done
    }

    fn end(&self) -> End {
        match self.lost {
            Some(again) if !self.done => End::Lost { again },
            _ => End::Done,
        }
    }

    async fn act(&mut self, at: usize, line: &Line, due: Option<Instant>) -> Ended {
        match &line.act {
            Act::Connect(connect) => self.connect(at, connect, due).await,
            Act::Reconnect(reconnect) => self.reconnect(at, reconnect, due).await,
            Act::Disconnect => {
                self.leave().await;
                Ok(Did::Well)
            }
            Act::Join(namespace) => self.join(at, namespace, due).await,
            Act::Emit(emit) => self.emit(at, line, emit, due).await,
            Act::Send(send) => self.send(at, send, due).await,
            Act::Expect(expect) => self.expect(at, expect, due).await,
            Act::Http(http) => self.http(at, http, due).await,
            Act::Script(script) => self.script(at, line, script, due).await,
            Act::Wait(wait) => self.wait(wait).await,
            // the flow itself does these
            Act::Set { .. } | Act::Every(_) | Act::Repeat(_) => Ok(Did::Well),
        }
    }

    fn sets(&mut self, at: usize, slot: u16, value: &Text, now: Instant) -> Ended {
        let mut buffer = self.stage.buffer.take();
        let made = text::value(value, &self.facts(now), &mut buffer);
        self.stage.buffer.replace(buffer);
        match made {
            Ok(value) => {
                self.set(slot, value);
                Ok(Did::Well)
            }
            Err(unmade) => {
                let hit = self.hit(at, None)?;
                self.unmade(&hit, at, &unmade)
            }
        }
    }

    async fn wait(&mut self, wait: &Wait) -> Ended {
        match wait {
            Wait::For(spread) => {
                let until = Instant::now() + self.dice.spread(spread);
                self.rest(Some(until), Manner::Idle).await?;
            }
            Wait::Until(ns) => {
                let until = self.room.worker.at(*ns);
                self.rest(Some(until), Manner::Exact).await?;
            }
            Wait::End => self.rest(None, Manner::Idle).await?,
        }
        Ok(Did::Well)
    }
}
