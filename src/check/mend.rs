//! The configuration lines that mend what was found, by kind of balancer. Pure. Those for AWS come from its documentation
//! and were never run: they say so.

use super::balancer::Kind;
use super::finding::Code;

/// One line for one balancer, or for the server behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mend {
    /// `haproxy`, `nginx`, `alb`, `nlb`, `elb` or `server`.
    pub of: &'static str,
    /// The line.
    pub line: String,
}

/// What lines need to know of the target.
#[derive(Debug, Clone)]
pub struct Place {
    /// Path of the endpoint: `/socket.io/`.
    pub path: String,
    /// Host name.
    pub host: String,
    /// Seconds that a quiet connection must live.
    pub seconds: u64,
}

/// The lines for a finding. Where the balancer is not known: those for HAProxy and nginx.
pub fn lines(code: Code, balancer: Option<Kind>, place: &Place) -> Vec<Mend> {
    let kinds = match balancer {
        Some(kind) => vec![kind],
        None => vec![Kind::Haproxy, Kind::Nginx],
    };
    let mut all = Vec::new();
    for kind in kinds {
        for line in of_kind(code, kind, place) {
            let line = if kind.is_only_read_about() {
                format!("{line} (from AWS's documentation, not run)")
            } else {
                line
            };
            all.push(Mend { of: kind.word(), line });
        }
    }
    let server = of_server(code, place).into_iter();
    all.extend(server.map(|line| Mend { of: "server", line }));
    all
}

/// A line that begins with `#` explains the others; all the others can be copied as they stand.
fn of_kind(code: Code, kind: Kind, place: &Place) -> Vec<String> {
    use Code as C;
    match code {
        C::SidUnknown | C::NotSticky | C::UpgradeOtherBackend | C::CookieNotKept => sticky(code, kind, &place.path),
        C::UpgradeEaten | C::WebsocketRefused | C::WebsocketWrongAccept => upgrade(code, kind, &place.path),
        C::IdleCutBeforePing | C::IdleCut => idle(kind, place.seconds),
        C::NoRedirect | C::RedirectLoop => redirect(code, kind, &place.host),
        C::CertificateExpired
        | C::CertificateExpiresSoon
        | C::CertificateWrongName
        | C::CertificateUntrusted
        | C::ChainIncomplete => certificate(kind, &place.host),
        C::TlsOldVersion | C::TlsNo13 => versions(kind),
        C::NotEngineio => endpoint(kind, &place.path),
        C::UnreachableAddress if kind.is_only_read_about() => {
            told(&["point the name at the load balancer by an alias record, not at its addresses, which change"])
        }
        _ => Vec::new(),
    }
}

