//! Publishes that a tool call was answered while other calls of its turn still wait. A resolver has stored
//! the update, but only the handler can publish it.
use std::sync::Arc;

use tokio::time::timeout_at;
use turn::{
    claim::Claim,
    mutation::{Mutation, Update},
    request::PublishToolCallRequest,
};

use crate::{InvocationContext, attempt_loop::Effects, clock, errors::HandlerError, orphan_closer};

/// Succeeds if the turn has gone on since: then later updates have the state of the call.
pub async fn publish_tool_call<E: Effects>(
    request: PublishToolCallRequest,
    context: &InvocationContext<'_, E>,
) -> Result<(), HandlerError> {
    let PublishToolCallRequest { conversation_id, turn_id, run, attempt, sequence, tool_call } = request;
    let mutation = Mutation {
        // No event follows, so the position does not matter.
        claim: Claim { conversation_id, turn_id, run, attempt, last_position: 0 },
        sequence,
        update: Update::CallAnswered(tool_call),
    };
    let until = context.deadlines.give_up_at.min(clock::now() + context.limits.announce_timeout);
    let published = orphan_closer::publish_until_accepted(Arc::new(mutation), context);
    match timeout_at(until.into(), published).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(HandlerError::ToolCallNotPublished),
    }
}
