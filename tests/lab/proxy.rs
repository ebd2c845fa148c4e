//! Owns: the balancers in front of the servers: HAProxy as four teams had it (source hash for Socket.IO), variants of
//! it, nginx with ip_hash, and their certificates. Must not: start the servers behind them.

use crate::Result;
use crate::net::BRIDGE_ADDRESS;
use crate::process::{Daemon, run, wait_until};
use crate::server::{ALONE, RARE_PINGS, SOCKETIO, WEBSOCKET, at};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// HAProxy, source hash for Socket.IO, the rest round robin.
pub const STICKY: u16 = 17080;
/// HAProxy, round robin for everything.
pub const ROUND_ROBIN: u16 = 17081;
/// HAProxy, sticky by the cookie SERVERID.
pub const COOKIE: u16 = 17082;
/// nginx, ip_hash.
pub const IP_HASH: u16 = 17083;
/// HAProxy, source hash as STICKY, but with health checks every half second: a stopped server is left out.
pub const CHECKED: u16 = 17084;
/// HAProxy, source hash over the servers without an adapter (`ALONE`; wants `servers.others()`).
pub const WITHOUT_ADAPTER: u16 = 17085;
/// HAProxy, every request is sent on to the same path at TLS_CA, with 301 or 308.
pub const TO_HTTPS_301: u16 = 17086;
pub const TO_HTTPS_308: u16 = 17087;
/// HAProxy that cuts what is silent for SHORT, before the plain WebSocket server, which does not ping.
pub const SHORT_WEBSOCKET: u16 = 17088;
/// The same before Socket.IO that pings every 2 s (SOCKETIO) and every 10 s (RARE_PINGS; wants `servers.others()`).
pub const SHORT_OFTEN: u16 = 17089;
pub const SHORT_RARELY: u16 = 17090;
pub const SHORT: Duration = Duration::from_secs(3);
/// HAProxy's runtime socket (`show stat` alone), on loopback; its path is [`Proxies::socket`].
pub const RUNTIME: u16 = 17091;
/// nginx's stub_status, at `/status`.
pub const STUB_STATUS: u16 = 17092;
/// HAProxy, source hash for everything, that tells each client in X-Client as whom it sees it; and the same behind a relay of
/// TCP, which is all that it sees then.
pub const SEEN: u16 = 17095;
pub const SEEN_SHARED: u16 = 17096;
/// As STICKY, over TLS with a self-signed certificate for the bridge's address and localhost.
pub const TLS: u16 = 17443;
/// TLS that answers only to the name SNI_NAME, with a certificate of the lab's own authority.
pub const TLS_SNI: u16 = 17444;
/// As STICKY, over TLS with a certificate of the lab's authority for the bridge's address and localhost.
pub const TLS_CA: u16 = 17445;
pub const SNI_NAME: &str = "chat.lab.test";

pub struct Proxies {
    _daemons: Vec<Daemon>,
    pub certificates: Certificates,
    /// HAProxy's runtime socket.
    pub socket: PathBuf,
}

pub struct Certificates {
    /// The self-signed certificate itself, for `--cacert`.
    pub own: PathBuf,
    /// The lab's authority, which signed those of TLS_SNI and TLS_CA.
    pub authority: PathBuf,
}

impl Proxies {
    pub fn start(lab: &Path) -> Result<Self> {
        let certificates = make_certificates(lab)?;
        let haproxy = lab.join("haproxy.cfg");
        std::fs::write(&haproxy, haproxy_config(lab)? + &haproxy_more()?)?;
        let nginx = lab.join("nginx.conf");
        std::fs::write(&nginx, nginx_config(lab)?)?;
        let daemons = vec![
            Daemon::start(
                lab,
                "haproxy",
                Command::new("haproxy").arg("-db").arg("-f").arg(haproxy),
            )?,
            Daemon::start(
                lab,
                "nginx",
                Command::new("nginx")
                    .arg("-c")
                    .arg(nginx)
                    .arg("-p")
                    .arg(lab)
                    .args(["-g", "daemon off;"]),
            )?,
        ];
        Ok(Self {
            _daemons: daemons,
            certificates,
            socket: socket(lab),
        })
    }

