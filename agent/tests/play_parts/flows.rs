//! Several steps together: a login taken along, rows, weights, counts, ends.

use crate::scene::*;
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::flow::*;
use swarm_agent::wire::share::{Carrier, Engine};

#[tokio::test]
async fn a_login_is_taken_into_the_handshake() {
    for carrier in [Carrier::Websocket, Carrier::Polling, Carrier::Upgrade] {
        let (port, seen) = server().await;
        let captures = [
            (0, From::Pointer("/token".into())),
            (1, From::Header("x-ticket".into())),
            (2, From::Cookie("session".into())),
            (3, From::Between("\"list\":[".into(), "]".into())),
        ];
        let reply = Reply {
            checks: vec![
                check("/ok", "true"),
                Check {
                    pointer: None,
                    header: Some("x-ticket".into()),
                    is: Is::Present,
                },
            ],
            captures: captures
                .into_iter()
                .map(|(slot, from)| Capture { slot, from })
                .collect(),
            within: None,
        };
        let mut login = http("login", "POST", "/login", reply);
        if let Act::Http(http) = &mut login.act {
            http.body = Some(Text(vec![
                Piece::Value(var(Variable::Column(0))),
                Piece::Plain(":".into()),
                Piece::Value(var(Variable::Column(1))),
            ]));
        }
        let room = Expression::Calculation(
            Box::new(var(Variable::Slot(3))),
            Operator::Times,
            Box::new(Expression::Number(2)),
        );
        let enter = Connect {
            query: vec![("room".into(), text("r ", Piece::Value(room), ""))],
            headers: vec![("X-Team".into(), text("", Piece::Value(var(Variable::Slot(1))), ""))],
            namespaces: vec![Namespace {
                name: "/chat".into(),
                auth: Some(text("{\"token\":", Piece::Json(var(Variable::Slot(0))), "}")),
            }],
            ..Connect::default()
        };
        let steps = vec![
            login,
            step("enter", Act::Connect(enter)),
            http("me", "GET", "/me", Reply::default()),
            emit("echo", Text::plain(r#"["echo",1]"#), acked()),
        ];
        let mut program = program(steps);
        program.slots = ["token", "ticket", "session", "list"].map(str::to_owned).to_vec();
        program.rows = (0..3).map(|n| vec![format!("user{n}"), format!("pass{n}")]).collect();
        let played = play(share(port, socketio(carrier), 3, program)).await;
        for label in ["login", "enter", "me", "echo"] {
            assert_eq!(
                played.step(label),
                (3, 3, 0),
                "{carrier:?} {label} {:?}",
                played.faults()
            );
        }
        for n in 0..3 {
            assert_eq!(seen.count(&format!("login user{n}:pass{n}")), 1, "{:?}", seen.all());
        }
        let inside = r#"in /chat cookie[session=s1] t7 room=r%206 Some("k\"1")"#;
        assert_eq!(seen.count(inside), 3, "{carrier:?} {:?}", seen.all());
        assert_eq!(seen.count("me session=s1"), 3);
        let counts = &played.recording.counts;
        assert_eq!(counts.statuses, [(200, 3), (201, 3)]);
        // requests beside a socket are no connections of their own
        assert_eq!(counts.tally.connections.attempted, 3);
        assert_eq!(counts.tally.messages.sent, 3);
    }
}

#[tokio::test]
async fn http_alone_counts_its_connections_and_keeps_them() {
    let (port, seen) = server().await;
    let engine = Engine::Http(swarm_agent::wire::share::Http {
        method: "GET".into(),
        body: None,
        keepalive: true,
        requests_per_connection: None,
        connection_life: None,
        redirects: 0,
        ok: vec![(200, 299)],
    });
    let wanted = Reply {
        checks: vec![Check {
            pointer: None,
            header: None,
            is: Is::Containing(Text::plain("you")),
        }],
        ..Reply::default()
    };
    let missing = http("missing", "GET", "/nowhere", Reply::default());
    let steps = vec![
        step(
            "twice",
            Act::Repeat(Repeat {
                rounds: Rounds::Count(2),
                steps: vec![http("login", "POST", "/login", Reply::default())],
            }),
        ),
        lenient("missing", missing.act),
        http("me", "GET", "/me", wanted),
    ];
    let played = play(share(port, engine, 2, program(steps))).await;
    assert_eq!(played.step("login"), (4, 4, 0), "{:?}", played.faults());
    assert_eq!(
        played.faults(),
        [
            (FaultKind::HttpStatus, "one / missing: status 404", 2),
            (FaultKind::Check, "one / me: the answer does not hold you", 2),
        ]
    );
    let counts = &played.recording.counts;
    assert_eq!(
        (counts.tally.connections.attempted, counts.tally.connections.opened),
        (2, 2)
    );
    assert_eq!((counts.backends[0].connections, counts.backends[0].requests), (2, 4));
    assert_eq!(counts.sources[0].backends, [("s9".to_owned(), 2)]);
    assert_eq!(seen.count("me session=s1"), 2);
}

#[tokio::test]
async fn clients_take_flows_by_weight() {
    let (port, seen) = server().await;
    let flow = |name: &str, weight, said: &str| Flow {
        name: name.into(),
        weight,
        steps: vec![
            connect(),
            emit("say", Text::plain(format!("[\"say\",{said}]")), Answer::Written),
            wait(50),
        ],
    };
    let program = Program {
        flows: vec![flow("many", 3, "1"), flow("few", 1, "2")],
        ..Program::default()
    };
    let played = play(share(port, socketio(Carrier::Websocket), 8, program)).await;
    let flows = &played.recording.counts.flows;
    let clients: Vec<_> = flows.iter().map(|flow| (flow.name.as_str(), flow.clients)).collect();
    assert_eq!(clients, [("many", 6), ("few", 2)]);
    assert_eq!((seen.count("say 1"), seen.count("say 2")), (6, 2));
}

#[tokio::test]
async fn a_count_of_hits_ends_a_playbook() {
    let (port, _) = server().await;
    let steps = vec![
        connect(),
        step(
            "on",
            Act::Repeat(Repeat {
                rounds: Rounds::Forever,
                steps: vec![emit("echo", Text::plain(r#"["echo",1]"#), acked())],
            }),
        ),
    ];
    let share = held(share(port, socketio(Carrier::Websocket), 3, program(steps)), |held| {
        held.requests = Some(50);
        held.end = 10_000 * MS;
    });
    let played = play(share).await;
    let tally = &played.recording.counts.tally;
    assert_eq!(
        (tally.requests, tally.ok, tally.not_started),
        (50, 50, 0),
        "{:?}",
        played.faults()
    );
}

#[tokio::test]
async fn nothing_spins_where_nothing_can_be_done() {
    let (port, _) = server().await;
    let steps = vec![step(
        "on",
        Act::Repeat(Repeat {
            rounds: Rounds::Forever,
            steps: vec![lenient("echo", emit("", Text::plain("[]"), acked()).act)],
        }),
    )];
    let played = play(share(port, socketio(Carrier::Websocket), 2, program(steps))).await;
    // 10, 20, 40... ms between two of them
    assert!((2..=16).contains(&played.step("echo").0), "{:?}", played.step("echo"));
}

#[tokio::test]
async fn a_script_that_cannot_be_made_fails_its_clients_and_is_counted() {
    let (port, _) = server().await;
    let mut program = program(vec![connect()]);
    program.script = Some(Script {
        name: "broken.js".into(),
        source: "function (".into(),
    });
    let played = play(share(port, socketio(Carrier::Websocket), 2, program)).await;
    assert_eq!(
        played.faults(),
        [(FaultKind::Script, "one / hooks: broken.js: could not be compiled", 2)]
    );
    assert_eq!(played.step("hooks"), (2, 0, 2));
}
