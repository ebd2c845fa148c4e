//! The plan as it is printed before the load. Returns text; `show` prints it. Pure.

mod flows;

use self::flows::flows;
use super::units::{comma, show_duration, show_number, show_rate};
use crate::plan::Plan;
use crate::split::{self, Portion};
use swarm_agent::wire::share::{
    Broadcast, Cadence, Carrier, Closed, Eio, Engine, Held, Level, Load, Open, Stage, Version,
};

/// What is known of the hosts when the plan is printed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Crew {
    /// `fleet default: 8 hosts, 8 addresses` or `this machine: 1 agent`.
    pub from: String,
    /// Weight of each host.
    pub weights: Vec<u32>,
    /// Addresses that each host connects from; empty while not known.
    pub sources: Vec<usize>,
    /// The smallest of the hosts' ephemeral port ranges, once they said it.
    pub ports: Option<u64>,
    /// The smallest of the hosts' file limits, once they said it.
    pub files: Option<u64>,
    /// What ends beside the load: `fleet has 2h41m left`.
    pub ends: Option<String>,
}

/// The first line of a run, `from: ...`.
pub fn first_line(crew: &Crew) -> String {
    format!("from: {}", crew.from.replacen(": ", ", ", 1))
}

/// The plan: target, from, load, split, needs, ends, then the defaults that were used, requirements and doubts.
pub fn preview(plan: &Plan, crew: &Crew, notes: &[(String, String)]) -> String {
    let portions = split::portions(&plan.load, &crew.weights);
    let mut lines = Vec::new();
    lines.extend(labelled("playbook", plan.playbook.iter().cloned().collect()));
    lines.extend(labelled("target", targets(plan)));
    lines.extend(labelled("from", vec![crew.from.clone()]));
    lines.extend(labelled("load", load(&plan.load)));
    lines.extend(labelled(
        "flows",
        plan.program.iter().flat_map(|program| flows(program)).collect(),
    ));
    lines.extend(labelled("listen", plan.broadcast.iter().map(listening).collect()));
    lines.extend(labelled("watch", plan.watch.lines()));
    lines.extend(labelled("split", shares(&plan.load, &portions)));
    lines.extend(labelled("needs", vec![needs(plan, crew, &portions)]));
    lines.extend(labelled("ends", vec![ends(plan, crew)]));
    lines.extend(labelled("defaults", wrapped(&plan.defaults)));
    lines.extend(labelled(
        "require",
        plan.requirements
            .iter()
            .map(|r| requirement(&r.expr, &r.subject()))
            .collect(),
    ));
    lines.extend(labelled("note", notes.iter().map(|(_, text)| text.clone()).collect()));
    lines.join("\n") + "\n"
}

/// The label stands before the first line only.
fn labelled(label: &str, texts: Vec<String>) -> Vec<String> {
    texts
        .into_iter()
        .enumerate()
        .map(|(place, text)| format!("{:<9}{text}", if place == 0 { label } else { "" }))
        .collect()
}

fn wrapped(words: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < 100 => line.push_str(&format!(", {word}")),
            _ => lines.push(word.clone()),
        }
    }
    lines
}

fn requirement(typed: &str, subject: &str) -> String {
    if typed.starts_with(subject) {
        typed.to_string()
    } else {
        format!("{typed}  ({subject})")
    }
}

fn targets(plan: &Plan) -> Vec<String> {
    let how = engine(plan);
    match plan.targets.as_slice() {
        [one] => vec![format!("{}{}  {how}", one.url, redirected(one))],
        several => {
            let all: u64 = several.iter().map(|target| u64::from(target.weight)).sum();
            let each = several.iter().map(|target| match target.weight {
                0 => format!("by steps  {}{}", target.url, redirected(target)),
                weight => format!("{weight} of {all}  {}{}", target.url, redirected(target)),
            });
            std::iter::once(how).chain(each).collect()
        }
    }
}

fn redirected(target: &swarm_agent::wire::share::Target) -> String {
    match &target.connect_to {
        Some((host, port)) if host.contains(':') => format!(" at [{host}]:{port}"),
        Some((host, port)) => format!(" at {host}:{port}"),
        None => String::new(),
    }
}

fn engine(plan: &Plan) -> String {
    let cookies = if plan.request.keep_cookies {
        "cookies kept"
    } else {
        "cookies dropped"
    };
    match &plan.engine {
        // what is sent is the flows' matter
        Engine::Http(_) if plan.program.is_some() => format!("http, {cookies}"),
        Engine::Websocket(_) if plan.program.is_some() => format!("websocket, {cookies}"),
        Engine::Http(http) => {
            let reuse = match (http.keepalive, http.requests_per_connection) {
                (false, _) => "a connection each".to_string(),
                (true, Some(n)) => format!("{} a connection", comma(n)),
                (true, None) => "keep-alive".to_string(),
            };
            format!("http {}, {reuse}, {cookies}", http.method)
        }
        Engine::Websocket(websocket) => {
            let says = says(websocket.message.as_deref(), websocket.echo);
            format!("websocket, {says}, {cookies}")
        }
        Engine::Socketio(socketio) => {
            let namespace = if socketio.namespace == "/" {
                String::new()
            } else {
                format!(", namespace {}", socketio.namespace)
            };
            format!(
                "socketio {}, EIO {}{namespace}, {cookies}",
                carrier(socketio.carrier),
                eio(&socketio.version)
            )
        }
        Engine::Engineio(engineio) => {
            let says = says(engineio.message.as_deref(), engineio.echo);
            format!(
                "engineio {}, EIO {}, {says}, {cookies}",
                carrier(engineio.carrier),
                eio(&engineio.version)
            )
        }
    }
}

