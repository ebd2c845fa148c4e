//! Owns: fleets that are large, spread or rich in addresses, and the calls that all of it makes, against the policy of
//! docs/aws.md. Must not: know swarm's inside.

use super::fleet::expect;
use crate::cloud::Cloud;
use crate::lab::Lab;
use crate::proxy::{STICKY, url};
use crate::{Result, ensure};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    ("fleet_many::fifty_hosts_in_one_command", fifty),
    ("fleet_many::sources_beside_the_first", sources),
    ("fleet_many::the_policy_is_what_is_called", policy),
    ("fleet_many::where_there_is_no_t2_micro", no_t2),
    ("fleet_many::the_disks_of_an_image_go_with_its_host", disks),
];

/// Fifty hosts, each settled and heard; and the calls do not grow with them.
fn fifty(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let seat = cloud.seat("first")?;
    expect(&seat.run("up -s 1 --no-wait")?, 0, &[])?;
    let one = cloud.proxy.calls().len();
    expect(&seat.run("down")?, 0, &[])?;
    cloud.proxy.reset();
    expect(&seat.run("up -s 50 --no-wait")?, 0, &["fleet default: 50 hosts"])?;
    let calls = cloud.proxy.calls().len();
    eprintln!(
        "swarm up -s 50 --no-wait made {calls} AWS calls, -s 1 made {one}: {:?}",
        cloud.proxy.counts()
    );
    ensure!(calls == one, "{calls} calls for 50 hosts, {one} for one");
    let launches = cloud.proxy.count("RunInstances");
    ensure!(launches == 1, "{launches} launches");
    let up = seat.run_within("up -s 50", Duration::from_secs(300))?;
    expect(&up, 0, &["ready (50 of 50)"])?;
    let all = cloud.proxy.calls().len();
    eprintln!("with waiting until all are ready: {all} calls, the waiting ones of them by time and not by host");
    ensure!(cloud.proxy.count("RunInstances") == 1, "they were launched twice");
    let known = std::fs::read_to_string(seat.home.join(".local/state/swarm/fleets/default/known_hosts"))?;
    let keys: BTreeSet<&str> = known.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    ensure!(keys.len() == 50, "{} keys for 50 hosts", keys.len());
    let attack = seat.run(&format!("attack {} -n 500 -c 50", url("http", STICKY, "/")))?;
    expect(&attack, 0, &["fleet default, 50 hosts, 50 addresses", "complete"])?;
    ensure!(lab.servers.matrix("http")?.len() == 50, "not 50 sources were seen");
    expect(&seat.run("down")?, 0, &["50 hosts ended"])?;
    cloud.expect_nothing_left()
}

/// A secondary private address, and an Elastic IP on one.
fn sources(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let up = cloud.swarm("up -s 1 --source-ips-per-host 4")?;
    expect(
        &up,
        0,
        &["a t2.micro holds 2 addresses on its interface: --source-ips-per-host 4 becomes 2"],
    )?;
    let instance = cloud.moto.alive()?.remove(0);
    ensure!(instance.private.len() == 2, "private addresses: {:?}", instance.private);
    let machine = cloud.machines.of(&instance.id)?;
    let addresses = machine.inside("ip -4 addr show eth0")?;
    let second = instance.private[1].to_string();
    ensure!(addresses.contains(&second), "{second} is not on the host: {addresses}");
    // both are sources of the attack, and neither is the address that the controller sees
    let attack = cloud.swarm(&format!("attack {} -n 20 -c 4", url("http", STICKY, "/")))?;
    expect(
        &attack,
        0,
        &["1 host, 2 addresses", &instance.private[0].to_string(), &second],
    )?;
    let seen = lab.servers.matrix("http")?;
    ensure!(
        seen.contains_key(&second) && seen.len() == 2,
        "requests came from {:?}",
        seen.keys()
    );
    expect(&cloud.swarm("down")?, 0, &[])?;
    cloud.expect_nothing_left()?;

    let up = cloud.swarm("up -s 2 --source-eips 1")?;
    expect(
        &up,
        0,
        &[
            "2 Elastic IPs more; 0 of 5 in use",
            "2 Elastic IPs taken",
            "fleet default: 2 hosts",
        ],
    )?;
    let state = cloud.moto.state()?;
    ensure!(state.addresses.len() == 2, "{} Elastic IPs", state.addresses.len());
    for instance in cloud.moto.alive()? {
        ensure!(
            instance.elastic.contains_key(&instance.private[1]),
            "{} has {:?} on {:?}",
            instance.id,
            instance.elastic,
            instance.private
        );
    }
    // adding a host adds its address, and no second one to the others
    expect(
        &cloud.swarm("up -s 3 --source-eips 1")?,
        0,
        &["1 Elastic IPs more; 2 of 5 in use"],
    )?;
    ensure!(cloud.moto.state()?.addresses.len() == 3, "not 3 Elastic IPs");
    expect(
        &cloud.swarm("down")?,
        0,
        &["Elastic IP 198.19.", "released", "3 hosts ended"],
    )?;
    cloud.expect_nothing_left()
}

