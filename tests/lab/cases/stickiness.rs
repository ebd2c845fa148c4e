//! Owns: what the report says where stickiness is broken, and where it is the cookie's.

use crate::lab::Lab;
use crate::proxy::{COOKIE, ROUND_ROBIN, url};
use crate::swarm::{Attack, Outcome};
use crate::{Result, ensure};
use std::time::Duration;

pub const CASES: &[super::Case] = &[
    (
        "stickiness::polling_behind_round_robin_never_gets_through",
        one_after_another,
    ),
    ("stickiness::polling_behind_round_robin_is_named_in_a_crowd_too", crowd),
    ("stickiness::websocket_behind_round_robin_works", websocket),
    ("stickiness::a_kept_cookie_makes_polling_work", kept_cookie),
    ("stickiness::a_dropped_cookie_breaks_it", dropped_cookie),
];

fn attack(lab: &Lab, port: u16, words: &str) -> Result<Outcome> {
    let outcome = Attack::new(lab, &url("http", port, ""))
        .with("--socketio")
        .with(words)
        .limit(Duration::from_secs(40))
        .run()?;
    lab.servers.wait_all_closed()?;
    Ok(outcome)
}

/// The cause in words a user can act on.
fn names_the_cause(outcome: &Outcome, at_least: u64) -> Result {
    let unknown = outcome.errors("session_id_unknown")?;
    ensure!(
        unknown >= at_least,
        "{}",
        outcome.wrong(&format!("{unknown} errors of session_id_unknown"))
    );
    outcome.expect_said(&["session_id_unknown", "stick", "cookie"])
}

/// One client at a time: each of its requests goes to the next server, so none can get through.
fn one_after_another(lab: &Lab) -> Result {
    let words = "--transport polling -c 3 --connect-rate 1 --hold 1s";
    let outcome = Attack::new(lab, &url("http", ROUND_ROBIN, ""))
        .hosts("h1")
        .with("--socketio")
        .with(words)
        .run()?;
    outcome.expect_code(4)?;
    names_the_cause(&outcome, 3)?;
    ensure!(
        outcome.count("/totals/connections/opened")? == 0,
        "{}",
        outcome.wrong("a client got through")
    );
    ensure!(
        outcome.count("/totals/connections/failed")? == 3,
        "{}",
        outcome.wrong("not three failed")
    );
    ensure!(
        outcome.word("/run/status")? == "failed",
        "{}",
        outcome.wrong("not failed")
    );
    ensure!(
        lab.servers.socketio_total("/refused")? >= 3,
        "the servers refused nobody: no test of anything"
    );
    Ok(())
}

/// Many at once: some get through by luck and are thrown out at a later poll.
fn crowd(lab: &Lab) -> Result {
    let outcome = attack(
        lab,
        ROUND_ROBIN,
        "--transport polling -c 60 --connect-rate 60 --hold 3s",
    )?;
    names_the_cause(&outcome, 20)?;
    let count = |what: &str| outcome.count(&format!("/totals/connections/{what}"));
    let (attempted, opened, failed) = (count("attempted")?, count("opened")?, count("failed")?);
    ensure!(
        attempted == 60 && attempted == opened + failed,
        "{}",
        outcome.wrong("attempted is not opened and failed")
    );
    let counted = lab.servers.socketio_total("/clients")?;
    ensure!(
        opened <= counted,
        "{}",
        outcome.wrong(&format!("{opened} opened, the servers knew {counted}"))
    );
    ensure!(matches!(outcome.code(), Some(0 | 4)), "{}", outcome.wrong("an odd end"));
    ensure!(
        (opened == 0) == (outcome.word("/run/status")? == "failed"),
        "{}",
        outcome.wrong("failed means that none was ok")
    );
    Ok(())
}

fn websocket(lab: &Lab) -> Result {
    let outcome = attack(
        lab,
        ROUND_ROBIN,
        "--transport websocket -c 40 --connect-rate 40 --hold 2s",
    )?;
    all_forty(lab, &outcome)
}

fn all_forty(lab: &Lab, outcome: &Outcome) -> Result {
    outcome.expect_code(0)?;
    ensure!(
        outcome.count("/totals/connections/opened")? == 40,
        "{}",
        outcome.wrong("not 40 opened")
    );
    ensure!(
        outcome.count("/totals/connections/dropped")? == 0,
        "{}",
        outcome.wrong("some dropped")
    );
    let counted = lab.servers.socketio_total("/clients")?;
    ensure!(
        counted == 40,
        "{}",
        outcome.wrong(&format!("the servers counted {counted}"))
    );
    // Round robin: one source reaches more than one server.
    let matrix = lab.servers.matrix("clients")?;
    ensure!(
        matrix.len() == 4 && matrix.values().all(|row| row.len() > 1),
        "it was not round robin: {matrix:?}"
    );
    ensure!(
        outcome.matrix()? == matrix,
        "{}",
        outcome.wrong(&format!("the servers counted {matrix:?}"))
    );
    Ok(())
}

/// Sticky clients keep their cookies unless told otherwise.
fn kept_cookie(lab: &Lab) -> Result {
    for words in ["--cookies keep", ""] {
        let outcome = attack(
            lab,
            COOKIE,
            &format!("--transport polling -c 40 --connect-rate 40 --hold 3s {words}"),
        )?;
        all_forty(lab, &outcome)?;
        lab.servers.reset()?;
    }
    Ok(())
}

fn dropped_cookie(lab: &Lab) -> Result {
    let outcome = attack(
        lab,
        COOKIE,
        "--transport polling -c 40 --connect-rate 40 --hold 3s --cookies drop",
    )?;
    names_the_cause(&outcome, 10)
}
