//! Maps Bedrock's errors to failures of the turn.
use api::types::FailureCode;
use aws_sdk_bedrockruntime::{
    error::{ProvideErrorMetadata, SdkError},
    operation::converse_stream::ConverseStreamError,
    types::error::ConverseStreamOutputError,
};
use turn::{model::ModelError, model_settings::is_about_settings};

use super::families::refuses_search_results;

/// The error of a request that opened no stream.
pub(super) fn request_failure(error: &SdkError<ConverseStreamError>) -> ModelError {
    use ConverseStreamError as Error;
    let failed = match error {
        SdkError::ConstructionFailure(_) => ModelError::Failed(FailureCode::Internal),
        SdkError::ServiceError(service_error) => match service_error.err() {
            Error::ThrottlingException(_) | Error::ModelNotReadyException(_) => throttling(error.message()),
            Error::ValidationException(_) => refusal(error.message()),
            Error::ResourceNotFoundException(_) if is_retired(error.message()) => ModelError::Retired,
            Error::AccessDeniedException(_) | Error::ResourceNotFoundException(_) => {
                ModelError::Failed(FailureCode::ModelNotAllowed)
            }
            Error::InternalServerException(_)
            | Error::ModelErrorException(_)
            | Error::ModelTimeoutException(_)
            | Error::ServiceUnavailableException(_)
            | Error::ModelStreamErrorException(_) => ModelError::Failed(FailureCode::ModelUnavailable),
            other => failure_by_status(other, service_error.raw().status().as_u16()),
        },
        _ => ModelError::Failed(FailureCode::ModelUnavailable),
    };
    log_error(error, failed);
    failed
}

/// The error of a stream that broke.
pub(super) fn stream_failure<R: std::fmt::Debug>(error: &SdkError<ConverseStreamOutputError, R>) -> ModelError {
    use ConverseStreamOutputError as Error;
    let failed = match error.as_service_error() {
        Some(Error::ThrottlingException(_)) => throttling(error.message()),
        Some(Error::ValidationException(_)) => refusal(error.message()),
        _ => ModelError::Failed(FailureCode::ModelUnavailable),
    };
    log_error(error, failed);
    failed
}

/// An error without a type in the SDK.
fn failure_by_status(error: &ConverseStreamError, status: u16) -> ModelError {
    match (error.code(), status) {
        // Waiting does not help: a quota of the account rises on request only.
        (Some("ServiceQuotaExceededException"), _) => ModelError::Failed(FailureCode::Throttled),
        (_, 429) => throttling(error.message()),
        (_, 408 | 424 | 500..) => ModelError::Failed(FailureCode::ModelUnavailable),
        (_, 404) => ModelError::Failed(FailureCode::ModelNotAllowed),
        (_, 400) => refusal(error.message()),
        // The handler's own credentials or request: the agent's owner cannot fix these.
        _ => ModelError::Failed(FailureCode::Internal),
    }
}

/// "This model version has reached the end of its life. Please refer to the AWS documentation for more
/// details."
fn is_retired(message: Option<&str>) -> bool {
    message.is_some_and(|message| message.contains("end of its life"))
}

/// Bedrock names the quota of a day only in the message: "Too many tokens per day, please wait before trying
/// again." That quota outlasts every turn.
fn throttling(message: Option<&str>) -> ModelError {
    match message {
        Some(message) if message.contains("per day") => ModelError::Failed(FailureCode::Throttled),
        _ => ModelError::ThrottledBriefly,
    }
}

fn refusal(message: Option<&str>) -> ModelError {
    match message {
        Some(message) if refuses_search_results(message) => ModelError::SearchResultsRefused,
        Some(message) if is_about_settings(message) => ModelError::Failed(FailureCode::SettingsRefused),
        _ => ModelError::Failed(FailureCode::ModelRefused),
    }
}

/// The message may quote the conversation, so it is logged only where it is about the settings.
fn log_error<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, failed: ModelError) {
    let name = error.code();
    if failed == ModelError::Failed(FailureCode::SettingsRefused) {
        tracing::warn!(message = error.message(), "the model refused the agent's settings");
    }
    tracing::info!(?failed, name, "bedrock");
    tracing::debug!(message = error.message(), "bedrock");
}

#[cfg(test)]
mod tests {
    use aws_sdk_bedrockruntime::{
        config::http::HttpResponse,
        error::ErrorMetadata,
        types::error::{
            AccessDeniedException, InternalServerException, ModelErrorException, ModelNotReadyException,
            ModelStreamErrorException, ModelTimeoutException, ResourceNotFoundException, ServiceUnavailableException,
            ThrottlingException, ValidationException,
        },
    };

    use super::*;

    const TOO_MANY_TOKENS_PER_DAY: &str = "Too many tokens per day, please wait before trying again.";
    const SETTING: &str = "`temperature` is deprecated for this model.";
    const NO_SEARCH_RESULTS: &str = "This model doesn't support the searchResult field for user messages. Remove \
        searchResult and try again.";
    const NO_CITATIONS: &str = "This model doesn't support citations.";

