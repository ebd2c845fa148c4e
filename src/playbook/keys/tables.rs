//! The keys of the file's own tables. Pure.

use super::Kind::{self, Json, Number, Or, Pairs, Switch, Table, Tables, Text, Texts, Time, Words};
use super::{Keys, STEP, flag, key, named};

const ENGINES: Kind = Words(&["http", "websocket", "socketio", "engineio"]);
pub(super) const CARRIERS: Kind = Words(&["upgrade", "websocket", "polling"]);
const VERSIONS: Kind = Or(&[Words(&["auto", "3", "4"]), Number]);

/// The file itself.
pub static TOP: Keys = Keys {
    name: "the playbook",
    keys: &[
        key("about", Text, "what it finds: the line of `swarm playbook list`"),
        named("target", "url", Texts, "the URL, or several with weights"),
        flag("engine", ENGINES, "the protocol; else by the URL's scheme"),
        key(
            "vars",
            Pairs,
            "names and their values, which --set NAME=VALUE overrides",
        ),
        key(
            "csv",
            Text,
            "a CSV file, one row a client; its first row names the columns",
        ),
        key(
            "csv-end",
            Words(&["stop", "wrap", "error"]),
            "what becomes of clients without a row: none, rows again, an error",
        ),
        key("script", Text, "a JavaScript file with hooks"),
        key("remember", Texts, "names that the script sets, for texts to use"),
        key("load", Table(&LOAD), "how much, how fast, how long"),
        key(
            "request",
            Table(&REQUEST),
            "headers, cookies and times of every request",
        ),
        key("tls", Table(&TLS), "certificates"),
        key("hosts", Table(&HOSTS), "what it needs of hosts"),
        key("watch", Table(&WATCH), "what is read beside the run"),
        key("http", Table(&HTTP), "what engine http sends, without flows"),
        key(
            "websocket",
            Table(&WEBSOCKET),
            "how engine websocket connects, what it sends without flows",
        ),
        key(
            "socketio",
            Table(&SOCKETIO),
            "how engine socketio connects, what it emits without flows",
        ),
        key(
            "engineio",
            Table(&ENGINEIO),
            "how engine engineio connects, what it sends without flows",
        ),
        key("broadcast", Table(&BROADCAST), "an event that all clients listen for"),
        key("require", Or(&[Table(&REQUIRE), Texts]), "what must hold, else exit 4"),
        key("flow", Tables(&FLOW), "what one kind of client does"),
    ],
};

/// `[load]`.
pub static LOAD: Keys = Keys {
    name: "[load]",
    keys: &[
        flag("connections", Number, "clients, or requests in flight at once"),
        flag("connect-rate", Number, "new connections a second, or max"),
        flag("hold", Time, "stay so long after the planned end of the ramp"),
        flag(
            "duration",
            Time,
            "the whole time, ramp included; http: the measured time",
        ),
        flag(
            "rate",
            Number,
            "without flows: hits a second, or messages a second in total",
        ),
        flag("requests", Number, "without flows: stop after so many"),
        flag("every", Time, "without flows: each client repeats its message"),
        named("stages", "stage", Texts, "ramps: T:TO, T:FROM..TO, connections:T:TO"),
        flag("warmup", Time, "http without flows: load before, not measured"),
        flag("max-rate", Number, "a cap on hits and connects a second"),
        flag("reconnect", Switch, "clients that are lost come back"),
        flag("reconnect-delay", Time, "first wait, doubled from try to try"),
        flag("reconnect-delay-max", Time, "longest wait"),
        flag("reconnect-jitter", Number, "part of the wait that is random, 0 to 1"),
        flag("reconnect-attempts", Number, "then it stays away"),
        named(
            "storms",
            "storm",
            Texts,
            "at these times all clients drop and come back",
        ),
    ],
};

/// `[request]`.
pub static REQUEST: Keys = Keys {
    name: "[request]",
    keys: &[
        named("headers", "header", Pairs, "headers of every request"),
        flag("user", Text, "basic authentication, NAME:PASS"),
        flag("cookie", Texts, "cookies that every client starts with, a=1; b=2"),
        flag(
            "cookies",
            Words(&["keep", "drop"]),
            "whether cookies of answers are kept",
        ),
        flag("connect-timeout", Time, "from the name to the handshake's end"),
        flag("timeout", Time, "of a hit"),
        flag("ack-timeout", Time, "of an acknowledgement"),
        flag("grace", Time, "after the end, for what is in flight"),
        flag("resolve-every", Or(&[Time, Words(&["once"])]), "resolve names again"),
        flag("connect-to", Texts, "HOST:PORT:ADDR:PORT"),
        flag(
            "backend-from",
            Text,
            "where a backend is named: header:NAME, cookie:NAME, body:/pointer, event:NAME/pointer, message:/pointer",
        ),
        flag(
            "seen-as-from",
            Text,
            "where an answer tells the address that it was asked from: header:NAME, body:/pointer",
        ),
        flag(
            "balancer",
            Text,
            "how the balancer picks a backend: haproxy-source, ...",
        ),
        flag(
            "backends",
            Or(&[Number, Text]),
            "those behind it, in its order: 4, 4:2,1,1,1, or names",
        ),
    ],
};

