//! Tests of `attack`'s flags: what they come to, and what is refused with which line.

use super::*;
use crate::cli::hosts::HostFile;
use crate::cli::{Command, Parsed, parse};
use crate::plan::{MinHosts, SourceRange};
use swarm_agent::wire::share::{
    BackOff, BackendFrom, Cadence, Carrier, Engine, Level, PER_SECOND, SaidFirst, Schedule, SeenFrom, Stage,
};

const S: u64 = 1_000_000_000;

fn words(line: &str) -> Vec<String> {
    // quotes keep blanks together, as a shell's do; no escapes
    let mut words = vec![String::new()];
    let mut open = false;
    for c in line.chars() {
        match c {
            '\'' => open = !open,
            ' ' if !open => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn attack(line: &str) -> Result<AttackCommand, String> {
    let words = words(&format!("swarm attack {line}"));
    let parsed = parse(words.iter().map(Into::into)).map_err(|error| error.0)?;
    let Parsed::Command(Command::Attack(args)) = parsed else {
        panic!("{line}: no attack")
    };
    let environment = Box::new(|name: &str| (name == "TOKEN").then(|| "t0ken".to_string()));
    understand(
        &args,
        &Surroundings {
            words,
            environment,
            run: "0123456789ab".into(),
            fleets: Vec::new(),
        },
    )
    .map_err(|error| error.0)
}

fn plan(line: &str) -> Plan {
    attack(line).unwrap_or_else(|error| panic!("{line}: {error}")).plan
}

fn plateau(duration: u64, rate: u64) -> Schedule {
    Schedule {
        stages: vec![Stage {
            duration,
            from: rate * PER_SECOND,
            to: rate * PER_SECOND,
        }],
    }
}

#[test]
fn refusals_say_the_right_line() {
    for (line, says) in [
        ("", "attack what? a URL is missing"),
        ("example.com", "example.com: no scheme; https://example.com?"),
        ("localhost:3000", "localhost:3000: no scheme; https://localhost:3000?"),
        ("ftp://h/", "unknown scheme `ftp`"),
        ("https://", "no host"),
        ("https:///x", "no host"),
        ("http://h:0/", "port 0"),
        ("http://h:99999/", "invalid port"),
        ("0=http://h/", "a weight is between 1 and 10000"),
        ("http://h/ ws://h/", "all URLs of a run need one engine"),
        ("http://a:b@h/ http://h/", "same user-info"),
        ("http://h/ --engine gopher", "no such engine"),
        ("http://h/ --engine http --socketio", "give one of them"),
        ("ws://h/ --engine http", "--engine http wants http:// or https://"),
        ("http://h/ --hold 10s", "http holds nothing; use -z"),
        ("ws://h/ --hold 10s -z 20s", "--hold and -z"),
        ("http://h/ --reconnect", "--reconnect is for clients that are held"),
        ("http://h/ --storm 5s", "--storm is for clients that are held"),
        (
            "ws://h/ --reconnect-delay 2s",
            "--reconnect-delay: clients don't come back; add --reconnect",
        ),
        ("ws://h/ --reconnect-attempts 3", "add --reconnect"),
        ("ws://h/ --reconnect --reconnect-attempts 0", "must be at least 1"),
        (
            "ws://h/ --reconnect --reconnect-jitter 1.5",
            "--reconnect-jitter 1.5: a share of the delay, from 0 to 1",
        ),
        ("ws://h/ --reconnect --reconnect-delay 0s", "must be longer than zero"),
        (
            "ws://h/ --reconnect --reconnect-delay 10s",
            "--reconnect-delay 10s is longer than --reconnect-delay-max 5s: raise the latter",
        ),
        (
            "ws://h/ -z 20s --storm 20s",
            "--storm 20s: the load ends after 20s; storm earlier or hold longer",
        ),
        ("ws://h/ --storm 5", "--storm 5: 5s? "),
        ("ws://h/ --storm 0s", "must be longer than zero"),
        ("ws://h/ --storm 5s --max-rate 50", "--storm and --max-rate 50/s"),
        ("ws://h/ --warmup 5s", "--warmup is for http"),
        ("ws://h/ --hold 30", "--hold 30: 30s? "),
        ("http://h/ -z 30", "-z 30: 30s? "),
        ("http://h/ -c 0", "-c 0: must be at least 1"),
        ("http://h/ -q fast", "-q fast: `fast` is no rate"),
        ("http://h/ --stage 30s:100 -q 5", "--stage and -q"),
        ("http://h/ --stage 30s:100 -z 5s", "--stage and -z"),
        ("http://h/ --stage connections:30s:100 -c 5", "leave out -c"),
        ("http://h/ --stage connections:30s:100 --stage 30s:100", "not both"),
        ("http://h/ --stage 30s", "T:TO or T:FROM..TO"),
        ("http://h/ --stage 30:100", "30s? "),
        ("http://h/ --stage 30s:0", "all stages are at zero"),
        ("http://h/ --max-rate 100", "the right line is -q 100/s -c 50"),
        ("http://h/ -q 5 --connect-rate 5", "cap them with -c"),
        (
            "ws://h/ -q 5",
            "-q: these clients have nothing to send; add --message TEXT",
        ),
        (
            "ws://h/ -n 5 --socketio",
            "-n: these clients have nothing to send; add --emit",
        ),
        ("ws://h/ --message x --every 1s -q 5", "--every and a rate"),
        ("http://h/ --every 1s", "http says -q R"),
        ("http://h/ --emit x", "--emit: add --socketio"),
        ("ws://h/ --auth {}", "--auth: add --socketio"),
        ("http://h/ --message x", "use a ws:// or wss:// URL"),
        ("http://h/ --socketio --message x", "--emit 'event,json'"),
        ("ws://h/ -d x", "--data is for http: a websocket sends --message TEXT"),
        ("ws://h/ --echo", "--echo: nothing is sent"),
        ("http://h/ --socketio --ack", "--ack: nothing is emitted"),
        (
            "http://h/ --socketio --emit hello,world",
            "must be JSON, a text in quotes",
        ),
        ("http://h/ --socketio --emit connect,1", "`connect` is reserved"),
        ("http://h/ --broadcast said", "--broadcast: add --socketio"),
        ("ws://h/ --emitters 1/2", "--emitters: add --socketio"),
        (
            "http://h/ --socketio --broadcast said",
            "nothing is emitted; add --emit",
        ),
        ("http://h/ --socketio --emitters 1/2", "add --broadcast EVENT"),
        (
            "http://h/ --socketio --emit 'say,\"{{stamp}}\"'",
            "is filled for --broadcast EVENT alone",
        ),
        (
            "http://h/ --socketio --emit say --broadcast said --emitters 2/3",
            "one client in K",
        ),
        (
            "http://h/ --socketio --emit say --broadcast said --emitters 1/0",
            "one client in K",
        ),
        (
            "http://h/ --socketio --emit say --broadcast said --emitters 5",
            "one client in K",
        ),
        (
            "http://h/ --socketio --emit say --broadcast said --emitters 1/11 -c 10",
            "there are only 10 clients; 1/10 leaves one",
        ),
        (
            "http://h/ --socketio --emit say --broadcast said -c 1",
            "has nobody to hear it",
        ),
        (
            "http://h/ --socketio --emit 'say,\"{{stamp}}\"' --emit say --broadcast said",
            "every --emit, or of none",
        ),
        (
            "http://h/ --socketio --emit '[\"{{stamp}}\"]' --broadcast said",
            "stands in the event's name",
        ),
        ("http://h/ --socketio --emit [1]", "must begin with the event's name"),
        ("http://h/ --socketio --auth x", "--auth: no JSON"),
        ("http://h/ --socketio --auth 5", "must be a JSON object"),
        ("http://h/ --socketio --eio 5", "--eio 5: auto, 3 or 4"),
        ("ws://h/ --eio 3", "--eio: add --socketio"),
        (
            "http://h/ --engine engineio --emit x",
            "engineio sends --message TEXT, or say --socketio",
        ),
        ("http://h/ --socketio --query EIO=4", "the protocol's own"),
        (
            "http://h/ --socketio --transport pigeon",
            "upgrade, websocket or polling",
        ),
        ("wss://h/ --socketio --transport polling", "write http(s)://"),
        ("http://h/a http://h/b --socketio", "namespaces"),
        ("http://h/a --socketio --namespace /b", "already names /a"),
        (
            "https://h:8/socket.io/?EIO=4&transport=websocket --socketio",
            "the right line is: swarm attack https://h:8 --socketio --transport websocket",
        ),
        (
            "https://h/api/socket.io/ --socketio",
            "the right line is: swarm attack https://h --socketio --path /api/socket.io/",
        ),
        ("https://h/?EIO=4 --socketio", "`?EIO=` belongs to the protocol"),
        ("http://h/ --require p99", "quote it: --require 'p99<250ms'"),
        ("http://h/ --require 'p99<250'", "a latency needs its unit"),
        ("http://h/ -H Bad", "'Name: value'"),
        ("http://h/ -H 'Content-Length: 5'", "swarm sets this header itself"),
        ("http://h/ -H 'Connection: close'", "use --no-keepalive"),
        ("http://h/ -H 'X: env:NONE'", "env:NONE: this variable is not set"),
        ("http://h/ -u alice", "no password"),
        ("http://a:b@h/ -u c:d", "give one of them"),
        ("http://h/ -u a:b -H 'Authorization: x'", "give one of them"),
        ("http://h/ -b plain", "--cookie: 'name=value"),
        ("http://h/ --cookies eat", "keep or drop"),
        ("http://h/ -d x -D y", "give one of them"),
        ("http://h/ -d @no-such-file", "cannot read no-such-file"),
        ("http://h/ --ok 200-100", "is no status"),
        ("http://h/ --cert a.pem", "add --key FILE"),
        ("http://h/ --cacert no-such-file", "cannot read no-such-file"),
        ("http://h/ --connect-to a:80:b:80", "no target is at a:80"),
        ("http://h/ --connect-to h:80:b", "HOST:PORT:ADDR:PORT"),
        (
            "http://h/ --lb-stats lb:8404",
            "--lb-stats lb:8404: http://, https://, tcp://HOST:PORT or unix:/PATH",
        ),
        (
            "http://h/ --lb-stats-auth u:p",
            "--lb-stats-auth: for which page? add --lb-stats URL",
        ),
        (
            "http://h/ --lb-stats unix:/x --lb-stats-auth u:p",
            "a runtime socket asks for no password",
        ),
        (
            "http://h/ --lb-stats http://u:p@lb/ --lb-stats-auth u:p",
            "give one of them",
        ),
        (
            "http://h/ --lb-stats http://lb/ --lb-stats-auth up",
            "--lb-stats-auth: it must be USER:PASS",
        ),
        (
            "http://h/ --lb-stats http://lb/ --lb-stats-auth u:env:NONE",
            "--lb-stats-auth: env:NONE: this variable is not set",
        ),
        (
            "http://h/ --watch-metrics http://a/metrics",
            "--watch-metrics http://a/metrics: URL=name,name: which metrics?",
        ),
        (
            "http://h/ --watch-metrics http://a/m?k=s3cret=1x",
            "--watch-metrics http://a/m?***: URL=name,name",
        ),
        (
            "http://h/ --watch-metrics ftp://a/m=up",
            "--watch-metrics ftp://a/m: http://",
        ),
        ("http://h/ --balancer haproxy-source", "add --backends 4"),
        ("http://h/ --backends 3", "add --balancer haproxy-source"),
        (
            "http://h/ --balancer roundrobin --backends 3",
            "no rule that swarm can predict: haproxy-source",
        ),
        (
            "http://h/ --balancer haproxy-source --backends 3:1,2",
            "3 servers want 3 weights",
        ),
        (
            "http://h/ --balancer nginx-hash-consistent --backends 3",
            "--backends 10.0.0.4:3000,10.0.0.5:3000",
        ),
        (
            "http://h/ --backend-from x",
            "header:NAME, cookie:NAME or body:/pointer",
        ),
        (
            "http://h/ --backend-from header:",
            "header:NAME, cookie:NAME or body:/pointer",
        ),
        (
            "http://h/ --backend-from body:x",
            "a JSON pointer begins with /, as body:/server/id",
        ),
        (
            "http://h/ --backend-from event:hello",
            "http has no events; header:NAME, cookie:NAME or body:/pointer",
        ),
        (
            "http://h/ --backend-from message",
            "http has no messages; header:NAME, cookie:NAME or body:/pointer",
        ),
        (
            "ws://h/ --backend-from body:/s",
            "a WebSocket's handshake has no body; message:/s, header:NAME or cookie:NAME",
        ),
        (
            "ws://h/ --backend-from event:hello/s",
            "there are no events without Socket.IO; message:/s",
        ),
        ("ws://h/ --backend-from message:s", "as message:/server/id"),
        (
            "ws://h/ --backend-from x",
            "header:NAME, cookie:NAME, message or message:/pointer",
        ),
        (
            "http://h/ --socketio --transport websocket --backend-from body:/s",
            "with --transport websocket the handshake has no body; event:NAME/s, header:NAME or cookie:NAME",
        ),
        (
            "http://h/ --socketio --backend-from message:/s",
            "Socket.IO speaks in events; event:NAME/s",
        ),
        ("http://h/ --socketio --backend-from event:", "which event?"),
        ("http://h/ --seen-as-from x", "header:NAME or body:/pointer"),
        ("http://h/ --seen-as-from cookie:a", "header:NAME or body:/pointer"),
        ("http://h/ --seen-as-from body:ip", "as body:/client/ip"),
        (
            "ws://h/ --seen-as-from body:/ip",
            "a WebSocket's handshake has no body; header:NAME",
        ),
        ("http://h/ --silence 6m", "between 2s and 5m"),
        ("http://h/ --source-ips 10.0.0.9-10.0.0.4", "the wrong way round"),
        ("http://h/ --source-ips 10.0.0.0/99", "no network"),
        ("http://h/ --min-hosts 0", "must be at least 1"),
        ("http://h/ --min-hosts 120%", "between 1% and 100%"),
        ("http://h/ --hosts ,", "--hosts is empty"),
        ("http://h/ --local 0", "must be at least 1"),
        ("http://h/ -i key", "add --hosts or --host-file"),
        ("http://h/ --dry-run --arm-only", "give one of them"),
        ("http://h/ -o report", "no ending"),
        ("http://h/ -o report.xml", "unknown ending `.xml`"),
        ("http://h/ -o report.html", "html is not there yet"),
        ("http://h/ -o no-such-folder/report.json", "the folder can't be written"),
        ("http://h/ --agent-binary x86_64", "ARCH=FILE"),
    ] {
        let error = attack(line).err().unwrap_or_else(|| panic!("{line}: accepted"));
        assert!(error.contains(says), "{line}: {error}");
        assert!(!error.contains('\n'), "{line}: {error}");
    }
}

#[test]
fn backends_are_named_where_the_protocol_can() {
    let said = |event: Option<&str>, pointer: Option<&str>| {
        let (event, pointer) = (event.map(str::to_owned), pointer.map(str::to_owned));
        BackendFrom::Said(SaidFirst { event, pointer })
    };
    for (line, wanted) in [
        ("http://h/", BackendFrom::Usual),
        ("http://h/ --backend-from body:/a/0", BackendFrom::Body("/a/0".into())),
        (
            "http://h/ --backend-from cookie:Node",
            BackendFrom::Cookie("Node".into()),
        ),
        (
            "http://h/ --socketio --backend-from body:/sid",
            BackendFrom::Body("/sid".into()),
        ),
        (
            "http://h/ --socketio --transport websocket --backend-from event:hello",
            said(Some("hello"), None),
        ),
        (
            "http://h/ --socketio --backend-from event:hello/node/id",
            said(Some("hello"), Some("/node/id")),
        ),
        ("ws://h/ --backend-from message", said(None, None)),
        ("ws://h/ --backend-from message:/s", said(None, Some("/s"))),
        (
            "http://h/ --engine engineio --backend-from message:/s",
            said(None, Some("/s")),
        ),
        (
            "http://h/ --engine engineio --transport polling --backend-from body:/s",
            BackendFrom::Body("/s".into()),
        ),
    ] {
        assert_eq!(plan(line).backend_from, wanted, "{line}");
    }
    let seen = |line: &str| plan(line).seen_from;
    assert_eq!(seen("http://h/"), None);
    assert_eq!(
        seen("http://h/ --seen-as-from body:/you"),
        Some(SeenFrom::Body("/you".into()))
    );
    assert_eq!(
        seen("ws://h/ --seen-as-from header:X-You"),
        Some(SeenFrom::Header("x-you".into()))
    );
}

#[test]
fn broadcasts_are_stamped_where_there_is_a_place() {
    let cast = |line: &str| {
        plan(&format!("http://h/ --socketio --broadcast said {line}"))
            .broadcast
            .unwrap()
    };
    let all = cast("--emit say,1");
    assert_eq!((all.event.as_str(), all.one_in, all.stamped), ("said", 1, false));
    let some = cast("--emit 'say,{\"text\":\"at {{stamp}}\"}' --emitters 1/10");
    assert_eq!((some.one_in, some.stamped), (10, true));
    assert_eq!(plan("http://h/ --socketio --emit say").broadcast, None);
}

#[test]
fn the_defaults_of_http() {
    let plan = plan("http://127.0.0.1:8080/x?y=1");
    let Load::Closed(closed) = &plan.load else {
        panic!("closed loop")
    };
    assert_eq!(closed.connections, Level::Ramp { count: 50, rate: None });
    assert_eq!(
        (closed.requests, closed.duration, closed.warmup),
        (None, Some(10 * S), 0)
    );
    let target = &plan.targets[0];
    assert_eq!(
        (target.path.as_str(), target.authority.as_str(), target.port, target.tls),
        ("/x?y=1", "127.0.0.1:8080", 8080, false)
    );
    assert_eq!(target.url, "http://127.0.0.1:8080/x?y=***");
    let agent = format!("swarm/{} (load test; run 0123456789ab)", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        plan.request.headers,
        [
            ("User-Agent".to_string(), agent),
            ("X-Swarm-Run".into(), "0123456789ab".into())
        ]
    );
    assert!(!plan.request.keep_cookies);
    for default in [
        "-c 50",
        "-z 10s",
        "-m GET",
        "-t 1m",
        "--connect-timeout 10s",
        "--grace 10s",
        "--local 1",
        "--cookies drop",
    ] {
        assert!(
            plan.defaults.iter().any(|used| used == default),
            "{default}: {:?}",
            plan.defaults
        );
    }
    assert_eq!(plan.command, "swarm attack 'http://127.0.0.1:8080/x?y=***'");
}

#[test]
fn http_loads() {
    let open = |line: &str| match plan(line).load {
        Load::Open(open) => open,
        other => panic!("{line}: {other:?}"),
    };
    let two = open("http://h/ -q 1k -z 30s -n 5k -c 7");
    assert_eq!(
        (two.schedule, two.requests, two.connections),
        (plateau(30 * S, 1000), Some(5000), 7)
    );
    assert_eq!(open("http://h/ -q 100").schedule, plateau(10 * S, 100));
    assert_eq!(open("http://h/ -q 100 -n 250").schedule, plateau(S * 5 / 2, 100));
    assert_eq!(open("http://h/ -q 2 -t 3s").connections, 6);
    assert_eq!(open("http://h/ -q 5k").connections, 10_000);
    let stages = open("http://h/ --stage 10s:100 --stage 20s:100 --stage 5s:500..50")
        .schedule
        .stages;
    let uhz: Vec<(u64, u64, u64)> = stages
        .iter()
        .map(|s| (s.duration / S, s.from / PER_SECOND, s.to / PER_SECOND))
        .collect();
    assert_eq!(uhz, [(10, 0, 100), (20, 100, 100), (5, 500, 50)]);
    let Load::Closed(closed) = plan("http://h/ --stage connections:10s:40 -n 9 --warmup 2s").load else {
        panic!("closed loop")
    };
    assert_eq!(
        closed.connections,
        Level::Stages(vec![Stage {
            duration: 10 * S,
            from: 0,
            to: 40
        }])
    );
    assert_eq!(
        (closed.duration, closed.requests, closed.warmup),
        (Some(10 * S), Some(9), 2 * S)
    );
    let Load::Closed(closed) = plan("http://h/ -n 100 -c 5 --connect-rate 10").load else {
        panic!("closed loop")
    };
    assert_eq!(
        (closed.duration, closed.connections),
        (
            None,
            Level::Ramp {
                count: 5,
                rate: Some(10 * PER_SECOND)
            }
        )
    );
}

#[test]
fn held_loads() {
    for (line, count, rate, end, cadence) in [
        ("ws://h/", 100, Some(20), 15, None),
        ("ws://h/ -c 1000", 1000, Some(100), 20, None),
        (
            "ws://h/ -c 1000 --connect-rate 200 --hold 5m",
            1000,
            Some(200),
            305,
            None,
        ),
        ("ws://h/ -c 10 --connect-rate max --hold 3s", 10, None, 3, None),
        (
            "ws://h/ -c 100 --connect-rate 50 -z 20s --message x",
            100,
            Some(50),
            20,
            Some(Cadence::Once),
        ),
        (
            "ws://h/ -c 100 --connect-rate 50 --message x --every 2s",
            100,
            Some(50),
            12,
            Some(Cadence::Every(2 * S)),
        ),
        (
            "ws://h/ -c 10 --connect-rate 10 --message x -q 5",
            10,
            Some(10),
            11,
            Some(Cadence::Total(plateau(11 * S, 5))),
        ),
        (
            "ws://h/ -c 10 --connect-rate 10 --message x -q 5 -n 100",
            10,
            Some(10),
            30,
            Some(Cadence::Total(plateau(30 * S, 5))),
        ),
        (
            "ws://h/ -c 10 --connect-rate 10 --message x --every 2s -n 100",
            10,
            Some(10),
            31,
            Some(Cadence::Every(2 * S)),
        ),
        (
            "ws://h/ -c 10 --connect-rate 10 --message x --stage 30s:5..5",
            10,
            Some(10),
            30,
            Some(Cadence::Total(plateau(30 * S, 5))),
        ),
    ] {
        let Load::Held(held) = plan(line).load else {
            panic!("{line}: not held")
        };
        assert_eq!(
            held.clients,
            Level::Ramp {
                count,
                rate: rate.map(|rate| rate * PER_SECOND)
            },
            "{line}"
        );
        assert_eq!((held.end, held.cadence), (end * S, cadence), "{line}");
    }
    let Load::Held(held) = plan("ws://h/ --stage connections:10s:1000 --hold 5s").load else {
        panic!("held")
    };
    assert_eq!(held.end, 15 * S);
    assert_eq!(
        attack("ws://h/ -c 1000 --connect-rate 10 -z 5s").unwrap().notes[0].0,
        "ramp_cut"
    );
}

#[test]
fn lost_clients_come_back() {
    let held = |line: &str| match plan(line).load {
        Load::Held(held) => held,
        other => panic!("{line}: {other:?}"),
    };
    let real = BackOff {
        least: S,
        most: 5 * S,
        jitter: 500,
        attempts: None,
    };
    assert_eq!(held("ws://h/").reconnect, None);
    assert_eq!(held("ws://h/ --reconnect").reconnect, Some(real.clone()));
    let stormy = held("http://h/ --socketio -z 30s --storm 20s --storm 10s --storm 20s");
    assert_eq!((stormy.reconnect, stormy.storms), (Some(real), vec![10 * S, 20 * S]));
    let own = "http://h/ --engine engineio --reconnect --reconnect-delay 200ms --reconnect-delay-max 2s \
               --reconnect-jitter 0.25 --reconnect-attempts 7";
    assert_eq!(
        held(own).reconnect,
        Some(BackOff {
            least: S / 5,
            most: 2 * S,
            jitter: 250,
            attempts: Some(7)
        })
    );
    let defaults = plan("ws://h/ --storm 5s").defaults;
    for default in [
        "--reconnect",
        "--reconnect-delay 1s",
        "--reconnect-delay-max 5s",
        "--reconnect-jitter 0.5",
    ] {
        assert!(defaults.iter().any(|used| used == default), "{default}: {defaults:?}");
    }
    let noted = attack("ws://h/ --reconnect --max-rate 50").unwrap().notes;
    assert!(
        noted
            .iter()
            .any(|(kind, text)| kind == "max_rate" && text.contains("lost clients")),
        "{noted:?}"
    );
}

#[test]
fn the_cap_cuts_and_says_so() {
    let capped = attack("http://h/ -q 1000 -z 10s --max-rate 400").unwrap();
    let Load::Open(open) = &capped.plan.load else {
        panic!("open loop")
    };
    assert_eq!(open.schedule, plateau(10 * S, 400));
    assert_eq!(
        capped.notes,
        [(
            "max_rate".to_string(),
            "--max-rate 400/s: -q 1,000/s runs at 400/s at most".to_string()
        )]
    );
    let Load::Open(open) = plan("http://h/ --stage 10s:0..1000 --stage 10s:1000..0 --max-rate 500").load else {
        panic!("open loop")
    };
    let cut: Vec<(u64, u64, u64)> = open
        .schedule
        .stages
        .iter()
        .map(|s| (s.duration / S, s.from / PER_SECOND, s.to / PER_SECOND))
        .collect();
    assert_eq!(cut, [(5, 0, 500), (5, 500, 500), (5, 500, 500), (5, 500, 0)]);
    let Load::Held(held) = plan("ws://h/ -c 100 --connect-rate max --message x --every 1s --max-rate 50").load else {
        panic!("held")
    };
    assert_eq!(
        held.clients,
        Level::Ramp {
            count: 100,
            rate: Some(50 * PER_SECOND)
        }
    );
    assert_eq!(held.cadence, Some(Cadence::Every(2 * S)));
    assert!(attack("http://h/ -q 100 --max-rate 400").unwrap().notes.is_empty());
    assert!(
        attack("ws://h/ --stage connections:1s:1000 --max-rate 400")
            .unwrap_err()
            .contains("make it longer")
    );
}

#[test]
fn what_http_says() {
    let Engine::Http(http) = plan("http://h/ -d a=b --ok 200-299,304 --redirects 3 --no-keepalive").engine else {
        panic!("http")
    };
    assert_eq!(
        (http.method.as_str(), http.body.as_deref(), http.redirects),
        ("POST", Some(b"a=b".as_slice()), 3)
    );
    assert_eq!((http.keepalive, http.ok), (false, vec![(200, 299), (304, 304)]));
    let Engine::Http(http) = plan("http://h/ -X put -d -5").engine else {
        panic!("http")
    };
    assert_eq!(
        (http.method.as_str(), http.body.as_deref()),
        ("PUT", Some(b"-5".as_slice()))
    );
    let request = plan("http://al%20ice:p%40w@h/ -H 'user-agent: me' -H 'Cookie: c=1' -b d=2 -H 'X-Key: env:TOKEN' -T text/plain --cookies keep").request;
    assert_eq!(request.cookie.as_deref(), Some("d=2; c=1"));
    assert!(request.keep_cookies);
    let has = |name: &str, value: &str| request.headers.contains(&(name.to_string(), value.to_string()));
    assert!(
        has("Authorization", "Basic YWwgaWNlOnBAdw==")
            && has("X-Key", "t0ken")
            && has("user-agent", "me")
            && has("Content-Type", "text/plain")
    );
    assert!(
        !request
            .headers
            .iter()
            .any(|(name, _)| name == "User-Agent" || name == "Cookie")
    );
    assert_eq!(plan("http://h/ -H 'Host: other'").targets[0].authority, "other");
}

#[test]
fn what_socketio_says() {
    let socketio = |line: &str| match plan(line).engine {
        Engine::Socketio(socketio) => socketio,
        other => panic!("{line}: {other:?}"),
    };
    let plain = socketio("https://h --socketio");
    assert_eq!(
        (plain.carrier, plain.path.as_str(), plain.namespace.as_str()),
        (Carrier::Upgrade, "/socket.io/", "/")
    );
    let full = socketio(
        "ws://h/chat?room=5 --socketio --path /api/io --query 'q=a b' --query t2=env:TOKEN --auth '{\"n\":1}' --emit 'hi,{\"big\":12345678901234567890123}' --emit '[\"x\",2]' --emit bye --ack",
    );
    assert_eq!(
        (full.carrier, full.path.as_str(), full.namespace.as_str()),
        (Carrier::Websocket, "/api/io/", "/chat")
    );
    assert_eq!(full.query, ["room=5", "q=a+b", "t2=t0ken"]);
    assert_eq!(
        full.emits,
        ["[\"hi\",{\"big\":12345678901234567890123}]", "[\"x\",2]", "[\"bye\"]"]
    );
    assert!(plan("https://h --socketio").request.keep_cookies);
    let names = |line: &str| plan(line).requirements[0].subject();
    assert_eq!(names("https://h --socketio --require 'p99<1s'"), "handshake.p99");
    assert_eq!(
        names("https://h --socketio --emit a --ack --require 'p99<1s'"),
        "ack.p99"
    );
    assert_eq!(names("wss://h --message x --echo --require 'p99<1s'"), "message.p99");
    let closed = attack("http://h --require 'p99<1s'").unwrap();
    assert!(closed.notes[0].1.contains("require service.p99"), "{:?}", closed.notes);
}

#[test]
fn targets() {
    let several =
        plan("3=https://a/x 1=https://[::1]:8443/y --connect-to a:443:10.0.0.4:8443 --connect-to :::").targets;
    assert_eq!(several.iter().map(|t| t.weight).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(several[0].connect_to, Some(("10.0.0.4".into(), 8443)));
    assert_eq!(
        (several[1].host.as_str(), several[1].authority.as_str(), several[1].port),
        ("::1", "[::1]:8443", 8443)
    );
    let secret = plan("wss://u:p@h/x?token=abc");
    assert_eq!(
        (secret.targets[0].url.as_str(), secret.targets[0].path.as_str()),
        ("wss://h/x?token=***", "/x?token=abc")
    );
    assert_eq!((secret.targets[0].port, secret.targets[0].tls), (443, true));
    assert!(!format!("{}{:?}", secret.command, secret.targets[0].url).contains("abc"));
}

#[test]
fn nothing_secret_is_in_the_command() {
    let line = "https://u:hidden1@h/?k=hidden2 -H 'X-Key: hidden3' -b c=hidden5 -d hidden6 -kH 'Accept: a/b'";
    let command = plan(line).command;
    assert!(!command.contains("hidden"), "{command}");
    assert!(command.contains("-kH 'Accept: a/b'"), "{command}");
    let command =
        plan("https://h --socketio --auth '{\"t\":\"hidden\"}' --emit 'login,\"hidden\"' --query=k=hidden -uu:hidden")
            .command;
    assert!(
        !command.contains("hidden") && command.contains("login,***"),
        "{command}"
    );
}

#[test]
fn pages_beside_the_run() {
    let read = plan(
        "http://h/ --lb-stats http://lb:8404/haproxy?stats#www --lb-stats-auth u:env:TOKEN \
         --watch-metrics 'http://a/m?x=1=cpu,lag{q=\"0.9\"}' --watch-metrics http://u:hidden@b/metrics=up",
    );
    assert_eq!(
        read.watch.lines(),
        [
            "the balancer's statistics at http://lb:8404/haproxy?stats, of www; read once a second from here, no load",
            "cpu, lag{q=\"0.9\"} at http://a/m?x=***",
            "up at http://b/metrics",
        ]
    );
    let shown = format!("{} {:?}", read.command, read.watch);
    assert!(!shown.contains("t0ken") && !shown.contains("hidden"), "{shown}");
    assert!(
        read.command
            .contains("--lb-stats 'http://lb:8404/haproxy?stats#www' --lb-stats-auth u:env:TOKEN")
    );
    for line in [
        "--lb-stats http://u:hidden@lb/haproxy?stats",
        "--lb-stats=http://lb/ --lb-stats-auth=u:hidden",
    ] {
        let command = plan(&format!("http://h/ {line}")).command;
        assert!(!command.contains("hidden"), "{command}");
    }
    assert!(plan("http://h/").watch.is_empty());
    let socket = plan("http://h/ --lb-stats unix:/run/haproxy.sock")
        .watch
        .balancer
        .unwrap();
    assert_eq!(socket.address.to_string(), "unix:/run/haproxy.sock");
}

#[test]
fn the_rest() {
    let full = attack(
        "http://h/ --hosts a@10.0.0.1,b --host-file - --host-file f --local 2 -i k -F c --accept-new-host-keys --min-hosts 75% \
         --source-ips 127.0.0.2-127.0.0.9,10.0.0.0/30,iface:eth1,::1 --backend-from header:X-Node --seen-as-from header:X-Client --yes --json --no-live --arm-only --strict --trace-one",
    )
    .unwrap();
    assert_eq!(
        full.hosts,
        HostsFrom {
            lists: vec!["a@10.0.0.1,b".into()],
            files: vec![HostFile::Stdin, HostFile::Path("f".into())],
            local: 2,
            fleet: None
        }
    );
    assert_eq!(
        full.ssh,
        SshOptions {
            identity: Some("k".into()),
            config: Some("c".into()),
            accept_new: true
        }
    );
    assert_eq!(
        (full.mode, full.yes, full.outputs.json, full.outputs.live),
        (Mode::ArmOnly, true, true, false)
    );
    assert_eq!(
        (full.plan.min_hosts, full.plan.strict, full.plan.trace),
        (MinHosts::Percent(75.0), true, true)
    );
    assert_eq!(full.plan.backend_from, BackendFrom::Header("x-node".into()));
    assert_eq!(full.plan.seen_from, Some(SeenFrom::Header("x-client".into())));
    assert_eq!(full.plan.sources.len(), 4);
    assert_eq!(
        full.plan.sources[0],
        SourceRange::Range("127.0.0.2".parse().unwrap(), "127.0.0.9".parse().unwrap())
    );
    assert_eq!(plan("http://h/ --min-hosts 3").min_hosts, MinHosts::Count(3));
    assert_eq!(plan("http://h/ -t 3s").limits.grace, 3 * S);
    assert_eq!(plan("http://h/ --resolve-every 5s").limits.resolve_every, Some(5 * S));
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("r.json");
    assert_eq!(
        attack(&format!("http://h/ -o {}", report.display()))
            .unwrap()
            .outputs
            .files,
        vec![report.clone()]
    );
    assert!(!report.exists());
}
