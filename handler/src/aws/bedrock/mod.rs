//! The model: calls ConverseStream and translates its events and errors.
mod errors;
mod stream_repair;
mod surrogates;

use std::{sync::Arc, time::Duration};

use api::{
    text::is_blank,
    types::{InferenceSettings, SenderKind, StopReason, Usage},
};
use aws_config::SdkConfig;
use aws_sdk_bedrockruntime::{
    Client,
    config::{self, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
    operation::converse_stream::{ConverseStreamError, ConverseStreamOutput},
    types::{
        self as sdk, ContentBlock, ContentBlockDelta, ConversationRole, InferenceConfiguration, Message,
        SystemContentBlock,
    },
};
use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use turn::{
    model::{ModelError, ModelRequest, StreamEvent, TranscriptMessage},
    model_settings::{refused_by_message, refused_by_model, without},
};

use errors::{request_failure, stream_failure};
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
    let call = client
        .converse_stream()
        .model_id(&request.model_id)
        .set_system(system_prompt(request.system_prompt.as_deref()))
        .inference_config(inference_configuration(settings))
        .set_messages(Some(request.transcript.iter().filter_map(message).collect()));
    call.send().await
}

/// `None` for a blank prompt, which Bedrock does not accept.
fn system_prompt(prompt: Option<&str>) -> Option<Vec<SystemContentBlock>> {
    let prompt = prompt.filter(|text| !is_blank(text))?;
    Some(vec![SystemContentBlock::Text(prompt.to_owned())])
}

/// Leaves out empty stop sequences, which Bedrock does not accept.
fn inference_configuration(settings: &InferenceSettings) -> InferenceConfiguration {
    let mut stop_sequences = settings.stop_sequences.clone();
    if let Some(stop_sequences) = &mut stop_sequences {
        stop_sequences.retain(|text| !text.is_empty());
    }
    InferenceConfiguration::builder()
        .set_max_tokens(settings.max_tokens.map(|tokens| tokens.try_into().unwrap_or(i32::MAX)))
        .set_temperature(settings.temperature.map(|temperature| temperature as f32))
        .set_top_p(settings.top_p.map(|top_p| top_p as f32))
        .set_stop_sequences(stop_sequences)
        .build()
}

fn message(message: &TranscriptMessage) -> Option<Message> {
    let role = match message.role {
        SenderKind::User => ConversationRole::User,
        SenderKind::Agent => ConversationRole::Assistant,
    };
    let content = message.texts.iter().cloned().map(ContentBlock::Text).collect();
    Message::builder().role(role).set_content(Some(content)).build().ok()
}

fn stream_event(event: sdk::ConverseStreamOutput) -> StreamEvent {
    match event {
        sdk::ConverseStreamOutput::ContentBlockDelta(block) => match block.delta {
            Some(ContentBlockDelta::Text(text)) => {
                StreamEvent::Text { block: u32::try_from(block.content_block_index).unwrap_or_default(), text }
            }
            _ => StreamEvent::Other,
        },
        sdk::ConverseStreamOutput::MessageStop(stop) => StreamEvent::MessageStop(stop_reason(&stop.stop_reason)),
        sdk::ConverseStreamOutput::Metadata(metadata) => {
            metadata.usage.map_or(StreamEvent::Other, |usage| StreamEvent::Usage(token_usage(&usage)))
        }
        _ => StreamEvent::Other,
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

#[cfg(test)]
mod tests {
    use aws_sdk_bedrockruntime::{
        primitives::Blob,
        types::{
            CitationsDelta, ContentBlockDeltaEvent, ConverseStreamMetadataEvent, MessageStopEvent,
            ReasoningContentBlockDelta, TokenUsage, ToolUseBlockDelta,
        },
    };

    use super::*;

    #[test]
    fn text_keeps_its_block_and_other_deltas_are_other() {
        let text = StreamEvent::Text { block: 2, text: "Hi".into() };
        assert_eq!(delta(ContentBlockDelta::Text("Hi".into())), text);
        for other in [
            ContentBlockDelta::ReasoningContent(ReasoningContentBlockDelta::Text("Hm".into())),
            ContentBlockDelta::ReasoningContent(ReasoningContentBlockDelta::RedactedContent(Blob::new([1]))),
            ContentBlockDelta::ToolUse(ToolUseBlockDelta::builder().input("{}").build().unwrap()),
            ContentBlockDelta::Citation(CitationsDelta::builder().title("A page").build()),
        ] {
            assert_eq!(delta(other), StreamEvent::Other);
        }
    }

    #[test]
    fn every_stop_reason_is_translated() {
        for (bedrock, expected) in [
            ("end_turn", StopReason::EndTurn),
            ("stop_sequence", StopReason::StopSequence),
            ("max_tokens", StopReason::MaxTokens),
            ("model_context_window_exceeded", StopReason::ContextWindowExceeded),
            ("guardrail_intervened", StopReason::GuardrailIntervened),
            ("content_filtered", StopReason::ContentFiltered),
            ("malformed_model_output", StopReason::MalformedOutput),
            ("malformed_tool_use", StopReason::MalformedOutput),
            ("tool_use", StopReason::Other),
            ("not_invented_yet", StopReason::Other),
        ] {
            let stop = MessageStopEvent::builder().stop_reason(bedrock.into()).build().unwrap();
            assert_eq!(
                stream_event(sdk::ConverseStreamOutput::MessageStop(stop)),
                StreamEvent::MessageStop(expected),
                "{bedrock}"
            );
        }
    }

    #[test]
    fn usage_includes_cache_tokens() {
        let usage = TokenUsage::builder().input_tokens(5).output_tokens(2).total_tokens(7);
        let usage = usage.cache_read_input_tokens(4).cache_write_input_tokens(1).build().unwrap();
        let metadata = ConverseStreamMetadataEvent::builder().usage(usage).build();
        let expected = Usage {
            input_tokens: 5,
            output_tokens: 2,
            total_tokens: 7,
            cache_read_tokens: Some(4),
            cache_write_tokens: Some(1),
        };
        assert_eq!(stream_event(sdk::ConverseStreamOutput::Metadata(metadata)), StreamEvent::Usage(expected));
    }

    #[test]
    fn transcript_message_keeps_all_its_texts() {
        let texts = vec!["One".to_owned(), "Two".to_owned()];
        let message = message(&TranscriptMessage { role: SenderKind::Agent, texts }).unwrap();
        assert_eq!(message.role(), &ConversationRole::Assistant);
        assert_eq!(message.content(), [ContentBlock::Text("One".into()), ContentBlock::Text("Two".into())]);
    }

    #[test]
    fn blank_prompt_and_empty_stop_sequences_are_left_out() {
        for blank in [None, Some(""), Some(" \n")] {
            assert_eq!(system_prompt(blank), None);
        }
        assert_eq!(system_prompt(Some(" Be brief.")), Some(vec![SystemContentBlock::Text(" Be brief.".into())]));
        let stop_sequences = Some(vec![String::new(), "\n".into(), "END".into()]);
        let configuration =
            inference_configuration(&InferenceSettings { stop_sequences, ..InferenceSettings::default() });
        assert_eq!(configuration.stop_sequences(), ["\n", "END"]);
    }

    fn delta(delta: ContentBlockDelta) -> StreamEvent {
        let event = ContentBlockDeltaEvent::builder().content_block_index(2).delta(delta).build().unwrap();
        stream_event(sdk::ConverseStreamOutput::ContentBlockDelta(event))
    }
}
