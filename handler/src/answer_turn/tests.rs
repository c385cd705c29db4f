use std::{iter::repeat_n, time::Duration};

use api::types::{StopReason, ToolStatus, TurnStatus};
use serde_json::{Value, json};
use turn::{
    knowledge::{Filter, Passage},
    model::{CitedPassage, ModelStop, Role, StreamEvent, ToolOutput, TranscriptBlock},
    mutation::{Author, EndReason, PublishFailure, Update},
    replies::{Connection, Listener, MessageKind, ReplyMessage},
    tool::{CallerCredential, GraphqlTool, NoCredential, ToolTarget},
};

use crate::{
    aws::dynamodb::test_support::{
        AttributeValue, FAR, Item, NOW, answer_item, boolean, content, conversation_item, key, map, number, string,
        turn_item, usage_key, with,
    },
    errors::HandlerError,
    function_arn::AllowedFunctions,
    test_support::TestInvocation,
};

#[tokio::test]
async fn queued_turn_is_claimed_answered_and_published() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await.unwrap();
    assert_eq!(transcript(&invocation), [(Role::User, vec!["Why?".to_owned()])]);
    let published = invocation.take_published();
    assert!(matches!(&published[0].update, Update::Started { continues: false, .. }));
    let last = published.last().unwrap();
    assert!(last.closes_turn() && last.claim.attempt == 2);
    assert_eq!(invocation.table.stored_json("TURN#t1").await["status"], "RUNNING");
}

#[tokio::test]
async fn updates_and_the_answer_go_where_the_request_says() {
    let connection = Connection { connection_id: "abc=".into(), user_id: "ann".into() };
    for (reply_to, expected) in [
        (json!({ "events": "/chat/responses/ann", "stream": true }), Listener::Events("/chat/responses/ann".into())),
        (
            json!({ "websocket": { "connectionId": "abc=", "userId": "ann" }, "stream": true }),
            Listener::WebSocket(connection),
        ),
    ] {
        let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
        let members = json!({ "question": question("Why?"), "replyTo": reply_to });
        invocation.serve(turn_payload(members)).await.unwrap();
        let requests = invocation.take_reply_requests();
        assert!(requests.iter().all(|request| request.listener == expected));
        let sent: Vec<u32> =
            requests.iter().flat_map(|request| &request.messages).map(|message| message.sequence).collect();
        let published: Vec<u32> = invocation.take_published().iter().map(|mutation| mutation.sequence).collect();
        assert_eq!(sent, published);
    }
}

#[tokio::test]
async fn turn_without_a_place_for_replies_sends_none() {
    for reply_to in [json!(null), json!(7), json!({ "events": 7 }), json!({ "fax": "7" }), json!({ "stream": true })] {
        let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
        invocation.serve(turn_payload(json!({ "question": question("Why?"), "replyTo": reply_to }))).await.unwrap();
        assert_eq!(invocation.take_reply_requests(), [], "{reply_to}");
        assert!(invocation.take_published().last().unwrap().closes_turn());
    }
}

#[tokio::test]
async fn answer_alone_is_sent_without_a_stream() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    let reply_to = json!({ "events": "/chat/responses/ann", "requestId": "7" });
    invocation.serve(turn_payload(json!({ "question": question("Why?"), "replyTo": reply_to }))).await.unwrap();
    assert_eq!(answers(&invocation), [("COMPLETED".to_owned(), "So be it.".to_owned(), json!("7"))]);
}

#[tokio::test]
async fn end_that_appsync_does_not_announce_is_told_once() {
    let mut invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    invocation.limits.announce_timeout = Duration::from_millis(20);
    invocation.script_publish_results(repeat_n(Err(PublishFailure::Refused), 2));
    let payload = turn_payload(json!({
        "question": question("Why?"), "replyTo": { "events": "/chat/responses/ann" },
    }));
    let outcome = invocation.serve(payload.clone()).await;
    assert!(matches!(outcome, Err(HandlerError::Unannounced)), "{outcome:?}");
    assert_eq!(answers(&invocation), [("COMPLETED".to_owned(), "So be it.".to_owned(), Value::Null)]);
    invocation.serve(payload).await.unwrap();
    assert!(invocation.take_published().last().unwrap().closes_turn(), "the repeated invocation announces the end");
    assert_eq!(answers(&invocation), []);
}

#[tokio::test]
async fn end_of_a_turn_that_cannot_be_claimed_is_told() {
    let reply_to = json!({ "websocket": { "connectionId": "abc=", "userId": "ann" } });
    for (status, expected) in
        [("CANCELLING", "The answer was stopped."), ("QUEUED", "The answer could not be started. Try again.")]
    {
        let turn = with(turn_item(status, None, 0), "attempt", number(0));
        let invocation = TestInvocation::with_items([turn, conversation_item()]).await;
        invocation.serve(turn_payload(json!({ "question": question("Why?"), "replyTo": reply_to }))).await.unwrap();
        let [(_, text, _)] = answers(&invocation).try_into().unwrap();
        assert_eq!(text, expected);
    }
}

#[tokio::test]
async fn hanging_reply_fails_no_turn() {
    let mut invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    invocation.are_replies_hanging = true;
    invocation.limits.reply_timeout = Duration::from_millis(20);
    let reply_to = json!({ "events": "/chat/responses/ann", "stream": true });
    let members = json!({ "question": question("Why?"), "replyTo": reply_to, "askedBy": "ann" });
    invocation.serve(turn_payload(members)).await.unwrap();
    assert!(invocation.take_published().last().unwrap().closes_turn());
    assert_eq!(invocation.take_reply_requests().len(), 1);
    assert_eq!(invocation.table.stored_json("DAY#2026-11-18").await["tokens"], 7);
}

