//! A script of one load thread, compiled once: finds its hooks without running it, and makes its clients. Never here: what
//! happens inside a call.

use super::client::Client;
use super::fault::{self, FILE};
use super::sandbox::{Bounds, RunFacts, Sandbox, check_syntax};
use super::{Facts, Hooks, ScriptError};
use rquickjs::context::EvalOptions;
use rquickjs::{Function, Persistent};
use std::cell::RefCell;
use std::rc::Rc;

/// Names of the hooks, in the order in which `SCOPE` speaks of them, and what people who come from elsewhere call them.
const HOOKS: [(&str, &str); 3] = [
    ("on_connect", "onConnect"),
    ("on_message", "onMessage"),
    ("next_message", "nextMessage"),
];

/// A compiled script of one load thread. It stays on the thread that made it.
///
/// All clients share one context, whose globals are frozen. Each has a scope of its own: what the script declares outside
/// its hooks is made anew for every client, so that they share nothing that can change.
pub struct Engine {
    hooks: Hooks,
    /// Runs the script's top level for a client, returns its hooks; goes before the sandbox that it lives in.
    scope: Persistent<Function<'static>>,
    sandbox: Rc<Sandbox>,
    /// The facts of the run that were told last: the same for all clients, so held once.
    run: RefCell<Rc<RunFacts>>,
}

impl Engine {
    /// Compiles `source`, called `name` in errors. Runs none of it.
    ///
    /// # Errors
    /// Bad syntax, or no hook.
    pub fn compile(name: &str, source: &str) -> Result<Self, ScriptError> {
        Self::compile_within(name, source, Bounds::default())
    }

    pub(super) fn compile_within(name: &str, source: &str, bounds: Bounds) -> Result<Self, ScriptError> {
        check_syntax(name, source, &bounds)?;
        let sandbox = Sandbox::new(name, bounds)?;
        let (scope, declared) = sandbox.context.with(|ctx| {
            let mut options = EvalOptions::default();
            options.filename = Some(FILE.to_owned());
            let scope = ctx
                .eval_with_options::<Function, _>(wrapped(source), options)
                .and_then(|scope| Ok((scope.call::<_, Vec<bool>>(())?, scope)))
                .map(|(declared, scope)| (Persistent::save(&ctx, scope), declared));
            scope.map_err(|error| fault::of_call(&ctx, name, error))
        })?;
        let refuse = |message: String| ScriptError {
            script: name.to_owned(),
            line: None,
            message,
        };
        let is_declared = |n: usize| declared.get(n).copied().unwrap_or(false);
        for (n, (hook, foreign)) in HOOKS.iter().enumerate() {
            if is_declared(HOOKS.len() + n) && !is_declared(n) {
                return Err(refuse(format!("`{foreign}` is called `{hook}` here")));
            }
        }
        let hooks = Hooks {
            on_connect: is_declared(0),
            on_message: is_declared(1),
            next_message: is_declared(2),
        };
        if hooks == Hooks::default() {
            let names = HOOKS.map(|(hook, _)| format!("`{hook}`")).join(", ");
            return Err(refuse(format!("no hook: declare a function of the name {names}")));
        }
        Ok(Self {
            hooks,
            scope,
            sandbox: Rc::new(sandbox),
            run: RefCell::default(),
        })
    }

    pub fn hooks(&self) -> Hooks {
        self.hooks
    }

    /// Makes one client: runs what stands outside the hooks.
    ///
    /// # Errors
    /// What that threw.
    pub fn client(&self, facts: &Facts) -> Result<Client, ScriptError> {
        let run = RunFacts {
            run: facts.run.clone(),
            conns: facts.conns,
            host: facts.host,
            hosts: facts.hosts,
        };
        if **self.run.borrow() != run {
            self.run.replace(Rc::new(run));
        }
        let run = Rc::clone(&self.run.borrow());
        Client::new(&self.sandbox, &self.scope, facts, run)
    }
}

/// The script as a function of its client that returns the hooks; without arguments it only says which names it declares.
/// All of it before the script stands on the script's first line, so that lines stay as they are.
fn wrapped(source: &str) -> String {
    // `typeof` throws for what a `const` will declare, plain use throws for what nothing declares
    let names = || {
        HOOKS
            .iter()
            .map(|(hook, _)| hook)
            .chain(HOOKS.iter().map(|(_, foreign)| foreign))
    };
    let declared: String = names()
        .map(|name| format!("d(()=>typeof {name},()=>{name}),"))
        .collect();
    let hooks: String = HOOKS
        .iter()
        .map(|(hook, _)| format!("typeof {hook}===\"undefined\"?undefined:{hook},"))
        .collect();
    format!(
        "(function(client){{\"use strict\";if(!arguments.length){{const d=(t,u)=>{{try{{t()}}catch{{return true}}\
         try{{u();return true}}catch{{return false}}}};return[{declared}]}}{source}\n;return[{hooks}]}})"
    )
}
