//! The flows of a playbook as the plan shows them. Pure.

use crate::cli::units::comma;
use swarm_agent::wire::flow::{Act, Program, Step};

/// `chat: 3 of 4 clients, 5 steps`; what a script and a sheet add.
pub(super) fn flows(program: &Program) -> Vec<String> {
    let all: u64 = program.flows.iter().map(|flow| u64::from(flow.weight)).sum();
    let mut lines: Vec<String> = program
        .flows
        .iter()
        .map(|flow| {
            let steps = match steps(&flow.steps) {
                1 => "1 step".to_string(),
                n => format!("{n} steps"),
            };
            match program.flows.len() {
                1 => format!("{}: {steps}", flow.name),
                _ => format!("{}: {} of {all} clients, {steps}", flow.name, flow.weight),
            }
        })
        .collect();
    if let Some(script) = &program.script {
        lines.push(format!("script {}", script.name));
    }
    if !program.rows.is_empty() {
        lines.push(format!("{} rows dealt out", comma(program.rows.len() as u64)));
    }
    lines
}

/// Steps, those that are repeated counted once.
fn steps(steps: &[Step]) -> usize {
    let inner = |step: &Step| match &step.act {
        Act::Every(every) => self::steps(&every.steps),
        Act::Repeat(repeat) => self::steps(&repeat.steps),
        _ => 0,
    };
    steps.iter().map(|step| 1 + inner(step)).sum()
}
