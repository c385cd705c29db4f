//! The model: calls ConverseStream, or Converse for models that take tools in Converse alone, and translates
//! events and errors.
mod caching;
mod errors;
mod families;
mod guardrails;
mod json_texts;
mod reasoning;
mod refusals;
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
    types::{self as sdk, ContentBlockDelta, ContentBlockStart, ReasoningContentBlockDelta},
};
use futures::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use turn::{
    model::{
        CitedPassage, Guardrail, ModelError, ModelRequest, ModelStop, ReasoningPart, StreamEvent, TranscriptBlock,
    },
    model_settings::{refused_by_message, refused_by_model, without},
    tool::ToolOutcome,
};

use crate::model::Model;
use errors::{request_failure, stream_failure};
use refusals::{Refusal, Refusals};
use request::RequestParts;
use stream_repair::StreamRepair;
use whole_answer::AnswerRepair;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// With the SDK's own retries.
const ASSESSMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// What Nova 2 sends in place of what it thinks (langchain-aws, vercel/ai#10839). That it comes in one delta
/// is assumed.
const HIDDEN_REASONING: &str = "[REDACTED]";

/// The models of Amazon Bedrock.
pub struct Bedrock {
    client: Client,
    refusals: Refusals,
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

/// The guardrails of Amazon Bedrock, for what models do not get assessed.
pub struct Guardrails {
    client: Client,
}

impl Guardrails {
    pub fn new(config: &SdkConfig) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(ASSESSMENT_TIMEOUT);
        let config = config::Builder::from(config).timeout_config(timeouts.build()).build();
        Self { client: Client::from_conf(config) }
    }

    /// The outcome of a tool as a model may get it. One that cannot be assessed is withheld.
    pub async fn assess(&self, guardrail: &Guardrail, outcome: ToolOutcome) -> ToolOutcome {
        guardrails::assess_outcome(&self.client, guardrail, outcome).await
    }
}

impl Model for Bedrock {
    fn answer(&self, request: Arc<ModelRequest>) -> impl Stream<Item = Result<StreamEvent, ModelError>> + Send {
        let client = self.client.clone();
        let refusals = self.refusals.clone();
        stream::once(async move { open_answer(&client, &request, &refusals).await }).try_flatten().boxed()
    }
}

/// What a request has, as far as the model does not refuse it.
#[derive(Clone, Debug)]
struct Plan {
    settings: InferenceSettings,
    mode: Mode,
    has_cache_points: bool,
    asks_for_reasoning: bool,
    /// Whether the transcript has the model's earlier reasoning.
    has_reasoning: bool,
}

impl Plan {
    /// Without what the model is known to refuse.
    fn new(request: &ModelRequest, refusals: &Refusals) -> Self {
        for setting in refused_by_model(&request.model_id, &request.inference) {
            refusals.insert(request, Refusal::Setting(setting));
        }
        let known = refusals.of_request(request);
        let settings = known.iter().filter_map(|refusal| match refusal {
            Refusal::Setting(setting) => Some(*setting),
            Refusal::StreamedTools | Refusal::SearchResults | Refusal::CachePoints | Refusal::Reasoning => None,
        });
        let refused = |refusal| known.contains(&refusal);
        let streams_tools = families::streams_with_tools(&request.model_id) && !refused(Refusal::StreamedTools);
        Self {
            settings: without(&request.inference, &settings.collect::<Vec<_>>()),
            mode: if request.tools.is_empty() || streams_tools { Mode::Streamed } else { Mode::Whole },
            has_cache_points: !refused(Refusal::CachePoints),
            asks_for_reasoning: request.reasoning.is_some() && !refused(Refusal::Reasoning),
            has_reasoning: true,
        }
    }

    /// Leaves out what a message refuses. False if it refuses nothing that the request has.
    fn leave_out(&mut self, message: &str, request: &ModelRequest, refusals: &Refusals) -> bool {
        if self.mode == Mode::Streamed && families::refuses_streamed_tools(message) {
            refusals.insert(request, Refusal::StreamedTools);
            self.mode = Mode::Whole;
            return true;
        }
        if self.has_cache_points && families::refuses_cache_points(message) {
            refusals.insert(request, Refusal::CachePoints);
            self.has_cache_points = false;
            return true;
        }
        let has_reasoning = self.asks_for_reasoning || (self.has_reasoning && has_reasoning(request));
        if has_reasoning && reasoning::refuses_reasoning(message) {
            if !reasoning::is_about_transcript(message) {
                refusals.insert(request, Refusal::Reasoning);
            }
            (self.asks_for_reasoning, self.has_reasoning) = (false, false);
            return true;
        }
        let refused = refused_by_message(message, &self.settings);
        for setting in &refused {
            refusals.insert(request, Refusal::Setting(*setting));
        }
        self.settings = without(&self.settings, &refused);
        !refused.is_empty()
    }
}

