//! Transport and deploy against a real sshd on a high port of 127.0.0.1, with files of the test's own.

use super::sshd::Sshd;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use swarm::agent_binary::{AgentBinaries, AgentBinary};
use swarm::deploy::{Deadlines, deploy, reach};
use swarm::fleet::host::{Host, Origin};
use swarm::transport::ssh_config::SshOptions;
use swarm::transport::{Ssh, Stream, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const NONCE: &str = "test0nonce";
const AGENT: &[u8] = b"#!/bin/sh\necho \"swarm-agent/1 $1\"\nexec cat\n";

async fn transport(sshd: &Sshd) -> Transport {
    Transport::Ssh(Ssh::new(&sshd.options()).await.unwrap())
}

async fn refusal(options: SshOptions, host: &Host) -> String {
    let transport = Transport::Ssh(Ssh::new(&options).await.unwrap());
    deploy(&transport, host, &agents(), NONCE, Deadlines::default())
        .await
        .unwrap_err()
        .to_string()
}

/// How many processes have this in their command line.
fn processes(part: &str) -> usize {
    let listed = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    String::from_utf8_lossy(&listed.stdout)
        .lines()
        .filter(|line| line.contains(part))
        .count()
}

async fn until_none(part: &str, most: Duration) -> Duration {
    let begun = Instant::now();
    while processes(part) > 0 {
        assert!(
            begun.elapsed() < most,
            "{} of {part} are left after {most:?}",
            processes(part)
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    begun.elapsed()
}

fn agents() -> AgentBinaries {
    let mut binaries = AgentBinaries::default();
    binaries.insert(std::env::consts::ARCH, AgentBinary::pack(AGENT).unwrap());
    binaries
}

async fn speaks(mut stream: Stream) {
    stream.input.write_all(b"\x00\xff first bytes").await.unwrap();
    let input = std::mem::replace(&mut stream.input, Box::new(tokio::io::sink()));
    drop(input);
    let mut said = Vec::new();
    stream.output.read_to_end(&mut said).await.unwrap();
    assert_eq!(
        said,
        [format!("swarm-agent/1 {NONCE}\n").as_bytes(), b"\x00\xff first bytes"].concat()
    );
    stream.close().await;
}

#[tokio::test]
async fn the_agent_is_uploaded_once_and_a_planted_one_replaced() {
    let sshd = Sshd::start("");
    let transport = transport(&sshd).await;
    let file = sshd
        .at("home/.cache/swarm")
        .join(format!("agent-{}", &AgentBinary::pack(AGENT).unwrap().sha256[..16]));
    speaks(
        deploy(&transport, &sshd.host(), &agents(), NONCE, Deadlines::default())
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(std::fs::read(&file).unwrap(), AGENT);
    let first = std::fs::metadata(&file).unwrap().modified().unwrap();
    speaks(
        deploy(&transport, &sshd.host(), &agents(), NONCE, Deadlines::default())
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(
        std::fs::metadata(&file).unwrap().modified().unwrap(),
        first,
        "the second time it was there"
    );
    std::fs::write(&file, "#!/bin/sh\necho evil\n").unwrap();
    speaks(
        deploy(&transport, &sshd.host(), &agents(), NONCE, Deadlines::default())
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(std::fs::read(&file).unwrap(), AGENT);
}

#[tokio::test]
async fn the_embedded_agent_arrives_whole() {
    let sshd = Sshd::start("");
    let transport = transport(&sshd).await;
    let binaries = AgentBinaries::default();
    let stream = deploy(&transport, &sshd.host(), &binaries, NONCE, Deadlines::default())
        .await
        .unwrap();
    stream.close().await;
    let agent = binaries.for_arch(std::env::consts::ARCH).unwrap();
    let file = sshd
        .at("home/.cache/swarm")
        .join(format!("agent-{}", &agent.sha256[..16]));
    assert_eq!(std::fs::read(file).unwrap(), agent.raw().unwrap());
}

#[tokio::test]
async fn many_connects_to_one_sshd_all_succeed_and_leave_no_master() {
    use futures_util::StreamExt;
    let sshd = Sshd::start("MaxStartups 4:50:10");
    let ssh = Ssh::new(&sshd.options()).await.unwrap();
    let folder = ssh.control_folder().display().to_string();
    let transport = Transport::Ssh(ssh);
    let hosts = vec![sshd.host(); 20];
    let binaries = agents();
    let begun = Instant::now();
    let mut all = reach(&transport, &hosts, &binaries, NONCE, Deadlines::default());
    let mut streams = Vec::new();
    while let Some((index, reached)) = all.next().await {
        streams.push((index, reached.unwrap()));
    }
    eprintln!(
        "20 connects to one sshd with MaxStartups 4:50:10: {:?}",
        begun.elapsed()
    );
    assert_eq!(processes(&folder), 20, "one master a host");
    streams.sort_by_key(|(index, _)| *index);
    assert!(streams.iter().map(|(index, _)| *index).eq(0..20));
    for (_, stream) in streams {
        speaks(stream).await;
    }
    drop(all);
    until_none(&folder, Duration::from_secs(5)).await;
    drop(transport);
    assert!(!Path::new(&folder).exists());
}

/// The controller of the next test: it is started by it, and killed.
#[tokio::test]
#[ignore = "started by a_killed_controller_leaves_nothing"]
async fn a_controller_that_is_killed() {
    let Some(folder) = std::env::var_os("SWARM_TEST_SSHD").map(PathBuf::from) else {
        return;
    };
    let host = Host::parse(&std::env::var("SWARM_TEST_HOST").unwrap(), Origin::Flag).unwrap();
    let options = SshOptions {
        identities: vec![folder.join("login")],
        config: Some(folder.join("ssh_config")),
        ..SshOptions::default()
    };
    let ssh = Ssh::new(&options).await.unwrap();
    let control = ssh.control_folder().display().to_string();
    let stream = deploy(&Transport::Ssh(ssh), &host, &agents(), NONCE, Deadlines::default())
        .await
        .unwrap();
    std::fs::write(folder.join("ready.part"), control).unwrap();
    std::fs::rename(folder.join("ready.part"), folder.join("ready")).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    drop(stream);
}

#[tokio::test]
async fn a_killed_controller_leaves_nothing() {
    let sshd = Sshd::start("");
    sshd.options();
    let mut controller = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "ssh::a_controller_that_is_killed"])
        .env("SWARM_TEST_SSHD", sshd.folder.path())
        .env("SWARM_TEST_HOST", format!("root@127.0.0.1:{}", sshd.port))
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !sshd.at("ready").exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the controller got nowhere");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let control = std::fs::read_to_string(sshd.at("ready")).unwrap();
    assert_eq!((processes(&control), children_of_logins(&sshd)), (1, 1));
    controller.kill().unwrap();
    controller.wait().unwrap();
    let begun = Instant::now();
    while children_of_logins(&sshd) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(2), "the agent is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let agent_after = begun.elapsed();
    let master_after = until_none(&control, Duration::from_secs(15)).await;
    eprintln!("after kill -9 of the controller: agent gone in {agent_after:?}, ssh master in {master_after:?}");
    std::fs::remove_dir_all(control).unwrap();
}

/// Agents that run on this host: processes of a login whose home is the test's own.
fn children_of_logins(sshd: &Sshd) -> usize {
    let home = format!("HOME={}", sshd.at("home").display());
    let folders = std::fs::read_dir("/proc").unwrap().flatten();
    let has_home = |folder: &std::fs::DirEntry| {
        let environ = std::fs::read(folder.path().join("environ")).unwrap_or_default();
        environ
            .split(|byte| *byte == 0)
            .any(|variable| variable == home.as_bytes())
    };
    folders.filter(has_home).count()
}

#[tokio::test]
async fn each_refusal_names_the_way_out() {
    let sshd = Sshd::start("");
    let host = sshd.host();
    std::fs::remove_file(sshd.at("known_hosts")).unwrap();
    let unknown = refusal(sshd.options(), &host).await;
    assert!(
        unknown.contains("--accept-new-host-keys")
            && unknown.contains(&format!("ssh-keyscan -p {} 127.0.0.1", sshd.port)),
        "{unknown}"
    );

    sshd.knows("newhost");
    for accept_new_host_keys in [false, true] {
        let changed = refusal(
            SshOptions {
                accept_new_host_keys,
                ..sshd.options()
            },
            &host,
        )
        .await;
        assert!(
            changed.contains("has changed") && changed.contains(&format!("ssh-keygen -R '[127.0.0.1]:{}'", sshd.port)),
            "{changed}"
        );
    }

    std::fs::remove_file(sshd.at("known_hosts")).unwrap();
    let accepting = SshOptions {
        accept_new_host_keys: true,
        ..sshd.options()
    };
    let transport = Transport::Ssh(Ssh::new(&accepting).await.unwrap());
    speaks(
        deploy(&transport, &host, &agents(), NONCE, Deadlines::default())
            .await
            .unwrap(),
    )
    .await;
    assert!(
        std::fs::read_to_string(sshd.at("known_hosts"))
            .unwrap()
            .contains("127.0.0.1")
    );

    let denied = refusal(
        SshOptions {
            identities: vec![sshd.at("other")],
            ..sshd.options()
        },
        &host,
    )
    .await;
    assert!(
        denied.contains("login refused") && denied.contains("-i FILE") && denied.contains("ssh-add"),
        "{denied}"
    );

    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let refused = refusal(
        sshd.options(),
        &Host {
            port: Some(nobody),
            name: "bee9".into(),
            ..host.clone()
        },
    )
    .await;
    assert!(refused.starts_with("host bee9: connection refused"), "{refused}");

    let nameless = refusal(
        sshd.options(),
        &Host {
            address: "no.such.host.invalid".into(),
            ..host.clone()
        },
    )
    .await;
    assert!(nameless.contains("is not resolved"), "{nameless}");

    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mute = Host {
        port: Some(silent.local_addr().unwrap().port()),
        ..host.clone()
    };
    let begun = Instant::now();
    let slow = refusal(
        SshOptions {
            connect_timeout_s: 1,
            ..sshd.options()
        },
        &mute,
    )
    .await;
    assert!(
        slow.contains("timed out") && begun.elapsed() < Duration::from_secs(5),
        "{slow} after {:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn what_is_no_shell_is_told() {
    let sshd = Sshd::start("ForceCommand echo 'menu only'; exit 1");
    let said = refusal(sshd.options(), &sshd.host()).await;
    assert!(said.contains("POSIX shell") && said.contains("menu only"), "{said}");
}

#[tokio::test]
async fn a_config_that_runs_commands_of_its_own_does_not_reach_the_session() {
    let sshd = Sshd::start("");
    let trace = sshd.at("trace");
    let options = sshd.options();
    let config = sshd.at("ssh_config");
    let theirs = std::fs::read_to_string(&config).unwrap();
    let more = format!(
        "{theirs}Host bee\nHostName 127.0.0.1\nPort {}\nUser root\nRemoteCommand tmux\nRequestTTY force\nPermitLocalCommand yes\n\
         LocalCommand touch {}\nLocalForward 127.0.0.1:1 127.0.0.1:2\nControlMaster auto\nControlPath /nonexistent/%C\nLogLevel QUIET\n",
        sshd.port,
        trace.display()
    );
    std::fs::write(&config, more).unwrap();
    let transport = Transport::Ssh(Ssh::new(&options).await.unwrap());
    let alias = Host::parse("bee", Origin::Flag).unwrap();
    speaks(
        deploy(&transport, &alias, &agents(), NONCE, Deadlines::default())
            .await
            .unwrap(),
    )
    .await;
    assert!(!trace.exists());
}
