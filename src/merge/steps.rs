//! The sums of a playbook: steps add up to the totals, which are counted apart from them. Pure.

use super::identities::Proof;
use super::mismatch::Identity;
use swarm_agent::wire::report::{Counts, StepRow};

/// A number that is kept in every step, and its total.
type Sum = (&'static str, fn(&StepRow) -> u64, u64);

/// Proves the steps of one host. `connects`: steps open every connection that is counted.
pub(super) fn proof(proof: &mut Proof, counts: &Counts, connects: bool) {
    let steps = || counts.flows.iter().flat_map(|flow| &flow.steps);
    for step in steps() {
        let name = &step.label;
        let decided = [step.ok, step.failed, step.unfinished].map(u128::from).iter().sum();
        proof.equal(
            Identity::Flows,
            (&format!("requests of step {name}"), step.requests.into()),
            ("ok + failed + unfinished", decided),
        );
        for (what, samples) in [("count", step.latency.count), ("buckets", step.latency.bucket_total())] {
            proof.equal(
                Identity::Flows,
                (&format!("the {what} of step {name}"), samples.into()),
                ("ok", step.ok.into()),
            );
        }
    }
    let tally = &counts.tally;
    let hits: [Sum; 4] = [
        ("requests", |step| step.requests, tally.requests),
        ("ok", |step| step.ok, tally.ok),
        ("failed", |step| step.failed, tally.failed),
        ("unfinished", |step| step.unfinished, tally.unfinished),
    ];
    let c = &tally.connections;
    let connections: [Sum; 4] = [
        ("connections attempted", |step| step.requests, c.attempted),
        ("connections opened", |step| step.ok, c.opened),
        ("connections failed", |step| step.failed, c.failed),
        ("connections unfinished", |step| step.unfinished, c.unfinished),
    ];
    let of_steps = |connects: bool, of: fn(&StepRow) -> u64| -> u128 {
        steps()
            .filter(|step| step.connects == connects)
            .map(|step| u128::from(of(step)))
            .sum()
    };
    let hits = hits.into_iter().map(|row| (false, row));
    let connections = connections.into_iter().filter(|_| connects).map(|row| (true, row));
    for (connects, (name, of, whole)) in hits.chain(connections) {
        proof.equal(
            Identity::Flows,
            (&format!("{name} of all steps"), of_steps(connects, of)),
            ("in the totals", whole.into()),
        );
    }
}
