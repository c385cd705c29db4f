//! The data sources behind resolvers: a table, a function, or none.
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::graphql::execution::resolver_error::Refusal;
use crate::{
    dynamodb::{self, DynamoDb},
    identity::{Access, AccessDenied, Session},
    lambda::{InvocationType, InvokeError, Lambda},
    stack::DataSource,
};

/// What AppSync calls its sessions of data sources' roles.
const SESSION: &str = "APPSYNC_ASSUME_ROLE";

/// A data source, and as whom AppSync reaches it.
pub enum Source {
    None,
    Table {
        table: String,
        session: Session,
    },
    /// The function by name or ARN.
    Lambda {
        function: String,
        session: Session,
    },
}

/// What the data sources of an API stand on.
#[derive(Clone)]
pub struct Sources {
    tables: Arc<dyn Tables>,
    functions: Arc<dyn Functions>,
}

/// Where the requests of DynamoDB data sources go.
pub trait Tables: Send + Sync {
    /// Carries out one request document of a data source that is bound to `table`, on behalf of its role.
    fn run<'a>(&'a self, table: &'a str, session: &'a Session, request: &'a Value) -> BoxFuture<'a, dynamodb::Answer>;
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
    fn run<'a>(&'a self, table: &'a str, session: &'a Session, request: &'a Value) -> BoxFuture<'a, dynamodb::Answer> {
        Box::pin(async move { self.on_behalf_of(session).run(table, request).await })
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

impl Source {
    pub fn of(source: &DataSource) -> Self {
        match source {
            DataSource::None => Self::None,
            DataSource::Table { table, role } => {
                Self::Table { table: table.clone(), session: Session::of(role, SESSION) }
            }
            DataSource::Lambda { function, role } => {
                Self::Lambda { function: function.clone(), session: Session::of(role, SESSION) }
            }
        }
    }
}

impl Sources {
    pub fn new(tables: impl Tables + 'static, functions: impl Functions + 'static) -> Self {
        Self { tables: Arc::new(tables), functions: Arc::new(functions) }
    }

    /// Asks a data source what a request handler returned.
    pub async fn ask(&self, source: &Source, request: &Value) -> Result<Answer, Refusal> {
        match source {
            Source::None => Ok(Answer { result: member(request, "payload"), error: None }),
            Source::Table { table, session } => {
                operation(request)?;
                let answer = self.tables.run(table, session, request).await;
                let error = answer.error.map(|error| failure(&error.error_type, &error.message));
                Ok(Answer { result: answer.result, error })
            }
            Source::Lambda { function, session } => self.invoke(function, session, request).await,
        }
    }

    async fn invoke(&self, function: &str, session: &Session, request: &Value) -> Result<Answer, Refusal> {
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
        let access = Access { action: "lambda:InvokeFunction", resource: function, leading_keys: &[] };
        if let Err(denied) = session.request(&access) {
            return Ok(Answer { result: Value::Null, error: Some(forbidden(&denied)) });
        }
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

/// Lambda's SDK has no class for this exception, as DynamoDB's has none; that AppSync names it alike is taken from there.
fn forbidden(denied: &AccessDenied) -> Value {
    failure("Lambda:LambdaException", &denied.to_string())
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::stack::{Role, Table};

    /// A service of functions that all answer.
    struct Answering;

    impl Functions for Answering {
        fn invoke<'a>(
            &'a self,
            _: &'a str,
            _: InvocationType,
            payload: Value,
        ) -> BoxFuture<'a, Result<Value, InvokeError>> {
            Box::pin(async { Ok(payload) })
        }
    }

    fn role(statements: Value) -> Role {
        Role {
            arn: "arn:aws:iam::000000000000:role/Reaching".into(),
            statements: statements.as_array().cloned().unwrap(),
        }
    }

    async fn asked(source: DataSource, request: Value) -> Answer {
        let definition = json!({
            "TableName": "Things", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        });
        let database = DynamoDb::open(None).unwrap();
        database.create(&BTreeMap::from([("Things".into(), Table { definition, ttl_attribute: None })])).unwrap();
        let Ok(answer) = Sources::new(database, Answering).ask(&Source::of(&source), &request).await else {
            panic!("the request is AppSync's")
        };
        answer
    }

    fn denied(action: &str, resource: &str) -> String {
        format!(
            "User: arn:aws:sts::000000000000:assumed-role/Reaching/APPSYNC_ASSUME_ROLE is not authorized to perform: \
             {action} on resource: {resource} because no identity-based policy allows the {action} action"
        )
    }

    #[tokio::test]
    async fn a_table_is_reached_as_far_as_its_sources_role_may() {
        let table = "arn:aws:dynamodb:us-east-1:000000000000:table/Things";
        let statement = json!({ "Effect": "Allow", "Action": "dynamodb:BatchGetItem", "Resource": table,
            "Condition": { "StringLike": { "dynamodb:LeadingKeys": "MINE#*" } } });
        let source = || DataSource::Table { table: "Things".into(), role: role(json!([statement])) };
        let batch = |ids: [&str; 2]| {
            let keys = ids.map(|id| json!({ "id": { "S": id } }));
            json!({ "operation": "BatchGetItem", "tables": { "Things": { "keys": keys } } })
        };
        let answer = asked(source(), batch(["MINE#1", "MINE#2"])).await;
        assert_eq!((answer.error, &answer.result["data"]["Things"]), (None, &json!([null, null])));
        let get = json!({ "operation": "GetItem", "key": { "id": { "S": "MINE#1" } } });
        for (request, action) in [(batch(["MINE#1", "YOURS#1"]), "BatchGetItem"), (get, "GetItem")] {
            let message = denied(&format!("dynamodb:{action}"), table);
            let answer = asked(source(), request).await;
            assert_eq!(answer.error, Some(failure("DynamoDB:DynamoDbException", &message)));
        }
    }

    #[tokio::test]
    async fn a_function_is_invoked_where_its_sources_role_may() {
        let function = |name: &str| format!("arn:aws:lambda:us-east-1:000000000000:function:{name}");
        let statement = json!({ "Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": function("answer") });
        let source = |name: &str| DataSource::Lambda { function: function(name), role: role(json!([statement])) };
        let invoke = json!({ "operation": "Invoke", "payload": "Hello" });
        let answer = asked(source("answer"), invoke.clone()).await;
        assert_eq!((answer.result, answer.error), (json!("Hello"), None));
        let answer = asked(source("close"), invoke).await;
        let message = denied("lambda:InvokeFunction", &function("close"));
        assert_eq!(answer.error, Some(failure("Lambda:LambdaException", &message)));
    }
}
