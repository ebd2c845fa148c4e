//! Owns: the end of fleets: whatever was killed, deleted, taken away or made by others, `swarm down` leaves nothing of
//! its owner's and nothing of others' alone. Must not: know swarm's inside.

use super::fleet::{expect, files, nothing_noted};
use crate::cloud::{Cloud, Killed};
use crate::cloud_proxy::When;
use crate::fault::Fault;
use crate::lab::Lab;
use crate::process;
use crate::proxy::{STICKY, url};
use crate::{Result, ensure};
use rustix::process::Signal;
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    ("fleet_ends::killed_at_every_call_nothing_is_left", killed_everywhere),
    ("fleet_ends::from_tags_alone", from_tags_alone),
    ("fleet_ends::at_once_after_a_launch", at_once),
    ("fleet_ends::in_another_account", another_account),
    ("fleet_ends::two_owners_in_one_account", two_owners),
    ("fleet_ends::after_other_hands", other_hands),
    ("fleet_ends::in_all_regions", all_regions),
    ("fleet_ends::not_while_an_attack_runs", while_used),
    ("fleet_ends::what_cannot_be_removed_is_named", not_removed),
    ("fleet_ends::an_interrupt_takes_back_what_was_launched", interrupted),
];

/// SIGKILL before and after each AWS call that `up` makes, Elastic IPs included.
fn killed_everywhere(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let mut points = Vec::new();
    for when in [When::Before, When::After] {
        for number in 1.. {
            cloud.reset()?;
            cloud.moto.shutting_down(1)?;
            let seat = cloud.seat(&format!("{when:?}{number}"))?;
            let killed = seat.kill_at(number, when, "up -s 1 --source-eips 1")?;
            cloud.proxy.reset();
            let down = seat.run("down")?;
            let point = match &killed {
                Killed::At(call) => format!("{when:?} {call}"),
                Killed::Ended(_) => "at the end".to_owned(),
            };
            expect(&down, 0, &[]).map_err(|error| format!("killed {point}: {error}"))?;
            let left = cloud.moto.left_behind()?;
            ensure!(left.is_empty(), "killed {point}: left behind {left:#?}");
            let noted = files(&seat.home.join(".local/state/swarm"))?;
            ensure!(noted.is_empty(), "killed {point}: the state still holds {noted:?}");
            match killed {
                Killed::At(call) => points.push(format!("{when:?} {}", call.action)),
                Killed::Ended(up) => {
                    expect(&up, 0, &["fleet default: 1 host"])?;
                    break;
                }
            }
        }
    }
    eprintln!(
        "swarm up was killed at {} points, before and after each of its AWS calls",
        points.len()
    );
    for action in [
        "CreateSecurityGroup",
        "AuthorizeSecurityGroupIngress",
        "RunInstances",
        "DescribeInstances",
        "AllocateAddress",
        "AssociateAddress",
    ] {
        for when in ["Before", "After"] {
            let point = format!("{when} {action}");
            ensure!(points.contains(&point), "no kill {point}: {points:?}");
        }
    }
    Ok(())
}

