//! Requests that the gateway makes for users, through the API of the template.
use local::{identity::Caller, stack::AuthMode};
use serde_json::{Value, json};

use super::fixture::{Fixture, error_type_and_info, iam_user};

const ISSUER: &str = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_a";

fn pool_user(name: &str) -> Caller {
    let identity = json!({
        "sub": name, "issuer": ISSUER, "username": name, "groups": ["red"], "defaultAuthStrategy": "ALLOW",
        "claims": { "sub": name, "name": "Ann" },
    });
    Caller::from_token(AuthMode::UserPool, identity)
}

/// The same user as `pool_user`, in a request of the gateway.
fn on_behalf_of(name: &str) -> Value {
    json!({ "issuer": ISSUER, "sub": name, "name": "Ann", "groups": ["red"] })
}

async fn send(fixture: &Fixture, conversation_id: &str, id: &str, on_behalf_of: Value) -> Result<Value, Value> {
    let document = "mutation ($conversationId: ID, $id: ID, $who: OnBehalfOf, $to: ReplyTo) { result: sendMessage(input: {conversationId: $conversationId, id: $id, text: \"Hello\"}, onBehalfOf: $who, replyTo: $to) { id conversationId question { text sender { id name } } } }";
    let reply_to = json!({ "websocket": { "connectionId": "abc=" }, "stream": true, "requestId": "7" });
    let variables = json!({ "conversationId": conversation_id, "id": id, "who": on_behalf_of, "to": reply_to });
    fixture.execute(&fixture.gateway, document, variables).await.map_err(error_type_and_info)
}

async fn read(fixture: &Fixture, on_behalf_of: Value) -> Result<Value, Value> {
    let document = "query ($who: OnBehalfOf) { result: getConversation(id: \"c1\", onBehalfOf: $who) { ownerId access events { items { text } } activeTurn { id question { text } } participants { userId } } }";
    fixture.execute(&fixture.gateway, document, json!({ "who": on_behalf_of })).await.map_err(error_type_and_info)
}

#[tokio::test]
async fn user_has_the_same_conversations_over_graphql_and_on_behalf() {
    let fixture = Fixture::with_parameters([]);
    let ann = pool_user("ann");
    fixture.create_conversation(&ann, "c1").await;
    let turn = send(&fixture, "c1", "m1", on_behalf_of("ann")).await.unwrap();
    let sender = json!({ "id": format!("{ISSUER}#ann"), "name": "Ann" });
    assert_eq!(turn["question"], json!({ "text": "Hello", "sender": sender }));
    // Over GraphQL the same order is a replay: the message is the same user's.
    assert_eq!(fixture.send_message(&ann, "c1", "m1").await.unwrap()["id"], "m1");
    let conversation = read(&fixture, on_behalf_of("ann")).await.unwrap();
    assert_eq!(conversation["ownerId"], format!("{ISSUER}#ann"));
    assert_eq!(conversation["events"]["items"], json!([{ "text": "Hello" }]));
    assert_eq!(conversation["activeTurn"], json!({ "id": "m1", "question": { "text": "Hello" } }));
    assert_eq!(fixture.payloads().len(), 1);
}

#[tokio::test]
async fn handler_gets_the_user_and_the_place_for_replies() {
    let fixture = Fixture::with_parameters([]);
    fixture.create_conversation(&pool_user("ann"), "c1").await;
    send(&fixture, "c1", "m1", on_behalf_of("ann")).await.unwrap();
    let payload = fixture.payloads().remove(0);
    assert_eq!(payload["askedBy"], format!("{ISSUER}#ann"));
    assert_eq!(payload["callerGroups"], json!(["red"]));
    let user_id = format!("{ISSUER}#ann");
    let connection = json!({ "connectionId": "abc=", "userId": user_id });
    assert_eq!(payload["replyTo"], json!({ "websocket": connection, "stream": true, "requestId": "7" }));
}

