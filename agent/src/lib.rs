//! swarm's agent: what runs on each host. The controller links [`wire`] and the pure [`pacer`] alone.

pub mod pacer;
pub mod wire;

#[cfg(feature = "engines")]
pub mod addresses;
#[cfg(feature = "engines")]
pub mod clock;
#[cfg(feature = "codecs")]
pub mod codec;
#[cfg(feature = "engines")]
pub mod engine;
#[cfg(feature = "engines")]
pub mod exec;
#[cfg(feature = "engines")]
pub mod flow;
#[cfg(feature = "engines")]
pub mod gather;
#[cfg(feature = "engines")]
pub mod host;
#[cfg(feature = "engines")]
pub mod look;
#[cfg(feature = "engines")]
pub mod net;
#[cfg(feature = "engines")]
pub mod preflight;
#[cfg(feature = "engines")]
pub mod probe;
#[cfg(feature = "engines")]
pub mod recorder;
#[cfg(feature = "engines")]
pub mod run;
#[cfg(feature = "engines")]
pub mod script;
#[cfg(feature = "engines")]
pub mod serve;
#[cfg(feature = "engines")]
pub mod timer;
#[cfg(feature = "engines")]
pub mod trace;
#[cfg(feature = "engines")]
pub mod worker;

#[cfg(feature = "engines")]
pub use serve::serve;
