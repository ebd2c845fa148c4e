//! `swarm down --hosts`: our agents on hosts of a list are ended and what they keep there is removed. Never here: EC2.

use super::Usage;
use super::hosts::{HostArgs, SshOptions};
use crate::clock::now_ns;
use crate::deploy::removal::{Removed, remove_each};
use crate::deploy::{Deadlines, DeployError};
use crate::error::{Error, Exit};
use crate::fleet::host::{Host, Origin};
use crate::show;
use crate::signal::Signals;
use crate::transport::Transport;
use futures_util::StreamExt;

/// The hosts that `swarm down` names, and what it is told of ssh.
pub fn understand(args: &HostArgs) -> Result<(Vec<Host>, SshOptions), Error> {
    let from = args.from_where(0, None)?;
    if !args.names_any() {
        return Err(Usage("down: name the hosts to clean up, with --hosts or --host-file".into()).into());
    }
    Ok((from.hosts()?, args.ssh()))
}

/// Ends our agents on all hosts, side by side, and removes their files; prints one line a host as its answer comes, those
/// that need a look on stderr.
///
/// The exit code is the worst that a host came to, in the contract's order, so that 0 means that every host was looked
/// at and nothing of ours is left on any:
///
/// - 5: on some host something that is ours could not be ended or removed; it is named.
/// - 6: else, on some host nobody could look (not reached, no shell, cut off midway). What is there is not known; the
///   others were cleaned all the same, and it is safe to try again.
/// - 0: else. Nothing having been there is as good.
///
/// Agents on this machine end with their run and keep no file: that is said, and is no fault.
pub async fn down_hosts(hosts: &[Host], ssh: &SshOptions) -> Result<Exit, Error> {
    let (local, remote): (Vec<Host>, Vec<Host>) = hosts
        .iter()
        .cloned()
        .partition(|host| matches!(host.origin, Origin::Local(_)));
    for host in &local {
        let name = &host.name;
        tell(&format!(
            "{name}: agents on this machine keep no file and end with their run"
        ))?;
    }
    if remote.is_empty() {
        return Ok(Exit::Ok);
    }
    let mut signals = Signals::listen().map_err(|error| Error::Unexpected(Box::new(error)))?;
    let transport = Transport::Ssh(ssh.open().await?);
    let nonce = format!("down{:x}", now_ns());
    let mut coming = remove_each(&transport, &remote, &nonce, Deadlines::default());
    let mut exits = Vec::with_capacity(remote.len());
    loop {
        let next = tokio::select! {
            next = coming.next() => next,
            _ = signals.next() => return Err(Error::Interrupted),
        };
        let Some((index, answer)) = next else { break };
        exits.push(told(&remote[index], answer)?);
    }
    Ok(Exit::foremost(exits))
}

/// Prints one host's line and gives what it means for the exit code.
fn told(host: &Host, answer: Result<Removed, DeployError>) -> Result<Exit, Error> {
    match answer {
        Ok(removed) if removed.left.is_empty() => {
            tell(&format!("{}: {}", host.name, summed(&removed))).map(|()| Exit::Ok)
        }
        Ok(removed) => {
            show::say(&format!(
                "{}: {}; left behind: {}",
                host.name,
                summed(&removed),
                removed.left.join("; ")
            ));
            Ok(Exit::LeftBehind)
        }
        Err(error) => {
            // the error names the host
            show::say(&format!("{error}; what is left there is not known"));
            Ok(Exit::NoLoad)
        }
    }
}

fn summed(removed: &Removed) -> String {
    let count = |n: usize, one: &str| match n {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    };
    if removed.agents + removed.files + removed.folders == 0 {
        return if removed.left.is_empty() {
            "nothing of ours was there".to_owned()
        } else {
            "nothing was removed".to_owned()
        };
    }
    format!(
        "{} stopped, {} and {} removed",
        count(removed.agents, "agent"),
        count(removed.files, "file"),
        count(removed.folders, "folder")
    )
}

fn tell(line: &str) -> Result<(), Error> {
    show::out(&format!("{line}\n")).map_err(|error| Error::Unexpected(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_done() {
        let removed = |agents, files, folders, left: &[&str]| Removed {
            agents,
            files,
            folders,
            left: left.iter().map(|what| (*what).to_owned()).collect(),
        };
        for (removed, line) in [
            (removed(0, 0, 0, &[]), "nothing of ours was there"),
            (removed(1, 2, 1, &[]), "1 agent stopped, 2 files and 1 folder removed"),
            (
                removed(0, 1, 0, &["x"]),
                "0 agents stopped, 1 file and 0 folders removed",
            ),
            (removed(0, 0, 0, &["x"]), "nothing was removed"),
        ] {
            assert_eq!(summed(&removed), line);
        }
    }

    #[test]
    fn every_end_of_a_host_has_its_exit() {
        let host = Host::parse("bee1", Origin::Flag).unwrap();
        let left = Removed {
            left: vec!["/root/x: busy".into()],
            ..Removed::default()
        };
        let gone = DeployError::Nonce("x".into());
        let exits = [Ok(Removed::default()), Ok(left), Err(gone)].map(|answer| told(&host, answer).unwrap());
        assert_eq!(exits, [Exit::Ok, Exit::LeftBehind, Exit::NoLoad]);
        assert_eq!(Exit::foremost(exits), Exit::LeftBehind);
        assert_eq!(Exit::foremost([Exit::Ok, Exit::NoLoad]), Exit::NoLoad);
    }

    #[tokio::test]
    async fn this_machine_has_nothing_to_clean() {
        let exit = down_hosts(&[Host::local(1)], &SshOptions::default()).await;
        assert_eq!(exit.unwrap(), Exit::Ok);
    }

    #[test]
    fn hosts_must_be_named() {
        let error = understand(&HostArgs::default()).unwrap_err();
        assert!(error.exit() == Exit::Usage && error.to_string().contains("--hosts"));
        let key = HostArgs {
            identity: Some("k".into()),
            ..HostArgs::default()
        };
        assert!(understand(&key).unwrap_err().to_string().starts_with("-i: "));
    }
}
