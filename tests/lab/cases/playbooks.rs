//! Owns: the shipped playbooks, each run as a user would, small; what they find is what the servers saw, and each that can
//! say no does so where it must. Must not: repeat what the engines' own cases show.

use crate::lab::Lab;
use crate::proxy::{
    CHECKED, COOKIE, IP_HASH, ROUND_ROBIN, SHORT_OFTEN, SHORT_RARELY, STICKY, TLS_CA, TO_HTTPS_301, TO_HTTPS_308,
    WITHOUT_ADAPTER, url,
};
use crate::server::WEBSOCKET;
use crate::swarm::{self, Attack, Outcome};
use crate::{Result, ensure};

pub const CASES: &[super::Case] = &[
    ("playbooks::each_shipped_one_has_a_case", listed),
    ("playbooks::http_baseline", http_baseline),
    ("playbooks::websocket_hold", websocket_hold),
    ("playbooks::socketio_1000", socketio_1000),
    ("playbooks::socketio_polling_sticky", socketio_polling_sticky),
    ("playbooks::socketio_upgrade", socketio_upgrade),
    ("playbooks::chat_broadcast", chat_broadcast),
    ("playbooks::login_then_socket", login_then_socket),
    ("playbooks::idle_timeout", idle_timeout),
    ("playbooks::reconnect_storm", reconnect_storm),
    ("playbooks::rolling_restart", rolling_restart),
    ("playbooks::tls_redirect", tls_redirect),
    ("playbooks::haproxy_source_hash", haproxy_source_hash),
    ("playbooks::nginx_ip_hash", nginx_ip_hash),
    ("playbooks::a_script_says_what_toml_cannot", script),
];

/// A playbook with these values of its variables, from h1 and h2 unless said otherwise.
fn play<'a>(lab: &'a Lab, name: &str, sets: &[(&str, &str)]) -> Attack<'a> {
    let mut attack = Attack::playbook(lab, name).hosts("h1,h2");
    for (key, value) in sets {
        attack = attack.word("--set").word(&format!("{key}={value}"));
    }
    attack
}

fn opened(outcome: &Outcome, clients: u64) -> Result {
    let opened = outcome.count("/totals/connections/opened")?;
    ensure!(
        opened == clients,
        "{}",
        outcome.wrong(&format!("{opened} opened, not {clients}"))
    );
    Ok(())
}

/// Requests of the step with this label.
fn step(outcome: &Outcome, label: &str) -> Result<u64> {
    for flow in outcome.rows("/flows")? {
        for step in flow["steps"].as_array().into_iter().flatten() {
            if step["label"].as_str().is_some_and(|said| said.contains(label)) {
                return step["requests"]
                    .as_u64()
                    .ok_or_else(|| outcome.wrong("a step without requests"));
            }
        }
    }
    Err(outcome.wrong(&format!("no step {label}")))
}

fn same_as_servers(lab: &Lab, outcome: &Outcome) -> Result {
    lab.servers.wait_all_closed()?;
    let counted = lab.servers.matrix("clients")?;
    ensure!(
        outcome.matrix()? == counted,
        "{}",
        outcome.wrong(&format!("the servers counted {counted:?}"))
    );
    Ok(())
}

/// The names of the cases above are those of `swarm playbook list`.
fn listed(lab: &Lab) -> Result {
    let said = swarm::said(lab, &["playbook", "list"])?;
    let mut shipped = 0;
    for line in said.lines().filter(|line| line.contains("  ")) {
        let name = line.split_whitespace().next().unwrap_or_default();
        if name.is_empty() || name == "swarm" {
            continue;
        }
        let case = format!("playbooks::{}", name.replace('-', "_"));
        ensure!(
            CASES.iter().any(|(known, _)| *known == case),
            "no case runs {name}:\n{said}"
        );
        shipped += 1;
    }
    ensure!(shipped == 13, "{shipped} are listed:\n{said}");
    Ok(())
}

