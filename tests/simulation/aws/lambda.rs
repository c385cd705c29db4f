//! The Lambda service: Event invocations wait in a queue, are delivered at least once, retried and given up.
use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use local::{
    graphql::FunctionBackend,
    lambda::{
        InvocationType, InvokeError,
        retry_policy::{Decision, FailureCondition, Outcome, TryCounts, decide},
    },
    stack::Function,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    handler,
    invocation::{self, Ending},
};
use crate::{
    network::Trouble,
    weather::{Fault, Link},
    world::World,
};

pub struct Queue;

impl FunctionBackend for Queue {
    fn invoke<'a>(
        &'a self,
        function: &'a str,
        kind: InvocationType,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, InvokeError>> {
        assert_eq!(kind, InvocationType::Event, "resolvers do not wait for functions");
        Box::pin(async move {
            let world = World::current();
            let (queue, name) = (Arc::clone(&world), function.to_owned());
            let accept = move || {
                let (queue, name, payload) = (Arc::clone(&queue), name.clone(), payload.clone());
                async move { accept(&queue, &name, payload) }
            };
            match world.call(Link::ResolverToLambda, accept).await {
                Ok(()) => Ok(Value::Null),
                Err(Trouble::Throttled) => Err(InvokeError::Throttled),
                Err(Trouble::Failed | Trouble::Broken) => Err(InvokeError::Stopped),
            }
        })
    }
}

/// Delivered at least once: now and then twice.
fn accept(world: &Arc<World>, function: &str, payload: Value) {
    let name = function.rsplit(':').next().unwrap_or(function);
    let function = &world.stage.functions[name];
    let twice = world.strikes(|weather| weather.doubles, Fault::DeliveredTwice);
    for after in [Some(Duration::ZERO), twice.then(|| world.dice(|dice| dice.seconds(0..100)))].into_iter().flatten() {
        let chain = world.note(|record| record.ordered(function, &payload));
        let (world, function, payload) = (Arc::clone(world), function.clone(), payload.clone());
        tokio::spawn(async move {
            sleep(after).await;
            let ended = deliver(&world, &function, &payload).await;
            world.note(|record| record.chains[chain].ended = Some(ended));
        });
    }
}

/// True when the last try of the order succeeded.
async fn deliver(world: &Arc<World>, function: &Function, payload: &Value) -> bool {
    let queued = Instant::now();
    let late = world.strikes(|weather| weather.lateness, Fault::DeliveredLate);
    sleep(world.dice(|dice| if late { dice.seconds(1..290) } else { dice.milliseconds(2..120) })).await;
    let mut tries = TryCounts::default();
    loop {
        let outcome = attempt(world, function, payload).await;
        tries = tries.after(outcome);
        match decide(outcome, tries, queued.elapsed(), &function.event_invoke) {
            Decision::Done => return true,
            Decision::RetryAfter(delay) => sleep(delay).await,
            Decision::Discard(condition) => {
                give_up(world, function, payload, condition);
                return false;
            }
        }
    }
}

async fn attempt(world: &Arc<World>, function: &Function, payload: &Value) -> Outcome {
    if world.strikes(|weather| weather.lateness / 2, Fault::InvokeThrottled) {
        return Outcome::Throttled;
    }
    let time = Duration::from_secs(function.timeout_seconds.into());
    world.trace(|| format!("{} begins", function.name));
    let work = handler::serve(world, &function.name, payload.clone(), time);
    let ending = invocation::run(world, time, work).await;
    world.trace(|| format!("{} ends: {ending:?}", function.name));
    match ending {
        Ending::Answered => Outcome::Succeeded,
        Ending::Failed | Ending::Killed | Ending::TimedOut => Outcome::Failed,
    }
}

fn give_up(world: &Arc<World>, function: &Function, payload: &Value, condition: FailureCondition) {
    world.trace(|| format!("an order of {} is given up: {condition:?}", function.name));
    let Some(destination) = &function.event_invoke.on_failure else { return };
    let record = json!({
        "version": "1.0",
        "timestamp": world.timestamp().to_string(),
        "requestContext": {
            "requestId": format!("r{}", world.dice(|dice| dice.draw())),
            "functionArn": function.arn,
            "condition": format!("{condition:?}"),
            "approximateInvokeCount": 3,
        },
        "requestPayload": payload,
        "responseContext": null,
        "responsePayload": null,
    });
    accept(world, destination, record);
}
