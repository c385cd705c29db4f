//! Runs one resolver: its handlers, its functions and their data sources.
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::{
    task::yield_now,
    time::{Instant, timeout_at},
};

use super::{
    bindings::{BoundFunction, BoundResolver},
    data_sources::{DataSourceResult, DataSources},
    resolver_error::ResolverError,
    thread_engine,
};
use crate::{
    lone_surrogates,
    resolver::{Handler, HandlerError, HandlerReport, Invalidation, Outcome, SkipTo},
    stack::Code,
};

/// The members of `ctx` that are the same for all handlers of one resolver run.
pub struct ResolverContext {
    pub source: Value,
    pub identity: Value,
    pub info: Value,
    pub request: Value,
    pub environment: Value,
    /// Whether the texts of `info` and of the arguments are encoded by `lone_surrogates`.
    pub has_lone_surrogates: bool,
    /// The end of the request's time.
    pub deadline: Instant,
}

/// The result of a resolver run, with the side effects that its handlers requested.
#[derive(Default)]
pub struct ResolverOutput {
    pub value: Value,
    pub error: Option<ResolverError>,
    pub appended_errors: Vec<HandlerError>,
    pub subscription_filter: Option<Value>,
    pub invalidation_filter: Option<Value>,
    pub invalidations: Vec<Invalidation>,
    pub response_headers: Vec<(String, String)>,
}

pub async fn run(
    resolver: &BoundResolver,
    data_sources: &DataSources,
    context: ResolverContext,
    arguments: Value,
) -> ResolverOutput {
    let mut run = ResolverRun {
        data_sources,
        context,
        arguments,
        stash: json!({}),
        previous_result: None,
        output: ResolverOutput::default(),
    };
    let result = match resolver {
        BoundResolver::Unit(function) => run.run_function(function).await.map(|(value, _)| value),
        BoundResolver::Pipeline { code, functions } => run.run_pipeline(code, functions).await,
    };
    match result {
        Ok(value) => run.output.value = value,
        Err(error) => run.output.error = Some(error),
    }
    run.output
}

struct ResolverRun<'a> {
    data_sources: &'a DataSources,
    context: ResolverContext,
    arguments: Value,
    stash: Value,
    /// `ctx.prev.result`. `ctx.prev` is null before the first function of a pipeline, and in a unit resolver.
    previous_result: Option<Value>,
    output: ResolverOutput,
}

/// The members of `ctx` without texts of the client. Serializing a struct spares the copy of all members into
/// one JSON value.
#[derive(Serialize)]
struct HandlerContext<'a> {
    env: &'a Value,
    error: Option<Value>,
    identity: &'a Value,
    prev: Option<PreviousResult<'a>>,
    request: &'a Value,
    result: Value,
    source: &'a Value,
    stash: Value,
}

#[derive(Serialize)]
struct PreviousResult<'a> {
    result: &'a Value,
}

/// The value of a handler and how the handler returned it.
enum HandlerResult {
    Returned(Value),
    EarlyReturn(Value, SkipTo),
}

