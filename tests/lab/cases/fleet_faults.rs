//! Owns: what EC2 refuses, loses or delays, and what users mistype: one message with cause and way out, and nothing
//! forgotten. Must not: know swarm's inside.

use super::fleet::expect;
use crate::cloud::Cloud;
use crate::fault::Fault;
use crate::lab::Lab;
use crate::proxy::{STICKY, url};
use crate::{Result, ensure};
use std::collections::BTreeSet;
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    ("fleet_faults::throttling_is_waited_out", throttled),
    ("fleet_faults::a_full_zone_leads_to_the_next", full_zone),
    ("fleet_faults::a_launch_whose_answer_is_lost_is_made_once", lost_answer),
    ("fleet_faults::a_host_that_never_gets_ready_is_ended", never_ready),
    ("fleet_faults::a_quota_that_is_too_low", quota),
    ("fleet_faults::credentials_that_fail", credentials),
    ("fleet_faults::bad_input_makes_nothing", bad_input),
    ("fleet_faults::late_news_of_a_launch", late_news),
    ("fleet_faults::a_host_without_a_timer_is_not_kept", no_timer),
    ("fleet_faults::profiles_and_programs_give_credentials", profiles),
];

fn throttled(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    for action in ["DescribeInstances", "CreateSecurityGroup", "RunInstances"] {
        cloud.proxy.fault(Fault::throttled().of(action).times(2));
    }
    expect(&cloud.swarm("up -s 1 --no-wait")?, 0, &["1 x t2.micro launched"])?;
    ensure!(cloud.moto.alive()?.len() == 1, "throttling made more than one host");
    cloud.proxy.fault(Fault::throttled().of("TerminateInstances").times(2));
    expect(&cloud.swarm("down")?, 0, &["1 host ended"])?;
    cloud.expect_nothing_left()
}

fn full_zone(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    cloud.moto.capacity(&[("us-east-1a", 0), ("us-east-1b", 1)])?;
    expect(
        &cloud.swarm("up -s 3 --no-wait")?,
        0,
        &["us-east-1a", "no room", "fleet default: 3 hosts"],
    )?;
    let zones =
        || -> Result<BTreeSet<String>> { Ok(cloud.moto.alive()?.into_iter().map(|instance| instance.zone).collect()) };
    ensure!(
        zones()? == BTreeSet::from(["us-east-1c".to_owned()]),
        "hosts are in {:?}",
        zones()?
    );
    expect(&cloud.swarm("down")?, 0, &[])?;
    cloud.expect_nothing_left()?;
    // no zone has room for all, and together they have
    let two: Vec<(String, u32)> = ('a'..='f').map(|zone| (format!("us-east-1{zone}"), 1)).collect();
    let two: Vec<(&str, u32)> = two.iter().map(|(zone, room)| (zone.as_str(), *room)).collect();
    cloud.moto.capacity(&two)?;
    expect(
        &cloud.swarm("up -s 3 --no-wait")?,
        0,
        &["not 3 at once", "fleet default: 3 hosts"],
    )?;
    ensure!(zones()?.len() == 3, "hosts are in {:?}", zones()?);
    expect(&cloud.swarm("down")?, 0, &[])?;
    cloud.expect_nothing_left()?;
    // no zone has room for all: what was launched goes again, or stays when that is enough
    cloud.moto.reset()?;
    let full: Vec<(String, u32)> = ('a'..='f')
        .map(|zone| (format!("us-east-1{zone}"), u32::from(zone == 'c')))
        .collect();
    let full: Vec<(&str, u32)> = full.iter().map(|(zone, room)| (zone.as_str(), *room)).collect();
    cloud.moto.capacity(&full)?;
    expect(
        &cloud.swarm("up -s 3")?,
        1,
        &["1 of 3 hosts could be launched", "nothing of this command is left"],
    )?;
    cloud.expect_nothing_left()?;
    cloud.moto.capacity(&full)?;
    expect(&cloud.swarm("up -s 3 --min-hosts 1")?, 3, &["fleet default: 1 host"])?;
    expect(&cloud.swarm("down")?, 0, &[])?;
    cloud.expect_nothing_left()
}

