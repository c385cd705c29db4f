//! The event loop of an attempt: it performs the attempt's effects and feeds their results back. It decides
//! nothing.
use std::{
    future::pending,
    pin::{Pin, pin},
    sync::Arc,
    time::Instant,
};

use api::types::TurnStatus;
use futures::{
    FutureExt, Stream, StreamExt,
    future::{BoxFuture, Fuse},
    stream::FuturesUnordered,
};
use tokio::{select, time::sleep_until};
use turn::{
    attempt::{Attempt, Input},
    direct_write::{DirectWrite, WriteFailure},
    effect::{AttemptEnd, Effect},
    knowledge::RetrievalRequest,
    model::{ModelError, ModelRequest, StreamEvent},
    mutation::{Accepted, Mutation, PublishFailure},
    replies::{Replies, ReplyFailure, ReplyRequest},
    retrieval::RetrievalResult,
    tool::{ToolOutcome, ToolRun},
};

use crate::clock::now;

/// Performs the effects of an attempt.
pub trait Effects: Sync {
    /// The stream opens when it is first polled and closes when it is dropped.
    fn call_model(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, ModelError>> + Send;

    /// Searches documents once. Dropping the future abandons the search.
    fn retrieve(&self, request: Arc<RetrievalRequest>) -> impl Future<Output = RetrievalResult> + Send;

    /// Runs a tool once, until its time is over. Returns the id of the call. Dropping the future abandons the
    /// run.
    fn run_tool(&self, run: ToolRun) -> impl Future<Output = (String, ToolOutcome)> + Send;

    /// Returns the turn's status in the response to the mutation and, if it is kept, the update.
    fn publish(
        &self,
        mutation: Arc<Mutation>,
        keeps_update: bool,
    ) -> impl Future<Output = Result<Accepted, PublishFailure>> + Send;

    /// Gives a conversation a title, once. `Stale` where it has one.
    fn publish_title(
        &self,
        conversation_id: &str,
        title: &str,
    ) -> impl Future<Output = Result<(), PublishFailure>> + Send;

    /// Returns the turn's status after the write.
    fn write(&self, write: DirectWrite) -> impl Future<Output = Result<TurnStatus, WriteFailure>> + Send;

    /// Sends messages to a client that listens elsewhere, once. Dropping the future abandons them.
    fn send_replies(&self, request: Arc<ReplyRequest>) -> impl Future<Output = Result<(), ReplyFailure>> + Send;
}

/// The replies that are not sent when an attempt is over.
pub struct RemainingReplies<'a, E> {
    replies: Option<Replies>,
    /// The request in flight.
    request: Fuse<BoxFuture<'a, Result<(), ReplyFailure>>>,
    effects: &'a E,
}

impl<'a, E: Effects> RemainingReplies<'a, E> {
    pub fn new(replies: Replies, effects: &'a E) -> Self {
        Self { replies: Some(replies), request: Fuse::terminated(), effects }
    }

    /// Sends them until a moment, and skips the others. In the second half of the time only answers are sent.
    pub async fn send(mut self, until: Instant) {
        let Some(mut replies) = self.replies.take() else { return };
        let half = until.saturating_duration_since(now()) / 2;
        self.send_until(&mut replies, until - half).await;
        replies.skip_updates(now());
        self.send_until(&mut replies, until).await;
        let (skipped, is_complete) = (replies.skipped(), replies.is_idle());
        if skipped > 0 || !is_complete {
            tracing::info!(skipped, is_complete, "replies not sent");
        }
    }

    async fn send_until(&mut self, replies: &mut Replies, until: Instant) {
        while !replies.is_idle() && now() < until {
            if let Some(request) = replies.next_request(now()) {
                self.request = self.effects.send_replies(request).boxed().fuse();
            }
            let wake_at = replies.wake_at().map_or(until, |at| at.min(until));
            select! {
                biased;
                result = &mut self.request => replies.on_result(result, now()),
                () = sleep_until(wake_at.into()) => {}
            }
        }
    }
}

/// Runs an attempt to its end. Returns the replies that are still to be sent.
pub async fn run_attempt<'a, E: Effects>(
    attempt: &mut Attempt,
    effects: &'a E,
) -> (AttemptEnd, RemainingReplies<'a, E>) {
    let mut reply_request = Fuse::terminated();
    let mut model_stream = pin!(None);
    let mut publish = pin!(Fuse::terminated());
    let mut write = pin!(Fuse::terminated());
    let mut retrieval = pin!(Fuse::terminated());
    let mut tools = FuturesUnordered::new();
    loop {
        while let Some(effect) = attempt.next_effect(now()) {
            match effect {
                Effect::Retrieve(request) => retrieval.set(effects.retrieve(request).fuse()),
                Effect::StopRetrieval => retrieval.set(Fuse::terminated()),
                Effect::CallModel(request) => model_stream.set(Some(effects.call_model(request))),
                Effect::CloseModelStream => model_stream.set(None),
                Effect::RunTool(run) => tools.push(effects.run_tool(*run)),
                Effect::StopTools => tools.clear(),
                Effect::Publish(mutation) => {
                    let keeps_update = attempt.keeps_update(&mutation);
                    publish.set(effects.publish(mutation, keeps_update).fuse());
                }
                Effect::SendReplies(request) => reply_request = effects.send_replies(request).boxed().fuse(),
                Effect::Write(direct_write) => write.set(effects.write(direct_write).fuse()),
                Effect::End(end) => {
                    let replies = attempt.take_replies();
                    return (end, RemainingReplies { replies, request: reply_request, effects });
                }
            }
        }
        let input = select! {
            biased; // Results before model events, so that a fast model cannot delay them.
            result = &mut publish => Input::Published(result),
            result = &mut write => Input::Written(result),
            result = &mut retrieval => Input::Retrieved(result),
            (tool_use_id, outcome) = next_tool_end(&mut tools) => Input::ToolFinished { tool_use_id, outcome },
            result = &mut reply_request => Input::RepliesSent(result),
            input = next_model_input(model_stream.as_mut().as_pin_mut()) => {
                if !matches!(input, Input::ModelEvent(_)) {
                    model_stream.set(None);
                }
                input
            }
            () = sleep_until(attempt.wake_at(now()).into()) => Input::TimerFired,
        };
        attempt.handle(input, now());
    }
}

/// Never completes if no tool runs.
async fn next_tool_end<F: Future>(tools: &mut FuturesUnordered<F>) -> F::Output {
    match tools.next().await {
        Some(end) => end,
        None => pending().await,
    }
}

/// Never completes if there is no stream.
async fn next_model_input<S>(model_stream: Option<Pin<&mut S>>) -> Input
where
    S: Stream<Item = Result<StreamEvent, ModelError>>,
{
    let Some(mut model_stream) = model_stream else { return pending().await };
    match model_stream.next().await {
        Some(Ok(event)) => Input::ModelEvent(event),
        Some(Err(error)) => Input::ModelFailed(error),
        None => Input::ModelStreamEnded,
    }
}
