//! Owns: TLS through HAProxy: whom the client trusts, and by which name it asks.

use super::nothing_was_sent;
use crate::lab::Lab;
use crate::proxy::{SNI_NAME, TLS, TLS_SNI, url};
use crate::swarm::{Attack, Outcome};
use crate::{Result, ensure};

pub const CASES: &[super::Case] = &[
    ("tls::insecure_takes_any_certificate", insecure),
    ("tls::cacert_takes_the_one_given", cacert),
    ("tls::a_self_signed_certificate_is_not_trusted", untrusted),
    ("tls::sni_asks_by_name", sni),
    ("tls::socketio_over_tls_by_all_transports", socketio),
];

fn all_ok(lab: &Lab, outcome: &Outcome) -> Result {
    outcome.expect_code(0)?;
    ensure!(outcome.count("/totals/ok")? == 40, "{}", outcome.wrong("not 40 ok"));
    let got = lab.servers.socketio_total("/http")?;
    ensure!(got == 40, "{}", outcome.wrong(&format!("the servers counted {got}")));
    ensure!(
        outcome.count("/latency/tls/count")? >= 4,
        "{}",
        outcome.wrong("the TLS handshakes were not timed")
    );
    Ok(())
}

fn insecure(lab: &Lab) -> Result {
    all_ok(
        lab,
        &Attack::new(lab, &url("https", TLS, "/")).with("-n 40 -c 4 -k").run()?,
    )
}

fn cacert(lab: &Lab) -> Result {
    let own = lab.proxies.certificates.own.display().to_string();
    all_ok(
        lab,
        &Attack::new(lab, &url("https", TLS, "/"))
            .with("-n 40 -c 4 --cacert")
            .word(&own)
            .run()?,
    )?;
    lab.servers.reset()?;
    // Another authority does not vouch for it.
    let other = lab.proxies.certificates.authority.display().to_string();
    not_trusted(
        lab,
        &Attack::new(lab, &url("https", TLS, "/"))
            .with("-n 40 -c 4 --cacert")
            .word(&other)
            .run()?,
    )
}

fn not_trusted(lab: &Lab, outcome: &Outcome) -> Result {
    outcome.expect_code(4)?;
    ensure!(outcome.errors("tls")? > 0, "{}", outcome.wrong("no tls error"));
    nothing_was_sent(lab)
}

fn untrusted(lab: &Lab) -> Result {
    not_trusted(
        lab,
        &Attack::new(lab, &url("https", TLS, "/")).with("-n 40 -c 4").run()?,
    )
}

fn sni(lab: &Lab) -> Result {
    let authority = lab.proxies.certificates.authority.display().to_string();
    let attack = || Attack::new(lab, &url("https", TLS_SNI, "/")).with("-n 40 -c 4");
    // The listener answers to that name alone, so a nameless handshake fails even for one who trusts anyone.
    not_trusted(lab, &attack().with("-k").run()?)?;
    all_ok(
        lab,
        &attack()
            .with("--sni")
            .word(SNI_NAME)
            .with("--cacert")
            .word(&authority)
            .run()?,
    )
}

fn socketio(lab: &Lab) -> Result {
    for transport in ["websocket", "polling", "upgrade"] {
        let words = format!("-k --socketio --transport {transport} -c 24 --connect-rate 24 --hold 2s");
        let outcome = Attack::new(lab, &url("https", TLS, "")).with(&words).run()?;
        outcome.expect_code(0)?;
        lab.servers.wait_all_closed()?;
        ensure!(
            outcome.count("/totals/connections/opened")? == 24,
            "{}",
            outcome.wrong("not 24 opened")
        );
        let counted = lab.servers.matrix("clients")?;
        let sum: u64 = counted.values().flat_map(|row| row.values()).sum();
        ensure!(
            sum == 24 && outcome.matrix()? == counted,
            "{}",
            outcome.wrong(&format!("the servers counted {counted:?}"))
        );
        lab.servers.reset()?;
    }
    Ok(())
}