#[tokio::test]
async fn documents_are_searched_for_the_question_and_cited() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    let passage =
        Passage { text: "It is so.".into(), source: Some("s3://docs/a.md".into()), score: Some(0.5), page: None };
    invocation.script_retrieval_results([Ok(vec![passage])]);
    let cited =
        CitedPassage { source: Some("s3://docs/a.md".into()), search_result_index: Some(0), text: String::new() };
    invocation.script_model_streams([vec![
        StreamEvent::Citation { block: 0, cited },
        StreamEvent::Text { block: 0, text: "It is.".into() },
        StreamEvent::BlockEnd { block: 0 },
        StreamEvent::MessageStop(ModelStop::Answered(StopReason::EndTurn)),
    ]]);
    let mut agent = agent_with_tool();
    agent["modelId"] = "anthropic.claude-sonnet-4-5-20250929-v1:0".into();
    let filter = r#"{"in":{"key":"team","value":"$caller.groups"}}"#;
    agent["knowledge"] = json!({ "knowledgeBaseId": "KB00000001", "mode": "ALWAYS", "filter": filter });
    let earlier = json!({
        "id": "t0", "conversationId": "c1", "position": 6, "turnId": "t0", "sender": { "kind": "USER" },
        "content": [{ "text": "Is it so, after all that has been said?" }], "createdAt": "2026-11-21T09:00:00.000Z",
    });
    let members = json!({
        "question": question("Why?"), "history": [earlier], "agent": agent, "askedBy": "ann", "callerGroups": ["red"],
    });
    invocation.serve(turn_payload(members)).await.unwrap();
    let [request] = invocation.take_retrieval_requests().try_into().unwrap();
    assert_eq!(request.query, "Is it so, after all that has been said?\nWhy?");
    assert_eq!(request.filter, Filter::Matching(json!({ "in": { "key": "team", "value": ["red"] } })));
    let blocks = &transcript(&invocation)[0].1;
    assert_eq!(blocks[1..], ["s3://docs/a.md: It is so.".to_owned(), "Why?".to_owned()]);
    let last = invocation.take_published().last().unwrap().update.clone();
    let Update::Event(event) = last else { panic!("{last:?}") };
    let [citation] = event.content[0].citations.clone().unwrap().try_into().unwrap();
    assert_eq!((citation.title.as_str(), citation.start, citation.end), ("a.md", 0, 6));
}

#[tokio::test]
async fn model_has_a_tool_that_searches_documents() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    let mut agent = agent_with_tool();
    agent["knowledge"] = json!({ "knowledgeBaseId": "KB00000001", "mode": "TOOL" });
    let members = json!({ "question": question("Why?"), "agent": agent, "askedBy": "ann" });
    let call = StreamEvent::ToolUse { block: 0, id: "a".into(), name: "search_documents".into() };
    let input = StreamEvent::ToolInput { block: 0, json: r#"{"query":"so"}"#.into() };
    invocation.script_model_streams([vec![call, input, StreamEvent::MessageStop(ModelStop::ToolUse)]]);
    invocation.serve(turn_payload(members)).await.unwrap();
    assert!(invocation.take_retrieval_requests().is_empty(), "nothing is searched before the model calls the tool");
    let requests = invocation.take_model_requests();
    assert!(requests[0].tools.iter().any(|tool| tool.name == "search_documents"));
    let [run] = invocation.take_tool_runs().try_into().unwrap();
    assert!(matches!(&run.tool.target, ToolTarget::Knowledge(knowledge) if knowledge.results == 6));
}

#[tokio::test]
async fn question_missing_from_the_payload_is_loaded() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item(), question_item()]).await;
    invocation.serve(turn_payload(json!({ "question": null, "historyCut": true }))).await.unwrap();
    assert_eq!(transcript(&invocation), [(Role::User, vec!["Why not?".to_owned()])]);
}

#[tokio::test]
async fn continued_answer_is_part_of_the_transcript() {
    let turn = with(queued_turn(), "runPosition", number(10));
    let turn = with(turn, "lastPosition", number(10));
    let superseded = with(answer_item(8, 1), "superseded", boolean(true));
    let kept_events =
        [with(answer_item(9, 1), "content", content("So ")), with(answer_item(10, 1), "content", content("it"))];
    let items = [turn, conversation_item(), question_item(), superseded].into_iter().chain(kept_events);
    let invocation = TestInvocation::with_items(items).await;
    invocation.serve(turn_payload(json!({ "question": null }))).await.unwrap();
    let transcript = transcript(&invocation);
    assert_eq!(
        transcript[..2],
        [(Role::User, vec!["Why not?".to_owned()]), (Role::Assistant, vec!["So ".to_owned(), "it".to_owned()])]
    );
    assert_eq!((transcript[2].0, transcript.len()), (Role::User, 3));
    assert!(matches!(&invocation.take_published()[0].update, Update::Started { continues: true, .. }));
}

