//! DynamoDB's HTTP protocol for Lambda functions: the operation in a header, JSON bodies.
use std::io;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use dynoxide::DynoxideError;
use futures::{future::ready, stream::once};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::{DynamoDb, database_error::DatabaseError};
use crate::{fault_injection::Fault, identity::Authenticator, object_only::ObjectOnly};

const TARGET_HEADER: &str = "x-amz-target";
const TARGET_PREFIX: &str = "DynamoDB_20120810.";
const JSON: &str = "application/x-amz-json-1.0";
/// DynamoDB's limit on a request.
const MAX_BODY_BYTES: usize = 16 << 20;

/// The HTTP response to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointResponse {
    /// A JSON body: the response of the operation, or an exception with its `__type`.
    Complete { status: u16, body: Vec<u8> },
    /// The call was carried out, and the connection breaks before the response.
    ConnectionLost,
}

impl DynamoDb {
    /// Serves `POST /` to functions with the permissions of their roles. The access key identifies the role;
    /// signatures are not verified.
    pub fn router(&self, authenticator: Authenticator) -> Router {
        let state = (self.clone(), authenticator);
        Router::new().route("/", post(handle_post)).layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).with_state(state)
    }

    /// Handles one call of a function. `target` is the `X-Amz-Target` header, such as
    /// `DynamoDB_20120810.GetItem`.
    pub fn handle_call(&self, target: &str, body: &[u8]) -> EndpointResponse {
        let Some(operation) = target.strip_prefix(TARGET_PREFIX) else { return unknown_operation(target) };
        let database = &self.for_functions;
        database.count_call();
        let result = match operation {
            "GetItem" => run(body, |request| database.get_item(request)),
            "Query" => run(body, |request| database.query(request)),
            "TransactGetItems" => run(body, |request| database.transact_get_items(request)),
            "PutItem" => run(body, |request| database.put_item(request)),
            "UpdateItem" => run(body, |request| database.update_item(request)),
            "DeleteItem" => run(body, |request| database.delete_item(request)),
            "BatchWriteItem" => run(body, |request| database.batch_write_item(request)),
            "TransactWriteItems" => run(body, |request| database.transact_write_items(request)),
            other => return unknown_operation(other),
        };
        if database.should_inject(Fault::TableAnswerLost) {
            return EndpointResponse::ConnectionLost;
        }
        match result {
            Ok(body) => EndpointResponse::Complete { status: 200, body },
            Err(error) => EndpointResponse::from_error(&error),
        }
    }
}

impl EndpointResponse {
    fn from_error(error: &DatabaseError) -> Self {
        Self::Complete { status: error.status(), body: error.to_json().into_bytes() }
    }
}

async fn handle_post(
    State((database, authenticator)): State<(DynamoDb, Authenticator)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(role) = authenticator.assumed_role(&headers) else {
        return EndpointResponse::from_error(&DatabaseError::ClientUnknown).into_response();
    };
    let database = database.as_role(&role);
    let target = headers.get(TARGET_HEADER).and_then(|target| target.to_str().ok()).unwrap_or_default().to_owned();
    match spawn_blocking(move || database.handle_call(&target, &body)).await {
        Ok(response) => response.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Parses a request, runs it and serializes its response.
fn run<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    call: impl FnOnce(Q) -> Result<A, DatabaseError>,
) -> Result<Vec<u8>, DatabaseError> {
    let ObjectOnly(request) = serde_json::from_slice(body).map_err(|error| parse_error(&error.to_string()))?;
    let response = call(request)?;
    Ok(serde_json::to_vec(&response).map_err(|error| DynoxideError::InternalServerError(error.to_string()))?)
}

/// The error of a request that cannot be parsed. The database marks its own validation errors with
/// `VALIDATION:`; any other error means that the body is not a request.
fn parse_error(error: &str) -> DynoxideError {
    match error.split_once("VALIDATION:") {
        Some((_, message)) => {
            let message = message.split(" at line ").next().unwrap_or(message);
            DynoxideError::ValidationException(message.to_owned())
        }
        None => DynoxideError::SerializationException(error.to_owned()),
    }
}

fn unknown_operation(operation: &str) -> EndpointResponse {
    let message = format!(
        "The local server does not serve '{operation}' to functions. It serves GetItem, Query, TransactGetItems, \
         PutItem, UpdateItem, DeleteItem, BatchWriteItem and TransactWriteItems."
    );
    let body = json!({ "__type": "com.amazon.coral.service#UnknownOperationException", "message": message });
    EndpointResponse::Complete { status: 400, body: body.to_string().into_bytes() }
}

impl IntoResponse for EndpointResponse {
    fn into_response(self) -> Response {
        let headers = [(CONTENT_TYPE.as_str(), JSON), ("x-amzn-requestid", &Uuid::new_v4().to_string())];
        match self {
            EndpointResponse::Complete { status, body } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, headers, Body::from(body)).into_response()
            }
            EndpointResponse::ConnectionLost => {
                let failing_body = Body::from_stream(once(ready(Err::<Bytes, _>(connection_reset()))));
                (headers, failing_body).into_response()
            }
        }
    }
}

