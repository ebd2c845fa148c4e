//! What `swarm exec`'s flags mean, and every refusal with its line.

use super::*;
use crate::cli::{Command, Parsed, parse};

fn typed(line: &[&str]) -> Result<ExecCommand, Usage> {
    let words = ["swarm", "exec"].iter().chain(line).map(OsString::from);
    match parse(words)? {
        Parsed::Command(Command::Exec(args)) => understand(
            &args,
            &Around {
                words: line.iter().map(|word| (*word).to_owned()).collect(),
                run: "1m85pzp45s2j".into(),
                fleets: Vec::new(),
            },
        ),
        _ => Err(Usage("not exec".into())),
    }
}

#[test]
fn words_are_taken_exactly() {
    let command = typed(&[
        "--local",
        "2",
        "--timeout",
        "5s",
        "--",
        "wrk",
        "-t1",
        "--local",
        "a b",
        "",
    ])
    .unwrap();
    let words: Vec<_> = ["wrk", "-t1", "--local", "a b", ""]
        .map(|word| word.as_bytes().to_vec().into())
        .into();
    assert_eq!(command.plan.words, Words::Argv(words));
    assert_eq!((command.plan.timeout, command.hosts.local), (Some(5_000_000_000), 2));
    assert_eq!(command.out, PathBuf::from("out"));
    let line = typed(&["--shell", "a | b"]).unwrap();
    assert_eq!(line.plan.words, Words::Line(b"a | b".to_vec().into()));
    assert_eq!(line.hosts.local, 1);
}

#[test]
fn secrets_of_urls_are_not_in_the_report() {
    let command = typed(&["--", "wrk", "https://u:p@h/?token=1"]).unwrap();
    assert!(!command.plan.command.contains("u:p") && !command.plan.command.contains("token=1"));
}

#[test]
fn what_is_wrong_is_told_with_the_way_out() {
    for (line, says) in [
        (&[][..], "exec what? a command is missing"),
        (&["uptime"], "the command stands behind `--`"),
        (&["--", ""], "first word is empty"),
        (&["--shell", " "], "--shell is empty"),
        (&["--shell", "a", "--", "b"], "give one of them"),
        (&["--", "x", "{share:1k}"], "{share:1k}: a whole number"),
        (&["--source-ips", "127.0.0.2", "--", "x"], "the command has no {source}"),
        (&["--timeout", "5", "--", "x"], "5s?"),
        (&["--upload", "/none/such", "--", "x"], "--upload /none/such"),
        (&["--upload", "/tmp", "--", "x"], "is no file"),
        (
            &["--upload", "/etc/passwd", "--upload", "/etc/passwd", "--", "x"],
            "a second passwd",
        ),
        (&["--fetch", "../x", "--", "x"], "may not hold `..`"),
        (&["--fetch", "x/", "--", "x"], "names no file"),
        (&["--fetch", "x", "--fetch", "./x", "--", "x"], "given twice"),
        (
            &["--fetch", "x", "--out", "/etc", "--", "x"],
            "name another folder with --out",
        ),
        (&["--out", "there", "--", "x"], "nothing is fetched"),
        (&["-o", "r.txt", "--", "x"], "FILE.json"),
        (&["--min-hosts", "0%", "--", "x"], "between 1% and 100%"),
        (&["-i", "key", "--", "x"], "no host is reached over ssh"),
    ] {
        let error = typed(line).expect_err(&format!("{line:?}"));
        assert!(error.0.contains(says), "{line:?}: {error}");
    }
}

#[test]
fn uploads_keep_name_and_mode() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.sh");
    std::fs::write(&path, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
    let command = typed(&["--upload", path.to_str().unwrap(), "--", "./bench.sh"]).unwrap();
    let (upload, bytes) = &command.plan.uploads[0];
    assert_eq!(
        (upload.name.as_str(), upload.mode, upload.size),
        ("bench.sh", 0o750, 10)
    );
    assert_eq!(&bytes[..], b"#!/bin/sh\n");
}
