//! What can go wrong with a connection or a hit, as stable words.

use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// The kind of a failure. Its word is part of the report's contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum FaultKind { $($(#[$doc])* $variant,)* }

        impl FaultKind {
            /// Every kind.
            pub const ALL: &[FaultKind] = &[$(FaultKind::$variant,)*];

            /// The snake_case word of the report.
            pub fn word(self) -> &'static str {
                match self { $(FaultKind::$variant => $word,)* }
            }
        }
    };
}

kinds! {
    /// The name has no address.
    Dns = "dns",
    /// The target refused the TCP connection.
    ConnectRefused = "connect_refused",
    /// TCP, TLS and handshake took longer than `--connect-timeout`.
    ConnectTimeout = "connect_timeout",
    /// Any other failure to connect: no route, reset.
    ConnectFailed = "connect_failed",
    /// No free local port or address to connect from.
    PortExhausted = "port_exhausted",
    /// No file descriptor left on the host.
    FilesExhausted = "files_exhausted",
    /// The TLS handshake or a TLS record failed.
    Tls = "tls",
    /// A status that does not count as ok.
    HttpStatus = "http_status",
    /// No answer within `--timeout`.
    Timeout = "timeout",
    /// The server closed or reset the connection where an answer or a held connection was due.
    ClosedByServer = "closed_by_server",
    /// What came is not the protocol.
    Protocol = "protocol",
    /// Engine.IO error 1: the request reached a server that does not hold this session. Stickiness is broken.
    SessionIdUnknown = "session_id_unknown",
    /// Engine.IO error 5.
    UnsupportedProtocolVersion = "unsupported_protocol_version",
    /// A Socket.IO namespace refused the client.
    ConnectError = "connect_error",
    /// The server was not heard within pingInterval + pingTimeout.
    PingTimeout = "ping_timeout",
    /// The WebSocket upgrade was not answered by 101.
    UpgradeRefused = "upgrade_refused",
    /// An acknowledgement did not come within `--ack-timeout`.
    AckTimeout = "ack_timeout",
    /// An echo or an expected event did not come within `--timeout`.
    EchoTimeout = "echo_timeout",
    /// A redirect that leads outside the approved targets, or more of them than `--redirects` allows.
    Redirect = "redirect",
    /// An answer is not as the playbook wants it, or a value of a step cannot be made.
    Check = "check",
    /// The playbook's script failed, or said that its client has.
    Script = "script",
    /// A step of a playbook needs a socket session, and the client has none.
    NotConnected = "not_connected",
    /// The host itself failed: a local input or output error.
    Local = "local",
}

/// One failure of a connection or a hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Its kind.
    pub kind: FaultKind,
    /// What exactly, short and without anything that differs from hit to hit: a status, a close code, an errno's name.
    pub detail: String,
    /// HTTP status, where one came.
    pub status: Option<u16>,
    /// The first 512 bytes of what the server said, where it said something.
    pub excerpt: Vec<u8>,
}

impl Fault {
    /// A failure without status or body.
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            status: None,
            excerpt: Vec::new(),
        }
    }

    /// The same with what the server said, cut to 512 bytes.
    pub fn with_answer(mut self, status: u16, body: &[u8]) -> Self {
        self.status = Some(status);
        self.with_excerpt(body)
    }

    /// The same with what was said, cut to 512 bytes.
    pub fn with_excerpt(mut self, said: &[u8]) -> Self {
        self.excerpt = said[..said.len().min(512)].to_vec();
        self
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind.word(), self.detail)
    }
}

impl std::error::Error for Fault {}
