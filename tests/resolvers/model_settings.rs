//! The settings of agents for their models: reasoning, caching, fallback models and the guardrail.
use local::{
    identity::Caller,
    lambda::{FunctionError, InvokeError},
};
use serde_json::{Value, json};

use super::fixture::{Fixture, iam_user};

const SETTINGS: &str = "reasoning { effort budgetTokens } promptCaching fallbackModelIds \
    guardrail { id version mode newestMessageOnly ownSettings }";

const WITH_GUARDRAIL: [(&str, &str); 4] = [
    ("GuardrailId", "gr1"),
    ("GuardrailVersion", "3"),
    ("GuardrailMode", "ASYNC"),
    ("GuardrailNewestMessageOnly", "false"),
];

async fn put_agent(fixture: &Fixture, settings: Value) -> Result<Value, Value> {
    let mut input = json!({ "id": "strict", "modelId": "m1" });
    input.as_object_mut().expect("an object").extend(settings.as_object().expect("an object").clone());
    let document = format!("mutation ($input: PutAgentInput!) {{ result: putAgent(input: $input) {{ {SETTINGS} }} }}");
    fixture.execute(&iam_user("ann"), &document, json!({ "input": input })).await
}

async fn get_agent(fixture: &Fixture, caller: &Caller, id: &str) -> Value {
    let document = format!("query ($id: ID!) {{ result: getAgent(id: $id) {{ {SETTINGS} }} }}");
    fixture.execute(caller, &document, json!({ "id": id })).await.expect("an agent")
}

/// The agent of the payload with which a message to a new conversation of the agent invokes the handler.
async fn agent_of_payload(fixture: &Fixture, conversation_id: &str, agent_id: &str) -> Value {
    let ann = iam_user("ann");
    let document = "mutation ($input: CreateConversationInput) { result: createConversation(input: $input) { id } }";
    let input = json!({ "input": { "id": conversation_id, "agentId": agent_id } });
    fixture.execute(&ann, document, input).await.expect("a conversation");
    fixture.send_message(&ann, conversation_id, "m1").await.expect("a turn");
    fixture.payloads().pop().expect("an invocation")["agent"].take()
}

#[tokio::test]
async fn agent_without_settings_has_defaults() {
    let fixture = Fixture::with_parameters([]);
    let expected =
        json!({ "reasoning": null, "promptCaching": "FIVE_MINUTES", "fallbackModelIds": [], "guardrail": null });
    assert_eq!(put_agent(&fixture, json!({})).await, Ok(expected.clone()));
    for id in ["strict", "default"] {
        assert_eq!(get_agent(&fixture, &iam_user("ann"), id).await, expected, "{id}");
    }
    let agent = agent_of_payload(&fixture, "c1", "strict").await;
    assert_eq!((&agent["promptCaching"], &agent["fallbackModelIds"]), (&json!("FIVE_MINUTES"), &json!([])));
    let left_out = ["reasoning", "guardrail"].map(|name| agent.get(name).is_none());
    assert_eq!(left_out, [true, true]);
}

#[tokio::test]
async fn settings_are_stored_returned_and_sent_to_the_handler() {
    let fixture = Fixture::with_parameters(WITH_GUARDRAIL);
    let settings = json!({
        "reasoning": { "effort": "HIGH", "budgetTokens": 2048 },
        "promptCaching": "ONE_HOUR",
        "fallbackModelIds": ["m2", "m3"],
        "guardrail": { "version": "DRAFT", "newestMessageOnly": true },
    });
    let mut expected = settings.clone();
    expected["guardrail"] = json!({
        "id": "gr1", "version": "DRAFT", "mode": "ASYNC", "newestMessageOnly": true,
        "ownSettings": ["VERSION", "NEWEST_MESSAGE_ONLY"],
    });
    assert_eq!(put_agent(&fixture, settings).await, Ok(expected.clone()));
    assert_eq!(get_agent(&fixture, &iam_user("bob"), "strict").await, expected);
    let document = format!("{{ result: listAgents {{ items {{ {SETTINGS} }} }} }}");
    let list = fixture.execute(&iam_user("bob"), &document, json!({})).await.expect("a list");
    assert_eq!(list["items"][1], expected);
    let agent = agent_of_payload(&fixture, "c1", "strict").await;
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(agent[name], *value, "{name}");
    }
}

#[tokio::test]
async fn every_agent_has_the_guardrail_of_the_deployment() {
    let fixture = Fixture::with_parameters(WITH_GUARDRAIL);
    let expected =
        json!({ "id": "gr1", "version": "3", "mode": "ASYNC", "newestMessageOnly": false, "ownSettings": [] });
    assert_eq!(put_agent(&fixture, json!({})).await.expect("an agent")["guardrail"], expected);
    for (conversation_id, agent_id) in [("c1", "strict"), ("c2", "default")] {
        assert_eq!(get_agent(&fixture, &iam_user("ann"), agent_id).await["guardrail"], expected, "{agent_id}");
        assert_eq!(agent_of_payload(&fixture, conversation_id, agent_id).await["guardrail"], expected, "{agent_id}");
    }
}

#[tokio::test]
async fn guardrail_of_a_deployment_without_one_is_refused() {
    let fixture = Fixture::with_parameters([]);
    let error = put_agent(&fixture, json!({ "guardrail": { "mode": "SYNC" } })).await.expect_err("a refusal");
    assert_eq!(error["message"], "guardrail must be left out: this deployment has no guardrail.");
    assert_eq!(error["errorInfo"], json!({ "field": "guardrail" }));
    assert!(fixture.scan().await.is_empty());
}

#[tokio::test]
async fn default_agent_has_the_fallback_models_of_the_parameter() {
    let fixture = Fixture::with_parameters([("FallbackModelIds", "m2,m3")]);
    let agent = get_agent(&fixture, &iam_user("ann"), "default").await;
    assert_eq!(agent["fallbackModelIds"], json!(["m2", "m3"]));
    put_agent(&fixture, json!({})).await.expect("an agent");
    let agent = get_agent(&fixture, &iam_user("ann"), "strict").await;
    assert_eq!(agent["fallbackModelIds"], json!([]), "another agent has its own");
}

#[tokio::test]
async fn models_are_listed_by_the_handler() {
    let fixture =
        Fixture::with_parameters([("ModelId", "global.m1"), ("FoundationModelId", "m1"), ("FallbackModelIds", "m2")]);
    let document = "{ result: listModels { id family tools reasoning promptCaching images documents contextTokens } }";
    let list = async || fixture.execute(&iam_user("ann"), document, json!({})).await;
    let model = json!({
        "id": "global.m1", "family": null, "tools": false, "reasoning": true,
        "promptCaching": ["FIVE_MINUTES", "ONE_HOUR"], "images": true, "documents": false, "contextTokens": 200_000,
    });
    fixture.set_invocation_result(Ok(json!([model])));
    assert_eq!(list().await, Ok(json!([model])));
    let payload = fixture.payloads().pop().expect("an invocation");
    assert_eq!(payload, json!({ "type": "listModels", "modelIds": ["global.m1", "m2", "m1"] }));
    let kind = "Runtime.ExitError".to_owned();
    let crash = FunctionError { kind, message: "RequestId: 1 Error: exit status 1".into(), payload: json!({}) };
    for error in [InvokeError::Throttled, InvokeError::Unhandled(crash)] {
        fixture.set_invocation_result(Err(error));
        let error = list().await.expect_err("no list");
        assert_eq!(error["message"], "The models could not be listed. Try again.");
        assert_eq!(error["errorType"], "TryAgain");
    }
}
