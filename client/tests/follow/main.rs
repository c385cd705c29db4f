//! The client over real sockets, against an API that misbehaves on request.
mod server;

use client::{
    AppSync, Credentials, Error, Follower,
    credentials::IamKeys,
    errors::ErrorType,
    realtime::Realtime,
    requests::{GetTurn, SendMessage},
    rule::Change,
    schema::TurnStatus,
};
use serde_json::{Value, json};
use server::Server;

fn api(server: &Server) -> AppSync {
    AppSync::new(&server.url, Credentials::ApiKey("da2-test".to_owned())).unwrap()
}

/// A conversation in which nothing has been said.
async fn quiet_server() -> Server {
    let server = Server::start().await;
    server.answer("GetEvents", 200, events(&[]));
    server
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

fn last(sequence: u32, text: &str) -> Value {
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

/// The text as it stands after each change, until the turn ends.
async fn read_to_end(follower: &mut Follower) -> (Vec<String>, TurnStatus) {
    let mut pages = vec![String::new()];
    loop {
        let page = pages.last().cloned().unwrap_or_default();
        match follower.next().await.unwrap().change {
            Change::Text(text) => pages.push(page + &text),
            Change::Replaced(text) => pages.push(text),
            Change::Ended(ending) => return (pages, ending.status),
            Change::Question(_) | Change::Note(_) | Change::Reopened => {}
        }
    }
}

async fn next_text(follower: &mut Follower) -> String {
    loop {
        if let Change::Text(text) = follower.next().await.unwrap().change {
            return text;
        }
    }
}

#[tokio::test]
async fn a_turn_is_followed_from_its_question_to_its_end() {
    let server = quiet_server().await;
    let mut follower = api(&server).follow("c").await.unwrap();
    for update in [question(), batch(2, "Hel"), batch(3, "lo"), last(4, "Hello!")] {
        server.publish(&update);
    }
    let (pages, status) = read_to_end(&mut follower).await;
    assert_eq!(pages, ["", "Hel", "Hello", "Hello!"]);
    assert_eq!(status, TurnStatus::Completed);
}

#[tokio::test]
async fn a_cut_connection_neither_loses_nor_repeats_text() {
    let server = quiet_server().await;
    let mut follower = api(&server).follow("c").await.unwrap();
    server.publish(&question());
    server.publish(&batch(2, "Hel"));
    assert_eq!(next_text(&mut follower).await, "Hel");

    server.cut_sockets();
    server.publish(&batch(3, "lo, "));
    server.answer("GetTurn", 200, turn("RUNNING", &[(3, "lo, "), (4, "wor")], &[]));
    assert_eq!(next_text(&mut follower).await, "lo, ");
    server.publish(&batch(4, "wor"));
    server.publish(&last(5, "Hello, world"));
    let (pages, _) = read_to_end(&mut follower).await;
    assert_eq!(pages, ["", "wor", "world"]);
    assert_eq!(server.protocols().len(), 2);
}

#[tokio::test]
async fn a_turn_that_came_and_went_while_the_connection_was_cut_is_read_afterwards() {
    let server = quiet_server().await;
    let mut follower = api(&server).follow("c").await.unwrap();
    server.publish(&question());
    server.publish(&last(2, "First"));
    read_to_end(&mut follower).await;

    let (mut asked, mut answered) = (event("USER", 3, "And?", None), event("AGENT", 4, "Second", Some("END_TURN")));
    asked["turnId"] = "u".into();
    answered["turnId"] = "u".into();
    server.answer("GetEvents", 200, events(&[asked, answered.clone()]));
    let mut finished = turn("COMPLETED", &[], &[answered]);
    finished["data"]["getTurn"]["id"] = "u".into();
    server.answer("GetTurn", 200, finished);
    server.cut_sockets();
    let (pages, _) = read_to_end(&mut follower).await;
    assert_eq!(pages.last().unwrap(), "Second");
}

#[tokio::test]
async fn whoever_left_too_much_unread_reads_the_stored_turn_instead() {
    let server = quiet_server().await;
    let api = api(&server);
    let realtime = Realtime::new(&api);
    let mut away = Follower::begin(api.clone(), &realtime, "c").await.unwrap();
    let mut reading = Follower::begin(api.clone(), &realtime, "c").await.unwrap();
    server.answer("GetTurn", 200, turn("COMPLETED", &[], &[event("AGENT", 2, "Hello", Some("END_TURN"))]));
    server.publish(&question());
    for sequence in 2..1500 {
        server.publish(&batch(sequence, "x"));
    }
    server.publish(&last(1500, "Hello"));
    read_to_end(&mut reading).await;
    assert_eq!(next_text(&mut away).await, "Hello");
}

#[tokio::test]
async fn an_api_that_fails_for_a_while_is_asked_again() {
    let server = quiet_server().await;
    let mut follower = api(&server).follow("c").await.unwrap();
    server.answer("GetTurn", 500, json!({}));
    server.publish(&question());
    server.publish(&batch(3, "lo"));
    server.publish(&batch(2, "Hel"));
    assert_eq!(next_text(&mut follower).await, "Hel");
    server.answer("GetTurn", 200, turn("COMPLETED", &[], &[event("AGENT", 2, "Hello", Some("END_TURN"))]));
    let (pages, _) = read_to_end(&mut follower).await;
    assert_eq!(pages, ["", "lo"]);
}

#[tokio::test]
async fn a_conversation_that_is_deleted_ends_the_following() {
    let server = quiet_server().await;
    let mut follower = api(&server).follow("c").await.unwrap();
    let error =
        json!({ "path": ["getTurn"], "data": null, "errorType": "NotFound", "errorInfo": null, "message": "Gone." });
    server.answer("GetTurn", 200, json!({ "data": { "getTurn": null }, "errors": [error] }));
    server.publish(&question());
    server.publish(&batch(5, "x"));
    let error = loop {
        if let Err(error) = follower.next().await {
            break error;
        }
    };
    assert_eq!(error.named().and_then(|named| named.error_type.clone()), Some(ErrorType::NotFound));
}

#[tokio::test]
async fn followers_share_a_socket_and_leave_it_by_themselves() {
    let server = quiet_server().await;
    let api = api(&server);
    let realtime = Realtime::new(&api);
    let first = Follower::begin(api.clone(), &realtime, "c").await.unwrap();
    let mut second = Follower::begin(api.clone(), &realtime, "c").await.unwrap();
    drop(first);
    server.publish(&question());
    server.publish(&last(2, "Hello"));
    read_to_end(&mut second).await;
    assert_eq!(server.protocols().len(), 1);
    let (starts, stops) = (server.frames("start"), server.frames("stop"));
    assert_eq!(starts.len(), 2);
    assert_eq!(stops.len(), 1);
    assert_eq!(starts[0]["id"], stops[0]["id"]);
}

#[tokio::test]
async fn the_handshake_carries_the_credentials() {
    let server = quiet_server().await;
    api(&server).follow("c").await.unwrap();
    let host = server.url.trim_start_matches("http://").trim_end_matches("/graphql").to_owned();
    let start = &server.frames("start")[0];
    assert_eq!(start["payload"]["extensions"]["authorization"], json!({ "host": host, "x-api-key": "da2-test" }));
    let data: Value = serde_json::from_str(start["payload"]["data"].as_str().unwrap()).unwrap();
    assert_eq!(data["variables"], json!({ "conversationId": "c" }));
    assert!(server.protocols()[0].starts_with("graphql-ws"));
    assert!(server.protocols()[0].contains("header-ey"), "base64url of a JSON object");
}

#[tokio::test]
async fn a_refused_socket_is_an_error_at_once() {
    let server = quiet_server().await;
    let error = json!({ "errorType": "UnauthorizedException", "message": "You are not authorized.", "errorCode": 401 });
    server.refuse_sockets(json!({ "type": "connection_error", "payload": { "errors": [error] } }));
    let Err(Error::Subscription(errors)) = api(&server).follow("c").await else { panic!("the follower is let in") };
    assert_eq!(errors[0].error_code, Some(401));
}

#[tokio::test]
async fn a_handshake_that_cannot_be_written_is_an_error_at_once() {
    let server = quiet_server().await;
    let unsignable = Credentials::Iam(IamKeys {
        access_key: "AKIAEXAMPLE".to_owned(),
        secret_key: "secret".to_owned(),
        session_token: Some("two\nlines".to_owned()),
        region: "eu-west-1".to_owned(),
    });
    let unsigned = AppSync::new(&server.url, unsignable).unwrap().follow("c").await.err();
    assert!(matches!(unsigned, Some(Error::Credentials(_))), "{unsigned:?}");
    let endless = format!("{}/{}", server.url, "x".repeat(70_000));
    let unparsed = AppSync::new(&endless, Credentials::ApiKey("da2-test".to_owned())).unwrap().follow("c").await.err();
    assert!(matches!(unparsed, Some(Error::Endpoint { .. })));
}

#[tokio::test]
async fn what_the_api_refuses_keeps_its_type_and_details() {
    let server = Server::start().await;
    let error = json!({ "path": ["sendMessage"], "data": null, "errorType": "ConversationBusy", "errorInfo": { "turnId": "t9" },
        "locations": [], "message": "Busy." });
    server.answer("SendMessage", 200, json!({ "data": { "sendMessage": null }, "errors": [error] }));
    let error = api(&server).call(&SendMessage { text: "Hi".to_owned(), ..SendMessage::default() }).await.unwrap_err();
    assert_eq!(error.to_string(), "ConversationBusy: Busy.");
    assert!(!error.is_transient());
    let named = error.named().unwrap();
    assert_eq!(named.error_type, Some(ErrorType::ConversationBusy));
    assert_eq!(named.error_info, Some(json!({ "turnId": "t9" })));
}

#[tokio::test]
async fn refusals_of_http_are_told_apart_from_unreachable_apis() {
    let server = Server::start().await;
    let request = GetTurn { conversation_id: "c".to_owned(), id: "t".to_owned(), ..GetTurn::default() };
    let unauthorized = json!({ "errors": [{ "errorType": "UnauthorizedException", "message": "No." }] });
    for (status, body, transient) in [(401, unauthorized, false), (429, json!({}), true), (503, json!("x"), true)] {
        server.answer("GetTurn", status, body);
        let error = api(&server).call(&request).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { status: told, .. } if *told == status), "{error}");
        assert_eq!(error.is_transient(), transient);
    }
    let nowhere = AppSync::new("http://127.0.0.1:1/graphql", Credentials::ApiKey("k".to_owned())).unwrap();
    assert!(matches!(nowhere.call(&request).await, Err(Error::Transport(_))));
}
