//! What answers: a [`Model`] gets a request and returns the events of its answer.
//!
//! A model is the only part of a handler that another foundation model needs. Turns, attempts, publishing,
//! retries of a busy model, tools, approvals, cancels and deadlines are the handler's.
use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::{FutureExt, Stream, StreamExt, future, stream};
use tokio::task::consume_budget;

pub use crate::aws::Bedrock;
pub use api::types::{FailureCode, InferenceSettings, StopReason, ToolUse, Usage};
pub use turn::{
    model::{
        CitedPassage, ModelError, ModelRequest, ModelStop, ReasoningPart, Role, SearchResult, StreamEvent, ToolOutput,
        TranscriptBlock, TranscriptMessage,
    },
    tool::Tool as AgentTool,
};

/// Answers requests.
///
/// # The events of an answer
///
/// 1. [`StreamEvent::Text`] for each piece of text, as soon as the model has sent it. Pieces of the same
///    `block` are one text; a new text after a tool call has another block.
/// 2. [`StreamEvent::ToolUse`] where a tool call begins, and then [`StreamEvent::ToolInput`] for each piece
///    of its arguments, which together are the JSON text of an object. Each call has a block of its own. The
///    names are those of [`ModelRequest::tools`]. An id that is not unique in the conversation, or that is
///    not 1 to 64 of `A-Z a-z 0-9 _ . : -`, is replaced.
/// 3. [`StreamEvent::MessageStop`] once. After [`ModelStop::ToolUse`] the handler runs the tools and sends
///    another request, whose transcript has their results.
/// 4. [`StreamEvent::Usage`] at most once. It is the last event that is read. Without it, the tokens are
///    estimated for the user's quota.
///
/// Any event counts as a sign of life: a model that thinks for long without text may send
/// [`StreamEvent::Other`]. The turn fails with `MODEL_SILENT` where no event comes for `ModelSilenceSeconds`.
///
/// # Errors
///
/// The first error ends the stream.
///
/// - [`ModelError::ThrottledBriefly`] before any content: the request is repeated, with growing delays, while
///   there is time. Then, and after content, the turn keeps its text and fails with `THROTTLED`.
/// - [`ModelError::SearchResultsRefused`] before any content of a request with search results: the request is
///   repeated at once, with text in their place, at most once in a turn. Else the turn fails with
///   `MODEL_REFUSED`.
/// - [`ModelError::Failed`]: the turn keeps its text and fails with this code.
/// - The stream ends without `MessageStop`: the turn keeps its text and fails with `MODEL_UNAVAILABLE`.
/// - An error after `MessageStop`: none, because the answer is complete.
/// - A panic: the turn keeps its text and fails with `INTERNAL`.
///
/// The code says who can help: `MODEL_UNAVAILABLE` and `THROTTLED` for what a later retry may mend,
/// `MODEL_REFUSED` for a conversation that the model does not take, `SETTINGS_REFUSED` for the agent's
/// inference settings, `MODEL_NOT_ALLOWED` for its model id or the credentials, `INTERNAL` for defects. The
/// user gets a fixed sentence for each. A model logs the reason itself, and no text of the conversation with
/// it.
pub trait Model: Send + Sync + 'static {
    /// Answers one request. The stream sends the request when it is first polled. It is dropped after its
    /// last event, and earlier when the user cancels, at the deadline, or after a long silence: dropping it
    /// is to close the connection. Nothing in it may block the thread, which serves the whole turn.
    fn answer(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, ModelError>> + Send;
}

/// The answer of a model, in which a panic is an error.
pub(crate) fn answer<M: Model>(
    model: &M,
    request: Arc<ModelRequest>,
) -> impl Stream<Item = Result<StreamEvent, ModelError>> + Send {
    let events = stream::once(future::lazy(|_| model.answer(request))).flatten();
    // A stream that always has an event would keep the task from reading its sockets.
    let events = events.then(|event| consume_budget().map(|()| event));
    AssertUnwindSafe(events).catch_unwind().map(|event| {
        event.unwrap_or_else(|_| {
            tracing::error!("the model panicked");
            Err(ModelError::Failed(FailureCode::Internal))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    /// Panics before its stream, after a text, or never ends.
    enum Faulty {
        AtOnce,
        AfterText,
        Endless,
    }

    impl Model for Faulty {
        fn answer(&self, _: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, ModelError>> + Send {
            assert!(!matches!(self, Self::AtOnce), "deliberate");
            let is_endless = matches!(self, Self::Endless);
            stream::iter(0..).map(move |number| {
                assert!(is_endless || number == 0, "deliberate");
                Ok(text())
            })
        }
    }

    fn text() -> StreamEvent {
        StreamEvent::Text { block: 0, text: "So".into() }
    }

    fn request() -> Arc<ModelRequest> {
        Arc::new(ModelRequest {
            model_id: "any".into(),
            system_prompt: None,
            inference: InferenceSettings::default(),
            ..ModelRequest::default()
        })
    }

    #[tokio::test]
    async fn panic_of_a_model_is_the_last_event_of_its_answer() {
        let failure = || Err(ModelError::Failed(FailureCode::Internal));
        let events: Vec<_> = answer(&Faulty::AtOnce, request()).collect().await;
        assert_eq!(events, [failure()]);
        let events: Vec<_> = answer(&Faulty::AfterText, request()).collect().await;
        assert_eq!(events, [Ok(text()), failure()]);
    }

    #[tokio::test]
    async fn model_that_always_has_an_event_leaves_time_for_others() {
        let endless = answer(&Faulty::Endless, request()).for_each(|_| future::ready(()));
        let other = sleep(Duration::from_millis(1));
        let ended = timeout(Duration::from_secs(60), future::select(Box::pin(other), Box::pin(endless))).await;
        assert!(matches!(ended, Ok(future::Either::Left(_))));
    }
}