impl ResolverRun<'_> {
    async fn run_pipeline(&mut self, code: &Code, functions: &[BoundFunction]) -> Result<Value, ResolverError> {
        let before = self.call_handler(code, Handler::Request, DataSourceResult::default()).await?;
        let (value, runs_functions) = match before {
            HandlerResult::Returned(value) | HandlerResult::EarlyReturn(value, SkipTo::Next) => (value, true),
            HandlerResult::EarlyReturn(value, SkipTo::End | SkipTo::Unspecified) => (value, false),
        };
        self.previous_result = Some(value);
        if runs_functions {
            self.run_functions(functions).await?;
        }
        let last_result = DataSourceResult { result: self.previous_result.clone().unwrap_or_default(), error: None };
        match self.call_handler(code, Handler::Response, last_result).await? {
            HandlerResult::Returned(value) | HandlerResult::EarlyReturn(value, _) => Ok(value),
        }
    }

    async fn run_functions(&mut self, functions: &[BoundFunction]) -> Result<(), ResolverError> {
        for function in functions {
            let (value, skip_to) = self.run_function(function).await?;
            self.previous_result = Some(value);
            if skip_to == SkipTo::End {
                break;
            }
        }
        Ok(())
    }

    async fn run_function(&mut self, function: &BoundFunction) -> Result<(Value, SkipTo), ResolverError> {
        let code = &function.code;
        let request = match self.call_handler(code, Handler::Request, DataSourceResult::default()).await? {
            HandlerResult::Returned(request) => request,
            HandlerResult::EarlyReturn(value, skip_to) => return Ok((value, skip_to)),
        };
        let response = self.data_sources.send(&function.data_source, &request);
        let response = timeout_at(self.context.deadline, response).await;
        let response = response.unwrap_or(Err(ResolverError::TimedOut))?;
        match self.call_handler(code, Handler::Response, response).await? {
            HandlerResult::Returned(value) => Ok((value, SkipTo::Next)),
            HandlerResult::EarlyReturn(value, skip_to) => Ok((value, skip_to)),
        }
    }

    /// Runs a handler on the current thread. A handler blocks its thread, so other tasks run first.
    async fn call_handler(
        &mut self,
        code: &Code,
        handler: Handler,
        result: DataSourceResult,
    ) -> Result<HandlerResult, ResolverError> {
        yield_now().await;
        let time_left = self.time_left()?;
        let original_arguments = self.context.has_lone_surrogates.then(|| self.arguments.clone());
        let context = self.take_context_json(result);
        let run = thread_engine::run_handler(code, handler, &context, time_left).map_err(ResolverError::internal)?;
        let handler_result = self.record(code, run);
        // The engine returns arguments without lone surrogates. Unchanged arguments are restored.
        if let Some(original) = original_arguments {
            let is_unchanged = lone_surrogates::decode_value_lossy(&original) == self.arguments;
            self.arguments = if is_unchanged { original } else { encode_texts(&self.arguments) };
        }
        self.time_left()?;
        handler_result
    }

    fn time_left(&self) -> Result<Duration, ResolverError> {
        let time_left = self.context.deadline.saturating_duration_since(Instant::now());
        if time_left.is_zero() { Err(ResolverError::TimedOut) } else { Ok(time_left) }
    }

    /// Serializes `ctx`. Takes the arguments and the stash, because `record` replaces them after the handler.
    fn take_context_json(&mut self, result: DataSourceResult) -> String {
        let arguments = self.client_json(&self.arguments);
        let info = self.client_json(&self.context.info);
        self.arguments = Value::Null;
        let context = HandlerContext {
            env: &self.context.environment,
            error: result.error,
            identity: &self.context.identity,
            prev: self.previous_result.as_ref().map(|result| PreviousResult { result }),
            request: &self.context.request,
            result: result.result,
            source: &self.context.source,
            stash: self.stash.take(),
        };
        let context = serde_json::to_string(&context).expect("JSON values can be serialized");
        format!("{{\"arguments\":{arguments},\"info\":{info},{}", context.strip_prefix('{').unwrap_or_default())
    }

    /// The JSON of a value with texts of the client.
    fn client_json(&self, value: &Value) -> String {
        let json = value.to_string();
        if self.context.has_lone_surrogates { lone_surrogates::decode_json(&json) } else { json }
    }

    /// Stores the side effects of a handler run and returns its result.
    fn record(&mut self, code: &Code, report: HandlerReport) -> Result<HandlerResult, ResolverError> {
        for line in &report.logs {
            tracing::debug!(path = code.path, "{line}");
        }
        self.arguments = report.arguments;
        self.stash = report.stash;
        self.output.appended_errors.extend(report.appended);
        self.output.invalidations.extend(report.invalidations);
        self.output.response_headers.extend(report.response_headers);
        self.output.subscription_filter = report.subscription_filter.or(self.output.subscription_filter.take());
        self.output.invalidation_filter = report.invalidation_filter.or(self.output.invalidation_filter.take());
        match report.outcome {
            Outcome::Returned(value) => Ok(HandlerResult::Returned(value)),
            Outcome::EarlyReturn { value, skip_to } => Ok(HandlerResult::EarlyReturn(value, skip_to)),
            Outcome::Raised(raised) => Err(ResolverError::Raised(raised)),
            Outcome::Unauthorized => Err(ResolverError::Unauthorized),
        }
    }
}

/// Encodes the texts of arguments that a handler has changed.
fn encode_texts(value: &Value) -> Value {
    match value {
        Value::String(text) => lone_surrogates::encode(text).into(),
        Value::Array(items) => items.iter().map(encode_texts).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), encode_texts(member))).collect(),
        other => other.clone(),
    }
}
