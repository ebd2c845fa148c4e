//! What is written, how far to go. Checks that outputs can be written; opens no socket.

use super::args::AttackArgs;
use super::{Mode, Outputs};
use crate::cli::Usage;
use std::path::{Path, PathBuf};

pub(super) fn mode(args: &AttackArgs) -> Result<Mode, Usage> {
    match (args.dry_run, args.arm_only) {
        (true, true) => Err(Usage("--dry-run and --arm-only: give one of them".into())),
        (true, false) => Ok(Mode::DryRun),
        (false, true) => Ok(Mode::ArmOnly),
        (false, false) => Ok(Mode::Run),
    }
}

pub(super) fn outputs(args: &AttackArgs) -> Result<Outputs, Usage> {
    let live = !args.no_live && !args.quiet;
    Ok(Outputs {
        files: files(&args.output)?,
        json: args.json,
        quiet: args.quiet,
        live,
    })
}

/// `-o`: files that can be written, each once.
pub(in crate::cli) fn files(typed: &[PathBuf]) -> Result<Vec<PathBuf>, Usage> {
    for (place, path) in typed.iter().enumerate() {
        check(path).map_err(|error| Usage(format!("-o {}: {error}", path.display())))?;
        if typed[..place].contains(path) {
            return Err(Usage(format!("-o {}: given twice", path.display())));
        }
    }
    Ok(typed.to_vec())
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
