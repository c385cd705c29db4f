//! The error of an API definition that cannot be served.

/// Says in one sentence why the API cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ApiDefinitionError(String);

impl ApiDefinitionError {
    pub(crate) fn new(sentence: String) -> Self {
        Self(sentence)
    }
}
