//! A JavaScript engine with the AppSync utilities loaded. Compiles each file once.
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use rquickjs::context::intrinsic::{Eval, Json, MapSet, Promise, RegExp, RegExpCompiler, TypedArrays};
use rquickjs::loader::{BuiltinLoader, BuiltinResolver};
use rquickjs::{CatchResultExt, CaughtError, Context, Ctx, Function, Module, Object, Persistent, Runtime};
use serde_json::{Value, json};

use super::engine_environment::EngineEnvironment;
use super::time_limit::TimeLimit;
use super::{Handler, HandlerError, HandlerPart, HandlerReport, Outcome, instrumentation, native_functions};
use crate::stack::Code;

const MEMORY_BYTES: usize = 128 * 1024 * 1024;
const STACK_BYTES: usize = 512 * 1024;
/// AppSync's limit on the value that a handler evaluates to.
const RESULT_BYTES: usize = 5 * 1024 * 1024;

/// A JavaScript engine. It is not `Send`: each thread needs its own.
pub struct Engine {
    modules: RefCell<HashMap<Code, Exports>>,
    call_handler: Persistent<Function<'static>>,
    handler_timeout: Duration,
    limit: TimeLimit,
    context: Context,
}

type Exports = Persistent<Object<'static>>;

#[derive(Debug, thiserror::Error)]
#[error("The JavaScript engine did not start: {0}")]
pub struct EngineError(String);

impl Engine {
    pub fn new() -> Result<Self, EngineError> {
        Engine::with_environment(EngineEnvironment::default())
    }

    pub fn with_environment(environment: EngineEnvironment) -> Result<Self, EngineError> {
        let limit = TimeLimit::default();
        let context = create_context(&limit).map_err(|error| EngineError(error.to_string()))?;
        let call_handler = context.with(|js| {
            load_runtime(&js, &environment, &limit).catch(&js).map_err(|error| EngineError(error.to_string()))
        })?;
        let handler_timeout = environment.handler_timeout;
        Ok(Engine { modules: RefCell::default(), call_handler, handler_timeout, limit, context })
    }

    /// Runs one handler of `code`. `context` is its `ctx`, without `args`.
    pub fn run(&self, code: &Code, handler: Handler, context: Value) -> HandlerReport {
        self.run_json(code, handler, &context.to_string())
    }

    /// As `run`, with a context as JSON text, which may hold lone surrogates.
    pub fn run_json(&self, code: &Code, handler: Handler, context: &str) -> HandlerReport {
        self.run_within(self.handler_timeout, code, handler, context)
    }

    /// As `run_json`, with a time limit that may be lower than the handler's own.
    pub fn run_within(&self, time_left: Duration, code: &Code, handler: Handler, context: &str) -> HandlerReport {
        self.limit.start(self.handler_timeout.min(time_left));
        let result = self
            .context
            .with(|js| self.call(&js, code, handler, context).catch(&js).map_err(|error| self.message(&error)));
        self.limit.stop();
        result.and_then(|json| parse_report(&json)).unwrap_or_else(|message| failed_report(context, message))
    }

    fn message(&self, error: &CaughtError<'_>) -> String {
        self.limit.exceeded().unwrap_or_else(|| match error {
            CaughtError::Exception(exception) => format!("code.js: {}", exception.message().unwrap_or_default()),
            other => format!("code.js: {other}"),
        })
    }

    fn call(&self, js: &Ctx<'_>, code: &Code, handler: Handler, context: &str) -> rquickjs::Result<String> {
        let exports = self.exports(js, code)?.restore(js)?;
        let function: Function = match handler {
            Handler::Channel(_, HandlerPart::Request | HandlerPart::Response) => {
                exports.get::<_, Object>(handler.export())?.get(handler.name())?
            }
            Handler::Request | Handler::Response | Handler::Channel(_, HandlerPart::Whole) => {
                exports.get(handler.export())?
            }
        };
        let call_handler = self.call_handler.clone().restore(js)?;
        call_handler.call((function, handler.name(), code.path.as_str(), context))
    }

    fn exports(&self, js: &Ctx<'_>, code: &Code) -> rquickjs::Result<Exports> {
        if let Some(exports) = self.modules.borrow().get(code) {
            return Ok(exports.clone());
        }
        let exports = Persistent::save(js, evaluate_module(js, &code.path, &instrumentation::instrument(&code.text))?);
        self.modules.borrow_mut().insert(code.clone(), exports.clone());
        Ok(exports)
    }
}

