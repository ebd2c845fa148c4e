//! Owns: pages beside a run that can't be read: before it they end it without load, while it goes on they change nothing.

use super::nothing_was_sent;
use super::watch::{LOGIN, counted, page, three_agree};
use crate::lab::Lab;
use crate::net::BRIDGE_ADDRESS;
use crate::proxy::{ROUND_ROBIN, STUB_STATUS, TLS_CA, url};
use crate::server::SOCKETIO;
use crate::swarm::Attack;
use crate::{Result, ensure};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub const CASES: &[super::Case] = &[
    ("watch_pages::a_wrong_password_is_told_and_not_shown", wrong_password),
    ("watch_pages::what_is_no_page_is_refused_before_any_load", no_page),
    ("watch_pages::a_page_over_tls_wants_a_known_certificate", over_tls),
    ("watch_pages::a_page_that_hangs_disturbs_nothing", hangs),
];

fn wrong_password(lab: &Lab) -> Result {
    let attack = || super::small(lab).with(&format!("--lb-stats {}", page()));
    let wrong = attack().with("--lb-stats-auth swarm:h1dden").run()?;
    wrong.expect_refused(2, &["--lb-stats", "does not take this name and password (401)"])?;
    ensure!(!wrong.text().contains("h1dden"), "it is shown:\n{}", wrong.text());
    let none = attack().run()?;
    none.expect_refused(2, &["wants a name and a password (401): --lb-stats-auth USER:PASS"])?;
    nothing_was_sent(lab)
}

fn no_page(lab: &Lab) -> Result {
    let refused = |words: &str, code: i32, says: &[&str]| -> Result {
        super::small(lab).with(words).run()?.expect_refused(code, says)
    };
    // A server of the application, not the balancer.
    let server = format!("http://{BRIDGE_ADDRESS}:{}/_lab", SOCKETIO[0].1);
    refused(
        &format!("--lb-stats {server}/counts"),
        2,
        &["is neither HAProxy's statistics (its `stats uri`) nor nginx's stub_status"],
    )?;
    refused(
        &format!("--lb-stats {}x {LOGIN}", url("http", STUB_STATUS, "/")),
        2,
        &["answers 404"],
    )?;
    refused(
        &format!("--lb-stats {}#nobody {LOGIN}", page()),
        2,
        &["no proxy `nobody`", "websockets"],
    )?;
    refused(
        &format!("--watch-metrics {server}/metrics=lab_client"),
        2,
        &["no `lab_client` there; there are lab_clients"],
    )?;
    refused(
        "--lb-stats tcp://127.0.0.1:1",
        6,
        &["--lb-stats tcp://127.0.0.1:1: cannot be reached"],
    )?;
    refused("--lb-stats unix:/no/such.sock", 6, &["cannot be reached"])?;
    nothing_was_sent(lab)
}

fn over_tls(lab: &Lab) -> Result {
    let attack = || {
        let page = url("https", TLS_CA, "/haproxy?stats");
        Attack::new(lab, &url("http", ROUND_ROBIN, "/")).with(&format!("-n 40 -c 4 --lb-stats {page} {LOGIN}"))
    };
    attack()
        .run()?
        .expect_refused(6, &["TLS: ", "--cacert FILE adds an authority"])?;
    nothing_was_sent(lab)?;
    let trusting = attack()
        .word("--cacert")
        .word(&lab.proxies.certificates.authority.display().to_string());
    three_agree(&trusting.run()?, &counted(lab, "/all/http")?)
}

/// A page that is answered once, and then never again.
fn hangs(lab: &Lab) -> Result {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let asked = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut held = Vec::new();
        // ends with the lab, which ends its process
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            if counting.fetch_add(1, Ordering::Relaxed) == 0 {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n# pxname,svname,type,stot\nwww,s1,2,1\n");
            } else {
                held.push(stream);
            }
        }
    });
    let outcome = Attack::new(lab, &url("http", ROUND_ROBIN, "/"))
        .with("-q 80 -z 4s")
        .with(&format!("--lb-stats http://{address}/stats"))
        .run()?;
    outcome.expect_code(0)?;
    ensure!(
        outcome.count("/totals/ok")? == 320 && outcome.word("/run/status")? == "complete",
        "{}",
        outcome.wrong("the run was disturbed")
    );
    let failed = outcome.count("/balancer/failed_reads")?;
    ensure!(
        failed > 0 && failed == outcome.count("/balancer/reads")? && asked.load(Ordering::Relaxed) > 2,
        "{}",
        outcome.wrong("every reading of the run fails")
    );
    let told = outcome.text().matches("; the run goes on").count();
    ensure!(told == 1, "{}", outcome.wrong("it is told once"));
    outcome.expect_said(&["did not answer within 1 s", "could not be read after the run"])
}
