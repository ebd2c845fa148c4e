//! Which backend answers an http client, whether its cookies kept it there, and as whom it is seen. Costs one comparison a
//! hit while nothing changes. Never here: requests, connections.

use crate::codec::backend::{BODY_READ, BackendNames, Found};
use crate::codec::cookie::Jar;
use crate::engine::http::EXCERPT;
use crate::recorder::{BackendId, Recorder, SourceId};
use crate::wire::share::Share;
use std::net::IpAddr;
use std::time::Instant;

/// What one client looks for, and what it found in the last answer.
pub struct Landing {
    names: BackendNames,
    found: Found,
    /// The last request carried cookies that were given.
    had_cookies: bool,
    /// It was seen on two backends in spite of them, which is told once.
    strayed: bool,
}

/// What is known of one target: it is recorded when it changes.
#[derive(Default)]
pub struct Known {
    backend: Option<(Vec<u8>, BackendId)>,
    seen: Option<(SourceId, IpAddr)>,
}

impl Landing {
    /// Looks where the share says.
    pub fn new(share: &Share) -> Self {
        Self {
            names: BackendNames::of(share),
            found: Found::default(),
            had_cookies: false,
            strayed: false,
        }
    }

    /// Bytes of a body that are to be kept.
    pub fn keeps(&self) -> usize {
        if self.names.reads_bodies() { BODY_READ } else { EXCERPT }
    }

    /// A request goes out with these cookies.
    pub fn asks(&mut self, jar: &Jar) {
        self.found.clear();
        self.had_cookies = !jar.is_empty();
    }

    /// A header of the answer.
    #[inline]
    pub fn look(&mut self, name: &str, value: &[u8]) {
        self.names.look(name, value, &mut self.found);
    }

    /// Its body.
    pub fn read(&mut self, body: &[u8]) {
        if self.names.reads_bodies() {
            self.names.read(body, &mut self.found);
        }
    }

    /// The backend that the answer named; its id is kept while the name stays the same.
    pub fn backend(
        &mut self,
        known: &mut Known,
        source: SourceId,
        jar: &Jar,
        recorder: &mut Recorder,
    ) -> Option<BackendId> {
        if let Some(seen) = self.found.seen()
            && known.seen != Some((source, seen))
        {
            known.seen = Some((source, seen));
            recorder.seen(source, seen);
        }
        let (by, name) = self.names.name(&self.found)?;
        if let Some((last, id)) = &known.backend
            && last == name
        {
            return Some(*id);
        }
        let id = recorder.backend(name, by)?;
        if let Some((_, was)) = known.backend.replace((name.to_vec(), id))
            && was != id
            && self.had_cookies
            && !std::mem::replace(&mut self.strayed, true)
        {
            recorder.strayed_between(Instant::now(), source, &jar.names(), was, id);
        }
        Some(id)
    }
}
