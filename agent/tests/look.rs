//! Looks against real peers on loopback: each order gets its sight, in bounds.

#![allow(clippy::unwrap_used)]

use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::time::Duration;
use swarm_agent::look::Looks;
use swarm_agent::wire::fault::{Fault, FaultKind};
use swarm_agent::wire::look::{Answered, Asked, BODY, Heard, Look, Order, Sight, Talk, Upgrade, Way};
use swarm_agent::wire::message::FromAgent;
use swarm_agent::wire::share::BackendFrom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

struct Eyes {
    looks: Looks,
    saw: mpsc::UnboundedReceiver<FromAgent>,
    next: u32,
}

impl Eyes {
    fn new() -> Self {
        let (lines, saw) = mpsc::unbounded_channel();
        Self {
            looks: Looks::new(lines),
            saw,
            next: 0,
        }
    }

    async fn look(&mut self, within: Duration, order: Order) -> Result<Sight, Fault> {
        self.next += 1;
        self.looks.begin(Look {
            id: self.next,
            within: u64::try_from(within.as_nanos()).unwrap(),
            order,
        });
        match self.saw.recv().await.unwrap() {
            FromAgent::Saw(saw) if saw.id == self.next => saw.sight,
            other => panic!("{other:?}"),
        }
    }

    async fn ask(&mut self, to: SocketAddr) -> Result<Answered, Fault> {
        let order = Order::Exchange {
            way: way(to),
            asked: asked(),
        };
        match self.look(Duration::from_secs(5), order).await? {
            Sight::Answered(answered) => Ok(answered),
            other => panic!("{other:?}"),
        }
    }

    async fn talk(&mut self, within: Duration, talk: Talk) -> Heard {
        match self.look(within, Order::Talk(talk)).await {
            Ok(Sight::Heard(heard)) => heard,
            other => panic!("{other:?}"),
        }
    }
}

fn way(to: SocketAddr) -> Way {
    Way {
        to,
        source: Some("127.0.0.9".parse().unwrap()),
        tls: None,
    }
}

fn asked() -> Asked {
    Asked {
        method: "GET".into(),
        path: "/x".into(),
        authority: "chat.test".into(),
        headers: vec![("X-A".into(), "1".into())],
        cookie: Some("a=b".into()),
        body: None,
        backend_from: BackendFrom::Usual,
    }
}

/// A server that says these bytes to whoever connects and asks, and gives back what it was asked.
async fn says(answer: &'static [u8]) -> (SocketAddr, mpsc::UnboundedReceiver<(SocketAddr, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, peer)) = listener.accept().await {
            let mut asked = [0; 4096];
            let count = stream.read(&mut asked).await.unwrap_or(0);
            tell.send((peer, String::from_utf8_lossy(&asked[..count]).into_owned()))
                .ok();
            stream.write_all(answer).await.ok();
        }
    });
    (address, told)
}

#[tokio::test]
async fn an_exchange_says_what_came_from_where() {
    let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nX-Backend: s2\r\nSet-Cookie: a=1\r\nContent-Length: 2\r\n\r\nno";
    let (to, mut told) = says(answer).await;
    let answered = Eyes::new().ask(to).await.unwrap();
    assert_eq!(
        (answered.status, answered.body.as_slice(), answered.cut),
        (404, &b"no"[..], false)
    );
    assert_eq!(answered.backend, Some(("header:x-backend".into(), "s2".into())));
    assert!(answered.headers.contains(&("set-cookie".into(), "a=1".into())));
    let (peer, request) = told.recv().await.unwrap();
    assert_eq!(peer.ip().to_string(), "127.0.0.9", "bound to the source");
    assert_eq!(answered.local, Some(peer.ip()));
    for line in [
        "GET /x HTTP/1.1\r\n",
        "Host: chat.test\r\n",
        "X-A: 1\r\n",
        "Cookie: a=b\r\n",
        "Connection: close\r\n",
    ] {
        assert!(request.contains(line), "{line} is missing: {request}");
    }
}

#[tokio::test]
async fn an_answer_that_never_ends_is_cut() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 4096];
        assert!(stream.read(&mut asked).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    let answered = Eyes::new().ask(to).await.unwrap();
    assert!(answered.cut && answered.body.len() == BODY, "{}", answered.body.len());
}

