//! The three ways of keeping clients apart in QuickJS.

use crate::{Done, resident, weigh};
use rquickjs::{Context, Ctx, Function, Object, Persistent, Runtime};
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

pub fn contexts(clients: usize, calls: usize) -> Done {
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

pub fn scopes(clients: usize, calls: usize) -> Done {
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

pub fn objects(clients: usize, calls: usize) -> Done {
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
