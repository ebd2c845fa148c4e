//! The agent's process: one thread for the link, what it prints and how it ends. No logic.

use std::process::ExitCode;

#[allow(clippy::disallowed_macros)] // standard error is the agent's own; the link reads it as its last words
fn main() -> ExitCode {
    let nonce = std::env::args().nth(1).unwrap_or_default();
    match swarm_agent::serve(&nonce) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // the link carries it to the controller as the agent's last words
            eprintln!("swarm-agent: {error}");
            ExitCode::FAILURE
        }
    }
}
