//! The client over real sockets, against an API that misbehaves on request.
mod server;

use std::collections::BTreeMap;

use client::{
    AppSync, Credentials, Error, Follower,
    credentials::IamKeys,
    errors::ErrorType,
    realtime::Realtime,
    requests::{GetTurn, SendMessage},
    rule::Change,
    schema::TurnStatus,
};
use futures::future::join_all;
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
async fn wherever_the_connection_is_cut_the_text_is_the_stored_one() {
    let updates = [question(), batch(2, "Hel"), batch(3, "lo, "), batch(4, "wor"), last(5, "Hello, world")];
    let read = |heard: usize| {
        let updates = &updates;
        async move {
            let server = quiet_server().await;
            let mut follower = api(&server).follow("c").await.unwrap();
            server.answer("GetTurn", 200, turn("COMPLETED", &[], &[updates[4]["event"].clone()]));
            updates[..heard].iter().for_each(|update| server.publish(update));
            server.cut_sockets();
            updates[heard..].iter().for_each(|update| server.publish(update));
            read_to_end(&mut follower).await
        }
    };
    for (pages, status) in join_all((1..=updates.len()).map(read)).await {
        assert_eq!(pages.last().map(String::as_str), Some("Hello, world"), "{pages:?}");
        assert!(pages.is_sorted_by(|page, next| next.starts_with(page)), "nothing is taken back: {pages:?}");
        assert_eq!(status, TurnStatus::Completed);
    }
}

#[tokio::test]
async fn three_turns_that_came_and_went_are_all_reported() {
    let server = quiet_server().await;
    let mut follower = api(&server).follow("c").await.unwrap();
    server.publish(&question());
    server.publish(&last(2, "First"));
    read_to_end(&mut follower).await;

    let mut missed = Vec::new();
    for (position, id, piece, text) in
        [(3, "u", r#""id":"u""#, "Second"), (5, "v", r#""id":"v""#, ""), (7, "w", r#""id":"w""#, "Fourth")]
    {
        let mut answered = event("AGENT", position + 1, text, Some("END_TURN"));
        answered["turnId"] = id.into();
        let mut finished = turn("COMPLETED", &[], std::slice::from_ref(&answered));
        finished["data"]["getTurn"]["id"] = id.into();
        server.answer(piece, 200, finished);
        missed.push(answered);
    }
    server.answer("GetTurn", 200, turn("COMPLETED", &[], &[event("AGENT", 2, "First", Some("END_TURN"))]));
    server.answer("GetEvents", 200, events(&missed));
    server.cut_sockets();
    let mut read = BTreeMap::<String, String>::new();
    let mut ended = 0;
    while ended < 3 {
        let progress = follower.next().await.unwrap();
        let page = read.entry(progress.turn_id).or_default();
        match progress.change {
            Change::Text(text) => page.push_str(&text),
            Change::Ended(_) => ended += 1,
            Change::Question(_) => {}
            change => panic!("{change:?} of a turn that only ended"),
        }
    }
    assert_eq!(
        read.into_iter().collect::<Vec<_>>(),
        [("u", "Second"), ("v", ""), ("w", "Fourth")].map(|(id, text)| (id.to_owned(), text.to_owned()))
    );
}

#[tokio::test]
async fn a_continuation_is_one_text_with_what_stands() {
    let server = quiet_server().await;
    let mut follower = api(&server).follow("c").await.unwrap();
    let said = |attempt: u32, position, text, stop_reason| {
        let mut said = event("AGENT", position, text, Some(stop_reason));
        said["attempt"] = attempt.into();
        said
    };
    let of_third = |mut update: Value| {
        update["attempt"] = 3.into();
        update
    };
    let standing = said(1, 2, "Once", "CANCELLED");
    let mut running = turn("RUNNING", &[], &[standing]);
    running["data"]["getTurn"]["attempt"] = 3.into();
    server.answer("GetTurn", 200, running);
    let mut begun = of_third(question());
    begun["metadata"]["continues"] = true.into();
    server.publish(&begun);
    assert_eq!(next_text(&mut follower).await, "Once");
    server.publish(&of_third(batch(2, " upon")));
    server.publish(&of_third(update(3, "COMPLETED", None, said(3, 3, " upon a time", "END_TURN"))));
    let (pages, _) = read_to_end(&mut follower).await;
    assert_eq!(pages, ["", " upon", " upon a time"]);
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
