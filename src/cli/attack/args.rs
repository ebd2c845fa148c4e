//! `swarm attack` as typed. The values are still text: what they mean, and every refusal, is in the files beside.

use crate::cli::balanced::BalancerArgs;
use crate::cli::crew_args::CrewArgs;
use std::path::PathBuf;

const AT: &str = "At what";
const HTTP: &str = "At what: http";
const SOCKETIO: &str = "At what: websocket, socketio and engineio";
const MUCH: &str = "How much";
const OUT: &str = "What comes out";

/// The flags of `swarm attack`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(
    after_help = "Totals are totals over the whole swarm. Times want a unit (500ms, 30s, 2m, 1h); rates are 500, 500/s, 6000/m, 10k; \
counts 500, 10k, 1M.\nSecrets can be given as @FILE or env:NAME: in -H, -u, -b, --auth, --query and --lb-stats-auth."
)]
pub struct AttackArgs {
    /// http(s):// or ws(s)://; several with weights: 3=https://a/x 1=https://a/y
    #[arg(value_name = "URL", help_heading = AT)]
    pub urls: Vec<String>,

    #[command(flatten)]
    pub crew: CrewArgs,

    /// A playbook: a shipped one (`swarm playbook list`), or a file when it has a / or ends in .toml; flags override it
    #[arg(long, value_name = "NAME|FILE", help_heading = AT)]
    pub playbook: Option<String>,
    /// A value of the playbook's [vars] (repeatable)
    #[arg(long, value_name = "NAME=VALUE", help_heading = AT, allow_hyphen_values = true)]
    pub set: Vec<String>,
    /// Rows for the playbook's clients, one each; the first one names the columns
    #[arg(long, value_name = "FILE", help_heading = AT)]
    pub csv: Option<PathBuf>,
    /// Clients without a row: stop opens none, wrap begins again, error refuses the plan [default: error]
    #[arg(long, value_name = "stop|wrap|error", help_heading = AT)]
    pub csv_end: Option<String>,

    /// http, websocket, socketio or engineio (Engine.IO without Socket.IO) [default: by the URL's scheme]
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
    /// keep or drop the cookies that answers set, per client [default: drop for http, else keep]
    #[arg(long, value_name = "keep|drop", help_heading = AT)]
    pub cookies: Option<String>,
    /// Accept any certificate
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
    /// Resolve names again after so long [default: once]
    #[arg(long, value_name = "T|once", help_heading = AT)]
    pub resolve_every: Option<String>,
    /// From the name to the handshake's end [default: 10s]
    #[arg(long, value_name = "T", help_heading = AT)]
    pub connect_timeout: Option<String>,
    /// A hit: a request or an echo [default: 60s]
    #[arg(short = 't', long, value_name = "T", help_heading = AT)]
    pub timeout: Option<String>,
    /// An acknowledgement [default: 10s]
    #[arg(long, value_name = "T", help_heading = AT)]
    pub ack_timeout: Option<String>,
    /// After the last hit, for what is in flight [default: the smaller of --timeout and 10s]
    #[arg(long, value_name = "T", help_heading = AT)]
    pub grace: Option<String>,
    /// Where a backend is named: header:NAME, cookie:NAME, body:/pointer, event:NAME[/pointer], message[:/pointer] [default:
    /// the usual headers and cookies]
    #[arg(long, value_name = "WHERE", help_heading = AT)]
    pub backend_from: Option<String>,
    /// Read the balancer's statistics beside the run and set its counts against ours: HAProxy's page, nginx's stub_status, or HAProxy's runtime socket as tcp://HOST:PORT or unix:/PATH; #www,api: only of these proxies
    #[arg(long, value_name = "URL", help_heading = AT)]
    pub lb_stats: Option<String>,
    /// Name and password of that page, in plain or as @FILE or env:NAME
    #[arg(long, value_name = "USER:PASS", help_heading = AT)]
    pub lb_stats_auth: Option<String>,
    /// Read these metrics of a page in Prometheus text beside the run: URL=name,name{label="x"} (repeatable)
    #[arg(long, value_name = "URL=NAMES", help_heading = AT)]
    pub watch_metrics: Vec<String>,
    #[command(flatten, next_help_heading = AT)]
    pub balanced: BalancerArgs,
    /// Where an answer tells the address that it was asked from: header:NAME or body:/pointer
    #[arg(long, value_name = "WHERE", help_heading = AT)]
    pub seen_as_from: Option<String>,
    /// You may load these targets; without it you are asked for each that is neither loopback nor private
    #[arg(long, help_heading = AT)]
    pub yes: bool,