fn lost_answer(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    cloud.proxy.fault(Fault::answer_lost().of("RunInstances").times(1));
    expect(&cloud.swarm("up -s 2")?, 0, &["fleet default: 2 hosts"])?;
    ensure!(cloud.moto.alive()?.len() == 2, "the launch was made twice");
    expect(&cloud.swarm("down")?, 0, &["2 hosts ended"])?;
    cloud.expect_nothing_left()?;
    // every answer is lost: what was launched all the same is found and taken back
    cloud.proxy.reset();
    cloud.proxy.fault(Fault::answer_lost().of("RunInstances"));
    expect(
        &cloud.swarm("up -s 2")?,
        1,
        &["no answer from AWS", "nothing of this command is left"],
    )?;
    cloud.expect_nothing_left()
}

fn never_ready(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    cloud.machines.never_boot(1);
    let up = cloud.swarm("up -s 2 --ready-timeout 12s")?;
    expect(
        &up,
        1,
        &["not ready", "1 of 2 hosts are ready", "nothing of this command is left"],
    )?;
    cloud.expect_nothing_left()?;
    // with fewer being enough, the others stay
    cloud.machines.never_boot(1);
    let up = cloud.swarm("up -s 2 --min-hosts 1 --ready-timeout 12s")?;
    expect(&up, 3, &["terminating what is not ready", "fleet default: 1 host"])?;
    ensure!(cloud.moto.alive()?.len() == 1, "the host that is not ready lives");
    expect(&cloud.swarm("down")?, 0, &[])?;
    cloud.expect_nothing_left()
}

fn quota(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    cloud.proxy.fault(Fault::quota_too_low().of("RunInstances"));
    expect(
        &cloud.swarm("up -s 8")?,
        1,
        &["VcpuLimitExceeded", "Service Quotas", "nothing of this command is left"],
    )?;
    cloud.expect_nothing_left()?;
    // five Elastic IPs a region: counted before anything is made
    expect(
        &cloud.swarm("up -s 6 --source-eips 1")?,
        2,
        &["6 Elastic IPs more are wanted, 0 of 5 are in use"],
    )?;
    expect(
        &cloud.swarm("up -s 1 --source-eips 2")?,
        2,
        &["a t2.micro holds 2 addresses"],
    )?;
    cloud.expect_nothing_left()
}

fn credentials(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let nobody = cloud
        .seat("nobody")?
        .env("AWS_ACCESS_KEY_ID", "")
        .env("AWS_SECRET_ACCESS_KEY", "");
    expect(&nobody.run("up -s 1")?, 2, &["no AWS credentials", "aws sso login"])?;
    let stranger = cloud.seat("stranger")?;
    expect(&stranger.run("up -s 1 --profile nowhere")?, 2, &["nowhere"])?;
    cloud.proxy.fault(Fault::bad_credentials());
    expect(&cloud.swarm("up -s 1")?, 1, &["AuthFailure", "not accepted"])?;
    cloud.proxy.reset();
    cloud.proxy.fault(Fault::not_authorized().of("RunInstances"));
    expect(
        &cloud.swarm("up -s 1")?,
        1,
        &[
            "UnauthorizedOperation",
            "docs/aws.md",
            "nothing of this command is left",
        ],
    )?;
    cloud.expect_nothing_left()?;
    // they expire in the middle: what was made is named, stays in the ledger, and goes with the next down
    cloud.proxy.reset();
    cloud.proxy.fault(Fault::expired().starting_at(13));
    let up = cloud.swarm("up -s 1")?;
    expect(&up, 5, &["expired", "swarm down"])?;
    cloud.proxy.reset();
    expect(&cloud.swarm("down")?, 0, &["nothing tagged is left"])?;
    cloud.expect_nothing_left()
}

