//! What clients do step by step, as a playbook says it: flows, steps, texts with values in them.
//!
//! A playbook is compiled by the controller: names are resolved to numbers, texts are cut into pieces, durations are whole
//! nanoseconds. The agent only runs it. Never here: the grammar of playbooks, running.

use serde::{Deserialize, Serialize};

/// All flows of a playbook, and what their texts refer to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Clients take these by weight: client n of the whole swarm always gets the same one.
    pub flows: Vec<Flow>,
    /// Names of the variables that steps set or capture; [`Variable::Slot`] is a place in it.
    pub slots: Vec<String>,
    /// One row of the CSV file for each client of this host, in the order of its client numbers. Empty: no file.
    pub rows: Vec<Vec<String>>,
    /// Names of its columns, as scripts know them.
    pub columns: Vec<String>,
    /// The script with hooks.
    pub script: Option<Script>,
    /// ms since 1970 by the controller's clock when this was sent: the agent reads no wall clock. The agent moves it on to
    /// the start instant when it knows that.
    pub sent_unix_ms: u64,
}

/// A script, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// File name, for messages.
    pub name: String,
    /// Its text.
    pub source: String,
}

/// What one kind of client does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// The report's name of it.
    pub name: String,
    /// Its part among the flows.
    pub weight: u32,
    /// In order. After the last one a client that is connected stays so until its end.
    pub steps: Vec<Step>,
}

/// A step in its place: what a flow is when its steps are counted through, those inside others after them.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The step.
    pub step: &'a Step,
    /// Number of the first line behind it and what is inside it.
    pub after: usize,
}

impl Flow {
    /// All steps, counted through from 0.
    pub fn lines(&self) -> Vec<Line<'_>> {
        fn walk<'a>(steps: &'a [Step], lines: &mut Vec<Line<'a>>) {
            for step in steps {
                let at = lines.len();
                lines.push(Line { step, after: at + 1 });
                walk(step.act.inside(), lines);
                lines[at].after = lines.len();
            }
        }
        let mut lines = Vec::new();
        walk(&self.steps, &mut lines);
        lines
    }
}

/// What the tries of a step are counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// As connections.
    Connections,
    /// As hits.
    Hits,
    /// It cannot fail and is not timed.
    Not,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The report's name of it: `3 emit say`, unique in its flow.
    pub label: String,
    /// What is done.
    pub act: Act,
    /// What a failure of it means.
    pub on_failure: OnFailure,
}

/// What becomes of a client whose step failed. The failure is counted in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// The next step.
    Continue,
    /// The client is done: it closes.
    End,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Act {
    /// Opens the client's socket session.
    Connect(Connect),
    /// Closes it, as a client that leaves.
    Disconnect,
    /// Drops it without farewell (or leaves) and connects again as [`Act::Connect`] did.
    Reconnect(Reconnect),
    /// Enters a further namespace.
    Join(Namespace),
    /// Emits a Socket.IO event.
    Emit(Emit),
    /// Sends a message of raw WebSocket or Engine.IO.
    Send(Send),
    /// Waits for an event or message.
    Expect(Expect),
    /// One HTTP request.
    Http(Http),
    /// Waits.
    Wait(Wait),
    /// Repeats steps by the clock.
    Every(Every),
    /// Repeats steps one after the other.
    Repeat(Repeat),
    /// Sets a variable.
    Set {
        /// Which.
        slot: u16,
        /// To what.
        value: Text,
    },
    /// Says what the script's `next_message` gives.
    Script(ScriptStep),
}

impl Act {
    /// The steps inside it.
    pub fn inside(&self) -> &[Step] {
        match self {
            Self::Every(every) => &every.steps,
            Self::Repeat(repeat) => &repeat.steps,
            _ => &[],
        }
    }

    /// What its tries are counted as. A variable that cannot be set is a failed hit.
    pub fn counted(&self) -> Counted {
        match self {
            Self::Connect(_) | Self::Reconnect(_) => Counted::Connections,
            Self::Join(_)
            | Self::Emit(_)
            | Self::Send(_)
            | Self::Expect(_)
            | Self::Http(_)
            | Self::Script(_)
            | Self::Set { .. } => Counted::Hits,
            Self::Disconnect | Self::Wait(_) | Self::Every(_) | Self::Repeat(_) => Counted::Not,
        }
    }
}

