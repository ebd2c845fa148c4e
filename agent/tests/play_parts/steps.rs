//! Each step on its own.

use crate::scene::*;
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::flow::*;
use swarm_agent::wire::report::Latency;
use swarm_agent::wire::share::Carrier;

const CARRIERS: [Carrier; 3] = [Carrier::Websocket, Carrier::Polling, Carrier::Upgrade];

fn samples(played: &Played, name: Latency) -> u64 {
    let found = played.recording.latency.iter().find(|(have, _)| *have == name);
    found.map_or(0, |(_, histogram)| histogram.count)
}

#[tokio::test]
async fn emits_are_acked_answered_by_events_or_written() {
    for carrier in CARRIERS {
        let (port, seen) = server().await;
        let reply = Reply {
            within: None,
            checks: vec![check("/0/ok", "true"), check("/0/what", "\"w7\"")],
            captures: vec![],
        };
        let steps = vec![
            connect(),
            emit("echo", Text::plain(r#"["echo",{"a":1}]"#), acked()),
            emit(
                "ask",
                Text::plain(r#"["say","w7"]"#),
                Answer::Event {
                    event: Some("said".into()),
                    reply,
                },
            ),
            emit("tell", Text::plain(r#"["say",2]"#), Answer::Written),
            wait(100),
        ];
        let played = play(share(port, socketio(carrier), 5, program(steps))).await;
        for label in ["connect", "echo", "ask", "tell"] {
            assert_eq!(
                played.step(label),
                (5, 5, 0),
                "{carrier:?} {label} {:?}",
                played.faults()
            );
        }
        let messages = &played.recording.counts.tally.messages;
        assert_eq!(
            (messages.sent, messages.expected, messages.acked),
            (15, 10, 10),
            "{carrier:?}"
        );
        assert_eq!(messages.received, 20, "{carrier:?}");
        assert_eq!(
            (samples(&played, Latency::Ack), samples(&played, Latency::Message)),
            (5, 5)
        );
        assert_eq!((seen.count("say \"w7\""), seen.count("say 2")), (5, 5), "{carrier:?}");
        assert_eq!(seen.count("left"), 5, "{carrier:?} {:?}", seen.all());
    }
}

#[tokio::test]
async fn an_event_that_came_during_the_last_step_counts_for_an_expect() {
    let (port, _) = server().await;
    let remembered = Reply {
        checks: vec![check("/0/kind", "\"x\"")],
        captures: vec![Capture {
            slot: 0,
            from: From::Pointer("/0/id".into()),
        }],
        ..Reply::default()
    };
    let id = Expression::Calculation(
        Box::new(var(Variable::Slot(0))),
        Operator::Plus,
        Box::new(Expression::Number(1)),
    );
    let steps = vec![
        connect(),
        emit("greet", Text::plain(r#"["greet",5]"#), Answer::Ack(remembered)),
        expect("hello", "hello", 300),
        // it was taken: there is no second one
        Step {
            on_failure: OnFailure::Continue,
            ..expect("again", "hello", 100)
        },
        emit("id", text(r#"["say",{"id":"#, Piece::Json(id), "}]"), Answer::Written),
        wait(50),
    ];
    let mut program = program(steps);
    program.slots = vec!["id".into()];
    let (played, seen) = {
        let (port2, seen) = server().await;
        let _ = port;
        (play(share(port2, socketio(Carrier::Websocket), 2, program)).await, seen)
    };
    assert_eq!(played.step("hello"), (2, 2, 0), "{:?}", played.faults());
    assert_eq!(played.step("again"), (2, 0, 2));
    assert_eq!(
        played.faults(),
        [(FaultKind::EchoTimeout, "one / again: no hello within 0.1 s", 2)]
    );
    assert_eq!(seen.count(r#"say {"id":42}"#), 2, "{:?}", seen.all());
}

#[tokio::test]
async fn what_is_not_as_wanted_is_told_with_flow_and_step() {
    let (port, _) = server().await;
    let wrong = |within| Reply {
        within: Some(within * MS),
        checks: vec![check("/0/a", "2")],
        captures: vec![],
    };
    let go_on = |step: Step| Step {
        on_failure: OnFailure::Continue,
        ..step
    };
    let event = Answer::Event {
        event: Some("said".into()),
        reply: wrong(150),
    };
    let by_zero = Expression::Calculation(
        Box::new(var(Variable::Conn)),
        Operator::Modulo,
        Box::new(Expression::Number(0)),
    );
    let steps = vec![
        connect(),
        go_on(emit(
            "ack",
            Text::plain(r#"["echo",{"a":1}]"#),
            Answer::Ack(wrong(1_000)),
        )),
        go_on(emit("event", Text::plain(r#"["say",1]"#), event)),
        go_on(emit("silent", Text::plain(r#"["silent"]"#), Answer::Ack(wrong(100)))),
        go_on(emit(
            "zero",
            text("[\"say\",", Piece::Json(by_zero), "]"),
            Answer::Written,
        )),
        go_on(emit(
            "unset",
            text("[\"say\",", Piece::Json(var(Variable::Slot(0))), "]"),
            Answer::Written,
        )),
        emit("last", Text::plain(r#"["echo",0]"#), Answer::Ack(wrong(1_000))),
        emit("never", Text::plain(r#"["echo",0]"#), acked()),
    ];
    let mut program = program(steps);
    program.slots = vec!["token".into()];
    let played = play(share(port, socketio(Carrier::Websocket), 1, program)).await;
    assert_eq!(
        played.faults(),
        [
            (
                FaultKind::AckTimeout,
                "one / silent: no acknowledgement within 0.1 s",
                1
            ),
            (FaultKind::Check, "one / ack: /0/a is 1, not 2", 1),
            (
                FaultKind::Check,
                "one / event: nothing as wanted within 0.15 s: /0/a is missing, not 2",
                1
            ),
            (FaultKind::Check, "one / last: /0/a is missing, not 2", 1),
            (FaultKind::Check, "one / unset: token was never set", 1),
            (FaultKind::Check, "one / zero: a remainder by zero", 1),
        ]
    );
    assert_eq!(played.step("never"), (0, 0, 0));
    let row = played
        .recording
        .counts
        .faults
        .iter()
        .find(|row| row.detail.contains("ack:"));
    assert_eq!(row.unwrap().examples[0].excerpt, br#"[{"a":1}]"#);
}

#[tokio::test]
async fn namespaces_are_joined_and_refused() {
    for carrier in CARRIERS {
        let (port, seen) = server().await;
        let chat = |name: &str| Namespace {
            name: name.into(),
            auth: Some(text("{\"token\":\"", Piece::InString(var(Variable::Conn)), "\"}")),
        };
        let say = Emit {
            namespace: Some("/chat".into()),
            array: Text::plain(r#"["say",1]"#),
            attachments: vec![],
            answer: Answer::Written,
        };
        let beyond = Emit {
            namespace: Some("/nope".into()),
            ..say.clone()
        };
        let mut heard = expect("heard", "said", 500);
        if let Act::Expect(expect) = &mut heard.act {
            expect.namespace = Some("/chat".into());
        }
        let steps = vec![
            connect(),
            lenient("nowhere", Act::Emit(say.clone())),
            step("join", Act::Join(chat("/chat"))),
            step("say", Act::Emit(say)),
            heard,
            lenient("lost", Act::Join(chat("/nope"))),
            lenient("beyond", Act::Emit(beyond)),
            emit("still", Text::plain(r#"["say",2]"#), Answer::Written),
        ];
        let played = play(share(port, socketio(carrier), 2, program(steps))).await;
        for label in ["join", "say", "heard", "still"] {
            assert_eq!(
                played.step(label),
                (2, 2, 0),
                "{carrier:?} {label} {:?}",
                played.faults()
            );
        }
        assert_eq!(played.step("lost"), (2, 0, 2));
        let kinds: Vec<_> = played.faults().iter().map(|fault| fault.0).collect();
        let wanted = [
            FaultKind::ConnectError,
            FaultKind::NotConnected,
            FaultKind::NotConnected,
        ];
        assert_eq!(kinds, wanted, "{carrier:?} {:?}", played.faults());
        assert_eq!(seen.count("in /chat cookie[]   Some(\"1\")"), 1, "{:?}", seen.all());
    }
}

#[tokio::test]
async fn raw_messages_are_echoed_and_expected() {
    let port = echoes().await;
    let send = |label: &str, message, answer| step(label, Act::Send(Send { message, answer }));
    let echo = |check: Option<Check>| Answer::Event {
        event: None,
        reply: Reply {
            checks: check.into_iter().collect(),
            ..Reply::default()
        },
    };
    let whole = Check {
        pointer: None,
        header: None,
        is: Is::Equal(text("c", Piece::Value(var(Variable::Conn)), "")),
    };
    let mut any = expect("any", "", 500);
    if let Act::Expect(expect) = &mut any.act {
        (expect.event, expect.count) = (None, 2);
    }
    let hello = text("c", Piece::Value(var(Variable::Conn)), "");
    let steps = vec![
        connect(),
        send("text", Payload::Text(hello), echo(Some(whole))),
        send("binary", Payload::Binary(Bytes(vec![1, 2])), echo(None)),
        step(
            "twice",
            Act::Repeat(Repeat {
                rounds: Rounds::Count(1),
                steps: vec![send("a", Payload::Text(Text::plain("a")), Answer::Written)],
            }),
        ),
        send("b", Payload::Text(Text::plain("b")), Answer::Written),
        lenient("any", any.act),
        step("bye", Act::Disconnect),
        lenient(
            "late",
            Act::Send(Send {
                message: Payload::Text(Text::plain("x")),
                answer: Answer::Written,
            }),
        ),
    ];
    let played = play(share(port, websocket(), 3, program(steps))).await;
    for label in ["text", "binary", "a", "b"] {
        assert_eq!(played.step(label), (3, 3, 0), "{label} {:?}", played.faults());
    }
    // the first of the two may have come before the second was said, which a new step forgets
    assert_eq!(played.step("any").0, 3);
    assert_eq!(played.step("late"), (3, 0, 3));
    let last = played.faults();
    assert!(
        last.contains(&(FaultKind::NotConnected, "one / late: not connected", 3)),
        "{last:?}"
    );
    assert_eq!(played.recording.counts.tally.connections.dropped, 0);
}

#[tokio::test]
async fn rounds_are_due_by_the_clock_and_late_ones_are_sent() {
    let (port, _) = server().await;
    let rounds = Every {
        period: 100 * MS,
        rounds: Rounds::Forever,
        steps: vec![
            emit("one", Text::plain(r#"["echo",1]"#), acked()),
            emit("two", Text::plain(r#"["echo",2]"#), acked()),
        ],
    };
    let steps = vec![connect(), step("every", Act::Every(rounds))];
    let played = play(share(port, socketio(Carrier::Websocket), 4, program(steps))).await;
    let (one, ..) = played.step("one");
    // each client has its phase: at most ten rounds within one second
    assert!((4..=40).contains(&one), "{one}");
    assert_eq!(played.step("one").1, played.step("two").1);
    assert_eq!(samples(&played, Latency::Lateness), one);
    assert_eq!(samples(&played, Latency::Request), played.step("one").1);
    assert_eq!(samples(&played, Latency::Service), 2 * one);
}
