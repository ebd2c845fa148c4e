//! The operations of each protocol, made of `net` and `codec`. No pacing, no recording.

pub mod answer;
pub mod http;
pub mod reach;
pub mod seat;
pub mod socketio;
pub mod websocket;
