//! Long conversations: what the model is given, and what reading it costs.
use client::{
    requests::{CreateConversation, PutAgent, SendMessage, ShareConversation, UpdateConversation},
    schema::{Access, TurnStatus},
};

use crate::backend::{Backend, say};

/// Beside one invocation of the handler, which is the fourth call.
const TABLE_CALLS: u64 = 3;

#[tokio::test]
async fn sending_takes_four_calls_of_data_sources_however_long_the_conversation_is() {
    let backend = Backend::without_handler().await;
    for (events, size, most_read_units) in [(0, 0, 3.0), (5_000, 20, 20.0), (50, 90_000, 260.0)] {
        let id = backend.conversation().await;
        backend.seed_events(&id, events, &"x".repeat(size)).await;
        let before = backend.server.database.data_source_capacity();
        backend.say(&id, "Hello!").await;
        let after = backend.server.database.data_source_capacity();
        let read_units = after.read_units - before.read_units;
        println!("{events} events of {size} bytes: {read_units} read units");
        assert_eq!(after.calls - before.calls, TABLE_CALLS, "{events} events of {size} bytes");
        assert!(read_units <= most_read_units, "{events} events of {size} bytes take {read_units} read units");
    }
}

#[tokio::test]
async fn a_first_message_takes_three_calls() {
    let backend = Backend::without_handler().await;
    for id in [None, Some("the-first-of-mine".into())] {
        let before = backend.server.database.data_source_capacity();
        let message = SendMessage { id, text: "Hello!".into(), ..SendMessage::default() };
        backend.api.call(&message).await.unwrap();
        assert_eq!(backend.server.database.data_source_capacity().calls - before.calls, TABLE_CALLS - 1);
    }
}

#[tokio::test]
async fn a_participants_message_takes_four_calls_among_fifty() {
    let backend = Backend::for_access().await;
    let (ann, bob) = (backend.user("Ann"), backend.user("Bob"));
    let id = ann.api.call(&CreateConversation::default()).await.unwrap().id;
    let others = (1..50).map(|number| format!("AAA#{number}"));
    for user_id in others.chain([bob.id]) {
        let share = ShareConversation { conversation_id: id.clone(), user_id, access: Access::Write };
        ann.api.call(&share).await.unwrap();
    }
    let before = backend.server.database.data_source_capacity();
    say(&bob.api, &id, "t1", "Hello!").await.unwrap();
    assert_eq!(backend.server.database.data_source_capacity().calls - before.calls, TABLE_CALLS);
}

#[tokio::test]
async fn five_thousand_events_are_read_back_as_far_as_the_agents_budget_reaches() {
    let backend = Backend::start().await;
    let id = backend.conversation().await;
    backend.seed_events(&id, 5_000, "An event of the past.").await;
    let heard = backend.converse(&id, "How many questions was that?").await;
    assert_eq!(heard.turn.status, TurnStatus::Completed);
    // Every event is 26 bytes and the budget 400,000: all 2,500 questions of the past fit, beside this one.
    assert!(heard.stored().contains("asked 2501 questions"), "{}", heard.stored());
    assert!(heard.stored().contains("An event of the past. 4999"), "{}", heard.stored());
}

#[tokio::test]
async fn a_small_budget_keeps_the_newest_turns_whole() {
    let backend = Backend::start().await;
    let small = PutAgent {
        id: "small".into(),
        model_id: "parlance.any".into(),
        context_bytes: Some(10_000),
        ..PutAgent::default()
    };
    backend.administrator.call(&small).await.unwrap();
    let id = backend.conversation().await;
    backend
        .api
        .call(&UpdateConversation { id: id.clone(), title: None, agent_id: Some("small".into()) })
        .await
        .unwrap();
    backend.seed_events(&id, 40, &"x".repeat(1_000)).await;
    let heard = backend.converse(&id, "How many questions was that?").await;
    assert_eq!(heard.turn.status, TurnStatus::Completed);
    // Four turns of two kilobytes, and this question.
    assert!(heard.stored().contains("asked 5 questions"), "{}", heard.stored());
}

#[tokio::test]
async fn fifty_messages_of_ninety_kilobytes_break_no_limit() {
    let backend = Backend::start().await;
    let id = backend.conversation().await;
    backend.seed_events(&id, 50, &"x".repeat(90_000)).await;
    let heard = backend.converse(&id, "How many questions was that?").await;
    assert_eq!(heard.turn.status, TurnStatus::Completed);
    // Two turns of 180 KB fit into 400,000 bytes beside the question.
    assert!(heard.stored().contains("asked 3 questions"), "{}", heard.stored());
}
