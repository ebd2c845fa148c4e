//! Owns: faults before HTTP is spoken: names, addresses, redirects, certificates. Must not: set them up.

use crate::stand::fault::{Fault, HAPROXY, TLS};
use crate::stand::{ADDRESS, DEAD_ADDRESS};

const BIND: &str = "bind 127.0.80.1:443 ssl crt certificates/good.pem";
const REDIRECT: &str = "http-request redirect scheme https code 301 unless { ssl_fc }";
const ALL: &[&str] = &["polling", "websocket", "upgrade"];

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "name_not_found",
        what: "DNS: the name does not exist",
        asked: "chta.lab.test",
        step: "dns",
        finding: "name_not_found",
        breaks: ALL,
        exit: 6,
        ..HAPROXY
    },
    Fault {
        name: "dead_address",
        what: "DNS: one of the name's two addresses is dead",
        addresses: &[ADDRESS, DEAD_ADDRESS],
        step: "dns",
        finding: "unreachable_address",
        ..HAPROXY
    },
    Fault {
        name: "no_redirect",
        what: "HAProxy: plain HTTP is answered, not sent on to HTTPS",
        edits: &[(REDIRECT, "")],
        step: "redirect",
        finding: "no_redirect",
        verdict: "warn",
        exit: 0,
        mend: &[(
            "bind 127.0.80.1:80",
            "bind 127.0.80.1:80\nhttp-request redirect scheme https code 301 unless { ssl_fc }",
        )],
        ..TLS
    },
    Fault {
        name: "redirect_loop",
        what: "HAProxy: plain HTTP is sent on to itself",
        edits: &[(
            REDIRECT,
            "http-request redirect location http://chat.lab.test/ code 301 unless { ssl_fc }",
        )],
        step: "redirect",
        finding: "redirect_loop",
        mend: &[(
            "http-request redirect location http://chat.lab.test/ code 301 unless { ssl_fc }",
            REDIRECT,
        )],
        ..TLS
    },
    Fault {
        name: "redirect_elsewhere",
        what: "HAProxy: plain HTTP is sent on to another name",
        edits: &[(
            REDIRECT,
            "http-request redirect prefix https://shop.lab.test code 301 unless { ssl_fc }",
        )],
        step: "redirect",
        finding: "redirect_elsewhere",
        verdict: "warn",
        exit: 0,
        ..TLS
    },
    Fault {
        name: "certificate_expired",
        what: "TLS: the certificate has expired",
        edits: &[(BIND, "bind 127.0.80.1:443 ssl crt certificates/expired.pem")],
        step: "certificate",
        finding: "certificate_expired",
        breaks: ALL,
        ..TLS
    },
    Fault {
        name: "certificate_expires_soon",
        what: "TLS: the certificate expires in five days",
        edits: &[(BIND, "bind 127.0.80.1:443 ssl crt certificates/five_days.pem")],
        step: "certificate",
        finding: "certificate_expires_soon",
        verdict: "warn",
        exit: 0,
        ..TLS
    },
    Fault {
        name: "certificate_of_another_name",
        what: "TLS: the certificate is for another name",
        edits: &[(BIND, "bind 127.0.80.1:443 ssl crt certificates/other_name.pem")],
        step: "certificate",
        finding: "certificate_wrong_name",
        breaks: ALL,
        ..TLS
    },
    Fault {
        name: "chain_incomplete",
        what: "TLS: the certificate of the authority in between is not sent",
        edits: &[(BIND, "bind 127.0.80.1:443 ssl crt certificates/incomplete.pem")],
        step: "certificate",
        finding: "chain_incomplete",
        breaks: ALL,
        ..TLS
    },
    Fault {
        name: "certificate_signed_itself",
        what: "TLS: the certificate signed itself",
        edits: &[(BIND, "bind 127.0.80.1:443 ssl crt certificates/own.pem")],
        step: "certificate",
        finding: "certificate_untrusted",
        breaks: ALL,
        ..TLS
    },
    Fault {
        name: "old_tls_versions",
        what: "HAProxy: TLS 1.0 and 1.1 are accepted",
        edits: &[(
            "ssl-default-bind-options ssl-min-ver TLSv1.2",
            "ssl-default-bind-options ssl-min-ver TLSv1.0\nssl-default-bind-ciphers DEFAULT:@SECLEVEL=0",
        )],
        step: "tls_versions",
        finding: "tls_old_version",
        verdict: "warn",
        exit: 0,
        mend: &[(
            "ssl-default-bind-options ssl-min-ver TLSv1.0",
            "ssl-default-bind-options ssl-min-ver TLSv1.2",
        )],
        ..TLS
    },
];
