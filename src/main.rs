//! swarm's command line: parse, call one command, print the error chain once, exit code. No domain logic.

use std::process::ExitCode;
use swarm::cli::attack::{Surroundings, steps, understand};
use swarm::cli::{Command, Parsed, demo, exec, joined, parse, playbook, spread};
use swarm::error::{Error, Exit};
use swarm::show;

#[tokio::main]
async fn main() -> ExitCode {
    let exit = run().await.unwrap_or_else(|error| {
        show::say(&format!("swarm: {}", error.chain()));
        error.exit()
    });
    ExitCode::from(exit.code())
}

async fn run() -> Result<Exit, Error> {
    match parse(std::env::args_os())? {
        Parsed::Text(text) => show::out(&text)
            .map(|()| Exit::Ok)
            .map_err(|error| Error::Unexpected(Box::new(error))),
        Parsed::Command(Command::Attack(args)) => steps::attack(understand(&args, &Surroundings::real())?).await,
        Parsed::Command(Command::Exec(args)) => {
            exec::steps::exec(exec::understand(&args, &exec::Around::real())?).await
        }
        #[cfg(feature = "aws")]
        Parsed::Command(Command::Up(args)) => swarm::cli::up::steps::up(swarm::cli::up::understand(&args)?).await,
        #[cfg(feature = "aws")]
        Parsed::Command(Command::Status(args)) => swarm::cli::status::status(&args).await,
        #[cfg(feature = "aws")]
        Parsed::Command(Command::Extend(args)) => swarm::cli::extend::extend(&args).await,
        Parsed::Command(Command::Down(args)) => swarm::cli::down::down(&args).await,
        Parsed::Command(Command::Spread(args)) => {
            spread::steps::spread(spread::understand(&args, &joined::known())?).await
        }
        Parsed::Command(Command::Playbook(command)) => playbook::playbook(&command),
        Parsed::Command(Command::Demo(args)) => demo::demo(&args).await,
    }
}