#[tokio::test]
async fn stored_calls_of_a_dead_attempt_are_run_without_asking_the_model_again() {
    let turn = with(turn_item("RUNNING", Some(NOW), FAR), "runPosition", number(8));
    let turn = with(turn, "lastPosition", number(9));
    let conversation = with(conversation_item(), "eventCount", number(9));
    let items = [turn, conversation, calls_item(8), answer_item(9, 1)];
    let invocation = TestInvocation::with_items(items).await;
    let named_question = json!({
        "id": "t1", "conversationId": "c1", "position": 7, "turnId": "t1",
        "sender": { "kind": "USER", "id": "u1", "name": "Ann" },
        "content": [{ "text": "Why?" }], "createdAt": "2026-11-21T09:00:00.000Z",
    });
    let members = json!({ "question": named_question, "agent": agent_with_tool(), "askedBy": "u2" });
    invocation.serve(turn_payload(members)).await.unwrap();
    let [run] = invocation.take_tool_runs().try_into().unwrap();
    assert_eq!((run.tool_use.id.as_str(), run.position, run.claim.attempt), ("a", 8, 2));
    assert_eq!((run.caller.id.as_deref(), run.caller.name.as_deref()), (Some("u2"), None), "Ann is another user");
    let call = vec!["So.".to_owned(), "a: look {}".to_owned()];
    assert_eq!(
        transcript(&invocation),
        [(Role::User, vec!["Why?".to_owned()]), (Role::Assistant, call), (Role::User, vec!["a = 7".to_owned()]),]
    );
    let published = invocation.take_published();
    assert!(matches!(&published[0].update, Update::Started { continues: true, .. }));
    let results = published.iter().find_map(|mutation| match &mutation.update {
        Update::Event(event) if event.author == Author::Tools => Some(event.position),
        _ => None,
    });
    assert_eq!(results, Some(10));
    // The text that followed the step is of the dead attempt; the step itself is kept.
    assert_eq!(invocation.table.stored_json("EVENT#00000009").await["superseded"], true);
    assert_eq!(invocation.table.stored_json("EVENT#00000008").await.get("superseded"), None);
}

#[tokio::test]
async fn turn_waits_for_the_approval_of_a_call_and_counts_its_tokens() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    let call = StreamEvent::ToolUse { block: 0, id: "a".into(), name: "order".into() };
    invocation.script_model_streams([vec![call, StreamEvent::MessageStop(ModelStop::ToolUse)]]);
    let members = json!({ "question": question("Why?"), "agent": agent_with_tool(), "askedBy": "ann" });
    invocation.serve(turn_payload(members)).await.unwrap();
    assert!(invocation.take_tool_runs().is_empty());
    let last = invocation.take_published().last().unwrap().update.clone();
    let Update::Waiting(wait) = last else { panic!("{last:?}") };
    assert_eq!((wait.position, wait.agent.version, wait.asked_by.as_deref()), (8, 1, Some("ann")));
    assert_eq!((wait.calls[0].id.as_str(), wait.calls[0].status), ("a", ToolStatus::ApprovalNeeded));
    assert_eq!(invocation.table.stored_json("DAY#2026-11-18").await["tokens"], 7);
}

#[tokio::test]
async fn answers_of_a_waiting_call_decide_whether_it_is_run() {
    for (answer, expected_result) in [
        (Some(map([("approved", boolean(true))])), Some("a = 7")),
        (
            Some(map([("approved", boolean(false)), ("reason", string("Too much."))])),
            Some("a = The user denied this call. Reason: Too much."),
        ),
        (None, None),
    ] {
        let invocation = TestInvocation::with_items(answered_turn("order", answer.clone())).await;
        let members = json!({ "question": null, "agent": agent_with_tool(), "askedBy": "ann" });
        invocation.serve(turn_payload(members)).await.unwrap();
        let is_approved = expected_result == Some("a = 7");
        let runs = invocation.take_tool_runs();
        assert_eq!(runs.len(), usize::from(is_approved), "{answer:?}");
        // The arguments are those of the stored call.
        assert!(runs.iter().all(|run| run.tool_use.input == "{}" && run.position == 8));
        let last = invocation.take_published().last().unwrap().update.clone();
        match expected_result {
            Some(expected) => {
                assert_eq!(transcript(&invocation)[2], (Role::User, vec![expected.to_owned()]));
                assert!(matches!(last, Update::Event(event) if event.end.is_some()));
            }
            None => assert!(matches!(last, Update::Waiting(_)), "a call without an answer waits again"),
        }
    }
}

/// The run after the answers has failed, and another run continues it.
#[tokio::test]
async fn answers_count_for_the_run_after_a_failed_run() {
    let result = map([("result", string("8")), ("isError", boolean(false))]);
    let denial = map([("approved", boolean(false))]);
    for (tool, answer, expected_runs, expected_result) in [
        ("order", map([("approved", boolean(true))]), 1, "a = 7"),
        ("order", denial.clone(), 0, "a = The user denied this call."),
        ("look", denial.clone(), 0, "a = The user denied this call."),
        ("pick", result, 0, "a = 8"),
    ] {
        let mut items = answered_turn(tool, Some(answer.clone()));
        let closing_event = with(answer_item(9, 1), "content", AttributeValue::L(Vec::new()));
        items.push(closing_event);
        let turn = with(with(items[0].clone(), "runPosition", number(9)), "lastPosition", number(9));
        items[0] = with(turn, "run", number(3));
        items[1] = with(conversation_item(), "eventCount", number(9));
        let invocation = TestInvocation::with_items(items).await;
        let mut payload = turn_payload(json!({ "question": null, "agent": agent_with_tool(), "askedBy": "ann" }));
        payload["run"] = 3.into();
        invocation.serve(payload).await.unwrap();
        assert_eq!(invocation.take_tool_runs().len(), expected_runs, "{answer:?}");
        let transcript = transcript(&invocation);
        assert_eq!(transcript[2..], [(Role::User, vec![expected_result.to_owned()])], "{answer:?}");
        let results = invocation.take_published().iter().filter(|mutation| is_event_of_tools(&mutation.update)).count();
        assert_eq!(results, 1, "{answer:?}");
    }
}

#[tokio::test]
async fn approval_counts_for_the_same_user_and_agent_alone() {
    let unknown = "a = The result of this call is not known: the turn ended before it was stored. The tool may have \
        run or not.";
    for (name, value, expected_runs) in [
        ("answeredBy", string("ann"), 1),
        ("answeredBy", string("bob"), 0),
        ("agentVersion", number(2), 0),
        ("agentId", string("clerk"), 0),
    ] {
        let mut approval = map([("approved", boolean(true))]);
        approval.insert(name.to_owned(), value);
        let invocation = TestInvocation::with_items(answered_turn("order", Some(approval.clone()))).await;
        let members = json!({ "question": null, "agent": agent_with_tool(), "askedBy": "ann" });
        invocation.serve(turn_payload(members)).await.unwrap();
        assert_eq!(invocation.take_tool_runs().len(), expected_runs, "{approval:?}");
        let expected = if expected_runs == 1 { "a = 7" } else { unknown };
        assert_eq!(transcript(&invocation)[2], (Role::User, vec![expected.to_owned()]), "{approval:?}");
    }
}

