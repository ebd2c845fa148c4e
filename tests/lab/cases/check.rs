//! Owns: what `swarm check` says of balancers with a fault built in, of the same ones mended by its own advice, and of healthy
//! ones; and the proof, by the real client, that the faults are faults. Must not: know the faults (`stand/faults`).

use crate::lab::{Lab, with_lab};
use crate::server::{PATIENT, SOCKETIO};
use crate::stand::checked::Checked;
use crate::stand::fault::Fault;
use crate::stand::{ADDRESS, Balancer, NAME, SOURCES, Stand, edited, faults};
use crate::{Result, ensure};
use libtest_mimic::Trial;

/// A set-up in which nothing is wrong.
struct Healthy {
    name: &'static str,
    balancer: Balancer,
    servers: &'static [(&'static str, u16)],
    /// A fault to some, none before these servers.
    edits: &'static [(&'static str, &'static str)],
    from: &'static str,
    words: &'static str,
    /// What stickiness hangs on, where that can be known.
    sticky: &'static str,
    /// Steps of which nothing can be known here, and why. All others pass.
    unknown: &'static [(&'static str, &'static str)],
}

const BROADCAST: &str = "--broadcast broadcast-all,broadcast-all";
const HASHED: Healthy = Healthy {
    name: "haproxy_source",
    balancer: Balancer::Haproxy,
    servers: &SOCKETIO,
    edits: &[],
    from: SOURCES,
    words: BROADCAST,
    sticky: "sticky_by_source",
    unknown: &[],
};

const HEALTHY: [Healthy; 10] = [
    HASHED,
    Healthy {
        name: "haproxy_cookie",
        balancer: Balancer::HaproxyCookie,
        sticky: "sticky_by_cookie",
        ..HASHED
    },
    Healthy {
        name: "haproxy_tls",
        balancer: Balancer::HaproxyTls,
        ..HASHED
    },
    Healthy {
        name: "haproxy_as_alb",
        balancer: Balancer::HaproxyAsAlb,
        sticky: "sticky_by_cookie",
        ..HASHED
    },
    Healthy {
        name: "nginx_ip_hash",
        balancer: Balancer::Nginx,
        ..HASHED
    },
    Healthy {
        // nginx passes Upgrade on with HTTP/1.0 too, and Node takes it
        name: "nginx_http_1_0",
        balancer: Balancer::Nginx,
        edits: &[("proxy_http_version 1.1;", "")],
        ..HASHED
    },
    Healthy {
        name: "nginx_idle",
        balancer: Balancer::Nginx,
        servers: &PATIENT,
        words: "--idle 8s",
        ..HASHED
    },
    Healthy {
        name: "haproxy_idle",
        servers: &PATIENT,
        words: "--idle 8s",
        ..HASHED
    },
    Healthy {
        name: "one_server",
        servers: &[SOCKETIO[0]],
        unknown: &[("polling", "not_known_one_backend"), ("broadcast", "-")],
        sticky: "-",
        ..HASHED
    },
    Healthy {
        name: "one_source",
        from: "127.0.1.1",
        unknown: &[
            ("polling", "not_known_one_backend"),
            ("stickiness", "unknown_no_second_source"),
            ("broadcast", "-"),
        ],
        sticky: "unknown_no_second_source",
        ..HASHED
    },
];

/// Each healthy set-up is checked so often.
const TIMES: u32 = 3;

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for fault in faults::all() {
        trials.push(trial("check_faults", fault.name, move |lab| found(lab, fault)));
        trials.push(trial("check_real", fault.name, move |lab| is_real(lab, fault)));
        if !fault.mend.is_empty() {
            trials.push(trial("check_mended", fault.name, move |lab| mended(lab, fault)));
        }
    }
    for healthy in &HEALTHY {
        for time in 1..=TIMES {
            let name = format!("{}_{time}", healthy.name);
            trials.push(trial("check_healthy", &name, move |lab| no_alarm(lab, healthy)));
        }
    }
    trials
}

fn trial(group: &str, name: &str, case: impl FnOnce(&Lab) -> Result + Send + 'static) -> Trial {
    Trial::test(format!("{group}::{name}"), move || {
        with_lab(case).map_err(|e| e.to_string().into())
    })
}

fn start<'a>(lab: &'a Lab, fault: &Fault, configuration: &str) -> Result<Stand<'a>> {
    lab.servers.others()?;
    Stand::start(lab, fault.balancer, configuration, fault.addresses)
}

/// The fault is found, by its code, in its step, with the exit code; no other step raises an alarm.
fn found(lab: &Lab, fault: &Fault) -> Result {
    let stand = start(lab, fault, &fault.faulty()?)?;
    let checked = stand.check(fault.asked, SOURCES, fault.words)?;
    expect_found(&checked, fault)?;
    checked.expect_exit(fault.exit)
}

