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
    database.create(&tables).unwrap();
    database.with_faults(&FaultInjector::new(plan), &tables).unwrap()
}

fn at_first(fault: Fault) -> FaultPlan {
    FaultPlan { on_hits: [(fault, 1)].into(), ..FaultPlan::default() }
}

fn put(id: &str) -> Value {
    json!({ "TableName": "Things", "Item": { "pk": { "S": id } } })
}

fn called(database: &DynamoDb, operation: &str, body: &Value) -> (u16, Value) {
    match database.answer(&format!("DynamoDB_20120810.{operation}"), body.to_string().as_bytes()) {
        Reply::Answer { status, body } => (status, serde_json::from_slice(&body).unwrap()),
        Reply::Lost => (0, Value::Null),
    }
}

async fn asked(database: &DynamoDb, request: Value) -> (Value, Option<String>) {
    let answer = database.run("Things", &request).await;
    (answer.result, answer.error.map(|error| error.error_type))
}

fn transaction() -> Value {
    let item = |id: &str| json!({ "operation": "PutItem", "table": "Things", "key": { "pk": { "S": id } }, "attributeValues": {} });
    json!({ "operation": "TransactWriteItems", "transactItems": [item("a"), item("b")] })
}

#[test]
fn a_function_hears_of_a_conflict_as_dynamodb_tells_it_and_nothing_is_written() {
    let database = database(&at_first(Fault::TableConflict));
    let (status, conflict) = called(&database, "PutItem", &put("a"));
    assert_eq!(status, 400);
    assert_eq!(conflict["__type"], "com.amazonaws.dynamodb.v20120810#TransactionConflictException");
    let get = json!({ "TableName": "Things", "Key": { "pk": { "S": "a" } } });
    assert_eq!(called(&database, "GetItem", &get), (200, json!({})));
    assert_eq!(called(&database, "PutItem", &put("a")).0, 200, "the next write meets nobody");
}

#[test]
fn a_transaction_in_conflict_is_cancelled_with_one_reason_for_each_item() {
    let database = database(&at_first(Fault::TableConflict));
    let transaction = json!({ "TransactItems": [{ "Put": put("a") }, { "Put": put("b") }] });
    let (status, cancelled) = called(&database, "TransactWriteItems", &transaction);
    assert_eq!(status, 400);
    assert_eq!(cancelled["__type"], "com.amazonaws.dynamodb.v20120810#TransactionCanceledException");
    let codes: Vec<&Value> =
        cancelled["CancellationReasons"].as_array().unwrap().iter().map(|one| &one["Code"]).collect();
    assert!(codes == ["TransactionConflict", "None"] || codes == ["None", "TransactionConflict"], "{codes:?}");
}

#[tokio::test]
async fn a_resolver_sees_a_conflict_as_appsync_tells_it() {
    let database = database(&at_first(Fault::TableConflict));
    let (result, error) = asked(&database, transaction()).await;
    assert_eq!(error.as_deref(), Some("DynamoDB:TransactionCanceledException"));
    let kinds: Vec<&Value> = result["cancellationReasons"].as_array().unwrap().iter().map(|one| &one["type"]).collect();
    assert!(kinds == ["TransactionConflict", "None"] || kinds == ["None", "TransactionConflict"], "{kinds:?}");
    assert_eq!(asked(&database, transaction()).await.1, None);
}

#[tokio::test]
async fn a_throttled_table_says_so_to_functions_and_to_resolvers() {
    let rates = [(Fault::TableThrottled, 1.0)].into();
    let database = database(&FaultPlan { rates, ..FaultPlan::default() });
    for _ in 0..8 {
        let (status, throttled) = called(&database, "PutItem", &put("a"));
        let name = throttled["__type"].as_str().unwrap().rsplit('#').next().unwrap();
        assert!(
            status == 400 && ["ThrottlingException", "ProvisionedThroughputExceededException"].contains(&name),
            "{name}"
        );
    }
    let (result, error) = asked(&database, transaction()).await;
    assert_eq!(error.as_deref(), Some("DynamoDB:TransactionCanceledException"));
    assert!(result["cancellationReasons"].to_string().contains("ThrottlingError"), "{result}");
}

#[test]
fn a_lost_answer_is_lost_after_the_write() {
    let database = database(&at_first(Fault::TableAnswerLost));
    let write = database.answer("DynamoDB_20120810.PutItem", put("a").to_string().as_bytes());
    assert_eq!(write, Reply::Lost);
    let get = json!({ "TableName": "Things", "Key": { "pk": { "S": "a" } } });
    assert_eq!(called(&database, "GetItem", &get), (200, json!({ "Item": { "pk": { "S": "a" } } })));
}

#[tokio::test]
async fn a_read_that_is_not_strongly_consistent_misses_the_newest_writes_and_no_others() {
    let rates = [(Fault::StaleRead, 1.0)].into();
    let database = database(&FaultPlan { rates, ..FaultPlan::default() });
    let read = |id: &str, consistent: bool| json!({ "operation": "GetItem", "key": { "pk": { "S": id } }, "consistentRead": consistent });
    let found = async |id: &str, consistent| asked(&database, read(id, consistent)).await.0 != Value::Null;
    called(&database, "PutItem", &put("old"));
    for number in 0..4 {
        called(&database, "PutItem", &put(&format!("new{number}")));
    }
    assert!(found("old", false).await && found("old", true).await);
    assert!(!found("new0", false).await && found("new0", true).await);
    called(&database, "DeleteItem", &json!({ "TableName": "Things", "Key": { "pk": { "S": "old" } } }));
    assert!(found("old", false).await && !found("old", true).await);
    let get = json!({ "TableName": "Things", "Key": { "pk": { "S": "new3" } } });
    assert_eq!(called(&database, "GetItem", &get), (200, json!({})), "functions read the same replicas");
}
