//! `swarm exec` on one host, as a controller speaks to the agent: real processes, and what is left of them.
#![allow(clippy::unwrap_used)]

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use swarm_agent::wire::exec::{CutShort, Ended, Exit, FromExec, Order, Printed, ToExec, Upload, WINDOW, Words};
use swarm_agent::wire::frame::{Inbox, Outbox};
use swarm_agent::wire::message::{FromAgent, ToAgent};

/// Nothing here takes longer; what does hangs.
const LIMIT: Duration = Duration::from_secs(30);
const SECOND: u64 = 1_000_000_000;

struct Agent {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    inbox: Inbox,
}

impl Agent {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swarm-agent"));
        command.arg("nonce").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut agent = Self {
            child,
            input,
            output: BufReader::new(output),
            inbox: Inbox::default(),
        };
        let mut magic = String::new();
        agent.output.read_line(&mut magic).unwrap();
        assert!(matches!(agent.next(), Some(FromAgent::Hello(_))));
        agent
    }

    /// Armed with this order.
    fn armed(order: Order) -> Self {
        let mut agent = Self::start();
        agent.tell(&ToAgent::Exec(ToExec::Order(order)));
        match agent.next() {
            Some(FromAgent::Armed(armed)) => assert_eq!(armed.round, 0),
            other => panic!("not armed: {other:?}"),
        }
        agent
    }

    fn tell(&mut self, message: &ToAgent) {
        let mut outbox = Outbox::default();
        outbox.data(message).unwrap();
        let frames: Vec<u8> = std::iter::from_fn(|| outbox.next_frame()).flatten().collect();
        self.input.as_mut().unwrap().write_all(&frames).unwrap();
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

    fn begin(&mut self) {
        self.tell(&ToAgent::Start { at: 0, clock_error: 0 });
    }

    /// Takes all that comes until the end.
    fn ended(&mut self) -> Came {
        let mut came = Came::default();
        loop {
            match self.next() {
                Some(FromAgent::Exec(FromExec::Ended(ended))) => {
                    came.ended = Some(ended);
                    return came;
                }
                Some(FromAgent::Exec(said)) => {
                    let bytes = came.take(said);
                    self.tell(&ToAgent::Exec(ToExec::Took(bytes)));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next whole line that the command prints.
    fn line(&mut self) -> String {
        let mut text = Vec::new();
        while !text.ends_with(b"\n") {
            match self.next() {
                Some(FromAgent::Exec(FromExec::Output { bytes, .. })) => text.extend_from_slice(&bytes),
                other => panic!("{other:?}"),
            }
        }
        String::from_utf8(text).unwrap().trim().to_owned()
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of its input, as a controller that was killed leaves it.
    fn abandon(&mut self) {
        self.input = None;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.abandon();
        self.child.wait().ok();
    }
}

#[derive(Default)]
struct Came {
    output: Vec<u8>,
    errors: Vec<u8>,
    files: Vec<(u32, u32, Vec<u8>)>,
    missing: Vec<(u32, String)>,
    ended: Option<Ended>,
}

impl Came {
    fn take(&mut self, said: FromExec) -> u32 {
        let taken = match said {
            FromExec::Output { stream, bytes } => {
                let own = match stream {
                    Printed::Output => &mut self.output,
                    Printed::Errors => &mut self.errors,
                };
                own.extend_from_slice(&bytes);
                bytes.len()
            }
            FromExec::File { index, mode, .. } => {
                self.files.push((index, mode, Vec::new()));
                0
            }
            FromExec::Piece(bytes) => {
                self.files.last_mut().unwrap().2.extend_from_slice(&bytes);
                bytes.len()
            }
            FromExec::NoFile { index, why } => {
                self.missing.push((index, why));
                0
            }
            other => panic!("{other:?}"),
        };
        u32::try_from(taken).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).trim().to_owned()
    }

    fn end(&self) -> &Ended {
        self.ended.as_ref().unwrap()
    }
}

fn order(words: Words) -> Order {
    Order {
        round: 0,
        run: "test".into(),
        words,
        login_shell: false,
        uploads: Vec::new(),
        fetch: Vec::new(),
        timeout: None,
        silence: 10 * SECOND,
    }
}

fn argv(words: &[&str]) -> Order {
    order(Words::Argv(
        words.iter().map(|word| word.as_bytes().to_vec().into()).collect(),
    ))
}

fn line(text: &str) -> Order {
    order(Words::Line(text.as_bytes().to_vec().into()))
}

/// There, and no zombie.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !so() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn gone(pids: &str) {
    for pid in pids.split_whitespace() {
        wait_until(&format!("the end of {pid} of {pids}"), || !is_running(pid));
    }
}

/// A script whose children are orphans in sessions of their own and take no SIGTERM; prints their ids and its folder.
const FAMILY: &str = "trap '' TERM
( setsid sh -c 'trap \"\" TERM; echo $$ >a; exec sleep 300' & )
( sh -c 'setsid sh -c \"(sleep 300 & echo \\$! >b; wait)\" &' & )
sleep 300 & echo $! >c
while [ ! -s a ] || [ ! -s b ]; do sleep 0.01; done
echo $$ $(cat a b c) $(pwd -P)
wait";

/// Ids of the family, and the run's folder.
fn family(agent: &mut Agent) -> (String, PathBuf) {
    agent.begin();
    let line = agent.line();
    let (pids, folder) = line.rsplit_once(' ').unwrap();
    assert_eq!(pids.split_whitespace().count(), 4, "{line}");
    assert!(pids.split_whitespace().all(is_running), "{line}");
    (pids.to_owned(), folder.into())
}

/// The process whose parent is this one.
fn child_of(parent: u32) -> Option<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.to_owned())
            .unwrap_or_default();
        rest.split_whitespace().nth(1) == Some(parent.to_string().as_str())
    })
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn arguments_arrive_exactly_and_the_exit_status_comes_back() {
    let mut agent = Agent::armed(argv(&[
        "sh",
        "-c",
        "printf '[%s]' \"$@\"; echo oops >&2; exit 7",
        "x",
        "a b",
        "$HOME",
        "",
        "{",
    ]));
    agent.begin();
    let came = agent.ended();
    assert_eq!(
        (came.text().as_str(), came.errors.as_slice()),
        ("[a b][$HOME][][{]", &b"oops\n"[..])
    );
    let end = came.end();
    assert_eq!((&end.exit, end.lingering, end.left), (&Exit::Code(7), 0, 0));
    // told to start at boot, it started when it was told
    assert!(end.began.unwrap() > 0 && end.ran > 0, "{end:?}");
}

