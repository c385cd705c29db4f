//! The client over real sockets, against a fake API that fails on request.
mod fake_api;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use client::{
    AppSync, Credentials, Error, Follower,
    credentials::IamKeys,
    errors::ErrorType,
    realtime::Realtime,
    reassembly::{Change, ConversationChange, TurnChange},
    requests::{GetTurn, SendMessage},
    schema::TurnStatus,
};
use fake_api::FakeApi;
use futures::future::join_all;
use serde_json::{Value, json};

fn client(api: &FakeApi) -> AppSync {
    AppSync::new(&api.url, Credentials::ApiKey("da2-test".to_owned())).unwrap()
}

/// An API whose conversation has no events.
async fn api_without_events() -> FakeApi {
    let api = FakeApi::start().await;
    api.respond("GetEvents", 200, events(&[]));
    api
}

fn events(items: &[Value]) -> Value {
    json!({ "data": { "getConversation": { "activeTurn": null, "events": { "items": items, "hasMore": false } } } })
}

fn event(kind: &str, position: u32, text: &str, stop_reason: Option<&str>) -> Value {
    json!({ "id": format!("e{position}"), "conversationId": "c", "position": position, "turnId": "t",
        "sender": { "kind": kind }, "content": [{ "text": text }], "text": text, "stopReason": stop_reason,
        "createdAt": "2026-01-01T00:00:00Z" })
}

fn update(sequence: u32, status: &str, text: Option<&str>, event: Value) -> Value {
    json!({ "conversationId": "c", "turnId": "t", "attempt": 1, "sequence": sequence,
        "metadata": { "status": status, "agentPartialMessage": text }, "event": event })
}

fn question() -> Value {
    update(1, "RUNNING", None, event("USER", 1, "Why?", None))
}

fn batch(sequence: u32, text: &str) -> Value {
    update(sequence, "RUNNING", Some(text), Value::Null)
}

fn last_update(sequence: u32, text: &str) -> Value {
    update(sequence, "COMPLETED", None, event("AGENT", 2, text, Some("END_TURN")))
}

fn turn(status: &str, batches: &[(u32, &str)], answer: &[Value]) -> Value {
    let batches = batches.iter().map(|(sequence, text)| {
        let metadata = json!({ "status": "RUNNING", "agentPartialMessage": text });
        json!({ "attempt": 1, "sequence": sequence, "metadata": metadata })
    });
    json!({ "data": { "getTurn": { "id": "t", "conversationId": "c", "status": status, "run": 1, "attempt": 1,
        "question": event("USER", 1, "Why?", None), "answer": answer, "batches": batches.collect::<Vec<_>>(),
        "hasMoreBatches": false } } })
}

async fn next_of_turn(follower: &mut Follower) -> TurnChange {
    match follower.next().await.unwrap() {
        ConversationChange::Turn(change) => change,
        ConversationChange::Titled(title) => panic!("the title {title}"),
    }
}

/// Every state of the displayed text until the turn ends, and the status of the end.
async fn read_to_end(follower: &mut Follower) -> (Vec<String>, TurnStatus) {
    let mut texts = vec![String::new()];
    loop {
        let text = texts.last().cloned().unwrap_or_default();
        match next_of_turn(follower).await.change {
            Change::Appended(tail) => texts.push(text + &tail),
            Change::Replaced(text) => texts.push(text),
            Change::Ended(end) => return (texts, end.status),
            Change::Question(_)
            | Change::ReasoningAppended { .. }
            | Change::ReasoningCleared
            | Change::Reasoned(_)
            | Change::ToolCalled(_)
            | Change::ToolProgress(_)
            | Change::Waiting(_)
            | Change::ToolResult(_)
            | Change::Cited(_)
            | Change::Note(_)
            | Change::Reopened => {}
        }
    }
}

async fn next_text(follower: &mut Follower) -> String {
    loop {
        if let Change::Appended(text) = next_of_turn(follower).await.change {
            return text;
        }
    }
}

#[tokio::test]
async fn turn_is_followed_from_question_to_end() {
    let api = api_without_events().await;
    let mut follower = client(&api).follow("c").await.unwrap();
    for update in [question(), batch(2, "Hel"), batch(3, "lo"), last_update(4, "Hello!")] {
        api.publish(&update);
    }
    let (texts, status) = read_to_end(&mut follower).await;
    assert_eq!(texts, ["", "Hel", "Hello", "Hello!"]);
    assert_eq!(status, TurnStatus::Completed);
}

