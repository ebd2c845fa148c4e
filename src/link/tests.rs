//! Links against agents that a test plays over pipes.

use super::*;
use swarm_agent::wire::frame::{Inbox, Outbox};
use swarm_agent::wire::{BUILD_ID, MAGIC};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const NONCE: &str = "test0nonce";

/// The far end of a link.
struct Fake {
    input: DuplexStream,
    output: DuplexStream,
    errors: DuplexStream,
    inbox: Inbox,
}

impl Fake {
    fn linked(limits: LinkLimits) -> (Self, LinkHandle, mpsc::Receiver<LinkEvent>) {
        let (near_in, input) = duplex(64 * 1024);
        let (output, near_out) = duplex(64 * 1024);
        let (errors, near_err) = duplex(64 * 1024);
        let stream = Stream::bare(Box::new(near_in), Box::new(near_out), Box::new(near_err));
        let (handle, events) = Link::start_with(stream, NONCE, limits);
        (
            Self {
                input,
                output,
                errors,
                inbox: Inbox::default(),
            },
            handle,
            events,
        )
    }

    async fn greet(&mut self) {
        self.output
            .write_all(format!("motd\n{MAGIC}other\n{MAGIC}{NONCE}\n").as_bytes())
            .await
            .unwrap();
        self.say(&FromAgent::Hello(Box::new(hello(BUILD_ID)))).await;
    }

    async fn say(&mut self, message: &FromAgent) {
        let mut outbox = Outbox::default();
        outbox.data(message).unwrap();
        while let Some(frame) = outbox.next_frame() {
            self.output.write_all(&frame).await.unwrap();
        }
    }

    async fn hears(&mut self) -> ToAgent {
        let mut buffer = [0u8; 4096];
        loop {
            if let Some(message) = self.inbox.next_message().unwrap() {
                return message;
            }
            let count = self.input.read(&mut buffer).await.unwrap();
            assert!(count > 0, "the input ended");
            self.inbox.feed(&buffer[..count]);
        }
    }
}

fn hello(build: &str) -> Hello {
    Hello {
        build: build.to_owned(),
        pid: 1,
        cores: 2,
        memory: 0,
        files: 1024,
        ports: (1, 2),
        interfaces: vec![],
    }
}

fn quick() -> LinkLimits {
    LinkLimits {
        hello: Duration::from_millis(300),
        silence: Duration::from_millis(300),
    }
}

async fn reason(events: &mut mpsc::Receiver<LinkEvent>) -> String {
    loop {
        if let LinkEvent::Closed { why } = events.recv().await.unwrap() {
            assert!(events.recv().await.is_none(), "nothing comes after Closed");
            return why;
        }
    }
}

#[tokio::test]
async fn a_conversation() {
    let (mut fake, handle, mut events) = Fake::linked(LinkLimits::default());
    handle.ping(7).unwrap();
    fake.greet().await;
    assert!(matches!(events.recv().await, Some(LinkEvent::Hello(hello)) if hello.cores == 2));
    assert_eq!(fake.hears().await, ToAgent::Ping { seq: 7 });
    fake.say(&FromAgent::Pong {
        seq: 7,
        received: 100,
        sent: 200,
    })
    .await;
    let Some(LinkEvent::Pong {
        seq: 7,
        sent_ns,
        agent_received_ns: 100,
        agent_sent_ns: 200,
        received_ns,
        queued: false,
    }) = events.recv().await
    else {
        panic!("no pong, or a queued one")
    };
    assert!(sent_ns > 0 && sent_ns < received_ns);
    handle.send(ToAgent::Drain).unwrap();
    assert_eq!(fake.hears().await, ToAgent::Drain);
    fake.say(&FromAgent::Refused {
        reason: "full".repeat(30_000),
    })
    .await;
    assert!(matches!(
        events.recv().await,
        Some(LinkEvent::Message {
            message: FromAgent::Refused { .. },
            ..
        })
    ));
    handle.send(ToAgent::Bye).unwrap();
    tokio::spawn(handle.close());
    assert_eq!(fake.hears().await, ToAgent::Bye);
    let mut rest = Vec::new();
    fake.input.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "after the last message comes the end of input");
    assert_eq!(reason(&mut events).await, "closed by the controller");
}