/// No ledger, no key, and another machine.
fn from_tags_alone(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let first = cloud.seat("first")?;
    expect(&first.run("up -s 2 --no-wait")?, 0, &[])?;
    std::fs::remove_dir_all(first.home.join(".local"))?;
    expect(&first.run("up -s 3")?, 2, &["the ledger and key", "swarm down"])?;
    expect(&first.run("down")?, 0, &["2 hosts ended"])?;
    cloud.expect_nothing_left()?;

    expect(&first.run("up -s 2 --no-wait")?, 0, &[])?;
    let other = cloud.seat("other")?;
    // not its own: named, with the line that takes it, and a script is told that something still costs
    let refused = other.run("down")?;
    expect(
        &refused,
        5,
        &[
            "left alone in us-east-1: fleet default of arn:",
            "2 hosts",
            "swarm down --fleet default --region us-east-1 --owner 'arn:",
        ],
    )?;
    ensure!(
        cloud.moto.alive()?.len() == 2,
        "another machine's hosts were ended unasked"
    );
    let line = refused
        .stdout
        .lines()
        .find_map(|line| line.split_once(": swarm down --fleet default --region us-east-1 --owner '"))
        .map(|(_, owner)| owner.trim_end_matches('\'').to_owned())
        .ok_or("no owner is named")?;
    // a machine with a fleet of its own keeps it
    expect(&other.run("up -s 1 --no-wait --fleet own")?, 0, &[])?;
    expect(
        &other.run(&format!("down --fleet default --region us-east-1 --owner {line}"))?,
        0,
        &["2 hosts ended"],
    )?;
    ensure!(cloud.moto.alive()?.len() == 1, "the own fleet went with another's");
    let key = other.home.join(".local/state/swarm/fleets/own/login_key");
    ensure!(key.exists(), "the own fleet's key went with another's fleet");
    expect(&other.run("down")?, 0, &["1 host ended"])?;
    cloud.expect_nothing_left()?;
    // the first machine learns of it
    expect(&first.run("status")?, 0, &["EC2 no longer has it"])?;
    expect(&first.run("down")?, 0, &["nothing of yours"])
}

fn two_owners(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let (ann, bob) = (cloud.seat("ann")?, cloud.seat("bob")?);
    expect(&ann.run("up -s 1 --no-wait")?, 0, &[])?;
    expect(&bob.run("up -s 2 --no-wait")?, 0, &[])?;
    expect(
        &ann.run("status")?,
        0,
        &[
            "fleet default: 1 host",
            "left alone in us-east-1: fleet default of arn:",
        ],
    )?;
    expect(
        &ann.run("down")?,
        0,
        &[
            "1 host ended",
            "left alone in us-east-1: fleet default of arn:",
            "2 hosts",
        ],
    )?;
    let alive = cloud.moto.alive()?;
    ensure!(alive.len() == 2, "{} of Bob's 2 hosts live", alive.len());
    ensure!(cloud.moto.state()?.groups.len() == 1, "Bob's group is gone");
    // a second fleet lives beside the first
    expect(
        &bob.run("up -s 1 --no-wait --fleet second")?,
        0,
        &["fleet second: 1 host"],
    )?;
    expect(
        &bob.run("down --fleet second")?,
        0,
        &["1 host ended", "fleet default of yours, not asked for: 2 hosts"],
    )?;
    ensure!(cloud.moto.alive()?.len() == 2, "the wrong fleet was ended");
    expect(&bob.run("down")?, 0, &["2 hosts ended"])?;
    cloud.expect_nothing_left()
}

/// Hosts that somebody else ended, one of them or all.
fn other_hands(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    expect(&cloud.swarm("up -s 3")?, 0, &[])?;
    let alive = cloud.moto.alive()?;
    cloud.moto.shut_down("us-east-1", &alive[0].id)?;
    let target = url("http", STICKY, "/");
    let some = cloud.swarm(&format!("attack {target} -n 6 -c 3"))?;
    expect(
        &some,
        6,
        &[
            "1 of 3 hosts of fleet default are gone",
            "swarm up -s 3",
            "--min-hosts 2",
        ],
    )?;
    expect(
        &cloud.swarm(&format!("attack {target} -n 6 -c 2 --min-hosts 2"))?,
        0,
        &["2 hosts"],
    )?;
    expect(
        &cloud.swarm("status")?,
        0,
        &["fleet default: 2 hosts", "EC2 no longer has it"],
    )?;
    expect(
        &cloud.swarm("up -s 3")?,
        0,
        &["2 of 3 are there", "fleet default: 3 hosts"],
    )?;
    for instance in cloud.moto.alive()? {
        cloud.moto.shut_down("us-east-1", &instance.id)?;
    }
    expect(
        &cloud.swarm(&format!("attack {target} -n 6 -c 3"))?,
        2,
        &["fleet default is gone"],
    )?;
    expect(&cloud.swarm("extend --ttl 1h")?, 2, &["fleet default is gone"])?;
    expect(&cloud.swarm("down")?, 0, &["nothing tagged is left"])?;
    cloud.expect_nothing_left()
}