fn connection_reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;
    use crate::stack::Table;

    fn database() -> DynamoDb {
        let definition = json!({
            "TableName": "Things", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
        });
        let database = DynamoDb::open(None).unwrap();
        let table = Table { definition, ttl_attribute: None };
        database.create_tables(&BTreeMap::from([("Things".into(), table)])).unwrap();
        database
    }

    fn call(database: &DynamoDb, operation: &str, body: &Value) -> (u16, Value) {
        parsed(database.handle_call(&format!("{TARGET_PREFIX}{operation}"), body.to_string().as_bytes()))
    }

    fn parsed(response: EndpointResponse) -> (u16, Value) {
        let EndpointResponse::Complete { status, body } = response else { panic!("the connection is lost") };
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn calls_of_functions_have_capacity_totals_of_their_own() {
        let database = database();
        let item = json!({ "pk": { "S": "a" }, "count": { "N": "1" } });
        assert_eq!(call(&database, "PutItem", &json!({ "TableName": "Things", "Item": item })), (200, json!({})));
        let update = json!({ "TableName": "Things", "Key": { "pk": { "S": "a" } }, "ReturnValues": "ALL_NEW",
            "UpdateExpression": "ADD #count :one", "ExpressionAttributeNames": { "#count": "count" },
            "ExpressionAttributeValues": { ":one": { "N": "1" } } });
        let (status, updated) = call(&database, "UpdateItem", &update);
        assert_eq!((status, &updated["Attributes"]["count"]), (200, &json!({ "N": "2" })));
        let read = call(&database, "GetItem", &json!({ "TableName": "Things", "Key": { "pk": { "S": "a" } } }));
        assert_eq!(read, (200, json!({ "Item": updated["Attributes"] })));
        let totals = database.function_capacity();
        assert_eq!((totals.calls, totals.write_units), (3, 2.0));
        assert_eq!(database.data_source_capacity().calls, 0);
    }

    #[test]
    fn failed_condition_returns_the_stored_item() {
        let database = database();
        let put = json!({ "TableName": "Things", "Item": { "pk": { "S": "a" } },
            "ConditionExpression": "attribute_not_exists(pk)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD" });
        assert_eq!(call(&database, "PutItem", &put).0, 200);
        let (status, error) = call(&database, "PutItem", &put);
        assert_eq!(status, 400);
        assert_eq!(error["__type"], "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException");
        assert_eq!(error["Item"], json!({ "pk": { "S": "a" } }));
        let (status, cancelled) = call(&database, "TransactWriteItems", &json!({ "TransactItems": [{ "Put": put }] }));
        assert_eq!(status, 400);
        assert_eq!(cancelled["__type"], "com.amazonaws.dynamodb.v20120810#TransactionCanceledException");
        assert_eq!(cancelled["CancellationReasons"][0]["Code"], "ConditionalCheckFailed");
        assert_eq!(cancelled["CancellationReasons"][0]["Item"], json!({ "pk": { "S": "a" } }));
    }

    /// As the handler claims a tool call: the turn must be the attempt's, and the claim must be the first.
    #[test]
    fn cancelled_transaction_says_which_item_failed_and_returns_it() {
        let database = database();
        let put = |key: &str, attempt: &str| json!({ "TableName": "Things", "Item": { "pk": { "S": key }, "attempt": { "N": attempt } } });
        let claim = || {
            let names = json!({ "#attempt": "attempt" });
            let check = json!({ "TableName": "Things", "Key": { "pk": { "S": "turn" } },
                "ConditionExpression": "#attempt = :one", "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": { ":one": { "N": "1" } },
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD" });
            let mut first = put("call", "1");
            first["ConditionExpression"] = json!("attribute_not_exists(pk)");
            first["ReturnValuesOnConditionCheckFailure"] = json!("ALL_OLD");
            call(
                &database,
                "TransactWriteItems",
                &json!({ "TransactItems": [{ "ConditionCheck": check }, { "Put": first }] }),
            )
        };
        let reasons = |(status, error): (u16, Value)| {
            assert_eq!(status, 400);
            let reasons = error["CancellationReasons"].as_array().unwrap().clone();
            reasons.iter().map(|reason| (reason["Code"].clone(), reason["Item"]["pk"]["S"].clone())).collect::<Vec<_>>()
        };
        let failed = json!("ConditionalCheckFailed");
        assert_eq!(call(&database, "PutItem", &put("turn", "1")).0, 200);
        assert_eq!(claim(), (200, json!({})));
        assert_eq!(reasons(claim()), [(json!("None"), Value::Null), (failed.clone(), json!("call"))]);
        assert_eq!(call(&database, "PutItem", &put("turn", "2")).0, 200);
        assert_eq!(reasons(claim()), [(failed.clone(), json!("turn")), (failed, json!("call"))]);
    }

    #[test]
    fn invalid_requests_are_rejected_by_exception_name() {
        let database = database();
        let (status, error) = parsed(database.handle_call("DynamoDB_20120810.GetItem", b"{"));
        assert_eq!((status, &error["__type"]), (400, &json!("com.amazon.coral.service#SerializationException")));
        let (status, error) = call(&database, "GetItem", &json!(["Things", { "pk": { "S": "a" } }]));
        assert_eq!((status, &error["__type"]), (400, &json!("com.amazon.coral.service#SerializationException")));
        let (status, error) = call(&database, "GetItem", &json!({ "TableName": "Things" }));
        assert_eq!((status, &error["__type"]), (400, &json!("com.amazon.coral.validate#ValidationException")));
        assert!(error["message"].as_str().unwrap().contains("'key'"), "{error}");
        let (status, error) = call(&database, "DeleteTable", &json!({ "TableName": "Things" }));
        assert_eq!((status, &error["__type"]), (400, &json!("com.amazon.coral.service#UnknownOperationException")));
    }
}