fn bad_input(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let arm = crate::boto::script(&cloud, "print(image('arm64'))")?;
    cloud.moto.no_default_vpc(&["eu-central-1"])?;
    for (line, code, says) in [
        ("up", 2, "swarm up -s 8"),
        ("up -s 1 --region atlantis-1", 2, "atlantis-1"),
        (
            "up -s 1 --region us-east-1 --region eu-atlantis-9",
            2,
            "knows no such region",
        ),
        ("up -s 1 --region eu-central-1", 2, "create-default-vpc"),
        ("up -s 1 --type t9.huge", 2, "--type t9.huge"),
        ("up -s 1 --image ami-00000000000000000", 2, "--image"),
        ("up -s 1 --zone us-east-1z", 2, "us-east-1a, us-east-1b"),
        ("up -s 1 --subnet subnet-00000000", 2, "--subnet"),
        ("up -s 1 --type t4g.micro", 2, "--agent-binary aarch64=FILE"),
        ("up -s 1 --ttl 0s", 2, "--ttl"),
        ("down --fleet ../x", 2, "--fleet"),
        ("extend --ttl 1h", 2, "not known here"),
        ("extend --ttl 1h --fleet other", 2, "fleet other is not known here"),
        (&format!("up -s 1 --image {arm}"), 2, "is for arm64"),
    ] {
        let said = cloud.swarm(line)?;
        expect(&said, code, &[says]).map_err(|error| format!("{line}: {error}"))?;
        ensure!(
            said.stderr.trim().lines().count() == 1,
            "{line}: more than one line: {}",
            said.stderr
        );
    }
    let made: Vec<String> = cloud
        .proxy
        .calls()
        .into_iter()
        .map(|call| call.action)
        .filter(|action| !action.starts_with("Describe") && !action.starts_with("Get"))
        .collect();
    ensure!(made.is_empty(), "bad input led to {made:?}");
    cloud.expect_nothing_left()
}

/// EC2 lists a new instance a little late: it is neither launched twice nor forgotten.
fn late_news(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    cloud.moto.invisible(3)?;
    expect(&cloud.swarm("up -s 2")?, 0, &["fleet default: 2 hosts"])?;
    ensure!(cloud.moto.alive()?.len() == 2, "not 2 hosts");
    expect(&cloud.swarm("down")?, 0, &[])?;
    cloud.expect_nothing_left()
}

/// Its watcher was ended before `up` came to look: it would cost for ever, so it is terminated, whoever launched it.
fn no_timer(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    expect(&cloud.swarm("up -s 1 --no-wait")?, 0, &[])?;
    expect(&cloud.swarm("status")?, 0, &["not ready"])?;
    cloud.machines.wait_ready(1, Duration::from_secs(20))?;
    let id = cloud.moto.alive()?[0].id.clone();
    let machine = cloud.machines.of(&id)?;
    machine.inside("kill -9 $(cat /var/lib/swarm/pid)")?;
    // its boot is over, as cloud-init says on a real host: no timer will come any more
    machine.inside("mkdir -p /run/cloud-init && echo '{}' >/run/cloud-init/result.json")?;
    let up = cloud.swarm("up -s 1")?;
    expect(
        &up,
        1,
        &["its timer is not to be relied on", "terminating what is not ready", &id],
    )?;
    ensure!(cloud.moto.alive()?.is_empty(), "a host without a timer was kept");
    expect(&cloud.swarm("down")?, 0, &["nothing tagged is left"])?;
    cloud.expect_nothing_left()
}

/// The usual ways beside the environment: a profile with keys, and one whose program prints them.
fn profiles(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let seat = cloud
        .seat("profiled")?
        .env("AWS_ACCESS_KEY_ID", "")
        .env("AWS_SECRET_ACCESS_KEY", "")
        .env("AWS_DEFAULT_REGION", "");
    let folder = seat.home.join(".aws");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(
        folder.join("config"),
        "[profile keys]\nregion = eu-west-1\n[profile program]\nregion = us-west-2\n\
         credential_process = printf '{\"Version\":1,\"AccessKeyId\":\"testing\",\"SecretAccessKey\":\"testing\"}'\n",
    )?;
    std::fs::write(
        folder.join("credentials"),
        "[keys]\naws_access_key_id = testing\naws_secret_access_key = testing\n",
    )?;
    expect(
        &seat.run("up -s 1 --dry-run --profile keys")?,
        0,
        &["eu-west-1: launch 1"],
    )?;
    expect(
        &seat.run("up -s 1 --dry-run --profile program")?,
        0,
        &["us-west-2: launch 1"],
    )?;
    // the profile is remembered: later commands find the fleet without it
    expect(&seat.run("up -s 1 --profile keys")?, 0, &["fleet default: 1 host"])?;
    let target = url("http", STICKY, "/");
    expect(
        &seat.run(&format!("attack {target} -n 4 -c 1"))?,
        0,
        &["1 host, 1 address, eu-west-1"],
    )?;
    expect(&seat.run("down")?, 0, &["1 host ended"])?;
    cloud.expect_nothing_left()
}
