//! The model: calls ConverseStream and translates its events and errors.
mod errors;
mod json_texts;
mod request;
mod stream_repair;
mod surrogates;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use api::types::{InferenceSettings, StopReason, Usage};
use aws_config::SdkConfig;
use aws_sdk_bedrockruntime::{
    Client,
    config::{self, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
    operation::converse_stream::{ConverseStreamError, ConverseStreamOutput},
    types::{self as sdk, ContentBlockDelta, ContentBlockStart},
};
use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use turn::{
    model::{ModelError, ModelRequest, ModelStop, StreamEvent},
    model_settings::{refused_by_message, refused_by_model, without},
};

use errors::{request_failure, stream_failure};
use json_texts::JsonTexts;
use request::{inference_configuration, messages, system_prompt, tool_configuration};
use stream_repair::StreamRepair;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Bedrock {
    client: Client,
}

impl Bedrock {
    /// Disables the SDK's retries, of which the attempt would not know, and sets no timeout for the response,
    /// which may stream for long.
    pub fn new(config: &SdkConfig) -> Self {
        let config = config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
            .interceptor(StreamRepair)
            .build();
        Self { client: Client::from_conf(config) }
    }

    /// The stream sends the request when it is first polled and closes the connection when it is dropped.
    pub fn converse(
        &self,
        request: Arc<ModelRequest>,
    ) -> impl Stream<Item = Result<StreamEvent, ModelError>> + Send + use<> {
        let client = self.client.clone();
        stream::once(async move { open_stream(&client, &request).await })
            .map_ok(|output| {
                stream::try_unfold(output.stream, |mut receiver| async move {
                    let event = receiver.recv().await.map_err(|error| stream_failure(&error))?;
                    Ok(event.map(|event| (event, receiver)))
                })
            })
            .try_flatten()
            .and_then(|event| future::ok(stream_event(event)))
            .boxed()
    }
}

/// Leaves out the settings that the model refuses. Each repeated request has at least one setting less, so
/// there are at most five requests.
async fn open_stream(client: &Client, request: &ModelRequest) -> Result<ConverseStreamOutput, ModelError> {
    let mut refused = refused_by_model(&request.model_id, &request.inference);
    let mut settings = request.inference.clone();
    loop {
        if !refused.is_empty() {
            let settings = refused.iter().map(|setting| setting.name()).collect::<Vec<_>>();
            tracing::warn!(model = request.model_id, ?settings, "settings refused by the model are left out");
        }
        settings = without(&settings, &refused);
        let error = match send(client, request, &settings).await {
            Ok(output) => return Ok(output),
            Err(error) => error,
        };
        refused = match &error {
            SdkError::ServiceError(failure) if failure.err().is_validation_exception() => {
                refused_by_message(failure.err().message().unwrap_or_default(), &settings)
            }
            _ => Vec::new(),
        };
        if refused.is_empty() {
            return Err(request_failure(&error));
        }
    }
}

async fn send(
    client: &Client,
    request: &ModelRequest,
    settings: &InferenceSettings,
) -> Result<ConverseStreamOutput, SdkError<ConverseStreamError>> {
    let mut texts = JsonTexts::new();
    let call = client
        .converse_stream()
        .model_id(&request.model_id)
        .set_system(system_prompt(request.system_prompt.as_deref()))
        .inference_config(inference_configuration(settings))
        .set_tool_config(tool_configuration(&request.tools, &mut texts).map_err(SdkError::construction_failure)?)
        .set_messages(Some(messages(request, &mut texts).map_err(SdkError::construction_failure)?));
    call.customize().interceptor(texts).send().await
}

fn stream_event(event: sdk::ConverseStreamOutput) -> StreamEvent {
    match event {
        sdk::ConverseStreamOutput::ContentBlockStart(block) => match block.start {
            Some(ContentBlockStart::ToolUse(start)) => StreamEvent::ToolUse {
                block: block_index(block.content_block_index),
                id: start.tool_use_id,
                name: start.name,
            },
            _ => StreamEvent::Other,
        },
        sdk::ConverseStreamOutput::ContentBlockDelta(block) => {
            let index = block_index(block.content_block_index);
            match block.delta {
                Some(ContentBlockDelta::Text(text)) => StreamEvent::Text { block: index, text },
                Some(ContentBlockDelta::ToolUse(delta)) => StreamEvent::ToolInput { block: index, json: delta.input },
                _ => StreamEvent::Other,
            }
        }
        sdk::ConverseStreamOutput::MessageStop(stop) => StreamEvent::MessageStop(model_stop(&stop.stop_reason)),
        sdk::ConverseStreamOutput::Metadata(metadata) => {
            metadata.usage.map_or(StreamEvent::Other, |usage| StreamEvent::Usage(token_usage(&usage)))
        }
        _ => StreamEvent::Other,
    }
}

fn block_index(index: i32) -> u32 {
    index.try_into().unwrap_or_default()
}

fn model_stop(reason: &sdk::StopReason) -> ModelStop {
    match reason {
        sdk::StopReason::ToolUse => ModelStop::ToolUse,
        reason => ModelStop::Answered(stop_reason(reason)),
    }
}

fn stop_reason(reason: &sdk::StopReason) -> StopReason {
    match reason {
        sdk::StopReason::EndTurn => StopReason::EndTurn,
        sdk::StopReason::StopSequence => StopReason::StopSequence,
        sdk::StopReason::MaxTokens => StopReason::MaxTokens,
        sdk::StopReason::ModelContextWindowExceeded => StopReason::ContextWindowExceeded,
        sdk::StopReason::GuardrailIntervened => StopReason::GuardrailIntervened,
        sdk::StopReason::ContentFiltered => StopReason::ContentFiltered,
        sdk::StopReason::MalformedModelOutput | sdk::StopReason::MalformedToolUse => StopReason::MalformedOutput,
        _ => StopReason::Other,
    }
}

fn token_usage(usage: &sdk::TokenUsage) -> Usage {
    Usage {
        input_tokens: token_count(usage.input_tokens),
        output_tokens: token_count(usage.output_tokens),
        total_tokens: token_count(usage.total_tokens),
        cache_read_tokens: usage.cache_read_input_tokens.map(token_count),
        cache_write_tokens: usage.cache_write_input_tokens.map(token_count),
    }
}

fn token_count(count: i32) -> u32 {
    count.try_into().unwrap_or_default()
}
