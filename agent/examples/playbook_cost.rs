//! What playing a playbook costs beside the bare flags: `playbook_cost serve PORT` acknowledges every event of Socket.IO,
//! `playbook_cost run PORT WAY CLIENTS PERIOD_MS SECONDS` holds clients over WebSocket that emit once a period and wait for
//! the acknowledgement, and prints CPU time per message from the second second on. WAY is `flags` (`--every`), `every` (the
//! same by one `every` step), `twenty` (the same, and in each round nineteen steps are played before the emit: each makes a text
//! and keeps it), or `steps` (a playbook of twenty-one steps: connect, then ten emits, each with a wait behind it).

use rustix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::io::{Result, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm_agent::codec::websocket::accept;
use swarm_agent::flow::held;
use swarm_agent::net::Dialer;
use swarm_agent::recorder::Recorder;
use swarm_agent::wire::flow::{
    Act, Answer, Connect, Emit, Every, Expression, Flow, OnFailure, Operator, Piece, Program, Repeat, Reply, Rounds,
    Spread, Step, Text, Variable, Wait,
};
use swarm_agent::wire::share::*;
use swarm_agent::worker::{Phase, Worker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const MS: u64 = 1_000_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let word = |n: usize| arguments.get(n).map_or("", String::as_str);
    let number = |n: usize| word(n).parse().unwrap_or(0u64);
    let port = u16::try_from(number(2)).unwrap_or(0);
    match word(1) {
        "serve" => serve(port).await,
        "run" => run(port, word(3), number(4), number(5).max(1), number(6).max(3)).await,
        _ => Ok(()),
    }
}

async fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // a client that goes is no fault of the server
        tokio::spawn(async move { talk(stream).await.ok() });
    }
}

/// The upgrade, the open packet, and an answer to whatever asks for one.
async fn talk(mut stream: TcpStream) -> Result<()> {
    let mut buffer = Vec::new();
    let head = loop {
        stream.read_buf(&mut buffer).await?;
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break buffer.drain(..at + 4).collect::<Vec<u8>>();
        }
    };
    let head = String::from_utf8_lossy(&head).into_owned();
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        accept(key)
    );
    let mut out = answer.into_bytes();
    frame(
        &mut out,
        br#"0{"sid":"a","upgrades":[],"pingInterval":60000,"pingTimeout":60000,"maxPayload":1000000}"#,
    );
    loop {
        stream.write_all(&out).await?;
        out.clear();
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        // frames of clients are masked, and ours are short
        while let [_, length, m0, m1, m2, m3, rest @ ..] = buffer.as_slice() {
            let length = usize::from(length & 0x7f);
            let Some(payload) = rest.get(..length) else { break };
            let mask = [*m0, *m1, *m2, *m3];
            let text: Vec<u8> = payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask)
                .collect();
            buffer.drain(..6 + length);
            if text == b"40" {
                frame(&mut out, br#"40{"sid":"b"}"#);
            } else if let Some(event) = text.strip_prefix(b"42") {
                let id = event.iter().take_while(|byte| byte.is_ascii_digit()).count();
                frame(&mut out, &[b"43", &event[..id], b"[]"].concat());
            }
        }
    }
}

fn frame(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend([0x81, payload.len() as u8]);
    out.extend(payload);
}

fn message(n: u64) -> Text {
    let room = Expression::Calculation(
        Box::new(Expression::Variable(Variable::Conn)),
        Operator::Modulo,
        Box::new(Expression::Number(200)),
    );
    Text(vec![
        Piece::Plain("[\"say\",{\"room\":\"room-".into()),
        Piece::InString(room),
        Piece::Plain(format!("\",\"text\":\"hello all, this is {n}\",\"from\":")),
        Piece::Json(Expression::Variable(Variable::Conn)),
        Piece::Plain("}]".into()),
    ])
}

fn step(label: String, act: Act) -> Step {
    Step {
        label,
        act,
        on_failure: OnFailure::End,
    }
}

