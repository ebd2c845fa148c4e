//! `swarm exec`: flags to an [`OrderPlan`], or an error that names the flag. Reads the files that flags name and checks where
//! outputs go; never here: the network, hosts, printing.

pub mod args;
mod ear;
mod fetched;
pub mod steps;

use self::args::ExecArgs;
use super::Usage;
use super::attack::outputs;
use super::crew_args::{Noted, read};
use super::hosts::{HostsFrom, SshOptions};
use super::units;
use crate::order::{self, OrderPlan};
use crate::secret;
use crate::show::Output;
use bytes::Bytes;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use swarm_agent::wire::exec::{Upload, Words};

/// Uploads are read into memory once, and travel to every host.
const MOST_UPLOADED: u64 = 256 << 20;
/// Where fetched files go unless `--out` says otherwise.
const OUT: &str = "out";

/// `swarm exec`, understood.
#[derive(Debug, Clone)]
pub struct ExecCommand {
    /// What all hosts are to do.
    pub plan: OrderPlan,
    /// Where the hosts come from.
    pub hosts: HostsFrom,
    /// How ssh is told to reach them.
    pub ssh: SshOptions,
    /// Agents of other architectures: `(x86_64, file)`.
    pub agent_binaries: Vec<(String, PathBuf)>,
    /// Print host by host at the end.
    pub gather: bool,
    /// Where fetched files go.
    pub out: PathBuf,
    /// What is written and printed.
    pub output: Output,
    /// Defaults that were used.
    pub defaults: Vec<String>,
}

/// What comes from outside the flags, handed in so that tests own it.
#[derive(Debug, Clone)]
pub struct Around {
    /// The words of the command line, the program's name first.
    pub words: Vec<String>,
    /// Names the run.
    pub run: String,
    /// Fleets that the ledger knows.
    pub fleets: Vec<String>,
}

impl Around {
    /// Those of this process.
    pub fn real() -> Self {
        Self {
            words: std::env::args_os()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            run: super::run_id::fresh(),
            fleets: super::joined::known(),
        }
    }
}

/// What the flags mean.
pub fn understand(args: &ExecArgs, around: &Around) -> Result<ExecCommand, Usage> {
    let mut noted = Noted::default();
    let words = words(args)?;
    let sources = args.crew.sources()?;
    if !sources.is_empty() && !order::names(&words, "{source}") {
        return Err(Usage(
            "--source-ips: the command has no {source}, and nothing else would use them".into(),
        ));
    }
    let fetch = fetch(&args.fetch)?;
    let out = out(args)?;
    let shown: Vec<String> = around
        .words
        .iter()
        .map(|word| secret::quoted(&secret::redact_urls(word)))
        .collect();
    let plan = OrderPlan {
        run: around.run.clone(),
        command: shown.join(" "),
        words,
        login_shell: args.login_shell,
        uploads: uploads(&args.upload)?,
        fetch,
        timeout: read("--timeout", &args.timeout, units::duration_above_zero)?,
        silence: args.crew.silence(&mut noted)?,
        sources,
        min_hosts: args.crew.min_hosts(&mut noted)?,
    };
    Ok(ExecCommand {
        plan,
        hosts: args.crew.hosts(&around.fleets, &mut noted)?,
        ssh: args.crew.from.ssh(),
        agent_binaries: args.crew.agent_binaries()?,
        gather: args.gather,
        out,
        output: Output {
            files: outputs::files(&args.output)?,
            json: args.json,
            quiet: args.quiet,
        },
        defaults: noted.defaults,
    })
}

fn words(args: &ExecArgs) -> Result<Words, Usage> {
    if let Some(stray) = args.stray.first() {
        return Err(Usage(format!(
            "{}: the command stands behind `--`: swarm exec --hosts ... -- {} ...",
            stray.to_string_lossy(),
            stray.to_string_lossy()
        )));
    }
    let bytes = |word: &OsString| word.clone().into_vec().into();
    let words = match (&args.shell, args.command.as_slice()) {
        (Some(_), [_, ..]) => {
            return Err(Usage("--shell and a command behind `--`: give one of them".into()));
        }
        (Some(line), []) if line.to_string_lossy().trim().is_empty() => {
            return Err(Usage("--shell is empty: --shell 'a | b'".into()));
        }
        (Some(line), []) => Words::Line(bytes(line)),
        (None, []) => {
            return Err(Usage(
                "exec what? a command is missing: swarm exec --hosts ... -- uptime, or --shell 'a | b'".into(),
            ));
        }
        (None, [program, ..]) if program.is_empty() => {
            return Err(Usage("the command's first word is empty".into()));
        }
        (None, argv) => Words::Argv(argv.iter().map(bytes).collect()),
    };
    match order::bad_share(&words) {
        Some(bad) => Err(Usage(format!("{bad}: a whole number is wanted, as {{share:1000}}"))),
        None => Ok(words),
    }
}

fn uploads(files: &[PathBuf]) -> Result<Vec<(Upload, Bytes)>, Usage> {
    let mut read: Vec<(Upload, Bytes)> = Vec::new();
    let mut whole = 0;
    for path in files {
        let wrong = |why: String| Usage(format!("--upload {}: {why}", path.display()));
        let about = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
        if !about.is_file() {
            return Err(wrong("is no file; pack a folder into one (tar)".into()));
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| wrong("its name is no text".into()))?.to_owned();
        if read.iter().any(|(known, _)| known.name == name) {
            return Err(wrong(format!("a second {name}; all of them go into one folder")));
        }
        whole += about.len();
        if whole > MOST_UPLOADED {
            return Err(wrong(format!(
                "all uploads together may have {} MiB",
                MOST_UPLOADED >> 20
            )));
        }
        let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let upload = Upload {
            name,
            mode: about.permissions().mode() & 0o777,
            size: bytes.len() as u64,
        };
        read.push((upload, bytes.into()));
    }
    Ok(read)
}

/// Each file once, written one way only, and none above its folder.
fn fetch(typed: &[String]) -> Result<Vec<String>, Usage> {
    let mut files: Vec<String> = Vec::new();
    for text in typed {
        let wrong = |why: &str| Usage(format!("--fetch {text}: {why}"));
        let mut path = PathBuf::new();
        for part in Path::new(text).components() {
            match part {
                Component::ParentDir => return Err(wrong("may not hold `..`")),
                Component::CurDir => {}
                part => path.push(part),
            }
        }
        let path = path.to_str().unwrap_or_default().to_owned();
        if path.is_empty() || path == "/" || text.ends_with('/') {
            return Err(wrong("names no file"));
        }
        if files.contains(&path) {
            return Err(wrong("given twice"));
        }
        files.push(path);
    }
    Ok(files)
}

fn out(args: &ExecArgs) -> Result<PathBuf, Usage> {
    if args.fetch.is_empty() {
        return match &args.out {
            Some(_) => Err(Usage("--out: nothing is fetched; add --fetch FILE".into())),
            None => Ok(OUT.into()),
        };
    }
    let out = args.out.clone().unwrap_or_else(|| OUT.into());
    let empty = match std::fs::read_dir(&out) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    match empty {
        true => Ok(out),
        false => Err(Usage(format!(
            "--fetch: {} is there already and is not overwritten: name another folder with --out FOLDER",
            out.display()
        ))),
    }
}

#[cfg(test)]
mod tests;
