//! Flags that are known and answered with a line of their own: those of later issues, and those of other tools.
//! Never here: flags that do something.

use clap::{Arg, ArgMatches, Command};

/// What stands for a flag's value, when it may have one.
const VALUE: std::ops::RangeInclusive<usize> = 0..=1;

/// Long flags of later versions, and what to do until then.
const LATER: [(&str, &str); 4] = [
    ("http2", "the http engine speaks HTTP/1.1"),
    ("abort-if", "judge the whole run with --require"),
    ("at", "run the command from another terminal"),
    ("mark", "note the time yourself"),
];

/// Adds them to the subcommand, hidden from its help.
pub fn declare(command: Command) -> Command {
    let hidden = |id: &'static str| {
        Arg::new(id)
            .hide(true)
            .num_args(VALUE)
            .action(clap::ArgAction::Append)
            .allow_hyphen_values(false)
    };
    let with_long = LATER
        .iter()
        .fold(command, |command, (flag, _)| command.arg(hidden(flag).long(*flag)));
    with_long.arg(hidden("websocket-bench").short('a'))
}

/// The line of the first of them that was typed.
pub fn first(matches: &ArgMatches) -> Option<String> {
    if matches.value_source("websocket-bench").is_some() {
        return Some("-a is websocket-bench's: its `-a 1000 -c 200` is `-c 1000 --connect-rate 200` here".into());
    }
    let typed = |flag: &str| matches.value_source(flag).is_some();
    LATER
        .iter()
        .find(|(flag, _)| typed(flag))
        .map(|(flag, until_then)| format!("--{flag} is not there yet: {until_then}"))
}
