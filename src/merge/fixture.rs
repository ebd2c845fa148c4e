//! Outcomes that add up, for tests: made from samples as an honest agent would report them.

mod played;
mod watched;

pub use played::played;
pub use watched::watched;

use crate::conduct::outcome::{Clock, Ended, HostEnd, HostOutcome, Outcome, Progress};
use crate::plan::{MinHosts, Plan};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use swarm_agent::wire::histogram::{HIGHEST_US, Histogram, bucket_of};
use swarm_agent::wire::message::{Armed, Hello};
use swarm_agent::wire::observed::Span;
use swarm_agent::wire::report::{
    BackendRow, Connections, Counts, Interval, Latency, Messages, Report, SourceRow, Tally, TargetRow,
};
use swarm_agent::wire::share::{
    BackendFrom, Cadence, Carrier, Closed, Consent, Deal, Eio, Engine, Held, Http, Level, Limits, Load, Open,
    PER_SECOND, Request, Schedule, Share, Socketio, Stage, Target, Tls,
};

/// One second in ns.
pub const SECOND: u64 = 1_000_000_000;

/// A distribution fed these samples one by one, as a recorder does.
pub fn recorded(samples: &[u64]) -> Histogram {
    let mut buckets: BTreeMap<u32, u64> = BTreeMap::new();
    let mut histogram = Histogram::default();
    for us in samples {
        *buckets.entry(bucket_of(*us) as u32).or_default() += 1;
        histogram.min = if histogram.count == 0 {
            *us
        } else {
            histogram.min.min(*us)
        };
        histogram.max = histogram.max.max(*us);
        histogram.count += 1;
        histogram.saturated += u64::from(*us > HIGHEST_US);
        histogram.sum += u128::from(*us);
        histogram.sum_of_squares += u128::from(*us) * u128::from(*us);
    }
    histogram.buckets = buckets.into_iter().collect();
    histogram
}

/// An open loop of 10 hits a second for 4 s over so many hosts; host i reaches backend `s{i mod 2}` alone.
pub fn open_loop(hosts: u32) -> Outcome {
    let rate = 10 * PER_SECOND;
    let load = Load::Open(Open {
        schedule: Schedule {
            stages: vec![Stage {
                duration: 4 * SECOND,
                from: rate,
                to: rate,
            }],
        },
        requests: None,
        connections: 8,
        warmup: 0,
    });
    outcome(http(), load, hosts, open_host)
}

/// A closed loop of so many hits at all.
pub fn closed_loop(hosts: u32, requests: Option<u64>) -> Outcome {
    let load = Load::Closed(Closed {
        connections: Level::Ramp { count: 4, rate: None },
        requests,
        duration: requests.is_none().then_some(4 * SECOND),
        warmup: 0,
    });
    outcome(http(), load, hosts, closed_host)
}

/// Eight clients a host on Socket.IO, opened within 1 s, held to 4 s, with one acknowledged emit each.
pub fn held(hosts: u32, cadence: Option<Cadence>) -> Outcome {
    let load = Load::Held(Held {
        clients: Level::Ramp {
            count: 8 * u64::from(hosts),
            rate: Some(8 * u64::from(hosts) * PER_SECOND),
        },
        end: 4 * SECOND,
        cadence,
        requests: None,
        reconnect: None,
        storms: Vec::new(),
    });
    let engine = Engine::Socketio(Socketio {
        carrier: Carrier::Polling,
        path: "/socket.io/".into(),
        namespace: "/".into(),
        query: Vec::new(),
        auth: None,
        emits: vec!["[\"echo\"]".into()],
        ack: true,
        expect: None,
        version: Eio::Auto,
    });
    outcome(engine, load, hosts, held_host)
}

fn http() -> Engine {
    Engine::Http(Http {
        method: "GET".into(),
        body: None,
        keepalive: true,
        requests_per_connection: None,
        connection_life: None,
        redirects: 0,
        ok: vec![(200, 299)],
    })
}

/// What one host does in one second: samples by name, and counts so far at its end.
struct Part {
    at_us: u64,
    counts: Counts,
    latency: Vec<(Latency, Vec<u64>)>,
}

fn open_host(share: &Share) -> Vec<Part> {
    let hits = super::planned_hits(share).unwrap_or(0);
    hit_parts(share.host_index, hits, true)
}

fn closed_host(share: &Share) -> Vec<Part> {
    let hits = super::planned_hits(share).unwrap_or(40);
    hit_parts(share.host_index, hits, false)
}

