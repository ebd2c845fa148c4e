//! `swarm check` as typed. The values are still text: most of them mean what they mean to `attack`, whose code reads them.

use crate::cli::crew_args::CrewArgs;
use std::path::PathBuf;

const AT: &str = "At what";
const STEPS: &str = "What is looked at";
const OUT: &str = "What comes out";

/// The flags of `swarm check`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(
    after_help = "No load: about a hundred connections at most, one after the other but for a few. A second source address (--source-ips, --hosts) is what \
tells stickiness by source address from one backend.\nExit code: 0 when nothing fails, 4 when a step fails, 6 when the target was not reached."
)]
pub struct CheckArgs {
    /// http(s):// or ws(s)://
    #[arg(value_name = "URL", help_heading = AT)]
    pub url: Option<String>,

    #[command(flatten)]
    pub crew: CrewArgs,

    /// http, websocket, socketio or engineio [default: by the URL's scheme]
    #[arg(long, value_name = "NAME", help_heading = AT)]
    pub engine: Option<String>,
    /// The engine is socketio: the URL's path is the namespace, wss:// means transport websocket
    #[arg(long, help_heading = AT)]
    pub socketio: bool,
    /// A header of every request: 'Name: value' (repeatable), or @FILE with one a line
    #[arg(short = 'H', long, value_name = "HEADER", help_heading = AT, allow_hyphen_values = true)]
    pub header: Vec<String>,
    /// Basic authentication
    #[arg(short = 'u', long, value_name = "NAME:PASS", help_heading = AT)]
    pub user: Option<String>,
    /// Cookies that every client starts with: 'a=1; b=2'
    #[arg(short = 'b', long, value_name = "COOKIES", help_heading = AT)]
    pub cookie: Vec<String>,
    /// keep or drop the cookies that answers set, as clients do [default: keep, as a browser]
    #[arg(long, value_name = "keep|drop", help_heading = AT)]
    pub cookies: Option<String>,
    /// Accept any certificate; the certificate step looks at it all the same
    #[arg(short = 'k', long, help_heading = AT)]
    pub insecure: bool,
    /// More trust roots, PEM
    #[arg(long, value_name = "FILE", help_heading = AT)]
    pub cacert: Option<PathBuf>,
    /// Client certificate, PEM
    #[arg(long, value_name = "FILE", help_heading = AT)]
    pub cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, alias = "cert-key", value_name = "FILE", help_heading = AT)]
    pub key: Option<PathBuf>,
    /// Server name to ask for and to verify instead of the URL's
    #[arg(long, value_name = "NAME", help_heading = AT)]
    pub sni: Option<String>,
    /// For the first two connect to the last two instead (repeatable)
    #[arg(long, value_name = "HOST:PORT:ADDR:PORT", help_heading = AT)]
    pub connect_to: Vec<String>,
    /// One request, connection included [default: 10s]
    #[arg(long, value_name = "T", help_heading = AT)]
    pub connect_timeout: Option<String>,
    /// Where an answer names its backend: header:NAME, cookie:NAME or body:/POINTER [default: the usual ones]
    #[arg(long, value_name = "WHERE", help_heading = AT)]
    pub backend_from: Option<String>,
    /// Engine.IO protocol of the clients: 3 (Socket.IO 2), 4, or auto: what the server speaks [default: auto]
    #[arg(long, value_name = "auto|3|4", help_heading = AT)]
    pub eio: Option<String>,
    /// What clients do: upgrade, websocket or polling [default: upgrade, with ws(s):// websocket]
    #[arg(long, value_name = "NAME", help_heading = AT)]
    pub transport: Option<String>,
    /// Namespace [default: the URL's path]
    #[arg(long, value_name = "NAME", help_heading = AT)]
    pub namespace: Option<String>,
    /// Path of the endpoint [default: /socket.io/; with engineio the URL's path, else /engine.io/]
    #[arg(long, value_name = "PATH", help_heading = AT)]
    pub path: Option<String>,
    /// Query parameter of the handshake (repeatable)
    #[arg(long, value_name = "K=V", help_heading = AT)]
    pub query: Vec<String>,
    /// Auth payload of the namespace's CONNECT
    #[arg(long, value_name = "JSON", help_heading = AT)]
    pub auth: Option<String>,
    /// You may look at this target; without it you are asked when it is neither loopback nor private
    #[arg(long, help_heading = AT)]
    pub yes: bool,

    /// The balancer, for the lines that mend what is found: haproxy, nginx, alb, nlb or elb [default: what answers give away]
    #[arg(long, value_name = "NAME", help_heading = STEPS)]
    pub balancer: Option<String>,
    /// Watch quiet connections for so long: does a client that only keeps its heartbeat stay?
    #[arg(long, value_name = "T", help_heading = STEPS)]
    pub idle: Option<String>,
    /// A WebSocket that is watched in silence; with --idle
    #[arg(long, value_name = "PATH", help_heading = STEPS)]
    pub idle_path: Option<String>,
    /// socketio: an event to emit: 'event,json...' or '["event",{...}]'; with --broadcast
    #[arg(long, value_name = "EVENT", help_heading = STEPS)]
    pub emit: Option<String>,
    /// socketio: the event by which all clients hear of it, or, without --emit, both events: do clients on different backends hear each other?
    #[arg(long, value_name = "[EMITTED,]HEARD", help_heading = STEPS)]
    pub broadcast: Option<String>,

    /// stdout holds JSON alone
    #[arg(long, help_heading = OUT)]
    pub json: bool,
}