/// The claims of such calls may have been deleted, so nothing tells whether a tool was run.
#[tokio::test]
async fn calls_older_than_their_claims_are_not_run() {
    for (created_at, expected_runs) in [("2026-11-01T09:00:00.000Z", 0), ("2026-11-12T09:00:00.000Z", 1)] {
        let mut items = answered_turn("look", None);
        items[3] = with(items[3].clone(), "createdAt", string(created_at));
        let invocation = TestInvocation::with_items(items).await;
        let members = json!({ "question": null, "agent": agent_with_tool(), "askedBy": "ann" });
        invocation.serve(turn_payload(members)).await.unwrap();
        assert_eq!(invocation.take_tool_runs().len(), expected_runs, "{created_at}");
        let result = &transcript(&invocation)[2].1[0];
        assert_eq!(result.starts_with("a = The result of this call is not known"), expected_runs == 0, "{result}");
    }
}

fn is_event_of_tools(update: &Update) -> bool {
    matches!(update, Update::Event(event) if event.author == Author::Tools)
}

#[tokio::test]
async fn answers_are_not_loaded_for_tools_that_need_none() {
    let mut invocation = TestInvocation::with_items(answered_turn("look", None)).await;
    invocation.table = invocation.table.throttling_calls_with("ANSWER#");
    let members = json!({ "question": null, "agent": agent_with_tool() });
    invocation.serve(turn_payload(members)).await.unwrap();
    assert_eq!(invocation.take_tool_runs().len(), 1);
}

#[tokio::test]
async fn invocation_for_a_waiting_turn_succeeds_without_action() {
    let waiting = with(turn_item("WAITING", None, FAR), "pendingUntil", number(NOW + 60_000));
    let invocation = TestInvocation::with_items([waiting, conversation_item()]).await;
    invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await.unwrap();
    assert!(invocation.take_model_requests().is_empty() && invocation.take_published().is_empty());
    assert_eq!(invocation.table.stored_json("TURN#t1").await["status"], "WAITING");
}

#[tokio::test]
async fn wait_whose_response_was_lost_leaves_the_waiting_turn_alone() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    let call = StreamEvent::ToolUse { block: 0, id: "a".into(), name: "order".into() };
    invocation.script_model_streams([vec![call, StreamEvent::MessageStop(ModelStop::ToolUse)]]);
    let accepted = Ok(TurnStatus::Running);
    invocation.script_publish_results([accepted, accepted, Err(PublishFailure::Stale)]);
    let waiting = with(turn_item("WAITING", None, FAR), "pendingUntil", number(FAR));
    invocation.write_before_next_publish(with(waiting, "attempt", number(2)));
    let members = json!({ "question": question("Why?"), "agent": agent_with_tool() });
    invocation.serve(turn_payload(members)).await.unwrap();
    assert_eq!(invocation.table.stored_json("TURN#t1").await["status"], "WAITING");
}

#[tokio::test]
async fn kept_results_of_a_dead_attempt_go_to_the_model() {
    let turn = with(turn_item("RUNNING", Some(NOW), FAR), "runPosition", number(9));
    let turn = with(turn, "lastPosition", number(9));
    let conversation = with(conversation_item(), "eventCount", number(9));
    let invocation = TestInvocation::with_items([turn, conversation, calls_item(8), results_item(9)]).await;
    let members = json!({ "question": question("Why?"), "agent": agent_with_tool() });
    invocation.serve(turn_payload(members)).await.unwrap();
    assert!(invocation.take_tool_runs().is_empty());
    let transcript = transcript(&invocation);
    assert_eq!(transcript[2], (Role::User, vec!["a = {\"b\":1}".to_owned()]));
    assert_eq!(transcript.len(), 3);
}

#[tokio::test]
async fn fallback_model_goes_on_with_the_answer_that_it_has_begun() {
    for (fallback_model_ids, expected) in [(json!(["other", "fallback"]), "fallback"), (json!(["other"]), "any")] {
        let turn = with(turn_item("RUNNING", Some(NOW), FAR), "runPosition", number(9));
        let turn = with(turn, "lastPosition", number(9));
        let conversation = with(conversation_item(), "eventCount", number(9));
        let calls = with(calls_item(8), "modelId", string("fallback"));
        let invocation = TestInvocation::with_items([turn, conversation, calls, results_item(9)]).await;
        let mut agent = agent_with_tool();
        agent["fallbackModelIds"] = fallback_model_ids;
        invocation.serve(turn_payload(json!({ "question": question("Why?"), "agent": agent }))).await.unwrap();
        let requests = invocation.take_model_requests();
        assert_eq!(requests.iter().map(|request| request.model_id.as_str()).collect::<Vec<_>>(), [expected]);
    }
}

#[tokio::test]
async fn tools_of_the_agent_are_run_between_requests_to_the_model() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    let call = StreamEvent::ToolUse { block: 0, id: "a".into(), name: "look".into() };
    let stop = StreamEvent::MessageStop(ModelStop::ToolUse);
    invocation.script_model_streams([vec![call, stop]]);
    let members = json!({ "question": question("Why?"), "agent": agent_with_tool(), "askedBy": "ann" });
    invocation.serve(turn_payload(members)).await.unwrap();
    let requests = invocation.take_model_requests();
    assert_eq!((requests.len(), requests[0].tools[0].name.as_str()), (2, "look"));
    assert_eq!(invocation.take_tool_runs()[0].caller.id.as_deref(), Some("ann"));
    let last = invocation.take_published().last().unwrap().update.clone();
    let Update::Event(last) = last else { panic!("{last:?}") };
    // Two requests of seven tokens each.
    assert_eq!(last.end.unwrap().usage.unwrap().total_tokens, 14);
    assert_eq!(invocation.table.stored_json("DAY#2026-11-18").await["tokens"], 14);
}

