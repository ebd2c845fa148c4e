//! Owns: reading what `swarm check --json` said (schema `swarm.check/1`). Must not: know what should have been said.

use crate::process::Finished;
use crate::{Result, ensure};
use serde_json::Value;

/// One run of `swarm check --json`, read.
pub struct Checked {
    finished: Finished,
    pub said: Value,
}

impl Checked {
    pub fn read(finished: Finished) -> Result<Self> {
        let said = serde_json::from_str(&finished.stdout)
            .map_err(|e| format!("stdout is no JSON: {e}\n{}{}", finished.stdout, finished.stderr))?;
        Ok(Self { finished, said })
    }

    fn steps(&self) -> Result<&Vec<Value>> {
        self.said["steps"].as_array().ok_or_else(|| self.wrong("no steps"))
    }

    pub fn step(&self, name: &str) -> Result<&Value> {
        let step = self.steps()?.iter().find(|step| step["step"] == name);
        step.ok_or_else(|| self.wrong(&format!("no step {name}")))
    }

    /// Steps that fail or warn, with what they found.
    pub fn alarms(&self) -> Result<Vec<(&str, &str, &str)>> {
        Ok(self
            .steps()?
            .iter()
            .map(|step| {
                let word = |key: &str| step[key].as_str().unwrap_or("-");
                (word("step"), word("finding"), word("verdict"))
            })
            .filter(|(_, _, verdict)| ["fail", "warn"].contains(verdict))
            .collect())
    }

    /// The lines that a step, told once or twice (`idle` for both kinds of connection), advises for a kind of balancer.
    pub fn advice(&self, step: &str, kind: &str) -> Result<Vec<&str>> {
        let told = self.steps()?.iter().filter(|told| told["step"] == step);
        Ok(told
            .filter_map(|told| told["mend"].as_array())
            .flatten()
            .filter(|row| row["for"] == kind)
            .filter_map(|row| row["line"].as_str())
            .flat_map(str::lines)
            .map(str::trim)
            .collect())
    }

    pub fn expect_exit(&self, code: i32) -> Result {
        ensure!(
            self.finished.status.code() == Some(code),
            "{}",
            self.wrong(&format!("exit code {code} was expected"))
        );
        Ok(())
    }

    pub fn wrong(&self, what: &str) -> Box<dyn std::error::Error + Send + Sync> {
        let said = serde_json::to_string_pretty(&self.said).unwrap_or_default();
        format!(
            "{what}\n  ended: {}\n{said}\n{}",
            self.finished.status, self.finished.stderr
        )
        .into()
    }
}
