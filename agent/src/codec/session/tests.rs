//! The machine against transcripts of the real clients and servers of both versions.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::wire::report::Heartbeats;
use crate::wire::share::{Carrier, Version};
use proptest::prelude::*;
use std::time::{Duration, Instant};

const OPEN: &str =
    r#"0{"sid":"S","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const OPEN_3: &str = r#"0{"sid":"S","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":5000}"#;
const BIN: &str = r#"["bin",{"_placeholder":true,"num":0}]"#;

fn feed(machine: &mut Machine, input: Input<'_>) -> Vec<Action> {
    let mut out = Vec::new();
    machine.input(input, Instant::now(), &mut out);
    out
}

/// What an operation orders.
fn ordered<T>(operation: impl FnOnce(&mut Vec<Action>) -> T) -> Vec<Action> {
    let mut out = Vec::new();
    operation(&mut out);
    out
}

fn begun_as(carrier: Carrier, version: Version, namespaces: &[&str]) -> Machine {
    let layer = if namespaces.is_empty() {
        Layer::Raw
    } else {
        Layer::Socketio
    };
    let mut machine = Machine::new(carrier, version, layer);
    for name in namespaces {
        assert_eq!(ordered(|out| machine.join(name, None, out)), []);
    }
    let first = if carrier == Carrier::Websocket {
        Action::OpenSocket
    } else {
        Action::Get
    };
    assert_eq!(ordered(|out| machine.begin(out)), [first]);
    machine
}

fn begun(carrier: Carrier) -> Machine {
    begun_as(carrier, Version::Four, &["/"])
}

