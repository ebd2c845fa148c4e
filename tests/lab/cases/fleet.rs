//! Owns: the story of a fleet on EC2 as its users live it: up, status, attack, extend, down, against moto and machines
//! with a real sshd each, and what the hosts are like. Must not: know swarm's inside.

use crate::cloud::{Cloud, Seat, check_schema};
use crate::lab::Lab;
use crate::process::Finished;
use crate::proxy::{STICKY, url};
use crate::{Result, ensure};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    ("fleet::up_status_attack_extend_down", the_story),
    ("fleet::a_host_is_what_it_should_be", a_host),
    ("fleet::a_host_ends_itself_when_its_time_is_over", ends_itself),
    ("fleet::hosts_share_a_boot_key_and_end_with_their_own", own_keys),
    ("fleet::launched_now_and_ready_later", no_wait),
    ("fleet::a_dry_run_makes_nothing", dry_run),
];

/// Fails, with all that was said, unless it ended with this code and said each of these. Nobody ever prints a key.
pub fn expect(finished: &Finished, code: i32, says: &[&str]) -> Result {
    let text = format!("{}\n{}", finished.stdout, finished.stderr);
    ensure!(
        finished.status.code() == Some(code),
        "exit code {code} was expected, not {}:\n{text}",
        finished.status
    );
    for part in says {
        ensure!(text.contains(part), "it does not say {part:?}:\n{text}");
    }
    ensure!(!text.contains("panicked"), "a panic is no message:\n{text}");
    ensure!(!text.contains("PRIVATE KEY"), "a private key was printed:\n{text}");
    Ok(())
}

fn the_story(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let up = cloud.swarm("up -s 3")?;
    expect(
        &up,
        0,
        &["fleet default: 3 hosts", "t2.micro", "USD an hour", "ready (3 of 3)"],
    )?;
    ensure!(cloud.moto.alive()?.len() == 3, "not 3 instances");
    let status = cloud.swarm("status")?;
    expect(&status, 0, &["fleet default: 3 hosts", "1h59m", "cores", "so far"])?;
    // a second up adds only what is missing
    expect(
        &cloud.swarm("up -s 4")?,
        0,
        &["3 of 4 are there", "fleet default: 4 hosts"],
    )?;
    ensure!(cloud.moto.alive()?.len() == 4, "not 4 instances");
    expect(
        &cloud.swarm("up -s 4")?,
        0,
        &["nothing to launch", "fleet default: 4 hosts"],
    )?;
    ensure!(cloud.moto.alive()?.len() == 4, "not 4 instances");

    let target = url("http", STICKY, "/");
    let attack = cloud.swarm(&format!("attack {target} -n 40 -c 4"))?;
    expect(
        &attack,
        0,
        &[
            "from: fleet default, 4 hosts, 4 addresses, us-east-1",
            "complete",
            "1h59m left",
        ],
    )?;
    // four hosts with addresses of their own, as the servers saw them
    let seen = lab.servers.matrix("http")?;
    ensure!(seen.len() == 4, "requests came from {:?}", seen.keys());

    let long = cloud.swarm(&format!("attack {target} -c 4 -z 3h"))?;
    expect(
        &long,
        2,
        &["swarm extend --fleet default --ttl 3h2m", "fleet default ends in 1h5"],
    )?;
    expect(&cloud.swarm("extend --ttl 5h")?, 0, &["4h59m"])?;
    expect(&cloud.swarm("status")?, 0, &["4h59m"])?;
    expect(
        &cloud.swarm(&format!("attack {target} -c 4 -z 3h --dry-run"))?,
        0,
        &["4h5"],
    )?;

    let down = cloud.swarm("down")?;
    expect(&down, 0, &["4 hosts ended, nothing tagged is left"])?;
    cloud.expect_nothing_left()?;
    nothing_noted(&cloud.seat("first")?)?;
    // twice in a row
    expect(&cloud.swarm("down")?, 0, &["nothing of yours"])?;
    // nothing is up: the attack runs from here, and says so
    expect(
        &cloud.swarm(&format!("attack {target} -n 4 -c 1"))?,
        2,
        &["no host is reached over ssh"],
    )?;
    expect(
        &cloud.swarm(&format!("attack {target} -n 4 -c 1 --fleet default"))?,
        2,
        &["not known on this machine"],
    )
}

/// Nothing of a fleet lies in this home, but the installation's name.
pub fn nothing_noted(seat: &Seat<'_>) -> Result {
    let left: Vec<PathBuf> = files(&seat.home.join(".local/state/swarm"))?;
    ensure!(left.is_empty(), "the state still holds {left:?}");
    ensure!(
        seat.home.join(".config/swarm/installation").exists(),
        "the installation lost its name"
    );
    Ok(())
}

pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !folder.exists() {
        return Ok(found);
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// What the launch asked for, what cloud-init makes of it, and what lies on this machine.
fn a_host(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let up = cloud.swarm("up -s 1 --tag team=edge --ttl 90m")?;
    expect(&up, 0, &["1h29m"])?;
    let ledger = std::fs::read_to_string(
        cloud
            .seat("first")?
            .home
            .join(".local/state/swarm/fleets/default/ledger.json"),
    )?;
    let alive = cloud.moto.alive()?;
    let [instance] = alive.as_slice() else {
        return Err(format!("{} instances", alive.len()).into());
    };
    ensure!(
        instance.on_shutdown == "terminate",
        "shutdown means {}",
        instance.on_shutdown
    );
    ensure!(
        instance.imds_tokens == "required" && instance.imds_hops == 1,
        "metadata: tokens {}, {} hops",
        instance.imds_tokens,
        instance.imds_hops
    );
    for tag in ["swarm:fleet", "swarm:run", "swarm:owner", "swarm:until", "Name", "team"] {
        ensure!(instance.tags.contains_key(tag), "no tag {tag}: {:?}", instance.tags);
    }
    let state = cloud.moto.state()?;
    let [group] = state.groups.as_slice() else {
        return Err(format!("{} groups", state.groups.len()).into());
    };
    let rules: Vec<String> = group.ingress.iter().map(|rule| format!("{rule:?}")).collect();
    ensure!(
        rules.len() == 1 && rules[0].contains("22") && rules[0].contains("10.77.0.90/32"),
        "the group lets in {rules:?}"
    );
    check_schema(&instance.user_data, &lab.folder)?;
    ensure!(
        instance.user_data.len() < 16 * 1024,
        "{} bytes of user data",
        instance.user_data.len()
    );
    // a dry run beside it changes nothing here
    let before = files(&cloud.seat("first")?.home)?;
    expect(&cloud.swarm("up -s 2 --dry-run")?, 0, &["1 of 2 are there"])?;
    ensure!(
        files(&cloud.seat("first")?.home)? == before,
        "a dry run changed what lies here"
    );
    // private keys: one, of mode 0600, and none in the ledger
    let seat = cloud.seat("first")?;
    let mut keys = 0;
    for file in files(&seat.home)? {
        let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if text.contains("PRIVATE KEY") {
            keys += 1;
            ensure!(file.ends_with("login_key"), "a private key lies in {}", file.display());
        }
        ensure!(
            mode == 0o600 || mode == 0o644 && file.extension().is_some_and(|e| e == "pub"),
            "{} has mode {mode:o}",
            file.display()
        );
    }
    ensure!(keys == 1, "{keys} private keys");
    // nor is any line of one printed, in whatever form
    let login = std::fs::read_to_string(seat.home.join(".local/state/swarm/fleets/default/login_key"))?;
    for body in login
        .lines()
        .chain(instance.user_data.lines())
        .map(str::trim)
        .filter(|line| line.len() > 60)
    {
        ensure!(
            !up.stdout.contains(body) && !up.stderr.contains(body),
            "a line of a key was printed: {body}"
        );
        ensure!(
            !ledger.contains(body) || body.starts_with("ssh-"),
            "a line of a key is in the ledger: {body}"
        );
    }
    let folder = seat.home.join(".local/state/swarm/fleets/default");
    let mode = std::fs::metadata(&folder)?.permissions().mode() & 0o777;
    ensure!(mode == 0o700, "the fleet's folder has mode {mode:o}");
    expect(&cloud.swarm("down")?, 0, &[])?;
    cloud.expect_nothing_left()
}

/// The timer that the user data brings, with a recording `shutdown`; nobody but the host takes part.
fn ends_itself(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    expect(&cloud.swarm("up -s 1 --ttl 20s")?, 0, &["fleet default: 1 host"])?;
    let [machine] = &cloud.machines.alive()[..] else {
        return Err("not one machine".into());
    };
    crate::process::wait_until("the host to shut itself down", Duration::from_secs(40), || {
        Ok(cloud.moto.alive()?.is_empty())
    })?;
    let calls = machine.shutdowns()?;
    ensure!(
        !calls.is_empty(),
        "it went without a shutdown of its own: {}",
        machine.said()
    );
    // what the ledger still names is gone: an error, never a silent run from here
    let attack = cloud.swarm(&format!("attack {} -n 4 -c 1", url("http", STICKY, "/")))?;
    expect(&attack, 2, &["fleet default is gone", "swarm up", "swarm down"])?;
    expect(&cloud.swarm("status")?, 0, &["fleet default"])?;
    expect(&cloud.swarm("down")?, 0, &["nothing tagged is left"])?;
    cloud.expect_nothing_left()?;
    nothing_noted(&cloud.seat("first")?)
}

/// One launch is one user data and one boot key; afterwards each host has a key of its own and shows no other.
fn own_keys(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    expect(&cloud.swarm("up -s 2")?, 0, &[])?;
    let alive = cloud.moto.alive()?;
    ensure!(
        alive.len() == 2 && alive[0].user_data == alive[1].user_data,
        "two hosts of one launch were expected, with one user data"
    );
    let boot = alive[0]
        .user_data
        .lines()
        .find_map(|line| line.trim().strip_prefix("ed25519_public: "))
        .map(|key| key.trim_matches('"').split(' ').nth(1).unwrap_or_default().to_owned())
        .ok_or("no boot key in the user data")?;
    let known = std::fs::read_to_string(
        cloud
            .seat("first")?
            .home
            .join(".local/state/swarm/fleets/default/known_hosts"),
    )?;
    ensure!(known.lines().count() == 2, "known_hosts: {known}");
    ensure!(!known.contains(&boot), "the boot key is still taken for a host's own");
    boot_key_is_refused(&cloud, &boot, &alive[0])?;
    let mut shown = Vec::new();
    for machine in cloud.machines.alive() {
        let scan = machine.inside("ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null")?;
        let key = scan.split_whitespace().nth(2).ok_or("no key was shown")?.to_owned();
        ensure!(key != boot, "{} still shows the boot key", machine.instance);
        ensure!(
            known.contains(&key),
            "{} shows a key that is not on file",
            machine.instance
        );
        let left = machine.inside("grep -rl 'PRIVATE KEY' /var/lib/cloud /run 2>/dev/null || true")?;
        ensure!(left.trim().is_empty(), "the boot key still lies in {left}");
        shown.push(key);
    }
    ensure!(shown[0] != shown[1], "both hosts show the same key");
    expect(&cloud.swarm("down")?, 0, &[])?;
    cloud.expect_nothing_left()
}

/// ssh itself, with the boot key on file for the host: it does not take the host for the one that booted with it.
fn boot_key_is_refused(cloud: &Cloud<'_>, boot: &str, instance: &crate::moto::Instance) -> Result {
    let address = instance.public.ok_or("no public address")?.to_string();
    let known = cloud.config.with_file_name("boot_known_hosts");
    std::fs::write(&known, format!("{address} ssh-ed25519 {boot}\n"))?;
    let key = cloud
        .seat("first")?
        .home
        .join(".local/state/swarm/fleets/default/login_key");
    let ssh = |known: &Path| {
        let mut command = cloud.command("ssh");
        command.arg("-F").arg(&cloud.config).arg("-i").arg(&key);
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=/dev/null",
        ] {
            command.args(["-o", option]);
        }
        command.args(["-o", &format!("UserKnownHostsFile={}", known.display())]);
        command.args([&format!("ec2-user@{address}"), "echo in"]);
        crate::process::run(&mut command)
    };
    let refused = ssh(&known).err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(
        refused.contains("verification failed"),
        "the boot key was taken: {refused}"
    );
    let own = key.with_file_name("known_hosts");
    ensure!(ssh(&own)?.trim() == "in", "the host's own key was not taken");
    Ok(())
}

