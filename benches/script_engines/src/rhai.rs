//! Rhai: one compiled script, one map a client.

use crate::{Done, resident, weigh};

const RHAI: &str = r#"
fn next_message() {
    this.said += 1;
    let message = #{ room: "room-" + (this.conn % 200), text: "hello " + this.said, from: this.conn };
    "[\"chat\"," + message.to_json() + "]"
}
"#;

pub fn maps(clients: usize, calls: usize) -> Done {
    let engine = rhai::Engine::new();
    let script = engine.compile(RHAI)?;
    let before = resident()?;
    let mut made: Vec<rhai::Dynamic> = (0..clients)
        .map(|conn| {
            let mut client = rhai::Map::new();
            client.insert("conn".into(), (conn as i64).into());
            client.insert("said".into(), 0i64.into());
            client.into()
        })
        .collect();
    weigh(before, clients, calls, |n| {
        let options = rhai::CallFnOptions::new().eval_ast(false).bind_this_ptr(&mut made[n]);
        let said: String =
            engine.call_fn_with_options(options, &mut rhai::Scope::new(), &script, "next_message", ())?;
        Ok(said.len())
    })
}
