//! The Lambda that answers turns: claims one, reads what was said, streams the model, publishes. As the closer it ends
//! those whose invocations have failed for good.
pub mod settings;

pub mod clock;
pub mod errors;
pub mod event_loop;

mod answer_turn;
mod aws;
mod orphan_closer;
#[cfg(test)]
mod test_support;

use std::{sync::Arc, time::SystemTime};

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use tracing::{Instrument, info_span};
use turn::{deadlines::Deadlines, limits::Limits, request::Invocation};
use uuid::Uuid;

use crate::{aws::Aws, clock::Clock, errors::HandlerError, event_loop::Effects, settings::Settings};

pub use aws::{Table, TableError};

/// What is sent to AppSync, and what its answers mean.
pub mod publishing {
    pub use crate::aws::{classify_response, request_body};
}

/// Serves invocations until the environment ends: what the binary `bootstrap` does, and each environment of the laptop
/// edition. Sets the process's tracing subscriber.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    let aws = Arc::new(Aws::connect(&settings).await?);
    lambda_runtime::run(service_fn(move |event| receive(event, Arc::clone(&aws), settings.limits))).await
}

async fn receive(event: LambdaEvent<Value>, aws: Arc<Aws>, limits: Limits) -> Result<(), HandlerError> {
    let clock = Clock::starting_at(SystemTime::now());
    let left = event.context.deadline().duration_since(clock.now()).unwrap_or_default();
    let context = InvocationContext {
        table: &aws.table,
        effects: &aws.clients(clock),
        clock,
        deadlines: Deadlines::within(clock::now(), left),
        holder: Uuid::new_v4(),
        limits,
    };
    // A future of this depth is more than the compiler lays out in one piece.
    Box::pin(serve(event.payload, &context)).await
}

/// What one invocation is served with.
pub struct InvocationContext<'a, O> {
    pub table: &'a Table,
    pub effects: &'a O,
    pub clock: Clock,
    pub deadlines: Deadlines,
    /// Random: tells its claim from all others.
    pub holder: Uuid,
    pub limits: Limits,
}

impl<O> InvocationContext<'_, O> {
    /// Sets its waits apart from those of other invocations.
    fn jitter_seed(&self) -> u64 {
        self.holder.as_u64_pair().0
    }
}

/// Answers a turn, purges a conversation, or closes what a failure record names.
pub async fn serve<O: Effects>(payload: Value, context: &InvocationContext<'_, O>) -> Result<(), HandlerError> {
    if orphan_closer::is_failure_record(&payload) {
        return Box::pin(orphan_closer::close_failed(payload, context)).await;
    }
    match serde_json::from_value(payload).map_err(HandlerError::payload)? {
        Invocation::Turn(request) => {
            let span =
                info_span!("turn", conversation = request.conversation_id, turn = request.turn_id, run = request.run);
            Box::pin(answer_turn::answer_turn(*request, context)).instrument(span).await
        }
        Invocation::Purge(request) => {
            let span = info_span!("purge", conversation = request.conversation_id);
            let purge = context.table.purge(&request.conversation_id, context.clock.now());
            Ok(Box::pin(purge).instrument(span).await?)
        }
    }
}
