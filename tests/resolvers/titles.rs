//! Titles that the handler makes for conversations without one.
use local::identity::Caller;
use serde_json::{Value, json};

use super::fixture::{Fixture, error_type_and_info, iam_user};

async fn publish_title(fixture: &Fixture, title: &str) -> Result<Value, Value> {
    let document = "mutation ($data: AgentTitleInput!) { result: agentPublishTitle(data: $data) \
        { conversationId title turnId attempt sequence metadata { status } event { id } } }";
    let data = json!({ "data": { "conversationId": "c1", "title": title } });
    fixture.execute(&fixture.handler, document, data).await.map_err(error_type_and_info)
}

async fn update_title(fixture: &Fixture, caller: &Caller, title: &str) {
    let document =
        "mutation ($title: String) { result: updateConversation(input: { id: \"c1\", title: $title }) { id } }";
    fixture.execute(caller, document, json!({ "title": title })).await.expect("a conversation");
}

async fn listed_titles(fixture: &Fixture, caller: &Caller) -> Value {
    let list = fixture.execute(caller, "{ result: listConversations { items { title } } }", json!({})).await;
    list.expect("a list")["items"].take()
}

#[tokio::test]
async fn title_is_published_and_read_by_the_owner_and_participants() {
    let fixture = Fixture::with_parameters([]);
    let [ann, bob] = ["ann", "bob"].map(iam_user);
    fixture.create_conversation(&ann, "c1").await;
    fixture.share_conversation(&ann, "c1", &bob, "READ").await.expect("a participant");
    let expected = json!({
        "conversationId": "c1", "title": "Orders", "turnId": null, "attempt": null, "sequence": null,
        "metadata": null, "event": null,
    });
    assert_eq!(publish_title(&fixture, "Orders").await, Ok(expected));
    for caller in [ann, bob] {
        let document = "{ result: getConversation(id: \"c1\") { title } }";
        let conversation = fixture.execute(&caller, document, json!({})).await.expect("a conversation");
        assert_eq!(conversation["title"], "Orders");
        assert_eq!(listed_titles(&fixture, &caller).await, json!([{ "title": "Orders" }]));
    }
}

#[tokio::test]
async fn title_of_a_conversation_is_never_overwritten() {
    let fixture = Fixture::with_parameters([]);
    let ann = iam_user("ann");
    let stale = json!({ "errorType": "StaleAttempt", "errorInfo": null });
    assert_eq!(publish_title(&fixture, "Orders").await, Err(stale.clone()), "there is no conversation");
    assert_eq!(fixture.scan().await, Vec::<Value>::new());
    fixture.create_conversation(&ann, "c1").await;
    update_title(&fixture, &ann, "Mine").await;
    assert_eq!(publish_title(&fixture, "Orders").await, Err(stale.clone()));
    assert_eq!(listed_titles(&fixture, &ann).await, json!([{ "title": "Mine" }]));
    update_title(&fixture, &ann, "").await;
    publish_title(&fixture, "Orders").await.expect("a title");
    assert_eq!(publish_title(&fixture, "Invoices").await, Err(stale.clone()));
    assert_eq!(listed_titles(&fixture, &ann).await, json!([{ "title": "Orders" }]));
    update_title(&fixture, &ann, "").await;
    let delete = "mutation { result: deleteConversation(id: \"c1\") { id } }";
    fixture.execute(&ann, delete, json!({})).await.expect("a conversation");
    assert_eq!(publish_title(&fixture, "Orders").await, Err(stale), "the conversation is deleted");
}

#[tokio::test]
async fn handler_is_told_whether_the_conversation_is_untitled() {
    let fixture = Fixture::with_parameters([]);
    let ann = iam_user("ann");
    fixture.create_conversation(&ann, "c1").await;
    fixture.send_message(&ann, "c1", "m1").await.expect("a turn");
    fixture.mutate_turn(&ann, "cancelTurn").await.expect("a turn");
    fixture.mutate_turn(&ann, "retryTurn").await.expect("a turn");
    update_title(&fixture, &ann, "Mine").await;
    fixture.mutate_turn(&ann, "cancelTurn").await.expect("a turn");
    fixture.mutate_turn(&ann, "continueTurn").await.expect("a turn");
    fixture.mutate_turn(&ann, "cancelTurn").await.expect("a turn");
    fixture.send_message(&ann, "c1", "m2").await.expect("a turn");
    fixture.send_first_message(&ann, "m3").await.expect("a turn");
    let untitled: Vec<_> = fixture.payloads().iter().map(|payload| payload["untitled"].clone()).collect();
    assert_eq!(untitled, [json!(true), json!(true), Value::Null, Value::Null, json!(true)]);
}
