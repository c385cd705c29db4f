//! Gives an untitled conversation a title after its first answer. Nothing depends on it: a conversation
//! without a title is complete, and so is the turn.
use std::sync::Arc;

use futures::{StreamExt, pin_mut};
use tokio::time::{Instant, timeout_at};
use turn::{
    model::{Guardrail, ModelError, ModelRequest, StreamEvent},
    mutation::PublishFailure,
    title::{first_words, title_request, written_title},
};

use crate::{InvocationContext, attempt_loop::Effects, clock};

/// How often the title is published. One that was accepted is refused the next time, because the conversation
/// has a title by then.
const MAX_TRIES: u32 = 3;
/// No more is read of a model once it has written so much, in bytes. The title is in its first line.
const MAX_TEXT_BYTES: usize = 2000;

/// What a title is made of.
pub struct Untitled {
    pub conversation_id: String,
    pub question: String,
    pub guardrail: Option<Guardrail>,
}

/// Asks the model for a title, or takes the first words of the question, and publishes it.
pub async fn give_title<E: Effects>(untitled: Untitled, context: &InvocationContext<'_, E>) {
    let until = context.deadlines.give_up_at.min(clock::now() + context.limits.title_timeout).into();
    let written = match context.title_model_id {
        Some(model_id) => written_by_model(model_id, &untitled, until, context).await,
        None => None,
    };
    let Some(title) = written.or_else(|| first_words(&untitled.question)) else { return };
    let publishing = publish(&untitled.conversation_id, &title, context);
    // The model may have used up its time: the first words are published nevertheless.
    let until = until.max((clock::now() + context.limits.bookkeeping_timeout).into());
    if timeout_at(until.min(context.deadlines.give_up_at.into()), publishing).await.is_err() {
        tracing::info!("the title was not published in time");
    }
}

async fn written_by_model<E: Effects>(
    model_id: &str,
    untitled: &Untitled,
    until: Instant,
    context: &InvocationContext<'_, E>,
) -> Option<String> {
    let request = title_request(model_id, &untitled.question, untitled.guardrail.clone());
    match timeout_at(until, read_text(context.effects, Arc::new(request))).await {
        Ok(Ok(text)) => {
            let title = text.as_deref().and_then(written_title);
            if title.is_none() {
                tracing::info!("the model wrote no title");
            }
            title
        }
        Ok(Err(error)) => {
            tracing::info!(?error, "no title was written");
            None
        }
        Err(_) => {
            tracing::info!("no title was written in time");
            None
        }
    }
}

/// `None` where a guardrail has intervened: then the text is the guardrail's.
async fn read_text<E: Effects>(effects: &E, request: Arc<ModelRequest>) -> Result<Option<String>, ModelError> {
    let events = effects.call_model(request);
    pin_mut!(events);
    let mut text = String::new();
    while let Some(event) = events.next().await {
        match event? {
            StreamEvent::Text { text: delta, .. } => {
                text.push_str(&delta);
                if text.len() >= MAX_TEXT_BYTES {
                    break;
                }
            }
            StreamEvent::Guardrail(findings) if findings.is_blocked => return Ok(None),
            StreamEvent::Usage(_) => break,
            _ => {}
        }
    }
    Ok(Some(text))
}

async fn publish<E: Effects>(conversation_id: &str, title: &str, context: &InvocationContext<'_, E>) {
    for failures in 1..=MAX_TRIES {
        match context.effects.publish_title(conversation_id, title).await {
            Ok(()) => return,
            Err(PublishFailure::Stale) => return tracing::debug!("the conversation has a title"),
            Err(PublishFailure::Refused) => return tracing::warn!("the title was refused"),
            Err(PublishFailure::Retryable) if failures == MAX_TRIES => break,
            Err(PublishFailure::Retryable) => {
                let delay = context.limits.publish_retry.seeded_delay(failures, context.jitter_seed());
                tokio::time::sleep(delay).await;
            }
        }
    }
    tracing::info!("the title was not published");
}
