//! How a Socket.IO or Engine.IO client comes in: carrier, version, endpoint, namespaces. Never here: sockets.

use crate::codec::session::{Layer, Machine};
use crate::wire::share::{Carrier, Engine, Version};
use std::fmt::Write;

/// What a client needs to know beside its target. Clients that come in alike share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whether the messages are Socket.IO's.
    pub layer: Layer,
    /// The carrier.
    pub carrier: Carrier,
    /// Version of the Engine.IO protocol.
    pub version: Version,
    /// Path of the endpoint, `/socket.io/`.
    pub path: String,
    /// Query parameters beside the protocol's own, percent-encoded as `k=v`.
    pub query: Vec<String>,
    /// The namespace that makes the client stand, `/` or `/chat`. Of no meaning to a raw client.
    pub namespace: String,
    /// Its auth payload as JSON text. Servers of version 3 know none, and get none.
    pub auth: Option<String>,
    /// Namespaces that are entered beside it, with their auth payloads: 1, 2, and so on.
    pub more: Vec<(String, Option<String>)>,
}

impl Entry {
    /// What the flags say, for clients of this target; `None` for other engines.
    pub fn of(engine: &Engine, target: u16) -> Option<Self> {
        match engine {
            Engine::Socketio(plan) => Some(Self {
                layer: Layer::Socketio,
                carrier: plan.carrier,
                version: plan.version.version(target),
                path: plan.path.clone(),
                query: plan.query.clone(),
                namespace: plan.namespace.clone(),
                auth: plan.auth.clone(),
                more: Vec::new(),
            }),
            Engine::Engineio(plan) => Some(Self {
                layer: Layer::Raw,
                carrier: plan.carrier,
                version: plan.version.version(target),
                path: plan.path.clone(),
                query: plan.query.clone(),
                namespace: String::new(),
                auth: None,
                more: Vec::new(),
            }),
            Engine::Http(_) | Engine::Websocket(_) => None,
        }
    }

    /// The machine of a client that comes in so, before its first step.
    pub(super) fn machine(&self) -> Machine {
        let mut machine = Machine::new(self.carrier, self.version, self.layer);
        if self.layer == Layer::Socketio {
            // before the session is open nothing is to be done
            let mut nothing = Vec::new();
            machine.join(&self.namespace, self.auth.as_deref(), &mut nothing);
            for (name, auth) in &self.more {
                machine.join(name, auth.as_deref(), &mut nothing);
            }
        }
        machine
    }

    /// Path and query of a request.
    pub fn request_path(&self, transport: &str, sid: &str) -> String {
        let mut path = format!("{}?EIO={}&transport={transport}", self.path, self.version.number());
        if self.version == Version::Three && transport == "polling" {
            // as the real client outside browsers: no binary payloads
            path.push_str("&b64=1");
        }
        if !sid.is_empty() {
            let _ = write!(path, "&sid={sid}");
        }
        for pair in &self.query {
            path.push('&');
            path.push_str(pair);
        }
        path
    }
}
