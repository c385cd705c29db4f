//! The error of a resolver that returned no value.
use serde_json::Value;

use crate::resolver::HandlerError;

pub enum ResolverError {
    /// `util.error` of a handler, or an error in its form.
    Raised(HandlerError),
    /// `util.unauthorized`.
    Unauthorized,
    /// The request's time is used up.
    TimedOut,
}

impl ResolverError {
    /// AppSync does not accept the request to the data source.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::from_type("MappingTemplate", message.into())
    }

    /// The local server failed.
    pub fn internal(message: String) -> Self {
        Self::from_type("InternalFailure", message)
    }

    fn from_type(error_type: &str, message: String) -> Self {
        let error_type = Some(error_type.to_owned());
        ResolverError::Raised(HandlerError { message, error_type, data: Value::Null, info: Value::Null })
    }
}
