//! The model: calls ConverseStream and translates its events and errors.
mod stream_repair;
mod surrogates;

use std::time::Duration;

use api::types::{FailureCode, InferenceSettings, SenderKind, StopReason, Usage};
use aws_config::SdkConfig;
use aws_sdk_bedrockruntime::{
    Client,
    config::{self, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
    operation::converse_stream::ConverseStreamError,
    types::{
        self as sdk, ContentBlock, ContentBlockDelta, ConversationRole, ConverseStreamOutput, InferenceConfiguration,
        Message, SystemContentBlock, error::ConverseStreamOutputError,
    },
};
use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use turn::types::{ModelRequest, StreamEvent, TranscriptMessage};

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
        request: &ModelRequest,
    ) -> impl Stream<Item = Result<StreamEvent, FailureCode>> + Send + use<> {
        let call = self
            .client
            .converse_stream()
            .model_id(&request.model_id)
            .set_system(system_prompt(request.system_prompt.as_deref()))
            .inference_config(inference_configuration(&request.inference))
            .set_messages(Some(request.transcript.iter().filter_map(message).collect()));
        stream::once(async move { call.send().await.map_err(|error| request_failure(&error)) })
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

/// `None` for a blank prompt, which Bedrock does not accept.
fn system_prompt(prompt: Option<&str>) -> Option<Vec<SystemContentBlock>> {
    let prompt = prompt.filter(|text| !text.trim().is_empty())?;
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

fn stream_event(event: ConverseStreamOutput) -> StreamEvent {
    match event {
        ConverseStreamOutput::ContentBlockDelta(block) => match block.delta {
            Some(ContentBlockDelta::Text(text)) => {
                StreamEvent::Text { block: u32::try_from(block.content_block_index).unwrap_or_default(), text }
            }
            _ => StreamEvent::Other,
        },
        ConverseStreamOutput::MessageStop(stop) => StreamEvent::MessageStop(stop_reason(&stop.stop_reason)),
        ConverseStreamOutput::Metadata(metadata) => {
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

/// The failure of a request that opened no stream.
fn request_failure(error: &SdkError<ConverseStreamError>) -> FailureCode {
    use ConverseStreamError as Error;
    let code = match error {
        SdkError::ConstructionFailure(_) => FailureCode::Internal,
        SdkError::ServiceError(service_error) => match service_error.err() {
            Error::ThrottlingException(_) | Error::ModelNotReadyException(_) => FailureCode::Throttled,
            Error::AccessDeniedException(_) | Error::ResourceNotFoundException(_) => FailureCode::ModelNotAllowed,
            Error::ValidationException(_) => FailureCode::ModelRefused,
            Error::InternalServerException(_)
            | Error::ModelErrorException(_)
            | Error::ModelTimeoutException(_)
            | Error::ServiceUnavailableException(_)
            | Error::ModelStreamErrorException(_) => FailureCode::ModelUnavailable,
            other => failure_by_status(other.code(), service_error.raw().status().as_u16()),
        },
        _ => FailureCode::ModelUnavailable,
    };
    log_error(error, code);
    code
}

/// The failure of an error without a type in the SDK.
fn failure_by_status(code: Option<&str>, status: u16) -> FailureCode {
    match (code, status) {
        (Some("ServiceQuotaExceededException"), _) | (_, 429) => FailureCode::Throttled,
        (_, 408 | 424 | 500..) => FailureCode::ModelUnavailable,
        (_, 404) => FailureCode::ModelNotAllowed,
        (_, 400) => FailureCode::ModelRefused,
        // The handler's own credentials or request: the agent's owner cannot fix these.
        _ => FailureCode::Internal,
    }
}

/// The failure of a stream that broke.
fn stream_failure<R: std::fmt::Debug>(error: &SdkError<ConverseStreamOutputError, R>) -> FailureCode {
    use ConverseStreamOutputError as Error;
    let code = match error.as_service_error() {
        Some(Error::ThrottlingException(_)) => FailureCode::Throttled,
        Some(Error::ValidationException(_)) => FailureCode::ModelRefused,
        _ => FailureCode::ModelUnavailable,
    };
    log_error(error, code);
    code
}

fn log_error<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, code: FailureCode) {
    let name = error.code();
    tracing::info!(?code, name, "bedrock");
    tracing::debug!(message = error.message(), "bedrock");
}

#[cfg(test)]
mod tests {
    use aws_sdk_bedrockruntime::{
        config::http::HttpResponse,
        error::ErrorMetadata,
        primitives::Blob,
        types::{
            CitationsDelta, ContentBlockDeltaEvent, ConverseStreamMetadataEvent, MessageStopEvent,
            ReasoningContentBlockDelta, TokenUsage, ToolUseBlockDelta,
            error::{
                AccessDeniedException, InternalServerException, ModelErrorException, ModelNotReadyException,
                ModelStreamErrorException, ModelTimeoutException, ResourceNotFoundException,
                ServiceUnavailableException, ThrottlingException, ValidationException,
            },
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
                stream_event(ConverseStreamOutput::MessageStop(stop)),
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
        assert_eq!(stream_event(ConverseStreamOutput::Metadata(metadata)), StreamEvent::Usage(expected));
    }

    #[test]
    fn every_request_error_has_a_failure_code() {
        use ConverseStreamError as Error;
        let untyped = |code: &str| Error::generic(ErrorMetadata::builder().code(code).build());
        for (status, error, expected) in [
            (429, Error::ThrottlingException(ThrottlingException::builder().build()), FailureCode::Throttled),
            (429, Error::ModelNotReadyException(ModelNotReadyException::builder().build()), FailureCode::Throttled),
            (400, Error::ValidationException(ValidationException::builder().build()), FailureCode::ModelRefused),
            (403, Error::AccessDeniedException(AccessDeniedException::builder().build()), FailureCode::ModelNotAllowed),
            (
                404,
                Error::ResourceNotFoundException(ResourceNotFoundException::builder().build()),
                FailureCode::ModelNotAllowed,
            ),
            (
                408,
                Error::ModelTimeoutException(ModelTimeoutException::builder().build()),
                FailureCode::ModelUnavailable,
            ),
            (424, Error::ModelErrorException(ModelErrorException::builder().build()), FailureCode::ModelUnavailable),
            (
                424,
                Error::ModelStreamErrorException(ModelStreamErrorException::builder().build()),
                FailureCode::ModelUnavailable,
            ),
            (
                500,
                Error::InternalServerException(InternalServerException::builder().build()),
                FailureCode::ModelUnavailable,
            ),
            (
                503,
                Error::ServiceUnavailableException(ServiceUnavailableException::builder().build()),
                FailureCode::ModelUnavailable,
            ),
            (400, untyped("ServiceQuotaExceededException"), FailureCode::Throttled),
            (400, untyped("SomethingNew"), FailureCode::ModelRefused),
            (403, untyped("ExpiredTokenException"), FailureCode::Internal),
            (502, untyped("BadGateway"), FailureCode::ModelUnavailable),
        ] {
            let context = format!("{status} {error:?}");
            let response = HttpResponse::new(status.try_into().unwrap(), "".into());
            assert_eq!(request_failure(&SdkError::service_error(error, response)), expected, "{context}");
        }
        let timeout = std::io::Error::other("no network");
        assert_eq!(request_failure(&SdkError::timeout_error(timeout)), FailureCode::ModelUnavailable);
    }

    #[test]
    fn every_stream_error_has_a_failure_code() {
        use ConverseStreamOutputError as Error;
        for (error, expected) in [
            (Error::ThrottlingException(ThrottlingException::builder().build()), FailureCode::Throttled),
            (Error::ValidationException(ValidationException::builder().build()), FailureCode::ModelRefused),
            (Error::InternalServerException(InternalServerException::builder().build()), FailureCode::ModelUnavailable),
            (
                Error::ModelStreamErrorException(ModelStreamErrorException::builder().build()),
                FailureCode::ModelUnavailable,
            ),
            (
                Error::ServiceUnavailableException(ServiceUnavailableException::builder().build()),
                FailureCode::ModelUnavailable,
            ),
            (Error::unhandled("cut"), FailureCode::ModelUnavailable),
        ] {
            let context = format!("{error:?}");
            assert_eq!(stream_failure(&SdkError::service_error(error, ())), expected, "{context}");
        }
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
        stream_event(ConverseStreamOutput::ContentBlockDelta(event))
    }
}
