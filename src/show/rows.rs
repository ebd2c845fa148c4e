//! Rows of the JSON report, and distributions in it.

use super::json::{RatesJson, TotalsJson, latencies, rounded, seconds};
use crate::merge::summary::{
    BackendRow, ErrorRow, ExampleRow, GroupRow, HostRow, HostStatus, Second, SourceRow, TargetRow,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use serde::Serialize;
use std::collections::BTreeMap;
use swarm_agent::wire::histogram::{DIGITS, HIGHEST_US, Histogram, lowest_of};
use swarm_agent::wire::report::Latency;
use swarm_agent::wire::share::Load;

/// One distribution, us.
#[derive(Debug, Serialize)]
pub struct LatencyJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    saturated: Option<u64>,
    min: u64,
    mean: f64,
    stddev: f64,
    p50: u64,
    p75: u64,
    p90: u64,
    p95: u64,
    p99: u64,
    p99_9: u64,
    p99_99: u64,
    max: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    histogram: Option<String>,
}

impl LatencyJson {
    /// With its histogram; `None` without samples.
    pub fn whole(histogram: &Histogram) -> Option<Self> {
        Some(Self {
            histogram: encoded(histogram),
            ..Self::figures(histogram)?
        })
    }

    /// For a row: with the name of what it times, without histogram.
    fn row(name: Latency, histogram: &Histogram) -> Option<Self> {
        Some(Self {
            name: Some(name.word()),
            ..Self::figures(histogram)?
        })
    }

    /// Without name and histogram.
    pub fn bare(histogram: &Histogram) -> Option<Self> {
        Self::figures(histogram)
    }

    fn figures(histogram: &Histogram) -> Option<Self> {
        let at = |quantile| histogram.quantile(quantile);
        Some(Self {
            name: None,
            count: histogram.count,
            saturated: (histogram.saturated > 0).then_some(histogram.saturated),
            min: histogram.min,
            mean: rounded(histogram.mean()?),
            stddev: rounded(histogram.stddev()?),
            p50: at(0.5)?,
            p75: at(0.75)?,
            p90: at(0.9)?,
            p95: at(0.95)?,
            p99: at(0.99)?,
            p99_9: at(0.999)?,
            p99_99: at(0.9999)?,
            max: histogram.max,
            histogram: None,
        })
    }
}

/// Base64 of HdrHistogram V2 deflate (1 us to 1 h, three digits); `None` when it cannot be written, which the layout
/// rules out.
pub fn encoded(histogram: &Histogram) -> Option<String> {
    let mut hdr = hdrhistogram::Histogram::<u64>::new_with_bounds(1, HIGHEST_US, DIGITS).ok()?;
    for (index, n) in &histogram.buckets {
        hdr.record_n(lowest_of(*index as usize), *n).ok()?;
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&hdr, &mut bytes).ok()?;
    Some(STANDARD.encode(bytes))
}

/// Failures of one kind and detail.
#[derive(Debug, Serialize)]
pub struct ErrorJson {
    kind: &'static str,
    detail: String,
    count: u64,
    first_at_s: f64,
    examples: Vec<ExampleJson>,
}

#[derive(Debug, Serialize)]
struct ExampleJson {
    t_s: f64,
    host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "String::is_empty")]
    body: String,
}

impl ErrorJson {
    /// Of one row.
    pub fn of(row: &ErrorRow) -> Self {
        let example = |e: &ExampleRow| ExampleJson {
            t_s: seconds(e.at_us),
            host: e.host.clone(),
            source: e.source.map(|ip| ip.to_string()),
            backend: e.backend.clone(),
            status: e.status,
            body: e.body.clone(),
        };
        Self {
            kind: row.kind.word(),
            detail: row.detail.clone(),
            count: row.count,
            first_at_s: seconds(row.first_at_us),
            examples: row.examples.iter().map(example).collect(),
        }
    }
}

/// One host.
#[derive(Debug, Serialize)]
pub struct HostJson {
    name: String,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    known_until_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cores: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_error_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_offset_us: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_busy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_steal: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    late_p99: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generator_bound: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    planned: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<TotalsJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rates: Option<RatesJson>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    latency: BTreeMap<&'static str, LatencyJson>,
}

