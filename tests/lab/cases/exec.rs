//! Owns: `swarm exec` over real sshd: one instant, placeholders, files, exit codes, and what is left running when it ends
//! badly. Must not: know how the agent ends processes.

use super::Case;
use crate::host::Host;
use crate::lab::Lab;
use crate::process::{self, Seen};
use crate::swarm::{Attack, Attacking, Outcome};
use crate::{Result, ensure};
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

pub const CASES: &[Case] = &[
    ("exec::words_are_filled_in_and_start_together", words_and_instant),
    ("exec::files_travel_both_ways", files),
    ("exec::a_command_that_fails_and_one_that_is_not_there", fails),
    ("exec::a_host_that_dies_is_lost_and_the_others_go_on", host_dies),
    ("exec::an_interrupt_ends_all_of_it", interrupted),
    ("exec::a_killed_controller_leaves_nothing", controller_killed),
    ("exec::a_killed_agent_leaves_nothing", agent_killed),
    ("exec::a_cut_link_leaves_nothing", link_cut),
];

/// Starts a child in a session of its own whose parent is gone at once; both take no SIGTERM.
const FAMILY: &str = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; exec sleep 297' &); touch up; exec sleep 298";

/// SIGTERM, 2 s, SIGKILL, and what it takes to notice.
const ENDS: Duration = Duration::from_secs(15);

/// Several hosts of the lab share this machine's cores: an agent that gets no CPU cannot start in time.
const TOGETHER_US: u64 = 500_000;

fn stdout<'a>(outcome: &'a Outcome, host: &str) -> Result<&'a str> {
    let row = outcome.row("/hosts", "name", host)?;
    row["stdout"]
        .as_str()
        .ok_or_else(|| outcome.wrong("a host without stdout"))
}

fn words_and_instant(lab: &Lab) -> Result {
    let command = [
        "printf",
        "%s|",
        "{host}",
        "{index}/{hosts}",
        "{next}",
        "{source}",
        "{share:10}",
        "{x} $HOME",
        "",
    ];
    let outcome = Attack::exec(lab, &command).run()?;
    outcome.expect_code(0)?;
    outcome.expect_said(&["Each of 4 hosts runs this; loads add up", "start skew"])?;
    for (index, share) in [3, 3, 2, 2].into_iter().enumerate() {
        let next = index + 1;
        let expected = format!("h{next}|{index}/4|{next}|10.77.0.{next}|{share}|{{x}} $HOME||");
        let got = stdout(&outcome, &format!("h{next}"))?;
        ensure!(
            got == expected,
            "{}",
            outcome.wrong(&format!("h{next} got {got:?}, not {expected:?}"))
        );
        let line = format!("h{next} | {expected}\n");
        ensure!(
            outcome.finished.stdout.contains(&line),
            "{}",
            outcome.wrong(&format!("no line {line:?}"))
        );
    }
    for row in outcome.rows("/hosts")? {
        let offset = row["start_offset_us"]
            .as_i64()
            .ok_or_else(|| outcome.wrong("no start offset"))?;
        ensure!(
            (0..TOGETHER_US.cast_signed()).contains(&offset),
            "{}",
            outcome.wrong("before the instant, or far from it")
        );
    }
    let skew = outcome.count("/sync/start_skew_us")?;
    ensure!(skew < TOGETHER_US, "{}", outcome.wrong("not together"));
    ensure!(
        outcome.word("/run/status")? == "complete",
        "{}",
        outcome.wrong("not complete")
    );
    lab.nothing_left_within(Duration::from_secs(5))
}

fn files(lab: &Lab) -> Result {
    let home = lab.folder.join("home");
    let script = home.join("job.sh");
    std::fs::write(
        &script,
        "#!/bin/sh\npwd\necho \"$1\" >result\ndd if=/dev/zero of=big bs=1k count=3000 2>/dev/null\n",
    )?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    let attack = || {
        Attack::exec(lab, &["./job.sh", "{host}"])
            .with("--upload job.sh --fetch result --fetch big --fetch none --out came --gather")
    };
    let outcome = attack().run()?;
    // one of three files is nowhere
    outcome.expect_code(4)?;
    outcome.expect_said(&["none", "No such file"])?;
    for host in ["h1", "h2", "h3", "h4"] {
        let came = home.join("came").join(host);
        ensure!(
            std::fs::read_to_string(came.join("result"))? == format!("{host}\n"),
            "{}",
            outcome.wrong("a wrong file")
        );
        ensure!(
            came.join("big").metadata()?.len() == 3_072_000,
            "{}",
            outcome.wrong("a file that is not whole")
        );
        let folder = stdout(&outcome, host)?.trim().to_owned();
        let left = lab.host(host)?.path(&folder);
        ensure!(
            folder.starts_with('/') && !left.exists(),
            "{}",
            outcome.wrong("the run's folder is still there")
        );
    }
    let again = attack().run()?;
    again.expect_refused(2, &["came is there already", "--out"])?;
    std::fs::remove_dir_all(home.join("came"))?;
    Ok(())
}

