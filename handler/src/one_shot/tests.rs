use std::time::Duration;

use api::types::StopReason;
use serde_json::{Value, json};
use turn::{
    knowledge::{Filter, Passage},
    model::{ModelStop, Role, StreamEvent, TranscriptBlock},
    tool::CallerCredential,
};

use crate::test_support::TestInvocation;

const BUILT_IN_ANSWER: &str = "So be it.";

#[tokio::test]
async fn answer_is_returned_and_neither_published_nor_stored() {
    let invocation = TestInvocation::with_items([]).await;
    assert_eq!(serve(&invocation, json!({})).await, json!({ "text": BUILT_IN_ANSWER }));
    let [request] = invocation.take_model_requests().try_into().unwrap();
    assert_eq!((request.model_id.as_str(), request.system_prompt.as_deref()), ("any", Some("Rhyme.")));
    let [message] = &request.transcript[..] else { panic!("{:?}", request.transcript) };
    assert_eq!((message.role, &message.content[..]), (Role::User, &[TranscriptBlock::Text("Why?".into())][..]));
    assert!(invocation.take_published().is_empty());
    assert!(invocation.table.all_items().await.is_empty());
}

#[tokio::test]
async fn model_has_the_tools_that_only_read_and_need_nobody() {
    let invocation = TestInvocation::with_items([]).await;
    invocation.script_model_streams([call("look"), text("It is 7.", StopReason::EndTurn)]);
    let members = json!({
        "agent": agent_with_tools(10), "callerCredential": { "kind": "API_KEY", "sealed": "AQID" },
    });
    assert_eq!(serve(&invocation, members).await, json!({ "text": "It is 7." }));
    let requests = invocation.take_model_requests();
    let names: Vec<_> = requests[0].tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["look"]);
    let [run] = invocation.take_tool_runs().try_into().unwrap();
    assert_eq!(run.idempotency_key(), "c9/t9/2/a");
    assert_eq!((run.caller.id, run.caller.name, run.caller.groups.len()), (None, None, 0));
    let credential = run.caller.credential.as_deref();
    assert_eq!(credential, Some(&CallerCredential::ApiKey { sealed: "AQID".into() }));
}

#[tokio::test]
async fn call_of_a_tool_that_changes_something_is_refused() {
    let invocation = TestInvocation::with_items([]).await;
    invocation.script_model_streams([call("order"), text("I cannot order.", StopReason::EndTurn)]);
    let answer = serve(&invocation, json!({ "agent": agent_with_tools(10) })).await;
    assert_eq!(answer, json!({ "text": "I cannot order." }));
    assert!(invocation.take_tool_runs().is_empty());
}

#[tokio::test]
async fn agent_that_only_calls_tools_fails_at_its_most_steps() {
    let invocation = TestInvocation::with_items([]).await;
    invocation.script_model_streams([call("look"), call("look")]);
    assert_eq!(failure(&invocation, json!({ "agent": agent_with_tools(2) })).await, (json!("MAX_STEPS"), json!(false)));
}

#[tokio::test]
async fn documents_are_searched_for_the_question_as_nobody() {
    let invocation = TestInvocation::with_items([]).await;
    let passage =
        Passage { text: "It is so.".into(), source: Some("s3://docs/a.md".into()), score: Some(0.5), page: None };
    invocation.script_retrieval_results([Ok(vec![passage])]);
    invocation.script_model_streams([text("It is so [1].", StopReason::EndTurn)]);
    let mut agent = agent_with_tools(10);
    let filter = json!({ "equals": { "key": "team", "value": "red" } });
    agent["knowledge"] =
        json!({ "knowledgeBaseId": "KB00000001", "mode": "ALWAYS", "filter": filter.to_string(), "results": 3 });
    assert_eq!(serve(&invocation, json!({ "agent": agent.clone() })).await, json!({ "text": "It is so [1]." }));
    let [request] = invocation.take_retrieval_requests().try_into().unwrap();
    assert_eq!((request.query.as_str(), &request.filter), ("Why?", &Filter::Matching(filter)));

    let filter = json!({ "equals": { "key": "owner", "value": "$caller.id" } });
    agent["knowledge"]["filter"] = filter.to_string().into();
    assert_eq!(serve(&invocation, json!({ "agent": agent })).await, json!({ "text": BUILT_IN_ANSWER }));
    assert!(invocation.take_retrieval_requests().is_empty(), "a caller without an id finds nothing");
}

