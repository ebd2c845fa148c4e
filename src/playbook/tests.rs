//! Tests of playbooks: what they come to, and what is refused with which line.

use super::*;
use swarm_agent::wire::flow::{
    Act, Answer, Expression, From, Is, OnFailure, Operator, Payload, Piece, Rounds, Spread, Text, Variable, Wait,
};

fn source(text: &str) -> Source {
    Source {
        name: "p".into(),
        file: "p.toml".into(),
        folder: PathBuf::new(),
        text: text.into(),
    }
}

fn book_with(text: &str, sets: &[&str]) -> Result<Book, String> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_string()).collect();
    read(&source(text), &sets, &variables)
}

fn variables(name: &str) -> Option<String> {
    (name == "TOKEN").then(|| "t0ken".into())
}

fn program_of(text: &str, kind: Kind) -> Result<Program, String> {
    let book = book_with(text, &[])?;
    let script = book.script.as_ref().map(|_| Script {
        name: "s.js".into(),
        source: String::new(),
    });
    book.program(
        kind,
        &["user".into(), "team".into()],
        script,
        &variables,
        &mut Origins::new(&[]),
    )
}

/// The steps of a flow with these lines, engine socketio.
fn steps(lines: &str) -> Vec<swarm_agent::wire::flow::Step> {
    let text = format!("[vars]\nrooms = 200\nname = 'x\"y'\n[[flow]]\nsteps = [\n{lines}\n]\n");
    let program = program_of(&text, Kind::Socketio).unwrap_or_else(|error| panic!("{lines}: {error}"));
    program.flows[0].steps.clone()
}

fn act(line: &str) -> Act {
    steps(&format!("{{ connect = true }},\n{line}")).remove(1).act
}

fn array(line: &str) -> Vec<Piece> {
    match act(line) {
        Act::Emit(emit) => emit.array.0,
        other => panic!("{line}: {other:?}"),
    }
}

fn plain(text: &str) -> Piece {
    Piece::Plain(text.into())
}