impl HostJson {
    /// Of one row.
    pub fn of(row: &HostRow, load: &Load) -> Self {
        let (why, known_until_s) = match &row.status {
            HostStatus::Reported => (None, None),
            HostStatus::Lost { why, known_until_us } => (Some(why), Some(seconds(*known_until_us))),
            HostStatus::Refused { why } => (Some(why), None),
        };
        let started = !matches!(row.status, HostStatus::Refused { .. });
        Self {
            name: row.name.clone(),
            address: row.address.clone(),
            group: row.group.clone(),
            status: row.status.word(),
            why: why.cloned(),
            known_until_s,
            cores: row.cores,
            clock_error_us: row.clock_error_us,
            start_offset_us: row.start_offset_us,
            cpu_busy: row.cpu_busy.map(rounded),
            cpu_steal: row.cpu_steal.map(rounded),
            late_p99: row.late_p99_us,
            generator_bound: row.generator_bound,
            planned: row.planned,
            totals: started.then(|| TotalsJson::of(&row.part, load)),
            rates: started.then(|| RatesJson::of(&row.part.rates)),
            latency: latencies(&row.part.latency),
        }
    }
}

/// One source address.
#[derive(Debug, Serialize)]
pub struct SourceJson {
    host: String,
    address: String,
    connections: u64,
    requests: u64,
    backends: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_as: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seen_as_too: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<LatencyJson>,
    errors: u64,
}

impl SourceJson {
    /// Of one row; `name`: what the rows time.
    pub fn of(row: &SourceRow, name: Latency) -> Self {
        let (seen_as, seen_as_too) = super::observed::seen_as(&row.seen_as);
        Self {
            host: row.host.clone(),
            address: row.address.to_string(),
            connections: row.connections,
            requests: row.requests,
            backends: row.backends.iter().cloned().collect(),
            seen_as,
            seen_as_too,
            latency: LatencyJson::row(name, &row.latency),
            errors: row.errors,
        }
    }
}

/// One backend.
#[derive(Debug, Serialize)]
pub struct BackendJson {
    name: String,
    connections: u64,
    dropped: u64,
    requests: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<LatencyJson>,
    errors: u64,
}

impl BackendJson {
    /// Of one row.
    pub fn of(row: &BackendRow, name: Latency) -> Self {
        Self {
            name: row.name.clone(),
            connections: row.connections,
            dropped: row.dropped,
            requests: row.requests,
            share: row.share.map(rounded),
            latency: LatencyJson::row(name, &row.latency),
            errors: row.errors,
        }
    }
}

/// One group of hosts.
#[derive(Debug, Serialize)]
pub struct GroupJson {
    name: String,
    hosts: u64,
    totals: TotalsJson,
    rates: RatesJson,
    latency: BTreeMap<&'static str, LatencyJson>,
}

impl GroupJson {
    /// Of one row.
    pub fn of(row: &GroupRow, load: &Load) -> Self {
        Self {
            name: row.name.clone(),
            hosts: row.hosts,
            totals: TotalsJson::of(&row.part, load),
            rates: RatesJson::of(&row.part.rates),
            latency: latencies(&row.part.latency),
        }
    }
}

/// One target.
#[derive(Debug, Serialize)]
pub struct TargetJson {
    url: String,
    requests: u64,
    errors: u64,
    addresses: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<LatencyJson>,
}

impl TargetJson {
    /// Of one row.
    pub fn of(row: &TargetRow, name: Latency) -> Self {
        Self {
            url: super::clean::url(&row.url),
            requests: row.requests,
            errors: row.errors,
            addresses: row.addresses.iter().map(|(ip, n)| (ip.to_string(), *n)).collect(),
            latency: LatencyJson::row(name, &row.latency),
        }
    }
}

/// One second of the timeline.
#[derive(Debug, Serialize)]
pub struct SecondJson {
    t_s: f64,
    requests: u64,
    errors: u64,
    connections: u64,
    messages: u64,
    hosts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<u64>,
}

impl SecondJson {
    /// Of one second.
    pub fn of(second: &Second) -> Self {
        Self {
            t_s: seconds(second.at_us),
            requests: second.requests,
            errors: second.errors,
            connections: second.connections,
            messages: second.messages,
            hosts: second.hosts,
            p50: second.p50,
            p99: second.p99,
        }
    }
}
