//! The only loop: moves values between an attempt and the effects, and decides nothing.
use std::{
    future::pending,
    pin::{Pin, pin},
    sync::Arc,
};

use api::types::{FailureCode, TurnStatus};
use futures::{FutureExt, Stream, StreamExt, future::Fuse};
use tokio::{select, time::sleep_until};
use turn::{
    attempt::{Attempt, AttemptEnd, Effect, Input},
    direct_write::{DirectWrite, WriteFailure},
    mutation::{Mutation, PublishFailure},
    types::{ModelRequest, StreamEvent},
};

use crate::clock::now;

/// Everything effects the process, as far as one attempt needs it.
pub trait Effects: Sync {
    /// Opens on the first poll, closes when dropped.
    fn call_model(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, FailureCode>> + Send;
    /// The turn's status, as the accepted mutation returned it.
    fn publish(&self, mutation: Arc<Mutation>) -> impl Future<Output = Result<TurnStatus, PublishFailure>> + Send;
    /// The turn's status, as the write found or left it.
    fn write(&self, write: DirectWrite) -> impl Future<Output = Result<TurnStatus, WriteFailure>> + Send;
}

pub async fn run_attempt(attempt: &mut Attempt, effects: &impl Effects) -> AttemptEnd {
    let mut model = pin!(None);
    let mut publish = pin!(Fuse::terminated());
    let mut write = pin!(Fuse::terminated());
    loop {
        while let Some(step) = attempt.next(now()) {
            match step {
                Effect::CallModel(request) => model.set(Some(effects.call_model(request))),
                Effect::CloseModelStream => model.set(None),
                Effect::Publish(mutation) => publish.set(effects.publish(mutation).fuse()),
                Effect::Write(order) => write.set(effects.write(order).fuse()),
                Effect::End(ended) => return ended,
            }
        }
        let input = select! {
            biased; // answers before words, so that a fast model starves nobody
            result = &mut publish => Input::Published(result),
            result = &mut write => Input::Written(result),
            heard = heard(model.as_mut().as_pin_mut()) => {
                if !matches!(heard, Input::ModelEvent(_)) {
                    model.set(None);
                }
                heard
            }
            () = sleep_until(attempt.wake(now()).into()) => Input::TimerFired,
        };
        attempt.on(input, now());
    }
}

/// What the model does next; where none has been asked, nothing.
async fn heard<S>(model: Option<Pin<&mut S>>) -> Input
where
    S: Stream<Item = Result<StreamEvent, FailureCode>>,
{
    let Some(mut model) = model else { return pending().await };
    match model.next().await {
        Some(Ok(event)) => Input::ModelEvent(event),
        Some(Err(code)) => Input::ModelFailed(code),
        None => Input::ModelStreamEnded,
    }
}
