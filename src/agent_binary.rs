//! The agents that can be sent to a host: the one that was built into this program, and those given by
//! `--agent-binary ARCH=FILE`. Never here: sending them.

use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

/// One agent, packed as it crosses the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentBinary {
    /// SHA-256 of the unpacked bytes, 64 hexadecimal digits.
    pub sha256: Cow<'static, str>,
    /// The bytes, gzip'ed.
    pub gz: Cow<'static, [u8]>,
    /// Length of the unpacked bytes.
    pub raw_len: u64,
}

impl AgentBinary {
    /// Packs an agent's bytes.
    pub fn pack(raw: &[u8]) -> std::io::Result<Self> {
        let mut gz = Vec::new();
        GzEncoder::new(raw, Compression::best()).read_to_end(&mut gz)?;
        let sha256 = Sha256::digest(raw)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        Ok(Self {
            sha256: sha256.into(),
            gz: gz.into(),
            raw_len: raw.len() as u64,
        })
    }

    /// The bytes, unpacked.
    pub fn raw(&self) -> std::io::Result<Vec<u8>> {
        let mut raw = Vec::with_capacity(usize::try_from(self.raw_len).unwrap_or_default());
        GzDecoder::new(self.gz.as_ref()).read_to_end(&mut raw)?;
        Ok(raw)
    }
}

/// Why an `--agent-binary` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AgentBinaryError {
    /// No `ARCH=FILE`.
    #[error(
        "--agent-binary {0}: write ARCH=FILE, with the word that `uname -m` prints on the host, as aarch64=./swarm-agent"
    )]
    Form(String),
    /// The file cannot be read.
    #[error("--agent-binary: cannot read {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// All agents of this run, by architecture.
#[derive(Debug, Clone)]
pub struct AgentBinaries {
    by_arch: BTreeMap<String, AgentBinary>,
}

impl Default for AgentBinaries {
    fn default() -> Self {
        Self {
            by_arch: BTreeMap::from([(env!("SWARM_AGENT_ARCH").to_owned(), embedded())]),
        }
    }
}

impl AgentBinaries {
    /// The embedded agent, and those that `--agent-binary` names before it.
    pub fn with_overrides<S: AsRef<str>>(overrides: &[S]) -> Result<Self, AgentBinaryError> {
        let mut binaries = Self::default();
        for typed in overrides {
            let typed = typed.as_ref();
            let (arch, file) = typed
                .split_once('=')
                .filter(|(arch, file)| is_arch(arch) && !file.is_empty())
                .ok_or_else(|| AgentBinaryError::Form(typed.to_owned()))?;
            let unreadable = |source| AgentBinaryError::Read {
                file: file.into(),
                source,
            };
            let raw = std::fs::read(file).map_err(unreadable)?;
            binaries.insert(arch, AgentBinary::pack(&raw).map_err(unreadable)?);
        }
        Ok(binaries)
    }

    /// Takes an agent in for an architecture, in the place of an earlier one.
    pub fn insert(&mut self, arch: &str, binary: AgentBinary) {
        self.by_arch.insert(arch.to_owned(), binary);
    }

    /// The agent for a host whose `uname -m` is `arch`.
    pub fn for_arch(&self, arch: &str) -> Option<&AgentBinary> {
        self.by_arch.get(arch)
    }

    /// The architectures there is an agent for.
    pub fn arches(&self) -> impl Iterator<Item = &str> {
        self.by_arch.keys().map(String::as_str)
    }
}

fn is_arch(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn embedded() -> AgentBinary {
    AgentBinary {
        sha256: Cow::Borrowed(env!("SWARM_AGENT_SHA256")),
        gz: Cow::Borrowed(include_bytes!(concat!(env!("OUT_DIR"), "/agent.gz"))),
        raw_len: env!("SWARM_AGENT_LENGTH")
            .parse()
            .expect("build.rs writes a length in digits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_agent_is_whole() {
        let binaries = AgentBinaries::default();
        let agent = binaries.for_arch(std::env::consts::ARCH).unwrap();
        let raw = agent.raw().unwrap();
        assert_eq!(raw.len() as u64, agent.raw_len);
        assert_eq!(AgentBinary::pack(&raw).unwrap().sha256, agent.sha256);
    }

    #[test]
    fn an_override_takes_the_place_of_the_embedded_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"another agent").unwrap();
        let typed = [
            format!("aarch64={}", file.path().display()),
            format!("x86_64={}", file.path().display()),
        ];
        let binaries = AgentBinaries::with_overrides(&typed).unwrap();
        assert_eq!(binaries.for_arch("x86_64").unwrap().raw().unwrap(), b"another agent");
        assert_eq!(binaries.arches().collect::<Vec<_>>(), ["aarch64", "x86_64"]);
        assert_eq!(binaries.for_arch("riscv64"), None);
    }

    #[test]
    fn a_malformed_override_is_refused() {
        for typed in ["x86_64", "=file", "x86_64=", "a b=file"] {
            assert!(
                matches!(AgentBinaries::with_overrides(&[typed]), Err(AgentBinaryError::Form(_))),
                "{typed}"
            );
        }
        assert!(matches!(
            AgentBinaries::with_overrides(&["arm=/nonexistent/file"]),
            Err(AgentBinaryError::Read { .. })
        ));
    }
}
