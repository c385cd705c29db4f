//! The model: calls ConverseStream, or Converse for models that take tools in Converse alone, and translates
//! events and errors.
mod errors;
mod families;
mod json_texts;
mod model_ids;
mod request;
mod stream_repair;
mod surrogates;
#[cfg(test)]
mod tests;
mod whole_answer;

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
use futures::{Stream, StreamExt, TryStreamExt, future, stream, stream::BoxStream};
use turn::{
    model::{CitedPassage, ModelError, ModelRequest, ModelStop, StreamEvent, TranscriptBlock},
    model_settings::{refused_by_message, refused_by_model, without},
};

use crate::model::Model;
use errors::{request_failure, stream_failure};
use json_texts::JsonTexts;
use model_ids::ModelIds;
use request::{inference_configuration, messages, system_prompt, tool_configuration};
use stream_repair::StreamRepair;
use whole_answer::AnswerRepair;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The models of Amazon Bedrock.
pub struct Bedrock {
    client: Client,
    refusals: Refusals,
}

/// What models have refused in this environment.
#[derive(Clone, Default)]
struct Refusals {
    /// Tools in ConverseStream.
    streamed_tools: ModelIds,
    search_results: ModelIds,
}

/// How a model answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// By ConverseStream.
    Streamed,
    /// By Converse: the answer comes whole.
    Whole,
}

type AnswerStream = BoxStream<'static, Result<StreamEvent, ModelError>>;

impl Bedrock {
    /// Disables the SDK's retries, of which the attempt would not know, and sets no timeout for the response,
    /// which may stream for long.
    pub fn new(config: &SdkConfig) -> Self {
        let config = config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
            .build();
        Self { client: Client::from_conf(config), refusals: Refusals::default() }
    }
}

impl Model for Bedrock {
    fn answer(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, ModelError>> + Send {
        let client = self.client.clone();
        let refusals = self.refusals.clone();
        stream::once(async move { open_answer(&client, &request, &refusals).await }).try_flatten().boxed()
    }
}

/// Leaves out the settings that the model refuses, and asks for a whole answer where the model takes no tools
/// in a stream. Each repeated request has at least one setting less or another mode, so there are at most six
/// requests. A request with search results is not sent to a model that has refused them before.
async fn open_answer(client: &Client, request: &ModelRequest, refusals: &Refusals) -> Result<AnswerStream, ModelError> {
    if refusals.search_results.contains(&request.model_id) && has_search_results(request) {
        return Err(ModelError::SearchResultsRefused);
    }
    let mut refused = refused_by_model(&request.model_id, &request.inference);
    let mut settings = request.inference.clone();
    let mut mode = known_mode(request, &refusals.streamed_tools);
    loop {
        if !refused.is_empty() {
            let settings = refused.iter().map(|setting| setting.name()).collect::<Vec<_>>();
            tracing::warn!(model = request.model_id, ?settings, "settings refused by the model are left out");
        }
        settings = without(&settings, &refused);
        let error = match send(client, request, &settings, mode).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let message = match &error {
            SdkError::ServiceError(failure) if failure.err().is_validation_exception() => failure.err().message(),
            _ => None,
        };
        let message = message.unwrap_or_default();
        if mode == Mode::Streamed && families::refuses_streamed_tools(message) {
            tracing::info!(model = request.model_id, "the model takes no tools in a stream: its answers come whole");
            refusals.streamed_tools.insert(&request.model_id);
            mode = Mode::Whole;
            refused = Vec::new();
            continue;
        }
        if families::refuses_search_results(message) && has_search_results(request) {
            tracing::info!(model = request.model_id, "the model takes no search results: it gets numbered passages");
            refusals.search_results.insert(&request.model_id);
            return Err(ModelError::SearchResultsRefused);
        }
        refused = refused_by_message(message, &settings);
        if refused.is_empty() {
            return Err(request_failure(&error));
        }
    }
}

fn known_mode(request: &ModelRequest, without_streamed_tools: &ModelIds) -> Mode {
    let model_id = &request.model_id;
    let streams_tools = || families::streams_with_tools(model_id) && !without_streamed_tools.contains(model_id);
    if request.tools.is_empty() || streams_tools() { Mode::Streamed } else { Mode::Whole }
}

fn has_search_results(request: &ModelRequest) -> bool {
    let mut blocks = request.transcript.iter().flat_map(|message| &message.content);
    blocks.any(|block| matches!(block, TranscriptBlock::SearchResult(_) | TranscriptBlock::FoundSearchResults { .. }))
}

async fn send(
    client: &Client,
    request: &ModelRequest,
    settings: &InferenceSettings,
    mode: Mode,
) -> Result<AnswerStream, SdkError<ConverseStreamError>> {
    let mut texts = JsonTexts::new();
    let system = system_prompt(request.system_prompt.as_deref());
    let inference = inference_configuration(settings);
    let tools = tool_configuration(&request.tools, &mut texts).map_err(SdkError::construction_failure)?;
    let messages = Some(messages(request, &mut texts).map_err(SdkError::construction_failure)?);
    match mode {
        Mode::Streamed => {
            let call = client.converse_stream().model_id(&request.model_id).set_system(system);
            let call = call.inference_config(inference).set_tool_config(tools).set_messages(messages);
            let output = call.customize().interceptor(texts).interceptor(StreamRepair).send().await?;
            Ok(streamed_answer(output))
        }
        Mode::Whole => {
            let call = client.converse().model_id(&request.model_id).set_system(system);
            let call = call.inference_config(inference).set_tool_config(tools).set_messages(messages);
            let result = call.customize().interceptor(texts).interceptor(AnswerRepair).send().await;
            let output = result.map_err(|error| error.map_service_error(whole_answer::to_stream_error))?;
            Ok(stream::iter(whole_answer::to_events(output)).map(Ok).boxed())
        }
    }
}

fn streamed_answer(output: ConverseStreamOutput) -> AnswerStream {
    stream::try_unfold(output.stream, |mut receiver| async move {
        let event = receiver.recv().await.map_err(|error| stream_failure(&error))?;
        Ok(event.map(|event| (event, receiver)))
    })
    .and_then(|event| future::ok(stream_event(event)))
    .boxed()
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
                Some(ContentBlockDelta::Citation(delta)) => {
                    StreamEvent::Citation { block: index, cited: cited_passage(delta) }
                }
                Some(ContentBlockDelta::ToolUse(delta)) => StreamEvent::ToolInput { block: index, json: delta.input },
                _ => StreamEvent::Other,
            }
        }
        sdk::ConverseStreamOutput::ContentBlockStop(block) => {
            StreamEvent::BlockEnd { block: block_index(block.content_block_index) }
        }
        sdk::ConverseStreamOutput::MessageStop(stop) => StreamEvent::MessageStop(model_stop(&stop.stop_reason)),
        sdk::ConverseStreamOutput::Metadata(metadata) => {
            metadata.usage.map_or(StreamEvent::Other, |usage| StreamEvent::Usage(token_usage(&usage)))
        }
        _ => StreamEvent::Other,
    }
}

fn cited_passage(delta: sdk::CitationsDelta) -> CitedPassage {
    let text = delta.source_content.unwrap_or_default().into_iter().filter_map(|content| content.text).collect();
    CitedPassage { source: delta.source, search_result_index: search_result_index(delta.location.as_ref()), text }
}

fn search_result_index(location: Option<&sdk::CitationLocation>) -> Option<usize> {
    match location {
        Some(sdk::CitationLocation::SearchResultLocation(location)) => {
            location.search_result_index.and_then(|index| index.try_into().ok())
        }
        _ => None,
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
