//! Owns: the list of all faults. Must not: hold one itself.

mod front;
mod silence;
mod sticky;
mod upgrade;

use super::fault::Fault;

pub fn all() -> impl Iterator<Item = &'static Fault> {
    [sticky::FAULTS, upgrade::FAULTS, front::FAULTS, silence::FAULTS]
        .into_iter()
        .flatten()
}
