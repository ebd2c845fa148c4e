//! What scripts can do, what they cannot, and what a bad one does to the others.

use super::sandbox::Bounds;
use super::*;
use std::time::Duration;

fn engine(source: &str) -> Engine {
    Engine::compile("chat.js", source).expect("the script compiles")
}

fn refused(source: &str) -> ScriptError {
    Engine::compile("chat.js", source).err().expect("the script is refused")
}

fn facts(conn: u64) -> Facts {
    Facts {
        conn,
        conns: 40,
        host: 1,
        hosts: 4,
        source: "10.0.0.7".into(),
        run: "r-1".into(),
        seed: 7,
        columns: vec![("user".into(), "ann".into())],
    }
}

fn emit(array: &str) -> Order {
    Order::Emit {
        namespace: None,
        array: array.into(),
        ack: false,
    }
}

/// What `on_connect` of client `conn` orders.
fn connected(engine: &Engine, conn: u64) -> Result<Vec<Order>, ScriptError> {
    let mut out = Vec::new();
    engine.client(&facts(conn))?.on_connect(1234, &mut out)?;
    Ok(out)
}

/// What an expression gives, as JSON.
fn value(expression: &str) -> String {
    let source = format!("function on_connect(client) {{ client.send(String(JSON.stringify({expression}))) }}");
    match connected(&engine(&source), 3).as_deref() {
        Ok([Order::Send(text)]) => text.clone(),
        other => panic!("{expression}: {other:?}"),
    }
}

/// How a body of `on_connect` fails.
fn failure(body: &str) -> ScriptError {
    let source = format!("function on_connect(client) {{\n{body}\n}}");
    connected(&engine(&source), 3).expect_err(body)
}

#[test]
fn hooks_are_found_without_running_anything() {
    let cases = [
        ("function on_connect() {}", [true, false, false]),
        (
            "const on_message = () => {}; throw new Error('ran')",
            [false, true, false],
        ),
        ("var next_message = function () {}", [false, false, true]),
        (
            "let on_connect = () => {}; function* next_message() {}",
            [true, false, true],
        ),
        (
            "// next_message\nclass A { on_message() {} }\nasync function on_connect() {}",
            [true, false, false],
        ),
    ];
    for (source, [on_connect, on_message, next_message]) in cases {
        let expected = Hooks {
            on_connect,
            on_message,
            next_message,
        };
        assert_eq!(engine(source).hooks(), expected, "{source}");
    }
}

#[test]
fn what_is_no_script_is_refused_with_its_line() {
    let cases = [
        ("function on_connect() {\n  let a = ;\n}", Some(2)),
        ("function on_connect() {}\n\nfunction (", Some(3)),
        ("function on_connect() {}\n}); (function () {", Some(2)),
        ("function on_connect() {}\nreturn 1", Some(2)),
        ("function on_connect() {}\n/* no end", Some(2)),
        ("function on_connect() {}\nconst a = 1;\nconst a = 2;", Some(3)),
        ("export function on_connect() {}", Some(1)),
        ("const a = 1;", None),
        ("function onConnect(client, done) { done() }", None),
    ];
    for (source, line) in cases {
        assert_eq!(refused(source).line, line, "{source}: {}", refused(source));
    }
    assert_eq!(
        refused("function onConnect() {}").to_string(),
        "chat.js: `onConnect` is called `on_connect` here"
    );
    assert!(refused("let a").message.contains("`next_message`"));
    let error = engine("const on_connect = 5")
        .client(&facts(0))
        .err()
        .expect("not a function");
    assert_eq!(error.message, "TypeError: on_connect is not a function");
}

