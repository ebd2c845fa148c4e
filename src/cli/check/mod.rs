//! `swarm check`: flags to an [`Aim`], or an error that names the flag. What means the same to `attack` is read by its code.
//! Reads the files that flags name; never here: the network, hosts, printing.

pub mod args;
pub mod steps;

use self::args::CheckArgs;
use super::attack::args::AttackArgs;
use super::attack::{AttackCommand, Surroundings, understand as understand_attack};
use super::crew_args::read;
use super::hosts::{HostsFrom, SshOptions};
use super::{Usage, units};
use crate::check::aim::{Aim, Speech};
use crate::check::balancer::Kind;
use crate::plan::{MinHosts, SourceRange};
use std::path::PathBuf;
use std::time::Duration;
use swarm_agent::wire::share::{BackendFrom, Carrier, Eio, Engine};

/// An idle connection is watched for an hour at most.
const LONGEST_IDLE: u64 = 3600 * units::SECOND;
/// What a stamp of `attack` stands for here, where nothing is timed.
const STAMP: &str = "{{stamp}}";

/// `swarm check`, understood.
#[derive(Debug, Clone)]
pub struct CheckCommand {
    /// What is checked.
    pub aim: Aim,
    /// Names the run.
    pub run: String,
    /// Where the hosts come from.
    pub hosts: HostsFrom,
    /// How ssh is told to reach them.
    pub ssh: SshOptions,
    /// Agents of other architectures: `(x86_64, file)`.
    pub agent_binaries: Vec<(String, PathBuf)>,
    /// Local addresses to connect from.
    pub sources: Vec<SourceRange>,
    /// Hosts that must be there.
    pub min_hosts: MinHosts,
    /// `--yes`.
    pub yes: bool,
    /// stdout holds JSON alone.
    pub json: bool,
}

/// What the flags mean.
pub fn understand(args: &CheckArgs, around: &Surroundings) -> Result<CheckCommand, Usage> {
    let url = args
        .url
        .as_deref()
        .map(str::trim)
        .filter(|url| !url.is_empty())
        .ok_or_else(|| Usage("check what? a URL is missing: swarm check https://host/ --socketio".into()))?;
    if args.crew.silence.is_some() {
        return Err(Usage(
            "--silence is for attack and exec: a check has no load that would go on".into(),
        ));
    }
    let idle = read("--idle", &args.idle, |text| {
        let time = units::duration_above_zero(text)?;
        match time {
            ..=LONGEST_IDLE => Ok(Duration::from_nanos(time)),
            _ => Err("at most 1h".into()),
        }
    })?;
    if args.idle_path.is_some() && idle.is_none() {
        return Err(Usage("--idle-path: how long? add --idle 90s".into()));
    }
    if let Some(path) = args.idle_path.as_deref()
        && (!path.starts_with('/') || path.chars().any(|c| c.is_whitespace() || c.is_control()))
    {
        return Err(Usage(format!("--idle-path {path}: a path, as /ws")));
    }
    if args.emit.is_some() && args.broadcast.is_none() {
        return Err(Usage(
            "--emit: by which event do all hear it? add --broadcast EVENT".into(),
        ));
    }
    let balancer = read("--balancer", &args.balancer, Kind::read)?;
    let plain = plain_twin(url);
    let urls = std::iter::once(url.to_owned()).chain(plain).collect();
    let command = understand_attack(&as_attack(args, urls), around).map_err(reworded)?;
    let AttackCommand {
        plan,
        hosts,
        ssh,
        agent_binaries,
        ..
    } = command;
    if let BackendFrom::Said(_) = plan.backend_from {
        return Err(Usage(
            "--backend-from: check looks at answers alone: header:NAME, cookie:NAME or body:/POINTER".into(),
        ));
    }
    let mut targets = plan.targets.into_iter();
    let target = targets
        .next()
        .ok_or_else(|| Usage("check what? a URL is missing".into()))?;
    let speech = match &plan.engine {
        Engine::Http(_) => Speech::Http,
        Engine::Websocket(_) => Speech::Websocket,
        Engine::Socketio(_) => Speech::Socketio,
        Engine::Engineio(_) => Speech::Engineio,
    };
    let mut request = plan.request;
    for (name, value) in &mut request.headers {
        if name == "User-Agent" {
            *value = value.replace("load test", "check");
        }
    }
    let carrier = plan.engine.engineio().map(|(carrier, _)| carrier);
    let mut aim = Aim {
        // behind another port than 443 there is another service on port 80, if any
        twin: targets.next().filter(|_| target.port == 443),
        target,
        speech,
        endpoint: "/".into(),
        query: Vec::new(),
        namespace: "/".into(),
        auth: None,
        version: Eio::Auto,
        polls: carrier.is_some_and(|carrier| carrier != Carrier::Websocket),
        upgrades: carrier == Some(Carrier::Upgrade),
        request,
        tls: plan.tls,
        backend_from: plan.backend_from,
        balancer,
        idle,
        idle_path: args.idle_path.clone(),
        broadcast: None,
        limit: Duration::from_nanos(plan.limits.connect),
    };
    match plan.engine {
        Engine::Socketio(socketio) => {
            aim.broadcast = plan.broadcast.and_then(|broadcast| {
                let emit = socketio.emits.first()?.replace(STAMP, "check");
                Some((emit, broadcast.event))
            });
            (aim.endpoint, aim.query, aim.namespace) = (socketio.path, socketio.query, socketio.namespace);
            (aim.auth, aim.version) = (socketio.auth, socketio.version);
        }
        Engine::Engineio(engineio) => {
            (aim.endpoint, aim.query, aim.version) = (engineio.path, engineio.query, engineio.version);
        }
        Engine::Http(_) | Engine::Websocket(_) => {}
    }
    Ok(CheckCommand {
        aim,
        run: plan.run,
        hosts,
        ssh,
        agent_binaries,
        sources: plan.sources,
        min_hosts: plan.min_hosts,
        yes: args.yes,
        json: args.json,
    })
}

