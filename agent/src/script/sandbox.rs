//! The world of the scripts of one load thread: a QuickJS runtime with bounds on time and memory, one context without
//! clock, files or network, and what the running hook has ordered so far. Never here: what a hook is.

use super::fault;
use super::{Order, ScriptError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rquickjs::context::intrinsic;
use rquickjs::{Context, Ctx, Exception, Function, Object, Persistent, Runtime};
use rustix::time::{ClockId, clock_gettime};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Everything but `Date`, `performance` (clocks), `WeakRef` (its callbacks would come at any time) and `DOMException`.
type Intrinsics = (
    intrinsic::Eval,
    intrinsic::RegExpCompiler,
    intrinsic::RegExp,
    intrinsic::Json,
    intrinsic::Proxy,
    intrinsic::MapSet,
    intrinsic::TypedArrays,
    intrinsic::Promise,
);

/// What one call of a hook, and all clients of a thread together, may use.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// CPU time of one call.
    pub call: Duration,
    /// Bytes of JavaScript's heap, all clients of the thread together.
    pub memory: usize,
    /// Orders of one call, and the bytes in them.
    pub orders: usize,
    pub bytes: usize,
    /// Calls that ran out of time before the thread's script is ended whole: each has held up every client of the thread.
    pub overruns: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(1),
            memory: 256 << 20,
            orders: 10_000,
            bytes: 16 << 20,
            overruns: 10,
        }
    }
}

/// What is the same for all clients of a run.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct RunFacts {
    pub run: String,
    pub conns: u64,
    pub host: u32,
    pub hosts: u32,
}

/// State of `Math.random` (SplitMix64): what it gives follows from the seed alone, on every host.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dice(u64);

