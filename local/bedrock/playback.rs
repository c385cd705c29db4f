//! Plays a script to the client, each step when it is due.
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
        Script::Refused(refusal) => refusal.into_response(),
        Script::Silent => {
            let _listening = Listening;
            pending().await
        }
        Script::Stream(steps) => {
            ([(header::CONTENT_TYPE, "application/vnd.amazon.eventstream")], body(steps)).into_response()
        }
    }
}

/// Steps are due by the clock of the whole answer: a late one does not delay the next.
fn body(steps: Vec<(Duration, ScriptStep)>) -> Body {
    let start = Instant::now();
    let listening = Listening;
    let due = steps.into_iter().scan(start, |due, (pause, step)| {
        *due += pause;
        Some((*due, step))
    });
    Body::from_stream(stream::iter(due).then(move |(due, step)| {
        let _listening = &listening;
        async move {
            sleep_until(due).await;
            perform(step).await
        }
    }))
}

/// Somebody waits for the answer, or reads it.
struct Listening;

impl Drop for Listening {
    fn drop(&mut self) {
        tracing::trace!("closed");
    }
}

async fn perform(step: ScriptStep) -> io::Result<Bytes> {
    match step {
        ScriptStep::Say(event) => frames::event(&event),
        ScriptStep::Throw(exception) => frames::exception(exception),
        ScriptStep::Cut => Err(io::ErrorKind::ConnectionReset.into()),
        ScriptStep::FallSilent => pending().await,
    }
}