#[tokio::test]
async fn tools_get_the_sealed_credential_of_the_request() {
    let sealed = || "AQID".to_owned();
    for (credential, expected) in [
        (json!({ "kind": "API_KEY", "sealed": "AQID" }), Some(CallerCredential::ApiKey { sealed: sealed() })),
        (json!({ "kind": "TOKEN", "sealed": "AQID" }), Some(CallerCredential::Token { sealed: sealed() })),
        (json!({ "kind": "NONE", "reason": "IAM" }), Some(CallerCredential::None { reason: NoCredential::Iam })),
        (
            json!({ "kind": "NONE", "reason": "ON_BEHALF" }),
            Some(CallerCredential::None { reason: NoCredential::OnBehalf }),
        ),
        (
            json!({ "kind": "NONE", "reason": "TOO_LONG" }),
            Some(CallerCredential::None { reason: NoCredential::TooLong }),
        ),
        (Value::Null, None),
    ] {
        let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
        let call = StreamEvent::ToolUse { block: 0, id: "a".into(), name: "look".into() };
        invocation.script_model_streams([vec![call, StreamEvent::MessageStop(ModelStop::ToolUse)]]);
        let mut agent = agent_with_tool();
        let tool = agent["tools"][0].as_object_mut().unwrap();
        tool.remove("lambda");
        tool.insert("graphql".to_owned(), json!({ "document": "{ a }" }));
        let members = json!({ "question": question("Why?"), "agent": agent, "callerCredential": credential });
        invocation.serve(turn_payload(members)).await.unwrap();
        let [run] = invocation.take_tool_runs().try_into().unwrap();
        assert_eq!(run.caller.credential.as_deref(), expected.as_ref());
        let target = ToolTarget::Graphql(GraphqlTool { document: "{ a }".into(), url: None });
        assert_eq!(run.tool.target, target);
    }
}

#[tokio::test]
async fn answer_ends_at_the_most_steps_of_the_agent() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    let call = StreamEvent::ToolUse { block: 0, id: "a".into(), name: "look".into() };
    let stop = StreamEvent::MessageStop(ModelStop::ToolUse);
    invocation.script_model_streams(repeat_n(vec![call, stop], 3));
    let mut agent = agent_with_tool();
    agent["maxSteps"] = json!(2);
    invocation.serve(turn_payload(json!({ "question": question("Why?"), "agent": agent }))).await.unwrap();
    assert_eq!(invocation.take_model_requests().len(), 2);
    let last = invocation.take_published().last().unwrap().update.clone();
    let Update::Event(last) = last else { panic!("{last:?}") };
    assert_eq!(last.end.unwrap().reason, EndReason::Stopped(StopReason::MaxSteps));
}

#[tokio::test]
async fn check_of_tools_returns_what_is_wrong_with_them() {
    let mut invocation = TestInvocation::with_items([]).await;
    invocation.tool_functions = AllowedFunctions::from_list("arn:aws:lambda:us-east-1:000000000000:function:*");
    let tools = agent_with_tool()["tools"].clone();
    let accepted = invocation.serve(json!({ "type": "checkTools", "tools": tools })).await.unwrap();
    assert_eq!(accepted, json!({ "refusals": [], "tools": tools }));
    let mut tools = tools;
    tools[0]["inputSchema"] = json!("[]");
    let refused = invocation.serve(json!({ "type": "checkTools", "tools": tools })).await.unwrap();
    let message = "The schema must be the JSON text of an object.";
    assert_eq!(refused, json!({ "refusals": [{ "path": "tools[0].inputSchema", "message": message }], "tools": [] }));
    let result = invocation.serve(json!({ "type": "checkTools", "tools": [{ "name": "look" }] })).await;
    assert!(matches!(result, Err(HandlerError::Payload)));
}

#[tokio::test]
async fn document_has_no_link_where_no_bucket_is_named() {
    let invocation = TestInvocation::with_items([]).await;
    let response = invocation.serve(json!({ "type": "linkDocument", "source": "s3://docs/a.pdf" })).await.unwrap();
    assert_eq!(response, json!({ "url": null, "expiresAt": null }));
    let without_source = invocation.serve(json!({ "type": "linkDocument" })).await;
    assert!(matches!(without_source, Err(HandlerError::Payload)));
}

#[tokio::test]
async fn invocation_for_a_turn_returns_null() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    let response = invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await.unwrap();
    assert_eq!(response, Value::Null);
}

#[tokio::test]
async fn events_of_a_dead_attempt_are_superseded_before_the_next_starts() {
    let turn = with(turn_item("RUNNING", Some(NOW), FAR), "lastPosition", number(8));
    let conversation = with(conversation_item(), "eventCount", number(8));
    let invocation = TestInvocation::with_items([turn, conversation, answer_item(8, 1)]).await;
    invocation.script_publish_results([Err(PublishFailure::Stale)]);
    drop(invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await);
    assert_eq!(invocation.table.stored_json("EVENT#00000008").await["superseded"], true);
    assert_eq!(invocation.take_published().len(), 1);
}

#[tokio::test]
async fn leased_turn_fails_the_invocation_without_a_model_call() {
    let leased = turn_item("RUNNING", Some(NOW + 60_000), FAR);
    let invocation = TestInvocation::with_items([leased, conversation_item()]).await;
    let result = invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await;
    assert!(matches!(result, Err(HandlerError::Leased)));
    assert!(invocation.take_model_requests().is_empty() && invocation.take_published().is_empty());
}

