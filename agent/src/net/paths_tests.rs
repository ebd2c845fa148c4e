//! Which pairs are tried, what a try says, and who is dropped for it: over an injected dial, and over real sockets.

use super::*;
use crate::wire::share::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const SECOND: u64 = 1_000_000_000;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn share(sources: &[&str], targets: &[u16]) -> Share {
    let target = |port: &u16| Target {
        url: format!("http://target:{port}/"),
        tls: false,
        host: "target".into(),
        port: *port,
        path: "/".into(),
        authority: "target".into(),
        weight: 1,
        connect_to: None,
        fallback: vec![],
    };
    Share {
        run: "test".into(),
        round: 0,
        host_index: 0,
        hosts: 1,
        deal: Deal {
            mine: vec![0],
            slots: 1,
        },
        targets: targets.iter().map(target).collect(),
        engine: Engine::Websocket(Websocket {
            subprotocol: None,
            message: None,
            binary: false,
            echo: false,
        }),
        load: Load::Held(Held {
            clients: Level::Ramp { count: 1, rate: None },
            end: SECOND,
            cadence: None,
            requests: None,
            reconnect: None,
            storms: Vec::new(),
        }),
        request: Request {
            headers: vec![],
            cookie: None,
            keep_cookies: true,
        },
        tls: Tls::default(),
        sources: sources.iter().map(|text| ip(text)).collect(),
        consent: Consent::Missing,
        backend_from: BackendFrom::Usual,
        seen_from: None,
        limits: Limits {
            connect: 10 * SECOND,
            hit: SECOND,
            ack: SECOND,
            grace: SECOND,
            silence: SECOND,
            resolve_every: None,
        },
        trace: false,
        program: None,
        broadcast: None,
    }
}

fn error(code: i32) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(code))
}

/// What was dialed, and what came of it.
async fn probed(
    share: &Share,
    resolved: &[&str],
    answer: impl Fn(IpAddr, SocketAddr) -> io::Result<()>,
) -> (Vec<(IpAddr, SocketAddr)>, Paths) {
    let resolved: Vec<Vec<IpAddr>> = resolved.iter().map(|text| vec![ip(text)]).collect();
    let dialed = Mutex::new(Vec::new());
    let paths = probe_by(share, &resolved, WHOLE, |source, target| {
        dialed.lock().unwrap().push((source, target));
        std::future::ready(answer(source, target))
    })
    .await;
    (dialed.into_inner().unwrap(), paths)
}

fn dropped(paths: &Paths) -> Vec<IpAddr> {
    paths.dropped.iter().map(|dropped| dropped.source).collect()
}

