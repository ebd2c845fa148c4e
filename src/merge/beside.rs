//! What others counted of a run beside what swarm counted: which of swarm's counts compare with a balancer's, and what is said
//! of it. Pure.

use super::summary::{Protocol, Summary};
use super::warning::Warning;
use crate::plan::Plan;
use crate::watch::compare::{Around, Counted, Meter, compare};
use crate::watch::watched::{Balancer, Pages, Watched};
use swarm_agent::wire::share::{Carrier, Load};

/// Adds it to the summary.
pub fn add(summary: &mut Summary, plan: &Plan, watched: &Watched) {
    summary.notes.extend(watched.pages.iter().filter_map(unread));
    summary.notes.extend(watched.pages.iter().filter_map(beyond));
    if let Some(balancer) = &watched.balancer {
        add_comparison(summary, plan, balancer);
    }
    summary.watched = Some(watched.clone());
}

fn add_comparison(summary: &mut Summary, plan: &Plan, balancer: &Balancer) {
    let backends: Vec<(&str, Counted)> = summary
        .backends
        .iter()
        .map(|row| {
            let counted = Counted {
                connections: row.connections,
                requests: row.requests,
                polls: row.polls,
            };
            (row.name.as_str(), counted)
        })
        .collect();
    let tally = &summary.whole.tally;
    let whole = Counted {
        connections: tally.connections.opened,
        requests: summary.statuses.iter().map(|(_, n)| n).sum(),
        polls: summary.backends.iter().map(|row| row.polls).sum(),
    };
    let around = Around {
        unanswered: tally.failed
            + tally.unfinished
            + match plan.load {
                Load::Held(_) => tally.connections.failed + tally.connections.unfinished,
                Load::Open(_) | Load::Closed(_) => 0,
            },
        warmup: summary.warmup.as_ref().map_or(0, |warmup| warmup.requests),
        stayed_polling: tally.stayed_polling,
    };
    let comparison = compare(balancer, meter(summary.run.engine), &backends, whole, around);
    if let Some(text) = &comparison.disagreement {
        let reasons = comparison.reasons.join("; ");
        summary.warnings.push(
            Warning::new(
                "balancer_disagrees",
                format!("the balancer's counts are others than these: {text}"),
            )
            .advise(format!("that can be {reasons}")),
        );
    }
    if let Some(known) = &comparison.known {
        summary.affinity.known = Some(known.names.len() as u64);
    }
    summary.comparison = Some(comparison);
}

/// Which counts of this protocol a balancer has, too.
fn meter(protocol: Protocol) -> Meter {
    match protocol {
        Protocol::Http => Meter::Requests,
        Protocol::Websocket | Protocol::Socketio(Carrier::Websocket) | Protocol::Engineio(Carrier::Websocket) => {
            Meter::Sockets { alone: true }
        }
        Protocol::Socketio(Carrier::Upgrade) | Protocol::Engineio(Carrier::Upgrade) => Meter::Sockets { alone: false },
        Protocol::Socketio(Carrier::Polling) | Protocol::Engineio(Carrier::Polling) => Meter::Polls,
    }
}

fn unread(page: &Pages) -> Option<Warning> {
    let (at_us, why) = page.first_failure.as_ref()?;
    let text = match page.failed {
        0 => format!("{} {why} before the run", page.address),
        failed => format!(
            "{}: {failed} of {} readings failed, the first at {:.1} s: it {why}",
            page.address,
            page.reads,
            *at_us as f64 / 1e6
        ),
    };
    Some(Warning::new("page_unread", text))
}

fn beyond(page: &Pages) -> Option<Warning> {
    (page.beyond > 0).then(|| {
        Warning::new(
            "series_beyond",
            format!(
                "{}: {} series are not kept, as there are too many",
                page.address, page.beyond
            ),
        )
        .advise("name labels, too: name{code=\"500\"}")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::merge::fixture::{closed_loop, watched};
    use crate::merge::merge;

    #[test]
    fn what_the_balancer_counted_stands_beside_what_swarm_counted() {
        let mut outcome = closed_loop(2, Some(40));
        let before = merge(&outcome);
        let requests: Vec<u64> = before.backends.iter().map(|row| row.requests).collect();
        assert_eq!((before.affinity.known, requests.len()), (None, 2));
        outcome.watched = Some(watched(requests[0], requests[1]));
        let summary = merge(&outcome);
        let comparison = summary.comparison.unwrap();
        let rows: Vec<(u64, u64)> = comparison.rows.iter().map(|row| (row.balancer, row.swarm)).collect();
        assert_eq!(rows, [(requests[0], requests[0]), (requests[1], requests[1]), (0, 0)]);
        assert_eq!(summary.affinity.known, Some(3));
        assert_eq!(summary.warnings, before.warnings);
        let note = summary.notes.iter().find(|note| note.kind == "page_unread").unwrap();
        assert_eq!(
            note.text,
            "http://lb/stats: 1 of 2 readings failed, the first at 1.0 s: it did not answer within 1 s"
        );
        outcome.watched = Some(watched(requests[0] + 9, requests[1]));
        let doubts = merge(&outcome).warnings;
        let doubt = doubts.iter().find(|doubt| doubt.kind == "balancer_disagrees").unwrap();
        assert!(
            doubt.text.contains("s0: ") && !doubt.text.contains("s1: "),
            "{}",
            doubt.text
        );
        assert!(doubt.advice.as_ref().unwrap().contains("other clients' traffic"));
    }
}
