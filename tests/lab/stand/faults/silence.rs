//! Owns: faults that end a connection which is silent for a moment. The servers ping every 4 s. Must not: set them up.

use crate::server::PATIENT;
use crate::stand::fault::{Fault, HAPROXY, NGINX};

/// Longer than the servers' pingInterval and pingTimeout together.
const STAYS_MS: u32 = 7_000;

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "nginx_short_read_timeout",
        what: "nginx: proxy_read_timeout is shorter than the servers' pingInterval",
        servers: &PATIENT,
        edits: &[(
            "proxy_pass http://nodes;",
            "proxy_pass http://nodes;\nproxy_read_timeout 2s;",
        )],
        words: "--idle 8s",
        step: "idle",
        finding: "idle_cut_before_ping",
        breaks: &["polling", "websocket", "upgrade"],
        stays_ms: STAYS_MS,
        mend: &[("proxy_read_timeout 2s;", "proxy_read_timeout 60s;")],
        ..NGINX
    },
    Fault {
        name: "haproxy_short_tunnel",
        what: "HAProxy: timeout tunnel is shorter than the servers' pingInterval",
        servers: &PATIENT,
        edits: &[("timeout tunnel 1h", "timeout tunnel 2s")],
        words: "--idle 8s",
        step: "idle",
        finding: "idle_cut_before_ping",
        breaks: &["websocket", "upgrade"],
        stays_ms: STAYS_MS,
        mend: &[("timeout tunnel 2s", "timeout tunnel 1h")],
        ..HAPROXY
    },
    Fault {
        name: "haproxy_no_tunnel_timeout",
        what: "HAProxy: no timeout tunnel, so the short timeouts of client and server hold for WebSockets",
        servers: &PATIENT,
        edits: &[
            ("timeout client 50s", "timeout client 3s"),
            ("timeout server 50s", "timeout server 3s"),
            ("timeout tunnel 1h", ""),
        ],
        words: "--idle 8s",
        step: "idle",
        finding: "idle_cut_before_ping",
        breaks: &["polling", "websocket", "upgrade"],
        stays_ms: STAYS_MS,
        mend: &[
            ("timeout connect 5s", "timeout connect 5s\ntimeout tunnel 1h"),
            ("timeout client 3s", "timeout client 60s"),
            ("timeout server 3s", "timeout server 60s"),
        ],
        ..HAPROXY
    },
    Fault {
        name: "silent_websocket_is_cut",
        what: "HAProxy: a plain WebSocket path is cut after 3 s of silence",
        edits: &[
            (
                "default_backend nodes",
                "use_backend raw if { path_beg /raw }\ndefault_backend nodes",
            ),
            (
                "backend nodes",
                "backend raw\ntimeout tunnel 3s\nserver w1 10.77.0.254:17011\nbackend nodes",
            ),
        ],
        words: "--idle 6s --idle-path /raw",
        step: "idle",
        finding: "idle_cut",
        verdict: "warn",
        exit: 0,
        mend: &[("timeout tunnel 3s", "timeout tunnel 1h")],
        ..HAPROXY
    },
];
