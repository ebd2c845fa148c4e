//! Owns: the healthy balancers (files of `balancers/`), what an edit of one is, and the command that runs the result.
//! Must not: know which edits are faults (`fault`).

use crate::net::BRIDGE_ADDRESS;
use crate::{Result, ensure};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

#[derive(Clone, Copy, PartialEq)]
pub enum Balancer {
    /// HAProxy, source hash.
    Haproxy,
    /// HAProxy, a cookie of its own.
    HaproxyCookie,
    /// HAProxy, source hash, TLS, with a redirect to it.
    HaproxyTls,
    /// An HAProxy that sends what AWS's documentation says of an Application Load Balancer.
    HaproxyAsAlb,
    /// nginx, `ip_hash`.
    Nginx,
}

/// A whole line of a configuration, and what stands there instead (nothing, one or several lines).
pub type Edit = (&'static str, &'static str);

impl Balancer {
    fn text(self) -> &'static str {
        match self {
            Self::Haproxy => include_str!("balancers/haproxy.cfg"),
            Self::HaproxyCookie => include_str!("balancers/haproxy_cookie.cfg"),
            Self::HaproxyTls => include_str!("balancers/haproxy_tls.cfg"),
            Self::HaproxyAsAlb => include_str!("balancers/haproxy_alb.cfg"),
            Self::Nginx => include_str!("balancers/nginx.conf"),
        }
    }

    pub fn has_tls(self) -> bool {
        matches!(self, Self::HaproxyTls | Self::HaproxyAsAlb)
    }

    /// The word of `--balancer`, and of `for` in a mending line.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaproxyAsAlb => "alb",
            Self::Haproxy | Self::HaproxyCookie | Self::HaproxyTls => "haproxy",
        }
    }

    /// The healthy configuration before these servers.
    pub fn configuration(self, servers: &[(&str, u16)]) -> Result<String> {
        let mut lines = String::new();
        for (name, port) in servers {
            match self {
                Self::Nginx => writeln!(lines, "    server {BRIDGE_ADDRESS}:{port};")?,
                Self::HaproxyCookie => writeln!(lines, "  server {name} {BRIDGE_ADDRESS}:{port} cookie {name}")?,
                _ => writeln!(lines, "  server {name} {BRIDGE_ADDRESS}:{port}")?,
            }
        }
        let marks = ["# servers with cookies", "# servers"];
        let mark = marks.into_iter().find(|mark| self.text().contains(mark));
        edited(self.text(), &[(mark.ok_or("no place for servers")?, lines.trim())])
    }

    /// What runs a configuration in its folder and stays in the foreground, one process, so that to end it by pid is enough.
    pub fn command(self, folder: &Path, file: &Path) -> Command {
        let mut command;
        if self == Self::Nginx {
            command = Command::new("nginx");
            command.arg("-p").arg(folder).arg("-c").arg(file);
        } else {
            command = Command::new("haproxy");
            command.arg("-db").arg("-C").arg(folder).arg("-f").arg(file);
        }
        command
    }
}

/// The text with each edit made. A line that is not there exactly once is an error: the table and the file would have parted.
pub fn edited<A: AsRef<str>, B: AsRef<str>>(text: &str, edits: &[(A, B)]) -> Result<String> {
    let mut text = text.to_owned();
    for (line, instead) in edits {
        let (line, instead) = (line.as_ref(), instead.as_ref());
        let places = text.lines().filter(|l| l.trim() == line).count();
        ensure!(places == 1, "{line:?} stands {places} times in:\n{text}");
        text = text.lines().fold(String::new(), |mut out, old| {
            if old.trim() == line {
                let indent = &old[..old.len() - old.trim_start().len()];
                for new in instead.lines() {
                    out += &format!("{indent}{}\n", new.trim_start());
                }
            } else {
                out += &format!("{old}\n");
            }
            out
        });
    }
    Ok(text)
}
