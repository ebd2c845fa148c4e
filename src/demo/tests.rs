//! Owns the demo's end-to-end tests: raw HTTP, Engine.IO and WebSocket bytes through the balancer.
//! Never touches the servers' insides.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use super::*;

/// One raw connection to the demo's balancer.
struct Wire {
    stream: BufReader<TcpStream>,
}

/// One HTTP answer.
struct Answer {
    status: u16,
    backend: String,
    body: String,
}

impl Wire {
    async fn open(demo: &Demo, source: Ipv4Addr) -> Self {
        let balancer: SocketAddr = demo.url().strip_prefix("http://").unwrap().parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((source, 0))).unwrap();
        let stream = BufReader::new(socket.connect(balancer).await.unwrap());
        Self { stream }
    }

    async fn get(&mut self, target: &str) -> Answer {
        self.request(&format!("GET {target} HTTP/1.1\r\nHost: demo\r\n\r\n"))
            .await
    }

    async fn post(&mut self, target: &str, body: &str) -> Answer {
        let length = body.len();
        let head = format!("POST {target} HTTP/1.1\r\nHost: demo\r\nContent-Length: {length}\r\n\r\n");
        self.request(&(head + body)).await
    }

    async fn upgrade(&mut self, target: &str) -> Answer {
        self.request(&format!(
            "GET {target} HTTP/1.1\r\nHost: demo\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ))
        .await
    }

    async fn request(&mut self, request: &str) -> Answer {
        self.stream.get_mut().write_all(request.as_bytes()).await.unwrap();
        let status_line = self.line().await;
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = BTreeMap::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.unwrap();
        let backend = headers.remove("x-backend").expect("every answer names its backend");
        Answer {
            status,
            backend,
            body: String::from_utf8(body).unwrap(),
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    /// Sends one short text frame, masked with a key of zeroes.
    async fn say(&mut self, text: &str) {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 126);
        let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
        frame.extend(text.as_bytes());
        self.stream.get_mut().write_all(&frame).await.unwrap();
    }

    /// Receives one packet that is no ping.
    async fn hear(&mut self) -> String {
        loop {
            let packet = self.frame().await;
            if packet != PING {
                return packet;
            }
        }
    }

    /// Polls until there are `count` packets that are no pings.
    async fn poll(&mut self, target: &str, count: usize) -> Vec<String> {
        let mut packets = Vec::new();
        while packets.len() < count {
            let answer = self.get(target).await;
            assert_eq!(answer.status, 200);
            let arrived = answer.body.split('\u{1e}').filter(|packet| *packet != PING);
            packets.extend(arrived.map(str::to_owned));
        }
        packets
    }

    /// Receives one short text frame.
    async fn frame(&mut self) -> String {
        assert_eq!(self.stream.read_u8().await.unwrap(), 0x81);
        let length = self.stream.read_u8().await.unwrap();
        assert!(length < 126);
        let mut text = vec![0; length.into()];
        self.stream.read_exact(&mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    }
}

/// The server's heartbeat, which may come at any time, the first right after the open packet.
const PING: &str = "2";

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// The session id in an Engine.IO open packet.
fn session(open: &str) -> String {
    let packet: serde_json::Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
    packet["sid"].as_str().unwrap().to_owned()
}

/// A polling client in the namespace `/`: its connection, the target of its requests, its backend.
async fn polling_client(demo: &Demo, source: Ipv4Addr) -> (Wire, String, String) {
    let mut wire = Wire::open(demo, source).await;
    let open = wire.get(POLLING).await;
    assert_eq!(open.status, 200);
    let target = format!("{POLLING}&sid={}", session(&open.body));
    let connect = wire.post(&target, "40").await;
    assert_eq!((connect.status, connect.body.as_str()), (200, "ok"));
    assert_eq!(connect.backend, open.backend);
    let connected = wire.poll(&target, 1).await;
    assert!(connected[0].starts_with("40{\"sid\":"), "{connected:?}");
    (wire, target, open.backend)
}

/// A websocket-only client in the namespace `/`, and its backend.
async fn websocket_client(demo: &Demo, source: Ipv4Addr) -> (Wire, String) {
    let mut wire = Wire::open(demo, source).await;
    let switched = wire.upgrade(WEBSOCKET).await;
    assert_eq!(switched.status, 101);
    session(&wire.hear().await);
    wire.say("40").await;
    assert!(wire.hear().await.starts_with("40{\"sid\":"));
    (wire, switched.backend)
}

/// Lets the servers go on until nobody is connected.
async fn all_gone(tally: &Tally) {
    let gone = async {
        while tally.counts().backends.values().any(|backend| backend.open > 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .expect("every client is seen to leave");
}

fn loopback(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

#[tokio::test]
async fn eight_sources_land_where_the_rule_says_and_the_counts_know_it() {
    let demo = Demo::start().await.unwrap();
    let rule = [
        (2, "s1"),
        (3, "s2"),
        (4, "s3"),
        (5, "s1"),
        (6, "s2"),
        (7, "s3"),
        (8, "s1"),
        (9, "s2"),
    ];
    let mut clients = Vec::new();
    let mut expected = Counts::default();
    for (last, backend) in rule {
        let client = polling_client(&demo, loopback(last)).await;
        assert_eq!(client.2, backend, "127.0.0.{last}");
        clients.push(client);
        let of_source = BTreeMap::from([(backend.to_owned(), 1)]);
        expected.sources.insert(loopback(last).into(), of_source);
        let totals = expected.backends.entry(backend.to_owned()).or_default();
        totals.clients += 1;
        totals.open += 1;
        totals.peak += 1;
    }
    assert_eq!(demo.counts(), expected);
    demo.stop().await;
}

#[tokio::test]
async fn one_source_lands_on_one_backend() {
    let demo = Demo::start().await.unwrap();
    for _ in 0..4 {
        websocket_client(&demo, loopback(1)).await;
    }
    let counts = demo.counts();
    assert_eq!(
        counts.sources,
        BTreeMap::from([(loopback(1).into(), BTreeMap::from([("s3".to_owned(), 4)]))])
    );
    assert_eq!(counts.backends["s1"], BackendCounts::default());
    assert_eq!(counts.backends["s3"].clients, 4);
    demo.stop().await;
}

#[tokio::test]
async fn a_polling_client_gets_its_echo_and_is_counted_out_when_it_closes() {
    let demo = Demo::start().await.unwrap();
    let (mut wire, target, _) = polling_client(&demo, loopback(2)).await;
    wire.post(
        &target,
        "421[\"echo\",{\"i\":1}]\u{1e}422[\"echo\"]\u{1e}42[\"other\",1]",
    )
    .await;
    let acks = wire.poll(&target, 2).await;
    assert_eq!(acks, ["431[{\"i\":1}]", "432[]"]);
    assert_eq!(
        demo.counts().backends["s1"],
        BackendCounts {
            clients: 1,
            open: 1,
            peak: 1,
            emits: 3
        }
    );

    wire.post(&target, "1").await;
    all_gone(&demo.tally).await;
    assert_eq!(
        demo.counts().backends["s1"],
        BackendCounts {
            clients: 1,
            open: 0,
            peak: 1,
            emits: 3
        }
    );
    demo.stop().await;
}

#[tokio::test]
async fn a_websocket_client_reads_its_backend_from_the_upgrade_and_may_leave_without_a_word() {
    let demo = Demo::start().await.unwrap();
    let (mut wire, backend) = websocket_client(&demo, loopback(9)).await;
    assert_eq!(backend, "s2");
    wire.say("427[\"echo\",\"x\"]").await;
    assert_eq!(wire.hear().await, "437[\"x\"]");

    drop(wire);
    all_gone(&demo.tally).await;
    assert_eq!(
        demo.counts().backends["s2"],
        BackendCounts {
            clients: 1,
            open: 0,
            peak: 1,
            emits: 1
        }
    );
    demo.reset();
    assert_eq!(demo.counts().backends["s2"], BackendCounts::default());
    assert!(demo.counts().sources.is_empty());
    demo.stop().await;
}

#[tokio::test]
async fn an_upgrade_stays_on_its_backend_and_is_one_client() {
    let demo = Demo::start().await.unwrap();
    let (mut polling, target, backend) = polling_client(&demo, loopback(4)).await;
    let mut wire = Wire::open(&demo, loopback(4)).await;
    let switched = wire.upgrade(&target.replace("polling", "websocket")).await;
    assert_eq!((switched.status, switched.backend.as_str()), (101, "s3"));
    assert_eq!(backend, "s3");

    let (poll, ()) = tokio::join!(polling.poll(&target, 1), wire.say("2probe"));
    assert_eq!(poll, ["6"]);
    assert_eq!(wire.hear().await, "3probe");
    wire.say("5").await;
    wire.say("421[\"echo\",1]").await;
    assert_eq!(wire.hear().await, "431[1]");
    assert_eq!(
        demo.counts().backends["s3"],
        BackendCounts {
            clients: 1,
            open: 1,
            peak: 1,
            emits: 1
        }
    );
    demo.stop().await;
}

#[tokio::test]
async fn plain_http_and_refusals_name_their_backend_too() {
    let demo = Demo::start().await.unwrap();
    let mut wire = Wire::open(&demo, loopback(3)).await;
    let plain = wire.get("/").await;
    assert_eq!((plain.status, plain.backend.as_str()), (200, "s2"));
    assert_eq!(plain.body, "swarm demo, backend s2\n");
    assert_eq!(wire.get("/nowhere").await.status, 404);
    let unknown = wire.get(&format!("{POLLING}&sid=AAAAAAAAAAAAAAAAAAAAAAAA")).await;
    assert_eq!((unknown.status, unknown.backend.as_str()), (400, "s2"));
    assert!(unknown.body.contains("Session ID unknown"), "{}", unknown.body);
    demo.stop().await;
}

#[tokio::test]
async fn stop_ends_clients_that_are_still_connected() {
    let demo = Demo::start().await.unwrap();
    let (mut websocket, _) = websocket_client(&demo, loopback(2)).await;
    let (mut polling, target, _) = polling_client(&demo, loopback(3)).await;
    polling
        .stream
        .get_mut()
        .write_all(format!("GET {target} HTTP/1.1\r\nHost: demo\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let tally = Arc::clone(&demo.tally);

    tokio::time::timeout(Duration::from_secs(10), demo.stop())
        .await
        .expect("stop waits for no client");
    // The connections have ended, in order or reset.
    let mut rest = Vec::new();
    let _ = websocket.stream.read_to_end(&mut rest).await;
    let _ = polling.stream.read_to_end(&mut rest).await;
    all_gone(&tally).await;
}
