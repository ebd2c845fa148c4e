//! Pure protocol codecs: bytes in, values out. No sockets, no clocks.

pub mod engineio;
pub mod session;
pub mod socketio;
pub mod websocket;
