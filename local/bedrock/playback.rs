//! Sends the response of a script, each step at its time.
use std::{future::pending, io, time::Duration};

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep_until};

use super::{
    frames,
    script::{Script, ScriptStep},
};

pub(super) async fn play(script: Script) -> Response {
    match script {
        Script::Error(error) => error.into_response(),
        Script::NoResponse => {
            let _close_trace = CloseTrace;
            pending().await
        }
        Script::Stream(steps) => {
            ([(header::CONTENT_TYPE, "application/vnd.amazon.eventstream")], body(steps)).into_response()
        }
    }
}

/// The times of steps are relative to the start of the response, so a late step does not delay the next.
fn body(steps: Vec<(Duration, ScriptStep)>) -> Body {
    tracing::trace!("model stream opened");
    let start = Instant::now();
    let close_trace = CloseTrace;
    let timed_steps = steps.into_iter().scan(start, |time, (pause, step)| {
        *time += pause;
        Some((*time, step))
    });
    Body::from_stream(stream::iter(timed_steps).then(move |(time, step)| {
        let _close_trace = &close_trace;
        async move {
            sleep_until(time).await;
            perform(step).await
        }
    }))
}

/// Logs the end of a response: it was sent completely, or the client has disconnected.
struct CloseTrace;

impl Drop for CloseTrace {
    fn drop(&mut self) {
        tracing::trace!("model stream closed");
    }
}

async fn perform(step: ScriptStep) -> io::Result<Bytes> {
    match step {
        ScriptStep::Send(event) => frames::encode_event(&event),
        ScriptStep::SendException(exception) => frames::encode_exception(exception),
        ScriptStep::Disconnect => Err(io::ErrorKind::ConnectionReset.into()),
        ScriptStep::Hang => pending().await,
    }
}