/// `hits` spread over four seconds; the last one of each fails once there are more than eight.
fn hit_parts(host: u32, hits: u64, due: bool) -> Vec<Part> {
    let mut done = 0;
    let mut failed = 0;
    (1..=4u64)
        .map(|second| {
            let until = hits * second / 4;
            let bad = u64::from(second == 4 && hits > 8);
            let ok: Vec<u64> = (done..until - bad)
                .map(|n| 1000 + 137 * n + 20_000 * u64::from(host))
                .collect();
            let new = until - done;
            (done, failed) = (until, failed + bad);
            let mut latency = vec![(Latency::Service, ok.clone())];
            if due {
                let request = ok.iter().map(|us| us + 50).collect();
                latency.push((Latency::Request, request));
                latency.push((Latency::Lateness, (0..new).map(|n| 40 + n).collect()));
            }
            latency.push((Latency::RequestFailed, vec![5_000_000; bad as usize]));
            let tally = Tally {
                requests: done,
                ok: done - failed,
                failed,
                bytes_sent: 100 * done,
                bytes_received: 1000 * done,
                connections: Connections {
                    attempted: 4,
                    opened: 4,
                    open: if second == 4 { 0 } else { 3 + second % 2 },
                    ..Connections::default()
                },
                ..Tally::default()
            };
            Part {
                at_us: second * 1_000_000,
                counts: Counts {
                    statuses: vec![(200, done - failed)],
                    ..counts(host, tally, 4, false)
                },
                latency,
            }
        })
        .collect()
}

fn held_host(share: &Share) -> Vec<Part> {
    let speaks = matches!(&share.load, Load::Held(held) if held.cadence.is_some());
    (1..=4u64)
        .map(|second| {
            let messages = if speaks { 2 * second } else { 0 };
            let new = if speaks { 2 } else { 0 };
            let opened = if second == 1 { 8 } else { 0 };
            let host = u64::from(share.host_index);
            let samples = |n: u64, base: u64| (0..n).map(|i| base + 97 * i + 10 * second).collect();
            let tally = Tally {
                requests: messages,
                ok: messages,
                bytes_sent: 50 * second,
                bytes_received: 70 * second,
                connections: Connections {
                    attempted: 8,
                    opened: 8,
                    open: if second == 4 { 0 } else { 8 },
                    ..Connections::default()
                },
                messages: Messages {
                    sent: messages,
                    expected: messages,
                    acked: messages,
                    ..Messages::default()
                },
                ..Tally::default()
            };
            Part {
                at_us: second * 1_000_000,
                counts: counts(share.host_index, tally, 8, true),
                latency: vec![
                    (Latency::Service, samples(new, 900)),
                    (Latency::Ack, samples(new, 900 + host)),
                    (Latency::Connect, samples(opened, 200)),
                    (Latency::Handshake, samples(opened, 3000)),
                ],
            }
        })
        .collect()
}

fn counts(host: u32, tally: Tally, connections: u64, clients: bool) -> Counts {
    let answered = tally.ok + tally.failed;
    let backend = format!("s{}", host % 2);
    let source = IpAddr::from(Ipv4Addr::new(10, 0, 0, host as u8 + 1));
    Counts {
        sources: vec![SourceRow {
            address: source,
            connections,
            requests: answered,
            errors: tally.failed,
            backends: vec![(backend.clone(), if clients { connections } else { answered })],
            spans: vec![Span {
                backend: backend.clone(),
                first_us: 1_000,
                last_us: 900_000,
            }],
            seen_as: Vec::new(),
            latency: Histogram::default(),
        }],
        backends: vec![BackendRow {
            name: backend,
            connections,
            dropped: 0,
            requests: answered,
            errors: tally.failed,
            polls: 0,
            latency: Histogram::default(),
        }],
        targets: vec![TargetRow {
            requests: answered,
            errors: tally.failed,
            addresses: vec![(Ipv4Addr::new(10, 9, 9, 9).into(), connections)],
            latency: Histogram::default(),
        }],
        backend_by: vec!["header:x-backend".into()],
        tally,
        ..Counts::default()
    }
}

fn outcome(engine: Engine, load: Load, hosts: u32, work: fn(&Share) -> Vec<Part>) -> Outcome {
    let plan = plan(engine, load);
    let hosts = (0..hosts).map(|index| host(&plan, index, hosts, work)).collect();
    Outcome {
        plan,
        started_at: "2026-11-24T10:00:00Z".parse().expect("a time as it is written"),
        duration_s: 4.25,
        ended: Ended::Complete,
        hosts,
        warnings: Vec::new(),
        watched: None,
    }
}

