//! What is to be checked, as the command line says it. Pure.

use super::balancer::Kind;
use std::time::Duration;
use swarm_agent::wire::share::{BackendFrom, Eio, Request, Target, Tls, Version};

/// What the clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// HTTP.
    Http,
    /// WebSocket.
    Websocket,
    /// Socket.IO.
    Socketio,
    /// Engine.IO without Socket.IO in it.
    Engineio,
}

impl Speech {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Websocket => "websocket",
            Self::Socketio => "socketio",
            Self::Engineio => "engineio",
        }
    }

    /// Whether it is carried by Engine.IO.
    pub fn is_engineio(self) -> bool {
        matches!(self, Self::Socketio | Self::Engineio)
    }
}

/// What is to be checked.
#[derive(Debug, Clone)]
pub struct Aim {
    /// The target.
    pub target: Target,
    /// Plain http on port 80 of the same host, where the target is on TLS.
    pub twin: Option<Target>,
    /// What the clients speak.
    pub speech: Speech,
    /// Path of the Engine.IO endpoint.
    pub endpoint: String,
    /// Its query parameters beside the protocol's own.
    pub query: Vec<String>,
    /// Namespace of Socket.IO.
    pub namespace: String,
    /// Its auth payload, JSON.
    pub auth: Option<String>,
    /// Version of Engine.IO.
    pub version: Eio,
    /// Clients poll.
    pub polls: bool,
    /// They change to a WebSocket afterwards.
    pub upgrades: bool,
    /// Headers and cookies of every request.
    pub request: Request,
    /// TLS settings.
    pub tls: Tls,
    /// Where answers name their backend.
    pub backend_from: BackendFrom,
    /// The balancer, where the user told it.
    pub balancer: Option<Kind>,
    /// How long to watch silent connections.
    pub idle: Option<Duration>,
    /// Path of a raw WebSocket that is watched.
    pub idle_path: Option<String>,
    /// What is emitted (a JSON array), and the event by which all hear it.
    pub broadcast: Option<(String, String)>,
    /// How long one request may take.
    pub limit: Duration,
}

impl Aim {
    /// Path and query of a request to the Engine.IO endpoint; an empty `sid` opens a session.
    pub fn engineio_path(&self, version: Version, transport: &str, sid: &str) -> String {
        let mut path = format!("{}?EIO={}&transport={transport}", self.endpoint, version.number());
        if version == Version::Three && transport == "polling" {
            path.push_str("&b64=1");
        }
        if !sid.is_empty() {
            path.push_str("&sid=");
            path.push_str(sid);
        }
        for pair in &self.query {
            path.push('&');
            path.push_str(pair);
        }
        path
    }

    /// The version that is asked for first.
    pub fn first_version(&self) -> Version {
        match self.version {
            Eio::Fixed(version) => version,
            Eio::Auto | Eio::Found(_) => Version::Four,
        }
    }

    /// The path that clients' first request goes to.
    pub fn first_path(&self) -> String {
        match (self.speech.is_engineio(), self.polls) {
            (true, true) => self.engineio_path(self.first_version(), "polling", ""),
            (true, false) => self.engineio_path(self.first_version(), "websocket", ""),
            (false, _) => self.target.path.clone(),
        }
    }
}
