//! The hosts that a command line names and how ssh reaches them: what `attack` and `down` share. Never here: what is done
//! on them.

use super::Usage;
use crate::error::Error;
use crate::fleet::host::Host;
use crate::fleet::hostlist;
use crate::transport::{Ssh, ssh_config};
use std::io::Read;
use std::path::PathBuf;

const FROM: &str = "From where";

/// The flags, as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct HostArgs {
    /// Hosts over ssh: user@addr[:port],... ([v6] and ssh_config aliases too)
    #[arg(long, value_name = "HOST,...", help_heading = FROM)]
    pub hosts: Vec<String>,
    /// The same, one a line: ubuntu@10.0.0.4:22 weight=2 group=eu sources=iface:eth1; - is stdin
    #[arg(long, value_name = "FILE", help_heading = FROM)]
    pub host_file: Vec<String>,
    /// Private key, as ssh -i
    #[arg(short = 'i', long, value_name = "FILE", help_heading = FROM)]
    pub identity: Option<PathBuf>,
    /// ssh configuration, as ssh -F
    #[arg(short = 'F', long, value_name = "FILE", help_heading = FROM)]
    pub ssh_config: Option<PathBuf>,
    /// Accept host keys never seen before (a changed one is refused even so)
    #[arg(long, help_heading = FROM)]
    pub accept_new_host_keys: bool,
}

impl HostArgs {
    /// Whether hosts are named.
    pub fn names_any(&self) -> bool {
        !self.hosts.is_empty() || !self.host_file.is_empty()
    }

    /// What the flags mean, with so many agents on this machine beside.
    pub fn from_where(&self, local: u32, fleet: Option<String>) -> Result<HostsFrom, Usage> {
        for list in &self.hosts {
            if list.split(',').all(|host| host.trim().is_empty()) {
                return Err(Usage("--hosts is empty: user@addr[:port],...".into()));
            }
        }
        if self.host_file.iter().filter(|file| *file == "-").count() > 1 {
            return Err(Usage("--host-file -: stdin can be read only once".into()));
        }
        let needless = [
            ("-i", self.identity.is_some()),
            ("-F", self.ssh_config.is_some()),
            ("--accept-new-host-keys", self.accept_new_host_keys),
        ];
        if let (Some((flag, _)), false) = (
            needless.iter().find(|(_, given)| *given),
            self.names_any() || fleet.is_some(),
        ) {
            return Err(Usage(format!(
                "{flag}: no host is reached over ssh; add --hosts or --host-file"
            )));
        }
        let file = |typed: &String| {
            if typed == "-" {
                HostFile::Stdin
            } else {
                HostFile::Path(PathBuf::from(typed))
            }
        };
        Ok(HostsFrom {
            lists: self.hosts.clone(),
            files: self.host_file.iter().map(file).collect(),
            local,
            fleet,
        })
    }

    /// How ssh is told to reach them.
    pub fn ssh(&self) -> SshOptions {
        SshOptions {
            identity: self.identity.clone(),
            config: self.ssh_config.clone(),
            accept_new: self.accept_new_host_keys,
        }
    }
}

/// Where the hosts come from: the union of all that is named. Raw text; `fleet::hostlist` reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostsFrom {
    /// Values of `--hosts`, as typed.
    pub lists: Vec<String>,
    /// Values of `--host-file`.
    pub files: Vec<HostFile>,
    /// Agents on this machine.
    pub local: u32,
    /// A fleet that `swarm up` made.
    pub fleet: Option<String>,
}

/// A host file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostFile {
    /// `-`
    Stdin,
    /// A file.
    Path(PathBuf),
}

impl HostsFrom {
    /// The hosts, in order.
    pub fn hosts(&self) -> Result<Vec<Host>, Error> {
        let wrong = |error: hostlist::HostlistError| Error::Hosts(Box::new(error));
        let mut hosts = Vec::new();
        if !self.lists.is_empty() {
            hosts = hostlist::from_flag(&self.lists).map_err(wrong)?;
        }
        for file in &self.files {
            let more = match file {
                HostFile::Path(path) => hostlist::from_file(path),
                HostFile::Stdin => {
                    let mut text = String::new();
                    std::io::stdin()
                        .read_to_string(&mut text)
                        .map_err(|error| Error::Hosts(Box::new(error)))?;
                    hostlist::from_text(&text, "-")
                }
            };
            hosts.extend(more.map_err(wrong)?);
        }
        hostlist::no_duplicates(&hosts).map_err(wrong)?;
        hosts.extend((1..=self.local).map(Host::local));
        Ok(hosts)
    }
}

/// As ssh takes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshOptions {
    /// `-i`
    pub identity: Option<PathBuf>,
    /// `-F`
    pub config: Option<PathBuf>,
    /// Accept host keys never seen before.
    pub accept_new: bool,
}

impl SshOptions {
    /// The ssh side of one run; nothing is connected yet.
    pub async fn open(&self) -> Result<Ssh, Error> {
        let options = ssh_config::SshOptions {
            identities: self.identity.iter().cloned().collect(),
            config: self.config.clone(),
            accept_new_host_keys: self.accept_new,
            ..ssh_config::SshOptions::default()
        };
        Ssh::new(&options)
            .await
            .map_err(|error| Error::Transport(Box::new(error)))
    }
}
