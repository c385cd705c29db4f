//! The only loop: moves values between an attempt and the outside, and decides nothing.
use std::{
    future::pending,
    pin::{Pin, pin},
    sync::Arc,
};

use api::types::{FailureCode, TurnStatus};
use futures::{FutureExt, Stream, StreamExt, future::Fuse};
use tokio::{select, time::sleep_until};
use turn::{
    attempt::{Attempt, Ended, Input, Step},
    mutation::{Mutation, PublishFailure},
    types::{ModelRequest, StreamEvent},
    writing::{Write, WriteFailure},
};

use crate::clock::now;

/// Everything outside the process, as far as one attempt needs it.
pub trait Outside: Sync {
    /// Opens on the first poll, closes when dropped.
    fn ask(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, FailureCode>> + Send;
    /// The turn's status, as the accepted mutation returned it.
    fn publish(&self, mutation: Arc<Mutation>) -> impl Future<Output = Result<TurnStatus, PublishFailure>> + Send;
    /// The turn's status, as the write found or left it.
    fn write(&self, write: Write) -> impl Future<Output = Result<TurnStatus, WriteFailure>> + Send;
}

pub async fn relay(attempt: &mut Attempt, outside: &impl Outside) -> Ended {
    let mut model = pin!(None);
    let mut publish = pin!(Fuse::terminated());
    let mut write = pin!(Fuse::terminated());
    loop {
        while let Some(step) = attempt.next(now()) {
            match step {
                Step::AskModel(request) => model.set(Some(outside.ask(request))),
                Step::CloseModel => model.set(None),
                Step::Publish(mutation) => publish.set(outside.publish(mutation).fuse()),
                Step::Write(order) => write.set(outside.write(order).fuse()),
                Step::End(ended) => return ended,
            }
        }
        let input = select! {
            biased; // answers before words, so that a fast model starves nobody
            result = &mut publish => Input::Published(result),
            result = &mut write => Input::Written(result),
            heard = heard(model.as_mut().as_pin_mut()) => {
                if !matches!(heard, Input::Heard(_)) {
                    model.set(None);
                }
                heard
            }
            () = sleep_until(attempt.wake(now()).into()) => Input::Woken,
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
        Some(Ok(event)) => Input::Heard(event),
        Some(Err(code)) => Input::ModelFailed(code),
        None => Input::ModelClosed,
    }
}
