//! Merges what every host reported into one [`Summary`] and proves its sums. Pure: no clock, no I/O, no tables.
//!
//! Distributions are added bucket by bucket, counters are summed, rows are laid side by side. A lost host contributes
//! the intervals that it had sent; a refused one nothing. Where a sum does not add up ([`identities`]) the run is
//! `incomplete`; every other doubt ([`doubts`]) is a warning beside the result.

pub mod beside;
pub mod broadcast;
pub mod clocks;
pub mod doubts;
pub mod exec;
pub mod figures;
#[cfg(test)]
pub mod fixture;
pub mod identities;
pub mod mismatch;
pub mod observed;
pub mod parts;
pub mod planned;
pub mod rows;
mod steps;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod timeline;
pub mod verdict;
pub mod warning;

pub use planned::planned_hits;
pub use summary::Summary;
pub use verdict::exit_code;
pub use warning::Warning;

use crate::balancer::{self, Affinity, Balancer, Clues, Evidence, Explained, Matrix, Seen, Unit};
use crate::conduct::outcome::{HostEnd, HostOutcome, Outcome};
use crate::conduct::{plausible, server};
use crate::watch::compare::Known;
use mismatch::Mismatch;
use std::collections::BTreeMap;
use summary::{GroupRow, HostRow, HostStatus, Latencies, Part, Protocol, Run, SourceRow, Status};
use swarm_agent::wire::report::{Counts, Latency, Report, Tally};
use swarm_agent::wire::share::{BackendFrom, Engine, Load};

/// Merges a run.
pub fn merge(outcome: &Outcome) -> Summary {
    let plan = &outcome.plan;
    let hosts = believable(&outcome.hosts);
    let started: Vec<&HostOutcome> = hosts.iter().filter(|h| !is_refused(h)).collect();
    let counts: Vec<(&str, &Counts)> = started.iter().map(|h| (h.name.as_str(), counts_of(h))).collect();

    let window = timeline::window(&plan.load, &started);
    let rows: Vec<HostRow> = hosts.iter().map(|h| host_row(h, &plan.load, window)).collect();
    let parts: Vec<&Part> = rows.iter().filter(|r| !is_out(r)).map(|r| &r.part).collect();
    let timeline = timeline::seconds(&started);
    let opened = parts.iter().map(|p| p.tally.connections.opened).sum();
    let whole = Part {
        peak: timeline::peak(&timeline, opened),
        ..added(&parts)
    };

    let mut mismatches: Vec<Mismatch> = started
        .iter()
        .filter_map(|host| Some((host, identities::reported(host)?)))
        .flat_map(|(host, report)| identities::of_host(host, report, &plan.load))
        .collect();
    mismatches.extend(identities::of_whole(&whole, &parts, &started, &plan.load));
    let (broadcast, uneven) = broadcast::broadcasts(outcome, &started);
    mismatches.extend(uneven);

    let clients = matches!(plan.load, Load::Held(_));
    let mut summary = Summary {
        run: run(outcome),
        load: plan.load.clone(),
        servers: server::of_outcome(&hosts),
        planned: planned::whole_hits(&plan.load),
        warmup: warmup(&started),
        window,
        row_latency: rows::row_latency(&plan.load, plan.program.is_some(), &whole.latency),
        statuses: rows::statuses(&counts),
        errors: rows::errors(&counts),
        sync: clocks::sync(&rows),
        sources: rows::sources(&counts),
        backends: rows::backends(&counts, clients),
        groups: groups(&hosts, &rows),
        targets: rows::targets(&plan.targets, &counts),
        flows: rows::flows(&counts),
        matrix: Matrix::default(),
        affinity: Affinity::default(),
        broadcast,
        watched: None,
        comparison: None,
        timeline,
        requirements: Vec::new(),
        notes: doubts::notes(&plan.load),
        warnings: mismatches.iter().map(Mismatch::warning).collect(),
        hosts: rows,
        whole,
    };
    let doubts = doubts::warnings(outcome, &summary, &counts);
    summary.warnings.extend(doubts);
    summary.warnings.extend(observed::seen_as(&summary.sources));
    judge_backends(&mut summary, &plan.backend_from, &counts, clients);
    if let Some(watched) = &outcome.watched {
        beside::add(&mut summary, plan, watched);
    }
    explain_backends(&mut summary, plan.balancer.as_ref());
    summary.run.status = verdict::status(outcome.ended, &mismatches, &summary);
    summary
}