#[tokio::test]
async fn what_is_no_http_and_what_is_silent_are_faults() {
    let (to, _told) = says(b"SSH-2.0-x\r\n\r\n").await;
    assert_eq!(Eyes::new().ask(to).await.unwrap_err().kind, FaultKind::Protocol);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let order = Order::Exchange {
        way: way(silent.local_addr().unwrap()),
        asked: asked(),
    };
    let fault = Eyes::new().look(Duration::from_millis(50), order).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Timeout);
    let closed = silent.local_addr().unwrap();
    drop(silent);
    let fault = Eyes::new()
        .look(Duration::from_secs(5), Order::Connect(way(closed)))
        .await;
    assert_eq!(fault.unwrap_err().kind, FaultKind::ConnectRefused);
}

/// A WebSocket server that says "hello", answers "x" by "got x", pings by text, and hangs up on "bye".
async fn websocket() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                socket.send(Message::text("hello")).await.unwrap();
                while let Some(Ok(Message::Text(text))) = socket.next().await {
                    match text.as_str() {
                        "bye" => {
                            socket.close(None).await.ok();
                            return;
                        }
                        "vanish" => return,
                        text => socket.send(Message::text(format!("got {text}"))).await.unwrap(),
                    }
                }
            });
        }
    });
    address
}

async fn opened(eyes: &mut Eyes, name: u32) {
    let order = Order::Open {
        name,
        way: way(websocket().await),
        asked: asked(),
    };
    let Ok(Sight::Opened { answered, upgrade }) = eyes.look(Duration::from_secs(5), order).await else {
        panic!("no WebSocket")
    };
    assert_eq!((answered.status, upgrade), (101, Upgrade::Done));
}

fn texts(heard: &Heard) -> Vec<&str> {
    heard.texts.iter().map(|(_, text)| text.as_str()).collect()
}

#[tokio::test]
async fn a_websocket_is_kept_between_orders() {
    let mut eyes = Eyes::new();
    opened(&mut eyes, 7).await;
    let long = Duration::from_secs(5);
    let until = |begin: &str, send: &[&str]| Talk {
        name: 7,
        send: send.iter().map(|text| (*text).to_owned()).collect(),
        replies: vec![("hello".into(), "you".into())],
        until: Some(begin.into()),
        ..Talk::default()
    };
    let heard = eyes.talk(long, until("got y", &["me"])).await;
    assert!(heard.found && heard.ended.is_none(), "{heard:?}");
    // what was said and what a reply was given for
    assert_eq!(texts(&heard).last(), Some(&"got you"), "{heard:?}");
    assert!(
        texts(&heard).contains(&"got me") && texts(&heard).contains(&"hello"),
        "{heard:?}"
    );
    let heard = eyes.talk(Duration::from_millis(60), until("never", &[])).await;
    assert!(
        !heard.found && heard.ended.is_none() && heard.texts.is_empty(),
        "{heard:?}"
    );
    let every = Talk {
        name: 7,
        every: Some((1_000_000, "tick".into())),
        until: Some("got tick".into()),
        ..Talk::default()
    };
    assert!(eyes.talk(long, every).await.found);
    let heard = eyes.talk(long, until("never", &["bye"])).await;
    assert!(heard.by_frame && heard.ended.is_some(), "{heard:?}");
    assert_eq!(eyes.look(long, Order::Close { name: 7 }).await, Ok(Sight::Closed));
    let gone = eyes.look(long, Order::Talk(until("x", &[]))).await.unwrap_err();
    assert_eq!(gone.kind, FaultKind::NotConnected);
}

#[tokio::test]
async fn a_connection_that_is_cut_is_told_from_a_farewell() {
    let mut eyes = Eyes::new();
    opened(&mut eyes, 1).await;
    let talk = Talk {
        name: 1,
        send: vec!["vanish".into()],
        ..Talk::default()
    };
    let heard = eyes.talk(Duration::from_secs(5), talk).await;
    assert!(heard.ended.is_some() && !heard.by_frame, "{heard:?}");
}

#[tokio::test]
async fn a_handshake_that_is_not_answered_as_one_is_refused() {
    let (to, _told) = says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    let order = Order::Open {
        name: 1,
        way: way(to),
        asked: asked(),
    };
    let sight = Eyes::new().look(Duration::from_secs(5), order).await.unwrap();
    assert!(
        matches!(
            sight,
            Sight::Opened {
                upgrade: Upgrade::Refused,
                ..
            }
        ),
        "{sight:?}"
    );
}
