//! One resolver's way: its handlers, its functions, their data sources.
use serde_json::{Value, json};

use super::{
    bindings::{Bound, Step},
    engines,
    sources::{Answer, Sources},
    surrogates,
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

/// Why a resolver run has no value.
pub enum Refusal {
    Raised(Raised),
    Unauthorized,
}

impl Refusal {
    /// A request to a data source that AppSync itself does not accept.
    pub fn mapping(message: impl Into<String>) -> Self {
        let error_type = Some("MappingTemplate".to_owned());
        Refusal::Raised(Raised { message: message.into(), error_type, data: Value::Null, info: Value::Null })
    }
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
        let (first, functions_follow) = match self.call(code, Handler::Request, Answer::default())? {
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
        match self.call(code, Handler::Response, last)? {
            Left::Plainly(value) | Left::Early(value, _) => Ok(value),
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(Value, SkipTo), Refusal> {
        let request = match self.call(&step.code, Handler::Request, Answer::default())? {
            Left::Plainly(request) => request,
            Left::Early(value, skip_to) => return Ok((value, skip_to)),
        };
        let answer = self.sources.ask(&step.source, &request).await?;
        match self.call(&step.code, Handler::Response, answer)? {
            Left::Plainly(value) => Ok((value, SkipTo::Next)),
            Left::Early(value, skip_to) => Ok((value, skip_to)),
        }
    }

    fn call(&mut self, code: &Code, handler: Handler, answer: Answer) -> Result<Left, Refusal> {
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
        let context = if self.around.halves { surrogates::restored(&context) } else { context };
        let run = engines::run(code, handler, &context)
            .map_err(|fault| Refusal::Raised(Raised { message: fault, ..internal_failure() }))?;
        self.note(code, run)
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

fn internal_failure() -> Raised {
    let error_type = Some("InternalFailure".to_owned());
    Raised { message: String::new(), error_type, data: Value::Null, info: Value::Null }
}
