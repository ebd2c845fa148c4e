//! Owns: the story that docs/diagnose.md tells: Socket.IO behind a source hash, load-tested from one machine, looked into with
//! `check`, `spread` and `attack`. What the page shows is printed by this case. Must not: prove single rules (`foretold`,
//! `predicted`, `check`).

use crate::lab::Lab;
use crate::proxy::{STICKY, url};
use crate::swarm::{Attack, Outcome, ran, shown};
use crate::{Result, ensure};

pub const CASES: &[super::Case] = &[("diagnose::socketio_behind_a_source_hash", story)];

const CLIENTS: u64 = 120;

fn attack(lab: &Lab, hosts: &str, words: &str) -> Result<Outcome> {
    let outcome = Attack::new(lab, &url("http", STICKY, ""))
        .hosts(hosts)
        .with("--socketio --transport polling --emit echo,1 --ack --hold 2s --no-live")
        .with(&format!("-c {CLIENTS} --connect-rate {CLIENTS}"))
        .with(words)
        .run()?;
    outcome.expect_code(0)?;
    lab.servers.wait_all_closed()?;
    Ok(outcome)
}

/// Other commands, which are to end well and to say these.
fn says(lab: &Lab, words: &[&str], wanted: &[&str]) -> Result {
    let finished = ran(lab, words)?;
    shown(&format!("swarm {}", words.join(" ")), &finished)?;
    let text = format!("{}{}", finished.stdout, finished.stderr);
    ensure!(finished.status.success(), "swarm {words:?}: {text}");
    for phrase in wanted {
        ensure!(text.contains(phrase), "swarm {words:?} does not say {phrase}: {text}");
    }
    Ok(())
}

fn story(lab: &Lab) -> Result {
    let target = url("http", STICKY, "");
    let config = lab.configs.plain.display().to_string();
    // the load test that proves nothing about two of the three servers
    let one = attack(lab, "h1", "")?;
    one.expect_said(&["the one source address reached one backend"])?;
    // what the balancer does, seen from three addresses
    says(
        lab,
        &["check", &target, "--socketio", "--hosts", "h1,h2,h3", "-F", &config],
        &["sticky_by_source", "0 fail, 0 warn"],
    )?;
    // two hosts are not enough, and these two least of all
    let pool = ["spread", "--balancer", "haproxy-source", "--backends", "3", "--hosts"];
    says(
        lab,
        &[&pool[..], &["root@10.77.0.1,root@10.77.0.4"]].concat(),
        &["1 of 3 backends is reached", "s1 gets nothing", "s3 gets nothing"],
    )?;
    says(
        lab,
        &[&pool[..], &["root@10.77.0.1,root@10.77.0.2,root@10.77.0.3"]].concat(),
        &["3 of 3 backends are reached"],
    )?;
    // and so it is
    lab.servers.reset()?;
    let stats = url("http", STICKY, "/haproxy?stats");
    let all = attack(
        lab,
        "h1,h2,h3",
        &format!("--balancer haproxy-source --backends 3 --lb-stats {stats} --lb-stats-auth swarm:lab"),
    )?;
    all.expect_said(&["3 sources reached 3 of 3 backends, as haproxy-source predicts"])?;
    let counted = lab.servers.matrix("clients")?;
    ensure!(
        all.matrix()? == counted,
        "{}",
        all.wrong(&format!("the servers counted {counted:?}"))
    );
    ensure!(
        all.count("/affinity/reached")? == 3 && all.count("/affinity/known")? == 3,
        "{}",
        all.wrong("not three of three")
    );
    Ok(())
}
