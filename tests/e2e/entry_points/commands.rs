//! What richer clients ask over a WebSocket.
use client::requests::{CreateConversation, PutAgent};
use serde_json::{Value, json};

use super::{
    answer_parts::Answer,
    fixture::{EntryPoints, Socket},
};

/// Creates a conversation of Ada with an agent of a scripted model.
async fn conversation_with(entry_points: &EntryPoints, model_id: &str) -> String {
    let id = model_id.replace('.', "-");
    let agent = PutAgent { id: id.clone(), model_id: model_id.into(), ..PutAgent::default() };
    entry_points.backend.administrator.call(&agent).await.unwrap();
    let create = CreateConversation { agent_id: Some(id), ..CreateConversation::default() };
    entry_points.backend.pool_user("ada").api.call(&create).await.unwrap().id
}

async fn next_of_type(connection: &mut Socket, kind: &str) -> Value {
    loop {
        let message = connection.next().await;
        if message["type"] == kind {
            return message;
        }
    }
}

#[tokio::test]
async fn answer_is_stopped_retried_and_continued() {
    let entry_points = EntryPoints::start().await;
    let id = conversation_with(&entry_points, "parlance.deltas-200-30").await;
    let mut connection = entry_points.connect("ada").await;
    connection
        .send(&json!({ "action": "send", "id": "t1", "conversationId": id, "text": "Count", "stream": true }))
        .await;
    while next_of_type(&mut connection, "delta").await["metadata"]["agentPartialMessage"].is_null() {}
    connection.send(&json!({ "action": "cancel", "id": "stop", "conversationId": id, "turnId": "t1" })).await;
    let (mut is_confirmed, mut answer) = (false, None);
    while !is_confirmed || answer.is_none() {
        let message = connection.next().await;
        match message["type"].as_str().unwrap() {
            "turn" => {
                assert_eq!((&message["id"], &message["turn"]["id"]), (&json!("stop"), &json!("t1")));
                is_confirmed = true;
            }
            "answer" => answer = Some(message),
            _ => {}
        }
    }
    let stopped = answer.unwrap();
    assert_eq!(stopped["status"], "CANCELLED");
    let text = stopped["message"].as_str().unwrap();
    assert!(text.starts_with("0001 ") && text.len() < 200 * 5, "{text}");

    for (action, status) in [("continue", "COMPLETED"), ("retry", "COMPLETED")] {
        connection.send(&json!({ "action": action, "id": action, "conversationId": id, "turnId": "t1" })).await;
        let accepted = next_of_type(&mut connection, "accepted").await;
        let expected = json!({ "type": "accepted", "id": action, "conversationId": id, "turnId": "t1" });
        assert_eq!(accepted, expected);
        let answer = next_of_type(&mut connection, "answer").await;
        assert_eq!((&answer["id"], &answer["status"]), (&json!(action), &json!(status)));
    }
}

#[tokio::test]
async fn long_answer_comes_in_parts() {
    let entry_points = EntryPoints::start().await;
    // The longer answer is stored in several events.
    for count in [15_000, 50_000] {
        check_long_answer(&entry_points, count).await;
    }
}

async fn check_long_answer(entry_points: &EntryPoints, count: usize) {
    let id = conversation_with(entry_points, &format!("parlance.deltas-{count}-0")).await;
    let mut connection = entry_points.connect("ada").await;
    connection.send(&json!({ "action": "send", "conversationId": id, "text": "Count far" })).await;
    let mut answer = Answer::default();
    let text = loop {
        let message = next_of_type(&mut connection, "answer").await;
        assert!(message.to_string().len() <= 32_000);
        if let Some(text) = answer.add(&message) {
            break text;
        }
    };
    let expected: String = (1..=count).map(|number| format!("{:04} ", number % 10_000)).collect();
    assert_eq!(text, expected);
    // The history of a long answer comes in parts, too.
    connection.send(&json!({ "action": "history", "id": "h", "conversationId": id })).await;
    let mut data = String::new();
    loop {
        let part = next_of_type(&mut connection, "part").await;
        data += part["data"].as_str().unwrap();
        if part["part"] == part["parts"] {
            break;
        }
    }
    let history: Value = serde_json::from_str(&data).unwrap();
    let events = history["events"].as_array().unwrap();
    let stored: String = events.iter().skip(1).filter_map(|event| event["text"].as_str()).collect();
    assert_eq!((&history["type"], stored), (&json!("history"), expected));
    assert_eq!(events.len() > 2, count > 15_000, "{} events", events.len());
}

