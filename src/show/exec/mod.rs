//! What `swarm exec` shows: lines as they are printed on the hosts, the table at the end, the report.

mod json;
pub mod lines;

use super::{ShowError, clean, figures, files, out, tables};
use crate::conduct::exec::ExecEnd;
use crate::merge::exec::{ExecRow, ExecSummary, ended, in_words};
use crate::secret;
use std::io::Write;
use swarm_agent::wire::exec::Words;

/// How wide the column of ends may get: a reason why a program cannot be executed is a sentence.
const END: usize = 100;

/// A command as a shell would read it, without the secrets of URLs.
pub fn command(words: &Words) -> String {
    match words {
        Words::Line(line) => secret::redact_urls(&String::from_utf8_lossy(line)),
        Words::Argv(argv) => {
            let words = argv
                .iter()
                .map(|word| secret::quoted(&secret::redact_urls(&String::from_utf8_lossy(word))));
            words.collect::<Vec<_>>().join(" ")
        }
    }
}

/// Prints to stderr as it stands, where the lines were cleaned before.
pub fn err(text: &str) {
    // there is no way to tell when that fails
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Writes the files, then prints. All files are tried; the first failure is returned after the result was printed.
pub fn finish(summary: &ExecSummary, output: &super::Output) -> Result<(), ShowError> {
    let json = match output.json || !output.files.is_empty() {
        true => Some(json::text(summary)?),
        false => None,
    };
    let mut first = Ok(());
    for path in &output.files {
        let written = files::write(path, json.as_deref().unwrap_or_default().as_bytes());
        first = first.and(written);
    }
    if !output.json {
        err(&text(summary, output.quiet));
    }
    let printed = match output.json {
        true => out(json.as_deref().unwrap_or_default()),
        false => Ok(()),
    };
    first.and(printed)
}

/// The end of a run; what is quiet says only what went wrong.
pub fn text(summary: &ExecSummary, quiet: bool) -> String {
    let mut text = String::new();
    if !quiet {
        text += &format!(
            "run {}: {}, {}\n\n{}",
            summary.run,
            summary.status.word(),
            figures::span(summary.duration_s),
            table(summary)
        );
        if let Some(sync) = &summary.sync {
            let bound = sync
                .start_skew_bound_us
                .map(|bound| format!(", ± {} ms", figures::ms(bound as f64)));
            text += &format!(
                "start skew {} ms{}\n",
                figures::ms(sync.start_skew_us as f64),
                bound.unwrap_or_default()
            );
        }
        let fetched = summary.hosts.iter().flat_map(|row| &row.received.files);
        let paths: Vec<&String> = fetched.filter_map(|file| Some(&file.result.as_ref().ok()?.0)).collect();
        if let Some(first) = paths.first() {
            text += &format!(
                "fetched {} {}, {first} the first\n",
                paths.len(),
                if paths.len() == 1 { "file" } else { "files" }
            );
        }
    }
    for warning in &summary.warnings {
        text += &format!("warning: {}\n", clean::line(&warning.text));
        if let Some(advice) = &warning.advice {
            text += &format!("  -> {}\n", clean::line(advice));
        }
    }
    if quiet {
        let bad = summary.hosts.iter().filter(|row| end(row) != "exit 0");
        for row in bad {
            text += &format!(
                "{}: {}\n",
                clean::cell(&row.host.name),
                clean::cut(&clean::line(&end(row)), END)
            );
        }
    }
    text
}

fn end(row: &ExecRow) -> String {
    match &row.host.end {
        ExecEnd::Ended(ended) => in_words(ended),
        ExecEnd::Lost { at_s, why } => format!("lost after {}: {why}", figures::span(*at_s)),
        ExecEnd::Refused { why } => format!("refused: {why}"),
    }
}

fn table(summary: &ExecSummary) -> String {
    let rows: Vec<Vec<String>> = summary.hosts.iter().map(columns).collect();
    tables::limited(
        &["host", "start, ms", "took, s", "clock ±ms", "ended"],
        rows,
        &[4],
        "hosts",
    )
}

fn columns(row: &ExecRow) -> Vec<String> {
    let ms = |us: f64| format!("{}{}", if us < 0.0 { "-" } else { "+" }, figures::ms(us.abs()));
    let began = ended(&row.host).is_some_and(|ended| ended.began.is_some());
    vec![
        clean::cell(&row.host.name),
        row.start_offset_us.map(|us| ms(us as f64)).unwrap_or_default(),
        row.duration_us
            .filter(|_| began)
            .map(|us| format!("{:.3}", us as f64 / 1e6))
            .unwrap_or_default(),
        row.clock_error_us.map(|us| figures::ms(us as f64)).unwrap_or_default(),
        clean::cut(&clean::line(&end(row)), END),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_reads_it_without_secrets() {
        let argv = ["wrk", "b c", "https://u:p@h/?token=1"].map(|word| word.as_bytes().to_vec().into());
        assert_eq!(command(&Words::Argv(argv.into())), "wrk 'b c' 'https://h/?token=***'");
        let line = Words::Line(b"curl https://u:p@h/ | wc -l".to_vec().into());
        assert_eq!(command(&line), "curl https://h/ | wc -l");
    }
}
