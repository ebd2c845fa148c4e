//! The agent's process: one thread for the link, what it prints and how it ends; or, by another argument, the guardian of
//! a command. No logic.

use std::process::ExitCode;
use swarm_agent::exec;

#[allow(clippy::disallowed_macros)] // standard error is the agent's own; the link reads it as its last words
fn main() -> ExitCode {
    let word = std::env::args().nth(1).unwrap_or_default();
    let ended = match word.as_str() {
        exec::GUARD => exec::guard().map_err(|error| error.to_string()),
        exec::HOLD => exec::hold().map_err(|error| error.to_string()),
        nonce => swarm_agent::serve(nonce).map_err(|error| error.to_string()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // the link carries it to the controller as the agent's last words
            eprintln!("swarm-agent: {error}");
            ExitCode::FAILURE
        }
    }
}
