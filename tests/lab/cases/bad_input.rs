//! Owns: command lines and targets that are wrong: one message, no load, the documented exit code.

use super::{nothing_was_sent, small};
use crate::lab::Lab;
use crate::net::BRIDGE_ADDRESS;
use crate::proxy::{STICKY, url};
use crate::swarm::Attack;
use crate::{Result, ensure};
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    ("bad_input::wrong_targets_are_refused", wrong_targets),
    ("bad_input::host_lists_are_checked_before_anything", host_lists),
    ("bad_input::a_good_host_file_works", good_host_file),
    ("bad_input::a_name_that_does_not_resolve_sends_nothing", unresolved),
    ("bad_input::nobody_listening_is_counted_and_fails", nobody_listens),
];

fn wrong_targets(lab: &Lab) -> Result {
    for (target, word) in [
        ("http://", "http://"),
        ("gopher://10.77.0.254/", "gopher"),
        ("not a url", "not a url"),
        ("http://10.77.0.254:99999/", "99999"),
    ] {
        let outcome = Attack::new(lab, target).with("-n 4 -c 4").run()?;
        outcome.expect_refused(2, &[word])?;
        ensure!(
            outcome.finished.took < Duration::from_secs(2),
            "{}",
            outcome.wrong("no network was needed for that")
        );
        ensure!(!outcome.has_report(), "{}", outcome.wrong("a report of nothing"));
    }
    let pasted = format!("http://{BRIDGE_ADDRESS}:{STICKY}/socket.io/?EIO=4&transport=polling");
    Attack::new(lab, &pasted)
        .with("--socketio -c 4")
        .run()?
        .expect_refused(2, &["--socketio", &url("http", STICKY, "")])?;
    nothing_was_sent(lab)
}

fn host_lists(lab: &Lab) -> Result {
    small(lab).hosts("").run()?.expect_refused(2, &["host"])?;
    let file = lab.folder.join("hosts.txt");
    let shown = file.display().to_string();
    for (text, words) in [
        ("h1\n# a comment\nh2\nh1\n", &["hosts.txt", "4", "h1"][..]),
        ("# nobody\n\n", &["hosts.txt"][..]),
        ("h1\nh2 wait=2\n", &["hosts.txt", "2", "wait"][..]),
        // An option must never reach ssh's own command line.
        ("h1\n-oProxyCommand=touch\n", &["hosts.txt", "2", "-oProxyCommand"][..]),
        ("h1 weight=lots\n", &["hosts.txt", "1", "weight"][..]),
    ] {
        std::fs::write(&file, text)?;
        let outcome = small(lab).no_hosts().with("--host-file").word(&shown).run()?;
        outcome.expect_refused(2, words)?;
    }
    let absent = lab.folder.join("nowhere.txt").display().to_string();
    let outcome = small(lab).no_hosts().with("--host-file").word(&absent).run()?;
    outcome.expect_refused(2, &["nowhere.txt"])?;
    nothing_was_sent(lab)
}

fn good_host_file(lab: &Lab) -> Result {
    let file = lab.folder.join("hosts.txt");
    std::fs::write(&file, "# the lab\nh1   # an alias\n\nroot@h2\nh3 weight=2\n")?;
    let outcome = small(lab)
        .no_hosts()
        .with("--host-file")
        .word(&file.display().to_string())
        .run()?;
    outcome.expect_code(0)?;
    let sums: Vec<u64> = lab
        .servers
        .matrix("http")?
        .values()
        .map(|row| row.values().sum())
        .collect();
    ensure!(
        sums == [10, 10, 20],
        "{}",
        outcome.wrong(&format!("weights 1, 1, 2 gave {sums:?}"))
    );
    Ok(())
}

fn unresolved(lab: &Lab) -> Result {
    let outcome = Attack::new(lab, "http://nobody.invalid/")
        .with("-n 4 -c 4 --yes")
        .run()?;
    outcome.expect_refused(6, &["nobody.invalid"])?;
    lab.nothing_left_within(Duration::from_secs(5))
}

fn nobody_listens(lab: &Lab) -> Result {
    let outcome = Attack::new(lab, &format!("http://{BRIDGE_ADDRESS}:17999/"))
        .with("-n 40 -c 4")
        .run()?;
    outcome.expect_code(4)?;
    ensure!(
        outcome.errors("connect_refused")? > 0,
        "{}",
        outcome.wrong("no connect_refused")
    );
    ensure!(
        outcome.word("/run/status")? == "failed",
        "{}",
        outcome.wrong("not failed")
    );
    ensure!(
        outcome.count("/totals/ok")? == 0,
        "{}",
        outcome.wrong("something was ok")
    );
    Ok(())
}
