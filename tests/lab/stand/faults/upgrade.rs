//! Owns: faults between a client and its WebSocket, or its Engine.IO. Must not: set them up.

use crate::server::VERSION_2;
use crate::stand::fault::{Fault, HAPROXY, NGINX};

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "nginx_no_upgrade_headers",
        what: "nginx: no proxy_set_header for Upgrade and Connection",
        edits: &[
            ("proxy_set_header Upgrade $http_upgrade;", ""),
            ("proxy_set_header Connection $connection_upgrade;", ""),
        ],
        step: "upgrade_headers",
        finding: "upgrade_eaten",
        breaks: &["websocket", "upgrade"],
        mend: &[(
            "proxy_http_version 1.1;",
            "proxy_http_version 1.1;\nproxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection \"upgrade\";",
        )],
        ..NGINX
    },
    Fault {
        name: "nginx_no_connection_header",
        what: "nginx: Upgrade is passed on, Connection is not",
        edits: &[("proxy_set_header Connection $connection_upgrade;", "")],
        step: "upgrade_headers",
        finding: "upgrade_eaten",
        breaks: &["websocket", "upgrade"],
        mend: &[(
            "proxy_http_version 1.1;",
            "proxy_http_version 1.1;\nproxy_set_header Connection \"upgrade\";",
        )],
        ..NGINX
    },
    Fault {
        name: "haproxy_drops_upgrade",
        what: "HAProxy: takes the Upgrade header out",
        edits: &[(
            "default_backend nodes",
            "http-request del-header Upgrade\ndefault_backend nodes",
        )],
        step: "upgrade_headers",
        finding: "upgrade_eaten",
        breaks: &["websocket", "upgrade"],
        mend: &[("http-request del-header Upgrade", "")],
        ..HAPROXY
    },
    Fault {
        name: "websocket_forbidden",
        what: "HAProxy: WebSockets are denied (403)",
        edits: &[(
            "default_backend nodes",
            "http-request deny deny_status 403 if { hdr(Upgrade) -i websocket }\ndefault_backend nodes",
        )],
        step: "websocket",
        finding: "websocket_refused",
        breaks: &["websocket", "upgrade"],
        mend: &[(
            "http-request deny deny_status 403 if { hdr(Upgrade) -i websocket }",
            "http-request allow if { path_beg /socket.io/ } { hdr(Upgrade) -i websocket }\n\
             http-request deny deny_status 403 if { hdr(Upgrade) -i websocket }",
        )],
        ..HAPROXY
    },
    Fault {
        name: "wrong_accept",
        what: "HAProxy: Sec-WebSocket-Accept is overwritten",
        edits: &[(
            "default_backend nodes",
            "http-response set-header Sec-WebSocket-Accept c3dhcm0gbGFiIHN3YXJtIGxhYiE= if { status 101 }\ndefault_backend nodes",
        )],
        step: "websocket",
        finding: "websocket_wrong_accept",
        breaks: &["websocket", "upgrade"],
        ..HAPROXY
    },
    Fault {
        name: "wrong_version",
        what: "servers of Socket.IO 2 (Engine.IO 3), clients of version 4",
        servers: &[VERSION_2],
        words: "--eio 4",
        step: "engineio",
        finding: "wrong_version",
        breaks: &["polling", "websocket", "upgrade"],
        ..HAPROXY
    },
    Fault {
        name: "not_found_at_the_path",
        what: "HAProxy: /socket.io/ is answered with 404",
        edits: &[(
            "default_backend nodes",
            "http-request return status 404 content-type text/html string \"<h1>Not Found</h1>\" if { path_beg /socket.io }\n\
             default_backend nodes",
        )],
        step: "engineio",
        finding: "not_engineio",
        breaks: &["polling", "websocket", "upgrade"],
        ..HAPROXY
    },
    Fault {
        name: "page_at_the_path",
        what: "nginx: /socket.io/ is answered with the site's own page (a single-page site's fallback)",
        edits: &[(
            "location / {",
            "location /socket.io/ {\ndefault_type text/html;\nreturn 200 \"<!doctype html><title>shop</title>\";\n}\nlocation / {",
        )],
        step: "engineio",
        finding: "not_engineio",
        breaks: &["polling", "websocket", "upgrade"],
        ..NGINX
    },
];
