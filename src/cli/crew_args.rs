//! The flags that say where a run comes from, which `attack` and `exec` share: hosts, fleet, agents here, addresses, how
//! many must be ready. Never here: what is done there.

use super::hosts::{HostArgs, HostsFrom};
use super::units::{self, SECOND, show_duration};
use super::{Usage, joined};
use crate::plan::{MinHosts, SourceRange};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

const FROM: &str = "From where";

/// Agents are pinged every second; a shorter silence would stop a run over one delayed packet.
const SHORTEST_SILENCE: u64 = 2 * SECOND;
const LONGEST_SILENCE: u64 = 300 * SECOND;

/// More agents than this on one machine measure only each other.
const MOST_LOCAL: u64 = 256;

/// The flags, as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct CrewArgs {
    #[command(flatten)]
    pub from: HostArgs,
    /// The fleet that `swarm up` made [default without hosts: the one that is up]
    #[arg(long, value_name = "NAME", help_heading = FROM)]
    pub fleet: Option<String>,
    /// N agents on this machine [default without hosts and fleet: 1]
    #[arg(long, value_name = "N", help_heading = FROM)]
    pub local: Option<String>,
    /// Connect from these in turn: addresses, CIDR, A-B or iface:NAME, comma-separated; each host uses those it owns
    #[arg(long, value_name = "LIST", help_heading = FROM)]
    pub source_ips: Vec<String>,
    /// Hosts that must be ready, a number or a share [default: 100%]
    #[arg(long, value_name = "N|P%", help_heading = FROM)]
    pub min_hosts: Option<String>,
    /// An agent that hears nothing from here for so long stops, at most 5m [default: 10s]
    #[arg(long, value_name = "T", help_heading = FROM)]
    pub silence: Option<String>,
    /// Agent to use on hosts of this architecture (x86_64, aarch64)
    #[arg(long, value_name = "ARCH=FILE", help_heading = FROM)]
    pub agent_binary: Vec<String>,
}

impl CrewArgs {
    /// The hosts, given the fleets that the ledger knows.
    pub fn hosts(&self, fleets: &[String], noted: &mut Noted) -> Result<HostsFrom, Usage> {
        let local = read("--local", &self.local, |text| match units::count(text)? {
            n if n > MOST_LOCAL => Err(format!("at most {MOST_LOCAL}")),
            n => Ok(u32::try_from(n).unwrap_or(u32::MAX)),
        })?;
        let listed = self.from.names_any();
        let fleet = match (&self.fleet, listed || local.is_some()) {
            (Some(_), _) => Some(super::fleet_name(&self.fleet)?),
            (None, true) => None,
            (None, false) => joined::meant(None, fleets).map_err(Usage)?,
        };
        let local = match (local, listed || fleet.is_some()) {
            (Some(n), _) => n,
            (None, true) => 0,
            (None, false) => {
                noted.took("--local 1");
                1
            }
        };
        self.from.from_where(local, fleet)
    }

    /// `--min-hosts`.
    pub fn min_hosts(&self, noted: &mut Noted) -> Result<MinHosts, Usage> {
        Ok(super::min_hosts(&self.min_hosts)?.unwrap_or_else(|| {
            noted.took("--min-hosts 100%");
            MinHosts::Percent(100.0)
        }))
    }

    /// `--silence`, ns.
    pub fn silence(&self, noted: &mut Noted) -> Result<u64, Usage> {
        read_or("--silence", &self.silence, silence, 10 * SECOND, show_duration, noted)
    }

    /// `--source-ips`.
    pub fn sources(&self) -> Result<Vec<SourceRange>, Usage> {
        let parts = self.source_ips.iter().flat_map(|list| list.split(','));
        parts
            .map(|part| source(part.trim()).map_err(|error| Usage(format!("--source-ips {part}: {error}"))))
            .collect()
    }

