//! One machine: its address, its login, and what its list says about it. Pure; never here: I/O, SSH.

use std::fmt;

/// One machine of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What reports call it: the address as it was written, with the port where one was.
    pub name: String,
    /// Login name; `None` leaves it to ssh and its config.
    pub user: Option<String>,
    /// Address, name or ssh_config alias, IPv6 without brackets.
    pub address: String,
    /// Port; `None` leaves it to ssh and its config.
    pub port: Option<u16>,
    /// Its part of the load against the other hosts' weights; at least 1.
    pub weight: u32,
    /// The group its row is summed under.
    pub group: Option<String>,
    /// Local addresses to connect from, as written; `plan` reads it.
    pub sources: Option<String>,
    /// Where it was named.
    pub origin: Origin,
}

/// Where a host was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// On the command line: `--hosts`.
    Flag,
    /// In a list: the file (`-` is standard input) and the line, from 1.
    File {
        /// As given.
        file: String,
        /// From 1.
        line: usize,
    },
    /// The fleet that `swarm up` recorded.
    Fleet(String),
    /// This machine: the n-th local agent, from 1.
    Local(u32),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("--hosts"),
            Self::File { file, line } if file == "-" => write!(f, "standard input, line {line}"),
            Self::File { file, line } => write!(f, "{file}, line {line}"),
            Self::Fleet(name) => write!(f, "fleet {name}"),
            Self::Local(n) => write!(f, "local agent {n}"),
        }
    }
}

/// Why a text names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing there.
    #[error("{typed:?} names no host: write [user@]address[:port]")]
    Empty {
        /// As typed.
        typed: String,
    },
    /// A character that ssh could take for something else.
    #[error(
        "{typed:?}: the {part} {value:?} may hold only letters, digits and . _ : % @ [ ] -, and may not begin with -"
    )]
    Characters {
        /// As typed.
        typed: String,
        /// user, host.
        part: &'static str,
        /// The part.
        value: String,
    },
    /// No port.
    #[error("{typed:?}: {value:?} is no port: use a number from 1 to 65535")]
    Port {
        /// As typed.
        typed: String,
        /// The part.
        value: String,
    },
    /// An IPv6 address with a port needs brackets; other brackets are wrong.
    #[error("{typed:?}: write an IPv6 address with a port as [address]:port")]
    Brackets {
        /// As typed.
        typed: String,
    },
}

impl Host {
    /// Reads `[user@]address[:port]`, `[v6]:port`, or an ssh_config alias.
    pub fn parse(typed: &str, origin: Origin) -> Result<Self, HostError> {
        let (user, rest) = match typed.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, typed),
        };
        if rest.is_empty() || user == Some("") {
            return Err(HostError::Empty {
                typed: typed.to_owned(),
            });
        }
        if let Some(user) = user {
            check(typed, "user", user)?;
        }
        let (address, port) = address_and_port(typed, rest)?;
        check(typed, "host", address)?;
        let port = port.map(|port| number(typed, port)).transpose()?;
        Ok(Self {
            name: rest.to_owned(),
            user: user.map(str::to_owned),
            address: address.to_owned(),
            port,
            weight: 1,
            group: None,
            sources: None,
            origin,
        })
    }

    /// The n-th (from 1) agent on this machine.
    pub fn local(n: u32) -> Self {
        Self {
            name: format!("local{n}"),
            user: None,
            address: "local".to_owned(),
            port: None,
            weight: 1,
            group: None,
            sources: None,
            origin: Origin::Local(n),
        }
    }

    /// How a message tells the user to reach it by hand: `ssh` and these words.
    pub fn ssh_words(&self) -> String {
        let port = self.port.map(|port| format!("-p {port} ")).unwrap_or_default();
        let user = self.user.as_deref().map(|user| format!("{user}@")).unwrap_or_default();
        format!("{port}{user}{}", self.address)
    }

    /// Whether both are the same login on the same machine, as far as their text tells.
    pub fn is_same(&self, other: &Self) -> bool {
        self.address.eq_ignore_ascii_case(&other.address)
            && self.port.unwrap_or(22) == other.port.unwrap_or(22)
            && self.user == other.user
    }
}

