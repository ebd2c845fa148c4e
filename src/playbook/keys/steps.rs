//! The keys of steps and of what stands in them. Pure.

use super::Kind::{self, Json, Number, Or, Pairs, Spread, Switch, Table, Tables, Text, Texts, Time, Words};
use super::tables::CARRIERS;
use super::{Keys, key};

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