#[test]
fn errors_name_file_line_and_the_nearest_right_key() {
    for (text, says) in [
        (
            "taget = 'x'",
            "p.toml:1: the playbook has no key `taget`: did you mean `target`?",
        ),
        (
            "\nconnections = 5",
            "p.toml:2: the playbook has no key `connections`: it belongs into [load]",
        ),
        (
            "[load]\nconections = 5",
            "p.toml:2: [load] has no key `conections`: did you mean `connections`?",
        ),
        ("[load]\nconnect_rate = 5", "did you mean `connect-rate`?"),
        (
            "[load]\nspawn = 5",
            "p.toml:2: [load] has no key `spawn`: there are connections, connect-rate",
        ),
        ("[load]\nheaders = {}", "it belongs into [request]"),
        ("[emits]\nx = 1", "p.toml:1: the playbook has no key `emits`"),
        ("load = 5", "p.toml:1: [load]: must be a table, not a number"),
        (
            "[load]\nconnections = [1]",
            "p.toml:2: [load] connections: must be a text or a number, not a list",
        ),
        (
            "[load]\nreconnect = 'x'",
            "p.toml:2: [load] reconnect: `x`: true or false",
        ),
        (
            "[load]\nreconnect = false\nstorms = ['5s']",
            "p.toml:3: [load] storms: after a storm clients come back",
        ),
        (
            "[request]\nheaders = 'x: y'",
            "p.toml:2: [request] headers: must be a table of names and values",
        ),
        (
            "engine = 'socketio'\n[websocket]\necho = true",
            "p.toml:2: websocket: this table is for another engine than socketio",
        ),
        ("[socketio]\n[websocket]", "p.toml:2: websocket: tables of two engines"),
        ("[vars]\na-b = 1", "p.toml:2: [vars] a-b: a name has letters"),
        (
            "[vars]\nconn = 1",
            "p.toml:2: [vars] conn: this name has a meaning of its own",
        ),
        ("[vars]\nx = [1]", "p.toml:2: [vars] x: must be a text"),
        (
            "[vars]\ntoken = 'env:NONE'",
            "p.toml:2: [vars] token: env:NONE: this variable is not set",
        ),
        (
            "[vars]\nclients = 5\n[load]\nconnections = '{{cleints}}'",
            "p.toml:4: {{cleints}}: there is no `cleints` in [vars]; did you mean `clients`?",
        ),
        (
            "[load]\nconnections = '{{conn}}'",
            "p.toml:2: {{conn}}: conn is known only while clients run",
        ),
        (
            "[load]\nconnections = '{{1 +}}'",
            "p.toml:2: {{1 +}}: something is missing",
        ),
        (
            "[vars]\na = '{{b}}'\nb = '{{a}}'\n[load]\nhold = '{{a}}'",
            "its value comes back to itself",
        ),
        ("csv = 'x.csv'", "p.toml:1: csv: only the texts of flows"),
        ("csv-end = 'wrap'", "p.toml:1: csv-end: only flows have rows"),
        ("csv-end = 'never'", "p.toml:1: csv-end: `never`: stop, wrap or error"),
        ("script = 'x.js'", "p.toml:1: script: hooks are called in flows"),
        ("remember = ['x']", "p.toml:1: remember: there is no script"),
        ("[broadcast]\nemitters = '1/5'", "event: its name is missing"),
        (
            "[broadcast]\nevent = 'x'\nemitters = '2/5'",
            "p.toml:3: [broadcast] emitters: `2/5`: 1/K",
        ),
        ("[hosts]\nmin = 0", "p.toml:2: [hosts] min: `0`: must be at least 1"),
        ("x = ", "p.toml:1: no TOML"),
        ("about = 'a'\nabout = 'b'", "p.toml:2: no TOML: duplicate key"),
        (
            "[socketio]\nemit = ['say', '{{conn}}']",
            "can be used in [[flow]] alone",
        ),
    ] {
        let error = book_with(text, &[]).err().unwrap_or_else(|| panic!("{text}: accepted"));
        assert!(error.contains(says), "{text}\n  {error}\n  {says}");
    }
    let error = book_with("taget = 1\n[load]\nhodl = '1s'\n", &[]).unwrap_err();
    assert_eq!(error.lines().count(), 2, "{error}");
}

