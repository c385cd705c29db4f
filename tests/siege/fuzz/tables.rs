//! DynamoDB: bodies of functions' calls, and documents of resolvers.
use std::{collections::BTreeMap, path::Path};

use local::{
    dynamodb::{DynamoDb, EndpointResponse},
    stack::Table,
};
use serde_json::{Value, json};

use super::{Target, aside, besiege};
use crate::dice::Dice;

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

struct Calls(DynamoDb);

fn database() -> DynamoDb {
    let definition = json!({
        "TableName": "Things", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }, { "AttributeName": "sk", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }, { "AttributeName": "sk", "KeyType": "RANGE" }],
    });
    let database = DynamoDb::open(None).expect("a database");
    let table = Table { definition, ttl_attribute: None };
    database.create_tables(&BTreeMap::from([("Things".to_owned(), table)])).expect("a table");
    database
}

/// Calls as functions make them, the operation among their members.
fn calls() -> Vec<Value> {
    let key = json!({ "pk": { "S": "a" }, "sk": { "S": "b" } });
    let deep = |depth: usize| (0..depth).fold(json!({ "S": "x" }), |inner, _| json!({ "L": [inner] }));
    let with = |members: Value| {
        let mut call = json!({ "TableName": "Things", "Key": key });
        call.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        call
    };
    let update = |expression: &str| {
        with(json!({
            "operation": "UpdateItem", "UpdateExpression": expression, "ConditionExpression": "attribute_not_exists(pk) OR #n < :v",
            "ExpressionAttributeNames": { "#n": "n" }, "ExpressionAttributeValues": { ":v": { "N": "1" } },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD", "ReturnValues": "ALL_NEW",
        }))
    };
    let condition = |expression: &str| with(json!({ "operation": "DeleteItem", "ConditionExpression": expression }));
    let item = |name: &str, value: Value| json!({ "operation": "PutItem", "TableName": "Things", "Item": { "pk": { "S": "a" }, "sk": { "S": "b" }, name: value } });
    vec![
        with(json!({ "operation": "GetItem", "ConsistentRead": true, "ProjectionExpression": "pk, a.b[0].c" })),
        json!({ "operation": "Query", "TableName": "Things", "KeyConditionExpression": "pk = :p AND sk BETWEEN :a AND :b", "Limit": 3,
            "ScanIndexForward": false, "FilterExpression": "size(sk) > :n AND NOT contains(sk, :a)",
            "ExpressionAttributeValues": { ":p": { "S": "a" }, ":a": { "S": "a" }, ":b": { "S": "c" }, ":n": { "N": "0" } },
            "ExclusiveStartKey": key }),
        update("SET #n = if_not_exists(#n, :v) + :v REMOVE x[3], y ADD z :v"),
        update("SET #n[4294967295] = :v, a[99999999999999999999] = :v"),
        update(&format!("SET {}n = :v", "n.".repeat(1_000))),
        condition(&format!("{}pk = pk{}", "(".repeat(2_000), ")".repeat(2_000))),
        condition(&format!("{}attribute_exists(pk)", "NOT ".repeat(1_000))),
        condition(&vec!["pk = pk"; 350].join(" AND ")),
        condition(&"(".repeat(100_000)),
        item("deep", deep(31)),
        item("deeper", deep(60)),
        item("n", json!({ "N": "1e999999999" })),
        item("n", json!({ "N": "0".repeat(100_000) })),
        item("n", json!({ "NS": vec!["1"; 10_000] })),
        item("b", json!({ "B": "====" })),
        item("s", json!({ "S": "x".repeat(500_000) })),
        json!({ "operation": "BatchWriteItem", "RequestItems": { "Things": vec![json!({ "DeleteRequest": { "Key": key } }); 26] } }),
        json!({ "operation": "TransactWriteItems", "TransactItems": [{ "Update": update("SET n = :v") }, { "ConditionCheck": condition("n = :v") }] }),
        json!({ "operation": "TransactGetItems", "TransactItems": [{ "Get": with(json!({})) }] }),
    ]
}

impl Target for Calls {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let mut bodies: Vec<_> = calls().iter().map(|call| call.to_string().into_bytes()).collect();
        bodies.push(format!("{{\"operation\":\"PutItem\",\"Item\":{}", "{\"L\":[".repeat(50_000)).into());
        bodies
    }

    fn compose(&mut self, dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
        if dice.one_in(4) {
            return dice.mutated(corpus);
        }
        let calls = calls();
        let chosen = dice.among(&calls);
        let mut call = dice.mutated_json(chosen);
        if dice.one_in(8) && call.is_object() {
            call["operation"] = json!(*dice.among(&OPERATIONS));
        }
        call.to_string().into()
    }

    async fn take(&mut self, input: &[u8]) -> Result<(), String> {
        let read: Value = serde_json::from_slice(input).unwrap_or_default();
        let operation = read["operation"].as_str().unwrap_or("PutItem").to_owned();
        let (database, body) = (self.0.clone(), input.to_vec());
        match aside(move || database.handle_call(&format!("DynamoDB_20120810.{operation}"), &body)).await? {
            EndpointResponse::Complete { status: 200 | 400, body } if body.len() <= 16 << 20 => Ok(()),
            EndpointResponse::Complete { status, body } => Err(format!("{status}: {}", String::from_utf8_lossy(&body))),
            EndpointResponse::ConnectionLost => Err("the answer is lost".into()),
        }
    }
}

#[tokio::test]
async fn calls_of_functions() {
    besiege("calls", 200, &mut Calls(database())).await;
}

struct Requests(DynamoDb);

impl Target for Requests {
    /// What the tests of the data source ask.
    fn corpus(&self) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resolvers/dynamodb");
        let mut paths: Vec<_> =
            folder.read_dir().expect("a folder").map(|entry| entry.expect("a file").path()).collect();
        paths.sort();
        let steps = paths.iter().flat_map(|path| {
            let text = std::fs::read_to_string(path).expect("a readable file");
            serde_json::from_str::<Vec<Value>>(&text.replace("\"Main\"", "\"Things\"")).expect("JSON")
        });
        steps.map(|step| step["request"].to_string().into()).collect()
    }

    fn compose(&mut self, dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
        let request = serde_json::from_slice(dice.one_of(corpus)).expect("JSON");
        dice.mutated_json(&request).to_string().into()
    }

    async fn take(&mut self, input: &[u8]) -> Result<(), String> {
        let request: Value = serde_json::from_slice(input).unwrap_or_default();
        let database = self.0.clone();
        let asked = tokio::spawn(async move { database.run("Things", &request).await });
        let answer = asked.await.map_err(|panicked| panicked.to_string())?;
        let internal = answer.error.filter(|error| error.error_type.contains("Internal"));
        internal.map_or(Ok(()), |error| Err(format!("{error:?}")))
    }
}

#[tokio::test]
async fn requests_of_resolvers() {
    besiege("requests", 300, &mut Requests(database())).await;
}
