//! Errors of the Events API, as the three kinds of replies have them.
use std::borrow::Cow;

use http::StatusCode;
use serde::Serialize;

use super::publish_input::{InputError, MAX_PUBLISH_BYTES};
use crate::{identity::AuthError, resolver::HandlerError};

/// Why an operation is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum EventsError {
    Unauthenticated(AuthError),
    /// The caller's mode is not allowed. AppSync answers a publish to an unknown namespace the same way.
    ModeNotAllowed,
    NamespaceNotFound,
    Input(InputError),
    /// `util.unauthorized` of a handler.
    RefusedByHandler,
    /// `util.error` of a handler, or an error in its code.
    RaisedByHandler(HandlerError),
    /// The function of a handler failed or refused. The reason is logged and not sent.
    HandlerFailed,
    /// The socket publishes too often.
    RateExceeded,
    /// The frame of a subscription is too large.
    SubscribeTooLarge,
    TooManySubscriptions {
        limit: usize,
    },
    DuplicateId {
        id: String,
    },
    UnknownId {
        id: String,
    },
    InvalidId,
    UnknownOperation,
    /// An event of a subscription cannot be processed.
    NotProcessed,
}

/// The reply that carries an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Http,
    /// `publish_error`
    Publish,
    /// `subscribe_error`, `unsubscribe_error`, `broadcast_error`, `connection_error` or `error`
    Socket,
}

/// An entry of `errors`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorEntry {
    pub error_type: Cow<'static, str>,
    /// Of a `connection_error` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Cow<'static, str>>,
}

const NOT_AUTHORIZED: &str = "You are not authorized to make this call.";

impl EventsError {
    /// The status of an HTTP response.
    pub fn status(&self) -> StatusCode {
        match self {
            EventsError::Unauthenticated(error) => error.status(),
            EventsError::ModeNotAllowed | EventsError::RefusedByHandler => StatusCode::UNAUTHORIZED,
            EventsError::RaisedByHandler(_) | EventsError::HandlerFailed => StatusCode::FORBIDDEN,
            EventsError::NamespaceNotFound => StatusCode::NOT_FOUND,
            EventsError::Input(InputError::PayloadTooLarge) | EventsError::SubscribeTooLarge => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            EventsError::NotProcessed => StatusCode::INTERNAL_SERVER_ERROR,
            EventsError::RateExceeded => StatusCode::TOO_MANY_REQUESTS,
            EventsError::Input(_)
            | EventsError::TooManySubscriptions { .. }
            | EventsError::DuplicateId { .. }
            | EventsError::UnknownId { .. }
            | EventsError::InvalidId
            | EventsError::UnknownOperation => StatusCode::BAD_REQUEST,
        }
    }

    pub fn entry(&self, reply: Reply) -> ErrorEntry {
        ErrorEntry { error_type: self.error_type(reply), error_code: None, message: self.message(reply) }
    }

    /// The entry of a `connection_error`.
    pub fn connection_entry(&self) -> ErrorEntry {
        let entry = self.entry(Reply::Socket);
        let code = if entry.error_type == "BadRequestException" { 400 } else { 401 };
        let message = entry.message.or(Some(NOT_AUTHORIZED.into()));
        ErrorEntry { error_code: Some(code), message, ..entry }
    }

