//! Publishes messages for clients to channels of AppSync Events.
use api::delivery::DeliveryError;
use turn::replies::{ReplyFailure, ReplyMessage};

pub use api::delivery::EventsApi;

/// Tries once. An event that AppSync does not take is not sent again.
pub async fn publish(events_api: &EventsApi, channel: &str, messages: &[ReplyMessage]) -> Result<(), ReplyFailure> {
    let events: Vec<&str> = messages.iter().map(|message| message.text.as_str()).collect();
    let failed_events = events_api.publish(channel, &events).await.map_err(|error| {
        tracing::info!(%error, "events not published");
        reply_failure(&error)
    })?;
    for failed in failed_events {
        let sequence = messages.get(failed.index).map(|message| message.sequence);
        tracing::info!(sequence, code = failed.code, "event not published");
    }
    Ok(())
}

pub fn reply_failure(error: &DeliveryError) -> ReplyFailure {
    match error {
        DeliveryError::Gone => ReplyFailure::Gone,
        _ if error.is_retryable() => ReplyFailure::Retryable,
        _ => ReplyFailure::Refused,
    }
}