/// How a socket session is opened; what is `None` is as the share's engine has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Connect {
    /// Which target; `None`: the client's own by its number.
    pub target: Option<u16>,
    /// Path (and query) of a WebSocket, path of an Engine.IO endpoint.
    pub path: Option<Text>,
    /// Query parameters beside the engine's own; values are percent-encoded by the agent.
    pub query: Vec<(String, Text)>,
    /// Request headers beside the share's.
    pub headers: Vec<(String, Text)>,
    /// `Sec-WebSocket-Protocol`.
    pub subprotocol: Option<String>,
    /// Carrier of Socket.IO and Engine.IO.
    pub carrier: Option<super::share::Carrier>,
    /// Namespaces to enter; the first one makes the client stand. Empty: the share's.
    pub namespaces: Vec<Namespace>,
    /// ns; `None`: the share's limit.
    pub within: Option<u64>,
}

/// A namespace and what its CONNECT packet carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Namespace {
    /// `/chat`; empty in a [`Connect`]: the share's.
    pub name: String,
    /// JSON.
    pub auth: Option<Text>,
}

/// A way back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reconnect {
    /// Close the sockets without a word, as a lost network does; else leave first.
    pub abruptly: bool,
    /// So long it stays away.
    pub after: Spread,
}

/// A Socket.IO event to emit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Emit {
    /// `None`: the first one that was entered.
    pub namespace: Option<String>,
    /// `["event",args..]` as JSON; binary arguments are placeholders in it already.
    pub array: Text,
    /// Their bytes, in order.
    pub attachments: Vec<Bytes>,
    /// What answers it.
    pub answer: Answer,
}

/// Bytes of a binary argument or message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes(#[serde(with = "serde_bytes")] pub Vec<u8>);

/// What answers an emit or a sent message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Nothing: it is done when it is written.
    Written,
    /// An acknowledgement, timed as `ack`.
    Ack(Reply),
    /// An event (by its name) or a message (`None`), timed as `message`.
    Event {
        /// Name of the event; `None`: any.
        event: Option<String>,
        /// How it must be.
        reply: Reply,
    },
}

/// How an answer must be, and what is taken from it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// ns; `None`: the share's limit for it.
    pub within: Option<u64>,
    /// All must hold.
    pub checks: Vec<Check>,
    /// What is remembered of it.
    pub captures: Vec<Capture>,
}

/// One condition on an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// A JSON pointer (RFC 6901) into the answer: an acknowledgement or event is the array of its arguments (without the
    /// event's name), anything else its text read as JSON. `None`: the whole as text.
    pub pointer: Option<String>,
    /// An HTTP header (lower case) of the answer instead; never together with a pointer.
    pub header: Option<String>,
    /// What holds there.
    pub is: Is,
}

/// What must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Is {
    /// Equal to this JSON value (a text is compared as a text when there is no pointer).
    Equal(Text),
    /// Holds this text.
    Containing(Text),
    /// There is something.
    Present,
}

/// Something remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    /// Where to.
    pub slot: u16,
    /// Where from.
    pub from: From,
}

/// Where something is taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum From {
    /// A JSON pointer, as [`Check::pointer`].
    Pointer(String),
    /// An HTTP header, lower case.
    Header(String),
    /// A cookie that the answer set.
    Cookie(String),
    /// The text between two others.
    Between(String, String),
}

/// A message of raw WebSocket or Engine.IO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Send {
    /// What is sent.
    pub message: Payload,
    /// What answers it; never [`Answer::Ack`].
    pub answer: Answer,
}

/// Text or bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Payload {
    /// A text message.
    Text(Text),
    /// A binary message.
    Binary(Bytes),
}

/// An event or message that is waited for without saying anything first; one that has come since the last step counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expect {
    /// `None`: any namespace.
    pub namespace: Option<String>,
    /// Name of the event; `None`: any, or a raw message.
    pub event: Option<String>,
    /// So many of them.
    pub count: u32,
    /// How each must be; one that is not is passed over.
    pub reply: Reply,
}

