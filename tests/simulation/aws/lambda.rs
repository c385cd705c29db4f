//! A simulated Lambda service: events wait in a queue, are delivered at least once, retried, and finally
//! discarded.
use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use local::{
    graphql::FunctionBackend,
    lambda::{
        InvocationType, InvokeError,
        retry_policy::{Decision, FailureCondition, Outcome, TryCounts, decide},
    },
    stack::{FailureDestination, Function},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    handler,
    invocation::{self, InvocationEnd},
};
use crate::{
    environment::Environment,
    fault_profile::{Fault, Link},
    network::CallError,
    recorder::DeliveryState,
};

pub struct EventQueue;

impl FunctionBackend for EventQueue {
    fn invoke<'a>(
        &'a self,
        function: &'a str,
        kind: InvocationType,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, InvokeError>> {
        Box::pin(async move {
            let environment = Environment::current();
            if kind == InvocationType::RequestResponse {
                return respond(&environment, function, payload).await;
            }
            let (queue, function) = (Arc::clone(&environment), function.to_owned());
            let execute = move || {
                let (queue, function, payload) = (Arc::clone(&queue), function.clone(), payload.clone());
                async move { enqueue(&queue, &function, payload) }
            };
            match environment.call(Link::ResolverToLambda, execute).await {
                Ok(()) => Ok(Value::Null),
                Err(CallError::Throttled) => Err(InvokeError::Throttled),
                Err(CallError::ServerError | CallError::ConnectionLost) => Err(InvokeError::Stopped),
            }
        })
    }
}

/// Invokes a function without faults and waits for its response.
async fn respond(environment: &Arc<Environment>, function: &str, payload: Value) -> Result<Value, InvokeError> {
    let function = find_function(environment, function);
    let timeout = Duration::from_secs(function.timeout_seconds.into());
    handler::serve(environment, &function.name, payload, timeout).await.map_err(|_| InvokeError::Stopped)
}

/// A function by name or ARN.
fn find_function<'a>(environment: &'a Environment, function: &str) -> &'a Function {
    let name = function.rsplit(':').next().unwrap_or(function);
    &environment.fixture.functions[name]
}

/// Queues an event for a function, given by name or ARN. Some events are delivered twice.
fn enqueue(environment: &Arc<Environment>, function: &str, payload: Value) {
    let function = find_function(environment, function);
    let mut delays = vec![Duration::ZERO];
    if environment.should_inject(Fault::EventDeliveredTwice, |profile| profile.duplicate_deliveries) {
        delays.push(environment.with_rng(|rng| rng.seconds(0..100)));
    }
    for delay in delays {
        let event = environment.with_recorder(|recorder| recorder.record_event(function, &payload));
        let (environment, function, payload) = (Arc::clone(environment), function.clone(), payload.clone());
        tokio::spawn(async move {
            sleep(delay).await;
            let state = deliver(&environment, &function, &payload).await;
            environment.with_recorder(|recorder| recorder.events[event].state = state);
        });
    }
}

/// Delivers an event until a try succeeds or the event is discarded.
async fn deliver(environment: &Arc<Environment>, function: &Function, payload: &Value) -> DeliveryState {
    let queued = Instant::now();
    let is_late = environment.should_inject(Fault::EventDeliveredLate, |profile| profile.late_deliveries);
    let delay = environment.with_rng(|rng| if is_late { rng.seconds(1..290) } else { rng.milliseconds(2..120) });
    sleep(delay).await;
    let mut counts = TryCounts::default();
    loop {
        if payload["type"] == "purge" {
            let now = environment.now_ms();
            environment.with_recorder(|recorder| *recorder.first_purge_ms.get_or_insert(now));
        }
        let outcome = invoke(environment, function, payload).await;
        counts = counts.after(outcome);
        match decide(outcome, counts, queued.elapsed(), &function.event_invoke) {
            Decision::Done => return DeliveryState::Succeeded,
            Decision::RetryAfter(delay) => sleep(delay).await,
            Decision::Discard(condition) => {
                discard(environment, function, payload, condition);
                return DeliveryState::Discarded;
            }
        }
    }
}

async fn invoke(environment: &Arc<Environment>, function: &Function, payload: &Value) -> Outcome {
    if environment.should_inject(Fault::InvocationThrottled, |profile| profile.late_deliveries / 2) {
        return Outcome::Throttled;
    }
    let timeout = Duration::from_secs(function.timeout_seconds.into());
    environment.trace(|| format!("{} begins", function.name));
    let work = handler::serve(environment, &function.name, payload.clone(), timeout);
    let end = invocation::run(environment, timeout, work).await;
    environment.trace(|| format!("{} ends: {end:?}", function.name));
    match end {
        InvocationEnd::Succeeded => Outcome::Succeeded,
        InvocationEnd::Failed | InvocationEnd::Killed | InvocationEnd::TimedOut => Outcome::Failed,
    }
}

/// Invokes the closer with a record of the event. The record of a failed closer stays in its queue.
fn discard(environment: &Arc<Environment>, function: &Function, payload: &Value, condition: FailureCondition) {
    environment.trace(|| format!("an event of {} is discarded: {condition:?}", function.name));
    let Some(FailureDestination::Function(closer)) = &function.event_invoke.on_failure else { return };
    let record = json!({
        "version": "1.0",
        "timestamp": environment.timestamp().to_string(),
        "requestContext": {
            "requestId": format!("r{}", environment.with_rng(|rng| rng.number())),
            "functionArn": function.arn,
            "condition": format!("{condition:?}"),
            "approximateInvokeCount": 3,
        },
        "requestPayload": payload,
        "responseContext": null,
        "responsePayload": null,
    });
    enqueue(environment, closer, record);
}
