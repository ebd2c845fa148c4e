//! A playbook's script: its hooks, its variables, its errors.

use crate::scene::*;
use swarm_agent::wire::fault::FaultKind;
use swarm_agent::wire::flow::*;
use swarm_agent::wire::share::Carrier;

fn said_by_script(period: Option<u64>) -> Step {
    step(
        "talk",
        Act::Script(ScriptStep {
            period,
            rounds: Rounds::Forever,
            reply: Reply::default(),
        }),
    )
}

fn with_script(steps: Vec<Step>, source: &str) -> Program {
    Program {
        script: Some(Script {
            name: "chat.js".into(),
            source: source.into(),
        }),
        slots: vec!["topic".into(), "heard".into()],
        ..program(steps)
    }
}

const CHAT: &str = r#"
let said = 0;
function on_connect(client) { client.emitWithAck("echo", client.conn); }
function on_message(client, event, message) { if (event === "said") client.vars.heard = message.what; }
function next_message(client) {
    if (said === 3) return false;
    said += 1;
    client.emitWithAck("echo", said);
    client.emit("say", client.vars.topic + said);
}
"#;

#[tokio::test]
async fn hooks_speak_and_share_their_variables_with_the_steps() {
    for period in [None, Some(40 * MS)] {
        let (port, seen) = server().await;
        let topic = Act::Set {
            slot: 0,
            value: text("t", Piece::Value(var(Variable::Conn)), "-"),
        };
        let steps = vec![
            step("topic", topic),
            connect(),
            said_by_script(period),
            expect("said", "said", 1_000),
            wait(100),
            emit(
                "heard",
                text("[\"say\",", Piece::Json(var(Variable::Slot(1))), "]"),
                Answer::Written,
            ),
            wait(50),
        ];
        let played = play(share(port, socketio(Carrier::Websocket), 2, with_script(steps, CHAT))).await;
        assert_eq!(played.faults(), [], "{period:?}");
        assert_eq!((played.step("talk"), played.step("hooks")), ((12, 12, 0), (2, 2, 0)));
        for line in ["say \"t0-1\"", "say \"t1-2\""] {
            assert_eq!(seen.count(line), 1, "{:?}", seen.all());
        }
        // once by the script, and once as what the script had heard of it
        assert_eq!(seen.count("say \"t1-3\""), 2, "{:?}", seen.all());
        let messages = &played.recording.counts.tally.messages;
        assert_eq!((messages.expected, messages.acked), (8, 8));
    }
}

#[tokio::test]
async fn a_scripts_error_fails_its_client_and_names_its_line() {
    let (port, _) = server().await;
    let source = "function next_message(client) {\n  if (client.conn === 1) nowhere();\n  if (client.conn === 2) \
                  return client.fail(\"no\");\n  client.emitWithAck(\"echo\", 1);\n  return false;\n}";
    let steps = vec![
        connect(),
        said_by_script(None),
        emit("after", Text::plain("[\"echo\",1]"), acked()),
    ];
    let played = play(share(port, socketio(Carrier::Websocket), 3, with_script(steps, source))).await;
    let faults = played.faults();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults.iter().all(|fault| fault.0 == FaultKind::Script));
    assert!(
        faults
            .iter()
            .any(|fault| fault.1.starts_with("one / talk: chat.js:2: ReferenceError")),
        "{faults:?}"
    );
    assert!(faults.iter().any(|fault| fault.1 == "one / talk: no"), "{faults:?}");
    assert_eq!(played.step("after"), (1, 1, 0));
    let c = &played.recording.counts.tally.connections;
    assert_eq!((c.opened, c.dropped), (3, 0));
}
