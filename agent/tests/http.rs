//! The http flows and the HTTP engine against hand-written servers that count what they saw.
#![allow(clippy::unwrap_used)]

mod http_parts {
    pub mod answers;
    pub mod bench;
    pub mod closed;
    pub mod observed;
    pub mod open;
}
