//! Everything a user reads: text, JSON, the live line. The only place that writes to stdout and stderr.
//!
//! Never here: measuring, merging, deciding how a run ended.

mod beside;
mod beside_json;
mod broadcast;
pub mod check;
pub mod clean;
pub mod exec;
pub mod figures;
pub mod files;
pub mod fleet;
mod flows;
pub mod json;
pub mod live;
mod load;
mod observed;
mod rows;
pub mod spread;
pub mod tables;
#[cfg(test)]
mod tests;
pub mod text;

use crate::merge::Summary;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

/// Where the result goes.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// `-o`: each ends in `.json`.
    pub files: Vec<PathBuf>,
    /// `--json`: stdout holds the JSON report alone.
    pub json: bool,
    /// `--quiet`: without `--json`, stdout stays empty.
    pub quiet: bool,
}

/// What can go wrong with showing a result.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// A file could not be written.
    #[error("cannot write {}: choose another folder with -o", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The end of a file's name says nothing of its form.
    #[error("{}: unknown form; name it .json", path.display())]
    Form {
        /// Which.
        path: PathBuf,
    },
    /// stdout could not be written (a closed pipe is no error).
    #[error("cannot write to stdout")]
    Stdout(#[source] io::Error),
    /// The report could not be put into JSON.
    #[error("cannot write the report as JSON")]
    Json(#[from] serde_json::Error),
}

/// Writes the files, then prints. All files are tried; the first failure is returned after the result was printed.
pub fn finish(summary: &Summary, output: &Output) -> Result<(), ShowError> {
    let json = match output.json || !output.files.is_empty() {
        true => Some(json::text(summary)?),
        false => None,
    };
    let mut first = Ok(());
    for path in &output.files {
        let written = files::write(path, json.as_deref().unwrap_or_default().as_bytes());
        first = first.and(written);
    }
    let printed = match (output.json, output.quiet) {
        (true, _) => out(json.as_deref().unwrap_or_default()),
        (false, true) => Ok(()),
        (false, false) => out(&text::render(summary)),
    };
    first.and(printed)
}

/// Prints to stdout as it stands. A reader that went away is no error.
pub fn out(text: &str) -> Result<(), ShowError> {
    pipe(&mut io::stdout().lock(), text).map_err(ShowError::Stdout)
}

/// Prints one line to stderr, control characters taken out. There is no way to tell when that fails.
pub fn say(text: &str) {
    for line in text.lines() {
        let _ = writeln!(io::stderr().lock(), "{}", clean::line_indented(line));
    }
}

fn pipe(writer: &mut dyn Write, text: &str) -> io::Result<()> {
    match writer.write_all(text.as_bytes()).and_then(|()| writer.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