#[tokio::test]
async fn invocation_for_ended_turn_succeeds_without_action() {
    let announced = with(turn_item("COMPLETED", Some(NOW), FAR), "announced", boolean(true));
    let other_run = with(queued_turn(), "run", number(2));
    for items in [
        vec![],
        vec![announced, conversation_item()],
        vec![other_run, conversation_item()],
        // The question has been purged.
        vec![queued_turn(), conversation_item()],
    ] {
        let invocation = TestInvocation::with_items(items).await;
        invocation.serve(turn_payload(json!({ "question": null }))).await.unwrap();
        assert!(invocation.take_model_requests().is_empty() && invocation.take_published().is_empty());
    }
}

#[tokio::test]
async fn cancelled_or_expired_turn_is_closed_without_a_model_call() {
    for (turn, expected) in [
        (turn_item("CANCELLING", Some(NOW), FAR), TurnStatus::Cancelled),
        (turn_item("RUNNING", Some(NOW), NOW), TurnStatus::Failed),
        (turn_item("QUEUED", None, NOW), TurnStatus::Failed),
    ] {
        let invocation = TestInvocation::with_items([turn, conversation_item()]).await;
        invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await.unwrap();
        assert!(invocation.take_model_requests().is_empty());
        let [published] = invocation.take_published().try_into().unwrap();
        assert!(matches!(&published.update, Update::Stored(event) if event.status == expected), "{published:?}");
        assert_eq!(invocation.table.stored_json("META").await.get("activeTurnId"), None);
    }
}

#[tokio::test]
async fn unannounced_end_is_announced_without_a_model_call() {
    let ended = with(turn_item("COMPLETED", Some(NOW), FAR), "lastPosition", number(8));
    let invocation = TestInvocation::with_items([ended, answer_item(8, 1)]).await;
    invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await.unwrap();
    assert!(invocation.take_model_requests().is_empty());
    assert!(matches!(&invocation.take_published()[0].update, Update::Stored(event) if event.id == "t1-1-8"));
}

#[tokio::test]
async fn answer_refused_by_appsync_is_stored_unannounced() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    invocation.script_publish_results(repeat_n(Err(PublishFailure::Refused), 100));
    let result = invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await;
    assert!(matches!(result, Err(HandlerError::Unannounced)));
    let event = invocation.table.stored_json("EVENT#00000008").await;
    assert_eq!(event["content"], json!([{ "text": "So be it." }]));
    let turn = invocation.table.stored_json("TURN#t1").await;
    assert_eq!((&turn["status"], &turn["announced"]), (&json!("COMPLETED"), &json!(false)));
}

#[tokio::test]
async fn attempt_with_expired_lease_closes_its_turn_unless_another_owns_it() {
    for (attempt, expected) in [(2, "CANCELLED"), (3, "CANCELLING")] {
        let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
        let cancelling = turn_item("CANCELLING", Some(NOW), FAR);
        invocation.write_before_next_publish(with(cancelling, "attempt", number(attempt)));
        invocation.script_publish_results([Err(PublishFailure::Stale)]);
        invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await.unwrap();
        assert_eq!(invocation.table.stored_json("TURN#t1").await["status"], expected, "attempt {attempt}");
    }
}

#[tokio::test]
async fn lease_that_the_attempt_itself_renewed_fails_the_invocation() {
    for (attempt, is_own) in [(2, true), (3, false)] {
        let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
        let leased = turn_item("RUNNING", Some(NOW + 60_000), FAR);
        invocation.write_before_next_publish(with(leased, "attempt", number(attempt)));
        invocation.script_publish_results([Err(PublishFailure::Stale)]);
        let result = invocation.serve(turn_payload(json!({ "question": question("Why?") }))).await;
        assert_eq!(matches!(result, Err(HandlerError::Leased)), is_own, "attempt {attempt}: {result:?}");
    }
}

#[tokio::test]
async fn tokens_are_counted_for_the_user_and_day() {
    let used = with(usage_key("ann", "2026-11-18"), "tokens", number(5));
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item(), used]).await;
    invocation.serve(turn_payload(json!({ "question": question("Why?"), "askedBy": "ann" }))).await.unwrap();
    assert_eq!(invocation.table.stored_json("DAY#2026-11-18").await["tokens"], 12);
}

#[tokio::test]
async fn tokens_are_estimated_if_the_model_reports_no_usage() {
    let mut invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    invocation.usage = None;
    invocation.serve(turn_payload(json!({ "question": question("Why?"), "askedBy": "ann" }))).await.unwrap();
    let bytes = "Why?".len() + "So be it.".len();
    assert_eq!(invocation.table.stored_json("DAY#2026-11-18").await["tokens"], bytes.div_ceil(4));
}

#[tokio::test]
async fn tokens_of_an_unannounced_answer_are_counted_once() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    invocation.script_publish_results(repeat_n(Err(PublishFailure::Refused), 100));
    let payload = turn_payload(json!({ "question": question("Why?"), "askedBy": "ann" }));
    assert!(matches!(invocation.serve(payload.clone()).await, Err(HandlerError::Unannounced)));
    assert_eq!(invocation.table.stored_json("DAY#2026-11-18").await["tokens"], 7);
    drop(invocation.serve(payload).await);
    assert_eq!(invocation.table.stored_json("DAY#2026-11-18").await["tokens"], 7);
}

#[tokio::test]
async fn tokens_are_not_counted_without_user_or_for_a_superseded_attempt() {
    for (asked_by, first_result) in [(json!(null), Ok(TurnStatus::Running)), (json!("ann"), Err(PublishFailure::Stale))]
    {
        let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
        invocation.script_publish_results([first_result]);
        let payload = turn_payload(json!({ "question": question("Why?"), "askedBy": asked_by }));
        drop(invocation.serve(payload).await);
        let items = invocation.table.all_items().await;
        assert!(!items.iter().any(|item| item.contains_key("tokens")), "{items:?}");
    }
}