fn http_baseline(lab: &Lab) -> Result {
    let outcome = play(
        lab,
        "http-baseline",
        &[
            ("url", &url("http", STICKY, "/")),
            ("rate", "40"),
            ("duration", "2s"),
            ("warmup", "1s"),
            ("connections", "20"),
        ],
    )
    .run()?;
    outcome.expect_code(0)?;
    ensure!(outcome.count("/totals/ok")? == 80, "{}", outcome.wrong("not 80 ok"));
    // a second of warm-up at the same rate is measured nowhere
    let seen = lab.servers.socketio_total("/http")?;
    ensure!(seen == 120, "{}", outcome.wrong(&format!("the servers saw {seen}")));
    ensure!(
        outcome.word("/run/playbook")? == "http-baseline",
        "{}",
        outcome.wrong("the playbook is not named")
    );
    Ok(())
}

fn websocket_hold(lab: &Lab) -> Result {
    let outcome = play(
        lab,
        "websocket-hold",
        &[
            ("url", &url("ws", WEBSOCKET.1, "/")),
            ("clients", "30"),
            ("rate", "30"),
            ("hold", "3s"),
            ("every", "1s"),
        ],
    )
    .run()?;
    outcome.expect_code(0)?;
    opened(&outcome, 30)?;
    let sent = outcome.count("/totals/messages/sent")?;
    let came = lab.servers.websocket_total("/messages")?;
    ensure!(
        sent >= 60 && sent == came && sent == outcome.count("/totals/messages/acked")?,
        "{}",
        outcome.wrong(&format!("the server got {came} messages"))
    );
    Ok(())
}

fn socketio_1000(lab: &Lab) -> Result {
    let url = url("http", STICKY, "");
    let sets = [("url", url.as_str()), ("clients", "200"), ("hold", "2s")];
    let outcome = play(lab, "socketio-1000", &sets).run()?;
    outcome.expect_code(0)?;
    opened(&outcome, 200)?;
    same_as_servers(lab, &outcome)
}

fn socketio_polling_sticky(lab: &Lab) -> Result {
    let run = |port| {
        let url = url("http", port, "");
        let sets = [("clients", "30"), ("rate", "30"), ("hold", "3s"), ("every", "1s")];
        play(lab, "socketio-polling-sticky", &sets)
            .word("--set")
            .word(&format!("url={url}"))
            .run()
    };
    let sticky = run(COOKIE)?;
    sticky.expect_code(0)?;
    opened(&sticky, 30)?;
    lab.servers.wait_all_closed()?;
    lab.servers.reset()?;
    let broken = run(ROUND_ROBIN)?;
    broken.expect_code(4)?;
    ensure!(
        broken.errors("session_id_unknown")? > 0,
        "{}",
        broken.wrong("round robin broke no session")
    );
    Ok(())
}

fn socketio_upgrade(lab: &Lab) -> Result {
    let url = url("http", STICKY, "");
    let sets = [("url", url.as_str()), ("clients", "30"), ("rate", "30"), ("hold", "4s")];
    let outcome = play(lab, "socketio-upgrade", &sets).run()?;
    outcome.expect_code(0)?;
    opened(&outcome, 30)?;
    let emits = lab.servers.socketio_total("/emits")?;
    ensure!(
        emits == 180 && outcome.count("/totals/messages/acked")? == 180,
        "{}",
        outcome.wrong(&format!("six of each of 30 were to come, {emits} did"))
    );
    ensure!(
        step(&outcome, "after the upgrade")? == 30 && outcome.count("/latency/upgrade/count")? == 30,
        "{}",
        outcome.wrong("not everybody upgraded")
    );
    Ok(())
}

fn chat_broadcast(lab: &Lab) -> Result {
    lab.servers.others()?;
    lab.servers.reset()?;
    let run = |port| {
        let url = url("http", port, "");
        let sets = [("clients", "20"), ("rate", "20"), ("hold", "6s"), ("every", "1s")];
        play(lab, "chat-broadcast", &sets)
            .hosts("h1,h2,h3")
            .word("--set")
            .word(&format!("url={url}"))
            .run()
    };
    let whole = run(STICKY)?;
    whole.expect_code(0)?;
    ensure!(
        whole.count("/broadcast/received")? == whole.count("/broadcast/expected")?
            && whole.count("/broadcast/expected")? > 50,
        "{}",
        whole.wrong("not everybody heard")
    );
    let split = run(WITHOUT_ADAPTER)?;
    split.expect_code(4)?;
    split.expect_said(&["the nodes share no adapter"])
}

