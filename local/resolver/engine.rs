//! One JavaScript runtime with the utilities loaded; compiles each file once.
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use rquickjs::context::intrinsic::{Eval, Json, MapSet, Promise, RegExp, RegExpCompiler, TypedArrays};
use rquickjs::loader::{BuiltinLoader, BuiltinResolver};
use rquickjs::{CatchResultExt, CaughtError, Context, Ctx, Function, Module, Object, Persistent, Runtime};
use serde_json::{Value, json};

use super::ambient::Ambient;
use super::stopwatch::Stopwatch;
use super::{Handler, Outcome, Raised, Run, iterations, native};
use crate::stack::Code;

const MEMORY_BYTES: usize = 128 * 1024 * 1024;
const STACK_BYTES: usize = 512 * 1024;
/// AppSync's limit on what a handler evaluates to.
const RESULT_BYTES: usize = 5 * 1024 * 1024;

/// One JavaScript runtime. Not `Send`: one per thread.
pub struct Engine {
    modules: RefCell<HashMap<Code, Exports>>,
    call: Persistent<Function<'static>>,
    handler_time: Duration,
    stopwatch: Stopwatch,
    context: Context,
}

type Exports = Persistent<Object<'static>>;

#[derive(Debug, thiserror::Error)]
#[error("The JavaScript engine did not start: {0}")]
pub struct EngineFault(String);

impl Engine {
    pub fn new() -> Result<Self, EngineFault> {
        Engine::with_ambient(Ambient::default())
    }

    pub fn with_ambient(ambient: Ambient) -> Result<Self, EngineFault> {
        let stopwatch = Stopwatch::default();
        let context = start(&stopwatch).map_err(|fault| EngineFault(fault.to_string()))?;
        let call = context.with(|js| {
            load_driver(&js, &ambient, &stopwatch).catch(&js).map_err(|fault| EngineFault(fault.to_string()))
        })?;
        Ok(Engine { modules: RefCell::default(), call, handler_time: ambient.handler_time, stopwatch, context })
    }

    /// Runs one handler of `code`. `context` is what it sees as `ctx`, without `args`.
    pub fn run(&self, code: &Code, handler: Handler, context: Value) -> Run {
        self.run_text(code, handler, &context.to_string())
    }

    /// As `run`, for a context that only JSON text can hold: strings with halves of surrogate pairs.
    pub fn run_text(&self, code: &Code, handler: Handler, context: &str) -> Run {
        self.run_within(self.handler_time, code, handler, context)
    }

    /// As `run_text`, for a handler that has only `time_left`, if that is less than it would have.
    pub fn run_within(&self, time_left: Duration, code: &Code, handler: Handler, context: &str) -> Run {
        self.stopwatch.start(self.handler_time.min(time_left));
        let report = self
            .context
            .with(|js| self.call(&js, code, handler, context).catch(&js).map_err(|fault| self.told(&fault)));
        self.stopwatch.stop();
        report.and_then(|text| read(&text)).unwrap_or_else(|message| broken(context, message))
    }

    fn told(&self, fault: &CaughtError<'_>) -> String {
        self.stopwatch.overrun().unwrap_or_else(|| match fault {
            CaughtError::Exception(exception) => format!("code.js: {}", exception.message().unwrap_or_default()),
            other => format!("code.js: {other}"),
        })
    }

    fn call(&self, js: &Ctx<'_>, code: &Code, handler: Handler, context: &str) -> rquickjs::Result<String> {
        let exports = self.exports(js, code)?.restore(js)?;
        let function: Function = exports.get(handler.name())?;
        let call = self.call.clone().restore(js)?;
        call.call((function, handler.name(), code.path.as_str(), context))
    }

    fn exports(&self, js: &Ctx<'_>, code: &Code) -> rquickjs::Result<Exports> {
        if let Some(exports) = self.modules.borrow().get(code) {
            return Ok(exports.clone());
        }
        let exports = Persistent::save(js, evaluate(js, &code.path, &iterations::counted(&code.text))?);
        self.modules.borrow_mut().insert(code.clone(), exports.clone());
        Ok(exports)
    }
}

