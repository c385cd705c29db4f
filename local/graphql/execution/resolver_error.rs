//! Why a resolver run has no value.
use serde_json::Value;

use crate::resolver::Raised;

pub enum Refusal {
    Raised(Raised),
    Unauthorized,
    /// The request has used its time up.
    OutOfTime,
}

impl Refusal {
    /// A request to a data source that AppSync itself does not accept.
    pub fn mapping(message: impl Into<String>) -> Self {
        Self::of_type("MappingTemplate", message.into())
    }

    /// A fault of this side.
    pub fn internal(message: String) -> Self {
        Self::of_type("InternalFailure", message)
    }

    fn of_type(error_type: &str, message: String) -> Self {
        let error_type = Some(error_type.to_owned());
        Refusal::Raised(Raised { message, error_type, data: Value::Null, info: Value::Null })
    }
}
