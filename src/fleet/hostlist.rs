//! Lists of hosts: `--hosts a,b` and `--host-file FILE`. Pure but for reading the file; never here: names, SSH.

use super::host::{Host, HostError, Origin};
use std::io::Read;
use std::path::Path;

/// The most bytes that a host file may have.
const LIMIT: u64 = 4 * 1024 * 1024;

/// Why a list of hosts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HostlistError {
    /// The file cannot be read.
    #[error("--host-file {file}: {source}")]
    Read {
        /// As given.
        file: String,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is no list.
    #[error("--host-file {file}: larger than {LIMIT} bytes, so hardly a list of hosts")]
    TooLong {
        /// As given.
        file: String,
    },
    /// An entry that names no host.
    #[error("{origin}: {source}")]
    Host {
        /// Where.
        origin: Origin,
        /// Cause.
        source: HostError,
    },
    /// A word after the host that is no `key=value` we know.
    #[error("{origin}: {word:?}: after the host come weight=N, group=NAME or sources=LIST")]
    Key {
        /// Where.
        origin: Origin,
        /// The word.
        word: String,
    },
    /// A value that its key does not take.
    #[error("{origin}: {word:?}: {want}")]
    Value {
        /// Where.
        origin: Origin,
        /// The word.
        word: String,
        /// What it takes.
        want: &'static str,
    },
    /// The same host twice.
    #[error(
        "{second}: {host} is a duplicate, it stands in {first} already: one agent a host (use weight=2 for twice the load)"
    )]
    Duplicate {
        /// As written.
        host: String,
        /// Where first.
        first: Origin,
        /// Where again.
        second: Origin,
    },
    /// No host at all.
    #[error("{0} names no host: give one a line as [user@]address[:port], or leave it out to attack from this machine")]
    Empty(String),
}

/// The hosts of `--hosts`, commas between them; the flag may stand several times.
pub fn from_flag<S: AsRef<str>>(lists: &[S]) -> Result<Vec<Host>, HostlistError> {
    let typed = lists
        .iter()
        .flat_map(|list| list.as_ref().split(','))
        .map(str::trim)
        .filter(|typed| !typed.is_empty());
    let hosts = typed
        .map(|typed| host(typed, Origin::Flag))
        .collect::<Result<Vec<_>, _>>()?;
    checked(hosts, "--hosts")
}

/// The hosts of `--host-file`, one a line; `-` is standard input.
pub fn from_file(file: &Path) -> Result<Vec<Host>, HostlistError> {
    let name = file.display().to_string();
    let unreadable = |source| HostlistError::Read {
        file: name.clone(),
        source,
    };
    let mut text = String::new();
    if name == "-" {
        std::io::stdin()
            .lock()
            .take(LIMIT + 1)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
    } else {
        let file = std::fs::File::open(file).map_err(unreadable)?;
        file.take(LIMIT + 1).read_to_string(&mut text).map_err(unreadable)?;
    }
    if text.len() as u64 > LIMIT {
        return Err(HostlistError::TooLong { file: name });
    }
    from_text(&text, &name)
}

/// The hosts of a host file's text; `file` is what messages call it.
pub fn from_text(text: &str, file: &str) -> Result<Vec<Host>, HostlistError> {
    let mut hosts = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let origin = Origin::File {
            file: file.to_owned(),
            line: index + 1,
        };
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        if let Some(first) = words.next() {
            let mut host = host(first, origin)?;
            for word in words {
                setting(&mut host, word)?;
            }
            hosts.push(host);
        }
    }
    let named = if file == "-" {
        "the list on standard input".to_owned()
    } else {
        format!("--host-file {file}")
    };
    checked(hosts, &named)
}

fn host(typed: &str, origin: Origin) -> Result<Host, HostlistError> {
    Host::parse(typed, origin.clone()).map_err(|source| HostlistError::Host { origin, source })
}

