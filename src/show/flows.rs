//! The flows of a playbook and their steps, for JSON and as a table. Pure.

use super::rows::LatencyJson;
use super::tables::limited;
use super::{clean, figures};
use crate::merge::summary::Summary;
use serde::Serialize;
use swarm_agent::wire::report::{FlowRow, StepRow};

/// One flow.
#[derive(Debug, Serialize)]
pub struct FlowJson {
    name: String,
    clients: u64,
    steps: Vec<StepJson>,
}

/// One step. One that connects counts connections, all others hits.
#[derive(Debug, Serialize)]
struct StepJson {
    label: String,
    requests: u64,
    ok: u64,
    failed: u64,
    unfinished: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<LatencyJson>,
}

impl FlowJson {
    /// Of one flow.
    pub fn of(flow: &FlowRow) -> Self {
        let step = |step: &StepRow| StepJson {
            label: step.label.clone(),
            requests: step.requests,
            ok: step.ok,
            failed: step.failed,
            unfinished: step.unfinished,
            latency: LatencyJson::whole(&step.latency),
        };
        Self {
            name: flow.name.clone(),
            clients: flow.clients,
            steps: flow.steps.iter().map(step).collect(),
        }
    }
}

/// Every step of every flow; a lost host's are counted, and not in the percentiles.
pub fn table(summary: &Summary) -> String {
    let mut rows = Vec::new();
    for flow in &summary.flows {
        let mut first = format!("{} ({})", flow.name, figures::count(flow.clients));
        for step in &flow.steps {
            let at = |quantile| {
                let us = step.latency.quantile(quantile);
                us.map_or_else(String::new, |us| figures::ms(us as f64))
            };
            rows.push(vec![
                clean::cell(&std::mem::take(&mut first)),
                clean::cell(&step.label),
                figures::count(step.requests),
                figures::count(step.failed),
                figures::count(step.unfinished),
                at(0.5),
                at(0.99),
            ]);
        }
    }
    let head = [
        "flow (clients)",
        "step",
        "requests",
        "failed",
        "unfinished",
        "p50, ms",
        "p99, ms",
    ];
    limited(&head, rows, &[1], "steps")
}
