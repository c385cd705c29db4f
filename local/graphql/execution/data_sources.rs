//! The data sources of resolvers: a table, a function, an HTTP service, or none.
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{
    http_request::{HttpRequest, HttpResponse, Method},
    resolver_error::ResolverError,
};
use crate::{
    dynamodb::{self, DynamoDb},
    identity::{AccessDenied, AccessRequest, AssumedRole},
    json_service::{JsonResponse, JsonService},
    kms::Kms,
    lambda::{InvocationType, InvokeError, Lambda},
    stack::DataSource,
};

/// The session name with which AppSync assumes the roles of data sources.
const ROLE_SESSION_NAME: &str = "APPSYNC_ASSUME_ROLE";

/// A data source and the role with which AppSync calls it.
pub enum BoundDataSource {
    None,
    Table {
        table: String,
        role: AssumedRole,
    },
    Lambda {
        /// The function's name or ARN.
        function: String,
        role: AssumedRole,
    },
    Kms {
        role: AssumedRole,
    },
}

/// The services behind the data sources of an API. Clones share them.
#[derive(Clone)]
pub struct DataSources {
    tables: Arc<dyn TableBackend>,
    functions: Arc<dyn FunctionBackend>,
    kms: Kms,
}

/// The service behind DynamoDB data sources.
pub trait TableBackend: Send + Sync {
    /// Runs one request document of a data source that is bound to `table`, with the permissions of the role.
    fn run<'a>(
        &'a self,
        table: &'a str,
        role: &'a AssumedRole,
        request: &'a Value,
    ) -> BoxFuture<'a, dynamodb::DataSourceResponse>;
}

/// The service behind Lambda data sources.
pub trait FunctionBackend: Send + Sync {
    /// Invokes a function by name or ARN. An `Event` invocation is queued and returns `null` at once.
    fn invoke<'a>(
        &'a self,
        function: &'a str,
        kind: InvocationType,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, InvokeError>>;
}

impl TableBackend for DynamoDb {
    fn run<'a>(
        &'a self,
        table: &'a str,
        role: &'a AssumedRole,
        request: &'a Value,
    ) -> BoxFuture<'a, dynamodb::DataSourceResponse> {
        Box::pin(async move { self.as_role(role).run(table, request).await })
    }
}

impl FunctionBackend for Lambda {
    fn invoke<'a>(
        &'a self,
        function: &'a str,
        kind: InvocationType,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, InvokeError>> {
        Box::pin(self.invoke(function, kind, payload))
    }
}

/// The result of a data source call: `ctx.result` and `ctx.error` of a response handler.
#[derive(Default)]
pub struct DataSourceResult {
    pub result: Value,
    pub error: Option<Value>,
}

impl BoundDataSource {
    pub fn new(data_source: &DataSource) -> Self {
        match data_source {
            DataSource::None => Self::None,
            DataSource::Table { table, role } => {
                Self::Table { table: table.clone(), role: AssumedRole::new(role, ROLE_SESSION_NAME) }
            }
            DataSource::Lambda { function, role } => {
                Self::Lambda { function: function.clone(), role: AssumedRole::new(role, ROLE_SESSION_NAME) }
            }
            DataSource::Kms { role } => Self::Kms { role: AssumedRole::new(role, ROLE_SESSION_NAME) },
        }
    }
}

impl DataSources {
    pub fn new(tables: impl TableBackend + 'static, functions: impl FunctionBackend + 'static) -> Self {
        Self { tables: Arc::new(tables), functions: Arc::new(functions), kms: Kms::default() }
    }

    /// The same services, with KMS and its keys. Without it KMS has no keys.
    pub fn with_kms(self, kms: Kms) -> Self {
        Self { kms, ..self }
    }

    /// Sends the request that a request handler returned. Errors of the data source are part of the result;
    /// the `Err` case is a request that AppSync does not accept.
    pub async fn send(
        &self,
        data_source: &BoundDataSource,
        request: &Value,
    ) -> Result<DataSourceResult, ResolverError> {
        match data_source {
            BoundDataSource::None => Ok(DataSourceResult { result: member(request, "payload"), error: None }),
            BoundDataSource::Table { table, role } => {
                required_operation(request)?;
                let response = self.tables.run(table, role, request).await;
                let error = response.error.map(|error| error_json(&error.error_type, &error.message));
                Ok(DataSourceResult { result: response.result, error })
            }
            BoundDataSource::Lambda { function, role } => self.invoke(function, role, request).await,
            BoundDataSource::Kms { role } => {
                let response = call_kms(&self.kms, role, &HttpRequest::parse(request)?);
                Ok(DataSourceResult { result: response.into_result(), error: None })
            }
        }
    }

