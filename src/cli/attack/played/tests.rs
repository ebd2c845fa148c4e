//! Tests of `attack --playbook`: what flags and playbook come to together, and what is refused.

use super::*;
use crate::cli::attack::{AttackCommand, Surroundings, understand};
use crate::cli::{Command, Parsed, parse};
use crate::playbook::shipped;
use swarm_agent::wire::flow::Variable;
use swarm_agent::wire::share::{BackOff, Carrier, Consent};

const S: u64 = 1_000_000_000;

/// A folder with playbooks and what they name.
struct Shelf(tempfile::TempDir);

impl Shelf {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    /// `attack` with this line; `DIR` in it is the folder.
    fn attack(&self, line: &str) -> Result<AttackCommand, String> {
        let folder = self.0.path().display().to_string();
        let words: Vec<String> = format!("swarm attack {line}")
            .split_whitespace()
            .map(|word| word.replace("DIR", &folder))
            .collect();
        let parsed = parse(words.iter().map(Into::into)).map_err(|error| error.0)?;
        let Parsed::Command(Command::Attack(args)) = parsed else {
            panic!("{line}: no attack")
        };
        let around = Surroundings {
            words,
            environment: Box::new(|name| (name == "TOKEN").then(|| "t0ken".to_string())),
            run: "0123456789ab".into(),
            fleets: Vec::new(),
        };
        understand(&args, &around).map_err(|error| error.0.replace(&folder, "DIR"))
    }
}

fn one(text: &str) -> Shelf {
    Shelf::with(&[("p.toml", text)])
}

const HELD: &str =
    "target = 'http://h:1'\nengine = 'socketio'\n[load]\nconnections = 10\nconnect-rate = '5/s'\nhold = '4s'\n";

#[test]
fn a_playbook_without_flows_is_the_same_as_its_flags() {
    let shelf = Shelf::with(&[
        (
            "held.toml",
            "target = 'http://h:1/chat'\nengine = 'socketio'\n[load]\nconnections = 10\nconnect-rate = '5/s'\nhold = '4s'\nevery = '1s'\n[request]\nheaders = { Accept = 'x/y', X-Token = 'env:TOKEN' }\nack-timeout = '3s'\n[socketio]\nemit = ['say', { n = 1 }]\nack = true\nauth = { a = 'b' }\nquery = { k = 'v w' }\ntransport = 'websocket'\n[tls]\ninsecure = true\n[require]\npass = ['p99<1s']\n",
        ),
        (
            "open.toml",
            "target = ['3=http://a/', '1=http://b/']\n[load]\nstages = ['5s:100', '5s:100..20']\nwarmup = '1s'\n[http]\nmethod = 'PUT'\ndata = 'x'\nok = '200'\n",
        ),
    ]);
    let flags = r#"http://h:1/chat --engine socketio -c 10 --connect-rate 5 --hold 4s --every 1s -H Accept:x/y -H X-Token:env:TOKEN --ack-timeout 3s --emit ["say",{"n":1}] --ack --auth {"a":"b"} --query k=v --transport websocket -k --require p99<1s"#;
    for (book, flags) in [
        ("held.toml", flags),
        (
            "open.toml",
            "3=http://a/ 1=http://b/ --stage 5s:100 --stage 5s:100..20 --warmup 1s -m PUT -d x --ok 200",
        ),
    ] {
        let played = shelf.attack(&format!("--playbook DIR/{book}")).unwrap().plan;
        let mut typed = shelf.attack(flags).unwrap().plan;
        if let Engine::Socketio(socketio) = &mut typed.engine {
            socketio.query = vec!["k=v+w".into()];
        }
        assert_eq!(played.playbook.as_deref(), Some(&book[..4]));
        for (played, typed) in [
            (format!("{:?}", played.targets), format!("{:?}", typed.targets)),
            (format!("{:?}", played.engine), format!("{:?}", typed.engine)),
            (format!("{:?}", played.load), format!("{:?}", typed.load)),
            (format!("{:?}", played.request), format!("{:?}", typed.request)),
            (format!("{:?}", played.limits), format!("{:?}", typed.limits)),
            (format!("{:?}", played.tls), format!("{:?}", typed.tls)),
            (
                format!("{:?}", played.requirements),
                format!("{:?}", typed.requirements),
            ),
            (format!("{:?}", played.defaults), format!("{:?}", typed.defaults)),
        ] {
            assert_eq!(played, typed);
        }
    }
}

