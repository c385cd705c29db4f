//! The DynamoDB data source: runs the request documents of `dynamodb/`.
use std::path::Path;

use local::dynamodb::{DataSourceError, DataSourceResponse, DynamoDb};
use local::identity::{Authenticator, Principal};
use local::stack::Table;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{files, read};

/// One request to a data source and its expected response.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Step {
    name: String,
    #[serde(default = "main_table")]
    table: String,
    /// `"$nextToken"` means the token of the previous step.
    request: Value,
    /// `"$token"` means any token.
    result: Value,
    error_type: Option<String>,
    message: Option<String>,
}

fn main_table() -> String {
    "Main".into()
}

#[tokio::test]
async fn data_source_responds_as_documented() {
    let mut failures = Vec::new();
    for path in files("dynamodb") {
        failures.extend(check(&path).await);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

async fn check(path: &Path) -> Vec<String> {
    let steps: Vec<Step> =
        serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let dynamodb = DynamoDb::open(None).expect("a database in memory");
    dynamodb.create_tables(&[("Main".into(), table("Main")), ("Other".into(), table("Other"))].into()).expect("tables");
    let mut token = Value::Null;
    let mut failures = Vec::new();
    for step in steps {
        let answer = dynamodb.run(&step.table, &replace(&step.request, &json!("$nextToken"), &token)).await;
        token = answer.result.get("nextToken").cloned().unwrap_or_default();
        failures.extend(step.failure(&answer, &token).map(|failure| format!("{}: {failure}", path.display())));
    }
    failures
}

impl Step {
    fn failure(&self, answer: &DataSourceResponse, token: &Value) -> Option<String> {
        let result =
            if token.is_null() { answer.result.clone() } else { replace(&answer.result, token, &json!("$token")) };
        let error = answer.error.as_ref();
        let matches = result == self.result
            && error.map(|error| &error.error_type) == self.error_type.as_ref()
            && (self.message.is_none() || error.map(|error| &error.message) == self.message.as_ref());
        let Step { name, result: expected, error_type, message, .. } = self;
        (!matches)
            .then(|| format!("{name}\n  expected {expected} {error_type:?} {message:?}\n  actual   {result} {error:?}"))
    }
}

/// The value with every occurrence of `from` replaced.
fn replace(value: &Value, from: &Value, to: &Value) -> Value {
    match value {
        found if found == from => to.clone(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), replace(value, from, to))).collect()
        }
        Value::Array(list) => list.iter().map(|value| replace(value, from, to)).collect(),
        other => other.clone(),
    }
}

pub fn table(name: &str) -> Table {
    let definition = json!({
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            { "AttributeName": "pk", "AttributeType": "S" },
            { "AttributeName": "sk", "AttributeType": "S" },
            { "AttributeName": "listKey", "AttributeType": "S" },
        ],
        "KeySchema": [
            { "AttributeName": "pk", "KeyType": "HASH" },
            { "AttributeName": "sk", "KeyType": "RANGE" },
        ],
        "GlobalSecondaryIndexes": [{
            "IndexName": "list",
            "KeySchema": [{ "AttributeName": "listKey", "KeyType": "HASH" }],
            "Projection": { "ProjectionType": "ALL" },
        }],
    });
    Table { definition, ttl_attribute: Some("expiresAt".into()) }
}

fn put(attributes: Value) -> Value {
    json!({ "operation": "PutItem", "key": { "pk": { "S": "a" }, "sk": { "S": "b" } }, "attributeValues": attributes })
}

fn get() -> Value {
    json!({ "operation": "GetItem", "key": { "pk": { "S": "a" }, "sk": { "S": "b" } } })
}

