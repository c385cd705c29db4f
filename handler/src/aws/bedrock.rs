//! ConverseStream: our request in, our stream events out.
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

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Bedrock {
    client: Client,
}

impl Bedrock {
    /// Without the SDK's retries, which nobody would see, and without its time deadlines, which would cut a long answer.
    pub fn new(config: &SdkConfig) -> Self {
        let config = config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
            .build();
        Self { client: Client::from_conf(config) }
    }

    /// Sends on the first poll; dropping it closes the connection.
    pub fn converse(
        &self,
        request: &ModelRequest,
    ) -> impl Stream<Item = Result<StreamEvent, FailureCode>> + Send + use<> {
        let call = self
            .client
            .converse_stream()
            .model_id(&request.model_id)
            .set_system(system(request.system_prompt.as_deref()))
            .inference_config(inference(&request.inference))
            .set_messages(Some(request.transcript.iter().filter_map(message).collect()));
        stream::once(async move { call.send().await.map_err(|error| refusal(&error)) })
            .map_ok(|output| {
                stream::try_unfold(output.stream, |mut receiver| async move {
                    let event = receiver.recv().await.map_err(|error| interruption(&error))?;
                    Ok(event.map(|event| (event, receiver)))
                })
            })
            .try_flatten()
            .and_then(|event| future::ok(stream_event(event)))
            .boxed()
    }
}

fn system(prompt: Option<&str>) -> Option<Vec<SystemContentBlock>> {
    let prompt = prompt.filter(|text| !text.trim().is_empty())?;
    Some(vec![SystemContentBlock::Text(prompt.to_owned())])
}

fn inference(inference: &InferenceSettings) -> InferenceConfiguration {
    let stop_sequences = inference.stop_sequences.clone().map(|mut texts| {
        texts.retain(|text| !text.is_empty());
        texts
    });
    InferenceConfiguration::builder()
        .set_max_tokens(inference.max_tokens.map(|tokens| tokens.try_into().unwrap_or(i32::MAX)))
        .set_temperature(inference.temperature.map(|temperature| temperature as f32))
        .set_top_p(inference.top_p.map(|top_p| top_p as f32))
        .set_stop_sequences(stop_sequences)
        .build()
}

