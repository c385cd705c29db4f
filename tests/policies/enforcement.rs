//! The local server denies what a role's policies do not allow, with AWS's errors.
use local::{
    bedrock,
    dynamodb::{DynamoDb, EndpointResponse},
    identity::{AssumedRole, Authenticator, Principal},
    json_service::JsonService,
    kms::Kms,
    stack::Function,
};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::load_stack;

fn function(name: &str) -> Function {
    load_stack(&[("MoreModelArns", "arn:aws:bedrock:*::foundation-model/parlance.*")]).functions[name].clone()
}

fn database() -> DynamoDb {
    let database = DynamoDb::open(None).expect("a database in memory");
    database.create_tables(&load_stack(&[]).tables).expect("the template's table");
    database
}

/// An authenticator with one access key for each function: the function's name.
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
    request.send().await.expect("a response")
}

fn get_request(partition: &str) -> Value {
    json!({ "TableName": "parlance-Table", "Key": { "pk": { "S": partition }, "sk": { "S": "META" } } })
}

#[tokio::test]
async fn table_denies_functions_with_dynamodbs_error() {
    let url = serve(database().router(authenticator())).await;
    let get_item = async |access_key: &str, partition: &str| {
        let response = post(&url, access_key, "DynamoDB_20120810.GetItem", &get_request(partition)).await;
        (response.status().as_u16(), response.json::<Value>().await.expect("JSON"))
    };
    assert_eq!(get_item("parlance-Handler", "CONVERSATION#c1").await, (200, json!({})));
    let message = "User: arn:aws:sts::000000000000:assumed-role/parlance-HandlerRole/parlance-Handler is not authorized to \
                   perform: dynamodb:GetItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/parlance-Table \
                   because no identity-based policy allows the dynamodb:GetItem action";
    let denied = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "Message": message });
    assert_eq!(get_item("parlance-Handler", "AGENT#poet").await, (400, denied));
    for access_key in ["AKIAROOT", "AKIANOBODY"] {
        let (status, error) = get_item(access_key, "CONVERSATION#c1").await;
        assert_eq!((status, &error["__type"]), (400, &json!("com.amazon.coral.service#UnrecognizedClientException")));
    }
}

#[tokio::test]
async fn only_the_handler_may_call_the_models_of_its_policy() {
    let url = serve(bedrock::with_iam_guard(bedrock::router(), authenticator())).await;
    let call_model = async |access_key: &str, model: &str| {
        let body = json!({ "messages": [{ "role": "user", "content": [{ "text": "Hello" }] }] });
        let response = post(&format!("{url}/model/{model}/converse-stream"), access_key, "", &body).await;
        let error_type = response.headers().get("x-amzn-errortype");
        let error_type = error_type.map(|error_type| error_type.to_str().expect("text").to_owned());
        (response.status().as_u16(), error_type)
    };
    let profile = "global.anthropic.claude-haiku-4-5-20251001-v1:0";
    for model in [profile, "anthropic.claude-haiku-4-5-20251001-v1:0", "parlance.echo"] {
        assert_eq!(call_model("parlance-Handler", model).await, (200, None), "{model}");
        assert_eq!(call_model("parlance-Closer", model).await, (403, Some("AccessDeniedException".into())), "{model}");
    }
    for model in ["us.anthropic.claude-haiku-4-5-20251001-v1:0", "global.parlance.echo", "amazon.nova-lite-v1:0"] {
        assert_eq!(call_model("parlance-Handler", model).await, (403, Some("AccessDeniedException".into())), "{model}");
    }
    let body = json!({ "messages": [{ "role": "user", "content": [{ "text": "Hello" }] }] });
    for (access_key, model, status) in [
        ("parlance-Handler", "parlance.echo", 200),
        ("parlance-Closer", "parlance.echo", 403),
        ("parlance-Handler", "amazon.nova-lite-v1:0", 403),
    ] {
        let response = post(&format!("{url}/model/{model}/converse"), access_key, "", &body).await;
        assert_eq!(response.status().as_u16(), status, "Converse by {access_key} with {model}");
    }
    for access_key in ["AKIAROOT", "AKIANOBODY"] {
        assert_eq!(call_model(access_key, profile).await, (403, Some("UnrecognizedClientException".into())));
    }
}