#[tokio::test]
async fn table_on_disk_is_found_again() {
    let directory = tempfile::tempdir().expect("a folder");
    let file = directory.path().join("tables.db");
    let tables = [("Main".to_owned(), table("Main"))].into();
    for round in 0..2 {
        let dynamodb = DynamoDb::open(Some(&file)).expect("a database on disk");
        dynamodb.create_tables(&tables).expect("the table is as before");
        if round == 0 {
            dynamodb.run("Main", &put(json!({}))).await;
        } else {
            assert_eq!(dynamodb.run("Main", &get()).await.result, json!({ "pk": "a", "sk": "b" }));
        }
    }
}

#[test]
fn table_with_another_key_schema_is_refused() {
    let dynamodb = DynamoDb::open(None).expect("a database in memory");
    dynamodb.create_tables(&[("Main".to_owned(), table("Main"))].into()).expect("the table");
    let mut changed = table("Main");
    changed.definition["KeySchema"] = json!([{ "AttributeName": "pk", "KeyType": "HASH" }]);
    let error = dynamodb.create_tables(&[("Main".to_owned(), changed)].into()).expect_err("another key");
    assert_eq!(
        error.to_string(),
        "Table Main is stored with another KeySchema than the template says; delete the stored data to start anew."
    );
}

#[test]
fn invalid_table_is_refused_with_dynamodbs_reason() {
    let dynamodb = DynamoDb::open(None).expect("a database in memory");
    let error = dynamodb.create_tables(&[("ab".to_owned(), table("ab"))].into()).expect_err("the name is too short");
    assert!(error.to_string().starts_with("Table ab cannot be created: 1 validation error detected: "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn expired_items_are_deleted() {
    let dynamodb = DynamoDb::open(None).expect("a database in memory");
    dynamodb.create_tables(&[("Main".to_owned(), table("Main"))].into()).expect("the table");
    dynamodb.run("Main", &put(json!({ "expiresAt": { "N": 1 } }))).await;
    let database = dynamodb.clone();
    let task =
        tokio::spawn(async move { database.delete_expired_items_every(std::time::Duration::from_secs(60)).await });
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    task.abort();
    assert_eq!(dynamodb.run("Main", &get()).await, DataSourceResponse { result: Value::Null, error: None });
}

#[tokio::test]
async fn http_endpoint_serves_the_same_tables() {
    let dynamodb = DynamoDb::open(None).expect("a database in memory");
    dynamodb.create_tables(&[("Main".to_owned(), table("Main"))].into()).expect("the table");
    dynamodb.run("Main", &put(json!({ "n": { "N": 1 } }))).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let authenticator = Authenticator::new(Vec::new(), Vec::new());
    let reading = json!({ "Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*" });
    let credentials = ["AKIAREADER".into(), "secret".into(), "token".into()];
    authenticator.add_principal(Principal::role_session(
        "arn:aws:iam::123456789012:role/Reader",
        "one",
        credentials,
        &[reading],
    ));
    tokio::spawn(async move { axum::serve(listener, dynamodb.router(authenticator)).await });
    let request = json!({ "TableName": "Main", "Key": { "pk": { "S": "a" }, "sk": { "S": "b" } } });
    let response = reqwest::Client::new()
        .post(format!("http://{address}/"))
        .header("authorization", "AWS4-HMAC-SHA256 Credential=AKIAREADER/20261121/us-east-1/dynamodb/aws4_request")
        .header("x-amz-target", "DynamoDB_20120810.GetItem")
        .header("content-type", "application/x-amz-json-1.0")
        .body(request.to_string())
        .send()
        .await
        .expect("an answer");
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(body["Item"]["n"], json!({ "N": "1" }));
}

#[tokio::test]
async fn request_must_be_an_object() {
    let dynamodb = DynamoDb::open(None).expect("a database in memory");
    let answer = dynamodb.run("Main", &json!("GetItem")).await;
    let error = DataSourceError {
        error_type: "MappingTemplate".into(),
        message: "A request is an object, not \"GetItem\".".into(),
    };
    assert_eq!(answer, DataSourceResponse { result: Value::Null, error: Some(error) });
}
