//! Owns: the list of all lab cases. Must not: hold one itself.

mod smoke;

use crate::Result;
use crate::lab::{Lab, with_lab};
use libtest_mimic::Trial;

/// A case: its name (group::what it shows) and what it does in the lab.
type Case = (&'static str, fn(&Lab) -> Result);

pub fn all() -> Vec<Trial> {
    let groups: [&[Case]; 1] = [smoke::CASES];
    groups
        .concat()
        .into_iter()
        .map(|(name, case)| Trial::test(name, move || with_lab(case).map_err(|e| e.to_string().into())))
        .collect()
}
