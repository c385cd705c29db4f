//! The data sources behind resolvers: a table, a function, or none.
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::refusal::Refusal;
use crate::{
    dynamodb::{self, DynamoDb},
    lambda::{InvocationType, InvokeError, Lambda},
    stack::DataSource,
};

/// What the data sources of an API stand on.
#[derive(Clone)]
pub struct Sources {
    tables: Arc<dyn Tables>,
    functions: Arc<dyn Functions>,
}

/// Where the requests of DynamoDB data sources go.
pub trait Tables: Send + Sync {
    /// Carries out one request document of a data source that is bound to `table`.
    fn run<'a>(&'a self, table: &'a str, request: &'a Value) -> BoxFuture<'a, dynamodb::Answer>;
}

/// Where the requests of Lambda data sources go.
pub trait Functions: Send + Sync {
    /// Runs a function, given by name or ARN. An Event invocation is queued and answers `null` at once.
    fn invoke<'a>(
        &'a self,
        function: &'a str,
        kind: InvocationType,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, InvokeError>>;
}

impl Tables for DynamoDb {
    fn run<'a>(&'a self, table: &'a str, request: &'a Value) -> BoxFuture<'a, dynamodb::Answer> {
        Box::pin(self.run(table, request))
    }
}

impl Functions for Lambda {
    fn invoke<'a>(
        &'a self,
        function: &'a str,
        kind: InvocationType,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, InvokeError>> {
        Box::pin(self.invoke(function, kind, payload))
    }
}

/// What a response handler sees as `ctx.result` and `ctx.error`.
#[derive(Default)]
pub struct Answer {
    pub result: Value,
    pub error: Option<Value>,
}

impl Sources {
    pub fn new(tables: impl Tables + 'static, functions: impl Functions + 'static) -> Self {
        Self { tables: Arc::new(tables), functions: Arc::new(functions) }
    }

    /// Asks a data source what a request handler returned.
    pub async fn ask(&self, source: &DataSource, request: &Value) -> Result<Answer, Refusal> {
        match source {
            DataSource::None => Ok(Answer { result: member(request, "payload"), error: None }),
            DataSource::Table(table) => {
                operation(request)?;
                let answer = self.tables.run(table, request).await;
                let error = answer.error.map(|error| failure(&error.error_type, &error.message));
                Ok(Answer { result: answer.result, error })
            }
            DataSource::Lambda(function) => self.invoke(function, request).await,
        }
    }

    async fn invoke(&self, function: &str, request: &Value) -> Result<Answer, Refusal> {
        match operation(request)? {
            "Invoke" => {}
            other => {
                return Err(Refusal::mapping(format!(
                    "Operation '{other}' is not supported for a Lambda data source here; 'Invoke' is."
                )));
            }
        }
        let kind = match request.get("invocationType").and_then(Value::as_str) {
            None | Some("RequestResponse") => InvocationType::RequestResponse,
            Some("Event") => InvocationType::Event,
            Some(other) => {
                return Err(Refusal::mapping(format!(
                    "Invocation type '{other}' is neither 'RequestResponse' nor 'Event'."
                )));
            }
        };
        Ok(match self.functions.invoke(function, kind, member(request, "payload")).await {
            Ok(result) => Answer { result, error: None },
            Err(error) => Answer { result: Value::Null, error: Some(invocation_failure(&error)) },
        })
    }
}

fn operation(request: &Value) -> Result<&str, Refusal> {
    let operation = request.get("operation").and_then(Value::as_str);
    operation.ok_or_else(|| Refusal::mapping("Value for field '$[operation]' not found."))
}

fn member(request: &Value, name: &str) -> Value {
    request.get(name).cloned().unwrap_or_default()
}

fn failure(error_type: &str, message: &str) -> Value {
    json!({ "type": error_type, "message": message })
}

fn invocation_failure(error: &InvokeError) -> Value {
    let error_type = match error {
        InvokeError::NotFound { .. } => "Lambda:ResourceNotFoundException",
        InvokeError::TooLarge { .. } => "Lambda:RequestTooLargeException",
        InvokeError::Throttled => "Lambda:TooManyRequestsException",
        InvokeError::Stopped => "Lambda:ServiceException",
        InvokeError::Unhandled(error) => {
            return json!({ "type": "Lambda:Unhandled", "message": error.message, "unhandledErrorType": error.kind });
        }
    };
    failure(error_type, &error.to_string())
}