#[tokio::test]
async fn iam_user_has_the_same_conversations_over_graphql_and_on_behalf() {
    let fixture = Fixture::with_parameters([("IamAccess", "true")]);
    let ann = iam_user("ann");
    fixture.create_conversation(&ann, "c1").await;
    let user_id = fixture.get_caller(&ann).await["id"].as_str().unwrap().to_owned();
    let (account_id, username) = user_id.strip_prefix("IAM#").unwrap().split_once('#').unwrap();
    let who = json!({ "iam": { "accountId": account_id, "username": username } });
    send(&fixture, "c1", "m1", who.clone()).await.unwrap();
    assert_eq!(read(&fixture, who.clone()).await.unwrap()["ownerId"], user_id);
    assert_eq!(fixture.payloads()[0]["askedBy"], user_id);
    let unauthorized = Err(json!({ "errorType": "Unauthorized", "errorInfo": null }));
    let without_iam = Fixture::with_parameters([("IamAccess", "false")]);
    assert_eq!(read(&without_iam, who).await, unauthorized);
}

#[tokio::test]
async fn quotas_on_behalf_are_those_of_the_user() {
    let fixture = Fixture::with_parameters([("MessagesPerMinute", "1")]);
    let ann = pool_user("ann");
    fixture.create_conversation(&ann, "c1").await;
    send(&fixture, "c1", "m1", on_behalf_of("ann")).await.unwrap();
    assert_eq!(fixture.get_caller(&ann).await["messagesThisMinute"], 1);
    assert_eq!(fixture.send_first_message(&ann, "m2").await.unwrap_err()["errorType"], "QuotaExceeded");
    fixture.create_conversation(&pool_user("bob"), "c2").await;
    send(&fixture, "c2", "m3", on_behalf_of("bob")).await.unwrap();
}

#[tokio::test]
async fn user_does_not_reach_the_conversations_of_others_on_behalf() {
    let fixture = Fixture::with_parameters([]);
    fixture.create_conversation(&pool_user("ann"), "c1").await;
    let not_found = Err(json!({ "errorType": "NotFound", "errorInfo": null }));
    for other in [on_behalf_of("bob"), json!({ "apiKey": true })] {
        assert_eq!(read(&fixture, other.clone()).await, not_found);
        assert_eq!(send(&fixture, "c1", "m1", other).await, not_found);
    }
}

#[tokio::test]
async fn api_key_is_one_user_on_behalf() {
    let fixture = Fixture::with_parameters([("MessagesPerMinute", "1")]);
    fixture.create_conversation(&Caller::from_api_key(), "c1").await;
    let turn = send(&fixture, "c1", "m1", json!({ "apiKey": true })).await.unwrap();
    assert_eq!(turn["question"]["sender"], json!({ "id": null, "name": null }));
    assert_eq!(fixture.payloads()[0]["askedBy"], Value::Null);
    assert_eq!(fixture.usage_items().await, Vec::<Value>::new(), "the API key has no quota");
}

#[tokio::test]
async fn only_the_gateway_acts_for_others_and_it_does_nothing_else() {
    let fixture = Fixture::with_parameters([]);
    let ann = pool_user("ann");
    fixture.create_conversation(&ann, "c1").await;
    let before = fixture.scan().await;
    let unauthorized = Err(json!({ "errorType": "Unauthorized", "errorInfo": null }));
    let on_behalf = "query ($who: OnBehalfOf) { result: getConversation(id: \"c1\", onBehalfOf: $who) { id } }";
    for caller in [&ann, &iam_user("ann"), &Caller::from_api_key()] {
        let result = fixture.execute(caller, on_behalf, json!({ "who": on_behalf_of("ann") })).await;
        assert_eq!(result.map_err(error_type_and_info), unauthorized);
    }
    for document in [
        "{ result: getConversation(id: \"c1\") { id } }",
        "{ result: getCaller { id } }",
        "{ result: listConversations { items { id } } }",
        "mutation { result: createConversation { id } }",
        "mutation { result: deleteConversation(id: \"c1\") { id } }",
        "mutation { result: sendMessage(input: {text: \"Hello\"}) { id } }",
        "mutation { result: putAgent(input: {id: \"a\", modelId: \"m\"}) { id } }",
    ] {
        let result = fixture.execute(&fixture.gateway, document, json!({})).await.map_err(error_type_and_info);
        assert_eq!(result, unauthorized, "{document}");
    }
    assert_eq!(fixture.scan().await, before);
}

/// A deployment without a gateway.
#[test]
fn template_names_no_gateway() {
    let stack = crate::repository_template::TEMPLATE
        .load(&local::template::Deployment::at("http://api.invalid", std::collections::BTreeMap::new()))
        .expect("the template loads");
    assert_eq!(stack.api.environment["GATEWAY_SESSIONS"], "none,none");
}
