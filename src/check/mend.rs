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

fn of_kind(code: Code, kind: Kind, place: &Place) -> Vec<String> {
    let Place { path, host, seconds } = place;
    let lines: &[&str] = match (code, kind) {
        (Code::SidUnknown | Code::NotSticky | Code::UpgradeOtherBackend, _) => return sticky(kind, path),
        (Code::CookieNotKept, Kind::Haproxy) => {
            &["cookie SERVERID insert indirect nocache  # no domain; HAProxy sets path=/"]
        }
        (Code::CookieNotKept, Kind::Nginx) => {
            &["proxy_cookie_path ~^/.* /;  # the cookie's Path must cover the endpoint"]
        }
        (Code::UpgradeEaten | Code::WebsocketWrongAccept, Kind::Nginx) => {
            return vec![
                format!("location {path} {{  # in it:"),
                "proxy_http_version 1.1;".into(),
                "proxy_set_header Upgrade $http_upgrade;".into(),
                "proxy_set_header Connection \"upgrade\";".into(),
                "proxy_set_header Host $host;".into(),
            ];
        }
        (Code::UpgradeEaten | Code::WebsocketWrongAccept, Kind::Haproxy) => &[
            "# remove `http-request del-header Upgrade` and whatever else takes Upgrade, Connection or Sec-WebSocket-* away",
            "mode http  # HAProxy passes upgrades on by itself; no `option httpclose`, no HTTP/1.0 to the server",
        ],
        (Code::UpgradeEaten, Kind::Elb) => &[
            "listener protocol TCP or SSL instead of HTTP or HTTPS: a Classic Load Balancer's HTTP listeners pass no upgrade",
        ],
        (Code::UpgradeEaten, Kind::Alb) => &["an ALB passes upgrades on by itself: look at the proxy behind it"],
        (Code::WebsocketRefused, Kind::Haproxy) => {
            return vec![
                "# look for the `http-request deny` or ACL that meets `Upgrade: websocket`; allow it:".into(),
                format!("http-request allow if {{ path_beg {path} }} {{ hdr(Upgrade) -i websocket }}"),
            ];
        }
        (Code::WebsocketRefused, Kind::Nginx) => {
            return vec![format!("# look for the `deny` or `return` that meets location {path}")];
        }
        (Code::WebsocketRefused, Kind::Alb) => &["look at the web ACL (WAF) of the load balancer"],
        (Code::IdleCutBeforePing | Code::IdleCut, Kind::Haproxy) => {
            return vec![
                format!("timeout tunnel {}s", seconds * 2),
                format!("timeout client {}s", seconds * 2),
                format!("timeout server {}s", seconds * 2),
            ];
        }
        (Code::IdleCutBeforePing | Code::IdleCut, Kind::Nginx) => {
            return vec![
                format!("proxy_read_timeout {}s;", seconds * 2),
                format!("proxy_send_timeout {}s;", seconds * 2),
            ];
        }
        (Code::IdleCutBeforePing | Code::IdleCut, Kind::Alb) => {
            return vec![format!(
                "load balancer attribute idle_timeout.timeout_seconds = {} (default 60)",
                seconds * 2
            )];
        }
        (Code::IdleCutBeforePing | Code::IdleCut, Kind::Elb) => {
            return vec![format!("ConnectionSettings.IdleTimeout = {} (default 60)", seconds * 2)];
        }
        (Code::IdleCutBeforePing | Code::IdleCut, Kind::Nlb) => {
            &["listener attribute tcp.idle_timeout.seconds (default 350)"]
        }
        (Code::NoRedirect, Kind::Haproxy) => &["http-request redirect scheme https code 301 unless { ssl_fc }"],
        (Code::NoRedirect, Kind::Nginx) => {
            return vec![format!(
                "server {{ listen 80; server_name {host}; return 301 https://$host$request_uri; }}"
            )];
        }
        (Code::NoRedirect, Kind::Alb) => &["listener on port 80: default action redirect to HTTPS, port 443, HTTP_301"],
        (Code::RedirectLoop, Kind::Haproxy) => &[
            "http-request redirect scheme https code 301 unless { ssl_fc }  # only on the plain frontend",
            "http-request set-header X-Forwarded-Proto https if { ssl_fc }",
        ],
        (Code::RedirectLoop, Kind::Nginx) => &[
            "proxy_set_header X-Forwarded-Proto $scheme;",
            "# `return 301 https://...` in the server of port 80 alone",
        ],
        (Code::RedirectLoop, Kind::Alb | Kind::Elb) => {
            &["let the server trust X-Forwarded-Proto, which the load balancer sets"]
        }
        (
            Code::CertificateExpired
            | Code::CertificateExpiresSoon
            | Code::CertificateWrongName
            | Code::CertificateUntrusted
            | Code::ChainIncomplete,
            Kind::Haproxy,
        ) => {
            return vec![format!(
                "bind :443 ssl crt /etc/haproxy/{host}.pem  # in this order: certificate for {host}, intermediates, key"
            )];
        }
        (
            Code::CertificateExpired
            | Code::CertificateExpiresSoon
            | Code::CertificateWrongName
            | Code::CertificateUntrusted
            | Code::ChainIncomplete,
            Kind::Nginx,
        ) => {
            return vec![format!(
                "ssl_certificate /etc/nginx/{host}.fullchain.pem;  # certificate for {host} first, then the intermediates"
            )];
        }
        (Code::CertificateExpired | Code::CertificateExpiresSoon | Code::CertificateWrongName, _) => {
            &["attach a certificate of ACM for this name to the listener; ACM renews those validated by DNS"]
        }
        (Code::ChainIncomplete | Code::CertificateUntrusted, _) => {
            &["import the certificate into ACM again, with its chain"]
        }
        (Code::TlsOldVersion, Kind::Haproxy) => &["ssl-default-bind-options ssl-min-ver TLSv1.2"],
        (Code::TlsOldVersion | Code::TlsNo13, Kind::Nginx) => &["ssl_protocols TLSv1.2 TLSv1.3;"],
        (Code::TlsNo13, Kind::Haproxy) => &["ssl-default-bind-options ssl-max-ver TLSv1.3"],
        (Code::TlsOldVersion | Code::TlsNo13, Kind::Alb | Kind::Nlb) => {
            &["listener security policy ELBSecurityPolicy-TLS13-1-2-2021-06"]
        }
        (Code::NotEngineio, Kind::Haproxy) => return vec![format!("use_backend socketio if {{ path_beg {path} }}")],
        (Code::NotEngineio, Kind::Nginx) => {
            return vec![format!(
                "location {path} {{ proxy_pass http://socketio; }}  # no path behind the name: it would replace {path}"
            )];
        }
        (Code::NotEngineio, Kind::Alb) => {
            return vec![format!(
                "listener rule: path-pattern {path}* forwards to the Socket.IO target group"
            )];
        }
        (Code::UnreachableAddress, Kind::Alb | Kind::Nlb | Kind::Elb) => {
            &["point the name at the load balancer by an alias record, not at its addresses, which change"]
        }
        _ => &[],
    };
    lines.iter().map(|line| (*line).to_owned()).collect()
}

