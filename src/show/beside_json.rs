//! What was read beside a run, as JSON: `balancer` and `metrics` of the report. Rows have the balancer's own words (`stot`,
//! `hrsp_2xx`, `accepts`). Absent means not said, never zero.

use super::clean;
use super::json::{rounded, seconds};
use crate::merge::Summary;
use crate::watch::compare::{Compared, Comparison};
use crate::watch::row::{Figures, Row};
use crate::watch::watched::{Balancer, Series, Tracked};
use serde::Serialize;
use serde_json::{Map, Value};

/// `balancer`.
#[derive(Debug, Serialize)]
pub struct BalancerJson {
    kind: &'static str,
    page: String,
    window_s: [f64; 2],
    reads: u64,
    failed_reads: u64,
    before: Vec<Value>,
    after: Vec<Value>,
    delta: Vec<Value>,
    timeline: Vec<MomentJson>,
    compared: ComparedJson,
}

#[derive(Debug, Serialize)]
struct MomentJson {
    t_s: f64,
    rows: Vec<Value>,
}

#[derive(Debug, Serialize)]
struct ComparedJson {
    servers: Vec<ServerJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unmatched: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agrees: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ServerJson {
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    proxies: Vec<String>,
    counter: &'static str,
    balancer: u64,
    swarm: u64,
    agrees: bool,
}

/// One of `metrics`.
#[derive(Debug, Serialize)]
pub struct MetricJson {
    source: String,
    name: String,
    labels: Map<String, Value>,
    points: Vec<(f64, f64)>,
}

impl BalancerJson {
    /// Of a run; `None` where no statistics were read.
    pub fn of(summary: &Summary) -> Option<Self> {
        let watched = summary.watched.as_ref()?;
        let balancer = watched.balancer.as_ref()?;
        let page = watched.pages.first()?;
        let after = |row: &Tracked| named(&row.after, &[&row.after.counters, &row.after.gauges], true);
        Some(Self {
            kind: balancer.kind.word(),
            page: balancer.address.clone(),
            window_s: [-seconds(balancer.before_us), seconds(balancer.after_us.unwrap_or(0))],
            reads: page.reads,
            failed_reads: page.failed,
            before: balancer
                .rows
                .iter()
                .filter_map(|row| row.before.as_ref())
                .map(|row| named(row, &[&row.counters, &row.gauges], true))
                .collect(),
            after: balancer.rows.iter().map(after).collect(),
            delta: balancer.rows.iter().map(delta).collect(),
            timeline: moments(balancer),
            compared: summary.comparison.as_ref().map_or_else(
                || ComparedJson::of(&Comparison::default(), balancer),
                |c| ComparedJson::of(c, balancer),
            ),
        })
    }
}

fn delta(row: &Tracked) -> Value {
    let mut value = named(&row.after, &[&row.risen], false);
    if let Value::Object(map) = &mut value {
        if !row.risen.is_empty() {
            map.insert("most_sessions".into(), row.most_sessions.into());
            map.insert("most_queued".into(), row.most_queued.into());
        }
        if row.anew {
            map.insert("began_anew".into(), true.into());
        }
    }
    value
}

fn moments(balancer: &Balancer) -> Vec<MomentJson> {
    let moment = |moment: &crate::watch::watched::Instant| MomentJson {
        t_s: rounded(seconds(moment.at_us)),
        rows: moment
            .rows
            .iter()
            .map(|(place, figures)| named(&balancer.rows[*place].after, &[figures], false))
            .collect(),
    };
    balancer.timeline.iter().map(moment).collect()
}

/// A row with these figures; `whole`: and what kind it is of, how it stands.
fn named(row: &Row, figures: &[&Figures], whole: bool) -> Value {
    let mut map = Map::new();
    if !row.proxy.is_empty() {
        map.insert("pxname".into(), clean::line(&row.proxy).into());
    }
    map.insert("svname".into(), clean::line(&row.name).into());
    if whole {
        map.insert("type".into(), row.kind.word().into());
        for (name, text) in [
            ("mode", &row.mode),
            ("status", &row.status),
            ("check_status", &row.check_status),
        ] {
            if !text.is_empty() {
                map.insert(name.into(), clean::line(text).into());
            }
        }
    }
    for (name, n) in figures.iter().flat_map(|figures| figures.iter()) {
        map.insert(name.into(), n.into());
    }
    Value::Object(map)
}

impl ComparedJson {
    fn of(comparison: &Comparison, balancer: &Balancer) -> Self {
        let server = |row: &Compared| ServerJson {
            name: clean::line(&row.name),
            proxies: row
                .places
                .iter()
                .map(|place| clean::line(&balancer.rows[*place].after.proxy))
                .filter(|proxy| !proxy.is_empty())
                .collect(),
            counter: row.counter,
            balancer: row.balancer,
            swarm: row.swarm,
            agrees: row.agrees(),
        };
        Self {
            servers: comparison.rows.iter().map(server).collect(),
            unmatched: comparison.unmatched.clone(),
            agrees: comparison
                .unknown
                .is_none()
                .then(|| comparison.rows.iter().all(Compared::agrees)),
            unknown: comparison.unknown.clone(),
            reasons: comparison.reasons.clone(),
        }
    }
}

impl MetricJson {
    /// Of one series.
    pub fn of(series: &Series) -> Self {
        Self {
            source: series.source.clone(),
            name: series.name.clone(),
            labels: series
                .labels
                .iter()
                .map(|(name, value)| (name.clone(), clean::line(value).into()))
                .collect(),
            points: series
                .points
                .iter()
                .map(|(at_us, value)| (rounded(seconds(*at_us)), *value))
                .collect(),
        }
    }
}
