//! Every key that a playbook may have: its place, the kind of its value, the flag that it stands for. The grammar's one
//! table: reading, the messages about wrong keys, the JSON Schema and the check of the documentation follow from it. Pure.

/// A table of a playbook.
#[derive(Debug)]
pub struct Keys {
    /// As messages and the schema name it: `[load]`, `emit`.
    pub name: &'static str,
    /// What it may hold.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// The long flag that it stands for.
    pub flag: Option<&'static str>,
    /// What it means, in a few words.
    pub about: &'static str,
}

/// What a value may be. Wherever a text, number or switch is wanted a text with `{{...}}` will do.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A text.
    Text,
    /// true or false.
    Switch,
    /// A number, or a text with a unit (`10k`, `500/s`).
    Number,
    /// A time with its unit.
    Time,
    /// A time or a distribution of times.
    Spread,
    /// Anything that JSON can say.
    Json,
    /// One text or several.
    Texts,
    /// Named texts.
    Pairs,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A table of its own.
    Table(&'static Keys),
    /// Several of them.
    Tables(&'static Keys),
    /// One of these.
    Or(&'static [Kind]),
}

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        name,
        kind,
        flag: None,
        about,
    }
}

/// A key that is a flag by the flag's own long name.
const fn flag(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        name,
        kind,
        flag: Some(name),
        about,
    }
}

/// A key that is a flag of another name.
const fn named(name: &'static str, long: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        name,
        kind,
        flag: Some(long),
        about,
    }
}

use Kind::{Json, Number, Or, Pairs, Spread, Switch, Table, Tables, Text, Texts, Time, Words};

const ENGINES: Kind = Words(&["http", "websocket", "socketio", "engineio"]);
const CARRIERS: Kind = Words(&["upgrade", "websocket", "polling"]);
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
            Kind::Pairs,
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
        key("reconnect", Switch, "clients that are lost come back"),
        key("reconnect-delay", Time, "first wait, doubled from try to try"),
        key("reconnect-delay-max", Time, "longest wait"),
        key("reconnect-jitter", Number, "part of the wait that is random, 0 to 1"),
        key("reconnect-attempts", Number, "then it stays away"),
        key("storms", Texts, "at these times all clients drop and come back"),
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
            "where an answer names its backend: header:NAME, cookie:NAME",
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

/// A step: one act, and what is said about it.
pub static STEP: Keys = Keys {
    name: "a step",
    keys: &[
        key(
            "name",
            Text,
            "the report's name of it; else number, act and what it names",
        ),
        key(
            "on-failure",
            Words(&["continue", "end"]),
            "next step, or the client is done",
        ),
        key("connect", Or(&[Switch, Table(&CONNECT)]), "open the socket"),
        key("join", Or(&[Text, Table(&JOIN)]), "enter a further namespace"),
        key("emit", Or(&[Text, Json, Table(&EMIT)]), "emit a Socket.IO event"),
        key(
            "send",
            Or(&[Text, Table(&SEND)]),
            "send a WebSocket or Engine.IO message",
        ),
        key(
            "expect",
            Or(&[Text, Switch, Table(&EXPECT)]),
            "wait for an event or message",
        ),
        key("http", Or(&[Text, Table(&REQUEST_STEP)]), "one HTTP request"),
        key("wait", Or(&[Time, Table(&WAIT)]), "so long, or until the end"),
        key("think", Spread, "a pause, random if it says so"),
        key("every", Table(&EVERY), "steps by the clock"),
        key("repeat", Table(&REPEAT), "steps one after the other"),
        key("set", Pairs, "remember texts under names"),
        key("script", Or(&[Switch, Table(&SCRIPT)]), "say what next_message gives"),
        key("disconnect", Switch, "leave"),
        key(
            "reconnect",
            Or(&[Switch, Table(&RECONNECT)]),
            "leave or drop, and connect again",
        ),
    ],
};

/// The keys of [`STEP`] that are said about an act.
pub const ABOUT_A_STEP: [&str; 2] = ["name", "on-failure"];

