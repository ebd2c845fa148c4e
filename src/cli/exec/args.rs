//! `swarm exec` as typed. The values are still text: what they mean, and every refusal, is in the file above.

use crate::cli::crew_args::CrewArgs;
use std::ffi::OsString;
use std::path::PathBuf;

const WHAT: &str = "What runs";
const OUT: &str = "What comes out";

/// The flags of `swarm exec`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(
    override_usage = "swarm exec [OPTIONS] -- COMMAND [ARG]...\n       swarm exec [OPTIONS] --shell 'a | b'",
    after_help = "The command runs in a new folder on each host, with its arguments exactly as given. In them {host}, {index} (from 0), {next} \
(index + 1), {hosts}, {source} (the host's address) and {share:1000} (its part of 1000; all parts add up) are filled in; other braces are left \
alone.\nCtrl-C, a lost link or a killed controller ends all that the command started: SIGTERM, 2 s, SIGKILL.\nExit code: 4 when a command does not \
end with 0 or a file does not come back, 3 when a host is lost, 6 when nothing began."
)]
pub struct ExecArgs {
    #[command(flatten)]
    pub crew: CrewArgs,

    /// Words before `--`, which are no flags
    #[arg(hide = true)]
    pub stray: Vec<OsString>,
    /// Program and arguments
    #[arg(last = true, value_name = "COMMAND", help_heading = WHAT)]
    pub command: Vec<OsString>,
    /// A line for /bin/sh instead of a command
    #[arg(long, value_name = "LINE", help_heading = WHAT, allow_hyphen_values = true)]
    pub shell: Option<OsString>,
    /// Let the user's login shell set up PATH and all else first; with --shell it runs the line
    #[arg(long, help_heading = WHAT)]
    pub login_shell: bool,
    /// A file for the run's folder on each host, with its mode (repeatable)
    #[arg(long, value_name = "FILE", help_heading = WHAT)]
    pub upload: Vec<PathBuf>,
    /// End all of it so long after the start
    #[arg(long, value_name = "T", help_heading = WHAT)]
    pub timeout: Option<String>,

    /// A file of each host, from the run's folder unless absolute, comes back as out/HOST/FILE (repeatable)
    #[arg(long, value_name = "FILE", help_heading = OUT)]
    pub fetch: Vec<String>,
    /// Where fetched files go; a folder that is not there yet, or is empty [default: out]
    #[arg(long, value_name = "FOLDER", help_heading = OUT)]
    pub out: Option<PathBuf>,
    /// Print host by host at the end, not line by line as it comes
    #[arg(long, help_heading = OUT)]
    pub gather: bool,
    /// Write the report: FILE.json (repeatable)
    #[arg(short = 'o', long, value_name = "FILE", help_heading = OUT)]
    pub output: Vec<PathBuf>,
    /// stdout holds the JSON report alone; what the commands print goes to stderr
    #[arg(long, help_heading = OUT)]
    pub json: bool,
    /// Only what the commands print, and what went wrong
    #[arg(long, help_heading = OUT)]
    pub quiet: bool,
}
