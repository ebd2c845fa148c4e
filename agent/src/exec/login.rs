//! From the words of an order to the program that is executed: itself, `/bin/sh`, or the user's login shell before it.
//! Pure but for `SHELL`, which is handed in.

use crate::wire::exec::Words;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// The shell of a line, and of users whose own is not known.
const SH: &str = "/bin/sh";

/// What is executed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// Its file, or a name to be found in PATH.
    pub path: OsString,
    /// What it is told that it is called, where that differs: a dash before a shell's name makes it a login shell.
    pub zeroth: Option<OsString>,
    /// The arguments after that.
    pub arguments: Vec<OsString>,
}

/// The program that runs these words.
pub(super) fn program(words: &Words, login_shell: bool, shell: Option<OsString>) -> Program {
    let owned = |bytes: &serde_bytes::ByteBuf| OsString::from_vec(bytes.to_vec());
    match (words, login_shell) {
        (Words::Argv(argv), false) => {
            let mut argv = argv.iter().map(owned);
            Program {
                path: argv.next().unwrap_or_default(),
                zeroth: None,
                arguments: argv.collect(),
            }
        }
        (Words::Line(line), false) => Program {
            path: SH.into(),
            zeroth: None,
            arguments: vec!["-c".into(), owned(line)],
        },
        (Words::Line(line), true) => in_login(shell, owned(line), Vec::new()),
        (Words::Argv(argv), true) => {
            let becomes = becomes(&shell_name(shell.as_ref()));
            let mut arguments: Vec<OsString> = argv.iter().map(owned).collect();
            if becomes.names_itself {
                arguments.insert(0, "swarm".into());
            }
            in_login(shell, becomes.script.into(), arguments)
        }
    }
}

fn in_login(shell: Option<OsString>, script: OsString, more: Vec<OsString>) -> Program {
    let mut zeroth = OsString::from("-");
    zeroth.push(shell_name(shell.as_ref()));
    let mut arguments = vec!["-c".into(), script];
    arguments.extend(more);
    Program {
        path: shell.filter(|path| !path.is_empty()).unwrap_or_else(|| SH.into()),
        zeroth: Some(zeroth),
        arguments,
    }
}

fn shell_name(shell: Option<&OsString>) -> String {
    let path = shell
        .filter(|path| !path.is_empty())
        .map_or(SH.into(), |path| path.to_string_lossy());
    path.rsplit('/').next().unwrap_or("sh").to_owned()
}

/// A line with which a shell becomes its arguments, each exactly as it is.
struct Becomes {
    script: &'static str,
    /// The first argument after the line is the name of the script.
    names_itself: bool,
}

fn becomes(shell: &str) -> Becomes {
    match shell {
        "csh" | "tcsh" => Becomes {
            script: "exec $argv:q",
            names_itself: false,
        },
        "fish" => Becomes {
            script: "exec $argv",
            names_itself: false,
        },
        _ => Becomes {
            script: "exec \"$@\"",
            names_itself: true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &[&str], login: bool, shell: Option<&str>) -> String {
        let argv = words.iter().map(|word| word.as_bytes().to_vec().into()).collect();
        let program = program(&Words::Argv(argv), login, shell.map(OsString::from));
        let zeroth = program.zeroth.unwrap_or_else(|| program.path.clone());
        let words = [program.path, zeroth].into_iter().chain(program.arguments);
        words.map(|word| format!("[{}]", word.to_string_lossy())).collect()
    }

    #[test]
    fn words_stay_as_they_are_whatever_the_shell() {
        let words = ["wrk", "a b", "$x"];
        for (login, shell, says) in [
            (false, Some("/bin/bash"), "[wrk][wrk][a b][$x]"),
            (
                true,
                Some("/bin/bash"),
                "[/bin/bash][-bash][-c][exec \"$@\"][swarm][wrk][a b][$x]",
            ),
            (true, None, "[/bin/sh][-sh][-c][exec \"$@\"][swarm][wrk][a b][$x]"),
            (
                true,
                Some("/bin/tcsh"),
                "[/bin/tcsh][-tcsh][-c][exec $argv:q][wrk][a b][$x]",
            ),
            (
                true,
                Some("/usr/bin/fish"),
                "[/usr/bin/fish][-fish][-c][exec $argv][wrk][a b][$x]",
            ),
        ] {
            assert_eq!(shown(&words, login, shell), says);
        }
    }

    #[test]
    fn a_line_is_the_shells() {
        let line = Words::Line(b"a | b".to_vec().into());
        let plain = program(&line, false, Some("/bin/bash".into()));
        assert_eq!(
            (plain.path, plain.arguments),
            ("/bin/sh".into(), vec!["-c".into(), "a | b".into()])
        );
        let login = program(&line, true, Some("/bin/bash".into()));
        assert_eq!((login.path, login.zeroth), ("/bin/bash".into(), Some("-bash".into())));
    }
}
