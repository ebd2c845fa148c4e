//! Owns: `swarm up --cover`: hosts are started until their public addresses reach every backend, and no more than that. Must
//! not: know swarm's inside.

use super::fleet::expect;
use crate::cloud::Cloud;
use crate::lab::Lab;
use crate::{Result, ensure};
use std::collections::BTreeSet;

pub const CASES: &[super::Case] = &[("fleet_cover::up_starts_hosts_until_two_backends_are_reached", cover)];

fn cover(lab: &Lab) -> Result {
    let cloud = Cloud::start(lab)?;
    let words = "up --cover 2 --balancer haproxy-source --max-hosts 5";
    expect(
        &cloud.swarm(&format!("{words} --dry-run"))?,
        0,
        &["launch 2 x t2.micro"],
    )?;
    ensure!(cloud.moto.alive()?.is_empty(), "a dry run launched something");
    expect(
        &cloud.swarm("up --cover 2 --max-hosts 5")?,
        2,
        &["add --balancer haproxy-source"],
    )?;
    let up = cloud.swarm(words)?;
    let alive = cloud.moto.alive()?;
    // `balance source` over two servers goes by the last bit; the addresses are moto's choice
    let reached: BTreeSet<u32> = alive
        .iter()
        .filter_map(|instance| Some(u32::from(instance.public?) % 2))
        .collect();
    match reached.len() {
        2 => expect(&up, 0, &["starting 2 more (at most 5 in all)", "reach 2 of them"])?,
        // one chance in sixteen
        _ => {
            expect(
                &up,
                4,
                &["5 hosts (--max-hosts 5) do not reach every backend", "they are kept"],
            )?;
            ensure!(alive.len() == 5, "{} hosts, not 5", alive.len());
        }
    }
    let said = format!("{}{}", up.stdout, up.stderr);
    let bits: Vec<u32> = alive
        .iter()
        .filter_map(|instance| Some(u32::from(instance.public?) % 2))
        .collect();
    ensure!(
        alive.len() == 2 || said.matches("starting ").count() > 1,
        "{} hosts in one round: {bits:?}\n{said}",
        alive.len()
    );
    if reached.len() == 2 {
        // a second one finds that it is enough
        expect(&cloud.swarm(words)?, 0, &["nothing to launch", "reach 2 of them"])?;
        ensure!(cloud.moto.alive()?.len() == alive.len(), "more hosts than are wanted");
        let spread = cloud.swarm("spread --balancer haproxy-source --backends 2 --fleet default")?;
        expect(&spread, 0, &["2 of 2 backends are reached"])?;
    }
    expect(&cloud.swarm("down")?, 0, &[])?;
    cloud.expect_nothing_left()
}