    fn error_type(&self, reply: Reply) -> Cow<'static, str> {
        match self {
            EventsError::Unauthenticated(error) => auth_error_type(*error, reply).into(),
            EventsError::ModeNotAllowed => "UnauthorizedException".into(),
            EventsError::RefusedByHandler | EventsError::HandlerFailed => match reply {
                Reply::Http | Reply::Publish => "UnauthorizedException".into(),
                Reply::Socket => "Unauthorized".into(),
            },
            EventsError::NamespaceNotFound => "ResourceNotFound".into(),
            EventsError::Input(error) => input_error_type(*error, reply).into(),
            // AWS does not document the type of an error that is raised without one.
            EventsError::RaisedByHandler(HandlerError { error_type, .. }) => {
                error_type.clone().map_or("BadRequestException".into(), Cow::Owned)
            }
            EventsError::RateExceeded | EventsError::SubscribeTooLarge => "LimitExceededError".into(),
            EventsError::TooManySubscriptions { .. } => "MaxSubscriptionsReachedError".into(),
            EventsError::DuplicateId { .. } => "DuplicatedOperationError".into(),
            EventsError::UnknownId { .. } => "UnknownOperationError".into(),
            EventsError::InvalidId => "BadRequestException".into(),
            EventsError::UnknownOperation => "UnsupportedOperation".into(),
            EventsError::NotProcessed => "MessageProcessingError".into(),
        }
    }

    fn message(&self, reply: Reply) -> Option<Cow<'static, str>> {
        let message = match self {
            EventsError::Unauthenticated(AuthError::CredentialsMissing) | EventsError::ModeNotAllowed => return None,
            EventsError::Unauthenticated(error) => error.message(),
            EventsError::RefusedByHandler => NOT_AUTHORIZED.into(),
            EventsError::HandlerFailed => "The handler of the channel namespace refused the request.".into(),
            EventsError::NamespaceNotFound => "Namespace not found".into(),
            EventsError::Input(error) => input_error_message(*error, reply),
            EventsError::RaisedByHandler(HandlerError { message, .. }) => message.clone().into(),
            EventsError::RateExceeded => "A connection may publish 25 times a second.".into(),
            EventsError::SubscribeTooLarge => "A subscribe message has at most 240 KB.".into(),
            EventsError::TooManySubscriptions { limit } => {
                format!("Max number of {limit} subscriptions reached").into()
            }
            EventsError::DuplicateId { id } => format!("Duplicated operation with id {id}").into(),
            EventsError::UnknownId { id } => format!("Unknown operation id {id}").into(),
            EventsError::InvalidId => "An id has 1 to 128 letters, digits, -, _ and +.".into(),
            EventsError::UnknownOperation => "unknown not supported through the realtime channel".into(),
            EventsError::NotProcessed => "There was an error processing the message".into(),
        };
        Some(message)
    }
}

impl From<AuthError> for EventsError {
    fn from(error: AuthError) -> Self {
        EventsError::Unauthenticated(error)
    }
}

impl From<InputError> for EventsError {
    fn from(error: InputError) -> Self {
        EventsError::Input(error)
    }
}

/// On a WebSocket an invalid signature is a `BadRequestException`.
fn auth_error_type(error: AuthError, reply: Reply) -> &'static str {
    match (reply, error) {
        (Reply::Http, error) => error.error_type(),
        (
            _,
            AuthError::SignatureMismatch
            | AuthError::SignatureExpired { .. }
            | AuthError::SignatureNotYetCurrent { .. },
        ) => "BadRequestException",
        _ => "UnauthorizedException",
    }
}

fn input_error_type(error: InputError, reply: Reply) -> &'static str {
    match (error, reply) {
        (InputError::Unparsable | InputError::EventsNotAList, Reply::Http) => "SerializationException",
        (InputError::TooManyEvents, Reply::Publish | Reply::Socket) => "InvalidInputError",
        (InputError::PayloadTooLarge, Reply::Http) => "RequestEntityTooLargeException",
        (InputError::PayloadTooLarge, Reply::Publish | Reply::Socket) => "LimitExceededError",
        _ => "BadRequestException",
    }
}

