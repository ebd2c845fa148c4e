//! What the tests of playbooks share: a server with a login and Socket.IO, an echoing WebSocket server, short words for
//! steps, and a run that checks the sums.

use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef, TryData};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use swarm_agent::flow::held;
use swarm_agent::net::Dialer;
use swarm_agent::recorder::{Recorder, Recording};
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::flow::*;
use swarm_agent::wire::report::StepRow;
use swarm_agent::wire::share::{
    BackOff, BackendFrom, Carrier, Consent, Deal, Eio, Engine, Held, Level, Limits, Load, Request, Share, Socketio,
    Target, Tls, Websocket,
};
use swarm_agent::worker::{Phase, Worker};
use tokio::net::TcpListener;

pub const MS: u64 = 1_000_000;

/// What the server saw, line by line.
#[derive(Default)]
pub struct Seen(Mutex<Vec<String>>);

impl Seen {
    pub fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn count(&self, line: &str) -> usize {
        self.all().iter().filter(|seen| *seen == line).count()
    }
}

/// Logins at `/login`, Socket.IO with `/` and `/chat`.
pub async fn server() -> (u16, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let (layer, io) = SocketIo::builder()
        .ping_interval(Duration::from_millis(100))
        .ping_timeout(Duration::from_millis(500))
        .build_layer();
    let notes = Arc::clone(&seen);
    let enter = async move |socket: SocketRef, TryData(auth): TryData<Value>| {
        let parts = socket.req_parts();
        let cookie = parts.headers.get("cookie").map_or("", |value| value.to_str().unwrap());
        let header = parts.headers.get("x-team").map_or("", |value| value.to_str().unwrap());
        let query = parts.uri.query().unwrap_or_default();
        let room = query
            .split('&')
            .find(|pair| pair.starts_with("room="))
            .unwrap_or_default();
        let token = auth.ok().and_then(|auth| auth["token"].as_str().map(str::to_owned));
        notes.note(format!("in {} cookie[{cookie}] {header} {room} {token:?}", socket.ns()));
        let (said, left) = (Arc::clone(&notes), Arc::clone(&notes));
        socket.on("echo", async |Data::<Value>(value), ack: AckSender| {
            ack.send(&value).ok();
        });
        socket.on("say", async move |socket: SocketRef, Data::<Value>(value)| {
            said.note(format!("say {value}"));
            socket.emit("noise", &1).ok();
            socket.emit("said", &json!({"ok": true, "what": value})).ok();
        });
        // the event comes before the acknowledgement
        socket.on(
            "greet",
            async |socket: SocketRef, Data::<Value>(value), ack: AckSender| {
                socket.emit("hello", &value).ok();
                tokio::time::sleep(Duration::from_millis(20)).await;
                ack.send(&json!({"id": 41, "kind": "x"})).ok();
            },
        );
        socket.on("silent", async |_: AckSender| {
            tokio::time::sleep(Duration::from_secs(5)).await;
        });
        socket.on("kick", async |socket: SocketRef| {
            socket.disconnect().ok();
        });
        socket.on_disconnect(async move || left.note("left".to_owned()));
    };
    io.ns("/", enter.clone());
    io.ns("/chat", enter);
    let notes = Arc::clone(&seen);
    let login = async move |body: String| {
        notes.note(format!("login {body}"));
        let mut headers = HeaderMap::new();
        headers.insert("set-cookie", "session=s1; Path=/".parse().unwrap());
        headers.insert("x-ticket", "t7".parse().unwrap());
        headers.insert("x-backend", "s9".parse().unwrap());
        (headers, r#"{"ok":true,"token":"k\"1","list":[3]}"#)
    };
    let notes = Arc::clone(&seen);
    let me = async move |headers: HeaderMap| {
        let cookie = headers.get("cookie").map_or("", |value| value.to_str().unwrap());
        notes.note(format!("me {cookie}"));
        (StatusCode::CREATED, "me")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = axum::Router::new()
        .route("/login", post(login))
        .route("/me", get(me))
        .layer(layer);
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    (port, seen)
}

/// A WebSocket server that echoes, and closes where it is told `bye`.
pub async fn echoes() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    let bye = message.to_text().is_ok_and(|text| text == "bye");
                    if bye || (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

pub fn socketio(carrier: Carrier) -> Engine {
    Engine::Socketio(Socketio {
        carrier,
        path: "/socket.io/".into(),
        namespace: "/".into(),
        query: vec![],
        auth: None,
        emits: vec![],
        ack: false,
        expect: None,
        version: Eio::Auto,
    })
}

pub fn websocket() -> Engine {
    Engine::Websocket(Websocket {
        subprotocol: None,
        message: None,
        binary: false,
        echo: false,
    })
}

pub fn step(label: &str, act: Act) -> Step {
    Step {
        label: label.into(),
        act,
        on_failure: OnFailure::End,
    }
}

/// The same, going on after a failure.
pub fn lenient(label: &str, act: Act) -> Step {
    Step {
        on_failure: OnFailure::Continue,
        ..step(label, act)
    }
}

pub fn connect() -> Step {
    step("connect", Act::Connect(Connect::default()))
}

pub fn emit(label: &str, array: Text, answer: Answer) -> Step {
    let emit = Emit {
        namespace: None,
        array,
        attachments: vec![],
        answer,
    };
    step(label, Act::Emit(emit))
}

pub fn acked() -> Answer {
    Answer::Ack(Reply::default())
}

pub fn wait(ms: u64) -> Step {
    step("wait", Act::Wait(Wait::For(Spread::Fixed(ms * MS))))
}

pub fn expect(label: &str, event: &str, within_ms: u64) -> Step {
    let expect = Expect {
        namespace: None,
        event: Some(event.into()),
        count: 1,
        reply: Reply {
            within: Some(within_ms * MS),
            ..Reply::default()
        },
    };
    step(label, Act::Expect(expect))
}

pub fn http(label: &str, method: &str, path: &str, reply: Reply) -> Step {
    let http = Http {
        method: method.into(),
        target: None,
        path: Some(Text::plain(path)),
        headers: vec![],
        body: None,
        ok: vec![(200, 299)],
        reply,
    };
    step(label, Act::Http(http))
}

pub fn var(variable: Variable) -> Expression {
    Expression::Variable(variable)
}

pub fn text(before: &str, piece: Piece, after: &str) -> Text {
    Text(vec![Piece::Plain(before.into()), piece, Piece::Plain(after.into())])
}

pub fn check(pointer: &str, equal: &str) -> Check {
    Check {
        pointer: Some(pointer.into()),
        header: None,
        is: Is::Equal(Text::plain(equal)),
    }
}

pub fn program(steps: Vec<Step>) -> Program {
    let flow = Flow {
        name: "one".into(),
        weight: 1,
        steps,
    };
    Program {
        flows: vec![flow],
        ..Program::default()
    }
}

/// One second of so many clients that all open at once.
pub fn share(port: u16, engine: Engine, clients: u64, program: Program) -> Share {
    let target = Target {
        url: format!("http://127.0.0.1:{port}/"),
        tls: false,
        host: "127.0.0.1".into(),
        port,
        path: "/".into(),
        authority: format!("127.0.0.1:{port}"),
        weight: 1,
        connect_to: None,
        fallback: vec![],
    };
    Share {
        run: "play".into(),
        round: 0,
        host_index: 0,
        hosts: 1,
        deal: Deal {
            mine: vec![0],
            slots: 1,
        },
        targets: vec![target],
        engine,
        load: Load::Held(Held {
            clients: Level::Ramp {
                count: clients,
                rate: None,
            },
            end: 1_000 * MS,
            cadence: None,
            requests: None,
            reconnect: None,
            storms: vec![],
        }),
        program: Some(Box::new(program)),
        broadcast: None,
        request: Request {
            headers: vec![("User-Agent".into(), "swarm".into())],
            cookie: None,
            keep_cookies: true,
        },
        tls: Tls::default(),
        sources: vec![],
        consent: Consent::Missing,
        backend_from: BackendFrom::Usual,
        seen_from: None,
        limits: Limits {
            connect: 2_000 * MS,
            hit: 2_000 * MS,
            ack: 2_000 * MS,
            grace: 1_000 * MS,
            silence: 10_000 * MS,
            resolve_every: None,
        },
        trace: false,
    }
}

pub fn held(mut share: Share, change: impl FnOnce(&mut Held)) -> Share {
    if let Load::Held(held) = &mut share.load {
        change(held);
    }
    share
}

pub fn back_off() -> BackOff {
    BackOff {
        least: 30 * MS,
        most: 100 * MS,
        jitter: 0,
        attempts: Some(2),
    }
}

/// What came of a run.
pub struct Played {
    pub recording: Recording,
    pub steps: BTreeMap<String, StepRow>,
}

impl Played {
    /// Requests, ok and failed of a step of the first flow.
    pub fn step(&self, label: &str) -> (u64, u64, u64) {
        let row = &self.steps[label];
        (row.requests, row.ok, row.failed)
    }

    pub fn faults(&self) -> Vec<(FaultKind, &str, u64)> {
        let rows = self.recording.counts.faults.iter();
        rows.map(|row| (row.kind, row.detail.as_str(), row.count)).collect()
    }
}

/// Plays a share on one thread, and checks that the steps add up to the totals.
pub async fn play(share: Share) -> Played {
    let share = Arc::new(share);
    let start = Instant::now();
    let (_phase, watch) = tokio::sync::watch::channel(Phase::Running);
    let resolved: Vec<Vec<IpAddr>> = share.targets.iter().map(|_| vec![Ipv4Addr::LOCALHOST.into()]).collect();
    let worker = Rc::new(Worker {
        index: 0,
        threads: 1,
        start,
        recorder: RefCell::new(Recorder::new(start, false, share.targets.len())),
        dialer: Dialer::new(&share, &resolved, None, 0),
        phase: watch,
        claimed: Arc::default(),
        clock_error: 0,
        trace: None,
        share: Arc::clone(&share),
    });
    tokio::time::timeout(Duration::from_secs(20), held::run(Rc::clone(&worker)))
        .await
        .expect("the run ends by itself");
    let recording = worker.recorder.borrow().finish();
    let counts = &recording.counts;
    let (tally, c, m) = (&counts.tally, &counts.tally.connections, &counts.tally.messages);
    assert_eq!(tally.requests, tally.ok + tally.failed + tally.unfinished, "{tally:?}");
    assert_eq!(c.attempted, c.opened + c.failed + c.unfinished, "{tally:?}");
    assert_eq!(c.open, 0, "{tally:?}");
    assert_eq!(m.expected, m.acked + m.lost + m.unfinished, "{tally:?}");
    let rows = || counts.flows.iter().flat_map(|flow| &flow.steps);
    let sum = |connects, of: fn(&StepRow) -> u64| rows().filter(|row| row.connects == connects).map(of).sum::<u64>();
    assert_eq!(
        (
            sum(false, |row| row.requests),
            sum(false, |row| row.ok),
            sum(false, |row| row.failed)
        ),
        (tally.requests, tally.ok, tally.failed),
        "{:?}",
        counts.flows
    );
    if !matches!(share.engine, Engine::Http(_)) {
        assert_eq!(sum(true, |row| row.requests), c.attempted);
        assert_eq!(sum(true, |row| row.ok), c.opened);
        assert_eq!(sum(true, |row| row.failed), c.failed);
    }
    for row in rows() {
        assert_eq!(row.latency.count, row.ok, "{}", row.label);
        assert_eq!(row.requests, row.ok + row.failed + row.unfinished, "{}", row.label);
    }
    let steps = counts.flows[0].steps.iter().map(|row| (row.label.clone(), row.clone()));
    Played {
        steps: steps.collect(),
        recording,
    }
}
