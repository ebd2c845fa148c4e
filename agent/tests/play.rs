//! Playbooks as an agent plays them, against servers of the same process: each step, what is taken from one into the next,
//! and the sums. Named as a folder of parts, since all of them need the same stage.
#![allow(clippy::unwrap_used)]

#[path = "play_parts/flows.rs"]
mod flows;
#[path = "play_parts/places.rs"]
mod places;
#[path = "play_parts/returns.rs"]
mod returns;
#[path = "play_parts/scene.rs"]
mod scene;
#[path = "play_parts/scripts.rs"]
mod scripts;
#[path = "play_parts/steps.rs"]
mod steps;
