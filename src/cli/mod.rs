//! The command line: what was typed, and what it means in the domain's values.
//!
//! One file or folder a subcommand. Never here: sockets, AWS types, tables.

pub mod ask;
pub mod attack;
pub mod balanced;
pub mod check;
pub mod crew;
pub mod crew_args;
pub mod demo;
pub mod down;
#[cfg(feature = "aws")]
pub mod down_fleets;
pub mod down_hosts;
pub mod exec;
#[cfg(feature = "aws")]
pub mod extend;
pub mod fleet_access;
pub mod greet;
pub mod hosts;
pub mod joined;
pub mod playbook;
pub mod preview;
pub mod run_id;
#[cfg(feature = "aws")]
pub mod scope;
pub mod spread;
#[cfg(feature = "aws")]
pub mod status;
pub mod units;
#[cfg(feature = "aws")]
pub mod up;

use crate::plan::MinHosts;
use crate::state::check_fleet_name;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;

/// Wrong usage, as a lower-case fragment that names the flag and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

impl Usage {
    /// `flag value: what is wrong`.
    pub fn of(flag: &str, error: impl std::fmt::Display) -> Self {
        Self(format!("{flag} {error}"))
    }
}

impl From<String> for Usage {
    fn from(text: String) -> Self {
        Self(text)
    }
}

#[derive(Debug, Parser)]
#[command(
    name = "swarm",
    version,
    about = "Load from many hosts at one instant, merged exactly, with the balancer made visible",
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// A subcommand as typed.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Start hosts on EC2: ready when their agents answer, gone by themselves when their time is over
    #[cfg(feature = "aws")]
    Up(Box<up::args::UpArgs>),
    /// Show what exists on EC2: state, time left, cost so far, agents
    #[cfg(feature = "aws")]
    Status(Box<status::StatusArgs>),
    /// Let the hosts of a fleet live longer
    #[cfg(feature = "aws")]
    Extend(extend::ExtendArgs),
    /// Load a target from many hosts at one instant
    Attack(Box<attack::args::AttackArgs>),
    /// Walk the way of a real client to a target, without load: what fails, why, and the configuration line that mends it
    Check(Box<check::args::CheckArgs>),
    /// Run any command on many hosts at one instant; its output, exit status and files come back
    Exec(Box<exec::args::ExecArgs>),
    /// Remove everything of your fleets and verify that nothing is left; with --hosts: end agents there, remove their file
    Down(Box<down::DownArgs>),
    /// Predict which backend each source will reach, which stay idle, and what would mend it; nothing is sent
    Spread(Box<spread::SpreadArgs>),
    /// Scenarios in files: list the shipped ones, show or check one, make one of a websocket-bench command line
    #[command(subcommand)]
    Playbook(playbook::PlaybookCommand),
    /// Show on this machine, in under 30 s and without network, what a source-hash balancer does to a load test
    Demo(DemoArgs),
}

/// `swarm demo` as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct DemoArgs {
    /// stdout holds the two reports as JSON alone
    #[arg(long)]
    pub json: bool,
    /// No live line
    #[arg(long)]
    pub no_live: bool,
}

/// The fleet that is meant when none is named.
pub const DEFAULT_FLEET: &str = "default";

/// Reads `--fleet`.
pub fn fleet_name(typed: &Option<String>) -> Result<String, Usage> {
    let name = typed.clone().unwrap_or_else(|| DEFAULT_FLEET.to_owned());
    check_fleet_name(&name).map_err(|error| Usage(error.to_string()))?;
    Ok(name)
}

/// Reads `--min-hosts`: a number of hosts or a share of them.
pub fn min_hosts(typed: &Option<String>) -> Result<Option<MinHosts>, Usage> {
    let read = |text: &str| match units::percent(text) {
        Some(share) if share > 0.0 && share <= 100.0 => Ok(MinHosts::Percent(share)),
        Some(_) => Err("between 1% and 100%".to_owned()),
        None => units::count(text).map(|n| MinHosts::Count(usize::try_from(n).unwrap_or(usize::MAX))),
    };
    let one = |text: &str| read(text).map_err(|error| Usage(format!("--min-hosts {text}: {error}")));
    typed.as_deref().map(one).transpose()
}

/// What the words of the command line came to.
#[derive(Debug, Clone)]
pub enum Parsed {
    /// A command to run.
    Command(Command),
    /// `--help` or `--version`: this text belongs on stdout, exit 0.
    Text(String),
}