#[tokio::test]
async fn sources_without_a_path_are_dropped_with_the_cause() {
    let share = share(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"], &[80]);
    let (dialed, paths) = probed(&share, &["10.9.9.9"], |source, _| match source {
        one if one == ip("10.0.0.1") => Ok(()),
        two if two == ip("10.0.0.2") => error(libc::ENETUNREACH),
        three if three == ip("10.0.0.3") => error(libc::EADDRNOTAVAIL),
        _ => error(libc::ETIMEDOUT),
    })
    .await;
    assert_eq!(dialed.len(), 4);
    let causes: Vec<(IpAddr, &NoPath)> = paths.dropped.iter().map(|d| (d.source, &d.why)).collect();
    assert!(
        matches!(
            causes.as_slice(),
            [(two, NoPath::Unreachable(_)), (three, NoPath::Unusable(_)), (four, NoPath::Silent { after_ms: 5000 })]
            if [*two, *three, *four] == [ip("10.0.0.2"), ip("10.0.0.3"), ip("10.0.0.4")]
        ),
        "{causes:?}"
    );
    assert!(paths.warnings.is_empty());
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_so_a_path() {
    let share = share(&["10.0.0.1", "10.0.0.2"], &[80]);
    let (_, paths) = probed(&share, &["10.9.9.9"], |source, _| match source {
        one if one == ip("10.0.0.1") => error(libc::ECONNREFUSED),
        _ => error(libc::EHOSTUNREACH),
    })
    .await;
    assert_eq!(dropped(&paths), [ip("10.0.0.2")]);
}

#[tokio::test]
async fn a_target_that_nobody_reaches_drops_nobody() {
    let share = share(&["10.0.0.1", "10.0.0.2"], &[80]);
    let (dialed, paths) = probed(&share, &["10.9.9.9"], |_, _| error(libc::EHOSTUNREACH)).await;
    assert_eq!((dialed.len(), paths), (2, Paths::default()));
    // what says nothing about the source is no reason either
    let (_, paths) = probed(&share, &["10.9.9.9"], |source, _| match source {
        one if one == ip("10.0.0.1") => Ok(()),
        _ => error(libc::EMFILE),
    })
    .await;
    assert!(
        paths.dropped.is_empty() && paths.warnings[0].starts_with("1 of 2 paths"),
        "{paths:?}"
    );
}

#[tokio::test]
async fn one_source_is_not_probed() {
    for sources in [&[][..], &["10.0.0.1"], &["10.0.0.1", "fd00::1"]] {
        let (dialed, paths) = probed(&share(sources, &[80]), &["10.9.9.9"], |_, _| Ok(())).await;
        assert_eq!((dialed, paths), (vec![], Paths::default()), "{sources:?}");
    }
}

#[tokio::test]
async fn a_public_target_is_probed_only_with_consent() {
    let mut share = share(&["10.0.0.1", "10.0.0.2"], &[80]);
    for (address, near) in [
        ("93.184.216.34", false),
        ("2001:db8::1", false),
        ("10.9.9.9", true),
        ("169.254.0.1", true),
        ("fd00::9", true),
    ] {
        share.sources = if ip(address).is_ipv4() {
            vec![ip("10.0.0.1"), ip("10.0.0.2")]
        } else {
            vec![ip("fd00::1"), ip("fd00::2")]
        };
        for consent in [Consent::Missing, Consent::Given] {
            share.consent = consent;
            let (dialed, _) = probed(&share, &[address], |_, _| Ok(())).await;
            let expected = if near || consent == Consent::Given { 2 } else { 0 };
            assert_eq!(dialed.len(), expected, "{address} {consent:?}");
        }
    }
    // the public one of two targets is left alone, the private one is not
    share.sources = vec![ip("10.0.0.1"), ip("10.0.0.2")];
    share.targets.push(share.targets[0].clone());
    share.consent = Consent::Missing;
    let (dialed, _) = probed(&share, &["93.184.216.34", "10.9.9.9"], |_, _| Ok(())).await;
    assert!(dialed.len() == 2 && dialed.iter().all(|(_, target)| target.ip() == ip("10.9.9.9")));
}

#[tokio::test]
async fn every_target_counts_once_and_is_named() {
    let mut share = share(&["10.0.0.1", "10.0.0.2"], &[80, 81, 80]);
    share.targets[1].connect_to = Some(("other".into(), 8081));
    let (dialed, paths) = probed(&share, &["10.9.9.9"; 3], |source, target| {
        if source == ip("10.0.0.2") && target.port() == 8081 {
            error(libc::EHOSTUNREACH)
        } else {
            Ok(())
        }
    })
    .await;
    assert_eq!(dialed.len(), 4, "the third target is the first: {dialed:?}");
    let one = &paths.dropped[0];
    assert_eq!(
        (one.source, one.target, one.address.to_string().as_str()),
        (ip("10.0.0.2"), 1, "10.9.9.9:8081")
    );
}

#[tokio::test]
async fn when_no_source_reaches_all_targets_none_is_dropped() {
    let share = share(&["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"], &[80, 81, 82]);
    let (_, paths) = probed(&share, &["10.9.9.9", "10.9.9.8", "fd00::9"], |source, target| {
        let lacks = [
            ("10.0.0.1", "10.9.9.9"),
            ("10.0.0.2", "10.9.9.8"),
            ("fd00::2", "fd00::9"),
        ];
        match lacks.iter().any(|(s, t)| (ip(s), ip(t)) == (source, target.ip())) {
            true => error(libc::EHOSTUNREACH),
            false => Ok(()),
        }
    })
    .await;
    assert_eq!(
        dropped(&paths),
        [ip("fd00::2")],
        "the other family is judged for itself"
    );
    let warning = &paths.warnings[0];
    assert!(
        warning.contains("10.0.0.1 has none to http://target:80/") && warning.contains("10.0.0.2"),
        "{warning}"
    );
}

#[tokio::test]
async fn loopback_needs_no_try_towards_loopback() {
    let share = share(&["127.0.0.2", "127.0.0.3"], &[80]);
    let (dialed, _) = probed(&share, &["127.0.0.1"], |_, _| Ok(())).await;
    assert!(dialed.is_empty());
    let (dialed, _) = probed(&share, &["10.9.9.9"], |_, _| Ok(())).await;
    assert_eq!(dialed.len(), 2);
}

/// Counts down when a try ends, however it ends.
struct Going<'a>(&'a AtomicUsize);

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn numbers_and_time_are_bounded() {
    let sources: Vec<String> = (0..300).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let targets: Vec<u16> = (1..=10).collect();
    let mut share = share(&sources, &targets);
    share.limits.connect = 1;
    let resolved = vec![vec![ip("10.9.9.9")]; 10];
    // room for one round of the shortest time and no second
    let whole = SHORTEST + Duration::from_millis(500);
    let (going, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (going, most) = (&going, &most);
    let began = tokio::time::Instant::now();
    let paths = probe_by(&share, &resolved, whole, |source, _| async move {
        most.fetch_max(going.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _going = Going(going);
        let silent = source != ip("10.0.0.0");
        tokio::time::sleep(Duration::from_secs(if silent { 3600 } else { 0 })).await;
        Ok(())
    })
    .await;
    assert!(began.elapsed() < whole + SHORTEST, "{:?}", began.elapsed());
    assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
    // what was tried is judged: all of the first target but the one that answered
    assert_eq!(paths.dropped.len(), MOST_SOURCES - 1);
    assert!(paths.warnings[0].contains("of 3000 paths"), "{:?}", paths.warnings);
}

/// Real sockets: a source of another machine cannot be bound, one of ours is refused or accepted, and what was opened is
/// closed again.
#[tokio::test]
async fn over_real_sockets() {
    use tokio::io::AsyncReadExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let share = share(&["127.0.0.1", "192.0.2.77"], &[listener.local_addr().unwrap().port()]);
    let paths = probe(&share, &[vec![ip("127.0.0.1")]]).await;
    assert_eq!(dropped(&paths), [ip("192.0.2.77")]);
    let local = open_tcp(listener.local_addr().unwrap(), Some(ip("127.0.0.1"))).await;
    assert_eq!(finding(Some(local.map(drop)), LONGEST), Finding::Answer);
    let (mut stream, from) = listener.accept().await.unwrap();
    assert_eq!(
        (from.ip(), stream.read(&mut [0; 1]).await.unwrap()),
        (ip("127.0.0.1"), 0)
    );
    let foreign = open_tcp(listener.local_addr().unwrap(), Some(ip("192.0.2.77"))).await;
    assert!(matches!(
        finding(Some(foreign.map(drop)), LONGEST),
        Finding::NoPath(NoPath::Unusable(_))
    ));
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let refused = open_tcp(gone, None).await;
    assert_eq!(finding(Some(refused.map(drop)), LONGEST), Finding::Answer);
}