fn setting(host: &mut Host, word: &str) -> Result<(), HostlistError> {
    let origin = host.origin.clone();
    let wrong = |want| HostlistError::Value {
        origin: origin.clone(),
        word: word.to_owned(),
        want,
    };
    let unknown = || HostlistError::Key {
        origin: origin.clone(),
        word: word.to_owned(),
    };
    let (key, value) = word.split_once('=').ok_or_else(unknown)?;
    match key {
        "weight" => {
            let weight = value.parse().ok().filter(|weight| (1..=1000).contains(weight));
            host.weight = weight.ok_or_else(|| wrong("a weight is a whole number from 1 to 1000"))?;
        }
        "group" => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            if value.is_empty() || !value.bytes().all(plain) {
                return Err(wrong("a group's name is made of letters, digits and . _ -"));
            }
            host.group = Some(value.to_owned());
        }
        "sources" => {
            if value.is_empty() {
                return Err(wrong("give addresses, a CIDR, a range A-B or iface:NAME"));
            }
            host.sources = Some(value.to_owned());
        }
        _ => return Err(unknown()),
    }
    Ok(())
}

/// Refuses an empty list and the same host twice.
fn checked(hosts: Vec<Host>, named: &str) -> Result<Vec<Host>, HostlistError> {
    if hosts.is_empty() {
        return Err(HostlistError::Empty(named.to_owned()));
    }
    no_duplicates(&hosts)?;
    Ok(hosts)
}

/// Refuses the same host twice; also for lists put together from several places.
pub fn no_duplicates(hosts: &[Host]) -> Result<(), HostlistError> {
    for (index, host) in hosts.iter().enumerate() {
        if let Some(first) = hosts[..index].iter().find(|earlier| earlier.is_same(host)) {
            let (first, second) = (first.origin.clone(), host.origin.clone());
            return Err(HostlistError::Duplicate {
                host: host.name.clone(),
                first,
                second,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_line_by_line() {
        let text =
            "# the bees\n\n  ubuntu@10.0.0.4:22 weight=2 group=eu sources=iface:eth1 # first\nweb1\r\n[fe80::1]:2222\n";
        let hosts = from_text(text, "bees.txt").unwrap();
        assert_eq!(hosts.len(), 3);
        assert_eq!((hosts[0].weight, hosts[0].group.as_deref()), (2, Some("eu")));
        assert_eq!(hosts[0].sources.as_deref(), Some("iface:eth1"));
        assert_eq!(hosts[1].address, "web1");
        assert_eq!(hosts[2].origin.to_string(), "bees.txt, line 5");
    }

    #[test]
    fn a_duplicate_names_both_lines() {
        let error = from_text("a\nb\n\na:22\n", "bees.txt").unwrap_err().to_string();
        assert!(
            error.starts_with("bees.txt, line 4: a:22 is a duplicate, it stands in bees.txt, line 1"),
            "{error}"
        );
        assert!(from_flag(&["a,b", "a"]).unwrap_err().to_string().contains("duplicate"));
        assert_eq!(from_flag(&["a,root@a", "a:2222"]).unwrap().len(), 3);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        for (text, part) in [
            ("a wieght=2", "\"wieght=2\""),
            ("a weight=0", "1 to 1000"),
            ("a group=", "group's name"),
            ("a b", "\"b\""),
            ("a sources=", "iface:NAME"),
            ("-x", "begin with -"),
        ] {
            let error = from_text(&format!("ok\n{text}"), "f").unwrap_err().to_string();
            assert!(error.starts_with("f, line 2: ") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_empty_list_is_an_error() {
        assert!(
            from_flag(&[" , "])
                .unwrap_err()
                .to_string()
                .contains("--hosts names no host")
        );
        assert!(
            from_text("# none\n", "f")
                .unwrap_err()
                .to_string()
                .contains("--host-file f names no host")
        );
        assert!(
            from_file(Path::new("/nonexistent/list"))
                .unwrap_err()
                .to_string()
                .contains("/nonexistent/list")
        );
    }
}