const MODULES: [(&str, &str); 8] = [
    ("appsync/run", include_str!("run.js")),
    ("appsync/values", include_str!("values.js")),
    ("appsync/transform", include_str!("transform.js")),
    ("appsync/headers", include_str!("headers.js")),
    ("@aws-appsync/utils", include_str!("utils.js")),
    ("@aws-appsync/utils/dynamodb", include_str!("dynamodb.js")),
    ("appsync/language", include_str!("language.js")),
    ("appsync/driver", include_str!("driver.js")),
];

fn start(stopwatch: &Stopwatch) -> rquickjs::Result<Context> {
    let runtime = Runtime::new()?;
    runtime.set_memory_limit(MEMORY_BYTES);
    runtime.set_max_stack_size(STACK_BYTES);
    let (mut resolver, mut loader) = (BuiltinResolver::default(), BuiltinLoader::default());
    for (name, source) in MODULES {
        resolver.add_module(name);
        loader.add_module(name, source);
    }
    runtime.set_loader(resolver, loader);
    let stopwatch = stopwatch.clone();
    runtime.set_interrupt_handler(Some(Box::new(move || stopwatch.overrun().is_some())));
    type Language = (Eval, RegExpCompiler, RegExp, Json, MapSet, TypedArrays, Promise);
    Context::custom::<Language>(&runtime)
}

fn load_driver(
    js: &Ctx<'_>,
    ambient: &Ambient,
    stopwatch: &Stopwatch,
) -> rquickjs::Result<Persistent<Function<'static>>> {
    js.globals().set("native", native::object(js, ambient, stopwatch)?)?;
    let driver = evaluate(js, "start", "export { call } from 'appsync/driver';")?;
    let call: Function = driver.get("call")?;
    Ok(Persistent::save(js, call))
}

fn evaluate<'js>(js: &Ctx<'js>, name: &str, source: &str) -> rquickjs::Result<Object<'js>> {
    let (module, done) = Module::declare(js.clone(), name, source)?.eval()?;
    done.finish::<()>()?;
    module.namespace()
}

fn read(report: &str) -> Result<Run, String> {
    let run: Run = serde_json::from_str(&java_text(report))
        .map_err(|fault| format!("The handler's result is not JSON: {fault}."))?;
    match &run.outcome {
        Outcome::Returned(value) | Outcome::EarlyReturn { value, .. } if report.len() > RESULT_BYTES => {
            match value.to_string().len() {
                bytes if bytes > RESULT_BYTES => {
                    Err(format!("A handler may evaluate to {RESULT_BYTES} bytes, not to {bytes}."))
                }
                _ => Ok(run),
            }
        }
        _ => Ok(run),
    }
}

/// What remains of a run that never came back: the handler was stopped, or its file does not load.
fn broken(context: &str, message: String) -> Run {
    let context: Value = serde_json::from_str(context).unwrap_or_default();
    let raised = Raised { message, error_type: Some("Code".into()), data: Value::Null, info: Value::Null };
    Run {
        outcome: Outcome::Raised(raised),
        arguments: context.get("arguments").cloned().unwrap_or_else(|| json!({})),
        stash: context.get("stash").cloned().unwrap_or_else(|| json!({})),
        appended: Vec::new(),
        logs: Vec::new(),
        subscription_filter: None,
        invalidation_filter: None,
        invalidations: Vec::new(),
        response_headers: Vec::new(),
    }
}

/// `JSON.stringify` escapes halves of surrogate pairs and nothing else as `\ud…`; Java writes them as question marks.
fn java_text(json: &str) -> Cow<'_, str> {
    if !json.contains("\\ud") {
        return json.into();
    }
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some((before, escape)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
        let half = escape.starts_with("\\ud");
        let (escape, after) = escape.split_at_checked(if half { 6 } else { 2 }).unwrap_or((escape, ""));
        text.push_str(before);
        text.push_str(if half { "?" } else { escape });
        rest = after;
    }
    text.push_str(rest);
    text.into()
}
