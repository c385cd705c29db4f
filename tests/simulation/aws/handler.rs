//! Our function as Lambda runs it: everything it reaches is here.
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ::api::types::{FailureCode, TurnStatus};
use futures::Stream;
use handler::{
    InvocationContext, Table,
    clock::Clock,
    errors::HandlerError,
    event_loop::Effects,
    publishing::{classify_response, request_body},
};
use http::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, timeout};
use turn::{
    deadlines::Deadlines,
    direct_write::{DirectWrite, WriteFailure},
    mutation::{Mutation, PublishFailure},
    types::{ModelRequest, StreamEvent},
};
use uuid::Uuid;

use super::{api, bedrock, invocation, sdk};
use crate::{network::Trouble, weather::Link, world::World};

/// As long as the handler's own HTTP client waits.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn serve(world: &Arc<World>, function: &str, payload: Value, left: Duration) -> Result<(), HandlerError> {
    let table = sdk::table(world, function);
    let clock = Clock::starting_at(world.handler_time());
    let holder = world.dice(|dice| Uuid::from_u64_pair(dice.draw(), dice.draw()));
    let effects = Here {
        world: Arc::clone(world),
        function: function.to_owned(),
        table: &table,
        clock,
        streams: Mutex::default(),
    };
    let context = InvocationContext {
        table: &table,
        effects: &effects,
        clock,
        deadlines: Deadlines::within(Instant::now().into_std(), left),
        holder,
        limits: world.limits,
    };
    let served = handler::serve(payload, &context).await;
    if let Err(error) = &served {
        world.trace(|| format!("{function}: {error}"));
    }
    served
}

struct Here<'a> {
    world: Arc<World>,
    function: String,
    table: &'a Table,
    clock: Clock,
    /// The answers of the model that this invocation has heard.
    streams: Mutex<Vec<usize>>,
}

impl Here<'_> {
    fn streams(&self) -> MutexGuard<'_, Vec<usize>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sends(&self, mutation: &Mutation, body: &[u8]) {
        let streams = self.streams().clone();
        self.world.note(|record| record.sends(mutation, body, &streams));
    }
}

impl Effects for Here<'_> {
    fn call_model(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, FailureCode>> + Send {
        let (number, stream) = bedrock::converse(Arc::clone(&self.world), &request);
        self.streams().push(number);
        stream
    }

    async fn publish(&self, mutation: Arc<Mutation>) -> Result<TurnStatus, PublishFailure> {
        let mut sent = request_body(&mutation);
        self.sends(&mutation, &sent);
        if let Some(sabotage) = self.world.sabotage {
            sent = sabotage.of_publishes(sent);
        }
        let sent = String::from_utf8(sent).expect("a request is text");
        invocation::reach(&self.world, "a publish").await;
        let caller = self.world.stage.publisher(&self.function);
        let answer = timeout(PUBLISH_TIMEOUT, api::request(&self.world, Link::HandlerToApi, caller, sent)).await;
        invocation::reach(&self.world, "a publish's answer").await;
        let result = match answer.unwrap_or(Err(Trouble::Broken)) {
            Ok(body) => classify_response(StatusCode::OK, &body),
            Err(Trouble::Broken) => Err(PublishFailure::Retryable),
            Err(Trouble::Throttled) => classify_response(StatusCode::TOO_MANY_REQUESTS, b""),
            Err(Trouble::Failed) => classify_response(StatusCode::SERVICE_UNAVAILABLE, b""),
        };
        self.world.trace(|| {
            let (attempt, sequence) = (mutation.claim.attempt, mutation.sequence);
            format!("publish {} of attempt {attempt}, {sequence}: {result:?}", mutation.claim.turn_id)
        });
        result
    }

    async fn write(&self, write: DirectWrite) -> Result<TurnStatus, WriteFailure> {
        if let DirectWrite::StoreEvent(mutation) = &write {
            self.sends(mutation, &request_body(mutation));
        }
        let result = self.table.write_directly(write.clone(), self.clock.now()).await;
        self.world.trace(|| match &write {
            DirectWrite::RenewLease(claim) => {
                format!("renew {} of attempt {}: {result:?}", claim.turn_id, claim.attempt)
            }
            DirectWrite::StoreEvent(mutation) => format!("write {} directly: {result:?}", mutation.sequence),
        });
        result
    }
}