/// One HTTP request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Http {
    /// Upper case.
    pub method: String,
    /// Which target; `None`: the client's own by its number.
    pub target: Option<u16>,
    /// Path and query; `None`: the target's.
    pub path: Option<Text>,
    /// Headers beside the share's.
    pub headers: Vec<(String, Text)>,
    /// Body.
    pub body: Option<Text>,
    /// Inclusive ranges of statuses that count as ok.
    pub ok: Vec<(u16, u16)>,
    /// How the answer must be.
    pub reply: Reply,
}

/// A wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Wait {
    /// So long.
    For(Spread),
    /// Until this instant of the run (ns since the start), the same on all hosts.
    Until(u64),
    /// Until this client's end.
    End,
}

/// A random duration, ns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Spread {
    /// Always the same.
    Fixed(u64),
    /// Evenly between both.
    Uniform(u64, u64),
    /// Normal, never below zero.
    Normal {
        /// ns.
        mean: u64,
        /// ns.
        deviation: u64,
    },
    /// Exponential, cut at ten times its mean.
    Exponential(u64),
}

/// Steps by the clock: round k is due k periods after the client's phase; phases are spread evenly over all clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Every {
    /// ns.
    pub period: u64,
    /// What ends it.
    pub rounds: Rounds,
    /// What is done. Its first timed step is due when the round is.
    pub steps: Vec<Step>,
}

/// Steps one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repeat {
    /// What ends it.
    pub rounds: Rounds,
    /// What is done.
    pub steps: Vec<Step>,
}

/// What ends a repetition, beside the client's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rounds {
    /// Nothing else.
    Forever,
    /// So many.
    Count(u64),
    /// So long, ns.
    For(u64),
}

/// Hands over to the script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptStep {
    /// ns between two messages, phases spread evenly; `None`: one after the other's answer.
    pub period: Option<u64>,
    /// What ends it, beside `next_message` giving nothing.
    pub rounds: Rounds,
    /// How an acknowledgement that the script asks for must be.
    pub reply: Reply,
}

/// A text with values in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text(pub Vec<Piece>);

impl Text {
    /// A text without values.
    pub fn plain(text: impl Into<String>) -> Self {
        Self(vec![Piece::Plain(text.into())])
    }

    /// The text when it holds no values.
    pub fn as_plain(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Plain(text)] => Some(text),
            _ => None,
        }
    }
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// As it stands.
    Plain(String),
    /// A value as text.
    Value(Expression),
    /// A value within a JSON string: escaped, without quotes.
    InString(Expression),
    /// A value in a place of its own in JSON: a number stays a number, a text gets quotes, captured JSON stays JSON.
    Json(Expression),
}

/// A calculation. Numbers are 64-bit signed and wrap around.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expression {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
    /// What a variable stands for.
    Variable(Variable),
    /// Two operands that must be numbers (a text that reads as one is).
    Calculation(Box<Expression>, Operator, Box<Expression>),
}

/// Between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// +
    Plus,
    /// -
    Minus,
    /// *
    Times,
    /// %: the remainder, never negative for a positive divisor. By zero it fails the step.
    Modulo,
}

/// What a value may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Variable {
    /// The client's number over the whole swarm, from 0: unique on all hosts.
    Conn,
    /// Clients of the whole swarm.
    Conns,
    /// Place of the host, from 0.
    Host,
    /// Hosts.
    Hosts,
    /// The local address that the client connects from.
    Source,
    /// ms since 1970 by the controller's clock.
    Time,
    /// ms since the start of the run.
    Elapsed,
    /// A number evenly from the first to the second, both included. From a generator of the client's own.
    Random(i64, i64),
    /// Round of the innermost repetition, from 0.
    Round,
    /// The run's name.
    Run,
    /// The backend that the client's connect named, or nothing.
    Backend,
    /// A column of the client's CSV row.
    Column(u16),
    /// Set or captured.
    Slot(u16),
    /// The stamp by which receivers of a broadcast recognise and time it.
    Stamp,
}
