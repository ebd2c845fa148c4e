//! Looking at a target instead of loading it, for `swarm check`: one order, one sight. Every order is bounded in time, and
//! every sight in bytes. Orders run side by side; only what is said over one kept WebSocket stands in a row.

use super::fault::Fault;
use super::share::{BackendFrom, Tls};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::net::{IpAddr, SocketAddr};

/// Bytes of an answer's body that a sight holds.
pub const BODY: usize = 64 * 1024;
/// Texts of a kept WebSocket that a sight holds, and bytes of each.
pub const TEXTS: usize = 128;
/// The same.
pub const TEXT: usize = 8 * 1024;
/// Orders that one agent takes in its life.
pub const ORDERS: u32 = 5000;
/// WebSockets that one agent keeps at a time.
pub const KEPT: usize = 64;

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Comes back in [`Saw`].
    pub id: u32,
    /// It is over after so long, ns.
    pub within: u64,
    /// What to do.
    pub order: Order,
}

/// One thing to do. Addresses are the controller's: an agent connects where it is told, and follows nothing by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// What the name stands for on this host.
    Resolve {
        /// A name or an address.
        host: String,
    },
    /// A TCP connection, closed at once.
    Connect(Way),
    /// A TLS handshake, whatever the certificate is like.
    Shake {
        /// With its TLS part.
        way: Way,
        /// What is offered.
        offer: Offer,
    },
    /// One request over a connection of its own.
    Exchange {
        /// The way.
        way: Way,
        /// The request.
        asked: Asked,
    },
    /// A WebSocket handshake; one that succeeds is kept.
    Open {
        /// The name that it is kept under.
        name: u32,
        /// The way.
        way: Way,
        /// The request; the headers of the upgrade come on top.
        asked: Asked,
    },
    /// Something is said over a kept WebSocket, and heard.
    Talk(Talk),
    /// A kept WebSocket is closed.
    Close {
        /// Its name.
        name: u32,
    },
}

/// Where a connection goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Way {
    /// To.
    pub to: SocketAddr,
    /// From; `None`: as the host's routes choose.
    pub source: Option<IpAddr>,
    /// Over TLS.
    pub tls: Option<TlsWay>,
}

/// TLS on a way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TlsWay {
    /// The name that is asked for and verified, unless the settings have another.
    pub host: String,
    /// Roots, certificate, `--insecure`.
    pub settings: Tls,
}

/// What a TLS handshake offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Offer {
    /// 1.2 and 1.3.
    Usual,
    /// 1.2 alone.
    Only12,
    /// 1.3 alone.
    Only13,
    /// 1.1 at most: a hello that is only looked at, no handshake.
    Old11,
    /// 1.0 at most; the same.
    Old10,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Method, upper case.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// What goes into `Host`.
    pub authority: String,
    /// Further headers, in order.
    pub headers: Vec<(String, String)>,
    /// The value of `Cookie`.
    pub cookie: Option<String>,
    /// Body.
    #[serde(with = "serde_bytes")]
    pub body: Option<Vec<u8>>,
    /// Where the answer names its backend.
    pub backend_from: BackendFrom,
}

/// Something to say and to wait for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    /// Name of the WebSocket.
    pub name: u32,
    /// Texts that are sent at once.
    pub send: Vec<String>,
    /// Texts that are answered as soon as they come: text and answer.
    pub replies: Vec<(String, String)>,
    /// A text that is sent again and again: every so many ns.
    pub every: Option<(u64, String)>,
    /// Over as soon as a text comes that begins so; else at the end of the order's time, or of the WebSocket.
    pub until: Option<String>,
}

/// What came of a [`Look`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saw {
    /// Of the look.
    pub id: u32,
    /// ns.
    pub took: u64,
    /// What was seen, or what went wrong before anything was.
    pub sight: Result<Sight, Fault>,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Sight {
    /// All addresses of the name, of both families.
    Resolved(Vec<IpAddr>),
    /// A TCP connection stood.
    Connected {
        /// Our end.
        local: IpAddr,
    },
    /// A TLS handshake, as far as it went.
    Shaken(Shaken),
    /// What an old hello was answered with.
    Old {
        /// The server would go on with that version.
        accepted: bool,
    },
    /// An answer.
    Answered(Answered),
    /// The answer to a WebSocket handshake.
    Opened {
        /// The answer.
        answered: Answered,
        /// What it means.
        upgrade: Upgrade,
    },
    /// What was heard over a WebSocket.
    Heard(Heard),
    /// It is closed.
    Closed,
}

/// A TLS handshake.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Shaken {
    /// `1.2` or `1.3`; `None`: it failed.
    pub version: Option<String>,
    /// Protocol that the server chose.
    pub alpn: Option<String>,
    /// Certificates as they were sent, DER.
    pub chain: Vec<ByteBuf>,
    /// What a client with these roots thinks of them, the name aside.
    pub trust: Option<Trust>,
    /// The first certificate is for the name that was asked for.
    pub name_fits: bool,
    /// The name that was asked for.
    pub name: String,
    /// Why the handshake failed.
    pub failed: Option<String>,
}

/// What a client thinks of a chain of certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trust {
    /// It leads to a trusted root.
    Trusted,
    /// One of it is over.
    Expired {
        /// It would be trusted otherwise.
        otherwise: bool,
    },
    /// One of it has not begun.
    NotYet,
    /// It leads to no trusted root.
    UnknownIssuer,
    /// Anything else, in words.
    Bad(String),
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Status.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// Its beginning, at most [`BODY`] bytes.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// There was more of it, or its end never came.
    pub cut: bool,
    /// Our end.
    pub local: Option<IpAddr>,
    /// Where the backend's name was found (`header:x-backend`), and the name.
    pub backend: Option<(String, String)>,
}

/// What the answer to a WebSocket handshake means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upgrade {
    /// It stands, and is kept.
    Done,
    /// The status is not 101.
    Refused,
    /// 101, but not as RFC 6455 wants it.
    Wrong(String),
}

/// What was heard over a WebSocket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Text messages, and when each of them came: ns after the order began.
    pub texts: Vec<(u64, String)>,
    /// The one that was waited for came last.
    pub found: bool,
    /// How the WebSocket ended, if it did: in words.
    pub ended: Option<String>,
    /// The end was a close frame of the server.
    pub by_frame: bool,
    /// ns.
    pub took: u64,
}