/// Everything that swarm asks of EC2, in one life of a fleet, is in the policy, and the policy has nothing else.
fn policy(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let seat = cloud.seat("first")?;
    expect(
        &seat.run("up -s 1 --source-eips 1 --spot --max-price 0.01")?,
        0,
        &["spot"],
    )?;
    ensure!(cloud.moto.alive()?[0].spot, "no spot host was launched");
    // another address for SSH: the old one is no longer let in
    expect(&seat.run("up -s 1 --ssh-from 10.77.0.0/24")?, 0, &[])?;
    let groups = cloud.moto.state()?.groups;
    let rules = format!("{:?}", groups[0].ingress);
    ensure!(
        rules.contains("10.77.0.0/24") && !rules.contains("/32"),
        "the group lets in {rules}"
    );
    expect(&seat.run("status")?, 0, &["USD an hour"])?;
    expect(&seat.run("extend --ttl 3h")?, 0, &[])?;
    expect(&seat.run("down")?, 0, &[])?;
    cloud.expect_nothing_left()?;

    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/aws.md"))?;
    let json = text
        .split_once("```json\n")
        .and_then(|(_, rest)| rest.split_once("```"))
        .ok_or("docs/aws.md has no policy")?
        .0;
    let policy: serde_json::Value = serde_json::from_str(json)?;
    let mut allowed = BTreeSet::new();
    for statement in policy["Statement"].as_array().ok_or("no statements")? {
        match &statement["Action"] {
            serde_json::Value::String(one) => drop(allowed.insert(one.clone())),
            several => allowed.extend(
                several
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|a| a.as_str().map(str::to_owned)),
            ),
        }
    }
    let called: BTreeSet<String> = cloud
        .proxy
        .calls()
        .into_iter()
        .filter(|call| call.service == "ec2")
        .map(|call| format!("ec2:{}", call.action))
        .collect();
    ensure!(
        called == allowed,
        "called and not in the policy: {:?}; in the policy and not called: {:?}",
        called.difference(&allowed).collect::<Vec<_>>(),
        allowed.difference(&called).collect::<Vec<_>>()
    );
    eprintln!("the policy's {} actions are the ones that were called", allowed.len());
    Ok(())
}

fn no_t2(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let up = cloud.swarm("up -s 1 --region eu-north-1 --no-wait")?;
    expect(
        &up,
        0,
        &[
            "eu-north-1 has no t2.micro: taking t3.micro",
            "eu-north-1: 1 x t3.micro launched",
        ],
    )?;
    expect(&cloud.swarm("down")?, 0, &["eu-north-1"])?;
    cloud.expect_nothing_left()
}

/// An image of the user's may say that its disks stay: they would cost for ever.
fn disks(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    // moto's images all say so
    let image = crate::boto::script(&cloud, "print(image('x86_64'))")?;
    cloud.proxy.reset();
    expect(
        &cloud.swarm(&format!("up -s 1 --no-wait --image {image}"))?,
        0,
        &[&image],
    )?;
    let launch = cloud
        .proxy
        .calls()
        .into_iter()
        .find(|call| call.action == "RunInstances");
    let asked = launch.ok_or("no launch")?.parameters;
    ensure!(
        asked
            .get("BlockDeviceMapping.1.Ebs.DeleteOnTermination")
            .is_some_and(|value| value == "true"),
        "its disks were not told to go with the host: {asked:?}"
    );
    expect(&cloud.swarm("down")?, 0, &["1 host ended"])?;
    cloud.expect_nothing_left()
}
