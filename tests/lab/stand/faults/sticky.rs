//! Owns: faults by which a session's requests, or the clients of one room, end up apart. Must not: set them up.

use crate::server::ALONE;
use crate::stand::fault::{ALB, COOKIE, Fault, HAPROXY, NGINX};

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "haproxy_round_robin",
        what: "HAProxy: round robin without stickiness",
        edits: &[("balance source", "balance roundrobin")],
        step: "polling",
        finding: "sid_unknown",
        also: &["stickiness"],
        breaks: &["polling", "upgrade"],
        mend: &[("balance roundrobin", "balance source")],
        ..HAPROXY
    },
    Fault {
        name: "haproxy_leastconn",
        what: "HAProxy: leastconn without stickiness",
        edits: &[("balance source", "balance leastconn")],
        step: "polling",
        finding: "sid_unknown",
        also: &["stickiness"],
        breaks: &["polling", "upgrade"],
        mend: &[("balance leastconn", "balance source")],
        ..HAPROXY
    },
    Fault {
        name: "nginx_no_ip_hash",
        what: "nginx: an upstream without ip_hash",
        edits: &[("ip_hash;", "")],
        step: "polling",
        finding: "sid_unknown",
        also: &["stickiness"],
        breaks: &["polling", "upgrade"],
        mend: &[("upstream nodes {", "upstream nodes {\nip_hash;")],
        ..NGINX
    },
    Fault {
        name: "alb_not_sticky",
        what: "ALB (as documented): a target group without stickiness",
        edits: &[
            ("use-server s1 if { req.cook(AWSALB) -m beg s1. }", ""),
            ("use-server s2 if { req.cook(AWSALB) -m beg s2. }", ""),
            ("use-server s3 if { req.cook(AWSALB) -m beg s3. }", ""),
            (
                "http-response add-header Set-Cookie \"AWSALB=%s.%[uuid()]; Expires=Wed, 30 Dec 2099 00:00:00 GMT; Path=/\"",
                "",
            ),
            (
                "http-response add-header Set-Cookie \"AWSALBCORS=%s.%[uuid()]; Expires=Wed, 30 Dec 2099 00:00:00 GMT; Path=/; SameSite=None; Secure\"",
                "",
            ),
        ],
        words: "--balancer alb",
        step: "polling",
        finding: "sid_unknown",
        also: &["stickiness"],
        breaks: &["polling", "upgrade"],
        ..ALB
    },
    Fault {
        name: "cookie_of_another_domain",
        what: "HAProxy: the cookie is set for another domain, so clients drop it",
        edits: &[(
            "cookie SERVERID insert indirect nocache",
            "cookie SERVERID insert indirect nocache domain shop.lab.test",
        )],
        step: "stickiness",
        finding: "cookie_not_kept",
        also: &["polling"],
        mend: &[(
            "cookie SERVERID insert indirect nocache domain shop.lab.test",
            "cookie SERVERID insert indirect nocache",
        )],
        ..COOKIE
    },
    Fault {
        name: "cookie_of_another_path",
        what: "HAProxy: the cookie is set for another path, so clients don't send it to /socket.io/",
        edits: &[(
            "cookie SERVERID insert indirect nocache",
            "cookie SERVERID insert indirect nocache attr \"Path=/app\"",
        )],
        step: "stickiness",
        finding: "cookie_not_kept",
        also: &["polling"],
        mend: &[(
            "cookie SERVERID insert indirect nocache attr \"Path=/app\"",
            "cookie SERVERID insert indirect nocache",
        )],
        ..COOKIE
    },
    Fault {
        name: "secure_cookie_over_http",
        what: "HAProxy: the cookie is Secure, the site is plain HTTP",
        edits: &[(
            "cookie SERVERID insert indirect nocache",
            "cookie SERVERID insert indirect nocache secure",
        )],
        step: "stickiness",
        finding: "cookie_not_kept",
        also: &["polling"],
        mend: &[(
            "cookie SERVERID insert indirect nocache secure",
            "cookie SERVERID insert indirect nocache",
        )],
        ..COOKIE
    },
    Fault {
        name: "websocket_elsewhere",
        what: "HAProxy: WebSockets have a backend of their own, whose servers stand in another order",
        edits: &[
            (
                "default_backend nodes",
                "use_backend sockets if { hdr(Upgrade) -i websocket }\ndefault_backend nodes",
            ),
            (
                "backend nodes",
                "backend sockets\nbalance source\nserver s2 10.77.0.254:17002\nserver s3 10.77.0.254:17003\n\
                 server s1 10.77.0.254:17001\nbackend nodes",
            ),
        ],
        step: "upgrade",
        finding: "upgrade_other_backend",
        breaks: &["upgrade"],
        ..HAPROXY
    },
    Fault {
        name: "no_adapter",
        what: "servers without a Redis adapter: a broadcast stays where it was said",
        servers: &ALONE,
        words: "--broadcast broadcast-all,broadcast-all",
        step: "broadcast",
        finding: "adapter_missing",
        ..HAPROXY
    },
];
