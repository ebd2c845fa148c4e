//! The machine against transcripts of the real client and server.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

const OPEN: &str =
    r#"0{"sid":"S","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

fn feed(machine: &mut Machine, input: Input<'_>) -> Vec<Action> {
    let mut out = Vec::new();
    machine.input(input, Instant::now(), &mut out);
    out
}

fn begun(carrier: Carrier) -> Machine {
    let mut machine = Machine::new(carrier, "/", None);
    let mut out = Vec::new();
    machine.begin(&mut out);
    assert_eq!(
        out,
        [if carrier == Carrier::Websocket {
            Action::OpenSocket
        } else {
            Action::Get
        }]
    );
    machine
}

fn post(text: &str) -> Action {
    Action::Post(text.to_owned())
}

fn send(text: &str) -> Action {
    Action::Send(text.to_owned())
}

#[test]
fn an_upgrade_waits_for_the_pending_get_and_keeps_the_order() {
    let mut machine = begun(Carrier::Upgrade);
    assert_eq!(
        feed(&mut machine, Input::Polled(OPEN)),
        [Action::OpenSocket, post("40"), Action::Get]
    );
    assert_eq!(feed(&mut machine, Input::Posted), []);
    assert_eq!(
        feed(&mut machine, Input::Polled(r#"40{"sid":"s"}"#)),
        [Action::Ready, Action::Get]
    );
    assert_eq!(feed(&mut machine, Input::SocketOpen), [send("2probe")]);
    let mut out = Vec::new();
    assert_eq!(machine.emit(r#"["a"]"#, true, &mut out), Some(0));
    assert_eq!(out, [post(r#"420["a"]"#)]);
    // the probe is answered while GET and POST are in flight: nothing new goes out
    assert_eq!(feed(&mut machine, Input::Frame("3probe")), []);
    let mut out = Vec::new();
    assert_eq!(machine.emit(r#"["b"]"#, true, &mut out), Some(1));
    assert_eq!(out, []);
    assert_eq!(feed(&mut machine, Input::Polled("6")), []);
    let wanted = [
        Action::Said(Said::Written(1)),
        send("5"),
        Action::Upgraded,
        send(r#"421["b"]"#),
        Action::Said(Said::Written(1)),
    ];
    assert_eq!(feed(&mut machine, Input::Posted), wanted);
    assert_eq!(
        feed(&mut machine, Input::Frame(r#"430["a"]"#)),
        [Action::Said(Said::Ack(0))]
    );
    assert_eq!(feed(&mut machine, Input::Frame("2")), [send("3")]);
}

#[test]
fn a_failed_probe_leaves_the_client_on_polling() {
    let mut machine = begun(Carrier::Upgrade);
    feed(&mut machine, Input::Polled(OPEN));
    let refused = Fault::new(FaultKind::UpgradeRefused, "status 502");
    assert_eq!(feed(&mut machine, Input::SocketLost(refused)), []);
    assert_eq!(feed(&mut machine, Input::Polled("2")), [Action::Get]);
    assert_eq!(feed(&mut machine, Input::Posted), [post("3")]);
}

#[test]
fn polling_posts_one_at_a_time_and_leaves_with_41_and_1() {
    let mut machine = begun(Carrier::Polling);
    assert_eq!(feed(&mut machine, Input::Polled(OPEN)), [post("40"), Action::Get]);
    let mut out = Vec::new();
    machine.emit(r#"["a"]"#, false, &mut out);
    machine.emit(r#"["b"]"#, false, &mut out);
    assert_eq!(out, []);
    assert_eq!(feed(&mut machine, Input::Posted), [post("42[\"a\"]\u{1e}42[\"b\"]")]);
    assert_eq!(
        feed(&mut machine, Input::Polled(r#"40{"sid":"s"}"#)),
        [Action::Ready, Action::Get]
    );
    assert_eq!(feed(&mut machine, Input::Posted), [Action::Said(Said::Written(2))]);
    let mut out = Vec::new();
    machine.leave(&mut out);
    assert_eq!(out, [post("41\u{1e}1")]);
    assert_eq!(feed(&mut machine, Input::Polled("6")), []);
    assert_eq!(feed(&mut machine, Input::Posted), [Action::Finished]);
}

#[test]
fn the_heartbeat_runs_out_unless_the_server_pings() {
    let mut machine = begun(Carrier::Websocket);
    let start = Instant::now();
    let mut out = Vec::new();
    machine.input(Input::Frame(OPEN), start, &mut out);
    assert_eq!(out, [send("40")]);
    assert_eq!(machine.deadline(), Some(start + Duration::from_secs(45)));
    machine.input(Input::Frame("2"), start + Duration::from_secs(25), &mut out);
    out.clear();
    machine.input(Input::Tick, start + Duration::from_secs(69), &mut out);
    assert_eq!(out, []);
    machine.input(Input::Tick, start + Duration::from_secs(70), &mut out);
    assert_eq!(
        out,
        [Action::Fail(Fault::new(
            FaultKind::PingTimeout,
            "no ping within 45000 ms"
        ))]
    );
}

#[test]
fn binary_events_are_told_when_their_attachments_are_there() {
    let mut machine = begun(Carrier::Websocket);
    feed(&mut machine, Input::Frame(OPEN));
    assert_eq!(
        feed(
            &mut machine,
            Input::Frame(r#"452-["bin",{"_placeholder":true,"num":0}]"#)
        ),
        []
    );
    assert_eq!(feed(&mut machine, Input::Binary), []);
    assert_eq!(
        feed(&mut machine, Input::Binary),
        [Action::Said(Said::Event("bin".into()))]
    );
    assert!(matches!(feed(&mut machine, Input::Binary)[..], [Action::Fail(_)]));
}

#[test]
fn a_server_of_version_2_is_named_on_the_websocket_too() {
    let mut machine = begun(Carrier::Websocket);
    feed(&mut machine, Input::Frame(OPEN));
    let [Action::Fail(fault)] = &feed(&mut machine, Input::Frame("40"))[..] else {
        panic!("no failure")
    };
    assert_eq!(fault.kind, FaultKind::UnsupportedProtocolVersion);
}

proptest! {
    #[test]
    fn any_input_keeps_one_get_and_one_post_in_flight(steps in prop::collection::vec((0u8..9, "[0-6]{0,2}(probe|\\[\"e\"\\]|\\{\\})?"), 0..60)) {
        let mut machine = begun(Carrier::Upgrade);
        let (mut gets, mut posts) = (1i32, 0i32);
        for (step, text) in steps {
            let mut out = Vec::new();
            let now = Instant::now();
            match step {
                0 if gets > 0 => { gets -= 1; machine.input(Input::Polled(OPEN), now, &mut out); }
                1 | 2 if gets > 0 => { gets -= 1; machine.input(Input::Polled(&text), now, &mut out); }
                3 if posts > 0 => { posts -= 1; machine.input(Input::Posted, now, &mut out); }
                4 => machine.input(Input::SocketOpen, now, &mut out),
                5 => machine.input(Input::Frame("3probe"), now, &mut out),
                6 => machine.input(Input::Frame(&text), now, &mut out),
                7 => { machine.emit("[\"e\"]", true, &mut out); }
                8 => machine.input(Input::SocketLost(Fault::new(FaultKind::ClosedByServer, "x")), now, &mut out),
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