    /// Waits until the balancer at CHECKED has all servers in: one that an earlier case stopped is out for a second yet.
    pub fn wait_checked(&self) -> Result {
        wait_until("HAProxy to see all servers", Duration::from_secs(10), || {
            let text = statistics()?;
            let up = |name: &str| {
                text.lines()
                    .any(|line| line.starts_with(&format!("checked,{name},")) && line.contains(",UP,"))
            };
            Ok(SOCKETIO.iter().all(|(name, _)| up(name)))
        })
    }

    pub fn wait_ready(&self) -> Result {
        // HAProxy listens on all of its ports at once.
        for port in [STICKY, SHORT_RARELY, IP_HASH, TLS_CA] {
            let address = at(port)?;
            wait_until(&format!("a balancer on {port}"), Duration::from_secs(10), || {
                Ok(TcpStream::connect(address).is_ok())
            })?;
        }
        Ok(())
    }
}

fn socket(lab: &Path) -> PathBuf {
    lab.join("haproxy.sock")
}

/// What HAProxy's runtime socket says of all servers, as CSV.
pub fn statistics() -> Result<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", RUNTIME))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.write_all(b"show stat\n")?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    Ok(text)
}

/// `http://BRIDGE:PORT/path`
pub fn url(scheme: &str, port: u16, path: &str) -> String {
    format!("{scheme}://{BRIDGE_ADDRESS}:{port}{path}")
}

fn binds(port: u16) -> String {
    format!("  bind {BRIDGE_ADDRESS}:{port}\n  bind 127.0.0.1:{port}\n")
}

fn server_lines(servers: &[(&str, u16)]) -> Result<String> {
    let mut lines = String::new();
    for (name, port) in servers {
        writeln!(lines, "  server {name} {BRIDGE_ADDRESS}:{port} maxconn 1024")?;
    }
    Ok(lines)
}

fn haproxy_config(lab: &Path) -> Result<String> {
    let servers = server_lines(&SOCKETIO)?;
    let mut cookie_servers = String::new();
    for (name, port) in SOCKETIO {
        writeln!(
            cookie_servers,
            "  server {name} {BRIDGE_ADDRESS}:{port} maxconn 1024 cookie {name}"
        )?;
    }
    let socket = socket(lab);
    let socket = socket.display();
    let lab = lab.display();
    Ok(format!(
        "global
  maxconn 8000
  stats socket {socket} mode 600 level user
  stats socket ipv4@127.0.0.1:{RUNTIME} level user
defaults
  mode http
  maxconn 8000
  option forwardfor
  option http-server-close
  timeout connect 5s
  timeout queue 5s
  timeout client 50s
  timeout server 50s
  timeout tunnel 1h

frontend web
{sticky}  bind {BRIDGE_ADDRESS}:{TLS} ssl crt {lab}/own.pem
  bind 127.0.0.1:{TLS} ssl crt {lab}/own.pem
  bind {BRIDGE_ADDRESS}:{TLS_CA} ssl crt {lab}/signed.pem
  bind 127.0.0.1:{TLS_CA} ssl crt {lab}/signed.pem
  bind {BRIDGE_ADDRESS}:{TLS_SNI} ssl strict-sni crt {lab}/sni.pem
  stats enable
  stats uri /haproxy?stats
  stats auth swarm:lab
  acl is_websocket path_beg /socket.io
  acl is_websocket hdr(Upgrade) -i WebSocket
  use_backend websockets if is_websocket
  default_backend www

frontend not_sticky
{round_robin}  default_backend www

frontend by_cookie
{cookie}  default_backend cookies

backend websockets
  balance source
{servers}
backend www
  balance roundrobin
{servers}
backend cookies
  balance roundrobin
  cookie SERVERID insert indirect nocache
{cookie_servers}",
        sticky = binds(STICKY),
        round_robin = binds(ROUND_ROBIN),
        cookie = binds(COOKIE),
    ))
}

