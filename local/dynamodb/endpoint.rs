//! DynamoDB's own protocol, as functions speak it: the operation in a header, JSON in both directions.
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

use super::{DynamoDb, database_error::Failure};
use crate::{fault_injection::Fault, identity::Directory};

const TARGET: &str = "x-amz-target";
const VERSION: &str = "DynamoDB_20120810.";
const JSON: &str = "application/x-amz-json-1.0";
/// DynamoDB's limit on a request.
const BODY_BYTES: usize = 16 << 20;

/// What a caller gets over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The body is JSON: what the operation answers, or an exception by its `__type`.
    Answer { status: u16, body: Vec<u8> },
    /// It was carried out and the connection broke before the answer.
    Lost,
}

impl DynamoDb {
    /// Serves `POST /` to functions, each of which may do what its role's policies allow. Who calls is told by the
    /// access key alone: signatures are not verified.
    pub fn router(&self, directory: Directory) -> Router {
        let state = (self.clone(), directory);
        Router::new().route("/", post(called)).layer(DefaultBodyLimit::max(BODY_BYTES)).with_state(state)
    }

    /// Carries out one call of a function; `target` is the `X-Amz-Target` header: `DynamoDB_20120810.GetItem`.
    pub fn answer(&self, target: &str, body: &[u8]) -> Reply {
        let Some(operation) = target.strip_prefix(VERSION) else { return unknown(target) };
        let database = &self.functions;
        database.count_call();
        let answer = match operation {
            "GetItem" => carry_out(body, |request| database.get_item(request)),
            "Query" => carry_out(body, |request| database.query(request)),
            "TransactGetItems" => carry_out(body, |request| database.transact_get_items(request)),
            "PutItem" => carry_out(body, |request| database.put_item(request)),
            "UpdateItem" => carry_out(body, |request| database.update_item(request)),
            "DeleteItem" => carry_out(body, |request| database.delete_item(request)),
            "BatchWriteItem" => carry_out(body, |request| database.batch_write_item(request)),
            "TransactWriteItems" => carry_out(body, |request| database.transact_write_items(request)),
            other => return unknown(other),
        };
        if database.is_struck(Fault::TableAnswerLost) {
            return Reply::Lost;
        }
        match answer {
            Ok(body) => Reply::Answer { status: 200, body },
            Err(failure) => Reply::refusal(&failure),
        }
    }
}

impl Reply {
    fn refusal(failure: &Failure) -> Self {
        Self::Answer { status: failure.status(), body: failure.to_json().into_bytes() }
    }
}

async fn called(
    State((database, directory)): State<(DynamoDb, Directory)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(session) = directory.session(&headers) else {
        return Reply::refusal(&Failure::ClientUnknown).into_response();
    };
    let database = database.on_behalf_of(&session);
    let target = headers.get(TARGET).and_then(|target| target.to_str().ok()).unwrap_or_default().to_owned();
    match spawn_blocking(move || database.answer(&target, &body)).await {
        Ok(reply) => reply.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn carry_out<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    call: impl FnOnce(Q) -> Result<A, Failure>,
) -> Result<Vec<u8>, Failure> {
    let request = serde_json::from_slice(body).map_err(|fault| unreadable(&fault.to_string()))?;
    let answer = call(request)?;
    Ok(serde_json::to_vec(&answer).map_err(|fault| DynoxideError::InternalServerError(fault.to_string()))?)
}

/// The database marks what it refuses while it reads a request; anything else is not a request at all.
fn unreadable(fault: &str) -> DynoxideError {
    match fault.split_once("VALIDATION:") {
        Some((_, message)) => {
            let message = message.split(" at line ").next().unwrap_or(message);
            DynoxideError::ValidationException(message.to_owned())
        }
        None => DynoxideError::SerializationException(fault.to_owned()),
    }
}

fn unknown(operation: &str) -> Reply {
    let message = format!(
        "The laptop edition does not serve '{operation}' to functions; GetItem, Query, TransactGetItems, PutItem, \
         UpdateItem, DeleteItem, BatchWriteItem and TransactWriteItems it does."
    );
    let body = json!({ "__type": "com.amazon.coral.service#UnknownOperationException", "message": message });
    Reply::Answer { status: 400, body: body.to_string().into_bytes() }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let headers = [(CONTENT_TYPE.as_str(), JSON), ("x-amzn-requestid", &Uuid::new_v4().to_string())];
        match self {
            Reply::Answer { status, body } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, headers, Body::from(body)).into_response()
            }
            Reply::Lost => (headers, Body::from_stream(once(ready(Err::<Bytes, _>(broken()))))).into_response(),
        }
    }
}

