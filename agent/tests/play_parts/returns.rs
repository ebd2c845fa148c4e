//! Lost sessions and ways back.

use crate::scene::*;
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::flow::*;
use swarm_agent::wire::share::Carrier;

#[tokio::test]
async fn a_lost_session_ends_its_client() {
    let port = echoes().await;
    let bye = Send {
        message: Payload::Text(Text::plain("bye")),
        answer: Answer::Event {
            event: None,
            reply: Reply::default(),
        },
    };
    let steps = vec![connect(), step("bye", Act::Send(bye)), connect_again()];
    let played = play(share(port, websocket(), 2, program(steps))).await;
    let tally = &played.recording.counts.tally;
    assert_eq!((tally.connections.dropped, tally.connections.opened), (2, 2));
    // the loss is the failure: the step has none of its own
    assert_eq!(played.step("bye"), (2, 0, 2));
    assert_eq!(played.faults().len(), 1, "{:?}", played.faults());
    assert_eq!(tally.messages.lost, 2);
}

fn connect_again() -> Step {
    step("again", Act::Connect(Connect::default()))
}

#[tokio::test]
async fn a_lost_client_begins_its_flow_again_when_it_may() {
    let port = echoes().await;
    let bye = Send {
        message: Payload::Text(Text::plain("bye")),
        answer: Answer::Event {
            event: None,
            reply: Reply::default(),
        },
    };
    let steps = vec![connect(), wait(60), step("bye", Act::Send(bye))];
    let share = held(share(port, websocket(), 2, program(steps)), |held| {
        held.reconnect = Some(back_off())
    });
    let played = play(share).await;
    let c = &played.recording.counts.tally.connections;
    assert!(c.opened >= 8 && c.dropped >= 6, "{c:?}");
    assert_eq!(c.dropped, c.reconnected + c.gave_up + c.away, "{c:?}");
    assert_eq!((c.opened, c.gave_up), (2 + c.reconnected, 0), "{c:?}");
    assert_eq!(played.recording.counts.flows[0].clients, 2);
}

#[tokio::test]
async fn who_is_put_out_stays_out_and_who_finds_nobody_gives_up() {
    let (port, _) = server().await;
    let kick = emit("kick", Text::plain(r#"["kick"]"#), acked());
    let kicked = share(port, socketio(Carrier::Websocket), 2, program(vec![connect(), kick]));
    let played = play(held(kicked, |held| held.reconnect = Some(back_off()))).await;
    let c = &played.recording.counts.tally.connections;
    assert_eq!((c.opened, c.dropped, c.gave_up, c.reconnected), (2, 2, 2, 0), "{c:?}");
}

#[tokio::test]
async fn a_storm_drops_all_and_they_come_back_to_their_flow() {
    let (port, seen) = server().await;
    let steps = vec![connect(), emit("echo", Text::plain(r#"["echo",1]"#), acked())];
    let share = held(share(port, socketio(Carrier::Websocket), 5, program(steps)), |held| {
        held.reconnect = Some(back_off());
        held.storms = vec![300 * MS];
    });
    let played = play(share).await;
    let c = &played.recording.counts.tally.connections;
    assert_eq!(
        (c.stormed, c.reconnected, c.dropped),
        (5, 5, 0),
        "{c:?} {:?}",
        played.faults()
    );
    assert_eq!(played.step("echo"), (10, 10, 0));
    assert_eq!(seen.all().iter().filter(|line| line.starts_with("in /")).count(), 10);
}

#[tokio::test]
async fn a_reconnect_step_goes_and_comes_with_its_cookies() {
    for abruptly in [true, false] {
        let (port, seen) = server().await;
        let back = Reconnect {
            abruptly,
            after: Spread::Uniform(20 * MS, 40 * MS),
        };
        let steps = vec![
            http("login", "POST", "/login", Reply::default()),
            connect(),
            step("back", Act::Reconnect(back)),
            emit("echo", Text::plain(r#"["echo",1]"#), acked()),
        ];
        let played = play(share(port, socketio(Carrier::Polling), 2, program(steps))).await;
        assert_eq!(played.step("back"), (2, 2, 0), "{:?}", played.faults());
        assert_eq!(played.step("echo"), (2, 2, 0));
        assert_eq!(seen.count("in / cookie[session=s1]   None"), 4, "{:?}", seen.all());
        let c = &played.recording.counts.tally.connections;
        assert_eq!((c.opened, c.dropped), (4, 0));
        let stormed = if abruptly { 2 } else { 0 };
        assert_eq!((c.stormed, c.reconnected), (stormed, stormed), "{abruptly}");
    }
}

#[tokio::test]
async fn a_connect_that_is_refused_is_a_failed_connection_of_its_step() {
    let (port, _) = server().await;
    let nowhere = Connect {
        namespaces: vec![Namespace {
            name: "/nope".into(),
            auth: None,
        }],
        ..Connect::default()
    };
    let steps = vec![
        step("nowhere", Act::Connect(nowhere)),
        emit("never", Text::plain("[\"echo\"]"), acked()),
    ];
    let played = play(share(port, socketio(Carrier::Websocket), 2, program(steps))).await;
    assert_eq!(played.step("nowhere"), (2, 0, 2));
    assert_eq!(played.step("never"), (0, 0, 0));
    assert_eq!(played.faults()[0].0, FaultKind::ConnectError);
}