    async fn invoke(
        &self,
        function: &str,
        role: &AssumedRole,
        request: &Value,
    ) -> Result<DataSourceResult, ResolverError> {
        let operation = required_operation(request)?;
        if operation != "Invoke" {
            return Err(ResolverError::invalid_request(format!(
                "Operation '{operation}' is not supported for a Lambda data source here; 'Invoke' is."
            )));
        }
        let kind = match request.get("invocationType").and_then(Value::as_str) {
            None | Some("RequestResponse") => InvocationType::RequestResponse,
            Some("Event") => InvocationType::Event,
            Some(other) => {
                return Err(ResolverError::invalid_request(format!(
                    "Invocation type '{other}' is neither 'RequestResponse' nor 'Event'."
                )));
            }
        };
        let access = AccessRequest { action: "lambda:InvokeFunction", resource: function, leading_keys: &[] };
        if let Err(denied) = role.authorize(&access) {
            return Ok(DataSourceResult { result: Value::Null, error: Some(access_denied_json(&denied)) });
        }
        Ok(match self.functions.invoke(function, kind, member(request, "payload")).await {
            Ok(result) => DataSourceResult { result, error: None },
            Err(error) => DataSourceResult { result: Value::Null, error: Some(invoke_error_json(&error)) },
        })
    }
}

/// The response of KMS to a request that AppSync has signed for the role.
fn call_kms(kms: &Kms, role: &AssumedRole, request: &HttpRequest) -> HttpResponse {
    let is_call = request.method == Method::Post && request.resource_path == "/";
    let target = if is_call { request.header("x-amz-target") } else { "" };
    let response = kms.handle_call(role, target, request.body.as_bytes());
    let headers = [("content-type", JsonResponse::CONTENT_TYPE), ("x-amzn-requestid", &response.request_id)];
    HttpResponse {
        status: response.status,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: response.body.to_string(),
    }
}

fn required_operation(request: &Value) -> Result<&str, ResolverError> {
    let operation = request.get("operation").and_then(Value::as_str);
    operation.ok_or_else(|| ResolverError::invalid_request("Value for field '$[operation]' not found."))
}

fn member(request: &Value, name: &str) -> Value {
    request.get(name).cloned().unwrap_or_default()
}

fn error_json(error_type: &str, message: &str) -> Value {
    json!({ "type": error_type, "message": message })
}

/// The SDKs of Lambda and DynamoDB have no class for this exception. AppSync names it
/// `DynamoDB:DynamoDbException` for DynamoDB; the name for Lambda is assumed by analogy.
fn access_denied_json(denied: &AccessDenied) -> Value {
    error_json("Lambda:LambdaException", &denied.to_string())
}

