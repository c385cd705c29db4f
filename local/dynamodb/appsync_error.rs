//! AppSync's errors of DynamoDB data sources.
use serde_json::Value;

use super::{
    data_source_response::{DataSourceError, DataSourceResponse},
    database_error::DatabaseError,
};

#[derive(Debug)]
pub struct AppSyncError {
    error_type: String,
    message: String,
}

impl AppSyncError {
    /// AppSync does not accept the request document.
    pub fn invalid_document(message: String) -> Self {
        AppSyncError { error_type: "MappingTemplate".into(), message }
    }

    /// AppSync accepts the request document, but DynamoDB does not accept the request.
    pub fn invalid_request(message: String) -> Self {
        AppSyncError { error_type: "DynamoDB:DynamoDbException".into(), message }
    }

    pub fn invalid_next_token() -> Self {
        AppSyncError {
            error_type: "DynamoDB:UserIllegalArgumentException".into(),
            message: "Invalid pagination token given.".into(),
        }
    }

    /// The database failed.
    pub fn internal() -> Self {
        AppSyncError {
            error_type: "DynamoDB:InternalServerErrorException".into(),
            message: "The table could not process the request.".into(),
        }
    }

    /// The response with this error and a result.
    pub fn into_response(self, result: Value) -> DataSourceResponse {
        let AppSyncError { error_type, message } = self;
        DataSourceResponse { result, error: Some(DataSourceError { error_type, message }) }
    }
}

impl From<DatabaseError> for AppSyncError {
    /// DynamoDB's SDK has no classes for some exceptions; AppSync names all of these `DynamoDbException`.
    fn from(error: DatabaseError) -> Self {
        let name = match error.name() {
            "ValidationException" | "ThrottlingException" | "AccessDeniedException" => "DynamoDbException",
            name => name,
        };
        AppSyncError { error_type: format!("DynamoDB:{name}"), message: error.message() }
    }
}

impl From<AppSyncError> for DataSourceResponse {
    fn from(error: AppSyncError) -> Self {
        error.into_response(Value::Null)
    }
}
