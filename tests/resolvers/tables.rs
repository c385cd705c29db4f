use std::path::Path;

use local::dynamodb::{DataSourceError, DataSourceResponse, DynamoDb};
use local::identity::{Authenticator, Principal};
use local::stack::Table;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{files, read};

/// One request to the data source of table `Main`. `"$nextToken"` in it stands for the token of the step before.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Step {
    says: String,
    #[serde(default = "main_table")]
    table: String,
    request: Value,
    /// `"$token"` in it stands for any token.
    result: Value,
    error_type: Option<String>,
    message: Option<String>,
}

fn main_table() -> String {
    "Main".into()
}

#[tokio::test]
async fn the_data_source_answers_as_documented() {
    let mut faults = Vec::new();
    for path in files("dynamodb") {
        faults.extend(check(&path).await);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

async fn check(path: &Path) -> Vec<String> {
    let steps: Vec<Step> =
        serde_json::from_str(&read(path)).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    let dynamodb = DynamoDb::open(None).expect("a database in memory");
    dynamodb.create_tables(&[("Main".into(), table("Main")), ("Other".into(), table("Other"))].into()).expect("tables");
    let (mut token, mut faults) = (Value::Null, Vec::new());
    for step in steps {
        let answer = dynamodb.run(&step.table, &replaced(&step.request, &json!("$nextToken"), &token)).await;
        token = answer.result.get("nextToken").cloned().unwrap_or_default();
        faults.extend(step.fault(&answer, &token).map(|fault| format!("{}: {fault}", path.display())));
    }
    faults
}

impl Step {
    fn fault(&self, answer: &DataSourceResponse, token: &Value) -> Option<String> {
        let result =
            if token.is_null() { answer.result.clone() } else { replaced(&answer.result, token, &json!("$token")) };
        let error = answer.error.as_ref();
        let fits = result == self.result
            && error.map(|error| &error.error_type) == self.error_type.as_ref()
            && (self.message.is_none() || error.map(|error| &error.message) == self.message.as_ref());
        let Step { says, result: expected, error_type, message, .. } = self;
        (!fits)
            .then(|| format!("{says}\n  expected {expected} {error_type:?} {message:?}\n  found    {result} {error:?}"))
    }
}

/// The value with every `one` in it replaced.
fn replaced(value: &Value, one: &Value, by: &Value) -> Value {
    match value {
        found if found == one => by.clone(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), replaced(value, one, by))).collect()
        }
        Value::Array(list) => list.iter().map(|value| replaced(value, one, by)).collect(),
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
async fn a_table_on_disk_is_found_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tables.db");
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
fn a_table_that_the_template_changed_is_refused_in_one_sentence() {
    let dynamodb = DynamoDb::open(None).expect("a database in memory");
    dynamodb.create_tables(&[("Main".to_owned(), table("Main"))].into()).expect("the table");
    let mut changed = table("Main");
    changed.definition["KeySchema"] = json!([{ "AttributeName": "pk", "KeyType": "HASH" }]);
    let fault = dynamodb.create_tables(&[("Main".to_owned(), changed)].into()).expect_err("another key");
    assert_eq!(
        fault.to_string(),
        "Table Main is stored with another KeySchema than the template says; delete the stored data to start anew."
    );
}

#[test]
fn a_table_that_dynamodb_would_not_create_is_refused_with_its_reason() {
    let dynamodb = DynamoDb::open(None).expect("a database in memory");
    let fault = dynamodb.create_tables(&[("ab".to_owned(), table("ab"))].into()).expect_err("the name is too short");
    assert!(fault.to_string().starts_with("Table ab cannot be created: 1 validation error detected: "), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn expired_items_are_swept() {
    let dynamodb = DynamoDb::open(None).expect("a database in memory");
    dynamodb.create_tables(&[("Main".to_owned(), table("Main"))].into()).expect("the table");
    dynamodb.run("Main", &put(json!({ "expiresAt": { "N": 1 } }))).await;
    let sweeper = dynamodb.clone();
    let sweeping =
        tokio::spawn(async move { sweeper.delete_expired_items_every(std::time::Duration::from_secs(60)).await });
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    sweeping.abort();
    assert_eq!(dynamodb.run("Main", &get()).await, DataSourceResponse { result: Value::Null, error: None });
}

#[tokio::test]
async fn an_sdk_sees_the_same_tables() {
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
async fn a_request_that_is_no_object_is_refused() {
    let dynamodb = DynamoDb::open(None).expect("a database in memory");
    let answer = dynamodb.run("Main", &json!("GetItem")).await;
    let error = DataSourceError {
        error_type: "MappingTemplate".into(),
        message: "A request is an object, not \"GetItem\".".into(),
    };
    assert_eq!(answer, DataSourceResponse { result: Value::Null, error: Some(error) });
}
