//! What ssh wrote when it could not connect, told as one message: the host, the cause, the way out. Pure.

use super::ssh::SshError;
use crate::fleet::host::Host;

/// The most characters of ssh's own words that go into a message.
const SHOWN: usize = 300;

/// Whether trying again may help: the server had too many connections being opened (`MaxStartups`).
pub fn is_passing(log: &str) -> bool {
    let cut = [
        "Connection closed by",
        "Connection reset by",
        "Connection reset",
        "closed by remote host",
        "Exceeded MaxStartups",
    ];
    let final_word = [
        "Permission denied",
        "verification failed",
        "Too many authentication failures",
        "IDENTIFICATION HAS CHANGED",
    ];
    cut.iter().any(|part| log.contains(part)) && !final_word.iter().any(|part| log.contains(part))
}

/// Tells a failure to connect by what ssh logged.
pub fn told(host: &Host, log: &str) -> SshError {
    let name = host.name.clone();
    let said = said(log);
    let has = |part: &str| log.contains(part);
    let port = host.port.map(|port| format!("-p {port} ")).unwrap_or_default();
    let address = host.address.clone();
    if has("IDENTIFICATION HAS CHANGED") || has("REVOKED HOST KEY") {
        let known = match host.port {
            Some(port) if port != 22 => format!("[{address}]:{port}"),
            _ => address,
        };
        SshError::HostKeyChanged { host: name, known }
    } else if has("Host key verification failed") || has("host key is known for") {
        SshError::HostKeyUnknown {
            host: name,
            scan: format!("{port}{address}"),
        }
    } else if has("Permission denied (") || has("Too many authentication failures") {
        SshError::Denied {
            host: name,
            said,
            words: host.ssh_words(),
        }
    } else if has("Could not resolve hostname") {
        SshError::NameUnknown { host: name, address }
    } else if has("Connection refused") {
        SshError::Refused { host: name }
    } else if has("timed out") || has("No route to host") || has("Network is unreachable") || has("Host is unreachable")
    {
        SshError::Unreachable { host: name, said }
    } else {
        SshError::Other {
            host: name,
            said,
            words: host.ssh_words(),
        }
    }
}

/// The last lines that say something, on one line, without control characters.
fn said(log: &str) -> String {
    let notable = |line: &&str| {
        let boring = [
            "Warning: Permanently added",
            "Authenticated to",
            "Pseudo-terminal",
            "** ",
        ];
        !line.is_empty() && !line.bytes().all(|b| b == b'@') && !boring.iter().any(|part| line.starts_with(part))
    };
    let lines: Vec<&str> = log.lines().map(str::trim).filter(notable).collect();
    let text = lines[lines.len().saturating_sub(2)..].join("; ");
    let text = if text.is_empty() {
        "ssh gave no reason".to_owned()
    } else {
        text
    };
    plain(&text, SHOWN)
}

/// Text of a stranger, fit for one line of ours.
pub(crate) fn plain(text: &str, most: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.trim().chars().take(most).map(clean).collect();
    if text.trim().chars().count() > most {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::host::Origin;

    fn message(log: &str) -> String {
        told(&Host::parse("bob@10.0.0.4:2222", Origin::Flag).unwrap(), log).to_string()
    }

    #[test]
    fn every_failure_names_the_host_and_the_way_out() {
        for (log, way_out) in [
            (
                "No ED25519 host key is known for [10.0.0.4]:2222 and you have requested strict checking.\r\nHost key verification failed.",
                "--accept-new-host-keys",
            ),
            (
                "No ED25519 host key is known\r\nHost key verification failed.",
                "ssh-keyscan -p 2222 10.0.0.4",
            ),
            (
                "@@@@@\n@  WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!  @\nHost key verification failed.",
                "ssh-keygen -R '[10.0.0.4]:2222'",
            ),
            ("bob@10.0.0.4: Permission denied (publickey).", "ssh-add"),
            (
                "Received disconnect from 10.0.0.4 port 2222:2: Too many authentication failures",
                "-i FILE",
            ),
            (
                "ssh: Could not resolve hostname 10.0.0.4: Name or service not known",
                "not resolved",
            ),
            (
                "ssh: connect to host 10.0.0.4 port 2222: Connection refused",
                "is sshd running",
            ),
            (
                "ssh: connect to host 10.0.0.4 port 2222: Connection timed out",
                "firewall",
            ),
            ("ssh: connect to host 10.0.0.4 port 2222: No route to host", "firewall"),
            (
                "/x/config: line 3: Bad configuration option: foo",
                "Bad configuration option: foo",
            ),
            ("", "ssh gave no reason"),
        ] {
            let message = message(log);
            assert!(
                message.contains("10.0.0.4:2222") && message.contains(way_out),
                "{log:?} gave {message}"
            );
            assert!(!message.contains(['\n', '\r']), "{message}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert!(is_passing(
            "kex_exchange_identification: Connection closed by remote host\nConnection closed by 10.0.0.4 port 22"
        ));
        assert!(is_passing(
            "kex_exchange_identification: read: Connection reset by peer"
        ));
        assert!(!is_passing(
            "Permission denied (publickey).\nConnection closed by 10.0.0.4 port 22"
        ));
        assert!(!is_passing("connect to host 10.0.0.4 port 22: Connection refused"));
    }
}