fn program(way: &str, period: u64) -> Program {
    let emit = |n: u64| {
        let emit = Emit {
            namespace: None,
            array: message(n),
            attachments: Vec::new(),
            answer: Answer::Ack(Reply::default()),
        };
        step(format!("emit {n}"), Act::Emit(emit))
    };
    let rounds = Rounds::Forever;
    let act = if way == "steps" {
        let wait = |n: u64| step(format!("wait {n}"), Act::Wait(Wait::For(Spread::Fixed(period))));
        let steps = (0..10).flat_map(|n| [emit(n), wait(n)]).collect();
        Act::Repeat(Repeat { rounds, steps })
    } else {
        let set = |n: u64| {
            let value = Text(vec![
                Piece::Plain(format!("room {n} of ")),
                Piece::Value(Expression::Variable(Variable::Conn)),
            ]);
            step(format!("set {n}"), Act::Set { slot: 0, value })
        };
        let before = if way == "twenty" { 19 } else { 0 };
        let steps = (0..before).map(set).chain([emit(0)]).collect();
        Act::Every(Every { period, rounds, steps })
    };
    let flow = Flow {
        name: "say".into(),
        weight: 1,
        steps: vec![
            step("connect".into(), Act::Connect(Connect::default())),
            step("again".into(), act),
        ],
    };
    Program {
        flows: vec![flow],
        slots: vec!["room".into()],
        ..Program::default()
    }
}

async fn run(port: u16, way: &str, clients: u64, period_ms: u64, seconds: u64) -> Result<()> {
    let period = period_ms * MS;
    let program = (way != "flags").then(|| Box::new(program(way, period)));
    let share = Arc::new(Share {
        run: "cost".into(),
        round: 0,
        host_index: 0,
        hosts: 1,
        deal: Deal {
            mine: vec![0],
            slots: 1,
        },
        targets: vec![Target {
            url: "ws://127.0.0.1/".into(),
            tls: false,
            host: "127.0.0.1".into(),
            port,
            path: "/".into(),
            authority: format!("127.0.0.1:{port}"),
            weight: 1,
            connect_to: None,
            fallback: Vec::new(),
        }],
        engine: Engine::Socketio(Socketio {
            carrier: Carrier::Websocket,
            path: "/socket.io/".into(),
            namespace: "/".into(),
            query: Vec::new(),
            auth: None,
            emits: (0..10)
                .map(|n| format!("[\"say\",{{\"room\":\"room-77\",\"text\":\"hello all, this is {n}\",\"from\":77}}]"))
                .collect(),
            ack: true,
            expect: None,
            version: Eio::Fixed(Version::Four),
        }),
        load: Load::Held(Held {
            clients: Level::Ramp {
                count: clients,
                rate: Some(clients * 2 * PER_SECOND),
            },
            end: seconds * 1_000 * MS,
            cadence: program.is_none().then_some(Cadence::Every(period)),
            requests: None,
            reconnect: None,
            storms: Vec::new(),
        }),
        program,
        broadcast: None,
        request: Request {
            headers: Vec::new(),
            cookie: None,
            keep_cookies: true,
        },
        tls: Tls::default(),
        sources: Vec::new(),
        consent: Consent::Missing,
        backend_from: BackendFrom::Usual,
        seen_from: None,
        limits: Limits {
            connect: 10_000 * MS,
            hit: 10_000 * MS,
            ack: 10_000 * MS,
            grace: 2_000 * MS,
            silence: 10_000 * MS,
            resolve_every: None,
        },
        trace: false,
    });
    let start = Instant::now();
    let (_phase, watch) = tokio::sync::watch::channel(Phase::Running);
    let worker = Rc::new(Worker {
        index: 0,
        threads: 1,
        start,
        recorder: RefCell::new(Recorder::new(start, false, 1)),
        dialer: Dialer::new(&share, &[vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]], None, 0),
        phase: watch,
        claimed: Arc::default(),
        clock_error: 0,
        trace: None,
        share,
    });
    let look = || (on_cpu(), worker.recorder.borrow_mut().cut().counts.tally);
    let measured = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = look();
        tokio::time::sleep(Duration::from_millis(seconds * 1_000 - 1_500)).await;
        (before, look())
    };
    let ((), ((cpu, before), (cpu_after, after))) = tokio::join!(held::run(Rc::clone(&worker)), measured);
    let messages = (after.ok - before.ok).max(1);
    let each = (cpu_after - cpu) / messages;
    writeln!(
        std::io::stdout(),
        "{each} ns each {way}: {messages} messages, {} failed, {} dropped",
        after.failed,
        after.connections.dropped
    )
}

fn on_cpu() -> u64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    (now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64
}
