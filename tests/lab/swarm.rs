//! Owns: running the swarm binary as a user does, and reading what came out: exit code, text, report.
//! Must not: know swarm's inside; only the command line and the report's schema.

use crate::lab::Lab;
use crate::process::{self, Finished};
use crate::server::Matrix;
use crate::{Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// No attack of the lab takes longer; one that does hangs.
const LIMIT: Duration = Duration::from_secs(60);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A `swarm attack` or `swarm exec` that has not been started.
pub struct Attack<'a> {
    lab: &'a Lab,
    verb: &'static str,
    hosts: Option<String>,
    config: PathBuf,
    words: Vec<String>,
    /// What stands behind `--`.
    behind: Vec<String>,
    limit: Duration,
}

impl<'a> Attack<'a> {
    /// From `h1` to `h4` unless said otherwise.
    pub fn new(lab: &'a Lab, url: &str) -> Self {
        Self {
            lab,
            verb: "attack",
            hosts: Some("h1,h2,h3,h4".into()),
            config: lab.configs.plain.clone(),
            words: vec![url.into()],
            behind: Vec::new(),
            limit: LIMIT,
        }
    }

    /// A playbook, likewise; its own target.
    pub fn playbook(lab: &'a Lab, name: &str) -> Self {
        Self {
            words: vec!["--playbook".into(), name.into()],
            ..Self::new(lab, "")
        }
    }

    /// `swarm exec` of these words, likewise.
    pub fn exec(lab: &'a Lab, command: &[&str]) -> Self {
        Self {
            verb: "exec",
            words: Vec::new(),
            behind: ["--"].iter().chain(command).map(|word| (*word).to_owned()).collect(),
            ..Self::new(lab, "")
        }
    }

    pub fn hosts(mut self, hosts: &str) -> Self {
        self.hosts = Some(hosts.into());
        self
    }

    /// Without `--hosts`: the words say where from.
    pub fn no_hosts(mut self) -> Self {
        self.hosts = None;
        self
    }

    pub fn config(mut self, config: &std::path::Path) -> Self {
        self.config = config.into();
        self
    }

    /// More words of the command line, split at spaces.
    pub fn with(mut self, words: &str) -> Self {
        self.words.extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// One more word, as it is.
    pub fn word(mut self, word: &str) -> Self {
        self.words.push(word.into());
        self
    }

    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    pub fn start(self) -> Result<Attacking> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let report = self.lab.folder.join(format!("reports/{number}.json"));
        let mut command = swarm(self.lab)?;
        command.arg(self.verb).args(&self.words).arg("-o").arg(&report);
        // an ssh flag without a host to reach over ssh is refused
        if !self.words.iter().any(|word| word == "--local") {
            command.arg("-F").arg(&self.config);
        }
        if let Some(hosts) = &self.hosts {
            command.args(["--hosts", hosts]);
        }
        command.args(&self.behind);
        let shown = format!("{command:?}");
        let running = process::start(&mut command)?;
        process::note(&self.lab.folder, running.pid())?;
        Ok(Attacking {
            running,
            report,
            limit: self.limit,
            shown,
        })
    }

    pub fn run(self) -> Result<Outcome> {
        self.start()?.wait()
    }
}

/// The program in the lab's own home.
fn swarm(lab: &Lab) -> Result<Command> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarm"));
    at_home(lab, &mut command)?;
    Ok(command)
}

/// Nothing of this machine's user is to matter to a command: not its ssh set-up, not its fleets.
pub fn at_home(lab: &Lab, command: &mut Command) -> Result {
    command
        .env_clear()
        .env("PATH", std::env::var("PATH")?)
        .env("TERM", "dumb");
    command.env("HOME", lab.folder.join("home")).env("SWARM_LAB", &lab.id);
    command.current_dir(lab.folder.join("home"));
    Ok(())
}

/// For the README and for the curious, what was typed and printed: SWARM_LAB_SHOW=1 cargo test --test lab -- CASE
pub fn shown(typed: &str, finished: &Finished) -> Result {
    if std::env::var_os("SWARM_LAB_SHOW").is_some() {
        let text = format!("\n{typed}\n{}{}\n", finished.stderr, finished.stdout);
        std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes())?;
    }
    Ok(())
}

/// Runs swarm with these words to its end.
pub fn ran(lab: &Lab, words: &[&str]) -> Result<Finished> {
    let running = process::start(swarm(lab)?.args(words))?;
    process::note(&lab.folder, running.pid())?;
    running.wait(LIMIT)
}

/// What swarm prints for these words, which must end well.
pub fn said(lab: &Lab, words: &[&str]) -> Result<String> {
    let finished = ran(lab, words)?;
    ensure!(finished.status.success(), "swarm {words:?}: {}", finished.stderr);
    Ok(finished.stdout)
}

/// Runs `swarm down --hosts` to its end.
pub fn down(lab: &Lab, hosts: &str) -> Result<Outcome> {
    let mut command = swarm(lab)?;
    command.args(["down", "--hosts", hosts, "-F"]).arg(&lab.configs.plain);
    let shown = format!("{command:?}");
    let running = process::start(&mut command)?;
    process::note(&lab.folder, running.pid())?;
    Ok(Outcome {
        finished: running.wait(LIMIT)?,
        report: None,
        shown,
    })
}

/// One under way.
pub struct Attacking {
    running: process::Running,
    report: PathBuf,
    limit: Duration,
    shown: String,
}