/// The hosts, those whose report cannot be true taken as lost.
fn believable(hosts: &[HostOutcome]) -> Vec<HostOutcome> {
    let mut hosts = hosts.to_vec();
    for host in &mut hosts {
        if let HostEnd::Reported(report) = &host.end
            && !plausible::report(report)
        {
            host.end = HostEnd::Lost {
                at_s: host.progress.until_us as f64 / 1e6,
                why: "its report holds numbers that cannot be true".to_owned(),
            };
        }
    }
    hosts
}

fn is_refused(host: &HostOutcome) -> bool {
    matches!(host.end, HostEnd::Refused { .. })
}

fn is_out(row: &HostRow) -> bool {
    matches!(row.status, HostStatus::Refused { .. })
}

/// The final counts of a host, or those of its last interval.
fn counts_of(host: &HostOutcome) -> &Counts {
    identities::reported(host).map_or(&host.progress.counts, |report| &report.counts)
}

fn run(outcome: &Outcome) -> Run {
    let plan = &outcome.plan;
    Run {
        id: plan.run.clone(),
        started_at: outcome.started_at,
        duration_s: outcome.duration_s,
        command: plan.command.clone(),
        playbook: plan.playbook.clone(),
        engine: match &plan.engine {
            Engine::Http(_) => Protocol::Http,
            Engine::Websocket(_) => Protocol::Websocket,
            Engine::Socketio(socketio) => Protocol::Socketio(socketio.carrier),
            Engine::Engineio(engineio) => Protocol::Engineio(engineio.carrier),
        },
        keep_cookies: plan.request.keep_cookies,
        // until it is judged
        status: Status::Failed,
    }
}

fn host_row(host: &HostOutcome, load: &Load, window: Option<(u64, u64)>) -> HostRow {
    let report: Option<&Report> = identities::reported(host);
    let latency: Latencies = match report {
        Some(report) => rows::latencies(&report.latency),
        None => host.progress.latency.clone(),
    };
    let part = match is_refused(host) {
        true => Part::default(),
        false => {
            let tally = counts_of(host).tally.clone();
            Part {
                peak: timeline::peak(&timeline::seconds(&[host]), tally.connections.opened),
                rates: timeline::rates(load, host, window),
                tally,
                latency,
            }
        }
    };
    let cpu_busy = report.and_then(|r| r.cpu_busy).map(f64::from);
    let late = doubts::due(load, &part).map(|due| (part.tally.late, due));
    HostRow {
        name: host.name.clone(),
        address: host.address.clone(),
        group: host.group.clone(),
        status: match &host.end {
            HostEnd::Reported(_) => HostStatus::Reported,
            HostEnd::Lost { why, .. } => HostStatus::Lost {
                why: why.clone(),
                known_until_us: host.progress.until_us,
            },
            HostEnd::Refused { why } => HostStatus::Refused { why: why.clone() },
        },
        cores: host.hello.as_ref().map(|hello| hello.cores),
        clock_error_us: host.clock.map(|clock| clocks::bound_us(clock.bound_ns)),
        start_offset_us: report.and_then(|r| r.start_offset).map(clocks::offset_us),
        cpu_busy,
        cpu_steal: report.and_then(|r| r.cpu_steal).map(f64::from),
        late_p99_us: part.latency.get(&Latency::Lateness).and_then(|h| h.quantile(0.99)),
        generator_bound: match is_refused(host) {
            true => None,
            false => doubts::generator_bound(cpu_busy, late),
        },
        planned: host.share.as_ref().filter(|_| !is_refused(host)).and_then(planned_hits),
        part,
    }
}

/// Counters, distributions and rates added up; the peak is not a sum and stays empty.
fn added(parts: &[&Part]) -> Part {
    let mut whole = Part::default();
    for part in parts {
        rows::add_tally(&mut whole.tally, &part.tally);
        rows::add_latencies(&mut whole.latency, &part.latency);
    }
    whole.rates = timeline::add_rates(&parts.iter().map(|p| p.rates).collect::<Vec<_>>());
    whole
}

fn warmup(hosts: &[&HostOutcome]) -> Option<Tally> {
    let mut sum: Option<Tally> = None;
    for tally in hosts.iter().filter_map(|h| identities::reported(h)?.warmup.as_ref()) {
        rows::add_tally(sum.get_or_insert_default(), tally);
    }
    sum
}

