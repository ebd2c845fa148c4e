//! What a held client costs: `held_memory serve PORT [CERTIFICATE KEY]` accepts WebSockets and keeps nothing, over TLS when
//! it is given PEM files; `held_memory hold PORT COUNT WAY SECONDS` holds COUNT clients and tells resident memory before
//! and while they are held. WAY is `ws`, `wss` (any certificate will do), or a carrier of Socket.IO against any such
//! server: `websocket`, `polling`, `upgrade`.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::cell::RefCell;
use std::io::{Error, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm_agent::codec::websocket::accept;
use swarm_agent::flow::held;
use swarm_agent::net::Dialer;
use swarm_agent::net::tls::TlsSetup;
use swarm_agent::recorder::Recorder;
use swarm_agent::wire::share::*;
use swarm_agent::worker::{Phase, Worker};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

const MS: u64 = 1_000_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let word = |n: usize| arguments.get(n).map_or("", String::as_str);
    let number = |n: usize| word(n).parse().unwrap_or(0u64);
    let port = u16::try_from(number(2)).unwrap_or(0);
    match word(1) {
        "serve" => {
            let tls = (!word(3).is_empty()).then(|| acceptor(word(3), word(4))).transpose()?;
            serve(port, tls).await
        }
        "hold" => hold(port, number(3), word(4), number(5)).await,
        _ => Ok(()),
    }
}

fn acceptor(certificate: &str, key: &str) -> std::io::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(Error::other)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(Error::other)?;
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(Error::other)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(port: u16, tls: Option<TlsAcceptor>) -> std::io::Result<()> {
    let listener = tokio::net::TcpSocket::new_v4()?;
    listener.bind((Ipv4Addr::LOCALHOST, port).into())?;
    let listener = listener.listen(4096)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => keep(stream).await,
                    Err(_) => Ok(()),
                },
                None => keep(stream).await,
            }
        });
    }
}

/// Answers the handshake of a WebSocket, then waits for its end.
async fn keep(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut request = vec![0; 2048];
    let length = stream.read(&mut request).await?;
    let text = String::from_utf8_lossy(&request[..length]).into_owned();
    let key = text
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        accept(key)
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.flush().await?;
    stream.read(&mut request).await.map(|_| ())
}

async fn hold(port: u16, count: u64, way: &str, seconds: u64) -> std::io::Result<()> {
    let carrier = match way {
        "polling" => Carrier::Polling,
        "upgrade" => Carrier::Upgrade,
        _ => Carrier::Websocket,
    };
    let secure = way == "wss";
    let websocket = secure || way == "ws";
    let engine = if websocket {
        Engine::Websocket(Websocket {
            subprotocol: None,
            message: None,
            binary: false,
            echo: false,
        })
    } else {
        let emits = vec![r#"["echo",{"i":1}]"#.to_owned()];
        Engine::Socketio(Socketio {
            carrier,
            path: "/socket.io/".into(),
            namespace: "/".into(),
            query: Vec::new(),
            auth: None,
            emits,
            ack: true,
            expect: None,
            version: Eio::Auto,
        })
    };
    let target = Target {
        url: format!("{}://127.0.0.1/", if secure { "wss" } else { "ws" }),
        tls: secure,
        host: "127.0.0.1".into(),
        port,
        path: "/".into(),
        authority: format!("127.0.0.1:{port}"),
        weight: 1,
        connect_to: None,
        fallback: Vec::new(),
    };
    let rate = Some((count * PER_SECOND / 3).max(1));
    let cadence = (!websocket).then_some(Cadence::Every(1_000 * MS));
    let share = Arc::new(Share {
        run: "memory".into(),
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
            clients: Level::Ramp { count, rate },
            end: seconds * 1_000 * MS,
            cadence,
            requests: None,
            reconnect: None,
            storms: Vec::new(),
        }),
        request: Request {
            headers: Vec::new(),
            cookie: None,
            keep_cookies: true,
        },
        tls: Tls {
            insecure: secure,
            ..Tls::default()
        },
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
        program: None,
        broadcast: None,
    });
    let setup = TlsSetup::new(&share.tls).map_err(Error::other)?;
    let start = Instant::now();
    let (_phase, watch) = tokio::sync::watch::channel(Phase::Running);
    let worker = Rc::new(Worker {
        index: 0,
        threads: 1,
        start,
        clock_error: 0,
        recorder: RefCell::new(Recorder::new(start, false, 1)),
        dialer: Dialer::new(
            &share,
            &[vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]],
            secure.then(|| Arc::new(setup)),
            0,
        ),
        phase: watch,
        claimed: Arc::default(),
        trace: None,
        share,
    });
    let before = resident()?;
    let look = async {
        tokio::time::sleep(Duration::from_secs(seconds.saturating_sub(1))).await;
        let open = worker.recorder.borrow_mut().cut().counts.tally.connections.open;
        (resident(), open)
    };
    let ((), (held, open)) = tokio::join!(held::run(Rc::clone(&worker)), look);
    let held = held?;
    let counts = worker.recorder.borrow().finish().counts;
    let mut out = std::io::stdout();
    let each = (held.saturating_sub(before)) as f64 / open.max(1) as f64;
    writeln!(
        out,
        "before {before} KiB, held {held} KiB, open {open}: {each:.2} KiB each"
    )?;
    let tally = counts.tally;
    writeln!(
        out,
        "{:?} requests {} ok {} failed {} late {}",
        tally.connections, tally.requests, tally.ok, tally.failed, tally.late
    )?;
    for fault in counts.faults {
        writeln!(out, "{} {} {}", fault.kind.word(), fault.detail, fault.count)?;
    }
    Ok(())
}

fn resident() -> std::io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0))
}
