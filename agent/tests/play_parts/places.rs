//! Which backend a playbook's clients are on, and where they are found again.

use crate::scene::*;
use swarm_agent::wire::flow::*;
use swarm_agent::wire::report::Latency;
use swarm_agent::wire::share::{BackendFrom, SaidFirst};

fn send(label: &str, message: &str) -> Step {
    let send = Send {
        message: Payload::Text(Text::plain(message)),
        answer: Answer::Event {
            event: None,
            reply: Reply::default(),
        },
    };
    step(label, Act::Send(send))
}

/// What they say comes back as the server's first word; then they are lost, and come back.
#[tokio::test]
async fn a_message_names_the_backend_of_each_life() {
    let port = echoes().await;
    let steps = vec![connect(), send("name", r#"{"node":"a"}"#), wait(60), send("bye", "bye")];
    let mut share = held(share(port, websocket(), 2, program(steps)), |held| {
        held.reconnect = Some(back_off());
    });
    share.backend_from = BackendFrom::Said(SaidFirst {
        event: None,
        pointer: Some("/node".into()),
    });
    let played = play(share).await;
    let counts = &played.recording.counts;
    let c = &counts.tally.connections;
    assert!(c.dropped >= 6, "{c:?}");
    // each life was long enough to be named, but perhaps the last ones
    let a = &counts.backends[0];
    assert_eq!((a.name.as_str(), counts.backends.len()), ("a", 1));
    assert!(
        a.connections + 2 >= c.opened && a.dropped == c.dropped,
        "{c:?} {}",
        a.connections
    );
    let lost: u64 = counts.departures.iter().map(|row| row.lost).sum();
    assert!(counts.departures.iter().all(|row| row.from.as_deref() == Some("a")));
    assert_eq!(lost, c.dropped);
    let back = || counts.departures.iter().flat_map(|row| &row.back);
    assert_eq!(back().map(|back| back.clients).sum::<u64>(), c.reconnected);
    let named: u64 = back().filter(|back| back.to.is_some()).map(|back| back.clients).sum();
    assert_eq!(named + 2, a.connections, "the first two did not come back");
    let mut away = swarm_agent::wire::histogram::Histogram::default();
    back().for_each(|back| away.add(&back.away));
    let reconnect = played
        .recording
        .latency
        .iter()
        .find(|(name, _)| *name == Latency::Reconnect);
    assert_eq!(Some(&away), reconnect.map(|(_, histogram)| histogram));
}
