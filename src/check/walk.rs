//! One walk along a target: what every step needs to ask, counted, and what all answers together say. Never here: judgement.

use super::aim::Aim;
use super::balancer::{self, Kind};
use super::cookies::{Jar, Place};
use super::scout::{Origin, Scout};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use swarm_agent::wire::fault::{Fault, FaultKind};
use swarm_agent::wire::look::{Answered, Asked, Heard, Offer, Order, Sight, Talk, TlsWay, Upgrade, Way};
use swarm_agent::wire::share::{Target, Tls, Version};

/// What an agent said does not belong to what it was asked.
const ODD: &str = "the agent answered something else";

/// A walk.
pub struct Walk<'a, S> {
    /// Who looks.
    pub scout: &'a S,
    /// At what.
    pub aim: &'a Aim,
    /// From where, those without a path to the target left out.
    pub origins: Vec<Origin>,
    /// The target's address, by origin.
    pub addresses: Vec<IpAddr>,
    /// The version of Engine.IO that the server speaks.
    pub version: Cell<Version>,
    asked: Cell<u32>,
    names: Cell<u32>,
    sign: RefCell<Option<(u8, Kind, String)>>,
    backends: RefCell<BTreeSet<String>>,
    strangers: Cell<bool>,
}

impl<'a, S: Scout> Walk<'a, S> {
    /// A walk from these origins, each with the address that it connects to.
    pub fn new(scout: &'a S, aim: &'a Aim, ways: Vec<(Origin, IpAddr)>, asked: u32) -> Self {
        let (origins, addresses) = ways.into_iter().unzip();
        Self {
            scout,
            aim,
            origins,
            addresses,
            version: Cell::new(aim.first_version()),
            asked: Cell::new(asked),
            names: Cell::new(0),
            sign: RefCell::default(),
            backends: RefCell::default(),
            strangers: Cell::new(false),
        }
    }

    /// Connections that were made.
    pub fn requests(&self) -> u32 {
        self.asked.get()
    }

    /// The balancer that answers gave away, and by what.
    pub fn sign(&self) -> Option<(Kind, String)> {
        self.sign.borrow().clone().map(|(_, kind, how)| (kind, how))
    }

    /// Names of backends that answers gave.
    pub fn backends(&self) -> Vec<String> {
        self.backends.borrow().iter().cloned().collect()
    }

    /// A session was unknown somewhere: there is more than one backend, whatever they are called.
    pub fn met_stranger(&self) {
        self.strangers.set(true);
    }

    /// Whether there is more than one backend.
    pub fn knows_several(&self) -> bool {
        self.strangers.get() || self.backends.borrow().len() > 1
    }

    /// Where requests to a path of the target go, as cookies see it.
    pub fn place<'p>(&'p self, path: &'p str) -> Place<'p> {
        Place {
            host: &self.aim.target.host,
            path: path.split('?').next().unwrap_or_default(),
            tls: self.aim.target.tls,
        }
    }

    fn way(&self, origin: usize, target: &Target) -> Way {
        // what is wrong with the certificate is said by its own step; the others look at what lies behind
        let settings = Tls {
            insecure: true,
            ..self.aim.tls.clone()
        };
        Way {
            to: SocketAddr::new(self.addresses[origin], target.dialed_port()),
            source: self.origins[origin].source,
            tls: target.tls.then(|| TlsWay {
                host: target.host.clone(),
                settings,
            }),
        }
    }

    /// A request of the target, with a client's cookies beside those that the user gave.
    pub fn request(&self, method: &str, path: &str, jar: &Jar, body: Option<&str>) -> Asked {
        let mut headers = self.aim.request.headers.clone();
        if body.is_some() {
            headers.push(("Content-Type".into(), "text/plain;charset=UTF-8".into()));
        }
        Asked {
            method: method.to_owned(),
            path: path.to_owned(),
            authority: self.aim.target.authority.clone(),
            headers,
            cookie: jar.header(self.aim.request.cookie.as_deref(), self.place(path)),
            body: body.map(|body| body.as_bytes().to_vec()),
            backend_from: self.aim.backend_from.clone(),
        }
    }

