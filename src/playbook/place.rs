//! Where playbooks and the files that they name are: shipped or on this machine. The only place of playbooks that reads
//! files.

use super::{Source, shipped};
use crate::playbook::nearest::nearest;
use crate::secret;
use std::path::Path;
use swarm_agent::wire::flow::Script;

/// The playbook of this name: with a `/` or ending in `.toml` it is a file, otherwise a shipped one.
pub fn find(named: &str) -> Result<Source, String> {
    if is_file(named) {
        let path = Path::new(named);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(Source {
            name,
            file: named.to_string(),
            folder: path.parent().unwrap_or(Path::new("")).to_path_buf(),
            text: text(path)?,
        });
    }
    match shipped::find(named) {
        Some(text) => Ok(Source {
            name: named.to_string(),
            file: format!("{named}.toml"),
            folder: Path::new("").to_path_buf(),
            text: text.to_string(),
        }),
        None => {
            let hint = match nearest(named, shipped::ALL.iter().map(|(name, _)| *name)) {
                Some(near) => format!("did you mean {near}?"),
                None => "`swarm playbook list` names them".to_string(),
            };
            Err(format!(
                "no shipped playbook `{named}`: {hint} (a file has a / in its name or ends in .toml)"
            ))
        }
    }
}

/// Whether a name is that of a file.
pub fn is_file(named: &str) -> bool {
    named.contains('/') || named.ends_with(".toml")
}

/// A file's text.
pub fn text(path: &Path) -> Result<String, String> {
    String::from_utf8(secret::file(path)?).map_err(|_| format!("{} is not UTF-8 text", path.display()))
}

/// A script, whole.
pub fn script(path: &Path) -> Result<Script, String> {
    Ok(Script {
        name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        source: text(path)?,
    })
}
