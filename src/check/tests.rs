//! Whole walks through worlds that are made up: some backends with sessions of their own, and a rule that deals requests out.

use super::finding::Verdict as V;
use super::*;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use swarm_agent::wire::fault::{Fault, FaultKind};
use swarm_agent::wire::look::{Answered, Asked, Heard, Order, Sight, Upgrade};
use swarm_agent::wire::share::{BackendFrom, Request, Target, Tls};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Rule {
    RoundRobin,
    /// By the last byte of the source.
    Source,
    /// A cookie over round robin; it is set for this path.
    Cookie(&'static str),
    /// Polls by source, WebSockets by the next source.
    SplitBySource,
}

struct World {
    rule: Rule,
    backends: usize,
    eats_upgrades: bool,
    /// Answers name their backend.
    named: bool,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    turn: usize,
    sessions: Vec<HashSet<String>>,
    next: usize,
    kept: HashMap<u32, usize>,
}

impl World {
    fn new(rule: Rule, backends: usize) -> Self {
        Self {
            rule,
            backends,
            eats_upgrades: false,
            named: true,
            state: RefCell::new(State {
                sessions: vec![HashSet::new(); backends],
                ..State::default()
            }),
        }
    }

    fn backend(&self, origin: &Origin, asked: &Asked, upgrade: bool) -> usize {
        let last = match origin.source {
            Some(std::net::IpAddr::V4(v4)) => usize::from(v4.octets()[3]),
            _ => 0,
        };
        let mut state = self.state.borrow_mut();
        let mut next = || {
            state.turn += 1;
            state.turn % self.backends
        };
        match self.rule {
            Rule::RoundRobin => next(),
            Rule::Source => last % self.backends,
            Rule::SplitBySource => (last + usize::from(upgrade)) % self.backends,
            Rule::Cookie(_) => {
                let cookie = asked.cookie.as_deref().unwrap_or_default();
                let named = cookie.split("; ").find_map(|pair| pair.strip_prefix("SERVERID=s"));
                named.and_then(|name| name.parse().ok()).unwrap_or_else(next)
            }
        }
    }

    fn answered(&self, backend: usize, status: u16, body: &str) -> Answered {
        let mut headers = vec![("x-backend".to_owned(), format!("s{backend}"))];
        if let Rule::Cookie(path) = self.rule {
            headers.push(("set-cookie".into(), format!("SERVERID=s{backend}; path={path}")));
        }
        Answered {
            status,
            headers,
            body: body.as_bytes().to_vec(),
            backend: self
                .named
                .then(|| ("header:x-backend".to_owned(), format!("s{backend}"))),
            ..Answered::default()
        }
    }

    fn exchange(&self, origin: &Origin, asked: &Asked) -> Answered {
        let backend = self.backend(origin, asked, false);
        if asked.path.contains("transport=websocket") {
            return self.answered(backend, 400, r#"{"code":3,"message":"Bad request"}"#);
        }
        match sid(&asked.path) {
            Some(sid) if self.state.borrow().sessions[backend].contains(sid) => self.answered(backend, 200, "ok"),
            Some(_) => self.answered(backend, 400, r#"{"code":1,"message":"Session ID unknown"}"#),
            None => {
                let mut state = self.state.borrow_mut();
                state.next += 1;
                let sid = format!("sid{}", state.next);
                state.sessions[backend].insert(sid.clone());
                let open = format!(
                    r#"0{{"sid":"{sid}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1}}"#
                );
                self.answered(backend, 200, &open)
            }
        }
    }

    fn open(&self, origin: &Origin, name: u32, asked: &Asked) -> Sight {
        let backend = self.backend(origin, asked, true);
        let refused = |status, body: &str| Sight::Opened {
            answered: self.answered(backend, status, body),
            upgrade: Upgrade::Refused,
        };
        if self.eats_upgrades {
            return refused(400, r#"{"code":3,"message":"Bad request"}"#);
        }
        if let Some(sid) = sid(&asked.path)
            && !self.state.borrow().sessions[backend].contains(sid)
        {
            // as the real server refuses an upgrade
            return refused(400, "Session ID unknown");
        }
        self.state.borrow_mut().kept.insert(name, backend);
        Sight::Opened {
            answered: self.answered(backend, 101, ""),
            upgrade: Upgrade::Done,
        }
    }
}

fn sid(path: &str) -> Option<&str> {
    path.split('&').find_map(|pair| pair.strip_prefix("sid="))
}

impl Scout for World {
    async fn look(&self, origin: &Origin, _within: Duration, order: Order) -> Result<Sight, Fault> {
        Ok(match order {
            Order::Resolve { .. } => Sight::Resolved(vec!["127.0.0.1".parse().unwrap()]),
            Order::Connect(_) => Sight::Connected {
                local: "127.0.0.1".parse().unwrap(),
            },
            Order::Exchange { asked, .. } => Sight::Answered(self.exchange(origin, &asked)),
            Order::Open { name, asked, .. } => self.open(origin, name, &asked),
            Order::Talk(talk) => Sight::Heard(Heard {
                found: talk.until.is_some() && self.state.borrow().kept.contains_key(&talk.name),
                ..Heard::default()
            }),
            Order::Close { .. } => Sight::Closed,
            Order::Shake { .. } => return Err(Fault::new(FaultKind::Tls, "no TLS in this world")),
        })
    }
}

fn aim() -> Aim {
    Aim {
        target: Target {
            url: "http://chat.test/".into(),
            tls: false,
            host: "chat.test".into(),
            port: 80,
            path: "/".into(),
            authority: "chat.test".into(),
            weight: 1,
            connect_to: None,
            fallback: Vec::new(),
        },
        twin: None,
        speech: Speech::Socketio,
        endpoint: "/socket.io/".into(),
        query: Vec::new(),
        namespace: "/".into(),
        auth: None,
        version: swarm_agent::wire::share::Eio::Auto,
        polls: true,
        upgrades: true,
        request: Request {
            headers: Vec::new(),
            cookie: None,
            keep_cookies: true,
        },
        tls: Tls::default(),
        backend_from: BackendFrom::Usual,
        balancer: None,
        idle: None,
        idle_path: None,
        broadcast: None,
        limit: Duration::from_secs(10),
    }
}

async fn walked(world: &World, sources: u8) -> Report {
    let origins: Vec<Origin> = (1..=sources)
        .map(|last| Origin {
            place: 0,
            host: "here".into(),
            source: Some(std::net::IpAddr::from([127, 0, 0, last])),
        })
        .collect();
    let aim = aim();
    let resolved = resolve(world, &aim, &origins).await;
    check(world, &aim, &origins, &resolved, 0).await
}

/// Steps that neither pass nor are skipped, or pass with a name.
fn told(report: &Report) -> Vec<(Step, V, Option<Code>)> {
    let all = report
        .steps
        .iter()
        .map(|(finding, _)| (finding.step, finding.verdict, finding.code));
    all.filter(|(_, verdict, code)| code.is_some() || !matches!(verdict, V::Pass | V::Skipped))
        .collect()
}

#[tokio::test]
async fn source_hash_is_healthy() {
    let report = walked(&World::new(Rule::Source, 2), 4).await;
    assert_eq!(
        told(&report),
        [(Step::Stickiness, V::Pass, Some(Code::StickyBySource))],
        "{report:?}"
    );
    assert!(!report.fails() && report.requests < 120, "{}", report.requests);
}

#[tokio::test]
async fn a_cookie_is_healthy_from_one_source_too() {
    for sources in [1, 4] {
        let report = walked(&World::new(Rule::Cookie("/"), 2), sources).await;
        assert_eq!(
            told(&report),
            [(Step::Stickiness, V::Pass, Some(Code::StickyByCookie))],
            "{report:?}"
        );
    }
}

#[tokio::test]
async fn round_robin_breaks_polling_and_nothing_else() {
    let mut world = World::new(Rule::RoundRobin, 3);
    // it shows without names as well
    world.named = false;
    let report = walked(&world, 2).await;
    let expected = [
        (Step::Polling, V::Fail, Some(Code::SidUnknown)),
        (Step::Stickiness, V::Fail, Some(Code::NotSticky)),
    ];
    assert_eq!(told(&report), expected, "{report:?}");
    let lines: Vec<&Mend> = report.steps.iter().flat_map(|(_, mends)| mends).collect();
    assert!(
        lines
            .iter()
            .any(|mend| mend.of == "haproxy" && mend.line == "balance source"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_cookie_for_another_path_is_named() {
    let report = walked(&World::new(Rule::Cookie("/other"), 2), 2).await;
    let expected = [
        (Step::Polling, V::Fail, Some(Code::SidUnknown)),
        (Step::Stickiness, V::Fail, Some(Code::CookieNotKept)),
    ];
    assert_eq!(told(&report), expected, "{report:?}");
}

#[tokio::test]
async fn websockets_that_go_elsewhere_are_one_fault() {
    let report = walked(&World::new(Rule::SplitBySource, 2), 4).await;
    let expected = [
        (Step::Upgrade, V::Fail, Some(Code::UpgradeOtherBackend)),
        (Step::Stickiness, V::Pass, Some(Code::StickyBySource)),
    ];
    assert_eq!(told(&report), expected, "{report:?}");
}

#[tokio::test]
async fn upgrades_that_are_eaten_are_one_fault() {
    let mut world = World::new(Rule::Source, 2);
    world.eats_upgrades = true;
    let report = walked(&world, 4).await;
    let expected = [
        (Step::UpgradeHeaders, V::Fail, Some(Code::UpgradeEaten)),
        (Step::Stickiness, V::Pass, Some(Code::StickyBySource)),
    ];
    assert_eq!(told(&report), expected, "{report:?}");
}

#[tokio::test]
async fn one_backend_proves_nothing() {
    for (sources, code) in [(1, Code::UnknownNoSecondSource), (4, Code::NotKnownOneBackend)] {
        let report = walked(&World::new(Rule::RoundRobin, 1), sources).await;
        let expected = [
            (Step::Polling, V::Unknown, Some(Code::NotKnownOneBackend)),
            (Step::Stickiness, V::Unknown, Some(code)),
        ];
        assert_eq!(told(&report), expected, "{report:?}");
        assert!(!report.fails());
    }
}

/// Nobody answers.
struct Desert;

impl Scout for Desert {
    async fn look(&self, _origin: &Origin, _within: Duration, order: Order) -> Result<Sight, Fault> {
        match order {
            Order::Resolve { .. } => Ok(Sight::Resolved(vec!["127.0.0.1".parse().unwrap()])),
            Order::Connect(_) => Err(Fault::new(FaultKind::ConnectRefused, "Connection refused")),
            other => panic!("asked for {other:?} where nobody answers"),
        }
    }
}

#[tokio::test]
async fn where_nobody_answers_nothing_more_is_asked() {
    let origins = [Origin {
        place: 0,
        host: "here".into(),
        source: None,
    }];
    let aim = aim();
    let resolved = resolve(&Desert, &aim, &origins).await;
    let report = check(&Desert, &aim, &origins, &resolved, 0).await;
    assert!(!report.reached && report.fails());
    assert_eq!(told(&report), [(Step::Dns, V::Fail, Some(Code::UnreachableAddress))]);
    let words: Vec<&str> = report.steps.iter().map(|(finding, _)| finding.step.word()).collect();
    assert_eq!(words.len(), 12, "every step is told: {words:?}");
}
