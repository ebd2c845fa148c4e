//! Where the hosts come from, what is written, how far to go. Checks that outputs can be written; opens no socket.

use super::args::AttackArgs;
use super::{Mode, Noted, Outputs, Surroundings, fleet, read};
use crate::cli::hosts::HostsFrom;
use crate::cli::{Usage, units};
use crate::plan::MinHosts;
use std::path::{Path, PathBuf};

/// More agents than this on one machine measure only each other.
const MOST_LOCAL: u64 = 256;

pub(super) fn hosts(args: &AttackArgs, around: &Surroundings, noted: &mut Noted) -> Result<HostsFrom, Usage> {
    let local = read("--local", &args.local, |text| match units::count(text)? {
        n if n > MOST_LOCAL => Err(format!("at most {MOST_LOCAL}")),
        n => Ok(u32::try_from(n).unwrap_or(u32::MAX)),
    })?;
    let listed = args.from.names_any();
    let fleet = match (&args.fleet, listed || local.is_some()) {
        (Some(_), _) => Some(crate::cli::fleet_name(&args.fleet)?),
        (None, true) => None,
        (None, false) => fleet::meant(None, &around.fleets).map_err(Usage)?,
    };
    let local = match (local, listed || fleet.is_some()) {
        (Some(n), _) => n,
        (None, true) => 0,
        (None, false) => {
            noted.took("--local 1");
            1
        }
    };
    args.from.from_where(local, fleet)
}

pub(super) fn min_hosts(args: &AttackArgs, noted: &mut Noted) -> Result<MinHosts, Usage> {
    Ok(crate::cli::min_hosts(&args.min_hosts)?.unwrap_or_else(|| {
        noted.took("--min-hosts 100%");
        MinHosts::Percent(100.0)
    }))
}

pub(super) fn mode(args: &AttackArgs) -> Result<Mode, Usage> {
    match (args.dry_run, args.arm_only) {
        (true, true) => Err(Usage("--dry-run and --arm-only: give one of them".into())),
        (true, false) => Ok(Mode::DryRun),
        (false, true) => Ok(Mode::ArmOnly),
        (false, false) => Ok(Mode::Run),
    }
}

pub(super) fn outputs(args: &AttackArgs) -> Result<Outputs, Usage> {
    for (place, path) in args.output.iter().enumerate() {
        check(path).map_err(|error| Usage(format!("-o {}: {error}", path.display())))?;
        if args.output[..place].contains(path) {
            return Err(Usage(format!("-o {}: given twice", path.display())));
        }
    }
    let live = !args.no_live && !args.quiet;
    Ok(Outputs {
        files: args.output.clone(),
        json: args.json,
        quiet: args.quiet,
        live,
    })
}

fn check(path: &Path) -> Result<(), String> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => {}
        Some(later @ ("html" | "csv")) => {
            return Err(format!("{later} is not there yet: FILE.json"));
        }
        Some(ending) => return Err(format!("unknown ending `.{ending}`: FILE.json")),
        None => return Err("no ending: FILE.json".into()),
    }
    if path.is_dir() {
        return Err("is a folder".into());
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // a nameless file, gone at once, is the only question to a file system that gives a true answer
    tempfile::tempfile_in(folder)
        .map(drop)
        .map_err(|error| format!("the folder can't be written: {error}"))
}

pub(super) fn agent_binaries(args: &AttackArgs) -> Result<Vec<(String, PathBuf)>, Usage> {
    let mut read: Vec<(String, PathBuf)> = Vec::new();
    for typed in &args.agent_binary {
        let wrong = |error: String| Usage(format!("--agent-binary {typed}: {error}"));
        let (architecture, file) = typed
            .split_once('=')
            .ok_or_else(|| wrong("ARCH=FILE, as x86_64=swarm-agent".into()))?;
        let plain = !architecture.is_empty() && architecture.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !plain || file.is_empty() {
            return Err(wrong("ARCH=FILE, as x86_64=swarm-agent".into()));
        }
        if read.iter().any(|(known, _)| known == architecture) {
            return Err(wrong(format!("{architecture} is given twice")));
        }
        if !Path::new(file).is_file() {
            return Err(wrong(format!("{file} is no file")));
        }
        read.push((architecture.to_string(), PathBuf::from(file)));
    }
    Ok(read)
}
