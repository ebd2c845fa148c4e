//! Weighs the engines that scripts of playbooks could run on: `script-engines WAY CLIENTS CALLS` makes CLIENTS clients,
//! lets each say CALLS messages, and prints resident memory per client and CPU time per call. WAY is `context` (QuickJS, a
//! context a client), `scope` (one context, the script's scope a client), `object` (one context and scope, an object a
//! client) or `rhai` (one AST, a scope a client).

use rquickjs::{Context, Ctx, Function, Object, Persistent, Runtime};
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;

const HOOKS: &str = r#"
let said = 0;
function next_message(client) {
    said += 1;
    const message = { room: "room-" + (client.conn % 200), text: "hello " + said, from: client.conn };
    return JSON.stringify(["chat", message]);
}
"#;

const OBJECT_HOOKS: &str = r#"
function next_message(client) {
    client.said += 1;
    const message = { room: "room-" + (client.conn % 200), text: "hello " + client.said, from: client.conn };
    return JSON.stringify(["chat", message]);
}
"#;

const RHAI: &str = r#"
fn next_message() {
    this.said += 1;
    let message = #{ room: "room-" + (this.conn % 200), text: "hello " + this.said, from: this.conn };
    "[\"chat\"," + message.to_json() + "]"
}
"#;

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let words: Vec<String> = std::env::args().collect();
    let number = |n: usize| words.get(n).and_then(|word| word.parse().ok()).unwrap_or(1000usize);
    let (clients, calls) = (number(2), number(3));
    match words.get(1).map(String::as_str) {
        Some("context") => contexts(clients, calls),
        Some("scope") => scopes(clients, calls),
        Some("object") => objects(clients, calls),
        Some("rhai") => rhai(clients, calls),
        _ => Err("WAY is context, scope, object or rhai".into()),
    }
}

/// Runs `say` for each client in turn, `calls` times, and prints.
fn weigh(
    before: usize,
    clients: usize,
    calls: usize,
    mut say: impl FnMut(usize) -> Result<usize, Box<dyn Error>>,
) -> Done {
    let start = on_cpu();
    let mut bytes = 0;
    for _ in 0..calls {
        for client in 0..clients {
            bytes += say(client)?;
        }
    }
    let each = (on_cpu() - start) as f64 / (clients * calls) as f64;
    let held = (resident()? - before) as f64 / clients as f64;
    println!("{held:.2} KiB each, {each:.0} ns of CPU a call, {bytes} bytes said");
    Ok(())
}

fn contexts(clients: usize, calls: usize) -> Done {
    let runtime = Runtime::new()?;
    let before = resident()?;
    let made = (0..clients)
        .map(|conn| {
            let context = Context::full(&runtime)?;
            let (hook, client) = context.with(|ctx| {
                ctx.eval::<(), _>(HOOKS)?;
                let hook: Function = ctx.globals().get("next_message")?;
                Ok::<_, rquickjs::Error>((Persistent::save(&ctx, hook), client(&ctx, conn)?))
            })?;
            Ok((hook, client, context))
        })
        .collect::<Result<Vec<_>, rquickjs::Error>>()?;
    weigh(before, clients, calls, |n| {
        let (hook, client, context) = &made[n];
        call(context, hook, client)
    })
}

fn scopes(clients: usize, calls: usize) -> Done {
    let runtime = Runtime::new()?;
    let context = Context::full(&runtime)?;
    let before = resident()?;
    let made = context.with(|ctx| {
        let scope: Function = ctx.eval(format!("(function () {{ {HOOKS} return next_message; }})"))?;
        (0..clients)
            .map(|conn| {
                Ok((
                    Persistent::save(&ctx, scope.call::<_, Function>(())?),
                    client(&ctx, conn)?,
                ))
            })
            .collect::<Result<Vec<_>, rquickjs::Error>>()
    })?;
    weigh(before, clients, calls, |n| call(&context, &made[n].0, &made[n].1))
}

fn objects(clients: usize, calls: usize) -> Done {
    let runtime = Runtime::new()?;
    let context = Context::full(&runtime)?;
    let before = resident()?;
    let (hook, made) = context.with(|ctx| {
        ctx.eval::<(), _>(OBJECT_HOOKS)?;
        let hook: Function = ctx.globals().get("next_message")?;
        let made = (0..clients)
            .map(|conn| client(&ctx, conn))
            .collect::<Result<Vec<_>, _>>()?;
        Ok::<_, rquickjs::Error>((Persistent::save(&ctx, hook), made))
    })?;
    weigh(before, clients, calls, |n| call(&context, &hook, &made[n]))
}

fn client(ctx: &Ctx<'_>, conn: usize) -> Result<Persistent<Object<'static>>, rquickjs::Error> {
    let client = Object::new(ctx.clone())?;
    client.set("conn", conn as f64)?;
    client.set("said", 0)?;
    Ok(Persistent::save(ctx, client))
}

fn call(
    context: &Context,
    hook: &Persistent<Function<'static>>,
    client: &Persistent<Object<'static>>,
) -> Result<usize, Box<dyn Error>> {
    context.with(|ctx| {
        let said: String = hook.clone().restore(&ctx)?.call((client.clone().restore(&ctx)?,))?;
        Ok(said.len())
    })
}

fn rhai(clients: usize, calls: usize) -> Done {
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

/// CPU time of this thread, ns.
fn on_cpu() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    (now.tv_sec * 1_000_000_000 + now.tv_nsec).unsigned_abs()
}

/// Resident memory of this process, KiB.
fn resident() -> std::io::Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0))
}