impl Attacking {
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Waits until `so`; ends with an error when the attack ends before.
    pub fn until(&mut self, what: &str, limit: Duration, mut so: impl FnMut() -> Result<bool>) -> Result {
        let mut over = false;
        process::wait_until(what, limit, || {
            over = self.running.has_ended()?;
            Ok(over || so()?)
        })?;
        ensure!(!over || so()?, "the attack ended before {what}");
        Ok(())
    }

    pub fn signal(&self, signal: Signal) -> Result {
        process::signal(self.pid(), signal)
    }

    pub fn wait(self) -> Result<Outcome> {
        let finished = self.running.wait(self.limit)?;
        let report = match std::fs::read_to_string(&self.report) {
            Ok(text) => Some(serde_json::from_str(&text).map_err(|e| format!("the report is no JSON: {e}"))?),
            Err(_) => None,
        };
        let outcome = Outcome {
            finished,
            report,
            shown: self.shown,
        };
        shown(&outcome.shown, &outcome.finished)?;
        if outcome.finished.timed_out {
            return Err(outcome.wrong("it hung: killed at its limit"));
        }
        Ok(outcome)
    }
}

/// What came out of one run.
pub struct Outcome {
    pub finished: Finished,
    report: Option<Value>,
    shown: String,
}

impl Outcome {
    pub fn code(&self) -> Option<i32> {
        self.finished.status.code()
    }

    /// All that was printed.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.finished.stdout, self.finished.stderr)
    }

    pub fn report(&self) -> Result<&Value> {
        self.report.as_ref().ok_or_else(|| self.wrong("it wrote no report"))
    }

    pub fn has_report(&self) -> bool {
        self.report.is_some()
    }

    /// Fails, with all that was said, unless it ended with this code.
    pub fn expect_code(&self, code: i32) -> Result {
        if self.code() == Some(code) {
            Ok(())
        } else {
            Err(self.wrong(&format!("exit code {code} was expected")))
        }
    }

    /// Fails unless the printed text names each of these (in any case).
    pub fn expect_said(&self, words: &[&str]) -> Result {
        let text = self.text().to_lowercase();
        match words.iter().find(|word| !text.contains(&word.to_lowercase())) {
            Some(word) => Err(self.wrong(&format!("it does not say {word:?}"))),
            None => Ok(()),
        }
    }

    /// No load was sent: exit 6, or 2 for what is wrong in the command line itself.
    pub fn expect_refused(&self, code: i32, words: &[&str]) -> Result {
        self.expect_code(code)?;
        self.expect_said(words)?;
        ensure!(
            !self.text().contains("panicked"),
            "a panic is no message:\n{}",
            self.text()
        );
        Ok(())
    }

    /// A whole number of the report at a JSON pointer; it must be there.
    pub fn count(&self, pointer: &str) -> Result<u64> {
        self.report()?
            .pointer(pointer)
            .and_then(Value::as_u64)
            .ok_or_else(|| self.wrong(&format!("the report has no whole number at {pointer}")))
    }

    /// Any number of the report.
    pub fn number(&self, pointer: &str) -> Result<f64> {
        self.report()?
            .pointer(pointer)
            .and_then(Value::as_f64)
            .ok_or_else(|| self.wrong(&format!("the report has no number at {pointer}")))
    }

    pub fn word(&self, pointer: &str) -> Result<&str> {
        self.report()?
            .pointer(pointer)
            .and_then(Value::as_str)
            .ok_or_else(|| self.wrong(&format!("the report has no text at {pointer}")))
    }

    /// The row of a list (`/hosts`) whose `key` is `value`.
    pub fn row(&self, list: &str, key: &str, value: &str) -> Result<&Value> {
        self.rows(list)?
            .iter()
            .find(|row| row[key] == value)
            .ok_or_else(|| self.wrong(&format!("{list} of the report has no row with {key} {value}")))
    }

    pub fn rows(&self, list: &str) -> Result<&Vec<Value>> {
        self.report()?
            .pointer(list)
            .and_then(Value::as_array)
            .ok_or_else(|| self.wrong(&format!("the report has no list at {list}")))
    }

    /// How often errors of this kind were counted.
    pub fn errors(&self, kind: &str) -> Result<u64> {
        Ok(self
            .rows("/errors")?
            .iter()
            .filter(|e| e["kind"] == kind)
            .filter_map(|e| e["count"].as_u64())
            .sum())
    }

    /// The report's own matrix: source address to backend to count.
    pub fn matrix(&self) -> Result<Matrix> {
        let mut matrix = Matrix::new();
        for row in self.rows("/sources")? {
            let address = row["address"]
                .as_str()
                .ok_or_else(|| self.wrong("a source without an address"))?;
            let backends = row["backends"]
                .as_object()
                .ok_or_else(|| self.wrong("a source without backends"))?;
            for (backend, n) in backends {
                let n = n
                    .as_u64()
                    .ok_or_else(|| self.wrong("a backend's count is no whole number"))?;
                *matrix
                    .entry(address.to_owned())
                    .or_default()
                    .entry(backend.clone())
                    .or_default() += n;
            }
        }
        Ok(matrix)
    }

    /// An error that shows the whole run.
    pub fn wrong(&self, what: &str) -> Box<dyn std::error::Error + Send + Sync> {
        let status = self
            .report
            .as_ref()
            .map(|r| format!("{} {} {}", r["run"]["status"], r["totals"], r["errors"]));
        format!(
            "{what}\n  ran: {}\n  ended: {} after {:.1} s\n  report: {}\n  stdout: {}\n  stderr: {}",
            self.shown,
            self.finished.status,
            self.finished.took.as_secs_f64(),
            status.unwrap_or_else(|| "none".into()),
            self.finished.stdout,
            self.finished.stderr
        )
        .into()
    }
}
