//! Pure protocol codecs: bytes in, values out. No sockets, no clocks.

pub mod backend;
pub mod cookie;
pub mod http1;
