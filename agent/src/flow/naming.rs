//! A client whose backend says its name only once the client is in: it counts there from then on. Never here: where in an
//! event or a message the name stands (`codec::backend`).

use crate::codec::backend::BackendNames;
use crate::codec::session::Said;
use crate::engine::reach::Reach;
use crate::recorder::{Away, BackendId, Recorder, SourceId};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Events or messages that are looked at; a name that comes later is not waited for.
const LOOKS: u8 = 64;

/// What is known of a client whose backend is not.
pub struct Naming {
    names: Rc<BackendNames>,
    looks: u8,
    handshake: Duration,
    stood: Instant,
    was: Option<Away>,
}

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nothing yet.
    Waits,
    /// Its backend; `None` when there are too many names already.
    Named(Option<BackendId>),
    /// No more is looked at.
    Over,
}

impl Naming {
    /// Of a client that stands since `stood`; `None` when its handshake names its backend.
    pub fn of(reach: &Reach, handshake: Duration, stood: Instant) -> Option<Box<Self>> {
        let names = Rc::clone(&reach.names);
        names.listens().then(|| {
            Box::new(Self {
                names,
                looks: LOOKS,
                handshake,
                stood,
                was: None,
            })
        })
    }

    /// The client is back, and stands since `stood`.
    pub fn returned(&mut self, was: Away, stood: Instant) {
        (self.was, self.stood) = (Some(was), stood);
    }

    /// Looks at what was said; a name is recorded.
    pub fn hears(&mut self, said: &Said, source: SourceId, recorder: &mut Recorder, now: Instant) -> Look {
        let found = match said {
            Said::Event { name, body, .. } => self.names.in_event(name, body),
            Said::Message { text, .. } => text.as_deref().and_then(|text| self.names.in_message(text)),
            _ => return Look::Waits,
        };
        let Some((by, name)) = found else {
            self.looks -= 1;
            return if self.looks == 0 { Look::Over } else { Look::Waits };
        };
        let backend = recorder.backend(&name, by);
        if let Some(backend) = backend {
            recorder.named(source, backend, self.handshake, now);
            if let Some(was) = &self.was {
                recorder.returned_to(was, self.stood, backend);
            }
        }
        Look::Named(backend)
    }
}