fn no_wait(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    expect(&cloud.swarm("up -s 2 --no-wait")?, 0, &["launched and recorded"])?;
    let target = url("http", STICKY, "/");
    expect(
        &cloud.swarm(&format!("attack {target} -n 4 -c 2"))?,
        6,
        &["not ready", "swarm up -s 2"],
    )?;
    expect(&cloud.swarm("status")?, 0, &["not ready"])?;
    expect(&cloud.swarm("up -s 2")?, 0, &["ready (2 of 2)"])?;
    ensure!(cloud.moto.alive()?.len() == 2, "a second launch was made");
    expect(&cloud.swarm(&format!("attack {target} -n 4 -c 2"))?, 0, &["2 hosts"])?;
    expect(
        &cloud.swarm("down --dry-run")?,
        0,
        &["instance i-", "security group", "nothing was removed"],
    )?;
    ensure!(cloud.moto.alive()?.len() == 2, "a dry run removed something");
    expect(&cloud.swarm("down")?, 0, &[])?;
    cloud.expect_nothing_left()
}

fn dry_run(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let said = cloud.swarm("up -s 8 --dry-run --ttl 3h")?;
    expect(
        &said,
        0,
        &[
            "launch 8 x t2.micro",
            "al2023",
            "to be made",
            "10.77.0.90/32",
            "3h after launch",
            "0.1460 USD an hour: hosts 0.0928, public addresses 0.0400",
        ],
    )?;
    ensure!(
        said.stdout.contains("nothing was made"),
        "the plan is not on stdout: {}",
        said.stdout
    );
    let made: Vec<String> = cloud
        .proxy
        .calls()
        .into_iter()
        .map(|call| call.action)
        .filter(|action| !action.starts_with("Describe") && !action.starts_with("Get"))
        .collect();
    ensure!(made.is_empty(), "a dry run called {made:?}");
    let seat = cloud.seat("first")?;
    ensure!(
        files(&seat.home)?.is_empty(),
        "a dry run wrote {:?}",
        files(&seat.home)?
    );
    cloud.expect_nothing_left()
}
