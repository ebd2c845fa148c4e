//! What comes up beside a held client's own business, handed over to the recorder: bytes, sockets beside the first, steps
//! after the arrival, sessions answered from elsewhere. Never here: hits, connections.

use super::link::Link;
use super::room::Room;
use crate::engine::reach::Reach;
use crate::engine::seat::Strayed;
use crate::recorder::{ConnectTimes, Recorder};

/// Hands over what came up.
pub(super) fn record(reach: &Reach, recorder: &mut Recorder) {
    let (sent, received) = reach.traffic.take();
    recorder.bytes(sent, received);
    for (tcp, tls) in reach.dials.borrow_mut().drain(..) {
        recorder.connect_times(ConnectTimes {
            tcp,
            tls,
            ..ConnectTimes::default()
        });
    }
    for (step, took) in reach.steps.borrow_mut().drain(..) {
        recorder.latency(step, took);
    }
    if let Some(fault) = reach.stays.take() {
        recorder.stays_polling(&fault);
    }
    if let Some(backend) = reach.home.get() {
        recorder.polled(backend, reach.polls.take());
    }
    if let Some(strayed) = reach.strayed.take() {
        let Strayed {
            at,
            local,
            session,
            from,
            to,
            by: _,
        } = *strayed;
        recorder.strayed(at, local, &session, &from, &to);
    }
}

/// Bodies of events are handed over where somebody reads them.
pub(super) fn keep_bodies(link: &mut Link, room: &Room) {
    if let Link::Socketio(session) = link {
        session.keep_bodies(room.hall.as_ref().is_some_and(|hall| hall.reads_bodies()));
    }
}