#[test]
fn the_command_line_wins() {
    let shelf = one(&format!(
        "{HELD}[request]\nheaders = {{ A = '1', B = '2' }}\nconnect-to = 'h:1:127.0.0.1:9'\n[require]\npass = ['errors<1%']\n"
    ));
    let plan = |more: &str| shelf.attack(&format!("--playbook DIR/p.toml {more}")).unwrap().plan;
    let Load::Held(held) = plan("-c 20 --connect-rate 10 -z 9s").load else {
        panic!("held")
    };
    assert_eq!((split::connections(&Load::Held(held.clone())), held.end), (20, 9 * S));
    let other = plan("https://other.test -H b:3 --require dropped<1");
    assert_eq!((other.targets.len(), other.targets[0].host.as_str()), (1, "other.test"));
    assert_eq!(other.targets[0].connect_to, None);
    let header = |name: &str| {
        let all = other
            .request
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        all.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((header("A"), header("B")), (vec!["1"], vec!["3"]));
    let rules: Vec<&str> = other.requirements.iter().map(|rule| rule.expr.as_str()).collect();
    assert_eq!(rules, ["errors<1%", "dropped<1"]);
    assert!(matches!(
        plan("ws://h:1 --engine websocket").engine,
        Engine::Websocket(_)
    ));
}

#[test]
fn errors_about_a_playbooks_values_name_their_line() {
    for (text, says) in [
        ("target = 'h:1'", "DIR/p.toml:1: target: h:1: no scheme"),
        (
            "target = 'http://h'\nengine = 'gopher'",
            "DIR/p.toml:2: engine: --engine gopher: no such engine",
        ),
        (
            "target = 'http://h'\n[load]\nconnections = 0",
            "DIR/p.toml:3: [load] connections: -c 0: must be at least 1",
        ),
        (
            "target = 'http://h'\n[load]\nconnections = true",
            "DIR/p.toml:3: [load] connections: -c true",
        ),
        (
            "target = 'http://h'\n[load]\nhold = '5s'",
            "DIR/p.toml:3: [load] hold: --hold: http holds nothing; use -z",
        ),
        (
            "target = 'ws://h'\n[load]\nhold = 30",
            "DIR/p.toml:3: [load] hold: --hold 30: 30s?",
        ),
        (
            "target = 'ws://h'\n[load]\nevery = '1s'",
            "DIR/p.toml:3: [load] every: --every: these clients have nothing to send",
        ),
        (
            "target = 'http://h'\n[http]\nok = '9'",
            "DIR/p.toml:3: [http] ok: --ok 9",
        ),
        (
            "target = 'http://h'\n[require]\npass = ['p99<5']",
            "DIR/p.toml:3: [require] pass: --require",
        ),
        ("target = 'http://h'\nrequire = ['p99']", "quote it"),
        (
            "target = 'http://h'\n[tls]\ncacert = 'ca.pem'",
            "DIR/p.toml:3: [tls] cacert: --cacert: cannot read DIR/ca.pem",
        ),
        (
            "target = 'http://h'\n[request]\nheaders = { Bad = 'env:NONE' }",
            "DIR/p.toml:3: [request] headers: --header",
        ),
        (
            "target = 'http://h'\nengine = 'socketio'\n[socketio]\nauth = '5'",
            "DIR/p.toml:4: [socketio] auth: --auth: must be a JSON object",
        ),
        (
            "target = 'http://h'\n[load]\nreconnect = true",
            "DIR/p.toml:3: [load] reconnect: --reconnect is for clients that are held",
        ),
        (
            &format!("{HELD}storms = ['6s']"),
            "DIR/p.toml:7: [load] storms: --storm 6s: the load ends after 6s",
        ),
        (
            &format!("{HELD}storms = ['5']"),
            "DIR/p.toml:7: [load] storms: --storm 5: 5s? ",
        ),
        (
            &format!("{HELD}reconnect-delay = '1s'"),
            "DIR/p.toml:7: [load] reconnect-delay: --reconnect-delay: clients don't come back",
        ),
        (
            &format!("{HELD}reconnect = true\nreconnect-delay = '9s'\nreconnect-delay-max = '1s'"),
            "DIR/p.toml:8: [load] reconnect-delay: --reconnect-delay 9s is longer than",
        ),
        (
            &format!("{HELD}reconnect = true\nreconnect-jitter = 2"),
            "DIR/p.toml:8: [load] reconnect-jitter: --reconnect-jitter 2: a share of the delay",
        ),
        (
            &format!("{HELD}max-rate = 50\nstorms = ['5s']"),
            "DIR/p.toml:8: [load] storms: --storm and --max-rate 50/s",
        ),
        (
            &format!("csv-end = 'wrap'\n{HELD}[[flow]]\nsteps = [{{ connect = true }}]"),
            "DIR/p.toml:1: csv-end: there are no rows; add csv = 'FILE' or --csv FILE",
        ),
        (
            &format!("csv = 'p.csv'\n{HELD}[[flow]]\nsteps = [{{ connect = true }}]"),
            "DIR/p.toml:1: csv: 2 rows for 10 clients",
        ),
        (
            &format!("csv = 'p.csv'\n{HELD}[vars]\nname = 'x{{{{conn}}}}'\n[[flow]]\nsteps = [{{ connect = true }}]"),
            "DIR/p.toml:9: column `name` is in [vars] too: rename it, or --set name='{{name}}'",
        ),
        (
            &format!("{HELD}[[flow]]\nsteps = [{{ connect = true }},\n{{ emit = ['say', '{{{{stamp}}}}'] }}]"),
            "DIR/p.toml:9: {{stamp}}: stamp is filled in for [broadcast] alone",
        ),
        (
            &format!("{HELD}[broadcast]\nevent = 'x'\n[[flow]]\nsteps = [{{ connect = true }}]"),
            "DIR/p.toml:8: broadcast: no step of the flows emits anything",
        ),
        (
            &format!("{HELD}[socketio]\nauth = {{ t = 'env:NONE' }}"),
            "DIR/p.toml:8: env:NONE: this variable is not set",
        ),
        (
            &format!("{HELD}[[flow]]\nsteps = [{{ connect = {{ query = {{ t = '@no.txt' }} }} }}]"),
            "DIR/p.toml:8: connect query: cannot read DIR/no.txt",
        ),
        (
            &format!("{HELD}[broadcast]\nevent = 'x'"),
            "DIR/p.toml:8: [broadcast] event: --broadcast x: nothing is emitted",
        ),
        (
            &format!("{HELD}rate = 5\n[[flow]]\nsteps = [{{ connect = true }}]"),
            "DIR/p.toml:7: [load] rate: -q: the playbook's flows say",
        ),
        (
            &format!("{HELD}[socketio]\nemit = 'x'\n[[flow]]\nsteps = [{{ connect = true }}]"),
            "DIR/p.toml:8: [socketio] emit: --emit: the playbook's flows say",
        ),
        (
            &format!("csv = 'no.csv'\n{HELD}[[flow]]\nsteps = [{{ connect = true }}]"),
            "DIR/p.toml:1: cannot read DIR/no.csv",
        ),
        (
            &format!("script = 'no.js'\n{HELD}[[flow]]\nsteps = [{{ connect = true }}]"),
            "DIR/p.toml:1: cannot read DIR/no.js",
        ),
    ] {
        let shelf = Shelf::with(&[("p.toml", text), ("p.csv", "name\na\nb\n")]);
        let error = shelf.attack("--playbook DIR/p.toml").map(|_| ()).unwrap_err();
        assert!(error.contains(says), "{text}\n  {error}\n  {says}");
        assert!(!error.contains('\n'), "{error}");
    }
    let typed = one(HELD).attack("--playbook DIR/p.toml -c 0").map(|_| ()).unwrap_err();
    assert_eq!(typed, "-c 0: must be at least 1");
}

#[test]
fn refusals_say_the_right_line() {
    let shelf = one(&format!("{HELD}[[flow]]\nsteps = [{{ connect = true }}]"));
    for (line, says) in [
        ("http://h --set a=1", "--set is for playbooks: add --playbook"),
        ("http://h --csv x", "--csv is for playbooks"),
        ("http://h --csv-end stop", "--csv-end is for playbooks"),
        ("--playbook socketio-100", "did you mean socketio-1000?"),
        ("--playbook nothing", "`swarm playbook list` names them"),
        ("--playbook DIR/no.toml", "cannot read DIR/no.toml"),
        (
            "--playbook DIR/p.toml --set a=1",
            "--set a: there is no `a`: [vars] is empty",
        ),
        (
            "--playbook DIR/p.toml --csv-end stop",
            "--csv-end: there are no rows; add --csv FILE",
        ),
        ("--playbook DIR/p.toml --csv DIR/no.csv", "--csv: cannot read"),
        (
            "--playbook reconnect-storm --csv x",
            "--csv: only the texts of flows can use rows",
        ),
        (
            "--playbook reconnect-storm --csv-end wrap",
            "--csv-end: only the texts of flows",
        ),
        (
            "--playbook reconnect-storm --max-rate 50",
            "[load] storms: --storm and --max-rate 50/s",
        ),
        (
            "--playbook DIR/p.toml --reconnect-delay 3s",
            "--reconnect-delay: clients don't come back; add --reconnect",
        ),
        (
            "--playbook DIR/p.toml -n 5",
            "-n: the playbook's flows say what is sent",
        ),
        ("--playbook DIR/p.toml --emit x", "--emit: the playbook's flows say"),
        (
            "--playbook DIR/p.toml --stage 5s:5",
            "--stage: the playbook's flows say",
        ),
        ("--playbook DIR/p.toml --connect-to a:1:b:1", "no target is at a:1"),
    ] {
        let error = shelf.attack(line).map(|_| ()).unwrap_err();
        assert!(error.contains(says), "{line}\n  {error}");
    }
}

#[test]
fn flows_hold_clients_whatever_the_engine() {
    let shelf = Shelf::with(&[
        (
            "p.toml",
            "target = 'http://h:1'\ncsv = 'u.csv'\n[load]\nconnections = 5\nconnect-rate = 'max'\nhold = '4s'\n[[flow]]\nsteps = [{ http = { url = 'https://auth.test/in?u={{user}}' } }, { http = '/' }]\n",
        ),
        ("u.csv", "user\na\nb\nc\n"),
    ]);
    let error = shelf.attack("--playbook DIR/p.toml").map(|_| ()).unwrap_err();
    assert!(error.contains("3 rows for 5 clients"), "{error}");
    let stopped = shelf.attack("--playbook DIR/p.toml --csv-end stop").unwrap().plan;
    assert_eq!(split::connections(&stopped.load), 3);
    let plan = shelf
        .attack("--playbook DIR/p.toml --csv-end wrap --require p99<1s")
        .unwrap()
        .plan;
    let program = plan.program.as_ref().unwrap();
    assert_eq!((program.rows.len(), program.rows[3][0].as_str()), (5, "a"));
    assert!(matches!(&plan.load, Load::Held(held) if held.cadence.is_none() && held.end == 4 * S));
    // consent covers what steps name
    let hosts: Vec<(&str, u32)> = plan
        .targets
        .iter()
        .map(|target| (target.host.as_str(), target.weight))
        .collect();
    assert_eq!(hosts, [("h", 1), ("auth.test", 0)]);
    assert_eq!(plan.requirements[0].subject(), "service.p99");
    // no two clients share a row, over all hosts
    let armed = [2, 1].map(crate::split::ArmedHost::weighing);
    let shares = split::split(&plan, Consent::Given, &armed);
    let mut all: Vec<String> = Vec::new();
    for share in &shares {
        let rows = &share.program.as_ref().unwrap().rows;
        for (k, row) in rows.iter().enumerate() {
            let n = usize::try_from(share.deal.number(k as u64)).unwrap();
            assert_eq!(row, &program.rows[n]);
            all.push(n.to_string());
        }
    }
    all.sort();
    assert_eq!(all, ["0", "1", "2", "3", "4"]);
}

#[test]
fn the_way_back_and_broadcasts_go_into_the_plan() {
    let shelf = one(
        "target = 'http://h:1'\nengine = 'socketio'\n[load]\nconnections = 10\nhold = '9s'\nreconnect-delay = '2s'\nstorms = ['12s', '11s']\n[broadcast]\nevent = 'said'\n[[flow]]\nsteps = [{ connect = true }, { every = { period = '1s', steps = [{ emit = ['say', 'x {{stamp}}'] }] } }]\n",
    );
    let plan = shelf.attack("--playbook DIR/p.toml").unwrap().plan;
    let Load::Held(held) = &plan.load else { panic!("held") };
    assert_eq!(held.storms, [11 * S, 12 * S]);
    let usual = BackOff {
        least: 2 * S,
        most: 5 * S,
        jitter: 500,
        attempts: None,
    };
    assert_eq!(held.reconnect, Some(usual));
    let broadcast = plan.broadcast.unwrap();
    assert_eq!((broadcast.event.as_str(), broadcast.stamped), ("said", true));
    let plain = one(&format!(
        "{HELD}[socketio]\nemit = ['say', 'x']\n[broadcast]\nevent = 'said'\nemitters = '1/10'\n"
    ));
    let broadcast = plain.attack("--playbook DIR/p.toml").unwrap().plan.broadcast.unwrap();
    assert_eq!((broadcast.one_in, broadcast.stamped), (10, false));
}

#[test]
fn secrets_stay_secret() {
    let shelf = one(&format!(
        "{HELD}[vars]\ntoken = ''\nurl = ''\n[[flow]]\nsteps = [{{ connect = {{ auth = {{ t = '{{{{token}}}}' }} }} }}]"
    ));
    let plan = shelf.attack("--playbook DIR/p.toml --set token=s3cret").unwrap().plan;
    assert!(plan.command.ends_with("--set 'token=***'"), "{}", plan.command);
    let plan = shelf
        .attack("--playbook DIR/p.toml --set token=env:TOKEN")
        .unwrap()
        .plan;
    assert!(plan.command.ends_with("--set token=env:TOKEN"), "{}", plan.command);
    assert!(format!("{:?}", plan.program).contains("t0ken"));
}

#[test]
fn reconnect_flags_win_one_by_one() {
    let shelf = one("");
    let back = |line: &str| match shelf.attack(line).unwrap().plan.load {
        Load::Held(held) => (held.reconnect.unwrap(), held.storms),
        other => panic!("{line}: {other:?}"),
    };
    let (restarted, _) = back("--playbook rolling-restart --reconnect-delay 3s");
    assert_eq!((restarted.least, restarted.most), (3 * S, 5 * S));
    let (stormed, storms) = back("--playbook reconnect-storm --storm 5s --set jitter=0 --set delay=2s");
    assert_eq!((storms, stormed.least, stormed.jitter), (vec![5 * S], 2 * S, 0));
}

#[test]
fn typed_values_take_the_place_of_what_they_exclude() {
    let held = "engine = 'socketio'\ntarget = 'http://h:1'\n";
    for (text, line, header) in [
        ("[request]\nuser = 'a:b'\n", "-H Authorization:x", "x"),
        ("[request]\nuser = 'a:b'\n", "http://c:d@h:1", "Basic Yzpk"),
        (
            "[request]\nheaders = { AUTHORIZATION = 'x', A = '1' }\n",
            "-u c:d",
            "Basic Yzpk",
        ),
    ] {
        let shelf = one(&format!("{held}{text}"));
        let plan = shelf.attack(&format!("--playbook DIR/p.toml {line}")).unwrap().plan;
        let all = plan.request.headers.iter();
        let found: Vec<&str> = all
            .filter(|(name, _)| name.eq_ignore_ascii_case("authorization"))
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(found, [header], "{line}");
    }
    let shelf = one(&format!("{held}[socketio]\nnamespace = '/a'\ntransport = 'polling'\n"));
    for (line, namespace, carrier) in [
        ("http://o", "/a", Carrier::Polling),
        ("http://o/?x=1", "/a", Carrier::Polling),
        ("http://o/b", "/b", Carrier::Polling),
        ("wss://o", "/a", Carrier::Websocket),
        ("2=ws://o/b", "/b", Carrier::Websocket),
    ] {
        let Engine::Socketio(socketio) = shelf
            .attack(&format!("--playbook DIR/p.toml {line}"))
            .unwrap()
            .plan
            .engine
        else {
            panic!("{line}")
        };
        assert_eq!(
            (socketio.namespace.as_str(), socketio.carrier),
            (namespace, carrier),
            "{line}"
        );
    }
    let shelf = one("target = 'http://h'\n[http]\nno-keepalive = true\n");
    let plan = shelf.attack("--playbook DIR/p.toml --connection-life 5s").unwrap().plan;
    assert!(matches!(plan.engine, Engine::Http(http) if http.keepalive));
}

#[test]
fn secrets_are_read_beside_the_playbook_and_from_the_environment() {
    let text = "target = 'http://h:1'\nengine = 'socketio'\n[vars]\npassword = '@pw.txt'\n[socketio]\nauth = { t = 'env:TOKEN', f = '@pw.txt' }\n[[flow]]\nsteps = [\n{ http = { url = '/in', headers = { A = 'env:TOKEN', B = '{{password}}' } } },\n{ connect = { query = { q = '@pw.txt' }, headers = { C = '@pw.txt' }, auth = { t = ['env:TOKEN', '{{conn}}'] } } },\n{ join = { namespace = '/x', auth = { t = 'env:TOKEN' } } },\n]\n";
    let shelf = Shelf::with(&[("p.toml", text), ("pw.txt", "p\"{{w\n")]);
    let plan = shelf.attack("--playbook DIR/p.toml");
    // braces of a secret that are never closed are no text to print
    let error = plan.map(|_| ()).unwrap_err();
    assert!(error.contains("secret") && !error.contains("{{w"), "{error}");
    let shelf = Shelf::with(&[("p.toml", text), ("pw.txt", "p\"ssw0rd\n"), ("typed.txt", "other")]);
    let plan = shelf.attack("--playbook DIR/p.toml").unwrap().plan;
    let Engine::Socketio(socketio) = &plan.engine else {
        panic!("socketio")
    };
    assert_eq!(socketio.auth.as_deref(), Some(r#"{"t":"t0ken","f":"p\"ssw0rd"}"#));
    let steps = &plan.program.as_ref().unwrap().flows[0].steps;
    let (Act::Http(http), Act::Connect(connect), Act::Join(join)) = (&steps[0].act, &steps[1].act, &steps[2].act)
    else {
        panic!("{steps:?}")
    };
    let plain = |pairs: &[(String, Text)]| -> Vec<String> {
        pairs
            .iter()
            .map(|(_, text)| text.as_plain().unwrap().to_string())
            .collect()
    };
    assert_eq!(plain(&http.headers), ["t0ken", "p\"ssw0rd"]);
    assert_eq!(plain(&connect.query), ["p\"ssw0rd"]);
    assert_eq!(plain(&connect.headers), ["p\"ssw0rd"]);
    let auth = &connect.namespaces[0].auth.as_ref().unwrap().0;
    assert_eq!(auth[0], Piece::Plain("{\"t\":[\"t0ken\",".into()));
    assert_eq!(auth[1], Piece::Json(Expression::Variable(Variable::Conn)));
    assert_eq!(join.auth.as_ref().unwrap().as_plain(), Some("{\"t\":\"t0ken\"}"));
    let folder = shelf.0.path().display().to_string();
    let typed = shelf
        .attack(&format!("--playbook DIR/p.toml --set password=@{folder}/typed.txt"))
        .unwrap()
        .plan;
    let Act::Http(http) = &typed.program.as_ref().unwrap().flows[0].steps[0].act else {
        panic!("http")
    };
    assert_eq!(plain(&http.headers)[1], "other");
}

#[test]
fn a_column_may_be_what_a_name_of_vars_is_about() {
    let text = format!(
        "csv = 'u.csv'\ncsv-end = 'wrap'\n{HELD}[vars]\nname = 'u-{{{{name}}}}'\n[[flow]]\nsteps = [{{ connect = true }}, {{ emit = ['in', '{{{{name}}}}', 'x {{{{name}}}}'] }}]"
    );
    let shelf = Shelf::with(&[("p.toml", &text), ("u.csv", "name\na\n")]);
    let column = || Piece::InString(Expression::Variable(Variable::Column(0)));
    let emitted = |line: &str| {
        let program = shelf.attack(line).unwrap().plan.program.unwrap();
        match &program.flows[0].steps[1].act {
            Act::Emit(emit) => emit.array.0.clone(),
            other => panic!("{other:?}"),
        }
    };
    let plain = |text: &str| Piece::Plain(text.into());
    assert_eq!(
        emitted("--playbook DIR/p.toml"),
        [
            plain("[\"in\",\"u-"),
            column(),
            plain("\",\"x u-"),
            column(),
            plain("\"]")
        ]
    );
    assert_eq!(
        emitted("--playbook DIR/p.toml --set name={{name}}")[1],
        Piece::Json(Expression::Variable(Variable::Column(0)))
    );
}

#[test]
fn errors_show_no_secret() {
    let flow = |step: &str| {
        format!("{HELD}[vars]\ntoken = 'env:TOKEN'\n[[flow]]\nsteps = [{{ connect = true }},\n{step}\n]\n")
    };
    for step in [
        "{ emit = ['x', \"{{token + 'x'}}\"] }",
        "{ emit = ['x', '{{token + conn}}'] }",
        "{ think = '{{token}}' }",
        "{ think = '3{{token}}..5s' }",
        "{ wait = { until = '{{token}}' } }",
        "{ http = '{{token}}' }",
        "{ http = 'ftp://{{token}}/' }",
        "{ connect = { target = '{{token}}' } }",
        "{ repeat = { times = '{{token}}', steps = [{ emit = 'x' }] } }",
        "{ emit = { event = 'x', ack = true, timeout = '{{token}}' } }",
    ] {
        let shelf = one(&flow(step));
        let error = shelf.attack("--playbook DIR/p.toml").map(|_| ()).unwrap_err();
        assert!(
            error.contains("token") && error.contains("DIR/p.toml:11"),
            "{step}: {error}"
        );
        assert!(!error.contains("t0ken"), "{step}: {error}");
        let set = shelf.attack("--playbook DIR/p.toml --set token=s3cret").map(|_| ());
        assert!(set.is_err(), "{step}");
    }
    for line in ["[load]\nconnections = '{{token}}'", "[require]\npass = ['{{token}}']"] {
        let shelf = one(&format!("target = 'ws://h'\n{line}\n[vars]\ntoken = ''\n"));
        let error = shelf
            .attack("--playbook DIR/p.toml --set token=env:TOKEN")
            .map(|_| ())
            .unwrap_err();
        assert!(error.contains("DIR/p.toml:3") && !error.contains("t0ken"), "{error}");
    }
    let shelf =
        one("target = 'http://h'\n[request]\nheaders = { Connection = '{{token}}' }\n[vars]\ntoken = 'env:TOKEN'\n");
    let error = shelf.attack("--playbook DIR/p.toml").map(|_| ()).unwrap_err();
    assert!(
        error.contains("--header Connection: ***: swarm sets this header itself"),
        "{error}"
    );
    let named = flow("{ name = 'say {{token}}', emit = 'x' }");
    let program = one(&named)
        .attack("--playbook DIR/p.toml")
        .unwrap()
        .plan
        .program
        .unwrap();
    assert_eq!(program.flows[0].steps[1].label, "say {{token}}");
}

#[test]
fn needs_are_met_or_named() {
    let needs = |hosts, sources| Needs { hosts, sources };
    let ranges = |text: &str| crate::cli::crew_args::source_ranges(text).unwrap();
    assert_eq!(unmet(needs(None, None), 1, &[], 0), None);
    assert!(
        unmet(needs(Some(2), None), 1, &[], 0)
            .unwrap()
            .contains("needs 2 hosts")
    );
    assert!(
        unmet(needs(None, Some(4)), 2, &[], 0)
            .unwrap()
            .contains("needs 4 source addresses")
    );
    assert_eq!(unmet(needs(None, Some(4)), 2, &[], 4), None);
    for (typed, met) in [
        ("127.0.0.2-127.0.0.5", true),
        ("127.0.0.2-127.0.0.4", false),
        ("10.0.0.0/30", true),
        ("10.0.0.1,10.0.0.2", false),
        ("iface:eth0", true),
        ("fd00::/64", true),
    ] {
        assert_eq!(
            unmet(needs(None, Some(4)), 1, &ranges(typed), 0).is_none(),
            met,
            "{typed}"
        );
    }
}

#[test]
fn shipped_playbooks_come_to_what_they_say() {
    let shelf = one("");
    for (name, _) in shipped::ALL {
        let line = format!("--playbook {name} --source-ips 127.0.0.2-127.0.0.9");
        let plan = shelf
            .attack(&line)
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .plan;
        assert_eq!(plan.playbook.as_deref(), Some(name));
        assert!(!plan.requirements.is_empty(), "{name}");
    }
    let plan = |line: &str| shelf.attack(line).unwrap().plan;
    let Load::Held(held) = plan("--playbook socketio-1000 https://h/chat").load else {
        panic!("held")
    };
    let ramp = Level::Ramp {
        count: 1000,
        rate: Some(200_000_000),
    };
    assert_eq!((held.clients, held.end), (ramp, 35 * S));
    assert!(plan("--playbook chat-broadcast").broadcast.unwrap().stamped);
    let storm = plan("--playbook reconnect-storm --set jitter=0").load;
    assert!(
        matches!(storm, Load::Held(held) if held.storms == [7 * S] && held.reconnect.as_ref().unwrap().jitter == 0)
    );
    let login = plan("--playbook login-then-socket").program.unwrap();
    let Act::Http(http) = &login.flows[0].steps[0].act else {
        panic!("the log-in")
    };
    let conn = Piece::InString(Expression::Variable(Variable::Conn));
    assert!(http.body.as_ref().unwrap().0.contains(&conn), "{:?}", http.body);
    let redirected = plan("--playbook tls-redirect");
    assert_eq!(redirected.targets.len(), 2);
}