/// `connect`.
pub static CONNECT: Keys = Keys {
    name: "connect",
    keys: &[
        key("target", Text, "https://HOST:PORT of another server"),
        key("path", Text, "of a WebSocket, of the endpoint"),
        key("query", Pairs, "further parameters"),
        key("headers", Pairs, "further headers"),
        key("subprotocol", Text, "Sec-WebSocket-Protocol"),
        key("transport", CARRIERS, "its way"),
        key("namespace", Text, "the first one to enter"),
        key("auth", Json, "its payload"),
        key("namespaces", Tables(&JOIN), "several to enter"),
        key("timeout", Time, "from the name to the handshake's end"),
    ],
};

/// `join`.
pub static JOIN: Keys = Keys {
    name: "join",
    keys: &[
        key("namespace", Text, "/chat"),
        key("auth", Json, "payload of its CONNECT"),
    ],
};

const CHECKS: Kind = Or(&[Table(&CHECK), Tables(&CHECK)]);
const CAPTURE_TABLE: &str =
    "names and where they are taken from: a JSON pointer, header:NAME, cookie:NAME, { between = ['a', 'b'] }";

/// `emit`.
pub static EMIT: Keys = Keys {
    name: "emit",
    keys: &[
        key("event", Text, "its name"),
        key(
            "args",
            Json,
            "a list of arguments; { '$base64' = '...' } is a binary one",
        ),
        key("json", Text, "the whole as JSON text, ['event', ...]"),
        key("namespace", Text, "one that was entered; else the first"),
        key("ack", Switch, "ask for an acknowledgement"),
        key("answer", Text, "the event that answers it"),
        key("timeout", Time, "of the answer"),
        key("check", CHECKS, "how the answer must be"),
        key("capture", Pairs, CAPTURE_TABLE),
    ],
};

/// `send`.
pub static SEND: Keys = Keys {
    name: "send",
    keys: &[
        key("text", Text, "a text message"),
        key("json", Json, "a text message of this JSON"),
        key("base64", Text, "a binary message"),
        key("answer", Switch, "the next message answers it"),
        key("timeout", Time, "of the answer"),
        key("check", CHECKS, "how the answer must be"),
        key("capture", Pairs, CAPTURE_TABLE),
    ],
};

/// `expect`.
pub static EXPECT: Keys = Keys {
    name: "expect",
    keys: &[
        key("event", Text, "its name; without one any, or a message"),
        key("namespace", Text, "of the event; else any"),
        key("count", Number, "so many of them"),
        key("timeout", Time, "for all of them"),
        key("check", CHECKS, "how each must be; others are passed over"),
        key("capture", Pairs, CAPTURE_TABLE),
    ],
};

/// `http` as a step.
pub static REQUEST_STEP: Keys = Keys {
    name: "http",
    keys: &[
        key("url", Text, "/path on the client's own target, or a whole URL"),
        key("method", Text, "GET, with a body POST"),
        key("headers", Pairs, "further headers"),
        key("body", Text, "body as text"),
        key("json", Json, "body as JSON"),
        key("form", Pairs, "body as a form"),
        key(
            "ok",
            Or(&[Text, Number]),
            "statuses that count as ok, 200-299,304; 101,200-299 unless said",
        ),
        key("timeout", Time, "of the answer"),
        key("check", CHECKS, "how the answer must be"),
        key("capture", Pairs, CAPTURE_TABLE),
    ],
};

/// `wait` as a table.
pub static WAIT: Keys = Keys {
    name: "wait",
    keys: &[key("until", Time, "this instant of the run, the same on all hosts")],
};

/// A distribution of times.
pub static SPREAD: Keys = Keys {
    name: "a random time",
    keys: &[
        key("from", Time, "evenly from here"),
        key("to", Time, "to here"),
        key("mean", Time, "normal around it, never below zero"),
        key("deviation", Time, "of the normal one"),
        key("exponential", Time, "mean of an exponential one, cut at ten times it"),
    ],
};

/// `every`.
pub static EVERY: Keys = Keys {
    name: "every",
    keys: &[
        key("period", Time, "from round to round, phases spread over all clients"),
        key("times", Number, "so many rounds"),
        key("for", Time, "so long"),
        key("steps", Tables(&STEP), "what is done"),
    ],
};

/// `repeat`.
pub static REPEAT: Keys = Keys {
    name: "repeat",
    keys: &[
        key("times", Number, "so many rounds"),
        key("for", Time, "so long"),
        key("steps", Tables(&STEP), "what is done"),
    ],
};