/// Regions with numbers of their own, and a `down` that knows none of them.
fn all_regions(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let first = cloud.seat("first")?;
    expect(
        &first.run("up --region eu-west-1=2 --region us-west-2=1")?,
        0,
        &[
            "eu-west-1: launch 2 x",
            "us-west-2: launch 1 x",
            "fleet default: 3 hosts",
        ],
    )?;
    let report = first.home.join("report.json");
    let target = url("http", STICKY, "/");
    expect(
        &first.run(&format!("attack {target} -n 30 -c 3 -o {}", report.display()))?,
        0,
        &["3 hosts, 3 addresses, eu-west-1 us-west-2"],
    )?;
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(report)?)?;
    let groups: Vec<_> = report["groups"]
        .as_array()
        .ok_or("no groups")?
        .iter()
        .map(|group| group["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    ensure!(groups == ["eu-west-1", "us-west-2"], "groups of the report: {groups:?}");
    std::fs::remove_dir_all(first.home.join(".local"))?;
    // the region of the environment is another one
    expect(
        &first.run("down")?,
        0,
        &["nothing of yours in us-east-1 (--all-regions looks everywhere)"],
    )?;
    ensure!(cloud.moto.alive()?.len() == 3, "hosts were ended elsewhere");
    expect(
        &first.run("status --all-regions")?,
        0,
        &["fleet default: 3 hosts", "its key is not on this machine"],
    )?;
    expect(&first.run("down --all-regions")?, 0, &["3 hosts ended"])?;
    cloud.expect_nothing_left()
}

fn while_used(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let seat = cloud.seat("first")?;
    expect(&seat.run("up -s 1")?, 0, &[])?;
    let attack = seat.start(&format!("attack {} -c 1 -q 5 -z 30s", url("http", STICKY, "/")))?;
    process::wait_until("the attack to send", Duration::from_secs(20), || {
        Ok(lab.servers.socketio_total("/http")? > 0)
    })?;
    expect(&seat.run("down")?, 2, &["an attack runs on fleet default", "--force"])?;
    ensure!(cloud.moto.alive()?.len() == 1, "the fleet was ended under an attack");
    expect(&seat.run("down --force")?, 0, &["1 host ended"])?;
    let ended = attack.wait(Duration::from_secs(60))?;
    // its host went away: partial or failed, and said so
    expect(&ended, 3, &["lost"])?;
    cloud.expect_nothing_left()
}

/// A terminate that fails once is tried again; one that always fails is named, and stays in the ledger.
fn not_removed(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    expect(&cloud.swarm("up -s 2 --no-wait")?, 0, &[])?;
    cloud.proxy.fault(
        Fault::error(400, "IncorrectInstanceState", "not now")
            .of("TerminateInstances")
            .times(1),
    );
    expect(&cloud.swarm("down")?, 0, &["2 hosts ended"])?;
    cloud.expect_nothing_left()?;

    cloud.proxy.reset();
    expect(&cloud.swarm("up -s 1 --no-wait")?, 0, &[])?;
    let id = cloud.moto.alive()?[0].id.clone();
    cloud
        .proxy
        .fault(Fault::error(400, "OperationNotPermitted", "it is protected").of("TerminateInstances"));
    let refused = cloud.swarm("down")?;
    expect(
        &refused,
        5,
        &["NOT removed: instance", &id, "it is protected", "security-group"],
    )?;
    cloud.proxy.reset();
    expect(&cloud.swarm("down")?, 0, &["1 host ended"])?;
    cloud.expect_nothing_left()?;

    // credentials that have expired are not "nothing left"
    expect(&cloud.swarm("up -s 1 --no-wait")?, 0, &[])?;
    cloud.proxy.fault(Fault::expired());
    expect(&cloud.swarm("down")?, 5, &["expired", "log in again"])?;
    cloud.proxy.reset();
    expect(&cloud.swarm("down")?, 0, &["1 host ended"])?;
    cloud.expect_nothing_left()
}

fn interrupted(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    cloud.machines.never_boot(1);
    let seat = cloud.seat("first")?;
    let up = seat.start("up -s 1")?;
    process::wait_until("the launch", Duration::from_secs(30), || {
        Ok(!cloud.moto.alive()?.is_empty())
    })?;
    std::thread::sleep(Duration::from_secs(2));
    process::signal(up.pid(), Signal::INT)?;
    expect(
        &up.wait(Duration::from_secs(60))?,
        130,
        &["removing what this command launched", "nothing of this command is left"],
    )?;
    cloud.expect_nothing_left()
}

/// EC2 lists a launch late: what it told us of is ended by its id, and a launch of an `up` that was killed is waited for.
fn at_once(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let seat = cloud.seat("first")?;
    cloud.moto.invisible(6)?;
    expect(&seat.run("up -s 2 --no-wait")?, 0, &[])?;
    expect(&seat.run("down")?, 0, &["nothing tagged is left"])?;
    cloud.expect_nothing_left()?;
    nothing_noted(&seat)?;
    // killed when the launch was answered to nobody
    cloud.reset()?;
    cloud.moto.invisible(4)?;
    let number = launch_number(&cloud)?;
    let killed = seat.kill_at(number, When::After, "up -s 2")?;
    ensure!(
        matches!(&killed, Killed::At(call) if call.action == "RunInstances"),
        "call {number} is no launch"
    );
    expect(&seat.run("down")?, 0, &["2 hosts ended"])?;
    cloud.expect_nothing_left()?;
    nothing_noted(&seat)?;
    // or goes on: they are taken in, and no others are launched
    cloud.reset()?;
    cloud.moto.invisible(3)?;
    ensure!(
        matches!(seat.kill_at(number, When::After, "up -s 2")?, Killed::At(_)),
        "it was not killed"
    );
    expect(&seat.run("up -s 2")?, 0, &["ready (2 of 2)"])?;
    ensure!(cloud.moto.alive()?.len() == 2, "hosts were launched twice");
    expect(&seat.run("down")?, 0, &["2 hosts ended"])?;
    cloud.expect_nothing_left()
}

/// The number of the launch among the calls of a first `up`.
fn launch_number(cloud: &Cloud<'_>) -> Result<usize> {
    let seat = cloud.seat("scout")?;
    cloud.proxy.reset();
    expect(&seat.run("up -s 1 --no-wait")?, 0, &[])?;
    let launch = cloud
        .proxy
        .calls()
        .into_iter()
        .find(|call| call.action == "RunInstances");
    expect(&seat.run("down")?, 0, &[])?;
    cloud.proxy.reset();
    Ok(launch.ok_or("no launch")?.number)
}

/// Credentials of another account say nothing of a fleet, and change nothing of what is noted of it.
fn another_account(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let seat = cloud.seat("first")?;
    expect(&seat.run("up -s 1")?, 0, &[])?;
    let ledger = seat.home.join(".local/state/swarm/fleets/default/ledger.json");
    let text = std::fs::read_to_string(&ledger)?;
    std::fs::write(&ledger, text.replace("123456789012", "210987654321"))?;
    let says = "in the AWS account 210987654321, and these credentials are of 123456789012";
    let target = url("http", STICKY, "/");
    // (in this lab both accounts have the same instances, so that `down` comes last: it ends what its tags say is ours)
    for (line, code) in [
        ("status", 0),
        ("up -s 2", 2),
        ("extend --ttl 3h", 2),
        (&format!("attack {target} -n 4 -c 1"), 2),
        ("down", 5),
    ] {
        expect(&seat.run(line)?, code, &[says]).map_err(|error| format!("{line}: {error}"))?;
    }
    ensure!(
        ledger.exists() && ledger.with_file_name("login_key").exists(),
        "the other account's ledger is gone"
    );
    std::fs::write(&ledger, text)?;
    expect(&seat.run("down")?, 0, &[])?;
    nothing_noted(&seat)?;
    cloud.expect_nothing_left()
}
