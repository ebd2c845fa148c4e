//! Takes a host's agents back: ends those that run there and removes what `deploy` keeps there, over the same one shell.
//!
//! What is ours is judged on the host (`remove.sh`): of this user, in a folder that `deploy.sh` uses, under a name that it
//! gives. Never here: hosts of EC2, what is printed.

use super::{Deadlines, DeployError, Dialogue, ended, is_nonce, named, no_shell, shown};
use crate::fleet::host::Host;
use crate::transport::{Opened, Stream, Transport};
use futures_util::stream::{FuturesUnordered, Stream as Results};

/// What runs on the host; its last line, with the nonce, is added here.
const SCRIPT: &str = concat!(include_str!("place.sh"), include_str!("remove.sh"));
/// No honest host has more to say than this.
const MOST_ANSWERS: usize = 10_000;
/// Things left behind that are told by name.
const MOST_LEFT: usize = 64;

/// What was ended and removed on one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Agents that ran and were ended.
    pub agents: usize,
    /// Files of ours that lay there and are gone.
    pub files: usize,
    /// Folders of ours that were empty then and are gone.
    pub folders: usize,
    /// What is ours and is still there, `what: why`.
    pub left: Vec<String>,
}

impl Removed {
    /// Whether there was nothing of ours.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Ends our agents on a host and removes their files. Nothing of ours being there is no error; what could not be ended
/// or removed is a value. This machine's own agents ([`Transport::Local`]) keep nothing and end with their run: nothing
/// is done there.
pub async fn remove(
    transport: &Transport,
    host: &Host,
    nonce: &str,
    deadlines: Deadlines,
) -> Result<Removed, DeployError> {
    if !is_nonce(nonce) {
        return Err(DeployError::Nonce(nonce.to_owned()));
    }
    if matches!(transport, Transport::Local(_)) {
        return Ok(Removed::default());
    }
    match transport.open(host, nonce).await? {
        Opened::Shell(stream) => through_shell(stream, host, nonce, deadlines).await,
        Opened::Agent(stream) => {
            stream.close().await;
            Ok(Removed::default())
        }
    }
}

/// The same for all hosts side by side, each answer as it comes, with the host's place in the list. Dropping it stops all.
pub fn remove_each<'a>(
    transport: &'a Transport,
    hosts: &'a [Host],
    nonce: &'a str,
    deadlines: Deadlines,
) -> impl Results<Item = (usize, Result<Removed, DeployError>)> + Unpin + 'a {
    let one = move |(index, host): (usize, &'a Host)| {
        Box::pin(async move { (index, remove(transport, host, nonce, deadlines).await) })
    };
    hosts.iter().enumerate().map(one).collect::<FuturesUnordered<_>>()
}

/// Has the dialogue with the script and closes the stream.
pub async fn through_shell(
    stream: Stream,
    host: &Host,
    nonce: &str,
    deadlines: Deadlines,
) -> Result<Removed, DeployError> {
    by_script(stream, host, SCRIPT, nonce, deadlines).await
}

async fn by_script(
    stream: Stream,
    host: &Host,
    script: &str,
    nonce: &str,
    deadlines: Deadlines,
) -> Result<Removed, DeployError> {
    let script = format!("{script}remove {nonce}; exit\n");
    let mut dialogue = Dialogue::new(stream, super::WORD, nonce);
    let removed = ask(&mut dialogue, host, &script, deadlines).await;
    dialogue.into_stream().close().await;
    removed
}

async fn ask(dialogue: &mut Dialogue, host: &Host, script: &str, deadlines: Deadlines) -> Result<Removed, DeployError> {
    let first = match dialogue.send(script.as_bytes(), deadlines.shell).await {
        Ok(()) => dialogue.marker(deadlines.shell).await,
        Err(slow) => Err(slow),
    };
    let first = first.map_err(|_| no_shell(dialogue, host))?;
    let (system, _) = named(&first).ok_or_else(|| no_shell(dialogue, host))?;
    if system != "Linux" {
        return Err(DeployError::System {
            host: host.name.clone(),
            system: shown(&system),
        });
    }
    let mut removed = Removed::default();
    let mut word = first;
    for _ in 0..MOST_ANSWERS {
        let step = "it looked for agents of ours and removed them";
        word = dialogue
            .marker(deadlines.step)
            .await
            .map_err(|why| ended(dialogue, host, why, step, deadlines.step))?;
        match word.split_once(' ').unwrap_or((&word, "")) {
            ("stopped", _) => removed.agents += 1,
            ("removed", _) => removed.files += 1,
            ("emptied", _) => removed.folders += 1,
            ("left", what) => {
                let what = shown(what);
                if removed.left.len() < MOST_LEFT && !removed.left.contains(&what) {
                    removed.left.push(what);
                }
            }
            ("done", _) => return Ok(removed),
            _ => break,
        }
    }
    Err(DeployError::NoShell {
        host: host.name.clone(),
        said: shown(&word),
    })
}

#[cfg(test)]
mod tests;