/// Sends the request again where the model refuses a part of it, without this part. Each repeated request has
/// at least one part less, so there are at most eight requests. A request with search results is not sent to
/// a model that has refused them before.
async fn open_answer(client: &Client, request: &ModelRequest, refusals: &Refusals) -> Result<AnswerStream, ModelError> {
    if refusals.contains(request, Refusal::SearchResults) && has_search_results(request) {
        return Err(ModelError::SearchResultsRefused);
    }
    let mut plan = Plan::new(request, refusals);
    loop {
        let error = match send(client, request, &plan).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let message = refusal_message(&error);
        if families::refuses_search_results(message) && has_search_results(request) {
            refusals.insert(request, Refusal::SearchResults);
            return Err(ModelError::SearchResultsRefused);
        }
        if !plan.leave_out(message, request, refusals) {
            return Err(request_failure(&error));
        }
    }
}

/// Why Bedrock refuses a part of a request. It refuses cache points as it refuses access. Empty for any other
/// error.
fn refusal_message(error: &SdkError<ConverseStreamError>) -> &str {
    let Some(error) = error.as_service_error() else { return "" };
    let message = error.message().unwrap_or_default();
    let is_denied = error.is_access_denied_exception() && families::refuses_cache_points(message);
    if is_denied || error.is_validation_exception() { message } else { "" }
}

fn has_search_results(request: &ModelRequest) -> bool {
    blocks(request)
        .any(|block| matches!(block, TranscriptBlock::SearchResult(_) | TranscriptBlock::FoundSearchResults { .. }))
}

fn has_reasoning(request: &ModelRequest) -> bool {
    blocks(request).any(|block| matches!(block, TranscriptBlock::Reasoning(_)))
}

fn blocks(request: &ModelRequest) -> impl Iterator<Item = &TranscriptBlock> {
    request.transcript.iter().flat_map(|message| &message.content)
}

async fn send(
    client: &Client,
    request: &ModelRequest,
    plan: &Plan,
) -> Result<AnswerStream, SdkError<ConverseStreamError>> {
    let parts = RequestParts::new(request, plan).map_err(SdkError::construction_failure)?;
    let RequestParts { system, inference, tools, messages, fields, texts } = parts;
    let guardrail = request.guardrail.as_ref();
    match plan.mode {
        Mode::Streamed => {
            let guardrail = guardrail.map(guardrails::stream_configuration);
            let call = client.converse_stream().model_id(&request.model_id).set_system(system);
            let call = call.inference_config(inference).set_tool_config(tools).set_messages(Some(messages));
            let call = call.set_additional_model_request_fields(fields).set_guardrail_config(guardrail);
            let output = call.customize().interceptor(texts).interceptor(StreamRepair).send().await?;
            Ok(streamed_answer(output))
        }
        Mode::Whole => {
            let guardrail = guardrail.map(guardrails::configuration);
            let call = client.converse().model_id(&request.model_id).set_system(system);
            let call = call.inference_config(inference).set_tool_config(tools).set_messages(Some(messages));
            let call = call.set_additional_model_request_fields(fields).set_guardrail_config(guardrail);
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
    .map_ok(|event| stream::iter(stream_events(event)).map(Ok))
    .try_flatten()
    .boxed()
}

fn stream_events(event: sdk::ConverseStreamOutput) -> Vec<StreamEvent> {
    match event {
        sdk::ConverseStreamOutput::Metadata(metadata) => {
            let trace = metadata.trace.and_then(|trace| trace.guardrail);
            let findings = trace.as_ref().and_then(guardrails::findings).map(StreamEvent::Guardrail);
            let usage = metadata.usage.map(|usage| StreamEvent::Usage(token_usage(&usage)));
            findings.into_iter().chain(usage).collect()
        }
        event => vec![stream_event(event)],
    }
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
                Some(ContentBlockDelta::ReasoningContent(delta)) => reasoning_event(index, delta),
                Some(ContentBlockDelta::ToolUse(delta)) => StreamEvent::ToolInput { block: index, json: delta.input },
                _ => StreamEvent::Other,
            }
        }
        sdk::ConverseStreamOutput::ContentBlockStop(block) => {
            StreamEvent::BlockEnd { block: block_index(block.content_block_index) }
        }
        sdk::ConverseStreamOutput::MessageStop(stop) => StreamEvent::MessageStop(model_stop(&stop.stop_reason)),
        _ => StreamEvent::Other,
    }
}

fn reasoning_event(block: u32, delta: ReasoningContentBlockDelta) -> StreamEvent {
    match delta {
        ReasoningContentBlockDelta::Text(text) => StreamEvent::Reasoning { block, part: reasoning_text(text) },
        ReasoningContentBlockDelta::Signature(signature) => {
            StreamEvent::Reasoning { block, part: ReasoningPart::Signature(signature) }
        }
        ReasoningContentBlockDelta::RedactedContent(data) => {
            StreamEvent::Reasoning { block, part: ReasoningPart::Encrypted(data.into_inner()) }
        }
        _ => StreamEvent::Other,
    }
}

/// Nova does not show what it thinks: it says so in place of it.
fn reasoning_text(text: String) -> ReasoningPart {
    ReasoningPart::Text(if text == HIDDEN_REASONING { String::new() } else { text })
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