#[tokio::test]
async fn only_the_handler_may_decrypt_and_no_function_may_encrypt() {
    let stack = load_stack(&[]);
    let kms = Kms::open(&stack.encryption_keys, None).expect("a key");
    let url = serve(kms.router(authenticator())).await;
    let call = async |access_key: &str, operation: &str, body: Value| {
        let response = post(&url, access_key, &format!("TrentService.{operation}"), &body).await;
        (response.status().as_u16(), response.json::<Value>().await.expect("JSON"))
    };
    let key = &stack.encryption_keys[0];
    let encrypt = json!({ "KeyId": key, "Plaintext": "c2VjcmV0" });
    let role = AssumedRole::new(&stack.roles["parlance-KmsSourceRole"], "test");
    let sealed = kms.handle_call(&role, "TrentService.Encrypt", encrypt.to_string().as_bytes());
    let decrypt = json!({ "CiphertextBlob": sealed.body["CiphertextBlob"] });
    let (status, opened) = call("parlance-Handler", "Decrypt", decrypt.clone()).await;
    assert_eq!((status, &opened["Plaintext"]), (200, &json!("c2VjcmV0")));
    let denied = [
        ("parlance-Handler", "Encrypt", encrypt.clone()),
        ("parlance-Closer", "Encrypt", encrypt),
        ("parlance-Closer", "Decrypt", decrypt.clone()),
    ];
    for (function, operation, body) in denied {
        let message = format!(
            "User: arn:aws:sts::000000000000:assumed-role/{function}Role/{function} is not authorized to perform: \
             kms:{operation} on resource: {key} because no identity-based policy allows the kms:{operation} action"
        );
        let error = json!({ "__type": "AccessDeniedException", "message": message });
        assert_eq!(call(function, operation, body).await, (400, error));
    }
    for access_key in ["AKIAROOT", "AKIANOBODY"] {
        let (status, error) = call(access_key, "Decrypt", decrypt.clone()).await;
        assert_eq!((status, &error["__type"]), (400, &json!("UnrecognizedClientException")));
    }
}

/// The response to a call of the handler to its table.
fn call_table(operation: &str, body: &Value) -> (u16, Value) {
    let handler = function("parlance-Handler");
    let database = database().as_role(&AssumedRole::new(&handler.role, &handler.name));
    let EndpointResponse::Complete { status, body } =
        database.handle_call(&format!("DynamoDB_20120810.{operation}"), body.to_string().as_bytes())
    else {
        panic!("the connection is lost")
    };
    (status, serde_json::from_slice(&body).expect("JSON"))
}

#[test]
fn one_denied_item_denies_the_whole_batch_or_transaction() {
    let key = |partition: &str| json!({ "pk": { "S": partition }, "sk": { "S": "META" } });
    let batch = |partition: &str| {
        let deletes =
            ["CONVERSATION#c1", partition].map(|partition| json!({ "DeleteRequest": { "Key": key(partition) } }));
        call_table("BatchWriteItem", &json!({ "RequestItems": { "parlance-Table": deletes } }))
    };
    let transaction = |kind: &str, partition: &str| {
        let table = "parlance-Table";
        let allowed_put = json!({ "Put": { "TableName": table, "Item": key("CONVERSATION#c1") } });
        let mut other_item = json!({ "TableName": table, "Key": key(partition) });
        let (member, expression) = if kind == "Update" {
            ("UpdateExpression", "REMOVE title")
        } else {
            ("ConditionExpression", "attribute_not_exists(pk)")
        };
        other_item[member] = json!(expression);
        call_table("TransactWriteItems", &json!({ "TransactItems": [allowed_put, { kind: other_item }] }))
    };
    assert_eq!(batch("CONVERSATION#c2").0, 200);
    assert_eq!(transaction("Update", "CONVERSATION#c2").0, 200);
    assert_eq!(transaction("ConditionCheck", "CONVERSATION#c2").0, 200);
    let denied = [
        (batch("USER#ann"), "dynamodb:BatchWriteItem"),
        (transaction("Update", "USER#ann"), "dynamodb:UpdateItem"),
        (transaction("ConditionCheck", "TURN#c2#t1"), "dynamodb:ConditionCheckItem"),
    ];
    for ((status, error), action) in denied {
        assert_eq!((status, &error["__type"]), (400, &json!("com.amazon.coral.service#AccessDeniedException")));
        let message = error["Message"].as_str().unwrap_or_default();
        assert!(message.contains(&format!("not authorized to perform: {action} on")), "{message}");
    }
}