fn login_then_socket(lab: &Lab) -> Result {
    let url = url("http", STICKY, "");
    let sets = [("url", url.as_str()), ("clients", "20"), ("rate", "20"), ("hold", "4s")];
    let outcome = play(lab, "login-then-socket", &sets).run()?;
    outcome.expect_code(0)?;
    opened(&outcome, 20)?;
    ensure!(
        step(&outcome, "log in")? == 20 && step(&outcome, "ask")? == 20,
        "{}",
        outcome.wrong("not everybody logged in and asked")
    );
    lab.servers.wait_all_closed()?;
    lab.servers.reset()?;

    // rows of a file: a wrong password is that client's failure, too few rows are found before any load
    let users = lab.folder.join("users.csv");
    std::fs::write(&users, "user,password\nann,pw-ann\nbob,pw-bob\ncid,wrong\ndan,pw-dan\n")?;
    let users = users.display().to_string();
    let with_rows = |clients: &str| {
        let sets = [
            ("url", url.as_str()),
            ("clients", clients),
            ("rate", "4"),
            ("hold", "3s"),
            ("name", "{{user}}"),
            ("secret", "{{password}}"),
        ];
        play(lab, "login-then-socket", &sets).word("--csv").word(&users).run()
    };
    let outcome = with_rows("4")?;
    outcome.expect_code(4)?;
    opened(&outcome, 3)?;
    outcome.expect_said(&["log in"])?;
    with_rows("5")?.expect_refused(2, &["--csv", "5"])
}

fn idle_timeout(lab: &Lab) -> Result {
    lab.servers.others()?;
    lab.servers.reset()?;
    let run = |port| {
        let url = url("http", port, "");
        let sets = [("clients", "6"), ("rate", "6"), ("hold", "5s")];
        play(lab, "idle-timeout", &sets)
            .word("--set")
            .word(&format!("url={url}"))
            .run()
    };
    // the balancer cuts after 3 s: pings each 2 s keep the line, pings each 10 s don't
    let kept = run(SHORT_OFTEN)?;
    kept.expect_code(0)?;
    opened(&kept, 6)?;
    let cut = run(SHORT_RARELY)?;
    cut.expect_code(4)?;
    ensure!(
        cut.count("/totals/connections/dropped")? == 6,
        "{}",
        cut.wrong("not all six were cut")
    );
    Ok(())
}

fn reconnect_storm(lab: &Lab) -> Result {
    let url = url("http", STICKY, "");
    let sets = [
        ("url", url.as_str()),
        ("clients", "30"),
        ("rate", "30"),
        ("storm", "2s"),
        ("hold", "5s"),
        ("delay", "200ms"),
        ("delay_max", "1s"),
    ];
    let outcome = play(lab, "reconnect-storm", &sets).run()?;
    outcome.expect_code(0)?;
    opened(&outcome, 60)?;
    for what in ["stormed", "reconnected"] {
        let n = outcome.count(&format!("/totals/connections/{what}"))?;
        ensure!(n == 30, "{}", outcome.wrong(&format!("{what}: {n}")));
    }
    same_as_servers(lab, &outcome)
}

fn rolling_restart(lab: &Lab) -> Result {
    lab.proxies.wait_checked()?;
    let url = url("http", CHECKED, "");
    let sets = [("url", url.as_str()), ("clients", "30"), ("rate", "30"), ("hold", "8s")];
    let attack = play(lab, "rolling-restart", &sets).hosts("h1,h2,h3");
    let attacking = super::started(lab, attack, 30)?;
    let on_it = lab.servers.total(crate::server::SOCKETIO[1].1, "/open")?;
    ensure!(on_it == 10, "{on_it} clients are on the server that is to be restarted");
    lab.servers.restart(1)?;
    let outcome = attacking.wait()?;
    outcome.expect_code(0)?;
    for what in ["dropped", "reconnected"] {
        let n = outcome.count(&format!("/totals/connections/{what}"))?;
        ensure!(n == on_it, "{}", outcome.wrong(&format!("{what}: {n}, not {on_it}")));
    }
    opened(&outcome, 40)
}

