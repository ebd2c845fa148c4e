//! `swarm attack`: flags, and the playbook that one of them names, to a [`Plan`], or an error that names the flag or the
//! line. Reads the files that flags name and checks where outputs go; never here: the network, hosts, printing.

pub mod args;
mod broadcast;
mod engineio;
mod fields;
mod held;
pub mod later;
mod load;
mod observed;
pub(super) mod outputs;
mod pages;
pub mod played;
mod protocol;
mod reconnect;
mod request;
mod socketio;
mod stages;
pub mod steps;
mod target;
mod watch;

use self::args::AttackArgs;
use super::crew_args::{Noted, read, read_or};
use super::hosts::{HostsFrom, SshOptions};
use super::{Usage, joined, run_id};
use crate::plan::Plan;
use crate::playbook::load::Needs;
use crate::playbook::{self, Book, place};
use crate::requirement::{Requirement, bare_latency};
use crate::secret;
use crate::watch::address::shown;
use std::path::PathBuf;
use swarm_agent::wire::report::Latency;
use swarm_agent::wire::share::Load;

pub use self::protocol::{is_token, statuses};
pub use self::target::Kind;

/// What comes from outside the flags, handed in so that tests own it.
pub struct Surroundings {
    /// The words of the command line, the program's name first.
    pub words: Vec<String>,
    /// Environment variables, for `env:NAME`.
    pub environment: Box<secret::Environment>,
    /// Names the run.
    pub run: String,
    /// Fleets that the ledger knows.
    pub fleets: Vec<String>,
}

impl Surroundings {
    /// Those of this process.
    pub fn real() -> Self {
        Self {
            words: std::env::args_os()
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            environment: Box::new(|name| std::env::var(name).ok()),
            run: run_id::fresh(),
            fleets: joined::known(),
        }
    }
}

/// `swarm attack`, understood.
#[derive(Debug, Clone)]
pub struct AttackCommand {
    /// What the whole run is to do.
    pub plan: Plan,
    /// What the plan's flags leave in doubt, to be printed with it and warned of in the report: `(kind, text)`.
    pub notes: Vec<(String, String)>,
    /// Where the hosts come from.
    pub hosts: HostsFrom,
    /// How ssh is told to reach them.
    pub ssh: SshOptions,
    /// What is written and printed.
    pub outputs: Outputs,
    /// How far to go.
    pub mode: Mode,
    /// `--yes`: consent for every host name of the plan.
    pub yes: bool,
    /// Agents of other architectures: `(x86_64, file)`.
    pub agent_binaries: Vec<(String, PathBuf)>,
    /// What the playbook needs of hosts.
    pub needs: Needs,
}

/// What is written and printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs {
    /// Report files, all ending in `.json`, in folders that can be written.
    pub files: Vec<PathBuf>,
    /// stdout holds JSON alone.
    pub json: bool,
    /// Only the result and warnings.
    pub quiet: bool,
    /// Show the live line.
    pub live: bool,
}

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All the way.
    Run,
    /// Print the plan; no network.
    DryRun,
    /// Until every host is armed, then stop.
    ArmOnly,
}

/// What the flags mean, and the playbook that they name.
pub fn understand(typed: &AttackArgs, around: &Surroundings) -> Result<AttackCommand, Usage> {
    let Some(named) = &typed.playbook else {
        played::refuse_alone(typed)?;
        return plain(typed, typed, around, None);
    };
    let source = place::find(named).map_err(|error| Usage(format!("--playbook {named}: {error}")))?;
    let book = playbook::read(&source, &typed.set, around.environment.as_ref()).map_err(Usage)?;
    let (args, used) = fields::overlay(typed, &book);
    let read = plain(&args, typed, around, Some(&book));
    read.map_err(|error| Usage(book.hide(&fields::blame(&book, &used, error).0)))
}