#[test]
fn errors_of_steps_name_their_line() {
    let connected = "[[flow]]\nsteps = [\n{ connect = true },\n";
    for (kind, line, says) in [
        (
            Kind::Socketio,
            "{ emti = 'x' }",
            "p.toml:4: a step has no key `emti`: did you mean `emit`?",
        ),
        (
            Kind::Socketio,
            "{ name = 'x' }",
            "p.toml:4: a step does one of connect, join, emit",
        ),
        (
            Kind::Socketio,
            "{ emit = 'x', wait = '1s' }",
            "p.toml:4: a step does one thing, not emit and wait",
        ),
        (
            Kind::Socketio,
            "{ send = 'x' }",
            "p.toml:4: send: engine socketio has none; engine = \"websocket\" or engine = \"engineio\"",
        ),
        (
            Kind::Websocket,
            "{ emit = 'x' }",
            "p.toml:4: emit: engine websocket has none; engine = \"socketio\"",
        ),
        (
            Kind::Socketio,
            "{ emit = 'connect' }",
            "`connect` is reserved by Socket.IO",
        ),
        (
            Kind::Socketio,
            "{ emit = 'say,1' }",
            "it is a list: ['event', 1, 'text']",
        ),
        (Kind::Socketio, "{ emit = [1] }", "a list begins with the event's name"),
        (
            Kind::Socketio,
            "{ emit = { args = [1] } }",
            "emit event: its name is missing",
        ),
        (
            Kind::Socketio,
            "{ emit = { event = 'x', args = 'y' } }",
            "a list, also of one argument",
        ),
        (
            Kind::Socketio,
            "{ emit = { event = 'x', json = '[]' } }",
            "emit event: and json: give one of them",
        ),
        (Kind::Socketio, "{ emit = { json = '[1' } }", "no JSON array"),
        (
            Kind::Socketio,
            "{ emit = { event = 'x', timeout = '1s' } }",
            "nothing answers this emit: add ack = true",
        ),
        (
            Kind::Socketio,
            "{ emit = { event = 'x', ack = true, answer = 'y' } }",
            "answer: and ack: give one of them",
        ),
        (
            Kind::Socketio,
            "{ emit = { event = 'x', ack = true, timeout = '5' } }",
            "emit timeout: 5s? a time needs its unit",
        ),
        (
            Kind::Socketio,
            "{ emit = { event = 'x', ack = true, check = { pointr = '/0' } } }",
            "check has no key `pointr`: did you mean `pointer`?",
        ),
        (
            Kind::Socketio,
            "{ emit = { event = 'x', ack = true, check = { pointer = 'ok' } } }",
            "begins with a slash: /ok",
        ),
        (
            Kind::Socketio,
            "{ emit = { event = 'x', ack = true, check = { header = 'x' } } }",
            "only answers of http have headers",
        ),
        (
            Kind::Socketio,
            "{ emit = { event = 'x', ack = true, check = {} } }",
            "check: says nothing",
        ),
        (
            Kind::Socketio,
            "{ emit = { event = 'x', ack = true, capture = { a = 'b' } } }",
            "capture a: from where?",
        ),
        (
            Kind::Socketio,
            "{ emit = { event = 'x', ack = true, capture = { a = 'cookie:b' } } }",
            "only answers of http have headers and cookies",
        ),
        (
            Kind::Socketio,
            "{ emit = { event = 'x', ack = true, capture = { conn = '/0' } } }",
            "conn: this name has a meaning of its own",
        ),
        (
            Kind::Socketio,
            "{ emit = { event = 'x', ack = true, capture = { user = '/0' } } }",
            "user: this name is in the CSV file already",
        ),
        (
            Kind::Socketio,
            "{ emit = { event = 'x', args = [{ '$base64' = '!' }] } }",
            "no base64",
        ),
        (
            Kind::Socketio,
            "{ emit = ['x', '{{rom}}'] }",
            "p.toml:4: {{rom}}: there is no `rom` in what is known here; did you mean `run`?",
        ),
        (Kind::Socketio, "{ emit = ['x', '{{usr}}'] }", "did you mean `user`?"),
        (Kind::Socketio, "{ emit = ['x', '{{round}}'] }", "it is not in one"),
        (Kind::Socketio, "{ emit = ['x', '{{conn % 0}}'] }", "division by zero"),
        (Kind::Socketio, "{ emit = ['x', '{{conn'] }", "not closed by }}"),
        (Kind::Socketio, "{ wait = '5' }", "p.toml:4: wait: 5s?"),
        (Kind::Socketio, "{ wait = { till = '5s' } }", "wait has no key `till`"),
        (Kind::Socketio, "{ think = '3s..1s' }", "think: the wrong way round"),
        (
            Kind::Socketio,
            "{ think = { mean = '1s' } }",
            "{ from, to }, { mean, deviation } or { exponential }",
        ),
        (
            Kind::Socketio,
            "{ every = { steps = [{ emit = 'x' }] } }",
            "every period: is missing",
        ),
        (
            Kind::Socketio,
            "{ every = { period = '1s' } }",
            "every steps: there are none to repeat",
        ),
        (
            Kind::Socketio,
            "{ repeat = { times = 2, for = '1s', steps = [{ emit = 'x' }] } }",
            "repeat for: and times: give one of them",
        ),
        (
            Kind::Socketio,
            "{ repeat = { times = 0, steps = [{ emit = 'x' }] } }",
            "repeat times: `0`: must be at least 1",
        ),
        (
            Kind::Socketio,
            "{ repeat = { times = 2, steps = [\n{ emt = 'x' }] } }",
            "p.toml:5: a step has no key `emt`",
        ),
        (Kind::Socketio, "{ set = 'x' }", "set: a table of names and values"),
        (Kind::Socketio, "{ script = true }", "script: the playbook names none"),
        (Kind::Socketio, "{ disconnect = false }", "disconnect: true"),
        (
            Kind::Socketio,
            "{ name = 'a', emit = 'x' },\n{ name = 'a', emit = 'y' }",
            "p.toml:5: name: there is a step `a` in this flow already",
        ),
        (
            Kind::Socketio,
            "{ emit = 'x', on-failure = 'stop' }",
            "on-failure: `stop`: continue or end",
        ),
        (
            Kind::Socketio,
            "{ http = 'login' }",
            "a whole URL, https://host/path, or a path that begins with a slash",
        ),
        (
            Kind::Socketio,
            "{ http = 'https://{{conn}}.x/' }",
            "known only while clients run",
        ),
        (Kind::Socketio, "{ http = 'ftp://x/' }", "unknown scheme `ftp`"),
        (
            Kind::Socketio,
            "{ http = { url = '/', body = 'x', json = {} } }",
            "http json: and body: give one of them",
        ),
        (
            Kind::Socketio,
            "{ http = { url = '/', ok = '9' } }",
            "http ok: `9` is no status",
        ),
        (
            Kind::Socketio,
            "{ http = { url = '/', method = 'a b' } }",
            "http method: `a b`: no method",
        ),
        (
            Kind::Socketio,
            "{ http = { url = '/', headers = { 'a b' = '1' } } }",
            "`a b` is no header's name",
        ),
        (Kind::Websocket, "{ expect = 'x' }", "have no event and no namespace"),
        (
            Kind::Websocket,
            "{ connect = { namespace = '/x' } }",
            "connect namespace: engine websocket has none",
        ),
        (Kind::Websocket, "{ send = {} }", "send text: nothing to send"),
        (
            Kind::Websocket,
            "{ send = { text = 'x', check = { containing = 'y' } } }",
            "add answer = true",
        ),
        (
            Kind::Socketio,
            "{ connect = { target = 'https://x/y' } }",
            "the path goes into path",
        ),
        (Kind::Socketio, "{ join = { auth = {} } }", "join namespace: is missing"),
    ] {
        let error = program_of(&format!("{connected}{line}\n]\n"), kind).unwrap_err();
        assert!(error.contains(says), "{line}\n  {error}\n  {says}");
        assert!(error.lines().all(|line| line.starts_with("p.toml:")), "{error}");
    }
    for (text, says) in [
        ("[[flow]]\nname = 'a'", "p.toml:1: [[flow]]: it has no steps"),
        ("[[flow]]\nsteps = [{ emit = 'x' }]", "emit: no step before it connects"),
        (
            "[[flow]]\nweight = 0\nsteps = [{ connect = true }]",
            "p.toml:2: [[flow]] weight: `0`",
        ),
        (
            "[[flow]]\nname='a'\nsteps = [{ connect = true }]\n[[flow]]\nname='a'\nsteps = [{ connect = true }]",
            "p.toml:5: [[flow]] name: there is a flow `a` already",
        ),
        (
            "[[flow]]\nsteps = [{ set = { a = '1' } }]\n[[flow]]\nsteps = [{ http = '/{{a}}' }]",
            "`a` is set in another flow",
        ),
    ] {
        let error = program_of(text, Kind::Socketio).unwrap_err();
        assert!(error.contains(says), "{text}\n  {error}");
    }
}