fn sticky(kind: Kind, path: &str) -> Vec<String> {
    match kind {
        Kind::Haproxy => vec![
            format!("use_backend socketio if {{ path_beg {path} }}  # polls and WebSockets in one backend; in it:"),
            "balance source".into(),
            "hash-type consistent".into(),
            "# or by cookie: `cookie SERVERID insert indirect nocache`, and `cookie NAME` at each server".into(),
        ],
        Kind::Nginx => vec![
            "upstream socketio { ip_hash; server ...; }  # one upstream for polls and WebSockets".into(),
            "# ip_hash takes a /24 for one client; finer: `hash $remote_addr consistent;`".into(),
        ],
        Kind::Alb => vec!["target group attributes stickiness.enabled = true, stickiness.type = lb_cookie (clients must keep cookies: AWSALB, AWSALBCORS)".into()],
        Kind::Nlb => vec!["target group attributes stickiness.enabled = true, stickiness.type = source_ip".into()],
        Kind::Elb => vec!["create-lb-cookie-stickiness-policy, and set-load-balancer-policies-of-listener (HTTP listeners alone)".into()],
    }
}

fn of_server(code: Code, place: &Place) -> Vec<String> {
    let lines: &[&str] = match code {
        Code::AdapterMissing => &[
            "npm install @socket.io/redis-adapter redis",
            "io.adapter(createAdapter(pubClient, subClient));  // on every server, before clients come",
        ],
        Code::WrongVersion => {
            &["new Server(http, { allowEIO3: true })  // or bring clients and server to one major version"]
        }
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
        assert!(text(Code::IdleCutBeforePing, Some(Kind::Haproxy)).contains("timeout tunnel 90s"));
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