/// What the flags mean, those of a playbook among them. `typed` are those of the command line alone.
fn plain(
    args: &AttackArgs,
    typed: &AttackArgs,
    around: &Surroundings,
    book: Option<&Book>,
) -> Result<AttackCommand, Usage> {
    let mut noted = Noted::default();
    let aim = target::aim(args)?;
    protocol::refuse_strangers(args, aim.kind)?;
    reconnect::refuse(args, aim.kind)?;
    let flows = book.filter(|book| book.has_flows);
    if flows.is_some() {
        played::refuse_what_flows_say(args)?;
    } else {
        played::refuse_rows(args)?;
    }
    let hosts = args.crew.hosts(&around.fleets, &mut noted)?;
    let engine = protocol::engine(args, &aim, around, &mut noted)?;
    let backend_from = observed::backend_from(args, &engine)?;
    let seen_from = observed::seen_from(args, &engine)?;
    let limits = request::limits(args, &mut noted)?;
    let speaks = protocol::says_something(&engine);
    let mut load = match flows {
        Some(_) => load::of_flows(args, aim.kind, &mut noted)?,
        None => load::load(args, aim.kind, speaks, limits.hit, &mut noted)?,
    };
    let mut targets = aim.targets.clone();
    let request = request::request(args, &aim, around, &mut targets, &mut noted)?;
    let mut program = None;
    if let Some(book) = flows {
        program = Some(played::program(book, args, &aim, around, &mut targets, &mut load)?);
        noted.forget_what_flows_say();
    }
    target::refuse_unused_rules(args, &targets)?;
    let broadcast = match program.as_deref() {
        Some(program) => played::broadcast(book, &engine, program)?,
        None => broadcast::broadcast(args, &engine, &load, &mut noted)?,
    };
    let bare = program.as_deref().and_then(played::bare_latency);
    let requirements = requirements(args, bare.unwrap_or(bare_latency(&engine)), &load, &mut noted)?;
    let plan = Plan {
        run: around.run.clone(),
        command: secret::redact_command(&around.words, &typed_secrets(typed)),
        targets,
        engine,
        load,
        program,
        playbook: book.map(|book| book.name.clone()),
        broadcast,
        request,
        tls: request::tls(args)?,
        backend_from,
        seen_from,
        balancer: args.balanced.read()?,
        limits,
        sources: args.crew.sources()?,
        min_hosts: args.crew.min_hosts(&mut noted)?,
        requirements,
        watch: pages::watch(args, around)?,
        strict: args.strict,
        trace: args.trace_one,
        defaults: noted.defaults,
    };
    Ok(AttackCommand {
        plan,
        notes: noted.notes,
        hosts,
        ssh: args.crew.from.ssh(),
        outputs: outputs::outputs(args)?,
        mode: outputs::mode(args)?,
        yes: args.yes,
        agent_binaries: args.crew.agent_binaries()?,
        needs: book.map(|book| book.needs).unwrap_or_default(),
    })
}

fn requirements(args: &AttackArgs, bare: Latency, load: &Load, noted: &mut Noted) -> Result<Vec<Requirement>, Usage> {
    let mut read = Vec::with_capacity(args.require.len());
    for typed in &args.require {
        let requirement = Requirement::parse(typed, bare).map_err(|error| match error.strip_prefix("quote it: ") {
            Some(_) => Usage(error),
            None => Usage::of("--require", error),
        })?;
        let due_only = matches!(
            requirement.subject,
            crate::requirement::Subject::Latency(Latency::Request | Latency::Lateness, _)
        );
        if due_only && matches!(load, Load::Closed(_)) {
            let subject = requirement.subject();
            noted.note(
                "requirement_not_measured",
                format!("a closed loop has no due times, so {subject} is not measured and fails: use -q, or require service.{}", subject.split('.').skip(1).collect::<Vec<_>>().join(".")),
            );
        }
        read.push(requirement);
    }
    Ok(read)
}

/// Every typed value that may hold a secret, with what is shown instead.
fn typed_secrets(args: &AttackArgs) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut add = |typed: &str, shown: String| pairs.push((typed.to_string(), shown));
    args.urls.iter().for_each(|url| add(url, secret::redact_url(url)));
    args.header
        .iter()
        .for_each(|line| add(line, secret::redact_header_line(line)));
    args.cookie
        .iter()
        .for_each(|cookies| add(cookies, secret::redact_cookies(cookies)));
    args.query.iter().for_each(|pair| add(pair, secret::redact_pair(pair)));
    args.set.iter().for_each(|pair| add(pair, secret::redact_pair(pair)));
    args.emit.iter().for_each(|emit| add(emit, socketio::redact_emit(emit)));
    args.user.iter().for_each(|user| add(user, secret::redact_user(user)));
    args.auth.iter().for_each(|auth| add(auth, secret::redact_secret(auth)));
    args.lb_stats.iter().for_each(|page| add(page, shown(page)));
    args.lb_stats_auth
        .iter()
        .for_each(|login| add(login, secret::redact_user(login)));
    args.watch_metrics
        .iter()
        .for_each(|page| add(page, pages::redact_metrics(page)));
    for payload in [&args.data, &args.message].into_iter().flatten() {
        add(payload, secret::redact_payload(payload));
    }
    pairs.retain(|(typed, shown)| typed != shown);
    pairs
}

#[cfg(test)]
mod tests;
