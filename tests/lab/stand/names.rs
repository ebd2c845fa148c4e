//! Owns: what stands are called: a hosts file, and a name server that knows no name, both seen only by commands that
//! are run for a stand. Must not: touch this machine's own files.

use crate::Result;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;

/// What every stand is called, and where it listens (ports 80 and 443).
pub const NAME: &str = "chat.lab.test";
pub const ADDRESS: &str = "127.0.80.1";
/// Nothing ever listens here.
pub const DEAD_ADDRESS: &str = "127.0.80.2";
const NAME_SERVER: &str = "127.0.80.53";

/// Addresses of [`NAME`] as a command sees them.
pub fn write(folder: &Path, addresses: &[&str]) -> Result {
    let mut hosts = "127.0.0.1 localhost\n".to_owned();
    for address in addresses {
        hosts += &format!("{address} {NAME}\n");
    }
    std::fs::write(folder.join("hosts"), hosts)?;
    Ok(std::fs::write(
        folder.join("resolv.conf"),
        format!("nameserver {NAME_SERVER}\noptions timeout:2 attempts:1\n"),
    )?)
}

/// A command that sees those files in place of the machine's: in a mount namespace of its own.
pub fn seeing(folder: &Path, program: &str) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg("mount --bind \"$1/hosts\" /etc/hosts && mount --bind \"$1/resolv.conf\" /etc/resolv.conf && shift && exec \"$@\"")
        .arg("sh")
        .arg(folder)
        .arg(program);
    command
}

/// Answers every question with "no such name", for as long as the lab is there.
pub fn know_nothing() -> Result {
    let socket = UdpSocket::bind((NAME_SERVER, 53)).map_err(|e| format!("{NAME_SERVER}:53: {e}"))?;
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            if let Some(answer) = no_such_name(&question[..length]) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    Ok(())
}

/// RFC 1035, section 4.1: the question again, without any other record, as a response of code 3.
fn no_such_name(question: &[u8]) -> Option<Vec<u8>> {
    let labels = question.get(12..)?;
    let mut end = 0;
    while *labels.get(end)? != 0 {
        end += 1 + usize::from(labels[end]);
    }
    // the root label, type and class
    let mut answer = question.get(..12 + end + 5)?.to_vec();
    answer[2] = 0x80 | (question[2] & 0x01);
    answer[3] = 0x83;
    answer[6..12].fill(0);
    Some(answer)
}