fn tls_redirect(lab: &Lab) -> Result {
    let authority = lab.proxies.certificates.authority.display().to_string();
    let secure = url("https", TLS_CA, "");
    let run = |plain: u16| {
        let plain = url("http", plain, "");
        let sets = [
            ("plain", plain.as_str()),
            ("secure", secure.as_str()),
            ("clients", "6"),
            ("rate", "6"),
            ("hold", "1s"),
        ];
        play(lab, "tls-redirect", &sets)
    };
    for port in [TO_HTTPS_301, TO_HTTPS_308] {
        let outcome = run(port).word("--cacert").word(&authority).run()?;
        outcome.expect_code(0)?;
        opened(&outcome, 6)?;
        ensure!(
            step(&outcome, "redirected")? == 6 && step(&outcome, "page over TLS")? == 6,
            "{}",
            outcome.wrong("not every step was made")
        );
    }
    let untrusted = run(TO_HTTPS_301).run()?;
    untrusted.expect_code(4)?;
    ensure!(untrusted.errors("tls")? > 0, "{}", untrusted.wrong("no tls error"));
    // no redirect at all
    let unsent = run(STICKY).word("--cacert").word(&authority).run()?;
    unsent.expect_code(4)?;
    unsent.expect_said(&["redirected"])
}

fn haproxy_source_hash(lab: &Lab) -> Result {
    let url = url("http", STICKY, "");
    let sets = [
        ("url", url.as_str()),
        ("clients", "40"),
        ("rate", "40"),
        ("hold", "1s"),
        ("backends", "3"),
    ];
    let outcome = play(lab, "haproxy-source-hash", &sets).hosts("h1,h2,h3,h4").run()?;
    outcome.expect_code(0)?;
    same_as_servers(lab, &outcome)?;
    // too few addresses to say anything about a hash: refused, and nothing sent
    lab.servers.reset()?;
    play(lab, "haproxy-source-hash", &sets)
        .run()?
        .expect_refused(2, &["needs 4 source addresses"])?;
    super::nothing_was_sent(lab)
}

fn nginx_ip_hash(lab: &Lab) -> Result {
    let url = url("http", IP_HASH, "");
    let sets = [("url", url.as_str()), ("clients", "20"), ("rate", "20"), ("hold", "1s")];
    let outcome = play(lab, "nginx-ip-hash", &sets).hosts("h1,h2,h3,h4").run()?;
    outcome.expect_code(0)?;
    // four hosts of one /24 are one source to it
    ensure!(
        outcome.rows("/backends")?.len() == 1,
        "{}",
        outcome.wrong("more than one backend")
    );
    same_as_servers(lab, &outcome)
}

fn script(lab: &Lab) -> Result {
    let folder = lab.folder.join("scripted");
    std::fs::create_dir_all(&folder)?;
    let (book, script) = (folder.join("chat.toml"), folder.join("chat.js"));
    std::fs::write(
        &book,
        format!(
            "target = \"{}\"\nengine = \"socketio\"\nscript = \"chat.js\"\n[load]\nconnections = 12\nconnect-rate = \"12/s\"\nhold = \"3s\"\n\
             [socketio]\ntransport = \"websocket\"\n[[flow]]\nname = \"scripted\"\nsteps = [{{ connect = true }}, {{ script = {{ period = \"200ms\", times = 5 }} }}]\n",
            url("http", STICKY, "")
        ),
    )?;
    std::fs::write(
        &script,
        "let said = 0;\nfunction next_message(client) {\n  if (said === 3) return false;\n  said += 1;\n  \
         if (client.conn === 7) missing(client);\n  client.emitWithAck('echo', { text: 'message ' + said, from: client.conn });\n}\n",
    )?;
    let outcome = play(lab, &book.display().to_string(), &[]).run()?;
    // one client's script fails, and says where; the others say their three each
    outcome.expect_said(&["chat.js:5", "missing is not defined"])?;
    opened(&outcome, 12)?;
    let emits = lab.servers.socketio_total("/emits")?;
    ensure!(
        emits == 33 && outcome.count("/totals/messages/acked")? == 33 && outcome.errors("script")? == 1,
        "{}",
        outcome.wrong(&format!("eleven clients were to say three, {emits} came"))
    );
    // bad syntax is refused before the load, with its line
    lab.servers.wait_all_closed()?;
    lab.servers.reset()?;
    std::fs::write(&script, "function next_message(client) {\n  client.emit(;\n}\n")?;
    play(lab, &book.display().to_string(), &[])
        .run()?
        .expect_refused(6, &["chat.js:2"])?;
    super::nothing_was_sent(lab)
}