    /// Request method [default: GET, with a body POST]
    #[arg(short = 'm', short_alias = 'X', long, value_name = "METHOD", help_heading = HTTP)]
    pub method: Option<String>,
    /// Body, or @FILE with it; means POST unless -m (also -X) says otherwise
    #[arg(short = 'd', long, value_name = "TEXT|@FILE", help_heading = HTTP, allow_hyphen_values = true)]
    pub data: Option<String>,
    /// File with the body
    #[arg(short = 'D', long, value_name = "FILE", help_heading = HTTP)]
    pub data_file: Option<PathBuf>,
    /// Content-Type of the body
    #[arg(short = 'T', long, value_name = "TYPE", help_heading = HTTP)]
    pub content_type: Option<String>,
    /// A new connection for every request
    #[arg(long, help_heading = HTTP)]
    pub no_keepalive: bool,
    /// Close a connection after so many requests
    #[arg(long, value_name = "N", help_heading = HTTP)]
    pub requests_per_connection: Option<String>,
    /// Close a connection after so long, between requests
    #[arg(long, value_name = "T", help_heading = HTTP)]
    pub connection_life: Option<String>,
    /// Redirects that one request follows at most, within the approved targets [default: 0]
    #[arg(long, value_name = "N", help_heading = HTTP)]
    pub redirects: Option<String>,
    /// Statuses that count as ok: 200-299,304 [default: 101,200-299]
    #[arg(long, value_name = "LIST", help_heading = HTTP)]
    pub ok: Option<String>,

    /// websocket, engineio: what each client sends
    #[arg(long, value_name = "TEXT|@FILE", help_heading = SOCKETIO, allow_hyphen_values = true)]
    pub message: Option<String>,
    /// websocket, engineio: as binary
    #[arg(long, help_heading = SOCKETIO)]
    pub binary: bool,
    /// websocket, engineio: wait for the next message and time it
    #[arg(long, help_heading = SOCKETIO)]
    pub echo: bool,
    /// websocket: Sec-WebSocket-Protocol
    #[arg(long, value_name = "NAME", help_heading = SOCKETIO)]
    pub subprotocol: Option<String>,
    /// Engine.IO protocol: 3 (Socket.IO 2), 4, or auto: each host asks the target once before the run [default: auto]
    #[arg(long, value_name = "auto|3|4", help_heading = SOCKETIO)]
    pub eio: Option<String>,
    /// upgrade, websocket or polling [default: upgrade, with ws(s):// websocket]
    #[arg(long, value_name = "NAME", help_heading = SOCKETIO)]
    pub transport: Option<String>,
    /// Namespace [default: the URL's path]
    #[arg(long, value_name = "NAME", help_heading = SOCKETIO)]
    pub namespace: Option<String>,
    /// Path of the endpoint [default: /socket.io/; with engineio the URL's path, else /engine.io/]
    #[arg(long, value_name = "PATH", help_heading = SOCKETIO)]
    pub path: Option<String>,
    /// Query parameter of the handshake (repeatable)
    #[arg(long, value_name = "K=V", help_heading = SOCKETIO)]
    pub query: Vec<String>,
    /// Auth payload of the namespace's CONNECT
    #[arg(long, value_name = "JSON", help_heading = SOCKETIO)]
    pub auth: Option<String>,
    /// Event to emit: 'event,json...' or '["event",{...}]' (repeatable: in turn); with --broadcast {{stamp}} in a text of it
    #[arg(long, value_name = "EVENT", help_heading = SOCKETIO)]
    pub emit: Vec<String>,
    /// Ask for an acknowledgement and time it
    #[arg(long, help_heading = SOCKETIO)]
    pub ack: bool,
    /// After an emit wait for this event and time it
    #[arg(long, value_name = "EVENT", help_heading = SOCKETIO)]
    pub expect: Option<String>,
    /// All clients listen for this event, by which the server sends on what is emitted: who hears it, and how soon
    #[arg(long, value_name = "EVENT", help_heading = SOCKETIO)]
    pub broadcast: Option<String>,
    /// With --broadcast: one client in K emits [default: 1/1]
    #[arg(long, value_name = "1/K", help_heading = SOCKETIO)]
    pub emitters: Option<String>,
    /// Repeat --message or --emit per client; without it, once after connecting
    #[arg(long, value_name = "T", help_heading = SOCKETIO)]
    pub every: Option<String>,

