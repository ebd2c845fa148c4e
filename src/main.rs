//! swarm's command line.
fn main() {}