fn input_error_message(error: InputError, reply: Reply) -> Cow<'static, str> {
    match (error, reply) {
        (InputError::Unparsable, _) => "Unable to parse request body".into(),
        (InputError::EventsNotAList, _) => "Expected list or null".into(),
        (InputError::ChannelMissing, _) => "Missing channel".into(),
        (InputError::EventsMissing, _) => "Missing events".into(),
        (InputError::ChannelInvalid, _) => "Invalid Channel Format".into(),
        (InputError::TooManyEvents, Reply::Http) => "Input exceeded 5 event limit".into(),
        (InputError::TooManyEvents, Reply::Publish | Reply::Socket) => "input exceeded 5 event limit".into(),
        (InputError::PayloadTooLarge, _) => {
            format!("The events of a publish have at most {MAX_PUBLISH_BYTES} bytes.").into()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(error: &EventsError, reply: Reply) -> Value {
        json!(error.entry(reply))
    }

    #[test]
    fn errors_have_the_literals_of_appsync() {
        let unauthorized = json!({ "errorType": "UnauthorizedException", "message": NOT_AUTHORIZED });
        let no_message = json!({ "errorType": "UnauthorizedException" });
        let raised = |error_type: Option<&str>| {
            EventsError::RaisedByHandler(HandlerError {
                message: "Operation not allowed".into(),
                error_type: error_type.map(str::to_owned),
                data: Value::Null,
                info: Value::Null,
            })
        };
        let input = EventsError::Input;
        let of = |error_type: &str, message: &str| json!({ "errorType": error_type, "message": message });
        for (error, reply, status, expected) in [
            (AuthError::NotAuthorized.into(), Reply::Http, 401, unauthorized.clone()),
            (AuthError::CredentialsMissing.into(), Reply::Http, 401, no_message.clone()),
            (EventsError::ModeNotAllowed, Reply::Http, 401, no_message.clone()),
            (EventsError::ModeNotAllowed, Reply::Publish, 401, no_message),
            (EventsError::RefusedByHandler, Reply::Http, 401, unauthorized.clone()),
            (EventsError::RefusedByHandler, Reply::Publish, 401, unauthorized),
            (EventsError::RefusedByHandler, Reply::Socket, 401, of("Unauthorized", NOT_AUTHORIZED)),
            (raised(None), Reply::Http, 403, of("BadRequestException", "Operation not allowed")),
            (raised(Some("Busy")), Reply::Publish, 403, of("Busy", "Operation not allowed")),
            (
                input(InputError::TooManyEvents),
                Reply::Http,
                400,
                of("BadRequestException", "Input exceeded 5 event limit"),
            ),
            (
                input(InputError::TooManyEvents),
                Reply::Publish,
                400,
                of("InvalidInputError", "input exceeded 5 event limit"),
            ),
            (
                input(InputError::Unparsable),
                Reply::Http,
                400,
                of("SerializationException", "Unable to parse request body"),
            ),
            (
                input(InputError::EventsNotAList),
                Reply::Http,
                400,
                of("SerializationException", "Expected list or null"),
            ),
            (input(InputError::ChannelMissing), Reply::Http, 400, of("BadRequestException", "Missing channel")),
            (input(InputError::EventsMissing), Reply::Http, 400, of("BadRequestException", "Missing events")),
            (input(InputError::ChannelInvalid), Reply::Http, 400, of("BadRequestException", "Invalid Channel Format")),
            (
                EventsError::UnknownId { id: "zz".into() },
                Reply::Socket,
                400,
                of("UnknownOperationError", "Unknown operation id zz"),
            ),
        ] {
            assert_eq!((error.status().as_u16(), entry(&error, reply)), (status, expected), "{error:?}, {reply:?}");
        }
    }

    #[test]
    fn connection_errors_have_a_code_and_a_message() {
        let expected = json!({ "errorType": "UnauthorizedException", "errorCode": 401, "message": NOT_AUTHORIZED });
        for error in
            [AuthError::NotAuthorized.into(), AuthError::CredentialsMissing.into(), EventsError::ModeNotAllowed]
        {
            assert_eq!(json!(EventsError::connection_entry(&error)), expected);
        }
        let mismatch = EventsError::from(AuthError::SignatureMismatch).connection_entry();
        assert_eq!((mismatch.error_type.as_ref(), mismatch.error_code), ("BadRequestException", Some(400)));
    }
}