#[test]
fn every_kind_of_order_comes_out_in_order() {
    let source = r#"
        function on_connect(client) {
            client.emit("join", { room: 1 }, "a\ud800", undefined);
            client.emitWithAck("ask");
            client.of("/chat").emit("hi", 1);
            client.of("/chat").emitWithAck("there");
            client.send("text");
            client.send(new Uint8Array([0, 255, 7]).subarray(1));
            client.send(new Uint16Array([258]).buffer);
            client.disconnect();
            client.fail(new Error("no seat"));
        }"#;
    let of = |array: &str, ack| Order::Emit {
        namespace: Some("/chat".into()),
        array: array.into(),
        ack,
    };
    let expected = vec![
        emit(r#"["join",{"room":1},"a\ud800",null]"#),
        Order::Emit {
            namespace: None,
            array: r#"["ask"]"#.into(),
            ack: true,
        },
        of(r#"["hi",1]"#, false),
        of(r#"["there"]"#, true),
        Order::Send("text".into()),
        Order::SendBinary(vec![255, 7]),
        Order::SendBinary(vec![2, 1]),
        Order::Disconnect,
        Order::Fail("Error: no seat".into()),
    ];
    assert_eq!(connected(&engine(source), 0), Ok(expected));
}

#[test]
fn messages_come_in_as_what_they_are() {
    let source = r#"
        function on_message(client, event, ...rest) {
            const kinds = rest.map((it) => it instanceof Uint8Array ? "bytes " + Array.from(it) : typeof it);
            client.emit("got", event, kinds, rest.length, this === client, client.conn);
        }"#;
    let mut client = engine(source).client(&facts(2)).expect("made");
    let many = format!("[{}]", ["1"; 20].join(","));
    let cases = [
        (
            Some("chat"),
            Body::Json(r#"[{"a":[1]},"x",null]"#),
            r#"["got","chat",["object","string","object"],3,true,2]"#,
        ),
        (Some("none"), Body::Json("[]"), r#"["got","none",[],0,true,2]"#),
        (None, Body::Text("hé"), r#"["got",null,["string"],1,true,2]"#),
        (None, Body::Binary(&[1, 2]), r#"["got",null,["bytes 1,2"],1,true,2]"#),
    ];
    for (event, body, array) in cases {
        let mut out = Vec::new();
        client.on_message(5, event, body, &mut out).expect("no error");
        assert_eq!(out, [emit(array)]);
    }
    let mut out = Vec::new();
    client
        .on_message(5, Some("many"), Body::Json(&many), &mut out)
        .expect("no error");
    assert!(matches!(&out[..], [Order::Emit { array, .. }] if array.contains(",20,true")));
}

#[test]
fn a_message_that_cannot_be_read_fails_its_client_alone() {
    let engine = engine("function on_message(client) { client.send('ok') }");
    let mut other = engine.client(&facts(1)).expect("made");
    for body in ["{", "5", "", "[\u{0}]", &"[".repeat(1_000_000)] {
        let mut client = engine.client(&facts(0)).expect("made");
        let mut out = Vec::new();
        client
            .on_message(0, None, Body::Json(body), &mut out)
            .expect_err("not an array of JSON");
        other
            .on_message(0, None, Body::Json("[]"), &mut out)
            .expect("the other is well");
        assert_eq!(out, [Order::Send("ok".into())]);
    }
}

#[test]
fn a_generator_says_one_message_a_call_until_it_says_false() {
    let source = "let said = 0;
        function next_message(client) {
            if (said === 2) return false;
            said += 1;
            client.emit('n', said, swarm.elapsed);
        }";
    let engine = engine(source);
    for conn in 0..2 {
        let mut client = engine.client(&facts(conn)).expect("made");
        let mut out = Vec::new();
        let answers: Vec<_> = (0..4).map(|n| client.next_message(n * 100, &mut out)).collect();
        assert_eq!(answers, [Ok(true), Ok(true), Ok(false), Ok(false)]);
        assert_eq!(out, [emit(r#"["n",1,0]"#), emit(r#"["n",2,100]"#)], "its own count");
        assert_eq!(
            client.on_connect(0, &mut out),
            Ok(()),
            "a hook that is not there does nothing"
        );
    }
    let mut client = self::engine("function on_connect() {}")
        .client(&facts(0))
        .expect("made");
    assert_eq!(client.next_message(0, &mut Vec::new()), Ok(false));
}

#[test]
fn a_script_knows_its_client_and_its_run() {
    assert_eq!(
        value(
            "[client.conn, client.source, client.columns, client.vars, swarm.run, swarm.conns, swarm.host, swarm.hosts, swarm.elapsed]"
        ),
        r#"[3,"10.0.0.7",{"user":"ann"},{},"r-1",40,1,4,1234]"#
    );
    let error = failure("client.conn = 9");
    assert_eq!((error.line, error.script.as_str()), (Some(2), "chat.js"));
    let at_the_top = engine("const room = client.conn % 2;\nfunction on_connect(client) { client.emit('join', room) }");
    assert_eq!(connected(&at_the_top, 5), Ok(vec![emit(r#"["join",1]"#)]));
}

#[test]
fn variables_are_shared_with_the_playbook() {
    let source = "function on_connect(client) {
            client.vars.seen = client.vars.token + '!';
            Object.assign(client.vars, { n: 5, half: 0.5, yes: true, list: [1, 'a'], none: null, odd: { toJSON() { throw 1 } } });
        }";
    let mut client = engine(source).client(&facts(0)).expect("made");
    client.set("token", "t-1");
    client.on_connect(0, &mut Vec::new()).expect("no error");
    let cases = [
        ("seen", Some("t-1!")),
        ("n", Some("5")),
        ("half", Some("0.5")),
        ("yes", Some("true")),
        ("list", Some(r#"[1,"a"]"#)),
        ("none", None),
        ("odd", None),
        ("toString", None),
        ("missing", None),
    ];
    for (name, expected) in cases {
        assert_eq!(client.get(name).as_deref(), expected, "{name}");
    }
}

#[test]
fn an_error_names_its_line_and_fails_its_client_alone() {
    let source = "function deep(n) {
            if (n === 0) missing();
            deep(n - 1);
        }
        function on_connect(client) {
            client.emit('before');
            if (client.conn === 1) deep(3);
        }";
    let engine = engine(source);
    let mut bad = engine.client(&facts(1)).expect("made");
    let mut good = engine.client(&facts(2)).expect("made");
    let mut out = Vec::new();
    let error = bad.on_connect(0, &mut out).expect_err("it throws");
    assert_eq!(error.to_string(), "chat.js:2: ReferenceError: missing is not defined");
    assert_eq!(out, [], "a hook that fails orders nothing");
    assert_eq!(bad.on_connect(0, &mut out), Err(error), "and stays failed");
    assert_eq!(bad.get("a"), None);
    good.on_connect(0, &mut out).expect("the other is well");
    assert_eq!(out, [emit(r#"["before"]"#)]);
}

#[test]
fn whatever_is_thrown_has_a_text() {
    let cases = [
        ("throw new Error('no seat')", Some(2), "no seat"),
        ("\nthrow new RangeError('far')", Some(3), "RangeError: far"),
        ("throw new Error()", Some(2), "Error"),
        ("throw 'plain'", None, "threw plain"),
        ("throw undefined", None, "threw undefined"),
        (
            "throw { toString() { throw 1 } }",
            None,
            "threw something that has no text",
        ),
        (
            "class Full extends Error { constructor() { super('full'); this.name = 'Full' } }\nthrow new Full()",
            Some(2),
            "Full: full",
        ),
        ("undeclared = 1", Some(2), "ReferenceError: undeclared is not defined"),
        (
            "client.emit(5)",
            Some(2),
            "TypeError: an emit opens with the event's name, a text",
        ),
        (
            "client.emit('a', { b: new Uint8Array(2) })",
            Some(2),
            "TypeError: bytes cannot stand inside an emit: use client.send, or make a text of them",
        ),
        (
            "client.send({})",
            Some(2),
            "TypeError: send takes a text or bytes; JSON.stringify makes a text of anything else",
        ),
        ("return Promise.reject(new Error('late'))", Some(2), "late"),
        ("Promise.reject(new Error('loose'))", Some(2), "loose"),
        (
            "Promise.resolve().then(() => { throw new Error('then') })",
            Some(2),
            "then",
        ),
        (
            "return new Promise(() => {})",
            None,
            "TypeError: on_connect waits for a promise that nothing in a script can keep: there are no timers",
        ),
    ];
    for (body, line, message) in cases {
        let error = failure(body);
        assert_eq!((error.line, error.message.as_str()), (line, message), "{body}");
    }
    assert!(failure("throw new Error('x'.repeat(100000))").message.len() < 600);
}

#[test]
fn what_is_async_but_ends_at_once_works() {
    let source = "async function on_connect(client) { const n = await 5; client.emit('n', n); }
        async function next_message(client) { await null; return false; }";
    let mut client = engine(source).client(&facts(0)).expect("made");
    let mut out = Vec::new();
    client.on_connect(0, &mut out).expect("no error");
    assert_eq!(out, [emit(r#"["n",5]"#)]);
    assert_eq!(client.next_message(0, &mut out), Ok(false));
    let caught = "function on_connect(client) { Promise.reject(1).catch(() => client.send('caught')) }";
    assert_eq!(connected(&engine(caught), 0), Ok(vec![Order::Send("caught".into())]));
}

fn bounds() -> Bounds {
    Bounds {
        call: Duration::from_millis(20),
        memory: 8 << 20,
        orders: 100,
        bytes: 1 << 20,
        overruns: 3,
    }
}

#[test]
fn an_endless_hook_is_stopped_at_its_line() {
    let source = "function on_connect(client) {
            let n = client.conn;
            while (n > 0) n += 1;
            client.send('ok');
        }";
    let engine = Engine::compile_within("chat.js", source, bounds()).expect("compiles");
    let error = connected(&engine, 1).expect_err("endless");
    assert_eq!(error.to_string(), "chat.js:3: ran longer than 20ms and was stopped");
    assert_eq!(
        connected(&engine, 0),
        Ok(vec![Order::Send("ok".into())]),
        "the others go on"
    );
    for _ in 0..2 {
        connected(&engine, 1).expect_err("endless");
    }
    let ended = connected(&engine, 0).expect_err("three were too many");
    assert!(ended.message.contains("no client of this thread"), "{ended}");
}

#[test]
fn no_way_of_running_on_escapes_the_bound() {
    let bodies = [
        "while (true) { try { for (;;) {} } catch (e) {} finally { for (;;) {} } }",
        "/^(a+)+$/.test('a'.repeat(40) + 'b')",
        "function again() { Promise.resolve().then(again) } again()",
        "function again() { queueMicrotask(again) } again(); return new Promise(() => {})",
        "new Array(1e9).fill(0).map((x) => x)",
        "[3, 1, 2].sort(() => { for (;;) {} })",
        "JSON.stringify({ toJSON() { for (;;) {} } })",
        "throw { toString() { for (;;) {} } }",
    ];
    for body in bodies {
        let source = format!("function on_connect(client) {{\n{body}\n}}");
        let engine = Engine::compile_within("chat.js", &source, bounds()).expect("compiles");
        connected(&engine, 0).expect_err(body);
    }
    let top =
        Engine::compile_within("chat.js", "for (;;) {}\nfunction on_connect() {}", bounds()).expect("not run yet");
    assert_eq!(top.client(&facts(0)).err().and_then(|error| error.line), Some(1));
}

#[test]
fn memory_stack_and_orders_are_bounded() {
    let source = "let kept = [];
        function on_connect(client) {
            if (client.conn === 0) for (;;) kept.push(new Array(1000).fill(client.conn));
            if (client.conn === 1) kept = 'x'.repeat(1 << 29);
            if (client.conn === 2) (function down() { down() })();
            if (client.conn === 3) for (;;) client.send('x');
            if (client.conn === 4) for (;;) client.send('x'.repeat(1 << 16));
            client.send('ok');
        }";
    let roomy = Bounds {
        call: Duration::from_secs(20),
        ..bounds()
    };
    let engine = Engine::compile_within("chat.js", source, roomy).expect("compiles");
    let expected = [
        "out of memory",
        "out of memory",
        "Maximum call stack size exceeded",
        "one call may order",
        "one call may order",
    ];
    for (conn, text) in (0..).zip(expected) {
        let error = connected(&engine, conn).expect_err(text);
        assert!(error.message.contains(text), "{conn}: {error}");
        assert_eq!(
            connected(&engine, 9),
            Ok(vec![Order::Send("ok".into())]),
            "the others go on after {conn}"
        );
    }
}

#[test]
fn a_script_reaches_neither_files_nor_network_nor_clocks() {
    let names = [
        "Date",
        "performance",
        "require",
        "process",
        "module",
        "fetch",
        "XMLHttpRequest",
        "WebSocket",
        "Deno",
        "std",
        "os",
        "bjson",
        "print",
        "setTimeout",
        "setInterval",
        "setImmediate",
        "Worker",
        "Atomics",
        "SharedArrayBuffer",
        "WeakRef",
        "FinalizationRegistry",
        "eval",
        "native",
        "load",
        "loadScript",
        "gc",
        "scriptArgs",
        "navigator",
    ];
    for name in names {
        assert_eq!(value(&format!("typeof {name}")), r#""undefined""#, "{name}");
    }
    assert_eq!(
        value("Object.getOwnPropertyNames(globalThis).filter((n) => !/^[A-Z]/.test(n)).sort()"),
        r#"["console","decodeURI","decodeURIComponent","encodeURI","encodeURIComponent","escape","globalThis","isFinite","isNaN","parseFloat","parseInt","queueMicrotask","swarm","undefined","unescape"]"#
    );
    for specifier in ["fs", "./a.js", "std", "https://example.com/a.js"] {
        let error = failure(&format!("return import('{specifier}')"));
        assert!(!error.message.is_empty());
        refused(&format!("import a from '{specifier}';\nfunction on_connect() {{}}"));
    }
}

#[test]
fn clients_share_nothing_that_can_change() {
    let changes = [
        "globalThis.leak = 1",
        "Array.prototype.push = null",
        "Array.prototype.leak = 1",
        "Object.prototype.leak = 1",
        "Object.prototype.toString = null",
        "Error.prototype.message = 'x'",
        "Error.prepareStackTrace = () => 'x'",
        "Math.random = () => 0",
        "JSON.stringify = () => '[]'",
        "swarm.leak = 1",
        "swarm.emit = 1",
        "console.log = 1",
        "Object.getPrototypeOf(client).emit = 1",
        "Object.getPrototypeOf(client.of('/a')).emit = 1",
        "Object.getPrototypeOf(function* () {}).leak = 1",
        "Object.getPrototypeOf(async function () {}).leak = 1",
        "Object.getPrototypeOf([][Symbol.iterator]()).next = 1",
        "Object.getPrototypeOf(Object.getPrototypeOf([].values().map((x) => x))).leak = 1",
        "Object.getPrototypeOf(Uint8Array).leak = 1",
        "Promise.prototype.then = 1",
        "Function('return this')().leak = 1",
        "Object.defineProperty(Object.prototype, 'toString', { value: 1 })",
        "Object.setPrototypeOf(Math, {})",
    ];
    for change in changes {
        let error = failure(change);
        assert!(error.message.starts_with("TypeError"), "{change}: {error}");
    }
    // what a script makes of these is its own
    let own = "const a = { toString: 1, constructor: 2 }; a.valueOf = 3; a.hasOwnProperty = 4;
        const e = new TypeError('x'); e.message = 'y'; e.name = 'z'; e.stack = '';
        class B { toString() { return 'b' } }
        client.free = 1; client.vars.free = 2;
        client.send([a.toString, a.constructor, a.valueOf, a.hasOwnProperty, String(e), new B(), Object.keys(a)].join());";
    let source = format!("function on_connect(client) {{ {own} }}");
    assert_eq!(
        connected(&engine(&source), 0),
        Ok(vec![Order::Send(
            "1,2,3,4,z: y,b,toString,constructor,valueOf,hasOwnProperty".into()
        )])
    );
}

#[test]
fn random_follows_from_seed_and_client_alone() {
    let source = "const first = Math.random();
        function next_message(client) { client.emit('r', first, Math.random()) }";
    let drawn = |facts: &Facts| {
        let mut client = engine(source).client(facts).expect("made");
        let mut out = Vec::new();
        for n in 0..3 {
            client.next_message(n, &mut out).expect("no error");
        }
        out
    };
    assert_eq!(drawn(&facts(1)), drawn(&facts(1)));
    assert_ne!(drawn(&facts(1)), drawn(&facts(2)));
    let other = Facts { seed: 8, ..facts(1) };
    assert_ne!(drawn(&facts(1)), drawn(&other));
    // whether others draw in between changes nothing
    let engine = engine(source);
    let (mut one, mut two) = (
        engine.client(&facts(1)).expect("made"),
        engine.client(&facts(2)).expect("made"),
    );
    let (mut out, mut rest) = (Vec::new(), Vec::new());
    for n in 0..3 {
        one.next_message(n, &mut out).expect("no error");
        two.next_message(n, &mut rest).expect("no error");
    }
    assert_eq!((out, rest), (drawn(&facts(1)), drawn(&facts(2))));
    let spread = "(() => { const n = [0, 0]; for (let i = 0; i < 1000; i++) n[Math.random() * 2 | 0]++; return n[0] > 400 && n[1] > 400 })()";
    assert_eq!(value(spread), "true");
}

#[test]
fn a_client_outlives_its_engine() {
    let mut client = engine("function on_connect(client) { client.send(swarm.run) }")
        .client(&facts(0))
        .expect("made");
    let mut out = Vec::new();
    client.on_connect(0, &mut out).expect("no error");
    assert_eq!(out, [Order::Send("r-1".into())]);
}