/// `[tls]`.
pub static TLS: Keys = Keys {
    name: "[tls]",
    keys: &[
        flag("insecure", Switch, "accept any certificate"),
        flag("cacert", Text, "more trust roots, a PEM file"),
        flag("cert", Text, "client certificate, a PEM file"),
        flag("key", Text, "its key, a PEM file"),
        flag("sni", Text, "server name to ask for and to verify"),
    ],
};

/// `[hosts]`.
pub static HOSTS: Keys = Keys {
    name: "[hosts]",
    keys: &[
        key("min", Number, "hosts that it needs to mean anything"),
        key(
            "sources",
            Number,
            "source addresses that it needs, of all hosts together",
        ),
        flag("source-ips", Texts, "addresses to connect from"),
        flag("min-hosts", Or(&[Number, Text]), "hosts that must be ready, N or P%"),
        flag("silence", Time, "an agent that hears nothing for so long stops"),
    ],
};

/// `[watch]`.
pub static WATCH: Keys = Keys {
    name: "[watch]",
    keys: &[
        flag(
            "lb-stats",
            Text,
            "the balancer's statistics: a URL, tcp://HOST:PORT or unix:/PATH",
        ),
        flag("lb-stats-auth", Text, "their USER:PASS, @FILE or env:NAME"),
        named(
            "metrics",
            "watch-metrics",
            Texts,
            "pages in Prometheus text: URL=name,name",
        ),
    ],
};

/// `[http]`.
pub static HTTP: Keys = Keys {
    name: "[http]",
    keys: &[
        flag("method", Text, "GET, POST..."),
        flag("data", Text, "body, or @FILE"),
        flag("data-file", Text, "file with the body"),
        flag("content-type", Text, "of the body"),
        flag("no-keepalive", Switch, "a connection for every request"),
        flag("requests-per-connection", Number, "then it is closed"),
        flag("connection-life", Time, "then it is closed"),
        flag("redirects", Number, "that one request follows at most"),
        flag("ok", Text, "statuses that count as ok, 200-299,304"),
    ],
};

/// `[websocket]`.
pub static WEBSOCKET: Keys = Keys {
    name: "[websocket]",
    keys: &[
        flag("subprotocol", Text, "Sec-WebSocket-Protocol"),
        flag("message", Text, "what each client sends, or @FILE"),
        flag("binary", Switch, "as binary"),
        flag("echo", Switch, "wait for the next message and time it"),
    ],
};

/// `[socketio]`.
pub static SOCKETIO: Keys = Keys {
    name: "[socketio]",
    keys: &[
        flag("eio", VERSIONS, "version of Engine.IO: auto, 3, 4"),
        flag("transport", CARRIERS, "its way"),
        flag("namespace", Text, "/chat"),
        flag("path", Text, "of the endpoint, /socket.io/"),
        flag("query", Pairs, "parameters of the handshake"),
        flag("auth", Json, "payload of CONNECT"),
        flag(
            "emit",
            Json,
            "'event,json', or a list ['event', ...], or a list of such lists",
        ),
        flag("ack", Switch, "ask for an acknowledgement and time it"),
        flag("expect", Text, "wait for this event after an emit and time it"),
    ],
};

/// `[engineio]`.
pub static ENGINEIO: Keys = Keys {
    name: "[engineio]",
    keys: &[
        flag("eio", VERSIONS, "version of Engine.IO: auto, 3, 4"),
        flag("transport", CARRIERS, "its way"),
        flag("path", Text, "of the endpoint, /engine.io/"),
        flag("query", Pairs, "parameters of the handshake"),
        flag("message", Text, "what each client sends, or @FILE"),
        flag("binary", Switch, "as binary"),
        flag("echo", Switch, "wait for the next message and time it"),
    ],
};

/// `[broadcast]`.
pub static BROADCAST: Keys = Keys {
    name: "[broadcast]",
    keys: &[
        key("event", Text, "the event by which a broadcast reaches the listeners"),
        key("emitters", Text, "without flows: 1/K of the clients emit"),
    ],
};

/// `[require]`.
pub static REQUIRE: Keys = Keys {
    name: "[require]",
    keys: &[
        named("pass", "require", Texts, "rules, each as --require has it"),
        flag("strict", Switch, "any warning fails the run"),
    ],
};

/// `[[flow]]`.
pub static FLOW: Keys = Keys {
    name: "[[flow]]",
    keys: &[
        key("name", Text, "the report's name of it"),
        key("weight", Number, "its part among the flows"),
        key("steps", Tables(&STEP), "what is done, in order"),
        key("step", Tables(&STEP), "the same, one [[flow.step]] each"),
    ],
};