fn host(plan: &Plan, index: u32, hosts: u32, work: fn(&Share) -> Vec<Part>) -> HostOutcome {
    let share = share(plan, index, hosts);
    let parts = work(&share);
    let mut progress = Progress::default();
    let mut whole: BTreeMap<Latency, Vec<u64>> = BTreeMap::new();
    for (seq, part) in parts.iter().enumerate() {
        for (name, samples) in &part.latency {
            whole.entry(*name).or_default().extend(samples);
        }
        let latency = part
            .latency
            .iter()
            .filter(|(_, samples)| !samples.is_empty())
            .map(|(name, samples)| (*name, recorded(samples)))
            .collect();
        progress.fold(Interval {
            seq: seq as u32,
            at_us: part.at_us,
            counts: part.counts.clone(),
            latency,
            cpu_busy: Some(0.5),
        });
    }
    let mut counts = progress.counts.clone();
    let latency: Vec<(Latency, Histogram)> = whole.iter().map(|(name, s)| (*name, recorded(s))).collect();
    let main = super::rows::row_latency(&plan.load, plan.program.is_some(), &latency.iter().cloned().collect());
    let samples = recorded(whole.get(&main).map_or(&[][..], Vec::as_slice));
    counts.sources[0].latency = samples.clone();
    counts.backends[0].latency = samples.clone();
    counts.targets[0].latency = samples;
    HostOutcome {
        name: format!("h{index}"),
        address: format!("10.0.0.{}", index + 1),
        group: Some(if index.is_multiple_of(2) { "eu" } else { "us" }.into()),
        end: HostEnd::Reported(Box::new(Report {
            last_seq: progress.intervals.checked_sub(1),
            start_offset: Some(100_000 * i64::from(index) + 30_000),
            ended_us: 4_000_000,
            counts,
            latency,
            warmup: None,
            casts: None,
            cpu_busy: Some(0.5),
            cpu_steal: Some(0.0),
        })),
        hello: Some(Hello {
            build: "b".into(),
            pid: 7,
            cores: 2,
            memory: 0,
            files: 1024,
            ports: (32768, 60999),
            interfaces: Vec::new(),
        }),
        armed: Some(Armed::default()),
        share: Some(share),
        clock: Some(Clock {
            offset_ns: 5,
            bound_ns: 400_000 + 100_000 * u64::from(index),
            rtt_ns: 700_000,
            samples: 20,
        }),
        progress,
    }
}

fn plan(engine: Engine, load: Load) -> Plan {
    Plan {
        run: "0123456789ab".into(),
        command: "swarm attack http://app.test/".into(),
        targets: vec![Target {
            url: "http://app.test/".into(),
            tls: false,
            host: "app.test".into(),
            port: 80,
            path: "/".into(),
            authority: "app.test".into(),
            weight: 1,
            connect_to: None,
            fallback: Vec::new(),
        }],
        engine,
        load,
        program: None,
        playbook: None,
        broadcast: None,
        request: Request {
            headers: Vec::new(),
            cookie: None,
            keep_cookies: false,
        },
        tls: Tls::default(),
        backend_from: BackendFrom::Usual,
        balancer: None,
        seen_from: None,
        limits: Limits {
            connect: 10 * SECOND,
            hit: 60 * SECOND,
            ack: 10 * SECOND,
            grace: 10 * SECOND,
            silence: 10 * SECOND,
            resolve_every: None,
        },
        sources: Vec::new(),
        min_hosts: MinHosts::Percent(100.0),
        requirements: Vec::new(),
        watch: crate::watch::Watch::default(),
        strict: false,
        trace: false,
        defaults: Vec::new(),
    }
}

fn share(plan: &Plan, index: u32, hosts: u32) -> Share {
    Share {
        run: plan.run.clone(),
        round: 0,
        host_index: index,
        hosts,
        deal: Deal {
            mine: vec![index],
            slots: hosts,
        },
        targets: plan.targets.clone(),
        engine: plan.engine.clone(),
        load: plan.load.clone(),
        program: None,
        broadcast: None,
        request: plan.request.clone(),
        tls: plan.tls.clone(),
        sources: Vec::new(),
        consent: Consent::Missing,
        backend_from: plan.backend_from.clone(),
        seen_from: plan.seen_from.clone(),
        limits: plan.limits.clone(),
        trace: false,
    }
}