#[tokio::test]
async fn tokens_of_an_ended_step_are_counted_for_a_superseded_attempt() {
    let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    let call = StreamEvent::ToolUse { block: 0, id: "a".into(), name: "look".into() };
    invocation.script_model_streams([vec![call, StreamEvent::MessageStop(ModelStop::ToolUse)]]);
    invocation.script_publish_results([Ok(TurnStatus::Running), Err(PublishFailure::Stale)]);
    let members = json!({ "question": question("Why?"), "agent": agent_with_tool(), "askedBy": "ann" });
    drop(invocation.serve(turn_payload(members)).await);
    assert_eq!(invocation.table.stored_json("DAY#2026-11-18").await["tokens"], 7);
}

#[tokio::test]
async fn usage_is_that_of_all_kept_steps_and_the_quota_counts_the_attempt_alone() {
    let usage = map([("inputTokens", number(8)), ("outputTokens", number(2)), ("totalTokens", number(10))]);
    let step = with(calls_item(8), "usage", AttributeValue::M(usage));
    let turn = with(turn_item("RUNNING", Some(NOW), FAR), "runPosition", number(9));
    let turn = with(turn, "lastPosition", number(9));
    let conversation = with(conversation_item(), "eventCount", number(9));
    let invocation = TestInvocation::with_items([turn, conversation, step, results_item(9)]).await;
    let call = StreamEvent::ToolUse { block: 0, id: "b".into(), name: "look".into() };
    invocation.script_model_streams([vec![call, StreamEvent::MessageStop(ModelStop::ToolUse)]]);
    let members = json!({ "question": question("Why?"), "agent": agent_with_tool(), "askedBy": "ann" });
    invocation.serve(turn_payload(members)).await.unwrap();
    let published = invocation.take_published();
    let usages = published.iter().filter_map(|mutation| match &mutation.update {
        Update::Event(event) => Some(event.usage().map(|usage| usage.total_tokens)),
        _ => None,
    });
    // The step, its results and the answer.
    assert_eq!(usages.collect::<Vec<_>>(), [Some(17), None, Some(24)]);
    assert_eq!(invocation.table.stored_json("DAY#2026-11-18").await["tokens"], 14);
}

#[tokio::test]
async fn failed_token_count_does_not_fail_the_invocation() {
    let mut invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
    invocation.table = invocation.table.throttling_calls_with("ADD tokens");
    invocation.limits.bookkeeping_timeout = Duration::from_millis(50);
    invocation.serve(turn_payload(json!({ "question": question("Why?"), "askedBy": "ann" }))).await.unwrap();
    assert!(invocation.take_published().last().is_some_and(|last| last.closes_turn()));
}

fn queued_turn() -> Item {
    turn_item("QUEUED", None, FAR)
}

/// The status, the text and the request's id of each answer since the last call.
fn answers(invocation: &TestInvocation) -> Vec<(String, String, Value)> {
    let messages = invocation.take_reply_requests().into_iter().flat_map(|request| request.messages.clone());
    let answer = |message: ReplyMessage| {
        assert_eq!(message.kind, MessageKind::Answer);
        let answer: Value = serde_json::from_str(&message.text).unwrap();
        let text = answer["message"].as_str().or(answer["result"]["text"].as_str()).unwrap();
        (answer["status"].as_str().unwrap().to_owned(), text.to_owned(), answer["id"].clone())
    };
    messages.map(answer).collect()
}

fn question_item() -> Item {
    let user = AttributeValue::M(map([("kind", string("USER"))]));
    let item = with(answer_item(7, 1), "sender", user);
    with(item, "content", content("Why not?"))
}

/// An event of attempt 1 with the text `So.` and a call of the tool.
fn calls_item(position: u32) -> Item {
    let call = map([("id", string("a")), ("name", string("look")), ("input", string("{}"))]);
    let text = AttributeValue::M(map([("text", string("So."))]));
    let call = AttributeValue::M(map([("toolUse", AttributeValue::M(call))]));
    with(answer_item(position, 1), "content", AttributeValue::L(vec![text, call]))
}

/// An event of attempt 1 with the result of the call.
fn results_item(position: u32) -> Item {
    let result = map([("toolUseId", string("a")), ("status", string("SUCCEEDED")), ("json", string("{\"b\":1}"))]);
    let result = AttributeValue::M(map([("toolResult", AttributeValue::M(result))]));
    let tools = AttributeValue::M(map([("kind", string("TOOL"))]));
    let item = with(answer_item(position, 1), "sender", tools);
    with(item, "content", AttributeValue::L(vec![result]))
}

/// Turn t1 in its second run, with a call of a tool in event 8 and perhaps the answer to it.
fn answered_turn(tool: &str, answer: Option<Item>) -> Vec<Item> {
    let turn = with(queued_turn(), "runPosition", number(8));
    let turn = with(turn, "lastPosition", number(8));
    let conversation = with(conversation_item(), "eventCount", number(8));
    let call = map([("id", string("a")), ("name", string(tool)), ("input", string("{}"))]);
    let call = AttributeValue::M(map([("toolUse", AttributeValue::M(call))]));
    let calls = with(answer_item(8, 1), "content", AttributeValue::L(vec![call]));
    let answer = answer.map(answer_to_call);
    [turn, conversation, question_item(), calls].into_iter().chain(answer).collect()
}

/// Ann's answer to the call of version 1 of the agent.
fn answer_to_call(members: Item) -> Item {
    let item = [("answeredBy", string("ann")), ("agentId", string("default")), ("agentVersion", number(1))];
    key("TURN#c1#t1", "ANSWER#a#00000008").into_iter().chain(map(item)).chain(members).collect()
}