const MODULES: [(&str, &str); 8] = [
    ("appsync/handler_state", include_str!("runtime/handler_state.js")),
    ("appsync/dynamodb_values", include_str!("runtime/dynamodb_values.js")),
    ("appsync/transform", include_str!("runtime/transform.js")),
    ("appsync/http_headers", include_str!("runtime/http_headers.js")),
    ("@aws-appsync/utils", include_str!("runtime/utils.js")),
    ("@aws-appsync/utils/dynamodb", include_str!("runtime/dynamodb_requests.js")),
    ("appsync/restrict_globals", include_str!("runtime/restrict_globals.js")),
    ("appsync/call_handler", include_str!("runtime/call_handler.js")),
];

fn create_context(limit: &TimeLimit) -> rquickjs::Result<Context> {
    let runtime = Runtime::new()?;
    runtime.set_memory_limit(MEMORY_BYTES);
    runtime.set_max_stack_size(STACK_BYTES);
    let (mut resolver, mut loader) = (BuiltinResolver::default(), BuiltinLoader::default());
    for (name, source) in MODULES {
        resolver.add_module(name);
        loader.add_module(name, source);
    }
    runtime.set_loader(resolver, loader);
    let limit = limit.clone();
    runtime.set_interrupt_handler(Some(Box::new(move || limit.exceeded().is_some())));
    type Intrinsics = (Eval, RegExpCompiler, RegExp, Json, MapSet, TypedArrays, Promise);
    Context::custom::<Intrinsics>(&runtime)
}

/// Loads the runtime's modules. Returns the function that calls a handler.
fn load_runtime(
    js: &Ctx<'_>,
    environment: &EngineEnvironment,
    limit: &TimeLimit,
) -> rquickjs::Result<Persistent<Function<'static>>> {
    js.globals().set("native", native_functions::create(js, environment, limit)?)?;
    let module = evaluate_module(js, "start", "export { callHandler } from 'appsync/call_handler';")?;
    let call_handler: Function = module.get("callHandler")?;
    Ok(Persistent::save(js, call_handler))
}

fn evaluate_module<'js>(js: &Ctx<'js>, name: &str, source: &str) -> rquickjs::Result<Object<'js>> {
    let (module, done) = Module::declare(js.clone(), name, source)?.eval()?;
    done.finish::<()>()?;
    module.namespace()
}

fn parse_report(json: &str) -> Result<HandlerReport, String> {
    let result: HandlerReport = serde_json::from_str(&replace_lone_surrogates(json))
        .map_err(|error| format!("The handler's result is not JSON: {error}."))?;
    let (Outcome::Returned(value) | Outcome::EarlyReturn { value, .. }) = &result.outcome else { return Ok(result) };
    if json.len() <= RESULT_BYTES {
        return Ok(result);
    }
    match value.to_string().len() {
        bytes if bytes > RESULT_BYTES => {
            Err(format!("A handler may evaluate to {RESULT_BYTES} bytes, not to {bytes}."))
        }
        _ => Ok(result),
    }
}

/// The result of a handler that was stopped, or whose file could not be loaded.
fn failed_report(context: &str, message: String) -> HandlerReport {
    let context: Value = serde_json::from_str(context).unwrap_or_default();
    let error = HandlerError { message, error_type: Some("Code".into()), data: Value::Null, info: Value::Null };
    HandlerReport {
        outcome: Outcome::Raised(error),
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

/// Replaces lone surrogates by question marks, as Java does when it writes UTF-8. `JSON.stringify` escapes
/// nothing else as `\ud…`.
fn replace_lone_surrogates(json: &str) -> Cow<'_, str> {
    if !json.contains("\\ud") {
        return json.into();
    }
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some((before, escape)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
        let is_surrogate = escape.starts_with("\\ud");
        let (escape, after) = escape.split_at_checked(if is_surrogate { 6 } else { 2 }).unwrap_or((escape, ""));
        text.push_str(before);
        text.push_str(if is_surrogate { "?" } else { escape });
        rest = after;
    }
    text.push_str(rest);
    text.into()
}