#[tokio::test]
async fn a_ping_behind_another_frame_is_marked_until_an_answer_shows_that_it_was_read() {
    let (mut fake, handle, mut events) = Fake::linked(LinkLimits::default());
    fake.greet().await;
    events.recv().await.unwrap();
    let mut marks = Vec::new();
    handle.send(ToAgent::Start { at: 1, clock_error: 0 }).unwrap();
    assert_eq!(fake.hears().await, ToAgent::Start { at: 1, clock_error: 0 });
    for seq in 1..=2 {
        handle.ping(seq).unwrap();
        assert_eq!(fake.hears().await, ToAgent::Ping { seq });
        fake.say(&FromAgent::Pong {
            seq,
            received: 0,
            sent: 0,
        })
        .await;
        let Some(LinkEvent::Pong { queued, .. }) = events.recv().await else {
            panic!("no pong")
        };
        marks.push(queued);
    }
    assert_eq!(marks, [true, false]);
}

#[tokio::test]
async fn nothing_is_written_before_the_hello() {
    let (mut fake, handle, _events) = Fake::linked(LinkLimits::default());
    handle.send(ToAgent::Drain).unwrap();
    fake.output
        .write_all(format!("{MAGIC}{NONCE}\n").as_bytes())
        .await
        .unwrap();
    let mut byte = [0u8];
    let read = tokio::time::timeout(Duration::from_millis(100), fake.input.read(&mut byte)).await;
    assert!(read.is_err(), "a byte came: {read:?}");
}

#[tokio::test]
async fn every_break_of_the_rules_ends_the_link_with_a_reason() {
    let cases: [(&str, FromAgent, &str); 4] = [
        (
            "build",
            FromAgent::Hello(Box::new(hello("0123"))),
            "another build (0123)",
        ),
        (
            "first",
            FromAgent::Trace {
                at_us: 0,
                line: String::new(),
            },
            "did not begin with a hello",
        ),
        ("twice", FromAgent::Hello(Box::new(hello(BUILD_ID))), "hello twice"),
        (
            "pong",
            FromAgent::Pong {
                seq: 9,
                received: 0,
                sent: 0,
            },
            "ping 9, which was never sent",
        ),
    ];
    for (case, message, why) in cases {
        let (mut fake, _handle, mut events) = Fake::linked(LinkLimits::default());
        if matches!(case, "twice" | "pong") {
            fake.greet().await;
        } else {
            fake.output
                .write_all(format!("{MAGIC}{NONCE}\n").as_bytes())
                .await
                .unwrap();
        }
        fake.errors.write_all(b"thread panicked\nbecause\n").await.unwrap();
        fake.say(&message).await;
        drop(fake);
        let said = reason(&mut events).await;
        assert!(
            said.contains(why) && said.ends_with("it said last: thread panicked | because"),
            "{case}: {said}"
        );
    }
    let (mut fake, _handle, mut events) = Fake::linked(LinkLimits::default());
    fake.greet().await;
    fake.output.write_all(&[0xff; 64]).await.unwrap();
    let said = reason(&mut events).await;
    assert!(said.contains("outside the limits"), "{said}");
}

#[tokio::test]
async fn an_agent_that_never_speaks_or_leaves_is_told() {
    let (fake, _handle, mut events) = Fake::linked(quick());
    assert!(reason(&mut events).await.contains("no hello within 0.3 s"));
    drop(fake);
    let (mut fake, _handle, mut events) = Fake::linked(quick());
    fake.output.write_all(b"sh: agent: Exec format error\n").await.unwrap();
    drop(fake);
    assert!(reason(&mut events).await.contains("Exec format error"));
    let (mut fake, _handle, mut events) = Fake::linked(LinkLimits::default());
    fake.greet().await;
    drop(fake);
    assert!(reason(&mut events).await.contains("the agent ended"));
    let (mut fake, _handle, mut events) = Fake::linked(LinkLimits::default());
    let noise = tokio::spawn(async move { while fake.output.write_all(&[b'x'; 4096]).await.is_ok() {} });
    assert!(reason(&mut events).await.contains("too much output"));
    noise.await.unwrap();
}

#[tokio::test]
async fn only_an_unanswered_ping_makes_silence() {
    let (mut fake, handle, mut events) = Fake::linked(quick());
    fake.greet().await;
    events.recv().await.unwrap();
    let idle = tokio::time::timeout(Duration::from_millis(600), events.recv()).await;
    assert!(idle.is_err(), "an agent that nobody asked may be silent");
    handle.ping(1).unwrap();
    assert!(reason(&mut events).await.contains("nothing was heard from the agent"));
    drop(fake);
}

#[tokio::test]
async fn dropping_the_handle_ends_the_link() {
    let (mut fake, handle, mut events) = Fake::linked(LinkLimits::default());
    fake.greet().await;
    drop(handle);
    assert_eq!(reason(&mut events).await, "closed by the controller");
    let mut rest = Vec::new();
    fake.input.read_to_end(&mut rest).await.unwrap();
}