/// The listeners that few cases want.
fn haproxy_more() -> Result<String> {
    let mut out = String::new();
    for (name, port, before, servers) in [
        (
            "checked",
            CHECKED,
            "  option redispatch\n  default-server check inter 500ms fall 2 rise 2\n",
            &SOCKETIO[..],
        ),
        ("without_adapter", WITHOUT_ADAPTER, "", &ALONE),
    ] {
        write!(
            out,
            "frontend {name}\n{}  default_backend {name}\nbackend {name}\n  balance source\n{before}{}",
            binds(port),
            server_lines(servers)?
        )?;
    }
    write!(
        out,
        "frontend seen\n{}  default_backend seen\nbackend seen\n  balance source\n  http-response set-header X-Client \
         %[src]\n{}listen seen_shared\n  mode tcp\n{}  server seen {BRIDGE_ADDRESS}:{SEEN}\n",
        binds(SEEN),
        server_lines(&SOCKETIO)?,
        binds(SEEN_SHARED)
    )?;
    for (code, port) in [(301, TO_HTTPS_301), (308, TO_HTTPS_308)] {
        writeln!(
            out,
            "frontend to_https_{code}\n{}  http-request redirect prefix https://{BRIDGE_ADDRESS}:{TLS_CA} code {code}",
            binds(port)
        )?;
    }
    let short = SHORT.as_secs();
    for (name, port, servers) in [
        ("short_websocket", SHORT_WEBSOCKET, &[WEBSOCKET][..]),
        ("short_often", SHORT_OFTEN, &SOCKETIO),
        ("short_rarely", SHORT_RARELY, &[RARE_PINGS]),
    ] {
        write!(
            out,
            "frontend {name}\n{}  timeout client {short}s\n  default_backend {name}\nbackend {name}\n  balance source\n  \
             timeout server {short}s\n  timeout tunnel {short}s\n{}",
            binds(port),
            server_lines(servers)?
        )?;
    }
    Ok(out)
}

fn nginx_config(lab: &Path) -> Result<String> {
    let mut servers = String::new();
    for (_, port) in SOCKETIO {
        writeln!(servers, "    server {BRIDGE_ADDRESS}:{port};")?;
    }
    let lab = lab.display();
    Ok(format!(
        "user root;
worker_processes 1;
error_log {lab}/nginx.error.log;
pid {lab}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {lab}/nginx-body; proxy_temp_path {lab}/nginx-proxy; fastcgi_temp_path {lab}/nginx-f;
  uwsgi_temp_path {lab}/nginx-u; scgi_temp_path {lab}/nginx-s;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream nodes {{
    ip_hash;
{servers}  }}
  server {{
    listen {BRIDGE_ADDRESS}:{IP_HASH};
    location / {{
      proxy_pass http://nodes;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }}
  }}
  server {{
    listen {BRIDGE_ADDRESS}:{STUB_STATUS};
    location = /status {{ stub_status; }}
  }}
}}
"
    ))
}

fn make_certificates(lab: &Path) -> Result<Certificates> {
    let at = lab.display();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    // CA:FALSE: a server's own certificate, not an authority's, which strict verifiers refuse to see in this place.
    run(Command::new("sh").arg("-ec").arg(format!(
        "cd {at}
         openssl req -x509 {key} -subj /CN=lab -keyout own.key -out own.crt \
           -addext basicConstraints=critical,CA:FALSE \
           -addext subjectAltName=IP:{BRIDGE_ADDRESS},IP:127.0.0.1,DNS:localhost 2>openssl.log
         openssl req -x509 {key} -subj /CN=lab-authority -keyout ca.key -out ca.crt 2>>openssl.log
         printf 'basicConstraints=CA:FALSE\\nsubjectAltName=IP:{BRIDGE_ADDRESS},IP:127.0.0.1,DNS:localhost\\n' > signed.ext
         openssl req {key} -subj /CN=lab-signed -keyout signed.key -out signed.csr 2>>openssl.log
         openssl x509 -req -in signed.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile signed.ext -out signed.crt 2>>openssl.log
         cat signed.crt signed.key > signed.pem
         printf 'basicConstraints=CA:FALSE\\nsubjectAltName=DNS:{SNI_NAME}\\n' > sni.ext
         openssl req {key} -subj /CN={SNI_NAME} -keyout sni.key -out sni.csr 2>>openssl.log
         openssl x509 -req -in sni.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile sni.ext -out sni.crt 2>>openssl.log
         cat own.crt own.key > own.pem
         cat sni.crt sni.key > sni.pem"
    )))?;
    Ok(Certificates {
        own: lab.join("own.crt"),
        authority: lab.join("ca.crt"),
    })
}