fn told(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

fn sticky(code: Code, kind: Kind, path: &str) -> Vec<String> {
    let by_cookie = "cookie SERVERID insert indirect nocache";
    match (code, kind) {
        (Code::CookieNotKept, Kind::Haproxy) => told(&[
            "# no domain of another host, no attr \"Path=...\", `secure` only behind https:",
            by_cookie,
        ]),
        (Code::CookieNotKept, Kind::Nginx) => told(&[
            "# the cookie's Path must cover the endpoint, its Domain the host:",
            "proxy_cookie_path ~^/.* /;",
        ]),
        (_, Kind::Haproxy) => vec![
            format!("# polls and WebSockets of {path} in one backend, and there:"),
            "balance source".to_owned(),
            "# or by cookie, with `cookie NAME` at each server:".to_owned(),
            by_cookie.to_owned(),
        ],
        (_, Kind::Nginx) => told(&[
            "# one upstream for polls and WebSockets, and there:",
            "ip_hash;",
            "# which takes a /24 for one client; finer:",
            "hash $remote_addr consistent;",
        ]),
        (_, Kind::Alb) => told(&[
            "target group attributes stickiness.enabled = true, stickiness.type = lb_cookie: clients must keep AWSALB and AWSALBCORS",
        ]),
        (_, Kind::Nlb) => told(&["target group attributes stickiness.enabled = true, stickiness.type = source_ip"]),
        (_, Kind::Elb) => told(&[
            "create-lb-cookie-stickiness-policy and set-load-balancer-policies-of-listener: listeners of HTTP alone",
        ]),
    }
}

fn upgrade(code: Code, kind: Kind, path: &str) -> Vec<String> {
    let refused = code == Code::WebsocketRefused;
    match kind {
        Kind::Nginx if refused => vec![format!("# look for the `deny`, `return` or `if` that meets {path}")],
        Kind::Nginx => vec![
            format!("# in the location of {path}:"),
            "proxy_http_version 1.1;".to_owned(),
            "proxy_set_header Upgrade $http_upgrade;".to_owned(),
            "proxy_set_header Connection \"upgrade\";".to_owned(),
        ],
        Kind::Haproxy if refused => vec![
            "# take out the `http-request deny` that meets WebSockets, or put before it:".to_owned(),
            format!("http-request allow if {{ path_beg {path} }} {{ hdr(Upgrade) -i websocket }}"),
        ],
        Kind::Haproxy => told(&[
            "# HAProxy passes upgrades on by itself: take out what takes Upgrade, Connection or Sec-WebSocket-* away or sets it:",
            "# http-request del-header Upgrade, http-response set-header Sec-WebSocket-Accept ...",
        ]),
        Kind::Elb => told(&["listeners of TCP or SSL: those of HTTP and HTTPS pass no upgrade on"]),
        Kind::Alb if refused => told(&["look at the web ACL (WAF) of the load balancer"]),
        Kind::Alb => told(&["an ALB passes upgrades on by itself: look at the proxy behind it"]),
        Kind::Nlb => told(&["an NLB does not look at HTTP: look at the proxy behind it"]),
    }
}

/// `seconds`: what a quiet connection must live.
fn idle(kind: Kind, seconds: u64) -> Vec<String> {
    // twice as long, and at least a minute, which is the usual default
    let longer = (seconds * 2).max(60);
    match kind {
        Kind::Haproxy => vec![
            "timeout tunnel 1h".to_owned(),
            "# without it these two hold for WebSockets, and they do for polls:".to_owned(),
            format!("timeout client {longer}s"),
            format!("timeout server {longer}s"),
        ],
        Kind::Nginx => vec![
            format!("proxy_read_timeout {longer}s;"),
            format!("proxy_send_timeout {longer}s;"),
        ],
        Kind::Alb => vec![format!(
            "load balancer attribute idle_timeout.timeout_seconds = {longer}: its default is 60"
        )],
        Kind::Elb => vec![format!("ConnectionSettings.IdleTimeout = {longer}: its default is 60")],
        Kind::Nlb => told(&["listener attribute tcp.idle_timeout.seconds: its default is 350"]),
    }
}

fn redirect(code: Code, kind: Kind, host: &str) -> Vec<String> {
    let looped = code == Code::RedirectLoop;
    match kind {
        Kind::Haproxy => {
            let mut lines = told(&["http-request redirect scheme https code 301 unless { ssl_fc }"]);
            if looped {
                lines.extend(told(&[
                    "# and, so that the server knows:",
                    "http-request set-header X-Forwarded-Proto https if { ssl_fc }",
                ]));
            }
            lines
        }
        Kind::Nginx if looped => told(&[
            "# `return 301 https://...` in the server of port 80 alone; in that of 443:",
            "proxy_set_header X-Forwarded-Proto $scheme;",
        ]),
        Kind::Nginx => vec![format!(
            "server {{ listen 80; server_name {host}; return 301 https://$host$request_uri; }}"
        )],
        _ if looped => told(&["let the server trust X-Forwarded-Proto, which the load balancer sets"]),
        Kind::Alb => told(&["listener of port 80: default action redirect to HTTPS, port 443, HTTP_301"]),
        Kind::Nlb | Kind::Elb => told(&["it cannot redirect: let the server do it for X-Forwarded-Proto: http"]),
    }
}

fn certificate(kind: Kind, host: &str) -> Vec<String> {
    match kind {
        Kind::Haproxy => vec![
            format!("# the file holds the certificate for {host}, then the intermediates, then the key:"),
            format!("bind :443 ssl crt /etc/haproxy/{host}.pem"),
        ],
        Kind::Nginx => vec![
            format!("# the file holds the certificate for {host}, then the intermediates:"),
            format!("ssl_certificate /etc/nginx/{host}.fullchain.pem;"),
        ],
        _ => vec![format!(
            "attach a certificate of ACM for {host} to the listener, imported ones with their chain; ACM renews those validated by DNS"
        )],
    }
}

fn versions(kind: Kind) -> Vec<String> {
    match kind {
        Kind::Haproxy => told(&["ssl-default-bind-options ssl-min-ver TLSv1.2"]),
        Kind::Nginx => told(&["ssl_protocols TLSv1.2 TLSv1.3;"]),
        _ => told(&["listener security policy ELBSecurityPolicy-TLS13-1-2-2021-06"]),
    }
}

fn endpoint(kind: Kind, path: &str) -> Vec<String> {
    match kind {
        Kind::Haproxy => vec![format!("use_backend socketio if {{ path_beg {path} }}")],
        Kind::Nginx => vec![
            "# no path behind the upstream's name: it would stand in place of the endpoint's".to_owned(),
            format!("location {path} {{ proxy_pass http://socketio; }}"),
        ],
        _ => vec![format!(
            "listener rule: path-pattern {path}* forwards to the target group of Socket.IO"
        )],
    }
}

fn of_server(code: Code, place: &Place) -> Vec<String> {
    let lines: &[&str] = match code {
        Code::AdapterMissing => &[
            "npm install @socket.io/redis-adapter redis",
            "io.adapter(createAdapter(pubClient, subClient));  // on every server, before clients come",
        ],
        Code::WrongVersion => &[
            "# a server of Engine.IO 4 (Socket.IO 3 and later) lets clients of 3 in when it is told to:",
            "new Server(http, { allowEIO3: true })",
            "# one of Engine.IO 3 (Socket.IO 2) wants clients of Socket.IO 2, or an update",
        ],
        Code::SidUnknown | Code::NotSticky => {
            &["or do without polling: io(url, { transports: [\"websocket\"] }) in every client"]
        }
        Code::IdleCutBeforePing => {
            return vec!["or ping more often: new Server(http, { pingInterval: ... }) below the time limit".into()];
        }
        Code::NotEngineio => return vec![format!("new Server(http, {{ path: \"{}\" }})", place.path)],
        Code::UnreachableAddress => &["take the dead address out of the name's records, or bring its machine back"],
        _ => &[],
    };
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            path: "/socket.io/".into(),
            host: "chat.test".into(),
            seconds: 45,
        }
    }

    fn text(code: Code, kind: Option<Kind>) -> String {
        let lines = lines(code, kind, &place());
        lines
            .iter()
            .map(|mend| format!("{}: {}\n", mend.of, mend.line))
            .collect()
    }

    #[test]
    fn what_fails_has_a_line_for_haproxy_and_nginx() {
        for code in [
            Code::SidUnknown,
            Code::NotSticky,
            Code::CookieNotKept,
            Code::UpgradeEaten,
            Code::UpgradeOtherBackend,
            Code::WebsocketRefused,
            Code::WebsocketWrongAccept,
            Code::IdleCutBeforePing,
            Code::IdleCut,
            Code::NoRedirect,
            Code::RedirectLoop,
            Code::CertificateExpired,
            Code::CertificateExpiresSoon,
            Code::CertificateWrongName,
            Code::CertificateUntrusted,
            Code::ChainIncomplete,
            Code::TlsOldVersion,
            Code::NotEngineio,
        ] {
            let both = text(code, None);
            assert!(
                both.contains("haproxy: ") && both.contains("nginx: "),
                "{code:?}: {both}"
            );
            assert!(!text(code, Some(Kind::Nginx)).contains("haproxy: "), "{code:?}");
        }
        assert!(text(Code::UpgradeEaten, Some(Kind::Nginx)).contains("proxy_set_header Upgrade $http_upgrade;"));
        assert!(text(Code::IdleCutBeforePing, Some(Kind::Nginx)).contains("proxy_read_timeout 90s;"));
        assert!(text(Code::AdapterMissing, None).contains("createAdapter"));
    }

    #[test]
    fn what_is_only_read_about_says_so() {
        for code in Code::ALL {
            for kind in [Kind::Alb, Kind::Nlb, Kind::Elb] {
                for mend in lines(*code, Some(kind), &place())
                    .iter()
                    .filter(|mend| mend.of == kind.word())
                {
                    assert!(
                        mend.line.ends_with("(from AWS's documentation, not run)"),
                        "{}",
                        mend.line
                    );
                }
            }
        }
    }
}