#[test]
fn json_keeps_types() {
    let modulo = Expression::Calculation(
        Box::new(Expression::Variable(Variable::Conn)),
        Operator::Modulo,
        Box::new(Expression::Number(200)),
    );
    assert_eq!(array("{ emit = 'hi' }"), [plain("[\"hi\"]")]);
    assert_eq!(
        array("{ emit = ['say', { n = 1, f = 1.5, b = true, t = 'a\"b', l = [], d = 2026-01-02 }] }"),
        [plain(
            r#"["say",{"n":1,"f":1.5,"b":true,"t":"a\"b","l":[],"d":"2026-01-02"}]"#
        )]
    );
    assert_eq!(
        array("{ emit = ['say', '{{conn % rooms}}', 'room-{{ conn % rooms }}!'] }"),
        [
            plain("[\"say\","),
            Piece::Json(modulo.clone()),
            plain(",\"room-"),
            Piece::InString(modulo),
            plain("!\"]")
        ]
    );
    // a comma within braces is none between arguments
    assert_eq!(
        array("{ emit = ['ev-{{random(1, 6)}}'] }"),
        [
            plain("[\"ev-"),
            Piece::InString(Expression::Variable(Variable::Random(1, 6))),
            plain("\"]")
        ]
    );
    // what is known beforehand is filled in, by its kind
    assert_eq!(
        array("{ emit = ['say', '{{rooms}}', '{{rooms + 1}}', '{{name}}', 'a {{name}}', \"{{'q'}}\"] }"),
        [plain(r#"["say",200,201,"x\"y","a x\"y","q"]"#)]
    );
    assert_eq!(
        array("{ emit = { json = '[\"e\", null, {\"a\": 1}]' } }"),
        [plain(r#"["e",null,{"a":1}]"#)]
    );
    let Act::Emit(binary) = act("{ emit = { event = 'b', args = [1, { '$base64' = 'AQID' }], namespace = 'chat' } }")
    else {
        panic!("an emit")
    };
    assert_eq!(binary.array.0, [plain(r#"["b",1,{"_placeholder":true,"num":0}]"#)]);
    assert_eq!(
        (binary.attachments[0].0.as_slice(), binary.namespace.as_deref()),
        (&[1, 2, 3][..], Some("/chat"))
    );
}

#[test]
fn answers_checks_and_captures() {
    let Act::Emit(emit) = act(
        "{ emit = { event = 'e', ack = true, timeout = '2s', check = [{ pointer = '/0/ok', equal = true }, { containing = 'x{{conn}}' }, { pointer = '/1' }], capture = { room = '/0/room', all = '' } } },\n{ emit = ['use', '{{room}}'] }",
    ) else {
        panic!("an emit")
    };
    let Answer::Ack(reply) = emit.answer else {
        panic!("an ack")
    };
    assert_eq!(reply.within, Some(2_000_000_000));
    assert_eq!(reply.checks[0].pointer.as_deref(), Some("/0/ok"));
    assert_eq!(reply.checks[0].is, Is::Equal(Text::plain("true")));
    assert!(matches!(&reply.checks[1].is, Is::Containing(Text(pieces)) if pieces.len() == 2));
    assert_eq!(reply.checks[2].is, Is::Present);
    let from: Vec<(u16, &From)> = reply.captures.iter().map(|c| (c.slot, &c.from)).collect();
    assert_eq!(
        from,
        [
            (0, &From::Pointer("/0/room".into())),
            (1, &From::Pointer(String::new()))
        ]
    );

    let all = steps(
        "{ name = 'in', http = { url = '/login?x={{user}}', json = { n = '{{conn}}' }, ok = 200, check = { header = 'Location', containing = '/' }, capture = { t = '/token', c = 'cookie:sid', h = 'header:X-A', b = { between = ['<', '>'] } } } },\n{ connect = { auth = { token = '{{t}}' }, namespace = 'private', headers = { Cookie = 'sid={{c}}' } } },\n{ join = '/x' }",
    );
    let Act::Http(http) = &all[0].act else { panic!("http") };
    assert_eq!(
        (http.method.as_str(), http.target, http.ok.as_slice()),
        ("POST", None, &[(200, 200)][..])
    );
    assert_eq!(
        http.path.as_ref().unwrap().0[1],
        Piece::Value(Expression::Variable(Variable::Column(0)))
    );
    assert_eq!(
        http.headers,
        [("Content-Type".to_string(), Text::plain("application/json"))]
    );
    assert_eq!(http.reply.checks[0].header.as_deref(), Some("location"));
    assert_eq!(http.reply.captures[1].from, From::Cookie("sid".into()));
    assert_eq!(http.reply.captures[2].from, From::Header("x-a".into()));
    assert_eq!(http.reply.captures[3].from, From::Between("<".into(), ">".into()));
    assert_eq!((all[0].label.as_str(), all[0].on_failure), ("in", OnFailure::End));
    let Act::Connect(connect) = &all[1].act else {
        panic!("connect")
    };
    assert_eq!(connect.namespaces[0].name, "/private");
    assert_eq!(
        connect.namespaces[0].auth.as_ref().unwrap().0,
        [
            plain("{\"token\":"),
            Piece::Json(Expression::Variable(Variable::Slot(0))),
            plain("}")
        ]
    );
    assert_eq!(
        (all[1].label.as_str(), all[2].label.as_str()),
        ("2 connect private", "3 join /x")
    );
}

#[test]
fn times_repetitions_and_labels() {
    let all = steps(
        "{ connect = true },\n{ think = '1s..3s' },\n{ think = { mean = '2s', deviation = '500ms' } },\n{ think = { exponential = '1s' } },\n{ wait = 'end' },\n{ wait = { until = '30s' } },\n{ every = { period = '5s', times = 3, steps = [{ emit = ['say', '{{round}}'] }, { repeat = { for = '1s', steps = [{ emit = 'x' }] } }] } },\n{ reconnect = { abruptly = true, after = '1s' } },\n{ set = { a = '1', b = '{{a}}' } },\n{ disconnect = true }",
    );
    let waits: Vec<&Act> = all[1..6].iter().map(|step| &step.act).collect();
    assert_eq!(
        waits,
        [
            &Act::Wait(Wait::For(Spread::Uniform(1_000_000_000, 3_000_000_000))),
            &Act::Wait(Wait::For(Spread::Normal {
                mean: 2_000_000_000,
                deviation: 500_000_000
            })),
            &Act::Wait(Wait::For(Spread::Exponential(1_000_000_000))),
            &Act::Wait(Wait::End),
            &Act::Wait(Wait::Until(30_000_000_000)),
        ]
    );
    let Act::Every(every) = &all[6].act else {
        panic!("every")
    };
    assert_eq!((every.period, every.rounds), (5_000_000_000, Rounds::Count(3)));
    let Act::Repeat(repeat) = &every.steps[1].act else {
        panic!("repeat")
    };
    assert_eq!(repeat.rounds, Rounds::For(1_000_000_000));
    let labels: Vec<&str> = [&all[6], &every.steps[0], &repeat.steps[0], &all[8], &all[9], &all[10]]
        .iter()
        .map(|step| step.label.as_str())
        .collect();
    assert_eq!(
        labels,
        [
            "7 every 5s",
            "7.1 emit say",
            "7.2.1 emit x",
            "9 set a",
            "9 set b",
            "10 disconnect"
        ]
    );
    assert_eq!(
        all[8].act,
        Act::Set {
            slot: 0,
            value: Text::plain("1")
        }
    );
    assert_eq!(all[0].on_failure, OnFailure::End);
    assert_eq!(every.steps[0].on_failure, OnFailure::Continue);
}

#[test]
fn raw_messages() {
    let text = "[[flow]]\nsteps = [{ connect = { path = '/ws?u={{conn}}', subprotocol = 'chat' } }, { send = 'hi {{conn}}' }, { send = { json = { n = '{{conn}}' }, answer = true, check = { pointer = '/n', equal = '{{conn}}' } } }, { send = { base64 = 'AQ==' } }, { expect = { count = 2, timeout = '1s' } }]\n";
    let program = program_of(text, Kind::Websocket).unwrap();
    let steps = &program.flows[0].steps;
    let Act::Send(json) = &steps[2].act else { panic!("send") };
    let conn = || Piece::Json(Expression::Variable(Variable::Conn));
    assert_eq!(
        json.message,
        Payload::Text(Text(vec![plain("{\"n\":"), conn(), plain("}")]))
    );
    let Answer::Event { event: None, reply } = &json.answer else {
        panic!("an answer")
    };
    assert_eq!(reply.checks[0].is, Is::Equal(Text(vec![conn()])));
    assert!(
        matches!(&steps[3].act, Act::Send(send) if send.message == Payload::Binary(swarm_agent::wire::flow::Bytes(vec![1])))
    );
    assert!(matches!(&steps[4].act, Act::Expect(expect) if expect.count == 2 && expect.event.is_none()));
}

#[test]
fn vars_are_set_by_kind_and_may_hold_braces() {
    let text = "[vars]\nn = 5\non = true\nt = 'x'\nwho = 'u-{{conn}}'\ntoken = 'env:TOKEN'\n[load]\nconnections = '{{n * 2}}'\nreconnect = '{{on}}'\n[[flow]]\nsteps = [{ connect = true }, { emit = ['e', '{{who}}', '{{token}}'] }]";
    let book = book_with(text, &["n=7", "n=8"]).unwrap();
    let connections = book.fields.iter().find(|field| field.flag == "connections").unwrap();
    assert_eq!(
        (connections.values.as_slice(), connections.line),
        (&["16".to_string()][..], 8)
    );
    assert!(book.fields.iter().any(|field| field.flag == "reconnect"));
    let program = book
        .program(Kind::Socketio, &[], None, &variables, &mut Origins::new(&[]))
        .unwrap();
    let Act::Emit(emit) = &program.flows[0].steps[1].act else {
        panic!("an emit")
    };
    assert_eq!(
        emit.array.0,
        [
            plain("[\"e\",\"u-"),
            Piece::InString(Expression::Variable(Variable::Conn)),
            plain("\",\"t0ken\"]")
        ]
    );
    for (set, says) in [
        ("n=many", "--set n: must be a whole number"),
        ("on=yes", "--set on: true or false"),
        ("m=5", "--set m: there is no `m` in [vars]"),
        ("whoo=5", "did you mean `who`?"),
        ("n", "NAME=VALUE"),
    ] {
        let error = book_with(text, &[set]).unwrap_err();
        assert!(error.contains(says), "{set}: {error}");
    }
}

#[test]
fn steps_name_servers_by_whole_urls() {
    let book = book_with(
        "[vars]\nauth = 'https://auth.test'\npath = '/x'\nmine = '/of/{{conn}}'\n[[flow]]\nsteps = [{ http = '{{auth}}/login?n={{conn}}' }, { http = 'https://auth.test:443' }, { http = 'http://[::1]:80{{path}}' }, { http = '{{path}}' }, { http = '{{mine}}' }]",
        &[],
    )
    .unwrap();
    let mut origins = Origins::new(&[]);
    let program = book.program(Kind::Http, &[], None, &|_| None, &mut origins).unwrap();
    let places: Vec<(Option<u16>, Option<&str>)> = program.flows[0]
        .steps
        .iter()
        .map(|step| match &step.act {
            Act::Http(http) => (http.target, http.path.as_ref().unwrap().as_plain()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        places,
        [
            (Some(0), None),
            (Some(0), Some("/")),
            (Some(1), Some("/x")),
            (None, Some("/x")),
            (None, None)
        ]
    );
    let Act::Http(mine) = &program.flows[0].steps[4].act else {
        panic!("http")
    };
    assert_eq!(
        mine.path.as_ref().unwrap().0,
        [plain("/of/"), Piece::Value(Expression::Variable(Variable::Conn))]
    );
    assert_eq!(origins.added(), ["https://auth.test", "http://[::1]:80"]);
}

#[test]
fn what_is_shown_is_resolved_and_reads_the_same() {
    let text = "# why\nabout = 'x'\n[vars]\nn = 5 # how many\nt = 'a\"b'\ns = 'env:TOKEN'\n[load]\nconnections = \"{{n * 2}}\"\n[[flow]]\nsteps = [{ connect = true }, { emit = [\"e\", \"{{t}} {{conn}} {{s}}\"] }]\n";
    let shown = resolved::resolved(&source(text), &["n=7".into()]).unwrap();
    assert!(
        shown.contains("n = 7 # how many") && shown.contains("connections = \"14\""),
        "{shown}"
    );
    assert!(
        shown.contains(r#""a\"b {{conn}} {{s}}""#) && shown.contains("s = 'env:TOKEN'"),
        "{shown}"
    );
    assert!(shown.starts_with("# why\n"));
    let (before, after) = (book_with(text, &["n=7"]).unwrap(), book_with(&shown, &[]).unwrap());
    assert_eq!(before.fields, after.fields);
    let program = |book: &Book| {
        book.program(Kind::Socketio, &[], None, &variables, &mut Origins::new(&[]))
            .unwrap()
    };
    assert_eq!(program(&before), program(&after));
    let hidden = resolved::resolved(&source(text), &["s=env:OTHER".into()]).unwrap();
    assert!(
        hidden.contains("s = \"env:OTHER\"") && !hidden.contains("t0ken"),
        "{hidden}"
    );
}

mod documented {
    use super::super::keys::{ALL, INSIDE};
    use super::super::{schema, shipped, tree};
    use serde_json::Value;
    use std::path::Path;

    fn docs(file: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    #[test]
    fn every_key_is_on_the_page() {
        let page = docs("playbooks.md");
        for table in ALL.iter().chain(&INSIDE) {
            for key in table.keys {
                assert!(
                    page.contains(&format!("`{}`", key.name)),
                    "{} of {} is not documented",
                    key.name,
                    table.name
                );
            }
        }
    }

    /// `SWARM_WRITE_SCHEMA=1 cargo test schema` writes it anew.
    #[test]
    fn the_schema_is_that_of_the_code() {
        let made = serde_json::to_string_pretty(&schema::schema()).unwrap() + "\n";
        if std::env::var_os("SWARM_WRITE_SCHEMA").is_some() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/playbook.schema.json");
            std::fs::write(path, &made).unwrap();
        }
        assert!(
            docs("playbook.schema.json") == made,
            "docs/playbook.schema.json is not what the code reads"
        );
    }

    fn json(node: &tree::Node) -> Value {
        match &node.value {
            tree::Value::Text(text) | tree::Value::Date(text) => text.as_str().into(),
            tree::Value::Integer(number) => (*number).into(),
            tree::Value::Decimal(number) => (*number).into(),
            tree::Value::Switch(on) => (*on).into(),
            tree::Value::List(items) => items.iter().map(json).collect(),
            tree::Value::Table(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), json(&entry.node)))
                    .collect(),
            ),
            tree::Value::Null => Value::Null,
        }
    }

    /// As much of JSON Schema as ours uses; a word that it does not know fails.
    fn valid(schema: &Value, value: &Value, root: &Value) -> bool {
        schema
            .as_object()
            .unwrap()
            .iter()
            .all(|(word, says)| match word.as_str() {
                "$schema" | "title" | "description" | "$defs" => true,
                "$ref" => valid(root.pointer(&says.as_str().unwrap()[1..]).unwrap(), value, root),
                "anyOf" => says.as_array().unwrap().iter().any(|one| valid(one, value, root)),
                "enum" => says.as_array().unwrap().contains(value),
                "pattern" => value
                    .as_str()
                    .is_some_and(|text| text.contains("{{") && text.contains("}}")),
                "items" => value
                    .as_array()
                    .is_none_or(|all| all.iter().all(|item| valid(says, item, root))),
                "additionalProperties" => value.as_object().is_none_or(|all| {
                    let known = schema["properties"].as_object().unwrap();
                    all.keys().all(|key| known.contains_key(key))
                }),
                "properties" => value.as_object().is_none_or(|all| {
                    all.iter()
                        .all(|(key, value)| says.get(key).is_none_or(|schema| valid(schema, value, root)))
                }),
                "type" => {
                    let is = |name: &Value| match name.as_str().unwrap() {
                        "object" => value.is_object(),
                        "array" => value.is_array(),
                        "string" => value.is_string(),
                        "number" => value.is_number(),
                        "boolean" => value.is_boolean(),
                        other => panic!("type {other}"),
                    };
                    says.as_array()
                        .map_or_else(|| is(says), |several| several.iter().any(is))
                }
                other => panic!("{other} is not understood here"),
            })
    }

    #[test]
    fn shipped_playbooks_fit_the_schema_and_wrong_ones_do_not() {
        let schema: Value = serde_json::from_str(&docs("playbook.schema.json")).unwrap();
        let fits = |text: &str| valid(&schema, &json(&tree::read(text).unwrap()), &schema);
        for (name, text) in shipped::ALL {
            assert!(fits(text), "{name}");
        }
        for wrong in [
            "taget = 'x'",
            "[load]\nconections = 1",
            "[[flow]]\nsteps = [{ emti = 'x' }]",
            "engine = 'gopher'",
        ] {
            assert!(!fits(wrong), "{wrong}");
        }
    }
}
