//! The Lambda that answers turns: claims one, reads what was said, streams the model, publishes. As the closer it ends
//! those whose invocations have failed for good.
pub mod settings;

pub mod clock;
pub mod errors;
pub mod relay;

mod answering;
mod aws;
mod closing;
#[cfg(test)]
mod rehearsal;

use std::{sync::Arc, time::SystemTime};

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use tracing::{Instrument, info_span};
use turn::{
    limits::{Bounds, Limits},
    request::Invocation,
};
use uuid::Uuid;

use crate::{aws::Aws, clock::Clock, errors::HandlerError, relay::Outside, settings::Settings};

pub use aws::{Table, TableError};

/// What is sent to AppSync, and what its answers mean.
pub mod publishing {
    pub use crate::aws::{body, verdict};
}

/// Serves invocations until the environment ends: what the binary `bootstrap` does, and each environment of the laptop
/// edition. Sets the process's tracing subscriber.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    let aws = Arc::new(Aws::connect(&settings).await?);
    lambda_runtime::run(service_fn(move |event| receive(event, Arc::clone(&aws), settings.bounds))).await
}

async fn receive(event: LambdaEvent<Value>, aws: Arc<Aws>, bounds: Bounds) -> Result<(), HandlerError> {
    let clock = Clock::starting_at(SystemTime::now());
    let left = event.context.deadline().duration_since(clock.now()).unwrap_or_default();
    let invoked = Invoked {
        table: &aws.table,
        outside: &aws.during(clock),
        clock,
        limits: Limits::within(clock::now(), left),
        holder: Uuid::new_v4(),
        bounds,
    };
    // A future of this depth is more than the compiler lays out in one piece.
    Box::pin(serve(event.payload, &invoked)).await
}

/// What one invocation is served with.
pub struct Invoked<'a, O> {
    pub table: &'a Table,
    pub outside: &'a O,
    pub clock: Clock,
    pub limits: Limits,
    /// Random: tells its claim from all others.
    pub holder: Uuid,
    pub bounds: Bounds,
}

impl<O> Invoked<'_, O> {
    /// Sets its waits apart from those of other invocations.
    fn salt(&self) -> u64 {
        self.holder.as_u64_pair().0
    }
}

/// Answers a turn, purges a conversation, or closes what a failure record names.
pub async fn serve<O: Outside>(payload: Value, invoked: &Invoked<'_, O>) -> Result<(), HandlerError> {
    if closing::is_failure_record(&payload) {
        return Box::pin(closing::close_failed(payload, invoked)).await;
    }
    match serde_json::from_value(payload).map_err(HandlerError::payload)? {
        Invocation::Turn(request) => {
            let span =
                info_span!("turn", conversation = request.conversation_id, turn = request.turn_id, run = request.run);
            Box::pin(answering::answer(*request, invoked)).instrument(span).await
        }
        Invocation::Purge(request) => {
            let span = info_span!("purge", conversation = request.conversation_id);
            let purge = invoked.table.purge(&request.conversation_id, invoked.clock.now());
            Ok(Box::pin(purge).instrument(span).await?)
        }
    }
}
