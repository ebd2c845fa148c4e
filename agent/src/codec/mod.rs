//! Pure protocol codecs: bytes in, values out. No sockets, no clocks.

pub mod backend;
pub mod cookie;
pub mod engineio;
pub mod engineio3;
pub mod http1;
pub mod peer;
pub mod session;
pub mod socketio;
pub mod stamp;
pub mod websocket;
