//! `swarm playbook`: list, show, check, and websocket-bench's command line as a playbook. No network.

use super::Usage;
use super::attack::args::AttackArgs;
use super::attack::{AttackCommand, Surroundings, understand};
use super::crew_args::CrewArgs;
use super::preview::{Crew, preview};
use crate::error::{Error, Exit};
use crate::playbook::from_bench::from_bench;
use crate::playbook::place;
use crate::playbook::resolved::resolved;
use crate::playbook::shipped::ALL;
use crate::show;

/// `swarm playbook` as typed.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum PlaybookCommand {
    /// The playbooks that come with swarm, and what each finds
    List,
    /// Print one with the values of its [vars] filled in
    Show {
        /// A shipped playbook, or a file
        #[arg(value_name = "NAME|FILE")]
        playbook: String,
        /// A value of its [vars] (repeatable)
        #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
        set: Vec<String>,
    },
    /// Check one without load and print what it comes to
    Check {
        /// A file, or a shipped playbook
        #[arg(value_name = "FILE|NAME")]
        playbook: String,
        /// A value of its [vars] (repeatable)
        #[arg(long, value_name = "NAME=VALUE", allow_hyphen_values = true)]
        set: Vec<String>,
    },
    /// Print a playbook that does the same as websocket-bench with this command line
    FromWebsocketBench {
        /// Its command line, in quotes: '-a 1000 -c 200 http://host:3000'
        #[arg(value_name = "LINE", required = true, num_args = 1.., allow_hyphen_values = true, trailing_var_arg = true)]
        line: Vec<String>,
    },
}

/// Runs one of them.
pub fn playbook(command: &PlaybookCommand) -> Result<Exit, Error> {
    let text = text(command)?;
    let printed = show::out(&text).map(|()| Exit::Ok);
    printed.map_err(|error| Error::Unexpected(Box::new(error)))
}

/// What it prints.
fn text(command: &PlaybookCommand) -> Result<String, Usage> {
    match command {
        PlaybookCommand::List => Ok(list()),
        PlaybookCommand::Show { playbook, set } => {
            let source = place::find(playbook).map_err(Usage)?;
            // what is shown is right, or its faults are
            check(playbook, set)?;
            resolved(&source, set).map_err(Usage)
        }
        PlaybookCommand::Check { playbook, set } => check(playbook, set),
        PlaybookCommand::FromWebsocketBench { line } => from_bench(&line.join(" ")).map_err(Usage),
    }
}

fn list() -> String {
    let widest = ALL.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let about = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("about = \""));
        line.and_then(|line| line.strip_suffix('"'))
            .unwrap_or_default()
            .to_string()
    };
    let mut lines: Vec<String> = ALL
        .iter()
        .map(|(name, text)| format!("{name:widest$}  {}", about(text)))
        .collect();
    lines.push(String::new());
    lines.push("swarm playbook show NAME        what it does, how to fit it to a site".into());
    lines.push("swarm attack --playbook NAME URL --set KEY=VALUE".into());
    lines.join("\n") + "\n"
}

/// Reads it as `attack` would. Variables of the environment and a missing target are no matter here.
fn check(named: &str, sets: &[String]) -> Result<String, Usage> {
    let command = checked(named, sets, Vec::new()).or_else(|error| match error.0.contains("a URL is missing") {
        true => checked(named, sets, vec!["http://127.0.0.1/".into()]),
        false => Err(error),
    })?;
    let hosts = command.needs.hosts.unwrap_or(1).max(1);
    let crew = Crew {
        from: format!("{hosts} {}", if hosts == 1 { "host" } else { "hosts" }),
        weights: vec![1; usize::try_from(hosts).unwrap_or(1)],
        ..Crew::default()
    };
    Ok(format!(
        "{named}: right\n{}",
        preview(&command.plan, &crew, &command.notes)
    ))
}

fn checked(named: &str, sets: &[String], urls: Vec<String>) -> Result<AttackCommand, Usage> {
    let args = AttackArgs {
        urls,
        playbook: Some(named.to_string()),
        set: sets.to_vec(),
        dry_run: true,
        crew: CrewArgs {
            local: Some("1".into()),
            ..CrewArgs::default()
        },
        ..AttackArgs::default()
    };
    let around = Surroundings {
        words: Vec::new(),
        environment: Box::new(|name| Some(std::env::var(name).unwrap_or_else(|_| format!("value of {name}")))),
        run: "checked".into(),
        fleets: Vec::new(),
    };
    understand(&args, &around)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shipped_playbooks_are_listed_checked_and_shown() {
        let listed = list();
        for (name, _) in ALL {
            let line = listed.lines().find(|line| line.split_whitespace().next() == Some(name));
            assert!(
                line.is_some_and(|line| line.split_whitespace().count() > 3),
                "{name}: {listed}"
            );
            let checked = check(name, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(
                checked.starts_with(&format!("{name}: right\nplaybook {name}\n")),
                "{checked}"
            );
            let shown = text(&PlaybookCommand::Show {
                playbook: name.into(),
                set: Vec::new(),
            });
            assert!(shown.unwrap().contains("[vars]"), "{name}");
        }
    }

    #[test]
    fn what_websocket_bench_does_is_a_right_playbook() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("gen.js"), "").unwrap();
        for line in [
            "-a 1000 -c 200 -k http://h:3000",
            "-t engine.io h:1",
            "-m 3 -g gen.js -a 5 h",
            "-g gen.js h",
        ] {
            let file = folder.path().join("made.toml");
            std::fs::write(&file, from_bench(line).unwrap()).unwrap();
            let file = file.display().to_string();
            check(&file, &[]).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn what_is_wrong_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wrong.toml");
        std::fs::write(&file, "target = 'ws://h'\n[load]\nconections = 5\n").unwrap();
        let shown = text(&PlaybookCommand::Show {
            playbook: file.display().to_string(),
            set: Vec::new(),
        });
        let error = shown.unwrap_err().0;
        assert!(error.contains(":3: [load] has no key `conections`"), "{error}");
    }

    #[test]
    fn names_that_are_not_there_get_the_nearest() {
        let error = check("socketio-100", &[]).unwrap_err().0;
        assert!(error.contains("did you mean socketio-1000?"), "{error}");
        assert!(check("xyzzy", &[]).unwrap_err().0.contains("swarm playbook list"));
        assert!(
            check("no/such.toml", &[])
                .unwrap_err()
                .0
                .contains("cannot read no/such.toml")
        );
    }
}