    /// `--agent-binary`: architecture and file.
    pub fn agent_binaries(&self) -> Result<Vec<(String, PathBuf)>, Usage> {
        let mut read: Vec<(String, PathBuf)> = Vec::new();
        for typed in &self.agent_binary {
            let wrong = |error: String| Usage(format!("--agent-binary {typed}: {error}"));
            let (architecture, file) = typed
                .split_once('=')
                .ok_or_else(|| wrong("ARCH=FILE, as x86_64=swarm-agent".into()))?;
            let plain = !architecture.is_empty() && architecture.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !plain || file.is_empty() {
                return Err(wrong("ARCH=FILE, as x86_64=swarm-agent".into()));
            }
            if read.iter().any(|(known, _)| known == architecture) {
                return Err(wrong(format!("{architecture} is given twice")));
            }
            if !Path::new(file).is_file() {
                return Err(wrong(format!("{file} is no file")));
            }
            read.push((architecture.to_string(), PathBuf::from(file)));
        }
        Ok(read)
    }
}

fn silence(text: &str) -> Result<u64, String> {
    let time = units::duration(text)?;
    match time {
        SHORTEST_SILENCE..=LONGEST_SILENCE => Ok(time),
        _ => Err("between 2s and 5m".into()),
    }
}

/// The same of one host's `sources=`.
pub fn source_ranges(typed: &str) -> Result<Vec<SourceRange>, String> {
    typed.split(',').map(|part| source(part.trim())).collect()
}

fn source(text: &str) -> Result<SourceRange, String> {
    let address = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>();
    if let Some(name) = text.strip_prefix("iface:") {
        let plain = !name.is_empty() && name.len() < 16 && name.chars().all(|c| c.is_ascii_graphic() && c != '/');
        return plain
            .then(|| SourceRange::Interface(name.to_string()))
            .ok_or_else(|| "no interface name".into());
    }
    if let Ok(one) = address(text) {
        return Ok(SourceRange::One(one));
    }
    if text.contains('/') {
        return text
            .parse()
            .map(SourceRange::Net)
            .map_err(|_| "no network: 10.0.0.0/24".into());
    }
    let wrong = || "an address, a network (10.0.0.0/24), a range (10.0.0.4-10.0.0.9) or iface:NAME".to_string();
    let (from, to) = text.split_once('-').ok_or_else(wrong)?;
    let (from, to) = (
        address(from.trim()).map_err(|_| wrong())?,
        address(to.trim()).map_err(|_| wrong())?,
    );
    if from.is_ipv4() != to.is_ipv4() {
        return Err("both ends must be IPv4 or both IPv6".into());
    }
    if from > to {
        return Err(format!("the wrong way round: {to}-{from}?"));
    }
    Ok(SourceRange::Range(from, to))
}

/// What was filled in and what is in doubt, gathered on the way.
#[derive(Debug, Default)]
pub struct Noted {
    /// Flags that took their defaults, as `-c 50`.
    pub defaults: Vec<String>,
    /// Doubts: `(kind, text)`.
    pub notes: Vec<(String, String)>,
}

impl Noted {
    /// A flag took its default.
    pub fn took(&mut self, flag: impl Into<String>) {
        self.defaults.push(flag.into());
    }

    /// Defaults of what a client of a playbook's flows never does.
    pub fn forget_what_flows_say(&mut self) {
        let said = ["no --emit", "no --message", "-m ", "--redirects ", "--ok "];
        self.defaults
            .retain(|default| !said.iter().any(|begin| default.starts_with(begin)));
    }

    /// Something is in doubt.
    pub fn note(&mut self, kind: &str, text: impl Into<String>) {
        self.notes.push((kind.into(), text.into()));
    }
}

/// Reads one flag's value, its name before any error.
pub(super) fn read<T>(
    flag: &str,
    typed: &Option<String>,
    how: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Usage> {
    typed
        .as_deref()
        .map(|text| how(text).map_err(|error| Usage(format!("{flag} {text}: {error}"))))
        .transpose()
}

/// Reads one flag's value or takes its default, which is then printed.
pub(super) fn read_or<T: Copy>(
    flag: &str,
    typed: &Option<String>,
    how: impl Fn(&str) -> Result<T, String>,
    default: T,
    shown: impl Fn(T) -> String,
    noted: &mut Noted,
) -> Result<T, Usage> {
    match read(flag, typed, how)? {
        Some(value) => Ok(value),
        None => {
            noted.took(format!("{flag} {}", shown(default)));
            Ok(default)
        }
    }
}