fn says(message: Option<&[u8]>, echo: bool) -> String {
    match message {
        None => "only held".to_string(),
        Some(message) => {
            let echo = if echo { ", echo timed" } else { "" };
            format!("messages of {} bytes{echo}", comma(message.len() as u64))
        }
    }
}

fn carrier(carrier: Carrier) -> &'static str {
    match carrier {
        Carrier::Upgrade => "upgrade",
        Carrier::Websocket => "websocket",
        Carrier::Polling => "polling",
    }
}

fn eio(version: &Eio) -> &'static str {
    match version {
        Eio::Fixed(Version::Three) => "3",
        Eio::Fixed(Version::Four) => "4",
        Eio::Auto | Eio::Found(_) => "auto",
    }
}

fn load(load: &Load) -> Vec<String> {
    match load {
        Load::Closed(closed) => closed_loop(closed),
        Load::Open(open) => vec![open_loop(open)],
        Load::Held(held) => std::iter::once(held_clients(held)).chain(way_back(held)).collect(),
    }
}

fn closed_loop(closed: &Closed) -> Vec<String> {
    let connections = match &closed.connections {
        Level::Ramp { count, rate: None } => format!("{} connections", comma(*count)),
        Level::Ramp {
            count,
            rate: Some(rate),
        } => format!("{} connections, {}", comma(*count), show_rate(*rate)),
        Level::Stages(stages) => format!("connections {}", shape(stages, comma)),
    };
    let until = match (closed.requests, closed.duration) {
        (Some(n), Some(time)) => format!(
            "{} requests or {}, whichever comes first",
            comma(n),
            show_duration(time)
        ),
        (Some(n), None) => format!("{} requests", comma(n)),
        (None, Some(time)) => show_duration(time),
        (None, None) => "ever".into(),
    };
    vec![
        format!("{connections}, closed loop, for {until}{}", warmup(closed.warmup)),
        "no due times: queueing is hidden; use -q".into(),
    ]
}

fn open_loop(open: &Open) -> String {
    let stages = &open.schedule.stages;
    let hits = split::requests(&Load::Open(open.clone())).unwrap_or(0);
    format!(
        "{}: {} hits due, open loop, at most {} connections: ends after {}{}",
        shape(stages, show_rate),
        comma(hits),
        comma(open.connections),
        show_duration(stages.iter().map(|stage| stage.duration).sum()),
        warmup(open.warmup)
    )
}

fn listening(broadcast: &Broadcast) -> String {
    let emitters = match broadcast.one_in {
        1 => "all emit".to_string(),
        n => format!("one client in {} emits", comma(n)),
    };
    let measured = match broadcast.stamped {
        true => "each receipt is timed from its stamp",
        false => "only reach is measured, for want of {{stamp}} in a text of --emit",
    };
    format!("all clients, for `{}`; {emitters}; {measured}", broadcast.event)
}

fn held_clients(held: &Held) -> String {
    let (clients, ramp) = match &held.clients {
        Level::Ramp { count, rate: None } => (format!("{} clients, all at once", comma(*count)), 0),
        Level::Ramp {
            count,
            rate: Some(rate),
        } => {
            let ramp = (u128::from(*count) * 1_000_000_000_000_000).div_ceil(u128::from((*rate).max(1)));
            (
                format!("{} clients, {}", comma(*count), show_rate(*rate)),
                u64::try_from(ramp).unwrap_or(u64::MAX),
            )
        }
        Level::Stages(stages) => (
            format!("clients {}", shape(stages, comma)),
            stages.iter().map(|stage| stage.duration).sum(),
        ),
    };
    let hold = match held.end.checked_sub(ramp) {
        Some(0) | None => String::new(),
        Some(hold) => format!(", then {}", show_duration(hold)),
    };
    let says = match &held.cadence {
        None => String::new(),
        Some(Cadence::Once) => "; each sends once".into(),
        Some(Cadence::Every(time)) => format!("; each sends every {}", show_duration(*time)),
        Some(Cadence::Total(schedule)) => match schedule.stages.as_slice() {
            [one] if one.from == one.to => format!("; {} messages in total", show_rate(one.from)),
            stages => format!("; messages {}", shape(stages, show_rate)),
        },
    };
    let stop = held
        .requests
        .map_or(String::new(), |n| format!(", or after {} messages", comma(n)));
    format!("{clients}{hold}: ends after {}{stop}{says}", show_duration(held.end))
}

