//! Owns: the start as it is seen from outside, against what the report claims and how far it says to trust it.
//! The hosts' monotonic clocks are days apart; their SSH paths are unequal; all packets are stamped by one clock.

use crate::capture::{self, Capture};
use crate::lab::Lab;
use crate::proxy::{STICKY, url};
use crate::relay::Delay;
use crate::ssh::{ASYMMETRIC, SLOW};
use crate::swarm::Attack;
use crate::{Result, ensure};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

pub const CASES: &[super::Case] = &[
    ("clocks::equal_paths_start_together", |lab| {
        start(lab, &lab.configs.plain, [Delay::same(0); 4])
    }),
    ("clocks::unequal_paths_start_together", |lab| {
        start(lab, &lab.configs.slow, SLOW)
    }),
    ("clocks::an_asymmetric_path_lies_within_its_bound", |lab| {
        start(lab, &lab.configs.asymmetric, ASYMMETRIC)
    }),
];

/// A fifth of what parallel ssh with open masters reaches by hand on the unequal paths (455 ms).
const SKEW_LIMIT_MS: f64 = 91.0;
/// From the agent's own stamp to the packet on the bridge, on two busy cores.
const STAMP_SLACK_US: f64 = 10_000.0;

fn start(lab: &Lab, config: &Path, delays: [Delay; 4]) -> Result {
    // The agents are there already: an upload behind a delayed path is no part of this.
    super::small(lab).run()?.expect_code(0)?;
    let capture = Capture::start(lab, STICKY)?;
    // tcpdump stamps with the same clock
    let command = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let outcome = Attack::new(lab, &url("http", STICKY, "/"))
        .config(config)
        .with("-c 4 -z 2s")
        .run()?;
    let first = capture.first_syns()?;
    outcome.expect_code(0)?;
    ensure!(
        first.len() == 4,
        "{}",
        outcome.wrong(&format!("SYNs came from {first:?}"))
    );

    let skew_ms = capture::spread_ms(&first);
    let earliest = first.values().copied().fold(f64::MAX, f64::min);
    println!("  first hit {:.0} ms after the command", (earliest - command) * 1e3);
    println!(
        "  start skew seen from outside: {skew_ms:.1} ms, reported {} us",
        outcome.number("/sync/start_skew_us")?
    );
    ensure!(
        skew_ms < SKEW_LIMIT_MS,
        "{}",
        outcome.wrong(&format!("the start was {skew_ms:.1} ms apart"))
    );

    // When each host's instant truly was: its SYN, less how late it says it was itself.
    let mut instants = Vec::new();
    for (host, delay) in lab.hosts.iter().zip(delays) {
        let row = outcome.row("/hosts", "name", &host.name)?;
        let error = row["clock_error_us"]
            .as_f64()
            .ok_or_else(|| outcome.wrong("no clock_error_us"))?;
        let offset = row["start_offset_us"]
            .as_f64()
            .ok_or_else(|| outcome.wrong("no start_offset_us"))?;
        let limit = delay.round_trip_ms() as f64 * 1000.0 / 2.0 + 1000.0;
        ensure!(
            error > 0.0 && error <= limit,
            "{}",
            outcome.wrong(&format!("{}: bound {error} us, limit {limit}", host.name))
        );
        instants.push((&host.name, first[&host.address] * 1e6 - offset, error));
    }
    for (i, (a, at_a, error_a)) in instants.iter().enumerate() {
        for (b, at_b, error_b) in &instants[i + 1..] {
            let (apart, bound) = ((at_a - at_b).abs(), error_a + error_b + STAMP_SLACK_US);
            ensure!(
                apart <= bound,
                "{}",
                outcome.wrong(&format!("{a} and {b}: truly {apart:.0} us apart, bound {bound:.0}"))
            );
        }
    }
    let worst = instants.iter().map(|(_, _, error)| *error).fold(0.0, f64::max);
    let whole = outcome.number("/sync/clock_error_us")?;
    ensure!(
        (whole - worst).abs() <= 1.0,
        "{}",
        outcome.wrong(&format!("the whole's bound is {whole}, the worst {worst}"))
    );
    let claimed = outcome.number("/sync/start_skew_us")? + outcome.number("/sync/start_skew_bound_us")?;
    ensure!(
        skew_ms * 1e3 <= claimed + STAMP_SLACK_US,
        "{}",
        outcome.wrong(&format!("claimed {claimed} us at most"))
    );

    let lopsided = delays[3].up_ms.abs_diff(delays[3].down_ms) as f64 * 1000.0 / 2.0;
    if lopsided > 0.0 {
        // Half the difference can't be known to anyone; if it isn't seen, this case tested nothing.
        let apart = (instants[3].1 - instants[0].1).abs();
        ensure!(
            apart > lopsided / 2.0,
            "{}",
            outcome.wrong(&format!("the lopsided path showed as {apart:.0} us only"))
        );
    }
    Ok(())
}