fn expect_found(checked: &Checked, fault: &Fault) -> Result {
    let alarms = checked.alarms()?;
    ensure!(
        alarms.contains(&(fault.step, fault.finding, fault.verdict)),
        "{}",
        checked.wrong(&format!(
            "{}: {} is not found in {}",
            fault.what, fault.finding, fault.step
        ))
    );
    if let Some(other) = alarms
        .iter()
        .find(|(step, ..)| *step != fault.step && !fault.also.contains(step))
    {
        return Err(checked.wrong(&format!("another step raises an alarm: {other:?}")));
    }
    Ok(())
}

/// Behind the faulty balancer the real client fails by just these transports; or the cookie does not come back.
fn is_real(lab: &Lab, fault: &Fault) -> Result {
    let stand = start(lab, fault, &fault.faulty()?)?;
    if fault.balancer == Balancer::HaproxyCookie {
        ensure!(!stand.cookie_comes_back()?, "{}: the cookie is kept", fault.name);
    }
    for transport in ["polling", "websocket", "upgrade"] {
        let finished = stand.real_client(fault.asked, transport, fault.stays_ms)?;
        let breaks = fault.breaks.contains(&transport);
        ensure!(
            finished.status.success() != breaks,
            "{}: the real client by {transport}, which {}: {}\n{}{}",
            fault.name,
            if breaks { "must fail" } else { "must get through" },
            finished.status,
            finished.stdout,
            finished.stderr
        );
    }
    if fault.finding == "wrong_version" {
        // a client of version 4 enters a server of version 2 twice and leaves it once: its count never comes to nothing
        lab.servers.end_others();
    }
    Ok(())
}

/// What the advice says, done: the finding goes, no other comes, and the real client gets through.
fn mended(lab: &Lab, fault: &Fault) -> Result {
    let faulty = fault.faulty()?;
    let stand = start(lab, fault, &faulty)?;
    let checked = stand.check(fault.asked, SOURCES, fault.words)?;
    drop(stand);
    let advice = checked.advice(fault.step, fault.balancer.kind())?;
    for (line, instead) in fault.mend {
        let mut new = instead.lines().map(str::trim).filter(|new| new != line).peekable();
        // what is only taken out must be named
        let taken_out = new.peek().is_none() && !advice.iter().any(|said| said.contains(line));
        let missing = new.find(|new| !advice.contains(new)).or(taken_out.then_some(line));
        ensure!(
            missing.is_none(),
            "{}",
            checked.wrong(&format!("{missing:?} is not in the advice {advice:?}"))
        );
    }
    let stand = start(lab, fault, &edited(&faulty, fault.mend)?)?;
    let healed = stand.check(fault.asked, SOURCES, fault.words)?;
    ensure!(healed.alarms()?.is_empty(), "{}", healed.wrong("it is not healed"));
    healed.expect_exit(0)?;
    if fault.balancer == Balancer::HaproxyCookie {
        ensure!(
            stand.cookie_comes_back()?,
            "{}: mended, and the cookie is not kept",
            fault.name
        );
    }
    for transport in fault.breaks {
        let finished = stand.real_client(fault.asked, transport, fault.stays_ms)?;
        ensure!(
            finished.status.success(),
            "{}: mended, but the real client does not get through by {transport}: {}",
            fault.name,
            finished.stderr
        );
    }
    Ok(())
}

/// No step fails or warns, and what can be known here is known.
fn no_alarm(lab: &Lab, healthy: &Healthy) -> Result {
    lab.servers.others()?;
    let configuration = edited(&healthy.balancer.configuration(healthy.servers)?, healthy.edits)?;
    let stand = Stand::start(lab, healthy.balancer, &configuration, &[ADDRESS])?;
    let checked = stand.check(NAME, healthy.from, healthy.words)?;
    ensure!(checked.alarms()?.is_empty(), "{}", checked.wrong("a false alarm"));
    checked.expect_exit(0)?;
    let mut steps = vec!["dns", "upgrade_headers", "websocket", "engineio", "polling", "upgrade"];
    if healthy.sticky != "-" {
        steps.push("stickiness");
    }
    if healthy.balancer.has_tls() {
        steps.extend(["redirect", "certificate"]);
    }
    for (word, step) in [("--broadcast", "broadcast"), ("--idle", "idle")] {
        if healthy.words.contains(word) {
            steps.push(step);
        }
    }
    for name in steps {
        let step = checked.step(name)?;
        let unknown = healthy.unknown.iter().find(|(step, _)| *step == name);
        ensure!(
            step["verdict"] == if unknown.is_some() { "unknown" } else { "pass" },
            "{}",
            checked.wrong(&format!("the verdict of {name}"))
        );
        let finding = unknown.map_or("-", |(_, finding)| finding);
        ensure!(
            finding == "-" || step["finding"] == finding,
            "{}",
            checked.wrong(&format!("{name} is not {finding}"))
        );
    }
    ensure!(
        healthy.sticky == "-" || checked.step("stickiness")?["finding"] == healthy.sticky,
        "{}",
        checked.wrong(&format!("stickiness is not {}", healthy.sticky))
    );
    Ok(())
}