    #[test]
    fn every_request_error_has_a_failure() {
        use ConverseStreamError as Error;
        let untyped = |code: &str| Error::generic(ErrorMetadata::builder().code(code).build());
        let throttling = |message: &str| {
            Error::ThrottlingException(ThrottlingException::builder().message(message).meta(metadata(message)).build())
        };
        let validation = |message: &str| {
            Error::ValidationException(ValidationException::builder().message(message).meta(metadata(message)).build())
        };
        let retired = || {
            let message = "This model version has reached the end of its life.";
            let error = ResourceNotFoundException::builder().message(message).meta(metadata(message));
            Error::ResourceNotFoundException(error.build())
        };
        for (status, error, expected) in [
            (429, throttling("Too many requests, please wait before trying again."), ModelError::ThrottledBriefly),
            (429, throttling("Too many tokens, please wait before trying again."), ModelError::ThrottledBriefly),
            (429, throttling(TOO_MANY_TOKENS_PER_DAY), ModelError::Failed(FailureCode::Throttled)),
            (
                429,
                Error::ModelNotReadyException(ModelNotReadyException::builder().build()),
                ModelError::ThrottledBriefly,
            ),
            (429, untyped("TooManyRequests"), ModelError::ThrottledBriefly),
            (400, untyped("ServiceQuotaExceededException"), ModelError::Failed(FailureCode::Throttled)),
            (400, validation("Input is too long for requested model."), failed(FailureCode::ModelRefused)),
            (400, validation(SETTING), failed(FailureCode::SettingsRefused)),
            (400, validation(NO_SEARCH_RESULTS), ModelError::SearchResultsRefused),
            (400, validation(NO_CITATIONS), ModelError::SearchResultsRefused),
            (400, untyped("SomethingNew"), failed(FailureCode::ModelRefused)),
            (
                403,
                Error::AccessDeniedException(AccessDeniedException::builder().build()),
                failed(FailureCode::ModelNotAllowed),
            ),
            (404, retired(), ModelError::Retired),
            (
                404,
                Error::ResourceNotFoundException(ResourceNotFoundException::builder().build()),
                failed(FailureCode::ModelNotAllowed),
            ),
            (
                408,
                Error::ModelTimeoutException(ModelTimeoutException::builder().build()),
                failed(FailureCode::ModelUnavailable),
            ),
            (
                424,
                Error::ModelErrorException(ModelErrorException::builder().build()),
                failed(FailureCode::ModelUnavailable),
            ),
            (
                424,
                Error::ModelStreamErrorException(ModelStreamErrorException::builder().build()),
                failed(FailureCode::ModelUnavailable),
            ),
            (
                500,
                Error::InternalServerException(InternalServerException::builder().build()),
                failed(FailureCode::ModelUnavailable),
            ),
            (
                503,
                Error::ServiceUnavailableException(ServiceUnavailableException::builder().build()),
                failed(FailureCode::ModelUnavailable),
            ),
            (403, untyped("ExpiredTokenException"), failed(FailureCode::Internal)),
            (502, untyped("BadGateway"), failed(FailureCode::ModelUnavailable)),
        ] {
            let context = format!("{status} {error:?}");
            let response = HttpResponse::new(status.try_into().unwrap(), "".into());
            assert_eq!(request_failure(&SdkError::service_error(error, response)), expected, "{context}");
        }
        let timeout = std::io::Error::other("no network");
        assert_eq!(request_failure(&SdkError::timeout_error(timeout)), failed(FailureCode::ModelUnavailable));
    }

    #[test]
    fn every_stream_error_has_a_failure() {
        use ConverseStreamOutputError as Error;
        let validation =
            |message: &str| ValidationException::builder().message(message).meta(metadata(message)).build();
        for (error, expected) in [
            (Error::ThrottlingException(ThrottlingException::builder().build()), ModelError::ThrottledBriefly),
            (Error::ValidationException(ValidationException::builder().build()), failed(FailureCode::ModelRefused)),
            (Error::ValidationException(validation(SETTING)), failed(FailureCode::SettingsRefused)),
            (Error::ValidationException(validation(NO_SEARCH_RESULTS)), ModelError::SearchResultsRefused),
            (
                Error::InternalServerException(InternalServerException::builder().build()),
                failed(FailureCode::ModelUnavailable),
            ),
            (
                Error::ModelStreamErrorException(ModelStreamErrorException::builder().build()),
                failed(FailureCode::ModelUnavailable),
            ),
            (
                Error::ServiceUnavailableException(ServiceUnavailableException::builder().build()),
                failed(FailureCode::ModelUnavailable),
            ),
            (Error::unhandled("cut"), failed(FailureCode::ModelUnavailable)),
        ] {
            let context = format!("{error:?}");
            assert_eq!(stream_failure(&SdkError::service_error(error, ())), expected, "{context}");
        }
    }

    fn failed(code: FailureCode) -> ModelError {
        ModelError::Failed(code)
    }

    fn metadata(message: &str) -> ErrorMetadata {
        ErrorMetadata::builder().message(message).build()
    }
}