#[tokio::test]
async fn cut_connection_neither_loses_nor_repeats_text() {
    let api = api_without_events().await;
    let mut follower = client(&api).follow("c").await.unwrap();
    api.publish(&question());
    api.publish(&batch(2, "Hel"));
    assert_eq!(next_text(&mut follower).await, "Hel");

    api.cut_sockets();
    api.publish(&batch(3, "lo, "));
    api.respond("GetTurn", 200, turn("RUNNING", &[(3, "lo, "), (4, "wor")], &[]));
    assert_eq!(next_text(&mut follower).await, "lo, ");
    api.publish(&batch(4, "wor"));
    api.publish(&last_update(5, "Hello, world"));
    let (texts, _) = read_to_end(&mut follower).await;
    assert_eq!(texts, ["", "wor", "world"]);
    assert_eq!(api.protocols().len(), 2);
}

#[tokio::test]
async fn turn_missed_while_the_connection_was_cut_is_fetched() {
    let api = api_without_events().await;
    let mut follower = client(&api).follow("c").await.unwrap();
    api.publish(&question());
    api.publish(&last_update(2, "First"));
    read_to_end(&mut follower).await;

    let mut question = event("USER", 3, "And?", None);
    question["turnId"] = "u".into();
    let mut answer = event("AGENT", 4, "Second", Some("END_TURN"));
    answer["turnId"] = "u".into();
    api.respond("GetEvents", 200, events(&[question, answer.clone()]));
    let mut finished = turn("COMPLETED", &[], &[answer]);
    finished["data"]["getTurn"]["id"] = "u".into();
    api.respond("GetTurn", 200, finished);
    api.cut_sockets();
    let (texts, _) = read_to_end(&mut follower).await;
    assert_eq!(texts.last().unwrap(), "Second");
}

#[tokio::test]
async fn connection_cut_after_any_update_ends_with_the_stored_text() {
    let updates = [question(), batch(2, "Hel"), batch(3, "lo, "), batch(4, "wor"), last_update(5, "Hello, world")];
    let follow_with_cut_after = |delivered: usize| {
        let updates = &updates;
        async move {
            let api = api_without_events().await;
            let mut follower = client(&api).follow("c").await.unwrap();
            api.respond("GetTurn", 200, turn("COMPLETED", &[], &[updates[4]["event"].clone()]));
            updates[..delivered].iter().for_each(|update| api.publish(update));
            api.cut_sockets();
            updates[delivered..].iter().for_each(|update| api.publish(update));
            read_to_end(&mut follower).await
        }
    };
    for (texts, status) in join_all((1..=updates.len()).map(follow_with_cut_after)).await {
        assert_eq!(texts.last().map(String::as_str), Some("Hello, world"), "{texts:?}");
        assert!(texts.is_sorted_by(|text, next| next.starts_with(text)), "text was taken back: {texts:?}");
        assert_eq!(status, TurnStatus::Completed);
    }
}

