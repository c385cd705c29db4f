//! The event loop of an attempt: it performs the attempt's effects and feeds their results back. It decides
//! nothing.
use std::{
    future::pending,
    pin::{Pin, pin},
    sync::Arc,
};

use api::types::TurnStatus;
use futures::{FutureExt, Stream, StreamExt, future::Fuse, stream::FuturesUnordered};
use tokio::{select, time::sleep_until};
use turn::{
    attempt::{Attempt, Input},
    direct_write::{DirectWrite, WriteFailure},
    effect::{AttemptEnd, Effect},
    knowledge::RetrievalRequest,
    model::{ModelError, ModelRequest, StreamEvent},
    mutation::{Mutation, PublishFailure},
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

    /// Returns the turn's status in the response to the mutation.
    fn publish(&self, mutation: Arc<Mutation>) -> impl Future<Output = Result<TurnStatus, PublishFailure>> + Send;

    /// Returns the turn's status after the write.
    fn write(&self, write: DirectWrite) -> impl Future<Output = Result<TurnStatus, WriteFailure>> + Send;
}

/// Runs an attempt to its end.
pub async fn run_attempt(attempt: &mut Attempt, effects: &impl Effects) -> AttemptEnd {
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
                Effect::Publish(mutation) => publish.set(effects.publish(mutation).fuse()),
                Effect::Write(direct_write) => write.set(effects.write(direct_write).fuse()),
                Effect::End(end) => return end,
            }
        }
        let input = select! {
            biased; // Results before model events, so that a fast model cannot delay them.
            result = &mut publish => Input::Published(result),
            result = &mut write => Input::Written(result),
            result = &mut retrieval => Input::Retrieved(result),
            (tool_use_id, outcome) = next_tool_end(&mut tools) => Input::ToolFinished { tool_use_id, outcome },
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
