//! One client of a script: its scope, its hooks, its variables, and the one way in which a hook is called. Never here: what
//! the world of a script looks like.

use super::fault;
use super::sandbox::{Dice, RunFacts, Sandbox};
use super::{Body, Facts, Order, ScriptError};
use rquickjs::function::Args;
use rquickjs::object::Property;
use rquickjs::{Array, Coerced, Ctx, Exception, FromJs, Function, IntoJs, Object, Persistent, TypedArray, Value};
use std::cell::Cell;
use std::rc::Rc;

type Hook = Persistent<Function<'static>>;

/// One client of a script. After an error it holds nothing of the script any more, and says that error to every call.
pub struct Client {
    life: Life,
    dice: Cell<Dice>,
    facts: Rc<RunFacts>,
    sandbox: Rc<Sandbox>,
}

enum Life {
    Alive(Scope),
    Failed(Box<ScriptError>),
}

/// What lives in the sandbox for one client.
struct Scope {
    client: Persistent<Object<'static>>,
    vars: Persistent<Object<'static>>,
    hooks: [Option<Hook>; 3],
}

const ON_CONNECT: usize = 0;
const ON_MESSAGE: usize = 1;
const NEXT_MESSAGE: usize = 2;
const NAMES: [&str; 3] = ["on_connect", "on_message", "next_message"];

impl Client {
    pub(super) fn new(
        sandbox: &Rc<Sandbox>,
        scope: &Hook,
        facts: &Facts,
        run: Rc<RunFacts>,
    ) -> Result<Self, ScriptError> {
        let mut made = Self {
            life: Life::Failed(Box::new(gone(sandbox))),
            dice: Cell::new(Dice::new(facts.seed, facts.conn)),
            facts: run,
            sandbox: Rc::clone(sandbox),
        };
        let prototype = sandbox.prototype.clone();
        let scope = made.within(0, &mut Vec::new(), |ctx| {
            let client = Object::new_proto(ctx.clone(), Some(&prototype.restore(ctx)?))?;
            let vars = Object::new_proto(ctx.clone(), None)?;
            let columns = Object::new_proto(ctx.clone(), None)?;
            for (name, value) in &facts.columns {
                columns.prop(name.as_str(), Property::from(value.as_str()).enumerable())?;
            }
            client.prop("conn", Property::from(facts.conn as f64).enumerable())?;
            client.prop("source", Property::from(facts.source.as_str()).enumerable())?;
            client.prop("columns", Property::from(columns).enumerable())?;
            client.prop("vars", Property::from(vars.clone()).enumerable())?;
            let found: Array = scope.clone().restore(ctx)?.call((client.clone(),))?;
            let mut hooks = [None, None, None];
            for (n, hook) in hooks.iter_mut().enumerate() {
                let value: Value = found.get(n)?;
                if value.is_undefined() {
                    continue;
                }
                let function = value
                    .into_function()
                    .ok_or_else(|| Exception::throw_type(ctx, &format!("{} is not a function", NAMES[n])))?;
                *hook = Some(Persistent::save(ctx, function));
            }
            Ok(Scope {
                client: Persistent::save(ctx, client),
                vars: Persistent::save(ctx, vars),
                hooks,
            })
        })?;
        made.life = Life::Alive(scope);
        Ok(made)
    }

    /// The connection is open: after the namespace has answered for Socket.IO, after the handshake for a WebSocket.
    ///
    /// # Errors
    /// What the script threw; nothing is ordered then. So it is for every hook.
    pub fn on_connect(&mut self, elapsed_ms: u64, out: &mut Vec<Order>) -> Result<(), ScriptError> {
        self.hook(ON_CONNECT, elapsed_ms, out, |_, _| Ok(())).map(drop)
    }

    /// A message has come.
    pub fn on_message(
        &mut self,
        elapsed_ms: u64,
        event: Option<&str>,
        body: Body<'_>,
        out: &mut Vec<Order>,
    ) -> Result<(), ScriptError> {
        self.hook(ON_MESSAGE, elapsed_ms, out, |ctx, arguments| {
            arguments.push(event.into_js(ctx)?);
            match body {
                Body::Text(text) => arguments.push(text.into_js(ctx)?),
                Body::Binary(bytes) => arguments.push(TypedArray::<u8>::new_copy(ctx.clone(), bytes)?.into_value()),
                Body::Json(json) => {
                    let array = Array::from_js(ctx, ctx.json_parse(json)?)?;
                    for value in array.iter() {
                        arguments.push(value?);
                    }
                }
            }
            Ok(())
        })
        .map(drop)
    }

    /// Asks for the next message. `false`: the script has nothing more to say, or no such hook.
    pub fn next_message(&mut self, elapsed_ms: u64, out: &mut Vec<Order>) -> Result<bool, ScriptError> {
        self.hook(NEXT_MESSAGE, elapsed_ms, out, |_, _| Ok(()))
            .map(|answer| answer == Some(Answer::Other))
    }

