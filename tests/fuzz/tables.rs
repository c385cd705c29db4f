//! The local DynamoDB: calls of functions, and request documents of resolvers.
use std::collections::BTreeMap;

use local::{
    dynamodb::{DynamoDb, EndpointResponse},
    stack::Table,
};
use serde_json::{Value, json};

use crate::{
    fuzzer::{Target, fuzz, run_on_thread},
    mutator::Mutator,
    project_files,
};

const TABLE: &str = "Things";
const OPERATIONS: [&str; 10] = [
    "GetItem",
    "Query",
    "TransactGetItems",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "BatchWriteItem",
    "TransactWriteItems",
    "Scan",
    "",
];
const MAX_RESPONSE_BYTES: usize = 16 << 20;

fn create_database() -> DynamoDb {
    let attribute = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
    let definition = json!({
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [attribute("pk"), attribute("sk")],
        "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }, { "AttributeName": "sk", "KeyType": "RANGE" }],
    });
    let database = DynamoDb::open(None).expect("the database opens in memory");
    let table = Table { definition, ttl_attribute: None };
    database.create_tables(&BTreeMap::from([(TABLE.to_owned(), table)])).expect("the table is created");
    database
}

struct FunctionCalls(DynamoDb);

/// Bodies of calls. An additional member `operation` names the operation.
fn calls() -> Vec<Value> {
    [reads(), updates_and_conditions(), puts(), batches_and_transactions()].concat()
}

fn key() -> Value {
    json!({ "pk": { "S": "a" }, "sk": { "S": "b" } })
}

/// A call with the table, the key and further members.
fn call(members: Value) -> Value {
    let mut call = json!({ "TableName": TABLE, "Key": key() });
    call.as_object_mut().expect("a call is an object").extend(members.as_object().expect("members of a call").clone());
    call
}

fn reads() -> Vec<Value> {
    vec![
        call(json!({ "operation": "GetItem", "ConsistentRead": true, "ProjectionExpression": "pk, a.b[0].c" })),
        json!({
            "operation": "Query", "TableName": TABLE, "Limit": 3, "ScanIndexForward": false,
            "KeyConditionExpression": "pk = :p AND sk BETWEEN :a AND :b",
            "FilterExpression": "size(sk) > :n AND NOT contains(sk, :a)",
            "ExpressionAttributeValues":
                { ":p": { "S": "a" }, ":a": { "S": "a" }, ":b": { "S": "c" }, ":n": { "N": "0" } },
            "ExclusiveStartKey": key(),
        }),
    ]
}

fn update(expression: &str) -> Value {
    call(json!({
        "operation": "UpdateItem",
        "UpdateExpression": expression,
        "ConditionExpression": "attribute_not_exists(pk) OR #n < :v",
        "ExpressionAttributeNames": { "#n": "n" },
        "ExpressionAttributeValues": { ":v": { "N": "1" } },
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        "ReturnValues": "ALL_NEW",
    }))
}

fn condition(expression: &str) -> Value {
    call(json!({ "operation": "DeleteItem", "ConditionExpression": expression }))
}

fn updates_and_conditions() -> Vec<Value> {
    vec![
        update("SET #n = if_not_exists(#n, :v) + :v REMOVE x[3], y ADD z :v"),
        update("SET #n[4294967295] = :v, a[99999999999999999999] = :v"),
        update(&format!("SET {}n = :v", "n.".repeat(1_000))),
        condition(&format!("{}pk = pk{}", "(".repeat(2_000), ")".repeat(2_000))),
        condition(&format!("{}attribute_exists(pk)", "NOT ".repeat(1_000))),
        condition(&vec!["pk = pk"; 350].join(" AND ")),
        condition(&"(".repeat(100_000)),
    ]
}

