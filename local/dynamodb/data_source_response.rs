//! Responses to the requests of DynamoDB data sources.
use serde_json::Value;

/// The response to a data source request: `ctx.result` and `ctx.error`.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSourceResponse {
    pub result: Value,
    pub error: Option<DataSourceError>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSourceError {
    /// AppSync's error type, such as `DynamoDB:ConditionalCheckFailedException`.
    pub error_type: String,
    pub message: String,
}

impl DataSourceResponse {
    pub(super) fn from_result(result: Value) -> Self {
        Self { result, error: None }
    }
}
