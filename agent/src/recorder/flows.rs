//! What each step of each flow of a playbook came to. Rows are made once from the playbook, so their number is bounded by
//! it. Never here: clocks, what a step does.

use super::pages::Pages;
use super::{Recorder, RowLatency};
use crate::wire::flow::{Counted, Program};
use crate::wire::report::{FlowRow, StepRow};
use std::time::Instant;

/// The row of what a script's hooks say.
const HOOKS: &str = "hooks";

/// A step, by its flow and its line in it; what hooks say stands on the line behind the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepId {
    /// Place of the flow.
    pub flow: u16,
    /// Line of the step.
    pub line: u16,
}

/// All flows.
#[derive(Default)]
pub struct Flows {
    flows: Vec<Flow>,
}

struct Flow {
    name: String,
    clients: u64,
    /// One a line; steps that are not counted have none.
    steps: Vec<Option<Step>>,
}

struct Step {
    label: String,
    connects: bool,
    requests: u64,
    ok: u64,
    failed: u64,
    latency: Pages,
}

impl Flows {
    /// Rows for a playbook.
    pub fn new(program: &Program) -> Self {
        let row = |label: &str, connects| Step {
            label: label.to_owned(),
            connects,
            requests: 0,
            ok: 0,
            failed: 0,
            latency: Pages::default(),
        };
        let flows = program.flows.iter().map(|flow| {
            let lines = flow.lines();
            let rows = lines.iter().map(|line| match line.step.act.counted() {
                Counted::Not => None,
                counted => Some(row(&line.step.label, counted == Counted::Connections)),
            });
            let hooks = program.script.as_ref().map(|_| row(HOOKS, false));
            Flow {
                name: flow.name.clone(),
                clients: 0,
                steps: rows.chain([hooks]).collect(),
            }
        });
        Self { flows: flows.collect() }
    }

    /// Bytes that the distributions of a playbook take at most, for each thread.
    pub fn most_memory(program: &Program) -> u64 {
        let rows = Self::new(program);
        let steps = rows.flows.iter().flat_map(|flow| flow.steps.iter().flatten()).count();
        (steps * Pages::MOST) as u64
    }

    /// A client begins a flow.
    pub fn begun(&mut self, flow: u16) {
        if let Some(flow) = self.flows.get_mut(usize::from(flow)) {
            flow.clients += 1;
        }
    }

    /// A step's try begins.
    #[inline]
    pub fn sent(&mut self, at: StepId) {
        if let Some(step) = self.step(at) {
            step.requests += 1;
        }
    }

    /// It went well.
    #[inline]
    pub fn ok(&mut self, at: StepId, us: u64) {
        if let Some(step) = self.step(at) {
            step.ok += 1;
            step.latency.record(us);
        }
    }

    /// It failed.
    pub fn failed(&mut self, at: StepId) {
        if let Some(step) = self.step(at) {
            step.failed += 1;
        }
    }

    #[inline]
    fn step(&mut self, at: StepId) -> Option<&mut Step> {
        let flow = self.flows.get_mut(usize::from(at.flow))?;
        flow.steps.get_mut(usize::from(at.line))?.as_mut()
    }

    /// As they are reported; `whole` with their histograms.
    pub fn report(&self, whole: bool) -> Vec<FlowRow> {
        let step = |step: &Step| StepRow {
            label: step.label.clone(),
            connects: step.connects,
            requests: step.requests,
            ok: step.ok,
            failed: step.failed,
            unfinished: step.requests - step.ok - step.failed,
            latency: if whole {
                step.latency.snapshot()
            } else {
                Default::default()
            },
        };
        self.flows
            .iter()
            .map(|flow| FlowRow {
                name: flow.name.clone(),
                clients: flow.clients,
                steps: flow.steps.iter().flatten().map(step).collect(),
            })
            .collect()
    }
}

impl Recorder {
    /// Keeps rows for the flows of a playbook.
    pub fn play(&mut self, program: &Program) {
        self.flows = Flows::new(program);
        self.row_latency = RowLatency::Service;
    }

    /// Rows of the flows of a playbook.
    #[inline]
    pub fn flows(&mut self) -> &mut Flows {
        &mut self.flows
    }

    /// A client of a playbook begins, which was due then.
    pub fn begins(&mut self, due: Instant, now: Instant) {
        self.first.get_or_insert((due, now));
    }

    /// An answer with this status came.
    pub fn status(&mut self, status: u16) {
        *self.statuses.entry(status).or_default() += 1;
    }
}
