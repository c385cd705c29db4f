//! The laptop edition refuses what a role may not do, as AWS does.
use local::{
    bedrock,
    dynamodb::{DynamoDb, EndpointResponse},
    identity::{AssumedRole, Authenticator, Principal},
    stack::Function,
};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::deployed;

fn function(name: &str) -> Function {
    deployed(&[("MoreModelArns", "arn:aws:bedrock:*::foundation-model/parlance.*")]).functions[name].clone()
}

fn database() -> DynamoDb {
    let database = DynamoDb::open(None).expect("a database in memory");
    database.create_tables(&deployed(&[]).tables).expect("the template's table");
    database
}

/// Knows the access key of one process of each function: the function's name.
fn authenticator() -> Authenticator {
    let authenticator = Authenticator::new(Vec::new(), Vec::new());
    for Function { name, role, .. } in ["parlance-Handler", "parlance-Closer"].map(function) {
        let credentials = [name.clone(), "secret".into(), "token".into()];
        authenticator.add_principal(Principal::role_session(&role.arn, &name, credentials, &role.statements));
    }
    authenticator.add_principal(Principal::administrator("000000000000", "root", "AKIAROOT".into(), "secret".into()));
    authenticator
}

async fn serve(router: axum::Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async { axum::serve(listener, router).await });
    format!("http://{address}")
}

async fn post(url: &str, access_key: &str, target: &str, body: &Value) -> Response {
    let signed = format!("AWS4-HMAC-SHA256 Credential={access_key}/20261121/us-east-1/any/aws4_request, Signature=0");
    let request = Client::new().post(url).header("authorization", signed).header("x-amz-target", target).json(body);
    request.send().await.expect("an answer")
}

fn get(partition: &str) -> Value {
    json!({ "TableName": "parlance-Table", "Key": { "pk": { "S": partition }, "sk": { "S": "META" } } })
}

#[tokio::test]
async fn a_function_is_refused_by_its_table_as_dynamodb_refuses() {
    let url = serve(database().router(authenticator())).await;
    let asked = async |who: &str, partition: &str| {
        let answer = post(&url, who, "DynamoDB_20120810.GetItem", &get(partition)).await;
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    assert_eq!(asked("parlance-Handler", "CONVERSATION#c1").await, (200, json!({})));
    let message = "User: arn:aws:sts::000000000000:assumed-role/parlance-HandlerRole/parlance-Handler is not authorized to \
                   perform: dynamodb:GetItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/parlance-Table \
                   because no identity-based policy allows the dynamodb:GetItem action";
    let denied = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "Message": message });
    assert_eq!(asked("parlance-Handler", "AGENT#poet").await, (400, denied));
    for stranger in ["AKIAROOT", "AKIANOBODY"] {
        let (status, refused) = asked(stranger, "CONVERSATION#c1").await;
        assert_eq!((status, &refused["__type"]), (400, &json!("com.amazon.coral.service#UnrecognizedClientException")));
    }
}

#[tokio::test]
async fn only_the_handler_asks_models_and_only_those_it_may() {
    let url = serve(bedrock::guarded(bedrock::router(), authenticator())).await;
    let asked = async |who: &str, model: &str| {
        let body = json!({ "messages": [{ "role": "user", "content": [{ "text": "Hello" }] }] });
        let answer = post(&format!("{url}/model/{model}/converse-stream"), who, "", &body).await;
        let kind = answer.headers().get("x-amzn-errortype").map(|kind| kind.to_str().expect("text").to_owned());
        (answer.status().as_u16(), kind)
    };
    let profile = "global.anthropic.claude-haiku-4-5-20251001-v1:0";
    for model in [profile, "anthropic.claude-haiku-4-5-20251001-v1:0", "parlance.echo"] {
        assert_eq!(asked("parlance-Handler", model).await, (200, None), "{model}");
        assert_eq!(asked("parlance-Closer", model).await, (403, Some("AccessDeniedException".into())), "{model}");
    }
    for model in ["us.anthropic.claude-haiku-4-5-20251001-v1:0", "global.parlance.echo", "amazon.nova-lite-v1:0"] {
        assert_eq!(asked("parlance-Handler", model).await, (403, Some("AccessDeniedException".into())), "{model}");
    }
    for stranger in ["AKIAROOT", "AKIANOBODY"] {
        assert_eq!(asked(stranger, profile).await, (403, Some("UnrecognizedClientException".into())));
    }
}

/// What the handler is told of a request to its table.
fn answered(operation: &str, body: &Value) -> (u16, Value) {
    let handler = function("parlance-Handler");
    let database = database().as_role(&AssumedRole::new(&handler.role, &handler.name));
    let EndpointResponse::Complete { status, body } =
        database.handle_call(&format!("DynamoDB_20120810.{operation}"), body.to_string().as_bytes())
    else {
        panic!("the answer is lost")
    };
    (status, serde_json::from_slice(&body).expect("JSON"))
}

#[test]
fn one_forbidden_item_forbids_a_whole_batch_or_transaction() {
    let key = |partition: &str| json!({ "pk": { "S": partition }, "sk": { "S": "META" } });
    let batch = |partition: &str| {
        let deleted =
            ["CONVERSATION#c1", partition].map(|partition| json!({ "DeleteRequest": { "Key": key(partition) } }));
        answered("BatchWriteItem", &json!({ "RequestItems": { "parlance-Table": deleted } }))
    };
    let transaction = |kind: &str, partition: &str| {
        let table = "parlance-Table";
        let kept = json!({ "Put": { "TableName": table, "Item": key("CONVERSATION#c1") } });
        let mut other = json!({ "TableName": table, "Key": key(partition) });
        let (member, expression) = if kind == "Update" {
            ("UpdateExpression", "REMOVE title")
        } else {
            ("ConditionExpression", "attribute_not_exists(pk)")
        };
        other[member] = json!(expression);
        answered("TransactWriteItems", &json!({ "TransactItems": [kept, { kind: other }] }))
    };
    assert_eq!(batch("CONVERSATION#c2").0, 200);
    assert_eq!(transaction("Update", "CONVERSATION#c2").0, 200);
    let refusals = [
        (batch("USER#ann"), "dynamodb:BatchWriteItem"),
        (transaction("Update", "USER#ann"), "dynamodb:UpdateItem"),
        (transaction("ConditionCheck", "CONVERSATION#c2"), "dynamodb:ConditionCheckItem"),
    ];
    for ((status, refused), action) in refusals {
        assert_eq!((status, &refused["__type"]), (400, &json!("com.amazon.coral.service#AccessDeniedException")));
        let message = refused["Message"].as_str().unwrap_or_default();
        assert!(message.contains(&format!("not authorized to perform: {action} on")), "{message}");
    }
}