#[tokio::test]
async fn failure_of_the_model_is_returned_without_its_text() {
    let mut invocation = TestInvocation::with_items([]).await;
    invocation.usage = None;
    invocation.script_model_streams([vec![StreamEvent::Text { block: 0, text: "So".into() }]]);
    assert_eq!(failure(&invocation, json!({})).await, (json!("MODEL_UNAVAILABLE"), json!(true)));
}

#[tokio::test]
async fn answer_is_cut_at_its_own_deadline_or_at_that_of_the_function() {
    for (timeout, remaining) in [(Duration::ZERO, Duration::from_secs(900)), (Duration::from_secs(25), Duration::ZERO)]
    {
        let mut invocation = TestInvocation::with_items([]).await;
        invocation.limits.one_shot_timeout = timeout;
        invocation.remaining = remaining;
        assert_eq!(failure(&invocation, json!({})).await, (json!("DEADLINE"), json!(true)));
        assert!(invocation.take_model_requests().is_empty());
    }
}

#[tokio::test]
async fn cut_and_filtered_answers_differ() {
    let invocation = TestInvocation::with_items([]).await;
    invocation.script_model_streams([text("So", StopReason::MaxTokens), text("So", StopReason::ContentFiltered)]);
    assert_eq!(serve(&invocation, json!({})).await, json!({ "text": "So" }));
    assert_eq!(failure(&invocation, json!({})).await, (json!("CONTENT_FILTERED"), json!(false)));
}

/// The response to a question, with further members of the payload.
async fn serve(invocation: &TestInvocation, members: Value) -> Value {
    let mut payload = json!({
        "type": "oneShot", "conversationId": "c9", "turnId": "t9", "text": "Why?",
        "agent": {
            "id": "default", "version": 0, "modelId": "any", "systemPrompt": "Rhyme.", "contextBytes": 400_000,
        },
    });
    payload.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    invocation.serve(payload).await.unwrap()
}

/// The code of the failure, and whether it is retryable.
async fn failure(invocation: &TestInvocation, members: Value) -> (Value, Value) {
    let response = serve(invocation, members).await;
    (response["failure"]["code"].clone(), response["failure"]["retryable"].clone())
}

fn text(text: &str, reason: StopReason) -> Vec<StreamEvent> {
    let text = StreamEvent::Text { block: 0, text: text.into() };
    vec![text, StreamEvent::MessageStop(ModelStop::Answered(reason))]
}

/// Says what it does, and calls a tool.
fn call(tool: &str) -> Vec<StreamEvent> {
    vec![
        StreamEvent::Text { block: 0, text: "One moment.".into() },
        StreamEvent::ToolUse { block: 1, id: "a".into(), name: tool.into() },
        StreamEvent::MessageStop(ModelStop::ToolUse),
    ]
}

/// An agent with a tool that reads, one that asks first, one that changes something and one of clients.
fn agent_with_tools(max_steps: u32) -> Value {
    let tool = |name: &str, effect: &str, approval: &str| {
        json!({
            "name": name, "description": "Does it.", "inputSchema": "{\"type\":\"object\"}",
            "effect": effect, "approval": approval,
            "lambda": { "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:it" },
        })
    };
    let mut of_client = tool("show", "READ", "NEVER");
    of_client.as_object_mut().unwrap().remove("lambda");
    of_client["client"] = true.into();
    json!({
        "id": "default", "version": 1, "modelId": "any", "contextBytes": 400_000, "maxSteps": max_steps,
        "tools": [tool("look", "READ", "NEVER"), tool("peek", "READ", "ALWAYS"), tool("order", "WRITE", "NEVER"), of_client],
    })
}