#[tokio::test]
async fn three_missed_turns_are_all_reported() {
    let api = api_without_events().await;
    let mut follower = client(&api).follow("c").await.unwrap();
    api.publish(&question());
    api.publish(&last_update(2, "First"));
    read_to_end(&mut follower).await;

    let mut missed = Vec::new();
    for (position, id, pattern, text) in
        [(4, "u", r#""id":"u""#, "Second"), (6, "v", r#""id":"v""#, ""), (8, "w", r#""id":"w""#, "Fourth")]
    {
        let mut answer = event("AGENT", position, text, Some("END_TURN"));
        answer["turnId"] = id.into();
        let mut finished = turn("COMPLETED", &[], std::slice::from_ref(&answer));
        finished["data"]["getTurn"]["id"] = id.into();
        api.respond(pattern, 200, finished);
        missed.push(answer);
    }
    api.respond("GetTurn", 200, turn("COMPLETED", &[], &[event("AGENT", 2, "First", Some("END_TURN"))]));
    api.respond("GetEvents", 200, events(&missed));
    api.cut_sockets();
    let mut texts = BTreeMap::<String, String>::new();
    let mut ended_turns = 0;
    while ended_turns < 3 {
        let next = next_of_turn(&mut follower).await;
        let text = texts.entry(next.turn_id).or_default();
        match next.change {
            Change::Appended(tail) => text.push_str(&tail),
            Change::Ended(_) => ended_turns += 1,
            Change::Question(_) => {}
            change => panic!("{change:?} of a turn that had ended"),
        }
    }
    let expected = [("u", "Second"), ("v", ""), ("w", "Fourth")];
    assert!(texts.iter().map(|(id, text)| (id.as_str(), text.as_str())).eq(expected), "{texts:?}");
}

#[tokio::test]
async fn continuation_is_one_text_with_the_base() {
    let api = api_without_events().await;
    let mut follower = client(&api).follow("c").await.unwrap();
    let with_attempt = |attempt: u32, mut value: Value| {
        value["attempt"] = attempt.into();
        value
    };
    let base = with_attempt(1, event("AGENT", 2, "Once", Some("CANCELLED")));
    let mut running = turn("RUNNING", &[], &[base]);
    running["data"]["getTurn"]["attempt"] = 3.into();
    api.respond("GetTurn", 200, running);
    let mut first_update = with_attempt(3, question());
    first_update["metadata"]["continues"] = true.into();
    api.publish(&first_update);
    assert_eq!(next_text(&mut follower).await, "Once");
    api.publish(&with_attempt(3, batch(2, " upon")));
    let last_event = with_attempt(3, event("AGENT", 3, " upon a time", Some("END_TURN")));
    api.publish(&with_attempt(3, update(3, "COMPLETED", None, last_event)));
    let (texts, _) = read_to_end(&mut follower).await;
    assert_eq!(texts, ["", " upon", " upon a time"]);
}

#[tokio::test]
async fn slow_reader_receives_the_stored_turn() {
    let api = api_without_events().await;
    let client = client(&api);
    let realtime = Realtime::new(&client);
    let mut slow_reader = Follower::start(client.clone(), &realtime, "c").await.unwrap();
    let mut reader = Follower::start(client.clone(), &realtime, "c").await.unwrap();
    api.respond("GetTurn", 200, turn("COMPLETED", &[], &[event("AGENT", 2, "Hello", Some("END_TURN"))]));
    api.publish(&question());
    for sequence in 2..1500 {
        api.publish(&batch(sequence, "x"));
    }
    api.publish(&last_update(1500, "Hello"));
    read_to_end(&mut reader).await;
    assert_eq!(next_text(&mut slow_reader).await, "Hello");
}

#[tokio::test]
async fn failed_request_is_repeated() {
    let api = api_without_events().await;
    let mut follower = client(&api).follow("c").await.unwrap();
    api.respond("GetTurn", 500, json!({}));
    api.publish(&question());
    api.publish(&batch(3, "lo"));
    api.publish(&batch(2, "Hel"));
    assert_eq!(next_text(&mut follower).await, "Hel");
    api.respond("GetTurn", 200, turn("COMPLETED", &[], &[event("AGENT", 2, "Hello", Some("END_TURN"))]));
    let (texts, _) = read_to_end(&mut follower).await;
    assert_eq!(texts, ["", "lo"]);
}

#[tokio::test]
async fn deleted_conversation_ends_following_with_not_found() {
    let api = api_without_events().await;
    let mut follower = client(&api).follow("c").await.unwrap();
    let error =
        json!({ "path": ["getTurn"], "data": null, "errorType": "NotFound", "errorInfo": null, "message": "Gone." });
    api.respond("GetTurn", 200, json!({ "data": { "getTurn": null }, "errors": [error] }));
    api.publish(&question());
    api.publish(&batch(5, "x"));
    let error = loop {
        if let Err(error) = follower.next().await {
            break error;
        }
    };
    assert_eq!(error.api_error().and_then(|error| error.error_type.clone()), Some(ErrorType::NotFound));
}

#[tokio::test]
async fn followers_share_a_socket_and_unsubscribe_when_dropped() {
    let api = api_without_events().await;
    let client = client(&api);
    let realtime = Realtime::new(&client);
    let first = Follower::start(client.clone(), &realtime, "c").await.unwrap();
    let mut second = Follower::start(client.clone(), &realtime, "c").await.unwrap();
    drop(first);
    api.publish(&question());
    api.publish(&last_update(2, "Hello"));
    read_to_end(&mut second).await;
    assert_eq!(api.protocols().len(), 1);
    let (starts, stops) = (api.frames("start"), api.frames("stop"));
    assert_eq!(starts.len(), 2);
    assert_eq!(stops.len(), 1);
    assert_eq!(starts[0]["id"], stops[0]["id"]);
}

#[tokio::test]
async fn handshake_and_start_carry_the_credentials() {
    let api = api_without_events().await;
    client(&api).follow("c").await.unwrap();
    let host = api.url.trim_start_matches("http://").trim_end_matches("/graphql").to_owned();
    let start = &api.frames("start")[0];
    assert_eq!(start["payload"]["extensions"]["authorization"], json!({ "host": host, "x-api-key": "da2-test" }));
    let data: Value = serde_json::from_str(start["payload"]["data"].as_str().unwrap()).unwrap();
    assert_eq!(data["variables"], json!({ "conversationId": "c" }));
    assert!(api.protocols()[0].starts_with("graphql-ws"));
    assert!(api.protocols()[0].contains("header-ey"), "base64url of a JSON object");
}

#[tokio::test]
async fn refused_connection_is_an_error_at_once() {
    let api = api_without_events().await;
    let error = json!({ "errorType": "UnauthorizedException", "message": "You are not authorized.", "errorCode": 401 });
    api.refuse_connections(json!({ "type": "connection_error", "payload": { "errors": [error] } }));
    let Err(Error::Subscription(errors)) = client(&api).follow("c").await else {
        panic!("the subscription is accepted")
    };
    assert_eq!(errors[0].error_code, Some(401));
}

#[tokio::test]
async fn handshake_that_cannot_be_built_is_an_error_at_once() {
    let api = api_without_events().await;
    let unsignable = Credentials::Iam(IamKeys {
        access_key: "AKIAEXAMPLE".to_owned(),
        secret_key: "secret".to_owned(),
        session_token: Some("two\nlines".to_owned()),
        region: "eu-west-1".to_owned(),
    });
    let error = AppSync::new(&api.url, unsignable).unwrap().follow("c").await.err();
    assert!(matches!(error, Some(Error::Credentials(_))), "{error:?}");
    let long_url = format!("{}/{}", api.url, "x".repeat(70_000));
    let error = AppSync::new(&long_url, Credentials::ApiKey("da2-test".to_owned())).unwrap().follow("c").await.err();
    assert!(matches!(error, Some(Error::InvalidEndpoint { .. })));
}

#[tokio::test]
async fn graphql_error_keeps_its_type_and_details() {
    let api = FakeApi::start().await;
    let error = json!({ "path": ["sendMessage"], "data": null, "errorType": "ConversationBusy", "errorInfo": { "turnId": "t9" },
        "locations": [], "message": "Busy." });
    api.respond("SendMessage", 200, json!({ "data": { "sendMessage": null }, "errors": [error] }));
    let error = client(&api).call(&SendMessage { text: "Hi".to_owned(), ..SendMessage::default() }).await.unwrap_err();
    assert_eq!(error.to_string(), "ConversationBusy: Busy.");
    assert!(!error.is_transient());
    let api_error = error.api_error().unwrap();
    assert_eq!(api_error.error_type, Some(ErrorType::ConversationBusy));
    assert_eq!(api_error.error_info, Some(json!({ "turnId": "t9" })));
}

#[tokio::test]
async fn http_errors_differ_from_an_unreachable_api() {
    let api = FakeApi::start().await;
    let request = GetTurn { conversation_id: "c".to_owned(), id: "t".to_owned(), ..GetTurn::default() };
    let unauthorized = json!({ "errors": [{ "errorType": "UnauthorizedException", "message": "No." }] });
    for (status, body, is_transient) in [(401, unauthorized, false), (429, json!({}), true), (503, json!("x"), true)] {
        api.respond("GetTurn", status, body);
        let error = client(&api).call(&request).await.unwrap_err();
        assert!(matches!(&error, Error::Http { status: actual, .. } if *actual == status), "{error}");
        assert_eq!(error.is_transient(), is_transient);
    }
    let unreachable = AppSync::new("http://127.0.0.1:1/graphql", Credentials::ApiKey("k".to_owned())).unwrap();
    assert!(matches!(unreachable.call(&request).await, Err(Error::Transport(_))));
}

#[tokio::test]
async fn provider_gives_each_request_and_each_connection_its_credentials() {
    let api = api_without_events().await;
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let provider = move || {
        let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
        // The third time, the provider's own service cannot be reached.
        let result = match number {
            3 => Err(Error::Transport("no service".to_owned())),
            _ => Ok(Credentials::Token(format!("token-{number}"))),
        };
        async { result }
    };
    let client = AppSync::new(&api.url, provider).unwrap();
    let mut follower = client.follow("c").await.unwrap();
    api.cut_sockets();
    let reconnected = async {
        while api.frames("start").len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        change = follower.next() => panic!("nothing has changed: {change:?}"),
        () = reconnected => {}
    }
    assert!(calls.load(Ordering::Relaxed) >= 5, "two connections, two subscriptions, one failure: {calls:?}");
    let tokens: BTreeSet<String> = api.frames("start").iter().map(authorization).collect();
    assert_eq!(tokens.len(), 2, "each subscription has its own token");
}

fn authorization(start: &Value) -> String {
    start["payload"]["extensions"]["authorization"]["Authorization"].as_str().unwrap().to_owned()
}