/// An agent with a tool that only reads and one whose calls need an approval.
fn agent_with_tool() -> Value {
    let tool = |name: &str, effect: &str, approval: &str| {
        json!({
            "name": name, "title": null, "description": "Looks.", "inputSchema": "{\"type\":\"object\"}",
            "effect": effect, "approval": approval,
            "lambda": { "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:look" },
        })
    };
    json!({
        "id": "default", "version": 1, "modelId": "any", "contextBytes": 400_000,
        "tools": [tool("look", "READ", "NEVER"), tool("order", "WRITE", "ALWAYS")],
        "maxSteps": 5, "toolTimeoutSeconds": 30,
    })
}

/// The payload of an invocation for turn t1, with further members.
fn turn_payload(members: Value) -> Value {
    let agent = json!({ "id": "default", "version": 1, "modelId": "any", "contextBytes": 400_000 });
    let mut payload = json!({ "type": "turn", "conversationId": "c1", "turnId": "t1", "run": 1, "agent": agent });
    payload.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    payload
}

fn question(text: &str) -> Value {
    json!({
        "id": "t1", "conversationId": "c1", "position": 7, "turnId": "t1", "sender": { "kind": "USER" },
        "content": [{ "text": text }], "createdAt": "2026-11-21T09:00:00.000Z",
    })
}

/// The transcript of the only request to the model.
fn transcript(invocation: &TestInvocation) -> Vec<(Role, Vec<String>)> {
    let [request] = invocation.take_model_requests().try_into().unwrap();
    request.transcript.iter().map(|message| (message.role, message.content.iter().map(describe).collect())).collect()
}

/// A text as it is, a tool call with its arguments, and a result with the id of its call.
fn describe(block: &TranscriptBlock) -> String {
    match block {
        TranscriptBlock::Text(text) => text.clone(),
        TranscriptBlock::Reasoning(reasoning) => format!("({})", reasoning.text),
        TranscriptBlock::SearchResult(result) => format!("{}: {}", result.source, result.text),
        TranscriptBlock::ToolUse(call) => format!("{}: {} {}", call.id, call.name, call.input),
        TranscriptBlock::ToolResult {
            tool_use_id,
            output: ToolOutput::Json(output) | ToolOutput::Text(output),
            ..
        } => {
            format!("{tool_use_id} = {output}")
        }
        TranscriptBlock::FoundSearchResults { tool_use_id, results } => {
            let texts: Vec<_> = results.iter().map(|result| result.text.as_str()).collect();
            format!("{tool_use_id} = {}", texts.join(" "))
        }
    }
}

/// What the model says of an answer that ends so.
fn stream_that_ends(reason: StopReason) -> Vec<StreamEvent> {
    let text = StreamEvent::Text { block: 0, text: "So be it.".into() };
    vec![text, StreamEvent::MessageStop(ModelStop::Answered(reason))]
}

#[tokio::test]
async fn untitled_conversation_gets_the_first_words_or_what_a_model_writes() {
    let title = |text: &str| vec![StreamEvent::Text { block: 0, text: text.into() }];
    for (title_model, written, expected) in [
        (None, Vec::new(), "Why does it rain?"),
        (Some("amazon.nova-micro-v1:0"), title("\"Rain\"\n"), "Rain"),
        (Some("amazon.nova-micro-v1:0"), title(" "), "Why does it rain?"),
    ] {
        let mut invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
        invocation.title_model_id = title_model.map(str::to_owned);
        invocation.script_model_streams([stream_that_ends(StopReason::EndTurn), written]);
        let members = json!({ "question": question("Why  does\nit rain?"), "untitled": true });
        invocation.serve(turn_payload(members)).await.unwrap();
        assert_eq!(invocation.take_titles(), [("c1".to_owned(), expected.to_owned())]);
    }
}

#[tokio::test]
async fn title_follows_the_first_answer_alone() {
    let earlier = |content: Value| {
        json!({
            "id": "t0-1-1", "conversationId": "c1", "position": 6, "turnId": "t0", "sender": { "kind": "AGENT" },
            "content": content, "createdAt": "2026-11-21T09:00:00.000Z",
        })
    };
    for (members, reason, expected) in [
        (json!({ "untitled": false }), StopReason::EndTurn, 0),
        (json!({ "untitled": true, "history": [earlier(json!([{ "text": "Hi" }]))] }), StopReason::EndTurn, 0),
        (json!({ "untitled": true, "history": [earlier(json!([]))] }), StopReason::EndTurn, 1),
        (json!({ "untitled": true }), StopReason::GuardrailIntervened, 0),
        (json!({ "untitled": true }), StopReason::MaxTokens, 1),
    ] {
        let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
        invocation.script_model_streams([stream_that_ends(reason)]);
        let mut payload = turn_payload(members);
        payload["question"] = question("Why?");
        invocation.serve(payload.clone()).await.unwrap();
        assert_eq!(invocation.take_titles().len(), expected, "{payload} {reason:?}");
    }
}

#[tokio::test]
async fn title_that_is_not_published_fails_no_turn() {
    for (results, tries) in [
        (vec![Err(PublishFailure::Stale)], 1),
        (vec![Err(PublishFailure::Refused)], 1),
        (vec![Err(PublishFailure::Retryable), Ok(())], 2),
        (vec![Err(PublishFailure::Retryable); 9], 3),
    ] {
        let invocation = TestInvocation::with_items([queued_turn(), conversation_item()]).await;
        invocation.title_results.lock().unwrap().extend(results);
        let members = json!({ "question": question("Why?"), "untitled": true });
        invocation.serve(turn_payload(members)).await.unwrap();
        assert_eq!(invocation.take_titles().len(), tries);
        assert!(invocation.take_published().last().unwrap().closes_turn());
    }
}