/// How lost clients come back, and when all are made to.
fn way_back(held: &Held) -> Option<String> {
    let plan = held.reconnect.as_ref()?;
    let tries = plan
        .attempts
        .map_or(String::new(), |n| format!(", {} attempts at most", comma(n.into())));
    let mut text = format!(
        "lost clients come back: {} doubling to {}, ±{} %{tries}",
        show_duration(plan.least),
        show_duration(plan.most),
        show_number(f64::from(plan.jitter) / 10.0)
    );
    if !held.storms.is_empty() {
        let storms: Vec<String> = held.storms.iter().map(|at| show_duration(*at)).collect();
        text.push_str(&format!("; storm after {}", storms.join(", ")));
    }
    Some(text)
}

/// `100/s for 30s, then to 500/s in 1m`.
fn shape(stages: &[Stage], level: impl Fn(u64) -> String) -> String {
    let part = |stage: &Stage| match stage.from == stage.to {
        true => format!("{} for {}", level(stage.from), show_duration(stage.duration)),
        false => format!(
            "{} to {} in {}",
            level(stage.from),
            level(stage.to),
            show_duration(stage.duration)
        ),
    };
    stages.iter().map(part).collect::<Vec<_>>().join(", then ")
}

fn warmup(ns: u64) -> String {
    if ns == 0 {
        String::new()
    } else {
        format!(", after {} of warm-up", show_duration(ns))
    }
}

/// `8 x 1,250 clients, 62.5/s`; unequal shares one group after the other, `2 x 3 + 1 x 2 clients`.
fn shares(load: &Load, portions: &[Portion]) -> Vec<String> {
    let what = if matches!(load, Load::Held(_)) {
        "clients"
    } else {
        "connections"
    };
    let mut groups: Vec<(usize, Portion)> = Vec::new();
    for portion in portions.iter().filter(|portion| !portion.is_idle()) {
        match groups.iter_mut().find(|(_, known)| known == portion) {
            Some((hosts, _)) => *hosts += 1,
            None => groups.push((1, *portion)),
        }
    }
    let rate = match load {
        Load::Closed(_) => None,
        Load::Open(open) => open.schedule.stages.iter().map(|stage| stage.from.max(stage.to)).max(),
        Load::Held(held) => match &held.clients {
            Level::Ramp { rate, .. } => *rate,
            Level::Stages(_) => None,
        },
    };
    let part = |(hosts, portion): &(usize, Portion)| {
        let mut text = format!("{hosts} x {} {what}", comma(portion.connections));
        if let Some(rate) = rate {
            let own = rate as f64 / 1e6 * portion.slots.0 as f64 / portion.slots.1.max(1) as f64;
            text.push_str(&format!(", {}/s", show_number(own)));
        }
        if let (Some(n), false) = (portion.requests, matches!(load, Load::Held(_))) {
            text.push_str(&format!(", {} requests", comma(n)));
        }
        text
    };
    let mut lines = vec![groups.iter().map(part).collect::<Vec<_>>().join(" + ")];
    let idle = portions.iter().filter(|portion| portion.is_idle()).count();
    if idle > 0 {
        lines.push(format!("{idle} of {} hosts have nothing to do", portions.len()));
    }
    lines
}

/// Ports of a source and files of a host that the busiest host needs.
fn needs(plan: &Plan, crew: &Crew, portions: &[Portion]) -> String {
    let carrier = plan.engine.engineio().map(|(carrier, _)| carrier);
    let sockets = if carrier == Some(Carrier::Polling) { 2 } else { 1 };
    let files = portions
        .iter()
        .map(|portion| portion.connections * sockets)
        .max()
        .unwrap_or(0);
    let lives = match &plan.load {
        Load::Held(held) => swarm_agent::pacer::lives(held),
        Load::Closed(_) | Load::Open(_) => 1,
    };
    let by_source = portions.iter().enumerate().map(|(host, portion)| {
        let sources = crew.sources.get(host).copied().unwrap_or(1).max(1) as u64;
        (portion.connections * sockets * lives).div_ceil(sources)
    });
    let of = |needed: u64, limit: Option<u64>| match limit {
        Some(limit) => format!("{} of {}", comma(needed), comma(limit)),
        None => comma(needed),
    };
    let mut text = format!(
        "{} ports a source; {} files a host",
        of(by_source.max().unwrap_or(0), crew.ports),
        of(files, crew.files)
    );
    if carrier == Some(Carrier::Upgrade) {
        text.push_str("; three of each a client while it upgrades");
    }
    text
}

fn ends(plan: &Plan, crew: &Crew) -> String {
    let grace = show_duration(plan.limits.grace);
    let time = match &plan.load {
        Load::Closed(closed) => closed.duration.map(|time| time.saturating_add(closed.warmup)),
        Load::Open(open) => Some(
            open.schedule
                .stages
                .iter()
                .map(|stage| stage.duration)
                .sum::<u64>()
                .saturating_add(open.warmup),
        ),
        Load::Held(held) => Some(held.end),
    };
    let own = match time {
        Some(time) => format!("after {} and at most {grace} of grace", show_duration(time)),
        None => "with the last answer".into(),
    };
    match &crew.ends {
        Some(other) => format!("{own}; {other}"),
        None => own,
    }
}

#[cfg(test)]
mod tests;
