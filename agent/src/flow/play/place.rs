//! Which backend a client of a playbook is on: named by what its server says first, or by the answers to its http requests,
//! and whether its cookies kept it there. Never here: steps.

use super::hits::Hit;
use super::player::Player;
use super::stage::only_http;
use super::web::Web;
use crate::codec::backend::Found;
use crate::codec::session::Said;
use std::rc::Rc;
use std::time::Instant;

impl Player {
    /// Looks in what was said for the name of the session's backend.
    pub fn name(&mut self, said: &Said) {
        let Some(stand) = self.stand.as_mut().filter(|stand| stand.naming.is_some()) else {
            return;
        };
        let (now, bodies) = (Instant::now(), self.track.bodies);
        let mut recorder = self.room.worker.recorder.borrow_mut();
        let Some(backend) = stand.name(said, bodies, &mut recorder) else {
            return;
        };
        self.backend = recorder.name_of(backend).to_owned();
        drop(recorder);
        if let Some(caster) = &mut self.caster {
            caster.joined(Some(backend), now);
        }
    }

    /// Takes what an http answer says of its backend; the request went out with cookies that were given (`cookies`).
    pub fn land(&mut self, web: &mut Web, hit: &mut Hit, found: &Found, cookies: bool) {
        let stage = Rc::clone(&self.stage);
        let only_http = only_http(&self.room.worker.share);
        let mut recorder = self.room.worker.recorder.borrow_mut();
        if let Some(seen) = found.seen() {
            recorder.seen(web.source, seen);
        }
        let Some((by, name)) = stage.names.name(found) else {
            return;
        };
        hit.backend = recorder.backend(name, by);
        let Some(backend) = hit.backend else { return };
        let now = Instant::now();
        if !std::mem::replace(&mut web.landed, true) && only_http {
            recorder.lands(web.source, backend, now);
        }
        let was = self.landed.replace(backend);
        if let Some(was) = was.filter(|was| *was != backend && cookies && only_http)
            && !std::mem::replace(&mut self.strayed, true)
        {
            drop(recorder);
            let session = self.cookies().names();
            self.recorder().strayed_between(now, web.source, &session, was, backend);
        }
    }
}