fn broken() -> io::Error {
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
        database.create(&BTreeMap::from([("Things".into(), Table { definition, ttl_attribute: None })])).unwrap();
        database
    }

    fn ask(database: &DynamoDb, operation: &str, body: &Value) -> (u16, Value) {
        answered(database.answer(&format!("{VERSION}{operation}"), body.to_string().as_bytes()))
    }

    fn answered(reply: Reply) -> (u16, Value) {
        let Reply::Answer { status, body } = reply else { panic!("the answer is lost") };
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn what_is_written_is_read_and_charged_to_functions_alone() {
        let database = database();
        let item = json!({ "pk": { "S": "a" }, "count": { "N": "1" } });
        assert_eq!(ask(&database, "PutItem", &json!({ "TableName": "Things", "Item": item })), (200, json!({})));
        let update = json!({ "TableName": "Things", "Key": { "pk": { "S": "a" } }, "ReturnValues": "ALL_NEW",
            "UpdateExpression": "ADD #count :one", "ExpressionAttributeNames": { "#count": "count" },
            "ExpressionAttributeValues": { ":one": { "N": "1" } } });
        let (status, updated) = ask(&database, "UpdateItem", &update);
        assert_eq!((status, &updated["Attributes"]["count"]), (200, &json!({ "N": "2" })));
        let read = ask(&database, "GetItem", &json!({ "TableName": "Things", "Key": { "pk": { "S": "a" } } }));
        assert_eq!(read, (200, json!({ "Item": updated["Attributes"] })));
        let charged = database.charged_to_functions();
        assert_eq!((charged.calls, charged.write_units), (3, 2.0));
        assert_eq!(database.charged().calls, 0);
    }

    #[test]
    fn a_failed_condition_brings_the_stored_item() {
        let database = database();
        let put = json!({ "TableName": "Things", "Item": { "pk": { "S": "a" } },
            "ConditionExpression": "attribute_not_exists(pk)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD" });
        assert_eq!(ask(&database, "PutItem", &put).0, 200);
        let (status, refused) = ask(&database, "PutItem", &put);
        assert_eq!(status, 400);
        assert_eq!(refused["__type"], "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException");
        assert_eq!(refused["Item"], json!({ "pk": { "S": "a" } }));
        let (status, cancelled) = ask(&database, "TransactWriteItems", &json!({ "TransactItems": [{ "Put": put }] }));
        assert_eq!(status, 400);
        assert_eq!(cancelled["__type"], "com.amazonaws.dynamodb.v20120810#TransactionCanceledException");
        assert_eq!(cancelled["CancellationReasons"][0]["Code"], "ConditionalCheckFailed");
        assert_eq!(cancelled["CancellationReasons"][0]["Item"], json!({ "pk": { "S": "a" } }));
    }

    #[test]
    fn what_is_no_request_is_refused_by_name() {
        let database = database();
        let (status, refused) = answered(database.answer("DynamoDB_20120810.GetItem", b"{"));
        assert_eq!((status, &refused["__type"]), (400, &json!("com.amazon.coral.service#SerializationException")));
        let (status, refused) = ask(&database, "GetItem", &json!({ "TableName": "Things" }));
        assert_eq!((status, &refused["__type"]), (400, &json!("com.amazon.coral.validate#ValidationException")));
        assert!(refused["message"].as_str().unwrap().contains("'key'"), "{refused}");
        let (status, refused) = ask(&database, "DeleteTable", &json!({ "TableName": "Things" }));
        assert_eq!((status, &refused["__type"]), (400, &json!("com.amazon.coral.service#UnknownOperationException")));
    }
}