fn invoke_error_json(error: &InvokeError) -> Value {
    let error_type = match error {
        InvokeError::NotFound { .. } => "Lambda:ResourceNotFoundException",
        InvokeError::TooLarge { .. } => "Lambda:RequestTooLargeException",
        InvokeError::Throttled => "Lambda:TooManyRequestsException",
        InvokeError::Stopped => "Lambda:ServiceException",
        InvokeError::Unhandled(error) => {
            return json!({ "type": "Lambda:Unhandled", "message": error.message, "unhandledErrorType": error.kind });
        }
    };
    error_json(error_type, &error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::stack::{Role, Table};

    /// Returns the payload of every invocation.
    struct EchoFunctions;

    impl FunctionBackend for EchoFunctions {
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
            arn: "arn:aws:iam::000000000000:role/Source".into(),
            statements: statements.as_array().cloned().unwrap(),
        }
    }

    async fn send(data_source: DataSource, request: Value) -> DataSourceResult {
        let definition = json!({
            "TableName": "Things", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        });
        let database = DynamoDb::open(None).unwrap();
        let table = Table { definition, ttl_attribute: None };
        database.create_tables(&BTreeMap::from([("Things".into(), table)])).unwrap();
        let data_sources = DataSources::new(database, EchoFunctions);
        let Ok(result) = data_sources.send(&BoundDataSource::new(&data_source), &request).await else {
            panic!("AppSync accepts the request")
        };
        result
    }

    #[tokio::test]
    async fn kms_data_source_has_the_permissions_of_its_role_and_errors_as_results() {
        let key = "arn:aws:kms:us-east-1:000000000000:key/one";
        let kms = Kms::open(&[key.into()], None).unwrap();
        let call = async |action: &str, method: &str, path: &str| {
            let role = role(json!([{ "Effect": "Allow", "Action": action, "Resource": key }]));
            let data_sources = DataSources::new(DynamoDb::open(None).unwrap(), EchoFunctions).with_kms(kms.clone());
            let headers =
                json!({ "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService.Encrypt" });
            let params = json!({ "headers": headers, "body": { "KeyId": key, "Plaintext": "AA==" } });
            let request = json!({ "method": method, "resourcePath": path, "params": params });
            let data_source = BoundDataSource::new(&DataSource::Kms { role });
            let response = data_sources.send(&data_source, &request).await.ok().unwrap();
            assert_eq!(response.error, None);
            let body: Value = serde_json::from_str(response.result["body"].as_str().unwrap()).unwrap();
            (response.result, body)
        };
        let (response, body) = call("kms:Encrypt", "POST", "/").await;
        assert_eq!((&response["statusCode"], &body["KeyId"]), (&json!(200), &json!(key)));
        assert_eq!(response["headers"]["content-type"], "application/x-amz-json-1.1");
        let (response, body) = call("kms:Decrypt", "POST", "/").await;
        let error = json!({ "__type": "AccessDeniedException", "message": denied("kms:Encrypt", key) });
        assert_eq!((&response["statusCode"], body), (&json!(400), error));
        for (method, path) in [("GET", "/"), ("POST", "/keys")] {
            let (response, body) = call("kms:Encrypt", method, path).await;
            assert_eq!((&response["statusCode"], &body["__type"]), (&json!(400), &json!("UnknownOperationException")));
        }
    }

    fn denied(action: &str, resource: &str) -> String {
        format!(
            "User: arn:aws:sts::000000000000:assumed-role/Source/APPSYNC_ASSUME_ROLE is not authorized to perform: \
             {action} on resource: {resource} because no identity-based policy allows the {action} action"
        )
    }

    #[tokio::test]
    async fn table_data_source_has_the_permissions_of_its_role() {
        let table = "arn:aws:dynamodb:us-east-1:000000000000:table/Things";
        let statement = json!({ "Effect": "Allow", "Action": "dynamodb:BatchGetItem", "Resource": table,
            "Condition": { "StringLike": { "dynamodb:LeadingKeys": "MINE#*" } } });
        let data_source = || DataSource::Table { table: "Things".into(), role: role(json!([statement])) };
        let batch_get = |ids: [&str; 2]| {
            let keys = ids.map(|id| json!({ "id": { "S": id } }));
            json!({ "operation": "BatchGetItem", "tables": { "Things": { "keys": keys } } })
        };
        let allowed = send(data_source(), batch_get(["MINE#1", "MINE#2"])).await;
        assert_eq!((allowed.error, &allowed.result["data"]["Things"]), (None, &json!([null, null])));
        let get = json!({ "operation": "GetItem", "key": { "id": { "S": "MINE#1" } } });
        for (request, action) in [(batch_get(["MINE#1", "YOURS#1"]), "BatchGetItem"), (get, "GetItem")] {
            let message = denied(&format!("dynamodb:{action}"), table);
            let result = send(data_source(), request).await;
            assert_eq!(result.error, Some(error_json("DynamoDB:DynamoDbException", &message)));
        }
    }

    #[tokio::test]
    async fn lambda_data_source_has_the_permissions_of_its_role() {
        let function = |name: &str| format!("arn:aws:lambda:us-east-1:000000000000:function:{name}");
        let statement = json!({ "Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": function("answer") });
        let data_source = |name: &str| DataSource::Lambda { function: function(name), role: role(json!([statement])) };
        let invoke = json!({ "operation": "Invoke", "payload": "Hello" });
        let allowed = send(data_source("answer"), invoke.clone()).await;
        assert_eq!((allowed.result, allowed.error), (json!("Hello"), None));
        let denied_result = send(data_source("close"), invoke).await;
        let message = denied("lambda:InvokeFunction", &function("close"));
        assert_eq!(denied_result.error, Some(error_json("Lambda:LambdaException", &message)));
    }
}
