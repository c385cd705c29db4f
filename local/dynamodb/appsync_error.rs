//! Why a request was not carried out, in AppSync's words.
use serde_json::Value;

use super::{Answer, DataSourceError, database_error::Failure};

#[derive(Debug)]
pub struct Refusal {
    error_type: String,
    message: String,
}

impl Refusal {
    /// The document is not one that AppSync reads.
    pub fn template(message: String) -> Self {
        Refusal { error_type: "MappingTemplate".into(), message }
    }

    /// The document is AppSync's, and what it asks for is not a request that DynamoDB reads.
    pub fn request(message: String) -> Self {
        Refusal { error_type: "DynamoDB:DynamoDbException".into(), message }
    }

    /// What AppSync's own paging does not take.
    pub fn token() -> Self {
        Refusal {
            error_type: "DynamoDB:UserIllegalArgumentException".into(),
            message: "Invalid pagination token given.".into(),
        }
    }

    /// The database itself failed.
    pub fn broken() -> Self {
        Refusal {
            error_type: "DynamoDB:InternalServerErrorException".into(),
            message: "The table could not process the request.".into(),
        }
    }

    pub fn with(self, result: Value) -> Answer {
        let Refusal { error_type, message } = self;
        Answer { result, error: Some(DataSourceError { error_type, message }) }
    }
}

impl From<Failure> for Refusal {
    /// Exceptions that DynamoDB's SDK has no class for are all `DynamoDbException`.
    fn from(failure: Failure) -> Self {
        let name = match failure.name() {
            "ValidationException" | "ThrottlingException" | "AccessDeniedException" => "DynamoDbException",
            name => name,
        };
        Refusal { error_type: format!("DynamoDB:{name}"), message: failure.message() }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        refusal.with(Value::Null)
    }
}
