//! The namespaces of one client: their names, which of them it is in, and what waits until it is. Pure.

use super::Namespace;
use super::outbox::Waiting;

/// How a client stands to a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It wants in and has not been let in.
    Wanted,
    In,
    Out,
}

/// One namespace.
#[derive(Debug)]
pub struct Place {
    /// `/` or `/chat`.
    pub name: Box<str>,
    pub state: State,
    /// Auth payload for the next CONNECT.
    pub auth: Option<Box<str>>,
    /// Emits that wait until the client is in. Boxed as it is nearly always none.
    #[allow(clippy::box_collection)]
    waiting: Option<Box<Vec<Waiting>>>,
}

impl Place {
    /// Keeps what is to be sent once the client is in.
    pub fn hold(&mut self, packets: impl Iterator<Item = Waiting>) {
        self.waiting.get_or_insert_default().extend(packets);
    }

    /// What has waited.
    pub fn release(&mut self) -> Vec<Waiting> {
        self.waiting.take().map(|waiting| *waiting).unwrap_or_default()
    }
}

/// All of a client.
#[derive(Debug, Default)]
pub struct Namespaces {
    places: Vec<Place>,
    /// A server of version 3 puts every client into `/`, asked or not.
    pub root_entered: bool,
}

impl Namespaces {
    /// The place of a namespace that is wanted from now on; `None` when there are too many.
    pub fn want(&mut self, name: &str, auth: Option<&str>) -> Option<Namespace> {
        let name = full(name);
        let known = self.places.iter().position(|place| *place.name == *name);
        let at = known.unwrap_or(self.places.len());
        let number = Namespace::try_from(at).ok().filter(|number| *number < Namespace::MAX)?;
        if known.is_none() {
            // one is the rule, and vectors begin with four
            self.places.reserve_exact(1);
            self.places.push(Place {
                name: name.into(),
                state: State::Out,
                auth: None,
                waiting: None,
            });
        }
        let place = &mut self.places[at];
        place.auth = auth.map(Into::into);
        if place.state == State::Out {
            place.state = State::Wanted;
        }
        Some(number)
    }

    /// By its number.
    pub fn get(&mut self, number: Namespace) -> Option<&mut Place> {
        self.places.get_mut(usize::from(number))
    }

    /// By its name.
    pub fn find(&mut self, name: &str) -> Option<(Namespace, &mut Place)> {
        let at = self.places.iter().position(|place| *place.name == *name)?;
        Some((Namespace::try_from(at).ok()?, &mut self.places[at]))
    }

    /// All of them.
    pub fn all(&mut self) -> impl Iterator<Item = &mut Place> {
        self.places.iter_mut()
    }

    /// Whether the client is in one, or may yet be.
    pub fn any(&self) -> bool {
        self.places.iter().any(|place| place.state != State::Out)
    }
}

fn full(name: &str) -> std::borrow::Cow<'_, str> {
    if name.starts_with('/') {
        name.into()
    } else {
        format!("/{name}").into()
    }
}