    /// A lost client connects again as the real client does: with the same cookies, source address and namespace. One that a server turned away (connect_error, a disconnect that the server sent) stays away
    #[arg(long, help_heading = SOCKETIO)]
    pub reconnect: bool,
    /// Before the first attempt; doubled before each further one [default: 1s]
    #[arg(long, value_name = "T", help_heading = SOCKETIO)]
    pub reconnect_delay: Option<String>,
    /// The longest delay [default: 5s]
    #[arg(long, value_name = "T", help_heading = SOCKETIO)]
    pub reconnect_delay_max: Option<String>,
    /// So much shorter or longer a delay is by chance, 0 to 1 [default: 0.5]
    #[arg(long, value_name = "0..1", help_heading = SOCKETIO)]
    pub reconnect_jitter: Option<String>,
    /// After so many failed attempts a client is lost for good [default: never]
    #[arg(long, value_name = "N", help_heading = SOCKETIO)]
    pub reconnect_attempts: Option<String>,
    /// At T after the start all clients drop their connections at once, without farewell, and come back; means --reconnect (repeatable)
    #[arg(long, value_name = "T", help_heading = SOCKETIO)]
    pub storm: Vec<String>,

    /// http: in flight at once, with -q a cap [default: 50; with -q rate x timeout, at most 10,000]; else clients held [default: 100]
    #[arg(short = 'c', long, value_name = "N", help_heading = MUCH)]
    pub connections: Option<String>,
    /// http: open loop, hits a second, latency from the due time; else messages a second in total
    #[arg(short = 'q', long, value_name = "R", help_heading = MUCH)]
    pub rate: Option<String>,
    /// Stop after N requests or messages; with -z whichever comes first
    #[arg(short = 'n', long, value_name = "N", help_heading = MUCH)]
    pub requests: Option<String>,
    /// http: measured time [default without -n: 10s]; else the whole time, ramp included
    #[arg(short = 'z', long, value_name = "T", help_heading = MUCH)]
    pub duration: Option<String>,
    /// New connections a second [default: http max; else -c over 10s, without -c 20/s]
    #[arg(long, value_name = "R|max", help_heading = MUCH)]
    pub connect_rate: Option<String>,
    /// websocket, socketio: stay so long after the planned end of the ramp [default: 10s]
    #[arg(long, value_name = "T", help_heading = MUCH)]
    pub hold: Option<String>,
    /// A ramp or plateau of the rate: T:TO or T:FROM..TO (repeatable, in order); connections:T:TO for connections
    #[arg(long, value_name = "STAGE", help_heading = MUCH)]
    pub stage: Vec<String>,
    /// http: load before, not measured, not in -z or -n
    #[arg(long, value_name = "T", help_heading = MUCH)]
    pub warmup: Option<String>,
    /// Cap on hits a second, and on connects of held clients: a plan above it runs at the cap, and says so. A closed loop has no rate to cap and is refused
    #[arg(long, value_name = "R", help_heading = MUCH)]
    pub max_rate: Option<String>,

    /// Write the report: FILE.json (repeatable)
    #[arg(short = 'o', long, value_name = "FILE", help_heading = OUT)]
    pub output: Vec<PathBuf>,
    /// stdout holds the JSON report alone
    #[arg(long, help_heading = OUT)]
    pub json: bool,
    /// Only the result and warnings
    #[arg(long, help_heading = OUT)]
    pub quiet: bool,
    /// No live line
    #[arg(long, help_heading = OUT)]
    pub no_live: bool,
    /// Print every packet of one client
    #[arg(long, help_heading = OUT)]
    pub trace_one: bool,
    /// Only print the plan; no network
    #[arg(long, help_heading = OUT)]
    pub dry_run: bool,
    /// Connect, deploy, resolve, measure clocks, check limits, then stop
    #[arg(long, help_heading = OUT)]
    pub arm_only: bool,
    /// What must hold, else exit 4: 'p99<250ms', 'errors<1%', 'ack.p95 by host<1s' (repeatable)
    #[arg(long, value_name = "RULE", help_heading = OUT)]
    pub require: Vec<String>,
    /// Any warning fails the run, exit 4
    #[arg(long, help_heading = OUT)]
    pub strict: bool,
}