/// Cuts the port off; brackets and bare IPv6 addresses are understood.
fn address_and_port<'a>(typed: &str, rest: &'a str) -> Result<(&'a str, Option<&'a str>), HostError> {
    let wrong = || HostError::Brackets {
        typed: typed.to_owned(),
    };
    if let Some(inner) = rest.strip_prefix('[') {
        let (address, after) = inner.split_once(']').ok_or_else(wrong)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((address, Some(port))),
            None if after.is_empty() => Ok((address, None)),
            None => Err(wrong()),
        };
    }
    if rest.contains([']', '[']) {
        return Err(wrong());
    }
    match rest.matches(':').count() {
        0 => Ok((rest, None)),
        1 => Ok(rest
            .split_once(':')
            .map_or((rest, None), |(address, port)| (address, Some(port)))),
        _ => Ok((rest, None)),
    }
}

fn number(typed: &str, port: &str) -> Result<u16, HostError> {
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    port.parse()
        .ok()
        .filter(|port| digits && *port > 0)
        .ok_or_else(|| HostError::Port {
            typed: typed.to_owned(),
            value: port.to_owned(),
        })
}

/// What reaches ssh's command line can be neither an option nor a piece of shell.
fn check(typed: &str, part: &'static str, value: &str) -> Result<(), HostError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._:%@[]-".contains(&b);
    if value.is_empty() {
        return Err(HostError::Empty {
            typed: typed.to_owned(),
        });
    }
    if value.starts_with('-') || !value.bytes().all(plain) {
        return Err(HostError::Characters {
            typed: typed.to_owned(),
            part,
            value: value.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(typed: &str) -> (Option<String>, String, Option<u16>) {
        let host = Host::parse(typed, Origin::Flag).unwrap();
        (host.user, host.address, host.port)
    }

    #[test]
    fn every_form_is_read() {
        let some = |user: &str| Some(user.to_owned());
        assert_eq!(parsed("10.0.0.4"), (None, "10.0.0.4".into(), None));
        assert_eq!(
            parsed("ubuntu@10.0.0.4:2222"),
            (some("ubuntu"), "10.0.0.4".into(), Some(2222))
        );
        assert_eq!(parsed("web-1"), (None, "web-1".into(), None));
        assert_eq!(
            parsed("u@[fe80::1%eth0]:22"),
            (some("u"), "fe80::1%eth0".into(), Some(22))
        );
        assert_eq!(parsed("[::1]"), (None, "::1".into(), None));
        assert_eq!(parsed("fe80::1"), (None, "fe80::1".into(), None));
        assert_eq!(parsed("me@corp@10.0.0.4"), (some("me@corp"), "10.0.0.4".into(), None));
    }

    #[test]
    fn nothing_that_ssh_could_take_for_an_option_or_a_shell_for_a_word() {
        for typed in [
            "-oProxyCommand=x",
            "u@-h",
            "-u@h",
            "a b",
            "a;b",
            "a$(b)",
            "u'@h",
            "h\n",
            "a=b",
        ] {
            assert!(
                matches!(Host::parse(typed, Origin::Flag), Err(HostError::Characters { .. })),
                "{typed}"
            );
        }
        for typed in ["", "@h", "u@", "u@:22"] {
            assert!(
                matches!(Host::parse(typed, Origin::Flag), Err(HostError::Empty { .. })),
                "{typed}"
            );
        }
        for typed in ["h:", "h:0", "h:65536", "h:+22", "h:x", "[::1]:"] {
            assert!(
                matches!(Host::parse(typed, Origin::Flag), Err(HostError::Port { .. })),
                "{typed}"
            );
        }
        for typed in ["[::1", "::1]", "[::1]22", "h[1]"] {
            assert!(
                matches!(Host::parse(typed, Origin::Flag), Err(HostError::Brackets { .. })),
                "{typed}"
            );
        }
    }
}