    /// A variable that the script and the playbook's slots share; what is no text, number or truth value is given as JSON.
    pub fn get(&self, name: &str) -> Option<String> {
        let Life::Alive(scope) = &self.life else {
            return None;
        };
        let text = self.within(0, &mut Vec::new(), |ctx| {
            let value: Value = scope.vars.clone().restore(ctx)?.get(name)?;
            match value.is_object() {
                // its toJSON may be the script's: this is a call like any other
                true => ctx.json_stringify(value)?.map(|json| json.to_string()).transpose(),
                false if value.is_undefined() || value.is_null() => Ok(None),
                false => Coerced::<String>::from_js(ctx, value).map(|text| Some(text.0)),
            }
        });
        text.ok().flatten()
    }

    pub fn set(&mut self, name: &str, value: &str) {
        if let Life::Alive(scope) = &self.life {
            let vars = scope.vars.clone();
            let done = self.within(0, &mut Vec::new(), |ctx| vars.restore(ctx)?.set(name, value));
            if let Err(error) = done {
                self.fail(error);
            }
        }
    }

    /// Calls a hook, if the script has it, with `this` and the first argument being the client.
    fn hook(
        &mut self,
        which: usize,
        elapsed_ms: u64,
        out: &mut Vec<Order>,
        rest: impl for<'js> FnOnce(&Ctx<'js>, &mut Vec<Value<'js>>) -> rquickjs::Result<()>,
    ) -> Result<Option<Answer>, ScriptError> {
        let (hook, client) = match &self.life {
            Life::Failed(error) => return Err((**error).clone()),
            Life::Alive(scope) => match &scope.hooks[which] {
                None => return Ok(None),
                Some(hook) => (hook.clone(), scope.client.clone()),
            },
        };
        let sandbox = Rc::clone(&self.sandbox);
        let answer = self.within(elapsed_ms, out, |ctx| {
            let client = client.restore(ctx)?;
            let mut arguments = vec![client.clone().into_value()];
            rest(ctx, &mut arguments)?;
            let mut args = Args::new(ctx.clone(), arguments.len());
            args.this(client)?;
            args.push_args(arguments)?;
            let returned: Value = hook.restore(ctx)?.call_arg(args)?;
            sandbox.drain(ctx);
            settled(ctx, NAMES[which], returned)
        });
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => {
                self.fail(error.clone());
                Err(error)
            }
        }
    }

    /// Gives back what the client held: the others share the memory that it may have used up.
    fn fail(&mut self, error: ScriptError) {
        let full = error.message.contains("out of memory");
        self.life = Life::Failed(Box::new(error));
        if full {
            self.sandbox.context.runtime().run_gc();
        }
    }

    /// Runs `work` as one call: bounded, with this client's dice, its orders handed out if it succeeds.
    fn within<T>(
        &self,
        elapsed_ms: u64,
        out: &mut Vec<Order>,
        work: impl for<'js> FnOnce(&Ctx<'js>) -> rquickjs::Result<T>,
    ) -> Result<T, ScriptError> {
        let sandbox = &*self.sandbox;
        sandbox.admit()?;
        sandbox.call.begin(elapsed_ms, self.dice.get(), Rc::clone(&self.facts));
        let done = sandbox.context.with(|ctx| {
            let done = work(&ctx).map_err(|error| fault::of_call(&ctx, &sandbox.script, error));
            sandbox.drain(&ctx);
            done
        });
        self.dice.set(sandbox.call.dice.get());
        let done = match (sandbox.call.overran.get(), sandbox.call.rejected.take()) {
            (true, _) => Err(sandbox.overrun(done.err().and_then(|error| error.line))),
            (false, Some(rejected)) => done.and(Err(rejected)),
            (false, None) => done,
        };
        if done.is_ok() {
            out.append(&mut sandbox.call.orders.borrow_mut());
        }
        done
    }
}

/// What a hook returned: only a plain `false` means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    False,
    Other,
}

/// The answer of a hook; an `async` one has it when nothing is left to run.
fn settled<'js>(ctx: &Ctx<'js>, name: &str, returned: Value<'js>) -> rquickjs::Result<Answer> {
    let value = match returned.as_promise() {
        None => returned,
        Some(promise) => promise.result::<Value>().unwrap_or_else(|| {
            let text = format!("{name} waits for a promise that nothing in a script can keep: there are no timers");
            Err(Exception::throw_type(ctx, &text))
        })?,
    };
    Ok(if value.as_bool() == Some(false) {
        Answer::False
    } else {
        Answer::Other
    })
}

fn gone(sandbox: &Sandbox) -> ScriptError {
    ScriptError {
        script: sandbox.script.clone(),
        line: None,
        message: "this client never came to be".into(),
    }
}
