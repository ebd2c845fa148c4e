//! The operations of each protocol, made of `net` and `codec`. No pacing, no recording.