/// `script` as a step.
pub static SCRIPT: Keys = Keys {
    name: "script",
    keys: &[
        key("period", Time, "between two messages, phases spread over all clients"),
        key("times", Number, "so many messages"),
        key("for", Time, "so long"),
        key("timeout", Time, "of an acknowledgement"),
        key("check", CHECKS, "how an acknowledgement must be"),
        key("capture", Pairs, CAPTURE_TABLE),
    ],
};

/// `reconnect` as a step.
pub static RECONNECT: Keys = Keys {
    name: "reconnect",
    keys: &[
        key("abruptly", Switch, "without a word, as a lost network does"),
        key("after", Spread, "so long away"),
    ],
};

/// A condition on an answer.
pub static CHECK: Keys = Keys {
    name: "check",
    keys: &[
        key("pointer", Text, "JSON pointer into the answer; else the whole as text"),
        key("header", Text, "a header of an HTTP answer instead"),
        key("equal", Json, "the value that must be there"),
        key("containing", Text, "a text that must be in it"),
    ],
};

/// Where a captured value is taken from, as a table.
pub static CAPTURE: Keys = Keys {
    name: "capture",
    keys: &[
        key("pointer", Text, "JSON pointer into the answer"),
        key("header", Text, "a header of an HTTP answer"),
        key("cookie", Text, "a cookie that an HTTP answer set"),
        key("between", Texts, "the text between these two"),
    ],
};

/// Every table, for looking a key up and for the documentation.
pub static ALL: [&Keys; 25] = [
    &TOP,
    &LOAD,
    &REQUEST,
    &TLS,
    &HOSTS,
    &HTTP,
    &WEBSOCKET,
    &SOCKETIO,
    &ENGINEIO,
    &BROADCAST,
    &REQUIRE,
    &FLOW,
    &STEP,
    &CONNECT,
    &JOIN,
    &EMIT,
    &SEND,
    &EXPECT,
    &REQUEST_STEP,
    &WAIT,
    &SPREAD,
    &EVERY,
    &REPEAT,
    &SCRIPT,
    &RECONNECT,
];

/// The two tables that stand inside answers.
pub static INSIDE: [&Keys; 2] = [&CHECK, &CAPTURE];

impl Keys {
    /// The key of this name.
    pub fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// What to say about a key that a table does not have: where it belongs, or the nearest one that it has.
pub fn unknown(here: &Keys, wrong: &str) -> String {
    let elsewhere: Vec<&str> = ALL
        .iter()
        .chain(&INSIDE)
        .filter(|keys| keys.find(wrong).is_some())
        .map(|keys| keys.name)
        .collect();
    let near = super::nearest::nearest(wrong, here.keys.iter().map(|key| key.name));
    let place = |keys: &str| match keys {
        "the playbook" => "to the top of the file, before the first [table]".to_string(),
        "a step" => "to a step".to_string(),
        name => format!("into {name}"),
    };
    let hint = match (near, elsewhere.as_slice()) {
        (Some(near), []) => format!("did you mean `{near}`?"),
        (_, [_, ..]) => {
            let places: Vec<String> = elsewhere.iter().take(3).map(|name| place(name)).collect();
            format!("it belongs {}", places.join(" or "))
        }
        (None, []) => {
            let there: Vec<&str> = here.keys.iter().map(|key| key.name).collect();
            format!("there are {}", there.join(", "))
        }
    };
    format!("{} has no key `{wrong}`: {hint}", here.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_keys_are_sent_where_they_belong() {
        for (here, wrong, says) in [
            (
                &LOAD,
                "conections",
                "[load] has no key `conections`: did you mean `connections`?",
            ),
            (&TOP, "connections", "it belongs into [load]"),
            (&LOAD, "about", "it belongs to the top of the file"),
            (&EMIT, "emit", "it belongs"),
            (&HOSTS, "xyzzy", "there are min, sources"),
        ] {
            let text = unknown(here, wrong);
            assert!(text.contains(says), "{text}");
        }
    }

    #[test]
    fn no_table_has_a_key_twice() {
        for table in ALL.iter().chain(&INSIDE) {
            for (place, key) in table.keys.iter().enumerate() {
                assert!(
                    !table.keys[..place].iter().any(|other| other.name == key.name),
                    "{}",
                    key.name
                );
                assert!(!key.about.is_empty());
            }
        }
    }
}
