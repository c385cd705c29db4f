//! One resolver's way: its handlers, its functions, their data sources.
use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    task::yield_now,
    time::{Instant, timeout_at},
};

use crate::graphql::{
    execution::bindings::{Bound, Step},
    execution::data_sources::{Answer, Sources},
    execution::resolver_error::Refusal,
    execution::thread_engine,
    lone_surrogates,
};
use crate::{
    resolver::{Handler, Invalidation, Outcome, Raised, Run, SkipTo},
    stack::Code,
};

/// What every handler of one resolver run sees alike.
pub struct Surroundings {
    pub source: Value,
    pub identity: Value,
    pub info: Value,
    pub request: Value,
    pub environment: Value,
    /// Whether private characters stand for halves of surrogate pairs.
    pub halves: bool,
    /// When the request's time is over.
    pub deadline: Instant,
}

/// What a resolver run came to, with what its handlers asked for beside its value.
#[derive(Default)]
pub struct Resolution {
    pub value: Value,
    pub refused: Option<Refusal>,
    pub appended: Vec<Raised>,
    pub subscription_filter: Option<Value>,
    pub invalidation_filter: Option<Value>,
    pub invalidations: Vec<Invalidation>,
    pub response_headers: Vec<(String, String)>,
}

pub async fn resolve(bound: &Bound, sources: &Sources, around: Surroundings, arguments: Value) -> Resolution {
    let mut pass =
        Pass { sources, around, arguments, stash: json!({}), prev: Value::Null, found: Resolution::default() };
    let ending = match bound {
        Bound::Unit(step) => pass.step(step).await.map(|(value, _)| value),
        Bound::Pipeline { code, steps } => pass.pipeline(code, steps).await,
    };
    match ending {
        Ok(value) => pass.found.value = value,
        Err(refusal) => pass.found.refused = Some(refusal),
    }
    pass.found
}

struct Pass<'a> {
    sources: &'a Sources,
    around: Surroundings,
    arguments: Value,
    stash: Value,
    /// What the step before returned.
    prev: Value,
    found: Resolution,
}

/// What a handler returned, and by which way.
enum Left {
    Plainly(Value),
    Early(Value, SkipTo),
}

impl Pass<'_> {
    async fn pipeline(&mut self, code: &Code, steps: &[Step]) -> Result<Value, Refusal> {
        let (first, functions_follow) = match self.call(code, Handler::Request, Answer::default()).await? {
            Left::Plainly(value) | Left::Early(value, SkipTo::Next) => (value, true),
            Left::Early(value, SkipTo::End | SkipTo::Unsaid) => (value, false),
        };
        self.prev = first;
        for step in steps.iter().filter(|_| functions_follow) {
            let (value, skip_to) = self.step(step).await?;
            self.prev = value;
            if skip_to == SkipTo::End {
                break;
            }
        }
        let last = Answer { result: self.prev.clone(), error: None };
        match self.call(code, Handler::Response, last).await? {
            Left::Plainly(value) | Left::Early(value, _) => Ok(value),
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(Value, SkipTo), Refusal> {
        let request = match self.call(&step.code, Handler::Request, Answer::default()).await? {
            Left::Plainly(request) => request,
            Left::Early(value, skip_to) => return Ok((value, skip_to)),
        };
        let asked = self.sources.ask(&step.source, &request);
        let answer = timeout_at(self.around.deadline, asked).await.unwrap_or(Err(Refusal::OutOfTime))?;
        match self.call(&step.code, Handler::Response, answer).await? {
            Left::Plainly(value) => Ok((value, SkipTo::Next)),
            Left::Early(value, skip_to) => Ok((value, skip_to)),
        }
    }

    /// A handler keeps its thread for as long as it runs: before it, others have their turn.
    async fn call(&mut self, code: &Code, handler: Handler, answer: Answer) -> Result<Left, Refusal> {
        yield_now().await;
        let time_left = self.time_left()?;
        let given = self.around.halves.then(|| self.arguments.clone());
        let context = self.context(answer);
        let run = thread_engine::run(code, handler, &context, time_left).map_err(Refusal::internal)?;
        let left = self.note(code, run);
        // A handler's report has lost its halves: arguments that it left alone are as they came.
        if let Some(given) = given.filter(|given| lone_surrogates::lost(given) == self.arguments) {
            self.arguments = given;
        }
        self.time_left().and(left)
    }

    fn time_left(&self) -> Result<Duration, Refusal> {
        let left = self.around.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Refusal::OutOfTime) } else { Ok(left) }
    }

    /// `ctx`, as JSON text.
    fn context(&mut self, answer: Answer) -> String {
        let context = json!({
            "arguments": self.arguments.take(),
            "source": self.around.source,
            "identity": self.around.identity,
            "info": self.around.info,
            "request": self.around.request,
            "env": self.around.environment,
            "stash": self.stash.take(),
            "prev": { "result": self.prev },
            "result": answer.result,
            "error": answer.error,
        });
        let context = context.to_string();
        if self.around.halves { lone_surrogates::restored(&context) } else { context }
    }

    fn note(&mut self, code: &Code, run: Run) -> Result<Left, Refusal> {
        for line in &run.logs {
            tracing::debug!(path = code.path, "{line}");
        }
        self.arguments = run.arguments;
        self.stash = run.stash;
        self.found.appended.extend(run.appended);
        self.found.invalidations.extend(run.invalidations);
        self.found.response_headers.extend(run.response_headers);
        self.found.subscription_filter = run.subscription_filter.or(self.found.subscription_filter.take());
        self.found.invalidation_filter = run.invalidation_filter.or(self.found.invalidation_filter.take());
        match run.outcome {
            Outcome::Returned(value) => Ok(Left::Plainly(value)),
            Outcome::EarlyReturn { value, skip_to } => Ok(Left::Early(value, skip_to)),
            Outcome::Raised(raised) => Err(Refusal::Raised(raised)),
            Outcome::Unauthorized => Err(Refusal::Unauthorized),
        }
    }
}
