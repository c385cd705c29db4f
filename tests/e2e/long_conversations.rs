//! Long conversations: the data source calls of a message, and the part of the history that the model is
//! given.
use client::{
    requests::{CreateConversation, PutAgent, SendMessage, ShareConversation, UpdateConversation},
    schema::{Access, TurnStatus},
};

use crate::backend::{Backend, CANNED_TEXT_MODEL, send_message};

/// The calls to the table. The fourth data source call is the invocation of the handler.
const TABLE_CALLS: u64 = 3;

#[tokio::test]
async fn message_takes_four_data_source_calls_at_any_length() {
    let backend = Backend::without_handler().await;
    for (events, size, max_read_units) in [(0, 0, 3.0), (5_000, 20, 20.0), (50, 90_000, 260.0)] {
        let id = backend.conversation().await;
        backend.seed_events(&id, events, &"x".repeat(size)).await;
        let before = backend.server.database.data_source_capacity();
        backend.send_message(&id, "Hello!").await;
        let after = backend.server.database.data_source_capacity();
        let read_units = after.read_units - before.read_units;
        println!("{events} events of {size} bytes: {read_units} read units");
        assert_eq!(after.calls - before.calls, TABLE_CALLS, "{events} events of {size} bytes");
        assert!(read_units <= max_read_units, "{events} events of {size} bytes take {read_units} read units");
    }
}

#[tokio::test]
async fn first_message_takes_three_data_source_calls_and_one_more_with_an_id() {
    let backend = Backend::without_handler().await;
    for (id, table_calls) in [(None, TABLE_CALLS - 1), (Some("my-first-message".into()), TABLE_CALLS)] {
        let before = backend.server.database.data_source_capacity();
        let message = SendMessage { id, text: "Hello!".into(), ..SendMessage::default() };
        backend.api.call(&message).await.unwrap();
        assert_eq!(backend.server.database.data_source_capacity().calls - before.calls, table_calls);
    }
}

#[tokio::test]
async fn message_of_one_of_fifty_participants_takes_four_data_source_calls() {
    let backend = Backend::with_all_auth_modes().await;
    let (ann, bob) = (backend.iam_user("Ann"), backend.iam_user("Bob"));
    let id = ann.api.call(&CreateConversation::default()).await.unwrap().id;
    let others = (1..50).map(|number| format!("AAA#{number}"));
    for user_id in others.chain([bob.id]) {
        let share = ShareConversation { conversation_id: id.clone(), user_id, access: Access::Write };
        ann.api.call(&share).await.unwrap();
    }
    let before = backend.server.database.data_source_capacity();
    send_message(&bob.api, &id, "t1", "Hello!").await.unwrap();
    assert_eq!(backend.server.database.data_source_capacity().calls - before.calls, TABLE_CALLS);
}

#[tokio::test]
async fn five_thousand_short_events_fit_into_the_default_context() {
    let backend = Backend::start().await;
    let id = backend.conversation_with(CANNED_TEXT_MODEL).await;
    backend.seed_events(&id, 5_000, "An event of the past.").await;
    let finished = backend.send_and_wait(&id, "How many questions was that?").await;
    assert_eq!(finished.turn.status, TurnStatus::Completed);
    // 5,000 events of 26 bytes are less than the 400,000 bytes of context: all 2,500 questions and the new
    // one.
    assert!(finished.stored_text().contains("asked 2501 questions"), "{}", finished.stored_text());
    assert!(finished.stored_text().contains("An event of the past. 4999"), "{}", finished.stored_text());
}

#[tokio::test]
async fn small_context_keeps_the_newest_turns_whole() {
    let backend = Backend::start().await;
    let agent = PutAgent {
        id: "small".into(),
        model_id: CANNED_TEXT_MODEL.into(),
        context_bytes: Some(10_000),
        ..PutAgent::default()
    };
    backend.administrator.call(&agent).await.unwrap();
    let id = backend.conversation().await;
    let update = UpdateConversation { id: id.clone(), title: None, agent_id: Some("small".into()) };
    backend.api.call(&update).await.unwrap();
    backend.seed_events(&id, 40, &"x".repeat(1_000)).await;
    let finished = backend.send_and_wait(&id, "How many questions was that?").await;
    assert_eq!(finished.turn.status, TurnStatus::Completed);
    // Four turns of two kilobytes and the new question.
    assert!(finished.stored_text().contains("asked 5 questions"), "{}", finished.stored_text());
}

#[tokio::test]
async fn fifty_messages_of_ninety_kilobytes_exceed_no_limit() {
    let backend = Backend::start().await;
    let id = backend.conversation_with(CANNED_TEXT_MODEL).await;
    backend.seed_events(&id, 50, &"x".repeat(90_000)).await;
    let finished = backend.send_and_wait(&id, "How many questions was that?").await;
    assert_eq!(finished.turn.status, TurnStatus::Completed);
    // Two turns of 180 KB and the new question fit into 400,000 bytes.
    assert!(finished.stored_text().contains("asked 3 questions"), "{}", finished.stored_text());
}