/// Reads the words of the command line, the program's name first. No I/O.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Parsed, Usage> {
    let words: Vec<OsString> = words.into_iter().collect();
    without_aws(&words)?;
    let command = Cli::command().mut_subcommand("attack", attack::later::declare);
    let read = command.try_get_matches_from(words).and_then(|matches| {
        let later = matches.subcommand_matches("attack").and_then(attack::later::first);
        Ok((Cli::from_arg_matches(&matches)?, later))
    });
    match read {
        Ok((_, Some(refusal))) => Err(Usage(refusal)),
        Ok((cli, None)) => Ok(Parsed::Command(cli.command)),
        Err(error) if !error.use_stderr() => Ok(Parsed::Text(error.render().to_string())),
        Err(error) => {
            let text = error.render().to_string();
            Err(Usage(
                text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_string(),
            ))
        }
    }
}

/// The commands about fleets are known to a build without AWS too, which says where they are.
fn without_aws(words: &[OsString]) -> Result<(), Usage> {
    match words.get(1).and_then(|word| word.to_str()) {
        Some(word @ ("up" | "status" | "extend")) if cfg!(not(feature = "aws")) => Err(Usage(format!(
            "{word} is about fleets on EC2, and this swarm was built without AWS: build it with (cargo build --release), or name hosts \
             of your own with --hosts"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Result<Parsed, Usage> {
        parse(std::iter::once("swarm").chain(line.iter().copied()).map(OsString::from))
    }

    #[test]
    fn the_declaration_is_sound() {
        Cli::command()
            .mut_subcommand("attack", attack::later::declare)
            .debug_assert();
    }

    #[test]
    fn help_is_text_and_grouped() {
        let Ok(Parsed::Text(text)) = read(&["attack", "--help"]) else {
            panic!("help is text")
        };
        for heading in ["From where", "At what", "How much", "What comes out"] {
            assert!(text.contains(&format!("{heading}:")), "{heading}: {text}");
        }
        assert!(!text.contains("--http2"), "{text}");
        assert!(matches!(read(&["--version"]), Ok(Parsed::Text(_))));
    }

    #[test]
    fn unknown_words_are_wrong_usage() {
        assert!(
            read(&["attack", "--nonsense", "http://h/"])
                .unwrap_err()
                .0
                .starts_with("unexpected argument '--nonsense'")
        );
        assert!(read(&["attak"]).is_err());
        assert!(matches!(
            read(&["demo", "--json"]),
            Ok(Parsed::Command(Command::Demo(DemoArgs { json: true, .. })))
        ));
    }

    #[cfg(not(feature = "aws"))]
    #[test]
    fn fleets_want_a_build_with_aws() {
        for word in ["up", "status", "extend"] {
            assert!(
                read(&[word, "-s", "2"]).unwrap_err().0.contains("built without AWS"),
                "{word}"
            );
        }
    }

    #[cfg(feature = "aws")]
    #[test]
    fn commands_about_fleets_are_read() {
        assert!(matches!(
            read(&["up", "-s", "8", "--region", "eu-west-1=6"]),
            Ok(Parsed::Command(Command::Up(_)))
        ));
        assert!(matches!(
            read(&["status", "--all-regions"]),
            Ok(Parsed::Command(Command::Status(_)))
        ));
        assert!(matches!(
            read(&["extend", "--ttl", "3h"]),
            Ok(Parsed::Command(Command::Extend(_)))
        ));
        assert!(matches!(
            read(&["down", "--owner", "x", "--dry-run"]),
            Ok(Parsed::Command(Command::Down(_)))
        ));
        assert!(read(&["extend"]).unwrap_err().0.contains("--ttl"));
        let Ok(Parsed::Text(help)) = read(&["up", "--help"]) else {
            panic!("help is text")
        };
        for flag in [
            "--servers",
            "--fleet",
            "--cover",
            "--max-hosts",
            "--balancer",
            "--backends",
            "--region",
            "--zone",
            "--subnet",
            "--min-hosts",
            "--type",
            "--image",
            "--login",
            "--key",
            "--ttl",
            "--spot",
            "--max-price",
            "--tag",
            "--ssh-from",
            "--security-group",
            "--source-ips-per-host",
            "--source-eips",
            "--dry-run",
            "--no-wait",
            "--ready-timeout",
            "--profile",
        ] {
            assert!(help.contains(flag), "{flag} is not in the help");
        }
    }

    #[test]
    fn what_is_not_there_yet_says_so() {
        for (line, says) in [
            (&["--http2"][..], "--http2 is not there yet"),
            (&["--abort-if", "errors>5%"], "--abort-if is not there yet"),
            (&["--at", "60s=x"], "--at is not there yet"),
            (&["--mark=60s=x"], "--mark is not there yet"),
            (&["-a", "1000"], "-c 1000 --connect-rate 200"),
            (&["-a", "-c", "5"], "websocket-bench"),
        ] {
            let mut words = vec!["attack", "http://127.0.0.1/"];
            words.extend(line);
            let error = read(&words).unwrap_err().0;
            assert!(error.contains(says), "{line:?}: {error}");
        }
    }
}
