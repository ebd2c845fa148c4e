//! Flags of `swarm check`, and what is refused.

use super::*;
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: CheckArgs,
}

fn check(line: &str) -> Result<CheckCommand, String> {
    let words = std::iter::once("check").chain(line.split_whitespace());
    let args = Line::try_parse_from(words).map_err(|error| error.to_string())?.args;
    let around = Surroundings {
        words: vec!["swarm".into(), "check".into()],
        environment: Box::new(|_| None),
        run: "0123456789ab".into(),
        fleets: Vec::new(),
    };
    understand(&args, &around).map_err(|Usage(text)| text)
}

#[test]
fn flags_mean_what_they_mean_to_attack() {
    let command = check(
        "http://127.0.0.1:8080/chat --socketio --source-ips 127.0.0.2-127.0.0.5 --idle 90s --balancer nginx-ip-hash",
    )
    .unwrap();
    let aim = &command.aim;
    assert_eq!((aim.speech, aim.polls, aim.upgrades), (Speech::Socketio, true, true));
    assert_eq!(
        (aim.endpoint.as_str(), aim.namespace.as_str()),
        ("/socket.io/", "/chat")
    );
    assert_eq!(
        (aim.idle, aim.balancer),
        (Some(Duration::from_secs(90)), Some(Kind::Nginx))
    );
    assert!(aim.request.keep_cookies && aim.twin.is_none());
    assert_eq!(command.sources.len(), 1);
    let agent = aim
        .request
        .headers
        .iter()
        .find(|(name, _)| name == "User-Agent")
        .unwrap();
    assert!(agent.1.contains("(check; run 0123456789ab)"), "{}", agent.1);
    assert_eq!(aim.first_path(), "/socket.io/?EIO=4&transport=polling");

    assert!(check("https://chat.test:8443/").unwrap().aim.twin.is_none());
    let aim = check("wss://chat.test/ --socketio --cookies drop").unwrap().aim;
    assert_eq!(
        (aim.polls, aim.upgrades, aim.request.keep_cookies),
        (false, false, false)
    );
    let twin = aim.twin.unwrap();
    assert_eq!((twin.host.as_str(), twin.port, twin.tls), ("chat.test", 80, false));

    let aim = check("ws://127.0.0.1/ws --idle 5s").unwrap().aim;
    assert_eq!((aim.speech, aim.target.path.as_str()), (Speech::Websocket, "/ws"));
    assert!(
        check("https://chat.test/x --cookies keep")
            .unwrap()
            .aim
            .request
            .keep_cookies
    );
}

#[test]
fn connect_to_bends_the_plain_twin_too() {
    let line = "https://chat.test/ --connect-to chat.test:443:127.0.0.1:8443 --connect-to chat.test:80:127.0.0.1:8080";
    let aim = check(line).unwrap().aim;
    assert_eq!(
        (aim.target.dialed_port(), aim.twin.unwrap().dialed_port()),
        (8443, 8080)
    );
}

#[test]
fn a_broadcast_is_emitted_as_attack_says_it() {
    let line = "http://127.0.0.1/ --socketio --emit say,\"{{stamp}}\" --broadcast said";
    let aim = check(line).unwrap().aim;
    assert_eq!(aim.broadcast, Some((r#"["say","check"]"#.into(), "said".into())));
    let aim = check("http://127.0.0.1/ --socketio --broadcast say,said").unwrap().aim;
    assert_eq!(aim.broadcast, Some((r#"["say","swarm check"]"#.into(), "said".into())));
}

#[test]
fn twins_of_urls() {
    for (url, twin) in [
        ("https://a.test:8443/x?y=1", Some("http://a.test/x?y=1")),
        ("wss://u:p@a.test", Some("ws://u:p@a.test")),
        ("https://[::1]:8443/", Some("http://[::1]/")),
        ("http://a.test/", None),
        ("a.test", None),
    ] {
        assert_eq!(plain_twin(url).as_deref(), twin, "{url}");
    }
}

#[test]
fn what_is_wrong_is_refused_with_the_way_out() {
    for (line, says) in [
        ("", "check what?"),
        ("127.0.0.1:80", "no scheme"),
        (
            "http://127.0.0.1/socket.io/ --socketio",
            "swarm check http://127.0.0.1 --socketio",
        ),
        ("http://127.0.0.1/ --eio 4", "--eio: add --socketio"),
        ("http://127.0.0.1/ --socketio --idle 90", "90s?"),
        ("http://127.0.0.1/ --socketio --idle 2h", "--idle 2h: at most 1h"),
        (
            "http://127.0.0.1/ --idle-path /ws",
            "--idle-path: how long? add --idle 90s",
        ),
        ("http://127.0.0.1/ --idle 5s --idle-path ws", "--idle-path ws: a path"),
        (
            "http://127.0.0.1/ --balancer traefik",
            "--balancer traefik: no such balancer",
        ),
        ("http://127.0.0.1/ --socketio --emit say,1", "add --broadcast EVENT"),
        ("http://127.0.0.1/ --socketio --broadcast said", "nothing is emitted"),
        (
            "http://127.0.0.1/ --socketio --backend-from event:hello",
            "--backend-from: check looks at answers alone",
        ),
        ("http://127.0.0.1/ --silence 5s", "--silence is for attack and exec"),
        ("http://127.0.0.1/ -c 5", "unexpected argument '-c'"),
    ] {
        let error = check(line).err().unwrap_or_default();
        assert!(error.contains(says), "{line}: {error}");
    }
}
