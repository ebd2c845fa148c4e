//! The agent's program over its own standard streams, as a controller speaks to it.
#![allow(clippy::unwrap_used)]

mod held;

use held::{share, websocket};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use swarm_agent::wire::frame::{Inbox, Outbox};
use swarm_agent::wire::message::{Armed, FromAgent, NoPath, ToAgent};
use swarm_agent::wire::share::Share;

struct Agent {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    inbox: Inbox,
}

impl Agent {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swarm-agent"));
        command.arg("nonce").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut agent = Self {
            child,
            input,
            output: BufReader::new(output),
            inbox: Inbox::default(),
        };
        let mut magic = String::new();
        agent.output.read_line(&mut magic).unwrap();
        assert_eq!(magic, "swarm-agent/1 nonce\n");
        assert!(matches!(agent.next(), Some(FromAgent::Hello(_))));
        agent
    }

    /// All of it in one write.
    fn tell(&mut self, messages: &[ToAgent]) {
        let mut outbox = Outbox::default();
        messages.iter().for_each(|message| outbox.data(message).unwrap());
        let frames: Vec<u8> = std::iter::from_fn(|| outbox.next_frame()).flatten().collect();
        self.input.write_all(&frames).unwrap();
    }

    fn next(&mut self) -> Option<FromAgent> {
        let mut piece = [0; 4096];
        loop {
            if let Some(message) = self.inbox.next_message().unwrap() {
                return Some(message);
            }
            let n = self.output.read(&mut piece).unwrap();
            if n == 0 {
                return None;
            }
            self.inbox.feed(&piece[..n]);
        }
    }

    fn armed(&mut self) -> Armed {
        match self.next() {
            Some(FromAgent::Armed(armed)) => *armed,
            other => panic!("not armed: {other:?}"),
        }
    }

    fn ends(mut self) {
        self.tell(&[ToAgent::Bye]);
        assert!(self.child.wait().unwrap().success());
    }
}

fn sources(share: Share, sources: &[&str]) -> ToAgent {
    ToAgent::Share(Box::new(Share {
        sources: sources.iter().map(|text| text.parse().unwrap()).collect(),
        ..share
    }))
}

/// 192.0.2.77 is no address of this machine: nothing leaves from it.
#[test]
fn a_source_without_a_path_is_left_out_of_the_load() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let share = share(
        listener.local_addr().unwrap().port(),
        websocket(None, false),
        4,
        200,
        None,
        None,
    );
    // whoever connects is answered by the end of the connection
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let mut agent = Agent::start();
    agent.tell(&[sources(share.clone(), &["127.0.0.1", "192.0.2.77"])]);
    let armed = agent.armed();
    let [dropped] = armed.dropped.as_slice() else {
        panic!("{armed:?}")
    };
    assert_eq!(
        (dropped.source, dropped.target),
        ("192.0.2.77".parse::<IpAddr>().unwrap(), 0)
    );
    assert!(matches!(dropped.why, NoPath::Unusable(_)), "{dropped:?}");
    agent.tell(&[ToAgent::Start { at: 0, clock_error: 0 }]);
    let report = loop {
        match agent.next() {
            Some(FromAgent::Report(report)) => break report,
            Some(FromAgent::Interval(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    let rows: Vec<IpAddr> = report.counts.sources.iter().map(|row| row.address).collect();
    assert_eq!(rows, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
    // alone it is not tried, and refuses the share as ever
    agent.tell(&[sources(share, &["192.0.2.77"])]);
    match agent.next() {
        Some(FromAgent::Refused { reason }) => assert!(reason.contains("192.0.2.77"), "{reason}"),
        other => panic!("{other:?}"),
    }
    agent.ends();
}

#[test]
fn a_share_that_is_replaced_while_arming_is_not_answered() {
    let mut agent = Agent::start();
    let first = share(9, websocket(None, false), 4, 200, None, None);
    let second = Share {
        round: 1,
        ..first.clone()
    };
    let both = [first, second].map(|share| ToAgent::Share(Box::new(share)));
    agent.tell(&both);
    assert_eq!(agent.armed().round, 1);
    agent.tell(&[ToAgent::Ping { seq: 7 }]);
    let next = agent.next();
    assert!(matches!(next, Some(FromAgent::Pong { seq: 7, .. })), "{next:?}");
    agent.ends();
}