    async fn look(&self, origin: usize, within: Duration, order: Order) -> Result<Sight, Fault> {
        self.scout.look(&self.origins[origin], within, order).await
    }

    fn count(&self) {
        self.asked.set(self.asked.get() + 1);
    }

    fn note(&self, answered: &Answered) {
        if let Some(found) = balancer::sign(answered) {
            let mut sign = self.sign.borrow_mut();
            if sign.as_ref().is_none_or(|(sure, ..)| found.0 > *sure) {
                *sign = Some(found);
            }
        }
        if let Some((_, name)) = &answered.backend {
            self.backends.borrow_mut().insert(name.clone());
        }
    }

    /// One request over a connection of its own.
    pub async fn ask(&self, origin: usize, asked: Asked) -> Result<Answered, Fault> {
        self.ask_at(origin, &self.aim.target, asked).await
    }

    /// The same of another target on the same addresses.
    pub async fn ask_at(&self, origin: usize, target: &Target, asked: Asked) -> Result<Answered, Fault> {
        self.count();
        let way = self.way(origin, target);
        match self
            .look(origin, self.aim.limit, Order::Exchange { way, asked })
            .await?
        {
            Sight::Answered(answered) => {
                self.note(&answered);
                Ok(answered)
            }
            _ => Err(odd()),
        }
    }

    /// A TLS handshake.
    pub async fn shake(&self, origin: usize, offer: Offer) -> Result<Sight, Fault> {
        self.count();
        let way = self.way(origin, &self.aim.target);
        self.look(origin, self.aim.limit, Order::Shake { way, offer }).await
    }

    /// A WebSocket handshake; the name under which it is kept when it succeeds.
    pub async fn open(&self, origin: usize, path: &str, jar: &Jar) -> Result<(u32, Answered, Upgrade), Fault> {
        self.count();
        let name = self.names.get();
        self.names.set(name + 1);
        let order = Order::Open {
            name,
            way: self.way(origin, &self.aim.target),
            asked: self.request("GET", path, jar, None),
        };
        match self.look(origin, self.aim.limit, order).await? {
            Sight::Opened { answered, upgrade } => {
                self.note(&answered);
                Ok((name, answered, upgrade))
            }
            _ => Err(odd()),
        }
    }

    /// Says something over a WebSocket and listens.
    pub async fn talk(&self, origin: usize, within: Duration, talk: Talk) -> Result<Heard, Fault> {
        match self.look(origin, within, Order::Talk(talk)).await? {
            Sight::Heard(heard) => Ok(heard),
            _ => Err(odd()),
        }
    }

    /// Closes one. What is closed already does no harm.
    pub async fn close(&self, origin: usize, name: u32) {
        self.look(origin, Duration::from_secs(2), Order::Close { name })
            .await
            .ok();
    }
}

fn odd() -> Fault {
    Fault::new(FaultKind::Protocol, ODD)
}

/// The headers of an answer, for a jar.
pub fn headers(answered: &Answered) -> impl Iterator<Item = (&str, &str)> {
    answered
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

/// The first value of a header, its name in lower case.
pub fn header<'a>(answered: &'a Answered, name: &str) -> Option<&'a str> {
    headers(answered)
        .find(|(have, _)| *have == name)
        .map(|(_, value)| value)
}

/// The beginning of what an answer says, on one line.
pub fn excerpt(answered: &Answered) -> String {
    let text = String::from_utf8_lossy(&answered.body);
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// `status 404 (<html>…)`
pub fn told(answered: &Answered) -> String {
    match excerpt(answered) {
        said if said.is_empty() => format!("status {}", answered.status),
        said => format!("status {} ({said})", answered.status),
    }
}

/// The names, at most so many of them.
pub fn list(names: &[String], most: usize) -> String {
    match names.len().checked_sub(most) {
        Some(more @ 1..) => format!("{} and {more} more", names[..most].join(", ")),
        _ => names.join(", "),
    }
}