fn fails(lab: &Lab) -> Result {
    let outcome = Attack::exec(lab, &["sh", "-c", "echo oops >&2; exit {index}"]).run()?;
    outcome.expect_code(4)?;
    let codes: Vec<Option<i64>> = outcome
        .rows("/hosts")?
        .iter()
        .map(|row| row["exit_code"].as_i64())
        .collect();
    ensure!(
        codes == [Some(0), Some(1), Some(2), Some(3)],
        "{}",
        outcome.wrong("other exit codes")
    );
    ensure!(
        outcome.finished.stderr.contains("h4 | oops"),
        "{}",
        outcome.wrong("stderr is not stderr")
    );
    let outcome = Attack::exec(lab, &["no-such-program"]).run()?;
    outcome.expect_code(6)?;
    outcome.expect_said(&["no such program"])?;
    let outcome = Attack::exec(lab, &["sleep", "299"]).with("--timeout 1s").run()?;
    outcome.expect_code(4)?;
    outcome.expect_said(&["timeout, signal 15"])?;
    lab.nothing_left_within(Duration::from_secs(5))
}

/// What the command itself runs, on all hosts.
fn family(lab: &Lab) -> Vec<Seen> {
    let mut left = lab.leftovers();
    left.retain(|seen| seen.command.starts_with("sleep 29"));
    left
}

/// The family runs on all four hosts.
fn running(lab: &Lab, attack: Attack<'_>) -> Result<Attacking> {
    let mut running = attack.start()?;
    running.until("two processes on each of four hosts", Duration::from_secs(30), || {
        Ok(family(lab).len() == 8)
    })?;
    Ok(running)
}

fn long(lab: &Lab) -> Attack<'_> {
    Attack::exec(lab, &["sh", "-c", FAMILY])
}

fn host_dies(lab: &Lab) -> Result {
    let run = running(lab, Attack::exec(lab, &["sh", "-c", FAMILY]).with("--timeout 6s"))?;
    lab.host("h3")?.kill_all()?;
    let outcome = run.wait()?;
    outcome.expect_code(3)?;
    for host in ["h1", "h2", "h3", "h4"] {
        let status = &outcome.row("/hosts", "name", host)?["status"];
        let expected = if host == "h3" { "lost" } else { "ended" };
        ensure!(
            status == expected,
            "{}",
            outcome.wrong(&format!("{host} is {status}, not {expected}"))
        );
    }
    ensure!(
        outcome.word("/run/status")? == "partial",
        "{}",
        outcome.wrong("not partial")
    );
    lab.nothing_left_within(ENDS)
}

fn interrupted(lab: &Lab) -> Result {
    let run = running(lab, long(lab))?;
    run.signal(Signal::INT)?;
    let outcome = run.wait()?;
    // it returns when all is over, and not before
    ensure!(
        family(lab).is_empty(),
        "{}",
        outcome.wrong(&format!("still there: {:?}", family(lab)))
    );
    outcome.expect_code(130)?;
    ensure!(
        outcome.word("/run/status")? == "interrupted",
        "{}",
        outcome.wrong("not interrupted")
    );
    for row in outcome.rows("/hosts")? {
        let ended = row["status"] == "ended" && row["cut_short"] == "interrupted" && row["not_ended"] == 0;
        ensure!(ended, "{}", outcome.wrong("a host did not say how it ended"));
    }
    lab.nothing_left_within(Duration::from_secs(5))
}

fn controller_killed(lab: &Lab) -> Result {
    let run = running(lab, long(lab))?;
    run.signal(Signal::KILL)?;
    run.wait()?;
    lab.no_agent_within(ENDS)
}

fn agent_killed(lab: &Lab) -> Result {
    let run = running(lab, long(lab).with("--timeout 60s"))?;
    for seen in lab.leftovers() {
        let is_agent = seen.exe.contains("/agent-") && !seen.command.contains(" --");
        if is_agent {
            process::signal(seen.pid, Signal::KILL)?;
        }
    }
    let outcome = run.wait()?;
    outcome.expect_code(3)?;
    lab.nothing_left_within(ENDS)
}

fn link_cut(lab: &Lab) -> Result {
    let run = running(lab, long(lab).with("--silence 3s --timeout 20s"))?;
    let host = lab.host("h2")?;
    let cut = Cut::of(host)?;
    // nobody can tell it; it must notice by itself
    let runs = || host.processes().iter().any(|seen| seen.command.starts_with("sleep 29"));
    process::wait_until("h2 to end its command", Duration::from_secs(20), || Ok(!runs()))?;
    drop(cut);
    let outcome = run.wait()?;
    outcome.expect_code(3)?;
    lab.no_agent_within(ENDS)
}

/// A host whose cable is out, until this is dropped.
struct Cut<'a>(&'a Host);

impl<'a> Cut<'a> {
    fn of(host: &'a Host) -> Result<Self> {
        host.inside("ip link set eth0 down")?;
        Ok(Self(host))
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.inside("ip link set eth0 up") {
            eprintln!("{} stays cut off: {error}", self.0.name);
        }
    }
}