#[tokio::test]
async fn client_that_has_reconnected_reads_the_rest_of_the_answer() {
    let entry_points = EntryPoints::start().await;
    let id = conversation_with(&entry_points, "parlance.deltas-100-20").await;
    let mut connection = entry_points.connect("ada").await;
    let question = json!({ "action": "send", "id": "t1", "conversationId": id, "text": "Count", "stream": true });
    connection.send(&question).await;
    let mut seen = String::new();
    let (attempt, sequence) = loop {
        let delta = next_of_type(&mut connection, "delta").await;
        if let Some(text) = delta["metadata"]["agentPartialMessage"].as_str() {
            seen += text;
            break (delta["attempt"].clone(), delta["sequence"].clone());
        }
    };
    drop(connection);
    let mut connection = entry_points.connect("ada").await;
    let history = json!({
        "action": "history",
        "conversationId": id,
        "turnId": "t1",
        "attempt": attempt,
        "afterSequence": sequence,
    });
    connection.send(&history).await;
    let turn = next_of_type(&mut connection, "turn").await["turn"].take();
    for batch in turn["batches"].as_array().unwrap() {
        assert!(batch["sequence"].as_u64() > sequence.as_u64());
        seen += batch["metadata"]["agentPartialMessage"].as_str().unwrap_or_default();
    }
    let expected: String = (1..=100).map(|number| format!("{number:04} ")).collect();
    assert!(expected.starts_with(&seen) && !seen.is_empty(), "{seen}");
    let stored = loop {
        connection.send(&history).await;
        let turn = next_of_type(&mut connection, "turn").await["turn"].take();
        if turn["status"] == "COMPLETED" {
            break turn["answer"][0]["text"].clone();
        }
    };
    assert_eq!(stored, expected);
}

/// Others could guess it, and would see who has asked what.
#[tokio::test]
async fn short_id_of_a_first_message_with_the_api_key_is_refused() {
    let entry_points = EntryPoints::start().await;
    let url = format!("{}?apiKey={}", entry_points.websocket_url(), entry_points.api_key());
    let mut connection = Socket::open(&url).await;
    connection.send(&json!({ "action": "send", "id": "short", "text": "Hello" })).await;
    let error = connection.next().await;
    let message = "id must be at least 16 characters where an API key begins a conversation.";
    assert_eq!((&error["code"], &error["message"]), (&json!("InvalidInput"), &json!(message)));
    assert_eq!((&error["id"], &error["info"]), (&json!("short"), &json!({ "field": "id" })));
    let caller = entry_points.key_caller();
    let mut answers = entry_points.listen(&caller).await;
    entry_points.ask(&caller, &json!({ "action": "send", "id": 7, "text": "Hello" })).await;
    assert_eq!(answers.next().await["message"], message);
    // The ids of the samples' pages are short.
    connection.send(&json!({ "id": 7, "data": "Hello" })).await;
    let answer = connection.next().await;
    assert_eq!((&answer["id"], &answer["message"]), (&json!("7"), &json!("Hello")));
    assert!(answer["turnId"].as_str().unwrap().len() >= 16, "{answer}");
}

#[tokio::test]
async fn message_that_is_sent_again_is_answered_again() {
    let entry_points = EntryPoints::start().await;
    let id = conversation_with(&entry_points, "parlance.deltas-20000-0").await;
    let question = json!({ "action": "send", "id": "t1", "conversationId": id, "text": "Count" });
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut connection = entry_points.connect("ada").await;
        connection.send(&question).await;
        let (mut parts, mut answer, mut is_accepted) = (Answer::default(), None, false);
        while answer.is_none() || !is_accepted {
            let message = connection.next().await;
            assert_eq!(message["turnId"], "t1", "{message:.200}");
            assert!(message.to_string().len() <= 32_000);
            match message["type"].as_str().unwrap() {
                "accepted" => is_accepted = true,
                _ => answer = parts.add(&message).map(|text| (text, message)),
            }
        }
        let (text, message) = answer.unwrap();
        let members = ["id", "conversationId", "turnId", "status", "attempt"].map(|name| message[name].clone());
        answers.push((text, members));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0.len(), 100_000);
}

#[tokio::test]
async fn refused_commands_have_one_sentence_and_change_nothing() {
    let entry_points = EntryPoints::start().await;
    let mut connection = entry_points.connect("ada").await;
    for (message, code) in [
        (json!({ "action": "dance" }), "InvalidInput"),
        (json!({ "action": "send" }), "InvalidInput"),
        (json!({ "action": "send", "text": 7 }), "InvalidInput"),
        (json!({ "action": "send", "text": " " }), "InvalidInput"),
        (json!({ "action": "send", "id": "not an id!", "text": "Hello" }), "InvalidInput"),
        (json!({ "action": "send", "conversationId": "nowhere", "text": "Hello" }), "NotFound"),
        (json!({ "action": "cancel", "conversationId": "nowhere" }), "InvalidInput"),
        (json!({ "action": "cancel", "conversationId": "nowhere", "turnId": "t" }), "NotFound"),
        (json!({ "action": "retry", "conversationId": "nowhere", "turnId": "t" }), "NotFound"),
        (json!({ "action": "history", "conversationId": "nowhere" }), "NotFound"),
    ] {
        connection.send(&message).await;
        let error = connection.next().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{message}: {error}");
        let sentence = error["message"].as_str().unwrap();
        assert!(sentence.ends_with('.') && sentence.len() < 300, "{sentence}");
    }
    let list = entry_points.backend.pool_user("ada").api;
    let page = list.call(&client::requests::ListConversations::default()).await.unwrap();
    assert!(page.items.is_empty());
}
