//! Fault injection into the calls of functions and data sources.
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::fault_injection::FaultPlan;

fn database(plan: &FaultPlan) -> DynamoDb {
    let definition = json!({
        "TableName": "Things", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
    });
    let tables = BTreeMap::from([("Things".to_owned(), Table { definition, ttl_attribute: None })]);
    let database = DynamoDb::open(None).unwrap();
    database.create_tables(&tables).unwrap();
    database.with_faults(&FaultInjector::new(plan), &tables).unwrap()
}

fn first_call_fails(fault: Fault) -> FaultPlan {
    FaultPlan { on_hits: [(fault, 1)].into(), ..FaultPlan::default() }
}

fn put(id: &str) -> Value {
    json!({ "TableName": "Things", "Item": { "pk": { "S": id } } })
}

fn call(database: &DynamoDb, operation: &str, body: &Value) -> (u16, Value) {
    match database.handle_call(&format!("DynamoDB_20120810.{operation}"), body.to_string().as_bytes()) {
        EndpointResponse::Complete { status, body } => (status, serde_json::from_slice(&body).unwrap()),
        EndpointResponse::ConnectionLost => (0, Value::Null),
    }
}

async fn run(database: &DynamoDb, request: Value) -> (Value, Option<String>) {
    let response = database.run("Things", &request).await;
    (response.result, response.error.map(|error| error.error_type))
}

fn transaction() -> Value {
    let item = |id: &str| json!({ "operation": "PutItem", "table": "Things", "key": { "pk": { "S": id } }, "attributeValues": {} });
    json!({ "operation": "TransactWriteItems", "transactItems": [item("a"), item("b")] })
}

#[test]
fn conflict_of_a_function_is_dynamodbs_error_and_writes_nothing() {
    let database = database(&first_call_fails(Fault::TableConflict));
    let (status, conflict) = call(&database, "PutItem", &put("a"));
    assert_eq!(status, 400);
    assert_eq!(conflict["__type"], "com.amazonaws.dynamodb.v20120810#TransactionConflictException");
    let get = json!({ "TableName": "Things", "Key": { "pk": { "S": "a" } } });
    assert_eq!(call(&database, "GetItem", &get), (200, json!({})));
    assert_eq!(call(&database, "PutItem", &put("a")).0, 200, "the next write succeeds");
}

#[test]
fn conflicting_transaction_has_a_reason_for_each_item() {
    let database = database(&first_call_fails(Fault::TableConflict));
    let transaction = json!({ "TransactItems": [{ "Put": put("a") }, { "Put": put("b") }] });
    let (status, cancelled) = call(&database, "TransactWriteItems", &transaction);
    assert_eq!(status, 400);
    assert_eq!(cancelled["__type"], "com.amazonaws.dynamodb.v20120810#TransactionCanceledException");
    let codes: Vec<&Value> =
        cancelled["CancellationReasons"].as_array().unwrap().iter().map(|reason| &reason["Code"]).collect();
    assert!(codes == ["TransactionConflict", "None"] || codes == ["None", "TransactionConflict"], "{codes:?}");
}

#[tokio::test]
async fn conflict_of_a_resolver_is_appsyncs_error() {
    let database = database(&first_call_fails(Fault::TableConflict));
    let (result, error) = run(&database, transaction()).await;
    assert_eq!(error.as_deref(), Some("DynamoDB:TransactionCanceledException"));
    let kinds: Vec<&Value> =
        result["cancellationReasons"].as_array().unwrap().iter().map(|reason| &reason["type"]).collect();
    assert!(kinds == ["TransactionConflict", "None"] || kinds == ["None", "TransactionConflict"], "{kinds:?}");
    assert_eq!(run(&database, transaction()).await.1, None);
}

#[tokio::test]
async fn throttled_table_fails_calls_of_functions_and_resolvers() {
    let rates = [(Fault::TableThrottled, 1.0)].into();
    let database = database(&FaultPlan { rates, ..FaultPlan::default() });
    for _ in 0..8 {
        let (status, throttled) = call(&database, "PutItem", &put("a"));
        let name = throttled["__type"].as_str().unwrap().rsplit('#').next().unwrap();
        assert!(
            status == 400 && ["ThrottlingException", "ProvisionedThroughputExceededException"].contains(&name),
            "{name}"
        );
    }
    let (result, error) = run(&database, transaction()).await;
    assert_eq!(error.as_deref(), Some("DynamoDB:TransactionCanceledException"));
    assert!(result["cancellationReasons"].to_string().contains("ThrottlingError"), "{result}");
}

#[test]
fn lost_response_is_lost_after_the_write() {
    let database = database(&first_call_fails(Fault::TableAnswerLost));
    let response = database.handle_call("DynamoDB_20120810.PutItem", put("a").to_string().as_bytes());
    assert_eq!(response, EndpointResponse::ConnectionLost);
    let get = json!({ "TableName": "Things", "Key": { "pk": { "S": "a" } } });
    assert_eq!(call(&database, "GetItem", &get), (200, json!({ "Item": { "pk": { "S": "a" } } })));
}

#[tokio::test]
async fn eventually_consistent_read_misses_the_newest_writes_only() {
    let rates = [(Fault::StaleRead, 1.0)].into();
    let database = database(&FaultPlan { rates, ..FaultPlan::default() });
    let read = |id: &str, consistent: bool| json!({ "operation": "GetItem", "key": { "pk": { "S": id } }, "consistentRead": consistent });
    let is_found = async |id: &str, consistent| run(&database, read(id, consistent)).await.0 != Value::Null;
    call(&database, "PutItem", &put("old"));
    for number in 0..4 {
        call(&database, "PutItem", &put(&format!("new{number}")));
    }
    assert!(is_found("old", false).await && is_found("old", true).await);
    assert!(!is_found("new0", false).await && is_found("new0", true).await);
    call(&database, "DeleteItem", &json!({ "TableName": "Things", "Key": { "pk": { "S": "old" } } }));
    assert!(is_found("old", false).await && !is_found("old", true).await);
    let get = json!({ "TableName": "Things", "Key": { "pk": { "S": "new3" } } });
    assert_eq!(call(&database, "GetItem", &get), (200, json!({})), "functions read the same replica");
}
