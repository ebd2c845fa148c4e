//! Pure protocol codecs: bytes in, values out. No sockets, no clocks.