/// The flags that `attack` has too, as it takes them; cookies are kept unless it is said otherwise, also with http.
fn as_attack(args: &CheckArgs, urls: Vec<String>) -> AttackArgs {
    let (emit, broadcast) = match (
        &args.emit,
        args.broadcast.as_deref().and_then(|both| both.split_once(',')),
    ) {
        // the short form: what is emitted, and the event by which it is heard
        (None, Some((emitted, heard))) => (
            Some(format!("{},\"swarm check\"", emitted.trim())),
            Some(heard.trim().to_owned()),
        ),
        (emit, _) => (emit.clone(), args.broadcast.clone()),
    };
    AttackArgs {
        urls,
        crew: args.crew.clone(),
        engine: args.engine.clone(),
        socketio: args.socketio,
        header: args.header.clone(),
        user: args.user.clone(),
        cookie: args.cookie.clone(),
        cookies: Some(args.cookies.clone().unwrap_or_else(|| "keep".to_owned())),
        insecure: args.insecure,
        cacert: args.cacert.clone(),
        cert: args.cert.clone(),
        key: args.key.clone(),
        sni: args.sni.clone(),
        connect_to: args.connect_to.clone(),
        connect_timeout: args.connect_timeout.clone(),
        backend_from: args.backend_from.clone(),
        eio: args.eio.clone(),
        transport: args.transport.clone(),
        namespace: args.namespace.clone(),
        path: args.path.clone(),
        query: args.query.clone(),
        auth: args.auth.clone(),
        emit: emit.into_iter().collect(),
        broadcast,
        yes: args.yes,
        ..AttackArgs::default()
    }
}

/// `http://host/path` of a URL on TLS: where a client begins that was given the bare name.
fn plain_twin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let plain = match scheme.to_ascii_lowercase().as_str() {
        "https" => "http",
        "wss" => "ws",
        _ => return None,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{user}@"), host),
        None => (String::new(), authority),
    };
    let bare = match host.strip_prefix('[') {
        Some(inner) => format!("[{}]", inner.split(']').next()?),
        None => host.split(':').next()?.to_owned(),
    };
    Some(format!("{plain}://{user}{bare}{path}"))
}

/// Errors of `attack` that name itself.
fn reworded(Usage(text): Usage) -> Usage {
    Usage(text.replace("swarm attack ", "swarm check "))
}

#[cfg(test)]
mod tests;