fn message(message: &TranscriptMessage) -> Option<Message> {
    let role = match message.side {
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
        ConverseStreamOutput::MessageStop(stop) => StreamEvent::Stopped(stop_reason(&stop.stop_reason)),
        ConverseStreamOutput::Metadata(metadata) => {
            metadata.usage.map_or(StreamEvent::Other, |usage| StreamEvent::Used(used(&usage)))
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

fn used(usage: &sdk::TokenUsage) -> Usage {
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

/// Before the stream.
fn refusal(error: &SdkError<ConverseStreamError>) -> FailureCode {
    use ConverseStreamError as Error;
    let code = match error {
        SdkError::ConstructionFailure(_) => FailureCode::Internal,
        SdkError::ServiceError(refused) => match refused.err() {
            Error::ThrottlingException(_) | Error::ModelNotReadyException(_) => FailureCode::Throttled,
            Error::AccessDeniedException(_) | Error::ResourceNotFoundException(_) => FailureCode::ModelNotAllowed,
            Error::ValidationException(_) => FailureCode::ModelRefused,
            Error::InternalServerException(_)
            | Error::ModelErrorException(_)
            | Error::ModelTimeoutException(_)
            | Error::ServiceUnavailableException(_)
            | Error::ModelStreamErrorException(_) => FailureCode::ModelUnavailable,
            unnamed => by_status(unnamed.code(), refused.raw().status().as_u16()),
        },
        _ => FailureCode::ModelUnavailable,
    };
    log(error, code);
    code
}

/// Of an error that the SDK has no name for.
fn by_status(code: Option<&str>, status: u16) -> FailureCode {
    match (code, status) {
        (Some("ServiceQuotaExceededException"), _) | (_, 429) => FailureCode::Throttled,
        (_, 408 | 424 | 500..) => FailureCode::ModelUnavailable,
        (_, 404) => FailureCode::ModelNotAllowed,
        (_, 400) => FailureCode::ModelRefused,
        // Our own signature, token or request: nothing that the agent's owner could mend.
        _ => FailureCode::Internal,
    }
}

/// Within the stream.
fn interruption<R: std::fmt::Debug>(error: &SdkError<ConverseStreamOutputError, R>) -> FailureCode {
    use ConverseStreamOutputError as Error;
    let code = match error.as_service_error() {
        Some(Error::ThrottlingException(_)) => FailureCode::Throttled,
        Some(Error::ValidationException(_)) => FailureCode::ModelRefused,
        _ => FailureCode::ModelUnavailable,
    };
    log(error, code);
    code
}

fn log<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, code: FailureCode) {
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
    fn text_keeps_its_block_and_what_is_not_text_is_a_sign_of_life() {
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
    fn every_stop_reason_is_one_of_ours() {
        for (theirs, ours) in [
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
            let stop = MessageStopEvent::builder().stop_reason(theirs.into()).build().unwrap();
            assert_eq!(stream_event(ConverseStreamOutput::MessageStop(stop)), StreamEvent::Stopped(ours), "{theirs}");
        }
    }

    #[test]
    fn usage_comes_with_its_cache_tokens() {
        let usage = TokenUsage::builder().input_tokens(5).output_tokens(2).total_tokens(7);
        let usage = usage.cache_read_input_tokens(4).cache_write_input_tokens(1).build().unwrap();
        let metadata = ConverseStreamMetadataEvent::builder().usage(usage).build();
        let used = Usage {
            input_tokens: 5,
            output_tokens: 2,
            total_tokens: 7,
            cache_read_tokens: Some(4),
            cache_write_tokens: Some(1),
        };
        assert_eq!(stream_event(ConverseStreamOutput::Metadata(metadata)), StreamEvent::Used(used));
    }

    #[test]
    fn every_refusal_has_its_failure() {
        use ConverseStreamError as Error;
        let unnamed = |code: &str| Error::generic(ErrorMetadata::builder().code(code).build());
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
            (400, unnamed("ServiceQuotaExceededException"), FailureCode::Throttled),
            (400, unnamed("SomethingNew"), FailureCode::ModelRefused),
            (403, unnamed("ExpiredTokenException"), FailureCode::Internal),
            (502, unnamed("BadGateway"), FailureCode::ModelUnavailable),
        ] {
            let named = format!("{status} {error:?}");
            let response = HttpResponse::new(status.try_into().unwrap(), "".into());
            assert_eq!(refusal(&SdkError::service_error(error, response)), expected, "{named}");
        }
        let broken = std::io::Error::other("no network");
        assert_eq!(refusal(&SdkError::timeout_error(broken)), FailureCode::ModelUnavailable);
    }

    #[test]
    fn every_interruption_has_its_failure() {
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
            let named = format!("{error:?}");
            assert_eq!(interruption(&SdkError::service_error(error, ())), expected, "{named}");
        }
    }

    #[test]
    fn a_side_of_the_transcript_is_one_message_with_all_its_texts() {
        let texts = vec!["One".to_owned(), "Two".to_owned()];
        let message = message(&TranscriptMessage { side: SenderKind::Agent, texts }).unwrap();
        assert_eq!(message.role(), &ConversationRole::Assistant);
        assert_eq!(message.content(), [ContentBlock::Text("One".into()), ContentBlock::Text("Two".into())]);
    }

    #[test]
    fn what_bedrock_refuses_as_empty_is_left_out() {
        for blank in [None, Some(""), Some(" \n")] {
            assert_eq!(system(blank), None);
        }
        assert_eq!(system(Some(" Be brief.")), Some(vec![SystemContentBlock::Text(" Be brief.".into())]));
        let stop_sequences = Some(vec![String::new(), "\n".into(), "END".into()]);
        let configuration = inference(&InferenceSettings { stop_sequences, ..InferenceSettings::default() });
        assert_eq!(configuration.stop_sequences(), ["\n", "END"]);
    }

    fn delta(delta: ContentBlockDelta) -> StreamEvent {
        let event = ContentBlockDeltaEvent::builder().content_block_index(2).delta(delta).build().unwrap();
        stream_event(ConverseStreamOutput::ContentBlockDelta(event))
    }
}
