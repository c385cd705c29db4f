//! A handler for the models of any service with OpenAI's chat completions API, with a tool of its own.
mod chat_completions;
mod current_time;

use std::{env, sync::Arc, time::Duration};

use async_stream::try_stream;
use futures::{Stream, StreamExt};
use handler::{
    Handler,
    model::{FailureCode, Model, ModelError, ModelRequest, StreamEvent},
};
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    io::StreamReader,
};

use chat_completions::{Answer, request_body, status_error};
use current_time::CurrentTime;

const MAX_LINE_BYTES: usize = 1024 * 1024;

struct ChatCompletions {
    http: reqwest::Client,
    url: String,
    api_key: Option<String>,
}

impl Model for ChatCompletions {
    fn answer(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, ModelError>> + Send {
        let mut call = self.http.post(&self.url).json(&request_body(&request));
        if let Some(key) = &self.api_key {
            call = call.bearer_auth(key);
        }
        try_stream! {
            let response = call.send().await.map_err(|error| unavailable(error.without_url()))?;
            if let Some(error) = status_error(response.status()) {
                Err(error)?;
            }
            let body = response.bytes_stream().map(|bytes| {
                // A URL may have a key in it.
                bytes.map_err(|error| std::io::Error::other(error.without_url()))
            });
            let mut lines = FramedRead::new(StreamReader::new(body), LinesCodec::new_with_max_length(MAX_LINE_BYTES));
            let mut answer = Answer::default();
            // A service may leave the connection open after the answer.
            while !answer.is_complete() && let Some(line) = lines.next().await {
                for event in answer.read_line(&line.map_err(unavailable)?)? {
                    yield event;
                }
            }
            if let Some(usage) = answer.usage() {
                yield StreamEvent::Usage(usage);
            }
        }
    }
}

fn unavailable(error: impl std::error::Error) -> ModelError {
    tracing::info!(%error, "the model's service broke off");
    ModelError::Failed(FailureCode::ModelUnavailable)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), handler::Error> {
    let base_url = env::var("MODEL_URL").map_err(|_| "MODEL_URL must be set.")?;
    // Lambda stops the process between turns, and services close idle connections meanwhile.
    let http =
        reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).pool_idle_timeout(Duration::from_secs(5));
    let url = format!("{}/chat/completions", base_url.trim_end_matches('/'));
    let model = ChatCompletions { http: http.build()?, url, api_key: env::var("MODEL_API_KEY").ok() };
    Handler::new(model).tool(CurrentTime).run().await
}
