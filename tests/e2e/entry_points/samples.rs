//! The messages of the two samples, as their pages send and read them.
use client::requests::GetEvents;
use serde_json::json;

use super::fixture::{EntryPoints, Socket};

#[tokio::test]
async fn page_of_the_events_sample_gets_one_whole_answer_for_each_question() {
    let entry_points = EntryPoints::start().await;
    let ada = entry_points.pool_caller("ada");
    let mut answers = entry_points.listen(&ada).await;
    // The repository's page.
    let question = json!({ "id": 1_732_650_000_000_u64, "sender": "user", "content": "First?", "type": "chat" });
    let (status, response) = entry_points.ask(&ada, &question).await;
    assert_eq!((status, response["failed"].as_array().map(Vec::len)), (200, Some(0)), "{response}");
    let first = answers.next().await;
    assert_eq!((first["result"]["text"].as_str(), first["id"].as_str()), (Some("First?"), Some("1732650000000")));
    let session_id = first["sessionId"].as_str().expect("the answer names the session");
    // The article's page, which has no sender.
    let question = json!({ "id": 1_732_650_000_001_u64, "content": "Second?", "sessionId": session_id });
    entry_points.ask(&ada, &question).await;
    let second = answers.next().await;
    assert_eq!((&second["result"]["text"], &second["sessionId"]), (&json!("Second?"), &first["sessionId"]));
    assert_eq!((&second["type"], &second["status"]), (&json!("answer"), &json!("COMPLETED")));

    let user = entry_points.backend.pool_user("ada");
    let events = GetEvents { conversation_id: session_id.into(), ..GetEvents::default() };
    let conversation = user.api.call(&events).await.unwrap();
    let texts: Vec<_> = conversation.events.unwrap().items.into_iter().filter_map(|event| event.text).collect();
    assert_eq!(texts, ["First?", "First?", "Second?", "Second?"]);
}

/// `events.post` repeats a request whose response was lost.
#[tokio::test]
async fn question_that_is_published_twice_is_answered_once() {
    let entry_points = EntryPoints::start().await;
    let ada = entry_points.pool_caller("ada");
    let mut answers = entry_points.listen(&ada).await;
    let question = json!({ "id": 7, "content": "Once?" });
    for _ in 0..3 {
        entry_points.ask(&ada, &question).await;
    }
    let mut first = answers.next().await;
    // The same message again, after its turn has ended, gets the same answer.
    entry_points.ask(&ada, &question).await;
    let mut again = answers.next().await;
    for answer in [&mut first, &mut again] {
        answer.as_object_mut().unwrap().remove("sequence");
    }
    assert_eq!(again, first);
    let session_id = first["sessionId"].as_str().unwrap();
    let events = GetEvents { conversation_id: session_id.into(), ..GetEvents::default() };
    let conversation = entry_points.backend.pool_user("ada").api.call(&events).await.unwrap();
    let texts: Vec<_> = conversation.events.unwrap().items.into_iter().filter_map(|event| event.text).collect();
    assert_eq!(texts, ["Once?", "Once?"]);
}

#[tokio::test]
async fn invalid_messages_of_the_events_sample_are_refused_with_a_sentence() {
    let entry_points = EntryPoints::start().await;
    let ada = entry_points.pool_caller("ada");
    let too_long = "x".repeat(102_401);
    for payload in [
        json!("a text"),
        json!(7),
        json!({ "id": 1, "sender": "user" }),
        json!({ "content": " " }),
        json!({ "content": "Hello", "sessionId": ["c1"] }),
        json!({ "action": "send", "text": { "deep": true } }),
        json!({ "content": too_long }),
        json!({ "action": "answerToolCall", "result": too_long }),
    ] {
        let (status, response) = entry_points.ask(&ada, &payload).await;
        assert_eq!(status, 200, "{response}");
        assert_eq!(response["failed"][0]["index"], 0, "{payload}: {response}");
    }
    let mut answers = entry_points.listen(&ada).await;
    let longest = "x".repeat(102_400);
    entry_points.ask(&ada, &json!({ "content": longest })).await;
    assert_eq!(answers.next().await["result"]["text"], longest);
    entry_points.ask(&ada, &json!({ "id": 1, "content": "Where?", "sessionId": "nowhere" })).await;
    let error = answers.next().await;
    let text = "There is no conversation nowhere.";
    assert_eq!((&error["type"], &error["code"], &error["id"]), (&json!("error"), &json!("NotFound"), &json!("1")));
    assert_eq!(
        (&error["result"]["text"], &error["error"], &error["message"]),
        (&json!(text), &json!(text), &json!(text))
    );
}

#[tokio::test]
async fn page_of_the_websocket_sample_gets_one_whole_answer_for_each_message() {
    let entry_points = EntryPoints::start().await;
    let url = format!("{}?apiKey={}", entry_points.websocket_url(), entry_points.api_key());
    let mut connection = Socket::open(&url).await;
    connection.send(&json!({ "data": "First?" })).await;
    let first = connection.next().await;
    assert_eq!((&first["message"], &first["status"]), (&json!("First?"), &json!("COMPLETED")));
    // The messages of a connection are one conversation.
    for (sent, answer) in
        [(json!({ "data": "Second?" }), "Second?"), (json!({ "data": "" }), "Hello"), (json!({}), "Hello")]
    {
        connection.send(&sent).await;
        let next = connection.next().await;
        assert_eq!((&next["message"], &next["conversationId"]), (&json!(answer), &first["conversationId"]), "{sent}");
    }
    for text in ["no JSON", "[1]", "null"] {
        connection.send_text(text).await;
        let error = connection.next().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("InvalidInput")), "{text}");
        assert!(error["message"].is_string(), "the page shows it: {error}");
    }
    drop(connection);
    let mut another = Socket::open(&url).await;
    another.send(&json!({ "data": "Third?" })).await;
    let third = another.next().await;
    assert_eq!(third["message"], "Third?");
    assert_ne!(third["conversationId"], first["conversationId"]);
}

#[tokio::test]
async fn text_is_sent_while_it_is_written_to_those_who_ask_for_it() {
    let entry_points = EntryPoints::start().await;
    let ada = entry_points.pool_caller("ada");
    let mut answers = entry_points.listen(&ada).await;
    entry_points.ask(&ada, &json!({ "content": "Streamed?", "stream": true })).await;
    let mut sequences = Vec::new();
    let mut streamed = String::new();
    let answer = loop {
        let message = answers.next().await;
        if message["type"] == "answer" {
            break message;
        }
        assert_eq!(message["type"], "delta");
        sequences.push(message["sequence"].as_u64().unwrap());
        streamed += message["metadata"]["agentPartialMessage"].as_str().unwrap_or_default();
    };
    sequences.push(answer["sequence"].as_u64().unwrap());
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
    assert!("Streamed?".starts_with(&streamed), "{streamed}");
    assert_eq!(answer["result"]["text"], "Streamed?");
}

#[tokio::test]
async fn parameter_makes_streaming_the_default() {
    let entry_points = EntryPoints::with_parameter(("EventsStream", "true")).await;
    let ada = entry_points.pool_caller("ada");
    let mut answers = entry_points.listen(&ada).await;
    entry_points.ask(&ada, &json!({ "content": "Streamed?" })).await;
    assert_eq!(answers.next().await["type"], "delta");
    while answers.next().await["type"] != "answer" {}
    entry_points.ask(&ada, &json!({ "content": "Whole?", "stream": false })).await;
    assert_eq!(answers.next().await["result"]["text"], "Whole?");
}