impl Dice {
    /// `seed` of the run and the number of the client give one sequence each.
    pub fn new(seed: u64, conn: u64) -> Self {
        let mut dice = Self(seed);
        dice.0 = dice.next() ^ conn;
        dice.0 = dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    fn roll(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The call that is running: what it may know, and what it has ordered.
#[derive(Default)]
pub struct Call {
    pub orders: RefCell<Vec<Order>>,
    bytes: Cell<usize>,
    pub dice: Cell<Dice>,
    pub elapsed_ms: Cell<u64>,
    pub facts: RefCell<Rc<RunFacts>>,
    /// CPU time of the thread when QuickJS first asked in this call; most calls end before it asks.
    began: Cell<Option<Duration>>,
    pub overran: Cell<bool>,
    /// Reason of a rejected promise that nobody has caught.
    pub rejected: RefCell<Option<ScriptError>>,
}

impl Call {
    pub fn begin(&self, elapsed_ms: u64, dice: Dice, facts: Rc<RunFacts>) {
        self.orders.borrow_mut().clear();
        self.bytes.set(0);
        self.dice.set(dice);
        self.elapsed_ms.set(elapsed_ms);
        self.facts.replace(facts);
        self.began.set(None);
        self.overran.set(false);
        self.rejected.replace(None);
    }

    /// Whether the call has had its time. Asked by QuickJS every ten thousand steps or so.
    pub fn is_over(&self, bounds: &Bounds) -> bool {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        let now = Duration::new(
            u64::try_from(now.tv_sec).unwrap_or(0),
            u32::try_from(now.tv_nsec).unwrap_or(0),
        );
        let Some(began) = self.began.get() else {
            self.began.set(Some(now));
            return false;
        };
        let over = now.saturating_sub(began) > bounds.call;
        if over {
            self.overran.set(true);
        }
        over
    }

    fn order(&self, ctx: &Ctx<'_>, bounds: &Bounds, size: usize, order: Order) -> rquickjs::Result<()> {
        let bytes = self.bytes.get() + size;
        let mut orders = self.orders.borrow_mut();
        if orders.len() >= bounds.orders || bytes > bounds.bytes {
            return Err(Exception::throw_range(
                ctx,
                &format!(
                    "one call may order {} messages of {} MiB together",
                    bounds.orders,
                    bounds.bytes >> 20
                ),
            ));
        }
        self.bytes.set(bytes);
        orders.push(order);
        Ok(())
    }
}

/// What all clients of an engine share. Values that live in its context go before it (see `Drop` of rquickjs).
pub struct Sandbox {
    pub script: String,
    pub bounds: Bounds,
    pub call: Rc<Call>,
    overruns: Cell<u32>,
    /// Why no script of this thread runs any more.
    ended: RefCell<Option<ScriptError>>,
    /// Prototype of every `client`; taken out before the context goes.
    pub prototype: Persistent<Object<'static>>,
    pub context: Context,
}

impl Sandbox {
    pub fn new(script: &str, bounds: Bounds) -> Result<Self, ScriptError> {
        let call = Rc::new(Call::default());
        let own = |error| fault::own(script, &error);
        let runtime = runtime(&bounds).map_err(own)?;
        let name = script.to_owned();
        let seen = Rc::clone(&call);
        runtime.set_host_promise_rejection_tracker(Some(Box::new(move |_ctx, _promise, reason, handled| {
            let error = (!handled).then(|| fault::of_value(&name, reason));
            seen.rejected.replace(error);
        })));
        let context = Context::custom::<Intrinsics>(&runtime).map_err(own)?;
        let prototype = context.with(|ctx| {
            let build = || {
                let native = native(&ctx, &call, bounds)?;
                let prelude: Function = ctx.eval(include_str!("prelude.js"))?;
                Ok(Persistent::save(&ctx, prelude.call::<_, Object>((native,))?))
            };
            build().map_err(|error| fault::of_call(&ctx, script, error))
        })?;
        // only now: the prelude is ours, and takes the time that it takes
        let asked = Rc::clone(&call);
        runtime.set_interrupt_handler(Some(Box::new(move || asked.is_over(&bounds))));
        Ok(Self {
            script: script.to_owned(),
            bounds,
            call,
            overruns: Cell::default(),
            ended: RefCell::default(),
            prototype,
            context,
        })
    }

    /// # Errors
    /// Why no script of this thread runs any more.
    pub fn admit(&self) -> Result<(), ScriptError> {
        match &*self.ended.borrow() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Runs what a call has left to be run later: nothing of it may run in another client's call.
    pub fn drain(&self, ctx: &Ctx<'_>) {
        let mut jobs = 0u32;
        while ctx.execute_pending_job() {
            jobs += 1;
            if jobs.is_multiple_of(1000) && (self.call.overran.get() || self.call.is_over(&self.bounds)) {
                // what stands in the queue cannot be taken out of it
                self.overruns.set(self.bounds.overruns);
                return;
            }
        }
    }

    /// Counts a call that ran too long; after some, no script of this thread runs any more.
    pub fn overrun(&self, line: Option<u32>) -> ScriptError {
        let error = |more: &str| ScriptError {
            script: self.script.clone(),
            line,
            message: format!("ran longer than {:?} and was stopped{more}", self.bounds.call),
        };
        self.overruns.set(self.overruns.get() + 1);
        if self.overruns.get() >= self.bounds.overruns {
            let ended = error(": one time too many, and no client of this thread runs it any more");
            self.ended.replace(Some(ended));
        }
        error("")
    }
}

/// Whether `source` stands on its own. It runs later inside a function, which must not be what makes sense of it.
pub fn check_syntax(script: &str, source: &str, bounds: &Bounds) -> Result<(), ScriptError> {
    let own = |error| fault::own(script, &error);
    let runtime = runtime(bounds).map_err(own)?;
    let context = Context::custom::<Intrinsics>(&runtime).map_err(own)?;
    context.with(|ctx| {
        rquickjs::Module::declare(ctx.clone(), fault::FILE, source)
            .map(|_| ())
            .map_err(|error| fault::of_call(&ctx, script, error))
    })
}

fn runtime(bounds: &Bounds) -> rquickjs::Result<Runtime> {
    let runtime = Runtime::new()?;
    runtime.set_memory_limit(bounds.memory);
    runtime.set_max_stack_size(256 << 10);
    Ok(runtime)
}

/// What `prelude.js` is made of.
fn native<'js>(ctx: &Ctx<'js>, call: &Rc<Call>, bounds: Bounds) -> rquickjs::Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    let at = Rc::clone(call);
    native.set(
        "emit",
        Function::new(
            ctx.clone(),
            move |ctx: Ctx<'js>, namespace: Option<String>, array: String, ack: bool| {
                at.order(&ctx, &bounds, array.len(), Order::Emit { namespace, array, ack })
            },
        )?,
    )?;
    let at = Rc::clone(call);
    native.set(
        "send",
        Function::new(ctx.clone(), move |ctx: Ctx<'js>, text: String| {
            at.order(&ctx, &bounds, text.len(), Order::Send(text))
        })?,
    )?;
    let at = Rc::clone(call);
    native.set(
        "sendBinary",
        Function::new(ctx.clone(), move |ctx: Ctx<'js>, base64: String| {
            let bytes = STANDARD
                .decode(&base64)
                .map_err(|error| Exception::throw_internal(&ctx, &error.to_string()))?;
            at.order(&ctx, &bounds, bytes.len(), Order::SendBinary(bytes))
        })?,
    )?;
    let at = Rc::clone(call);
    native.set(
        "disconnect",
        Function::new(ctx.clone(), move |ctx: Ctx<'js>| {
            at.order(&ctx, &bounds, 0, Order::Disconnect)
        })?,
    )?;
    let at = Rc::clone(call);
    native.set(
        "fail",
        Function::new(ctx.clone(), move |ctx: Ctx<'js>, reason: String| {
            at.order(&ctx, &bounds, reason.len(), Order::Fail(reason))
        })?,
    )?;
    let at = Rc::clone(call);
    native.set(
        "random",
        Function::new(ctx.clone(), move || {
            let mut dice = at.dice.get();
            let roll = dice.roll();
            at.dice.set(dice);
            roll
        })?,
    )?;
    let at = Rc::clone(call);
    native.set(
        "elapsed",
        Function::new(ctx.clone(), move || at.elapsed_ms.get() as f64)?,
    )?;
    let at = Rc::clone(call);
    native.set(
        "run",
        Function::new(ctx.clone(), move || at.facts.borrow().run.clone())?,
    )?;
    let at = Rc::clone(call);
    native.set(
        "conns",
        Function::new(ctx.clone(), move || at.facts.borrow().conns as f64)?,
    )?;
    let at = Rc::clone(call);
    native.set("host", Function::new(ctx.clone(), move || at.facts.borrow().host)?)?;
    let at = Rc::clone(call);
    native.set("hosts", Function::new(ctx.clone(), move || at.facts.borrow().hosts)?)?;
    Ok(native)
}
