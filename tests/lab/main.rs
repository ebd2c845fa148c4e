//! Owns: the lab's front door: arguments, the list of trials, one lab set up at the first trial and torn down at
//! the end (also after a panic, SIGINT or SIGTERM). Must not: hold tests (`cases`) or know how a part is built.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)]

mod boto;
mod capture;
mod cases;
mod cloud;
mod cloud_proxy;
mod fault;
mod host;
mod http;
mod lab;
mod machine;
mod machines;
mod moto;
mod net;
mod process;
mod proxy;
mod relay;
mod server;
mod ssh;
mod stand;
mod swarm;

use std::process::ExitCode;

/// What a step of the lab, or a case, gives back. The text is what the reader of a red test sees.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Ends the case with a text unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($cond:expr, $($text:tt)+) => {
        let holds: bool = $cond;
        if !holds {
            return Err(format!($($text)+).into());
        }
    };
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some("relay") => return relay::main(words.collect()),
        Some("relay-to-machine") => return relay::to_machine(words.collect()),
        _ => {}
    }
    let mut arguments = libtest_mimic::Arguments::from_args();
    // One lab, one case at a time: counts on the servers' side would mix otherwise.
    arguments.test_threads = Some(1);
    let trials = cases::all();
    if !arguments.list {
        if let Err(lack) = lab::check_machine() {
            eprintln!("the lab can't run here: {lack}");
            return ExitCode::from(2);
        }
        lab::tear_down_on_signals();
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Err(error) = lab::tear_down() {
        eprintln!("the lab was not torn down whole: {error}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}