#[test]
fn the_command_begins_at_the_instant_and_not_before() {
    let mut agent = Agent::armed(line("cat /proc/uptime"));
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let at = now.tv_sec as u64 * SECOND + now.tv_nsec as u64 + SECOND / 2;
    agent.tell(&ToAgent::Start { at, clock_error: 0 });
    let came = agent.ended();
    assert!(came.end().began.unwrap() >= 0, "{:?}", came.end());
    let uptime: f64 = came.text().split_whitespace().next().unwrap().parse().unwrap();
    assert!(uptime + 0.02 >= at as f64 / SECOND as f64, "began at {uptime}");
}

#[test]
fn what_cannot_be_executed_says_why() {
    let mut agent = Agent::armed(argv(&["no-such-program-at-all", "x"]));
    agent.begin();
    let came = agent.ended();
    match &came.end().exit {
        Exit::NotBegun(why) => assert!(why.contains("no such program"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(came.end().began, None);
}

#[test]
fn files_travel_both_ways_and_the_folder_is_gone_afterwards() {
    let script = b"#!/bin/sh\npwd -P\nmkdir d\nhead -c 700000 /dev/zero >d/big\ncp -p \"$0\" copy\n".to_vec();
    let upload = Upload {
        name: "run.sh".into(),
        mode: 0o750,
        size: script.len() as u64,
    };
    let order = Order {
        uploads: vec![upload],
        fetch: ["d/big", "none", "copy", "/proc/self/status"].map(String::from).into(),
        ..argv(&["./run.sh"])
    };
    let mut agent = Agent::start();
    agent.tell(&ToAgent::Exec(ToExec::Order(order)));
    let (first, second) = script.split_at(9);
    for part in [first, second] {
        agent.tell(&ToAgent::Exec(ToExec::Piece(part.to_vec().into())));
        match agent.next() {
            Some(FromAgent::Exec(FromExec::Took(bytes))) => assert_eq!(bytes as usize, part.len()),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(agent.next(), Some(FromAgent::Armed(_))));
    agent.begin();
    let came = agent.ended();
    assert_eq!(
        came.end().exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&came.errors)
    );
    let files: Vec<(u32, u32, usize)> = came
        .files
        .iter()
        .map(|(n, mode, bytes)| (*n, *mode, bytes.len()))
        .collect();
    assert_eq!(files[..2], [(0, 0o644, 700_000), (2, 0o750, script.len())]);
    assert_eq!(came.missing.len(), 1);
    let folder = PathBuf::from(came.text());
    assert!(folder.is_absolute() && !folder.exists(), "{folder:?}");
}

#[test]
fn a_reader_that_stops_stops_the_command_and_no_memory_grows() {
    let mut agent = Agent::armed(line("head -c 50000000 /dev/zero; echo done >&2"));
    agent.begin();
    // no credit is given: not a byte more than the window comes, and pings are answered
    let mut got = 0;
    while got < WINDOW {
        match agent.next() {
            Some(FromAgent::Exec(FromExec::Output { bytes, .. })) => got += bytes.len(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got, WINDOW);
    agent.tell(&ToAgent::Ping { seq: 3 });
    assert!(matches!(agent.next(), Some(FromAgent::Pong { seq: 3, .. })));
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = kib.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 60_000, "{kib} KiB");
    // with credit all of it comes
    agent.tell(&ToAgent::Exec(ToExec::Took(u32::try_from(got).unwrap())));
    let came = agent.ended();
    assert_eq!(
        (got + came.output.len(), came.errors.as_slice()),
        (50_000_000, &b"done\n"[..])
    );
}

#[test]
fn a_time_limit_ends_the_whole_family() {
    let mut agent = Agent::armed(Order {
        timeout: Some(2 * SECOND),
        ..line(FAMILY)
    });
    let (pids, folder) = family(&mut agent);
    let came = agent.ended();
    let end = came.end();
    assert_eq!((end.cut_short, end.left), (Some(CutShort::Timeout), 0));
    // it takes no SIGTERM: 2 s of limit, 2 s of patience
    assert_eq!(end.exit, Exit::Signal(9));
    assert!(end.ran > 3 * SECOND, "{end:?}");
    assert!(!pids.split_whitespace().any(is_running) && !folder.exists());
}

#[test]
fn what_a_command_leaves_running_is_ended_and_counted() {
    let mut agent = Agent::armed(line("setsid sleep 300 & echo $!"));
    agent.begin();
    let came = agent.ended();
    assert_eq!(
        (&came.end().exit, came.end().lingering, came.end().left),
        (&Exit::Code(0), 1, 0)
    );
    assert!(!is_running(&came.text()));
}

#[test]
fn a_drain_ends_the_family_and_says_so() {
    let mut agent = Agent::armed(line(FAMILY));
    let (pids, folder) = family(&mut agent);
    agent.tell(&ToAgent::Drain);
    let came = agent.ended();
    assert_eq!(came.end().cut_short, Some(CutShort::Drained));
    assert!(!pids.split_whitespace().any(is_running) && !folder.exists());
}

#[test]
fn a_drain_before_the_instant_runs_nothing() {
    let mut agent = Agent::armed(line("echo ran"));
    agent.tell(&ToAgent::Drain);
    let came = agent.ended();
    assert!(matches!(came.end().exit, Exit::NotBegun(_)), "{:?}", came.end());
    assert!(came.output.is_empty());
}

#[test]
fn an_agent_that_is_killed_leaves_nothing() {
    let mut agent = Agent::armed(line(FAMILY));
    let (pids, folder) = family(&mut agent);
    kill(agent.pid());
    gone(&pids);
    wait_until("the folder to go", || !folder.exists());
}

#[test]
fn a_controller_that_is_gone_leaves_nothing() {
    let mut agent = Agent::armed(line(FAMILY));
    let (pids, folder) = family(&mut agent);
    agent.abandon();
    gone(&pids);
    wait_until("the folder to go", || !folder.exists());
}

#[test]
fn a_held_command_goes_with_its_agent() {
    let agent = Agent::armed(line("sleep 300"));
    let guardian = child_of(agent.pid()).unwrap();
    let holder = child_of(guardian).unwrap();
    kill(agent.pid());
    gone(&format!("{holder} {guardian}"));
}

#[test]
fn a_guardian_that_is_killed_leaves_nothing_either() {
    let mut agent = Agent::armed(line(FAMILY));
    let (pids, folder) = family(&mut agent);
    kill(child_of(agent.pid()).unwrap());
    let came = agent.ended();
    assert!(matches!(came.end().exit, Exit::Unknown(_)), "{:?}", came.end());
    assert!(!pids.split_whitespace().any(is_running) && !folder.exists());
}

#[test]
fn a_second_order_replaces_the_first() {
    let mut agent = Agent::armed(line("echo first"));
    let first = child_of(agent.pid()).unwrap();
    agent.tell(&ToAgent::Exec(ToExec::Order(Order {
        round: 1,
        ..line("echo second")
    })));
    match agent.next() {
        Some(FromAgent::Armed(armed)) => assert_eq!(armed.round, 1),
        other => panic!("{other:?}"),
    }
    gone(&first.to_string());
    agent.begin();
    assert_eq!(agent.ended().text(), "second");
}

#[test]
fn a_login_shell_changes_the_surroundings_and_not_the_words() {
    let home = std::env::temp_dir().join(format!("swarm-login-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join(".profile"), "export FROM_PROFILE=yes\n").unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarm-agent"));
    command.env("HOME", &home).env("SHELL", "/bin/sh");
    command.arg("nonce").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
    let mut agent = Agent {
        child,
        input,
        output,
        inbox: Inbox::default(),
    };
    agent.output.read_line(&mut String::new()).unwrap();
    agent.next();
    agent.tell(&ToAgent::Exec(ToExec::Order(Order {
        login_shell: true,
        ..argv(&["sh", "-c", "echo $FROM_PROFILE \"$1\"", "x", "a  $b"])
    })));
    assert!(matches!(agent.next(), Some(FromAgent::Armed(_))));
    agent.begin();
    assert_eq!(agent.ended().text(), "yes a  $b");
    std::fs::remove_dir_all(home).unwrap();
}