fn puts() -> Vec<Value> {
    let nested_lists = |depth: usize| (0..depth).fold(json!({ "S": "x" }), |inner, _| json!({ "L": [inner] }));
    let put = |name: &str, value: Value| {
        let item = json!({ "pk": { "S": "a" }, "sk": { "S": "b" }, name: value });
        json!({ "operation": "PutItem", "TableName": TABLE, "Item": item })
    };
    vec![
        put("deep", nested_lists(31)),
        put("deeper", nested_lists(60)),
        put("n", json!({ "N": "1e999999999" })),
        put("n", json!({ "N": "0".repeat(100_000) })),
        put("n", json!({ "NS": vec!["1"; 10_000] })),
        put("b", json!({ "B": "====" })),
        put("s", json!({ "S": "x".repeat(500_000) })),
    ]
}

fn batches_and_transactions() -> Vec<Value> {
    let deletes = vec![json!({ "DeleteRequest": { "Key": key() } }); 26];
    let writes = json!([{ "Update": update("SET n = :v") }, { "ConditionCheck": condition("n = :v") }]);
    vec![
        json!({ "operation": "BatchWriteItem", "RequestItems": { TABLE: deletes } }),
        json!({ "operation": "TransactWriteItems", "TransactItems": writes }),
        json!({ "operation": "TransactGetItems", "TransactItems": [{ "Get": call(json!({})) }] }),
    ]
}

impl Target for FunctionCalls {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let mut bodies: Vec<_> = calls().iter().map(|call| call.to_string().into_bytes()).collect();
        bodies.push(format!("{{\"operation\":\"PutItem\",\"Item\":{}", "{\"L\":[".repeat(50_000)).into());
        bodies
    }

    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        if mutator.one_in(4) {
            return mutator.mutate_any(corpus);
        }
        let calls = calls();
        let call = mutator.choose(&calls);
        let mut call = mutator.mutate_json(call);
        if mutator.one_in(8) && call.is_object() {
            call["operation"] = json!(*mutator.choose(&OPERATIONS));
        }
        call.to_string().into()
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let call: Value = serde_json::from_slice(input).unwrap_or_default();
        let operation = call["operation"].as_str().unwrap_or("PutItem").to_owned();
        let (database, body) = (self.0.clone(), input.to_vec());
        let work = move || database.handle_call(&format!("DynamoDB_20120810.{operation}"), &body);
        match run_on_thread(work).await? {
            EndpointResponse::Complete { status: 200 | 400, body } if body.len() <= MAX_RESPONSE_BYTES => Ok(()),
            EndpointResponse::Complete { status, body } => Err(format!("{status}: {}", String::from_utf8_lossy(&body))),
            EndpointResponse::ConnectionLost => Err("the connection is lost".into()),
        }
    }
}

#[tokio::test]
async fn table_calls_of_functions() {
    fuzz("function calls", 200, &mut FunctionCalls(create_database())).await;
}

struct ResolverRequests(DynamoDb);

impl Target for ResolverRequests {
    /// The requests of the data source's own test cases.
    fn corpus(&self) -> Vec<Vec<u8>> {
        let files = project_files("tests/resolvers/dynamodb");
        let steps = files.iter().flat_map(|path| {
            let text = std::fs::read_to_string(path).expect("the file is readable");
            let text = text.replace("\"Main\"", &format!("\"{TABLE}\""));
            serde_json::from_str::<Vec<Value>>(&text).expect("the file is an array of steps")
        });
        steps.map(|step| step["request"].to_string().into()).collect()
    }

    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        let request = serde_json::from_slice(mutator.choose_input(corpus)).expect("the corpus is JSON");
        mutator.mutate_json(&request).to_string().into()
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let request: Value = serde_json::from_slice(input).unwrap_or_default();
        let database = self.0.clone();
        let run = tokio::spawn(async move { database.run(TABLE, &request).await });
        let response = run.await.map_err(|panic| panic.to_string())?;
        match response.error {
            Some(error) if error.error_type.contains("Internal") => Err(format!("{error:?}")),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn table_requests_of_resolvers() {
    fuzz("resolver requests", 300, &mut ResolverRequests(create_database())).await;
}
