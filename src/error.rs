//! The top error, one variant a layer, and the documented exit codes. Never here: formatting of results.

use crate::cli::Usage;
use std::path::PathBuf;

/// A layer's own error.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a command came to no honest result. Printed once, with its causes, by `main`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line, or a file it names, is wrong: exit 2.
    #[error(transparent)]
    Usage(#[from] Usage),
    /// The hosts of `--hosts`, `--host-file` or the fleet are wrong: exit 2.
    #[error("hosts")]
    Hosts(#[source] Cause),
    /// No consent for the target: exit 2.
    #[error("{0}")]
    Consent(String),
    /// Hosts could not be reached, refused, or the target's name has no address; no load was sent: exit 6.
    #[error("no load was sent: {0}")]
    NoLoad(String),
    /// No command of `exec` began: exit 6.
    #[error("nothing was run: {0}")]
    NotBegun(String),
    /// A transport, deployment or link failed before any load was sent: exit 6.
    #[error("no load was sent")]
    Transport(#[source] Cause),
    /// A report could not be written: exit 1.
    #[error("cannot write {}", path.display())]
    Output {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The demo's own counts and the report's differ, or its servers could not start: exit 1.
    #[error("demo")]
    Demo(#[source] Cause),
    /// A fleet could not be made, found or ended.
    #[error("{text}")]
    Fleet {
        /// What, where, the way out.
        text: String,
        /// What it means for a script.
        exit: Exit,
    },
    /// Interrupted before there was anything to report: exit 130.
    #[error("interrupted")]
    Interrupted,
    /// Anything else: exit 1.
    #[error(transparent)]
    Unexpected(Cause),
}

impl From<crate::state::StateError> for Error {
    fn from(error: crate::state::StateError) -> Self {
        let exit = match error {
            crate::state::StateError::File { .. } => Exit::Unexpected,
            _ => Exit::Usage,
        };
        Self::Fleet {
            text: error.to_string(),
            exit,
        }
    }
}

impl From<crate::fleet::ledger::LedgerError> for Error {
    fn from(error: crate::fleet::ledger::LedgerError) -> Self {
        match error {
            crate::fleet::ledger::LedgerError::State(error) => error.into(),
            form => Self::Fleet {
                text: form.to_string(),
                exit: Exit::Unexpected,
            },
        }
    }
}

#[cfg(feature = "aws")]
impl From<crate::fleet::ec2::Ec2Error> for Error {
    fn from(error: crate::fleet::ec2::Ec2Error) -> Self {
        Self::Fleet {
            exit: if error.is_usage() {
                Exit::Usage
            } else {
                Exit::Unexpected
            },
            text: error.to_string(),
        }
    }
}

impl Error {
    /// The exit code of this error.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Hosts(_) | Self::Consent(_) => Exit::Usage,
            Self::NoLoad(_) | Self::NotBegun(_) | Self::Transport(_) => Exit::NoLoad,
            Self::Interrupted => Exit::Interrupted,
            Self::Fleet { exit, .. } => *exit,
            Self::Output { .. } | Self::Demo(_) | Self::Unexpected(_) => Exit::Unexpected,
        }
    }

    /// The error and its causes on one line, without repeating a cause whose text was already said.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let more = error.to_string();
            if !text.ends_with(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            cause = error.source();
        }
        text
    }
}

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// Complete, all requirements met.
    Ok,
    /// Unexpected error.
    Unexpected,
    /// Wrong usage.
    Usage,
    /// Hosts were lost, or the sums don't add up.
    Partial,
    /// A requirement or a check failed, or no hit was ok.
    Failed,
    /// Something that costs money was left behind.
    LeftBehind,
    /// No load was sent: safe to try again.
    NoLoad,
    /// Interrupted; a report is still written.
    Interrupted,
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Failed => 4,
            Self::LeftBehind => 5,
            Self::NoLoad => 6,
            Self::Interrupted => 130,
        }
    }

    /// The exit of a documented code; any other is an unexpected error.
    pub fn of(code: u8) -> Self {
        const ALL: [Exit; 8] = [
            Exit::Ok,
            Exit::Unexpected,
            Exit::Usage,
            Exit::Partial,
            Exit::Failed,
            Exit::LeftBehind,
            Exit::NoLoad,
            Exit::Interrupted,
        ];
        ALL.into_iter()
            .find(|exit| exit.code() == code)
            .unwrap_or(Exit::Unexpected)
    }

    /// The one that counts where several hold: 130, 5, 6, 3, 4. An unexpected error or wrong usage yields to those
    /// five, as they say what became of a run; between the two the unexpected error counts.
    pub fn foremost(several: impl IntoIterator<Item = Exit>) -> Exit {
        const ORDER: [Exit; 7] = [
            Exit::Interrupted,
            Exit::LeftBehind,
            Exit::NoLoad,
            Exit::Partial,
            Exit::Failed,
            Exit::Unexpected,
            Exit::Usage,
        ];
        let held: Vec<Exit> = several.into_iter().collect();
        ORDER.into_iter().find(|exit| held.contains(exit)).unwrap_or(Exit::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_their_order() {
        let codes: Vec<u8> = [
            Exit::Ok,
            Exit::Unexpected,
            Exit::Usage,
            Exit::Partial,
            Exit::Failed,
            Exit::LeftBehind,
            Exit::NoLoad,
            Exit::Interrupted,
        ]
        .map(Exit::code)
        .into();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 130]);
        let order = [
            Exit::Interrupted,
            Exit::LeftBehind,
            Exit::NoLoad,
            Exit::Partial,
            Exit::Failed,
        ];
        for (place, first) in order.iter().enumerate() {
            for second in &order[place..] {
                assert_eq!(Exit::foremost([*second, *first, Exit::Ok]), *first);
            }
        }
        assert_eq!(Exit::foremost([]), Exit::Ok);
        assert_eq!(Exit::foremost([Exit::Failed, Exit::Unexpected]), Exit::Failed);
    }

    #[test]
    fn a_chain_is_one_line_and_says_nothing_twice() {
        let error = Error::Output {
            path: "r.json".into(),
            source: std::io::Error::other("disk full"),
        };
        assert_eq!(error.chain(), "cannot write r.json: disk full");
        assert_eq!(Error::Hosts("line 3: no user".into()).chain(), "hosts: line 3: no user");
        assert_eq!(Error::Unexpected("odd".into()).chain(), "odd");
        assert_eq!(Error::Hosts("x".into()).exit().code(), 2);
    }
}
