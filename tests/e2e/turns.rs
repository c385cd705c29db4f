//! Messages and the turns that answer them.
use client::{
    errors::ErrorType,
    requests::{GetConversation, GetTurn, SendMessage},
    schema::{SenderKind, StopReason, TurnStatus},
};
use serde_json::json;

use crate::{
    backend::{Backend, CANNED_TEXT_MODEL, expect_api_error, new_id, send_message},
    subscriber::Subscriber,
};

#[tokio::test]
async fn answer_streams_in_numbered_updates_and_is_stored() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with(CANNED_TEXT_MODEL).await;
    let finished = backend.send_and_wait(&conversation, "Hello!").await;

    assert_eq!(finished.sequences(), Vec::from_iter(1..=finished.updates.len() as u32));
    assert!(finished.updates.len() > 3, "the answer has several batches");
    let first = &finished.updates[0];
    let question = first.event.as_ref().expect("the first update carries the user's event");
    assert_eq!((question.sender.kind, question.text_or_empty(), question.position), (SenderKind::User, "Hello!", 1));
    assert_eq!(first.metadata.as_ref().map(|metadata| metadata.status), Some(TurnStatus::Running));

    let answer = finished.final_event();
    assert_eq!((answer.sender.kind, answer.position), (SenderKind::Agent, 2));
    assert_eq!(answer.stop_reason, Some(StopReason::EndTurn));
    assert!(answer.usage.is_some_and(|usage| usage.output_tokens > 0));
    let text = answer.text_or_empty();
    assert!(text.contains("scripted model"), "the answer says that the model is scripted: {text}");
    assert!(text.starts_with(&finished.streamed_text()), "the final event contains the streamed text");
    assert_eq!(finished.stored_text(), text);
    assert_eq!(finished.turn.status, TurnStatus::Completed);
    assert_eq!(finished.turn.usage, answer.usage);
}

#[tokio::test]
async fn stored_batches_equal_the_published_updates() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.deltas-40-15").await;
    let finished = backend.send_and_wait(&conversation, "Count.").await;
    let before_final = &finished.updates[..finished.updates.len() - 1];
    let published: Vec<_> = before_final.iter().map(|update| (update.sequence, update.metadata.clone())).collect();
    let batches = finished.turn.batches.iter().flatten();
    let stored: Vec<_> = batches.map(|batch| (Some(batch.sequence), Some(batch.metadata.clone()))).collect();
    assert_eq!(stored, published);
    assert_eq!(finished.turn.has_more_batches, Some(false));

    let id = finished.turn.id.clone();
    let request = GetTurn { conversation_id: conversation, id, attempt: Some(1), after_sequence: Some(2) };
    let turn = backend.api.call(&request).await.unwrap();
    let sequences: Vec<_> = turn.batches.iter().flatten().map(|batch| batch.sequence).collect();
    assert_eq!(sequences, Vec::from_iter(3..finished.updates.len() as u32));
}

#[tokio::test]
async fn model_is_given_the_earlier_turns() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with(CANNED_TEXT_MODEL).await;
    backend.send_and_wait(&conversation, "What is a quokka?").await;
    let second = backend.send_and_wait(&conversation, "And what did I ask before?").await;
    assert!(second.stored_text().contains("What is a quokka?"), "{}", second.stored_text());
    let events = backend.newest_events(&conversation).await;
    assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn message_without_conversation_id_creates_a_conversation() {
    let backend = Backend::start().await;
    let send = "mutation { sendMessage(input: {text: \"Hello!\"}) { id conversationId status run attempt question { text position } } }";
    let response = backend.execute(send, json!({})).await;
    let turn = &response["data"]["sendMessage"];
    assert_eq!(turn["status"], "QUEUED", "{response}");
    assert_eq!((&turn["run"], &turn["attempt"]), (&json!(1), &json!(0)), "{response}");
    assert_eq!(turn["question"], json!({ "text": "Hello!", "position": 1 }));
    let id = turn["conversationId"].as_str().unwrap().to_owned();
    let conversation = backend.api.call(&GetConversation { id }).await.unwrap();
    assert_eq!(conversation.agent_id, "default");
    assert_eq!(conversation.active_turn.map(|active| active.id).as_deref(), turn["id"].as_str());
}

#[tokio::test]
async fn message_to_a_busy_conversation_is_refused_with_its_turn() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.deltas-100-15").await;
    let mut subscriber = Subscriber::subscribe(&backend.api, &conversation).await;
    let running = backend.send_message(&conversation, "Hello!").await;
    let second =
        SendMessage { conversation_id: Some(conversation.clone()), text: "Hurry!".into(), ..SendMessage::default() };
    let busy = (ErrorType::ConversationBusy, json!({ "turnId": running.id }));
    assert_eq!(expect_api_error(&backend.api, &second).await, busy);
    subscriber.updates_until_end(&running.id).await;
    assert!(backend.api.call(&second).await.is_ok(), "the conversation is free again");
}

#[tokio::test]
async fn one_of_two_concurrent_messages_is_refused() {
    let backend = Backend::without_handler().await;
    let conversation = backend.conversation().await;
    let ids = [new_id(), new_id()];
    let (first, second) = tokio::join!(
        send_message(&backend.api, &conversation, &ids[0], "One."),
        send_message(&backend.api, &conversation, &ids[1], "Two.")
    );
    let error = match (first, second) {
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
        both => panic!("exactly one message is accepted: {both:?}"),
    };
    let error_type = error.api_error().and_then(|error| error.error_type.clone());
    assert!(matches!(error_type, Some(ErrorType::ConversationBusy | ErrorType::TryAgain)), "{error_type:?}");
    let events = backend.newest_events(&conversation).await;
    assert_eq!(events.iter().filter(|event| event.sender.kind == SenderKind::User).count(), 1);
}

#[tokio::test]
async fn all_subscribers_receive_the_same_updates() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.deltas-100-5").await;
    let mut first = Subscriber::subscribe(&backend.api, &conversation).await;
    let mut second = Subscriber::subscribe(&backend.api, &conversation).await;
    let turn = backend.send_message(&conversation, "Hello!").await;
    let (first, second) = tokio::join!(first.updates_until_end(&turn.id), second.updates_until_end(&turn.id));
    assert_eq!(first, second);
}