/// A client of version 4 on a WebSocket that stands.
fn standing() -> Machine {
    let mut machine = begun(Carrier::Websocket);
    feed(&mut machine, Input::Frame(OPEN));
    assert_eq!(feed(&mut machine, Input::Frame(r#"40{"sid":"s"}"#)), [Action::Ready]);
    machine
}

fn polled(text: &str) -> Input<'_> {
    Input::Polled(text.as_bytes())
}

/// A payload of version 3.
fn payload_3(packets: &[&str]) -> Vec<u8> {
    packets
        .iter()
        .map(|packet| format!("{}:{packet}", packet.len()))
        .collect::<String>()
        .into_bytes()
}

fn post(text: &str) -> Action {
    Action::Post(text.to_owned())
}

fn send(text: &str) -> Action {
    Action::Send(Frame::Text(text.to_owned()))
}

fn send_binary(bytes: &[u8]) -> Action {
    Action::Send(Frame::Binary(bytes.to_vec()))
}

fn written(count: u32) -> Action {
    Action::Said(Said::Written(count))
}

fn ack(id: u64) -> Action {
    Action::Said(Said::Ack {
        id,
        body: String::new(),
        attachments: Vec::new(),
    })
}

fn event(namespace: Namespace, name: &str, body: &str, id: Option<u64>, attachments: &[&[u8]]) -> Action {
    Action::Said(Said::Event {
        namespace,
        name: name.to_owned(),
        body: body.to_owned(),
        id,
        attachments: attachments.iter().map(|bytes| bytes.to_vec()).collect(),
    })
}

fn failure(actions: &[Action]) -> FaultKind {
    match actions {
        [.., Action::Fail(fault)] => fault.kind,
        other => panic!("no failure: {other:?}"),
    }
}

#[test]
fn an_upgrade_waits_for_the_pending_get_and_keeps_the_order() {
    for version in [Version::Four, Version::Three] {
        let mut machine = begun_as(Carrier::Upgrade, version, &["/"]);
        let (opened, entered, noop, posted) = match version {
            Version::Four => (OPEN.into(), br#"40{"sid":"s"}"#.to_vec(), b"6".to_vec(), "420[\"a\"]"),
            Version::Three => (
                payload_3(&[OPEN_3]),
                payload_3(&["40"]),
                payload_3(&["6"]),
                "8:420[\"a\"]",
            ),
        };
        let mut wanted = vec![Action::Opened, Action::OpenSocket];
        if version == Version::Four {
            wanted.push(post("40"));
        }
        wanted.push(Action::Get);
        assert_eq!(feed(&mut machine, Input::Polled(&opened)), wanted);
        assert_eq!(feed(&mut machine, Input::Posted), []);
        assert_eq!(
            feed(&mut machine, Input::Polled(&entered)),
            [Action::Ready, Action::Get]
        );
        assert_eq!(feed(&mut machine, Input::SocketOpen), [send("2probe")]);
        let mut out = Vec::new();
        assert_eq!(machine.emit(0, r#"["a"]"#, &[], true, &mut out), Some(0));
        assert_eq!(out, [post(posted)]);
        // the probe is answered while GET and POST are in flight: nothing new goes out
        assert_eq!(feed(&mut machine, Input::Frame("3probe")), []);
        let mut out = Vec::new();
        assert_eq!(machine.emit(0, r#"["b"]"#, &[], true, &mut out), Some(1));
        assert_eq!(out, []);
        assert_eq!(feed(&mut machine, Input::Polled(&noop)), []);
        let wanted = [written(1), send("5"), Action::Upgraded, send(r#"421["b"]"#), written(1)];
        assert_eq!(feed(&mut machine, Input::Posted), wanted);
        assert_eq!(feed(&mut machine, Input::Frame(r#"430["a"]"#)), [ack(0)]);
    }
}

#[test]
fn a_failed_probe_leaves_the_client_on_polling() {
    let mut machine = begun(Carrier::Upgrade);
    feed(&mut machine, polled(OPEN));
    let refused = Fault::new(FaultKind::UpgradeRefused, "status 502");
    assert_eq!(
        feed(&mut machine, Input::SocketLost(refused.clone())),
        [Action::Stays(refused)]
    );
    assert_eq!(feed(&mut machine, polled("2")), [Action::Get]);
    assert_eq!(feed(&mut machine, Input::Posted), [post("3")]);
}

#[test]
fn polling_posts_one_at_a_time_and_leaves_with_41_and_1() {
    let mut machine = begun(Carrier::Polling);
    assert_eq!(
        feed(&mut machine, polled(OPEN)),
        [Action::Opened, post("40"), Action::Get]
    );
    // what is emitted before the namespace is entered waits for it
    let out = ordered(|out| {
        machine.emit(0, r#"["a"]"#, &[], false, out);
        machine.emit(0, BIN, &[vec![1, 2, 3]], false, out);
    });
    assert_eq!(out, []);
    assert_eq!(feed(&mut machine, Input::Posted), []);
    let both = format!("42[\"a\"]\u{1e}451-{BIN}\u{1e}bAQID");
    assert_eq!(
        feed(&mut machine, polled(r#"40{"sid":"s"}"#)),
        [Action::Ready, post(&both), Action::Get]
    );
    assert_eq!(feed(&mut machine, Input::Posted), [written(2)]);
    // a close packet beside it would hide from the server that the namespace was left
    assert_eq!(ordered(|out| machine.leave(out)), [post("41")]);
    assert_eq!(feed(&mut machine, polled("6")), []);
    assert_eq!(feed(&mut machine, Input::Posted), [post("1")]);
    assert_eq!(feed(&mut machine, Input::Posted), [Action::Finished]);
}

#[test]
fn version_3_enters_the_root_by_itself_and_others_on_demand() {
    let mut machine = begun_as(Carrier::Polling, Version::Three, &["/chat", "/"]);
    let opened = payload_3(&[OPEN_3, "40"]);
    assert_eq!(
        feed(&mut machine, Input::Polled(&opened)),
        [
            Action::Opened,
            post("8:40/chat,"),
            Action::Said(Said::Joined { namespace: 1 }),
            Action::Get
        ]
    );
    assert_eq!(feed(&mut machine, Input::Posted), []);
    assert_eq!(
        feed(&mut machine, Input::Polled(&payload_3(&["40/chat,"]))),
        [Action::Ready, Action::Get]
    );
    let out = ordered(|out| machine.emit(0, BIN, &[vec![1, 2]], true, out));
    let text = format!("451-/chat,0{BIN}");
    assert_eq!(out, [post(&format!("{}:{text}6:b4AQI=", text.len()))]);
    assert_eq!(feed(&mut machine, Input::Posted), [written(1)]);
    // an acknowledgement with an attachment, in a payload of the binary form
    machine.keep_bodies(true);
    let mut payload = vec![0, 1, 5, 255];
    payload.extend(b"461-/chat,0[\"\"]");
    payload.extend([1, 3, 255, 4, 7, 8]);
    let said = Said::Ack {
        id: 0,
        body: "[\"\"]".into(),
        attachments: vec![vec![7, 8]],
    };
    assert_eq!(
        feed(&mut machine, Input::Polled(&payload)),
        [Action::Said(said), Action::Get]
    );
    let bye = payload_3(&["41/chat,", "41"]);
    assert_eq!(
        ordered(|out| machine.leave(out)),
        [post(std::str::from_utf8(&bye).unwrap())]
    );
    assert_eq!(feed(&mut machine, Input::Posted), [post("1:1")]);
}

#[test]
fn version_3_says_its_errors_in_the_root() {
    let mut machine = begun_as(Carrier::Websocket, Version::Three, &["/"]);
    feed(&mut machine, Input::Frame(OPEN_3));
    let [Action::Fail(fault)] = &feed(&mut machine, Input::Frame(r#"44"not authorized""#))[..] else {
        panic!("no failure")
    };
    assert_eq!(
        (fault.kind, fault.detail.as_str()),
        (FaultKind::ConnectError, "not authorized")
    );

    let mut machine = begun_as(Carrier::Websocket, Version::Three, &["/"]);
    feed(&mut machine, Input::Frame(OPEN_3));
    assert_eq!(feed(&mut machine, Input::Frame("40")), [Action::Ready]);
    machine.keep_bodies(true);
    assert_eq!(
        feed(&mut machine, Input::Frame(r#"44{"code":1}"#)),
        [event(0, "error", r#"["error",{"code":1}]"#, None, &[])]
    );
    let out = ordered(|out| machine.join("/nope", None, out));
    assert_eq!(out, [send("40/nope,")]);
    assert_eq!(
        feed(&mut machine, Input::Frame(r#"44/nope,"Invalid namespace""#)),
        [Action::Said(Said::Refused {
            namespace: 1,
            reason: "Invalid namespace".into()
        })]
    );
}

#[test]
fn in_version_3_binary_messages_have_their_type_in_front() {
    let mut machine = begun_as(Carrier::Websocket, Version::Three, &["/"]);
    feed(&mut machine, Input::Frame(OPEN_3));
    feed(&mut machine, Input::Frame("40"));
    machine.keep_bodies(true);
    let out = ordered(|out| machine.emit(0, BIN, &[vec![9]], false, out));
    assert_eq!(out, [send(&format!("451-{BIN}")), send_binary(&[4, 9]), written(1)]);
    assert_eq!(feed(&mut machine, Input::Frame(&format!("451-5{BIN}"))), []);
    assert_eq!(
        feed(&mut machine, Input::Binary(&[4, 1, 2])),
        [event(0, "bin", BIN, Some(5), &[&[1, 2]])]
    );
    let out = ordered(|out| machine.answer(0, 5, "[]", &[], out));
    assert_eq!(out, [send("435[]")]);
    assert_eq!(failure(&feed(&mut machine, Input::Binary(&[6]))), FaultKind::Protocol);
}

#[test]
fn in_version_4_the_heartbeat_runs_out_unless_the_server_pings() {
    let mut machine = begun(Carrier::Websocket);
    let start = Instant::now();
    let mut out = Vec::new();
    machine.input(Input::Frame(OPEN), start, &mut out);
    assert_eq!(out, [Action::Opened, send("40")]);
    assert_eq!(machine.deadline(), Some(start + Duration::from_secs(45)));
    machine.input(Input::Frame("2"), start + Duration::from_secs(25), &mut out);
    assert_eq!(out.last(), Some(&send("3")));
    out.clear();
    machine.input(Input::Tick, start + Duration::from_secs(69), &mut out);
    assert_eq!(out, []);
    machine.input(Input::Tick, start + Duration::from_secs(70), &mut out);
    let lost = Fault::new(FaultKind::PingTimeout, "no ping within 45000 ms");
    assert_eq!(out, [Action::Fail(lost)]);
    assert_eq!(machine.take_heartbeats(), Heartbeats { seen: 1, missed: 1 });
}

#[test]
fn in_version_3_the_client_pings_and_the_server_answers() {
    let mut machine = begun_as(Carrier::Websocket, Version::Three, &["/"]);
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut out = Vec::new();
    machine.input(Input::Frame(OPEN_3), start, &mut out);
    machine.input(Input::Frame("40"), start, &mut out);
    assert_eq!(out, [Action::Opened, Action::Ready]);
    out.clear();
    assert_eq!(machine.deadline(), Some(at(25)));
    machine.input(Input::Tick, at(25), &mut out);
    assert_eq!(out, [send("2")]);
    out.clear();
    machine.input(Input::Frame("3"), at(26), &mut out);
    assert_eq!((out.len(), machine.deadline()), (0, Some(at(51))));
    machine.input(Input::Tick, at(51), &mut out);
    assert_eq!(out, [send("2")]);
    out.clear();
    machine.input(Input::Tick, at(56), &mut out);
    let lost = Fault::new(FaultKind::PingTimeout, "no answer to a ping within 5000 ms");
    assert_eq!(out, [Action::Fail(lost)]);
    assert_eq!(machine.take_heartbeats(), Heartbeats { seen: 1, missed: 1 });
}

#[test]
fn binary_events_are_told_when_their_attachments_are_there() {
    for keep in [false, true] {
        let mut machine = standing();
        machine.keep_bodies(keep);
        assert_eq!(feed(&mut machine, Input::Frame(r#"452-["bin",1]"#)), []);
        // a heartbeat may come between
        assert_eq!(feed(&mut machine, Input::Frame("2")), [send("3")]);
        assert_eq!(feed(&mut machine, Input::Binary(&[1])), []);
        let wanted = match keep {
            true => event(0, "bin", r#"["bin",1]"#, None, &[&[1], &[2]]),
            false => event(0, "bin", "", None, &[]),
        };
        assert_eq!(feed(&mut machine, Input::Binary(&[2])), [wanted]);
        // those of a namespace that we are not in are counted and skipped
        assert_eq!(feed(&mut machine, Input::Frame(r#"451-/x,["bin",1]"#)), []);
        assert_eq!(feed(&mut machine, Input::Binary(&[1])), []);
        assert_eq!(failure(&feed(&mut machine, Input::Binary(&[3]))), FaultKind::Protocol);
    }
    let mut machine = standing();
    feed(&mut machine, Input::Frame(r#"452-["bin",1]"#));
    assert_eq!(
        failure(&feed(&mut machine, Input::Frame(r#"42["e"]"#))),
        FaultKind::Protocol
    );
}

#[test]
fn several_namespaces_share_one_connection() {
    let mut machine = begun_as(Carrier::Websocket, Version::Four, &["/", "/chat"]);
    assert_eq!(
        feed(&mut machine, Input::Frame(OPEN)),
        [Action::Opened, send("40"), send("40/chat,")]
    );
    let joined = |namespace| Action::Said(Said::Joined { namespace });
    assert_eq!(feed(&mut machine, Input::Frame(r#"40/chat,{"sid":"c"}"#)), [joined(1)]);
    assert_eq!(feed(&mut machine, Input::Frame(r#"40{"sid":"s"}"#)), [Action::Ready]);
    let mut out = Vec::new();
    assert_eq!(machine.join("admin", Some(r#"{"token":"t"}"#), &mut out), 2);
    assert_eq!(machine.emit(2, r#"["early"]"#, &[], true, &mut out), Some(0));
    assert_eq!(out, [send(r#"40/admin,{"token":"t"}"#)]);
    assert_eq!(
        feed(&mut machine, Input::Frame(r#"44/admin,{"message":"not authorized"}"#)),
        [Action::Said(Said::Refused {
            namespace: 2,
            reason: "not authorized".into()
        })]
    );
    let mut out = Vec::new();
    assert_eq!(machine.join("/admin", None, &mut out), 2);
    machine.emit(2, r#"["waits"]"#, &[], true, &mut out);
    assert_eq!(out, [send("40/admin,")]);
    assert_eq!(
        feed(&mut machine, Input::Frame(r#"40/admin,{"sid":"a"}"#)),
        [joined(2), send(r#"42/admin,1["waits"]"#), written(1)]
    );
    assert_eq!(
        feed(&mut machine, Input::Frame(r#"42/admin,["news"]"#)),
        [event(2, "news", "", None, &[])]
    );
    // we leave the first, the server puts us out of the second, then out of the last
    assert_eq!(ordered(|out| machine.part(0, out)), [send("41")]);
    assert_eq!(feed(&mut machine, Input::Frame(r#"42["late"]"#)), []);
    assert_eq!(
        feed(&mut machine, Input::Frame("41/chat,")),
        [Action::Said(Said::Left { namespace: 1 })]
    );
    assert_eq!(feed(&mut machine, Input::Frame("41/admin,")), [Action::CloseSocket]);
    let lost = Input::SocketLost(Fault::new(FaultKind::Timeout, "x"));
    assert_eq!(failure(&feed(&mut machine, lost)), FaultKind::ClosedByServer);
}

#[test]
fn who_is_put_out_of_the_last_namespace_closes_the_session() {
    for answer in [
        Input::Posted,
        polled("6\u{1e}1"),
        Input::PollLost(refused(400, br#"{"code":1}"#)),
    ] {
        let mut machine = begun(Carrier::Polling);
        feed(&mut machine, polled(OPEN));
        feed(&mut machine, Input::Posted);
        assert_eq!(
            feed(&mut machine, polled(r#"40{"sid":"s"}"#)),
            [Action::Ready, Action::Get]
        );
        // it polls once more, as the real client, since the server may wait for that to end the session itself
        assert_eq!(feed(&mut machine, polled("41")), [Action::Get, post("1")]);
        let [Action::Fail(fault)] = &feed(&mut machine, answer)[..] else {
            panic!("no failure")
        };
        assert_eq!(fault.detail, "namespace left by the server");
    }
    // a server that answers nothing is given up when the session would be
    let mut machine = standing();
    assert_eq!(feed(&mut machine, Input::Frame("41")), [Action::CloseSocket]);
    let mut out = Vec::new();
    machine.input(Input::Tick, Instant::now() + Duration::from_secs(46), &mut out);
    assert_eq!(failure(&out), FaultKind::ClosedByServer);
}

#[test]
fn a_namespace_that_was_left_can_be_entered_again() {
    let mut machine = standing();
    assert_eq!(ordered(|out| machine.part(0, out)), [send("41")]);
    assert_eq!(ordered(|out| machine.emit(0, r#"["lost"]"#, &[], false, out)), []);
    let mut out = Vec::new();
    assert_eq!(machine.join("/", None, &mut out), 0);
    assert_eq!(out, [send("40")]);
    assert_eq!(
        feed(&mut machine, Input::Frame(r#"40{"sid":"t"}"#)),
        [Action::Said(Said::Joined { namespace: 0 })]
    );
}

#[test]
fn raw_sessions_carry_messages_of_either_kind() {
    let mut machine = begun_as(Carrier::Upgrade, Version::Four, &[]);
    assert_eq!(
        feed(&mut machine, polled(OPEN)),
        [Action::Opened, Action::OpenSocket, Action::Ready, Action::Get]
    );
    let out = ordered(|out| {
        machine.message(Frame::Text("hi".into()), out);
        machine.message(Frame::Binary(vec![1, 2, 3]), out);
    });
    assert_eq!(out, [post("4hi")]);
    assert_eq!(feed(&mut machine, Input::Posted), [written(1), post("bAQID")]);
    let text = |text: &str| {
        Action::Said(Said::Message {
            text: Some(text.to_owned()),
            binary: None,
        })
    };
    let binary = |bytes: &[u8]| {
        Action::Said(Said::Message {
            text: None,
            binary: Some(bytes.to_vec()),
        })
    };
    assert_eq!(
        feed(&mut machine, polled("4hi\u{1e}bAQID")),
        [text(""), binary(&[]), Action::Get]
    );
    machine.keep_bodies(true);
    assert_eq!(
        feed(&mut machine, polled("40\u{1e}bAQID")),
        [text("0"), binary(&[1, 2, 3]), Action::Get]
    );
    assert_eq!(feed(&mut machine, Input::Posted), [written(1)]);
    assert_eq!(ordered(|out| machine.leave(out)), [Action::CloseSocket, post("1")]);

    let mut machine = begun_as(Carrier::Websocket, Version::Three, &[]);
    assert_eq!(
        feed(&mut machine, Input::Frame(OPEN_3)),
        [Action::Opened, Action::Ready]
    );
    machine.keep_bodies(true);
    let out = ordered(|out| machine.message(Frame::Binary(vec![5]), out));
    assert_eq!(out, [send_binary(&[4, 5]), written(1)]);
    assert_eq!(feed(&mut machine, Input::Binary(&[4, 5])), [binary(&[5])]);
}

#[test]
fn a_server_of_the_other_version_is_named() {
    let cases: [(Carrier, Version, Vec<Input<'_>>); 3] = [
        (
            Carrier::Websocket,
            Version::Four,
            vec![Input::Frame(OPEN), Input::Frame("40")],
        ),
        (Carrier::Polling, Version::Four, vec![polled(r#"97:0{"sid":"a"}2:40"#)]),
        (Carrier::Polling, Version::Three, vec![polled(OPEN)]),
    ];
    for (carrier, version, inputs) in cases {
        let mut machine = begun_as(carrier, version, &["/"]);
        let last = inputs.into_iter().map(|input| feed(&mut machine, input)).last();
        assert_eq!(
            failure(&last.unwrap()),
            FaultKind::UnsupportedProtocolVersion,
            "{carrier:?} {version:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_input_keeps_one_get_and_one_post_in_flight(
        three in any::<bool>(),
        steps in prop::collection::vec((0u8..12, "[0-6]{0,2}(probe|\\[\"e\"\\]|\\{\\}|1-\\[\"b\"\\])?"), 0..60),
    ) {
        let version = if three { Version::Three } else { Version::Four };
        let mut machine = begun_as(Carrier::Upgrade, version, &["/"]);
        let open = if three { payload_3(&[OPEN_3, "40"]) } else { OPEN.into() };
        let (mut gets, mut posts) = (1i32, 0i32);
        for (step, text) in steps {
            let mut out = Vec::new();
            let now = Instant::now();
            match step {
                0 if gets > 0 => { gets -= 1; machine.input(Input::Polled(&open), now, &mut out); }
                1 | 2 if gets > 0 => { gets -= 1; machine.input(polled(&text), now, &mut out); }
                3 if posts > 0 => { posts -= 1; machine.input(Input::Posted, now, &mut out); }
                4 => machine.input(Input::SocketOpen, now, &mut out),
                5 => machine.input(Input::Frame("3probe"), now, &mut out),
                6 => machine.input(Input::Frame(&text), now, &mut out),
                7 => { machine.emit(0, "[\"e\"]", &[], true, &mut out); }
                8 => machine.input(Input::SocketLost(Fault::new(FaultKind::ClosedByServer, "x")), now, &mut out),
                9 => machine.input(Input::Binary(text.as_bytes()), now, &mut out),
                10 => { machine.join(&text, None, &mut out); }
                11 => machine.part(0, &mut out),
                _ => {}
            }
            for action in out {
                gets += i32::from(action == Action::Get);
                posts += i32::from(matches!(action, Action::Post(_)));
            }
            prop_assert!(gets <= 1 && posts <= 1, "{} {}", gets, posts);
        }
    }
}