fn groups(hosts: &[HostOutcome], rows: &[HostRow]) -> Vec<GroupRow> {
    let mut by_name: BTreeMap<&str, Vec<(&HostOutcome, &HostRow)>> = BTreeMap::new();
    for (host, row) in hosts.iter().zip(rows).filter(|(_, row)| !is_out(row)) {
        if let Some(group) = &row.group {
            by_name.entry(group).or_default().push((host, row));
        }
    }
    by_name
        .into_iter()
        .map(|(name, members)| {
            let parts: Vec<&Part> = members.iter().map(|(_, row)| &row.part).collect();
            let seconds = timeline::seconds(&members.iter().map(|(host, _)| *host).collect::<Vec<_>>());
            let part = added(&parts);
            GroupRow {
                name: name.to_owned(),
                hosts: members.len() as u64,
                part: Part {
                    peak: timeline::peak(&seconds, part.tally.connections.opened),
                    ..part
                },
            }
        })
        .collect()
}

/// Fills matrix and affinity; names that swarm found by itself and that cannot be backends are dropped from every row.
fn judge_backends(summary: &mut Summary, from: &BackendFrom, counts: &[(&str, &Counts)], clients: bool) {
    let by = rows::backend_by(counts);
    let values: Vec<(String, u64)> = summary
        .backends
        .iter()
        .map(|b| (b.name.clone(), if clients { b.connections } else { b.requests }))
        .collect();
    let overflow = counts.iter().map(|(_, c)| c.backend_overflow).sum();
    match balancer::doubtful(&values, overflow) {
        Some(why) if *from == BackendFrom::Usual => {
            let text = format!("{} was taken for the backend's name and dropped: {why}", by.join(", "));
            summary.backends.clear();
            for source in &mut summary.sources {
                source.backends.clear();
                source.spans.clear();
            }
            if let Some(broadcast) = &mut summary.broadcast {
                broadcast.forget_pairs();
            }
            summary.affinity = balancer::unknown(format!("which backend answered is not known: {text}"));
            summary.warnings.push(
                Warning::new("backend_doubtful", text)
                    .advise("name the right one: --backend-from header:NAME or cookie:NAME"),
            );
            summary.matrix = matrix_of(&summary.sources);
            return;
        }
        Some(why) => summary.warnings.push(Warning::new(
            "backend_doubtful",
            format!("{} may not be the backend's name: {why}", by.join(", ")),
        )),
        None => {}
    }
    summary.matrix = matrix_of(&summary.sources);
    let evidence = Evidence {
        by: &by,
        unit: if clients { Unit::Clients } else { Unit::Requests },
        keep_cookies: summary.run.keep_cookies,
    };
    summary.affinity = balancer::judge(&summary.matrix, &evidence);
    summary.affinity.breaks = observed::breaks(&summary.sources, counts);
    summary.affinity.moves = observed::moves(summary, counts, clients);
    if let Some(words) = observed::sticky_until(summary) {
        summary.affinity.verdict = Some(words);
    }
    let slow = observed::slow_backends(summary);
    summary.warnings.extend(slow);
}

/// Says why sources reached the backends that they did, as far as that is known.
fn explain_backends(summary: &mut Summary, named: Option<&Balancer>) {
    let known = summary
        .comparison
        .as_ref()
        .and_then(|comparison| comparison.known.as_ref());
    let clues = Clues {
        known: known.and_then(Known::alike),
        named,
    };
    let Explained {
        known,
        rule,
        idle,
        because,
        unknown,
    } = balancer::explain(&summary.matrix, &clues);
    let affinity = &mut summary.affinity;
    // what the balancer says of itself is surer than what was said of it
    affinity.known = affinity.known.or(known);
    affinity.rule = rule;
    affinity.idle = idle;
    affinity.because = because;
    // where nothing is known at all, that is said once
    affinity.unknown = affinity.unknown.take().or(unknown);
}

fn matrix_of(sources: &[SourceRow]) -> Matrix {
    let seen: Vec<Seen<'_>> = sources
        .iter()
        .map(|source| Seen {
            host: &source.host,
            address: source.address,
            backends: &source.backends,
        })
        .collect();
    balancer::matrix(&seen)
}
